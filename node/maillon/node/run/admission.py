"""A founding coop's word that another coop belongs to the federation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from maillon.node import clock
from maillon.protocol.cards import CoopCard
from maillon.protocol.envelope import Draft, draft
from maillon.protocol.keys import coop_id
from maillon.protocol.records import KINDS, build
from maillon.protocol.validation import longest_until

if TYPE_CHECKING:
    from maillon.node.run.node import Node


def admitters(node: Node, coop: bytes) -> set[bytes]:
    """Return the founding coops that admit a coop now."""
    founders = {entry.id for entry in node.founding.coops}
    found: set[bytes] = set()
    for valid in node.store.by_kinds(("admission",)):
        payload = valid.signed.payload
        assert payload is not None, "a live record has its payload"
        root = payload["root"]
        assert isinstance(root, bytes)
        if coop_id(root) == coop and valid.signed.header.coop in founders:
            found.add(valid.signed.header.coop)
    return found


def missing_founders(node: Node, coop: bytes) -> tuple[int, list[str]]:
    """Return how many more founders must admit a coop, and the names of those who could."""
    founding = node.founding
    if founding.founder(coop) is not None:
        return 0, []
    already = admitters(node, coop)
    missing = max(0, founding.admission_quorum - len(already))
    names = [entry.name for entry in founding.coops if entry.id not in already]
    return missing, names if missing else []


def admission_draft(node: Node, card: CoopCard) -> Draft | None:
    """Draft the own coop's admission of a coop, or None when there is nothing to say.

    That is when the own coop is no founder, the other one is, or it is admitted by us already with
    the same keys and for long enough.
    """
    founding = node.founding
    if founding.founder(node.coop) is None or founding.founder(card.id) is not None:
        return None
    now = clock.now()
    fields = {
        "root": card.root,
        "name": card.name,
        "node_key": card.node_key,
        "addresses": list(card.addresses) or None,
    }
    new = draft(
        "admission",
        build("admission", salt=os.urandom(16), **fields),
        fed=founding.fed,
        coop=node.coop,
        by=node.node_key.public,
        at=now,
        until=longest_until(
            "admission", node.engine.view, coop=node.coop, by=node.node_key.public, at=now
        ),
    )
    head = node.store.head(b"c" + node.coop, new.header.series)
    if head is None:
        return new
    current = node.store.get(head.id)
    if (
        current is not None
        and current.payload is not None
        and head.kind == "admission"
        and current.payload["node_key"] == card.node_key
        and current.header.until > now + KINDS["admission"].lifetime_s_max // 2
    ):
        return None
    return draft(
        "admission",
        new.payload,
        fed=founding.fed,
        coop=node.coop,
        by=node.node_key.public,
        at=max(now, head.at),
        until=max(new.header.until, head.until),
        rev=head.rev + 1,
    )
