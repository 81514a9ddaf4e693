"""Two members against the accounts whose keys a real node keeps: they name them as payer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from maillon.protocol.encoding import encode
from support.api import ApiNode, api_node, bearer
from support.nodes import wait_for

Json = dict[str, Any]
FALLBACK = {"name": "Desk of the coop", "phone": "+33 4 75 00 00 00"}
SCOPES = ("read", "exchange", "publish", "pay")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    with api_node(tmp_path_factory.mktemp("p")) as made:
        yield made


class Thief:
    """A member with a key on a device, a token, and an accomplice."""

    def __init__(self, node: ApiNode, seed: int) -> None:
        self.node = node
        member, self.key = node.device(f"Thief {seed}", seed)
        self.coop = str(node.operator.get("/v1/status").json()["coop"])
        self.person = str(member["person"])
        answer = node.operator.post(
            "/v1/accounts",
            json={"person": self.person, "key": self.key.public.hex(), "wait_s": 30},
        )
        assert answer.is_success, answer.text
        self.http = node.http
        self.headers = bearer(node.token(*SCOPES, person=self.person))

    @property
    def author(self) -> str:
        return f"70{self.coop}{self.person}"

    def post(self, path: str, **body: Any) -> Any:
        return self.http.post(path, json=body, headers=self.headers)

    def signed(self, path: str, **body: Any) -> Json:
        """Have something drafted, sign it and hand it in."""
        draft = self.post(path, key=self.key.public.hex(), **body)
        assert draft.is_success, draft.text
        made = draft.json()
        header = bytes.fromhex(made["header"])
        record = encode([header, self.key.sign("record", header), bytes.fromhex(made["payload"])])
        done = self.post("/v1/exchanges/signed", records=[record.hex()])
        assert done.is_success, done.text
        assert done.json()["taken"][0]["outcome"] == "new"
        return dict(made)


def resident(node: ApiNode, name: str, limit: str = "10h") -> str:
    """Register somebody whose key the node keeps, with an account."""
    person = str(node.member(name)["person"])
    for path, body in (
        ("/v1/accounts", {"person": person, "wait_s": 30}),
        (f"/v1/accounts/{person}/limit", {"limit": limit, "wait_s": 30}),
    ):
        answer = node.operator.post(path, json=body)
        assert answer.is_success, answer.text
    return person


def give(node: ApiNode, account: str, to: str, amount: int) -> None:
    """Let somebody give something; return when it is certified."""
    body = {"from": account, "to": to, "amount": amount, "unit": "heure", "wait_s": 30}
    answer = node.operator.post("/v1/transfers", json=body)
    assert answer.status_code == 201, answer.text


def balance(node: ApiNode, account: str) -> int:
    shown = node.operator.get(f"/v1/accounts/{account}").json()
    return int(shown["positions"][0]["balance"])


def stolen(node: ApiNode, thief: Thief, accomplice: str, payer: str) -> str:
    """Let the two agree, work and accept, with somebody else as payer; return the exchange."""
    made = thief.signed(
        "/v1/exchanges/drafts", kind="opening",
        open={
            "with": f"70{thief.coop}{accomplice}", "role": "requester", "title": "Nothing",
            "payer": payer,
        },
    )  # fmt: skip
    id = str(made["id"])
    steps = f"/v1/exchanges/{id}/steps"
    terms = {"kind": "amount", "unit": "heure", "amount": 45, "fallback": FALLBACK}
    for kind, fields in (("quote", {"terms": terms}), ("check_in", {}), ("check_out", {})):
        if kind == "check_in":
            thief.signed(f"/v1/exchanges/{id}/drafts", kind="agreement")
        answer = node.operator.post(steps, json={"by": accomplice, "kind": kind, "fields": fields})
        assert answer.is_success, answer.text
    thief.signed(f"/v1/exchanges/{id}/drafts", kind="acceptance")
    return id


COMMONS = "00" * 16


@pytest.mark.parametrize("victim", ["commons", "member"])
def test_two_members_with_tokens_take_nothing_from_whom_they_name(
    node: ApiNode, victim: str
) -> None:
    thief = Thief(node, 0x51 if victim == "commons" else 0x61)
    accomplice = resident(node, f"Accomplice of {victim}")
    account = COMMONS if victim == "commons" else resident(node, "Mairie")
    payer = f"63{thief.coop}" if victim == "commons" else f"70{thief.coop}{account}"
    give(node, resident(node, f"Donor to {victim}"), account, 300)
    before = balance(node, account)
    id = stolen(node, thief, accomplice, payer)
    (request,) = [
        entry
        for entry in node.operator.get("/v1/fundings").json()["fundings"]
        if entry["exchange"] == id
    ]
    assert (request["status"], request["amount"]["amount"]) == ("open", 45)
    # A key on a device signs no request by itself: the coop's node has asked.
    assert request["asker"]["author"] == f"63{thief.coop}"
    # Neither can say yes in the payer's place, nor make the node pay in another way.
    listed = thief.http.get("/v1/fundings", headers=thief.headers).json()["fundings"]
    assert listed == []
    for by in ({}, {"by": "coop"}, {"by": account}, {"by": "Mairie"}):
        answer = thief.post(f"/v1/fundings/{request['id']}", **by)
        assert answer.status_code in (403, 404), answer.text
    for path, body in (
        (f"/v1/exchanges/{id}/payment", {"wait_s": 1}),
        (f"/v1/exchanges/{id}/payment", {"by": "coop"}),
        (f"/v1/exchanges/{id}/payment", {"by": account}),
    ):
        assert not thief.post(path, **body).is_success
    draft = {"what": "hold", "key": thief.key.public.hex()}
    assert not thief.post(f"/v1/exchanges/{id}/orders/drafts", **draft).is_success
    # The node has looked at its ledger meanwhile; whatever was ordered would be there.
    give(node, accomplice, thief.person, 1)
    assert (balance(node, account), balance(node, accomplice)) == (before, -1)
    shown = node.operator.get(f"/v1/exchanges/{id}").json()
    assert shown["phase"] == "accepted" and shown["waiting_for"] == ["payer"]
    assert "can pay it instead" in " ".join(shown["notices"])

    # With the yes of who may act for the account, just that is paid.
    answered: Json = {"by": "coop" if victim == "commons" else account, "wait_s": 30}
    answer = node.operator.post(f"/v1/fundings/{id}", json=answered)
    assert answer.status_code == 201, answer.text
    wait_for(
        lambda: node.operator.get(f"/v1/exchanges/{id}").json()["phase"] == "paid", "it is paid"
    )
    assert (balance(node, account), balance(node, accomplice)) == (before - 45, 44)
