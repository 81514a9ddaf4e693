"""What people and coops do: pay, reserve, confirm, give mandates, lose keys, lower limits.

Some of it is refused: too much, too late, by the wrong key, twice. Orders go to one machine of the
coop, or to two of them when somebody has put the same coop's backup back into service beside it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maillon.ledger.build import EntryWish, OrderWish, Wish
from maillon.ledger.entries import (
    Close,
    Confirmation,
    Limit,
    Open,
    PreimageConfirmation,
    Recover,
    Settle,
    Void,
    sign_confirmation,
    sign_release,
)
from maillon.ledger.orders import (
    COMMONS,
    Action,
    HoldAction,
    KeysAction,
    MandateAction,
    Order,
    PayAction,
    RevokeAction,
    order_id,
    sign_order,
)
from simulation.ledger.keys import SimKey, make_key
from simulation.ledger.model import NO_MAX

if TYPE_CHECKING:
    from simulation.ledger.world import World

HOURS, CREDIT, COUNT = 0, 1, 2
NO_REF = bytes(32)
PERIOD_S = 3_600


def _id(label: str) -> bytes:
    return hashlib.sha256(label.encode()).digest()[:16]


@dataclass
class HoldNote:
    """What payer and payee remember of a hold."""

    id: bytes
    payer: Person
    payee: Person
    expiry: int
    arbiter: SimKey | None
    preimage: bytes
    expires_soon: bool


@dataclass
class Person:
    """A member: an account, its keys, and the delegate of a mandate."""

    coop: int
    name: str
    account: bytes
    key: SimKey
    opened: bool = False
    seq: int = 0
    spare: int = 0
    mandates: list[tuple[bytes, SimKey]] = field(default_factory=list[tuple[bytes, SimKey]])
    lost: bool = False


class Clients:
    """All people of a federation, and what they do next."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.clock.rng
        self.people: list[Person] = []
        self.holds: list[HoldNote] = []
        self.old: list[Order] = []
        self.done: dict[str, int] = {}
        for coop in range(world.plan.writing):
            for number in range(world.plan.members):
                name = f"{coop}.{number}"
                self.people.append(
                    Person(coop, name, _id(name), self.key(f"member {name}"))
                )

    def key(self, label: str) -> SimKey:
        """Make a member's key."""
        return make_key(label, real=self.world.plan.real)

    # --- Opening --------------------------------------------------------------------------------

    def open_all(self) -> None:
        """Let each coop open its members' accounts."""
        for person in self.people:
            self.open(person)

    def open(self, person: Person) -> None:
        """Open an account in all units, some with a maximum."""
        person.opened = True
        limit = self.rng.choice((0, 50, 100, 300))
        top = NO_MAX if self.rng.random() < 0.7 else self.rng.choice((40, 120))
        positions = [(HOURS, limit, top)]
        if self.rng.random() < 0.8:
            positions.append((CREDIT, 2 * limit, NO_MAX))
        self.world.wish(
            person.coop, Open(person.account, 0, person.key.public, tuple(positions))
        )

    # --- Doing something ------------------------------------------------------------------------

    def act(self) -> None:
        """Do one thing."""
        actions = (
            (self.pay, 30), (self.hold, 16), (self.confirm, 12), (self.post_by_secret, 4),
            (self.release, 5), (self.expire, 8), (self.mandate, 6), (self.delegate, 8),
            (self.revoke, 2), (self.change_keys, 4), (self.recover, 4), (self.cancel, 2),
            (self.limit, 6), (self.settle, 4), (self.again, 5), (self.close, 2),
        )  # fmt: skip
        what = self.rng.choices([a for a, _ in actions], [weight for _, weight in actions])[0]
        what()

    def _count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    def _person(self) -> Person:
        return self.rng.choice(self.people)

    def _pair(self) -> tuple[Person, Person]:
        payer = self._person()
        others = [p for p in self.people if p is not payer]
        return payer, self.rng.choice(others) if others else payer

    def _send(
        self, person: Person, action: Action, *, key: SimKey | None = None, mandate: bytes = b"",
        until: int | None = None, seq: int | None = None,
    ) -> bytes:  # fmt: skip
        world = self.world
        if seq is None:
            person.seq += self.rng.choice((1, 1, 1, 2))
            seq = person.seq
        late = world.clock.now_ms // 1_000 + self.rng.choice((20, 600, 600, 100_000))
        order = sign_order(
            key or person.key,
            world.fed,
            person.account,
            seq,
            world.coops[person.coop].id,
            late if until is None else until,
            action,
            mandate=mandate,
        )
        self.old.append(order)
        world.order(person.coop, order)
        return order_id(world.fed, order.body)

    def _payment(self) -> tuple[Person, bytes, bytes, int, int]:
        payer, payee = self._pair()
        unit = self.rng.choice((HOURS, HOURS, HOURS, CREDIT, COUNT))
        amount = 1 if unit == COUNT else self.rng.choice((1, 10, 30, 60, 90, 400))
        coop, account = self.world.coops[payee.coop].id, payee.account
        odd = self.rng.random()
        if odd < 0.05:
            account = _id("nobody")
        elif odd < 0.10 and len(self.world.coops) > 1:
            coop = self.world.coops[-1].id
        elif odd < 0.15:
            account = COMMONS
        return payer, coop, account, unit, amount

    def pay(self) -> None:
        """Pay somebody: here or at another coop, sometimes too much, or nobody at all."""
        self._count("pay")
        payer, coop, account, unit, amount = self._payment()
        self._send(payer, PayAction(coop, account, unit, amount, NO_REF, ""))

    def hold(self) -> None:
        """Reserve an amount."""
        self._count("hold")
        payer, payee = self._pair()
        unit = self.rng.choice((HOURS, HOURS, CREDIT))
        amount = self.rng.choice((5, 20, 60))
        soon = self.rng.random() < 0.5
        now = self.world.clock.now_ms // 1_000
        expiry = now + (self.rng.choice((5, 20, 60)) if soon else 50_000)
        arbiter = self.key("arbiter") if self.rng.random() < 0.3 else None
        preimage = hashlib.sha256(f"{payer.name} {payer.seq}".encode()).digest()
        lock = hashlib.sha256(preimage).digest() if self.rng.random() < 0.3 else b""
        action = HoldAction(
            self.world.coops[payee.coop].id, payee.account, unit, amount, NO_REF, "", expiry,
            payee.key.public, arbiter.public if arbiter else b"", lock,
        )  # fmt: skip
        id = self._send(payer, action)
        self.holds.append(
            HoldNote(id, payer, payee, expiry, arbiter, preimage if lock else b"", soon)
        )

    def _hold(self) -> HoldNote | None:
        return self.rng.choice(self.holds) if self.holds else None

    def confirm(self) -> None:
        """Confirm a hold: the payee gathers acknowledgements, and the coop is to post it."""
        note = self._hold()
        if note is None:
            return
        self._count("confirm")
        key = note.arbiter if note.arbiter and self.rng.random() < 0.5 else note.payer.key
        chain = self.world.coops[note.payer.coop].id
        confirmation = sign_confirmation(key, self.world.fed, chain, note.id)
        self._confirmed(note, confirmation)

    def _confirmed(self, note: HoldNote, confirmation: Confirmation) -> None:
        chain = self.world.coops[note.payer.coop].id
        self.world.confirm(note.payee.coop, chain, note.id, confirmation)
        if self.rng.random() < 0.7:
            self.world.post(note.payer.coop, note.payer.account, note.id, confirmation)

    def post_by_secret(self) -> None:
        """Show the secret of a hash lock."""
        note = self._hold()
        if note is not None and note.preimage:
            self._count("secret")
            self._confirmed(note, PreimageConfirmation(note.preimage))

    def release(self) -> None:
        """Let the payee give a hold back."""
        note = self._hold()
        if note is None:
            return
        self._count("release")
        chain = self.world.coops[note.payer.coop].id
        release = sign_release(note.payee.key, self.world.fed, chain, note.id)
        self.world.wish(note.payer.coop, Void(note.payer.account, note.id, release))

    def expire(self) -> None:
        """Let the coop void a hold whose time has passed, or has not."""
        note = self._hold()
        if note is not None:
            self._count("expire")
            self.world.wish(note.payer.coop, Void(note.payer.account, note.id, None))

    def mandate(self) -> None:
        """Let somebody else pay a little, for a while."""
        self._count("mandate")
        person = self._person()
        now = self.world.clock.now_ms // 1_000
        number = len(person.mandates)
        id = _id(f"mandate {person.name} {number}")
        key = self.key(f"delegate {person.name} {number}")
        start = now + self.rng.choice((-60, 0, 20))
        end = start + self.rng.choice((40, 100, 100_000))
        allowed = ((HOURS, self.rng.choice((10, 40, 100))),)
        self._send(person, MandateAction(id, key.public, allowed, PERIOD_S, start, end))
        person.mandates.append((id, key))

    def delegate(self) -> None:
        """Pay under a mandate: perhaps too late, too much, or after it was revoked."""
        givers = [person for person in self.people if person.mandates]
        if not givers:
            return
        self._count("delegate")
        person = self.rng.choice(givers)
        id, key = self.rng.choice(person.mandates)
        _, payee = self._pair()
        amount = self.rng.choice((5, 10, 30, 60))
        action = PayAction(
            self.world.coops[payee.coop].id, payee.account, HOURS, amount, NO_REF, ""
        )
        self._send(person, action, key=key, mandate=id)

    def revoke(self) -> None:
        """End a mandate."""
        givers = [person for person in self.people if person.mandates]
        if givers:
            self._count("revoke")
            person = self.rng.choice(givers)
            self._send(person, RevokeAction(self.rng.choice(person.mandates)[0]))

    def change_keys(self) -> None:
        """Add a device, or replace the key."""
        self._count("keys")
        person = self._person()
        person.spare += 1
        new = self.key(f"member {person.name} device {person.spare}")
        drop = person.key.public if self.rng.random() < 0.5 else b""
        self._send(person, KeysAction(new.public, drop))
        if self.rng.random() < 0.7:
            person.key = new

    def recover(self) -> None:
        """Let the coop vouch for a new key of somebody who lost theirs, and use it at once."""
        self._count("recover")
        person = self._person()
        person.spare += 1
        new = self.key(f"member {person.name} recovered {person.spare}")
        self.world.wish(person.coop, Recover(person.account, new.public))
        if self.rng.random() < 0.6:
            person.key = new  # orders before its time are refused

    def cancel(self) -> None:
        """Stop a recovery that the member did not ask for."""
        self._count("cancel")
        self._send(self._person(), KeysAction(b"", b""))

    def limit(self) -> None:
        """Let a coop change somebody's limit or maximum."""
        self._count("limit")
        person = self._person()
        unit = self.rng.choice((HOURS, CREDIT))
        limit = self.rng.choice((0, 20, 200))
        top = self.rng.choice((0, 60, NO_MAX, NO_MAX))
        self.world.wish(person.coop, Limit(person.account, unit, limit, top))

    def settle(self) -> None:
        """Let a coop pay out of its commons, which may owe a little first."""
        self._count("settle")
        coop = self.rng.randrange(self.world.plan.writing)
        payee = self._person()
        if self.rng.random() < 0.5:
            self.world.wish(coop, Limit(COMMONS, HOURS, self.rng.choice((0, 50)), NO_MAX))
        amount = self.rng.choice((5, 40, 100))
        to = self.world.coops[payee.coop].id
        self.world.wish(coop, Settle(COMMONS, HOURS, amount, to, payee.account, NO_REF, 0))

    def again(self) -> None:
        """Send an old order once more."""
        if self.old:
            self._count("again")
            order = self.rng.choice(self.old)
            for coop in range(self.world.plan.writing):
                if self.world.coops[coop].id == order.chain:
                    self.world.order(coop, order)
            self._leap(order)

    def _leap(self, like: Order) -> None:
        """Try to take an account out of reach of its next order: by one number too many."""
        for person in self.people:
            if person.account == like.account and person.key.public == like.key:
                self.world.order(person.coop, sign_order(
                    person.key, self.world.fed, like.account, person.seq + (1 << 20) + 1,
                    like.chain, like.until + 100_000, like.action,
                ))  # fmt: skip

    def close(self) -> None:
        """Close an account, if it is empty."""
        self._count("close")
        person = self._person()
        self.world.wish(person.coop, Close(person.account))

    def wishes_of(self, coop: int) -> list[Wish]:
        """Return some wishes that a lying writer of this coop can make blocks of."""
        id = self.world.coops[coop].id
        found: list[Wish] = [OrderWish(order) for order in self.old if order.chain == id]
        for number in range(2):
            name = f"invented {coop}.{number} {self.rng.randrange(1_000)}"
            key = self.key(name)
            found.append(EntryWish(Open(_id(name), 0, key.public, ((HOURS, 10, NO_MAX),))))
        return found
