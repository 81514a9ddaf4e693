"""Follow a person from coop to coop, and judge a key a coop vouches for (spec/08-community)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from maillon.protocol.envelope import Valid
from maillon.protocol.view import person_author


def _steps(moves: Iterable[Valid]) -> dict[bytes, tuple[bytes, tuple[int, bytes]]]:
    steps: dict[bytes, tuple[bytes, tuple[int, bytes]]] = {}
    for move in moves:
        fields = cast("dict[str, Any]", move.signed.payload)
        steps[fields["from"]] = (fields["to"], (move.signed.header.at, move.signed.id))
    return steps


def present(author: bytes, moves: Iterable[Valid]) -> bytes:
    """Return who an author is today, after all live moves.

    Who came back to an earlier coop goes in a circle: the latest move (by `at`, then id) of the
    circle is its end, whichever of its authors is asked about.
    """
    steps = _steps(moves)
    path = [author]
    while (step := steps.get(path[-1])) is not None:
        if step[0] in path:
            circle = path[path.index(step[0]) :]
            return steps[max(circle, key=lambda who: steps[who][1])][0]
        path.append(step[0])
    return path[-1]


def past(author: bytes, moves: Iterable[Valid]) -> tuple[bytes, ...]:
    """Return all whom an author was before, by live moves, nearest first; itself left out.

    Whose attestations and dealings count as the person's: these, and its own.
    """
    back: dict[bytes, list[bytes]] = {}
    for origin, (target, _) in sorted(_steps(moves).items()):
        back.setdefault(target, []).append(origin)
    found: dict[bytes, None] = {}
    level = [author]
    while level:
        level = [
            origin
            for who in level
            for origin in back.get(who, ())
            if origin != author and origin not in found
        ]
        found.update(dict.fromkeys(level))
        level = list(dict.fromkeys(level))
    return tuple(found)


def vouching_stands(vouching: Valid, contests: Iterable[Valid], now: int) -> bool | None:
    """Tell whether a new key that a coop vouches for is the person's.

    True once the time to contest has passed and nobody did; False when the person contests; None
    while it can still be contested. `contests` are live records; those of others are passed over.
    """
    if any(contest.signed.header.refs == (vouching.signed.id,) for contest in contests):
        return False
    fields = cast("dict[str, Any]", vouching.signed.payload)
    return True if now > fields["contest_until"] else None


def vouched_person(vouching: Valid) -> bytes:
    """Return the author whose key a vouching is about."""
    fields = cast("dict[str, Any]", vouching.signed.payload)
    return person_author(vouching.signed.header.coop, fields["person"])
