"""Whoever writes an attestation marks what the community asks, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from maillon.node.exchange.evaluating import UnknownCriterion, require_asked
from maillon.node.run.authoring import check_marks
from support.world import World

FOUNDING = dataclasses.replace(World(seed="marks").founding, criteria=())


def test_an_attestation_of_what_nobody_asks_is_refused_before_it_is_signed() -> None:
    payload: dict[str, Any] = {"criteria": {"quality": 5, "zzz": 5}}
    with pytest.raises(UnknownCriterion) as refused:
        check_marks(FOUNDING, "attestation", payload)
    assert "zzz" in str(refused.value) and "punctuality" in str(refused.value.hint)
    with pytest.raises(UnknownCriterion):
        require_asked(FOUNDING, payload["criteria"])
    del payload["criteria"]["zzz"]
    check_marks(FOUNDING, "attestation", payload)


def test_other_kinds_have_no_marks() -> None:
    check_marks(FOUNDING, "offer", {"criteria": {"zzz": 5}})
    check_marks(FOUNDING, "attestation", {"criteria": 5})
