"""A victim and an honest friend, in processes of their own, for many attacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.nethost import Child, link


@pytest.fixture(scope="session")
def pair() -> Iterator[tuple[Child, Child]]:
    """Return (victim, friend): connected, and in each other's mesh."""
    victim = Child("victim")
    # The friend comes from an address the attackers do not use up.
    friend = Child("friend", bounds={"LIVENESS_S": 15.0})
    try:
        link(friend, victim)
        yield victim, friend
        assert victim.stop() == 0
        assert friend.stop() == 0
    finally:
        victim.kill()
        friend.kill()
