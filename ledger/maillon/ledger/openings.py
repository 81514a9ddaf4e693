"""Find what a quorum of promises allows a writer to propose (spec/06-ledger.md, W2 and P2).

A writer and every witness look at the same promises J by themselves and come to the same opening:
from which height S the term starts, and which block K has to be proposed again there.

Why J finds every certified block. Say X was certified at S in a term t' < t: q witnesses committed
to it. J has q members of the same committee. Two quorums share 2q - n witnesses, more than may lie,
so an honest one is in both. It committed before it promised t (afterwards it follows no lower
term), so its promise shows either a head at S or above, and S would have been larger, or the lock.

The votes under a lock are not part of what a promise signs. A lying writer could leave them out,
and the lock would look like a liar's claim. So a promise whose lock comes without votes that count
is no promise: it is missing from J, and J has to have q without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from maillon.ledger.errors import NoQuorum
from maillon.ledger.quorum import Committee, Term, VoteQC, decode_vote_qc
from maillon.ledger.rounds import LockAt, Promise
from maillon.ledger.signing import Verify
from maillon.ledger.voterow import Opened
from maillon.protocol.errors import MaillonError

Governing = Callable[[int], tuple[int, Committee]]
"""Return the charter height that governs a block height, and that charter's committee."""


def signed_promises(
    promises: Iterable[Promise], chain: bytes, term: Term, fed: bytes, verify: Verify
) -> list[Promise]:
    """Return those for exactly this chain and term whose signature is valid, one a witness."""
    found: dict[bytes, Promise] = {}
    for promise in promises:
        if promise.chain == chain and promise.term == term:
            found.setdefault(promise.witness, promise)
    listed = list(found.values())
    good = verify([promise.check(fed) for promise in listed])
    return [promise for promise, valid in zip(listed, good, strict=True) if valid]


def require_quorum(count: int, committee: Committee) -> None:
    """Return when J is large enough. Raises: NoQuorum."""
    # Fewer than q could miss every honest witness that committed.
    if count < committee.quorum:
        raise NoQuorum(got=count, needed=committee.quorum)


def highest_lock(locks: Sequence[LockAt]) -> LockAt | None:
    """Return the lock of the highest term: its quorum had seen what lower terms had locked."""
    return max(locks, key=lambda lock: lock.term, default=None)


def lock_counts(
    lock: LockAt, votes: VoteQC, chain: bytes, c: int, committee: Committee, fed: bytes,
    verify: Verify,
) -> bool:  # fmt: skip
    """Tell whether a lock rests on a quorum of votes of its committee; a liar can claim any."""
    named = (votes.c, votes.chain, votes.h, votes.term, votes.block)
    if named != (c, chain, lock.h, lock.term, lock.block):
        return False
    try:
        votes.verify(committee, fed, verify)
    except MaillonError:
        return False
    return True


def find_opening(
    promises: Sequence[Promise],
    chain: bytes,
    term: Term,
    *,
    fed: bytes,
    verify: Verify,
    governing: Governing,
) -> Opened:
    """Return the opening that J gives.

    `promises` are signed, and their heads were compared with a certified chain.

    Raises: NoQuorum when too few members of the committee made promises that count.
    """
    start = 1 + max((promise.head_h for promise in promises), default=0)
    c, committee = governing(start)
    members = [promise for promise in promises if promise.witness in committee]
    votes = _first_votes(members)
    verdicts: dict[tuple[LockAt, bytes], bool] = {}
    locks: list[LockAt] = []
    counting = 0
    for promise in members:
        lock = promise.lock
        if lock is None or lock.h < start:
            # What lies below S is decided.
            counting += 1
            continue
        shown = (lock, promise.lock_qc or votes.get(lock, b""))
        if shown not in verdicts:
            qc = _decoded(shown[1])
            verdicts[shown] = qc is not None and lock_counts(
                lock, qc, chain, c, committee, fed, verify
            )
        if lock.h == start and verdicts[shown]:
            counting += 1
            locks.append(lock)
    require_quorum(counting, committee)
    top = highest_lock(locks)
    return Opened(c, term, start, b"" if top is None else top.block)


def without_copies(promises: Iterable[Promise]) -> tuple[Promise, ...]:
    """Return promises as an OPEN carries them: no head certificates, no blocks, equal votes once.

    Who receives them compares the heads with its own chain, and takes the block from the proposal.
    """
    told = set[tuple[LockAt, bytes]]()
    listed: list[Promise] = []
    for promise in promises:
        votes = promise.lock_qc
        if promise.lock is not None:
            if (promise.lock, votes) in told:
                votes = b""
            told.add((promise.lock, promise.lock_qc))
        listed.append(
            Promise(
                promise.chain,
                promise.term,
                promise.head_h,
                promise.head,
                promise.lock,
                promise.witness,
                promise.signature,
                b"",
                votes,
                b"",
            )
        )
    return tuple(listed)


def _first_votes(promises: Iterable[Promise]) -> dict[LockAt, bytes]:
    found: dict[LockAt, bytes] = {}
    for promise in promises:
        if promise.lock is not None and promise.lock_qc:
            found.setdefault(promise.lock, promise.lock_qc)
    return found


def _decoded(data: bytes) -> VoteQC | None:
    try:
        return decode_vote_qc(data) if data else None
    except MaillonError:
        return None
