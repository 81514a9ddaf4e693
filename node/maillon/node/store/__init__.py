"""Keep records, in SQLite for a node and in dictionaries for the simulator."""

from maillon.node.store.memory import MemoryStore
from maillon.node.store.sqlite import SqliteStore

__all__ = ["MemoryStore", "SqliteStore"]
