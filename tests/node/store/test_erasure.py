"""What was erased cannot be read back from any file of the node's database."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from maillon.node.search.query import Query
from maillon.node.search.reader import SearchReader
from maillon.node.search.vocabulary import Vocabulary
from maillon.node.store import sealing
from maillon.node.store.database import open_reader
from maillon.node.store.sqlite import SqliteStore
from maillon.protocol.envelope import Valid
from maillon.protocol.records import thing_id
from support.world import NOW, Member, World

LETTERS = "bcdfghjklmnpqrtvwxz"


def secret_word(rng: random.Random) -> str:
    """Return a word no text has by chance, and no stemmer shortens."""
    return "".join(rng.choices(LETTERS, k=16))


def trace(word: str) -> bytes:
    """Return what of a word lies in an index file: the letters it shares with the word before it
    in the alphabet do not."""
    return word[4:].encode()


def valid(world: World, member: Member, title: str, text: str, **fields: object) -> Valid:
    signed = world.offer(member, title, text=text, **fields)  # type: ignore[arg-type]
    return Valid(signed, member.author, thing_id(member.author, signed.header.series), "member")


def all_bytes(folder: Path) -> bytes:
    """Return every byte of every file in a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


def keys_in(path: Path) -> dict[int, bytes]:
    reader = open_reader(path, cache_kib=100)
    rows = reader.execute("SELECT block, keys FROM seals").fetchall()
    places = [n for (n,) in reader.execute("SELECT n FROM records").fetchall()]
    reader.close()
    blocks = dict(rows)
    return {n: sealing.key_of(blocks[n // sealing.BLOCK_KEYS], n) for n in places}


@pytest.mark.parametrize("way", ["withdrawn", "superseded", "expired", "revoked", "erased"])
def test_no_byte_of_an_erased_offer_is_left_in_any_file(tmp_path: Path, way: str) -> None:
    rng = random.Random(way)
    world = World(coops_count=1, seed=way)
    alice = world.make_member(0, "alice")
    title, body, kept = secret_word(rng), secret_word(rng), secret_word(rng)
    store = SqliteStore(tmp_path / "node.db")
    one = valid(world, alice, title, f"du texte avec {body}", until=NOW + 1000)
    other = valid(world, alice, kept, "autre chose", until=NOW + 9000)
    with store.batch():
        store.put(one)
        store.put(other)
    store.index_now()
    # The search for traces can find: the words are in the index now.
    assert trace(title) in all_bytes(tmp_path) and trace(body) in all_bytes(tmp_path)
    (key,) = [
        key
        for n, key in keys_in(tmp_path / "node.db").items()
        if n == 0
    ]
    assert key in all_bytes(tmp_path)
    if way == "expired":
        store.forget_expired(NOW + 1001, 10)
    else:
        store.retire(one.signed.id, reason=way)
    assert store.scrub()
    left = all_bytes(tmp_path)
    for gone in (trace(title), trace(body), title[:10].encode(), body[-8:].encode(), key):
        assert gone not in left
    assert trace(kept) in left
    assert store.get(other.signed.id) == other.signed
    assert (tmp_path / "node.db-wal").stat().st_size == 0
    store.close()


def test_erasing_among_thousands_that_come_and_go_leaves_nothing(tmp_path: Path) -> None:
    # Pages split and merge all the time here: the case in which rows leave copies behind.
    rng = random.Random(5)
    world = World(coops_count=1, seed="churn")
    members = [world.make_member(0, f"m{n}") for n in range(3)]
    store = SqliteStore(tmp_path / "node.db")
    live: list[tuple[bytes, str]] = []
    gone: list[str] = []
    gone_keys: list[bytes] = []
    for step in range(60):
        with store.batch():
            for _ in range(rng.choice([1, 5, 40])):
                word = secret_word(rng)
                record = valid(
                    world, rng.choice(members), word, "a" * rng.randrange(900),
                    until=NOW + rng.randrange(10, 200),
                )  # fmt: skip
                store.put(record)
                live.append((record.signed.id, word))
        known = keys_in(tmp_path / "node.db")
        with store.batch():
            for _ in range(rng.choice([0, 3, 30])):
                if len(live) > 20:
                    id, word = live.pop(rng.randrange(len(live)))
                    if store.live(id):
                        store.retire(id, reason="withdrawn")
                    gone.append(word)
            if step % 7 == 0:
                store.forget_expired(NOW + step, 50)
        still = keys_in(tmp_path / "node.db")
        gone_keys += [
            key for n, key in known.items() if n not in still or sealing.is_erased(still[n])
        ]
        if step % 10 == 0:
            store.maintain(NOW)
    gone_keys = [key for key in gone_keys if not sealing.is_erased(key)]
    assert len(gone_keys) > 100
    assert store.scrub()
    left = all_bytes(tmp_path)
    assert [word for word in gone if trace(word) in left] == []
    assert [key for key in gone_keys if key in left] == []
    assert store.check() == []
    alive = [id for id, _word in live if store.live(id)]
    assert len(alive) > 100 and all(store.get(id) is not None for id in alive)
    assert all(store.get(id).payload is not None for id in alive)  # type: ignore[union-attr]
    store.close()


def test_a_payload_never_lies_in_the_file_unsealed(tmp_path: Path) -> None:
    world = World(coops_count=1, seed="sealed")
    alice = world.make_member(0, "alice")
    store = SqliteStore(tmp_path / "node.db", index=lambda header, payload: "")
    one = valid(world, alice, "Titre particulier", "un texte qu'on retrouverait")
    store.put(one)
    assert one.signed.payload_bytes is not None
    assert b"retrouverait" not in all_bytes(tmp_path)
    store.close()
    assert b"retrouverait" not in all_bytes(tmp_path)


def test_words_of_erased_records_are_purged_within_a_day_without_being_asked(
    tmp_path: Path,
) -> None:
    rng = random.Random(9)
    world = World(coops_count=1, seed="purge")
    alice = world.make_member(0, "alice")
    store = SqliteStore(tmp_path / "node.db")
    word = secret_word(rng)
    one = valid(world, alice, word, "x")
    store.put(one)
    store.index_now()
    for n in range(30):
        store.put(valid(world, alice, f"Autre {n}", "y"))
        store.index_now()
    store.retire(one.signed.id, reason="withdrawn")
    reader = SearchReader(tmp_path / "node.db", Vocabulary())
    # Out of every answer at once.
    assert reader.search(Query(text=word), NOW).hits == ()
    reader.close()
    now = NOW
    while store.maintain(now):
        pass
    now += 24 * 3600
    for _ in range(200):
        if not store.maintain(now):
            break
    else:
        raise AssertionError("purging does not end")
    assert trace(word) not in all_bytes(tmp_path)
    store.close()


def test_what_waits_for_purging_is_not_forgotten_by_a_restart(tmp_path: Path) -> None:
    rng = random.Random(10)
    world = World(coops_count=1, seed="purge2")
    alice = world.make_member(0, "alice")
    word = secret_word(rng)
    one = valid(world, alice, word, "x")
    store = SqliteStore(tmp_path / "node.db")
    store.put(one)
    store.index_now()
    store.retire(one.signed.id, reason="withdrawn")
    store.close()
    store = SqliteStore(tmp_path / "node.db")
    assert store.scrub()
    assert trace(word) not in all_bytes(tmp_path)
    store.close()


def test_searching_leaves_no_trace_of_the_query(tmp_path: Path) -> None:
    rng = random.Random(11)
    world = World(coops_count=1, seed="query")
    alice = world.make_member(0, "alice")
    store = SqliteStore(tmp_path / "node.db")
    store.put(valid(world, alice, "Aide", "x"))
    store.index_now()
    reader = SearchReader(tmp_path / "node.db", Vocabulary())
    words = [secret_word(rng) for _ in range(20)]
    for word in words:
        reader.search(Query(text=f"aide {word}", near=(44.7, 5.3), radius_km=12), NOW)
    assert not any(trace(word) in all_bytes(tmp_path) for word in words)
    reader.close()
    store.close()
    assert not any(trace(word) in all_bytes(tmp_path) for word in words)
