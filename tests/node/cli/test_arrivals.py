"""What commands tell of a transfer to another coop, of undoing, and of an answer that got lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from support.commands import Told
from support.exchanges import Exchanges, federation
from support.nodes import wait_for

UNITS = ("heure:hours:Heure", "grain:credit:Grain")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchanges]:
    with federation(tmp_path_factory.mktemp("t"), "a", "b", units=UNITS) as made:
        for place, name in ((0, "Ana"), (1, "Bruno")):
            made.enrol(place, name)
            made.do(place, "account", "limit", name, "10h", "--unit", "heure")
        made.do(0, "account", "limit", "Ana", "500", "--unit", "grain")
        made.do(1, "account", "limit", "Bruno", "0", "--unit", "grain", "--max", "5")
        yield made


def bruno(two: Exchanges) -> str:
    return two.address(1, two.do(1, "account", "show", "Bruno")["account"])


def test_a_transfer_to_another_coop_tells_that_it_has_arrived(two: Exchanges) -> None:
    placed = two.do(0, "transfer", "Ana", bruno(two), "10min", "--unit", "heure")
    assert (placed["status"], placed["arrival"]) == ("certified", "arrived")
    spoken = two.tell(0, "transfer", "Ana", bruno(two), "10min", "--unit", "heure", as_json=False)
    assert spoken.code == 0 and "has arrived" in spoken.out
    assert two.balance(1, "Bruno", "heure") == 20


def test_what_would_come_back_is_refused_before_it_leaves(two: Exchanges) -> None:
    before = two.balance(0, "Ana", "grain")
    error = two.refused(0, "transfer", "Ana", bruno(two), "100", "--unit", "grain")
    assert (error["code"], error["exit"]) == ("over_maximum", 4)
    assert "5.00" in error["message"] and "5.00" in error["hint"]
    assert two.balance(0, "Ana", "grain") == before


def test_a_transfer_is_undone_once_and_again_only_when_said(two: Exchanges) -> None:
    placed = two.do(0, "transfer", "Ana", bruno(two), "1h30", "--unit", "heure")
    back = two.do(1, "transfer", "reverse", placed["id"])
    assert back["arrival"] == "arrived"
    before = two.balance(1, "Bruno", "heure")
    error = two.refused(1, "transfer", "reverse", placed["id"])
    assert (error["code"], error["exit"]) == ("already_reversed", 4)
    assert back["id"][:16] in error["message"] and "--again" in error["hint"]
    assert two.balance(1, "Bruno", "heure") == before
    two.do(1, "transfer", "reverse", placed["id"], "--again", "--amount", "5min")
    assert two.balance(1, "Bruno", "heure") == before - 5


def test_an_answer_that_got_lost_is_no_node_that_is_not_running(two: Exchanges) -> None:
    to = bruno(two)
    before = two.balance(0, "Ana", "heure")
    two.coops[1].kill()
    command = ("transfer", "Ana", to, "8min", "--unit", "heure", "--id", "facture-31")
    told: list[Told] = []
    # Nobody certifies it: the answer is waited for until the node is gone.
    asks = threading.Thread(target=lambda: told.append(two.tell(0, *command, "--wait", "60")))
    asks.start()
    socket = two.coops[0]
    wait_for(
        lambda: (
            socket.get("/v1/transfers", status="waiting")["transfers"]
            or socket.get("/v1/transfers", status="placed")["transfers"]
        ),
        "the node has kept it",
    )
    two.coops[0].kill()
    asks.join(60)
    error = told[0].error
    assert (told[0].code, error["code"], error["exit"]) == (9, "unanswered", 9)
    assert "--id facture-31" in error["hint"]
    # Not even asked: that is the other sentence.
    assert two.refused(0, *command)["code"] == "not_running"
    for node in two.coops:
        node.start()
    again = two.tell(0, *command, "--wait", "60")
    assert again.code == 0 and again.data["repeated"] is True
    two.settled()
    assert two.balance(0, "Ana", "heure") == before - 8
    third = two.tell(0, *command, as_json=False)
    assert third.code == 0 and "nothing was given a second time" in third.err
    assert two.balance(0, "Ana", "heure") == before - 8
    error = two.refused(0, "transfer", "Ana", to, "9min", "--unit", "heure", "--id", "facture-31")
    assert error["code"] == "key_used"
