"""What must hold of exchanges whatever happens, checked while they run and in the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.ports import Effect, Post, Query
from maillon.protocol.envelope import decode_record, record_id
from maillon.protocol.exchange import Exchange
from maillon.protocol.letters import ITEM_ATTESTATION
from support.exchangenet import CoopNode, Net
from support.world import Member


class Broken(AssertionError):
    """A promise that does not hold."""


def need(holds: object, claim: str, **facts: object) -> None:
    """Raise Broken with the facts when a promise does not hold."""
    if not holds:
        told = ", ".join(f"{name}={_short(value)}" for name, value in facts.items())
        raise Broken(f"{claim}: {told}")


def _short(value: object) -> str:
    return value[:4].hex() if isinstance(value, bytes) else str(value)


class Checkers:
    """Looks at every node after whatever it does."""

    def __init__(self, net: Net, members: Sequence[Member]) -> None:
        self._net = net
        self._members = {member.author: member for member in members}
        self._openings: set[bytes] = set()
        self._agreed: dict[tuple[int, bytes], bytes] = {}
        """By node and exchange: the agreement that counts there."""
        self._bound: dict[bytes, bytes] = {}
        """By exchange: the agreement that both parties' nodes know to count."""
        self._places: dict[bytes, set[int]] = {}
        self._forgetful: set[int] = set()
        self._owed: dict[bytes, int] = {}
        """By exchange: the most that any node ever held to be owed; a mediation may lessen it."""
        self._counts: dict[str, int] = {}

    def figures(self) -> dict[str, int]:
        """Return what was seen."""
        return dict(self._counts)

    def _count(self, what: str, by: int = 1) -> None:
        self._counts[what] = self._counts.get(what, 0) + by

    def forgot(self, place: int) -> None:
        """Note that a node was put back: what it knew it may not know now.

        Its people may sign side by side with what they signed before. An agreement stands then as
        soon as the other side has referred to it (spec/08-exchange), which is more than to know it.
        """
        for key in [key for key in self._agreed if key[0] == place]:
            del self._agreed[key]
        self._forgetful.add(place)
        for exchange in [exchange for exchange, at in self._places.items() if place in at]:
            self._bound.pop(exchange, None)

    # --- while it runs --------------------------------------------------------------------------

    def before(self, node: CoopNode, effect: Effect) -> None:
        """Look at what is about to leave a node: no mark before its time."""
        if not isinstance(effect, Post):
            return
        for note in node.store.notes(notes.OUT):
            for item in notes.out_letter(note).items:
                if item.kind == ITEM_ATTESTATION:
                    self.published(item.data, self._net.now)

    def published(self, record: bytes, now: int) -> None:
        """A mark is shown to nobody before both have spoken or the time is over."""
        signed = decode_record(record)
        if signed.header.kind != "attestation":
            return
        id = record_id(record)
        for node in self._net.nodes:
            for note in node.store.notes(notes.KEPT):
                kept = notes.kept_attestation(note)
                if kept.id != id:
                    continue
                state = node.state(kept.exchange)
                spoke = {
                    row.author
                    for row in node.store.transcript(kept.exchange)
                    if decode_record(row.record).header.kind == "evaluation"
                }
                over = state.evaluate_until is not None and now > state.evaluate_until
                need(
                    len(spoke) >= 2 or over,
                    "no mark before both have spoken",
                    exchange=kept.exchange, spoke=len(spoke), until=state.evaluate_until, now=now,
                )  # fmt: skip
                self._count("marks published")

    def unchanged(self, before: object, node: CoopNode) -> None:
        """A refusal changes nothing."""
        need(before == node.snapshot(), "a refusal changes nothing")

    def look(self, node: CoopNode, now: int) -> None:
        """Remember which agreements count, and when both parties know."""
        place = self._net.nodes.index(node)
        for row in node.store.find(Query(limit=1_000)):
            exchange = row.id
            # Also those whose opener never heard that they were opened: the node died right then.
            self._openings.add(exchange)
            state = node.state(exchange)
            self._payments_fit(state)
            if state.agreement is None or state.reserved:
                continue
            self._agreed[place, exchange] = state.agreement.id
            parties = (state.requester, state.first_provider)
            places = {self._place(author) for author in parties}
            self._places[exchange] = places
            if places & self._forgetful:
                continue
            known = {self._agreed.get((at, exchange)) for at in places}
            if len(known) == 1 and None not in known and exchange not in self._bound:
                (self._bound[exchange],) = known  # type: ignore[assignment]
                self._count("agreements known to both")

    def _place(self, author: bytes) -> int:
        coop = author[1:33]
        return next(n for n, node in enumerate(self._net.nodes) if node.coop.id == coop)

    def _payments_fit(self, state: Exchange) -> None:
        most = self._owed[state.id] = max(self._owed.get(state.id, 0), state.owed)
        need(state.paid <= most, "never more than is owed",
             exchange=state.id, paid=state.paid, owed=most)  # fmt: skip
        need(not (state.paid and state.agreement is None), "no payment without agreement",
             exchange=state.id, paid=state.paid)  # fmt: skip

    # --- in the end -----------------------------------------------------------------------------

    def at_the_end(self, now: int) -> None:
        """Compare the nodes with each other, and with the accounts."""
        refs: dict[bytes, Exchange] = {}
        bundles: dict[bytes, list[Exchange]] = {}
        for exchange in sorted(self._openings):
            state = self._alike(exchange)
            if state is None:
                continue
            self._count(f"ended as {state.phase}")
            self._count("void steps", len(state.void))
            bound = self._bound.get(exchange)
            if bound is not None:
                now_counts = None if state.agreement is None else state.agreement.id
                need(now_counts == bound, "no agreement is lost after both know it",
                     exchange=exchange, bound=bound, now=now_counts or b"")  # fmt: skip
            if state.payment_ref is not None:
                refs[state.payment_ref] = state
            if state.bundle is not None:
                bundles.setdefault(state.bundle, []).append(state)
        self._accounts_fit(refs)
        for bundle, parts in bundles.items():
            self._whole(bundle, parts)

    def _whole(self, bundle: bytes, parts: Sequence[Exchange]) -> None:
        """A bundle counts whole or not at all: what was committed is all of it, and agreed to."""
        providers = set(self._net.nodes[0].records.bundles[bundle])
        by_id = {part.id: part for part in parts}
        for committed in {self._committed(part.id) for part in parts} - {()}:
            covered = {by_id[id].provider for id in committed}
            need(covered == providers, "a bundle counts whole or not at all",
                 committed=len(committed), providers=len(providers))  # fmt: skip
            for id in committed:
                need(by_id[id].agreement is not None, "each part of a bundle is agreed", part=id)
            self._count("bundles committed")
        agreed = [part for part in parts if part.agreement is not None and not part.reserved]
        for part in agreed:
            ended = part.phase == "cancelled"
            need(ended or self._committed(part.id), "no part without the others", part=part.id)
        if not agreed:
            self._count("bundles not committed")

    def _committed(self, exchange: bytes) -> tuple[bytes, ...]:
        """Return the exchanges that were committed together with one, as its transcripts say."""
        for node in self._net.nodes:
            for row in node.store.transcript(exchange):
                signed = decode_record(row.record)
                payload: Any = signed.payload or {}
                if signed.header.kind == "bundle_decision" and payload.get("outcome") == "commit":
                    return tuple(sorted(payload["exchanges"]))
        return ()

    def _alike(self, exchange: bytes) -> Exchange | None:
        """Return the one state that both parties' nodes compute."""
        states: list[tuple[int, Exchange]] = []
        for place, node in enumerate(self._net.nodes):
            if node.store.row(exchange) is not None:
                states.append((place, node.state(exchange)))
        if not states:
            return None
        first = states[0][1]
        parties = {self._place(first.requester), self._place(first.provider)}
        there = [state for place, state in states if place in parties]
        need(len(there) == len(parties), "both parties have the transcript", exchange=exchange,
             there=len(there))  # fmt: skip
        for other in there[1:]:
            for what in ("order", "phase", "agreement", "owed", "paid", "due", "void", "heads"):
                mine, theirs = getattr(there[0], what), getattr(other, what)
                need(mine == theirs, f"transcripts do not fork: {what}", exchange=exchange,
                     one=_told(mine), other=_told(theirs))  # fmt: skip
        return there[0]

    def _accounts_fit(self, refs: dict[bytes, Exchange]) -> None:
        spent: dict[bytes, int] = {}
        thanks: set[tuple[bytes, bytes]] = set()
        for transfer in self._net.chains.transfers.values():
            if transfer.status not in ("certified", "posted"):
                continue
            state = refs.get(transfer.ref)
            need(state is not None, "no payment without agreement", amount=transfer.amount)
            assert state is not None
            if transfer.unit != state.due.unit and state.payer != state.requester:
                # It pays nothing: what a third party pays was acknowledged.
                thanked = (transfer.ref, transfer.payee)
                need(thanked not in thanks, "acknowledged once", exchange=state.id)
                thanks.add(thanked)
                self._count("acknowledgements certified")
                continue
            forth = transfer.payer != state.provider and transfer.payer != state.first_provider
            spent[transfer.ref] = spent.get(transfer.ref, 0) + (
                transfer.amount if forth else -transfer.amount
            )
            self._count("payments certified")
        for ref, amount in spent.items():
            state = refs[ref]
            most = max(self._owed.get(state.id, 0), state.owed)
            need(amount <= most, "paid once, and no more",
                 exchange=state.id, paid=amount, owed=most)  # fmt: skip


def _told(value: object) -> str:
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        return f"{len(items)}: " + " ".join(_short(item) for item in items[-4:])
    return str(value)[:200]
