"""Say which requests of relays and which answers count (spec/08-community, "Relays").

What a record alone says (its form, that a coop's node signed it) is looked at before, as of every
private record.
"""

from __future__ import annotations

from typing import Any, cast

from maillon.protocol.envelope import Signed
from maillon.protocol.errors import NotAllowed
from maillon.protocol.limits import RELAY_SLACK_S


def check_request(request: Signed, brought_by: bytes) -> None:
    """Return when a request counts that the node of a coop (32 bytes) brought.

    Raises: NotAllowed with rule `relay` when it is another coop's, `deadline` when the time for the
    answer is over before it begins, or outlasts the request.
    """
    _require_own(request, brought_by)
    header, fields = request.header, _fields(request)
    if not header.at < fields["deadline"] <= header.until:
        raise NotAllowed("The time for the answer is past before it begins.", rule="deadline")


def check_answer(answer: Signed, request: Signed, asked: bytes, brought_by: bytes) -> None:
    """Return when an answer to a request counts that `asked` (a coop, 32 bytes) was sent.

    Raises: NotAllowed with rule `relay` when it is another coop's than the one that brings it or
    that was asked, `request` and `demand` when it is about something else.
    """
    _require_own(answer, brought_by)
    fields = _fields(answer)
    if brought_by != asked or fields["request"] != request.id:
        raise NotAllowed("Nobody asked for this answer.", rule="request")
    if fields["demand"] != _fields(request)["demand"]:
        raise NotAllowed("The answer is about another demand.", rule="demand")


def in_time(request: Signed, arrived_at: int) -> bool:
    """Tell whether an answer that arrived at a time (Unix seconds) was in time."""
    deadline: int = _fields(request)["deadline"]
    return arrived_at <= deadline + RELAY_SLACK_S


def _require_own(signed: Signed, brought_by: bytes) -> None:
    if signed.header.coop != brought_by:
        raise NotAllowed("A relay is asked and answers in its own name.", rule="relay")


def _fields(signed: Signed) -> dict[str, Any]:
    return cast("dict[str, Any]", signed.payload)
