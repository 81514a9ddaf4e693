"""Faults: power cuts, backups put back, second instances, votes rolled back, cut links."""

from __future__ import annotations

from maillon.ledger.voterow import decode_row
from simulation.ledger.charters import Charters
from simulation.ledger.disk import Rows, SimDisk
from simulation.ledger.machine import Machine
from simulation.ledger.stage import Coop


class Faults(Charters):
    """Schedule what goes wrong."""

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
        how = self.rng.choice(("now", "before", "early", "between", "after"))
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
        kept: list[tuple[Machine, Rows]] = []

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

    def _echoed(self, machine: Machine, votes: Rows) -> bool:
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
