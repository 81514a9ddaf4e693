"""Make the vectors of what blocks do to accounts (spec/06-accounts.md).

A history of certified blocks with the state after each, then next blocks that are valid or break
one rule each. Everything comes from one staged federation (tests/support/accounts.py), so that the
blocks are such as a node makes.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from accounts_stage import Stage
from maillon.ledger.block import (
    Block,
    Body,
    DeltaRow,
    Erased,
    decode_block,
)
from maillon.ledger.build import arrivals
from maillon.ledger.charter_entries import Remove, Retire, SetTrustee
from maillon.ledger.charter_rules import heads_root
from maillon.ledger.entries import (
    Close,
    Hold,
    In,
    Intra,
    KeyConfirmation,
    Limit,
    Member,
    Out,
    Post,
    PreimageConfirmation,
    Recover,
    Release,
    Return,
    Settle,
    Void,
    sign_confirmation,
    sign_release,
)
from maillon.ledger.erasure import erase
from maillon.ledger.limits import BALANCE_MAX, HOLDS_MAX, KEYS_MAX, MANDATES_MAX
from maillon.ledger.orders import (
    COMMONS,
    NO_REF,
    KeysAction,
    MandateAction,
    Order,
    PayAction,
    RevokeAction,
)
from support.accounts import COUNT, CREDIT, HOURS
from support.charters import RECOVERY_S

SECRET = b"\x07" * 32
MANDATE = b"m" * 16


def _opened(stage: Stage) -> None:
    world = stage.world
    stage.place(
        "coop 0 opens two accounts in hours and a credit, and gives its commons a limit", 0,
        world.opening("ana", units=(HOURS, CREDIT)), world.opening("bob", units=(HOURS, CREDIT)),
        Limit(COMMONS, HOURS, 500, BALANCE_MAX),
    )  # fmt: skip
    stage.place(
        "coop 1 opens one with a maximum of 60", 1, world.opening("cleo", 1, limit=100, most=60)
    )


def _payments(stage: Stage) -> None:
    world = stage.world
    ana, bob, cleo = (world.people[name] for name in ("ana", "bob", "cleo"))

    def pay(**change: Any) -> Order:
        terms: dict[str, Any] = {"seq": 5} | change
        return world.sign("ana", world.payment("bob", 10), **terms)

    stage.good("a payment inside the coop", 0, pay())
    stage.good("a payment of all that the limit allows", 0,
               world.sign("ana", world.payment("bob", 100), seq=5))  # fmt: skip
    stage.good("a payment in the order's last second", 0, pay(until=world.time))
    stage.good("an exchange that is only counted", 0,
               world.sign("ana", world.payment("bob", 1, unit=COUNT), seq=5))  # fmt: skip
    stage.good("a payment to another coop", 0,
               world.sign("ana", world.payment("cleo", 10), seq=5))  # fmt: skip
    stage.good("an account of that coop that does not exist is its own affair", 0, world.sign(
        "ana", PayAction(cleo.coop, bytes(15) + b"\1", HOURS, 10), seq=5))  # fmt: skip
    stage.good("the commons pays", 0,
               Settle(COMMONS, HOURS, 10, bob.coop, bob.account, NO_REF, 0))  # fmt: skip

    entry = stage.entry
    entry("an order for another chain", "wrong_account", Intra(_elsewhere(stage)))
    entry("a payer nobody knows", "account_unknown", Intra(_unknown(stage)))
    entry("an order past its last second", "order_expired", Intra(pay(until=world.time - 1)))
    entry("a key that is not the payer's", "not_authorised", Intra(pay(key=bob.key)))
    entry("the commons has no key", "not_authorised", Intra(_commons_order(stage)))
    entry("a mandate nobody gave", "mandate_unknown", Intra(pay(mandate=b"?" * 16)))
    entry("a payer who pays itself", "wrong_account",
          Intra(world.sign("ana", world.payment("ana", 10), seq=5)))  # fmt: skip
    entry("a payment inside the coop to another coop", "wrong_account",
          Intra(world.sign("ana", world.payment("cleo", 10), seq=5)))  # fmt: skip
    entry("a payment to another coop inside the coop", "wrong_account", Out(pay(), 1))
    entry("a payee nobody knows", "account_unknown", Intra(world.sign(
        "ana", PayAction(ana.coop, bytes(15) + b"\1", HOURS, 10), seq=5)))  # fmt: skip
    entry("a unit that the charter does not name", "unit_unknown",
          Intra(world.sign("ana", world.payment("bob", 10, unit=9), seq=5)))  # fmt: skip
    entry("two in a unit that only counts", "amount",
          Intra(world.sign("ana", world.payment("bob", 2, unit=COUNT), seq=5)))  # fmt: skip
    entry("one minute beyond the limit", "over_limit",
          Intra(world.sign("ana", world.payment("bob", 101), seq=5)))  # fmt: skip
    entry("a unit that the payer does not keep", "wrong_unit",
          Out(world.sign("cleo", world.payment("ana", 1, unit=CREDIT), seq=5), 1), 1)  # fmt: skip
    entry("a coop that the charter does not name", "ledger_coop_unknown", Out(world.sign(
        "ana", PayAction(bytes(32), bob.account, HOURS, 10), seq=5), 1))  # fmt: skip
    entry("a message out of its order", "channel_gap",
          Out(world.sign("ana", world.payment("cleo", 10), seq=5), 2))  # fmt: skip
    entry("the commons pays itself", "wrong_account",
          Settle(COMMONS, HOURS, 10, bob.coop, COMMONS, NO_REF, 0))  # fmt: skip
    entry("the commons pays beyond its limit", "over_limit",
          Settle(COMMONS, HOURS, 501, bob.coop, bob.account, NO_REF, 0))  # fmt: skip
    entry("the commons pays inside the coop with a channel's number", "channel_gap",
          Settle(COMMONS, HOURS, 10, bob.coop, bob.account, NO_REF, 1))  # fmt: skip
    good = Intra(pay())
    signature = good.order.signature
    forged = Intra(Order(good.order.body, ana.key.public, b"", bytes(32) + signature[32:]))
    stage.bad("a signature of the second entry is not valid",
              stage.raw(0, [Intra(pay(seq=4)), forged]), "entry", "bad_signature", 1)  # fmt: skip
    stage.bad("bytes that are no entry", stage.raw(0, [b"\x91\x00"]), "entry", "malformed")
    stage.bad("the third of three entries is beyond the limit",
              stage.raw(0, [Intra(pay(seq=n)) for n in (5, 6)] + [Intra(world.sign(
                  "ana", world.payment("bob", 81), seq=7))]), "entry", "over_limit", 2)  # fmt: skip


def _stale(stage: Stage) -> Order:
    return stage.world.sign("ana", stage.world.payment("bob", 10), seq=1)


def _elsewhere(stage: Stage) -> Order:
    ana = stage.world.people["ana"]
    here, ana.coop = ana.coop, stage.world.coop(1)
    order = stage.world.sign("ana", stage.world.payment("bob", 10), seq=5)
    ana.coop = here
    return order


def _unknown(stage: Stage) -> Order:
    ana = stage.world.people["ana"]
    known, ana.account = ana.account, bytes(15) + b"\1"
    order = stage.world.sign("ana", stage.world.payment("bob", 10), seq=5)
    ana.account = known
    return order


def _commons_order(stage: Stage) -> Order:
    ana = stage.world.people["ana"]
    known, ana.account = ana.account, COMMONS
    order = stage.world.sign("ana", stage.world.payment("bob", 10), seq=5)
    ana.account = known
    return order


def _accounts(stage: Stage) -> None:
    world = stage.world
    ana, bob = world.people["ana"], world.people["bob"]
    key = world.federation.key("another").public
    opening = world.opening("dora", units=(HOURS,))
    stage.good("an account is opened", 0, opening)
    stage.good("an account is closed at rest", 1, Close(world.people["cleo"].account))
    stage.good("a limit is lowered below the balance", 0, Limit(ana.account, HOURS, 0, 5))
    stage.good("a recovery is announced", 0, Recover(ana.account, key))
    entry = stage.entry
    entry("an account that exists", "account_exists", replace(opening, account=ana.account))
    entry("the commons is opened", "account_exists", replace(opening, account=COMMONS))
    entry("an account in a unit that the charter does not name", "unit_unknown",
          replace(opening, positions=((9, 0, 0),)))  # fmt: skip
    entry("an account in a unit that only counts", "wrong_unit",
          replace(opening, positions=((COUNT, 0, 0),)))  # fmt: skip
    entry("a balance that is not zero is closed", "account_in_use", Close(bob.account))
    entry("the commons is closed", "wrong_account", Close(COMMONS))
    entry("an account nobody knows is closed", "account_unknown", Close(bytes(15) + b"\1"))
    entry("a limit in a unit that only counts", "wrong_unit", Limit(ana.account, COUNT, 1, 1))
    entry("a limit in a unit that the charter does not name", "unit_unknown",
          Limit(ana.account, 9, 1, 1))  # fmt: skip
    entry("a recovery of a key that the account has", "key_change",
          Recover(ana.account, ana.key.public))  # fmt: skip
    entry("a recovery of the commons", "wrong_account", Recover(COMMONS, key))
    del world.people["dora"]


def _keys(stage: Stage) -> None:
    world = stage.world
    ana = world.people["ana"]
    fresh = world.federation.key("fresh")
    delegate = world.federation.key("delegate").public
    terms = (((HOURS, 30),), 3_600, world.time, world.time + 9_000)

    def member(action: Any, seq: int = 9) -> Member:
        return Member(world.sign("ana", action, seq=seq))

    entry = stage.entry
    entry("the last key is dropped", "key_change", member(KeysAction(b"", ana.key.public)))
    entry("a key is added twice", "key_change", member(KeysAction(ana.key.public)))
    entry("a key is dropped that is not there", "key_change",
          member(KeysAction(b"", fresh.public)))  # fmt: skip
    entry("nothing waits to be cancelled", "key_change", member(KeysAction()))
    entry("a mandate that is not there is revoked", "mandate_unknown",
          Member(world.sign("ana", RevokeAction(MANDATE), seq=9)))  # fmt: skip
    entry("a mandate in a unit that the charter does not name", "unit_unknown",
          member(MandateAction(MANDATE, delegate, ((9, 30),), *terms[1:])))  # fmt: skip
    many = [world.federation.key(f"key {n}").public for n in range(KEYS_MAX)]
    stage.bad("a ninth key", stage.raw(0, [member(KeysAction(k), 9 + n) for n, k in enumerate(
        many)]), "entry", "too_many", KEYS_MAX - 1)  # fmt: skip
    names = [bytes([n]) * 16 for n in range(MANDATES_MAX + 1)]
    stage.bad("a seventeenth mandate", stage.raw(0, [member(MandateAction(
        name, delegate, *terms), 9 + n) for n, name in enumerate(names)]),
        "entry", "too_many", MANDATES_MAX)  # fmt: skip
    stage.good("a key takes another's place", 0,
               world.sign("ana", KeysAction(fresh.public, ana.key.public), seq=9))  # fmt: skip
    stage.place("Ana gives a mandate of 30 minutes an hour", 0,
                world.sign("ana", MandateAction(MANDATE, delegate, *terms), seq=10))  # fmt: skip
    entry("a mandate in force is given again", "key_change",
          member(MandateAction(MANDATE, delegate, *terms), 11))  # fmt: skip


def _delegated(stage: Stage) -> None:
    world = stage.world
    key = world.federation.key("delegate")

    def paid(amount: int, unit: int = HOURS, seq: int = 20, by: Any = key) -> Intra:
        payment = world.payment("bob", amount, unit=unit)
        return Intra(world.sign("ana", payment, seq=seq, key=by, mandate=MANDATE))

    stage.place("the delegate pays 20", 0, paid(20, seq=15).order)
    stage.good("the delegate pays what is left of the period", 0, paid(10).order)
    entry = stage.entry
    entry("a mandate's amount is spent", "mandate_exhausted", paid(11))
    entry("a mandate does not name the unit", "order_mandate_scope", paid(1, CREDIT))
    entry("a mandate under another key", "not_authorised",
          paid(1, by=world.people["bob"].key))  # fmt: skip
    entry("a delegate's key without its mandate", "not_authorised",
          Intra(world.sign("ana", world.payment("bob", 1), seq=20, key=key)))  # fmt: skip
    world.time += 3_600
    stage.good("a new period begins", 0, paid(30).order)
    world.time += 5_400
    entry("a mandate that has ended", "order_mandate_expired", paid(1))


def _holds(stage: Stage) -> None:
    world = stage.world
    ana = world.people["ana"]
    stage.place("Bob pays Ana 90, so that she can reserve", 0, world.sign(
        "bob", world.payment("ana", 60), seq=3))  # fmt: skip
    lock = hashlib.sha256(SECRET).digest()
    arbiter = world.federation.key("arbiter")
    terms = world.reservation(
        "bob", 20, hashlock=lock, arbiter=arbiter.public, expiry=world.time + 100
    )
    inside = world.sign("ana", terms, seq=30)
    across = world.sign("ana", world.reservation("cleo", 15), seq=31)
    stage.place("Ana reserves 20 for Bob and 15 for Cleo of coop 1", 0, inside, across)
    one, two = inside.id(world.fed), across.id(world.fed)

    def sure(key: Any, name: bytes) -> KeyConfirmation:
        return sign_confirmation(key, world.fed, ana.coop, name)

    def free(key: Any, name: bytes) -> Release:
        return sign_release(key, world.fed, ana.coop, name)

    good, entry = stage.good, stage.entry
    good("the payer confirms", 0, Post(ana.account, one, sure(ana.key, one), 0))
    good("the arbiter confirms", 0, Post(ana.account, one, sure(arbiter, one), 0))
    good("the secret of the lock posts", 0,
         Post(ana.account, one, PreimageConfirmation(SECRET), 0))  # fmt: skip
    good("a hold that crosses is posted", 0,
         Post(ana.account, two, sure(ana.key, two), 1, across.body))  # fmt: skip
    good("the payee releases", 0,
         Void(ana.account, two, free(world.people["cleo"].key, two)))  # fmt: skip
    bob = world.people["bob"].key
    entry("somebody else confirms", "confirmation", Post(ana.account, one, sure(bob, one), 0))
    entry("another secret", "confirmation",
          Post(ana.account, one, PreimageConfirmation(bytes(32)), 0))  # fmt: skip
    entry("a secret without a lock", "confirmation",
          Post(ana.account, two, PreimageConfirmation(SECRET), 2, across.body))  # fmt: skip
    entry("a hold nobody made", "hold_unknown",
          Post(ana.account, bytes(32), sure(ana.key, bytes(32)), 0))  # fmt: skip
    entry("a hold of another account", "hold_unknown",
          Post(world.people["bob"].account, one, sure(bob, one), 0))  # fmt: skip
    entry("a hold that crosses under a wrong number", "channel_gap",
          Post(ana.account, two, sure(ana.key, two), 9, across.body))  # fmt: skip
    number = world.book.state(ana.coop).channel(world.coop(1)).sent + 1
    entry("a hold that crosses with another order", "evidence",
          Post(ana.account, two, sure(ana.key, two), number, inside.body))  # fmt: skip
    entry("a hold inside the coop with a channel's number", "channel_gap",
          Post(ana.account, one, sure(ana.key, one), number, inside.body))  # fmt: skip
    forged = KeyConfirmation(ana.key.public, bytes(32) + sure(ana.key, one).signature[32:])
    entry("a confirmation whose signature is not valid", "bad_signature",
          Post(ana.account, one, forged, 0))  # fmt: skip
    entry("a hold is voided before it expires", "hold_open", Void(ana.account, one, None))
    entry("the payer releases", "confirmation", Void(ana.account, one, free(ana.key, one)))
    entry("what is reserved is spent", "over_limit",
          Intra(world.sign("ana", world.payment("bob", 200), seq=40)))  # fmt: skip
    entry("an account with a hold is closed", "account_in_use", Close(ana.account))
    entry("a hold that expires at once", "order_expired", Hold(world.sign(
        "ana", world.reservation("bob", 1, expiry=world.time), seq=40)))  # fmt: skip
    entry("a hold in a unit that only counts", "wrong_unit", Hold(world.sign(
        "ana", world.reservation("bob", 1, unit=COUNT), seq=40)))  # fmt: skip
    many = [Hold(world.sign("ana", world.reservation("bob", 1), seq=40 + n))
            for n in range(HOLDS_MAX - 1)]  # fmt: skip
    stage.bad("a sixty-fifth hold", stage.raw(0, many), "entry", "too_many", HOLDS_MAX - 2)
    stage.place("the hold for Cleo is posted", 0,
                Post(ana.account, two, sure(ana.key, two), 1, across.body))  # fmt: skip
    entry("a hold is posted twice", "hold_unknown",
          Post(ana.account, two, sure(ana.key, two), number + 1, across.body))  # fmt: skip
    world.time += 100
    good("a hold has expired", 0, Void(ana.account, one, None))
    good("a hold that has expired and is open is posted", 0,
         Post(ana.account, one, sure(ana.key, one), 0))  # fmt: skip
    stage.place("the hold for Bob expires", 0, Void(ana.account, one, None))


def _channels(stage: Stage) -> None:
    world = stage.world
    stage.place("Ana pays 50 and 1 to Cleo, and the commons 5", 0,
                world.sign("ana", world.payment("cleo", 50), seq=50),
                world.sign("ana", world.payment("cleo", 1), seq=51),
                Settle(COMMONS, HOURS, 5, world.coop(1), world.people["cleo"].account, NO_REF, 1),
                )  # fmt: skip
    waiting = list(arrivals(world.book, world.coop(1)))
    stage.good("messages are consumed in their order", 1, *waiting)
    first, second = waiting[0], waiting[1]
    takes = [_taking(stage, wish, In) for wish in waiting]
    proofs = [waiting[0].evidence, waiting[1].evidence]
    stage.bad("a message is skipped", stage.raw(1, takes[1:2], proofs[1:]), "entry", "channel_gap")
    stage.bad("a message is consumed twice", stage.raw(1, [takes[0], takes[0]], proofs[:1]),
              "entry", "already_consumed", 1)  # fmt: skip
    stage.bad("a message over the maximum is credited", stage.raw(1, takes[:2], proofs),
              "entry", "over_maximum", 1)  # fmt: skip
    back = _taking(stage, first, Return)
    stage.bad("what can be credited is sent back", stage.raw(1, [back], proofs[:1]),
              "entry", "wrong_account")  # fmt: skip
    second_back = replace(_taking(stage, second, Return), n=7)
    stage.bad("a return under a wrong number", stage.raw(1, [takes[0], second_back], proofs),
              "entry", "channel_gap", 1)  # fmt: skip
    stage.bad("no evidence", stage.raw(1, takes[:1]), "entry", "evidence")
    stage.bad("evidence nobody needs", stage.raw(1, takes[:1], proofs), "evidence_unused")
    stage.bad("evidence twice", stage.raw(1, takes[:1], [proofs[0], proofs[0]]),
              "evidence", "evidence")  # fmt: skip
    commits = proofs[0].certificate
    forged = replace(commits, signatures=(bytes(32) + commits.signatures[0][32:],
                                          *commits.signatures[1:]))  # fmt: skip
    stage.bad("a forged commit", stage.raw(1, takes[:1], [replace(proofs[0], certificate=forged)]),
              "evidence", "bad_signature")  # fmt: skip
    few = replace(commits, bitmap=b"\x03", signatures=commits.signatures[:2])
    stage.bad("too few commits", stage.raw(1, takes[:1], [replace(proofs[0], certificate=few)]),
              "evidence", "no_quorum")  # fmt: skip
    stage.bad("an entry at another place", stage.raw(1, [replace(takes[0], index=0, path=(
        bytes(32),))], proofs[:1]), "entry", "evidence")  # fmt: skip
    stage.bad("a message for another coop", stage.raw(2, takes[:1], proofs[:1]),
              "entry", "evidence")  # fmt: skip
    stage.arrive("Cleo is credited once, and what goes over her maximum goes back", 1)
    home = list(arrivals(world.book, world.coop(0)))
    stage.good("what comes back is credited", 0, *home)
    stage.arrive("what came back is credited to Ana", 0)


def _taking(stage: Stage, wish: Any, kind: Callable[..., Any]) -> Any:
    header = wish.evidence.header
    place = (header.chain, header.hash, wish.index, wish.salt, wish.entry, wish.path)
    if kind is Return:
        return Return(*place, stage.world.book.state(stage.world.coop(1)).channel(
            header.chain).sent + 1)  # fmt: skip
    return In(*place)


def _recovery(stage: Stage) -> None:
    world = stage.world
    key = world.federation.key("recovered")
    order = world.sign("ana", world.payment("bob", 1), seq=60, key=key,
                       until=world.time + 2 * RECOVERY_S)  # fmt: skip
    stage.place("a recovery is announced for Ana", 0,
                Recover(world.people["ana"].account, key.public))  # fmt: skip
    stage.entry("an account that recovers is closed", "account_in_use",
                Close(world.people["ana"].account))  # fmt: skip
    stage.good("Ana cancels it", 0, world.sign("ana", KeysAction(), seq=60))
    world.time += RECOVERY_S - 1
    stage.entry("the recovered key a second too early", "not_authorised", Intra(order))
    world.time += 1
    stage.good("the recovered key", 0, order)
    stage.place("the recovered key pays", 0, order)


def _headers(stage: Stage) -> None:
    block = stage.raw(0, [])
    header = block.header
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("another federation", "chain", {"fed": bytes(32)}),
        ("the previous block is another", "prev", {"prev": bytes(32)}),
        ("earlier than the block before", "time", {"time": header.time - 2 * RECOVERY_S}),
        ("another history", "history_root", {"history_root": bytes(32)}),
        ("another state", "state_root", {"state_root": bytes(32)}),
        ("another number of entries", "count", {"count": 1}),
        ("another size", "size", {"size": 9}),
        ("another root of entries", "entries_root", {"entries_root": bytes(32)}),
        ("a height that stands already", "height", {"h": 1}),
        ("a height above the next", "need_blocks", {"h": header.h + 1}),
        ("a charter that is not known", "charter_unknown", {"c2": 99}),
        ("governed by another charter", "charter", {"c": 1, "c2": 1}),
    ]
    for name, reason, change in cases:
        stage.bad(name, replace(block, header=replace(header, **change)), reason)
    gone = replace(block, body=Body((Erased(bytes(32)),)))
    gone = replace(gone, header=replace(header, count=1, entries_root=gone.body.root(), size=99))
    stage.bad("an erased entry in a block that is proposed", gone, "erased")


def _epochs(stage: Stage) -> None:
    world = stage.world
    federation = world.federation
    stage.place("Ana pays 2 to Cleo", 0, world.sign("ana", world.payment("cleo", 2), seq=70))
    stage.place("a block more", 0, world.sign("ana", world.payment("bob", 1), seq=71))
    stage.place("coop 3 opens an account", 3, world.opening("fay", 3))
    three, two = federation.coops[3].id, federation.coops[2].id
    stage.grow("the charter gives coop 3 a trustee", SetTrustee(three, two))
    stage.grow("coop 3 leaves", Remove(three, two))
    for place in range(4):
        stage.place(f"coop {place} adopts charter 2", place, adopt=2)
    stage.entry("a coop that has left is paid", "ledger_coop_unknown",
                Out(world.sign("ana", world.payment("fay", 1), seq=80), 1))  # fmt: skip
    stage.entry("a coop that has left opens an account", "accounts_full",
                world.opening("gus", 3), 3)  # fmt: skip
    stage.entry("a coop that has left owes more", "coop_limit",
                Out(world.sign("fay", world.payment("ana", 1), seq=80), 1), 3)  # fmt: skip
    heads = [(chain, world.book.head(chain)) for chain in world.book.chains()]
    pinned: Any = tuple(sorted((chain, head.h, head.hash) for chain, head in heads))
    stage.grow("epochs below 2 are retired", Retire(2, heads_root(pinned), pinned))
    for place in range(4):
        stage.place(f"coop {place} adopts charter 3", place, adopt=3)
    [wish] = arrivals(world.book, world.coop(1))
    old = world.book.evidence(world.coop(0), wish.evidence.header.h, 0)
    stage.good("a block of a retired epoch, carried by the pinned head", 1, wish)
    take = _taking(stage, wish, In)
    stage.bad("a certificate of a retired epoch by itself", stage.raw(1, [take], [old]),
              "evidence", "evidence")  # fmt: skip
    stage.arrive("Cleo is credited", 1)


def _erased(stage: Stage) -> list[dict[str, object]]:
    """List certified blocks as they stand once Cleo was erased, each to be taken in its place."""
    world = stage.world
    cleo = world.people["cleo"]
    everything = world.payment("ana", world.balance("cleo"))
    stage.place("Cleo pays back what she has", 1, world.sign("cleo", everything, seq=90))
    stage.arrive("Ana is credited", 0)
    stage.place("Cleo's account is closed", 1, Close(cleo.account))
    stage.entry("a closed account is closed again", "account_closed", Close(cleo.account), 1)
    stage.entry("a closed account is given a limit", "account_closed",
                Limit(cleo.account, HOURS, 5, 5), 1)  # fmt: skip
    stage.entry("a closed account pays", "account_closed",
                Intra(world.sign("cleo", world.payment("ana", 1), seq=91)), 1)  # fmt: skip
    written = {(step.chain, step.h): n for n, step in enumerate(_blocks(stage))}
    world.disk.commit(erase(world.book, cleo.coop, cleo.account))
    listed: list[dict[str, object]] = []
    for (chain, h), place in sorted(written.items(), key=lambda item: item[1]):
        if chain == world.fed:
            continue
        block = world.book.block(chain, h)
        if not block.body.erased:
            continue
        listed.append(
            {
                "name": f"step {place}, {block.body.erased} of {block.header.count} erased",
                "after": place,
                "block": block.encode(),
                "expect": "ok",
                "state_root": block.header.state_root,
            }
        )
        if len(listed) == 1:
            row = block.delta[-1]
            wrong = (*block.delta[:-1], DeltaRow(row.slot, b"", bytes(32)))
            for name, reason, made in (
                ("a row that is not the certified one", "state_root", replace(block, delta=wrong)),
                ("a row is missing", "state_root", replace(block, delta=block.delta[:-1])),
                ("a slot is skipped", "delta", replace(
                    block, delta=(*block.delta[:-1], replace(row, slot=row.slot + 1)))),
                ("the totals are a leaf", "delta", replace(
                    block, delta=(DeltaRow(1, b"", bytes(32)),))),
            ):  # fmt: skip
                listed.append({"name": name, "after": place, "block": made.encode(),
                               "expect": "bad_block", "reason": reason})  # fmt: skip
    return listed


def _blocks(stage: Stage) -> list[Block]:
    return [decode_block(step["block"]) for step in stage.history]  # type: ignore[arg-type]


def vectors(rng: random.Random) -> dict[str, object]:
    stage = Stage()
    genesis = stage.world.book.state(stage.world.coop(0))
    start = {"rows": [row.row for row in genesis.rows()], "state_root": genesis.root()}
    for act in (
        _opened, _payments, _first, _accounts, _keys, _delegated, _holds, _channels, _recovery,
        _headers, _epochs,
    ):  # fmt: skip
        act(stage)
    erased = _erased(stage)
    return {
        "ledger-accounts.json": {
            "spec": "06-accounts",
            "about": "`history`: certified blocks, as a file holds them, to be taken one after the "
            "other; `rows` and `state_root` are the chain's state after each. `vectors`: next "
            "blocks (header, body) that nobody has certified, each to be checked after so many "
            "steps of the history; `changed` are the rows that a valid one changes. `erased`: "
            "certified blocks of the history after entries were erased, each to be taken in place "
            "of the step `after`.",
            "founding": stage.world.federation.founding.document,
            "coops": [stage.world.coop(place) for place in range(4)],
            "genesis": start,
            "history": stage.history,
            "vectors": stage.vectors,
            "erased": erased,
        }
    }


def _first(stage: Stage) -> None:
    """Let Ana pay Bob 40: she has paid before, and both have a balance."""
    world = stage.world
    stage.place("Ana pays Bob 40", 0, world.sign("ana", world.payment("bob", 40), seq=1))
    stage.entry("a number that was used", "stale_sequence", Intra(_stale(stage)))
    stage.entry("a number 2^20 + 1 above the last one", "sequence_gap",
                Intra(world.sign("ana", world.payment("bob", 1), seq=2**20 + 2)))  # fmt: skip
    stage.entry("the greatest number there is", "sequence_gap",
                Intra(world.sign("ana", world.payment("bob", 1), seq=2**53 - 1)))  # fmt: skip
