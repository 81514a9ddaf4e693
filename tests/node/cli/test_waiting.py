"""What two coops do when the other is not there, and how they change their charter together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.exchanges import Exchanges, federation
from support.nodes import nodes, wait_for

UNITS = ("heure:hours:Heure",)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchanges]:
    with federation(tmp_path_factory.mktemp("t"), "a", "b", units=UNITS) as made:
        made.enrol(0, "Ana", "--limit", "10h")
        made.enrol(1, "Bruno", "--limit", "10h")
        yield made


def test_a_transfer_without_witnesses_is_kept_says_so_and_goes_through_once(
    two: Exchanges,
) -> None:
    bruno = two.do(1, "account", "show", "Bruno")["account"]
    two.coops[1].kill()
    command = ("transfer", "Ana", two.address(1, bruno), "1h30", "--wait", "1")
    told = two.tell(0, *command)
    assert told.code == 8, told.err
    placed = told.data
    assert placed["status"] in ("waiting", "placed")
    spoken = two.tell(0, "transfer", "list", as_json=False)
    assert "waiting" in " ".join(spoken.out.split())
    assert two.balance(0, "Ana", "heure") == 0
    # It is kept on the disk, not in the memory of a process.
    two.coops[0].kill()
    for node in two.coops:
        node.start()

    def final() -> bool:
        shown = two.tell(0, "transfer", "show", placed["id"])
        return shown.code == 0 and shown.data["transfer"]["status"] == "certified"

    wait_for(final, "the transfer that waited is final")
    two.arrives(1, "Bruno", "heure", 90)
    assert two.balance(0, "Ana", "heure") == -90
    lines = two.do(0, "account", "statement", "Ana")["lines"]
    assert [line["id"] for line in lines] == [placed["id"]]


def test_a_charter_change_takes_the_approvals_that_the_charter_asks_for(two: Exchanges) -> None:
    before = two.do(0, "charter", "show")["height"]
    made = two.do(0, "charter", "limit", "Coop B", "80h", "--title", "Assemblée")
    assert made["status"] == "open" and made["needed"] == 2 and len(made["approvals"]) == 1
    wait_for(
        lambda: [p["proposal"] for p in two.do(1, "charter", "proposals")["proposals"]],
        "the proposal is known at the other coop",
    )
    told = two.tell(1, "charter", "proposals", as_json=False).out
    assert "Assemblée" in told and f"maillon --home {two.coops[1].home} charter approve" in told
    two.do(1, "charter", "approve", made["proposal"][:10])
    for place in (0, 1):
        wait_for(
            lambda place=place: two.do(place, "charter", "show")["height"] == before + 1,  # type: ignore[misc]  # bound at once
            "the change is in force",
        )
    (coop,) = [c for c in two.do(1, "charter", "show")["coops"] if c["name"] == "Coop B"]
    assert [limit["balance"] for limit in coop["limits"]] == [80 * 60]


def test_who_approves_a_change_of_the_witnesses_sees_what_follows_from_it(
    two: Exchanges, tmp_path: Path
) -> None:
    gone = two.do(0, "charter", "replace-key", "Coop B", "--witness", "none")
    assert len(gone["entries"]) == 2 and "1" in gone["entries"][1], "the quorum goes along"
    assert any("One node alone" in sentence for sentence in gone["consequences"])
    assert "After it:" in two.tell(0, "charter", "proposals", as_json=False).out
    error = two.refused(1, "charter", "remove", "Coop B", "--trustee", "Coop A")
    assert (error["code"], error["exit"]) == ("usage", 2) and "--yes" in error["hint"]
    with nodes(tmp_path, "c") as (third,):
        card = third.init().cli("federation", "card")["card"]
    made = two.do(0, "charter", "admit", card, "--limit", "20h", "--accounts-max", "7")
    assert len(made["entries"]) == 1, "two of three is what is usual, as two of two was"
    assert "20h00" in made["entries"][0] and "7 accounts" in made["entries"][0]
    assert any("while 1 node is down" in sentence for sentence in made["consequences"])
    other = two.do(0, "charter", "admit", card, "--quorum", "3")
    assert len(other["entries"]) == 2 and "3" in other["entries"][1]
    assert "owe the others nothing" in other["entries"][0]
    error = two.refused(0, "charter", "quorum", "1")
    assert error["facts"]["reason"] == "quorum_unsafe" and "--quorum" in error["hint"]


def test_how_proposals_ended_is_told_at_every_coop_that_knew_them(two: Exchanges) -> None:
    height = two.do(0, "charter", "show")["height"]
    lost = two.do(0, "charter", "limit", "Coop A", "70h", "--title", "Overtaken")["proposal"]
    won = two.do(0, "charter", "limit", "Coop B", "90h", "--title", "Chosen")["proposal"]
    known = {lost, won}
    wait_for(
        lambda: known <= {p["proposal"] for p in two.do(1, "charter", "proposals")["proposals"]},
        "both proposals are known at the other coop",
    )
    two.do(1, "charter", "approve", won)
    for place in (0, 1):
        wait_for(
            lambda place=place: two.do(place, "charter", "show")["height"] == height + 1,  # type: ignore[misc]  # bound at once
            "the change is in force",
        )
        ended = {e["proposal"]: e for e in two.do(place, "charter", "show")["ended"]}
        assert (ended[won]["status"], ended[lost]["status"]) == ("certified", "outdated")
        assert ended[lost]["height"] == height + 1 and ended[lost]["by"] == won
        told = two.tell(place, "charter", "show", as_json=False).out
        head = two.do(place, "charter", "show")["hash"]
        assert head in told, "newcomers compare it"
        (line,) = [line for line in told.splitlines() if lost[:16] in line]
        assert "Overtaken" in line and "(Chosen)" in line and "1 of 2" in line
        assert "Propose it again" in line
        assert two.do(place, "charter", "proposals")["proposals"] == []


def test_an_account_elsewhere_is_named_by_coop_and_id(two: Exchanges) -> None:
    error = two.refused(0, "transfer", "Ana", "Coop B:Bruno", "5min")
    assert error["code"] == "not_found" and "Names stay with their coop" in error["hint"]
    bruno = two.do(1, "account", "show", "Bruno")["account"]
    two.do(0, "transfer", "Ana", f"coop b:{bruno[:8]}", "5min")
    error = two.refused(0, "transfer", f"Coop B:{bruno}", "Ana", "5min")
    assert error["code"] == "not_allowed"
    error = two.refused(0, "account", "statement", f"Coop B:{bruno}")
    assert error["exit"] == 2 and "account list --coop" in error["hint"]
    listed = two.do(0, "account", "list", "--coop", "coop b")["accounts"]
    assert bruno in {entry["account"] for entry in listed}
    assert all(entry["name"] == "" for entry in listed if entry["kind"] != "commons")
