"""What real local services need of accounts, over real nodes: each claim by its identifier.

The identifiers are those of docs/capabilities.md, which says what each asks and how far it is met.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.exchanges import Exchanges, federation
from support.nodes import wait_for


@pytest.fixture(scope="module")
def coops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchanges]:
    # A short path: that of a socket has at most 107 bytes.
    with federation(tmp_path_factory.mktemp("x"), "a", "b") as made:
        yield made


@pytest.mark.capability("CAH-1")
def test_a_sel_trades_in_its_own_unit_with_the_limits_of_its_assembly(coops: Exchanges) -> None:
    coops.enrol(0, "Sel Un", "--unit", "grain", "--limit", "50", "--max", "100")
    two = coops.enrol(0, "Sel Deux", "--unit", "grain", "--limit", "50", "--max", "100")
    coops.do(0, "transfer", "Sel Un", "Sel Deux", "12,50", "--unit", "grain", "--memo", "Miel")
    assert coops.balance(0, "Sel Un", "grain") == -1_250
    assert coops.balance(0, "Sel Deux", "grain") == 1_250

    before = coops.do(0, "account", "show", "Sel Un")
    error = coops.refused(0, "transfer", "Sel Un", "Sel Deux", "37.51", "--unit", "grain")
    assert (error["code"], error["exit"]) == ("over_limit", 4)
    assert "-12.50" in error["message"].replace("−", "-") and "37.50" in error["hint"]
    assert coops.do(0, "account", "show", "Sel Un") == before

    # The assembly changes its mind: what was refused goes through, and no further.
    coops.do(0, "account", "limit", "Sel Un", "200", "--unit", "grain", "--max", "200")
    coops.do(0, "transfer", "Sel Un", two, "80", "--unit", "grain")
    error = coops.refused(0, "transfer", "Sel Un", two, "7.51", "--unit", "grain")
    assert error["code"] == "over_maximum"
    assert coops.total("grain") == 0
    for report in coops.settled():
        assert report["good"] and all(total["balance"] == 0 for total in report["sums"])


@pytest.mark.capability("CAH-2")
def test_an_accorderie_counts_hours_and_pays_and_credits_the_commons(coops: Exchanges) -> None:
    hours = ("--unit", "heure", "--limit", "5h")
    for name in ("Accordeur Un", "Accordeur Deux"):
        coops.enrol(0, name, *hours)
    coops.do(0, "account", "limit", "commons", "20h", "--unit", "heure")
    # An hour is an hour: whatever was done, only the time counts.
    for what, category in (("Plomberie", "habitat"), ("Conversation", "lien-social")):
        coops.do(
            0, "transfer", "Accordeur Un", "Accordeur Deux", "1h", "--unit", "heure",
            "--memo", what, "--category", category,
        )  # fmt: skip
    # Collective work: the coop pays the one who did it; a collective service is paid to the coop.
    coops.do(0, "transfer", "commons", "Accordeur Un", "2h", "--unit", "heure")
    coops.do(0, "transfer", "Accordeur Deux", "commons", "30min", "--unit", "heure")
    assert coops.balance(0, "Accordeur Un", "heure") == 0
    assert coops.balance(0, "Accordeur Deux", "heure") == 90
    assert coops.balance(0, "commons", "heure") == -90
    assert coops.total("heure") == 0


@pytest.mark.capability("CAH-2")
def test_a_paper_time_cheque_is_entered_later_by_staff_under_the_members_mandate(
    coops: Exchanges,
) -> None:
    hours = ("--unit", "heure", "--limit", "5h")
    for name in ("Papier Un", "Papier Deux", "Guichet"):
        coops.enrol(0, name, *hours)
    given = coops.do(
        0, "account", "allow", "Papier Un", "Guichet", "2h", "--unit", "heure",
        "--every", "30d", "--until", "90d",
    )  # fmt: skip
    cheque = ("--unit", "heure", "--memo", "Chèque-temps 0042", "--mandate", given["mandate"])
    done = coops.do(0, "transfer", "Papier Un", "Papier Deux", "1h30", *cheque)
    assert coops.balance(0, "Papier Deux", "heure") == 90
    # Who signed stands there for everybody: the desk, for the member, under the mandate.
    shown = coops.do(0, "transfer", "show", done["id"])
    signers = {s["role"]: s for s in shown["signatures"]}
    assert "delegate" in signers and signers["delegate"]["valid"]
    lines = coops.do(0, "account", "statement", "Papier Un")["lines"]
    assert [line["memo"] for line in lines] == ["Chèque-temps 0042"]
    error = coops.refused(0, "transfer", "Papier Un", "Papier Deux", "31min", *cheque)
    assert error["code"] == "mandate_exhausted"
    assert coops.balance(0, "Papier Deux", "heure") == 90


@pytest.mark.capability("CAH-3")
def test_an_exchange_of_knowledge_is_counted_and_nobody_owes_anything(coops: Exchanges) -> None:
    coops.enrol(0, "Savoir Un")
    two = coops.enrol(1, "Savoir Deux")
    offered = coops.do(
        0, "offer", "publish", "--title", "Les noeuds marins", "--category", "savoirs",
        "--reciprocity", "count_only", "--as-member", "Savoir Un",
    )  # fmt: skip
    assert offered["id"]
    before = [coops.total(unit) for unit in ("heure", "grain")]
    done = coops.do(
        0, "transfer", "Savoir Un", coops.address(1, two), "1", "--unit", "savoir",
        "--memo", "Les noeuds marins",
    )  # fmt: skip
    assert done["status"] == "certified"
    for place, name in ((0, "Savoir Un"), (1, "Savoir Deux")):
        shown = coops.do(place, "account", "show", name)
        assert all(p["balance"] == 0 for p in shown["positions"])
        assert "savoir" not in {p["code"] for p in shown["positions"] if p["balance"]}
    assert [coops.total(unit) for unit in ("heure", "grain")] == before
    error = coops.refused(0, "transfer", "Savoir Un", coops.address(1, two), "2",
                          "--unit", "savoir")  # fmt: skip
    assert error["exit"] in (2, 4)
    error = coops.refused(
        0, "transfer", "Savoir Un", coops.address(1, two), "1", "--unit", "savoir",
        "--hold", "--until", "2d",
    )  # fmt: skip
    assert error["exit"] == 2


@pytest.mark.capability("PLF-3")
def test_a_member_takes_the_balance_to_another_coop_and_leaves_a_verifiable_past(
    coops: Exchanges,
) -> None:
    hours = ("--unit", "heure", "--limit", "5h")
    leaver = coops.enrol(0, "Partant", *hours)
    coops.enrol(0, "Restant", *hours)
    earned = coops.do(0, "transfer", "Restant", "Partant", "3h15", "--unit", "heure")
    mark = attest(coops, 0, "Restant", earned["id"], leaver)

    there = coops.enrol(1, "Partant", *hours)
    error = coops.refused(0, "account", "close", "Partant")
    assert error["code"] == "account_in_use"
    coops.do(0, "transfer", "Partant", coops.address(1, there), "3h15", "--unit", "heure")
    coops.arrives(1, "Partant", "heure", 195)
    coops.do(0, "account", "close", "Partant")
    assert coops.do(0, "account", "show", leaver)["open"] is False

    # What was, stays: the statement, the proof of each transfer, and the mark, at both coops.
    lines = coops.do(0, "account", "statement", leaver)["lines"]
    assert [(line["direction"], line["amount"]) for line in lines] == [("in", 195), ("out", -195)]
    shown = coops.do(0, "transfer", "show", earned["id"])
    assert shown["signatures"] and all(s["valid"] for s in shown["signatures"])
    wait_for(lambda: mark in coops.coops[1].ids("attestation"), "the mark is at the other coop")
    for report in coops.settled():
        assert report["good"]
    error = coops.refused(0, "transfer", "Restant", leaver, "5min", "--unit", "heure")
    assert error["code"] in ("account_closed", "not_found")


def attest(coops: Exchanges, place: int, name: str, transfer: str, about: str) -> str:
    """Publish a member's mark on the other party of a transfer, and return its id."""
    node = coops.coops[place]
    coop = node.get("/v1/status")["coop"]
    person = next(m["person"] for m in node.get("/v1/members")["members"] if m["name"] == name)
    body: dict[str, Any] = {
        "kind": "attestation",
        "as_member": person,
        "payload": {
            "transfer": transfer,
            "subject": b"p".hex() + coop + about,
            "criteria": {"respect": 5},
            "lang": "fr",
        },
    }
    answer = node.http.post("/v1/records", json=body)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


@pytest.mark.capability("CAH-22")
def test_a_mark_counts_once_its_transfer_is_certified_and_only_from_its_parties(
    coops: Exchanges,
) -> None:
    hours = ("--unit", "heure", "--limit", "5h")
    ids = {name: coops.enrol(0, name, *hours) for name in ("Donneuse", "Receveur", "Curieux")}
    done = coops.do(0, "transfer", "Donneuse", "Receveur", "20min", "--unit", "heure")
    mark = attest(coops, 0, "Donneuse", done["id"], ids["Receveur"])
    wait_for(lambda: mark in coops.coops[1].ids("attestation"), "the mark is at the other coop")
    with pytest.raises(AssertionError, match="ref"):
        attest(coops, 0, "Curieux", done["id"], ids["Receveur"])
    with pytest.raises(AssertionError, match="ref"):
        attest(coops, 0, "Donneuse", "ab" * 32, ids["Receveur"])


@pytest.mark.capability("CAH-13")
def test_what_a_commune_and_an_association_gave_is_reported_from_the_ledger(
    coops: Exchanges,
) -> None:
    hours = ("--unit", "heure", "--limit", "100h")
    for name in ("Commune", "Association"):
        coops.do(0, "account", "open", name, "--organisation", *hours)
    given = (("40h", "salle"), ("12h30", "materiel"), ("8h", "salle"))
    for amount, category in given:
        coops.do(
            0, "transfer", "Association", "Commune", amount, "--unit", "heure",
            "--category", category, "--memo", f"Convention : {category}",
        )  # fmt: skip
    year = ("--from", "2020-01-01", "--to", "2099-12-31")
    report = coops.do(0, "account", "statement", "Commune", *year)
    by_kind: dict[str, int] = {}
    for line in report["lines"]:
        assert (line["direction"], line["counterpart_name"]) == ("in", "Association")
        by_kind[line["category"]] = by_kind.get(line["category"], 0) + line["amount"]
    assert by_kind == {"salle": 48 * 60, "materiel": 750}
    assert report["closing"][0]["balance"] - report["opening"][0]["balance"] == sum(
        by_kind.values()
    )
    # Each line of the report leads to signatures that anybody can check.
    for line in report["lines"]:
        shown = coops.do(0, "transfer", "show", line["id"])
        assert shown["quorum"] >= 1 and all(s["valid"] for s in shown["signatures"])
