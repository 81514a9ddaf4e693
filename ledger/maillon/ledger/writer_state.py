"""Keep what a writer knows: its term, the block under way, the time, the witnesses
(spec/06-ledger.md, "Rules for writers").

The rules themselves are in `writer`; here is what they look at, and when something is due.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal

from maillon.ledger import _read as read
from maillon.ledger import bounds
from maillon.ledger.block import Block
from maillon.ledger.book import Book
from maillon.ledger.catchup import Catchup
from maillon.ledger.charter import CheckedCharter
from maillon.ledger.check import Checked
from maillon.ledger.messages import Message
from maillon.ledger.quorum import Certificate, Committee, Term
from maillon.ledger.rounds import (
    Commit,
    Echo,
    Lock,
    Opening,
    Prepare,
    Promise,
    Propose,
    Vote,
)
from maillon.ledger.rounds import Final as FinalMessage
from maillon.ledger.rounds_reading import read_vote
from maillon.ledger.signing import Signer, Verify
from maillon.ledger.sources import Blame, CoopSource, Salt, Source
from maillon.ledger.steps import Disk, Notice, Send, Step, Write
from maillon.ledger.voterow import Opened
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable
from maillon.protocol.limits import WITNESSES_MAX

SPACE: Final = "term"
_ROW_BYTES_MAX: Final = WITNESSES_MAX * 300 + 64

Phase = Literal["idle", "preparing", "ready", "voting", "committing", "waiting", "stopped"]


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """What an operator, or a simulation, may set differently.

    `eager`: open a term at the start, before there is anything to propose; without it only when
    there is. `stop_for_rival`: stop when another instance of the same writer shows up, rather than
    back off.
    """

    eager: bool = True
    stop_for_rival: bool = False
    retry_s: int = bounds.RETRY_S
    retry_s_max: int = bounds.RETRY_S_MAX
    stuck_s: int = bounds.STUCK_S


@dataclass(frozen=True, slots=True)
class WriterStatus:
    """Where a writer stands, for people. `waiting_for` are witnesses that have not answered."""

    phase: Phase
    term: Term | None
    h: int
    waiting: int
    waiting_for: tuple[bytes, ...]
    refusals: tuple[tuple[bytes, str], ...]
    since: int


@dataclass(slots=True)
class Flight:
    """The block that is under way."""

    block: Block
    checked: Checked | CheckedCharter | None
    fresh: bool
    c: int
    committee: Committee
    propose: Propose
    votes: dict[bytes, Vote] = field(default_factory=dict[bytes, Vote])
    unverified: dict[bytes, Vote] = field(default_factory=dict[bytes, Vote])
    lock: Lock | None = None
    commits: dict[bytes, Commit] = field(default_factory=dict[bytes, Commit])


class WriterState:
    """The state of one writer, and what every rule uses of it."""

    def __init__(
        self,
        book: Book,
        chain: bytes,
        key: Signer,
        nonce: bytes,
        *,
        verify: Verify,
        salt: Salt,
        seed: bytes = b"",
        own: bytes = b"",
        disk: Disk | None = None,
        source: Source | None = None,
        settings: WriterSettings | None = None,
    ) -> None:
        self._book = book
        self._fed = book.fed
        self._chain = chain
        self._key = key
        self._nonce = nonce
        self._verify = verify
        self._seed = seed + nonce
        self._own = own
        self.source: Source = CoopSource(book, chain, salt) if source is None else source
        self._settings = settings or WriterSettings()
        self._catchup = Catchup(book)
        self._phase: Phase = "idle"
        self._counter = 0
        self._echoes: dict[bytes, Echo] = {}
        if disk is not None:
            self._load(disk.get(SPACE, chain))
        self._term: Term | None = None
        self._prepare: Prepare | None = None
        self._promises: dict[bytes, Promise] = {}
        self._opened: Opened | None = None
        self._opening: Opening | None = None
        self._keep: Block | None = None
        self._flight: Flight | None = None
        self._refusals: dict[bytes, str] = {}
        self._blamed: dict[bytes, Blame] = {}
        self._held: Certificate | None = None
        self._final: FinalMessage | None = None
        self._undone: set[bytes] = set()
        self._h = book.head(chain).h
        self._told_h = self._h
        self._failures = 0
        self._drawn = 0
        self._wait_until: int | None = None
        self._retry_at: int | None = None
        self._retry_s = self._settings.retry_s
        self._repeats = 0
        self._since = 0
        self._told_stuck = False
        self._needs: dict[bytes, tuple[int, int, tuple[bytes, int, int]]] = {}
        self._remedies: dict[bytes, int] = {}
        self._epoch: tuple[int, Committee] | None = None
        self._now = 0
        self._writes: list[Write] = []
        self._sends: list[Send] = []
        self._notices: list[Notice] = []

    @property
    def status(self) -> WriterStatus:
        """Return where the writer stands."""
        return WriterStatus(
            self._phase,
            self._term,
            self._h,
            len(self.source) if isinstance(self.source, CoopSource) else 0,
            tuple(self._awaited()),
            tuple(self._refusals.items()),
            self._since,
        )

    def _due(self) -> bool:
        return self.source.due(self._now)

    def _busy(self) -> bool:
        return self._phase in ("preparing", "voting", "committing")

    def _committee(self) -> tuple[int, Committee]:
        """Return the charter that governs the next block, and its committee."""
        c = self._book.governing(self._chain)
        if self._epoch is None or self._epoch[0] != c:
            self._epoch = c, self._book.charter_state(c).committee()
        return self._epoch

    def _echo(self, witness: bytes) -> Echo | None:
        return None if witness == self._own else self._echoes.get(witness)

    def _push(self, witness: bytes, chain: bytes, from_h: int) -> int:
        """Send certified blocks from a height on; return the last one's height, 0 for none."""
        blocks = self._catchup.above(chain, from_h)
        if not blocks.blocks:
            return 0
        self._send(witness, blocks)
        return blocks.blocks[-1].h

    def _answers(self, witness: bytes, chain: bytes, from_h: int) -> bool:
        """Count what a witness asks, so that a liar cannot have us send the same for ever."""
        if witness not in self._committee()[1]:
            return False
        asked = (chain, from_h, self._h)
        second, count, last = self._needs.get(witness, (self._now, 0, (b"", 0, 0)))
        if second != self._now:
            count, last = 0, (b"", 0, 0)
        if count >= bounds.NEEDS_PER_S or last == asked:
            return False
        self._needs[witness] = (self._now, count + 1, asked)
        return True

    def _back_off(self, *, at_once: bool = False) -> None:
        """Wait for a random time, on average twice as long with each failure, then begin anew."""
        self._flight = None
        self._opened = None
        self._opening = None
        self._phase = "waiting"
        self._retry_at = None
        longest = min(1 << self._failures, bounds.BACK_OFF_S_MAX)
        self._failures = min(self._failures + 1, 16)
        self._drawn += 1
        drawn = hashlib.sha256(self._seed + self._drawn.to_bytes(8, "big")).digest()
        wait = 1 + int.from_bytes(drawn[:4], "big") % (2 * longest)
        self._wait_until = self._now + (0 if at_once else wait)

    def _progress(self) -> None:
        self._since = self._now
        self._told_stuck = False
        self._retry_s = self._settings.retry_s
        self._retry_at = self._now + self._retry_s

    def _awaited(self) -> list[bytes]:
        """Return the witnesses whose answer is missing."""
        flight = self._flight
        if self._phase == "preparing":
            told = {key for key, given in self._promises.items() if given.head_h >= self._h}
            return [key for key in self._committee()[1].keys if key not in told]
        if flight is None:
            return []
        if flight.lock is None:
            given: set[bytes] = set(flight.votes) | set(flight.unverified)
        else:
            given = set(flight.commits)
        return [key for key in flight.committee.keys if key not in given]

    # --- Effects --------------------------------------------------------------------------------

    def _send(self, witness: bytes, message: Message) -> None:
        self._sends.append(Send(witness, message))

    def _step(self) -> Step:
        step = Step(tuple(self._writes), tuple(self._sends), tuple(self._notices))
        self._writes, self._sends, self._notices = [], [], []
        return step

    def _row(self) -> Write:
        """Return what outlives the process: the counter, and what to echo (W8).

        Votes of the own witness are left out: it may be committed after this row. So are those of
        witnesses that the charter does not name any more.
        """
        committee = self._committee()[1]
        self._echoes = {key: echo for key, echo in self._echoes.items() if key in committee}
        echoes: list[Encodable] = [
            [key, echo.array()] for key, echo in sorted(self._echoes.items()) if key != self._own
        ]
        value = encoding.encode([self._counter, echoes], bytes_max=_ROW_BYTES_MAX)
        return Write(SPACE, self._chain, value)

    def _load(self, value: bytes | None) -> None:
        if value is None:
            return
        counter, echoes = read.items(
            read.array(value, _ROW_BYTES_MAX, "term_row"), "term_row", 2, 2
        )
        self._counter = read.number(counter, "term_row")
        for item in read.items(echoes, "term_row", 0, WITNESSES_MAX):
            key, echo = read.items(item, "term_row", 2, 2)
            c, chain, h, term, block, count, signature = read.items(echo, "term_row", 7, 7)
            vote = read_vote([Vote.TYPE, c, chain, h, term, block, count, key, signature])
            self._echoes[key] = vote.echo()
