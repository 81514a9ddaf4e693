"""What a run is made of: coops with their keys, a founding, machines, and checkers above them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, cast

from maillon.ledger.entries import Confirmation, Entry
from maillon.ledger.orders import Order
from maillon.protocol.founding import Founding, FoundingCoop, LedgerTerms
from maillon.protocol.ids import CoopId
from maillon.protocol.keys import coop_id
from simulation.ledger.charter_model import CharterModel, CharterStateModel, CoopModel
from simulation.ledger.checkers import Certified, Observer
from simulation.ledger.clients import Clients
from simulation.ledger.disk import SimDisk
from simulation.ledger.keys import SimKey, make_key, verify_mac, verify_real
from simulation.ledger.machine import Machine
from simulation.ledger.model import Broken, Model
from simulation.ledger.net import Clockwork, Net
from simulation.ledger.plan import LIMITS, UNIT_KINDS, UNITS, Plan

if TYPE_CHECKING:
    from simulation.ledger.world import World

START_S = 1_700_000_000


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


class Stage:
    """All that is there before anything happens."""

    def __init__(
        self, seed: int, *, plan: Plan | None = None, keep_trace: bool = False
    ) -> None:
        self.seed = seed
        self.coops: list[Coop] = []
        self.machines: list[Machine] = []
        self.counts: dict[str, int] = {}
        self.clock = Clockwork(f"ledger {seed}", START_S, keep_trace=keep_trace)
        self.rng: Random = self.clock.rng
        self.plan: Plan = plan or Plan.draw(self.rng)
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
        self.clients = Clients(cast("World", self))
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

    def _member(self, state: CharterStateModel, coop: Coop) -> bool:
        known = state.coops.get(coop.id)
        return known is not None and not known.removed

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
            cast("World", self),
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
