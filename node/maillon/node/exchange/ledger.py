"""Let the accounts of this node answer for exchanges, and carry out what these order."""

from __future__ import annotations

import itertools
from typing import Any, Final, cast

from maillon.ledger import signing
from maillon.ledger.confirmation import (
    KeyConfirmation,
    Release,
    hold_body,
    sign_confirmation,
    sign_release,
)
from maillon.ledger.entries import Entry, Post, Settle, Void, decode_entry
from maillon.ledger.limits import SEQ_GAP_MAX
from maillon.ledger.orders import (
    COMMONS,
    Action,
    HoldAction,
    Order,
    PayAction,
    decode_order,
    order_body,
    order_id,
    sign_order,
)
from maillon.ledger.state import GROUP, Account
from maillon.ledger.units import UnitTable
from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.notes import OrderNote
from maillon.node.engine.exchange.ports import Keys, Ordered, Transfer, Unsigned, Wanted
from maillon.node.exchange.ports import Host
from maillon.node.i18n import _
from maillon.node.ledger import bounds
from maillon.node.ledger.asking import Asking, AskingError, KeyElsewhere, NoSuchAccount
from maillon.node.ledger.elsewhere import Elsewhere
from maillon.node.ledger.index import CERTIFIED, HELD, POSTED, RETURNED, VOID, TransferRow
from maillon.node.ledger.reading import wish_id
from maillon.node.ledger.runner import LedgerRunner
from maillon.protocol.encoding import decode, encode
from maillon.protocol.errors import BadSignature, MaillonError
from maillon.protocol.keys import SigningKey
from maillon.protocol.view import coop_author, person_author

DATA_BYTES_MAX: Final = 8_192
LINES_LOOKED_AT: Final = 128
"""The last movements of an account among which a payment of an exchange is looked for."""

_STATUS: Final = {
    CERTIFIED: "certified",
    HELD: "held",
    POSTED: "posted",
    VOID: "void",
    RETURNED: "returned",
}

# How what is to be carried out is kept: an order, an entry of the coop's own, or an act on a hold.
ORDER: Final = "order"
ENTRY: Final = "entry"


def account_of(author: bytes) -> tuple[bytes, bytes]:
    """Return coop and account of an author: a person's has their id, the coop's is the commons."""
    return author[1:33], author[33:] or COMMONS


def author_of(coop: bytes, account: bytes) -> bytes:
    """Return the author whose account it is."""
    return coop_author(coop) if account == COMMONS else person_author(coop, account)


class NoLedgerHere:
    """Implements engine.exchange.ports.Ledger where a federation keeps no accounts."""

    enabled = False

    def transfer(self, id: bytes) -> Transfer | None:
        return None

    def under(self, payer: bytes, ref: bytes) -> list[Transfer]:
        return []

    def unit_kind(self, code: str) -> str | None:
        return None

    def counting(self) -> tuple[str, ...]:
        return ()

    def lapsed(self, data: bytes) -> bool:
        return False

    def may_sign(self, wanted: Wanted) -> bool:
        return False

    def sign(self, wanted: Wanted, *, delegate: bytes | None = None, after: int = 0) -> Ordered:
        raise AskingError(_("This federation was founded without accounts."))

    def unsigned(self, wanted: Wanted, key: bytes, *, after: int = 0) -> Unsigned:
        raise AskingError(_("This federation was founded without accounts."))

    def signed(self, wanted: Wanted, key: bytes, body: bytes, signature: bytes) -> Ordered:
        raise AskingError(_("This federation was founded without accounts."))

    async def carry_out(self, note: OrderNote, wait_s: float) -> tuple[str, str, str]:
        return "refused", "no_ledger", ""


class NodeLedger:
    """Implements engine.exchange.ports.Ledger over the accounts of a node."""

    enabled = True

    def __init__(self, host: Host, runner: LedgerRunner, keys: Keys, asking_host: Any) -> None:
        self._host = host
        self._runner = runner
        self._keys = keys
        self._asking_host = asking_host

    # The machine may make its parts anew: they are looked up each time.

    @property
    def _asking(self) -> Asking:
        return Asking(self._asking_host, self._runner.machine)

    @property
    def _units(self) -> UnitTable:
        return UnitTable(self._runner.machine.book.charter.latest.units)

    def _code(self, unit: int) -> str:
        units = self._runner.machine.book.charter.latest.units
        return units[unit].code if unit < len(units) else ""

    def _account(self, author: bytes) -> Account | None:
        coop, account = account_of(author)
        book = self._runner.machine.book
        return book.state(coop).account(account) if coop in book.chains() else None

    # --- reading --------------------------------------------------------------------------------

    def _row(self, id: bytes) -> TransferRow | None:
        index = self._runner.machine.index
        row = index.transfer(id)
        if row is None:
            settled = index.settled_as(self._host.coop, id)
            row = None if settled is None else index.transfer(settled)
        return row

    def transfer(self, id: bytes) -> Transfer | None:
        """Return what is known of an order: from the chains, or as it waits here."""
        row = self._row(id)
        if row is not None:
            return Transfer(
                row.id,
                _STATUS[row.status],
                author_of(row.coop, row.account),
                author_of(row.to_coop, row.to_account),
                self._code(row.unit),
                row.amount,
                row.ref,
                row.expiry,
                row.why,
                final=row.status in (VOID, RETURNED)
                or (row.status != HELD and (row.coop == row.to_coop or row.arrived is not None)),
            )
        item = self._runner.machine.queue.get(id)
        if item is None:
            return None
        wish = item.wish
        action: Any = wish.action if isinstance(wish, Order) else wish
        if not isinstance(action, PayAction | HoldAction | Settle):
            return None
        refused = item.state == "refused"
        return Transfer(
            id,
            "refused" if refused else "waiting",
            author_of(self._host.coop, item.account),
            author_of(action.to_coop, action.to_account),
            self._code(action.unit),
            action.amount,
            action.ref,
            getattr(action, "expiry", 0),
            item.reason,
            item.detail,
            dict(item.facts),
            final=refused,
        )

    def under(self, payer: bytes, ref: bytes) -> list[Transfer]:
        """Return what goes, went or is reserved from an account under a `ref`, lately."""
        coop, account = account_of(payer)
        machine = self._runner.machine
        ids: dict[bytes, None] = {}
        lines = machine.index.lines(coop, account, reverse=True)
        for line in itertools.islice(lines, LINES_LOOKED_AT):
            if line.ref == ref:
                ids[line.id] = None
        if coop == self._host.coop:
            for item in machine.queue.waiting():
                action: Any = getattr(item.wish, "action", item.wish)
                if item.account == account and getattr(action, "ref", None) == ref:
                    ids[item.id] = None
        found = [self.transfer(id) for id in ids]
        return [one for one in found if one is not None and one.payer == payer]

    def unit_kind(self, code: str) -> str | None:
        """Return hours, credit or count; None for a unit that the charter does not have."""
        for unit in self._runner.machine.book.charter.latest.units:
            if unit.code == code:
                return unit.kind
        return None

    def counting(self) -> tuple[str, ...]:
        """Return the codes of the charter's units that only count, in its order."""
        units = self._runner.machine.book.charter.latest.units
        return tuple(unit.code for unit in units if unit.kind == "count")

    def lapsed(self, data: bytes) -> bool:
        """Tell whether an order that did not become certain can never do so any more."""
        form, encoded = _parts(data)
        if form != ORDER:
            return False
        order = decode_order(encoded)
        book = self._runner.machine.book
        if self._runner.machine.reading.behind(order.chain):
            return False  # it may stand in a block that was not read yet
        account = book.state(order.chain).account(order.account)
        # Blocks are dated: one that comes may be a little older than this clock.
        over = book.head(order.chain).time > order.until
        return over or (account is not None and account.seq >= order.seq)

    # --- who may sign ---------------------------------------------------------------------------

    def _key(self, wanted: Wanted) -> SigningKey | None:
        """Return a key held here that may sign what is wanted, as the account's own."""
        candidates: list[bytes] = []
        if wanted.what in ("hold", "pay"):
            account = self._account(wanted.payer)
            if account is not None and account_of(wanted.payer)[0] == self._host.coop:
                candidates = list(account.keys_at(self._host.time()))
        else:
            row = self._row(wanted.order)
            if row is None:
                return None
            if wanted.what == "release":
                candidates = [row.payee_key]
            else:
                payer = self._account(wanted.payer)
                candidates = [] if payer is None else list(payer.keys_at(self._host.time()))
                candidates.append(row.arbiter)
        for public in candidates:
            key = self._keys.held(public) if public else None
            if key is not None:
                return key
        return None

    def may_sign(self, wanted: Wanted) -> bool:
        """Tell whether a key held here could sign it now."""
        if self.unit_kind(wanted.unit) is None:
            return False
        coop, account = account_of(wanted.payer)
        if account == COMMONS and wanted.what in ("hold", "pay"):
            return coop == self._host.coop and wanted.what == "pay"
        if wanted.what in ("hold", "pay") and self._is_group(wanted.payer):
            return False  # its members sign together, and are asked elsewhere
        return self._key(wanted) is not None

    def _is_group(self, author: bytes) -> bool:
        account = self._account(author)
        return account is not None and account.kind == GROUP

    # --- signing --------------------------------------------------------------------------------

    def _action(self, wanted: Wanted) -> Action:
        coop, account = account_of(wanted.payee)
        unit = self._units.index(wanted.unit)
        if wanted.what == "pay":
            return PayAction(coop, account, unit, wanted.amount, wanted.ref, wanted.category)
        payee = self._account(wanted.payee)
        if payee is None or not payee.keys:
            raise NoSuchAccount(
                _("{name} has no account yet.").format(name=wanted.payee.hex()[66:74]),
                hint=_("They open one at their coop."),
            )
        return HoldAction(
            coop,
            account,
            unit,
            wanted.amount,
            wanted.ref,
            wanted.category,
            wanted.expiry,
            payee.keys[0],
            wanted.arbiter,
        )

    def sign(self, wanted: Wanted, *, delegate: bytes | None = None, after: int = 0) -> Ordered:
        """Sign with a key held here: the account's, or `delegate`'s under a spending mandate."""
        account = account_of(wanted.payer)[1]
        if wanted.what in ("confirm", "release"):
            return self._act(wanted, self._key(wanted))
        if account == COMMONS:
            return self._settled(wanted)
        found = self._account(wanted.payer)
        if found is None:
            raise NoSuchAccount(
                _("{name} has no account yet.").format(name=account.hex()[:8]),
                hint=_("Open one with: maillon account open"),
                account=account,
            )
        if found.kind == GROUP:
            raise KeyElsewhere(
                _("A group pays when enough of its members have approved."),
                hint=_("Propose the payment with: maillon group pay GROUP --exchange ID"),
                account=account,
            )
        if delegate is not None:
            return self._delegated(wanted, found, delegate, after)
        key = self._key(wanted)
        if key is None:
            raise KeyElsewhere(
                _("Your node holds no key of this account."),
                hint=_("It is signed on the device of who it belongs to, or under a mandate."),
                account=account,
            )
        return self._signed(wanted, found, key, after)

    def _number(self, wanted: Wanted, account: Account, after: int) -> int:
        """Return the next number: above what was placed, what waits, and what was signed here."""
        coop, _id = account_of(wanted.payer)
        if coop == self._host.coop:
            return self._runner.machine.queue.next_seq(account, after=after)
        last = max(account.seq, after)
        return (account.seq if last >= account.seq + SEQ_GAP_MAX else last) + 1

    def _signed(
        self,
        wanted: Wanted,
        account: Account,
        key: SigningKey,
        after: int,
        mandate: bytes = b"",
    ) -> Ordered:
        coop, id = account_of(wanted.payer)
        order = sign_order(
            key,
            self._runner.machine.fed,
            id,
            self._number(wanted, account, after),
            coop,
            self._host.time() + bounds.ORDER_LIFETIME_S,
            self._action(wanted),
            mandate=mandate,
        )
        if coop == self._host.coop:
            self._runner.machine.queue.signed(id, order.seq)
        return self._ordered(order)

    def _ordered(self, order: Order) -> Ordered:
        id = order.id(self._runner.machine.fed)
        return Ordered(id, encode([ORDER, order.encode()]), order.seq)

    def _delegated(self, wanted: Wanted, account: Account, delegate: bytes, after: int) -> Ordered:
        key = self._keys.held(delegate)
        mandate = next((m for m in account.mandates.values() if m.key == delegate), None)
        if key is None or mandate is None:
            raise KeyElsewhere(
                _("Nobody here may pay from this account."),
                hint=_("A spending mandate is given with: maillon account mandate"),
                account=account.id,
            )
        return self._signed(wanted, account, key, after, mandate.id)

    def _settled(self, wanted: Wanted) -> Ordered:
        coop, account = account_of(wanted.payee)
        if wanted.what != "pay" or account_of(wanted.payer)[0] != self._host.coop:
            raise AskingError(_("The coop's own account pays at once, without terms or category."))
        unit = self._units.index(wanted.unit)
        entry = Settle(COMMONS, unit, wanted.amount, coop, account, wanted.ref, 1)
        return Ordered(wish_id(entry, self._runner.machine.fed), encode([ENTRY, entry.encode()]))

    def _act(self, wanted: Wanted, key: SigningKey | None) -> Ordered:
        row = self._row(wanted.order)
        if key is None or row is None:
            raise KeyElsewhere(
                _("Your node holds no key that may confirm this."),
                hint=_("The payer confirms, or the arbiter whom both named."),
            )
        fed = self._runner.machine.fed
        if wanted.what == "confirm":
            signature = sign_confirmation(key, fed, row.coop, row.id).signature
        else:
            signature = sign_release(key, fed, row.coop, row.id).signature
        return Ordered(
            notes.about_hold(wanted.what, row.id),
            encode([wanted.what, encode([key.public, signature])]),
        )

    # --- on a device ----------------------------------------------------------------------------

    def unsigned(self, wanted: Wanted, key: bytes, *, after: int = 0) -> Unsigned:
        """Return what a device is to sign with a key of the account, or of a mandate on it."""
        fed = self._runner.machine.fed
        if wanted.what in ("confirm", "release"):
            row = self._row(wanted.order)
            if row is None:
                raise AskingError(_("Nothing is reserved under this id."))
            purpose = signing.CONFIRM if wanted.what == "confirm" else signing.RELEASE
            body = hold_body(row.coop, row.id)
            return Unsigned(row.id, body, signing.signed_bytes(purpose, fed, body))
        found = self._account(wanted.payer)
        if found is None:
            raise NoSuchAccount(_("There is no such account yet."))
        coop, account = account_of(wanted.payer)
        until = self._host.time() + bounds.ORDER_LIFETIME_S
        number = self._number(wanted, found, after)
        body = order_body(account, number, coop, until, self._action(wanted))
        return Unsigned(order_id(fed, body), body, signing.signed_bytes(signing.ORDER, fed, body))

    def signed(self, wanted: Wanted, key: bytes, body: bytes, signature: bytes) -> Ordered:
        """Put together what a device signed. Raises: BadSignature, Malformed, AskingError."""
        fed = self._runner.machine.fed
        verify = self._runner.machine.book.verify
        if wanted.what in ("confirm", "release"):
            unsigned = self.unsigned(wanted, key)
            if not verify([(key, unsigned.message, signature)])[0]:
                raise BadSignature(key=key)
            return Ordered(
                notes.about_hold(wanted.what, wanted.order),
                encode([wanted.what, encode([key, signature])]),
            )
        found = self._account(wanted.payer)
        mandate = b""
        if found is not None and key not in found.keys_at(self._host.time()):
            known = next((m for m in found.mandates.values() if m.key == key), None)
            mandate = b"" if known is None else known.id
        order = Order(body, key, mandate, signature)
        if not verify([order.check(fed)])[0]:
            raise BadSignature(key=key)
        coop, account = account_of(wanted.payer)
        said = order.action
        if (
            (order.chain, order.account) != (coop, account)
            or not isinstance(said, PayAction | HoldAction)
            or isinstance(said, HoldAction) != (wanted.what == "hold")
            or (said.to_coop, said.to_account) != account_of(wanted.payee)
            or said.ref != wanted.ref
            or said.amount != wanted.amount
        ):
            raise AskingError(_("This is not the order that the exchange needs."))
        if coop == self._host.coop:
            # Other parts of the node sign for the account before this one is placed.
            self._runner.machine.queue.signed(account, order.seq)
        return self._ordered(order)

    # --- carrying out ---------------------------------------------------------------------------

    async def carry_out(self, note: OrderNote, wait_s: float) -> tuple[str, str, str]:
        """Hand an order to its chain; return how it stands: status, reason, detail.

        Doing so again does nothing new. What cannot be reached is `ordered` still.
        """
        form, encoded = _parts(note.data)
        elsewhere = Elsewhere(self._asking_host, self._runner)
        try:
            if form == ORDER:
                order = decode_order(encoded)
                if order.chain != self._host.coop:
                    placed = await elsewhere.hand_over(order)
                    status = "refused" if placed.status == "refused" else "waiting"
                    return status, placed.reason, placed.detail
                await self._runner.ask(order, wait_s)
            elif form == ENTRY:
                entry = decode_entry(encoded)
                if self._row(note.id) is None:
                    await self._runner.ask(entry, wait_s)
            else:
                return await self._on_hold(note, form, encoded, elsewhere, wait_s)
        except MaillonError as fault:
            if fault.code in ("network_down", "queue_full", "local"):
                return "ordered", fault.code, str(fault)
            return "refused", fault.code, str(fault)
        return "waiting", "", ""

    async def _on_hold(
        self, note: OrderNote, form: str, encoded: bytes, elsewhere: Elsewhere, wait_s: float
    ) -> tuple[str, str, str]:
        row = self._row(note.order)
        if row is None or row.status != HELD:
            return "waiting", "", ""
        key, signature = cast("list[bytes]", decode(encoded, bytes_max=DATA_BYTES_MAX))
        here = row.coop == self._host.coop
        if form == "confirm":
            confirmation = KeyConfirmation(key, signature)
            if here:
                entry: Entry = Post(row.account, row.id, confirmation, 0)
                await self._runner.ask(entry, wait_s)
            else:
                placed = await elsewhere.confirm(row, confirmation)
                if placed.reason != "confirmed":
                    return "ordered", placed.reason, placed.detail
        else:
            release = Release(key, signature)
            if here:
                await self._runner.ask(Void(row.account, row.id, release), wait_s)
            else:
                await elsewhere.give_back(row, release, wait_s)
        return "waiting", "", ""


def _parts(data: bytes) -> tuple[str, bytes]:
    form, encoded = cast("list[Any]", decode(data, bytes_max=DATA_BYTES_MAX))
    return cast("str", form), cast("bytes", encoded)
