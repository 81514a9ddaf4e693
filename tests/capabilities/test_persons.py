"""What real local services need for their people, over real nodes: each claim by its identifier.

The identifiers are those of docs/capabilities.md, which says what each asks and how far it is met.
"""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from maillon.protocol.claims import claim_body, claim_code
from maillon.protocol.keys import SealingKey, SigningKey
from support.exchanges import Exchanges, federation
from support.nodes import TestNode, wait_for

WORD = "zwqxkbvjmt"
"""A word that no text has by chance."""


@pytest.fixture(scope="module")
def coops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchanges]:
    # A short path: that of a socket has at most 107 bytes. A quorum of both nodes.
    with federation(tmp_path_factory.mktemp("p"), "a", "b", more=("--quorum", "2")) as made:
        yield made


def post(
    node: TestNode, path: str, status: int = 201, wish: Mapping[str, Any] | None = None, **more: Any
) -> Any:
    answer = node.http.post(path, json={**(wish or {}), **more})
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(node: TestNode, path: str, **body: Any) -> str:
    answer = node.http.post(path, json=body)
    assert answer.status_code >= 400, answer.text
    return str(answer.json()["code"])


def coop_of(node: TestNode) -> str:
    return str(node.get("/v1/status")["coop"])


def author(node: TestNode, person: str) -> str:
    return f"70{coop_of(node)}{person}"


def enrol(coops: Exchanges, place: int, name: str, *options: str) -> str:
    return coops.enrol(place, name, "--unit", "heure", "--limit", "10h", *options)


def back(node: TestNode) -> None:
    """Wait until a node that was started again reaches every witness."""

    def reaches() -> bool:
        if not node.listens():
            return False
        witnesses = node.get("/v1/ledger")["witnesses"]
        return all(witness["own"] or witness["reachable"] for witness in witnesses)

    wait_for(reaches, f"{node.name} is back")


def statuses(node: TestNode, account: str) -> list[str]:
    found = node.get("/v1/vouchers", account=account)["vouchers"]
    return [voucher["status"] for voucher in found]


@pytest.mark.capability("CAH-2")
def test_paper_cheques_are_entered_by_staff_and_paid_once_though_the_node_is_killed(
    coops: Exchanges,
) -> None:
    a, b = coops.coops
    ana, bo = enrol(coops, 0, "Cheque Ana"), enrol(coops, 1, "Cheque Bo")
    fay = enrol(coops, 0, "Cheque Fay")
    book = post(a, "/v1/voucher-books", account=ana, unit="heure", count=4, max="3h")
    first, second, third, lost = book["vouchers"]
    assert book["html"].count("<svg") == 4
    # By its code at the own desk, typed at another coop's.
    done = post(
        a, "/v1/vouchers/deposits", voucher=first["qr"], amount="1h", payee=fay, unit="heure",
        date="2026-03-14", wait_s=60,
    )  # fmt: skip
    assert done["status"] == "certified"
    typed = post(
        b, "/v1/vouchers/deposits", number=second["number"], code=second["code"],
        coop=coop_of(a), amount="0h30", payee=bo, unit="heure", wait_s=60,
    )  # fmt: skip
    assert typed["status"] == "certified"
    coops.arrives(1, "Cheque Bo", "heure", 30)
    # The other node is away: no quorum. The one that has the cheque is killed meanwhile.
    b.kill()
    body = {"voucher": third["qr"], "amount": 45, "payee": fay, "unit": "heure", "wait_s": 60}

    def deposit() -> None:
        try:
            a.http.post("/v1/vouchers/deposits", json=body)
        except Exception:
            return  # the answer is lost with the node

    asking = threading.Thread(target=deposit)
    asking.start()
    wait_for(lambda: "presented" in statuses(a, ana), "the cheque is presented")
    a.kill()
    asking.join()
    for node in (a, b):
        node.spawn()
    for node in (a, b):
        back(node)
    wait_for(lambda: statuses(a, ana).count("paid") == 3, "it is paid after all")
    again = post(a, "/v1/vouchers/deposits", 201, body)
    assert again["status"] == "certified" and again["repeated"]
    assert coops.balance(0, "Cheque Fay", "heure") == 60 + 45
    # A lost one, and one that was written too high.
    post(a, "/v1/vouchers/block", 200, account=ana, numbers=[lost["number"]])
    lost_one = {"voucher": lost["qr"], "payee": fay, "unit": "heure"}
    assert refused(a, "/v1/vouchers/deposits", amount=10, **lost_one) == "voucher_blocked"
    assert refused(a, "/v1/vouchers/deposits", **{**body, "payee": ana}) == "voucher_used"
    assert coops.balance(0, "Cheque Ana", "heure") == -(60 + 30 + 45)
    assert statuses(a, ana) == ["paid", "paid", "paid", "blocked"]
    assert all(report["good"] for report in coops.settled())


@pytest.mark.capability("MSA-3")
def test_a_helper_of_another_coop_acts_within_a_mandate_that_the_person_sees_and_revokes(
    coops: Exchanges,
) -> None:
    a, b = coops.coops
    ana = coops.do(0, "member", "add", "Aidée Ana")
    hal = coops.do(1, "member", "add", "Aidant Hal")
    mandate = post(
        a, "/v1/mandates", kinds=["demand"], principal=ana["person"], delegate_key=hal["key"],
        delegate_coop=coop_of(b), days=30,
    )["mandate"]  # fmt: skip
    wait_for(lambda: b.ids("mandate"), "the helper's node knows the mandate")
    payload = {
        "title": f"Courses {WORD}",
        "lang": "fr",
        "categories": ["courses"],
        "mode": ["at_home"],
        "reciprocity": {"kind": "gift"},
    }
    wanted = {"as_member": hal["person"], "mandate": mandate}
    post(b, "/v1/records", 201, wanted, kind="demand", payload=payload)
    # What the mandate does not name is refused, and changes nothing.
    assert refused(b, "/v1/records", kind="offer", payload=payload, **wanted) == "mandate_scope"
    path = f"/v1/persons/{ana['person']}/acts"
    wait_for(lambda: a.get(path)["acts"], "the person sees it")
    (act,) = a.get(path)["acts"]
    assert (act["what"], act["title"]) == ("demand", f"Courses {WORD}")
    assert (act["delegate_key"], act["delegate_coop"]) == (hal["key"], coop_of(b))
    assert WORD in a.get(f"{path}/receipt")["html"]
    # Ended at once; what was done stays in the list.
    post(a, f"/v1/mandates/{mandate}/revoke", 200)
    wait_for(
        lambda: any(
            record["thing"] == mandate and record["payload"].get("revoked")
            for record in b.get("/v1/records", kind="mandate", limit=1000)["records"]
        ),
        "the helper's node knows the end",
    )
    # What is signed in the very second of the end still counts.
    ended = time.time()
    wait_for(lambda: time.time() > ended + 1, "that second is over")
    assert refused(b, "/v1/records", kind="demand", payload=payload, **wanted) == "mandate_revoked"
    given = a.get(f"/v1/persons/{ana['person']}/mandates")["given"]
    assert [(m["mandate"], m["revoked"], m["acts"]) for m in given] == [(mandate, True, 1)]
    assert len(a.get(path)["acts"]) == 1


@pytest.mark.capability("MSA-2")
def test_a_person_entered_with_a_name_only_takes_the_account_over_later(
    coops: Exchanges,
) -> None:
    a = coops.coops[0]
    ana = enrol(coops, 0, "Reprise Ana")
    made = post(a, f"/v1/persons/{ana}/claim-codes")
    key, sealing = SigningKey.from_seed(b"\x51" * 32), SealingKey.from_seed(b"\x52" * 32)
    status = a.get("/v1/status")
    body = claim_body(
        bytes.fromhex(status["fed"]), bytes.fromhex(status["coop"]),
        claim_code(made["code"]).hash, key.public, sealing.public,
    )  # fmt: skip
    request = {
        "code": made["code"],
        "key": key.public.hex(),
        "sealing": sealing.public.hex(),
        "signature": key.sign("claim", body).hex(),
        "wait_s": 60,
    }
    done = post(a, "/v1/claims", 201, request)
    assert done["account"] == "certified"
    wait_for(
        lambda: [
            device["key"]
            for device in a.get(f"/v1/persons/{ana}")["devices"]
            if device["account"] == "yes"
        ]
        == [key.public.hex()],
        "the account is theirs alone",
    )
    other = SigningKey.from_seed(b"\x53" * 32)
    stolen = {**request, "key": other.public.hex(), "signature": other.sign("claim", b"").hex()}
    assert refused(a, "/v1/claims", **stolen) == "claim_refused"


@pytest.mark.capability("ASA-6")
def test_several_self_employed_share_what_they_earn_and_sign_together(coops: Exchanges) -> None:
    a, b = coops.coops
    ana, bo = enrol(coops, 0, "Équipe Ana"), enrol(coops, 0, "Équipe Bo")
    pat = enrol(coops, 1, "Cliente Pat")
    group = post(
        a, "/v1/groups", name="Équipe", founder=ana, signatures=2, split="shares", wait_s=60,
        members=[
            {"author": author(a, ana), "share": 2}, {"author": author(a, bo), "share": 1},
        ],
    )  # fmt: skip
    assert not group["counts"]
    path = f"/v1/groups/{group['group']}"
    assert post(a, f"{path}/consents", member=author(a, bo))["counts"]
    wish = {"from": pat, "to": group["account"], "amount": 100, "unit": "heure", "wait_s": 60}
    wait_for(
        lambda: b.http.post("/v1/transfers", json=wish).status_code == 201, "the client pays"
    )
    coops.arrives(0, "Équipe Ana", "heure", 67)
    coops.arrives(0, "Équipe Bo", "heure", 33)
    (split,) = a.get(f"{path}/splits")["splits"]
    assert sum(part["amount"] for part in split["parts"]) == split["amount"] == 100
    # What goes out needs both.
    own: dict[str, Any] = {"from": ana, "to": group["account"], "amount": 1, "unit": "heure"}
    post(a, "/v1/transfers", 201, own)
    order = post(
        a, f"{path}/orders", to=ana, amount=1, unit="heure", by=author(a, ana), wait_s=60
    )
    assert (order["status"], order["needed"]) == ("open", 2)
    refusal = refused(
        a, f"{path}/orders/{order['order']}/approvals", member=author(b, pat)
    )
    assert refusal == "not_possible"


@pytest.mark.capability("ASA-9")
def test_a_volunteer_is_thanked_in_hours_and_paid_in_no_credit(coops: Exchanges) -> None:
    a = coops.coops[0]
    ana = coops.enrol(0, "Payeuse Ana")
    coops.do(0, "account", "limit", "Payeuse Ana", "10h", "--unit", "heure")
    val = post(
        a, "/v1/members", name="Bénévole Val", provider_status="volunteer",
        verification="self_declared",
    )["person"]  # fmt: skip
    coops.do(0, "account", "open", "Bénévole Val")
    wish: dict[str, Any] = {"from": ana, "to": val, "amount": 100}
    assert refused(a, "/v1/transfers", **wish, unit="grain") == "provider_status"
    assert post(a, "/v1/transfers", 201, wish, unit="heure", wait_s=60)["status"] == "certified"
    shown = a.get(f"/v1/persons/{val}")
    assert (shown["provider_status"], shown["verification"]) == ("volunteer", "self_declared")
    assert shown["payable"] == ["heure", "savoir"]


@pytest.mark.capability("PLF-3")
def test_a_member_leaves_one_coop_for_another_and_takes_everything_along(
    coops: Exchanges,
) -> None:
    a, b = coops.coops
    mia, pat = enrol(coops, 0, "Partante Mia"), enrol(coops, 0, "Restant Pat")
    wish: dict[str, Any] = {"from": pat, "to": mia, "amount": 75, "unit": "heure"}
    post(a, "/v1/transfers", 201, wish)
    move = post(a, f"/v1/persons/{mia}/moves", to_coop=coop_of(b))
    there = post(
        b, "/v1/arrivals/persons", ticket=move["ticket"], code=move["code"], name="Arrivée Mia",
        wait_s=60,
    )  # fmt: skip
    wait_for(
        lambda: [m["status"] for m in a.get("/v1/moves")["moves"]] == ["closed"], "the move is done"
    )
    coops.arrives(1, "Arrivée Mia", "heure", 75)
    shown = b.get(f"/v1/persons/{there['person']}")
    assert shown["moved_from"] == [author(a, mia)]
    assert [device["key"] for device in shown["devices"]] == there["keys"]
    assert a.get(f"/v1/persons/{mia}")["moved_to"] == there["author"]


@pytest.mark.capability("PLF-1")
def test_a_person_gets_all_that_is_held_and_then_leaves_no_byte(coops: Exchanges) -> None:
    a, b = coops.coops
    name, memo, talk = f"{WORD}nom", f"{WORD}motif", f"{WORD}texte"
    eve, fay = enrol(coops, 0, name), enrol(coops, 0, "Amie Fay")
    # Whoever searches leaves no trace either.
    asked = f"{WORD}question"
    a.get("/v1/search", q=asked)
    wish: dict[str, Any] = {"amount": 5, "unit": "heure", "wait_s": 60}
    post(a, "/v1/transfers", 201, {"from": eve, "to": fay, "memo": memo, **wish})
    post(a, "/v1/transfers", 201, {"from": fay, "to": eve, **wish})
    # An exchange with somebody of another coop, in letters.
    gus = enrol(coops, 1, "Ailleurs Gus")
    opened: dict[str, Any] = {"by": eve, "with": author(b, gus), "role": "requester", "lang": "fr"}
    post(a, "/v1/exchanges", 201, opened, title=f"Aide {talk}", text=talk)
    answer = a.http.get(f"/v1/persons/{eve}/export")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert json.loads(archive.read("person.json"))["name"] == name
        assert memo in archive.read("account.json").decode()
        assert talk in archive.read("exchanges.json").decode()
        assert {"letters.json", "access.json"} <= set(archive.namelist())
    told = post(a, f"/v1/persons/{eve}/erase", 200, confirm=eve, wait_s=60)
    assert told["done"]
    a.stop()
    found = {
        (path.name, word)
        for path in [*a.home.rglob("*"), a.log]
        if path.is_file()
        for word in (name, memo, asked, talk)
        if word.encode() in path.read_bytes()
    }
    assert found == set()
    a.start()
    assert all(report["good"] for report in coops.settled())
