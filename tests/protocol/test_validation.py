"""What counts, and what stops counting (spec/02 "Who may sign", spec/03 "Validation")."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maillon.protocol.envelope import Checked, Header, Signed, Valid
from maillon.protocol.errors import (
    BadSignature,
    Expired,
    MandateMissing,
    MandateScope,
    MembershipExpired,
    MembershipRevoked,
    NotMember,
    RefInvalid,
    RemoteError,
    UnknownCoop,
)
from maillon.protocol.keys import signature_ok
from maillon.protocol.records import DAY_S, KINDS, thing_id
from maillon.protocol.validation import (
    Affected,
    affected_by,
    author,
    check_context,
    check_signature,
    check_stateless,
    check_structure,
    longest_until,
    mark_checked,
    signature_item,
    standing,
    still_counts,
)
from support.community import auction
from support.model_view import ModelView, live_set
from support.strategies import records_strategy
from support.world import World

W = World(seed="validation")
ALICE = W.make_member(0, "alice")
HELPER = W.make_member(1, "helper")
BASE = [*W.profiles(), W.membership(ALICE), W.membership(HELPER)]
OFFER = W.offer(ALICE)


def view_of(*records: Signed, world: World = W) -> ModelView:
    """Return the view of some records' live set."""
    view = ModelView(world.founding)
    for valid in live_set(records, world.founding, world.now).values():
        view.add(valid)
    return view


def valid(signed: Signed, view: ModelView) -> Valid:
    return check_context(Checked(signed), view, W.now)


def test_a_record_goes_from_bytes_to_valid_by_one_function_a_step() -> None:
    checked = check_stateless(OFFER, fed=W.founding.fed, now=W.now)
    result = check_context(checked, view_of(*BASE), W.now)
    assert result.signed is OFFER
    assert result.author == ALICE.author
    assert result.thing == thing_id(ALICE.author, OFFER.header.series)
    assert result.role == "member"


def test_a_pool_gets_what_the_single_check_looks_at() -> None:
    check_structure(OFFER, fed=W.founding.fed, now=W.now)
    assert signature_ok(*signature_item(OFFER))
    check_signature(OFFER)
    assert mark_checked(OFFER) == check_stateless(OFFER, fed=W.founding.fed, now=W.now)


def test_the_backend_is_asked_about_the_equation_and_its_no_is_final() -> None:
    asked: list[bytes] = []

    def refusing(public: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(public)
        return False

    with pytest.raises(BadSignature):
        check_stateless(OFFER, fed=W.founding.fed, now=W.now, backend=refusing)
    assert asked == [ALICE.key.public]


def test_a_record_that_waited_past_its_end_is_refused_when_it_is_asked_about_again() -> None:
    with pytest.raises(Expired):
        check_context(Checked(OFFER), view_of(*BASE), OFFER.header.until + 1)


def test_judging_changes_neither_the_view_nor_the_record() -> None:
    view = view_of(*BASE)
    before = copy.deepcopy((view.profiles, view.members, view.mandates, view.admitters))
    for signed in (OFFER, W.membership(W.make_member(0, "new")), W.profile(0, rev=1)):
        valid(signed, view)
    stranger = W.offer(W.make_member(0, "nobody"))
    with pytest.raises(NotMember):
        valid(stranger, view)
    assert (view.profiles, view.members, view.mandates, view.admitters) == before


def test_two_devices_of_a_person_have_one_author_and_two_persons_have_two() -> None:
    tablet = W.make_member(0, "tablet", person="alice")
    view = view_of(*BASE, W.membership(tablet))
    series = OFFER.header.series
    other = W.offer(tablet, series=series, rev=1)
    assert author(other.header, other.id, view) == author(OFFER.header, OFFER.id, view)
    foreign = W.offer(HELPER, series=series, rev=1)
    assert author(foreign.header, foreign.id, view) == HELPER.author


def test_a_record_is_judged_again_by_its_header_when_the_payload_is_gone() -> None:
    view = view_of(*BASE)
    assert still_counts(OFFER.header, OFFER.id, None, view).author == ALICE.author
    revoked = W.membership(
        ALICE, rev=1, status="revoked", at=W.now,
        revoked={"reason": "lost", "until_at": W.now - DAY_S},
    )  # fmt: skip
    with pytest.raises(MembershipRevoked) as caught:
        still_counts(OFFER.header, OFFER.id, None, view_of(*BASE, revoked))
    assert caught.value.until_at == W.now - DAY_S


def test_a_mandate_is_judged_by_its_current_revision_for_what_was_made_before() -> None:
    given_ = W.mandate(ALICE, HELPER, kinds=("offer", "demand"))
    thing = W.mandate_thing(ALICE, given_)
    made = W.offer(HELPER, as_=thing)
    assert valid(made, view_of(*BASE, given_)).author == ALICE.author
    narrower = W.mandate(ALICE, HELPER, kinds=("demand",), rev=1, series=given_.header.series)
    with pytest.raises(MandateScope):
        still_counts(made.header, made.id, made.payload, view_of(*BASE, given_, narrower))


def test_a_mandate_means_nothing_in_the_name_of_somebody_else() -> None:
    given_ = W.mandate(ALICE, HELPER)
    usurped = W.offer(HELPER, as_=thing_id(HELPER.author, given_.header.series))
    with pytest.raises(MandateMissing):
        valid(usurped, view_of(*BASE, given_))


def test_a_mandate_for_later_kinds_does_not_reach_known_ones_by_their_tag() -> None:
    given_ = W.mandate(ALICE, HELPER, kinds=("poem",))
    thing = W.mandate_thing(ALICE, given_)
    end = W.withdrawal(OFFER, HELPER.key, HELPER.coop, as_=thing)
    with pytest.raises(MandateScope):
        valid(end, view_of(*BASE, given_))


def test_the_key_that_a_desk_gave_twice_stays_with_the_lesser_person() -> None:
    twin = W.make_member(0, "twin", key="coop 0/alice")
    first, second = sorted((ALICE, twin), key=lambda member: member.person)
    view = view_of(*BASE[:3], W.membership(first))
    with pytest.raises(RefInvalid):
        valid(W.membership(second), view)
    both = view_of(*BASE[:3], W.membership(second), W.membership(first))
    member = both.membership(ALICE.coop.id, ALICE.key.public)
    assert member is not None and member.person == first.person


def test_facts_of_an_error_say_what_would_mend_it() -> None:
    with pytest.raises(UnknownCoop) as unknown:
        valid(OFFER, view_of())
    assert unknown.value.coop == ALICE.coop.id and unknown.value.pending
    with pytest.raises(NotMember) as missing:
        valid(OFFER, view_of(*BASE[:3]))
    assert (missing.value.coop, missing.value.by) == (ALICE.coop.id, ALICE.key.public)
    short = W.membership(ALICE, rev=1, days=10, at=W.now - DAY_S)
    with pytest.raises(MembershipExpired) as outlived:
        valid(OFFER, view_of(*BASE, short))
    assert outlived.value.until_max == short.header.until


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"coop_profile", "withdrawal"}))
def test_the_longest_until_for_writers_is_the_longest_that_readers_take(kind: str) -> None:
    short = W.membership(ALICE, rev=1, days=50, at=W.now)
    view = view_of(*BASE, short)
    by = ALICE.key.public if "member" in KINDS[kind].signers else ALICE.coop.node.public
    until = longest_until(kind, view, coop=ALICE.coop.id, by=by, at=W.now)
    assert until <= W.now + KINDS[kind].lifetime_s_max
    if kind == "offer":
        assert until == short.header.until
        valid(W.offer(ALICE, until=until), view)
        with pytest.raises(MembershipExpired):
            valid(W.offer(ALICE, until=until + 1), view)


def test_the_longest_until_under_a_mandate_is_the_mandates() -> None:
    given_ = W.mandate(ALICE, HELPER, days=30, end=W.now + DAY_S)
    thing = W.mandate_thing(ALICE, given_)
    view = view_of(*BASE, given_)
    where = {"coop": HELPER.coop.id, "by": HELPER.key.public, "at": W.now}
    assert longest_until("offer", view, **where, as_=thing) == given_.header.until  # type: ignore[arg-type]
    with pytest.raises(MandateMissing):
        longest_until("offer", view, **where, as_=bytes(32))  # type: ignore[arg-type]
    with pytest.raises(NotMember):
        longest_until("offer", view, coop=ALICE.coop.id, by=bytes(32), at=W.now)
    with pytest.raises(UnknownCoop):
        longest_until("offer", view, coop=bytes(32), by=bytes(32), at=W.now)


def test_what_a_change_may_touch_is_named() -> None:
    stranger = W.make_coop("stranger")
    given_ = W.mandate(ALICE, HELPER)
    view = view_of(*BASE, given_)

    def touched(signed: Signed) -> Affected:
        return affected_by(valid(signed, view))

    pair = (ALICE.coop.id, ALICE.key.public)
    assert touched(BASE[0]) == Affected(coop=W.coops[0].id)
    assert touched(W.admission(0, stranger)) == Affected(coop=stranger.id)
    assert touched(BASE[3]) == Affected(key=pair, mandates_of=pair)
    assert touched(given_) == Affected(mandate=W.mandate_thing(ALICE, given_))
    assert touched(OFFER) == Affected()
    demand = auction(W, ALICE)
    assert touched(demand) == Affected(refs=demand.id)
    gone = W.withdrawal(given_, ALICE.key, ALICE.coop)
    assert touched(gone) == Affected(mandate=W.mandate_thing(ALICE, given_))
    end = W.withdrawal(BASE[0], W.coops[0].root, W.coops[0])
    assert touched(end) == Affected(coop=W.coops[0].id)


@settings(max_examples=40)
@given(records_strategy(), st.sampled_from(["fed", "coop", "by", "at", "until", "as_", "series"]))
def test_a_header_changed_in_any_part_never_counts_under_the_old_signature(
    signed: Signed, part: str
) -> None:
    world, fields = W, {name: getattr(signed.header, name) for name in Header.__slots__}
    value = fields[part]
    fields[part] = value + 1 if isinstance(value, int) else bytes(len(value) or 32)
    header = Header(**fields)
    forged = Signed(
        header, header.encode(), signed.id, signed.signature, signed.payload_bytes, signed.payload
    )
    with pytest.raises(RemoteError):
        check_stateless(forged, fed=header.fed, now=world.now)


def test_the_standing_says_until_when_a_key_can_vouch() -> None:
    view = view_of(*BASE)
    result = standing(OFFER.header, OFFER.id, view)
    assert (result.role, result.until) == ("member", BASE[3].header.until)
