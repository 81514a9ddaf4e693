"""Put the node together: store, engine, network, API, in one trio loop.

Importing this package imports neither trio nor libp2p; `run_node` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maillon.node.config import Config
    from maillon.node.home import Home


def run_node(home: Home, config: Config, password: bytes, *, log_format: str | None = None) -> None:
    """Run the node of a home until SIGTERM or SIGINT; the caller holds the home's lock."""
    from maillon.node.run.node import run

    run(home, config, password, log_format=log_format)
