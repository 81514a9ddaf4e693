"""The parts of a running node, each on its own."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node.config import Config, parse_config, render_config
from maillon.node.home import (
    AlreadyExists,
    AlreadyRunning,
    Home,
    hold_lock,
    is_locked,
    write_atomic,
)
from maillon.node.run.arrivals import Arrivals
from maillon.node.run.backup import write_backup
from maillon.node.run.profile import outdated, profile_draft, profile_fields
from maillon.node.run.register import Ambiguous, NotFound, Register, RegisterError
from maillon.node.store.database import StoreDamaged
from maillon.node.verify import Pool, verify_inline
from maillon.protocol.keys import SealingKey, SigningKey, cryptography_backend, signature_ok
from maillon.protocol.records import DAY_S
from support.world import NOW, World

SEED = 7


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "private.db", SealingKey.from_seed(b"s" * 32))


# --- files ----------------------------------------------------------------------------------------


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"one")
    with pytest.raises(AlreadyExists):
        write_atomic(path, b"two")
    assert path.read_bytes() == b"one"

    def broken(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"three", replace=True)
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_one_process_holds_a_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert not is_locked(home)
    with hold_lock(home):
        assert is_locked(home)
        with pytest.raises(AlreadyRunning), hold_lock(home):
            pass
    assert not is_locked(home)


@given(
    name=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=60),
    territory=st.lists(st.from_regex(r"[0-9A-Z]{2,5}", fullmatch=True), max_size=5),
)
def test_the_settings_that_init_writes_are_read_back(name: str, territory: list[str]) -> None:
    text = render_config(
        name=name,
        languages=["fr", "en"],
        territory=territory,
        listen=["/ip4/127.0.0.1/tcp/1"],
        announce=[],
    )
    config = parse_config(text)
    assert (config.coop.name, config.coop.territory) == (name, territory)
    assert config.network.listen == ["/ip4/127.0.0.1/tcp/1"]
    assert config.work.verify_threads == 2


def test_every_setting_that_init_only_mentions_is_known_with_the_value_it_says() -> None:
    text = render_config(name="C", languages=["fr"], territory=[], listen=["/a/b"], announce=[])
    mentioned = re.sub(rb"^#(?=[a-z_]+ = |\[)", b"", text, flags=re.MULTILINE)
    assert mentioned.count(b"\n#") < text.count(b"\n#")
    written, defaults = parse_config(mentioned), parse_config(text)
    assert written.network.peers  # an example, for which there is no default
    assert (written.work, written.log) == (defaults.work, defaults.log)
    assert (written.network.mdns, written.network.relay) == (False, "off")
    assert written.network.mdns == defaults.network.mdns
    assert written.network.relay == defaults.network.relay


# --- the register ---------------------------------------------------------------------------------


def test_a_token_opens_once_and_again_only_for_the_same_coop(register: Register) -> None:
    token, one, two = b"t" * 16, b"1" * 32, b"2" * 32
    register.add_invitation(token, expires=1_000, note="", now=0)
    assert register.check_token(token, one, 999)
    assert not register.check_token(b"x" * 16, one, 999)
    assert not register.check_token(token, one, 1_001)
    assert register.use_token(token, one, 10)
    assert register.check_token(token, one, 11) and register.use_token(token, one, 11)
    assert not register.check_token(token, two, 11) and not register.use_token(token, two, 11)


def test_a_held_key_opens_with_the_coops_sealing_key_only(
    register: Register, tmp_path: Path
) -> None:
    key, sealing = SigningKey.from_seed(b"k" * 32), SealingKey.from_seed(b"l" * 32)
    register.add_person(b"p" * 16, "Personne", "", 0)
    register.add_key(b"p" * 16, key.public, sealing.public, "node", 0, (key, sealing))
    assert register.held_key(key.public) == key
    register.close()
    assert b"k" * 32 not in (tmp_path / "private.db").read_bytes()
    other = Register(tmp_path / "private.db", SealingKey.from_seed(b"o" * 32))
    with pytest.raises(RegisterError, match="sealing key"):
        other.held_key(key.public)


def test_nobody_is_given_the_sealing_key_of_somebody_else(register: Register) -> None:
    one, other, sealing = (SigningKey.from_seed(bytes([n]) * 32) for n in (1, 2, 3))
    letters = SealingKey.from_seed(b"l" * 32).public
    for person in (b"p" * 16, b"q" * 16):
        register.add_person(person, "Personne", "", 0)
    register.add_key(b"p" * 16, one.public, letters, "device", 0)
    for theirs in (letters, SealingKey.from_seed(b"s" * 32).public):
        # Whoever had it could have the letters of its holder, or the coop's, taken away.
        with pytest.raises(RegisterError):
            register.add_key(b"q" * 16, other.public, theirs, "device", 0)
    assert register.keys_of(b"q" * 16) == []
    # Two keys of one person may open the same letters.
    register.add_key(b"p" * 16, sealing.public, letters, "device", 0)
    assert len(register.keys_of(b"p" * 16)) == 2


def test_people_are_found_by_the_beginning_of_their_id(register: Register) -> None:
    register.add_person(bytes.fromhex("aabb" + "00" * 14), "Une", "", 0)
    register.add_person(bytes.fromhex("aacc" + "00" * 14), "Deux", "", 0)
    assert register.find_person("aab").name == "Une"
    with pytest.raises(Ambiguous):
        register.find_person("aa")
    with pytest.raises(NotFound):
        register.find_person("ff")
    with pytest.raises(NotFound):
        register.find_person("%")


def test_a_batch_that_fails_leaves_no_trace(register: Register) -> None:
    with pytest.raises(RuntimeError), register.batch():
        register.add_person(b"p" * 16, "Personne", "", 0)
        raise RuntimeError
    assert register.person(b"p" * 16) is None
    assert register.counts() == {"people": 0, "keys": 0, "held": 0}


def test_a_register_with_flipped_bytes_is_refused_by_its_name(
    register: Register, tmp_path: Path
) -> None:
    for n in range(50):
        register.add_person(bytes([n]) * 16, f"Personne {n}", "", 0)
    register.check()
    register.close()
    path = tmp_path / "private.db"
    whole = path.read_bytes()
    sealing = SealingKey.from_seed(b"s" * 32)
    refused = 0
    # Every page but the first, whose damage shows at once.
    for start in range(4096, len(whole), 4096):
        if not any(whole[start : start + 4096]):
            continue
        path.write_bytes(whole[: start + 1] + b"\xa5" * 400 + whole[start + 401 :])
        with pytest.raises(StoreDamaged, match="private.db"):
            Register(path, sealing)
        refused += 1
    assert refused > 3
    # What cannot be read is not called a fault of the copy.
    home = Home(tmp_path)
    with pytest.raises(StoreDamaged, match=re.escape(str(path))):
        write_backup(home, tmp_path / "copy", records=False)
    assert not (tmp_path / "copy").exists()


# --- arrivals -------------------------------------------------------------------------------------


def test_arrivals_are_told_once_and_losses_are_counted() -> None:
    arrivals = Arrivals(limit=3)
    arrivals.note([b"1", b"2"], 10)
    found, following, missed = arrivals.since(0, 10)
    assert ([id for id, _at in found], following, missed) == ([b"1", b"2"], 2, 0)
    arrivals.note([b"3", b"4", b"5", b"6"], 20)
    found, following, missed = arrivals.since(following, 10)
    assert ([id for id, _at in found], following, missed) == ([b"4", b"5", b"6"], 6, 1)
    assert arrivals.since(following, 10) == ([], 6, 0)
    assert len(arrivals.since(4, 1)[0]) == 1


# --- signatures -----------------------------------------------------------------------------------


async def test_the_pool_says_what_one_check_after_the_other_says() -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    items: list[tuple[bytes, bytes, bytes]] = []
    for n in range(300):
        key = SigningKey.from_seed(rng.randbytes(32))
        body = rng.randbytes(rng.randint(0, 300))
        signature = bytearray(key.sign("test", body))
        if n % 7 == 0:
            signature[rng.randrange(64)] ^= 1 << rng.randrange(8)
        items.append((key.public, b"maillon/1/test\0" + body, bytes(signature)))
    wanted = [signature_ok(*item, cryptography_backend) for item in items]
    assert wanted.count(False) == 43
    pool = Pool(2)
    assert await pool.verify(items) == wanted
    assert await Pool(0).verify(items) == wanted == verify_inline(items)
    assert (pool.checked, pool.bad) == (300, 43)
    assert await pool.verify([]) == []


async def test_batches_begun_together_are_each_answered_in_their_own_order() -> None:
    key = SigningKey.from_seed(bytes(32))
    good = (key.public, b"maillon/1/test\0a", key.sign("test", b"a"))
    bad = (key.public, b"maillon/1/test\0b", key.sign("test", b"a"))
    pool = Pool(2)
    batches = [[bad] * n + [good] * (100 - n) for n in (0, 1, 50, 100)]
    begun = [pool.begin(batch) for batch in [*batches, [], [good]]]
    answers = [await verdicts.wait() for verdicts in begun]
    assert answers[:4] == [[item is good for item in batch] for batch in batches]
    assert answers[4:] == [[], [True]]
    assert all(verdicts.done for verdicts in begun)
    assert (pool.checked, pool.bad) == (401, 151)


# --- the profile ----------------------------------------------------------------------------------


def _config(name: str = "Coop") -> Config:
    return parse_config(
        render_config(name=name, languages=["fr"], territory=[], listen=["/a/b"], announce=[])
    )


def test_a_profile_is_renewed_when_it_says_something_else_or_ends_soon() -> None:
    world = World(coops_count=1, seed="profile")
    coop = world.coops[0]
    fields = profile_fields(_config(), coop.node.public, ["/ip4/127.0.0.1/tcp/1"])
    assert outdated(None, fields, NOW)
    draft = profile_draft(
        fields, None, fed=world.founding.fed, coop=coop.id, root=coop.root.public, now=NOW,
        salt=b"s" * 16,
    )  # fmt: skip
    from maillon.protocol.envelope import Valid, sign

    signed = sign(draft, coop.root)
    current = Valid(signed, b"c" + coop.id, b"t" * 32, "root")
    assert not outdated(current, fields, NOW)
    assert outdated(current, profile_fields(_config("Autre"), coop.node.public, []), NOW)
    assert outdated(current, fields, NOW + 300 * DAY_S)

    # Another node key: the old one's records count up to now and no further.
    other = profile_fields(_config(), b"o" * 32, [])
    later = profile_draft(
        other, signed, fed=world.founding.fed, coop=coop.id, root=coop.root.public,
        now=NOW + 60, salt=b"t" * 16,
    )  # fmt: skip
    assert later.header.rev == signed.header.rev + 1
    assert later.header.until >= signed.header.until
    assert later.payload["previous"] == [{"key": coop.node.public, "until_at": NOW + 60}]
