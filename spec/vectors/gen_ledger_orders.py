"""Make the vectors of orders and of entries (spec/06-blocks.md)."""

from __future__ import annotations

import random
from typing import Any

from ledger_parts import TIME, Cases, World, changed, raw, shown
from maillon.ledger import entries, orders, signing
from maillon.ledger.limits import AMOUNT_MAX, BALANCE_MAX, PERIOD_S_MAX, PERIOD_S_MIN
from maillon.protocol import encoding
from maillon.protocol.limits import INT_MAX

IDENTITY = b"\x01" + bytes(31)
"""The neutral point: a key of small order."""

Taken = tuple[bytes, bytes, int, bytes, bytes, tuple[bytes, ...]]
"""How another chain names an entry: source, block, index, salt, bytes, path."""


def vectors(rng: random.Random) -> dict[str, object]:
    """Return the two files."""
    world = World(rng)
    return {"ledger-orders.json": _orders(world), "ledger-entries.json": _entries(world)}


# --- Orders --------------------------------------------------------------------------------------


def _orders(world: World) -> dict[str, object]:
    def read(data: bytes) -> dict[str, object]:
        order = orders.decode_order(data)
        assert order.encode() == data
        return {
            "id": order.id(world.fed),
            "account": order.account,
            "seq": order.seq,
            "chain": order.chain,
            "until": order.until,
            "action": shown(order.action.array()),
        }

    cases = Cases(read)
    pay = world.order(world.pay())
    allowed = ((0, 600), (1, AMOUNT_MAX))
    grant = orders.MandateAction(
        world.mandate, world.delegate.public, allowed, 7 * 86_400, TIME, TIME + 90 * 86_400
    )
    good: list[tuple[str, orders.Order]] = [
        ("a payment inside a coop", pay),
        ("a payment to another coop, without memo or category", world.order(
            orders.PayAction(world.other, world.receiver, 3, 1), 2
        )),
        ("the greatest payment", world.order(world.pay(AMOUNT_MAX), INT_MAX)),
        ("a payment under a mandate", world.order(world.pay(), 3, mandate=world.mandate)),
        ("a hold", world.order(world.hold())),
        ("a hold with arbiter and hash lock", world.order(world.hold(all_of=True))),
        ("a hold under a mandate", world.order(world.hold(), 9, mandate=world.mandate)),
        ("a mandate", world.order(grant)),
        ("the end of a mandate", world.order(orders.RevokeAction(world.mandate))),
        ("a key more", world.order(orders.KeysAction(world.payee.public))),
        ("a key less", world.order(orders.KeysAction(b"", world.payee.public))),
        ("a key for another", world.order(
            orders.KeysAction(world.payee.public, world.member.public)
        )),
        ("cancel a recovery", world.order(orders.KeysAction())),
    ]  # fmt: skip
    for name, order in good:
        cases.good(name, order.encode())
    whole: list[Any] = [pay.body, pay.key, b"", pay.signature]
    cases.cut(pay.encode())
    cases.bad("a map", "order", encoding.encode({"body": pay.body}))
    cases.bad("three parts", "order", raw(*whole[:3]))
    cases.bad("a fifth part", "order", raw(*whole, b""))
    cases.bad("a body that is an array", "order_body", changed(whole, 0, [1]))
    cases.bad("a body too long", "order_body", changed(whole, 0, bytes(513)))
    cases.bad("a key of 31 bytes", "order_key", changed(whole, 1, pay.key[1:]))
    cases.bad("a mandate of 15 bytes", "order_mandate", changed(whole, 2, bytes(15)))
    cases.bad("a signature of 63 bytes", "order_signature", changed(whole, 3, bytes(63)))
    _bodies(world, cases, whole)
    _actions(world, cases, whole)
    return {
        "spec": "06-blocks",
        "about": "Reading `bytes` as an order of federation `fed` gives its parts; whether the "
        "signature is valid is asked in `signatures`.",
        "fed": world.fed,
        "vectors": cases.listed,
        "signatures": _signatures(world, pay),
    }


def _bodies(world: World, cases: Cases, whole: list[Any]) -> None:
    action = world.pay().array()
    parts: list[Any] = [world.account, 1, world.chain, TIME, action]

    def bad(name: str, rule: str, place: int, value: Any) -> None:
        cases.bad(name, rule, changed(whole, 0, changed(parts, place, value)))

    cases.bad("a body of four", "order_body", changed(whole, 0, raw(*parts[:4])))
    cases.bad("a body with a byte behind", "trailing_bytes", changed(whole, 0, raw(*parts) + b"\0"))
    cases.bad(
        "a number of the body in a longer form",
        "int_form",
        changed(whole, 0, raw(*parts).replace(b"\x01\xc4\x20", b"\xcc\x01\xc4\x20", 1)),
    )
    bad("an account of 17 bytes", "order_account", 0, bytes(17))
    bad("sequence number 0", "order_seq", 1, 0)
    bad("a sequence number that is true", "order_seq", 1, True)
    bad("a chain of 31 bytes", "order_chain", 2, bytes(31))
    bad("a time before 1970", "order_until", 3, -1)
    bad("an action that is a number", "action", 4, 1)
    bad("an action without parts", "action", 4, [1])
    bad("an action of kind 6", "action", 4, [6, world.mandate])
    bad("an action of kind true", "action", 4, [True, *action[1:]])
    bad("a payment of six parts", "action", 4, action[:-1])


def _actions(world: World, cases: Cases, whole: list[Any]) -> None:
    def bad(name: str, rule: str, action: list[Any], place: int, value: Any) -> None:
        parts = [*action[:place], value, *action[place + 1 :]]
        body = raw(world.account, 1, world.chain, TIME, parts)
        cases.bad(name, rule, changed(whole, 0, body))

    pay: list[Any] = list(world.pay().array())
    bad("to a coop of 31 bytes", "to_coop", pay, 1, bytes(31))
    bad("to an account of 15 bytes", "to_account", pay, 2, bytes(15))
    bad("a unit below 0", "unit", pay, 3, -1)
    bad("unit 16", "unit", pay, 3, 16)
    bad("an amount of 0", "amount", pay, 4, 0)
    bad("a negative amount", "amount", pay, 4, -90)
    bad("an absurd amount", "amount", pay, 4, AMOUNT_MAX + 1)
    bad("an amount in words", "amount_type", pay, 4, "90")
    bad("an amount that is true", "amount_type", pay, 4, True)
    bad("a memo's hash of 31 bytes", "ref", pay, 5, bytes(31))
    bad("a category with a capital letter", "category", pay, 6, "Jardin")
    bad("a category with a space", "category", pay, 6, "aide a domicile")
    bad("a category that ends with a line", "category", pay, 6, "jardin-")
    bad("a category of 65 letters", "category", pay, 6, "a" * 65)
    hold: list[Any] = list(world.hold(all_of=True).array())
    bad("a hold that expires before 1970", "expiry", hold, 7, -1)
    bad("a hold without payee's key", "payee_key", hold, 8, b"")
    bad("a payee's key of small order", "bad_key", hold, 8, IDENTITY)
    bad("an arbiter of 31 bytes", "arbiter", hold, 9, bytes(31))
    bad("an arbiter of small order", "bad_key", hold, 9, IDENTITY)
    bad("a hash lock of 31 bytes", "hashlock", hold, 10, bytes(31))
    limits = [[0, 600], [1, 5]]
    grant: list[Any] = [3, world.mandate, world.delegate.public, limits, 86_400, TIME, TIME + 1]
    bad("a mandate of 15 bytes in an action", "mandate", grant, 1, bytes(15))
    bad("a delegate's key of small order", "bad_key", grant, 2, IDENTITY)
    bad("a delegate's key of 31 bytes", "mandate_key", grant, 2, bytes(31))
    bad("a mandate from before 1970", "mandate_start", grant, 5, -1)
    bad("a mandate without units", "mandate_limits", grant, 3, [])
    bad("a mandate over 17 units", "mandate_limits", grant, 3, [[n, 1] for n in range(17)])
    bad("a mandate with a unit twice", "mandate_limits", grant, 3, [[0, 1], [0, 2]])
    bad("a mandate with units in another order", "mandate_limits", grant, 3, [[1, 1], [0, 2]])
    bad("a mandate over nothing", "amount", grant, 3, [[0, 0]])
    bad("a mandate with a limit of three parts", "mandate_limits", grant, 3, [[0, 1, 2]])
    bad("a period under an hour", "mandate_period", grant, 4, PERIOD_S_MIN - 1)
    bad("a period over a year", "mandate_period", grant, 4, PERIOD_S_MAX + 1)
    bad("a mandate that ends as it begins", "mandate_end", grant, 6, TIME)
    bad("to revoke a mandate of 17 bytes", "mandate", [4, b""], 1, bytes(17))
    bad("to add a key of 31 bytes", "keys", [5, b"", b""], 1, bytes(31))
    bad("to add a key of small order", "bad_key", [5, b"", b""], 1, IDENTITY)
    bad("to drop a key of 31 bytes", "keys", [5, b"", b""], 2, bytes(31))
    key = world.member.public
    bad("to add and drop one key", "keys", [5, key, b""], 2, key)
    under = [*whole[:2], world.mandate, whole[3]]
    for name, action in (
        ("a mandate given under a mandate", grant),
        ("keys changed under a mandate", [5, key, b""]),
        ("a mandate revoked under a mandate", [4, world.mandate]),
    ):
        body = raw(world.account, 1, world.chain, TIME, action)
        cases.bad(name, "order_mandate", changed(under, 0, body))


def _signatures(world: World, pay: orders.Order) -> list[dict[str, object]]:
    body = pay.body
    key = world.member
    made: list[tuple[str, str, bytes, bytes]] = [
        ("by the key over the federation and the body", "ok", key.public, pay.signature),
        (
            "for another federation",
            "bad_signature",
            key.public,
            signing.sign(key, signing.ORDER, world.other, body),
        ),
        (
            "for another purpose",
            "bad_signature",
            key.public,
            signing.sign(key, signing.CONFIRM, world.fed, body),
        ),
        ("without the federation", "bad_signature", key.public, key.sign(signing.ORDER, body)),
        ("by another key", "bad_signature", world.delegate.public, pay.signature),
        ("a bit changed", "bad_signature", key.public, _flipped(pay.signature)),
        # Under the neutral point, R = [S]B is a signature of everything, for those who take it.
        ("of a key of small order", "bad_key", IDENTITY, IDENTITY + bytes(32)),
    ]
    listed: list[dict[str, object]] = []
    for name, expect, public, signature in made:
        order = orders.Order(body, public, b"", signature)
        assert signing.inline_verify([order.check(world.fed)]) == [expect == "ok"], name
        listed.append({"name": name, "bytes": order.encode(), "expect": expect})
    return listed


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


# --- Entries -------------------------------------------------------------------------------------


def _entries(world: World) -> dict[str, object]:
    salt = world.rng.randbytes(32)

    def read(data: bytes) -> dict[str, object]:
        entry = entries.decode_entry(data)
        assert entry.encode() == data
        leaf = entries.entry_leaf(salt, data)
        message = entries.message_of(entry, leaf, world.fed)
        found: dict[str, object] = {"kind": entry.KIND, "leaf": leaf}
        if message is not None:
            found["message"] = {
                "to_coop": message.to_coop,
                "n": message.n,
                "from_account": message.from_account,
                "to_account": message.to_account,
                "unit": message.unit,
                "amount": message.amount,
                "id": message.id,
                "returned": message.returned,
            }
        return found

    cases = Cases(read)
    out = entries.Out(world.order(world.pay(to=world.other)), 1)
    hold = world.order(world.hold(to=world.other))
    said = entries.sign_confirmation(world.member, world.fed, world.chain, hold.id(world.fed))
    post = entries.Post(world.account, hold.id(world.fed), said, 2, hold.body)
    local = entries.Post(world.account, hold.id(world.fed), said, 0)
    settle = entries.Settle(orders.COMMONS, 1, 2_500, world.other, world.receiver, orders.NO_REF, 3)
    taken = _taken(world, out)
    returned = entries.Return(*taken, 1)
    good: list[tuple[str, entries.Entry]] = [
        ("open a person's account in two units", entries.Open(
            world.account, 0, world.member.public, ((0, 600, BALANCE_MAX), (1, 0, 50_000))
        )),
        ("open an organisation's account without units", entries.Open(
            world.account, 1, world.member.public, ()
        )),
        ("close an account", entries.Close(world.account)),
        ("set a limit", entries.Limit(world.account, 1, 10_000, BALANCE_MAX)),
        ("announce a new key", entries.Recover(world.account, world.payee.public)),
        ("carry out a mandate's end", entries.Member(
            world.order(orders.RevokeAction(world.mandate))
        )),
        ("a payment inside", entries.Intra(world.order(world.pay()))),
        ("a payment to another coop", out),
        ("receive it there", entries.In(*taken)),
        ("send it back", returned),
        ("receive what comes back", entries.In(*_taken(world, returned))),
        ("reserve", entries.Hold(world.order(world.hold()))),
        ("pay what is reserved, inside", local),
        ("pay what is reserved, to another coop", post),
        ("pay by the secret", entries.Post(
            world.account, hold.id(world.fed), entries.PreimageConfirmation(bytes(32)), 0
        )),
        ("receive what was reserved", entries.In(*_taken(world, post))),
        ("give back what the payee releases", entries.Void(
            world.account,
            hold.id(world.fed),
            entries.sign_release(world.payee, world.fed, world.chain, hold.id(world.fed)),
        )),
        ("give back what has expired", entries.Void(world.account, hold.id(world.fed), None)),
        ("the coop pays another coop's member", settle),
        ("the coop pays a member", entries.Settle(
            orders.COMMONS, 0, 60, world.chain, world.receiver, orders.NO_REF, 0
        )),
        ("receive what a coop paid", entries.In(*_taken(world, settle))),
    ]  # fmt: skip
    for name, entry in good:
        cases.good(name, entry.encode())
    cases.cut(out.encode())
    _plain(world, cases)
    _with_orders(world, cases)
    _foreign(world, cases, taken)
    _holds(world, cases, post)
    return {
        "spec": "06-blocks",
        "about": "Reading `bytes` as an entry of a coop's chain gives its kind, its leaf under "
        "`salt`, and, when it sends one, the message of the channel in federation `fed`.",
        "fed": world.fed,
        "salt": salt,
        "vectors": cases.listed,
    }


def _taken(world: World, entry: entries.Entry) -> Taken:
    path = (world.rng.randbytes(32), world.rng.randbytes(32))
    block, salt = world.rng.randbytes(32), world.rng.randbytes(32)
    return (world.chain, block, 2, salt, entry.encode(), path)


def _plain(world: World, cases: Cases) -> None:
    account, key = world.account, world.member.public
    bad = cases.bad
    bad("an empty array", "entry_kind", raw())
    bad("a map for an entry", "entry", encoding.encode({"kind": 1}))
    bad("kind 0", "entry_kind", raw(0, account))
    bad("kind 14", "entry_kind", raw(14, account))
    bad("kind true", "entry_kind", raw(True, account, 0, key, []))
    bad("an account of 15 bytes", "account", raw(2, account[1:]))
    bad("a close with a part more", "entry_parts", raw(2, account, 0))
    bad("to open a commons account", "account_kind", raw(1, account, 3, key, []))
    bad("to open with a key of small order", "bad_key", raw(1, account, 0, IDENTITY, []))
    bad("to open without key", "account_key", raw(1, account, 0, b"", []))
    bad("a position of two parts", "positions", raw(1, account, 0, key, [[0, 1]]))
    bad("a unit twice", "positions", raw(1, account, 0, key, [[0, 1, 2], [0, 1, 2]]))
    bad("units in another order", "positions", raw(1, account, 0, key, [[1, 1, 2], [0, 1, 2]]))
    bad("17 units", "positions", raw(1, account, 0, key, [[n, 0, 0] for n in range(17)]))
    bad("a negative limit", "amount", raw(1, account, 0, key, [[0, -1, 2]]))
    bad("a limit of a unit that is negative", "unit", raw(3, account, -1, 0, 0))
    bad("a negative maximum", "amount", raw(3, account, 0, 0, -1))
    bad("a recovery without key", "account_key", raw(4, account, b""))
    zero = orders.COMMONS
    to = (world.other, world.receiver)
    ref = orders.NO_REF
    bad("a settlement from a member", "account", raw(13, account, 0, 1, *to, ref, 1))
    bad("a settlement of 0", "amount", raw(13, zero, 0, 0, *to, ref, 1))
    bad("a settlement without hash", "ref", raw(13, zero, 0, 1, *to, b"", 1))
    bad("a negative channel number", "channel_number", raw(13, zero, 0, 1, *to, ref, -1))


def _with_orders(world: World, cases: Cases) -> None:
    pay, hold = world.order(world.pay()).array(), world.order(world.hold()).array()
    keys = world.order(orders.KeysAction()).array()
    bad = cases.bad
    bad("a payment as a member's entry", "entry_action", raw(5, pay))
    bad("a hold as a payment", "entry_action", raw(6, hold))
    bad("keys as a payment", "entry_action", raw(6, keys))
    bad("a hold to another coop as a payment", "entry_action", raw(7, hold, 1))
    bad("a payment as a hold", "entry_action", raw(10, pay))
    bad("an order in a binary value", "order", raw(6, world.order(world.pay()).encode()))
    bad("a payment to another coop as number 0", "channel_number", raw(7, pay, 0))
    bad("a payment to another coop without number", "entry_parts", raw(7, pay))


def _foreign(world: World, cases: Cases, taken: Taken) -> None:
    parts: list[Any] = [8, *taken]

    def bad(name: str, rule: str, place: int, value: Any) -> None:
        cases.bad(name, rule, changed(parts, place, value))

    bad("a source of 31 bytes", "source", 1, bytes(31))
    bad("a block of 31 bytes", "block_hash", 2, bytes(31))
    bad("entry number 256", "entry_index", 3, 256)
    bad("a salt of 16 bytes", "salt", 4, bytes(16))
    bad(
        "a payment inside is received",
        "carried",
        5,
        entries.Intra(world.order(world.pay())).encode(),
    )
    bad("something received is received", "carried", 5, raw(8, 1))
    bad("no entry is received", "carried", 5, b"")
    bad("a path of nine", "entry_path", 6, [bytes(32)] * 9)
    bad("a path with a hash of 31 bytes", "entry_path", 6, [bytes(31)])
    returned = entries.Return(*taken, 1)
    again: list[Any] = [9, *taken, 2]
    cases.bad("a return is returned", "carried", changed(again, 5, returned.encode()))
    cases.bad("a return as number 0", "channel_number", changed(again, 7, 0))
    cases.bad("a return without number", "entry_parts", raw(*again[:7]))


def _holds(world: World, cases: Cases, post: entries.Post) -> None:
    parts = list[Any](post.array())

    def bad(name: str, rule: str, place: int, value: Any) -> None:
        cases.bad(name, rule, changed(parts, place, value))

    bad("a hold's id of 31 bytes", "hold", 2, bytes(31))
    bad("a confirmation of kind 3", "confirmation", 3, [3, bytes(32)])
    bad("a confirmation with a short signature", "confirmation", 3, [1, post.hold, bytes(63)])
    bad("a confirmation by a key of small order", "bad_key", 3, [1, IDENTITY, bytes(64)])
    bad("a secret of 31 bytes", "confirmation", 3, [2, bytes(31)])
    bad("a secret with a signature", "confirmation", 3, [2, bytes(32), bytes(64)])
    bad("paid to another coop without the order", "order_body", 5, b"")
    bad("paid inside with the order", "order_body", 4, 0)
    other = world.order(world.hold(to=world.other), 77).body
    bad("paid with another hold's order", "posted_order", 5, other)
    paid = world.order(world.pay(to=world.other))
    body = [*parts[:2], paid.id(world.fed), *parts[3:5], paid.body]
    cases.bad("paid with a payment's order", "posted_order", raw(*body))
    void: list[Any] = [12, post.account, post.hold, []]
    cases.bad("a release without signature", "release", changed(void, 3, [world.payee.public]))
    cases.bad("a release in a binary value", "release", changed(void, 3, b""))
