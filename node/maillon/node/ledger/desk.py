"""Answer what people ask of the accounts through the local interface."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from maillon.ledger.entries import (
    Close,
    Confirmation,
    Limit,
    Open,
    Post,
    PreimageConfirmation,
    Recover,
    Settle,
    Void,
    sign_confirmation,
    sign_release,
)
from maillon.ledger.errors import LedgerError
from maillon.ledger.fastpay import read_order
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.orders import (
    COMMONS,
    HoldAction,
    KeysAction,
    MandateAction,
    Order,
    PayAction,
    RevokeAction,
)
from maillon.node.api import charter_shapes
from maillon.node.api import ledger_shapes as shapes
from maillon.node.api.ledger_service import (
    AccountOptions,
    StatementOptions,
    TransferOptions,
)
from maillon.node.i18n import _
from maillon.node.ledger import bounds, papers, proving, statements
from maillon.node.ledger.asking import PERSON_KINDS, Asking, AskingError, NoSuchAccount, bytes_of
from maillon.node.ledger.elsewhere import Elsewhere
from maillon.node.ledger.exporting import export
from maillon.node.ledger.governing import Governing
from maillon.node.ledger.host import Host
from maillon.node.ledger.index import HELD, TransferRow
from maillon.node.ledger.outcomes import Outcomes
from maillon.node.ledger.queue import Queued
from maillon.node.ledger.reading import require_readable, wish_id
from maillon.node.ledger.repeats import Repeats
from maillon.node.ledger.reversing import reversal
from maillon.node.ledger.runner import LedgerRunner
from maillon.node.ledger.showing import Showing
from maillon.node.ledger.telling import Telling
from maillon.node.naming import why_not
from maillon.protocol.encoding import Value
from maillon.protocol.errors import BadSignature, LocalError, MaillonError, Malformed
from maillon.protocol.keys import SigningKey

PREFIX_CHARACTERS_MIN = 6
STALE = "stale_sequence"
"""Why an order is refused whose number another order of the account has taken."""


class NoSuchTransfer(AskingError):
    """No transfer fits what was written."""

    code = "not_found"


class UnknownAccount(AskingError):
    """There is no such account at the coop that was named."""

    code = "not_found"


class BadMemo(AskingError):
    """A memo does not fit what the order commits to."""

    code = "memo"


def _order_of(text: str) -> Order:
    """Read an order written in hexadecimal. Raises: Malformed and its kinds, BadAmount, BadKey."""
    data = bytes_of(text)
    if data is None:
        raise Malformed(rule="order")
    return read_order(data)


class Desk:
    """Implements api.ledger_service.LedgerService."""

    def __init__(
        self, host: Host, runner: LedgerRunner, founding_file: Callable[[], bytes]
    ) -> None:
        self._host = host
        self._runner = runner
        self._founding_file = founding_file

    # The machine may make its parts anew: they are looked up each time.

    @property
    def asking(self) -> Asking:
        """Return what resolves names and signs."""
        return Asking(self._host, self._runner.machine)

    @property
    def showing(self) -> Showing:
        """Return what shows things by the present charter."""
        machine = self._runner.machine
        showing = Showing(self._host, machine.index, machine.book.hash_at)
        showing.use(machine.book.charter.latest)
        return showing

    @property
    def outcomes(self) -> Outcomes:
        """Return what asks, waits, and tells what became of it."""
        return Outcomes(self._host, self._runner, self.showing)

    # --- accounts -------------------------------------------------------------------------------

    def accounts(self, options: AccountOptions) -> shapes.Accounts:
        """List the accounts of a coop."""
        book = self._runner.machine.book
        coop = self._host.coop
        if options.coop:
            coop = self.asking.coop(options.coop)
        unit = self.asking.unit(options.unit) if options.unit else None
        showing = self.showing
        rows = [
            showing.account(coop, account, unit)
            for account in book.state(coop).accounts()
            if (account.open or options.all)
            and (unit is None or unit in account.positions or account.id == COMMONS)
        ]
        rows.sort(key=lambda row: (row.kind != "commons", row.name.lower(), row.account))
        return shapes.Accounts(rows, book.head(coop).time)

    def account(self, account: str) -> shapes.Account:
        """Show one account, of this coop or, written `coop:account`, of another."""
        try:
            place = self.asking.anywhere(account)
        except NoSuchAccount as fault:
            raise UnknownAccount(str(fault), hint=fault.hint) from None
        found = self._runner.machine.book.state(place.coop).account(place.account)
        if found is None:
            raise UnknownAccount(
                _("{coop} has no account {id}.").format(
                    coop=self._host.coop_name(place.coop), id=place.account.hex()[:8]
                )
            )
        return self.showing.account(place.coop, found)

    async def open_account(self, request: shapes.AccountRequest) -> shapes.Placed:
        """Open an account for a member, or for an organisation or a group."""
        asking = self.asking
        positions = asking.positions(request.positions)
        if request.person is not None:
            account = asking.own(request.person)
            if self._host.register.person(account) is None:
                raise NoSuchAccount(
                    _("Nobody of your coop has the id {id}.").format(id=account.hex()[:8]),
                    hint=_("Members are registered with: maillon member add"),
                )
        elif request.kind == "person":
            raise AskingError(
                _("Say for which member the account is."),
                hint=_("Members are registered with: maillon member add"),
            )
        else:
            account = self._host.random(16)
        if request.name and (reason := why_not(request.name)):
            raise AskingError(reason, field="name")
        if request.key is not None:
            key = bytes.fromhex(request.key)
        else:
            key = self._host.member_key(account) or asking.new_key(account, request.name)
        kind = PERSON_KINDS[request.kind]
        entry = Open(account, kind, key, positions)
        require_readable(entry)
        if request.name and self._host.register.person(account) is None:
            # With a key of its own it is nobody's whose key is kept here; its name is, all the same
            # in the private register only.
            self._host.register.add_person(account, request.name, "", self._host.time())
        await self._open_commons([unit for unit, _limit, _maximum in positions])
        return await self.outcomes.entry(entry, request.wait_s, account=account)

    async def _open_commons(self, units: Sequence[int]) -> None:
        """Keep the coop's own account in every unit that its members have, with no credit."""
        machine = self._runner.machine
        commons = machine.book.state(self._host.coop).account(COMMONS)
        for unit in units:
            kept = not machine.book.charter.latest.units[unit].kind == "count"
            if commons is not None and unit not in commons.positions and kept:
                await self._runner.ask(Limit(COMMONS, unit, 0, BALANCE_MAX), 0)

    async def limit(self, account: str, request: shapes.LimitRequest) -> shapes.Placed:
        """Set credit limit and maximum of an account in a unit."""
        asking = self.asking
        found = asking.account(account)
        unit = asking.unit(request.unit)
        entry = Limit(
            found.id,
            unit,
            asking.amount(unit, request.limit),
            asking.maximum(unit, request.max),
        )
        return await self.outcomes.entry(entry, request.wait_s, account=found.id)

    async def close(self, account: str, request: shapes.CloseRequest) -> shapes.Placed:
        """Close an account."""
        found = self.asking.account(account)
        return await self.outcomes.entry(Close(found.id), request.wait_s, account=found.id)

    async def recover(self, account: str, request: shapes.RecoverRequest) -> shapes.Placed:
        """Vouch for a new key of an account."""
        asking = self.asking
        found = asking.account(account)
        if request.key is None:
            key = asking.new_key(found.id, "")
        else:
            key = bytes.fromhex(request.key)
        return await self.outcomes.entry(Recover(found.id, key), request.wait_s, account=found.id)

    async def keys(self, account: str, request: shapes.KeysRequest) -> shapes.Placed:
        """Change the keys of an account."""
        asking = self.asking
        found = asking.account(account)
        if not request.cancel and request.add is None and request.drop is None:
            raise AskingError(_("Say which key to add or to drop."))
        action = KeysAction(
            b"" if request.add is None or request.cancel else bytes.fromhex(request.add),
            b"" if request.drop is None or request.cancel else bytes.fromhex(request.drop),
        )
        order = asking.sign(found, action, asking.key_for(found))
        return await self.outcomes.order(order, request.wait_s)

    async def give_mandate(
        self, account: str, request: shapes.SpendingMandateRequest
    ) -> shapes.Placed:
        """Let another key pay from an account."""
        asking = self.asking
        found = asking.account(account)
        if (request.key is None) == (request.delegate is None):
            raise AskingError(_("Say who may pay: a member, or a key."))
        if request.key is not None:
            key = bytes.fromhex(request.key)
        else:
            assert request.delegate is not None
            key = asking.key_of(request.delegate).public
        limits: dict[int, int] = {}
        for allowance in request.allowances:
            unit = asking.unit(allowance.unit)
            limits[unit] = asking.amount(unit, allowance.amount)
        start = self._host.time() if request.start is None else request.start
        end = start + 365 * 86_400 if request.end is None else request.end
        if end <= max(start, self._host.time()):
            raise AskingError(_("The mandate would end before it begins, or has ended already."))
        mandate = asking.new_mandate()
        action = MandateAction(
            mandate, key, tuple(sorted(limits.items())), request.period_s, start, end
        )
        order = asking.sign(found, action, asking.key_for(found))
        placed = await self.outcomes.order(order, request.wait_s)
        placed.mandate = mandate.hex()
        return placed

    async def revoke_mandate(self, account: str, mandate: str) -> shapes.Placed:
        """End such a mandate."""
        asking = self.asking
        found = asking.account(account)
        fits = [id for id in found.mandates if id.hex().startswith(mandate.lower())]
        if len(fits) != 1 or len(mandate) < PREFIX_CHARACTERS_MIN:
            raise NoSuchAccount(_("There is no such mandate on the account."))
        order = asking.sign(found, RevokeAction(fits[0]), asking.key_for(found))
        return await self.outcomes.order(order, bounds.REVOKE_WAIT_S)

    def statement(self, account: str, options: StatementOptions) -> shapes.Statement:
        """List what moved an account's balance."""
        asking = self.asking
        found = asking.account(account)
        unit = asking.unit(options.unit) if options.unit else None
        machine = self._runner.machine
        return statements.statement(
            machine.index, self.showing, self._host.coop, found, options, unit
        )

    # --- transfers ------------------------------------------------------------------------------

    async def transfer(self, request: shapes.TransferRequest) -> shapes.Placed:
        """Pay, or reserve, from an account here."""
        repeated = self._repeated(request)
        if repeated is not None:
            placed = await self.outcomes.again(repeated, request.wait_s)
        else:
            with self._facts_in_words():
                wish = self.asking.payment(request)
            placed = await self._asked(request, wish)
            for _try in range(bounds.SIGNED_ANEW_MAX):
                if placed.reason != STALE or not isinstance(wish, Order):
                    break
                # Signed before this node had read what its account ordered elsewhere, as after a
                # copy was put back: that number is taken, and this order can never count.
                wish = self.asking.anew(wish)
                placed = await self._asked(request, wish)
        return await self.outcomes.arrives(placed, request.arrival, request.wait_s)

    async def _asked(self, request: shapes.TransferRequest, wish: Order | Settle) -> shapes.Placed:
        """Ask what was made of a request, and remember it under its key."""
        if request.key is not None:
            machine = self._runner.machine
            id = wish_id(wish, machine.fed)
            what = self._what(request)
            # Staged with the order itself: nothing is awaited in between.
            Repeats(machine.disk).remember(request.key, what, id, self._host.time())
        return await self.outcomes.wish(wish, request.wait_s)

    def _what(self, request: shapes.TransferRequest) -> list[Value]:
        """Return what tells a transfer from another under the same key."""
        wanted = self.asking.wanted(request)
        return [
            wanted.payer.id,
            wanted.to.coop,
            wanted.to.account,
            wanted.unit,
            wanted.amount,
            request.memo,
            request.category,
            # Not until when: "in thirty days" is another second each time.
            request.hold is not None,
            request.mandate or "",
        ]

    def _repeated(self, request: shapes.TransferRequest) -> bytes | None:
        """Return the id of what was asked under the same key and is not refused, or None."""
        if request.key is None:
            return None
        machine = self._runner.machine
        id = Repeats(machine.disk).known(request.key, self._what(request))
        if id is None:
            return None
        item = machine.queue.get(id)
        waits = item is not None and item.state != "refused"
        return id if waits or self.outcomes.certain(id) is not None else None

    @contextlib.contextmanager
    def _facts_in_words(self) -> Generator[None]:
        """Show the amounts among the facts of what is refused at once as text too."""
        try:
            yield
        except LedgerError as fault:
            fault.facts = self.showing.facts(fault.facts)
            raise

    def look(self, orders: Sequence[Order]) -> None:
        """Look at signed orders before any is taken in; who has rules of their own refuses here."""

    async def signed(self, request: shapes.SignedRequest) -> shapes.Placed:
        """Take in an order that was signed on a device, for an account of any coop."""
        order = _order_of(request.order)
        self.look([order])
        machine = self._runner.machine
        if not machine.book.verify([order.check(machine.fed)])[0]:
            raise BadSignature(key=order.key)
        if request.memo or request.salt is not None:
            salt = bytes.fromhex(request.salt or "")
            ref = hashlib.sha256(salt + request.memo.encode()).digest()
            action = order.action
            if not salt or not isinstance(action, PayAction | HoldAction) or action.ref != ref:
                raise BadMemo(
                    _("The memo is not the one that the order was signed for."),
                    hint=_(
                        "The order's ref is SHA-256 of the salt (32 bytes) and the memo (UTF-8); "
                        "give both as they were, or neither."
                    ),
                )
            self._host.register.add_memo(ref, salt, request.memo, self._host.time())
        if order.chain != self._host.coop:
            return await Elsewhere(self._host, self._runner).hand_over(order)
        return await self.outcomes.order(order, request.wait_s)

    async def signed_many(self, request: shapes.SignedRequest) -> shapes.PlacedMany:
        """Take in many orders at once: a pile of cheques, a device that was away for long.

        Their signatures are verified together, and what is of this coop goes into one block if it
        has room. Each has its own outcome. Raises: Malformed when one cannot be read.
        """
        orders = [_order_of(order) for order in request.orders]
        self.look(orders)
        if request.memo or request.salt is not None:
            raise BadMemo(_("Give the memos of several orders one by one."))
        machine = self._runner.machine
        good = machine.book.verify([order.check(machine.fed) for order in orders])
        placed: dict[int, shapes.Placed] = {}
        own: list[int] = []
        for place, order in enumerate(orders):
            try:
                if not good[place]:
                    raise BadSignature(key=order.key)
                if order.chain == self._host.coop:
                    own.append(place)
                else:
                    placed[place] = await Elsewhere(self._host, self._runner).hand_over(order)
            except MaillonError as fault:
                placed[place] = self.outcomes.refused(order, fault)
        told = await self.outcomes.orders([orders[place] for place in own], request.wait_s)
        placed.update(zip(own, told, strict=True))
        return shapes.PlacedMany([placed[place] for place in range(len(orders))])

    def transfers(self, options: TransferOptions) -> shapes.Transfers:
        """List transfers, the newest first: those that wait before those that are certain."""
        return statements.transfers(self._runner.machine, self.showing, self._host.coop, options)

    def show_transfer(self, id: str) -> shapes.TransferProof:
        """Show a transfer with what proves it."""
        machine = self._runner.machine
        item, row = self._find(id)
        if row is not None:
            return proving.prove(machine.book, self.showing, row)
        assert item is not None
        return proving.not_yet(machine.book, self.showing, item)

    def prove_transfer(self, id: str) -> shapes.EntryProof:
        """Give out what proves a certified transfer to somebody who has no node."""
        _item, row = self._find(id)
        if row is None:
            raise AskingError(
                _("It is not certified: nothing proves it yet."),
                hint=_("See how it stands with: maillon transfer show {id}").format(id=id[:16]),
            )
        return papers.entry_proof(self._runner.machine.book, self.showing, row)

    def _find(self, text: str) -> tuple[Queued | None, TransferRow | None]:
        """Return an order that waits or a certified transfer by its id or the beginning of it."""
        machine = self._runner.machine
        exact = bytes_of(text.lower())
        if exact is not None and len(exact) == 32:
            item = machine.queue.get(exact)
            row = machine.index.transfer(exact)
            if row is None and item is None:
                settled = machine.index.settled_as(self._host.coop, exact)
                row = None if settled is None else machine.index.transfer(settled)
            if item is not None or row is not None:
                return item, row
        elif len(text) >= PREFIX_CHARACTERS_MIN and not set(text.lower()) - set("0123456789abcdef"):
            even = bytes.fromhex(text[: len(text) // 2 * 2])
            ids = [
                id
                for id in machine.index.transfers_beginning(even, 64)
                if id.hex().startswith(text.lower())
            ]
            ids += [q.id for q in machine.queue if q.id.hex().startswith(text.lower())]
            if len(set(ids)) > 1:
                raise NoSuchTransfer(_("Several transfers begin with {id}.").format(id=text[:16]))
            if ids:
                return machine.queue.get(ids[0]), machine.index.transfer(ids[0])
        raise NoSuchTransfer(
            _("There is no transfer {id} here.").format(id=text[:16]),
            hint=_("See them with: maillon transfer list"),
        )

    def _hold(self, id: str) -> TransferRow:
        _item, row = self._find(id)
        if row is None or row.status != HELD:
            raise AskingError(
                _("Nothing is reserved under {id}: it was paid, given back, or waits.").format(
                    id=id[:16]
                )
            )
        return row

    async def confirm(self, id: str, request: shapes.ConfirmRequest) -> shapes.Placed:
        """Confirm a hold with a key held here, or with the secret of its lock."""
        row = self._hold(id)
        machine = self._runner.machine
        if request.preimage is not None:
            secret = PreimageConfirmation(bytes.fromhex(request.preimage))
            if not secret.opens(row.hashlock):
                raise AskingError(_("This is not the secret that opens the reservation."))
            confirmation: Confirmation = secret
        else:
            payer = machine.book.state(row.coop).account(row.account)
            possible = [*(payer.keys if payer is not None else ()), row.arbiter]
            held = (self._held_or_none(public) for public in possible if public)
            key = next((found for found in held if found is not None), None)
            if key is None:
                raise AskingError(
                    _("Your node holds no key that may confirm this."),
                    hint=_("The payer confirms, or the arbiter whom both named."),
                )
            confirmation = sign_confirmation(key, machine.fed, row.coop, row.id)
        if row.coop != self._host.coop:
            return await Elsewhere(self._host, self._runner).confirm(row, confirmation)
        post = Post(row.account, row.id, confirmation, 0)
        placed = await self.outcomes.entry(post, request.wait_s, account=row.account, shown=row.id)
        return await self.outcomes.arrives(placed, request.arrival, request.wait_s)

    def _held_or_none(self, public: bytes) -> SigningKey | None:
        with contextlib.suppress(LocalError):
            return self._host.register.held_key(public)
        return None

    async def release(self, id: str, request: shapes.ReleaseRequest) -> shapes.Placed:
        """Give a hold back: with the payee's key, or because it expired."""
        row = self._hold(id)
        release = None
        here = row.coop == self._host.coop
        if not here and row.to_coop != self._host.coop:
            raise AskingError(
                _("Who was to receive it gives it back: an account of {coop}.").format(
                    coop=self._host.coop_name(row.to_coop)
                )
            )
        if not here and row.expiry <= self._host.time():
            raise AskingError(
                _("It has expired; {coop} gives it back by itself.").format(
                    coop=self._host.coop_name(row.coop)
                )
            )
        if row.expiry > self._host.time():
            key = self._held_or_none(row.payee_key)
            if key is None:
                raise AskingError(
                    _("Only the payee can give this back before it expires."),
                    hint=_("It expires by itself; then it is given back at once."),
                )
            release = sign_release(key, self._runner.machine.fed, row.coop, row.id)
            if not here:
                elsewhere = Elsewhere(self._host, self._runner)
                return await elsewhere.give_back(row, release, request.wait_s)
        void = Void(row.account, row.id, release)
        return await self.outcomes.entry(void, request.wait_s, account=row.account, shown=row.id)

    async def reverse(self, id: str, request: shapes.ReverseRequest) -> shapes.Placed:
        """Send a transfer back: a new one, signed by who received it."""
        _item, row = self._find(id)
        if row is None:
            raise AskingError(_("Only what is certain can be sent back."))
        with self._facts_in_words():
            wish = reversal(
                self._runner.machine, self.asking, self.showing, self._host.coop, row, request
            )
        placed = await self.outcomes.wish(wish, request.wait_s)
        return await self.outcomes.arrives(placed, request.arrival, request.wait_s)

    # --- the ledger and the charter -------------------------------------------------------------

    def _telling(self) -> Telling:
        return Telling(self._host, self._runner, self.showing)

    def status(self) -> shapes.LedgerStatus:
        return self._telling().status()

    def heads(self) -> shapes.Heads:
        return shapes.Heads(self._telling().heads())

    async def verify(self) -> shapes.VerifyReport:
        return await self._telling().verify()

    def fork_proofs(self) -> shapes.ForkProofs:
        return self._telling().fork_proofs()

    async def export(self, request: shapes.ExportRequest) -> shapes.LedgerExport:
        return await export(self._runner, Path(request.directory), self._founding_file())

    def charter(self) -> charter_shapes.CharterOut:
        return self._governing().show()

    def _governing(self) -> Governing:
        return Governing(self._host, self._runner, self.showing)

    def proposals(self) -> charter_shapes.Proposals:
        return self._governing().proposals()

    async def propose(self, request: charter_shapes.ProposalRequest) -> charter_shapes.ProposalOut:
        return await self._governing().propose(request)

    async def approve(self, hash: str) -> charter_shapes.ProposalOut:
        return await self._governing().approve(hash)
