"""What ends, what is passed over, and which clock is believed."""

from __future__ import annotations

from maillon.node.engine.post.bounds import DAY_S
from maillon.node.engine.post.memory import MemoryLetters
from maillon.node.engine.post.ports import (
    Ended,
    Erased,
)
from maillon.protocol.letterframes import Put, Range
from maillon.protocol.letters import decode_letter
from support.offices import (
    AT,
    HERE,
    HOUR,
    KEY,
    THERE,
    Office,
    carry,
    of,
    only_put,
)


def test_a_letter_whose_time_ran_out_is_told_and_erased_and_its_number_is_passed_over() -> None:
    here, there = Office(HERE), Office(THERE)
    (late,) = here.post("late", until=AT + 600)
    here.post("in time")
    effects = here.tick(AT + 600)
    assert of(effects, Ended) == [Ended(late, b"", KEY.public, "expired")]
    assert of(effects, Erased)
    row = here.store.out(late)
    assert row is not None and row.letter == b""
    carry(here, there, AT + 600)
    assert there.read() == ["in time"]
    here.told([late])
    assert here.store.out(late) is None


def test_a_number_is_told_until_it_was_noted_even_when_nothing_else_is_to_be_sent() -> None:
    here, there = Office(HERE), Office(THERE)
    (late,) = here.post("late", until=AT + 600)
    here.post("in time")
    here.connected(THERE, AT)
    put = only_put(here, THERE)
    # The first letter is lost on the way, and its time runs out.
    ack, _ = there.received(HERE, Put(put.letters[1:]), AT)
    thread = decode_letter(put.letters[0]).header.thread
    assert there.read() == [] and ack.wants == (Range(thread, 0, 0),)
    here.acked(THERE, ack, AT)
    here.told([ended.id for ended in of(here.tick(AT + 600), Ended)])
    assert here.store.out(late) is not None
    carry(here, there, AT + 600)
    assert there.read() == ["in time"]
    assert here.store.out(late) is None


def test_a_given_up_letter_that_comes_late_all_the_same_is_not_delivered() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("late", until=AT + 600)
    here.connected(THERE, AT)
    put = only_put(here, THERE)
    here.tick(AT + 600)
    carry(here, there, AT + 600)
    # The receiver's clock is behind, so that the end alone does not refuse it.
    ack, _ = there.received(HERE, put, AT)
    assert [code for _, code in ack.outcomes] == ["expired"] and there.read() == []


def test_a_hole_is_passed_over_after_three_days_and_what_was_missing_may_still_come() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one", "two", "three")
    here.connected(THERE, AT)
    put = only_put(here, THERE)
    there.received(HERE, Put(put.letters[1:]), AT)
    for hour in range(73):
        there.tick(AT + hour * HOUR)
        assert there.read() == []
    there.tick(AT + 3 * DAY_S + 1)
    assert there.read() == ["two", "three"]
    there.received(HERE, Put(put.letters[:1]), AT + 3 * DAY_S + 2)
    assert there.read() == ["two", "three", "one"]


def test_a_letter_that_waits_for_another_is_handed_out_before_its_own_end() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one")
    here.post("two", until=AT + 2 * HOUR)
    here.connected(THERE, AT)
    there.received(HERE, Put(only_put(here, THERE).letters[1:]), AT)
    there.tick(AT + HOUR - 1)
    assert there.read() == []
    there.tick(AT + HOUR + 1)
    assert there.read() == ["two"]


def test_a_clock_that_leaps_ends_nothing_for_an_hour() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("mine")
    there.post("yours")
    carry(there, here)
    before = here.store.rows.copy()
    for minute in range(59):
        here.tick(AT + 400 * DAY_S + 60 * minute)
    assert here.store.rows.out == before.out and here.store.rows.inside == before.inside
    here.tick(AT)
    carry(here, there)
    assert there.read() == ["mine"]
    # Whose clock stays there is believed in the end.
    for minute in range(62):
        here.tick(AT + 400 * DAY_S + 60 * minute)
    assert here.read() == []


def test_a_clock_that_leapt_while_the_node_was_off_is_not_believed_either() -> None:
    here = Office(HERE)
    here.post("mine")
    later = Office(HERE, MemoryLetters(here.store.rows), AT + 400 * DAY_S)
    later.tick(AT + 400 * DAY_S + 60)
    assert later.figures(AT)["sending"] == 1


def test_a_receiver_whose_clock_is_ahead_does_not_make_the_sender_give_up() -> None:
    here, there = Office(HERE), Office(THERE)
    (id,) = here.post("one")
    here.connected(THERE, AT)
    ack, _ = there.received(HERE, only_put(here, THERE), AT + 400 * DAY_S)
    assert [code for _, code in ack.outcomes] == ["expired"]
    assert of(here.acked(THERE, ack, AT), Ended) == []
    carry(here, there, AT + 120)
    assert there.read() == ["one"]
    assert here.state_of(id) is not None


def test_a_letter_written_in_the_future_is_given_up_once_the_clock_is_right() -> None:
    here, there = Office(HERE), Office(THERE)
    ahead = AT + 400 * DAY_S
    here.post("one", now=ahead, until=ahead + DAY_S)
    assert of(carry(here, there, AT), Ended)[0].code == "from_future"
    assert there.read() == []
