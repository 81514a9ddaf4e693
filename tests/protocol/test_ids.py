"""Claims about maillon.protocol.ids."""

from __future__ import annotations

from maillon.protocol import ids


def test_a_short_id_is_the_first_eight_characters_of_the_long_one() -> None:
    identifier = bytes(range(0xA0, 0xC0))
    assert ids.short(identifier) == identifier.hex()[:8] == "a0a1a2a3"
