"""Two real nodes on the loopback interface, from nothing to a shared catalogue and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.nodes import TestNode, maillon, nodes, wait_for


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestNode, TestNode]]:
    """Give a founder and a coop that joined it with an invitation, both running."""
    with nodes(tmp_path_factory.mktemp("n"), "a", "b") as (a, b):
        a.init().cli("federation", "found", "--name", "Fédération d'essai")
        a.start()
        b.init()
        code = a.cli("federation", "invite")["code"]
        joined = b.cli("federation", "join", code)
        assert joined["missing"] == 0 and joined["federation"] == "Fédération d'essai"
        b.start()
        wait_for(lambda: b.get("/v1/status")["peers"]["connected"] == 1, "the two are connected")
        yield a, b


def test_both_know_each_other_by_name(pair: tuple[TestNode, TestNode]) -> None:
    a, b = pair

    def names(node: TestNode) -> set[str]:
        return {coop["name"] for coop in node.get("/v1/federation")["coops"] if coop["profile"]}

    wait_for(lambda: names(a) == names(b) == {"Coop A", "Coop B"}, "the profiles have spread")
    assert {p["name"] for p in b.get("/v1/peers")["peers"]} == {"Coop A"}


def test_an_offer_published_on_one_is_found_on_the_other(pair: tuple[TestNode, TestNode]) -> None:
    a, b = pair
    made = a.cli("offer", "publish", "--title", "Réparation de bicyclettes", "--category", "velo")
    wait_for(lambda: made["id"] in b.ids("offer"), "the offer has arrived")
    hits = b.cli("search", "reparer une bicyclette")["hits"]
    assert made["id"] in [hit["id"] for hit in hits]
    shown = b.cli("offer", "show", made["id"][:12])
    assert shown["payload"]["title"] == "Réparation de bicyclettes"
    assert shown["coop_name"] == "Coop A"


def test_what_is_withdrawn_is_gone_everywhere_with_its_text(
    pair: tuple[TestNode, TestNode],
) -> None:
    a, b = pair
    made = b.cli("offer", "publish", "--title", "Cours de tricot", "--category", "textile")
    wait_for(lambda: made["id"] in a.ids("offer"), "the offer has arrived")
    b.cli("offer", "withdraw", made["id"])
    wait_for(lambda: made["id"] not in a.ids("offer"), "the withdrawal has arrived")
    assert a.get(f"/v1/records/{made['id']}")["payload"] is None
    assert not [hit for hit in a.cli("search", "tricot")["hits"] if hit["id"] == made["id"]]


def test_a_coop_cannot_withdraw_what_another_said(pair: tuple[TestNode, TestNode]) -> None:
    a, b = pair
    made = a.cli("offer", "publish", "--title", "Jardinage", "--category", "jardin")
    wait_for(lambda: made["id"] in b.ids("offer"), "the offer has arrived")
    done = maillon(b.home, "offer", "withdraw", made["id"], "--json")
    assert done.returncode == 4
    assert json.loads(done.stderr)["error"]["code"] == "not_allowed"
    assert made["id"] in a.ids("offer") and made["id"] in b.ids("offer")


def test_a_list_is_imported_once_and_spreads(pair: tuple[TestNode, TestNode]) -> None:
    a, b = pair
    arguments = ("import", "--builtin", "france-services", "--where", "insee_dep=01")
    first = a.cli(*arguments)
    assert (first["created"], first["refused"]) == (24, 0)
    again = a.cli(*arguments)
    assert (again["created"], again["changed"], again["unchanged"]) == (0, 0, 24)
    wait_for(lambda: a.ids("offer") == b.ids("offer"), "both hold the same offers")


def test_a_node_that_was_killed_comes_back_with_everything(
    pair: tuple[TestNode, TestNode],
) -> None:
    a, b = pair
    before = b.ids("offer")
    b.kill()
    made = a.cli("offer", "publish", "--title", "Pendant la panne", "--category", "autre")
    b.start()
    assert before <= b.ids("offer")
    wait_for(lambda: made["id"] in b.ids("offer"), "what was missed has been fetched")


def test_a_second_process_on_one_home_is_refused(pair: tuple[TestNode, TestNode]) -> None:
    a, _ = pair
    done = maillon(a.home, "run", "--json")
    assert done.returncode == 7
    assert json.loads(done.stderr)["error"]["code"] == "already_running"
    assert a.get("/v1/status")["name"] == "Coop A"


def test_an_invitation_serves_one_coop_only(
    pair: tuple[TestNode, TestNode], tmp_path: Path
) -> None:
    a, _ = pair
    code = a.cli("federation", "invite")["code"]
    with nodes(tmp_path, "c", "d") as (c, d):
        c.init().cli("federation", "join", code)
        refused = maillon(d.init().home, "federation", "join", code, "--json")
        assert refused.returncode == 6
        assert json.loads(refused.stderr)["error"]["code"] == "join_refused"
        assert not (d.home / "founding.bin").exists()
        # The same coop may try again: its first attempt may have been cut off.
        (c.home / "founding.bin").unlink()
        assert c.cli("federation", "join", code)["missing"] == 0


def test_the_token_of_an_invitation_is_in_no_file_and_no_log(
    pair: tuple[TestNode, TestNode],
) -> None:
    from maillon.protocol.cards import invitation_from_text

    a, _ = pair
    token = invitation_from_text(a.cli("federation", "invite")["code"], now=0).token
    found = [
        path
        for path in [*a.home.rglob("*"), a.log]
        if path.is_file()
        and (token in path.read_bytes() or token.hex().encode() in path.read_bytes())
    ]
    assert found == []


def test_arrivals_tell_when_each_record_was_first_seen(pair: tuple[TestNode, TestNode]) -> None:
    a, b = pair
    since = b.get("/v1/arrivals", since=0)["next"]
    made = a.cli("demand", "publish", "--title", "Un coup de main", "--category", "autre")
    arrivals = wait_for(
        lambda: b.get("/v1/arrivals", since=since)["arrivals"], "the demand was noted"
    )
    assert made["id"] in [entry["id"] for entry in arrivals]


def test_both_clocks_are_compared(pair: tuple[TestNode, TestNode]) -> None:
    _, b = pair
    wait_for(lambda: b.get("/v1/status")["clock_skew_s"] is not None, "a peer was asked")
    assert abs(b.get("/v1/status")["clock_skew_s"]) <= 1


def test_a_node_ends_cleanly_when_asked(pair: tuple[TestNode, TestNode]) -> None:
    a, b = pair
    assert b.stop() == 0
    assert not (b.home / "api.sock").exists()
    assert maillon(b.home, "status").returncode == 3
    assert a.get("/v1/status")["name"] == "Coop A"
    b.start()
