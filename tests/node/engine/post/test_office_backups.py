"""What a post office does after a loss: new connections, copies put back, files put back."""

from __future__ import annotations

from maillon.node.engine.post.bounds import DAY_S
from maillon.node.engine.post.memory import MemoryLetters
from maillon.node.engine.post.office import RESTORED
from maillon.node.engine.post.ports import (
    Ended,
    SendSoon,
)
from maillon.protocol.letterframes import Ask, Put
from support.offices import (
    AT,
    HERE,
    HOUR,
    THERE,
    Office,
    carry,
    of,
    only_put,
)


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
