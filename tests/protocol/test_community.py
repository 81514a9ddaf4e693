"""What the vectors do not say of the kinds of spec/08: what writers get, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maillon.protocol.auctions import Outcome, commitment, lot_of, winner
from maillon.protocol.calendars import free, joined
from maillon.protocol.envelope import Checked, Signed, Valid
from maillon.protocol.errors import LocalError, NotAllowed
from maillon.protocol.limits import MANDATE_KINDS_MAX, STEP_REFS_MAX
from maillon.protocol.records import (
    KINDS,
    PRIVATE_KINDS,
    PUBLIC_KINDS,
    STEP_KINDS,
    FieldError,
    build,
    exchanges_of,
    priority,
    thing_id,
)
from maillon.protocol.records.kind import DAY_S
from maillon.protocol.records.terms import DEADLINES, complete
from maillon.protocol.resting import BASES, RESTS
from maillon.protocol.statuses import RULES, require_allowed
from maillon.protocol.statuses import joined as rules_joined
from maillon.protocol.validation import check_context, check_step
from maillon.protocol.view import MembershipInfo
from support import community as c
from support.model_view import ModelView
from support.schema_cases import sample
from support.world import Member, World

FALLBACK = {"name": "Accueil", "place": "Mairie"}


def valid(member: Member, signed: Signed) -> Valid:
    return Valid(signed, member.author, thing_id(member.author, signed.header.series), "member")


# --- Kinds ---------------------------------------------------------------------------------------


def test_a_kind_is_either_public_or_private_and_a_step_is_private() -> None:
    assert {*PUBLIC_KINDS, *PRIVATE_KINDS} == set(KINDS)
    assert PRIVATE_KINDS.isdisjoint(PUBLIC_KINDS)
    assert STEP_KINDS < PRIVATE_KINDS
    assert all(KINDS[name].private == (name in PRIVATE_KINDS) for name in KINDS)


def test_no_step_lives_longer_than_400_days_or_is_revised() -> None:
    for name in PRIVATE_KINDS:
        assert KINDS[name].lifetime_s_max == 400 * DAY_S
        assert not KINDS[name].revisable


def test_a_mandate_can_name_every_kind_that_is_open_to_mandates() -> None:
    delegable = [name for name, kind in KINDS.items() if kind.under_mandate]
    assert len(delegable) <= MANDATE_KINDS_MAX


def test_what_rests_on_a_record_is_sent_after_it() -> None:
    for kind, rests in RESTS.items():
        assert priority(rests.on) < priority(kind)
    assert priority("attestation") < priority("reply")
    assert BASES <= set(PUBLIC_KINDS)


def test_a_step_names_its_exchange_and_a_decision_names_all_of_a_bundle() -> None:
    opening, other = bytes([1]) * 32, bytes([2]) * 32
    assert exchanges_of("opening", opening, {}) == (opening,)
    assert exchanges_of("message", other, {"exchange": opening}) == (opening,)
    assert exchanges_of("bundle_decision", b"", {"exchanges": [opening, other]}) == (opening, other)
    for kind in sorted(PRIVATE_KINDS - STEP_KINDS):
        assert exchanges_of(kind, other, {"exchange": opening}) == ()
    for kind in sorted(STEP_KINDS - {"opening", "bundle_decision"}):
        payload = sample(KINDS[kind].schema)
        assert exchanges_of(kind, other, payload) == (payload["exchange"],)


def test_a_public_record_is_no_step_and_a_step_is_never_valid() -> None:
    w = World(seed="steps")
    view = ModelView(w.founding)
    dora = w.make_member(0, "dora")
    offer = Checked(w.offer(dora))
    with pytest.raises(NotAllowed) as caught:
        check_step(offer, view)
    assert caught.value.facts["rule"] == "public"
    step = w.record("decline", build("decline", salt=bytes(16), exchange=bytes(32)),
                    coop=dora.coop, by=dora.key, refs=(bytes(32),))  # fmt: skip
    with pytest.raises(NotAllowed) as caught:
        check_context(Checked(step), view, w.now)
    assert caught.value.facts["rule"] == "private"


def test_a_header_with_all_the_refs_of_a_step_fits() -> None:
    w = World(seed="refs")
    dora = w.make_member(0, "dora")
    refs = [w.derive(f"{at}", 32) for at in range(STEP_REFS_MAX)]
    payload = build("message", salt=bytes(16), exchange=bytes(32), text="Oui.", lang="fr")
    assert w.record("message", payload, coop=dora.coop, by=dora.key, refs=refs).header.refs


def test_a_membership_is_approved_only_when_a_coop_says_so() -> None:
    w = World(seed="approved")
    dora = w.make_member(0, "dora")
    elsewhere = w.coops[1].id

    def told(**fields: Any) -> tuple[str | None, bytes | None]:
        card = w.membership(dora, **fields)
        assert card.payload is not None
        info = MembershipInfo.of(card.header, card.id, card.payload)
        return info.provider_status, info.verified_by

    assert told() == (None, None)
    status = {"provider_status": "volunteer"}
    assert told(**status) == ("volunteer", None)
    assert told(**status, verification="self_declared") == ("volunteer", None)
    assert told(**status, verification="approved") == ("volunteer", dora.coop.id)
    both = {"verification": "approved", "verified_by": elsewhere}
    assert told(**status, **both) == ("volunteer", elsewhere)


# --- Terms ---------------------------------------------------------------------------------------


def test_terms_that_are_completed_name_every_deadline_and_keep_what_was_said() -> None:
    given: dict[str, Any] = {
        "kind": "amount", "unit": "heure", "amount": 60, "fallback": FALLBACK,
        "accept_within_s": 61, "silence": {"accept": "mediated"}, "mediator": bytes(33),
    }  # fmt: skip
    whole = complete(given)
    assert {part.name for part in DEADLINES} <= whole.keys()
    assert whole["accept_within_s"] == 61 and whole["settle"] == "hold"
    assert whole["silence"]["accept"] == "mediated" and whole["silence"]["begin"] == "cancelled"
    quote = build("quote", salt=bytes(16), exchange=bytes(32), terms=whole, valid_until=1)
    assert quote["terms"] == whole
    assert "settle" not in given and given["silence"] == {"accept": "mediated"}


@pytest.mark.parametrize(
    ("terms", "settle"),
    [
        ({"kind": "amount", "unit": "heure", "per_hour": 60}, "after"),
        ({"kind": "amount", "unit": "heure", "per_hour": 60, "amount": 90}, "hold"),
        ({"kind": "amount", "unit": "heure", "amount": 90, "settle": "after"}, "after"),
        ({"kind": "gift"}, "after"),
        ({"kind": "count_only", "unit": "coup"}, "after"),
        ({"kind": "count_only"}, "after"),
        ({"kind": "outside", "outside": "20 euros"}, "after"),
    ],
)
def test_terms_of_every_kind_of_return_can_be_written(terms: dict[str, Any], settle: str) -> None:
    whole = complete({**terms, "fallback": FALLBACK})
    assert whole["settle"] == settle
    build("quote", salt=bytes(16), exchange=bytes(32), terms=whole, valid_until=1)


def test_terms_without_a_human_contact_are_refused_in_words() -> None:
    terms = complete({"kind": "gift", "fallback": {"name": "Accueil"}})
    with pytest.raises(FieldError, match="telephone number or a place") as caught:
        build("quote", salt=bytes(16), exchange=bytes(32), terms=terms, valid_until=1)
    assert caught.value.facts["field"] == "terms.fallback"
    del terms["fallback"]
    with pytest.raises(FieldError, match="fallback is missing"):
        build("quote", salt=bytes(16), exchange=bytes(32), terms=terms, valid_until=1)


def test_a_charter_can_forbid_more_and_never_less() -> None:
    units = {"heure": "hours"}
    hours = {"kind": "amount", "unit": "heure", "amount": 60}
    require_allowed(hours, "volunteer", units)
    more = {"volunteer": frozenset({"hours"}), "family_carer": frozenset[str]()}
    stricter = rules_joined(RULES, more)
    with pytest.raises(NotAllowed):
        require_allowed(hours, "volunteer", units, stricter)
    with pytest.raises(NotAllowed):
        require_allowed({"kind": "outside"}, "volunteer", units, stricter)
    require_allowed(hours, "family_carer", units, stricter)


# --- Auctions ------------------------------------------------------------------------------------

W = World(seed="auctions")
OWNER = W.make_member(0, "dora")
BIDDERS = [W.make_member(1, f"bidder {at}") for at in range(4)]
DEMAND = c.auction(W, OWNER, sealed=True)
BIDS = {
    (who.name, amount): c.sealed_bid(
        W, who, DEMAND, OWNER, amount, W.derive(f"{who.name} {amount}", 32)
    )
    for who in BIDDERS
    for amount in (3, 4)
}
REVEALS = {
    (who.name, amount): c.reveal(
        W, who, BIDS[who.name, amount], amount, W.derive(f"{who.name} {amount}", 32)
    )
    for who in BIDDERS
    for amount in (3, 4)
}
KEYS = sorted(BIDS)
some_bids = st.lists(st.sampled_from(KEYS), unique=True)


def outcome_of(
    listed: list[tuple[str, int]], opened: list[tuple[str, int]], live: list[tuple[str, int]]
) -> Outcome:
    close = c.close(W, OWNER, DEMAND, [BIDS[key] for key in listed])
    award = c.award(W, OWNER, DEMAND, None, [REVEALS[key] for key in opened])
    return winner(
        valid(OWNER, DEMAND),
        valid(OWNER, close),
        [valid(BIDDERS[0], BIDS[key]) for key in live],
        [valid(BIDDERS[0], REVEALS[key]) for key in live],
        valid(OWNER, award),
    )


@settings(deadline=None, max_examples=60)
@given(some_bids, some_bids, some_bids)
def test_the_winner_is_the_least_of_what_is_named_opened_and_live(
    listed: list[tuple[str, int]], opened: list[tuple[str, int]], live: list[tuple[str, int]]
) -> None:
    outcome = outcome_of(listed, opened, live)
    part = set(listed) & set(opened) & set(live)
    best = min(
        ((amount, lot_of(c.SECRET, BIDS[name, amount].id)) for name, amount in part), default=None
    )
    got = outcome.winner
    assert best == (None if got is None else (got.amount, lot_of(c.SECRET, got.id)))
    assert {bid.id for bid in outcome.ranking} == {BIDS[key].id for key in part}
    # Nothing that was named or is live is passed over in silence.
    told = {*outcome.missing, *outcome.unopened, *outcome.omitted, *(b.id for b in outcome.ranking)}
    named = {BIDS[key].id for key in (*listed, *live)}
    assert named <= told <= named | {REVEALS[key].id for key in KEYS}
    assert outcome.award_right is (got is None)


@settings(deadline=None, max_examples=20)
@given(some_bids, st.randoms(use_true_random=False))
def test_the_order_in_which_bids_are_known_changes_nothing(
    keys: list[tuple[str, int]], random: Any
) -> None:
    shuffled = list(keys)
    random.shuffle(shuffled)
    assert outcome_of(keys, keys, keys) == outcome_of(keys, keys, shuffled)


def test_amounts_and_demands_do_not_share_commitments() -> None:
    made = {
        commitment(demand, amount, nonce)
        for demand, amount, nonce in itertools.product(
            (bytes(32), bytes([1]) * 32), (0, 1, 2**40), (bytes(32), bytes([1]) * 32)
        )
    }
    assert len(made) == 12
    with pytest.raises(LocalError):
        commitment(bytes(32), 1, bytes(31))


def test_who_won_is_not_asked_about_what_is_no_auction_or_another_one() -> None:
    plain = W.demand(OWNER)
    with pytest.raises(LocalError, match="no auction"):
        winner(valid(OWNER, plain), None, [])
    other = c.auction(W, OWNER)
    with pytest.raises(LocalError, match="another auction"):
        winner(valid(OWNER, DEMAND), valid(OWNER, c.close(W, OWNER, other, [])), [])
    with pytest.raises(LocalError, match="another auction"):
        late = valid(OWNER, c.award(W, OWNER, other, None))
        winner(valid(OWNER, DEMAND), None, [], [], late)


# --- Calendars -----------------------------------------------------------------------------------

times = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


@given(times, st.integers(0, 60), st.integers(0, 60))
def test_times_that_are_joined_fit_the_field_and_leave_the_same_free(
    busy: list[tuple[int, int]], start: int, end: int
) -> None:
    payload = {"busy": joined(busy), "until": 100}
    build("freebusy", salt=bytes(16), **payload)
    taken = any(a < b and a <= end and start <= b for a, b in busy)
    assert free(payload, start, end) is (start <= end and not taken)


def test_times_that_touch_are_one_and_a_long_one_covers_a_short_one() -> None:
    assert joined([(5, 9), (1, 5)]) == [[1, 9]]
    assert joined([(1, 10), (2, 3)]) == [[1, 10]]
    assert joined([(1, 4), (6, 9), (3, 3), (9, 2)]) == [[1, 4], [6, 9]]
