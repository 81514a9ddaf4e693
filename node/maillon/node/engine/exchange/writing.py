"""Draft steps: payload, place in the transcript, and whether it fits now (spec/08)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from maillon.node.engine.exchange.ports import Directory
from maillon.protocol.envelope import Draft, draft
from maillon.protocol.exchange import Exchange, check_next
from maillon.protocol.records import build
from maillon.protocol.records.exchange import STEP_KINDS
from maillon.protocol.validation import Standing, longest_until, standing

OWN_REFS = frozenset({"opening", "funding_request", "funding", "bundle_decision"})
"""Kinds that refer to nothing, or say themselves what to."""

NAMING = STEP_KINDS - {"opening", "bundle_decision"} | {"funding_request"}
"""Kinds that name their exchange."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose key signs, which coop vouches for it, and under which mandate (a thing id or b"")."""

    key: bytes
    coop: bytes
    as_: bytes = b""


class Writer:
    """Draft steps. `random` gives secret random bytes."""

    def __init__(self, fed: bytes, directory: Directory, random: Callable[[int], bytes]) -> None:
        self._fed = fed
        self._directory = directory
        self._random = random

    def draft(
        self,
        kind: str,
        fields: Mapping[str, Any],
        signer: Signer,
        state: Exchange | None,
        now: int,
        *,
        refs: tuple[bytes, ...] | None = None,
        newest: int = 0,
    ) -> tuple[Draft, Standing]:
        """Draft a step of an exchange, or its opening when there is no state yet.

        `newest` is the latest time among the steps it follows: the step is not dated before it.
        Nothing is checked against the state. Raises: FieldError, and what says that nobody vouches
        for the signer.
        """
        at = max(now, newest)
        values = dict(fields)
        if state is not None and kind in NAMING:
            values["exchange"] = state.id
        payload = build(kind, salt=self._random(16), **values)
        until = longest_until(
            kind, self._directory, coop=signer.coop, by=signer.key, at=at, as_=signer.as_
        )
        if refs is None:
            refs = () if state is None or kind in OWN_REFS else state.heads
        made = draft(
            kind,
            payload,
            fed=self._fed,
            coop=signer.coop,
            by=signer.key,
            at=at,
            until=until,
            series=self._random(16),
            as_=signer.as_,
            refs=refs,
        )
        id = hashlib.sha256(made.header.encode()).digest()
        return made, standing(made.header, id, self._directory)

    @staticmethod
    def require(made: Draft, standing: Standing, state: Exchange) -> None:
        """Return when a step may be taken now. Raises: StepRefused with what is possible."""
        header = made.header
        check_next(
            state,
            header.kind,
            made.payload,
            standing.author,
            header.at,
            signer_role=standing.role,
            by=header.by,
        )
