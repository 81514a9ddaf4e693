"""What an operator can set about the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maillon.node import bounds


@dataclass(frozen=True, slots=True)
class NetSettings:
    """How a node takes part in its federation's network.

    `topic` is maillon.protocol.gossip.topic(fed). `listen` are multiaddresses, port 0 for any.
    `announce` replaces what `addresses()` finds out itself, for nodes behind port forwarding.
    `relay`: "use" keeps a place at a federation node that relays when we cannot be reached,
    "serve" offers such places, "off" neither.
    """

    topic: str
    listen: tuple[str, ...] = ("/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001")
    announce: tuple[str, ...] = ()
    mdns: bool = False
    relay: Literal["off", "use", "serve"] = "off"
    connected_target: int = bounds.CONNECTED_TARGET
    liveness_s: float = bounds.LIVENESS_S
