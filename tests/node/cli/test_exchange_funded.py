"""What a third party pays, by the commands that people type, until both have evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.circuit import UNITS, circuit
from support.nodes import wait_for


@pytest.mark.capability("DOM-3")
def test_what_a_third_party_funds_is_evaluated_by_the_two_with_the_usual_commands(
    tmp_path: Path,
) -> None:
    with circuit(tmp_path, units=(*UNITS, "savoir:count:Savoirs")) as two:
        members = two.coops.do(1, "member", "list")["members"]
        ids = {member["name"]: f"Coop B:{member['person']}" for member in members}
        opened = two.coops.do(
            0, "exchange", "open", "--with", ids["Bruno Exemple"], "--role", "requester",
            "--title", "Toilette du matin", "--by", "Ana", "--payer", ids["Chloé Exemple"],
        )  # fmt: skip
        id = opened["exchange"]["id"]
        two.shows(1, id, lambda e: e["phase"] == "opened")
        two.coops.do(1, "exchange", "quote", id, "--amount", "40min", *two.reach)
        two.reaches(0, id, "quoted")
        two.coops.tell(0, "exchange", "accept", id)
        (asked,) = wait_for(
            lambda: two.coops.do(1, "exchange", "fundings")["fundings"], "the payer is asked"
        )
        two.words(1, "exchange", "fund", asked["id"][:12])
        two.shows(1, id, lambda e: e["hold"] is not None and e["hold"]["status"] == "held")
        two.coops.do(1, "exchange", "check-in", id)
        two.coops.do(1, "exchange", "check-out", id)
        two.reaches(0, id, "done")
        two.coops.tell(0, "exchange", "approve", id)
        two.pays(0, id)
        # At once: what is on its way still is waited for.
        kept = two.words(0, "exchange", "evaluate", id, "--mark", "quality=5")
        assert "Kept until the other side has evaluated too" in kept
        assert "Acknowledgement of 1" in two.words(0, "exchange", "show", id)
        two.shows(1, id, lambda e: bool(e["evaluations"]))
        two.coops.do(1, "exchange", "evaluate", id, "--mark", "quality=4")
        two.reaches(0, id, "evaluated")
        assert two.coops.balance(0, "Ana Exemple", "heure") == 0
