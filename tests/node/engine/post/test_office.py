"""What a post office decides, step by step."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from maillon.node.engine.post import PostFull, PostOffice, Wish
from maillon.node.engine.post.bounds import DAY_S, Bounds
from maillon.node.engine.post.memory import MemoryLetters
from maillon.node.engine.post.office import RESTORED, ranges_of
from maillon.node.engine.post.ports import (
    Arrived,
    Deliver,
    Effect,
    Ended,
    Erased,
    In,
    Out,
    SendSoon,
)
from maillon.protocol.errors import EncodingError, Malformed
from maillon.protocol.keys import SealingKey
from maillon.protocol.letterframes import Ack, Again, Ask, Put, Range
from maillon.protocol.letters import ITEM_APP, ITEM_STEP, Item, decode_letter, open_letter
from maillon.protocol.limits import LETTER_LIFETIME_S_MAX, LETTER_WINDOW, RECORD_BYTES_MAX

AT = 1_800_000_000
FED, HERE, THERE = b"f" * 32, b"h" * 32, b"t" * 32
KEY = SealingKey.from_seed(b"k" * 32)
HOUR = 3_600
STARTS = itertools.count()


class World:
    """Who belongs and who lives here, as a test wants it."""

    def __init__(self) -> None:
        self.coops = {HERE, THERE}
        self.keys = {KEY.public}

    def belongs(self, coop: bytes) -> bool:
        return coop in self.coops

    def addressee(self, key: bytes) -> bool:
        return key in self.keys


class Office(PostOffice):
    """An office with a store in memory, in a federation of two."""

    def __init__(
        self, coop: bytes, store: MemoryLetters | None = None, now: int = AT, **bounds: Any
    ) -> None:
        self.store = store or MemoryLetters()
        self.world = World()
        self.draws = Random(f"office {next(STARTS)}")
        super().__init__(
            self.store, fed=FED, coop=coop, federation=self.world, random=self.draws.randbytes,
            rng=self.draws, bounds=Bounds(**bounds),
        )  # fmt: skip
        self.first = self.start(now)

    def post(self, *words: str, now: int = AT, **changes: Any) -> list[bytes]:
        """Write a letter for each word, to the other coop unless said otherwise."""
        wish = Wish(
            THERE if self.coop == HERE else HERE, KEY.public, b"x" * 32, (), AT + 30 * DAY_S,
            b"o" * 49,
        )  # fmt: skip
        wishes = [
            replace(wish, items=(Item(ITEM_APP, word.encode()),), **changes) for word in words
        ]
        return self.write(wishes, now)[0]

    def read(self) -> list[str]:
        """Return what waits for KEY, opened."""
        return [
            open_letter(decode_letter(row.letter), KEY)[0].data.decode()
            for row in self.inbox(KEY.public, 0, 1_000)
        ]


def carry(one: Office, other: Office, now: int = AT) -> list[Effect]:
    """Carry all frames from one office to another and the answers back; return the effects."""
    effects = one.connected(other.coop, now)
    while (frame := one.parcel(other.coop, now)) is not None:
        answer: Ack | Again
        if isinstance(frame, Put):
            answer, found = other.received(one.coop, frame, now)
        else:
            answer, found = other.asked(one.coop, frame, now)
        effects += found
        effects += one.acked(other.coop, answer, now)
    return effects


def of(effects: Iterable[Effect], kind: type[Effect]) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def only_put(office: Office, coop: bytes, now: int = AT) -> Put:
    frame = office.parcel(coop, now)
    assert isinstance(frame, Put)
    return frame


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


def test_what_is_missing_is_asked_for_again_on_a_new_connection() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one", "two")
    here.connected(THERE, AT)
    there.received(HERE, Put(only_put(here, THERE).letters[1:]), AT)
    assert there.connected(HERE, AT) == [SendSoon(HERE)]
    ask = there.parcel(HERE, AT)
    assert isinstance(ask, Ask) and ask.since == 0 and len(ask.wants) == 1
    assert there.parcel(HERE, AT) is None
    again, _ = here.asked(THERE, ask, AT)
    there.acked(HERE, again, AT)
    here.lost(THERE)
    carry(here, there)
    assert there.read() == ["one", "two"]


def test_a_receiver_that_goes_on_from_a_backup_is_sent_again_what_it_lost() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("before")
    carry(here, there)
    copy = there.store.rows.copy()
    copy.meta[RESTORED] = AT.to_bytes(8, "big")
    here.post("after", "the copy", now=AT + HOUR)
    here.post("elsewhere", exchange=b"y" * 32, now=AT + HOUR)
    carry(here, there, AT + HOUR)
    restored = Office(THERE, MemoryLetters(copy), AT + DAY_S)
    assert restored.read() == ["before"]
    carry(restored, here, AT + DAY_S)
    carry(here, restored, AT + DAY_S)
    assert restored.read() == ["before", "after", "the copy", "elsewhere"]
    # It asks each coop once.
    assert restored.connected(HERE, AT + DAY_S) == []


def test_a_receiver_that_comes_back_too_late_hears_what_will_not_come() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("lost")
    carry(here, there)
    day_9 = AT + 9 * DAY_S
    for hour in range(9 * 24 + 2):
        here.tick(AT + hour * HOUR)
    assert not here.store.rows.out
    here.post("new", now=day_9)
    empty = Office(THERE, now=day_9)
    carry(here, empty, day_9)
    assert empty.read() == ["new"]


def test_a_sender_that_goes_on_from_a_backup_gives_no_number_twice() -> None:
    here, there = Office(HERE), Office(THERE)
    here.post("one")
    copy = here.store.rows.copy()
    copy.meta[RESTORED] = AT.to_bytes(8, "big")
    here.post("two")
    carry(here, there)
    restored = Office(HERE, MemoryLetters(copy), AT + HOUR)
    restored.post("three", now=AT + HOUR)
    effects = carry(restored, there, AT + HOUR)
    assert there.read() == ["one", "two", "three"] and not of(effects, Ended)


def test_a_sender_whose_file_was_put_back_by_hand_is_told_and_numbers_anew() -> None:
    here, there = Office(HERE), Office(THERE)
    copy = here.store.rows.copy()
    here.post("one")
    carry(here, there)
    put_back = Office(HERE, MemoryLetters(copy))
    put_back.post("other", ticket=b"ticket")
    (ended,) = of(carry(put_back, there), Ended)
    assert (ended.code, ended.ticket) == ("reused", b"ticket")
    put_back.told([ended.id])
    put_back.post("other", ticket=b"ticket")
    carry(put_back, there)
    assert there.read() == ["one", "other"]


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
