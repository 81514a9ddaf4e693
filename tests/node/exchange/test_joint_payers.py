"""A group pays for an exchange when as many of its members have signed as its rule says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.api import ApiNode, api_node, bearer
from support.nodes import wait_for

Json = dict[str, Any]
FALLBACK = {"name": "Desk of the coop", "phone": "+33 4 75 00 00 00"}
TERMS = {"kind": "amount", "unit": "heure", "amount": 60, "fallback": FALLBACK}
COMMONS = "00" * 16


@dataclass
class Coop:
    """One coop: somebody asks, somebody gives, and three who keep an account together."""

    node: ApiNode
    coop: str
    people: dict[str, str]
    group: str = ""

    def author(self, name: str) -> str:
        return f"70{self.coop}{self.people[name]}"

    def post(self, path: str, **body: Any) -> Any:
        answer = self.node.operator.post(path, json=body, timeout=90)
        assert answer.is_success, answer.text
        return answer.json()

    def refused(self, path: str, **body: Any) -> Json:
        answer = self.node.operator.post(path, json=body, timeout=90)
        assert not answer.is_success, answer.text
        return dict(answer.json())

    def get(self, path: str) -> Any:
        answer = self.node.operator.get(path)
        assert answer.is_success, answer.text
        return answer.json()

    def step(self, who: str, exchange: str, kind: str, **fields: Any) -> Any:
        return self.post(
            f"/v1/exchanges/{exchange}/steps", by=self.people[who], kind=kind, fields=fields
        )["exchange"]

    def agreed(self, payer: str, **terms: Any) -> str:
        """Open an exchange that somebody else is to pay, quote and agree; return its id."""
        made = self.post(
            "/v1/exchanges", by=self.people["Ana"], role="requester", title="Jardinage",
            payer=payer, **{"with": self.author("Bo")},
        )  # fmt: skip
        exchange = str(made["exchange"]["id"])
        self.step("Bo", exchange, "quote", terms={**TERMS, **terms})
        self.step("Ana", exchange, "agreement")
        return exchange

    def show(self, exchange: str) -> Json:
        return dict(self.get(f"/v1/exchanges/{exchange}"))

    def balance(self, account: str) -> int:
        shown = self.get(f"/v1/accounts/{account}")
        return int(next(p["balance"] for p in shown["positions"] if p["code"] == "heure"))

    def propose(self, exchange: str, **more: Any) -> Json:
        return dict(self.post(f"/v1/groups/{self.group}/orders", exchange=exchange, **more))

    def approve(self, order: str, who: str) -> Json:
        path = f"/v1/groups/{self.group}/orders/{order}/approvals"
        return dict(self.post(path, member=self.author(who), wait_s=60))


@pytest.fixture(scope="module")
def coop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coop]:
    with api_node(tmp_path_factory.mktemp("j")) as node:
        made = Coop(node, str(node.operator.get("/v1/status").json()["coop"]), {})
        for name in ("Ana", "Bo", "Mia", "Noé", "Pia"):
            made.people[name] = made.post("/v1/members", name=name)["person"]
            made.post(
                "/v1/accounts", person=made.people[name], positions=[{"limit": "10h"}], wait_s=60
            )
        three = ("Mia", "Noé", "Pia")
        founded = made.post(
            "/v1/groups", name="Les Voisins", founder=made.people["Mia"], signatures=2,
            split="performer", wait_s=60,
            members=[{"author": made.author(name), "share": 1} for name in three],
        )  # fmt: skip
        made.group = founded["group"]
        for name in three[1:]:
            made.post(f"/v1/groups/{made.group}/consents", member=made.author(name))
        made.post(f"/v1/accounts/{made.group}/limit", limit="10h", unit="heure", wait_s=60)
        yield made


def account_of(coop: Coop) -> str:
    return f"70{coop.coop}{coop.group}"


def test_what_enough_members_sign_is_reserved_and_paid_by_itself(coop: Coop) -> None:
    exchange = coop.agreed(account_of(coop))
    shown = coop.show(exchange)
    (wanted,) = shown["joint"]
    assert (wanted["amount"]["amount"], wanted["needed"]) == (60, 2)
    assert wanted["payee"]["author"] == coop.author("Bo") and wanted["approvals"] == []
    assert {m["name"] for m in wanted["members"]} == {"Mia", "Noé", "Pia"} and wanted["until"]
    (asked,) = coop.get(f"/v1/groups/{coop.group}/orders")["wanted"]
    assert (asked["exchange"], asked["amount"]) == (exchange, 60)
    order = coop.propose(exchange[:16], by=coop.author("Mia"))
    assert (order["exchange"], order["amount"], order["status"]) == (exchange, 60, "open")
    assert order["to_account"] == coop.people["Bo"]
    # One signature is too few, however often it is given, and whatever else goes on.
    again = coop.approve(order["order"], "Mia")
    assert (again["status"], len(again["approvals"])) == ("open", 1)
    shown = coop.show(exchange)
    assert shown["hold"] is None and shown["payments"] == []
    assert shown["joint"][0]["approvals"] == [coop.author("Mia")]
    assert shown["joint"][0]["order"] == order["order"]
    done = coop.approve(order["order"], "Pia")
    assert done["status"] in ("placed", "certified"), done

    def held() -> bool:
        hold: Any = coop.show(exchange)["hold"]
        return hold is not None and hold["status"] == "held"

    wait_for(held, "the reservation counts as the exchange's")
    assert coop.show(exchange)["joint"] == []
    coop.step("Bo", exchange, "check_in")
    coop.step("Bo", exchange, "check_out", minutes=60, last=True)
    before = coop.balance(coop.people["Bo"])
    coop.step("Ana", exchange, "acceptance")
    wait_for(lambda: coop.show(exchange)["phase"] == "paid", "paid without another signature")
    assert coop.balance(coop.people["Bo"]) == before + 60
    assert coop.balance(coop.group) == -60 and coop.balance(coop.people["Ana"]) == 0
    orders = coop.get(f"/v1/groups/{coop.group}/orders")
    assert orders["orders"][0]["status"] == "certified" and orders["wanted"] == []
    assert orders["orders"][0]["transfer"]


def test_one_order_counts_for_one_exchange_alone(coop: Coop) -> None:
    first, second = coop.agreed(account_of(coop)), coop.agreed(account_of(coop))
    order = coop.propose(first, by=coop.author("Noé"))
    twice = coop.refused(f"/v1/groups/{coop.group}/orders", exchange=first)
    assert "approvals already" in twice["detail"]
    coop.approve(order["order"], "Pia")
    wait_for(lambda: coop.show(first)["hold"], "the first one is reserved")
    other = coop.show(second)
    assert other["hold"] is None and other["payments"] == []
    assert [entry["status"] for entry in other["joint"]] == ["open"]
    # Its members say it anew for the second; nobody proposes for the first any more.
    assert (
        "asks this group"
        in coop.refused(f"/v1/groups/{coop.group}/orders", exchange=first)["detail"]
    )
    mine = coop.propose(second, by=coop.author("Noé"))
    assert mine["order"] != order["order"] and mine["status"] == "open"
    assert coop.show(second)["hold"] is None


def test_the_exchange_alone_says_to_whom_and_how_much(coop: Coop) -> None:
    exchange = coop.agreed(account_of(coop))
    path = f"/v1/groups/{coop.group}/orders"
    before = coop.get(path)
    more = coop.refused(path, exchange=exchange, to=coop.people["Mia"], amount=600)
    assert "The exchange says" in more["detail"]
    assert "amount" in coop.refused(path, to=coop.people["Mia"])["hint"]
    coop.refused(path, exchange="00" * 8)
    # Members alone propose, and a stranger's approval is none.
    stranger = coop.node.token("read", "exchange", "pay", person=coop.people["Ana"])
    answer = coop.node.http.post(path, json={"exchange": exchange}, headers=bearer(stranger))
    assert not answer.is_success, answer.text
    assert coop.get(path) == before
    order = coop.propose(exchange, by=coop.author("Mia"))
    coop.refused(f"{path}/{order['order']}/approvals", member=coop.author("Bo"))
    assert coop.show(exchange)["hold"] is None


def test_another_amount_needs_other_signatures(coop: Coop) -> None:
    exchange = coop.agreed(account_of(coop), settle="after")
    assert coop.show(exchange)["joint"] == []
    coop.step("Bo", exchange, "check_in")
    coop.step("Bo", exchange, "check_out", minutes=60, last=True)
    coop.step("Ana", exchange, "acceptance")
    order = coop.propose(exchange, by=coop.author("Mia"))
    assert order["amount"] == 60
    # She pays a part herself: what is asked for is less now, and nobody has signed that.
    coop.post(f"/v1/exchanges/{exchange}/payment", by=coop.people["Ana"], amount="20min", wait_s=60)
    wait_for(
        lambda: [e["amount"]["amount"] for e in coop.show(exchange)["joint"]] == [40],
        "less is asked for",
    )
    late = coop.approve(order["order"], "Pia")
    assert (late["status"], late["reason"]) == ("refused", "replaced")
    assert coop.show(exchange)["joint"][0]["approvals"] == []
    new = coop.propose(exchange, by=coop.author("Mia"))
    assert new["amount"] == 40
    coop.approve(new["order"], "Noé")
    wait_for(lambda: coop.show(exchange)["phase"] == "paid", "both parts have paid it")


def test_the_commons_pays_for_exchanges_only_by_who_acts_for_the_coop(coop: Coop) -> None:
    coop.post(
        "/v1/transfers", **{"from": coop.people["Mia"]}, to=f"{coop.coop}:{COMMONS}", amount=60,
        wait_s=60,
    )  # fmt: skip
    exchange = coop.agreed(f"63{coop.coop}", settle="after")
    coop.step("Bo", exchange, "check_in")
    coop.step("Bo", exchange, "check_out", minutes=60, last=True)
    coop.step("Ana", exchange, "acceptance")
    (funding,) = [f for f in coop.get("/v1/fundings")["fundings"] if f["exchange"] == exchange]
    assert funding["status"] == "open" and coop.show(exchange)["phase"] == "accepted"
    http = coop.node.http
    for who in ("Ana", "Mia", "Bo"):
        headers = bearer(coop.node.token("read", "exchange", "pay", person=coop.people[who]))
        for by in ("coop", coop.people[who]):
            answer = http.post(f"/v1/fundings/{funding['id']}", json={"by": by}, headers=headers)
            assert answer.status_code in (403, 404), answer.text
        # Nor as a requester: a step in the coop's name is the desk's.
        opened = http.post(
            "/v1/exchanges", headers=headers,
            json={"by": "coop", "role": "requester", "title": "X", "with": coop.author("Bo")},
        )  # fmt: skip
        assert opened.status_code == 403, opened.text
    assert coop.show(exchange)["phase"] == "accepted" and coop.balance(COMMONS) == 60
    coop.post(f"/v1/fundings/{funding['id']}", by="coop", wait_s=60)
    wait_for(lambda: coop.show(exchange)["phase"] == "paid", "the desk said yes")
    assert coop.balance(COMMONS) == 0
