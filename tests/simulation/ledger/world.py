"""A federation with its accounts, out of one seed: machines, people, faults, liars, and an end.

The end is a healed network: every honest chain then has to go on within a bounded time, all honest
machines have to agree with each other and with the naive model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

from maillon.ledger import signing
from maillon.ledger.charter import refounding_body
from maillon.ledger.charter_entries import CharterEntry, Refound, SetLimit, SetTrustee
from maillon.ledger.entries import Open
from maillon.ledger.quorum import encode_refounding
from maillon.ledger.state import ChainState
from maillon.protocol.ids import CoopId
from simulation.ledger.faults import Faults
from simulation.ledger.machine import Machine
from simulation.ledger.model import Broken, Chain, Model, need
from simulation.ledger.net import Weather
from simulation.ledger.plan import default_quorum
from simulation.ledger.stage import START_S, Coop

HEAL_S = 900
"""Simulated seconds after healing within which everything has to be done."""


MENDINGS_MAX = 4
"""Times that something may come to light after healing that an assembly has to decide on."""


class World(Faults):
    """One run."""

    def run(self) -> dict[str, int]:
        """Run to the end. Raises: Broken, and whatever a machine raises that it must not."""
        plan = self.plan
        self.clock.note("plan", plan)
        weather = self.net.weather
        weather.latency_ms, weather.double = plan.latency_ms, plan.double
        weather.slow, weather.loss = plan.slow, plan.loss
        for coop in self.coops[: plan.coops]:
            self._add_machine(coop)
        self.clock.after(10, self.clients.open_all)
        self._schedule()
        self.clock.run_until((START_S + plan.active_s) * 1_000)
        self.heal()
        self.check_end()
        return self.figures()

    def heal(self) -> None:
        """Let everything be well again, and see that it gets well."""
        self.clock.note("heals")
        self.healed = True
        self.net.weather = Weather(latency_ms=20)
        self.net.island.clear()
        self.net.deaf.clear()
        for clone in self.clones:
            clone.switch_off()
            # As docs/operator.md says: whoever stops a copy starts the node again. A block that the
            # copy had certified and told nobody of is found by the next term, and an idle writer
            # opens none (spec/06-ledger, P1).
            for machine in self.machines:
                if machine.coop is clone.coop:
                    machine.power_off(None)
        for machine in self.machines:
            machine.crash_at = ""
            machine.boot()
        self._wait("all machines agree", self._alike, HEAL_S)
        self._mend()
        self._probe("healed")
        if self.plan.retire:
            self._retire()
        if self.plan.refound and self._refound():
            self._probe("founded again")

    def _wait(self, claim: str, done: Callable[[], bool], seconds: int) -> None:
        end = self.clock.now_ms + seconds * 1_000
        while self.clock.now_ms < end:
            if done():
                return
            self.clock.run_until(self.clock.now_ms + 3_000)
        if not done():
            raise Broken(f"progress after healing: not within {seconds} s: {claim}{self._why()}")

    def _persist(self, claim: str, act: Callable[[], None], done: Callable[[], bool]) -> None:
        """Try again and again, as people do, for as long as healing may take."""
        for _ in range(10):
            if done():
                return
            act()
            again = self.clock.now_ms + HEAL_S * 100
            while self.clock.now_ms < again and not done():
                self.clock.run_until(self.clock.now_ms + 3_000)
        if not done():
            raise Broken(f"progress after healing: {claim}{self._why()}")

    def _mend(self) -> None:
        """Do what assemblies have to do: clear frozen chains, and entrust those without a node."""
        for chain, fraud in list(self.frauds):
            if self._frozen(chain, fraud):
                self._persist(
                    "frozen chains are cleared",
                    partial(self.clear, chain, fraud),
                    partial(self._cleared, chain, fraud),
                )
        left = [coop for coop in self.coops if self._has_left(coop)]
        for coop in (*self.gone, *(coop for coop in left if coop not in self.gone)):
            self._entrust(coop)

    def _mended(self) -> bool:
        return not any(self._frozen(*fraud) for fraud in self.frauds) and not any(
            self._abandoned(coop) for coop in self.coops
        )

    def _frozen(self, chain: bytes, fraud: bytes) -> bool:
        """Say whether the chain of a member waits to be cleared."""
        member = self._member(self.charter.latest, self.coop_of(chain))
        return member and not self._cleared(chain, fraud)

    def _abandoned(self, coop: Coop) -> bool:
        """Say whether nobody who is there may write on a coop's chain, and somebody could."""
        known = self.charter.latest.coops.get(coop.id)
        if known is None or not (known.removed or coop in self.gone):
            return False
        entrusted = known.trustee and self.coop_of(known.trustee) not in self.gone
        return not entrusted and bool(self._trustees())

    def _trustees(self) -> list[Coop]:
        state = self.charter.latest
        return [
            c for c in self.coops if self._member(state, c) and not c.crook and c not in self.gone
        ]

    def _why(self) -> str:
        lines: list[str] = []
        for machine in self.machines:
            if machine.up:
                heads = {c[:3].hex(): machine.book.head(c).h for c in machine.chains()}
                state = {c[:3].hex(): w.status for c, w in machine.writers.items()}
                lines.append(f"\n  {machine.name}: heads {heads} writers {state}")
        return "".join(lines)

    def _honest(self) -> list[Machine]:
        return [m for m in self.machines if m.up and not m.over]

    def _alike(self) -> bool:
        """Say whether all machines have the same heads."""
        heads = [
            {chain: machine.book.head(chain).hash for chain in machine.chains()}
            for machine in self._honest()
        ]
        return all(one == heads[0] for one in heads)

    def _agree(self) -> bool:
        """Say whether all machines stand where the model stands: nothing certified is lost."""
        chains = [self.fed, *self.charter.latest.coops]
        return all(
            chain in machine.chains() and machine.book.head(chain).h == self.observer.height(chain)
            for machine in self._honest()
            for chain in chains
        ) and not any(self.observer.waiting.values())

    def _cleared(self, chain: bytes, fraud: bytes) -> bool:
        return (chain, fraud) in self.charter.latest.cleared

    def _has_left(self, coop: Coop) -> bool:
        known = self.charter.latest.coops.get(coop.id)
        return known is not None and known.removed

    def _entrust(self, coop: Coop) -> None:
        state = self.charter.latest
        known = state.coops.get(coop.id)
        if known is None or (known.removed and self.coop_of(known.trustee) not in self.gone):
            return
        trustees = self._trustees()
        if not trustees:
            return
        if not known.trustee or self.coop_of(known.trustee) in self.gone:
            entry = SetTrustee(coop.id, trustees[0].id)
            self._persist(
                "an absent coop gets a trustee",
                partial(self._propose_all, [entry]),
                lambda: self.charter.latest.coops[coop.id].trustee == trustees[0].id,
            )
        self.count("chains continued by a trustee")
        for machine in self._honest():
            machine.start_writers()

    def coop_of(self, id: bytes) -> Coop:
        """Return the coop of an id."""
        return next(coop for coop in self.coops if coop.id == id)

    def _propose_all(self, entries: Sequence[CharterEntry]) -> None:
        """Let somebody propose what all coops approve."""
        openers = self._openers()
        state = self.charter.latest
        members = [c for c in self.coops if self._member(state, c)]
        if openers:
            self.rng.choice(openers).propose(entries, members, enough=True)

    def _retire(self) -> None:
        """Retire the epochs that all chains have left, and see that all goes on."""
        below = self.charter.latest.retired_below

        def propose() -> None:
            entries = self._retirement()
            if entries is not None:
                self._propose_all(entries)

        if self._retirement() is not None:
            self._persist(
                "old epochs are retired",
                propose,
                lambda: self.charter.latest.retired_below > below,
            )
            self.count("retirements in the end")
            self._probe("retired")

    def _refound(self) -> bool:
        """Lose too many witnesses for good, and found the federation again from its heads."""
        state = self.charter.latest
        members = [c for c in self.coops if self._member(state, c)]
        alive = [c for c in members if self._serves(c)]
        lost = self.rng.sample(alive, len(alive) - state.quorum + 1)
        left = [c for c in alive if c not in lost and c not in self.gone]
        if not left or self.gone or len(lost) >= len(alive):
            return False
        self._wait("all machines agree", self._agree, HEAL_S)
        self.count("federations founded again")
        for coop in lost:
            self.by_witness[coop.witness.public].witness = None
            self.dead.add(coop.witness.public)
        keys = {
            coop.id: (coop.writer.public, self._next_key(coop, "witness").public)
            if coop in lost or not self._serves(coop)
            else (coop.writer.public, coop.witness.public)
            for coop in members
        }
        heads = tuple(
            (CoopId(id), self.model.chain(id).h, self.model.chain(id).H)
            for id in sorted(state.coops)
        )
        coops = tuple((CoopId(id), *keys[CoopId(id)]) for id in sorted(keys))
        quorum = default_quorum(len(members))
        machine = next(m for m in self._honest() if m.coop in left and m.writes)
        charter = machine.book.charter
        proposal = charter.propose([Refound(heads, coops, quorum)])
        block = charter.build(proposal.entries, (), time=machine.now)
        signers = self.rng.sample(members, -(-2 * len(members) // 3))
        body = refounding_body(block)
        proof = encode_refounding(
            {c.id: signing.sign(c.root, signing.REFOUND, self.fed, body) for c in signers}
        )
        self.observer.refounded(block.hash, block.header.encoded, block.body.encode())
        for coop in members:
            # Whoever lied is not trusted with the new key.
            coop.liar = coop.liar and keys[coop.id][1] == coop.witness.public
        machine.take(block.with_certificate(proof))
        self._wait("the new charter reaches all", self._alike, HEAL_S)
        return True

    def _serves(self, coop: Coop) -> bool:
        """Say whether a coop's witness answers truly."""
        key = coop.witness.public
        return key not in self.dead and key not in self.observer.liars and bool(key)

    def _probe(self, name: str) -> None:
        """See that every chain still moves: an account on each, and one more charter."""
        probes: list[tuple[Coop, bytes]] = []
        height = self.charter.height
        limit = [SetLimit(self.coops[0].id, 0, 777 + height)]
        self._persist(
            "the charter can be changed",
            partial(self._propose_all, limit),
            lambda: self.charter.height > height,
        )
        self._wait("all machines agree", self._agree, HEAL_S)
        state = self.charter.latest
        for coop in self.coops:
            if self._member(state, coop) and coop not in self.gone:
                account = hashlib.sha256(name.encode() + coop.id).digest()[:16]
                probes.append((coop, account))

        def opened(coop: Coop, account: bytes) -> bool:
            return account in self.model.chain(coop.id).accounts

        def done() -> bool:
            for coop, account in probes:
                if not opened(coop, account):
                    for machine in self.instances(coop.number):
                        machine.wish(Open(account, 0, coop.root.public, ((0, 10, 100),)))
            return (
                all(opened(coop, account) for coop, account in probes)
                and self._agree()
                and self._consumed()
                and self._adopted()
            )

        for _ in range(MENDINGS_MAX):
            # A conviction or a removal that was under way may be known only now.
            self._wait(
                "every chain goes on, takes what was sent to it, adopts",
                lambda: done() or not self._mended(),
                HEAL_S,
            )
            if self._mended():
                return
            self._mend()
        raise Broken(f"progress after healing: ever more to mend{self._why()}")

    def _consumed(self) -> bool:
        for source in self.model.chains.values():
            for to_coop, sent in source.sent.items():
                if self.coop_of(to_coop) in self.gone or self.charter.latest.coops[to_coop].removed:
                    continue
                taken = self.model.chain(to_coop).received
                if taken.get(self._id_of(source), 0) < len(sent):
                    return False
        return True

    def _id_of(self, chain: object) -> bytes:
        return next(id for id, known in self.model.chains.items() if known is chain)

    def _adopted(self) -> bool:
        """Say whether all chains have adopted the charter, those of absent coops included."""
        return all(
            self.model.chain(id).c >= self.charter.height - 1 for id in self.charter.latest.coops
        )

    def check_end(self) -> None:
        """Compare what a machine holds with the naive model, account by account."""
        machines = self._honest()
        machine = self.rng.choice(machines)
        for id in self.charter.latest.coops:
            compare(machine.book.state(id), self.model.chain(id), self.model)

    def figures(self) -> dict[str, int]:
        """Return what happened, for the summary."""
        found = dict(self.counts)
        found |= self.observer.counts
        for name, count in self.clients.done.items():
            found[f"people: {name}"] = count
        for name, count in self.model.counts.items():
            found[f"certified entries: {name}"] = count
        for name, count in self.charter.counts.items():
            found[f"certified charter entries: {name}"] = count
        found["messages sent"] = self.net.sent
        found["messages lost"] = self.net.lost + self.net.cut
        found["messages doubled"] = self.net.doubled
        lived = self.clock.now_ms // 1_000 - START_S
        found["node seconds"] = lived * len(self.machines)
        return found


def compare(state: ChainState, chain: Chain, model: Model) -> None:
    """Compare a chain's state with the model's. Raises: Broken."""
    for id, account in chain.accounts.items():
        held = state.account(id)
        need(held is not None, "the state has every account", account=id)
        assert held is not None
        need(bool(held.open) == account.open and held.seq == account.seq, "accounts agree", id=id)
        for unit, position in account.positions.items():
            there = held.positions[unit]
            need(
                (there.balance, there.limit, there.max)
                == (position.balance, position.limit, position.max)
                and held.held(unit) == model.held(chain, id, unit),
                "balances agree with the naive model",
                account=id, unit=unit, state=there.balance, model=position.balance,
            )  # fmt: skip
    for source, received in chain.received.items():
        need(state.channel(source).received == received, "channels agree", source=source)
