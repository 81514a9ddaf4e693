"""Make what people ask for into signed orders and entries: who, how much, with which key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from maillon.ledger.entries import Settle
from maillon.ledger.errors import LedgerError
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.orders import (
    COMMONS,
    MANDATE_BYTES,
    NO_REF,
    Action,
    HoldAction,
    Order,
    PayAction,
    sign_order,
)
from maillon.ledger.state import Account
from maillon.ledger.units import UnitTable
from maillon.node.api import ledger_shapes as shapes
from maillon.node.i18n import _
from maillon.node.ledger import bounds
from maillon.node.ledger.arrivals import require_welcome
from maillon.node.ledger.host import Host
from maillon.node.ledger.machine import Machine
from maillon.node.naming import find_coop
from maillon.protocol.errors import LocalError
from maillon.protocol.keys import SealingKey, SigningKey

PERSON_KINDS = {"person": 0, "organisation": 1, "group": 2}

CATEGORY = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")
"""What a public category is written with (spec/06-blocks)."""


class AskingError(LocalError):
    """What is asked for cannot be made into an order."""

    code = "account"


class NoSuchAccount(AskingError):
    """No account fits what was written."""

    code = "not_found"


class KeyElsewhere(AskingError):
    """The key that would have to sign is not on this node."""

    code = "key_elsewhere"


@dataclass(frozen=True, slots=True)
class Place:
    """An account of a coop."""

    coop: bytes
    account: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a transfer is to move."""

    payer: Account
    to: Place
    unit: int
    amount: int


class Asking:
    """Resolve what people write, and sign with the keys that the node holds for them."""

    def __init__(self, host: Host, machine: Machine) -> None:
        self._host = host
        self._machine = machine

    @property
    def units(self) -> UnitTable:
        """Return the units of the present charter."""
        return UnitTable(self._machine.book.charter.latest.units)

    # --- who ------------------------------------------------------------------------------------

    def own(self, text: str) -> bytes:
        """Return the id of an account of this coop, written as id, person or name.

        Raises: NoSuchAccount; NotFound or Ambiguous of the register.
        """
        coop, colon, rest = text.rpartition(":")
        if colon:
            if self.coop(coop) != self._host.coop:
                raise NoSuchAccount(_("This account is not of your coop."))
            text = rest
        exact = bytes_of(text)
        if exact is not None and len(exact) == 16:
            return exact
        if all(c in "0123456789abcdef" for c in text):
            return self._host.register.find_person(text).id
        fits = [p for p in self._host.register.people() if p.name.casefold() == text.casefold()]
        if len(fits) == 1:
            return fits[0].id
        if fits:
            raise NoSuchAccount(
                _("Several people are called {name}.").format(name=text[:80]),
                hint=_("Give the id: maillon member list"),
            )
        raise NoSuchAccount(
            _("Nobody of your coop is called {name}.").format(name=text[:80]),
            hint=_("See the accounts with: maillon account list"),
        )

    def account(self, text: str | None) -> Account:
        """Return an account of this coop that exists. Raises: NoSuchAccount."""
        id = COMMONS if text is None else self.own(text)
        found = self._machine.book.state(self._host.coop).account(id)
        if found is None:
            name = self._host.register.name_of(id) or id.hex()[:8]
            raise NoSuchAccount(
                _("{name} has no account yet.").format(name=name),
                hint=_("Open one with: maillon account open"),
                account=id,
            )
        return found

    def anywhere(self, text: str) -> Place:
        """Return an account of any coop, written `coop:account`, or of this one.

        Raises: NoSuchAccount when there is none as far as is known here.
        """
        coop, colon, rest = text.rpartition(":")
        if not colon:
            return Place(self._host.coop, self.account(text).id)
        account = bytes_of(rest)
        chain = self.coop(coop)
        if account is None or len(account) != 16:
            if chain == self._host.coop:
                return Place(chain, self.account(rest).id)
            raise NoSuchAccount(
                _("{text} is not the id of an account: 32 characters 0-9 and a-f.").format(
                    text=rest[:40]
                )
            )
        known = self._machine.book.state(chain).account(account)
        if known is None:
            raise NoSuchAccount(
                _("As far as is known here, {coop} has no account {id}.").format(
                    coop=self._host.coop_name(chain), id=rest[:8]
                ),
                hint=_("Ask them to open it, or to tell you its id again."),
            )
        return Place(chain, account)

    def coop(self, text: str) -> bytes:
        """Return the coop of the accounts that is called so, or whose id begins so.

        Raises: NoSuchCoop, AmbiguousCoop.
        """
        book = self._machine.book
        names = {id: coop.name for id, coop in book.charter.latest.coops.items()}
        chains = [bytes(id) for id in book.chains()]
        return find_coop(
            text, [(id, self._host.coop_name(id) or names.get(id, "")) for id in chains]
        )

    # --- how much -------------------------------------------------------------------------------

    def unit(self, code: str | None) -> int:
        """Return the index of a unit, the first when none is named. Raises: UnitUnknown."""
        if code is None:
            if not len(self.units):
                raise AskingError(_("The federation has no unit."))
            return 0
        return self.units.index(code)

    def amount(self, unit: int, value: int | str) -> int:
        """Return an amount in minor units. Raises: AmountText."""
        return value if isinstance(value, int) else self.units.parse(unit, value)

    def positions(
        self, requests: Sequence[shapes.PositionRequest]
    ) -> tuple[tuple[int, int, int], ...]:
        """Return (unit, limit, maximum), by unit; every unit with balances when none is named."""
        if not requests:
            return tuple(
                (place, 0, BALANCE_MAX)
                for place, unit in enumerate(self.units)
                if unit.kind != "count"
            )
        found: dict[int, tuple[int, int]] = {}
        for request in requests:
            unit = self.unit(request.unit)
            found[unit] = (self.amount(unit, request.limit), self.maximum(unit, request.max))
        return tuple((unit, *found[unit]) for unit in sorted(found))

    def maximum(self, unit: int, value: int | str | None) -> int:
        """Return a maximum balance in minor units; BALANCE_MAX for none."""
        return BALANCE_MAX if value is None else self.amount(unit, value)

    # --- keys -----------------------------------------------------------------------------------

    def key_for(self, account: Account) -> SigningKey:
        """Return a key of an account that the node holds. Raises: KeyElsewhere."""
        register = self._host.register
        held = {row.public for row in register.keys_of(account.id) if row.held}
        for public in account.keys_at(self._host.time()):
            if public in held:
                return register.held_key(public)
        raise KeyElsewhere(
            _("Your node holds no key of this account."),
            hint=_("It is signed on the device of who it belongs to, or under a mandate."),
            account=account.id,
        )

    def key_of(self, text: str) -> SigningKey:
        """Return a key that the node holds for a member. Raises: KeyElsewhere."""
        person = self.own(text)
        register = self._host.register
        for row in register.keys_of(person):
            if row.held:
                return register.held_key(row.public)
        raise KeyElsewhere(_("Your node holds no key of this member."))

    def new_key(self, account: bytes, name: str) -> bytes:
        """Make and hold a key for an account; its owner is noted when unknown. Return the key."""
        register = self._host.register
        secrets = (
            SigningKey.from_seed(self._host.random(32)),
            SealingKey.from_seed(self._host.random(32)),
        )
        now = self._host.time()
        with register.batch():
            if register.person(account) is None:
                register.add_person(account, name or account.hex()[:8], "", now)
            public = secrets[0].public
            register.add_key(account, public, secrets[1].public, "node", now, secrets)
        return public

    # --- orders ---------------------------------------------------------------------------------

    def memo(self, text: str, *, always: bool = False) -> bytes:
        """Keep what a transfer is for in the private register; return what stands on the chain.

        With `always` a ref is drawn even without a text, to tell the transfer from its like.
        """
        if not text and not always:
            return NO_REF
        salt = self._host.random(32)
        ref = hashlib.sha256(salt + text.encode()).digest()
        if text:
            self._host.register.add_memo(ref, salt, text, self._host.time())
        return ref

    def sign(
        self, account: Account, action: Action, key: SigningKey, mandate: bytes = b""
    ) -> Order:
        """Sign an order with the next number of the account."""
        order = sign_order(
            key,
            self._machine.fed,
            account.id,
            self._machine.queue.next_seq(account),
            self._host.coop,
            self._host.time() + bounds.ORDER_LIFETIME_S,
            action,
            mandate=mandate,
        )
        if self._machine.setup.signed is not None:
            self._machine.setup.signed(order.check(self._machine.fed))
        return order

    def anew(self, order: Order) -> Order:
        """Sign the same as an order says with the next number of its account.

        Only for one whose number another order of the account has taken: it can never count, so
        nobody pays twice. Raises: NoSuchAccount, RegisterError.
        """
        account = self.account(order.account.hex())
        return self.sign(account, order.action, self.held(order.key), order.mandate)

    def wanted(self, request: shapes.TransferRequest) -> Wanted:
        """Return who is to give what to whom. Raises: NoSuchAccount, AmountText, UnitUnknown."""
        unit = self.unit(request.unit)
        return Wanted(
            self.account(request.from_),
            self.anywhere(request.to),
            unit,
            self.amount(unit, request.amount),
        )

    def require_welcome(self, to: Place, unit: int, amount: int, *, now: bool = True) -> None:
        """Return when an amount can be credited at another coop, as far as is known here.

        Raises: AccountUnknown, AccountClosed, WrongUnit, OverMaximum, with `receiver` True.
        """
        if to.coop == self._host.coop:
            return  # its own chain decides, and says why
        book = self._machine.book
        try:
            require_welcome(
                book.state(to.coop), book.charter.latest, to.account, unit, amount, now=now
            )
        except LedgerError as fault:
            fault.facts["receiver"] = True
            raise

    def payment(self, request: shapes.TransferRequest) -> Order | Settle:
        """Make a transfer into what is asked of the chain.

        Raises: NoSuchAccount, KeyElsewhere, AmountText, UnitUnknown, AskingError; what
        `require_welcome` raises.
        """
        wanted = self.wanted(request)
        payer, to, unit, amount = wanted.payer, wanted.to, wanted.unit, wanted.amount
        if request.category and not CATEGORY.fullmatch(request.category):
            raise AskingError(
                _("A category is a public code: letters a to z, digits, and - or _ inside."),
                hint=_("What only the two parties shall read is a memo."),
            )
        self.require_welcome(to, unit, amount, now=request.hold is None)
        if payer.id == COMMONS:
            if request.hold is not None or request.mandate is not None or request.category:
                raise AskingError(
                    _("The coop's own account pays at once, without terms or category.")
                )
            ref = self.memo(request.memo, always=True)
            return Settle(COMMONS, unit, amount, to.coop, to.account, ref, 1)
        mandate = b"" if request.mandate is None else bytes.fromhex(request.mandate)
        if mandate and request.key_of is None:
            key = self._delegate(payer, mandate)
        else:
            key = self.key_for(payer) if request.key_of is None else self.key_of(request.key_of)
        ref = self.memo(request.memo)
        action: PayAction | HoldAction
        if request.hold is None:
            action = PayAction(to.coop, to.account, unit, amount, ref, request.category)
        else:
            terms = request.hold
            action = HoldAction(
                to.coop,
                to.account,
                unit,
                amount,
                ref,
                request.category,
                terms.expiry,
                self._payee_key(to, terms.payee_key),
                b"" if terms.arbiter is None else bytes.fromhex(terms.arbiter),
                b"" if terms.hashlock is None else bytes.fromhex(terms.hashlock),
            )
            if terms.expiry <= self._host.time():
                raise AskingError(_("The reservation would have expired already."))
        return self.sign(payer, action, key, mandate)

    def _payee_key(self, to: Place, given: str | None) -> bytes:
        if given is not None:
            return bytes.fromhex(given)
        known = self._machine.book.state(to.coop).account(to.account)
        if known is None or not known.keys:
            raise AskingError(_("Say with which key the payee may release the amount."))
        return known.keys[0]

    def _delegate(self, account: Account, mandate: bytes) -> SigningKey:
        known = account.mandates.get(mandate)
        if known is None:
            raise AskingError(_("There is no such mandate on the account."), mandate=mandate)
        return self.held(known.key)

    def held(self, public: bytes) -> SigningKey:
        """Return the secret of a key that the node holds. Raises: RegisterError."""
        return self._host.register.held_key(public)

    def new_mandate(self) -> bytes:
        """Return the id of a new mandate."""
        return self._host.random(MANDATE_BYTES)


def bytes_of(text: str) -> bytes | None:
    """Return the bytes of a hexadecimal text, or None."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
