"""Tell how the ledger is: chains, witnesses, this coop's writer, what waits and why."""

from __future__ import annotations

import trio

from maillon.ledger.charter_rules import explain_quorum
from maillon.ledger.fraud import TwoProposals, fraud_hash
from maillon.node.api import ledger_shapes as shapes
from maillon.node.i18n import _
from maillon.node.ledger.host import Host
from maillon.node.ledger.replaying import replay
from maillon.node.ledger.runner import LedgerRunner
from maillon.node.ledger.showing import Showing
from maillon.node.quorumwords import quorum_words

_PHASES = {
    "idle": "idle",
    "preparing": "opening",
    "ready": "idle",
    "voting": "working",
    "committing": "working",
    "waiting": "waiting",
    "stopped": "stopped",
}


class Telling:
    """What `GET /v1/ledger` and its kin answer."""

    def __init__(self, host: Host, runner: LedgerRunner, showing: Showing) -> None:
        self._host = host
        self._runner = runner
        self._showing = showing

    def status(self) -> shapes.LedgerStatus:
        """Return how the ledger is."""
        machine = self._runner.machine
        book = machine.book
        charter = book.charter.latest
        committee = charter.committee()
        counts = machine.queue.counts()
        state = book.state(self._host.coop) if self._host.coop in charter.coops else None
        return shapes.LedgerStatus(
            enabled=True,
            fed=book.fed.hex(),
            coop=self._host.coop.hex(),
            quorum=committee.quorum,
            witnesses_needed=" ".join(quorum_words(explain_quorum(committee.n, committee.quorum))),
            charter=charter.height,
            writer_key=machine.writer_key.hex(),
            witness_key=machine.witness_key.hex(),
            writer=self.writer(),
            witness=self.witness(),
            orders=counts,
            chains=self.heads(),
            witnesses=self.witnesses(),
            trade=[] if state is None else self._showing.trade(state),
            latency_ms=self._runner.latency_ms(),
            notices=self.notices(),
        )

    def heads(self) -> list[shapes.ChainHead]:
        """Return the last certified block of every chain, the charter's first."""
        machine = self._runner.machine
        book = machine.book
        found: list[shapes.ChainHead] = []
        for chain in [book.fed, *book.chains()]:
            head = book.head(chain)
            of_charter = chain == book.fed
            found.append(
                shapes.ChainHead(
                    chain=chain.hex(),
                    name=_("Charter") if of_charter else self._showing.coop_name(chain),
                    h=head.h,
                    hash=head.hash.hex(),
                    time=head.time,
                    adopted=head.adopted,
                    accounts=0 if of_charter else book.state(chain).totals.accounts,
                    frozen=machine.witness.frauds.frozen(chain) is not None,
                )
            )
        return found

    def writer(self) -> shapes.WriterState:
        """Return where this coop's writer stands."""
        machine = self._runner.machine
        writer = machine.writers.get(self._host.coop)
        if writer is None:
            return shapes.WriterState("none", 0, len(machine.queue), 0, self.why_no_writer())
        status = writer.status
        stuck = machine.stuck.get(self._host.coop)
        name = _PHASES[status.phase]
        if stuck is not None and status.phase != "stopped":
            name = "stuck"
        return shapes.WriterState(
            state=name,
            term=0 if status.term is None else status.term.counter,
            waiting=len(machine.queue),
            since=status.since,
            reason="" if stuck is None else stuck.reason,
        )

    def why_no_writer(self) -> str:
        """Return why this node writes no chain."""
        charter = self._runner.machine.book.charter.latest
        coop = charter.coops.get(self._host.coop)
        if coop is None:
            return _("The charter does not name this coop yet.")
        if coop.removed:
            return _("This coop has left the charter.")
        if coop.writer != self._runner.machine.writer_key:
            return _("The charter names another writer key than the one of this node.")
        return ""

    def why_waiting(self) -> tuple[str, str]:
        """Return code and sentence of why an order is not certified yet."""
        machine = self._runner.machine
        coop = self._host.coop
        if coop not in machine.writers:
            return "no_writer", self.why_no_writer() or _("The writer has not started yet.")
        if machine.witness.frauds.frozen(coop) is not None:
            return "frozen", _(
                "This coop's chain is frozen: two blocks were signed at one place. "
                "The charter has to clear it."
            )
        status = machine.writers[coop].status
        if status.phase == "stopped":
            return "stopped", _("The writer of this coop has stopped.")
        if machine.rivals.active(coop, self._host.time()):
            return "another_instance", _("Another process writes this coop's chain.")
        waiting = len(status.waiting_for)
        quorum = machine.book.charter.latest.committee().quorum
        within_reach = sum(witness.reachable for witness in self.witnesses())
        if within_reach >= quorum and coop not in machine.stuck:
            return "under_way", _("The witnesses can be reached; it is on its way to them.")
        return "no_quorum", _(
            "It is kept and goes through by itself once {quorum} witnesses answer; "
            "{n} have not answered yet."
        ).format(quorum=quorum, n=waiting)

    def witness(self) -> str:
        """Return what this node's own witness does."""
        machine = self._runner.machine
        if machine.witness.stopped is not None:
            return f"stopped: {machine.witness.stopped}"
        if machine.witness_key not in machine.book.charter.latest.committee():
            return "none"
        return "working"

    def witnesses(self) -> list[shapes.WitnessState]:
        """Return every witness of the present charter."""
        machine = self._runner.machine
        book = machine.book
        connected = set(self._runner.connected_keys())
        own_head = book.head(self._host.coop).h if self._host.coop in book.chains() else 0
        found: list[shapes.WitnessState] = []
        for coop in book.charter.latest.members():
            if not coop.witness:
                continue
            node = self._runner.node_of_witness(coop.witness) or coop.node_key
            own = coop.witness == machine.witness_key
            done = machine.done.get(coop.witness)
            found.append(
                shapes.WitnessState(
                    coop=coop.id.hex(),
                    name=coop.name,
                    key=coop.witness.hex(),
                    node_key=node.hex(),
                    own=own,
                    reachable=own or node in connected,
                    heard_at=machine.answered.get(coop.witness, 0),
                    behind=0 if own else -1 if done is None else max(0, own_head - done),
                )
            )
        return found

    def notices(self) -> list[str]:
        """Return what the operator should know, in sentences."""
        machine = self._runner.machine
        book = machine.book
        charter = book.charter.latest
        found: list[str] = []
        own = charter.coops.get(self._host.coop)
        if machine.witness.stopped is not None:
            found.append(
                _(
                    "This node's witness has stopped for good: it lost votes that it had given. "
                    "It needs a new key: stop the node, move votes.db away, start it, and propose "
                    "the new key with: maillon charter replace-key"
                )
            )
        elif own is not None and own.witness and own.witness != machine.witness_key:
            found.append(
                _(
                    "The charter names another witness key of this coop than the one of this "
                    "node, as after a restored backup. Until the other coops approve the new key "
                    "{key}, this node certifies nothing. Propose it with: "
                    "maillon charter replace-key"
                ).format(key=machine.witness_key.hex()[:16])
            )
        if own is not None and own.writer != machine.writer_key:
            found.append(self.why_no_writer())
        if machine.rivals.active(self._host.coop, self._host.time()):
            found.append(
                _(
                    "Another process signs blocks of this coop with the same key: perhaps a copy "
                    "of this node runs elsewhere. Stop one of the two."
                )
            )
        for chain, stuck in machine.stuck.items():
            name = _("the charter") if chain == book.fed else self._showing.coop_name(chain)
            found.append(
                _("The chain of {name} does not come forward: {reason}.").format(
                    name=name, reason=stuck.reason
                )
            )
        frozen = [
            self._showing.coop_name(chain)
            for chain in book.chains()
            if machine.witness.frauds.frozen(chain) is not None
        ]
        if frozen:
            found.append(
                _("Frozen until the charter clears it: {names}.").format(names=", ".join(frozen))
            )
        found += [_("Fault in the ledger: {fault}").format(fault=f) for f in machine.faults[-2:]]
        return found

    def fork_proofs(self) -> shapes.ForkProofs:
        """Return the proofs that somebody signed two things at one place."""
        machine = self._runner.machine
        charter = machine.book.charter.latest
        cleared = {named for _chain, named in charter.cleared}
        found: list[shapes.ForkProof] = []
        for proof in machine.witness.frauds.proofs():
            by_writer = isinstance(proof, TwoProposals)
            coop = next(
                (
                    coop
                    for coop in charter.coops.values()
                    if proof.accused in (coop.writer, coop.witness)
                ),
                None,
            )
            name = coop.name if coop is not None else proof.accused.hex()[:8]
            found.append(
                shapes.ForkProof(
                    hash=fraud_hash(proof).hex(),
                    chain=proof.chain.hex(),
                    kind="writer" if by_writer else "witness",
                    key=proof.accused.hex(),
                    coop="" if coop is None else coop.id.hex(),
                    name=name,
                    term=str(proof.term.counter),
                    h=proof.h,
                    cleared=fraud_hash(proof) in cleared,
                    proof=proof.encode().hex(),
                    sentence=_(
                        "The writer of {name} signed two different blocks at height {h}."
                    ).format(name=name, h=proof.h)
                    if by_writer
                    else _("The witness of {name} voted twice at block {h}.").format(
                        name=name, h=proof.h
                    ),
                )
            )
        return shapes.ForkProofs(found)

    async def verify(self) -> shapes.VerifyReport:
        """Replay every chain, a block at a time, and let others have their turn between them."""
        machine = self._runner.machine
        report = shapes.VerifyReport(True, 0, 0, 0, 0, 0, [], [])
        sums = {place: 0 for place, unit in enumerate(self._showing.units) if unit.kind != "count"}
        for _done in replay(machine.book, report, sums):
            await trio.lowlevel.checkpoint()
        report.sums = [self._showing.balance(unit, total) for unit, total in sorted(sums.items())]
        report.good = not report.faults and not any(sums.values())
        return report
