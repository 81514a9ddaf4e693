"""Show drafts as devices get them."""

from __future__ import annotations

import hashlib

from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.plain import payload_to_json
from maillon.protocol.encoding import encode
from maillon.protocol.envelope import PURPOSE, Draft
from maillon.protocol.keys import signing_bytes


def drafted(made: Draft, exchange: str) -> shapes.DraftOut:
    """Return a draft as a device gets it."""
    header = made.header.encode()
    return shapes.DraftOut(
        kind=made.header.kind,
        exchange=exchange,
        id=hashlib.sha256(header).hexdigest(),
        header=header.hex(),
        payload=encode(made.payload).hex(),
        sign=signing_bytes(PURPOSE, header).hex(),
        fields=payload_to_json(made.payload) or {},
    )
