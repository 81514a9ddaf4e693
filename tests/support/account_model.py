"""Keep accounts the naive way: dictionaries, no trees, no forks, no bytes (spec/06, "Accounts").

Written from the specification, not from the code: the tests let both take the same orders and
compare what they say and what they hold. Each method applies something and returns "", or returns
the code of the refusal and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

COMMONS = bytes(16)


@dataclass
class ModelHold:
    payer: bytes
    unit: int
    amount: int
    to: tuple[bytes, bytes]
    payee_key: bytes
    arbiter: bytes
    secret: bytes
    expiry: int
    signer: bytes


@dataclass
class ModelMandate:
    key: bytes
    allowed: dict[int, int]
    period_s: int
    start: int
    end: int
    spent: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])

    def used(self, unit: int, time: int) -> int:
        period = (time - self.start) // self.period_s
        return sum(amount for p, u, amount in self.spent if (p, u) == (period, unit))


@dataclass
class ModelAccount:
    keys: list[bytes]
    seq: int = 0
    open: bool = True
    balances: dict[int, int] = field(default_factory=dict[int, int])
    limits: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    waiting: tuple[bytes, int] | None = None
    mandates: dict[bytes, ModelMandate] = field(default_factory=dict[bytes, ModelMandate])


@dataclass
class Message:
    from_account: bytes
    to_account: bytes
    unit: int
    amount: int
    returned: bool = False


@dataclass
class ModelCoop:
    accounts: dict[bytes, ModelAccount] = field(default_factory=lambda: {COMMONS: ModelAccount([])})
    holds: dict[bytes, ModelHold] = field(default_factory=dict[bytes, ModelHold])


class Model:
    """All coops of a federation, `counted` units, what each coop may owe, how recovery waits."""

    def __init__(
        self, coops: list[bytes], limits: dict[int, int], counted: set[int], recovery_s: int
    ) -> None:
        self.coops = {coop: ModelCoop() for coop in coops}
        self.limits = limits
        self.counted = counted
        self.recovery_s = recovery_s
        self.sent: dict[tuple[bytes, bytes], list[Message]] = {
            (a, b): [] for a in coops for b in coops if a != b
        }
        self.taken = dict.fromkeys(self.sent, 0)

    # --- What stands ---

    def held(self, coop: bytes, account: bytes, unit: int) -> int:
        holds = self.coops[coop].holds.values()
        return sum(h.amount for h in holds if h.payer == account and h.unit == unit)

    def expected(self, coop: bytes, account: bytes, unit: int) -> int:
        holds = self.coops[coop].holds.values()
        return sum(h.amount for h in holds if h.to == (coop, account) and h.unit == unit)

    def held_out(self, coop: bytes, unit: int) -> int:
        holds = self.coops[coop].holds.values()
        return sum(h.amount for h in holds if h.to[0] != coop and h.unit == unit)

    def trade(self, coop: bytes, unit: int) -> int:
        return sum(a.balances.get(unit, 0) for a in self.coops[coop].accounts.values())

    def under_way(self, unit: int) -> int:
        return sum(
            message.amount
            for channel, messages in self.sent.items()
            for message in messages[self.taken[channel] :]
            if message.unit == unit and unit not in self.counted
        )

    def keys(self, account: ModelAccount, time: int) -> list[bytes]:
        if account.waiting and account.waiting[1] <= time:
            if account.waiting[0] in account.keys:
                return account.keys
            return [*account.keys, account.waiting[0]][-8:]
        return account.keys

    # --- The coop's decisions ---

    def open(
        self, coop: bytes, account: bytes, key: bytes, units: dict[int, tuple[int, int]]
    ) -> str:
        accounts = self.coops[coop].accounts
        if account in accounts:
            return "account_exists"
        if any(unit in self.counted for unit in units):
            return "wrong_unit"
        accounts[account] = ModelAccount([key], 0, True, dict.fromkeys(units, 0), dict(units))
        return ""

    def at_rest(self, coop: bytes, account: bytes, time: int) -> bool:
        found = self.coops[coop].accounts[account]
        return not (
            any(found.balances.values())
            or any(h.payer == account for h in self.coops[coop].holds.values())
            or any(h.to == (coop, account) for h in self.coops[coop].holds.values())
            or (found.waiting and found.waiting[1] > time)
        )

    def close(self, coop: bytes, account: bytes, time: int) -> str:
        if account == COMMONS:
            return "wrong_account"
        found, code = self._open(coop, account)
        if found is None:
            return code
        if not self.at_rest(coop, account, time):
            return "account_in_use"
        self._ripen(found, time)
        found.open = False
        found.mandates = {}
        return ""

    def limit(self, coop: bytes, account: bytes, unit: int, low: int, high: int) -> str:
        found, code = self._open(coop, account)
        if found is None:
            return code
        if unit in self.counted:
            return "wrong_unit"
        found.balances.setdefault(unit, 0)
        found.limits[unit] = (low, high)
        return ""

    def recover(self, coop: bytes, account: bytes, key: bytes, time: int) -> str:
        if account == COMMONS:
            return "wrong_account"
        found, code = self._open(coop, account)
        if found is None:
            return code
        if key in self.keys(found, time):
            return "key_change"
        self._ripen(found, time)
        found.waiting = (key, time + self.recovery_s)
        return ""

    def settle(self, coop: bytes, unit: int, amount: int, to: tuple[bytes, bytes]) -> str:
        if to == (coop, COMMONS):
            return "wrong_account"
        commons = self.coops[coop].accounts[COMMONS]
        if to[0] == coop:
            code = self._open(coop, to[1])[1]
            if code:
                return code
        code = self._can(coop, COMMONS, commons, unit, amount, to)
        if not code:
            self._move(coop, COMMONS, unit, amount, to)
        return code

    # --- Orders ---

    def _open(self, coop: bytes, account: bytes) -> tuple[ModelAccount | None, str]:
        found = self.coops[coop].accounts.get(account)
        if found is None:
            return None, "account_unknown"
        return (found, "") if found.open else (None, "account_closed")

    def _ripen(self, account: ModelAccount, time: int) -> None:
        account.keys = self.keys(account, time)
        if account.waiting and account.waiting[1] <= time:
            account.waiting = None

    def signed(
        self,
        coop: bytes,
        account: bytes,
        seq: int,
        until: int,
        key: bytes,
        mandate: bytes,
        time: int,
    ) -> str:
        found, code = self._open(coop, account)
        if found is None:
            return code
        if seq <= found.seq:
            return "stale_sequence"
        if seq - found.seq > 1_048_576:
            return "sequence_gap"
        if time > until:
            return "order_expired"
        if mandate:
            given = found.mandates.get(mandate)
            if given is None:
                return "mandate_unknown"
            if given.key != key:
                return "not_authorised"
            if not given.start <= time < given.end:
                return "order_mandate_expired"
            return ""
        return "" if key in self.keys(found, time) else "not_authorised"

    def _allowed(
        self, account: ModelAccount, mandate: bytes, unit: int, amount: int, time: int
    ) -> str:
        if not mandate:
            return ""
        given = account.mandates[mandate]
        if unit not in given.allowed:
            return "order_mandate_scope"
        if given.used(unit, time) + amount > given.allowed[unit]:
            return "mandate_exhausted"
        return ""

    def _done(
        self, account: ModelAccount, seq: int, mandate: bytes, unit: int, amount: int, time: int
    ) -> None:
        account.seq = seq
        if mandate:
            given = account.mandates[mandate]
            period = (time - given.start) // given.period_s
            given.spent.append((period, unit, amount))
        self._ripen(account, time)

    def _can(
        self,
        coop: bytes,
        account: bytes,
        found: ModelAccount,
        unit: int,
        amount: int,
        to: tuple[bytes, bytes],
    ) -> str:
        if unit in self.counted:
            return "" if amount == 1 else "amount"
        if unit not in found.balances:
            return "wrong_unit"
        if found.balances[unit] - self.held(coop, account, unit) - amount < -found.limits[unit][0]:
            return "over_limit"
        if to[0] != coop:
            left = self.trade(coop, unit) - self.held_out(coop, unit) - amount
            return "coop_limit" if left < -self.limits.get(unit, 0) else ""
        return self._room(coop, to[1], unit, amount)

    def _room(self, coop: bytes, account: bytes, unit: int, amount: int) -> str:
        payee = self.coops[coop].accounts[account]
        if unit not in payee.balances:
            return "wrong_unit"
        after = payee.balances[unit] + self.expected(coop, account, unit) + amount
        return "over_maximum" if after > payee.limits[unit][1] else ""

    def _move(
        self, coop: bytes, account: bytes, unit: int, amount: int, to: tuple[bytes, bytes]
    ) -> None:
        if to[0] != coop:
            self.sent[coop, to[0]].append(Message(account, to[1], unit, amount))
        if unit in self.counted:
            return
        self.coops[coop].accounts[account].balances[unit] -= amount
        if to[0] == coop:
            self.coops[coop].accounts[to[1]].balances[unit] += amount

    def pay(
        self,
        coop: bytes,
        account: bytes,
        order: tuple[int, int, bytes, bytes],
        unit: int,
        amount: int,
        to: tuple[bytes, bytes],
        time: int,
    ) -> str:
        """`order` is seq, until, key, mandate."""
        seq, until, key, mandate = order
        code = self.signed(coop, account, seq, until, key, mandate, time)
        if code:
            return code
        found = self.coops[coop].accounts[account]
        if to == (coop, account):
            return "wrong_account"
        code = self._open(coop, to[1])[1] if to[0] == coop else ""
        if not code and unit in self.counted and amount != 1:
            code = "amount"
        code = code or self._allowed(found, mandate, unit, amount, time)
        code = code or self._can(coop, account, found, unit, amount, to)
        if not code:
            self._done(found, seq, mandate, unit, amount, time)
            self._move(coop, account, unit, amount, to)
        return code

    def hold(
        self,
        coop: bytes,
        order: tuple[int, int, bytes, bytes],
        name: bytes,
        hold: ModelHold,
        time: int,
    ) -> str:
        seq, until, key, mandate = order
        code = self.signed(coop, hold.payer, seq, until, key, mandate, time)
        if code:
            return code
        found = self.coops[coop].accounts[hold.payer]
        if hold.to == (coop, hold.payer):
            return "wrong_account"
        code = self._open(coop, hold.to[1])[1] if hold.to[0] == coop else ""
        if not code and hold.unit in self.counted:
            code = "wrong_unit" if hold.amount == 1 else "amount"
        if not code and hold.expiry <= time:
            code = "order_expired"
        code = code or self._allowed(found, mandate, hold.unit, hold.amount, time)
        code = code or self._can(coop, hold.payer, found, hold.unit, hold.amount, hold.to)
        if not code:
            self._done(found, seq, mandate, hold.unit, hold.amount, time)
            self.coops[coop].holds[name] = hold
        return code

    def post(self, coop: bytes, account: bytes, name: bytes, proof: bytes, time: int) -> str:
        """`proof` is the key that confirms, or the secret itself."""
        found, code = self._open(coop, account)
        if found is None:
            return code
        hold = self.coops[coop].holds.get(name)
        if hold is None or hold.payer != account:
            return "hold_unknown"
        good = {hold.signer, *self.keys(found, time)} | {hold.arbiter, hold.secret} - {b""}
        if proof not in good:
            return "confirmation"
        del self.coops[coop].holds[name]
        self._move(coop, account, hold.unit, hold.amount, hold.to)
        return ""

    def void(self, coop: bytes, account: bytes, name: bytes, key: bytes, time: int) -> str:
        """`key` is that of a release, or empty when the hold is said to have expired."""
        code = self._open(coop, account)[1]
        if code:
            return code
        hold = self.coops[coop].holds.get(name)
        if hold is None or hold.payer != account:
            return "hold_unknown"
        if not key and time < hold.expiry:
            return "hold_open"
        if key and key != hold.payee_key:
            return "confirmation"
        del self.coops[coop].holds[name]
        return ""

    def give(
        self,
        coop: bytes,
        account: bytes,
        order: tuple[int, int, bytes],
        name: bytes,
        mandate: ModelMandate,
        time: int,
    ) -> str:
        seq, until, key = order
        code = self.signed(coop, account, seq, until, key, b"", time)
        if code:
            return code
        found = self.coops[coop].accounts[account]
        kept = {known: m for known, m in found.mandates.items() if m.end > time}
        if name in kept:
            return "key_change"
        if len(kept) >= 16:
            return "too_many"
        found.mandates = {**kept, name: mandate}
        self._done(found, seq, b"", 0, 0, time)
        return ""

    def revoke(
        self, coop: bytes, account: bytes, order: tuple[int, int, bytes], name: bytes, time: int
    ) -> str:
        seq, until, key = order
        code = self.signed(coop, account, seq, until, key, b"", time)
        if code:
            return code
        found = self.coops[coop].accounts[account]
        if name not in found.mandates:
            return "mandate_unknown"
        del found.mandates[name]
        self._done(found, seq, b"", 0, 0, time)
        return ""

    def change(
        self,
        coop: bytes,
        account: bytes,
        order: tuple[int, int, bytes],
        add: bytes,
        drop: bytes,
        time: int,
    ) -> str:
        seq, until, key = order
        code = self.signed(coop, account, seq, until, key, b"", time)
        if code:
            return code
        found = self.coops[coop].accounts[account]
        keys = list(self.keys(found, time))
        if not add and not drop:
            if found.waiting is None or found.waiting[1] <= time:
                return "key_change"
            found.waiting = None
        else:
            if drop:
                if drop not in keys:
                    return "key_change"
                keys.remove(drop)
            if add:
                if add in keys:
                    return "key_change"
                keys.append(add)
            if not keys:
                return "key_change"
            if len(keys) > 8:
                return "too_many"
            self._ripen(found, time)
            found.keys = keys
        self._done(found, seq, b"", 0, 0, time)
        return ""

    # --- Arrivals ---

    def arrive(self, source: bytes, coop: bytes) -> str:
        """Take the next message; return what becomes of it: credited, or sent back."""
        message = self.sent[source, coop][self.taken[source, coop]]
        self.taken[source, coop] += 1
        accounts = self.coops[coop].accounts
        counted = message.unit in self.counted
        if message.returned:
            if not counted:
                target = accounts[message.to_account]
                target = target if target.open else accounts[COMMONS]
                target.balances.setdefault(message.unit, 0)
                target.limits.setdefault(message.unit, (0, 2**53 - 1))
                target.balances[message.unit] += message.amount
            return "in"
        code = self._open(coop, message.to_account)[1]
        if not code and not counted:
            code = self._room(coop, message.to_account, message.unit, message.amount)
        if code:
            back = Message(
                message.to_account, message.from_account, message.unit, message.amount, True
            )
            self.sent[coop, source].append(back)
            return "return"
        if not counted:
            accounts[message.to_account].balances[message.unit] += message.amount
        return "in"
