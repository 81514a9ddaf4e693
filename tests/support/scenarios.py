"""Short stories of a federation, told to whatever carries it: the simulation, or real nodes.

A harness has the nodes of a `World`'s founding coops, each by its coop's place. It knows nothing of
how they are connected; waiting is its business (`until` fails after a bound of its own).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from maillon.protocol.envelope import Signed
from support.world import World


class Harness(Protocol):
    """What a story needs of a federation."""

    @property
    def world(self) -> World: ...

    async def submit(self, node: int, signed: Signed) -> None:
        """Hand a record of its own people to a node; it has to be taken."""
        ...

    async def cut(self, node: int) -> None:
        """Cut a node off from all others."""
        ...

    async def join(self, node: int) -> None:
        """Let it reach the others again."""
        ...

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        ...

    def live(self, node: int) -> frozenset[bytes]:
        """Return the ids of a node's live records."""
        ...


Scenario = Callable[[Harness], Awaitable[None]]


async def _found(harness: Harness) -> None:
    profiles = [harness.world.profile(coop) for coop in harness.world.coops]
    for node, profile in enumerate(profiles):
        await harness.submit(node, profile)
    await _everywhere(harness, "the coops know each other", *profiles)


async def _everywhere(harness: Harness, what: str, *records: Signed) -> None:
    ids = {signed.id for signed in records}
    nodes = range(len(harness.world.coops))
    await harness.until(what, lambda: all(ids <= harness.live(node) for node in nodes))


async def _nowhere(harness: Harness, what: str, signed: Signed) -> None:
    nodes = range(len(harness.world.coops))
    await harness.until(what, lambda: all(signed.id not in harness.live(node) for node in nodes))


async def an_offer_reaches_everybody(harness: Harness) -> None:
    """What one node takes in, all have."""
    await _found(harness)
    member = harness.world.make_member(0, "Ada")
    membership, offer = harness.world.membership(member), harness.world.offer(member)
    await harness.submit(0, membership)
    await harness.submit(0, offer)
    await _everywhere(harness, "the offer is everywhere", membership, offer)


async def a_node_that_was_away_catches_up(harness: Harness) -> None:
    """What was said while a node was cut off comes when it is back, both ways."""
    await _found(harness)
    await harness.cut(1)
    members = [harness.world.make_member(place, "Ada") for place in range(2)]
    records: list[Signed] = []
    for place, member in enumerate(members):
        mine = [harness.world.membership(member)]
        mine += [harness.world.offer(member, f"Offer {n}") for n in range(20)]
        for signed in mine:
            await harness.submit(place, signed)
        records += mine
    await harness.join(1)
    await _everywhere(harness, "both sides have everything", *records)


async def a_withdrawal_wins_over_an_older_revision(harness: Harness) -> None:
    """A thing revised on one side of a cut and withdrawn later on the other is gone."""
    await _found(harness)
    world = harness.world
    member = world.make_member(0, "Ada")
    offer = world.offer(member)
    for signed in (world.membership(member), offer):
        await harness.submit(0, signed)
    await _everywhere(harness, "the offer is everywhere", offer)
    await harness.cut(1)
    revised = world.offer(member, "Revised", rev=1, series=offer.header.series)
    await harness.submit(1, revised)
    withdrawal = world.withdrawal(offer, member.key, member.coop, rev=2)
    await harness.submit(0, withdrawal)
    await harness.join(1)
    await _everywhere(harness, "the withdrawal is everywhere", withdrawal)
    await _nowhere(harness, "the revision is gone", revised)


async def a_revoked_key_loses_what_it_signed(harness: Harness) -> None:
    """Offers of a stolen key leave all nodes, also one that was away."""
    await _found(harness)
    world = harness.world
    member = world.make_member(0, "Ada")
    offer = world.offer(member)
    for signed in (world.membership(member), offer):
        await harness.submit(0, signed)
    await _everywhere(harness, "the offer is everywhere", offer)
    await harness.cut(2)
    revoked = {"reason": "stolen", "until_at": offer.header.at - 1}
    end = world.membership(
        member, rev=1, at=offer.header.at, status="revoked", revoked=revoked
    )
    await harness.submit(0, end)
    await harness.join(2)
    await _everywhere(harness, "the revocation is everywhere", end)
    await _nowhere(harness, "the offer is gone", offer)


SCENARIOS: tuple[Scenario, ...] = (
    an_offer_reaches_everybody,
    a_node_that_was_away_catches_up,
    a_withdrawal_wins_over_an_older_revision,
    a_revoked_key_loses_what_it_signed,
)
"""Each wants three founding coops."""
