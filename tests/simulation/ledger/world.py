"""A federation with its accounts, out of one seed: machines, people, faults, liars, and an end.

The end is a healed network: every honest chain then has to go on within a bounded time, all honest
machines have to agree with each other and with the naive model.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from maillon.ledger import signing
from maillon.ledger.charter import refounding_body
from maillon.ledger.charter_entries import (
    AddUnit,
    Admit,
    CharterEntry,
    Clear,
    Refound,
    Remove,
    Retire,
    SetKey,
    SetLimit,
    SetQuorum,
    SetRule,
    SetTrustee,
    encode_charter_entry,
)
from maillon.ledger.charter_rules import heads_root
from maillon.ledger.entries import Confirmation, Entry, Open
from maillon.ledger.orders import Order
from maillon.ledger.quorum import encode_refounding
from maillon.ledger.state import ChainState
from maillon.ledger.voterow import decode_row
from maillon.protocol.encoding import decode
from maillon.protocol.founding import Founding, FoundingCoop, LedgerTerms, Unit
from maillon.protocol.ids import CoopId
from maillon.protocol.keys import coop_id
from simulation.ledger.charter_model import CharterModel, CharterStateModel, CoopModel
from simulation.ledger.checkers import Certified, Observer
from simulation.ledger.clients import Clients
from simulation.ledger.disk import SimDisk
from simulation.ledger.keys import SimKey, make_key, verify_mac, verify_real
from simulation.ledger.machine import Machine
from simulation.ledger.model import Broken, Chain, Model, need
from simulation.ledger.net import Clockwork, Net, Weather
from simulation.ledger.plan import (
    LIMITS,
    UNIT_KINDS,
    UNITS,
    Plan,
    default_quorum,
    tolerated,
)

START_S = 1_700_000_000
HEAL_S = 900
"""Simulated seconds after healing within which everything has to be done."""

@dataclass
class Coop:
    """A coop with its keys; those of writer and witness may be replaced."""

    number: int
    id: CoopId
    root: SimKey
    node: SimKey
    writer: SimKey
    witness: SimKey
    name: str
    replaced: int = 0
    crook: bool = False
    liar: bool = False


@dataclass
class World:
    """One run. `setup` may change the plan's world before it begins (scripts and mutants do)."""

    seed: int
    plan: Plan | None = None  # pyright: ignore[reportRedeclaration]
    keep_trace: bool = False
    coops: list[Coop] = field(default_factory=list[Coop])
    machines: list[Machine] = field(default_factory=list[Machine])
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        self.clock = Clockwork(f"ledger {self.seed}", START_S, keep_trace=self.keep_trace)
        self.rng: Random = self.clock.rng
        self.plan: Plan = self.plan or Plan.draw(self.rng)
        plan = self.plan
        self.verify = verify_real if plan.real else verify_mac
        self.net = Net(self.clock)
        for number in range(plan.coops + plan.late):
            self.coops.append(self._make_coop(number))
        crooks = self.rng.sample(range(plan.writing), plan.crooks)
        for number in crooks:
            self.coops[number].crook = True
        for number in range(plan.coops - plan.liars, plan.coops):
            self.coops[number].liar = True
        self.founding = self._found()
        self.fed: bytes = self.founding.fed
        self.charter = CharterModel(self.fed, self._first_charter(), self.verify)
        self.model = Model(self.fed, self.charter, self.verify)
        self.observer = Observer(
            self.fed,
            self.charter,
            self.model,
            self._latest_correct_clock,
            liars={coop.witness.public for coop in self.coops if coop.liar},
            crooks={coop.writer.public for coop in self.coops if coop.crook},
        )
        self.observer.on_certified = self._certified
        self.clients = Clients(self)
        self.healed = False
        self.dead: set[bytes] = set()
        """Witness keys that nobody holds any more."""
        self.by_witness: dict[bytes, Machine] = {}
        self.frauds: dict[tuple[bytes, bytes], None] = {}
        self.acted_on = 0
        self.clones: list[Machine] = []
        self.gone: list[Coop] = []
        self.unsynced: frozenset[str] = frozenset()
        """Spaces that are written late (a mutant's doing)."""
        self.amnesiac: Coop | None = None
        if plan.rollbacks:
            honest = [coop for coop in self.coops[: plan.coops] if not coop.liar]
            self.amnesiac = self.rng.choice(honest)
            if plan.rollback_is_lie:
                self.observer.liars.add(self.amnesiac.witness.public)
            else:
                self.dead.add(self.amnesiac.witness.public)

    # --- Making it ------------------------------------------------------------------------------

    def _make_coop(self, number: int) -> Coop:
        real = self.plan.real
        root = make_key(f"root {number}", real=real)
        return Coop(
            number,
            coop_id(root.public),
            root,
            make_key(f"node {number}", real=real),
            make_key(f"writer {number}", real=real),
            make_key(f"witness {number}", real=real),
            f"coop {number}",
        )

    def _found(self) -> Founding:
        plan = self.plan
        return Founding(
            "Simulated federation",
            bytes(16),
            START_S - 1_000,
            tuple(
                FoundingCoop(
                    coop.root.public,
                    coop.node.public,
                    coop.name,
                    (),
                    coop.writer.public,
                    coop.witness.public,
                )
                for coop in self.coops[: plan.coops]
            ),
            1,
            UNITS,
            ledger=LedgerTerms(plan.quorum, plan.approvals, plan.recovery_s, 1_000, LIMITS),
        )

    def _first_charter(self) -> CharterStateModel:
        return CharterStateModel(
            {
                coop.id: CoopModel(
                    coop.root.public,
                    coop.writer.public,
                    coop.witness.public,
                    dict(LIMITS),
                    1_000,
                )
                for coop in self.coops[: self.plan.coops]
            },
            self.plan.quorum,
            self.plan.approvals,
            self.plan.recovery_s,
            1_000,
            list(UNIT_KINDS),
        )

    def _latest_correct_clock(self) -> int:
        return self.clock.now_ms // 1_000 + max(
            (machine.skew_s for machine in self.machines if not machine.liar), default=0
        )

    def count(self, what: str, number: int = 1) -> None:
        """Count something that the summary shows."""
        self.counts[what] = self.counts.get(what, 0) + number

    # --- What the people and coops ask for ------------------------------------------------------

    def instances(self, coop: int) -> list[Machine]:
        """Return the running machines that write a coop's chain; two when a backup runs as well."""
        return [m for m in self.machines if m.coop is self.coops[coop] and m.up and m.writes]

    def _machine_of(self, coop: int) -> Machine | None:
        running = self.instances(coop)
        return self.rng.choice(running) if running else None

    def wish(self, coop: int, entry: Entry) -> None:
        """Let a coop's machine wish for an entry on its chain."""
        machine = self._machine_of(coop)
        if machine is not None:
            machine.wish(entry)

    def order(self, coop: int, order: Order) -> None:
        """Hand an order to its coop's machine; sometimes to both instances."""
        running = self.instances(coop)
        if not running:
            return
        if len(running) > 1 and self.rng.random() < 0.3:
            for machine in running:
                machine.order(order)
            return
        self.rng.choice(running).order(order)

    def confirm(self, coop: int, chain: bytes, hold: bytes, confirmation: Confirmation) -> None:
        """Let a payee's machine show all witnesses a confirmation."""
        machine = self._machine_of(coop)
        if machine is not None:
            machine.confirm(chain, hold, confirmation)

    def post(
        self, coop: int, account: bytes, hold: bytes, confirmation: Confirmation
    ) -> None:
        """Let the payer's coop post a hold."""
        machine = self._machine_of(coop)
        if machine is not None:
            machine.post(account, hold, confirmation)

    # --- The charter ----------------------------------------------------------------------------

    def change_charter(self) -> None:
        """Propose a change of the charter that keeps the run within its budget of faults."""
        openers = self._openers()
        if not openers:
            return
        machine = self.rng.choice(openers)
        entries = self._change()
        if entries is None or not self.bearable(entries):
            return
        state = self.charter.latest
        members = [coop for coop in self.coops if self._member(state, coop)]
        enough = self.rng.random() < 0.85
        wanted = state.approvals if enough else state.approvals - 1
        voters = self.rng.sample(members, min(len(members), max(0, wanted)))
        self.count("charter proposals" if enough else "charter proposals short of approvals")
        machine.propose(entries, voters, enough=enough)

    def _openers(self) -> list[Machine]:
        """Return who may propose a charter: honest machines; once healed, also those that lied."""
        running = [m for m in self.machines if m.up and m.writes and m.in_charter]
        return [m for m in running if self.healed or not m.coop.crook]

    def _member(self, state: CharterStateModel, coop: Coop) -> bool:
        known = state.coops.get(coop.id)
        return known is not None and not known.removed

    def bearable(self, entries: Sequence[CharterEntry]) -> bool:
        """Say whether enough honest witnesses would be left, and not too many liars."""
        state = copy.deepcopy(self.charter.latest)
        probe = CharterModel(self.fed, state, self.verify)
        for entry in entries:
            fields: Any = decode(encode_charter_entry(entry), bytes_max=1 << 20)
            probe.change(state, fields, self.charter.height + 1)
        return self._bearable(state)

    def _bearable(self, state: CharterStateModel) -> bool:
        members = state.witnesses()
        liars = sum(1 for key in members if key in self.observer.liars)
        silent = sum(1 for key in members if key in self.dead or key in self.observer.liars)
        n, quorum = len(members), state.quorum
        return (
            n < 2 * quorum <= 2 * n
            and liars <= tolerated(n, quorum)
            and n - silent >= quorum
            and state.approvals <= sum(1 for coop in state.coops.values() if not coop.removed)
        )

    def _change(self) -> list[CharterEntry] | None:
        state = self.charter.latest
        rng = self.rng
        here = [coop for coop in self.coops if self._member(state, coop)]
        coop = rng.choice(here)
        late = [c for c in self.coops if c.id not in state.coops]
        kinds = ["limit", "limit", "rule", "unit", "quorum", "writer", "witness", "trustee"]
        kinds += ["retire", "remove", *(["admit"] * 4 if late else [])]
        kind = rng.choice(kinds)
        quorum_of = default_quorum
        if kind == "limit":
            return [SetLimit(coop.id, rng.choice((0, 1)), rng.choice((0, 30, 60, 500)))]
        if kind == "rule":
            name, value = rng.choice((("recovery_s", 30), ("recovery_s", 90), ("approvals", 1)))
            return None if getattr(state, name) == value else [SetRule(name, value)]
        if kind == "unit":
            code = f"u{len(state.units)}"
            return [AddUnit(Unit(code, "credit", 0, code))]
        if kind == "quorum":
            n = len(state.witnesses())
            quorum = rng.randint(n // 2 + 1, n)
            return None if quorum == state.quorum else [SetQuorum(quorum)]
        if kind in ("writer", "witness"):
            if coop.crook or coop.liar:
                return None
            return [SetKey(coop.id, kind, self._next_key(coop, kind).public)]
        others = [c for c in here if c is not coop and not c.crook]
        if kind == "trustee":
            if not others or state.coops[coop.id].trustee:
                return None
            return [SetTrustee(coop.id, rng.choice(others).id)]
        if kind == "admit":
            new = rng.choice(late)
            n = len(state.witnesses()) + 1
            change: list[CharterEntry] = [
                Admit(
                    new.root.public, new.node.public, new.writer.public, new.witness.public,
                    new.name, LIMITS, 1_000,
                )
            ]  # fmt: skip
            if quorum_of(n) != state.quorum:
                change.append(SetQuorum(quorum_of(n)))
            return change
        if kind == "remove":
            if coop.number < self.plan.writing or not others or len(here) < 3:
                return None
            if any(known.trustee == coop.id for known in state.coops.values()):
                return None
            n = len(state.witnesses()) - 1
            removal: list[CharterEntry] = [Remove(coop.id, rng.choice(others).id)]
            if quorum_of(n) != state.quorum:
                removal.append(SetQuorum(quorum_of(n)))
            return removal
        return self._retirement()

    def _retirement(self) -> list[CharterEntry] | None:
        state = self.charter.latest
        heads: list[tuple[CoopId, int, bytes]] = []
        adopted: list[int] = []
        for id in sorted(state.coops):
            chain = self.model.chain(id)
            heads.append((CoopId(id), chain.h, chain.H))
            adopted.append(chain.c)
        below = min([*adopted, self.charter.height])
        if below <= state.retired_below:
            return None
        return [Retire(below, heads_root(heads), tuple(heads))]

    def _next_key(self, coop: Coop, role: str) -> SimKey:
        return make_key(
            f"{role} {coop.number} replaced {self.charter.height + 1}", real=self.plan.real
        )

    def clear(self, chain: bytes, fraud: bytes) -> None:
        """Let the charter clear a frozen chain: its writer gets another key."""
        coop = next(c for c in self.coops if c.id == chain)
        state = self.charter.latest
        if (chain, fraud) in state.cleared or not self._member(state, coop):
            return
        openers = self._openers()
        if not openers:
            return
        key = self._next_key(coop, "writer")
        entries: list[CharterEntry] = [
            SetKey(coop.id, "writer", key.public), Clear(coop.id, fraud)
        ]  # fmt: skip
        members = [c for c in self.coops if self._member(state, c)]
        voters = self.rng.sample(members, min(len(members), state.approvals))
        self.count("clearings proposed")
        self.rng.choice(openers).propose(entries, voters, enough=True)

    # --- What becomes of it ---------------------------------------------------------------------

    def _certified(self, done: Certified) -> None:
        self.clock.note("certified", done.chain, done.h, done.H)

    def charter_known(self, height: int) -> None:
        """Let the coops act on a charter that somebody holds: put keys into service."""
        if height <= self.acted_on or height != self.charter.height:
            return
        self.acted_on = height
        state = self.charter.latest
        self.clock.note("charter", self.charter.height)
        for coop in self.coops:
            known = state.coops.get(coop.id)
            if known is None or known.removed:
                continue
            if known.writer != coop.writer.public:
                coop.writer = self._key_of(coop, "writer", known.writer)
                if coop.crook:
                    # Whoever wrote lies cannot any more: the coop has cleaned its house.
                    coop.crook = False
            if known.witness and known.witness != coop.witness.public:
                coop.witness = self._key_of(coop, "witness", known.witness)
                self.clock.after(1, self._new_witness, coop)
        for machine in self.machines:
            machine.charter_news()
        for coop in self.coops:
            if self._member(state, coop) and not any(m.coop is coop for m in self.machines):
                self._add_machine(coop)

    def _key_of(self, coop: Coop, role: str, public: bytes) -> SimKey:
        for height in range(self.charter.height + 1):
            key = make_key(f"{role} {coop.number} replaced {height}", real=self.plan.real)
            if key.public == public:
                return key
        raise Broken(f"a {role} key that nobody has proposed")

    # --- Machines -------------------------------------------------------------------------------

    def _add_machine(
        self,
        coop: Coop,
        *,
        disk: SimDisk | None = None,
        witness: bool = True,
        writes: bool = True,
    ) -> Machine:
        machine = Machine(
            self,
            len(self.machines),
            coop,
            disk=SimDisk() if disk is None else disk,
            witness_key=coop.witness if witness else None,
            writes=writes,
            liar=coop.liar,
        )
        machine.disk.unsynced = self.unsynced
        machine.skew_s = self.rng.randint(-self.plan.skew_s, self.plan.skew_s)
        self.machines.append(machine)
        if witness:
            self.by_witness[machine.witness_key] = machine
        machine.boot()
        return machine

    def _new_witness(self, coop: Coop) -> None:
        """Put a new witness into service; the old one stays for the epochs that still need it."""
        if coop.witness.public not in self.by_witness:
            self.count("witnesses replaced")
            self._add_machine(coop, writes=False)

    def witness_stopped(self, machine: Machine) -> None:
        """Note that a witness has found itself rolled back."""
        self.count("witnesses stopped by W8")
        self.dead.add(machine.witness_key)

    def needs_trustee(self, chain: bytes) -> bool:
        """Say whether a chain's own coop is gone for good."""
        if chain == self.fed:
            return False
        coop = next(c for c in self.coops if c.id == chain)
        known = self.charter.latest.coops.get(chain)
        return coop in self.gone or (known is not None and known.removed)

    def convicted(self, chain: bytes, fraud: bytes) -> None:
        """Note that a chain is frozen, and let the charter clear it sooner or later."""
        if chain == self.fed:
            self.count("openers barred from the charter's chain")
            return
        if (chain, fraud) not in self.frauds:
            self.frauds[(chain, fraud)] = None
            self.count("chains frozen")
            self.clock.after(self.rng.choice((5, 30, 90)) * 1_000, self.clear, chain, fraud)

    # --- Faults ---------------------------------------------------------------------------------

    def _schedule(self) -> None:
        plan, rng = self.plan, self.rng
        active = plan.active_s * 1_000

        def some_time(low: float = 0.05, high: float = 0.95) -> int:
            return int(active * rng.uniform(low, high))

        for _ in range(plan.actions):
            self.clock.after(some_time(), self.clients.act)
        for _ in range(plan.crashes):
            self.clock.after(some_time(), self._crash)
        for _ in range(plan.clones):
            self._plan_clone(some_time(0, 0.5), some_time(0.5))
        for _ in range(plan.restores):
            self._plan_restore(some_time(0, 0.5), some_time(0.5))
        for _ in range(plan.rollbacks):
            self._plan_rollback(some_time(0, 0.6), some_time(0.6))
        for _ in range(plan.partitions):
            at = some_time()
            self.clock.after(at, self._part)
            self.clock.after(at + rng.randint(2_000, 40_000), self._join)
        for _ in range(plan.deaf):
            at = some_time()
            pair = (rng.randrange(plan.coops), rng.randrange(plan.coops))
            self.clock.after(at, self.net.deaf.add, pair)
            self.clock.after(at + rng.randint(2_000, 40_000), self.net.deaf.discard, pair)
        for _ in range(plan.charter):
            self.clock.after(some_time(), self.change_charter)

    def _crash(self) -> None:
        if self.healed:
            return
        machine = self.rng.choice(self.machines)
        how = self.rng.choice(("now", "before", "between", "after"))
        if how == "now":
            machine.power_off(self.rng.randint(500, 20_000))
        else:
            machine.crash_at = how

    def _part(self) -> None:
        if not self.healed:
            self.count("partitions")
            for machine in self.machines:
                self.net.island[machine.number] = self.rng.choice((0, 0, 1))

    def _join(self) -> None:
        self.net.island.clear()

    def _plan_clone(self, backup_ms: int, start_ms: int) -> None:
        coop = self.coops[self.rng.randrange(self.plan.writing)]
        kept: list[SimDisk] = []

        def back_up() -> None:
            kept.append(self._main(coop).disk.copy(votes=False))

        def start() -> None:
            if not self.healed and coop not in self.gone and kept:
                self.count("second instances started")
                self.clones.append(self._add_machine(coop, disk=kept[0], witness=False))

        self.clock.after(backup_ms, back_up)
        self.clock.after(max(start_ms, backup_ms), start)

    def _main(self, coop: Coop) -> Machine:
        return next(m for m in self.machines if m.coop is coop and m.writes)

    def _plan_restore(self, backup_ms: int, start_ms: int) -> None:
        honest = [c for c in self.coops[: self.plan.coops] if not c.liar and c is not self.amnesiac]
        coop = self.rng.choice(honest)
        back = self.rng.random() < 0.6
        kept: list[SimDisk] = []
        # Its witness is lost for good, so it counts from the start: no change of the charter may
        # rely on it.
        self.dead.add(coop.witness.public)

        def back_up() -> None:
            kept.append(self._main(coop).disk.copy(votes=False))

        def restore() -> None:
            for machine in self.machines:
                if machine.coop is coop:
                    machine.switch_off()
            if back:
                self.count("nodes restored from a backup, without their witness")
                self._add_machine(coop, disk=kept[0], witness=False)
            else:
                self.count("nodes gone for good")
                self.gone.append(coop)

        self.clock.after(backup_ms, back_up)
        self.clock.after(max(start_ms, backup_ms), restore)

    def _plan_rollback(self, snapshot_ms: int, restore_ms: int) -> None:
        coop = self.amnesiac
        assert coop is not None
        kept: list[tuple[Machine, Any]] = []

        def snapshot() -> None:
            machine = self._main(coop)
            kept.append((machine, machine.disk.copy_votes()))

        def restore() -> None:
            machine, votes = kept[0]
            if not machine.up or not (self.plan.rollback_is_lie or self._echoed(machine, votes)):
                self.count("rollbacks left out")
                return
            self.count("witnesses rolled back")
            machine.power_off(1_000)
            machine.disk.restore_votes(votes)

        self.clock.after(snapshot_ms, snapshot)
        self.clock.after(max(snapshot_ms, restore_ms), restore)

    def _echoed(self, machine: Machine, votes: Any) -> bool:
        """Say whether the writers hold a vote for all that the rollback makes forgotten."""
        before = votes.get("vote", {})
        for chain, row in machine.disk.rows.get("vote", {}).items():
            if before.get(chain) == row:
                continue
            if chain == self.fed:
                return False  # the next opener may be one that holds nothing
            writers = [m for m in self.machines if m.writes and m.coop.id == chain]
            counter = decode_row(row).counter
            if len(writers) != 1 or not writers[0].up or writers[0].coop is machine.coop:
                return False
            if writers[0].echoes.get((machine.witness_key, chain), 0) < counter:
                return False
        return True

    # --- A run ----------------------------------------------------------------------------------

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
        for machine in self.machines:
            machine.crash_at = ""
            machine.boot()
        self._wait("all machines agree", self._alike, HEAL_S)
        for chain, fraud in list(self.frauds):
            self._persist(
                "frozen chains are cleared",
                partial(self.clear, chain, fraud),
                partial(self._cleared, chain, fraud),
            )
        for coop in self.gone:
            self._entrust(coop)
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
            self.clock.run_until(self.clock.now_ms + HEAL_S * 100)
        if not done():
            raise Broken(f"progress after healing: {claim}{self._why()}")

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
            chain in machine.chains()
            and machine.book.head(chain).h == self.observer.height(chain)
            for machine in self._honest()
            for chain in chains
        ) and not any(self.observer.waiting.values())

    def _cleared(self, chain: bytes, fraud: bytes) -> bool:
        return (chain, fraud) in self.charter.latest.cleared

    def _entrust(self, coop: Coop) -> None:
        state = self.charter.latest
        known = state.coops.get(coop.id)
        if known is None or known.removed:
            return
        trustees = [
            c for c in self.coops if self._member(state, c) and not c.crook and c not in self.gone
        ]
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

        self._wait("every chain goes on, takes what was sent to it, adopts", done, HEAL_S)

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
