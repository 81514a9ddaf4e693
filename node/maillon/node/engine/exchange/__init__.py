"""The exchanges of a node: what is written, to whom it is sealed, what is paid, what is published.

It decides and never does I/O of its own (spec/08): a driver gives it time, random bytes and keys,
and does what its effects say.
"""

from maillon.node.engine.exchange.core import ExchangeCore, Setup

__all__ = ["ExchangeCore", "Setup"]
