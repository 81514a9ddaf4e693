"""Letters on disk and in memory: both keep the same, whatever a post office does with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from maillon.node.engine.post.memory import MemoryLetters
from maillon.node.engine.post.office import RESTORED
from maillon.node.engine.post.ports import In, Incoming, LetterStore, Load, Out, Outgoing
from maillon.node.store.database import StoreDamaged, StoreError
from maillon.node.store.lettersdisk import LettersDisk, mark_copy
from maillon.node.store.lettertraces import LetterTraces
from simulation.letters.disk import SimDisk
from simulation.letters.plan import Plan
from simulation.letters.world import World

COOP, KEY, THREAD, OWNER = b"c" * 32, b"k" * 32, b"t" * 16, b"o" * 49
AT = 1_800_000_000


def ours(n: int, letter: bytes = b"ciphertext", **changes: Any) -> Outgoing:
    id = n.to_bytes(32, "big")
    row = Outgoing(id, COOP, THREAD, n, KEY, OWNER, b"", AT, AT + 100, letter, len(letter))
    return replace(row, **changes)


def theirs(n: int, letter: bytes = b"ciphertext", **changes: Any) -> Incoming:
    id = n.to_bytes(32, "big")
    row = Incoming(id, COOP, THREAD, n, KEY, AT + 100, letter, len(letter), In.READY, AT, n + 1)
    return replace(row, **changes)


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LetterStore]:
    if request.param == "memory":
        yield MemoryLetters()
        return
    disk = LettersDisk(tmp_path / "letters.db")
    yield disk
    disk.close()


def test_a_batch_that_fails_leaves_nothing_behind_and_counts_nothing(store: LetterStore) -> None:
    with store.batch():
        store.add_out(ours(0))
        store.add_in(theirs(0))
        store.set_next_out(THREAD, 1, AT)
    serial = store.next_serial()
    with pytest.raises(ZeroDivisionError), store.batch():
        store.add_out(ours(1))
        store.change_out(replace(ours(0), state=Out.GONE, letter=b""))
        store.change_in(replace(theirs(0), state=In.ERASED, letter=b""))
        store.set_next_out(THREAD, 7, AT)
        store.set_meta("era", b"e")
        raise ZeroDivisionError
    assert store.out(ours(1).id) is None
    found = store.out(ours(0).id)
    assert found is not None and (found.state, found.letter) == (Out.WAITING, b"ciphertext")
    assert store.next_out(THREAD) == 1 and store.meta("era") is None
    assert store.load_out(owner=OWNER) == Load(1, 10)
    assert store.load_in(coop=COOP, to_key=KEY) == Load(1, 10)
    assert store.bytes_kept() == 20
    assert serial == 2


def test_batches_nest_as_one(store: LetterStore) -> None:
    with pytest.raises(ZeroDivisionError), store.batch():
        with store.batch():
            store.add_out(ours(0))
        raise ZeroDivisionError
    assert store.out(ours(0).id) is None


def test_what_is_kept_is_counted_in_each_share(store: LetterStore) -> None:
    with store.batch():
        store.add_out(ours(0))
        store.add_out(ours(1, coop=b"d" * 32))
        store.add_out(ours(2, owner=b"p" * 49))
        store.add_in(theirs(0))
        store.add_in(theirs(1, state=In.BEHIND))
        store.add_in(theirs(2, to_key=b"l" * 32, coop=b"d" * 32))
    assert store.load_out() == Load(3, 30)
    assert store.load_out(owner=OWNER) == Load(2, 20)
    assert store.load_out(coop=COOP) == Load(2, 20)
    assert store.load_out(coop=COOP, owner=OWNER) == Load(1, 10)
    assert store.load_in(coop=COOP) == store.load_in(to_key=KEY) == Load(2, 20)
    with store.batch():
        store.change_out(replace(ours(0), state=Out.ARRIVED, ended_at=AT))
        store.change_in(replace(theirs(0), state=In.TAKEN, taken_at=AT))
        store.change_in(replace(theirs(1), state=In.ERASED, letter=b""))
    assert store.load_out() == Load(2, 20) and store.load_arrived() == Load(1, 10)
    assert store.load_in(coop=COOP) == Load(0, 0)
    assert store.bytes_kept() == 50
    with store.batch():
        store.drop_out([ours(0).id, ours(1).id])
        store.drop_in([theirs(0).id])
    assert store.bytes_kept() == 20 and store.load_arrived() == Load(0, 0)


def test_a_time_far_ahead_is_due_because_a_clock_was_set_back(store: LetterStore) -> None:
    with store.batch():
        for n, retry_at in enumerate((0, AT, AT + 1, AT + 50, AT + 51)):
            store.add_out(ours(n, retry_at=retry_at))
    assert [int.from_bytes(id, "big") for id, _ in store.due(COOP, AT, AT + 50, 9)] == [0, 1, 4]
    assert store.next_retry(COOP) == 0 and store.next_retry(b"x" * 32) is None


# --- the same, whatever a post office does ------------------------------------------------------

NAMES = [name for name in vars(LetterStore) if name[0] != "_" and name not in ("batch",)]
FILES = itertools.count()


def _twin(directory: Path) -> Callable[[], SimDisk]:
    """Return a maker of stores that ask both kinds everything, and compare what they say."""

    class Twin(SimDisk):
        def __init__(self) -> None:
            super().__init__()
            self.disk = LettersDisk(directory / f"{next(FILES)}.db")
            self.asked = 0
            self.inside = False

        def batch(self) -> Any:
            return _both(super().batch(), self.disk.batch())

    def asking(name: str) -> Callable[..., Any]:
        def ask(self: Twin, *values: Any, **named: Any) -> Any:
            if self.inside:
                return getattr(SimDisk, name)(self, *values, **named)
            self.asked += 1
            self.inside = True
            mine = getattr(SimDisk, name)(self, *values, **named)
            self.inside = False
            assert mine == getattr(self.disk, name)(*values, **named), (name, values, named)
            return mine

        return ask

    for name in NAMES:
        setattr(Twin, name, asking(name))
    return Twin


class _both:
    """Enter two contexts as one."""

    def __init__(self, one: Any, other: Any) -> None:
        self._contexts = (one, other)

    def __enter__(self) -> None:
        for context in self._contexts:
            context.__enter__()

    def __exit__(self, *fault: Any) -> None:
        for context in reversed(self._contexts):
            context.__exit__(*fault)


@pytest.mark.parametrize("seed", [3, 4])
def test_memory_and_disk_answer_alike_through_a_whole_simulation(
    tmp_path: Path, seed: int
) -> None:
    plan = replace(
        Plan.draw(Random(seed)), coops=3, messages=25, active_s=1_200, crashes=0, power_cuts=0,
        restores=0, rollbacks=0, jumps=1, small_boxes=seed == 4,
    )  # fmt: skip
    world = World(seed, plan=plan, make_disk=_twin(tmp_path))
    figures = world.run()
    assert figures["messages delivered"] > 5
    for office in world.offices:
        assert office.disk.asked > 1_000  # type: ignore[attr-defined]  # a Twin
        office.disk.disk.close()  # type: ignore[attr-defined]  # a Twin


# --- the file -----------------------------------------------------------------------------------


def test_what_was_committed_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    disk = LettersDisk(tmp_path / "letters.db")
    with disk.batch():
        disk.add_out(ours(0, ticket=b"ticket"))
        disk.add_in(theirs(3))
        serial = disk.next_serial()
    other = LettersDisk(tmp_path / "copy.db")
    other.close()
    # Not closed: the process ended.
    again = LettersDisk(tmp_path / "letters.db")
    assert again.out_ticket(b"ticket", KEY) == again.out(ours(0).id)
    assert again.load_out() == Load(1, 10) and again.load_in() == Load(1, 10)
    assert again.bytes_kept() == 20
    with again.batch():
        assert again.next_serial() == serial + 1
    again.close()
    disk.close()


def test_erased_letters_leave_no_byte_in_the_file_or_its_log(tmp_path: Path) -> None:
    disk = LettersDisk(tmp_path / "letters.db")
    long = b"a secret that nobody should find" * 300
    with disk.batch():
        disk.add_out(ours(0, long))
        disk.add_in(theirs(0, long))

    def held() -> bool:
        return any(long[:32] in path.read_bytes() for path in tmp_path.iterdir())

    assert held()
    with disk.batch():
        disk.change_out(replace(ours(0, long), state=Out.GONE, letter=b""))
        disk.change_in(replace(theirs(0, long), state=In.ERASED, letter=b""))
    assert disk.scrub()
    assert not held()
    disk.close()


def test_a_person_sees_and_erases_what_is_kept_of_their_letters(tmp_path: Path) -> None:
    disk = LettersDisk(tmp_path / "letters.db")
    traces = LetterTraces(disk)
    with disk.batch():
        disk.add_out(ours(0, b"by them" * 9))
        disk.add_out(ours(1, b"by others", owner=b"p" * 49, to_key=b"x" * 32))
        disk.add_in(theirs(0, b"to them" * 9))
        disk.add_in(theirs(1, b"to others", to_key=b"x" * 32))
    shown: Any = traces.export_person(OWNER, [], [KEY])
    assert [row["state"] for row in shown["written"]] == ["waiting"]
    assert [row["letter"] for row in shown["received"]] == [(b"to them" * 9).hex()]
    assert traces.erase_person(OWNER, [], [KEY]) == 2
    assert traces.erase_person(OWNER, [], [KEY]) == 0
    assert traces.scrub()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert OWNER not in kept and KEY not in kept
    assert b"by them" not in kept and b"to them" not in kept
    assert b"by others" in kept and b"to others" in kept
    assert disk.bytes_kept() == 18
    disk.close()


def test_a_copy_says_when_it_was_made_and_is_one_file(tmp_path: Path) -> None:
    LettersDisk(tmp_path / "letters.db").close()
    mark_copy(tmp_path / "letters.db", AT)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.db"]
    disk = LettersDisk(tmp_path / "letters.db")
    assert disk.meta(RESTORED) == AT.to_bytes(8, "big")
    disk.close()


def test_a_damaged_file_is_refused_in_words_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letters.db"
    disk = LettersDisk(path)
    with disk.batch():
        for n in range(200):
            disk.add_out(ours(n, bytes(500)))
    disk.close()
    data = bytearray(path.read_bytes())
    data[3 * 4_096 : 5 * 4_096] = b"\xff" * 8_192
    path.write_bytes(data)
    with pytest.raises(StoreDamaged, match="is damaged"):
        LettersDisk(path)
    assert path.read_bytes()[: 5 * 4_096] == bytes(data[: 5 * 4_096])


def test_a_disk_that_failed_answers_nothing_any_more(tmp_path: Path) -> None:
    disk = LettersDisk(tmp_path / "letters.db")
    with disk.batch():
        disk.add_out(ours(0))
    disk.connection().execute("DROP TABLE outgoing_body")
    with pytest.raises(StoreError), disk.batch():
        disk.add_out(ours(1))
    assert disk.failed is not None
    with pytest.raises(StoreError), disk.batch():
        disk.set_next_out(THREAD, 9, AT)
    with pytest.raises(StoreError):
        disk.out(ours(0).id)
    disk.close()
