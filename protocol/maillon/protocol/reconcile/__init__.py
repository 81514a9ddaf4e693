"""Find the difference between two sets of records without listing them (spec/05)."""

from .itemset import INFINITY, MIN_BOUND, TIMESTAMP_INFINITY, Bound, ItemSet, fingerprint
from .negentropy import Initiator, Responder, Step
from .ranges import EVERYTHING, Range
from .wire import PROTOCOL_VERSION, WireRange, parse_message

__all__ = [
    "EVERYTHING",
    "INFINITY",
    "MIN_BOUND",
    "PROTOCOL_VERSION",
    "TIMESTAMP_INFINITY",
    "Bound",
    "Initiator",
    "ItemSet",
    "Range",
    "Responder",
    "Step",
    "WireRange",
    "fingerprint",
    "parse_message",
]
