"""What the exchanges of a node must be able to do for the interface to serve them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from maillon.node.api import exchange_requests as requests
from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import Caller


@dataclass(frozen=True, slots=True)
class ExchangeOptions:
    """What `GET /v1/exchanges` asks for.

    `person`: somebody here; `role`: their part; `phases`: any of these; `about`: a demand or offer;
    `waiting_for_me`: the person (or anybody the caller may act for) is expected to do something.
    """

    person: str = ""
    role: str = ""
    phases: tuple[str, ...] = ()
    about: str = ""
    bundle: str = ""
    waiting_for_me: bool = False
    open: bool | None = None
    limit: int = 50
    after: str = ""


@dataclass(frozen=True, slots=True)
class PersonOptions:
    """What the lists about one person ask for; without a person, about everybody here."""

    person: str = ""
    start: int = 0
    end: int = 1 << 40
    limit: int = 100
    after: str = ""


class ExchangeService(Protocol):
    """The exchanges behind the interface. Every method raises MaillonErrors.

    A step that cannot be taken now raises `step` with `phase` and `possible`; nothing was changed.
    """

    # exchanges

    def exchanges(self, options: ExchangeOptions, caller: Caller) -> shapes.Exchanges: ...

    async def open(self, request: requests.OpenRequest, caller: Caller) -> shapes.StepDone: ...

    def show(self, id: str, caller: Caller) -> shapes.Exchange: ...

    def transcript(self, id: str, raw: bool, caller: Caller) -> shapes.Transcript: ...

    async def step(
        self, id: str, request: requests.StepRequest, caller: Caller
    ) -> shapes.StepDone: ...

    def draft(self, id: str, request: requests.DraftRequest, caller: Caller) -> shapes.DraftOut: ...

    def draft_order(
        self, id: str, request: requests.OrderDraftRequest, caller: Caller
    ) -> shapes.OrderDraftOut: ...

    async def signed(self, request: requests.SignedSteps, caller: Caller) -> shapes.SignedDone: ...

    # particular steps

    async def pay(
        self, id: str, request: requests.PayRequest, caller: Caller
    ) -> shapes.StepDone: ...

    async def delay(
        self, id: str, request: requests.DelayRequest, caller: Caller
    ) -> shapes.StepDone: ...

    async def hand_over(
        self, id: str, request: requests.HandoverRequest, caller: Caller
    ) -> shapes.StepDone: ...

    async def evaluate(
        self, id: str, request: requests.EvaluationRequest, caller: Caller
    ) -> shapes.StepDone: ...

    def draft_evaluation(
        self, id: str, request: requests.EvaluationDraftRequest, caller: Caller
    ) -> shapes.EvaluationDraftOut: ...

    def evaluations(self, options: PersonOptions, caller: Caller) -> shapes.PendingEvaluations: ...

    def guarantees(self, options: PersonOptions, caller: Caller) -> shapes.Guarantees: ...

    # the day

    def agenda(self, options: PersonOptions, caller: Caller) -> shapes.Agenda: ...

    def agenda_calendar(self, options: PersonOptions, caller: Caller) -> bytes: ...

    def calendar(self, id: str, caller: Caller) -> bytes: ...

    # third-party payers

    def fundings(self, options: PersonOptions, caller: Caller) -> shapes.Fundings: ...

    async def fund(
        self, id: str, request: requests.FundRequest, caller: Caller
    ) -> shapes.FundingOut: ...

    # bundles and collective demands

    def bundles(self, options: PersonOptions, caller: Caller) -> shapes.Bundles: ...

    def bundle(self, bundle: str, caller: Caller) -> shapes.BundleOut: ...

    async def publish_bundle(
        self, request: requests.BundleRequest, caller: Caller
    ) -> shapes.BundleOut: ...

    async def sign_bundle(
        self, bundle: str, request: requests.BundleSignRequest, caller: Caller
    ) -> shapes.BundleOut: ...

    async def reserve_bundle(
        self, bundle: str, request: requests.ReserveRequest, caller: Caller
    ) -> shapes.BundleOut: ...

    async def commit_bundle(
        self, bundle: str, request: requests.CommitRequest, caller: Caller
    ) -> shapes.BundleOut: ...

    def cosigners(self, demand: str, caller: Caller) -> shapes.Cosigners: ...

    async def cosign(
        self, demand: str, request: requests.CosignRequest, caller: Caller
    ) -> shapes.Cosigners: ...
