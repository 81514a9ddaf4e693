"""Find the moves that public records tell of and a node's own files do not.

A node that was put back from an older copy has forgotten who declared a move meanwhile. The record
stands, and signs for the person: what was not brought to its end is gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from maillon.node.engine.exchange.addressing import coop_of, is_person
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.records import Writer
from maillon.protocol.envelope import Valid
from maillon.protocol.moving import present


@dataclass(frozen=True)
class Declared:
    """A move as its record tells it: who goes, as whom, signed with which key, when."""

    person: bytes
    to_author: bytes
    key: bytes
    at: int


def unfinished(host: PersonsHost, writer: Writer) -> Iterator[Declared]:
    """Yield the declared moves away from this coop whose last step (spec/08-persons) is not done.

    Not done is: the coop vouches for a key of the old author still, or its register holds one. Who
    has come back since is no longer moving.
    """
    moves = list(writer.live("move"))
    for move in moves:
        author = move.author
        if not is_person(author) or coop_of(author) != host.coop:
            continue
        if _known(host, writer, author[33:]) and present(author, moves) != author:
            yield _declared(move)


def _known(host: PersonsHost, writer: Writer, person: bytes) -> bool:
    vouched = any(payload["status"] != "revoked" for _info, payload in writer.keys(person))
    return vouched or any(row.held for row in host.register.keys_of(person))


def _declared(move: Valid) -> Declared:
    fields = cast("dict[str, Any]", move.signed.payload)
    header = move.signed.header
    return Declared(move.author[33:], fields["to"], header.by, header.at)
