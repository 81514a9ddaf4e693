"""What people ask of the desk: each sees what is theirs, and says only what can be meant."""

from __future__ import annotations

import msgspec
import pytest

from maillon.node.api import exchange_requests as requests
from maillon.node.api.caller import THE_OPERATOR, Forbidden
from maillon.node.api.exchange_service import ExchangeOptions, PersonOptions
from maillon.node.cursors import BadCursor, written
from maillon.node.engine.exchange.transcripts import NoSuchExchange
from maillon.node.exchange.asking import KeyElsewhere, NotFound, Who
from maillon.node.exchange.evaluating import NothingToEvaluate, UnknownCriterion
from maillon.protocol.encoding import encode
from maillon.protocol.errors import NotAllowed, StepRefused
from maillon.protocol.records import DAY_S, build, thing_id
from support.exchangedesk import CoopDesk
from support.exchangenet import FALLBACK, HOUR, Net
from support.world import Member


class Two:
    """Two people of two coops, and the desks of both."""

    def __init__(self) -> None:
        self.net = Net()
        self.asks, self.gives = self.net.member(0, "Ana"), self.net.member(1, "Bo")
        self.here, self.there = CoopDesk(self.net, 0), CoopDesk(self.net, 1)
        self.here.knows(self.asks)
        self.there.knows(self.gives)

    async def opened(self, **more: object) -> str:
        done = await self.here.desk.open(
            requests.OpenRequest(
                by="Ana", with_=self.gives.author.hex(), role="requester", title="Garden",
                **more,  # type: ignore[arg-type]
            ),
            THE_OPERATOR,
        )  # fmt: skip
        self.net.run()
        return done.exchange.id

    async def step(self, desk: CoopDesk, id: str, kind: str, by: str, **fields: object) -> object:
        done = await desk.desk.step(
            id, requests.StepRequest(kind=kind, by=by, fields=dict(fields)), THE_OPERATOR
        )
        self.net.run()
        return done.exchange


@pytest.fixture
def two() -> Two:
    return Two()


async def test_what_can_only_be_meant_need_not_be_said(two: Two) -> None:
    id = await two.opened()
    start = two.net.now + DAY_S
    await two.step(
        two.there, id, "quote", "Bo",
        terms={**HOUR, "fallback": FALLBACK, "when": [{"start": start, "end": start + 3_600}]},
    )  # fmt: skip
    # The only open quote, the only appointment, now, and the deadlines of the community.
    await two.step(two.here, id, "agreement", "Ana")
    two.net.wait(DAY_S)
    await two.step(two.there, id, "check_in", "Bo")
    two.net.wait(3_600)
    await two.step(two.there, id, "check_out", "Bo")
    await two.step(two.here, id, "acceptance", "Ana")
    shown = two.here.desk.show(id[:16], THE_OPERATOR)
    assert shown.phase == "paid" and shown.slots[0].minutes == 60
    assert shown.paid is not None and shown.paid.amount == 60
    assert shown.terms is not None and shown.terms["accept_within_s"] == 7 * DAY_S


async def test_who_is_paid_cannot_be_who_pays(two: Two) -> None:
    with pytest.raises(Who, match="cannot be the one who pays"):
        await two.opened(payer=two.gives.author.hex())
    about = {
        "with": two.gives.author.hex(), "role": "requester", "title": "Garden",
        "payer": two.gives.author.hex(),
    }  # fmt: skip
    opening = msgspec.convert(about, requests.OpenRequest)
    key = two.asks.key.public.hex()
    device = requests.DraftRequest(kind="opening", key=key, open=opening)
    with pytest.raises(Who, match="cannot be the one who pays"):
        two.here.desk.draft("", device, CoopDesk.caller(two.asks))
    assert two.here.desk.exchanges(ExchangeOptions(), THE_OPERATOR).exchanges == []
    # The requester as payer is what is meant without saying it.
    assert await two.opened(payer=two.asks.author.hex())


async def test_people_see_their_own_exchanges_and_no_others(two: Two) -> None:
    eve = two.net.member(0, "Eve")
    two.here.knows(eve)
    id = await two.opened()
    hers = two.here.desk.exchanges(ExchangeOptions(), CoopDesk.caller(two.asks))
    assert [row.id for row in hers.exchanges] == [id]
    none = two.here.desk.exchanges(ExchangeOptions(), CoopDesk.caller(eve))
    assert none.exchanges == []
    with pytest.raises(NoSuchExchange):
        two.here.desk.show(id, CoopDesk.caller(eve))
    with pytest.raises(Forbidden):
        two.here.desk.exchanges(ExchangeOptions(person="Ana"), CoopDesk.caller(eve))
    with pytest.raises(NoSuchExchange):
        await two.here.desk.step(
            id,
            requests.StepRequest(kind="message", by="Ana", fields={"text": "I am Ana."}),
            CoopDesk.caller(eve),
        )


async def test_who_signed_in_need_not_say_who_they_are(two: Two) -> None:
    id = await two.opened()
    done = await two.here.desk.step(
        id, requests.StepRequest(kind="message", fields={"text": "Hello."}),
        CoopDesk.caller(two.asks),
    )  # fmt: skip
    assert done.exchange.steps == 2
    with pytest.raises(Who):
        await two.here.desk.step(
            id, requests.StepRequest(kind="message", fields={"text": "Hello."}), THE_OPERATOR
        )


async def test_a_helper_acts_for_somebody_by_their_name(two: Two) -> None:
    helper = two.net.member(0, "Helper")
    two.here.knows(helper)
    two.net.mandate(two.asks, helper, "message", "agreement")
    id = await two.opened()
    done = await two.here.desk.step(
        id,
        requests.StepRequest(kind="message", by="Helper", as_="Ana", fields={"text": "For her."}),
        CoopDesk.caller(helper, two.asks),
    )
    steps = two.here.desk.transcript(id, False, THE_OPERATOR).steps
    assert done.exchange.steps == 2
    assert steps[-1].author == two.asks.author.hex() and steps[-1].under
    assert steps[-1].by == helper.key.public.hex()
    with pytest.raises(NotFound):
        await two.here.desk.step(
            id, requests.StepRequest(kind="message", by="Helper", as_="Bo", fields={}),
            CoopDesk.caller(helper, two.asks),
        )  # fmt: skip


async def test_lists_go_on_where_the_page_ended(two: Two) -> None:
    ids = [await two.opened() for _ in range(5)]
    seen: list[str] = []
    after = ""
    page = two.here.desk.exchanges(ExchangeOptions(limit=1), THE_OPERATOR)
    assert page.next is not None
    for _ in range(3):
        page = two.here.desk.exchanges(ExchangeOptions(limit=2, after=after), THE_OPERATOR)
        seen += [row.id for row in page.exchanges]
        after = page.next or ""
    assert sorted(seen) == sorted(ids) and page.next is None
    for nonsense in ("nonsense", "12:zz", "99999999999999999999:00", written("agenda", 1, b"")):
        with pytest.raises(BadCursor):
            two.here.desk.exchanges(ExchangeOptions(after=nonsense), THE_OPERATOR)


async def test_what_waits_for_me_is_what_i_am_expected_to_do(two: Two) -> None:
    await two.opened()
    waiting = ExchangeOptions(waiting_for_me=True)
    assert not two.here.desk.exchanges(waiting, THE_OPERATOR).exchanges
    assert len(two.there.desk.exchanges(waiting, THE_OPERATOR).exchanges) == 1
    assert not two.here.desk.exchanges(waiting, CoopDesk.caller(two.asks)).exchanges
    (row,) = two.there.desk.exchanges(waiting, CoopDesk.caller(two.gives)).exchanges
    assert row.waiting_for == ["provider"] and row.roles == ["provider"]


async def test_an_exchange_says_what_is_possible_and_why_not_the_rest(two: Two) -> None:
    id = await two.opened()
    shown = two.there.desk.show(id, THE_OPERATOR)
    assert "quote" in [entry.kind for entry in shown.possible]
    reasons = {entry.kind: entry.why for entry in shown.impossible}
    assert reasons["check_in"] == "phase"
    assert all(entry.by == two.gives.author.hex() for entry in shown.possible)


@pytest.mark.capability("ASA-9")
async def test_a_volunteer_is_not_paid_in_credit(two: Two) -> None:
    volunteer = two.net.member(1, "Vic", provider_status="volunteer")
    two.there.knows(volunteer)
    exchange = two.net.opened(two.asks, volunteer)
    before = two.there.node.snapshot()
    with pytest.raises(NotAllowed) as caught:
        await two.step(
            two.there, exchange.hex(), "quote", "Vic",
            terms={"kind": "outside", "outside": "20 euros", "fallback": FALLBACK},
        )  # fmt: skip
    assert caught.value.facts["rule"] == "status"
    assert two.there.node.snapshot() == before
    await two.step(two.there, exchange.hex(), "quote", "Vic", terms={**HOUR, "fallback": FALLBACK})


async def test_a_key_on_a_device_signs_drafts_and_the_node_does_not(two: Two) -> None:
    device = two.net.member(0, "Dee", held=False)
    two.here.knows(device)
    caller = CoopDesk.caller(device)
    with pytest.raises(KeyElsewhere):
        await two.here.desk.open(
            requests.OpenRequest(by="Dee", with_=two.gives.author.hex(), role="requester",
                                 title="T"),
            caller,
        )  # fmt: skip
    draft = two.here.desk.draft(
        "",
        requests.DraftRequest(
            kind="opening", key=device.key.public.hex(),
            open=requests.OpenRequest(
                with_=two.gives.author.hex(), role="requester", title="On a device"
            ),
        ),
        caller,
    )  # fmt: skip
    header = bytes.fromhex(draft.header)
    record = encode([header, device.key.sign("record", header), bytes.fromhex(draft.payload)])
    done = await two.here.desk.signed(requests.SignedSteps(records=[record.hex()]), caller)
    assert done.taken[0].id == draft.id and done.taken[0].outcome == "new"
    two.net.run()
    assert two.there.desk.show(draft.id, THE_OPERATOR).title == "On a device"
    # What others write goes to the device; it hands over what it opened.
    await two.step(two.there, draft.id, "message", "Bo", text="For your eyes.")
    assert two.here.node.store.count_steps(bytes.fromhex(draft.id)) == 1
    answer = two.there.node.store.transcript(bytes.fromhex(draft.id))[-1].record
    done = await two.here.desk.signed(requests.SignedSteps(received=[answer.hex()]), caller)
    assert done.taken[0].outcome == "new" and not two.net.letters


async def test_somebody_elses_key_is_not_drafted_for(two: Two) -> None:
    eve = two.net.member(0, "Eve")
    id = two.net.opened(eve, two.gives).hex()
    request = requests.DraftRequest(
        kind="message", key=two.asks.key.public.hex(), fields={"text": "I am Ana."}
    )
    with pytest.raises(Forbidden):
        two.here.desk.draft(id, request, CoopDesk.caller(eve))


async def test_evaluations_take_the_criteria_of_the_community_and_a_certified_transfer(
    two: Two,
) -> None:
    exchange = two.net.done(two.asks, two.gives)
    marks = requests.EvaluationRequest(criteria={"politeness": 5}, by="Ana")
    with pytest.raises(NothingToEvaluate):
        await two.here.desk.evaluate(exchange.hex(), marks, THE_OPERATOR)
    await two.step(two.here, exchange.hex(), "acceptance", "Ana")
    assert len(two.here.desk.evaluations(PersonOptions(), THE_OPERATOR).evaluations) == 1
    wrong = requests.EvaluationRequest(criteria={"beauty": 5}, by="Ana")
    with pytest.raises(UnknownCriterion):
        await two.here.desk.evaluate(exchange.hex(), wrong, THE_OPERATOR)
    done = await two.here.desk.evaluate(exchange.hex(), marks, THE_OPERATOR)
    assert [e.published for e in done.exchange.evaluations] == [False]
    assert not two.here.desk.evaluations(PersonOptions(), THE_OPERATOR).evaluations
    with pytest.raises(StepRefused):
        await two.here.desk.evaluate(exchange.hex(), marks, THE_OPERATOR)


@pytest.mark.capability("SOSS-7")
async def test_a_claim_under_guarantee_stays_visible_until_it_is_closed(two: Two) -> None:
    exchange = two.net.accepted(two.asks, two.gives, guarantee_days=30)
    await two.step(two.here, exchange.hex(), "guarantee_claim", "Ana", text="It leaks again.")
    for desk in (two.here, two.there):
        (claim,) = desk.desk.guarantees(PersonOptions(), THE_OPERATOR).guarantees
        assert claim.text == "It leaks again." and claim.closed is None
    row = two.there.node.store.row(exchange)
    assert row is not None and row.guarantees == 1
    await two.step(two.here, exchange.hex(), "guarantee_closed", "Ana", text="Mended.")
    for desk in (two.here, two.there):
        assert not desk.desk.guarantees(PersonOptions(), THE_OPERATOR).guarantees


async def test_the_contact_is_shown_to_the_two_and_not_to_a_mediator(two: Two) -> None:
    mediating = CoopDesk(two.net, 2)
    exchange = two.net.done(two.asks, two.gives, mediator=two.net.nodes[2].coop.author)
    id = exchange.hex()
    await two.step(two.here, id, "contact", "Ana", contact={"phone": "+33 4 75 11 11 11"})
    await two.step(two.here, id, "complaint", "Ana", text="No.")
    shown = two.there.desk.show(id, CoopDesk.caller(two.gives))
    assert shown.contact.requester == {"phone": "+33 4 75 11 11 11"}
    mediator = two.net.member(2, "Mo")
    mediating.knows(mediator)
    two.net.mandate(two.net.nodes[2].coop, mediator, "mediation")
    caller = CoopDesk.caller(mediator, _coop(two.net, 2))
    seen = mediating.desk.show(id, caller)
    assert seen.phase == "disputed" and seen.contact.requester is None
    done = await mediating.desk.step(
        id,
        requests.StepRequest(
            kind="mediation", by="Mo", as_=two.net.nodes[2].coop.author.hex(),
            fields={"amount": 30, "text": "Half."},
        ),
        caller,
    )  # fmt: skip
    assert done.exchange.phase in ("settled", "paid")


def _coop(net: Net, place: int) -> Member:
    """Return a stand-in whose author is a coop, for whom somebody acts."""

    class Coop:
        author = net.nodes[place].coop.author

    return Coop()  # type: ignore[return-value]


async def test_calendars_hold_every_appointment(two: Two) -> None:
    exchange = two.net.agreed(two.asks, two.gives)
    text = two.there.desk.calendar(exchange.hex(), THE_OPERATOR).decode()
    assert text.count("BEGIN:VEVENT") == 1 and "SUMMARY:Jardinage" in text
    assert "STATUS:CONFIRMED" in text and "+33 4 75 00 00 00" in text.replace("\r\n ", "")
    day = two.there.desk.agenda_calendar(PersonOptions(person="Bo"), THE_OPERATOR).decode()
    assert day.count("BEGIN:VEVENT") == 1
    two.there.node.act(two.gives, "cancellation", exchange)
    two.net.run()
    text = two.there.desk.calendar(exchange.hex(), THE_OPERATOR).decode()
    assert "STATUS:CANCELLED" in text


@pytest.mark.capability("SER-4")
async def test_a_recurring_service_is_agreed_with_its_next_sessions(two: Two) -> None:
    id = await two.opened()
    recurrence = {
        "rrule": "FREQ=WEEKLY", "dtstart": two.net.now + DAY_S, "tz": "Europe/Paris",
        "duration_s": 3_600,
    }  # fmt: skip
    await two.step(
        two.there, id, "quote", "Bo",
        terms={**HOUR, "fallback": FALLBACK, "settle": "after", "recurrence": recurrence},
    )  # fmt: skip
    await two.step(two.here, id, "agreement", "Ana")
    shown = two.there.desk.show(id, THE_OPERATOR)
    assert len(shown.slots) == 26 and shown.slots[0].start == two.net.now + DAY_S
    # Each session is accepted and paid for itself.
    for n in range(2):
        two.net.wait(shown.slots[n].start - two.net.now)
        slot = shown.slots[n].slot
        await two.step(two.there, id, "check_in", "Bo", slot=slot)
        two.net.wait(3_600)
        await two.step(two.there, id, "check_out", "Bo", slot=slot)
        await two.step(two.here, id, "acceptance", "Ana")
    assert two.net.chains.paid(two.asks.author, two.gives.author) == 120


@pytest.mark.capability("SOSS-8")
async def test_who_stands_behind_a_demand_reads_the_answer_until_something_is_revealed(
    two: Two,
) -> None:
    neighbour = two.net.member(2, "Neighbour")
    world = two.net.world
    demand = world.demand(two.asks, "A bench in the street", at=two.net.now)
    two.net.publish(demand)
    thing = thing_id(two.asks.author, demand.header.series)
    payload = build("cosignature", salt=world.fresh(), demand=thing)
    two.net.publish(
        world.record(
            "cosignature", payload, coop=neighbour.coop, by=neighbour.key, refs=(demand.id,),
            at=two.net.now, days=20,
        )
    )  # fmt: skip
    done = await two.there.desk.open(
        requests.OpenRequest(by="Bo", about=demand.id.hex()), THE_OPERATOR
    )
    id = done.exchange.id
    assert [party.author for party in done.exchange.participants] == [neighbour.author.hex()]
    assert done.exchange.title == "A bench in the street"
    two.net.run()
    await two.step(
        two.there, id, "quote", "Bo", terms={**HOUR, "fallback": FALLBACK, "settle": "after"}
    )
    node = two.net.nodes[2]
    exchange = bytes.fromhex(id)
    assert node.state(exchange).phase == "quoted"
    await two.step(two.here, id, "agreement", "Ana", contact={"phone": "+33 4 75 11 11 11"})
    assert two.there.desk.show(id, THE_OPERATOR).contact.requester is not None
    assert node.state(exchange).phase == "quoted"
    assert b"11 11 11" not in b"".join(s.record for s in node.store.transcript(exchange))
