"""What a store of exchanges promises: the one on disk and the one in memory pass the same tests."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from maillon.node.engine.exchange.ports import (
    ExchangeRow,
    ExchangeStore,
    Note,
    Part,
    Query,
    SlotRow,
    StepRow,
)
from maillon.node.store.database import StoreError
from maillon.node.store.exchangedisk import ExchangeDisk
from maillon.node.store.exchangememory import MemoryExchangeStore

ANA = b"p" + b"a" * 32 + b"1" * 16
BO = b"p" + b"b" * 32 + b"2" * 16


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[ExchangeStore]:
    if request.param == "memory":
        yield MemoryExchangeStore()
        return
    disk = ExchangeDisk(tmp_path / "exchange.db")
    yield disk
    disk.close()


def exchange(n: int, **more: object) -> ExchangeRow:
    given: dict[str, object] = {
        "title": f"Exchange {n}",
        "phase": "opened",
        "requester": ANA,
        "provider": BO,
        "about": b"",
        "bundle": b"",
        "opened_at": 100,
        "changed_at": 100 + n,
        "wake": None,
        "finished": 0,
        "guarantees": 0,
        "summary": b"\x80",
        "parts": (Part(BO, "provider"), Part(ANA, "requester")),
        **more,
    }
    return ExchangeRow(id=n.to_bytes(32, "big"), **given)  # type: ignore[arg-type]


def step(n: int, of: int, record: bytes = b"record") -> StepRow:
    return StepRow(of.to_bytes(32, "big"), n.to_bytes(32, "big"), ANA, "member", 100, record)


def test_a_transcript_keeps_the_order_in_which_steps_came(store: ExchangeStore) -> None:
    for n in (3, 1, 2):
        store.add_step(step(n, 1))
    store.add_step(step(1, 1))
    assert [row.id[-1] for row in store.transcript(bytes(31) + b"\1")] == [3, 1, 2]
    assert store.count_steps(bytes(31) + b"\1") == 3
    assert store.has_step(step(2, 1).id) and not store.has_step(step(9, 1).id)


def test_a_step_may_stand_in_several_transcripts(store: ExchangeStore) -> None:
    store.add_step(step(7, 1))
    store.add_step(step(7, 2))
    places = store.exchanges_of(step(7, 1).id)
    assert sorted(place[-1] for place in places) == [1, 2]
    store.forget(step(7, 1).exchange)
    assert [place[-1] for place in store.exchanges_of(step(7, 1).id)] == [2]


def test_what_fails_in_a_batch_is_undone_with_all_of_it(store: ExchangeStore) -> None:
    store.put_row(exchange(1))
    store.put_note(Note("order", b"k", exchange(1).id, 1, b"old"))
    with pytest.raises(RuntimeError), store.batch():
        store.add_step(step(1, 1))
        store.put_row(exchange(1, phase="quoted"))
        store.put_note(Note("order", b"k", exchange(1).id, 1, b"new"))
        store.put_note(Note("order", b"l", exchange(1).id, 1, b"new"))
        raise RuntimeError
    assert store.row(exchange(1).id) == exchange(1)
    assert not store.has_step(step(1, 1).id)
    assert [note.value for note in store.notes("order")] == [b"old"]


def test_a_failure_inside_undoes_what_is_around_it(store: ExchangeStore) -> None:
    with pytest.raises(StoreError), store.batch():
        store.add_step(step(1, 1))
        with pytest.raises(RuntimeError), store.batch():
            raise RuntimeError
    assert not store.has_step(step(1, 1).id)


def test_lists_are_by_the_last_change_and_go_on_after_a_place(store: ExchangeStore) -> None:
    for n in range(1, 8):
        store.put_row(exchange(n))
    for authors in (None, (ANA,), (ANA, BO)):
        first = store.find(Query(authors=authors, limit=3))
        assert [row.id[-1] for row in first] == [7, 6, 5]
        place = (first[-1].changed_at, first[-1].id)
        assert [row.id[-1] for row in store.find(Query(authors=authors, before=place))] == [
            4, 3, 2, 1,
        ]  # fmt: skip


def test_lists_leave_what_is_asked_for(store: ExchangeStore) -> None:
    cy = b"p" + b"c" * 32 + b"3" * 16
    store.put_row(exchange(1))
    store.put_row(exchange(2, phase="paid", finished=50, about=b"x" * 32))
    store.put_row(
        exchange(
            3,
            bundle=b"y" * 32,
            guarantees=1,
            parts=(Part(cy, "payer", waiting=True), Part(ANA, "requester", evaluate_until=900)),
        )
    )

    def found(**more: object) -> list[int]:
        return [row.id[-1] for row in store.find(Query(**more))]  # type: ignore[arg-type]

    assert found(phases=("paid",)) == [2] and found(about=b"x" * 32) == [2]
    assert found(bundle=b"y" * 32) == [3] and found(guarantees=True) == [3]
    assert found(finished=True) == [2] and found(finished=False) == [3, 1]
    assert found(waiting=True) == [3] and found(authors=(cy,)) == [3]
    assert found(authors=(ANA,), waiting=True) == [] and found(role="payer") == [3]
    assert found(evaluating_after=899) == [3] and found(evaluating_after=900) == []
    assert found(here=b"c" * 32) == [3] and found(here=b"b" * 32) == [2, 1]


def test_what_is_due_comes_the_earliest_first(store: ExchangeStore) -> None:
    for n, wake in ((1, 30), (2, 10), (3, None), (4, 20)):
        store.put_row(exchange(n, wake=wake))
    assert [id[-1] for id in store.due(25, 10)] == [2, 4] and store.next_wake() == 10
    assert [id[-1] for id in store.due(99, 1)] == [2]


def test_an_agenda_is_by_time_and_of_the_two_parties(store: ExchangeStore) -> None:
    cy = b"p" + b"c" * 32 + b"3" * 16
    slots = (SlotRow(b"s" * 16, 50, 60, "agreed"), SlotRow(b"t" * 16, 10, 20, "done"))
    store.put_row(exchange(1, slots=slots))
    store.put_row(exchange(2, slots=(SlotRow(b"u" * 16, 30, 40, "agreed"),)))
    everything = store.agenda(None, 0, 100, None, 10)
    assert [slot.start for _, slot in everything] == [10, 30, 50]
    assert [slot.start for _, slot in store.agenda((ANA,), 35, 55, None, 10)] == [30, 50]
    assert store.agenda((cy,), 0, 100, None, 10) == []
    after = (10, b"t" * 16)
    assert [slot.start for _, slot in store.agenda((BO,), 0, 100, after, 10)] == [30, 50]


def test_an_exchange_is_found_by_the_beginning_of_its_id(store: ExchangeStore) -> None:
    store.put_row(exchange(1))
    store.put_row(exchange(2))
    assert len(store.beginning("0000", 5)) == 2
    assert [id[-1] for id in store.beginning("00" * 31 + "02", 5)] == [2]
    assert [id[-1] for id in store.beginning("00" * 31 + "0", 5)] == [1, 2]
    assert store.beginning("ff", 5) == []


def test_what_is_forgotten_takes_all_of_its_own_along(store: ExchangeStore) -> None:
    store.put_row(exchange(1, slots=(SlotRow(b"s" * 16, 1, 2, "agreed"),), finished=5))
    store.put_row(exchange(2, finished=9))
    store.add_step(step(1, 1))
    store.put_note(Note("order", b"k", exchange(1).id, 1, b"v"))
    store.put_note(Note("order", b"l", b"", 1, b"v"))
    assert [id[-1] for id in store.finished_before(9, 10)] == [1]
    store.forget(exchange(1).id)
    assert store.row(exchange(1).id) is None and not store.transcript(exchange(1).id)
    assert [note.key for note in store.notes("order")] == [b"l"]
    assert [row.id[-1] for row in store.find(Query(authors=(ANA,)))] == [2]
    assert store.agenda(None, 0, 100, None, 10) == []


def test_a_record_can_lose_its_content(store: ExchangeStore) -> None:
    store.add_step(step(1, 1, b"with content"))
    store.set_record(step(1, 1).exchange, step(1, 1).id, b"without")
    assert [row.record for row in store.transcript(step(1, 1).exchange)] == [b"without"]


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    disk = ExchangeDisk(tmp_path / "exchange.db")
    with disk.batch():
        disk.add_step(step(1, 1))
        disk.put_row(exchange(1))
    disk.close()
    disk = ExchangeDisk(tmp_path / "exchange.db")
    assert disk.row(exchange(1).id) == exchange(1) and disk.has_step(step(1, 1).id)
    disk.close()


def test_what_was_forgotten_leaves_no_byte_in_any_file(tmp_path: Path) -> None:
    secret = b"the door code is 4711 and a half"
    disk = ExchangeDisk(tmp_path / "exchange.db")
    for n in range(1, 40):
        disk.add_step(step(n, 1 + n % 2, secret if n % 2 == 0 else b"other words " * 200))
    disk.put_row(exchange(1, title="Secret " + secret.decode()))
    disk.put_row(exchange(2))
    assert any(secret in file.read_bytes() for file in tmp_path.iterdir())
    disk.forget(exchange(1).id)
    assert disk.scrub()
    assert not any(secret in file.read_bytes() for file in tmp_path.iterdir())
    assert disk.count_steps(exchange(2).id) == 20
    disk.close()
