"""Groups that pay for exchanges, and who did their work, by commands at a real node."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from maillon.node.cli.app import run
from support.api import ApiNode, api_node
from support.nodes import wait_for

Json = dict[str, Any]
Command = Callable[..., str]
FALLBACK = {"name": "Desk of the coop", "phone": "+33 4 75 00 00 00"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    with pytest.MonkeyPatch.context() as screen, api_node(tmp_path_factory.mktemp("j")) as made:
        screen.setenv("COLUMNS", "300")
        screen.setenv("MAILLON_LANG", "en")
        for name in ("Ana", "Bo", "Mia", "Noé"):
            person = post(made, "/v1/members", name=name)["person"]
            post(
                made, "/v1/accounts", person=person, positions=[{"limit": "10h"}], wait_s=60
            )  # fmt: skip
        yield made


@pytest.fixture
def told(node: ApiNode, capfd: pytest.CaptureFixture[str]) -> Command:
    def command(*words: str, code: int = 0) -> str:
        capfd.readouterr()
        assert run(["--home", str(node.one.home), *words]) == code
        shown = capfd.readouterr()
        return " ".join((shown.out + shown.err).split())

    return command


def post(node: ApiNode, path: str, **body: Any) -> Any:
    answer = node.operator.post(path, json=body, timeout=90)
    assert answer.is_success, answer.text
    return answer.json()


def step(node: ApiNode, who: str, exchange: str, kind: str, **fields: Any) -> None:
    post(node, f"/v1/exchanges/{exchange}/steps", by=who, kind=kind, fields=fields)


def author(node: ApiNode, name: str) -> str:
    members = node.operator.get("/v1/members").json()["members"]
    person = next(member["person"] for member in members if member["name"] == name)
    return f"70{node.operator.get('/v1/status').json()['coop']}{person}"


def test_a_group_is_led_from_what_an_exchange_asks_to_the_signatures_and_the_reservation(
    node: ApiNode, told: Command
) -> None:
    told(
        "group", "found", "Les Voisins", "--member", "Mia", "--member", "Noé", "--signatures", "2",
        "--split", "performer", "--founder", "Mia",
    )  # fmt: skip
    told("group", "consent", "Les Voisins", "Noé")
    told("account", "limit", "Les Voisins", "5h")
    account = json.loads(told("--json", "group", "list"))["groups"][0]["account"]
    payer = "70" + account.replace(":", "")
    made = post(
        node, "/v1/exchanges", by="Ana", role="requester", title="Tailler la haie", payer=payer,
        **{"with": author(node, "Bo")},
    )  # fmt: skip
    exchange = made["exchange"]["id"]
    terms = {"kind": "amount", "unit": "heure", "amount": 60, "fallback": FALLBACK}
    step(node, "Bo", exchange, "quote", terms=terms)
    step(node, "Ana", exchange, "agreement")
    shown = told("exchange", "show", exchange)
    assert "Les Voisins is to reserve 1h00 for Bo, until " in shown
    assert "2 of these sign, 0 have: Mia, Noé" in shown
    group = account.rpartition(":")[2][:8]
    assert f"group pay {group} --exchange " in shown
    listed = told("group", "payments", "Les Voisins")
    assert f"Exchange {exchange[:8]} asks for 1h00 for Bo, until " in listed
    wrong = told(
        "group", "pay", "Les Voisins", "Ana", "1h", "--exchange", exchange[:8], code=2
    )  # fmt: skip
    assert "give --exchange alone" in wrong
    assert "--exchange ID" in told("group", "pay", "Les Voisins", "Ana", code=2)
    words = told("group", "pay", "Les Voisins", "--exchange", "Tailler la haie", "--by", "Mia")
    assert "1h00 to Bo: 1 more have to approve" in words
    order = json.loads(told("--json", "group", "payments", "Les Voisins"))["orders"][0]["order"]
    shown = told("exchange", "show", exchange)
    assert "2 of these sign, 1 have" in shown
    assert f"group approve {group} {order[:8]} NAME" in shown
    last = told("group", "approve", "Les Voisins", order[:8], "Noé")
    assert f"Reserved for exchange {exchange[:8]}: 1h00 for Bo." in last

    def held() -> bool:
        found = node.operator.get(f"/v1/exchanges/{exchange}").json()["hold"]
        return found is not None and found["status"] == "held"

    wait_for(held, "it counts as the exchange's")
    assert "is to reserve" not in told("exchange", "show", exchange)


def test_who_did_the_work_is_said_once_and_gets_all_of_it(node: ApiNode, told: Command) -> None:
    told(
        "group", "found", "Les Peintres", "--member", "Mia", "--member", "Noé",
        "--split", "performer", "--founder", "Mia",
    )  # fmt: skip
    told("group", "consent", "Les Peintres", "Noé")
    paid = json.loads(told("--json", "transfer", "send", "Ana", "Les Peintres", "25min"))["id"]
    assert "Nothing came in yet." in told("group", "splits", "Les Peintres")
    assert told("group", "worked", "Les Peintres", "00" * 32, "Noé", code=4)
    words = told("group", "worked", "Les Peintres", paid[:12], "Noé")
    assert words in ("25 min to Noé: paid.", "25 min to Noé: kept, goes on by itself.")
    assert "another member did the work" in told(
        "group", "worked", "Les Peintres", paid, "Mia", code=4
    )
    assert "Noé 25 min" in told("group", "splits", "Les Peintres")
    (split,) = json.loads(told("--json", "group", "splits", "Les Peintres"))["splits"]
    assert split["transfer"] == paid
