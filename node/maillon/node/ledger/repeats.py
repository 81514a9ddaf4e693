"""Know what was asked under a key before, so that asking it again does nothing new.

Whoever asks and gets no answer, because the node or the line broke, cannot know whether it was
kept. Under a key of their own they ask the very same again: it is given once. Rows of spaces of
ledger.db, written in the same commit as what was asked:

    asked      key          digest of what was asked, its id, when
    asked at   time key     to find the oldest
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, cast

from maillon.ledger.steps import Write
from maillon.node.i18n import _
from maillon.node.ledger import bounds
from maillon.node.ledger.staging import LedgerDisk
from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.errors import LocalError

SPACE: Final = "asked"
BY_TIME: Final = "asked at"
ROW_BYTES_MAX: Final = 128


class KeyUsed(LocalError):
    """Another thing was asked under this key."""

    code = "key_used"


class Repeats:
    """Remember keys for KEYS_KEPT_S."""

    def __init__(self, disk: LedgerDisk) -> None:
        self._disk = disk

    def known(self, key: str, what: list[Value]) -> bytes | None:
        """Return the id of what was asked under a key, or None. Raises: KeyUsed for another."""
        found = self._disk.get(SPACE, key.encode())
        if found is None:
            return None
        digest, id, _at = _row(found)
        if digest != _digest(what):
            raise KeyUsed(
                _("Another transfer was asked under {key} before.").format(key=key),
                hint=_("Give each transfer an id of its own; a repetition is the very same one."),
                id=id,
            )
        return id

    def remember(self, key: str, what: list[Value], id: bytes, now: int) -> None:
        """Note what is asked under a key; it is durable with what is staged with it."""
        row = encode([_digest(what), id, now])
        name = key.encode()
        self._disk.commit(
            (
                *self._outdated(now),
                Write(SPACE, name, row),
                Write(BY_TIME, now.to_bytes(8, "big") + name, b""),
            )
        )

    def _outdated(self, now: int) -> list[Write]:
        gone: list[Write] = []
        for place, _value in self._disk.scan(BY_TIME):
            if int.from_bytes(place[:8], "big") >= now - bounds.KEYS_KEPT_S:
                break
            gone.append(Write(BY_TIME, place, None))
            found = self._disk.get(SPACE, place[8:])
            # What was refused and asked anew has a younger row too.
            if found is not None and _row(found)[2] == int.from_bytes(place[:8], "big"):
                gone.append(Write(SPACE, place[8:], None))
            if len(gone) >= bounds.KEYS_DROPPED_MAX:
                break
        return gone


def _digest(what: list[Value]) -> bytes:
    return hashlib.sha256(encode(what)).digest()


def _row(data: bytes) -> tuple[bytes, bytes, int]:
    digest, id, at = cast("list[Any]", decode(data, bytes_max=ROW_BYTES_MAX))
    return digest, id, at
