"""What is asked over the interface about exchanges (spec/09, "Exchanges").

Ids, keys and authors are hexadecimal text, times Unix seconds. An author is 70 (`p`), coop and
person of a person, or 63 (`c`) and coop of a coop.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from maillon.node.api.exchange_shapes import RENAMED
from maillon.node.api.ledger_shapes import Amount, UnitCode, Wait, Who
from maillon.node.api.shapes import Hex32, Id, Request

Author = Annotated[str, Meta(pattern="^(63[0-9a-f]{64}|70[0-9a-f]{96})$")]
Short = Annotated[str, Meta(max_length=200)]
Long = Annotated[str, Meta(max_length=4_000)]
Lang = Annotated[str, Meta(pattern="^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2}){1,20480}$")]
Kind = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
Moment = Annotated[int, Meta(ge=0, le=1 << 40)]
Principal = Annotated[str, Meta(min_length=1, max_length=200)]
"""For whom somebody acts: the id of a mandate or its beginning, or who gave one (a person's id, the
beginning of it, a name here, or an author of any coop)."""


class Behalf(Request, rename=RENAMED, kw_only=True):
    """Something that may be done for somebody else: `as` says for whom."""

    as_: Principal | None = None


class Acting(Behalf, kw_only=True):
    """Something done by somebody here: `by` says whose key signs, `coop` for the node's own.

    Left out, it is who calls; the operator has to say.
    """

    by: Who | None = None


class OriginRequest(Request):
    """The exchange that another one comes from, and the step there: a handover or amendment."""

    exchange: Hex32
    step: Hex32


class OpenRequest(Acting, kw_only=True):
    """Open an exchange, on a demand or offer (`about`), or with nothing published (`with_`).

    Whoever of the two opens it is `by`: with a demand of somebody else the provider, with an offer
    the requester. `role` says it where nothing published does.
    """

    about: Id | None = None
    with_: Author | None = None
    role: Annotated[str, Meta(pattern="^(requester|provider)?$")] = ""
    title: Short = ""
    text: Long = ""
    lang: Lang | None = None
    payer: Author | None = None
    bundle: Id | None = None
    participants: Annotated[list[Author], Meta(max_length=64)] = []
    recurrence: dict[str, Any] | None = None
    origin: OriginRequest | None = None


class StepRequest(Acting, kw_only=True):
    """Take a step with a key that is held here.

    `fields` are those of the kind (spec/08), without `exchange` and `salt`; amounts may be text.
    `by` is whose key signs (`coop` for the node's own), `as_` for whom.
    """

    kind: Kind
    fields: dict[str, Any] = {}
    wait_s: Wait = 0.0
    """Wait so long for the payment or reservation that follows from the step."""


class DraftRequest(Behalf, kw_only=True):
    """Ask for a step to be signed on a device: with its `key`, which this coop vouches for."""

    kind: Kind
    key: Hex32
    coop: Hex32 | None = None
    """The coop that vouches for the key, when it is another."""
    fields: dict[str, Any] = {}
    open: OpenRequest | None = None
    """For the kind `opening`, in place of `fields`."""


class OrderDraftRequest(Request):
    """Ask for the order that pays or reserves what an exchange needs, to be signed on a device."""

    what: Annotated[str, Meta(pattern="^(hold|pay|confirm|release)$")]
    key: Hex32


class SignedOrder(Request):
    """What an OrderDraftOut asked for, with its signature."""

    what: Annotated[str, Meta(pattern="^(hold|pay|confirm|release)$")]
    order: Hex32
    key: Hex32
    body: Annotated[str, Meta(pattern="^([0-9a-f]{2}){0,2048}$")] = ""
    signature: Annotated[str, Meta(pattern="^[0-9a-f]{128}$")] = ""


class SignedSteps(Request):
    """Records of exchanges that a device signed, and those that it opened out of its letters.

    `received` were told to all concerned already; `records` are told now. An evaluation comes with
    its `attestations`, an order with the exchange it is of.
    """

    records: Annotated[list[Hex], Meta(max_length=64)] = []
    received: Annotated[list[Hex], Meta(max_length=64)] = []
    attestations: Annotated[list[Hex], Meta(max_length=8)] = []
    orders: Annotated[list[SignedOrder], Meta(max_length=8)] = []
    exchange: Hex32 | None = None
    wait_s: Wait = 0.0


class PayRequest(Acting, kw_only=True):
    """Pay what is due, or reserve what the terms want reserved, with an account held here.

    `how` is for exchanges that are not paid in the ledger: gift, count_only or outside.
    """

    how: Annotated[str, Meta(pattern="^(|gift|count_only|outside)$")] = ""
    amount: Amount | None = None
    wait_s: Wait = 10.0


class DelayRequest(Acting, kw_only=True):
    """Tell the other side that one is late."""

    minutes: Annotated[int, Meta(ge=1, le=1_440)]
    text: Long = ""
    lang: Lang = "fr"
    slot: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")] | None = None


class HandoverRequest(Acting, kw_only=True):
    """Hand an exchange, or one added task of it, over to another provider."""

    to: Author
    task: Id | None = None
    text: Long = ""


class EvaluationRequest(Acting, kw_only=True):
    """Say how it went, by the community's criteria; kept back until both have or the deadline."""

    criteria: Annotated[
        dict[
            Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")], Annotated[int, Meta(ge=0, le=5)]
        ],
        Meta(min_length=1, max_length=16),
    ]
    text: Annotated[str, Meta(max_length=2_000)] = ""
    lang: Lang = "fr"
    wait_s: Wait = 10.0
    """Wait so long for the acknowledgement of what a third party paid, where it is missing."""


class EvaluationDraftRequest(Behalf, kw_only=True):
    """Ask for the attestation and the step that commits to it, to be signed on a device."""

    key: Hex32
    criteria: Annotated[
        dict[
            Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")], Annotated[int, Meta(ge=0, le=5)]
        ],
        Meta(min_length=1, max_length=16),
    ]
    text: Annotated[str, Meta(max_length=2_000)] = ""
    lang: Lang = "fr"


class FundRequest(Acting, kw_only=True):
    """Consent to what was asked: a reservation or payment from the payer's account, held here.

    With `yes` false it is declined: nothing is ordered, and who asked is told.
    """

    yes: bool = True
    wait_s: Wait = 10.0


class BundlePartRequest(Request):
    provider: Author
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    offer: Id | None = None
    unit: UnitCode | None = None
    amount: Amount | None = None


class BundleRequest(Acting, kw_only=True):
    """Publish several services of several providers as one; each signs their part."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    parts: Annotated[list[BundlePartRequest], Meta(min_length=2, max_length=8)]
    text: Long = ""
    lang: Lang = "fr"
    categories: Annotated[
        list[Annotated[str, Meta(max_length=128)]], Meta(min_length=1, max_length=16)
    ]
    place: dict[str, Any] | None = None
    when: dict[str, Any] | None = None
    days: Annotated[int, Meta(ge=1, le=400)] | None = None


class BundleSignRequest(Acting, kw_only=True):
    """Sign one's own part of a bundle."""


class ReserveRequest(Acting, kw_only=True):
    """Ask every provider of a bundle to reserve their part: opens an exchange with each."""

    text: Long = ""
    lang: Lang = "fr"


class CommitRequest(Acting, kw_only=True):
    """Accept all parts of a bundle at once; all are agreed, or none."""

    requester: Author | None = None
    contact: dict[str, Any] | None = None
    wait_s: Wait = 0.0


class CosignRequest(Acting, kw_only=True):
    """Stand behind a demand of somebody else."""
