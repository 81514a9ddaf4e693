"""Reconcile two sets over Negentropy Protocol v1, without I/O (spec/05).

The initiator asks, the responder answers, and only the initiator learns the difference. Every
message is a list of ranges with fingerprints; a range whose fingerprints differ is cut into
smaller ones by whoever reads it, until the responder lists the few ids it has there.

Three choices within the format, each measured in spec/05:

- The initiator never lists ids: it repeats a small range's fingerprint, and the responder lists.
  Were it to list first, the responder's list would still have to follow.
- The initiator remembers what it has asked and what it has yet to ask. A responder that runs out
  of room says only "the rest differs"; the initiator then asks again for the ranges left open
  and not for the rest as one range, whose refinement would be lost each time.
- With `ranges` (our own sessions only) a range that one side is empty in is reported whole, and
  asked for whole: no id is listed.

Both sets may change between messages: bounds are points in the space, never indexes. What changes
meanwhile is found or missed, reported twice at worst.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from maillon.protocol.errors import LocalError, Malformed, QuotaExceeded, WrongVersion
from maillon.protocol.limits import (
    RECONCILE_HAVE_IDS_MAX,
    RECONCILE_MESSAGE_BYTES,
    RECONCILE_MESSAGE_BYTES_MIN,
    RECONCILE_RANGES_MAX,
    RECONCILE_ROUNDS_MAX,
    RECONCILE_TODO_MAX,
)

from .itemset import EMPTY_FINGERPRINT, ID_BYTES, INFINITY, MIN_BOUND, Bound, ItemSet
from .ranges import Range
from .wire import (
    FINGERPRINT,
    ID_LIST,
    PROTOCOL_VERSION,
    SKIP,
    MessageWriter,
    WireRange,
    parse_message,
)

_FANOUT: Final = 8
"""Into how many ranges a range with many items is cut. Measured with 1 % missing, spread: 4 and 8
cost about the same, 16 a tenth more bytes; 4 takes a round trip more than 8 for a few."""

_LEAF: Final = 3
"""Items in the smallest ranges aimed at when there are many differences: three ids cost as much as
the five fingerprints that would tell them apart in another round."""

_LEAF_FEW: Final = 24
_FEW: Final = 4
"""With at most 4 differing ranges in a message up to 24 ids are listed at once: a round trip costs
more than 800 bytes do."""

_FIRST_HALVINGS: Final = 14
"""The first message cuts off half of what is left this often, so its last range holds the newest
few dozen of a million: where differences mostly are."""

_HAVE_RANGE_ITEMS: Final = 16
"""From this many items on a range the peer lacks wholly is reported as a range."""

_TAIL_BYTES: Final = 64
"""Room for "the rest differs": two bounds, of which one is infinity, two modes, a fingerprint."""

_ASKS_MIN: Final = 16


@dataclass(frozen=True, slots=True)
class Step:
    """What an initiator learned from a message, and what to send next.

    `have` are ids the peer lacks, `need` ids it has and we lack. `have_ranges` are stretches of
    which the peer has none of our items, `need_ranges` those in which it has items and we have
    none; what they cover is not in `have` and `need`. Without `ranges` both are always empty.
    `reply` is None when the reconciliation is over; `complete` tells whether all was compared.
    """

    reply: bytes | None
    have: list[bytes] = field(default_factory=list[bytes])
    need: list[bytes] = field(default_factory=list[bytes])
    have_ranges: list[Range] = field(default_factory=list[Range])
    need_ranges: list[Range] = field(default_factory=list[Range])
    complete: bool = False


@dataclass(frozen=True, slots=True)
class _Todo:
    """A range to ask about; `differs` when its fingerprint is known not to be the peer's."""

    lower: Bound
    upper: Bound
    differs: bool


class Initiator:
    """Drive one reconciliation: `initiate` once, then `reconcile` on every answer.

    With `ranges` the results name whole ranges where one side is empty; the peer must then be a
    `Responder` with `ranges`, or `need_ranges` cannot be asked for.
    """

    def __init__(
        self,
        items: ItemSet,
        frame_bytes_max: int = RECONCILE_MESSAGE_BYTES,
        *,
        ranges: bool = False,
        rounds_max: int = RECONCILE_ROUNDS_MAX,
    ) -> None:
        _check_frame(frame_bytes_max)
        self._items = items
        self._frame_bytes_max = frame_bytes_max
        self._ranges = ranges
        self._rounds_left = rounds_max
        self._asks_max = RECONCILE_RANGES_MAX
        # Both ascending in the space, and every asked range before every range still to ask.
        self._asked: list[Range] = []
        self._todo: list[_Todo] = []  # the next one last

    @property
    def open_ranges(self) -> int:
        """Count the ranges asked about or still to be: `RECONCILE_TODO_MAX` and a message."""
        return len(self._asked) + len(self._todo)

    def initiate(self) -> bytes:
        """Return the first message. Raises: LocalError when it was asked for before."""
        if self._asked or self._todo:
            raise LocalError("A reconciliation is initiated once.")
        writer = MessageWriter(self._frame_bytes_max)
        count = len(self._items)
        if not count and not self._ranges:
            self._asked = [Range(MIN_BOUND, INFINITY)]
            writer.add_ids(MIN_BOUND, INFINITY, [])
            return writer.message()
        cuts = [0]
        while count - cuts[-1] > 2 * _LEAF and len(cuts) <= _FIRST_HALVINGS:
            cuts.append(cuts[-1] + (count - cuts[-1]) // 2)
        cuts.append(count)
        for lower, upper, taken in _cut(self._items, MIN_BOUND, INFINITY, cuts):
            writer.add_fingerprint(lower, upper, taken)
            self._asked.append(Range(lower, upper))
        return writer.message()

    def reconcile(self, message: bytes) -> Step:
        """Take the peer's answer to our last message.

        Raises: Malformed (TooLarge) when the message is not one, or answers nothing; WrongVersion
        (fact `version`) when the peer speaks another version. Nothing has changed then.
        """
        if not self._asked:
            raise Malformed("This answers nothing that was asked.", rule="unasked")
        parsed = parse_message(message)
        step = Step(None)
        found: list[_Todo] = []
        unanswered = 0
        for range_ in parsed:
            if range_.mode == FINGERPRINT:
                pieces = self._asked_within(range_)
                if pieces == [Range(range_.lower, range_.upper)]:
                    self._compare(range_, step, found)
                elif pieces and not self._matches(range_):
                    # "The rest differs." What of the rest was asked is still to be asked.
                    found.extend(_Todo(lower, upper, False) for lower, upper in pieces)
                    unanswered += len(pieces)
            elif range_.mode == ID_LIST:
                self._take_list(range_, step, found)
        if unanswered:
            self._asks_max = max(_ASKS_MIN, len(self._asked) - unanswered)
        else:
            self._asks_max = min(2 * self._asks_max, RECONCILE_RANGES_MAX)
        self._todo.extend(reversed(found))
        self._join_todo()
        self._rounds_left -= 1
        self._asked = []
        reply = self._ask() if self._rounds_left > 0 else None
        return Step(
            reply,
            step.have,
            step.need,
            step.have_ranges,
            step.need_ranges,
            complete=reply is None and not self._todo,
        )

    # --- Reading --------------------------------------------------------------------------------

    def _asked_within(self, range_: WireRange) -> list[Range]:
        """Return the parts of what we asked that the peer's range covers."""
        pieces: list[Range] = []
        at = max(bisect_right(self._asked, range_.lower, key=_lower_of) - 1, 0)
        while at < len(self._asked) and self._asked[at].lower < range_.upper:
            lower = max(self._asked[at].lower, range_.lower)
            upper = min(self._asked[at].upper, range_.upper)
            if lower < upper:
                pieces.append(Range(lower, upper))
            at += 1
        return pieces

    def _matches(self, range_: WireRange) -> bool:
        low, high = _indexes(self._items, range_)
        return self._items.range_fingerprint(low, high) == range_.fingerprint

    def _compare(self, range_: WireRange, step: Step, found: list[_Todo]) -> None:
        low, high = _indexes(self._items, range_)
        if self._items.range_fingerprint(low, high) == range_.fingerprint:
            return
        if low == high and self._ranges:
            _append(step.need_ranges, range_.lower, range_.upper)
        elif range_.fingerprint == EMPTY_FINGERPRINT:
            self._have(low, high, range_.lower, range_.upper, step, found)
        else:
            found.append(_Todo(range_.lower, range_.upper, True))

    def _take_list(self, range_: WireRange, step: Step, found: list[_Todo]) -> None:
        low, high = _indexes(self._items, range_)
        theirs = dict.fromkeys(range_.ids)
        if not theirs:
            self._have(low, high, range_.lower, range_.upper, step, found)
            return
        # Runs of items that only we have, as [start, end) indexes.
        runs: list[tuple[int, int]] = []
        start = low
        for index, id_ in enumerate(self._items.ids(low, high), low):
            if id_ in theirs:
                del theirs[id_]
                if start < index:
                    runs.append((start, index))
                start = index + 1
        if start < high:
            runs.append((start, high))
        for start, end in runs:
            lower = range_.lower if start == low else self._items.split_bound(start)
            upper = range_.upper if end == high else self._items.split_bound(end)
            self._have(start, end, lower, upper, step, found)
        step.need.extend(theirs)

    def _have(
        self, low: int, high: int, lower: Bound, upper: Bound, step: Step, found: list[_Todo]
    ) -> None:
        """Report that the peer has none of our items at `low` to `high` - 1."""
        if self._ranges and high - low >= _HAVE_RANGE_ITEMS:
            _append(step.have_ranges, lower, upper)
            return
        end = min(high, low + RECONCILE_HAVE_IDS_MAX - len(step.have))
        step.have.extend(self._items.ids(low, end))
        if end < high:
            rest = self._items.split_bound(end) if end > low else lower
            found.append(_Todo(rest, upper, False))

    def _join_todo(self) -> None:
        excess = len(self._todo) - RECONCILE_TODO_MAX
        if excess > 0:
            # The next one is last, so what is furthest in the space comes first here.
            lower, upper = self._todo[excess].lower, self._todo[0].upper
            self._todo[: excess + 1] = [_Todo(lower, upper, False)]

    # --- Writing --------------------------------------------------------------------------------

    def _ask(self) -> bytes | None:
        writer = MessageWriter(self._frame_bytes_max)
        while self._todo and len(self._asked) < self._asks_max:
            todo = self._todo[-1]
            written = self._ask_one(writer, todo)
            if written == todo.lower:
                break
            self._todo.pop()
            if written < todo.upper:
                self._todo.append(_Todo(written, todo.upper, todo.differs))
                break
        return None if writer.empty else writer.message()

    def _ask_one(self, writer: MessageWriter, todo: _Todo) -> Bound:
        """Ask about a range; return the bound up to which it fitted into the message."""
        lower, upper = todo.lower, todo.upper
        low, high = self._items.lower_bound(lower), self._items.lower_bound(upper)
        if low == high and not self._ranges:
            if not writer.add_ids(lower, upper, []):
                return lower
            self._asked.append(Range(lower, upper))
            return upper
        cuts = _even_cuts(low, high) if todo.differs else [low, high]
        for piece_lower, piece_upper, taken in _cut(self._items, lower, upper, cuts):
            if not writer.add_fingerprint(piece_lower, piece_upper, taken):
                return piece_lower
            self._asked.append(Range(piece_lower, piece_upper))
        return upper


class Responder:
    """Answer one reconciliation: `reply` to every message.

    It remembers nothing but how many messages it has answered. `ranges` is what the session agreed
    on: an empty range of the initiator's is then answered by a fingerprint instead of all ids.
    """

    def __init__(
        self,
        items: ItemSet,
        frame_bytes_max: int = RECONCILE_MESSAGE_BYTES,
        *,
        ranges: bool = False,
        rounds_max: int = RECONCILE_ROUNDS_MAX,
    ) -> None:
        _check_frame(frame_bytes_max)
        self._items = items
        self._frame_bytes_max = frame_bytes_max
        self._ranges = ranges
        self._rounds_left = rounds_max

    def reply(self, message: bytes) -> bytes:
        """Answer a message; a version we do not speak is answered by the one we do.

        Raises: Malformed (TooLarge) when it is no message; QuotaExceeded after too many messages.
        """
        if self._rounds_left <= 0:
            raise QuotaExceeded("The reconciliation takes too many messages.")
        self._rounds_left -= 1
        try:
            parsed = parse_message(message)
        except WrongVersion:
            return bytes((PROTOCOL_VERSION,))
        differing = list(self._differing(parsed))
        leaf = _LEAF_FEW if len(differing) <= _FEW else _LEAF
        writer = MessageWriter(self._frame_bytes_max)
        for range_, low, high in differing:
            answered = self._answer(writer, range_, low, high, leaf)
            if answered < range_.upper:
                rest = self._items.lower_bound(answered)
                taken = self._items.range_fingerprint(rest, len(self._items))
                written = writer.add_fingerprint(answered, INFINITY, taken)
                assert written, "every range leaves room for the rest"
                break
        return writer.message()

    def _differing(self, parsed: list[WireRange]) -> Iterator[tuple[WireRange, int, int]]:
        """Yield each range whose contents are not the same here, with the indexes of our items."""
        end, low = MIN_BOUND, 0
        for range_ in parsed:
            if range_.mode == SKIP or range_.lower == range_.upper:
                continue
            if range_.lower != end:
                low = self._items.lower_bound(range_.lower)
            # Ranges mostly touch: where one ends the next has been looked up already.
            high = self._items.lower_bound(range_.upper)
            if range_.mode == FINGERPRINT:
                same = self._items.range_fingerprint(low, high) == range_.fingerprint
            else:
                same = len(range_.ids) == high - low and set(range_.ids) == set(
                    self._items.ids(low, high)
                )
            if not same:
                yield range_, low, high
            end, low = range_.upper, high

    def _answer(
        self, writer: MessageWriter, range_: WireRange, low: int, high: int, leaf: int
    ) -> Bound:
        """Write what we have in a range; return the bound up to which it fitted."""
        lower, upper = range_.lower, range_.upper
        count = high - low
        theirs_empty = range_.mode == FINGERPRINT and range_.fingerprint == EMPTY_FINGERPRINT
        if range_.mode == ID_LIST or count <= leaf or (theirs_empty and not self._ranges):
            return self._list(writer, lower, upper, low, high)
        cuts = [low, high] if theirs_empty else _even_cuts(low, high)
        for piece_lower, piece_upper, taken in _cut(self._items, lower, upper, cuts):
            if not writer.add_fingerprint(piece_lower, piece_upper, taken, reserve=_TAIL_BYTES):
                return piece_lower
        return upper

    def _list(
        self, writer: MessageWriter, lower: Bound, upper: Bound, low: int, high: int
    ) -> Bound:
        # Two bounds of at most 43 bytes, a mode each, a count of at most 3 bytes.
        room = (writer.room() - _TAIL_BYTES - 92) // ID_BYTES
        if room <= 0:
            return lower
        if high - low > room:
            high = low + room
            upper = self._items.split_bound(high)
        written = writer.add_ids(
            lower, upper, list(self._items.ids(low, high)), reserve=_TAIL_BYTES
        )
        assert written, "the room was computed for the worst case"
        return upper


def _check_frame(frame_bytes_max: int) -> None:
    if frame_bytes_max < RECONCILE_MESSAGE_BYTES_MIN:
        raise LocalError(
            f"A reconciliation message needs {RECONCILE_MESSAGE_BYTES_MIN} bytes at least.",
            frame_bytes_max=frame_bytes_max,
        )


def _lower_of(range_: Range) -> Bound:
    return range_.lower


def _indexes(items: ItemSet, range_: WireRange) -> tuple[int, int]:
    return items.lower_bound(range_.lower), items.lower_bound(range_.upper)


def _append(ranges: list[Range], lower: Bound, upper: Bound) -> None:
    """Append a range, joined with the last one where they touch."""
    if ranges and ranges[-1].upper == lower:
        lower = ranges.pop().lower
    ranges.append(Range(lower, upper))


def _even_cuts(low: int, high: int) -> list[int]:
    """Return the indexes at which [low, high) is cut into parts of about the same size."""
    count = high - low
    parts = max(min(_FANOUT, (count + _LEAF - 1) // _LEAF), 1)
    return [low + count * part // parts for part in range(parts + 1)]


def _cut(
    items: ItemSet, lower: Bound, upper: Bound, cuts: list[int]
) -> Iterator[tuple[Bound, Bound, bytes]]:
    """Yield (lower, upper, fingerprint) of the parts between the indexes."""
    for low, high in pairwise(cuts):
        bound = upper if high == cuts[-1] else items.split_bound(high)
        yield lower, bound, items.range_fingerprint(low, high)
        lower = bound
