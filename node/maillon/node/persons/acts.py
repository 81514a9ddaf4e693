"""Show a person every act that somebody did for them: records, steps of exchanges, orders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from maillon.ledger.block import Placed as PlacedEntry
from maillon.ledger.entries import decode_entry
from maillon.ledger.orders import Order
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.paging import page
from maillon.node.api.persons_service import ActOptions
from maillon.node.i18n import _, speaking
from maillon.node.persons import bounds, sheets
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.host import PersonsHost
from maillon.protocol.errors import MaillonError
from maillon.protocol.view import MandateInfo, person_author

Elsewhere = Callable[[bytes], list[dict[str, Any]]]
"""Gives the acts of delegates in what another part keeps (steps of exchanges), for an author: dicts
with `at`, `what`, `id`, `mandate` and `key` (bytes), `coop` (bytes) and `title`."""


class Acts:
    """What delegates did."""

    def __init__(self, host: PersonsHost, accounts: Accounts) -> None:
        self._host = host
        self._accounts = accounts
        self.elsewhere: list[Elsewhere] = []

    def listed(self, caller: Caller, person: str, options: ActOptions) -> shapes.Acts:
        """List acts, the newest first. Raises: NotFound, BadCursor."""
        found = self._host.register.find_person(person)
        author = person_author(self._host.coop, found.id)
        caller.require_author(author)
        acts = [act for act in self._all(found.id, author) if _wanted(act, options)]
        return shapes.Acts(
            *page(
                "acts",
                acts,
                lambda act: (act.at, act.id),
                limit=options.limit,
                after=options.after,
                falling=True,
            )
        )

    def _all(self, person: bytes, author: bytes) -> Iterator[shapes.Act]:
        yield from self._records(author)
        if self._accounts.kept:
            yield from self._orders(person)
        for source in self.elsewhere:
            for said in source(author):
                yield self._act(
                    said["at"], said["what"], said["id"], said["mandate"], said["key"],
                    said["coop"], str(said.get("title", "")),
                )  # fmt: skip

    def _act(
        self, at: int, what: str, id: bytes, mandate: bytes, key: bytes, coop: bytes,
        title: str = "",
    ) -> shapes.Act:  # fmt: skip
        info = self._host.view.membership(coop, key)
        ours = info is not None and coop == self._host.coop
        name = self._host.register.name_of(info.person) if ours and info is not None else ""
        return shapes.Act(at, what, id.hex(), mandate.hex(), key.hex(), coop.hex(), name, title)

    def _records(self, author: bytes) -> Iterator[shapes.Act]:
        view, store = self._host.view, self._host.store
        for info in view.keys_of(author):
            for mandate in view.mandates_of(info.coop, info.key):
                for id, header in store.under_mandate(mandate.thing):
                    signed = store.get(id)
                    said = None if signed is None else signed.payload
                    payload = cast("Mapping[str, Any]", said or {})
                    yield self._act(
                        header.at, header.kind, id, mandate.thing, header.by, header.coop,
                        str(payload.get("title", "")),
                    )  # fmt: skip

    def _orders(self, person: bytes) -> Iterator[shapes.Act]:
        """Yield what was paid or reserved under a mandate of the account."""
        book, showing = self._accounts.machine.book, self._accounts.showing
        for line in self._accounts.lines(person, limit=bounds.ACTS_SEARCHED_MAX):
            if line.kind not in ("pay", "hold") or line.amount > 0:
                continue
            order = self._order_at(book.block(self._host.coop, line.place.h), line.place.index)
            if order is None or not order.mandate:
                continue
            coop = self._coop_of(order.key)
            act = self._act(
                line.place.time, line.kind, line.id, order.mandate, order.key, coop,
                self._host.register.memo(line.ref),
            )  # fmt: skip
            act.amount = line.reserved or -line.amount
            act.text = showing.text(line.unit, act.amount)
            yield act

    def _order_at(self, block: Any, index: int) -> Order | None:
        placed = block.body.entries[index]
        if not isinstance(placed, PlacedEntry):
            return None
        try:
            entry = decode_entry(placed.data)
        except MaillonError:
            return None
        order = getattr(entry, "order", None)
        return order if isinstance(order, Order) else None

    def _coop_of(self, key: bytes) -> bytes:
        """Return a coop that vouches for a key: this one before others, its own when none does."""
        for info in sorted(self._host.view.coops(), key=lambda coop: coop.coop != self._host.coop):
            if self._host.view.membership(info.coop, key) is not None:
                return info.coop
        return self._host.coop

    # --- mandates -------------------------------------------------------------------------------

    def mandates(self, caller: Caller, person: str) -> shapes.PersonMandates:
        """List the mandates that a person gave and received, of records and of the account."""
        host, view = self._host, self._host.view
        found = host.register.find_person(person)
        author = person_author(host.coop, found.id)
        caller.require_author(author)
        counts: dict[str, int] = {}
        for act in self._all(found.id, author):
            counts[act.mandate] = counts.get(act.mandate, 0) + 1
        given: list[shapes.GivenMandate] = []
        received: list[shapes.GivenMandate] = []
        for info in view.keys_of(author):
            given += [self._mandate(each) for each in view.mandates_of(info.coop, info.key)]
            received += [self._mandate(each) for each in view.mandates_to(info.key)]
        if self._accounts.kept:
            given += self._spending(found.id, author)
        for each in given:
            each.acts = counts.get(each.mandate, 0)
        return shapes.PersonMandates(given, received)

    def _mandate(self, info: MandateInfo) -> shapes.GivenMandate:
        signed = self._host.store.get(info.record)
        payload = cast("Mapping[str, Any]", (signed and signed.payload) or {})
        return self._given(
            info.thing, info.author, info.delegate_key, info.delegate_coop, sorted(info.kinds),
            sorted(info.forbidden), info.start, info.end, info.ended is not None,
            str(payload.get("note", "")),
        )  # fmt: skip

    def _given(
        self, mandate: bytes, principal: bytes, key: bytes, coop: bytes, kinds: list[str],
        forbidden: list[str], start: int, end: int, revoked: bool, note: str = "",
    ) -> shapes.GivenMandate:  # fmt: skip
        host = self._host
        own = principal[:1] == b"p" and principal[1:33] == host.coop
        acting = host.view.membership(coop, key)
        ours = coop == host.coop and acting is not None
        return shapes.GivenMandate(
            mandate.hex(),
            principal.hex(),
            host.register.name_of(principal[33:]) if own else "",
            key.hex(),
            coop.hex(),
            host.coop_name(coop),
            host.register.name_of(acting.person) if ours and acting is not None else "",
            kinds,
            forbidden,
            start,
            end,
            revoked,
            note,
        )

    def _spending(self, person: bytes, author: bytes) -> list[shapes.GivenMandate]:
        account = self._accounts.account(person)
        if account is None:
            return []
        shown = self._accounts.showing.account(self._host.coop, account).mandates
        allowances = {said["mandate"]: said["allowances"] for said in shown}
        found: list[shapes.GivenMandate] = []
        for mandate in account.mandates.values():
            given = self._given(
                mandate.id, author, mandate.key, self._coop_of(mandate.key), ["pay", "hold"], [],
                mandate.start, mandate.end, False,
            )  # fmt: skip
            given.allowances = allowances[given.mandate]
            given.period_s = mandate.period_s
            found.append(given)
        return found

    def receipt(self, caller: Caller, person: str, options: ActOptions) -> shapes.Receipt:
        """Return the same list as a sheet to print and as plain text."""
        found = self._host.register.find_person(person)
        acts = self.listed(caller, person, options).acts
        with speaking(options.lang):
            title = _("Done for {name}").format(name=found.name)
            told = [
                _("{coop}, on {day}").format(
                    coop=self._host.coop_name(self._host.coop),
                    day=sheets.day(self._host.time()),
                ),
                _("You can end a mandate at once, at the desk or by yourself."),
            ]
            columns = (_("When"), _("What"), _("By"), _("Amount"), _("Mandate"))
            rows = [
                (
                    sheets.moment(act.at),
                    f"{act.what} {act.title}".strip(),
                    act.delegate_name or act.delegate_key[:8],
                    act.text,
                    act.mandate[:8],
                )
                for act in acts
            ]
            sheet = sheets.table_html(title, told, columns, rows)
            text = "\n".join([title, *told, "", *(" | ".join(row) for row in (columns, *rows))])
        return shapes.Receipt(sheet, text + "\n")


def _wanted(act: shapes.Act, options: ActOptions) -> bool:
    return options.start <= act.at < options.end and act.mandate.startswith(options.mandate)
