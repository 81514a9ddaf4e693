"""The live set is a function of the set of records, whatever the order of arrival (spec/03)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from maillon.protocol.envelope import Signed
from maillon.protocol.records import DAY_S
from maillon.protocol.view import TransferInfo
from support.model_view import ModelNode, live_set, reconcile
from support.world import World

DAY = DAY_S


def pool() -> tuple[World, list[Signed], dict[bytes, TransferInfo]]:
    """Make records that get in each other's way in every manner the protocol knows."""
    w = World(seed="convergence")
    new_node = w.key("coop 0 new node")
    alice = w.make_member(0, "alice")
    tablet = w.make_member(0, "tablet", person="alice")
    bob = w.make_member(1, "bob")
    helper = w.make_member(1, "helper")
    # A second person with bob's key: a desk's mistake.
    double = w.make_member(1, "double", key="coop 1/bob")
    stranger = w.make_coop("stranger")
    sam = w.make_member(stranger, "sam")

    profiles = w.profiles()
    rotated = w.profile(
        0, node=new_node, rev=1,
        previous=[{"key": w.coops[0].node.public, "until_at": w.now - 9 * DAY}],
        at=w.now - 2 * DAY,
    )  # fmt: skip
    alice_card = w.membership(alice)
    tablet_card = w.membership(tablet)
    # Signed by the old node key after it was replaced: counts until the rotation is known only.
    late_card = w.membership(w.make_member(0, "late"), at=w.now - 8 * DAY)
    alice_offer = w.offer(alice, "A", at=w.now - 3 * DAY)
    series = alice_offer.header.series
    tie = [w.offer(d, t, rev=1, at=w.now - DAY, series=series)
           for d, t in ((alice, "B"), (tablet, "C"))]  # fmt: skip
    tablet_revoked = w.membership(
        tablet, by=new_node, rev=1, status="revoked", at=w.now,
        revoked={"reason": "stolen", "until_at": w.now - 2 * DAY},
    )  # fmt: skip
    tablet_kept = w.membership(
        tablet, by=new_node, rev=2, status="revoked", at=w.now,
        revoked={"reason": "stolen", "until_at": w.now - 2 * DAY, "keep": [tie[1].id]},
    )  # fmt: skip
    bob_card = w.membership(bob)
    bob_offer = w.offer(bob, "D", at=w.now - DAY)
    suspended = w.membership(bob, rev=1, status="suspended", at=w.now - 2 * DAY)
    again = w.membership(bob, rev=2, at=w.now)
    double_card = w.membership(double)
    mandate = w.mandate(alice, helper, kinds=("offer", "demand"))
    thing = w.mandate_thing(alice, mandate)
    mandated = w.offer(helper, "E", as_=thing, at=w.now - 2 * DAY)
    mandated_over = w.offer(helper, "F", as_=thing, at=w.now, series=series, rev=2)
    mandate_revoked = w.mandate(
        alice, helper, kinds=("offer", "demand"), rev=1, series=mandate.header.series,
        at=w.now - DAY, end=w.now + 90 * DAY, revoked=True,
    )  # fmt: skip
    mandate_gone = w.withdrawal(mandate, alice.key, alice.coop, rev=2)
    admissions = [w.admission(place, stranger) for place in (0, 1, 2)]
    admission_gone = w.withdrawal(admissions[1], w.coops[1].node, w.coops[1])
    transfer = w.derive("transfer", 32)
    transfers = {transfer: TransferInfo(alice.author, bob.author)}
    mark = w.attestation(bob, transfer, alice.author)
    other_mark = w.attestation(bob, transfer, alice.author, text="Bien.")
    everything = [
        *profiles, rotated, alice_card, tablet_card, late_card, alice_offer, *tie,
        tablet_revoked, tablet_kept, bob_card, bob_offer, suspended, again, double_card,
        w.membership(helper), mandate, mandated, mandated_over, mandate_revoked, mandate_gone,
        *admissions, admission_gone, w.profile(stranger), w.membership(sam),
        w.offer(sam, "G"), w.category(stranger, "pain"), w.category(0, "pain"),
        w.withdrawal(alice_offer, tablet.key, tablet.coop, rev=3),
        w.withdrawal(bob_offer, bob.key, bob.coop),
        w.offer(bob, "H", series=bob_offer.header.series, rev=2),
        mark, other_mark, w.reply(alice, mark.id), w.reply(alice, other_mark.id),
        w.record("poem", {"salt": w.fresh(), "lines": ["x"]}, coop=bob.coop, by=bob.key),
    ]  # fmt: skip
    return w, everything, transfers


WORLD, POOL, TRANSFERS = pool()
some_records = st.permutations(range(len(POOL))).flatmap(
    lambda order: st.integers(5, len(order)).map(lambda many: [POOL[at] for at in order[:many]])
)


def node(erases: bool = False) -> ModelNode:
    return ModelNode(WORLD.founding, WORLD.now, TRANSFERS, erases)


def expected(records: list[Signed]) -> set[bytes]:
    return set(live_set(records, WORLD.founding, WORLD.now, TRANSFERS))


def test_the_pool_exercises_both_outcomes_of_most_records() -> None:
    live = expected(POOL)
    assert 0 < len(live) < len(POOL)
    alone = {r.id for r in POOL if r.id in expected([*POOL[:3], POOL[4], POOL[5], r])}
    assert alone - live, "some records count until another one comes"
    assert live - alone, "some records count only after another one came"


@settings(max_examples=60, deadline=None)
@given(some_records)
def test_a_node_that_learns_in_any_order_holds_the_live_set_of_what_it_received(
    records: list[Signed],
) -> None:
    learner = node()
    for signed in records:
        learner.receive(signed)
    assert set(learner.live) == expected(records)


@settings(max_examples=40, deadline=None)
@given(some_records, st.randoms(use_true_random=False))
def test_nodes_that_erase_what_is_superseded_agree_after_reconciling(
    records: list[Signed], random: object
) -> None:
    shuffled = sorted(records, key=lambda signed: signed.id)
    nodes = [node(erases=True) for _ in range(3)]
    for place, order in enumerate((records, shuffled, list(reversed(records)))):
        # Each misses a third of them, another third each.
        for at, signed in enumerate(order):
            if at % 3 != place:
                nodes[place].receive(signed)
    reconcile(nodes)
    assert set(nodes[0].live) == set(nodes[1].live) == set(nodes[2].live)
    # What is live anywhere is the live set of what is still held in full somewhere.
    held = {id: signed for each in nodes for id, signed in each.full.items()}
    assert set(nodes[0].live) == expected(list(held.values()))


def test_a_revision_by_a_stolen_key_is_undone_by_whoever_still_holds_the_one_before() -> None:
    w = World(seed="undo")
    alice, tablet = w.make_member(0, "a"), w.make_member(0, "t", person="a")
    base = [*w.profiles(), w.membership(alice), w.membership(tablet)]
    honest = w.offer(alice, at=w.now - 2 * DAY)
    stolen = w.offer(tablet, "X", at=w.now, rev=1, series=honest.header.series)
    revoked = w.membership(
        tablet, rev=1, status="revoked", at=w.now,
        revoked={"reason": "stolen", "until_at": w.now - DAY},
    )  # fmt: skip
    eager, sleepy = (ModelNode(w.founding, w.now, {}, True) for _ in range(2))
    for signed in (*base, honest, stolen):
        eager.receive(signed)
    assert stolen.id in eager.live
    assert honest.id not in eager.full, "its payload was erased"
    for signed in (*base, honest):
        sleepy.receive(signed)
    eager.receive(revoked)
    assert stolen.id not in eager.live
    reconcile([eager, sleepy])
    assert honest.id in eager.live
    assert set(eager.live) == set(sleepy.live)
