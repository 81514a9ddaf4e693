"""The live set of records that rest on others is a function of the set, not of the order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from maillon.protocol.envelope import Signed
from maillon.protocol.resting import RESTS
from maillon.protocol.validation import check_stateless
from support.community_pool import pool
from support.model_view import ModelNode, live_set, reconcile
from support.world import World

WORLD = World(seed="community convergence")
POOL = pool(WORLD)

some_records = st.permutations(range(len(POOL))).flatmap(
    lambda order: st.integers(8, len(order)).map(lambda many: [POOL[at] for at in order[:many]])
)


def node(erases: bool = False) -> ModelNode:
    return ModelNode(WORLD.founding, WORLD.now, {}, erases)


def expected(records: list[Signed]) -> set[bytes]:
    return set(live_set(records, WORLD.founding, WORLD.now))


def test_all_of_the_pool_passes_alone_and_most_of_it_counts_among_some() -> None:
    for signed in POOL:
        check_stateless(signed, fed=WORLD.founding.fed, now=WORLD.now)
    counted: set[str] = set()
    for at in range(len(POOL)):
        counted |= {
            signed.header.kind for signed in POOL if signed.id in expected(POOL[: at + 1])
        }
    assert counted >= RESTS.keys() | {"move", "vouching", "bundle", "organisation"}


@settings(max_examples=50, deadline=None)
@given(some_records)
def test_a_node_that_learns_in_any_order_holds_the_live_set_of_what_it_received(
    records: list[Signed],
) -> None:
    learner = node()
    for signed in records:
        learner.receive(signed)
    assert set(learner.live) == expected(records)


@settings(max_examples=25, deadline=None)
@given(some_records)
def test_nodes_that_erase_what_is_superseded_agree_after_reconciling(
    records: list[Signed],
) -> None:
    shuffled = sorted(records, key=lambda signed: signed.id)
    nodes = [node(erases=True) for _ in range(3)]
    for place, order in enumerate((records, shuffled, list(reversed(records)))):
        for at, signed in enumerate(order):
            if at % 3 != place:
                nodes[place].receive(signed)
    reconcile(nodes)
    assert set(nodes[0].live) == set(nodes[1].live) == set(nodes[2].live)
    held = {id: signed for each in nodes for id, signed in each.full.items()}
    assert set(nodes[0].live) == expected(list(held.values()))
