"""Claims about where steps come from: records that were judged, by keys that were vouched for."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.protocol.envelope import Signed, decode_record
from maillon.protocol.errors import (
    BadSignature,
    MaillonError,
    MandateExpired,
    MandateRevoked,
    MandateScope,
    MembershipRevoked,
    NotAllowed,
    NotMember,
    WrongFederation,
)
from maillon.protocol.exchange import Exchange, Step, fold, step_from
from maillon.protocol.keys import SigningKey
from maillon.protocol.records import build
from maillon.protocol.records.terms import complete
from maillon.protocol.validation import check_stateless, check_step
from support.model_view import ModelView, live_set
from support.transcripts import DAY, FALLBACK, SLOT
from support.world import Coop, Member, World


class Desk:
    """What one side holds: identity records, and the steps that passed."""

    def __init__(self) -> None:
        self.world = World()
        self.asks = self.world.make_member(0, "asks")
        self.gives = self.world.make_member(1, "gives")
        self.helps = self.world.make_member(2, "helps")
        self.identity = [
            *self.world.profiles(),
            *(self.world.membership(member) for member in (self.asks, self.gives, self.helps)),
        ]
        self.steps: list[Step] = []
        self.opening = self.take(
            self.sign(
                "opening", self.asks, requester=self.asks.author, provider=self.gives.author,
                title="Errands", lang="en",
            )
        )  # fmt: skip

    def sign(
        self,
        kind: str,
        who: Member,
        *,
        by: SigningKey | None = None,
        coop: Coop | None = None,
        as_: bytes = b"",
        at: int | None = None,
        fed: bytes | None = None,
        **fields: Any,
    ) -> Signed:
        if kind not in ("opening", "bundle_decision"):
            fields["exchange"] = self.opening.id
        header = {} if fed is None else {"fed": fed}
        return self.world.record(
            kind,
            build(kind, salt=self.world.fresh(), **fields),
            coop=coop or who.coop,
            by=by or who.key,
            at=at,
            as_=as_,
            days=20,
            refs=self.state.heads if self.steps else (),
            **header,
        )

    def take(self, record: Signed) -> Step:
        """Take a record out of a letter. Raises: what judging it raises."""
        signed = decode_record(record.encode())
        world = self.world
        checked = check_stateless(signed, fed=world.founding.fed, now=world.now, private=True)
        view = ModelView(world.founding, {})
        for valid in live_set(self.identity, world.founding, world.now).values():
            view.add(valid)
        step = step_from(signed, check_step(checked, view))
        self.steps.append(step)
        return step

    @property
    def state(self) -> Exchange:
        return fold(self.steps, now=self.world.now)

    def quoted(self) -> Step:
        now = self.world.now
        terms = complete(
            {
                "kind": "gift",
                "fallback": FALLBACK,
                "when": [{"slot": SLOT, "start": now + 3 * DAY, "end": now + 3 * DAY + 3_600}],
            }
        )
        return self.take(
            self.sign("quote", self.gives, terms=terms, valid_until=now + 10 * DAY)
        )

    def refuses(self, record: Signed, error: type[MaillonError]) -> None:
        before, steps = self.state, list(self.steps)
        with pytest.raises(error):
            self.take(record)
        assert self.steps == steps and self.state == before


def test_steps_of_members_become_steps_of_their_authors() -> None:
    desk = Desk()
    quote = desk.quoted()
    agreement = desk.take(desk.sign("agreement", desk.asks, quote=quote.id))
    assert desk.state.phase == "scheduled"
    assert (agreement.author, agreement.signer_role) == (desk.asks.author, "member")
    assert agreement.by == desk.asks.key.public and agreement.refs == (quote.id,)


def test_a_step_of_another_federation_or_with_a_changed_content_is_none_here() -> None:
    desk = Desk()
    quote = desk.quoted()
    desk.refuses(desk.sign("agreement", desk.asks, fed=bytes(32), quote=quote.id), WrongFederation)
    one = desk.sign("agreement", desk.asks, quote=quote.id)
    other = desk.sign("agreement", desk.asks, quote=quote.id)
    mixed = Signed(
        one.header, one.header_bytes, one.id, other.signature, one.payload_bytes, one.payload
    )
    desk.refuses(mixed, BadSignature)


def test_a_helper_acts_within_the_mandate_and_no_further() -> None:
    desk = Desk()
    quote = desk.quoted()
    mandate = desk.world.mandate(desk.asks, desk.helps, kinds=("agreement", "message"))
    desk.identity.append(mandate)
    under = desk.world.mandate_thing(desk.asks, mandate)
    accept = desk.sign("acceptance", desk.helps, as_=under)
    desk.refuses(accept, MandateScope)
    step = desk.take(desk.sign("agreement", desk.helps, as_=under, quote=quote.id))
    assert (step.author, step.by) == (desk.asks.author, desk.helps.key.public)
    assert desk.state.phase == "scheduled"


def test_an_expired_or_revoked_mandate_makes_no_step() -> None:
    for change, error in (({"end": -1}, MandateExpired), ({"revoked": True}, MandateRevoked)):
        desk = Desk()
        quote = desk.quoted()
        now = desk.world.now
        end = now - DAY if "end" in change else None
        mandate = desk.world.mandate(desk.asks, desk.helps, kinds=("agreement",), end=end)
        desk.identity.append(mandate)
        if error is MandateRevoked:
            desk.identity.append(
                desk.world.mandate(
                    desk.asks, desk.helps, kinds=("agreement",), rev=1, at=now - 60,
                    series=mandate.header.series, revoked=True,
                )
            )  # fmt: skip
        under = desk.world.mandate_thing(desk.asks, mandate)
        desk.refuses(desk.sign("agreement", desk.helps, as_=under, quote=quote.id), error)


def test_a_stranger_or_a_revoked_key_makes_no_step() -> None:
    desk = Desk()
    quote = desk.quoted()
    stranger = desk.world.make_member(0, "stranger")
    desk.refuses(desk.sign("agreement", stranger, quote=quote.id), NotMember)
    revoked = {"until_at": desk.world.now - DAY, "reason": "stolen"}
    desk.identity.append(
        desk.world.membership(desk.asks, rev=1, status="revoked", revoked=revoked)
    )
    desk.refuses(desk.sign("agreement", desk.asks, quote=quote.id), MembershipRevoked)


def test_a_member_decides_no_bundle_and_a_public_record_is_no_step() -> None:
    desk = Desk()
    decision = desk.sign(
        "bundle_decision", desk.asks, bundle=bytes(32),
        exchanges=[desk.opening.id, b"\x0c" * 32], outcome="abort",
    )  # fmt: skip
    desk.refuses(decision, NotAllowed)
    desk.refuses(desk.world.offer(desk.asks), NotAllowed)


def test_a_party_cannot_forge_its_part_by_signing_as_itself() -> None:
    desk = Desk()
    quote = desk.quoted()
    forged = desk.take(desk.sign("agreement", desk.gives, quote=quote.id))
    assert desk.state.phase == "quoted"
    assert [(entry.id, entry.reason) for entry in desk.state.void] == [(forged.id, "role")]
