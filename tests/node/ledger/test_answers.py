"""What the local interface answers to who pays: a status that scripts can rely on, and proofs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.ledger.limits import SEQ_GAP_MAX, SEQ_MAX
from maillon.ledger.orders import NO_REF, PayAction, sign_order
from maillon.ledger.proofs import decode_proof
from maillon.ledger.quorum import Committee
from maillon.ledger.signing import inline_verify
from maillon.ledger.tool.cli import main as ledger_tool
from maillon.protocol.keys import SigningKey
from support.exchanging import found_together, member, pay, post, start_all
from support.nodes import TestNode, nodes

DEVICE = SigningKey.from_seed(hashlib.sha256(b"a device").digest())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[TestNode]]:
    """Give two coops that founded a federation together, running."""
    directory: Path = tmp_path_factory.mktemp("answers")
    with nodes(directory, "a", "b") as made:
        found_together(made, directory / "founding")
        start_all(made)
        yield made


@pytest.fixture(scope="module")
def people(two: list[TestNode]) -> list[str]:
    """Give two accounts at the first coop and one at the second."""
    return [member(two[0], "Ana"), member(two[0], "Bruno"), member(two[1], "Chloé")]


@pytest.fixture(scope="module")
def shop(two: list[TestNode]) -> str:
    """Give an organisation's account at the first coop, whose key is on a device."""
    placed = post(
        two[0], "/v1/accounts", kind="organisation", name="Épicerie du Pont",
        key=DEVICE.public.hex(), positions=[{"limit": "5h"}], wait_s=30,
    )  # fmt: skip
    assert placed["status"] == "certified"
    return str(placed["account"])


def order(node: TestNode, account: str, to: str, seq: int, *, ref: bytes = NO_REF,
          amount: int = 1) -> str:  # fmt: skip
    """Sign an order on the device."""
    status = node.get("/v1/status")
    coop, _, payee = to.partition(":")
    action = PayAction(bytes.fromhex(coop), bytes.fromhex(payee), 0, amount, ref)
    fed, here = bytes.fromhex(status["fed"]), bytes.fromhex(status["coop"])
    return (
        sign_order(DEVICE, fed, bytes.fromhex(account), seq, here, 1 << 33, action).encode().hex()
    )


def next_seq(node: TestNode, account: str) -> int:
    return int(node.get(f"/v1/accounts/{account}")["seq"]) + 1


def sums(node: TestNode) -> Any:
    rows = node.get("/v1/accounts")["accounts"]
    return {row["account"]: (row["seq"], [p["balance"] for p in row["positions"]]) for row in rows}


def test_what_is_certain_answers_201_and_what_waits_202(
    two: list[TestNode], people: list[str]
) -> None:
    a, _ = two
    body = {"from": people[0].partition(":")[2], "to": people[1], "amount": 1}
    certain = a.http.post("/v1/transfers", json={**body, "wait_s": 30})
    assert (certain.status_code, certain.json()["status"]) == (201, "certified")
    waits = a.http.post("/v1/transfers", json={**body, "wait_s": 0})
    assert waits.status_code == 202 and waits.json()["status"] in ("waiting", "placed")


def test_a_refused_transfer_is_an_error_with_its_code_and_facts(
    two: list[TestNode], people: list[str]
) -> None:
    a, _ = two
    pay(a, people[0], people[1], 1)  # after what the test before left waiting
    before = sums(a)
    body = {"from": people[0].partition(":")[2], "to": people[1], "amount": "99h", "wait_s": 30}
    answer = a.http.post("/v1/transfers", json=body)
    told = answer.json()
    assert (answer.status_code, told["code"], told["status"]) == (422, "over_limit", 422)
    assert told["available"] == told["placed"]["facts"]["available"] < 600
    assert told["placed"]["status"] == "refused" and told["placed"]["id"] == told["id"]
    assert sums(a) == before


def test_a_refused_order_of_a_device_is_an_error_too(
    two: list[TestNode], people: list[str], shop: str
) -> None:
    a, _ = two
    before = sums(a)
    for seq, amount, code in (
        (next_seq(a, shop), 10_000, "over_limit"),
        (next_seq(a, shop) + SEQ_GAP_MAX, 1, "sequence_gap"),
        (SEQ_MAX, 1, "sequence_gap"),
    ):
        signed = order(a, shop, people[1], seq, amount=amount)
        answer = a.http.post("/v1/transfers/signed", json={"order": signed, "wait_s": 30})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert sums(a) == before
    good = order(a, shop, people[1], next_seq(a, shop))
    answer = a.http.post("/v1/transfers/signed", json={"order": good, "wait_s": 30})
    assert (answer.status_code, answer.json()["status"]) == (201, "certified")


def test_a_memo_that_the_order_was_not_signed_for_is_refused(
    two: list[TestNode], people: list[str], shop: str
) -> None:
    a, _ = two
    salt, memo = bytes(range(32)), "Pain et légumes"
    ref = hashlib.sha256(salt + memo.encode()).digest()
    signed = order(a, shop, people[1], next_seq(a, shop), ref=ref)
    before = sums(a)
    for wrong in (
        {"memo": "Autre chose", "salt": salt.hex()},
        {"memo": memo},
        {"salt": salt.hex()},
        {"memo": memo, "salt": bytes(32).hex()},
    ):
        answer = a.http.post("/v1/transfers/signed", json={"order": signed, **wrong})
        assert (answer.status_code, answer.json()["code"]) == (422, "memo")
    assert sums(a) == before
    placed = post(a, "/v1/transfers/signed", order=signed, memo=memo, salt=salt.hex(), wait_s=30)
    assert a.get(f"/v1/transfers/{placed['id']}")["transfer"]["memo"] == memo


def test_an_organisation_with_a_key_of_its_own_keeps_its_name_in_the_private_register(
    two: list[TestNode], shop: str
) -> None:
    a, b = two
    shown = a.get(f"/v1/accounts/{shop}")
    assert (shown["name"], shown["kind"]) == ("Épicerie du Pont", "organisation")
    assert shown["keys"] == [DEVICE.public.hex()]
    assert a.get("/v1/accounts/Épicerie du Pont")["account"] == shop
    elsewhere = b.get(f"/v1/accounts/{a.get('/v1/status')['coop']}:{shop}")
    assert (elsewhere["account"], elsewhere["name"]) == (shop, "")


@pytest.mark.parametrize("account", ["ab" * 16, "nobody"])
def test_an_account_that_is_not_there_is_not_found(two: list[TestNode], account: str) -> None:
    answer = two[0].http.get(f"/v1/accounts/{account}")
    assert answer.status_code == 404 and answer.json()["detail"]


def test_a_proof_convinces_who_has_no_node(
    two: list[TestNode], people: list[str], tmp_path: Path
) -> None:
    a, b = two
    placed = pay(a, people[0], people[2], 7)
    told = a.get(f"/v1/transfers/{placed['id']}/proof")
    assert b.get(f"/v1/transfers/{placed['id']}/proof")["proof"] == told["proof"]
    proof = decode_proof(bytes.fromhex(told["proof"]))
    keys = tuple(bytes.fromhex(key) for key in told["witnesses"])
    proof.verify_certified(Committee(keys, told["quorum"]), inline_verify)
    assert (told["header"], told["entry"]) == (proof.header.encoded.hex(), proof.entry.hex())
    assert told["block"]["h"] == proof.header.h
    file, export = tmp_path / "payment.proof", tmp_path / "export"
    told = a.cli("transfer", "proof", placed["id"][:16], "-o", str(file))
    assert file.read_bytes() == proof.encode() and told["file"] == str(file)
    post(b, "/v1/ledger/export", directory=str(export))
    assert ledger_tool(["verify", str(file), str(export), "--quiet"]) == 0
    assert a.http.get(f"/v1/transfers/{'ab' * 32}/proof").status_code == 404
