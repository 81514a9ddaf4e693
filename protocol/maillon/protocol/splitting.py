"""Split an amount by shares, exactly to the minor unit (spec/08-community, "Splitting").

Largest remainder (Hamilton's method): everybody gets the whole part of what the share comes to, and
the minor units that are left go, one each, to the largest remainders. Equal remainders go to the
lesser author first, bytewise: every node splits alike, whatever order it knows the members in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maillon.protocol.errors import LocalError
from maillon.protocol.limits import INT_MAX


def shares(amount: int, members: Iterable[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """Return (author, minor units) in the order of `members`; the sum is `amount` to the unit.

    `amount` is 0 to 2^53 - 1, `members` are (author, share) with shares of 0 or more. Nobody gets
    less than the whole part of its share, nor more than one unit above it; who has share 0 gets
    nothing.

    Raises: LocalError for a negative amount or share, an author named twice, or no share above 0.
    """
    parts = list(members)
    total = sum(share for _, share in parts)
    if not 0 <= amount <= INT_MAX:
        raise LocalError("An amount to split is between 0 and 2^53 - 1.", amount=amount)
    if any(share < 0 for _, share in parts):
        raise LocalError("No share is below 0.")
    if len({author for author, _ in parts}) != len(parts):
        raise LocalError("An author is named twice.")
    if total == 0:
        raise LocalError("One share at least is more than 0.")
    whole = [amount * share // total for _, share in parts]
    # The remainders add up to (left * total), each below total: there are more than `left` of them
    # above 0, or none, so a share of 0 never gets a unit.
    left = amount - sum(whole)
    ranked = sorted(
        range(len(parts)), key=lambda at: (-(amount * parts[at][1] % total), parts[at][0])
    )
    for at in ranked[:left]:
        whole[at] += 1
    return [(author, units) for (author, _), units in zip(parts, whole, strict=True)]


def group_shares(
    amount: int, members: Sequence[tuple[bytes, int]], split: str, performer: bytes | None = None
) -> list[tuple[bytes, int]]:
    """Split what a micro-organisation is paid, by its own rule; who gets nothing is left out.

    `split` is `shares`, `equal` or `performer` (all of it to the member who did the work).

    Raises: LocalError as `shares` does, for another rule, and for a performer who is no member.
    """
    match split:
        case "shares":
            parts = shares(amount, members)
        case "equal":
            parts = shares(amount, [(author, 1) for author, _ in members])
        case "performer":
            if performer is None or performer not in {author for author, _ in members}:
                raise LocalError("Who did the work is no member of the group.")
            parts = shares(amount, [(performer, 1)])
        case _:
            raise LocalError("There is no such way to split.", split=split)
    return [(author, units) for author, units in parts if units]
