"""What a node decides about shared records, without I/O: see `core` for the way in."""

from maillon.node.engine.core import Engine, Refused, Verdict
from maillon.node.engine.ingest import Outcome, Prepared
from maillon.node.engine.sync import Session, SyncInitiator, SyncResponder
from maillon.node.engine.view import IdentityView

__all__ = [
    "Engine",
    "IdentityView",
    "Outcome",
    "Prepared",
    "Refused",
    "Session",
    "SyncInitiator",
    "SyncResponder",
    "Verdict",
]
