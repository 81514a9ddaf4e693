"""Explore every schedule of one height: three correct witnesses, a lying one, a lying writer.

The correct witnesses are the real ones. What one of them does depends on its row on the disk and on
the message, so each pair is tried once on the real code and remembered; the search itself goes over
the remembered steps. The writer and the fourth witness are the adversary: they sign whatever their
keys can sign and show any correct witness anything that can be made of the signatures so far, in
any order, as often as they like, in a few terms and with two valid blocks.

What makes it end:

- Nothing that was signed is forgotten, so a state is what the three have on their disks and what
  they have said; the three are alike, and so are the two blocks: states that differ by a
  permutation are one.
- Messages have a rank: their term, and within it PREPARE, OPEN, PROPOSE, LOCK. What one witness
  says helps to make messages for another of the same rank or a higher one only (votes of a term
  make its LOCK, promises for a term its OPEN, votes of a lower term stand under its locks). So two
  steps of different witnesses in falling order of rank can change places, and of all orders of the
  same steps only those are explored in which the rank falls at one and the same witness alone. This
  rests on the messages' form, not on what witnesses do with them: a broken witness is explored as
  fully.

Random schedules miss much of what happens only in one order; this search does
not.

    PYTHONPATH=tests python -m simulation.ledger.explorer
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from maillon.ledger import messages as wire
from maillon.ledger import signing
from maillon.ledger.block import Block, genesis_hash
from maillon.ledger.book import Book
from maillon.ledger.build import EntryWish, build_block
from maillon.ledger.entries import Open
from maillon.ledger.messages import Message
from maillon.ledger.quorum import Term, VoteQC, make_bitmap, vote_body
from maillon.ledger.rounds import LockAt
from maillon.ledger.voterow import VoteRow, decode_row
from maillon.ledger.witness import Witness
from maillon.protocol.founding import Founding, FoundingCoop, LedgerTerms
from maillon.protocol.keys import coop_id
from simulation.ledger.disk import SimDisk
from simulation.ledger.keys import MacKey, verify_mac
from simulation.ledger.plan import UNITS

NOW = 1_700_000_000
CORRECT = 3
WITNESSES = 4
QUORUM = 3
STATES_MAX = 20_000_000

LockSymbol = tuple[int, int, int]
"""Term (1 to TERMS), block (0 or 1), votes shown: 0 for a claim without them."""

Local = tuple[Any, ...]
"""What is on one witness's disk, in short."""

History = tuple[Local, frozenset[Any], frozenset[Any], frozenset[Any]]
"""What is on its disk, and what it has promised, voted and committed."""


def _other(lock: LockSymbol | None) -> LockSymbol | None:
    return None if lock is None else (lock[0], 1 - lock[1], lock[2])


def _by_term(lock: LockSymbol | None) -> LockSymbol:
    return (0, 0, 0) if lock is None else lock


State = tuple[int, int, int, int]
"""The history of the witness that moved last, those of the others, and the rank of its message."""


Move = tuple[int, tuple[str, int], tuple[Any, ...]]
"""Rank, aim, and the messages of a sequence that is shown to one witness."""


class Violation(AssertionError):
    """Two blocks can be certified at one height."""


@dataclass
class Explorer:
    """The search. `terms` bounds how often the writer may open a term."""

    terms: int = 3
    steps_tried: int = 0
    transitions: int = 0
    _disks: dict[Local, SimDisk] = field(default_factory=dict[Local, SimDisk])
    _origin: dict[Local, tuple[Local, Any]] = field(
        default_factory=dict[Local, tuple[Local, Any]]
    )
    _lists: dict[Any, list[tuple[LockSymbol | None, ...]]] = field(
        default_factory=dict[Any, list[tuple[LockSymbol | None, ...]]]
    )
    _memo: dict[tuple[Local, Any], tuple[Local, tuple[Any, ...]]] = field(
        default_factory=dict[tuple[Local, Any], tuple[Local, tuple[Any, ...]]]
    )

    def __post_init__(self) -> None:
        self.roots = [MacKey(f"root {i}") for i in range(WITNESSES)]
        self.writers = [MacKey(f"writer {i}") for i in range(WITNESSES)]
        self.witnesses = [MacKey(f"witness {i}") for i in range(WITNESSES)]
        founding = Founding(
            "Explored",
            bytes(16),
            NOW,
            tuple(
                FoundingCoop(
                    self.roots[i].public, MacKey(f"node {i}").public, f"coop {i}", (),
                    self.writers[i].public, self.witnesses[i].public,
                )
                for i in range(WITNESSES)
            ),
            1,
            UNITS,
            ledger=LedgerTerms(QUORUM, 1, 0, 100, ()),
        )  # fmt: skip
        self.fed: bytes = founding.fed
        self.chain: bytes = coop_id(self.roots[0].public)
        empty = SimDisk()
        self.book = Book(founding, empty, verify_mac)
        self.blocks = [self._block(number) for number in range(2)]
        self.number = {block.hash: number for number, block in enumerate(self.blocks)}
        self.term: list[Term] = [
            Term(0, bytes(16), bytes(32)),
            *(
                Term(counter, bytes([counter]) * 16, self.writers[0].public)
                for counter in range(1, self.terms + 1)
            ),
        ]
        self.term_number = {term: number for number, term in enumerate(self.term)}
        self.start: Local = self._short(empty)
        self._disks[self.start] = empty

    def _block(self, number: int) -> Block:
        entry = Open(bytes([number + 1]) * 16, 0, self.roots[0].public, ((0, 10, 100),))
        built = build_block(
            self.book, self.chain, [EntryWish(entry)], time=NOW, adopt=0,
            salt=lambda size: bytes([number]) * size,
        )  # fmt: skip
        assert built.block is not None, built.refused
        return built.block

    # --- One step of the real witness -----------------------------------------------------------

    def _short(self, disk: SimDisk) -> Local:
        data = disk.get("vote", self.chain)
        row = VoteRow() if data is None else decode_row(data)
        bodies = tuple(sorted(self.number[key[-32:]] for key, _ in disk.scan("body", self.chain)))
        opened = None
        if row.opened is not None and (row.vote is None or row.vote.term != row.opened.term):
            # Once it has voted in the term, what it was opened with is of no more use.
            opened = self.term_number[row.opened.term], self.number.get(row.opened.keep, -1)
        return (
            self.term_number.get(row.promised, 0),
            opened,
            row.vote and (self.term_number[row.vote.term], self.number[row.vote.block]),
            row.lock
            and (
                self.term_number[row.lock.term],
                self.number[row.lock.block],
                len(row.lock.signatures),
            ),
            bodies,
            any(True for _ in disk.scan("fraud")),
        )

    def step(self, local: Local, move: Any) -> tuple[Local, tuple[Any, ...]]:
        """Return what a witness in this state does: its next state, and what it says."""
        known = self._memo.get((local, move))
        if known is not None:
            return known
        self.steps_tried += 1
        disk = self._disks[local].copy(votes=True)
        witness = Witness(self.book, self.witnesses[0], disk, verify_mac)
        done = witness.handle(b"", self._message(move), NOW)
        disk.commit(done.writes)
        after = self._short(disk)
        if after not in self._disks:
            self._disks[after] = disk
            self._origin[after] = (local, move)
        said = tuple(
            symbol
            for symbol in (self._symbol(send.message) for send in done.sends)
            if symbol is not None
        )
        self._memo[(local, move)] = (after, said)
        return after, said

    def _message(self, move: Any) -> Message:
        kind: str = move[0]
        t: int = move[1]
        term, key = self.term[t], self.writers[0]
        if kind == "prepare":
            return wire.Prepare.sign(key, self.fed, self.chain, term)
        if kind == "open":
            promises = tuple(
                self._promise(place, t, lock) for place, lock in enumerate(move[2])
            )
            return wire.Opening(self.chain, term, promises)
        if kind == "propose":
            block: int = move[2]
            return wire.Propose.sign(key, self.fed, term, self.blocks[block])
        return wire.Lock(self._votes(t, move[2], move[3]))

    def _promise(self, place: int, t: int, lock: LockSymbol | None) -> wire.Promise:
        at, votes = None, b""
        if lock is not None:
            at = LockAt(1, self.term[lock[0]], self.blocks[lock[1]].hash)
            votes = self._votes(*lock).encode() if lock[2] else b""
        start = genesis_hash(self.fed, self.chain)
        return wire.Promise.sign(
            self.witnesses[place], self.fed, self.chain, self.term[t], 0, start, at, lock_qc=votes
        )

    def _votes(self, t: int, block: int, count: int) -> VoteQC:
        H = self.blocks[block].hash
        body = vote_body(0, self.chain, 1, self.term[t], H, 1)
        signatures = tuple(
            signing.sign(key, signing.VOTE, self.fed, body) for key in self.witnesses[:count]
        )
        bitmap = make_bitmap(range(count), WITNESSES)
        return VoteQC(0, self.chain, 1, self.term[t], H, bitmap, signatures, (1,) * count)

    def _symbol(self, message: Message) -> Any:
        if isinstance(message, wire.Promise):
            lock = message.lock
            shown: LockSymbol | None = None
            if lock is not None:
                votes = len(message.lock_votes().signatures) if message.lock_qc else 0
                shown = (self.term_number[lock.term], self.number[lock.block], votes)
            return ("promise", self.term_number[message.term], shown)
        if isinstance(message, wire.Vote):
            return ("vote", self.term_number[message.term], self.number[message.block])
        if isinstance(message, wire.Commit):
            return ("commit", self.term_number[message.term], self.number[message.block])
        return None

    # --- The search -----------------------------------------------------------------------------

    def explore(self) -> int:
        """Return the number of states. Raises: Violation."""
        first: History = (self.start, frozenset(), frozenset(), frozenset())
        self._ids: dict[History, int] = {}
        self._histories: list[History] = []
        self._swapped: list[int] = []
        self._said: list[int] = []
        self._sayings: dict[Any, int] = {}
        self._offers: list[list[tuple[int, int]]] = []
        self._offer_lists: dict[tuple[tuple[int, int], ...], int] = {}
        self._offer_numbers: dict[tuple[int, ...], int] = {}
        self._effects: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self._numbers: dict[Move, int] = {}
        self._sequences: list[Move] = []
        one = self._id(first)
        # The lowest rank each state was reached with: with a higher one less can be done.
        seen: dict[tuple[int, int, int], int] = {(one, one, one): 0}
        queue: deque[State] = deque([(one, one, one, 0)])
        while queue:
            state = queue.popleft()
            if seen[state[:3]] < state[3]:
                continue
            for after in self._next(state):
                self.transitions += 1
                known = seen.get(after[:3])
                if known is None or after[3] < known:
                    seen[after[:3]] = after[3]
                    if len(seen) > STATES_MAX:
                        raise AssertionError("the search does not end")
                    queue.append(after)
        return len(seen)

    def _id(self, history: History) -> int:
        found = self._ids.get(history)
        if found is None:
            found = self._ids[history] = len(self._histories)
            self._histories.append(history)
            self._swapped.append(-1)
            said = history[1], history[2]
            self._said.append(self._sayings.setdefault(said, len(self._sayings)))
        return found

    def _mirror(self, id: int) -> int:
        """Return the same history with the two blocks exchanged."""
        found = self._swapped[id]
        if found < 0:
            local, promises, votes, commits = self._histories[id]
            other: History = (
                self._mirrored(local),
                frozenset((t, _other(lock)) for t, lock in promises),
                frozenset((t, 1 - block) for t, block in votes),
                frozenset((t, 1 - block) for t, block in commits),
            )
            found = self._id(other)
            self._swapped[id], self._swapped[found] = found, id
        return found

    def _mirrored(self, local: Local) -> Local:
        """Return the same local state with the two blocks exchanged, and make its disk."""
        promised, opened, vote, lock, bodies, fraud = local
        swapped: Local = (
            promised,
            opened and (opened[0], opened[1] if opened[1] < 0 else 1 - opened[1]),
            vote and (vote[0], 1 - vote[1]),
            _other(lock),
            tuple(sorted(1 - body for body in bodies)),
            fraud,
        )
        if swapped not in self._disks:
            before, move = self._origin[local]
            kind, t = move[0], move[1]
            mirrored = move
            if kind == "open":
                promises = sorted((_other(lock) for lock in move[2]), key=_by_term)
                mirrored = (kind, t, tuple(promises))
            elif kind != "prepare":
                mirrored = (kind, t, 1 - move[2], *move[3:])
            reached, _ = self.step(self._mirrored(before), mirrored)
            assert reached == swapped, "the two blocks are treated alike"
        return swapped

    def _canonical(self, moved: int, others: tuple[int, int], rank: int) -> State:
        low, high = sorted(others)
        mirrored = self._mirror(moved)
        low_m, high_m = sorted(self._mirror(id) for id in others)
        return min((moved, low, high, rank), (mirrored, low_m, high_m, rank))

    def _next(self, state: State) -> set[State]:
        ids, last = state[:3], state[3]
        found: set[State] = set()
        offer = self._offer(ids)
        for place in range(CORRECT):
            if place == 2 and ids[1] == ids[2]:
                continue
            id = ids[place]
            others = (ids[1], ids[2]) if place == 0 else (ids[0], ids[3 - place])
            effects = self._effects.get((id, offer))
            if effects is None:
                effects = self._effects[(id, offer)] = self._all_effects(id, offer)
            for rank, moved, number in effects:
                if place and rank < last:
                    continue  # another order of the same events is explored instead
                if number >= 0:
                    self._check([moved, *others], self._sequences[number])
                found.add(self._canonical(moved, others, rank))
        return found

    def _all_effects(self, id: int, offer: int) -> list[tuple[int, int, int]]:
        """Return rank, next history, and the number of the sequence when there is a new commit."""
        found: dict[tuple[int, int], int] = {}
        for rank, number in self._offers[offer]:
            moved = self._take(id, self._sequences[number])
            if moved != id:
                new = self._histories[moved][3] != self._histories[id][3]
                found.setdefault((moved, rank), number if new else -1)
        return [(rank, moved, number) for (moved, rank), number in found.items()]

    def _take(self, id: int, move: Move) -> int:
        """Return the history after a sequence of messages, the same one when it leads nowhere."""
        local, promises, voted, committed = self._histories[id]
        _, aim, sequence = move
        after, said = local, tuple[Any, ...]()
        for message in sequence:
            after, more = self.step(after, message)
            said += more
        if not any(symbol[:2] == aim for symbol in said):
            return id
        return self._id(
            (
                after,
                promises | {s[1:] for s in said if s[0] == "promise"},
                voted | {s[1:] for s in said if s[0] == "vote"},
                committed | {s[1:] for s in said if s[0] == "commit"},
            )
        )

    def _offer(self, ids: tuple[int, ...]) -> int:
        """Return the number of the list of all that can be shown, given what has been said."""
        said = tuple(sorted(self._said[id] for id in ids))
        known = self._offer_numbers.get(said)
        if known is None:
            histories = [self._histories[id] for id in ids]
            votes: dict[tuple[int, int], int] = {}
            for _, _, voted, _ in histories:
                for vote in voted:
                    votes[vote] = votes.get(vote, 0) + 1
            # The liar's vote is there for the asking; more than a quorum says nothing more.
            quorums = [
                (t, block, min(count + 1, QUORUM)) for (t, block), count in sorted(votes.items())
            ]
            offered: list[tuple[int, int]] = []
            for move in self._moves(histories, quorums):
                number = self._numbers.setdefault(move, len(self._sequences))
                if number == len(self._sequences):
                    self._sequences.append(move)
                offered.append((move[0], number))
            # Many things said come to the same list.
            known = self._offer_lists.setdefault(tuple(offered), len(self._offers))
            if known == len(self._offers):
                self._offers.append(offered)
            self._offer_numbers[said] = known
        return known

    def _moves(
        self, histories: list[History], quorums: list[LockSymbol]
    ) -> list[Move]:
        """Return what the adversary can show a correct witness: rank, aim, and the messages.

        A sequence counts only when it reaches its aim: that the witness promises, votes, commits.
        """
        moves: list[Move] = []
        terms = range(1, self.terms + 1)
        for t in terms:
            prepare = ("prepare", t)
            moves.append((4 * t, ("promise", t), (prepare,)))
            for block in range(2):
                propose = ("propose", t, block)
                moves.append((4 * t + 2, ("vote", t), (propose,)))
                for promises in self._openings(t, histories, quorums):
                    opening = ("open", t, promises)
                    moves.append((4 * t + 2, ("vote", t), (prepare, opening, propose)))
                    for above in range(t + 1, self.terms + 1):
                        # What a correct witness refuses: a vote below what it has promised since.
                        later = (prepare, opening, ("prepare", above), propose)
                        moves.append((4 * t + 2, ("vote", t), later))
        for quorum in quorums:
            aim = ("commit", quorum[0])
            sequence = (("prepare", quorum[0]), ("lock", *quorum))
            moves.append((4 * quorum[0] + 3, aim, sequence))
        return moves

    def _openings(
        self, t: int, histories: list[History], quorums: list[LockSymbol]
    ) -> list[tuple[LockSymbol | None, ...]]:
        """Return one list J for each thing that a list can make a witness keep.

        What J says is the same to every witness: it is asked of one that has promised nothing.
        """
        pools = self._pools(t, histories, quorums)
        key = (t, tuple(sorted(tuple(sorted(map(_by_term, pool))) for pool in pools)))
        known = self._lists.get(key)
        if known is None:
            outcomes: dict[Any, tuple[LockSymbol | None, ...]] = {}
            for promises in sorted(self._promises(pools), key=lambda js: [_by_term(j) for j in js]):
                after, _ = self.step(self.start, ("open", t, promises))
                if after != self.start:
                    outcomes.setdefault(after, promises)
            known = self._lists[key] = list(outcomes.values())
        return known

    def _pools(
        self, t: int, histories: list[History], quorums: list[LockSymbol]
    ) -> list[set[LockSymbol | None]]:
        """Return what each witness has promised for a term, the liar's promises at the end."""
        pools: list[set[LockSymbol | None]] = []
        for _, promises, _, _ in histories:
            pool: set[LockSymbol | None] = set()
            for term, lock in promises:
                if term == t:
                    pool.add(lock)
                    if lock is not None:
                        pool.add((lock[0], lock[1], 0))  # without its votes
            if pool:
                pools.append(pool)
        lies: set[LockSymbol | None] = {None}
        lies |= {quorum for quorum in quorums if quorum[0] < t}
        lies |= {(below, block, 0) for below in range(1, t) for block in range(2)}
        pools.append(lies)
        return pools

    def _promises(
        self, pools: list[set[LockSymbol | None]]
    ) -> set[tuple[LockSymbol | None, ...]]:
        """Return the lists J that a lying writer can show."""
        found: set[tuple[LockSymbol | None, ...]] = set()
        for size in (QUORUM - 1, QUORUM):
            for chosen in itertools.combinations(pools, size):
                for promises in itertools.product(*chosen):
                    found.add(tuple(sorted(promises, key=_by_term)))
        return found

    def _check(self, ids: list[int], move: Any) -> None:
        commits: dict[tuple[int, int], int] = {}
        for id in ids:
            for commit in self._histories[id][3]:
                commits[commit] = commits.get(commit, 0) + 1
        # With the liar's commit.
        certified = {block for (_, block), count in commits.items() if count + 1 >= QUORUM}
        if len(certified) > 1:
            told = "\n".join(str(self._histories[id]) for id in ids)
            raise Violation(f"two blocks can be certified at one height, after {move}:\n{told}")


def main(arguments: list[str] | None = None) -> int:
    """Explore and say how far it went."""
    parser = argparse.ArgumentParser(prog="simulation.ledger.explorer", description=__doc__)
    parser.add_argument("--terms", type=int, default=3)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    explorer = Explorer(options.terms)
    states = explorer.explore()
    print(
        f"one height, {CORRECT} correct witnesses and a liar, {options.terms} terms: {states} "
        f"states, {explorer.transitions} transitions, {explorer.steps_tried} steps of the real "
        f"witness, no two blocks certifiable ({time.monotonic() - began:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
