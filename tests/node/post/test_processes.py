"""Letters between real post offices, each with its disk and its wires in a process of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from maillon.protocol.keys import SealingKey
from maillon.protocol.letters import decode_letter, open_letter
from support.nethost import Child, Refused
from support.postnode import ticket_of

ANNA = SealingKey.from_seed(b"a" * 32)
BODO = SealingKey.from_seed(b"b" * 32)
PHONE = SealingKey.from_seed(b"p" * 32)


class PostChild(Child):
    """A post office in another process."""

    module = "support.postnode"


class Pair:
    """Two coops; each may be killed and started again with what its disk has."""

    def __init__(self, directory: Path, admit: str) -> None:
        self._directory = directory
        self._admit = admit
        self.children: dict[str, PostChild] = {}

    def start(self, name: str, **config: Any) -> PostChild:
        """Start a coop, for the first time or again."""
        home = self._directory / name
        home.mkdir(exist_ok=True)
        keys = {"a": [b"a" * 32], "b": [b"b" * 32]}[name]
        child = PostChild(
            name,
            home=str(home),
            keys=[seed.hex() for seed in keys],
            devices=[PHONE.public.hex()] if name == "b" else [],
            admit=self._admit,
            **config,
        )
        assert child.failed is None, child.failed
        self.children[name] = child
        return child

    def connect(self) -> None:
        """Have the two connected."""
        a, b = self.children["a"], self.children["b"]
        a.ask("dial", peer=b.hex, addresses=b.addresses)
        assert a.ask("connected", peer=b.hex) and b.ask("connected", peer=a.hex)

    def files(self, name: str) -> bytes:
        """Return all that a coop has on its disk."""
        return b"".join(path.read_bytes() for path in sorted((self._directory / name).iterdir()))


@contextmanager
def pair(directory: Path, admit: str = "everybody") -> Generator[Pair]:
    """Give two coops, and end them whatever happens."""
    made = Pair(directory, admit)
    try:
        yield made
    finally:
        for child in made.children.values():
            child.kill()


def texts(prefix: str, count: int) -> list[str]:
    return [f"{prefix} {n:03}".encode().hex() for n in range(count)]


def send(child: Child, to: Child, key: SealingKey, items: list[str], **more: Any) -> list[str]:
    ids: list[str] = child.ask("send", to=to.hex, key=key.public.hex(), items=items, **more)
    return ids


def test_letters_arrive_once_and_in_order_both_ways(tmp_path: Path) -> None:
    with pair(tmp_path) as coops:
        a, b = coops.start("a"), coops.start("b")
        coops.connect()
        there, back = texts("there", 200), texts("back", 50)
        send(a, b, BODO, there)
        send(b, a, ANNA, back)
        assert b.ask("read", count=200) == there
        assert a.ask("read", count=50) == back
        assert a.ask("wait_figure", name="sending", value=0) == 0
        assert a.ask("figures")["links"] == 1


def test_what_was_written_while_the_other_was_away_arrives_when_it_comes(tmp_path: Path) -> None:
    with pair(tmp_path) as coops:
        a, b = coops.start("a"), coops.start("b")
        items = texts("waiting", 20)
        send(a, b, BODO, items[:10])
        a.kill()
        a = coops.start("a")
        send(a, b, BODO, items[10:])
        assert a.ask("figures")["sending"] == 20
        coops.connect()
        assert b.ask("read", count=20) == items


def test_a_device_fetches_its_letters_and_the_nodes_hold_only_ciphertext(tmp_path: Path) -> None:
    secret = b"the key is under the third stone"
    with pair(tmp_path) as coops:
        a, b = coops.start("a"), coops.start("b")
        coops.connect()
        ids = send(a, b, PHONE, [secret.hex(), b"and the dog bites".hex()])
        rows = b.ask("inbox", key=PHONE.public.hex(), count=2)
        assert [row["id"] for row in rows] == ids
        found = [open_letter(decode_letter(bytes.fromhex(r["letter"])), PHONE) for r in rows]
        assert [items[0].data for items in found] == [secret, b"and the dog bites"]
        assert b.ask("inbox", key=PHONE.public.hex(), after=rows[0]["serial"])[0]["n"] == 1
        assert b.ask("taken", key=ANNA.public.hex(), ids=ids) == 0
        assert b.ask("taken", key=PHONE.public.hex(), ids=ids[:1]) == 1
        assert b.ask("taken", key=PHONE.public.hex(), ids=ids[:1]) == 0
        assert [row["id"] for row in b.ask("inbox", key=PHONE.public.hex())] == ids[1:]
        for name in "ab":
            assert secret not in coops.files(name)
            assert bytes.fromhex(ids[0]) in coops.files(name)


@pytest.mark.parametrize("commits", [3])
def test_a_receiver_that_dies_between_commit_and_acknowledgement_reads_everything_once(
    tmp_path: Path, commits: int
) -> None:
    with pair(tmp_path) as coops:
        a, b = coops.start("a"), coops.start("b", die_after_commits=commits)
        coops.connect()
        items = texts("once", 12)
        place = 0
        for item in items:
            send(a, b, PHONE, [item])
            place += 1
            try:
                # One by one, so that each has a commit of its own.
                b.ask("inbox", key=PHONE.public.hex(), count=place)
            except (AssertionError, BrokenPipeError):
                break
        assert b.process.wait(30) == 9
        b.kill()
        send(a, b, PHONE, items[place:])
        b = coops.start("b")
        coops.connect()
        rows = b.ask("inbox", key=PHONE.public.hex(), count=12)
        assert [row["n"] for row in rows] == list(range(12))
        assert a.ask("wait_figure", name="sending", value=0) == 0


@pytest.mark.parametrize("commits", [4])
def test_a_sender_that_dies_before_it_notes_an_acknowledgement_delivers_nothing_twice(
    tmp_path: Path, commits: int
) -> None:
    with pair(tmp_path) as coops:
        a, b = coops.start("a"), coops.start("b")
        items = texts("written", 6)
        send(a, b, BODO, items)
        a.kill()
        a = coops.start("a", die_after_commits=commits)
        coops.connect()
        for item in texts("later", 3):
            try:
                send(a, b, BODO, [item])
            except (AssertionError, BrokenPipeError):
                break
        a.kill()
        a = coops.start("a")
        coops.connect()
        assert a.ask("wait_figure", name="sending", value=0) == 0
        # Whoever does not know whether a letter was kept writes it again, under the same name.
        send(a, b, BODO, items + texts("later", 3))
        assert b.ask("read", count=9) == items + texts("later", 3)


def test_letters_to_a_key_that_nobody_knows_are_kept_by_the_sender(tmp_path: Path) -> None:
    with pair(tmp_path) as coops:
        a, b = coops.start("a"), coops.start("b")
        coops.connect()
        nobody = SealingKey.from_seed(b"n" * 32)
        send(a, b, nobody, [b"to nobody".hex()])
        send(a, b, BODO, [b"to somebody".hex()])
        assert b.ask("read", count=1) == [b"to somebody".hex()]
        assert a.ask("wait_figure", name="sending", value=1) == 1
        assert b.ask("figures")["waiting"] == 0


def test_a_coop_that_was_removed_delivers_nothing_until_it_belongs_again(tmp_path: Path) -> None:
    with pair(tmp_path, admit="those named") as coops:
        a, b = coops.start("a"), coops.start("b")
        for one, other in ((a, b), (b, a)):
            one.ask("admit", peers=[other.hex])
        coops.connect()
        send(a, b, BODO, [b"before".hex()])
        assert b.ask("read", count=1) == [b"before".hex()]
        b.ask("admit", peers=[], only=True)
        assert a.ask("connected", peer=b.hex, want=False)
        send(a, b, BODO, [b"meanwhile".hex()])
        assert a.ask("wait_figure", name="sending", value=1) == 1
        assert b.ask("read") == [b"before".hex()]
        b.ask("admit", peers=[a.hex])
        coops.connect()
        assert b.ask("read", count=2) == [b"before".hex(), b"meanwhile".hex()]


def test_a_node_that_sends_what_is_no_frame_of_letters_loses_the_stream_and_points(
    tmp_path: Path,
) -> None:
    with pair(tmp_path) as coops:
        a, b = coops.start("a"), coops.start("b")
        coops.connect()
        talk = {"peer": b.hex, "protocol": "/maillon/1/letters"}
        assert a.ask("talk", frames=[0, 0], **talk) == [0, 0]
        assert b.ask("score", peer=a.hex) == 0
        with pytest.raises(Refused):
            a.ask("talk", frames=[0, 5, 0], **talk)
        assert b.ask("score", peer=a.hex) > 0
        send(a, b, BODO, [b"all the same".hex()])
        assert b.ask("read", count=1) == [b"all the same".hex()]


def test_a_letter_whose_time_runs_out_is_told_to_its_writer_and_leaves_no_byte(
    tmp_path: Path,
) -> None:
    with pair(tmp_path) as coops:
        a, b = coops.start("a", bounds_of_post={"jump_s": 10**9}), coops.start("b")
        (id,) = send(a, b, BODO, [b"too late".hex()], until_s=3_600)
        letter = bytes.fromhex(id)
        assert letter in coops.files("a")
        a.ask("clock", offset=3_601)
        (told,) = a.ask("told", count=1)
        assert told == {"id": id, "ticket": ticket_of(b"too late").hex(), "code": "expired"}
        coops.connect()
        send(a, b, BODO, [b"in time".hex()])
        assert b.ask("read", count=1) == [b"in time".hex()]
        a.ask("wait_figure", name="kept_bytes", value=0, seconds=0.1)
        a.stop()
        assert letter not in coops.files("a")


def test_a_letter_that_the_desk_does_not_take_is_handed_in_again_and_holds_back_its_thread(
    tmp_path: Path,
) -> None:
    with pair(tmp_path) as coops:
        a, b = coops.start("a"), coops.start("b")
        b.ask("refuse", times=1)
        coops.connect()
        send(a, b, BODO, [b"first".hex(), b"second".hex()])
        send(a, b, BODO, [b"elsewhere".hex()], exchange="01")
        assert b.ask("read", count=1) == [b"elsewhere".hex()]
        assert "not ready" in b.ask("faults")[0]
        b.kill()
        b = coops.start("b")
        assert b.ask("read", count=2) == [b"first".hex(), b"second".hex()]
