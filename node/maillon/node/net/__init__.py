"""The network: libp2p driven so that peers can neither stop nor exhaust the node (spec/04).

    settings = NetSettings(topic=topic(fed), listen=("/ip4/0.0.0.0/tcp/4001",))
    net = Libp2pNetwork(settings, seed, validator, on_event, admit, rng=random.Random())
    await nursery.start(net.run)

Importing this package does not import libp2p; running the driver does.
"""

from __future__ import annotations

import importlib

from maillon.node.net.driver import Libp2pNetwork
from maillon.node.net.identity import key_of, parse_address, peer_id
from maillon.node.net.settings import NetSettings

__all__ = ["Libp2pNetwork", "NetSettings", "key_of", "load_libraries", "parse_address", "peer_id"]


def load_libraries() -> None:
    """Import libp2p, which takes seconds; may run in a thread beside work that cannot wait."""
    importlib.import_module("maillon.node.net.host")
