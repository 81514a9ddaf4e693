"""What must always hold, seen from above: every signature that ever left a machine is here.

The observer is told of each signature once what it rests on is on the disk. So it knows of
certificates that nobody has assembled, and counts for the liars whatever they might still sign.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from maillon.protocol.errors import MaillonError
from simulation.ledger.charter_model import CharterModel
from simulation.ledger.model import Broken, Model, need, plain

SKEW_S_MAX = 300

TermKey = tuple[int, bytes, bytes]


@dataclass
class Certified:
    """A block that has a quorum of commits."""

    chain: bytes
    h: int
    H: bytes
    header: bytes
    body: bytes


@dataclass
class Observer:
    """Check signatures as they appear, and certified blocks against the naive model."""

    fed: bytes
    charter: CharterModel
    model: Model
    clock: Callable[[], int]
    """The latest of the correct clocks, in Unix seconds."""
    liars: set[bytes] = field(default_factory=set[bytes])
    """Witness keys that may sign anything."""
    crooks: set[bytes] = field(default_factory=set[bytes])
    """Writer keys that may sign anything."""
    proposals: dict[tuple[bytes, bytes, TermKey, int], bytes] = field(
        default_factory=dict[tuple[bytes, bytes, TermKey, int], bytes]
    )
    said: dict[tuple[str, bytes, bytes, int, TermKey], bytes] = field(
        default_factory=dict[tuple[str, bytes, bytes, int, TermKey], bytes]
    )
    commits: dict[tuple[bytes, int], dict[tuple[int, TermKey, bytes], set[bytes]]] = field(
        default_factory=dict[tuple[bytes, int], dict[tuple[int, TermKey, bytes], set[bytes]]]
    )
    possible: dict[tuple[bytes, int], bytes] = field(
        default_factory=dict[tuple[bytes, int], bytes]
    )
    certified: dict[tuple[bytes, int], bytes] = field(
        default_factory=dict[tuple[bytes, int], bytes]
    )
    history: list[Certified] = field(default_factory=list[Certified])
    blocks: dict[bytes, tuple[bytes, bytes]] = field(
        default_factory=dict[bytes, tuple[bytes, bytes]]
    )
    acks: dict[tuple[bytes, bytes, bytes], set[bytes]] = field(
        default_factory=dict[tuple[bytes, bytes, bytes], set[bytes]]
    )
    terms: dict[tuple[bytes, int], set[TermKey]] = field(
        default_factory=dict[tuple[bytes, int], set[TermKey]]
    )
    waiting: dict[bytes, dict[int, bytes]] = field(
        default_factory=dict[bytes, dict[int, bytes]]
    )
    on_certified: Callable[[Certified], None] | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        self.model.on_void = self._voided

    def count(self, what: str) -> None:
        """Count something that the summary shows."""
        self.counts[what] = self.counts.get(what, 0) + 1

    # --- Signatures -----------------------------------------------------------------------------

    def signed(self, key: bytes, purpose: str, body: bytes) -> None:
        """Take in a signature that has left its machine. Raises: Broken."""
        reader = _READERS.get(purpose)
        if reader is not None:
            reader(self, key, plain(body[32:]))

    def _propose(self, key: bytes, fields: Any) -> None:
        chain, t, h, H = fields
        term = _term(t)
        self.terms.setdefault((chain, h), set()).add(term)
        if key in self.crooks:
            return
        before = self.proposals.setdefault((key, chain, term, h), H)
        need(
            before == H,
            "an honest writer proposes one block a term and height, restored or doubled or not",
            chain=chain, h=h, first=before, then=H,
        )  # fmt: skip

    def _vote(self, key: bytes, fields: Any) -> None:
        c, chain, h, t, H, _counter = fields
        self._once("vote", key, c, chain, h, t, H)

    def _once(
        self, what: str, key: bytes, c: int, chain: bytes, h: int, t: Any, H: bytes
    ) -> None:
        if key in self.liars:
            return
        before = self.said.setdefault((what, key, chain, h, _term(t)), H)
        need(
            before == H,
            f"an honest witness does not {what} twice in one term, and cannot be convicted of it",
            chain=chain, h=h, witness=key, first=before, then=H,
        )  # fmt: skip

    def _commit(self, key: bytes, fields: Any) -> None:
        c, chain, h, t, H = fields
        self._once("commit", key, c, chain, h, t, H)
        charter = self.charter.at(c) if c <= self.charter.height else None
        if charter is None:
            need(key in self.liars, "honest witnesses commit under certified charters", c=c)
            return
        members = charter.witnesses()
        if key not in members:
            need(key in self.liars, "honest witnesses commit where they are witnesses", c=c)
            return
        signers = self.commits.setdefault((chain, h), {}).setdefault((c, _term(t), H), set())
        signers.add(key)
        honest = sum(1 for signer in signers if signer not in self.liars)
        liars = sum(1 for member in members if member in self.liars)
        if honest and honest + liars >= charter.quorum:
            before = self.possible.setdefault((chain, h), H)
            need(
                before == H,
                "never two certifiable blocks at one height, certificates nobody has seen included",
                chain=chain, h=h, first=before, then=H,
            )  # fmt: skip
        if len(signers) >= charter.quorum and (chain, h) not in self.certified:
            self.certified[(chain, h)] = H
            if len(self.terms.get((chain, h), ())) > 1:
                self.count("heights certified after a race of terms")
            self._settle(chain, h, H)

    def _ack(self, key: bytes, fields: Any) -> None:
        chain, hold, confirmation, _c = fields
        self.acks.setdefault((chain, hold, confirmation), set()).add(key)

    # --- Certified blocks -----------------------------------------------------------------------

    def saw(self, H: bytes, header: bytes, body: bytes) -> None:
        """Remember a block that was proposed."""
        if H in self.blocks or not _holds(header, body):
            return
        self.blocks[H] = (header, body)
        chain: bytes = plain(header)[2]
        self._advance(chain)

    def refounded(self, H: bytes, header: bytes, body: bytes) -> None:
        """Take in a charter block that the coops' roots have signed instead of the witnesses."""
        self.blocks[H] = (header, body)
        self._settle(self.fed, plain(header)[3], H)

    def _settle(self, chain: bytes, h: int, H: bytes) -> None:
        self.waiting.setdefault(chain, {})[h] = H
        self._advance(chain)

    def _advance(self, chain: bytes) -> None:
        queue = self.waiting.get(chain)
        while queue:
            h = self.height(chain) + 1
            H = queue.get(h)
            if H is None or H not in self.blocks:
                return
            del queue[h]
            header, body = self.blocks[H]
            time = plain(header)[7]
            need(
                time <= self.clock() + SKEW_S_MAX,
                "certified time is at most five minutes ahead of the correct clocks",
                ahead=time - self.clock(), chain=chain, h=h,
            )  # fmt: skip
            if chain == self.fed:
                self.charter.apply(H, header, body)
            else:
                self.model.apply(H, header, body)
            self.count("blocks certified")
            done = Certified(chain, h, H, header, body)
            self.history.append(done)
            if self.on_certified is not None:
                self.on_certified(done)

    def height(self, chain: bytes) -> int:
        """Return how far the model has followed a chain."""
        if chain == self.fed:
            return self.charter.height
        known = self.model.chains.get(chain)
        return known.h if known is not None else 0

    def _voided(self, chain: bytes, hold: bytes, c: int) -> None:
        charter = self.charter.at(c)
        members = charter.witnesses()
        for (where, which, _), ackers in self.acks.items():
            if (where, which) != (chain, hold):
                continue
            bound = [m for m in members if m in ackers and m not in self.liars]
            if len(members) - len(bound) < charter.quorum:
                raise Broken(f"a confirmed hold was voided: {hold.hex()[:16]}")

    # --- Machines -------------------------------------------------------------------------------

    def head(self, who: str, chain: bytes, h: int, H: bytes) -> None:
        """Check a head that an honest machine has taken for certified."""
        known = self.certified.get((chain, h))
        if known is None and chain == self.fed and h <= self.charter.height:
            return
        need(known == H, f"{who} follows what was certified", chain=chain, h=h, H=H)

    def accused(self, key: bytes, what: str) -> None:
        """Check a proof of fraud that somebody holds."""
        self.count(f"{what} convicted")
        need(
            key in self.liars or key in self.crooks,
            f"no proof of fraud against an honest {what}",
            key=key,
        )


def _holds(header: bytes, body: bytes) -> bool:
    """Say whether a body is the header's: liars send others."""
    try:
        leaves = [hashlib.sha256(b"\0" + salt + entry).digest() for salt, entry in plain(body)[0]]
        return bool(plain(header)[8] == _root(leaves))
    except (MaillonError, ValueError, TypeError, IndexError):
        return False


def _root(leaves: list[bytes]) -> bytes:
    """Return the tree head of RFC 6962, the slow way."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root(leaves[:half]) + _root(leaves[half:])).digest()


def _term(t: Any) -> TermKey:
    counter, nonce, key = t
    return (counter, nonce, key)


_READERS: dict[str, Callable[[Observer, bytes, Any], None]] = {
    "propose": Observer._propose,  # pyright: ignore[reportPrivateUsage]
    "vote": Observer._vote,  # pyright: ignore[reportPrivateUsage]
    "commit": Observer._commit,  # pyright: ignore[reportPrivateUsage]
    "ack": Observer._ack,  # pyright: ignore[reportPrivateUsage]
}
