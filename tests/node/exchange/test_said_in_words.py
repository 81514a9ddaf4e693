"""What does not fit is refused in words: what is to be done, and by whom; nothing breaks."""

from __future__ import annotations

import random
from typing import Any

import pytest

from maillon.node.api import exchange_requests as requests
from maillon.node.api.caller import THE_OPERATOR
from maillon.node.exchange.asking import MandateScope, NotFound
from maillon.node.exchange.filling import NoFallback, SayWhich
from maillon.protocol.errors import MaillonError, StepRefused
from maillon.protocol.records import DAY_S, KINDS, terms
from maillon.protocol.records.build import FieldError
from maillon.protocol.records.exchange import STEP_KINDS
from support.exchangedesk import CoopDesk
from support.exchangenet import FALLBACK, HOUR, Net

NASTY: list[Any] = [
    None, "", "x", "é\x00", 0, -1, 1 << 63, 0.5, True, [], [[]], [None], ["x"], {}, {"": {}},
    {"kind": []}, "ab" * 16, "ff" * 32, {"terms": {}},
]  # fmt: skip


class Desk:
    """Two people at one desk."""

    def __init__(self) -> None:
        self.net = Net()
        self.ana, self.bo = self.net.member(0, "Ana"), self.net.member(0, "Bo")
        self.desk = CoopDesk(self.net, 0)
        self.desk.knows(self.ana, self.bo)

    def draft(self, exchange: bytes, kind: str, fields: Any, who: Any = None) -> Any:
        key = (self.ana if who is None else who).key.public.hex()
        request = requests.DraftRequest(kind=kind, key=key, fields=fields)
        return self.desk.desk.draft(exchange.hex(), request, THE_OPERATOR)

    async def step(self, exchange: bytes, kind: str, by: str, **fields: Any) -> Any:
        done = await self.desk.desk.step(
            exchange.hex(), requests.StepRequest(kind=kind, by=by, fields=fields), THE_OPERATOR
        )
        self.net.run()
        return done.exchange


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_no_draft_breaks_whatever_is_in_it(desk: Desk) -> None:
    net = desk.net
    opened = net.opened(desk.ana, desk.bo)
    working = net.agreed(desk.ana, desk.bo)
    rng = random.Random(7)
    whole = {"kind": "amount", "unit": "heure", "amount": 60, "fallback": FALLBACK}
    asked = 0
    before = desk.desk.node.snapshot()
    for kind in sorted(STEP_KINDS - {"opening", "evaluation"}):
        names = [field.name for field in KINDS[kind].schema.fields]
        bodies: list[dict[str, Any]] = [{}]
        bodies += [{name: value} for name in names for value in NASTY]
        bodies += [{name: rng.choice(NASTY) for name in names} for _ in range(20)]
        if kind == "quote":
            inner = [field.name for field in terms.TERMS.fields]
            bodies += [{"terms": {**whole, name: value}} for name in inner for value in NASTY]
        for exchange in (opened, working):
            for fields in bodies:
                for who in (desk.ana, desk.bo):
                    try:
                        desk.draft(exchange, kind, fields, who)
                    except MaillonError:
                        pass
                    asked += 1
    assert asked > 2_000 and desk.desk.node.snapshot() == before


def test_a_quote_with_nothing_in_it_says_what_is_missing(desk: Desk) -> None:
    exchange = desk.net.opened(desk.ana, desk.bo)
    with pytest.raises(FieldError, match=r"terms\.kind is missing"):
        desk.draft(exchange, "quote", {"terms": {"fallback": FALLBACK}}, desk.bo)
    with pytest.raises(FieldError, match=r"terms should be"):
        desk.draft(exchange, "quote", {"terms": "x"}, desk.bo)
    with pytest.raises(NoFallback, match="nobody to turn to") as caught:
        desk.draft(exchange, "quote", {"terms": dict(HOUR)}, desk.bo)
    assert "coop.contact" in str(caught.value.hint)


def test_what_is_not_there_yet_says_the_state_and_who_is_next(desk: Desk) -> None:
    exchange = desk.net.opened(desk.ana, desk.bo)
    with pytest.raises(StepRefused, match=r"the exchange is opened\. Next: Bo\.") as caught:
        desk.draft(exchange, "agreement", {})
    assert caught.value.facts["reason"] == "phase" and caught.value.facts["next"] == "Bo"
    working = desk.net.agreed(desk.ana, desk.bo)
    for kind in ("agreement", "consent", "check_out", "guarantee_closed"):
        with pytest.raises(StepRefused, match="the exchange is scheduled"):
            desk.draft(working, kind, {})


def test_of_several_that_could_be_meant_each_is_named(desk: Desk) -> None:
    net = desk.net
    exchange = net.agreed(desk.ana, desk.bo)
    start = net.now + 2 * DAY_S
    steps = [
        desk.desk.node.act(
            desk.bo, "appointment", exchange,
            slots=[{"slot": bytes([n]) * 16, "start": start + n, "end": start + 3_600}],
        )
        for n in (1, 2)
    ]  # fmt: skip
    with pytest.raises(SayWhich) as caught:
        desk.draft(exchange, "consent", {"yes": True})
    for step in steps:
        assert f"appointment {step.hex()[:8]}" in str(caught.value)
    assert caught.value.facts["field"] == "to"


async def test_too_early_says_from_when_and_is_not_offered(desk: Desk) -> None:
    net = desk.net
    exchange, quote = net.quoted(
        desk.ana, desk.bo,
        when=[{"slot": b"s" * 16, "start": net.now + 6 * DAY_S, "end": net.now + 6 * DAY_S + 60}],
    )  # fmt: skip
    desk.desk.node.act(desk.ana, "agreement", exchange, quote=quote)
    net.run()
    slot = desk.desk.node.state(exchange).slots[0]
    before = desk.desk.node.snapshot()
    with pytest.raises(StepRefused, match="too early") as caught:
        await desk.step(exchange, "check_in", "Bo")
    assert caught.value.facts["at"] == slot.start - DAY_S
    assert desk.desk.node.snapshot() == before
    shown = desk.desk.desk.show(exchange.hex(), THE_OPERATOR)
    assert "check_in" not in [entry.kind for entry in shown.possible]
    (why, *_same) = [entry for entry in shown.impossible if entry.kind == "check_in"]
    assert (why.why, why.at) == ("early", slot.start - DAY_S)
    net.wait(slot.start - DAY_S - net.now)
    shown = desk.desk.desk.show(exchange.hex(), THE_OPERATOR)
    assert "check_in" in [entry.kind for entry in shown.possible]
    await desk.step(exchange, "check_in", "Bo")


async def test_an_amount_above_what_there_is_says_the_most(desk: Desk) -> None:
    net = desk.net
    exchange = net.done(desk.ana, desk.bo, mediator=net.nodes[0].coop.author)
    with pytest.raises(StepRefused) as caught:
        await desk.step(exchange, "acceptance", "Ana", amount=61, part=True, reason="More.")
    assert caught.value.facts["most"] == 60
    await desk.step(exchange, "complaint", "Ana", text="No.", lang="en")
    with pytest.raises(StepRefused) as caught:
        await desk.step(exchange, "mediation", "coop", amount=540, text="All.", lang="en")
    assert caught.value.facts["most"] == 60 and "60" in str(caught.value)
    assert not net.chains.paid(desk.ana.author, desk.bo.author)


@pytest.mark.parametrize("kind", ["gift", "free"])
async def test_approval_closes_a_gift(desk: Desk, kind: str) -> None:
    exchange = desk.net.accepted(desk.ana, desk.bo, kind=kind, unit=None, amount=None)
    shown = desk.desk.desk.show(exchange.hex(), THE_OPERATOR)
    assert shown.phase == "paid" and shown.waiting_for == []
    assert "payment" not in [entry.kind for entry in shown.possible]


def test_who_mediates_for_the_own_side_is_shown_before_anybody_agrees(desk: Desk) -> None:
    net = desk.net
    other = net.member(1, "Far")
    one, _ = net.quoted(other, desk.bo, mediator=net.nodes[0].coop.author)
    (told,) = desk.desk.desk.show(one.hex(), THE_OPERATOR).notices
    assert told.endswith("is the coop of one of the two: Bo.")
    two, _ = net.quoted(other, desk.bo, mediator=net.nodes[2].coop.author)
    assert desk.desk.desk.show(two.hex(), THE_OPERATOR).notices == []
    # Of both it is nobody's side.
    same, _ = net.quoted(desk.ana, desk.bo, mediator=net.nodes[0].coop.author)
    assert desk.desk.desk.show(same.hex(), THE_OPERATOR).notices == []


def test_a_mandate_that_does_not_serve_says_whose_it_is_and_why(desk: Desk) -> None:
    net = desk.net
    hel = net.member(0, "Hel")
    desk.desk.knows(hel)
    exchange = net.opened(desk.ana, desk.bo)
    asking = desk.desk.desk.asking

    def refused() -> str:
        with pytest.raises(MaillonError) as caught:
            asking.mandate("Ana", hel.key.public, "acceptance")
        assert isinstance(caught.value, MandateScope | NotFound)
        return str(caught.value)

    assert refused() == "Ana has given you no mandate."
    thing = net.mandate(desk.ana, hel, "message", "opening")
    told = "The mandate of Ana does not cover the kind acceptance; it covers: message, opening."
    assert refused() == told
    given = desk.desk.host.directory.mandates_to(hel.key.public)
    assert [mandate.thing for mandate in given] == [thing]
    net.now = given[0].end + 1
    assert refused() == "The mandate of Ana has expired."
    assert desk.desk.node.state(exchange).phase == "opened"
