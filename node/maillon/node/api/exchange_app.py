"""The routes of the interface about exchanges (spec/09, "Exchanges")."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation

from maillon.node import bounds
from maillon.node.api import exchange_requests as requests
from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import PUBLIC, Who, needs
from maillon.node.api.exchange_service import ExchangeOptions, PersonOptions
from maillon.node.api.service import Service
from maillon.node.cursors import CURSOR_CHARACTERS_MAX

Node = NamedDependency[SkipValidation[Service]]
Text = Annotated[str, QueryParameter(max_length=200)]
After = Annotated[str, QueryParameter(max_length=CURSOR_CHARACTERS_MAX)]
Texts = Annotated[list[str] | None, QueryParameter(max_items=16)]
Rows = Annotated[int, QueryParameter(ge=1, le=bounds.API_ROWS_MAX)]
Time = Annotated[int | None, QueryParameter(ge=0, le=1 << 40)]
CALENDAR = "text/calendar; charset=utf-8"
FOREVER = 1 << 40


# --- exchanges ----------------------------------------------------------------------------------


@get("/v1/exchanges", opt=needs("exchange"), sync_to_thread=False)
def exchanges(
    service: Node,
    caller: Who,
    person: Text = "",
    role: Text = "",
    phase: Texts = None,
    about: Text = "",
    bundle: Text = "",
    waiting_for_me: FromQuery[bool] = False,
    open: FromQuery[bool | None] = None,
    limit: Rows = 50,
    after: After = "",
) -> shapes.Exchanges:
    """List exchanges of people here, the one changed last first.

    `person` is somebody here, `role` their part (requester, provider, payer, mediator or
    participant); `waiting_for_me` leaves those in which somebody here is expected to act; `open`
    true leaves those that are not finished.
    """
    return service.exchange.exchanges(
        ExchangeOptions(
            person=person,
            role=role,
            phases=tuple(phase or ()),
            about=about,
            bundle=bundle,
            waiting_for_me=waiting_for_me,
            open=open,
            limit=limit,
            after=after,
        ),
        caller,
    )


@post("/v1/exchanges", status_code=201, opt=needs("exchange"))
async def open_exchange(
    service: Node, caller: Who, data: JSONBody[requests.OpenRequest]
) -> shapes.StepDone:
    """Open an exchange on a demand, an offer, or with somebody directly."""
    return await service.exchange.open(data, caller)


@get("/v1/exchanges/{id:str}", opt=needs("exchange"), sync_to_thread=False)
def show_exchange(service: Node, caller: Who, id: FromPath[str]) -> shapes.Exchange:
    """Show an exchange: its state, deadlines, and the steps possible now, with why not others."""
    return service.exchange.show(id, caller)


@get("/v1/exchanges/{id:str}/transcript", opt=needs("exchange"), sync_to_thread=False)
def transcript(
    service: Node, caller: Who, id: FromPath[str], raw: FromQuery[bool] = False
) -> shapes.Transcript:
    """Give the signed steps in the order in which they count; with `raw`, all a mediator needs."""
    return service.exchange.transcript(id, raw, caller)


@post("/v1/exchanges/{id:str}/steps", status_code=201, opt=needs("exchange"))
async def take_step(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[requests.StepRequest]
) -> shapes.StepDone:
    """Take a step with a key that is held here."""
    return await service.exchange.step(id, data, caller)


@post("/v1/exchanges/drafts", status_code=200, opt=needs("exchange"), sync_to_thread=False)
def draft_opening(
    service: Node, caller: Who, data: JSONBody[requests.DraftRequest]
) -> shapes.DraftOut:
    """Draft the opening of an exchange, to be signed on a device."""
    return service.exchange.draft("", data, caller)


@post("/v1/exchanges/{id:str}/drafts", status_code=200, opt=needs("exchange"), sync_to_thread=False)
def draft_step(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[requests.DraftRequest]
) -> shapes.DraftOut:
    """Draft a step, to be signed on a device; refused where the step would be."""
    return service.exchange.draft(id, data, caller)


@post(
    "/v1/exchanges/{id:str}/orders/drafts",
    status_code=200,
    opt=needs("pay"),
    sync_to_thread=False,
)
def draft_order(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[requests.OrderDraftRequest]
) -> shapes.OrderDraftOut:
    """Draft the order that reserves, pays, confirms or gives back, to be signed on a device."""
    return service.exchange.draft_order(id, data, caller)


@post("/v1/exchanges/signed", status_code=201, opt=needs("exchange"))
async def signed_steps(
    service: Node, caller: Who, data: JSONBody[requests.SignedSteps]
) -> shapes.SignedDone:
    """Take in what was signed on a device, or what it opened out of its letters."""
    return await service.exchange.signed(data, caller)


# --- particular steps ---------------------------------------------------------------------------


@post("/v1/exchanges/{id:str}/payment", status_code=201, opt=needs("pay"))
async def pay(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[requests.PayRequest]
) -> shapes.StepDone:
    """Pay what is due, or reserve what the terms want reserved."""
    return await service.exchange.pay(id, data, caller)


@post("/v1/exchanges/{id:str}/delay", status_code=201, opt=needs("exchange"))
async def delay(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[requests.DelayRequest]
) -> shapes.StepDone:
    """Tell the other side that one is late."""
    return await service.exchange.delay(id, data, caller)


@post("/v1/exchanges/{id:str}/handover", status_code=201, opt=needs("exchange"))
async def hand_over(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[requests.HandoverRequest]
) -> shapes.StepDone:
    """Hand an exchange over to another provider; it needs the requester's consent, and theirs."""
    return await service.exchange.hand_over(id, data, caller)


@post("/v1/exchanges/{id:str}/evaluation", status_code=201, opt=needs("exchange"))
async def evaluate(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[requests.EvaluationRequest]
) -> shapes.StepDone:
    """Evaluate the other side; kept back until both have, or until the deadline."""
    return await service.exchange.evaluate(id, data, caller)


@post(
    "/v1/exchanges/{id:str}/evaluation/drafts",
    status_code=200,
    opt=needs("exchange"),
    sync_to_thread=False,
)
def draft_evaluation(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[requests.EvaluationDraftRequest]
) -> shapes.EvaluationDraftOut:
    """Draft an evaluation and the step that commits to it, to be signed on a device."""
    return service.exchange.draft_evaluation(id, data, caller)


@get("/v1/evaluations", opt=needs("exchange"), sync_to_thread=False)
def evaluations(
    service: Node, caller: Who, person: Text = "", limit: Rows = 100, after: After = ""
) -> shapes.PendingEvaluations:
    """List the exchanges that somebody here can still evaluate, the earliest deadline first."""
    options = PersonOptions(person=person, limit=limit, after=after)
    return service.exchange.evaluations(options, caller)


@get("/v1/guarantees", opt=needs("exchange"), sync_to_thread=False)
def guarantees(
    service: Node, caller: Who, person: Text = "", limit: Rows = 100, after: After = ""
) -> shapes.Guarantees:
    """List what was claimed under a guarantee and is not closed."""
    options = PersonOptions(person=person, limit=limit, after=after)
    return service.exchange.guarantees(options, caller)


# --- the day ------------------------------------------------------------------------------------


@get("/v1/agenda", opt=needs("exchange"), sync_to_thread=False)
def agenda(
    service: Node,
    caller: Who,
    person: Text = "",
    start: Time = None,
    end: Time = None,
    limit: Rows = 100,
    after: After = "",
) -> shapes.Agenda:
    """List the appointments of somebody here, the earliest first; without `start`, from now on."""
    options = PersonOptions(
        person, -1 if start is None else start, FOREVER if end is None else end, limit, after
    )
    return service.exchange.agenda(options, caller)


@get("/v1/agenda.ics", opt=needs("exchange"), media_type=CALENDAR, sync_to_thread=False)
def agenda_calendar(
    service: Node, caller: Who, person: Text = "", start: Time = None, end: Time = None
) -> Response[bytes]:
    """Give the appointments of somebody here as a calendar (RFC 5545)."""
    options = PersonOptions(person, -1 if start is None else start, FOREVER if end is None else end)
    return Response(service.exchange.agenda_calendar(options, caller), media_type=CALENDAR)


@get(
    "/v1/exchanges/{id:str}/calendar.ics",
    opt=needs("exchange"),
    media_type=CALENDAR,
    sync_to_thread=False,
)
def calendar(service: Node, caller: Who, id: FromPath[str]) -> Response[bytes]:
    """Give the appointments of an exchange as a calendar (RFC 5545)."""
    return Response(service.exchange.calendar(id, caller), media_type=CALENDAR)


# --- third-party payers -------------------------------------------------------------------------


@get("/v1/fundings", opt=needs("pay"), sync_to_thread=False)
def fundings(
    service: Node, caller: Who, person: Text = "", limit: Rows = 100, after: After = ""
) -> shapes.Fundings:
    """List what payers here are asked to fund; it does not say which service."""
    options = PersonOptions(person=person, limit=limit, after=after)
    return service.exchange.fundings(options, caller)


@post("/v1/fundings/{id:str}", status_code=201, opt=needs("pay"))
async def fund(
    service: Node, caller: Who, id: FromPath[str], data: JSONBody[requests.FundRequest]
) -> shapes.FundingOut:
    """Fund what was asked with the payer's account, held here."""
    return await service.exchange.fund(id, data, caller)


# --- bundles and collective demands -------------------------------------------------------------


@get("/v1/bundles", opt=needs(PUBLIC), sync_to_thread=False)
def bundles(
    service: Node, caller: Who, person: Text = "", limit: Rows = 100, after: After = ""
) -> shapes.Bundles:
    """List the bundles that every provider has signed, and those of `person` that wait for it."""
    return service.exchange.bundles(PersonOptions(person=person, limit=limit, after=after), caller)


@get("/v1/bundles/{bundle:str}", opt=needs(PUBLIC), sync_to_thread=False)
def show_bundle(service: Node, caller: Who, bundle: FromPath[str]) -> shapes.BundleOut:
    """Show a bundle, and how the reservation that was asked for here stands."""
    return service.exchange.bundle(bundle, caller)


@post("/v1/bundles", status_code=201, opt=needs("publish"))
async def publish_bundle(
    service: Node, caller: Who, data: JSONBody[requests.BundleRequest]
) -> shapes.BundleOut:
    """Publish services of several providers as one; it counts once each has signed."""
    return await service.exchange.publish_bundle(data, caller)


@post("/v1/bundles/{bundle:str}/parts", status_code=201, opt=needs("publish"))
async def sign_bundle(
    service: Node, caller: Who, bundle: FromPath[str], data: JSONBody[requests.BundleSignRequest]
) -> shapes.BundleOut:
    """Sign one's own part of a bundle."""
    return await service.exchange.sign_bundle(bundle, data, caller)


@post("/v1/bundles/{bundle:str}/reserve", status_code=201, opt=needs("exchange"))
async def reserve_bundle(
    service: Node, caller: Who, bundle: FromPath[str], data: JSONBody[requests.ReserveRequest]
) -> shapes.BundleOut:
    """Ask every provider of a bundle to reserve their part."""
    return await service.exchange.reserve_bundle(bundle, data, caller)


@post("/v1/bundles/{bundle:str}/commit", status_code=201, opt=needs("exchange"))
async def commit_bundle(
    service: Node, caller: Who, bundle: FromPath[str], data: JSONBody[requests.CommitRequest]
) -> shapes.BundleOut:
    """Accept all parts of a bundle: all are agreed, or none."""
    return await service.exchange.commit_bundle(bundle, data, caller)


@get("/v1/demands/{demand:str}/cosignatures", opt=needs("read"), sync_to_thread=False)
def cosigners(service: Node, caller: Who, demand: FromPath[str]) -> shapes.Cosigners:
    """List who stands behind a demand."""
    return service.exchange.cosigners(demand, caller)


@post("/v1/demands/{demand:str}/cosignatures", status_code=201, opt=needs("publish"))
async def cosign(
    service: Node, caller: Who, demand: FromPath[str], data: JSONBody[requests.CosignRequest]
) -> shapes.Cosigners:
    """Stand behind a demand of somebody else."""
    return await service.exchange.cosign(demand, data, caller)


EXCHANGE_ROUTES = (
    exchanges,
    open_exchange,
    show_exchange,
    transcript,
    take_step,
    draft_opening,
    draft_step,
    draft_order,
    signed_steps,
    pay,
    delay,
    hand_over,
    evaluate,
    draft_evaluation,
    evaluations,
    guarantees,
    agenda,
    agenda_calendar,
    calendar,
    fundings,
    fund,
    bundles,
    show_bundle,
    publish_bundle,
    sign_bundle,
    reserve_bundle,
    commit_bundle,
    cosigners,
    cosign,
)
