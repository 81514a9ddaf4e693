"""Publish, reserve and accept bundles; stand behind demands of others (spec/08)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from maillon.node.api import exchange_requests as requests
from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.exchange_service import PersonOptions
from maillon.node.api.paging import page
from maillon.node.api.plain import to_json
from maillon.node.engine.exchange.ports import Query
from maillon.node.engine.exchange.projecting import ENDED
from maillon.node.engine.exchange.transcripts import said
from maillon.node.exchange.asking import Acting, Ambiguous, NotFound, Who
from maillon.node.exchange.part import Part
from maillon.node.i18n import _
from maillon.protocol.bundles import waiting_for
from maillon.protocol.envelope import Signed, Valid, sign
from maillon.protocol.errors import LocalError
from maillon.protocol.exchange import Exchange
from maillon.protocol.records import thing_id

BUNDLES_LISTED_MAX = 10_000
THING_CHARACTERS_MIN = 8


def _until(parts: Iterable[Exchange]) -> int | None:
    """Return until when every reserved part is bound, the earliest."""
    return min(
        (
            quote.valid_until
            for state in parts
            for quote in state.quotes
            if quote.reserved and quote.status in ("open", "agreed")
        ),
        default=None,
    )


class NotReserved(LocalError):
    """A part of the bundle is not reserved, so none can be accepted."""

    code = "not_reserved"


class Bundles(Part):
    """The bundles and collective demands of the desk."""

    # --- publishing -----------------------------------------------------------------------------

    def _parts(self, bundle: Valid) -> list[Valid]:
        wanted = {record.id for record in self._host.referring(bundle.signed.id)}
        return [part for part in self._host.by_kinds(("bundle_part",)) if part.signed.id in wanted]

    def _missing(self, bundle: Valid) -> tuple[bytes, ...]:
        return waiting_for(bundle, self._parts(bundle))

    def _all(self) -> Iterator[Valid]:
        return self._host.by_kinds(("bundle",))

    def _bundle(self, text: str) -> Valid:
        """Return a bundle by its thing id or a record id, or the beginning. Raises: NotFound."""
        lower = text.lower()
        found = [
            bundle
            for bundle in self._all()
            if bundle.thing.hex().startswith(lower) or bundle.signed.id.hex().startswith(lower)
        ]
        if len(found) > 1:
            raise Ambiguous(_("Several bundles begin with {id}.").format(id=lower[:16]))
        if not found or len(lower) < THING_CHARACTERS_MIN:
            raise NotFound(_("There is no bundle {id} here.").format(id=lower[:16]))
        return found[0]

    def bundles(self, options: PersonOptions, caller: Caller) -> shapes.Bundles:
        """List complete bundles; with a person, theirs that wait for a signature as well."""
        mine = self.asking.author(options.person) if options.person else None
        if mine is not None:
            caller.require_author(mine)
        found: list[Valid] = []
        for bundle in self._all():
            payload = said(bundle.signed)
            theirs = mine is not None and mine in [p["provider"] for p in payload["parts"]]
            if theirs if mine is not None else not self._missing(bundle):
                found.append(bundle)
        given, following = page(
            "bundles",
            found,
            lambda bundle: (bundle.thing,),
            limit=options.limit,
            after=options.after,
        )
        return shapes.Bundles([self._show(bundle, caller) for bundle in given], following)

    def bundle(self, bundle: str, caller: Caller) -> shapes.BundleOut:
        """Show a bundle."""
        return self._show(self._bundle(bundle), caller)

    async def publish_bundle(
        self, request: requests.BundleRequest, caller: Caller
    ) -> shapes.BundleOut:
        """Publish a bundle; it is listed once every provider has signed."""
        asking = self.asking
        acting = asking.acting(request.by, request.as_, caller, "bundle")
        parts: list[dict[str, Any]] = []
        for part in request.parts:
            given: dict[str, Any] = {
                "provider": part.provider,
                "title": part.title,
                "offer": self._offer(part.offer),
                "unit": part.unit,
                "amount": part.amount,
            }
            parts.append({name: value for name, value in given.items() if value is not None})
        fields = asking.public(
            "bundle",
            {
                "title": request.title,
                "text": request.text or None,
                "lang": request.lang,
                "categories": list(request.categories),
                "parts": parts,
                "place": request.place,
                "when": request.when,
            },
        )
        if acting.author not in [part["provider"] for part in fields["parts"]]:
            raise Who(_("A bundle is published by one of its providers."))
        signed = self._publish("bundle", fields, acting, days=request.days)
        return self._show(self._valid(signed.id), caller)

    def _offer(self, text: str | None) -> str | None:
        """Return the thing id of an offer that is named by its record."""
        if text is None:
            return None
        record = self._host.find_record(text)
        owner = self._host.author_of(record)
        if owner is None:
            raise NotFound(_("{id} is no offer that is open.").format(id=text[:16]))
        return thing_id(owner, record.header.series).hex()

    def _publish(
        self,
        kind: str,
        fields: Mapping[str, Any],
        acting: Acting,
        *,
        refs: tuple[bytes, ...] = (),
        days: int | None = None,
    ) -> Signed:
        return self._host.publish(
            kind, fields, acting.key, as_=acting.signer.as_, refs=refs, days=days
        )

    def _valid(self, id: bytes) -> Valid:
        return next(bundle for bundle in self._all() if bundle.signed.id == id)

    async def sign_bundle(
        self, bundle: str, request: requests.BundleSignRequest, caller: Caller
    ) -> shapes.BundleOut:
        """Sign one's own part."""
        found = self._bundle(bundle)
        acting = self.asking.acting(request.by, request.as_, caller, "bundle_part")
        if acting.author not in self._missing(found):
            raise Who(_("Nothing of this bundle waits for this signature."))
        self._publish("bundle_part", {"bundle": found.thing}, acting, refs=(found.signed.id,))
        return self._show(self._bundle(found.thing.hex()), caller)

    # --- reserving and accepting ----------------------------------------------------------------

    async def reserve_bundle(
        self, bundle: str, request: requests.ReserveRequest, caller: Caller
    ) -> shapes.BundleOut:
        """Open an exchange with every provider of a bundle, all in one step."""
        found = self._bundle(bundle)
        if self._missing(found):
            raise NotReserved(_("Not all of its providers have signed this bundle."))
        acting = self.asking.acting(request.by, request.as_, caller, "opening")
        now = self._host.time()
        payload = said(found.signed)
        steps: list[Signed] = []
        for part in payload["parts"]:
            fields: dict[str, Any] = {
                "requester": acting.author,
                "provider": part["provider"],
                "about": part.get("offer"),
                "title": part["title"],
                "text": request.text or None,
                "lang": request.lang,
                "bundle": found.thing,
            }
            made, _standing = self.core.draft("opening", fields, acting.signer, None, now)
            steps.append(sign(made, acting.key))
        _taken, effects = self.core.take_all(steps, now)
        self._runner.do(effects)
        return self._show(found, caller)

    async def commit_bundle(
        self, bundle: str, request: requests.CommitRequest, caller: Caller
    ) -> shapes.BundleOut:
        """Agree to every reserved part in one step; the requester's coop then decides for all."""
        found = self._bundle(bundle)
        acting = self.asking.acting(request.by, request.as_, caller, "agreement")
        now = self._host.time()
        steps: list[Signed] = []
        parts = self._reservation(found, acting.author)
        payload = said(found.signed)
        if len(parts) != len({part["provider"] for part in payload["parts"]}):
            raise NotReserved(_("Not every part of the bundle was asked for yet."))
        for part in parts:
            if part.agreement is not None:
                continue
            open_quotes = [q for q in part.quotes if q.status == "open" and q.reserved]
            if not open_quotes:
                raise NotReserved(
                    _("{title} is not reserved yet.").format(title=part.title), exchange=part.id
                )
            fields: dict[str, Any] = {"quote": open_quotes[-1].id}
            if request.contact is not None:
                fields["contact"] = request.contact
            made, _standing = self.core.draft("agreement", fields, acting.signer, part.id, now)
            steps.append(sign(made, acting.key))
        if steps:
            _taken, effects = self.core.take_all(steps, now)
            self._runner.do(effects)
        return self._show(found, caller)

    def _reservation(self, bundle: Valid, requester: bytes) -> list[Exchange]:
        """Return the latest exchange with each provider of a bundle."""
        now = self._host.time()
        query = Query(authors=(requester,), role="requester", bundle=bundle.thing, limit=64)
        found: dict[bytes, Exchange] = {}
        for row in self.core.store.find(query):
            state = self.core.state(row.id, now)
            known = found.get(state.provider)
            if known is None or (state.opened_at, state.id) > (known.opened_at, known.id):
                found[state.provider] = state
        return [found[provider] for provider in sorted(found)]

    def _requesters(self, bundle: Valid, caller: Caller) -> list[bytes]:
        """Return for whom a bundle was asked here, of those the caller acts for, the latest first.

        A provider of one part learns nothing here of what the others quote.
        """
        rows = self.core.store.find(Query(bundle=bundle.thing, limit=64))
        asked = (row.requester for row in rows if caller.may_act_for(row.requester))
        return list(dict.fromkeys(asked))

    def _show(self, bundle: Valid, caller: Caller) -> shapes.BundleOut:
        payload = said(bundle.signed)
        missing = self._missing(bundle)
        showing = self.showing
        asked = self._requesters(bundle, caller)
        requester = asked[0] if asked else None
        exchanges: dict[bytes, Exchange] = {}
        if requester is not None:
            exchanges = {part.provider: part for part in self._reservation(bundle, requester)}
        parts: list[shapes.BundlePartOut] = []
        for part in payload["parts"]:
            provider: bytes = part["provider"]
            state = exchanges.get(provider)
            quotes = () if state is None else state.quotes
            standing = [q for q in quotes if q.status in ("open", "agreed")]
            # The one that is reserved counts before one that is not; the latest of several.
            said_terms = max(standing, key=lambda q: (q.reserved, q.at), default=None)
            mediator = None if said_terms is None else said_terms.terms.get("mediator")
            parts.append(
                shapes.BundlePartOut(
                    showing.party(provider),
                    part["title"],
                    provider not in missing,
                    part.get("offer", b"").hex(),
                    showing.money(part["amount"], part["unit"]) if "amount" in part else None,
                    "" if state is None else state.id.hex(),
                    "" if state is None else state.phase,
                    any(q.reserved and q.status in ("open", "agreed") for q in quotes),
                    state is not None and state.agreement is not None,
                    None if said_terms is None else to_json(said_terms.terms),
                    None if mediator is None else showing.party(mediator),
                )
            )
        status, decision = self._status(list(exchanges.values()), len(parts))
        until = _until(exchanges.values())
        return shapes.BundleOut(
            bundle.thing.hex(),
            payload["title"],
            payload.get("text", ""),
            payload.get("lang", ""),
            list(payload["categories"]),
            not missing,
            parts,
            status,
            decision,
            None if requester is None else showing.party(requester),
            until,
            [self._other(bundle, other, len(parts)) for other in asked[1:]],
        )

    def _other(self, bundle: Valid, requester: bytes, count: int) -> shapes.ReservationOut:
        """Show what somebody else here asked for of the same bundle."""
        states = self._reservation(bundle, requester)
        return shapes.ReservationOut(
            self.showing.party(requester),
            self._status(states, count)[0],
            [state.id.hex() for state in states],
            _until(states),
        )

    def _status(self, parts: list[Exchange], count: int) -> tuple[str, str]:
        if not parts:
            return "none", ""
        for part in parts:
            for row, signed in self.core.transcripts.records(part.id):
                if signed.header.kind == "bundle_decision" and row.id not in {
                    void.id for void in part.void
                }:
                    return str(said(signed)["outcome"]), signed.id.hex()
        if any(part.phase in ENDED for part in parts):
            return "broken", ""
        if len(parts) == count and all(part.reserved for part in parts):
            return "agreed", ""
        reserved = [any(q.reserved and q.status == "open" for q in p.quotes) for p in parts]
        return ("reserved" if len(parts) == count and all(reserved) else "reserving"), ""

    # --- collective demands ---------------------------------------------------------------------

    def _demand(self, text: str) -> tuple[Signed, bytes, bytes]:
        """Return a live demand, its author, and its thing id. Raises: NotFound."""
        record = self._host.find_record(text)
        author = self._host.author_of(record)
        live = self._host.live(record.id)
        if record.header.kind != "demand" or author is None or live is None:
            raise NotFound(_("{id} is no demand that is open.").format(id=text[:16]))
        return record, author, thing_id(author, record.header.series)

    def cosigners(self, demand: str, caller: Caller) -> shapes.Cosigners:
        """List who stands behind a demand."""
        record, _author, thing = self._demand(demand)
        showing = self.showing
        found = [
            shapes.Cosigner(showing.party(owner), signed.header.at, signed.id.hex())
            for signed in self._host.referring(record.id)
            if signed.header.kind == "cosignature"
            and (owner := self._host.author_of(signed)) is not None
        ]
        found.sort(key=lambda entry: (entry.at, entry.id))
        return shapes.Cosigners(thing.hex(), str(said(record).get("title", "")), found)

    async def cosign(
        self, demand: str, request: requests.CosignRequest, caller: Caller
    ) -> shapes.Cosigners:
        """Stand behind a demand of somebody else."""
        record, author, thing = self._demand(demand)
        acting = self.asking.acting(request.by, request.as_, caller, "cosignature")
        if acting.author == author:
            raise Who(_("The demand is theirs already."))
        self._publish("cosignature", {"demand": thing}, acting, refs=(record.id,))
        return self.cosigners(demand, caller)
