"""What a post office decides, step by step: writing, carrying, answering, refusing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maillon.node.engine.post import PostFull, Wish
from maillon.node.engine.post.bounds import DAY_S
from maillon.node.engine.post.memory import MemoryLetters
from maillon.node.engine.post.office import ranges_of
from maillon.node.engine.post.ports import (
    Arrived,
    Deliver,
    Ended,
    In,
    Out,
    SendSoon,
)
from maillon.protocol.errors import EncodingError, Malformed
from maillon.protocol.keys import SealingKey
from maillon.protocol.letterframes import Ack, Ask, Put, Range
from maillon.protocol.letters import ITEM_APP, ITEM_STEP, Item
from maillon.protocol.limits import LETTER_LIFETIME_S_MAX, LETTER_WINDOW, RECORD_BYTES_MAX
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


def test_letters_go_to_the_other_office_and_are_read_in_order() -> None:
    here, there = Office(HERE), Office(THERE)
    ids = here.post("one", "two", "three")
    effects = carry(here, there)
    assert there.read() == ["one", "two", "three"]
    assert of(effects, Deliver) == [Deliver(KEY.public)]
    assert [one.id for one in of(effects, Arrived)] == ids
    assert here.figures(AT)["sending"] == 0 and there.figures(AT)["waiting"] == 3
    assert here.parcel(THERE, AT) is None


def test_a_letter_to_somebody_of_the_same_coop_goes_into_their_box_at_once() -> None:
    here = Office(HERE)
    here.post("hello", to_coop=HERE)
    assert here.read() == ["hello"]
    assert here.figures(AT)["sending"] == 0
    assert here.coop not in [effect.coop for effect in of(here.tick(AT), SendSoon)]


def test_a_letter_that_finds_no_room_in_the_own_coop_is_put_in_when_there_is() -> None:
    here = Office(HERE, addressee_letters_max=2, pair_share=1)
    here.post("one", "two", "three", to_coop=HERE)
    assert here.read() == ["one", "two"] and here.figures(AT)["sending"] == 1
    here.tick(AT)
    here.taken(KEY.public, [row.id for row in here.inbox(KEY.public, 0, 9)], AT)
    here.tick(AT + 3 * 60)
    assert here.read() == ["three"] and here.figures(AT)["sending"] == 0


def test_the_same_ticket_is_the_same_letter_until_it_was_given_up() -> None:
    here, there = Office(HERE), Office(THERE)
    first = here.post("one", ticket=b"t")
    assert here.post("one", ticket=b"t") == first
    carry(here, there)
    assert here.post("one", ticket=b"t") == first
    assert there.read() == ["one"]
    assert here.post("one", ticket=b"t", to_key=SealingKey.from_seed(b"m" * 32).public) != first
    late = here.post("two", ticket=b"u", until=AT + HOUR)
    here.tick(AT + HOUR)
    here.tick(AT + HOUR)
    assert here.post("two", ticket=b"u", now=AT + HOUR) != late


def test_of_several_letters_all_are_kept_or_none() -> None:
    here = Office(HERE)
    wish = Wish(THERE, KEY.public, b"x" * 32, (Item(ITEM_APP, b"fits"),), AT + DAY_S, b"o" * 49)
    long = replace(wish, items=(Item(ITEM_STEP, bytes(RECORD_BYTES_MAX)),) * 4)
    before = here.store.rows.copy()
    with pytest.raises(EncodingError) as caught:
        here.write([wish, long], AT)
    assert caught.value.rule == "letter_length"
    assert here.store.rows == before


def test_somebody_who_writes_too_much_is_refused_and_others_are_not() -> None:
    here = Office(HERE, owner_letters_max=3)
    here.post("1", "2", "3")
    before = here.store.rows.copy()
    with pytest.raises(PostFull):
        here.post("4")
    assert here.store.rows == before
    here.post("4", owner=b"p" * 49)


def test_an_answer_that_is_lost_costs_nothing_but_a_second_frame() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one")
    here.connected(THERE, AT)
    there.received(HERE, only_put(here, THERE), AT)
    assert here.parcel(THERE, AT) is None
    assert here.tick(AT + 59) == []
    assert here.tick(AT + 60) == [SendSoon(THERE)]
    ack, effects = there.received(HERE, only_put(here, THERE, AT + 60), AT + 60)
    assert [code for _, code in ack.outcomes] == ["known"] and effects == []
    assert there.read() == ["one"]
    assert of(here.acked(THERE, ack, AT + 60), Arrived)


def test_a_crash_between_commit_and_acknowledgement_delivers_nothing_twice() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one", "two")
    here.connected(THERE, AT)
    there.received(HERE, only_put(here, THERE), AT)
    again = Office(THERE, MemoryLetters(there.store.rows))
    assert again.first == [Deliver(KEY.public)]
    carry(Office(HERE, MemoryLetters(here.store.rows)), again)
    assert again.read() == ["one", "two"]


def test_a_refused_letter_waits_longer_each_time_and_is_lost_by_nobody() -> None:
    here, there = Office(HERE), Office(THERE)
    there.world.keys.clear()
    here.post("one")
    waits: list[int] = []
    now = AT
    for _ in range(9):
        carry(here, there, now)
        (row,) = here.store.rows.out.values()
        assert row.code == "unknown_addressee" and row.state is Out.WAITING
        waits.append(row.retry_at - now)
        now = row.retry_at
    assert waits[0] >= 30 and all(60 <= 30 * 2**n <= w for n, w in enumerate(waits[1:7], 1))
    assert max(waits) <= 3_600 * 5 // 4
    there.world.keys.add(KEY.public)
    carry(here, there, now)
    assert there.read() == ["one"]


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("quota", False), ("gap", False), ("stranger", False), ("expired", False),
        ("from_future", False), ("version_unsupported", False), ("too_wet", False),
        ("wrong_federation", True), ("malformed", True), ("reused", True),
    ],
)  # fmt: skip
def test_what_waiting_may_change_is_waited_for_and_the_rest_is_told(code: str, ends: bool) -> None:
    here = Office(HERE)
    (id,) = here.post("one", ticket=b"ticket")
    effects = here.acked(THERE, Ack(((id, code),)), AT)
    row = here.store.out(id)
    assert row is not None
    assert (row.state, row.letter == b"") == ((Out.GONE, True) if ends else (Out.WAITING, False))
    told = [Ended(id, b"ticket", KEY.public, code)] if ends else []
    assert of(effects, Ended) == told
    # Said again at each start until somebody has heard it.
    again = Office(HERE, MemoryLetters(here.store.rows))
    assert again.first == told
    again.told([id])
    assert Office(HERE, MemoryLetters(again.store.rows)).first == []


def test_an_answer_of_another_coop_ends_nothing() -> None:
    here = Office(HERE)
    (id,) = here.post("one")
    before = here.store.rows.copy()
    assert here.acked(b"?" * 32, Ack(((id, "stored"),)), AT) == []
    assert here.acked(b"?" * 32, Ack(((id, "malformed"),)), AT) == []
    assert here.store.rows == before


def test_taken_letters_are_kept_a_week_and_remembered_until_they_cannot_come_again() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one")
    here.connected(THERE, AT)
    put = only_put(here, THERE)
    there.received(HERE, put, AT)
    (row,) = there.inbox(KEY.public, 0, 9)
    assert there.taken(b"other" * 6 + b"xx", [row.id], AT) == 0
    assert there.taken(KEY.public, [row.id, b"?" * 32], AT) == 1
    assert there.taken(KEY.public, [row.id], AT) == 0

    def kept() -> bytes:
        found = there.store.letter(row.id)
        assert found is not None
        return found.letter

    for hour in range(7 * 24 + 1):
        there.tick(AT + hour * HOUR)
    assert kept()
    there.tick(AT + 7 * DAY_S + HOUR)
    assert not kept()
    for hour in range(7 * 24, 31 * 24 + 1):
        there.tick(AT + hour * HOUR)
        ack, _ = there.received(HERE, put, AT + hour * HOUR)
        assert ack.outcomes[0][1] == "known" and there.read() == []
    there.tick(AT + 31 * DAY_S + HOUR)
    assert there.store.letter(row.id) is None
    ack, _ = there.received(HERE, put, AT + 31 * DAY_S + HOUR)
    assert ack.outcomes[0][1] == "expired"


def test_a_coop_fills_its_share_of_a_box_and_no_more() -> None:
    third = b"3" * 32
    here, there, other = Office(HERE), Office(THERE, addressee_letters_max=10), Office(third)
    for office in (here, there, other):
        office.world.coops.add(third)
    here.post(*map(str, range(8)))
    carry(here, there)
    assert len(there.read()) == 5
    other.post(*map(str, range(8)), to_coop=THERE)
    carry(other, there)
    assert len(there.read()) == 10
    assert {row.code for row in here.store.rows.out.values() if row.state is Out.WAITING} == {
        "quota"
    }
    there.taken(KEY.public, [row.id for row in there.inbox(KEY.public, 0, 99)], AT)
    carry(here, there, AT + HOUR)
    assert there.read() == ["5", "6", "7"]


def test_letters_that_wait_for_one_before_them_make_room_for_it() -> None:
    here, there = Office(HERE), Office(THERE, addressee_letters_max=3, pair_share=1)
    here.post("one", "two", "three", "four")
    here.connected(THERE, AT)
    put = only_put(here, THERE)
    ack, _ = there.received(HERE, Put(put.letters[1:]), AT)
    assert [code for _, code in ack.outcomes] == ["stored"] * 3
    ack, _ = there.received(HERE, Put(put.letters[:1]), AT)
    assert [code for _, code in ack.outcomes] == ["stored"]
    assert there.read() == ["one", "two", "three", "four"]


def test_a_coop_that_was_removed_is_a_stranger_and_what_it_sent_before_stays() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("before")
    carry(here, there)
    there.world.coops.discard(HERE)
    here.post("after")
    carry(here, there)
    assert there.read() == ["before"]
    (row,) = (row for row in here.store.rows.out.values() if row.state is Out.WAITING)
    assert row.code == "stranger"
    assert there.received(None, Put(()), AT)[0] == Ack(())


def test_a_frame_with_what_is_no_letter_leaves_nothing_behind() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one")
    here.connected(THERE, AT)
    put = only_put(here, THERE)
    before = there.store.rows.copy()
    with pytest.raises(Malformed):
        there.received(HERE, Put((*put.letters, b"\x90")), AT)
    assert there.store.rows == before


def test_a_long_thread_goes_through_though_the_window_is_short() -> None:
    here, there = Office(HERE), Office(THERE)
    words = [str(n) for n in range(3 * LETTER_WINDOW)]
    here.post(*words)
    here.connected(THERE, AT)
    first, second = only_put(here, THERE), only_put(here, THERE)
    # The second frame overtakes the first: all of it is too far ahead.
    ack, _ = there.received(HERE, second, AT)
    assert {code for _, code in ack.outcomes} == {"gap"}
    here.acked(THERE, ack, AT)
    ack, _ = there.received(HERE, first, AT)
    here.acked(THERE, ack, AT)
    carry(here, there, AT + 5 * 60)
    assert there.read() == words


def test_numbers_that_nobody_could_have_sent_cost_neither_time_nor_memory() -> None:
    there = Office(THERE)
    thread = b"x" * 16
    huge = 2**53 - 1
    ack, _ = there.received(HERE, Put((), (Range(thread, 0, huge),)), AT)
    assert ack.noted == (Range(thread, 0, huge),)
    assert len(there.store.rows.inside) == LETTER_WINDOW
    here = Office(HERE)
    here.post("one")
    again, _ = here.asked(THERE, Ask(0, (Range(thread, 0, huge),)), AT)
    assert again.count == 0


def test_ended_letters_of_a_node_that_never_comes_are_forgotten_in_the_end() -> None:
    here = Office(HERE)
    (id,) = here.post("one", until=AT + DAY_S)
    for day in range(100):
        for ended in of(here.tick(AT + day * DAY_S), Ended):
            here.told([ended.id])
        here.tick(AT + day * DAY_S + HOUR)
        here.tick(AT + day * DAY_S + 2 * HOUR)
    assert here.store.out(id) is None
    assert LETTER_LIFETIME_S_MAX < 100 * DAY_S


def test_the_numbers_of_threads_that_nobody_uses_are_forgotten_in_the_end() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one")
    carry(here, there)
    for day in range(199):
        here.tick(AT + day * DAY_S)
        there.tick(AT + day * DAY_S)
    assert here.store.rows.next_out and there.store.rows.next_in
    for hour in range(199 * 24, 203 * 24):
        here.tick(AT + hour * HOUR)
        there.tick(AT + hour * HOUR)
    assert not here.store.rows.next_out and not there.store.rows.next_in


def test_ranges_are_as_few_as_can_be() -> None:
    a, b = b"a" * 16, b"b" * 16
    numbers = [(b, 1), (a, 3), (a, 1), (a, 2), (a, 7), (b, 1)]
    assert ranges_of(numbers) == [Range(a, 1, 3), Range(a, 7, 7), Range(b, 1, 1)]


def test_a_letter_here_is_in_exactly_one_state() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one", "two")
    here.connected(THERE, AT)
    there.received(HERE, Put(only_put(here, THERE).letters[1:]), AT)
    assert [row.state for row in there.store.rows.inside.values()] == [In.BEHIND]
