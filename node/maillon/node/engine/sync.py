"""Make two nodes equal over one stream: the two state machines of a session (spec/05, "Sessions").

The initiator drives: HELLO, then NEG until the difference is known, then WANT and WANT_RANGE, each
answered by RECORDS and DONE, then what the other side lacks as RECORDS and DONE, which the
responder answers by a DONE of its own. At any time only one side has something to say, so neither
can block the other by not reading.

A session does no I/O. Its runner asks `pull` for the next frame as long as there is one (frames are
made one at a time, when the one before has left: that is the backpressure), hands it what arrives
by `receive`, and verifies what `receive` gives back, inline or in a pool, before `verified`:

    session.start(now)
    while True:
        while (frame := session.pull(now)) is not None: send(frame)
        if session.over: break
        prepared = session.receive(next_frame, now)       # or session.closed(now)
        if prepared is not None: session.verified(verify(prepared.items), now)
        run(session.take_effects())

Records may be read ahead: while `takes` says so of the next frame, it may be received before what
was given out is verified. Verdicts then come back in the order in which it was given out.

Identity records travel first in each answer and each push. Where a record still comes before what
it rests on, it waits in the pending pool; what the pool cannot keep is asked for again, in passes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from maillon.node import bounds
from maillon.node.engine import frames
from maillon.node.engine.ingest import Outcome, Prepared
from maillon.node.events import Effect, Penalise
from maillon.protocol.errors import (
    LocalError,
    MaillonError,
    Malformed,
    QuotaExceeded,
    WrongVersion,
)
from maillon.protocol.reconcile import Initiator, ItemSet, Range, Responder

AGENT: Final = "maillon/0.1"


class SyncHost(Protocol):
    """What a session asks of its engine."""

    @property
    def fed(self) -> bytes: ...

    @property
    def items(self) -> ItemSet: ...

    def prepare_sync(self, peer: bytes, records: Sequence[bytes], now: float) -> Prepared: ...

    def complete(self, prepared: Prepared, results: Sequence[bool], now: float) -> Outcome: ...

    def wants(self, peer: bytes, id: bytes, now: float) -> bool:
        """Say whether a record with this id would be of use if the peer sent it."""
        ...

    def withheld(self, peer: bytes, id: bytes, now: float) -> None:
        """Note that a peer named an id and did not deliver it."""
        ...

    def identity_items(self) -> list[tuple[int, bytes]]:
        """Return (at, id) of the live identity records, in the order of sending."""
        ...

    def encoded(self, ids: Sequence[bytes]) -> list[bytes]:
        """Return the encoded live records among `ids`, in the order of sending."""
        ...

    def encoded_page(self, page: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes, bytes]]:
        """Return a page of the live set as (at, id, encoded): far cheaper than by id."""
        ...


Ended = Callable[["Session", float], None]


class Session:
    """What both sides share: the queue of frames to send, the bounds, the end."""

    outgoing = False

    def __init__(self, host: SyncHost, peer: bytes, on_end: Ended) -> None:
        self.peer = peer
        self.over = False
        self.ok = False
        self.more = False
        self.fault = ""
        self.received = 0
        self.sent = 0
        self.stored = 0
        self.invalid = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self._host = host
        self._on_end = on_end
        self._started: float | None = None
        self._out: deque[Iterator[bytes]] = deque()
        self._effects: list[Effect] = []
        self._unverified: deque[Prepared] = deque()
        self._closing = False

    # --- For the runner -------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin: the first frame of either side is its HELLO."""
        if self._started is not None:
            raise LocalError("A session is started once.")
        self._started = now
        self._send(frames.hello(self._host.fed, len(self._host.items), AGENT))

    def pull(self, now: float) -> bytes | None:
        """Return the next frame to send, or None when it is the peer's turn or all is over."""
        if not self._in_time(now):
            return None
        while self._out and not self.over:
            try:
                frame = next(self._out[0], None)
            except QuotaExceeded as fault:
                self._out.clear()
                self._break_off(fault.code, now, more=True)
                continue
            if frame is None:
                self._out.popleft()
                continue
            self.bytes_out += len(frame)
            return frame
        if self._closing and not self.over:
            self._end(now)
        return None

    def receive(self, frame: bytes, now: float) -> Prepared | None:
        """Take a frame; return what is to be verified before anything else is asked of it."""
        if self.over or self._closing or not self._in_time(now):
            return None
        if not self.takes(frame):
            raise LocalError("What was received is verified before more is received.")
        given = len(self._unverified)
        self.bytes_in += len(frame)
        try:
            if self.bytes_in > bounds.SYNC_RECORDS_BYTES_MAX:
                raise QuotaExceeded("The session carries too much.")
            decoded = frames.decode(frame)
            if isinstance(decoded, frames.Error):
                self._end(now, fault=f"peer: {decoded.code}"[:64])
                return None
            self._handle(decoded, now)
        except QuotaExceeded as fault:
            self._break_off(fault.code, now, more=True)
        except WrongVersion as fault:
            # An honest node of another time, with which there is no common version.
            self._break_off(fault.code, now)
        except MaillonError as fault:
            # The frame itself is wrong, whatever the view: no honest peer sends it.
            self._effects.append(Penalise(self.peer, bounds.POINTS_PROVEN, fault.code))
            self._break_off(fault.code, now)
        return self._unverified[-1] if len(self._unverified) > given else None

    def takes(self, frame: bytes) -> bool:
        """Say whether a frame may be received now, before what was given out is verified.

        Records are only read, so a few batches may be ahead; what asks or ends has to wait.
        """
        if not self._unverified:
            return True
        return len(self._unverified) < bounds.SYNC_AHEAD_MAX and frames.is_records(frame)

    @property
    def unverified(self) -> int:
        """Return how many batches were given out whose verdicts are awaited still."""
        return len(self._unverified)

    def verified(self, results: Sequence[bool], now: float) -> None:
        """Judge the oldest batch that `receive` gave out, now that its signatures were verified."""
        if not self._unverified:
            raise LocalError("Nothing was given out to verify.")
        prepared = self._unverified.popleft()
        outcome = self._host.complete(prepared, results, now)
        self._effects.extend(outcome.effects)
        self.received += outcome.records
        self.stored += len(outcome.stored)
        self.invalid += outcome.proven
        self._noted(outcome)
        if self.invalid >= bounds.SYNC_INVALID_MAX:
            self._break_off("malformed", now)

    def closed(self, now: float, fault: str = "closed") -> None:
        """Note that the stream is gone: closed, reset, or silent for too long."""
        self._end(now, fault=fault)

    def take_effects(self) -> list[Effect]:
        """Return what is to be done outside, once."""
        effects, self._effects = self._effects, []
        return effects

    @property
    def closing(self) -> bool:
        """Say whether nothing more is read: the last frame is on its way out."""
        return self._closing

    @property
    def silence_s_max(self) -> float:
        """Return how long to wait for the peer's next frame before `closed`."""
        return bounds.SYNC_SILENCE_S_MAX

    # --- For the two sides ----------------------------------------------------------------------

    def _handle(self, frame: frames.Frame, now: float) -> None:
        raise NotImplementedError

    def _noted(self, outcome: Outcome) -> None:
        """Look at what became of received records."""

    def _send(self, *made: bytes) -> None:
        self._out.append(iter(made))

    def _send_lazily(self, made: Iterator[bytes]) -> None:
        self._out.append(made)

    def _prepare(self, records: Sequence[bytes], now: float) -> None:
        self._unverified.append(self._host.prepare_sync(self.peer, records, now))

    def _check_fed(self, frame: frames.Hello, now: float) -> bool:
        if frame.fed == self._host.fed:
            return True
        self._break_off("wrong_federation", now)
        return False

    def _close_when_sent(self) -> None:
        self.ok = True
        self._closing = True

    def _break_off(self, code: str, now: float, *, more: bool = False) -> None:
        """Say why, and end once that has been sent."""
        if self.over or self._closing:
            return
        self._unverified.clear()
        self._out.clear()
        self.fault = code
        self.more = more
        self._closing = True
        self._send(frames.error(code))

    def _end(self, now: float, fault: str = "") -> None:
        if self.over:
            return
        self.over = True
        self.ok = self.ok and not fault
        self.fault = self.fault or fault
        self._out.clear()
        self._unverified.clear()
        self._on_end(self, now)

    def _in_time(self, now: float) -> bool:
        if self.over:
            return False
        if self._started is None:
            raise LocalError("The session was not started.")
        if now < self._started:
            self._started = now  # the clock was set back: count from here
        if now - self._started > bounds.SYNC_SESSION_S_MAX:
            self.more = True
            self._end(now, fault="time")
            return False
        return True

    def _records_then_done(self, made: Iterable[bytes]) -> Iterator[bytes]:
        """Yield RECORDS frames of encoded records and a DONE with their number."""
        count = 0

        def counted() -> Iterator[bytes]:
            nonlocal count
            for record in made:
                count += 1
                yield record

        for frame in frames.records(counted()):
            if self.bytes_out > bounds.SYNC_RECORDS_BYTES_MAX:
                raise QuotaExceeded("The session carries too much.")
            yield frame
        self.sent += count
        yield frames.done(count)

    def _encoded_pages(self, ids: Sequence[bytes]) -> Iterator[bytes]:
        for at in range(0, len(ids), bounds.SYNC_PAGE_RECORDS):
            yield from self._host.encoded(ids[at : at + bounds.SYNC_PAGE_RECORDS])

    def _encoded_ranges(self, ranges: Sequence[Range]) -> Iterator[bytes]:
        """Yield all live records of some ranges: identity first, the others page by page."""
        first = [
            (at, id)
            for at, id in self._host.identity_items()
            if any(_within(at, id, range_) for range_ in ranges)
        ]
        yield from self._encoded_pages([id for _, id in first])
        sent = {id for _, id in first}
        for range_ in ranges:
            rest: Range | None = range_
            while rest is not None:
                page, rest = rest.page(self._host.items, bounds.SYNC_PAGE_RECORDS)
                for _, id, record in self._host.encoded_page(page):
                    if id not in sent:
                        yield record


class SyncInitiator(Session):
    """Drive a session: learn the difference, fetch, push."""

    outgoing = True

    def __init__(self, host: SyncHost, peer: bytes, on_end: Ended) -> None:
        super().__init__(host, peer, on_end)
        self._state = "hello"
        self._initiator = Initiator(host.items, ranges=True, rounds_max=bounds.SYNC_ROUNDS_MAX)
        # Dictionaries, not sets: their order is the same in every process.
        self._need: dict[bytes, None] = {}
        self._have: dict[bytes, None] = {}
        self._need_ranges: deque[Range] = deque()
        self._have_ranges: list[Range] = []
        self._waiting: dict[bytes, None] = {}
        self._asked: dict[bytes, None] = {}
        self._expected: int | None = 0
        self._passes = 0
        self._stored_before_pass = 0

    def _handle(self, frame: frames.Frame, now: float) -> None:
        match self._state, frame:
            case "hello", frames.Hello():
                if self._check_fed(frame, now):
                    self._state = "compare"
                    self._send(frames.neg(self._initiator.initiate()))
            case "compare", frames.Neg():
                self._compare(frame.message, now)
            case "fetch", frames.Records():
                if self._expected is not None:
                    self._expected -= len(frame.records)
                    if self._expected < 0:
                        raise Malformed("More records than were asked for.", rule="unasked")
                self._prepare(frame.records, now)
            case "fetch", frames.Done():
                for id in self._asked:
                    self._host.withheld(self.peer, id, now)
                self._ask_next(now)
            case "push", frames.Done():
                self._close_when_sent()
            case _:
                raise Malformed("This frame has no place here.", rule="frame_order")

    def _compare(self, message: bytes, now: float) -> None:
        step = self._initiator.reconcile(message)
        self._need.update((id, None) for id in step.need if self._host.wants(self.peer, id, now))
        self._have.update((id, None) for id in step.have)
        self._need_ranges.extend(step.need_ranges)
        self._have_ranges.extend(step.have_ranges)
        full = (
            len(self._need) + len(self._have) >= bounds.SYNC_IDS_MAX
            or len(self._need_ranges) + len(self._have_ranges) >= bounds.SYNC_RANGES_MAX
        )
        if step.reply is not None and not full:
            self._send(frames.neg(step.reply))
            return
        self.more = not step.complete
        self._state = "fetch"
        self._ask_next(now)

    def _ask_next(self, now: float) -> None:
        """Send the next WANT; when nothing is left to want, begin to push."""
        self._asked = {}
        if self._need_ranges:
            self._expected = None
            self._send(frames.want_range(self._need_ranges.popleft()))
            return
        while self._need or self._next_pass():
            chunk: list[bytes] = []
            while self._need and len(chunk) < bounds.SYNC_WANT_IDS_MAX:
                id = next(iter(self._need))
                del self._need[id]
                # Gossip or another session may have brought it since the comparison.
                if self._host.wants(self.peer, id, now):
                    chunk.append(id)
            if chunk:
                self._asked = dict.fromkeys(chunk)
                self._expected = len(chunk)
                self._send(frames.want(chunk))
                return
        self._state = "push"
        self._send_lazily(self._records_then_done(self._push()))

    def _next_pass(self) -> bool:
        """Ask again for what had to wait and was let go, as long as that makes progress."""
        if not self._waiting or self._passes >= bounds.SYNC_PASSES_MAX:
            return False
        if self._passes and self.stored == self._stored_before_pass:
            return False
        self._passes += 1
        self._stored_before_pass = self.stored
        self._need, self._waiting = self._waiting, {}
        return True

    def _noted(self, outcome: Outcome) -> None:
        for id in outcome.ids:
            self._asked.pop(id, None)
        for id in outcome.pending:
            if len(self._waiting) < bounds.SYNC_IDS_MAX:
                self._waiting[id] = None

    def _push(self) -> Iterator[bytes]:
        identity = [id for _, id in self._host.identity_items() if id in self._have]
        yield from self._encoded_pages(identity)
        for id in identity:
            del self._have[id]
        yield from self._encoded_ranges(self._have_ranges)
        yield from self._encoded_pages(list(self._have))


class SyncResponder(Session):
    """Answer a session: compare, deliver, take in."""

    def __init__(self, host: SyncHost, peer: bytes, on_end: Ended) -> None:
        super().__init__(host, peer, on_end)
        self._greeted = False
        self._responder = Responder(
            host.items, ranges=True, rounds_max=bounds.SYNC_ROUNDS_MAX
        )
        self._wanted = 0

    def _handle(self, frame: frames.Frame, now: float) -> None:
        if not self._greeted:
            if not isinstance(frame, frames.Hello):
                raise Malformed("A session begins with HELLO.", rule="frame_order")
            self._greeted = self._check_fed(frame, now)
            return
        if len(self._out) >= _ANSWERS_MAX:
            raise QuotaExceeded("Too much was asked before the answers were read.")
        match frame:
            case frames.Neg():
                self._send(frames.neg(self._responder.reply(frame.message)))
            case frames.Want():
                self._wanted += len(frame.ids)
                if self._wanted > bounds.SYNC_IDS_MAX * bounds.SYNC_PASSES_MAX:
                    raise QuotaExceeded("Too many records were asked for.")
                self._send_lazily(self._records_then_done(self._encoded_whole(frame.ids)))
            case frames.WantRange():
                self._send_lazily(self._records_then_done(self._encoded_ranges([frame.range])))
            case frames.Records():
                self._prepare(frame.records, now)
            case frames.Done():
                self._send(frames.done(self.stored))
                self._close_when_sent()
            case _:
                raise Malformed("This frame has no place here.", rule="frame_order")

    def _encoded_whole(self, ids: Sequence[bytes]) -> Iterator[bytes]:
        # At most 1,000 ids: read at once, so that the order of sending holds over all of them.
        yield from self._host.encoded(ids)


_ANSWERS_MAX: Final = 8
"""Questions that may be open at once: an initiator of ours asks one at a time."""


def _within(at: int, id: bytes, range_: Range) -> bool:
    lower, upper = range_
    point = (at, id)
    return (lower.timestamp, lower.prefix) <= point < (upper.timestamp, upper.prefix)
