"""What must hold at every step and at the end, whatever happens to the federation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maillon.node import bounds
from maillon.node.events import Penalise
from maillon.protocol.envelope import Signed, Valid, decode_record
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import Founding
from maillon.protocol.gossip import decode_batch
from maillon.protocol.ids import short
from maillon.protocol.validation import check_signature, check_structure
from simulation.disk import Leaving
from simulation.oracle import Oracle

if TYPE_CHECKING:
    from simulation.node import SimNode

_SAMPLE = 7
"""One commit in so many is compared with the oracle as a whole."""


class Broken(AssertionError):
    """A promise of the federation does not hold."""


class Checker:
    """Watch all machines; complain as soon as one does what it must not."""

    def __init__(self, founding: Founding) -> None:
        self._founding = founding
        self._nodes: list[SimNode] = []
        # All that ever was committed at a correct machine, whole.
        self.records: dict[bytes, Signed] = {}
        # At which machines a record was, and at which it left for another reason than its time.
        self.left: dict[bytes, set[str]] = {}
        self._forms: dict[bytes, bool] = {}
        self._commits = 0
        self.lies_punished = 0
        self.relays = 0

    def watch(self, node: SimNode) -> None:
        """Look at every commit of a machine from now on."""
        self._nodes.append(node)
        if not node.liar:
            node.disk.on_commit = lambda entered, leaving: self.committed(node, entered, leaving)

    def correct(self) -> list[SimNode]:
        """Return the machines that keep to the protocol."""
        return [node for node in self._nodes if not node.liar]

    def _honest_keys(self) -> set[bytes]:
        return {node.key.public for node in self.correct()}

    # --- At every step --------------------------------------------------------------------------

    def committed(self, node: SimNode, entered: list[Valid], leaving: list[Leaving]) -> None:
        """Check what a batch stored and took out."""
        for valid in entered:
            signed = valid.signed
            if not self._sound(signed, node):
                raise Broken(f"{node.name} stored {short(signed.id)}, which is not even a record")
            self.records.setdefault(signed.id, signed)
        self._commits += 1
        identity = any(
            valid.signed.header.kind in ("coop_profile", "admission", "membership", "mandate")
            or valid.signed.header.kind == "withdrawal"
            for valid in entered
        )
        if leaving or identity or self._commits % _SAMPLE == 0:
            live = node.disk.live_records()
            oracle = self.oracle(list(live.values()))
            self._consistent(node, live, oracle)
            for one in leaving:
                self._rightly_left(node, one, entered, oracle)

    def oracle(self, records: list[Signed], now: int = 0) -> Oracle:
        """Ask what should be live; with `now` 0 nothing has expired yet."""
        return Oracle(self._founding, records, now)

    def _sound(self, signed: Signed, node: SimNode) -> bool:
        known = self._forms.get(signed.encode())
        if known is None:
            try:
                again = decode_record(signed.encode())
                check_structure(again, fed=self._founding.fed, now=int(node.clock()))
                check_signature(again)
                known = True
            except MaillonError:
                known = False
            self._forms[signed.encode()] = known
        return known

    def _consistent(self, node: SimNode, live: dict[bytes, Signed], oracle: Oracle) -> None:
        wrong = live.keys() - oracle.live.keys()
        if wrong:
            kinds = sorted(f"{live[id].header.kind} {short(id)}" for id in wrong)
            raise Broken(f"{node.name} holds what does not count or is not current: {kinds}")

    def _rightly_left(
        self, node: SimNode, one: Leaving, entered: list[Valid], oracle: Oracle
    ) -> None:
        signed = self.records[one.id]
        header = signed.header
        if one.reason == "expired":
            if header.until >= int(node.clock()):
                raise Broken(f"{node.name} forgot {short(one.id)} before its time")
            return
        self.left.setdefault(one.id, set()).add(node.name)
        author = oracle.counts(signed)
        if author is None:
            return
        order = (header.rev, header.at, one.id)
        current = oracle.current(author, header.series)
        if current is not None and (current.header.rev, current.header.at, current.id) >= order:
            return
        for valid in entered:
            other = valid.signed
            if other.header.series == header.series and valid.author == author:
                if (other.header.rev, other.header.at, other.id) > order:
                    return  # it was current for a moment, inside the same batch
        raise Broken(
            f"{node.name} dropped {header.kind} {short(one.id)} ({one.reason}), which counts"
        )

    def judged(self, node: SimNode, data: bytes, relay: bool, lie: bool, punished: bool) -> None:
        """Check what was decided on a gossip message."""
        if node.liar:
            return
        if lie and not punished:
            raise Broken(f"{node.name} was told a lie by gossip and did not mind")
        self.lies_punished += lie
        if relay:
            self.relays += 1
            self.published(node, data)

    def published(self, node: SimNode, data: bytes) -> None:
        """Check that all that leaves a correct machine by gossip was stored there, as it is."""
        if node.liar:
            return
        for record in decode_batch(data):
            signed = decode_record(record)
            if node.disk.ever.get(signed.id) is None or not self._sound(signed, node):
                raise Broken(f"{node.name} passed on {short(signed.id)}, which it never accepted")

    def penalised(self, node: SimNode, effect: Penalise) -> None:
        """Check that no correct machine is blamed by another."""
        if not node.liar and effect.peer in self._honest_keys():
            raise Broken(f"{node.name} blames an honest peer: {effect.code}")

    def lied_to(self, node: SimNode, peer: bytes, punished: bool, how: str) -> None:
        """Check that a provable lie in a session lowers the liar's score."""
        if node.liar:
            return
        if not punished:
            raise Broken(f"{node.name} was told a lie ({how}) by {short(peer)} and did not mind")
        self.lies_punished += 1

    def refusal(self, node: SimNode, signed: Signed, code: str | None) -> None:
        """Check that the engine takes our people's records exactly when the oracle does."""
        before = node.disk.live_records()
        records = [record for id, record in before.items() if id != signed.id]
        oracle = self.oracle(records)
        author = oracle.counts(signed)
        if code is None:
            if signed.id not in before:
                raise Broken(f"{node.name} took {short(signed.id)} and does not have it")
            if author is None and signed.header.kind not in ("coop_profile", "membership"):
                raise Broken(f"{node.name} took {signed.header.kind}, which does not count")
            return
        if author is None or code in ("from_future", "expired", "lifetime", "quota"):
            return
        current = oracle.current(author, signed.header.series)
        if current is None or (current.header.rev, current.header.at, current.id) < (
            signed.header.rev,
            signed.header.at,
            signed.id,
        ):
            raise Broken(f"{node.name} refused {signed.header.kind} that counts: {code}")

    def bounds(self, node: SimNode) -> None:
        """Check that queues keep to their bounds."""
        from simulation.node import SETTINGS

        status = node.engine.levels()
        if status["pending"] > SETTINGS.pending_records_max:
            raise Broken(f"{node.name} lets {status['pending']} records wait")
        if status["outbox_bytes"] > bounds.OUTBOX_SOURCE_BYTES_MAX * bounds.OUTBOX_SOURCES_MAX:
            raise Broken(f"{node.name} has too much to gossip")
        if status["sessions_outgoing"] > bounds.SYNC_OUTGOING_MAX:
            raise Broken(f"{node.name} drives too many sessions")
        if status["sessions_incoming"] > bounds.SYNC_INCOMING_MAX:
            raise Broken(f"{node.name} answers too many sessions")

    # --- At the end -----------------------------------------------------------------------------

    def equal(self) -> bool:
        """Say whether all correct machines hold the same."""
        sets = [sorted(node.disk.live_records()) for node in self.correct()]
        return all(one == sets[0] for one in sets)

    def calm(self, now: int, skew_s: float) -> bool:
        """Say whether nothing ends at about this time: clocks differ, so live sets do."""
        return all(
            abs(signed.header.until - now) > skew_s for signed in self.records.values()
        )

    def difference(self) -> str:
        """Say who lacks what, for people."""
        everything: dict[bytes, Signed] = {}
        for node in self.correct():
            everything.update(node.disk.live_records())
        lines: list[str] = []
        for node in self.correct():
            lacks = sorted(everything.keys() - node.disk.live_records().keys())
            if lacks:
                kinds = [
                    f"{everything[id].header.kind} {short(id)}"
                    + (" (known)" if node.disk.known(id) else "")
                    for id in lacks[:8]
                ]
                lines.append(f"{node.name} lacks {len(lacks)}: {', '.join(kinds)}")
        return "; ".join(lines)

    def final(self, now: int, *, lossless: bool) -> dict[str, int]:
        """Check the outcome against the oracle over all that was ever accepted; count things."""
        live = self.correct()[0].disk.live_records()
        for id in live:
            if live[id].header.until < now - 600:
                raise Broken(f"{short(id)} outlived its time")
        lost: set[bytes] = set()
        while True:
            rest = [signed for id, signed in self.records.items() if id not in lost]
            ideal = self.oracle(rest, now).live
            missing = sorted(ideal.keys() - live.keys())
            if not missing:
                break
            for id in missing:
                # Its payload was erased wherever it had been, each time with good reason (that is
                # checked as it happens), and what was the reason does not count any more.
                if id not in self.left:
                    header = ideal[id].header
                    raise Broken(f"{header.kind} {short(id)} was accepted, counts, and is nowhere")
            lost.update(missing)
        if lost and lossless:
            what = [f"{self.records[id].header.kind} {short(id)}" for id in sorted(lost)]
            raise Broken(f"lost, though nothing was ever revoked: {what}")
        surplus = sorted(live.keys() - ideal.keys())
        if surplus:
            kinds = [f"{live[id].header.kind} {short(id)}" for id in surplus]
            raise Broken(f"what nobody should hold is live everywhere: {kinds}")
        for node in self.correct():
            self._erased(node)
            if list(node.engine.items) != list(node.disk.iterate_live()):
                raise Broken(f"{node.name} offers others another set than it holds")
        return {"live": len(live), "accepted": len(self.records), "lost": len(lost)}

    def _erased(self, node: SimNode) -> None:
        """Check that no byte is left of the payload of what is not live."""
        dump = node.disk.dump()
        live = node.disk.live_records()
        for id, signed in self.records.items():
            assert signed.payload is not None and signed.payload_bytes is not None
            if id not in live:
                salt = signed.payload["salt"]
                assert isinstance(salt, bytes)
                if signed.payload_bytes in dump or salt in dump:
                    raise Broken(f"{node.name} keeps the payload of {short(id)}, which is gone")
