"""The list of coops says how far each is from belonging."""

from __future__ import annotations

from maillon.node.cli.federation import belonging


def test_a_coop_that_too_few_founders_admitted_is_not_called_admitted() -> None:
    newcomer = {"founder": False, "admitted": False, "admissions": 1}
    assert "1" in belonging(newcomer, 2) and "2" in belonging(newcomer, 2)
    admitted = belonging({"founder": False, "admitted": True, "admissions": 2}, 2)
    founder = belonging({"founder": True, "admitted": True, "admissions": 0}, 2)
    assert len({belonging(newcomer, 2), admitted, founder}) == 3
