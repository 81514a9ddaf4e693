"""What goes over the interface about the charter: the coops, their limits, and what is proposed.

Ids and keys are hexadecimal text, times Unix seconds; amounts as in `ledger_shapes`. Fields are
only ever added.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from maillon.node.api.ledger_shapes import Balance
from maillon.node.api.shapes import Request


class CharterCoopOut(Struct):
    coop: str
    name: str
    node_key: str
    writer: str
    witness: str
    limits: list[Balance]
    accounts_max: int
    entered: int
    trustee: str
    removed: bool


class EndedOut(Struct):
    """A proposal that came into force, or that another one came before."""

    proposal: str
    title: str
    entries: list[str]
    """What it was to change, in sentences."""
    approvals: int
    needed: int
    status: str
    """certified, or outdated: it was about a charter that another block has replaced."""
    height: int
    """The charter block that ended it, of this `time`."""
    time: int
    by: str
    """The proposal that block was made of."""
    by_title: str


class CharterOut(Struct):
    enabled: bool
    height: int
    hash: str
    time: int
    quorum: int
    approvals: int
    recovery_s: int
    accounts_max: int
    units: list[dict[str, Any]]
    coops: list[CharterCoopOut]
    retired_below: int
    sentences: list[str]
    ended: list[EndedOut] = []
    """The last proposals that ended, the last first, as far as this node heard of them."""


class ProposalRequest(Request):
    """A change of the charter: each entry is a map that names itself and what it needs.

    {"entry": "admit", "card", "limits": [{"unit", "limit"}], "accounts_max"?}, {"entry": "remove",
    "coop", "trustee"}, {"entry": "key", "coop", "role": "writer"|"witness", "key"}, {"entry":
    "limit", "coop", "unit", "limit"}, {"entry": "trustee", "coop", "trustee"}, {"entry": "quorum",
    "quorum"}, {"entry": "unit", "code", "kind", "decimals", "label"}, {"entry": "clear", "chain",
    "fraud"}, {"entry": "rule", "name", "value"}, {"entry": "retire", "below"}.
    """

    entries: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=16)]
    title: Annotated[str, Meta(max_length=200)] = ""


class ApprovalOut(Struct):
    coop: str
    name: str


class ProposalOut(Struct):
    proposal: str
    """Its hash, which names it."""
    title: str
    height: int
    """The charter block that it would be."""
    entries: list[str]
    """What it changes, in sentences."""
    approvals: list[ApprovalOut]
    needed: int
    approved_here: bool
    status: str
    """open, certified, or outdated: another block took its place."""
    consequences: list[str] = []
    """What the witnesses withstand then, in sentences, when it changes them or their quorum."""


class Proposals(Struct):
    proposals: list[ProposalOut]
