"""Make the ledger of a synthetic federation: signed for real, the same from the same seed.

    corpus = make_corpus(folder, transfers=1_000, seed=7)     # an export directory
    python -m support.ledger_corpus FOLDER TRANSFERS          # with tests/ on the path

Every order is signed by its member, every block certified by a quorum. Chains are built side by
side in processes, round by round: what a coop sends in a round, the others take in the next.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from maillon.ledger.block import (
    Block,
    Body,
    Evidence,
    Header,
    Placed,
    decode_block,
    entries_size,
)
from maillon.ledger.charter import CharterChain
from maillon.ledger.charter_entries import Retire, SetKey
from maillon.ledger.charter_rules import heads_root
from maillon.ledger.check import Head
from maillon.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from maillon.ledger.context import Context
from maillon.ledger.entries import (
    Entry,
    Hold,
    In,
    Intra,
    Limit,
    Member,
    Open,
    Out,
    Post,
    Return,
    Settle,
    Void,
    message_of,
    sign_confirmation,
    sign_release,
)
from maillon.ledger.errors import LedgerError
from maillon.ledger.limits import BALANCE_MAX, BODY_BYTES_MAX, ENTRIES_MAX
from maillon.ledger.orders import (
    COMMONS,
    Action,
    HoldAction,
    MandateAction,
    Order,
    PayAction,
    sign_order,
)
from maillon.ledger.quorum import Certificate
from maillon.ledger.rules import apply_entry
from maillon.ledger.signing import inline_verify
from maillon.ledger.state import ChainState
from maillon.ledger.tool.files import ExportWriter
from maillon.protocol.founding import Founding
from support.ledger_people import (
    CATEGORIES,
    MEMBERS_LIMIT,
    START,
    FastKey,
    Plan,
    account_of,
    certify,
    charter_block,
    key_of,
    make_founding,
    witness_keys,
)

__all__ = [
    "ChainMaker",
    "FastKey",
    "Made",
    "Plan",
    "Sent",
    "account_of",
    "certify",
    "key_of",
    "make_corpus",
]

Put = Callable[[Entry], None]


@dataclass(frozen=True)
class Sent:
    """A message on its way: the entry that carries it, and the block it stands in."""

    target: bytes
    n: int
    header: Header
    certificate: Certificate
    index: int
    salt: bytes
    data: bytes
    path: tuple[bytes, ...]


@dataclass
class Made:
    """What a chain's maker hands back after a round."""

    chain: bytes
    blocks: list[bytes]
    sent: list[Sent]
    head: tuple[bytes, bytes]
    pin: tuple[int, bytes]
    history_size: int
    history_root: bytes


@dataclass
class Person:
    """A member who pays: the account, its key, the last sequence number used."""

    account: bytes
    key: FastKey
    seq: int = 0
    holds: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])


class ChainMaker:
    """Build one coop's chain."""

    def __init__(self, plan: Plan, founding: Founding, place: int) -> None:
        self.plan = plan
        self.fed: bytes = founding.fed
        self.charter = CharterChain(founding, None, inline_verify)
        self.coops: list[bytes] = [coop.id for coop in founding.coops]
        self.chain = self.coops[place]
        self.rng = random.Random(f"{plan.seed} {place}")
        self.head = Head.genesis(self.fed, self.chain, 0)
        self.state = ChainState(self.chain)
        self.people = [
            Person(
                account_of(plan, place, i),
                key_of(plan.seed, "member", place, i),
            )
            for i in range(plan.members)
        ]
        self.accounts = {
            coop: [account_of(plan, other, i) for i in range(plan.members)]
            for other, coop in enumerate(self.coops)
        }
        self.opened = False
        self.time = START
        self._bodies: dict[bytes, bytes] = {}

    def adopt(self, blocks: Sequence[bytes]) -> None:
        """Take over certified charter blocks; the next block adopts the last of them."""
        for data in blocks:
            block = decode_block(data)
            self.charter.apply(block, block.certificate)

    def round(self, arrivals: list[Sent], transfers: int) -> Made:
        """Build blocks until `transfers` payments are made and the arrivals are taken."""
        blocks: list[bytes] = []
        sent: list[Sent] = []
        if not self.opened:
            self.opened = True
            opens: list[Entry] = [
                Open(
                    p.account,
                    0,
                    p.key.public,
                    ((0, MEMBERS_LIMIT, BALANCE_MAX), (1, MEMBERS_LIMIT, BALANCE_MAX)),
                )
                for p in self.people
            ]
            for start in range(0, len(opens), 128):
                blocks.append(self._block(opens[start : start + 128], [], sent))
        waiting = list(arrivals)
        while transfers > 0 or waiting:
            taken = waiting[: self.plan.per_block // 2]
            del waiting[: len(taken)]
            count = min(transfers, max(1, self.plan.per_block - len(taken))) if transfers else 0
            transfers -= count
            blocks.append(self._block(None, taken, sent, count))
        if self.charter.height > self.head.adopted:
            blocks.append(self._block([], [], sent))
        assert self.head.header is not None
        assert self.head.certificate is not None
        return Made(
            self.chain,
            blocks,
            sent,
            (self.head.header.encoded, self.head.certificate.encode()),
            (self.head.h, self.head.hash),
            self.head.h + 1,
            self.head.history.root(),
        )

    def _block(
        self, given: list[Entry] | None, arrivals: list[Sent], sent: list[Sent], count: int = 0
    ) -> bytes:
        self.time += self.rng.randrange(600, 5_400) * self.plan.pace
        c = self.head.adopted
        facts = {(a.header.chain, a.header.hash): a.header for a in arrivals}
        evidence = {a.header.hash: Evidence(a.header, a.header, a.certificate) for a in arrivals}
        fork = self.state.fork()
        context = Context(self.fed, self.chain, self.charter.state(c), self.time, facts)
        placed: list[tuple[Placed, Entry]] = []
        size = sum(len(proof.encode()) for proof in evidence.values()) + 16

        def put(entry: Entry) -> None:
            nonlocal size
            apply_entry(fork, entry, context)
            data = entry.encode()
            size += len(data) + 48
            placed.append((Placed(self.rng.randbytes(32), data), entry))

        for entry in given or ():
            put(entry)
        for a in arrivals:
            parts = (a.header.chain, a.header.hash, a.index, a.salt, a.data, a.path)
            try:
                put(In(*parts))
            except LedgerError:  # refused entries change nothing: it goes back instead
                put(Return(*parts, fork.channel(a.header.chain).sent + 1))
        made = 0
        while made < count and len(placed) < ENTRIES_MAX and size < BODY_BYTES_MAX - 8_192:
            made += self._something(fork, put)
        body = Body(tuple(one for one, _ in placed), tuple(evidence.values()))
        header = Header(
            self.fed,
            self.chain,
            self.head.h + 1,
            self.head.hash,
            c,
            self.charter.height,
            self.time,
            body.root(),
            len(placed),
            fork.root(),
            self.head.history.root(),
            entries_size([len(one.data) for one, _ in placed]),
        )
        committee = self.charter.state(c).committee()
        certificate = certify(self.plan, header, committee, c)
        block = Block(header, body, certificate.encode())
        self.state.absorb(fork)
        self.head = self.head.after(header, certificate)
        for index, (one, entry) in enumerate(placed):
            message = message_of(entry, one.leaf(), self.fed)
            if message is not None:
                path = tuple(body.path(index))
                sent.append(
                    Sent(
                        message.to_coop,
                        message.n,
                        header,
                        certificate,
                        index,
                        one.salt,
                        one.data,
                        path,
                    )
                )
        return block.encode()

    # --- entries ---

    def _something(self, fork: ChainState, put: Put) -> int:
        """Put one entry or a few; return how many of them are payments."""
        rng, plan = self.rng, self.plan
        payer = rng.choice(self.people)
        if rng.random() < plan.variety:
            return self._variety(fork, put, payer)
        if len(self.coops) > 1 and rng.random() < plan.cross:
            coop = rng.choice([c for c in self.coops if c != self.chain])
            # Now and then somebody mistypes an account: the payment comes back.
            account = (
                rng.choice(self.accounts[coop])
                if rng.random() >= plan.mistyped
                else rng.randbytes(16)
            )
            order = self._pay(payer, coop, account, rng.randrange(2), rng.randrange(1, 240))
            put(Out(order, fork.channel(coop).sent + 1))
            return 1
        payee = rng.choice([p for p in self.people if p is not payer])
        put(
            Intra(
                self._pay(payer, self.chain, payee.account, rng.randrange(2), rng.randrange(1, 240))
            )
        )
        return 1

    def _pay(self, payer: Person, coop: bytes, account: bytes, unit: int, amount: int) -> Order:
        ref = self.rng.randbytes(32) if self.rng.random() < 0.5 else bytes(32)
        action = PayAction(coop, account, unit, amount, ref, self.rng.choice(CATEGORIES))
        return self._order(payer, action)

    def _order(self, payer: Person, action: Action) -> Order:
        payer.seq += 1
        return sign_order(
            payer.key, self.fed, payer.account, payer.seq, self.chain, self.time + 86_400, action
        )

    def _variety(self, fork: ChainState, put: Put, payer: Person) -> int:
        rng = self.rng
        what = rng.randrange(7)
        payee = rng.choice([p for p in self.people if p is not payer])
        if what == 0 and payer.holds:
            name, coop = payer.holds.pop()
            confirmation = sign_confirmation(payer.key, self.fed, self.chain, name)
            if coop == self.chain:
                put(Post(payer.account, name, confirmation, 0))
            else:
                body = self._bodies.pop(name)
                put(Post(payer.account, name, confirmation, fork.channel(coop).sent + 1, body))
            return 1
        if what == 1 and payer.holds:
            name, coop = payer.holds.pop(0)
            self._bodies.pop(name, None)
            key = key_of(self.plan.seed, "payee")
            put(Void(payer.account, name, sign_release(key, self.fed, self.chain, name)))
            return 0
        if what in (0, 1, 2):
            if len(payer.holds) > 8:
                return 0
            other = rng.choice(self.coops)
            account = payee.account if other == self.chain else rng.choice(self.accounts[other])
            action = HoldAction(
                other, account, rng.randrange(2), rng.randrange(1, 90), bytes(32), "garde",
                self.time + 30 * 86_400, key_of(self.plan.seed, "payee").public,
            )  # fmt: skip
            order = self._order(payer, action)
            name = order.id(self.fed)
            put(Hold(order))
            payer.holds.append((name, other))
            self._bodies[name] = order.body
            return 0
        if what == 3:
            put(Limit(payer.account, 0, MEMBERS_LIMIT + rng.randrange(100), BALANCE_MAX))
            return 0
        if what == 4:
            put(Settle(COMMONS, 2, 1, self.chain, payee.account, bytes(32), 0))
            return 1
        if what == 5:
            put(Intra(self._pay(payer, self.chain, payee.account, 2, 1)))
            return 1
        known = fork.account(payer.account)
        if known is not None and len(known.mandates) < 3:
            action2 = MandateAction(
                rng.randbytes(16),
                payee.key.public,
                ((0, 600),),
                7 * 86_400,
                self.time,
                self.time + 90 * 86_400,
            )
            put(Member(self._order(payer, action2)))
        return 0


# --- All chains side by side ---------------------------------------------------------------------


def _serve(pipe: Connection, plan: Plan, founding: Founding, places: Sequence[int]) -> None:
    """Build some of the chains in a process of their own."""
    makers = {place: ChainMaker(plan, founding, place) for place in places}
    while (job := pipe.recv()) is not None:
        charter, rounds = job
        for maker in makers.values():
            maker.adopt(charter)
        pipe.send([makers[place].round(*rounds[place]) for place in places])
    pipe.close()


class _Here:
    """The same as a process, without one."""

    def __init__(self, plan: Plan, founding: Founding, places: Sequence[int]) -> None:
        self._makers = {place: ChainMaker(plan, founding, place) for place in places}
        self._answer: list[Made] = []

    def send(self, job: tuple[list[bytes], dict[int, tuple[list[Sent], int]]] | None) -> None:
        if job is not None:
            charter, rounds = job
            for maker in self._makers.values():
                maker.adopt(charter)
            self._answer = [maker.round(*rounds[i]) for i, maker in self._makers.items()]

    def recv(self) -> list[Made]:
        return self._answer


def make_corpus(
    folder: Path, plan: Plan, *, processes: int = 1, rounds: int = 4, drain: bool = False
) -> CharterChain:
    """Write the export of a federation with `plan.transfers` payments; return its charter.

    With `drain` every message arrives in the end; otherwise the last round's are on their way.
    """
    file = make_founding(plan)
    founding = file.founding
    fed: bytes = founding.fed
    coops: list[bytes] = [coop.id for coop in founding.coops]
    charter = CharterChain(founding, None, inline_verify)
    writer = ExportWriter(folder, fed)
    writer.founding(file.encode())
    shares = [list(range(plan.coops))[i::processes] for i in range(min(processes, plan.coops))]
    workers: list[Connection | _Here] = []
    running: list[multiprocessing.Process] = []
    for share in shares:
        if processes == 1:
            workers.append(_Here(plan, founding, share))
            continue
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(
            target=_serve, args=(theirs, plan, founding, share), daemon=True
        )
        process.start()
        running.append(process)
        workers.append(ours)
    waiting: dict[int, list[Sent]] = {i: [] for i in range(plan.coops)}
    left = [
        plan.transfers // plan.coops + (i < plan.transfers % plan.coops) for i in range(plan.coops)
    ]
    step = [max(1, -(-count // rounds)) for count in left]
    last: dict[bytes, Made] = {}
    number = 0
    while any(left) or (drain and any(waiting.values())):
        new: list[bytes] = []
        if plan.epochs and number == rounds // 2:
            key = witness_keys(plan, 1)[0].public
            new.append(charter_block(plan, charter, [SetKey(coops[0], "witness", key)], START + 1))
        if plan.epochs and number == rounds // 2 + 1:
            pins = tuple(sorted((chain, *made.pin) for chain, made in last.items()))
            new.append(charter_block(plan, charter, [Retire(1, heads_root(pins), pins)], START + 2))
        jobs = {i: (waiting[i], min(left[i], step[i])) for i in range(plan.coops)}
        for i in range(plan.coops):
            left[i] -= jobs[i][1]
        waiting = {i: [] for i in range(plan.coops)}
        for worker, share in zip(workers, shares, strict=True):
            worker.send((new, {i: jobs[i] for i in share}))
        writer.append(None, new)
        for worker in workers:
            for made in worker.recv():
                writer.append(made.chain, made.blocks)
                last[made.chain] = made
                for sent in made.sent:
                    waiting[coops.index(sent.target)].append(sent)
        for one in waiting.values():
            one.sort(key=lambda sent: (sent.header.chain, sent.n))
        number += 1
    for worker in workers:
        worker.send(None)
    for process in running:
        process.join()
    heads = [last[coop].head for coop in coops]
    for i in range(plan.coops):
        writer.heads(key_of(plan.seed, "node", i).public, heads)
    for i, coop in enumerate(coops):
        made = last[coop]
        checkpoint = Checkpoint.of(fed, coop, made.history_size, made.history_root)
        log = key_of(plan.seed, "writer", i)
        note = sign_checkpoint(checkpoint, log.public, log.raw)
        for witness in witness_keys(plan, charter.height):
            note = cosign(note, witness.public, witness.raw, START + 86_400)
        writer.checkpoint(coop, note.encode())
    writer.commit(START + 400 * 86_400, key_of(plan.seed, "node", 0).public)
    return charter


def main(arguments: Sequence[str]) -> int:
    """Make a corpus from the command line."""
    parser = argparse.ArgumentParser(prog="ledger_corpus")
    parser.add_argument("folder", type=Path)
    parser.add_argument("transfers", type=int)
    parser.add_argument("--coops", type=int, default=4)
    parser.add_argument("--members", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    plan = Plan(given.transfers, given.coops, given.members, seed=given.seed)
    rounds = max(4, given.transfers // 40_000)
    make_corpus(given.folder, plan, processes=given.processes, rounds=rounds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
