"""Who is told what, from where a broken line goes on, and what nobody learns."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from maillon.node.api import bounds
from maillon.node.api.caller import THE_OPERATOR, Caller
from maillon.node.api.events import EVERYBODY, Events, TooManyListeners

KEY = b"k" * 16
READ = frozenset({"read"})
ADA, BOB = (b"p" + bytes([n]) * 48 for n in (1, 2))


def person(author: bytes, *scopes: str, mandated: frozenset[bytes] = frozenset()) -> Caller:
    return Caller(
        "member", author, scopes=READ | set(scopes), id=author[1:5].hex(), mandated=lambda: mandated
    )


def events(key: bytes = KEY) -> Events:
    return Events(key, lambda: 1_000)


def listen(board: Events, caller: Caller, last: str = "", *topics: str) -> AsyncIterator[bytes]:
    return board.listen(caller, topics=frozenset(topics), last=last, still=lambda: caller)


def read(block: bytes) -> tuple[str, str, Any]:
    """Return (id, kind, data) of one event as it goes over the line."""
    lines = dict(line.split(": ", 1) for line in block.decode().strip().split("\n"))
    return lines["id"], lines["event"], json.loads(lines["data"])


async def heard(stream: AsyncIterator[bytes], count: int) -> list[str]:
    """Return the kinds of the next events."""
    return [read(await anext(stream))[1] for _ in range(count)]


def publish_all(board: Events) -> None:
    for author, kind in ((ADA, "hers"), (BOB, "his"), (None, "desk"), (EVERYBODY, "all")):
        board.publish("exchange", author, kind, {"id": b"\x01\x02"})


async def said_to(caller: Caller) -> list[str]:
    """Return all that one caller hears of the same four events."""
    board = events()
    stream = listen(board, caller)
    assert read(await anext(stream))[1] == "ready"
    publish_all(board)
    board.close()
    return [read(block)[1].removeprefix("exchange.") async for block in stream]


async def test_everybody_hears_their_own_affairs_and_no_others() -> None:
    assert await said_to(person(ADA)) == ["hers", "all"]
    assert await said_to(person(BOB)) == ["his", "all"]
    assert await said_to(person(ADA, mandated=frozenset({BOB}))) == ["hers", "his", "all"]
    assert await said_to(person(ADA, "desk")) == ["hers", "his", "desk", "all"]
    assert await said_to(THE_OPERATOR) == ["hers", "his", "desk", "all"]
    program = Caller("token", scopes=READ, id="t")
    assert await said_to(program) == ["all"]


async def test_an_event_says_whom_it_concerns_and_when() -> None:
    board = events()
    stream = listen(board, person(ADA))
    await anext(stream)
    board.publish("exchange", ADA, "step", {"exchange": b"\xab", "n": 3})
    _id, kind, data = read(await anext(stream))
    assert kind == "exchange.step"
    assert data == {"at": 1_000, "author": ADA.hex(), "facts": {"exchange": "ab", "n": 3}}


async def test_a_broken_line_goes_on_after_the_last_event_heard() -> None:
    board = events()
    stream = listen(board, person(ADA))
    await anext(stream)
    for n in range(4):
        board.publish("t", ADA, f"e{n}", {})
        board.publish("t", BOB, "his", {})
    await anext(stream)
    last, kind, _data = read(await anext(stream))
    assert kind == "t.e1"
    again = listen(board, person(ADA), last)
    assert await heard(again, 3) == ["ready", "t.e2", "t.e3"]


@pytest.mark.parametrize("last", ["00" * 16, "zz", "12", "ff" * 17, "é"])
async def test_an_id_that_is_none_of_ours_is_told_as_missed(last: str) -> None:
    board = events()
    board.publish("t", ADA, "e", {})
    stream = listen(board, person(ADA), last)
    assert await heard(stream, 1) == ["missed"]
    board.publish("t", ADA, "next", {})
    assert await heard(stream, 1) == ["t.next"]


async def test_an_id_of_before_a_restart_is_told_as_missed() -> None:
    before = events()
    stream = listen(before, person(ADA))
    last, _kind, _data = read(await anext(stream))
    assert await heard(listen(events(b"j" * 16), person(ADA), last), 1) == ["missed"]


async def test_who_is_slower_than_the_ring_is_told_so_and_goes_on() -> None:
    board = events()
    stream = listen(board, person(ADA))
    await anext(stream)
    for n in range(bounds.EVENTS_KEPT_MAX + 5):
        board.publish("t", ADA, f"e{n}", {})
    assert await heard(stream, 1) == ["missed"]
    board.publish("t", ADA, "next", {})
    assert await heard(stream, 1) == ["t.next"]


async def test_ids_do_not_tell_how_much_happens_to_others() -> None:
    board = events()
    stream = listen(board, person(ADA))
    ids = [read(await anext(stream))[0]]
    for _ in range(3):
        board.publish("t", BOB, "his", {})
        board.publish("t", ADA, "hers", {})
        ids.append(read(await anext(stream))[0])
    gaps = {int(b, 16) - int(a, 16) for a, b in zip(ids, ids[1:], strict=False)}
    assert len(set(ids)) == 4 and not gaps & set(range(-1_000, 1_000))


async def test_topics_leave_only_what_was_asked_for() -> None:
    board = events()
    stream = listen(board, person(ADA), "", "letters")
    await anext(stream)
    board.publish("exchange", ADA, "step", {})
    board.publish("letters", ADA, "waiting", {})
    assert await heard(stream, 1) == ["letters.waiting"]


async def test_a_session_that_ends_hears_no_more() -> None:
    board, still = events(), [person(ADA)]
    stream = board.listen(still[0], topics=frozenset(), last="", still=lambda: still[0])
    await anext(stream)
    still[0] = Caller("public")
    board.publish("t", ADA, "e", {})
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert board.listeners == 0


async def test_silence_is_broken_before_a_proxy_hangs_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    board = events()
    stream = listen(board, person(ADA))
    await anext(stream)
    before = trio.current_time()
    assert await anext(stream) == b":\n\n"
    assert trio.current_time() - before == pytest.approx(bounds.EVENT_HEARTBEAT_S)


async def test_listeners_are_bounded_each_and_together() -> None:
    board = events()
    held = [listen(board, person(ADA)) for _ in range(bounds.LISTENERS_PER_CALLER_MAX)]
    with pytest.raises(TooManyListeners):
        listen(board, person(ADA))
    other = listen(board, person(BOB))
    await anext(other)
    board.close()
    for stream in (held[0], other):
        assert [block async for block in stream] in ([], [board.written(0, "ready", "{}")])
    # Who is gone makes room for another.
    del held, stream
    listen(board, person(ADA))


def test_contents_are_no_facts() -> None:
    board = events()
    with pytest.raises(ValueError):
        board.publish("t", ADA, "e", {"text": "x" * bounds.EVENT_BYTES_MAX})
