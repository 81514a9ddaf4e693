"""Say whether a bundle or a micro-organisation has everybody's consent (spec/08-community).

Each of those named signs a part that names the very revision it consents to; the author of the
whole has signed it already. A revision asks everybody again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from maillon.protocol.envelope import Valid

_PARTS = {"bundle": "bundle_part", "organisation": "organisation_part"}


def named(whole: Valid) -> tuple[bytes, ...]:
    """Return the authors whom a bundle or a micro-organisation names, each once, in its order."""
    fields = cast("dict[str, Any]", whole.signed.payload)
    if whole.signed.header.kind == "bundle":
        return tuple(dict.fromkeys(part["provider"] for part in fields["parts"]))
    return tuple(member["author"] for member in fields["members"])


def waiting_for(whole: Valid, parts: Iterable[Valid]) -> tuple[bytes, ...]:
    """Return whose consent is missing; nobody's: the whole counts. Other records are passed over.

    `whole` is a live bundle or organisation, `parts` live records among which the consents are.
    """
    kind = _PARTS[whole.signed.header.kind]
    given = {
        part.author
        for part in parts
        if part.signed.header.kind == kind and part.signed.header.refs == (whole.signed.id,)
    }
    given.add(whole.author)
    return tuple(author for author in named(whole) if author not in given)


def complete(whole: Valid, parts: Iterable[Valid]) -> bool:
    """Tell whether everybody whom a bundle or a micro-organisation names has consented to it."""
    return not waiting_for(whole, parts)


def approved(whole: Valid, approvals: Iterable[bytes]) -> bool:
    """Tell whether so many members approve as the joint signature rule of an organisation asks.

    `approvals` are the authors who said yes; strangers and repetitions count nothing.
    """
    fields = cast("dict[str, Any]", whole.signed.payload)
    needed: int = fields["rule"]["signatures"]
    return len(set(approvals) & set(named(whole))) >= needed
