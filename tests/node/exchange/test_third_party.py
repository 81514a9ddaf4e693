"""Nothing leaves the account of a third-party payer without the consent of who may act for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maillon.node.api import exchange_requests as requests
from maillon.node.api.caller import THE_OPERATOR, Caller, Forbidden
from maillon.node.api.exchange_service import PersonOptions
from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.notes import FundingNote
from maillon.node.engine.exchange.ports import Transfer, Wanted
from maillon.node.engine.exchange.writing import Signer
from maillon.node.exchange.asking import Ambiguous, KeyElsewhere, MandateScope, NotFound
from maillon.node.exchange.paying import FundingRefused, NothingDue
from maillon.protocol.envelope import decode_record
from maillon.protocol.errors import LocalError, MaillonError, NotAllowed
from maillon.protocol.records import DAY_S
from support.exchangedesk import CoopDesk
from support.exchangenet import CoopNode, ModelLedger, Net


class Third:
    """Somebody asks, somebody gives, and the account of a third is to pay; all may be of a coop."""

    def __init__(self, *, gives_at: int = 1, payer_at: int = 0, commons: bool = False) -> None:
        self.net = Net()
        self.asks = self.net.member(0, "Ana")
        self.gives = self.net.member(gives_at, "Bo")
        self.payer = self.net.member(payer_at, "Mairie")
        self.author = self.net.nodes[payer_at].coop.author if commons else self.payer.author
        self.place = payer_at
        self.desk, self.there = CoopDesk(self.net, 0), CoopDesk(self.net, payer_at)
        self.desk.knows(self.asks, self.payer)
        self.there.knows(self.payer)

    @property
    def node(self) -> CoopNode:
        return self.net.nodes[self.place]

    def reach(self, until: str = "accepted", **terms: Any) -> bytes:
        """Let the exchange go on until there is something to pay, or to reserve."""
        opening = {"payer": self.author}
        if until == "agreed":
            return self.net.agreed(self.asks, self.gives, opening=opening, **terms)
        return self.net.accepted(self.asks, self.gives, opening=opening, **terms)

    def asked(self) -> list[FundingNote]:
        """Return what the payer was asked, what waits last."""
        found = [notes.funding_note(note) for note in self.node.store.notes(notes.FUNDING)]
        return sorted(found, key=lambda note: (note.status == "open", note.at))

    def taken(self) -> list[Transfer]:
        """Return what was ordered from the payer's account."""
        return [t for t in self.net.chains.transfers.values() if t.payer == self.author]

    def consent(self, note: FundingNote) -> None:
        """Let the payer say yes."""
        if len(self.author) == 33:
            key, coop = self.node.coop.node, self.node.coop.id
        else:
            key, coop = self.payer.key, self.payer.coop.id
        self.node.do(self.node.core.fund(note.id, Signer(key.public, coop), key, self.net.now))
        self.net.run()


SETTLE = ["hold", "after"]
WHERE = pytest.mark.parametrize("payer_at", [0, 1, 2], ids=["asks", "gives", "elsewhere"])


@WHERE
@pytest.mark.parametrize("settle", SETTLE)
@pytest.mark.parametrize("commons", [False, True], ids=["member", "commons"])
def test_two_members_cannot_charge_an_account_by_naming_it_as_payer(
    payer_at: int, settle: str, commons: bool
) -> None:
    third = Third(payer_at=payer_at, commons=commons)
    exchange = third.reach(settle=settle)
    # Time, letters and the ledger's own rhythm bring nothing about either.
    third.net.wait(20 * DAY_S)
    assert third.taken() == [] and third.net.chains.transfers == {}
    assert [note.status for note in third.asked()] == ["open"]
    assert third.net.nodes[0].state(exchange).due.amount == 60


@pytest.mark.parametrize("gives_at", [0, 1], ids=["of one coop", "of two coops"])
async def test_nobody_makes_the_payers_node_pay_but_by_consent(gives_at: int) -> None:
    third = Third(gives_at=gives_at)
    exchange = third.reach(settle="after")
    third.desk.knows(third.gives)
    # The payer neither: of an exchange it has not agreed to, it pays what it was asked for.
    for who in (third.payer, third.gives):
        if who is third.gives and gives_at:
            continue
        with pytest.raises(NothingDue):
            await third.desk.desk.pay(
                exchange.hex(), requests.PayRequest(by=who.name, wait_s=0.0), THE_OPERATOR
            )
        third.net.run()
        assert third.net.chains.transfers == {}


async def test_a_request_to_pay_moves_the_requesters_own_account_alone() -> None:
    third = Third()
    exchange = third.reach(settle="after")
    caller = CoopDesk.caller(third.asks)
    shown = third.desk.desk.show(exchange.hex(), caller)
    assert shown.waiting_for == ["payer"]
    await third.desk.desk.pay(exchange.hex(), requests.PayRequest(wait_s=0.0), caller)
    third.net.run()
    assert third.taken() == []
    assert third.net.chains.paid(third.asks.author, third.gives.author) == 60
    assert third.net.nodes[1].state(exchange).phase == "paid"
    # Who consents afterwards reserves what nobody asks for any more: it is given back.
    third.consent(third.asked()[0])
    assert [t.status for t in third.taken()] == ["void"]
    assert third.net.chains.paid(third.author, third.gives.author) == 0


async def test_a_part_is_paid_as_it_is_said_and_no_more_than_is_due() -> None:
    third = Third()
    exchange = third.reach(settle="after").hex()
    caller = CoopDesk.caller(third.asks)
    for wrong in (61, 0, 10**12):
        with pytest.raises(LocalError):
            await third.desk.desk.pay(
                exchange, requests.PayRequest(amount=wrong, wait_s=0.0), caller
            )
        assert third.net.chains.transfers == {}
    await third.desk.desk.pay(exchange, requests.PayRequest(amount=20, wait_s=0.0), caller)
    third.net.run()
    assert third.net.nodes[0].state(bytes.fromhex(exchange)).due.amount == 40
    # The payer is asked for what is left, and consents to that alone.
    asked = [(note.amount, note.status) for note in third.asked()]
    assert asked == [(60, "replaced"), (40, "open")]
    third.consent(third.asked()[1])
    assert third.net.chains.paid(third.author, third.gives.author) == 40
    assert third.net.nodes[0].state(bytes.fromhex(exchange)).phase == "paid"


@WHERE
def test_with_consent_what_is_reserved_pays_once(payer_at: int) -> None:
    third = Third(payer_at=payer_at)
    exchange = third.reach("agreed")
    (note,) = third.asked()
    assert (note.amount, note.payee, note.exchange) == (60, third.gives.author, exchange)
    third.consent(note)
    assert [t.status for t in third.taken()] == ["held"]
    (funding,) = third.net.nodes[0].state(exchange).fundings
    assert (funding.author, funding.amount) == (third.author, 60)
    slot = third.net.nodes[1].state(exchange).slots[0]
    third.net.wait(slot.start - third.net.now)
    third.net.nodes[1].act(third.gives, "check_in", exchange, time=third.net.now)
    third.net.wait(3_600)
    third.net.nodes[1].act(third.gives, "check_out", exchange, time=third.net.now)
    third.net.run()
    third.net.nodes[0].act(third.asks, "acceptance", exchange)
    third.net.run()
    assert third.net.chains.paid(third.author, third.gives.author) == 60
    assert third.net.nodes[1].state(exchange).phase == "paid"
    assert len(third.taken()) == 1


def test_a_coop_consents_when_something_is_due_and_pays_at_once() -> None:
    third = Third(commons=True, payer_at=2)
    agreed = third.reach("agreed")
    # Its account can reserve nothing, so nobody asks before.
    assert third.asked() == []
    del agreed
    third = Third(commons=True, payer_at=2)
    exchange = third.reach()
    third.consent(third.asked()[0])
    assert third.net.chains.paid(third.author, third.gives.author) == 60
    assert third.net.nodes[0].state(exchange).phase == "paid"


def test_consent_to_45_does_not_cover_60() -> None:
    third = Third()
    exchange = third.reach("agreed", amount=45)
    third.consent(third.asked()[0])
    assert [(t.amount, t.status) for t in third.taken()] == [(45, "held")]
    # More is agreed to: a task of 15 besides.
    net = third.net
    slot = net.nodes[1].state(exchange).slots[0]
    net.wait(slot.start - net.now)
    net.nodes[1].act(third.gives, "check_in", exchange, time=net.now)
    task = net.nodes[1].act(
        third.gives, "amendment", exchange, adds={"text": "More.", "lang": "en", "amount": 15}
    )
    net.run()
    net.nodes[0].act(third.asks, "consent", exchange, to=task, yes=True)
    net.wait(3_600)
    net.nodes[1].act(third.gives, "check_out", exchange, time=net.now)
    net.run()
    net.nodes[0].act(third.asks, "acceptance", exchange)
    net.run()
    assert net.nodes[0].state(exchange).due.amount == 60
    assert [(t.amount, t.status) for t in third.taken()] == [(45, "held")]
    assert [(note.amount, note.status) for note in third.asked()] == [(45, "funded"), (60, "open")]
    third.consent(third.asked()[1])
    assert net.chains.paid(third.author, third.gives.author) == 60
    assert sorted(t.status for t in third.taken()) == ["posted", "void"]


def test_a_consent_serves_once_and_for_its_exchange_alone() -> None:
    third = Third()
    first = third.reach(settle="after")
    (note,) = third.asked()
    third.consent(note)
    assert third.net.nodes[0].state(first).phase == "paid"
    second = third.net.accepted(
        third.asks, third.gives, opening={"payer": third.author}, settle="after"
    )
    assert third.net.nodes[0].state(second).due.amount == 60
    assert len(third.taken()) == 1
    # Nor does it serve a second time, whoever brings the signed consent again.
    before = third.node.snapshot()
    with pytest.raises(NotAllowed):
        third.consent(note)
    assert third.node.snapshot() == before
    said = decode_record(third.asked()[0].consent)
    for node in third.net.nodes[:2]:
        _taken, effects = node.core.hand_in(said, third.net.now)
        node.do(effects)
    third.net.run()
    assert len(third.taken()) == 1 and third.net.nodes[0].state(second).due.amount == 60


def test_who_was_asked_can_say_no_and_that_is_shown() -> None:
    third = Third(payer_at=2)
    exchange = third.reach(settle="after")
    (note,) = third.asked()
    signer = Signer(third.payer.key.public, third.payer.coop.id)
    node = third.node
    node.do(node.core.decline(note.id, signer, third.payer.key, third.net.now))
    third.net.run()
    assert third.taken() == [] and third.asked()[0].status == "declined"
    shown = third.desk.desk.show(exchange.hex(), THE_OPERATOR)
    assert any("does not pay" in told for told in shown.notices)
    (funding,) = third.net.nodes[0].state(exchange).fundings
    assert funding.amount == 0


def test_a_refused_order_needs_another_consent() -> None:
    third = Third()
    exchange = third.reach("agreed")
    third.net.chains.refuse.add(third.author)
    third.consent(third.asked()[0])
    assert [note.status for note in third.asked()] == ["open"]
    third.net.chains.refuse.clear()
    third.net.wait(2 * DAY_S)
    assert [t.status for t in third.taken()] == ["refused"]
    assert third.net.nodes[0].state(exchange).fundings == ()


@pytest.mark.parametrize("gives_at", [0, 1])
def test_each_who_shares_a_payment_is_asked_for_apart(gives_at: int) -> None:
    third = Third(gives_at=gives_at)
    other = third.net.member(2, "colleague")
    split = [{"author": third.gives.author, "share": 2}, {"author": other.author, "share": 1}]
    exchange = third.reach(settle="after", amount=90, split=split)
    assert third.taken() == []
    asked = {note.payee: note for note in third.asked()}
    assert {payee: note.amount for payee, note in asked.items()} == {
        third.gives.author: 60, other.author: 30,
    }  # fmt: skip
    third.consent(asked[third.gives.author])
    assert third.net.chains.paid(third.author, third.gives.author) == 60
    assert third.net.chains.paid(third.author, other.author) == 0
    for note in third.asked():
        if note.status == "open" and note.payee == other.author:
            third.consent(note)
    assert third.net.chains.paid(third.author, other.author) == 30
    assert third.net.nodes[0].state(exchange).phase == "paid"


def test_what_is_given_back_goes_to_who_gave_it() -> None:
    third = Third()
    third.net.member(2, "mediates")
    exchange = third.reach(settle="after", mediator=third.net.nodes[2].coop.author)
    state = third.net.nodes[0].state(exchange)
    # The requester has paid herself; then it is settled for less.
    wanted = third.net.nodes[0].core.settling.instead(state)
    with third.net.nodes[0].store.batch():
        ask = third.net.nodes[0].core.settling.place(exchange, wanted[0], third.net.now)
    third.net.nodes[0].do([ask])
    third.net.run()
    third.net.nodes[0].act(third.asks, "complaint", exchange, text="No.", lang="en")
    third.net.run()
    third.net.nodes[2].act(
        None, "mediation", exchange, amount=40, text="Less.", lang="en", closes=True
    )
    third.net.run()
    assert third.net.chains.paid(third.gives.author, third.asks.author) == 20
    assert third.net.chains.paid(third.gives.author, third.author) == 0


# --- at the desk ----------------------------------------------------------------------------------


async def fund(third: Third, id: str, caller: Caller, **fields: Any) -> Any:
    """Ask the payer's desk to fund something."""
    done = await third.there.desk.fund(id, requests.FundRequest(wait_s=0.0, **fields), caller)
    third.net.run()
    return done


def unchanged(third: Third) -> bool:
    return third.taken() == [] and [note.status for note in third.asked()] == ["open"]


async def test_only_who_may_act_for_the_account_consents() -> None:
    third = Third()
    exchange = third.reach(settle="after")
    (note,) = third.asked()
    id = note.id.hex()
    for caller, fields, why in (
        (CoopDesk.caller(third.asks), {}, NotFound),
        (CoopDesk.caller(third.asks), {"by": "Mairie"}, NotFound),
        (CoopDesk.caller(third.asks), {"by": "coop"}, NotFound),
        # Her helper in other things holds no mandate for this.
        (CoopDesk.caller(third.asks, third.payer), {"by": "Mairie"}, Forbidden),
        (CoopDesk.caller(third.asks, third.payer), {}, NotFound),
        (THE_OPERATOR, {"by": "Ana"}, NotFound),
    ):
        with pytest.raises(why):
            await fund(third, id, caller, **fields)
        assert unchanged(third)
    shown = third.desk.desk.show(exchange.hex(), CoopDesk.caller(third.asks))
    assert any("has not said yes" in told for told in shown.notices)
    done = await fund(third, exchange.hex(), CoopDesk.caller(third.payer))
    assert done.status == "ordered"
    assert third.net.chains.paid(third.author, third.gives.author) == 60


async def test_a_refusal_of_the_ledger_is_told_to_who_consented() -> None:
    third = Third()
    exchange = third.reach("agreed")
    third.net.chains.refuse.add(third.author)
    do = third.there.runner.do

    def at_once(effects: Any) -> None:
        do(effects)
        third.net.run()

    third.there.runner.do = at_once  # type: ignore[method-assign]
    with pytest.raises(FundingRefused, match="nothing is paid"):
        await fund(third, exchange.hex(), CoopDesk.caller(third.payer))
    assert [note.status for note in third.asked()] == ["open"]


async def test_a_mandate_for_something_else_pays_nothing() -> None:
    third = Third()
    third.reach(settle="after")
    helper = third.net.member(0, "Hel")
    third.desk.knows(helper)
    third.there.knows(helper)
    third.net.mandate(third.payer, helper, "message", "opening", "agreement", "payment")
    (note,) = third.asked()
    caller = CoopDesk.caller(helper, third.payer)
    with pytest.raises(MandateScope, match="Mairie does not cover the kind funding"):
        await fund(third, note.id.hex(), caller, as_="Mairie")
    assert unchanged(third)
    # At the core the same is refused, whatever a desk lets through.
    thing = next(m.thing for m in third.there.host.directory.mandates_to(helper.key.public))
    before = third.node.snapshot()
    with pytest.raises(MaillonError):
        third.node.core.fund(
            note.id, Signer(helper.key.public, helper.coop.id, thing), helper.key, third.net.now
        )
    assert third.node.snapshot() == before and unchanged(third)
    third.net.mandate(third.payer, helper, "funding")
    await fund(third, note.id.hex(), caller, as_="Mairie")
    assert third.net.chains.paid(third.author, third.gives.author) == 60


async def test_for_the_coop_its_desk_consents_and_no_member() -> None:
    third = Third(commons=True)
    exchange = third.reach(settle="after")
    (note,) = third.asked()
    for caller in (CoopDesk.caller(third.asks), CoopDesk.caller(third.payer)):
        with pytest.raises(NotFound):
            await fund(third, note.id.hex(), caller, by="coop")
        assert third.there.desk.fundings(PersonOptions(), caller).fundings == []
        assert unchanged(third)
    scopes = frozenset({"read", "exchange", "pay", "publish", "desk"})
    desk = Caller("member", third.payer.author, third.payer.key.public, scopes)
    (listed,) = third.there.desk.fundings(PersonOptions(), desk).fundings
    assert listed.status == "open" and listed.asker.author == third.asks.author.hex()
    await fund(third, exchange.hex()[:16], desk, by="coop")
    assert third.net.chains.paid(third.author, third.gives.author) == 60


async def test_somebody_elses_key_is_not_signed_with_on_the_strength_of_any_mandate() -> None:
    third = Third()
    exchange = third.net.done(third.asks, third.gives, settle="after")
    helper = third.net.member(0, "Hel")
    third.desk.knows(helper)
    third.net.mandate(third.asks, helper, "message")
    before = third.net.nodes[0].snapshot()
    caller = CoopDesk.caller(helper, third.asks)
    accept = {"kind": "acceptance", "by": "Ana"}
    with pytest.raises(Forbidden):
        await third.desk.desk.step(exchange.hex(), requests.StepRequest(**accept), caller)  # type: ignore[arg-type]
    with pytest.raises(MandateScope, match="Ana does not cover the kind acceptance"):
        await third.desk.desk.step(
            exchange.hex(), requests.StepRequest(kind="acceptance", as_="Ana"), caller
        )
    assert third.net.nodes[0].snapshot() == before and third.net.chains.transfers == {}


async def test_a_payer_whose_key_is_elsewhere_is_not_paid_for() -> None:
    third = Third()
    payer = third.net.member(0, "Fund", held=False)
    third.desk.knows(payer)
    third.payer, third.author = payer, payer.author
    exchange = third.reach(settle="after")
    (note,) = third.asked()
    with pytest.raises(KeyElsewhere):
        await fund(third, note.id.hex(), CoopDesk.caller(payer))
    assert unchanged(third)
    # On their device they sign an order with the `ref` that they are told: it counts.
    (shown,) = third.there.desk.fundings(PersonOptions(), CoopDesk.caller(payer)).fundings
    wanted = Wanted(
        "pay", payer.author, bytes.fromhex(shown.payee.author), shown.amount.unit,
        shown.amount.amount, bytes.fromhex(shown.ref),
    )  # fmt: skip
    third.net.chains.place(ModelLedger(third.net.chains, payer.coop.id).sign(wanted).data)
    third.net.run()
    for node in third.net.nodes:
        node.do(node.core.tick(third.net.now))
    third.net.nodes[0].act(third.asks, "message", exchange, text="Paid?", lang="en")
    third.net.run()
    assert third.net.nodes[0].state(exchange).phase == "paid"


async def test_an_exchange_that_asks_twice_wants_to_know_which() -> None:
    third = Third()
    exchange = third.reach(settle="after")
    signed = third.asked()[0]
    other = replace(signed, id=b"\x01" * 32, amount=7)
    third.node.core.funding.put(other)
    with pytest.raises(Ambiguous):
        await fund(third, exchange.hex(), CoopDesk.caller(third.payer))
    assert third.taken() == []


@pytest.mark.parametrize("commons", [False, True])
def test_a_node_put_back_does_not_order_again_what_it_has_forgotten(commons: bool) -> None:
    third = Third(payer_at=2, commons=commons)
    exchange = third.reach(settle="after")
    (note,) = third.asked()
    third.consent(note)
    assert third.net.nodes[0].state(exchange).phase == "paid"
    # The backup is from before the consent, and somebody answers the request once more.
    third.node.core.funding.put(note)
    for kept in third.node.store.notes(notes.ORDER):
        third.node.store.drop_note(notes.ORDER, kept.key)
    before = third.node.snapshot()
    with pytest.raises(NotAllowed, match="already"):
        third.consent(note)
    assert third.node.snapshot() == before and len(third.taken()) == 1


def test_of_a_service_that_recurs_each_session_is_asked_for_and_consented_to() -> None:
    third = Third()
    net = third.net
    start = net.now + DAY_S
    slots: list[dict[str, Any]] = [
        {"slot": bytes([n]) * 16, "start": start + n * DAY_S, "end": start + n * DAY_S + 3_600}
        for n in range(2)
    ]
    recurrence = {
        "rrule": "FREQ=DAILY", "dtstart": start, "tz": "Europe/Paris", "duration_s": 3_600,
    }  # fmt: skip
    exchange = third.reach("agreed", settle="after", recurrence=recurrence, when=slots)
    for n, slot in enumerate(slots):
        net.wait(slot["start"] - net.now)
        net.nodes[1].act(third.gives, "check_in", exchange, slot=slot["slot"], time=net.now)
        net.wait(3_600)
        net.nodes[1].act(third.gives, "check_out", exchange, slot=slot["slot"], time=net.now)
        net.run()
        net.nodes[0].act(third.asks, "acceptance", exchange)
        net.run()
        # The consent to the session before paid that one, and no other.
        assert net.chains.paid(third.author, third.gives.author) == 60 * n
        assert [note.status for note in third.asked()] == ["funded"] * n + ["open"]
        third.consent(third.asked()[-1])
        assert net.chains.paid(third.author, third.gives.author) == 60 * (n + 1)


def test_a_payer_who_is_not_known_yet_is_asked_as_soon_as_they_are() -> None:
    net = Net()
    asks, gives = net.member(0, "Ana"), net.member(1, "Bo")
    payer = net.world.make_member(2, "Mairie")
    net.nodes[2].keys.add(payer)
    membership = net.world.membership(payer, custody="node")
    net.nodes[2].rig.submit(membership)
    # The word on the payer's key has not come to the node of who asks.
    net.accepted(asks, gives, opening={"payer": payer.author}, settle="after")
    assert not net.nodes[2].store.notes(notes.FUNDING)
    net.publish(membership)
    net.run()
    (asked,) = net.nodes[2].store.notes(notes.FUNDING)
    assert notes.funding_note(asked).status == "open"
    net.publish(membership)
    net.run()
    assert len(net.nodes[2].store.notes(notes.FUNDING)) == 1
