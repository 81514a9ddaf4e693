"""The stories of `support.scenarios`, told to the simulation."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from maillon.protocol.envelope import Signed
from simulation.check import Checker
from simulation.net import Clockwork, Net, Weather
from simulation.node import SimNode, Verifier
from support.scenarios import SCENARIOS, Scenario
from support.world import NOW, World


class Simulated:
    """Three nodes with simulated time and network; waiting lets the time pass."""

    def __init__(self, name: str, loss: float) -> None:
        self.world = World(3, seed=name)
        self._clock = Clockwork(f"{name} {loss}", float(NOW))
        self._net = Net(self._clock)
        self._net.weather = Weather(loss=loss, latency_s=0.1)
        checker = Checker(self.world.founding)
        verifier = Verifier()
        self._nodes = [
            SimNode(coop.name, coop.node, self.world.founding, self._net, checker, verifier, 0.0)
            for coop in self.world.coops
        ]
        self._net.nodes = list(self._nodes)
        for one in self._nodes:
            for other in self._nodes:
                self._net.pairs.add(frozenset((one.name, other.name)))
        for node in self._nodes:
            node.boot()

    async def submit(self, node: int, signed: Signed) -> None:
        fault = self._nodes[node].submit(signed.encode())
        if fault is not None:
            raise fault

    async def cut(self, node: int) -> None:
        self._net.island[self._nodes[node].name] = 1
        self._net.refresh()

    async def join(self, node: int) -> None:
        self._net.island.clear()
        self._net.refresh()

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        for _ in range(600):
            if holds():
                return
            self._clock.run_until(self._clock.now + 1.0)
        pytest.fail(f"not in ten minutes: {what}")

    def live(self, node: int) -> frozenset[bytes]:
        return frozenset(self._nodes[node].disk.live_records())


@pytest.mark.parametrize("loss", [0.0, 1.0], ids=["gossip", "no gossip"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_story_ends_well(scenario: Scenario, loss: float) -> None:
    story = cast(Coroutine[Any, Any, None], scenario(Simulated(scenario.__name__, loss)))
    # Nothing in simulated time ever waits for the world: the story runs through in one go.
    with pytest.raises(StopIteration):
        story.send(None)
