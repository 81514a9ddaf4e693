"""A second, naive implementation of the accounts: what must be true of certified blocks.

It reads the bytes of certified blocks with the protocol's decoder and nothing else of the ledger:
no trees, no roots, no forks of a state; dictionaries that are changed in place, and every rule of
the accounts spelt out. A certified block that breaks a rule here is a failure of the machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from maillon.protocol.encoding import decode, encode
from maillon.protocol.keys import signing_bytes
from simulation.ledger.charter_model import CharterModel

COMMONS: Final = bytes(16)
NO_MAX: Final = 2**53 - 1
BYTES_MAX: Final = 1 << 20

Check = Callable[[Sequence[tuple[bytes, bytes, bytes]]], list[bool]]


class Broken(AssertionError):
    """A promise of the ledger does not hold."""


def need(true: object, claim: str, **facts: object) -> None:
    """Complain unless the claim is true."""
    if not true:
        told = ", ".join(
            f"{name}={fact.hex()[:16] if isinstance(fact, bytes) else fact}"
            for name, fact in facts.items()
        )
        raise Broken(f"{claim} ({told})")


def plain(data: bytes) -> Any:
    """Decode bytes that the machines have accepted."""
    return cast(Any, decode(data, bytes_max=BYTES_MAX))


@dataclass
class Position:
    balance: int = 0
    limit: int = 0
    max: int = NO_MAX


@dataclass
class Hold:
    account: bytes
    unit: int
    amount: int
    to_coop: bytes
    to_account: bytes
    payee: bytes
    signer: bytes
    arbiter: bytes
    hashlock: bytes
    expiry: int


@dataclass
class Mandate:
    key: bytes
    allowed: dict[int, int]
    period_s: int
    start: int
    end: int
    index: int = 0
    used: dict[int, int] = field(default_factory=dict[int, int])


@dataclass
class Account:
    kind: int
    keys: list[bytes]
    open: bool = True
    seq: int = 0
    positions: dict[int, Position] = field(default_factory=dict[int, Position])
    pending: list[tuple[bytes, int]] = field(default_factory=list[tuple[bytes, int]])
    mandates: dict[bytes, Mandate] = field(default_factory=dict[bytes, Mandate])


@dataclass(frozen=True)
class Transit:
    """A message between two chains: sent in a certified block, perhaps not yet consumed."""

    source: bytes
    H: bytes
    index: int
    from_account: bytes
    to_account: bytes
    unit: int
    amount: int
    id: bytes
    returned: bool


@dataclass
class Chain:
    h: int
    H: bytes
    c: int
    time: int = 0
    accounts: dict[bytes, Account] = field(default_factory=dict[bytes, Account])
    holds: dict[bytes, Hold] = field(default_factory=dict[bytes, Hold])
    sent: dict[bytes, list[Transit]] = field(default_factory=dict[bytes, list[Transit]])
    received: dict[bytes, int] = field(default_factory=dict[bytes, int])


class Model:
    """All chains as they must be, block by block."""

    def __init__(self, fed: bytes, charter: CharterModel, verify: Check) -> None:
        self.fed = fed
        self.charter = charter
        self._verify = verify
        self.chains: dict[bytes, Chain] = {}
        self.in_flight: dict[int, int] = {}
        self.sum: dict[int, int] = {}
        self.done: set[bytes] = set()
        self.counts: dict[str, int] = {}
        self.ended_by_release: set[bytes] = set()
        self.on_void: Callable[[bytes, bytes, int], None] | None = None

    def chain(self, chain: bytes) -> Chain:
        """Return a coop's chain; it begins when the coop enters the charter."""
        known = self.chains.get(chain)
        if known is None:
            coop = self.charter.latest.coops.get(chain)
            need(coop is not None, "a chain belongs to a coop of the charter", chain=chain)
            assert coop is not None
            genesis = hashlib.sha256(b"maillon/1/genesis\0" + self.fed + chain).digest()
            known = self.chains[chain] = Chain(0, genesis, coop.entered)
            known.accounts[COMMONS] = Account(3, [])
        return known

    # --- A block --------------------------------------------------------------------------------

    def apply(self, H: bytes, header: bytes, body: bytes) -> None:
        """Take in the next certified block of a chain. Raises: Broken."""
        version, fed, chain_id, h, prev, c, c2, time, _, count, _, _, _ = plain(header)
        chain = self.chain(chain_id)
        here: dict[str, Any] = {"chain": chain_id, "h": h}
        need(version == 1 and fed == self.fed, "a block is of this federation", **here)
        need(h == chain.h + 1 and prev == chain.H, "a block follows the one before", **here)
        governs = self.charter.governing(chain_id, chain.h, chain.H, chain.c)
        need(c == governs, "a block is governed by what the one before adopted", c=c, **here)
        need(c <= c2 <= self.charter.height, "a block adopts a charter that is certified", **here)
        need(time >= chain.time, "time does not go back", **here)
        entries, _evidence = plain(body)
        need(len(entries) == count <= 256, "a block holds what its header says", **here)
        chain.time = time
        for index, (salt, data) in enumerate(entries):
            entry = plain(data)
            id = hashlib.sha256(b"\0" + salt + data).digest()
            self._entry(chain_id, chain, H, index, entry, id, c)
        chain.h, chain.H, chain.c = h, H, c2
        for unit in set(self.sum) | set(self.in_flight):
            need(
                self.sum.get(unit, 0) + self.in_flight.get(unit, 0) == 0,
                "balances and what is in flight add up to zero",
                unit=unit, balances=self.sum.get(unit, 0), flight=self.in_flight.get(unit, 0),
                **here,
            )  # fmt: skip

    def _entry(
        self, chain_id: bytes, chain: Chain, H: bytes, index: int, entry: Any, id: bytes, c: int
    ) -> None:
        kind = entry[0]
        name = NAMES[kind]
        self.counts[name] = self.counts.get(name, 0) + 1
        where = (chain_id, chain, H, index)
        if kind == 1:
            self._open(chain_id, chain, entry, c)
        elif kind == 2:
            account = self._account(chain, entry[1])
            free = all(p.balance == 0 for p in account.positions.values()) and not any(
                entry[1] in (hold.account, hold.to_account if hold.to_coop == chain_id else b"")
                for hold in chain.holds.values()
            )
            need(free, "an account closes empty and without holds", account=entry[1])
            need(entry[1] != COMMONS, "the commons stays open")
            account.open = False
        elif kind == 3:
            account = self._account(chain, entry[1])
            position = account.positions.setdefault(entry[2], Position())
            position.limit, position.max = entry[3], entry[4]
        elif kind == 4:
            account = self._account(chain, entry[1])
            wait = self.charter.at(c).recovery_s
            self._settle_pending(chain, account)  # what has waited long enough is a key
            account.pending = [(entry[2], chain.time + wait)]  # a later one replaces it
        elif kind == 5:
            self._member(chain_id, chain, entry[1])
        elif kind in (6, 7, 10):
            self._spend(where, entry, c)
        elif kind in (8, 9):
            self._consume(where, entry)
        elif kind == 11:
            self._post(where, entry)
        elif kind == 12:
            self._void(chain_id, chain, entry, c)
        else:
            need(kind == 13, "there are thirteen kinds of entry", kind=kind)
            _, account_id, unit, amount, to_coop, to_account, _ref, n = entry
            need(account_id == COMMONS, "only the commons pays without a member's order")
            self._move(where, account_id, unit, amount, to_coop, to_account, id, n, c)

    def _open(self, chain_id: bytes, chain: Chain, entry: Any, c: int) -> None:
        _, id, kind, key, positions = entry
        need(id not in chain.accounts, "an account is opened once", account=id)
        opened = sum(1 for account in chain.accounts.values() if account.open)
        cap = self.charter.at(c).cap(chain_id)
        need(opened <= cap, "no more accounts than allowed", open=opened)
        account = chain.accounts[id] = Account(kind, [key])
        for unit, limit, top in positions:
            account.positions[unit] = Position(0, limit, top)

    def _account(self, chain: Chain, id: bytes) -> Account:
        account = chain.accounts.get(id)
        need(account is not None and account.open, "an entry touches open accounts", account=id)
        assert account is not None
        return account

    def _keys(self, chain: Chain, account: Account) -> list[bytes]:
        """Return the keys that sign for an account now; a recovered key waits its time."""
        return account.keys + [key for key, start in account.pending if chain.time >= start]

    # --- Orders ---------------------------------------------------------------------------------

    def _order(
        self, chain_id: bytes, chain: Chain, order: Any
    ) -> tuple[bytes, Account, Any, bytes]:
        body, key, mandate_id, signature = order
        id = hashlib.sha256(b"maillon/1/order\0" + self.fed + body).digest()
        need(id not in self.done, "no order is executed twice", order=id)
        self.done.add(id)
        account_id, seq, where, until, action = plain(body)
        need(where == chain_id, "an order is for its account's chain", order=id)
        account = self._account(chain, account_id)
        need(seq > account.seq, "an account's orders are numbered upwards", seq=seq)
        need(seq - account.seq <= 1 << 20, "an account's numbers are not used up", seq=seq)
        account.seq = seq
        need(chain.time <= until, "an order is executed in its time", order=id)
        message = signing_bytes("order", self.fed + body)
        need(self._verify([(key, message, signature)])[0], "an order is signed", order=id)
        if mandate_id:
            self._under_mandate(chain, account, mandate_id, key, action)
        else:
            need(key in self._keys(chain, account), "an order is signed by the account's key")
            self._settle_pending(chain, account)
        return account_id, account, action, id

    def _settle_pending(self, chain: Chain, account: Account) -> None:
        for key, start in list(account.pending):
            if chain.time >= start:
                account.pending.remove((key, start))
                if key not in account.keys:
                    account.keys.append(key)

    def _under_mandate(
        self, chain: Chain, account: Account, id: bytes, key: bytes, action: Any
    ) -> None:
        mandate = account.mandates.get(id)
        need(mandate is not None, "a mandate stands on the account", mandate=id)
        assert mandate is not None
        need(mandate.key == key, "a mandate is its delegate's")
        need(mandate.start <= chain.time < mandate.end, "a mandate has its time", now=chain.time)
        need(action[0] in (1, 2), "a delegate may pay, nothing else")
        unit, amount = action[3], action[4]
        index = (chain.time - mandate.start) // mandate.period_s
        if index != mandate.index:
            mandate.index, mandate.used = index, {}
        used = mandate.used.get(unit, 0) + amount
        need(used <= mandate.allowed.get(unit, 0), "a delegate keeps to the amount", used=used)
        mandate.used[unit] = used

    def _member(self, chain_id: bytes, chain: Chain, order: Any) -> None:
        _, account, action, _ = self._order(chain_id, chain, order)
        if action[0] == 3:
            _, id, key, allowed, period_s, start, end = action
            account.mandates[id] = Mandate(key, dict(allowed), period_s, start, end)
        elif action[0] == 4:
            need(action[1] in account.mandates, "a mandate is there to be revoked")
            del account.mandates[action[1]]
        else:
            need(action[0] == 5, "a member's entry is a mandate or keys")
            _, add, drop = action
            if not add and not drop:
                account.pending = []
            if add and add not in account.keys:
                account.keys.append(add)
            if drop:
                account.keys = [key for key in account.keys if key != drop]
                account.pending = [p for p in account.pending if p[0] != drop]
            need(account.keys, "an account keeps a key")

    def _spend(self, where: tuple[bytes, Chain, bytes, int], entry: Any, c: int) -> None:
        chain_id, chain, _, _ = where
        account_id, _, action, id = self._order(chain_id, chain, entry[1])
        unit, amount, to_coop, to_account = action[3], action[4], action[1], action[2]
        if entry[0] == 10:
            need(action[0] == 2, "a hold is what was ordered")
            need(self.charter.kind(unit) != "count", "a unit that only counts is not held")
            self._debit(chain_id, chain, account_id, unit, amount, to_coop, c)
            if to_coop == chain_id:
                self._room(chain_id, chain, to_account, unit, amount)
            _, _, _, _, _, _, _, expiry, payee, arbiter, hashlock = action
            chain.holds[id] = Hold(
                account_id, unit, amount, to_coop, to_account, payee, entry[1][1], arbiter,
                hashlock, expiry,
            )  # fmt: skip
            return
        need(action[0] == 1, "a payment is what was ordered")
        need((to_coop == chain_id) == (entry[0] == 6), "a payment goes where it was ordered")
        n = entry[2] if entry[0] == 7 else 0
        self._move(where, account_id, unit, amount, to_coop, to_account, id, n, c)

    # --- Money ----------------------------------------------------------------------------------

    def held(self, chain: Chain, account: bytes, unit: int) -> int:
        """Return what an account has promised in holds."""
        return sum(
            hold.amount
            for hold in chain.holds.values()
            if hold.account == account and hold.unit == unit
        )

    def expected(self, chain_id: bytes, chain: Chain, account: bytes, unit: int) -> int:
        """Return what holds of the same chain may bring to an account."""
        return sum(
            hold.amount
            for hold in chain.holds.values()
            if (hold.to_coop, hold.to_account, hold.unit) == (chain_id, account, unit)
        )

    def total(self, chain: Chain, unit: int) -> int:
        """Return a coop's trade balance: the sum of its accounts."""
        return sum(
            account.positions[unit].balance
            for account in chain.accounts.values()
            if unit in account.positions
        )

    def _debit(
        self, chain_id: bytes, chain: Chain, account: bytes, unit: int, amount: int, to: bytes,
        c: int,
    ) -> None:  # fmt: skip
        position = self._account(chain, account).positions.get(unit)
        need(position is not None, "an account has the unit it pays in", unit=unit)
        assert position is not None
        need(amount > 0, "an amount is positive")
        left = position.balance - self.held(chain, account, unit) - amount
        need(left >= -position.limit, "no account goes below its limit", account=account, left=left)
        if to != chain_id:
            coop = self.charter.at(c).coops[chain_id]
            out = sum(
                hold.amount
                for hold in chain.holds.values()
                if hold.to_coop != chain_id and hold.unit == unit
            )
            left = self.total(chain, unit) - out - amount
            limit = 0 if coop.removed else coop.limits.get(unit, 0)
            need(left >= -limit, "no coop goes below its collective limit", left=left, limit=limit)

    def _room(self, chain_id: bytes, chain: Chain, account: bytes, unit: int, amount: int) -> None:
        position = self._account(chain, account).positions.get(unit)
        need(position is not None, "an account has the unit it is paid in", unit=unit)
        assert position is not None
        top = position.balance + self.expected(chain_id, chain, account, unit) + amount
        need(top <= position.max, "no account goes above its maximum", top=top, max=position.max)

    def _add(self, account: Account, unit: int, amount: int) -> None:
        account.positions.setdefault(unit, Position()).balance += amount
        self.sum[unit] = self.sum.get(unit, 0) + amount

    def _move(
        self, where: tuple[bytes, Chain, bytes, int], account: bytes, unit: int, amount: int,
        to_coop: bytes, to_account: bytes, id: bytes, n: int, c: int,
    ) -> None:  # fmt: skip
        chain_id, chain, _, _ = where
        counts = self.charter.kind(unit) == "count"
        if counts:
            need(amount == 1, "a unit that only counts moves by one")
        else:
            self._debit(chain_id, chain, account, unit, amount, to_coop, c)
        if to_coop == chain_id:
            need(account != to_account, "nobody pays themselves")
            if counts:
                self._account(chain, to_account)
                return
            self._room(chain_id, chain, to_account, unit, amount)
            self._add(chain.accounts[account], unit, -amount)
            self._add(chain.accounts[to_account], unit, amount)
            return
        coops = self.charter.at(c).coops
        need(to_coop in coops and not coops[to_coop].removed, "payments go to coops of the charter")
        if not counts:
            self._add(chain.accounts[account], unit, -amount)
        self._send(where, to_coop, n, account, to_account, unit, amount, id, returned=False)

    def _send(
        self, where: tuple[bytes, Chain, bytes, int], to_coop: bytes, n: int, from_account: bytes,
        to_account: bytes, unit: int, amount: int, id: bytes, *, returned: bool,
    ) -> None:  # fmt: skip
        chain_id, chain, H, index = where
        channel = chain.sent.setdefault(to_coop, [])
        need(n == len(channel) + 1, "messages to a coop are numbered one by one", n=n)
        channel.append(
            Transit(chain_id, H, index, from_account, to_account, unit, amount, id, returned)
        )
        if self.charter.kind(unit) != "count":
            self.in_flight[unit] = self.in_flight.get(unit, 0) + amount

    def _consume(self, where: tuple[bytes, Chain, bytes, int], entry: Any) -> None:
        chain_id, chain, _, _ = where
        source, H, index = entry[1], entry[2], entry[3]
        channel = self.chain(source).sent.get(chain_id, [])
        done = chain.received.get(source, 0)
        need(done < len(channel), "what is consumed was sent in a certified block", source=source)
        message = channel[done]
        need((message.H, message.index) == (H, index), "messages are consumed in turn, each once")
        chain.received[source] = done + 1
        unit, amount = message.unit, message.amount
        counts = self.charter.kind(unit) == "count"
        if not counts:
            self.in_flight[unit] -= amount
        account = chain.accounts.get(message.to_account)
        if message.returned:
            need(entry[0] == 8, "what comes back is credited")
            if account is None or not account.open:
                account = chain.accounts[COMMONS]
            if not counts:
                self._add(account, unit, amount)
            return
        fits = account is not None and account.open
        if fits and not counts:
            assert account is not None
            position = account.positions.get(unit)
            waiting = self.expected(chain_id, chain, message.to_account, unit)
            fits = position is not None and position.balance + waiting + amount <= position.max
        if entry[0] == 8:
            need(fits, "what cannot be credited is returned", id=message.id)
            assert account is not None
            if not counts:
                self._add(account, unit, amount)
            return
        need(not fits, "what can be credited is not returned", id=message.id)
        self._send(
            where, source, entry[7], message.to_account, message.from_account, unit, amount,
            message.id, returned=True,
        )  # fmt: skip

    # --- Holds ----------------------------------------------------------------------------------

    def _post(self, where: tuple[bytes, Chain, bytes, int], entry: Any) -> None:
        chain_id, chain, _, _ = where
        _, account_id, id, confirmation, n = entry[:5]
        hold = chain.holds.pop(id, None)
        need(hold is not None, "a hold is posted or voided, once", hold=id)
        assert hold is not None
        need(hold.account == account_id, "a hold is its account's")
        account = self._account(chain, account_id)
        if confirmation[0] == 2:
            fits = hashlib.sha256(confirmation[1]).digest() == hold.hashlock
            need(fits, "a preimage opens its lock", hold=id)
        else:
            _, key, signature = confirmation
            message = signing_bytes("confirm", self.fed + encode([chain_id, id]))
            need(self._verify([(key, message, signature)])[0], "a confirmation is signed", hold=id)
            # Who made the hold may confirm it, also once the account has dropped that key.
            allowed = {hold.signer, *({hold.arbiter} if hold.arbiter else ())}
            need(
                key in allowed | set(self._keys(chain, account)),
                "the payer or the arbiter confirms",
            )
        self._add(account, hold.unit, -hold.amount)
        # No collective limit here: the hold has been counted against it since it was made.
        if hold.to_coop == chain_id:
            need(n == 0, "a hold for the same chain needs no channel")
            self._add(chain.accounts[hold.to_account], hold.unit, hold.amount)
            return
        self._send(
            where, hold.to_coop, n, account_id, hold.to_account, hold.unit, hold.amount, id,
            returned=False,
        )  # fmt: skip

    def _void(self, chain_id: bytes, chain: Chain, entry: Any, c: int) -> None:
        _, account_id, id, release = entry
        hold = chain.holds.pop(id, None)
        need(hold is not None, "a hold is posted or voided, once", hold=id)
        assert hold is not None
        need(hold.account == account_id, "a hold is its account's")
        if release:
            key, signature = release
            message = signing_bytes("release", self.fed + encode([chain_id, id]))
            need(key == hold.payee, "only the payee releases")
            need(self._verify([(key, message, signature)])[0], "a release is signed", hold=id)
        else:
            need(chain.time >= hold.expiry, "a hold is not voided before its time", hold=id)
            if self.on_void is not None:
                self.on_void(chain_id, id, c)


NAMES: Mapping[int, str] = {
    1: "open", 2: "close", 3: "limit", 4: "recover", 5: "member", 6: "intra", 7: "out", 8: "in",
    9: "return", 10: "hold", 11: "post", 12: "void", 13: "settle",
}  # fmt: skip
