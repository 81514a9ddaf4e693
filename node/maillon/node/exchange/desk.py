"""Answer what people ask of exchanges through the interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from maillon.ledger.units import UnitTable
from maillon.node import cursors
from maillon.node.api import exchange_requests as requests
from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.exchange_service import ExchangeOptions
from maillon.node.engine.exchange.addressing import is_person
from maillon.node.engine.exchange.core import ExchangeCore, Taken
from maillon.node.engine.exchange.ports import Query
from maillon.node.engine.exchange.projecting import project
from maillon.node.exchange.agenda import Agendas
from maillon.node.exchange.asking import Acting, Asking, NotFound, Who
from maillon.node.exchange.bundles import Bundles
from maillon.node.exchange.drafts import drafted
from maillon.node.exchange.evaluating import Evaluating
from maillon.node.exchange.filling import in_words
from maillon.node.exchange.paying import Paying
from maillon.node.exchange.ports import Host
from maillon.node.exchange.runner import ExchangeRunner
from maillon.node.exchange.showing import Showing
from maillon.node.i18n import _
from maillon.protocol.envelope import Signed, decode_record
from maillon.protocol.errors import LocalError, StepRefused
from maillon.protocol.exchange import Exchange
from maillon.protocol.records import thing_id
from maillon.protocol.records.exchange import PARTIES_MAX, exchanges_of
from maillon.protocol.statuses import require_allowed

ABOUT: Final = ("offer", "demand")
OWN_ROUTES: Final = {"evaluation": "…/evaluation", "opening": "POST /v1/exchanges"}


class ExchangeDesk(Evaluating, Paying, Agendas, Bundles):
    """Implements api.exchange_service.ExchangeService."""

    def __init__(
        self, host: Host, runner: ExchangeRunner, units: Callable[[], UnitTable | None]
    ) -> None:
        self._host = host
        self._runner = runner
        self._units = units

    # The charter may change: what shows amounts is looked up each time.

    @property
    def core(self) -> ExchangeCore:
        """Return what decides."""
        return self._runner.core

    @property
    def asking(self) -> Asking:
        """Return what resolves names and fields."""
        return Asking(self._host, self.core, self._units(), self.showing)

    @property
    def showing(self) -> Showing:
        """Return what shows exchanges."""
        return Showing(self._host, self.core, self._units())

    # --- lists ----------------------------------------------------------------------------------

    def exchanges(self, options: ExchangeOptions, caller: Caller) -> shapes.Exchanges:
        """List exchanges, the one changed last first."""
        authors = self.asking.readers(options.person, caller)
        if authors == ():
            return shapes.Exchanges([], None)
        query = Query(
            authors=authors,
            role=options.role,
            phases=options.phases,
            about=_bytes(options.about),
            bundle=_bytes(options.bundle),
            waiting=options.waiting_for_me,
            finished=None if options.open is None else not options.open,
            before=_place(options.after),
            limit=options.limit + 1,
        )
        if options.waiting_for_me and authors is None:
            # Of everybody here: those elsewhere are waited for as well.
            query = replace(query, here=self._host.coop)
        found = self.core.store.find(query)
        showing = self.showing
        rows = [showing.row(row) for row in found[: options.limit]]
        more = len(found) > options.limit
        return shapes.Exchanges(rows, _after(found[options.limit - 1]) if more else None)

    def show(self, id: str, caller: Caller) -> shapes.Exchange:
        """Show one exchange."""
        return self._shown(self.asking.exchange(id, caller), caller)

    def _shown(self, exchange: bytes, caller: Caller) -> shapes.Exchange:
        state = self.core.state(exchange, self._host.time())
        row = self.core.store.row(exchange)
        assert row is not None  # every transcript has its row
        return self.showing.exchange(state, row, caller)

    def transcript(self, id: str, raw: bool, caller: Caller) -> shapes.Transcript:
        """Give the signed steps."""
        exchange = self.asking.exchange(id, caller)
        return self.showing.transcript(self.core.state(exchange, self._host.time()), raw)

    # --- steps ----------------------------------------------------------------------------------

    async def open(self, request: requests.OpenRequest, caller: Caller) -> shapes.StepDone:
        """Open an exchange."""
        acting = self.asking.acting(request.by, request.as_, caller, "opening")
        fields = self._opening(request, acting.author)
        return await self._act("opening", fields, acting, None, caller, 0.0)

    def _opening(self, request: requests.OpenRequest, author: bytes) -> dict[str, Any]:
        """Return the fields of an opening, with what the offer or demand says. Raises: Who."""
        fields: dict[str, Any] = {
            "title": request.title or None,
            "text": request.text or None,
            "lang": request.lang,
            "payer": None if request.payer is None else bytes.fromhex(request.payer),
            "bundle": _bytes(request.bundle or "") or None,
            "participants": [bytes.fromhex(one) for one in request.participants] or None,
            "recurrence": request.recurrence,
        }
        if request.origin is not None:
            fields["origin"] = {
                "exchange": bytes.fromhex(request.origin.exchange),
                "step": bytes.fromhex(request.origin.step),
            }
        other = None if request.with_ is None else bytes.fromhex(request.with_)
        role = request.role
        if request.about is not None:
            other, role, said, about = self._about(request.about, other, role, author)
            fields["about"] = about
            if fields["participants"] is None:
                fields["participants"] = self._cosigners(request.about, (author, other)) or None
            for name in ("title", "lang"):
                fields[name] = fields[name] or said.get(name)
        if other is None or not role:
            raise Who(
                _("Say with whom, and which of the two asks."),
                hint=_("Name an offer or a demand, or give `with` and `role`."),
            )
        requester, provider = (author, other) if role == "requester" else (other, author)
        if fields["payer"] == provider:
            raise Who(
                _("Who gives the service is paid for it, and cannot be the one who pays."),
                hint=_("Name a third party as `payer`, or nobody: then who asks pays."),
            )
        fields |= {"requester": requester, "provider": provider}
        fields["lang"] = fields["lang"] or "fr"
        if not fields["title"]:
            raise Who(_("Give it a title."))
        return fields

    def _about(
        self, text: str, other: bytes | None, role: str, author: bytes
    ) -> tuple[bytes | None, str, Mapping[str, Any], bytes]:
        record = self._host.find_record(text)
        owner = self._host.author_of(record)
        if record.header.kind not in ABOUT or owner is None or self._host.live(record.id) is None:
            raise NotFound(_("{id} is no offer or demand that is open.").format(id=text[:16]))
        if owner == author and other is None:
            raise Who(
                _("This is your own; say with whom."), hint=_("Give `with`: the other's author.")
            )
        if not role:
            gives = (record.header.kind == "offer") == (owner == author)
            role = "provider" if gives else "requester"
        about = thing_id(owner, record.header.series)
        return other or owner, role, record.payload or {}, about

    def _cosigners(self, text: str, parties: tuple[bytes | None, ...]) -> list[bytes]:
        """Return who stands behind a demand: the answer to it is theirs as well."""
        found: dict[bytes, None] = {}
        for signed in self._host.referring(self._host.find_record(text).id):
            owner = self._host.author_of(signed) if signed.header.kind == "cosignature" else None
            if owner is not None and owner not in parties:
                found[owner] = None
        return list(found)[:PARTIES_MAX]

    async def step(self, id: str, request: requests.StepRequest, caller: Caller) -> shapes.StepDone:
        """Take a step with a key held here."""
        asking = self.asking
        exchange = asking.exchange(id, caller)
        self._require_plain(request.kind)
        acting = asking.acting(request.by, request.as_, caller, request.kind)
        state = self.core.state(exchange, self._host.time())
        fields = asking.fields(request.kind, request.fields, state, acting.author)
        return await self._act(request.kind, fields, acting, exchange, caller, request.wait_s)

    @staticmethod
    def _require_plain(kind: str) -> None:
        if kind in OWN_ROUTES:
            raise LocalError(
                _("A step of the kind {kind} is not taken this way.").format(kind=kind),
                hint=_("Use: {route}").format(route=OWN_ROUTES[kind]),
            )

    async def _act(
        self,
        kind: str,
        fields: Mapping[str, Any],
        acting: Acting,
        exchange: bytes | None,
        caller: Caller,
        wait_s: float,
    ) -> shapes.StepDone:
        self._require_allowed(kind, fields, acting.author)
        now = self._host.time()
        try:
            taken, effects = self.core.act(kind, fields, acting.signer, acting.key, exchange, now)
        except StepRefused as fault:
            raise self._in_words(fault, exchange, now) from None
        self._runner.do(effects)
        return await self._done(taken, caller, wait_s)

    def _in_words(self, fault: StepRefused, exchange: bytes | None, now: int) -> StepRefused:
        if exchange is None:
            return fault
        return in_words(fault, self.core.state(exchange, now), self.showing)

    async def _done(self, taken: Taken, caller: Caller, wait_s: float) -> shapes.StepDone:
        exchange = taken.exchanges[0]
        if wait_s:
            await self._runner.settled(exchange, wait_s)
        shown = self._shown(exchange, caller)
        return shapes.StepDone(taken.id.hex(), shown, shown.payments)

    def _require_allowed(self, kind: str, fields: Mapping[str, Any], author: bytes) -> None:
        """Refuse terms that a provider of this status may not be given. Raises: NotAllowed."""
        if kind != "quote" or not is_person(author):
            return
        terms: Mapping[str, Any] = fields["terms"]
        kinds = {unit.code: unit.kind for unit in self._host.founding.units}
        units = self._units()
        if units is not None:
            # The charter may have added some since.
            kinds |= {unit.code: unit.kind for unit in units}
        for info in self._host.directory.keys_of(author):
            record = self._host.live(bytes(info.record))
            status = None if record is None else (record.payload or {}).get("provider_status")
            if isinstance(status, str):
                require_allowed(terms, status, kinds)

    async def delay(
        self, id: str, request: requests.DelayRequest, caller: Caller
    ) -> shapes.StepDone:
        """Tell the other side that one is late."""
        text = request.text or _("I will be {n} minutes late.").format(n=request.minutes)
        fields: dict[str, Any] = {
            "text": text,
            "lang": request.lang,
            "late_minutes": request.minutes,
        }
        if request.slot is not None:
            fields["slot"] = request.slot
        return await self.step(
            id,
            requests.StepRequest(kind="message", fields=fields, by=request.by, as_=request.as_),
            caller,
        )

    async def hand_over(
        self, id: str, request: requests.HandoverRequest, caller: Caller
    ) -> shapes.StepDone:
        """Propose another provider."""
        fields: dict[str, Any] = {"to": request.to}
        if request.task is not None:
            fields["task"] = request.task
        if request.text:
            fields |= {"text": request.text, "lang": "fr"}
        return await self.step(
            id,
            requests.StepRequest(kind="handover", fields=fields, by=request.by, as_=request.as_),
            caller,
        )

    # --- devices --------------------------------------------------------------------------------

    def draft(self, id: str, request: requests.DraftRequest, caller: Caller) -> shapes.DraftOut:
        """Draft a step that a device is to sign."""
        asking = self.asking
        key = bytes.fromhex(request.key)
        coop = None if request.coop is None else bytes.fromhex(request.coop)
        signer = asking.device(key, coop, request.as_, request.kind)
        author = self._device_author(signer.coop, key, request.as_, caller, request.kind)
        if not id:
            if request.open is None:
                raise Who(_("Say what is to be opened."), hint=_("Give `open`."))
            fields = self._opening(request.open, author)
            made, _standing = self.core.draft("opening", fields, signer, None, self._host.time())
            return drafted(made, "")
        self._require_plain(request.kind)
        exchange = asking.exchange(id, caller)
        state = self.core.state(exchange, self._host.time())
        given = asking.fields(request.kind, request.fields, state, author)
        self._require_allowed(request.kind, given, author)
        now = self._host.time()
        try:
            made, _standing = self.core.draft(request.kind, given, signer, exchange, now)
        except StepRefused as fault:
            raise self._in_words(fault, exchange, now) from None
        return drafted(made, exchange.hex())

    def _device_author(
        self, coop: bytes, key: bytes, as_: str | None, caller: Caller, kind: str
    ) -> bytes:
        """Return in whose name a device signs; the caller has to be whoever it is."""
        member = self._host.directory.membership(coop, key)
        if member is None:
            raise NotFound(_("This key is of nobody whose membership counts."))
        caller.require_author(member.author)
        if as_ is None:
            return member.author
        return self.asking.mandate(as_, key, kind).author

    async def signed(self, request: requests.SignedSteps, caller: Caller) -> shapes.SignedDone:
        """Take in what a device signed, or opened out of its letters."""
        now = self._host.time()
        taken: list[Taken] = []
        for data in request.received:
            one, effects = self.core.hand_in(decode_record(bytes.fromhex(data)), now)
            self._runner.do(effects)
            taken.append(one)
        steps = [decode_record(bytes.fromhex(data)) for data in request.records]
        for signed in steps:
            self._require_signer(signed, caller)
        attestations = [decode_record(bytes.fromhex(data)) for data in request.attestations]
        if steps:
            new, effects = self.core.take_all(steps, now, attestations=attestations)
            self._runner.do(effects)
            taken += new
        exchanges = list(dict.fromkeys(id for one in taken for id in one.exchanges))
        payments = await self._signed_orders(request, exchanges, caller)
        rows = [self.core.store.row(id) for id in exchanges]
        showing = self.showing
        return shapes.SignedDone(
            [
                shapes.Taken(
                    one.id.hex(), one.exchanges[0].hex() if one.exchanges else "", one.outcome
                )
                for one in taken
            ],
            [showing.row(row) for row in rows if row is not None],
            payments,
        )

    def _require_signer(self, signed: Signed, caller: Caller) -> None:
        header = signed.header
        member = self._host.directory.membership(header.coop, header.by)
        if member is not None:
            caller.require_author(member.author)
        else:
            caller.require("desk")
        for exchange in exchanges_of(header.kind, signed.id, signed.payload or {}):
            if exchange != signed.id and self.core.store.row(exchange) is not None:
                self.asking.exchange(exchange.hex(), caller)

    # --- for others of the node -----------------------------------------------------------------

    def reproject(self, exchange: bytes) -> Exchange:
        """Write the row of an exchange anew and return its state."""
        state = self.core.state(exchange, self._host.time())
        project(self.core.store, state, self._host.time())
        return state


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise NotFound(_("{id} is no id.").format(id=text[:16])) from None


def _place(after: str) -> tuple[int, bytes] | None:
    if not after:
        return None
    at, id = cursors.read("exchanges", after, int, bytes)
    return at, id


def _after(row: Any) -> str:
    return cursors.written("exchanges", row.changed_at, row.id)
