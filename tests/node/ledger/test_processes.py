"""Real nodes in processes of their own: they pay, are killed, come back, and agree."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.exchanging import (
    agree,
    balance,
    connected,
    found_together,
    member,
    pay,
    post,
    serving,
    start_all,
)
from support.nodes import TestNode, maillon, nodes, wait_for


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[TestNode]]:
    """Give four coops that founded a federation together, all running."""
    directory: Path = tmp_path_factory.mktemp("p")
    with nodes(directory, "a", "b", "c", "d") as made:
        found_together(made, directory / "founding")
        start_all(made)
        yield made


@pytest.fixture(scope="module")
def people(four: list[TestNode]) -> list[str]:
    """Give an account at each coop."""
    found = [member(node, f"Member of {node.name}") for node in four]
    agree(four)
    return found


def test_a_transfer_is_certified_and_arrives_at_the_other_coop(
    four: list[TestNode], people: list[str]
) -> None:
    a, b, c, _d = four
    before = balance(b, people[1])
    placed = pay(a, people[0], people[1], "30 min", memo="Jardinage")
    assert placed["status"] == "certified"
    wait_for(lambda: balance(b, people[1]) == before + 30, "it has arrived")
    proof = a.get(f"/v1/transfers/{placed['id']}")
    assert all(signature["valid"] for signature in proof["signatures"])
    assert sum(s["role"] == "witness" for s in proof["signatures"]) >= proof["quorum"] == 3
    assert proof["transfer"]["memo"] == "Jardinage"
    agree(four)
    seen = c.get(f"/v1/transfers/{placed['id']}")["transfer"]
    assert (seen["status"], seen["memo"], seen["name"]) == ("certified", "", "")
    (line,) = b.get(f"/v1/accounts/{people[1].partition(':')[2]}/statement")["lines"][-1:]
    assert (line["amount"], line["direction"], line["id"]) == (30, "in", placed["id"])


def test_a_killed_node_catches_up_with_what_the_others_certified(
    four: list[TestNode], people: list[str]
) -> None:
    a, b, c, d = four
    d.kill()
    before = balance(b, people[1])
    for _ in range(3):
        assert pay(a, people[0], people[1], 1)["status"] == "certified"
    wait_for(lambda: balance(b, people[1]) == before + 3, "all have arrived")
    d.start()
    agree([a, b, c, d])
    connected(d, 3)
    assert post(d, "/v1/ledger/verify")["good"]


def test_orders_wait_over_a_restart_until_there_is_a_quorum(
    four: list[TestNode], people: list[str]
) -> None:
    a, b, c, d = four
    before = balance(b, people[1])
    c.kill()
    d.kill()
    placed = pay(a, people[0], people[1], 7, wait_s=1)
    assert placed["status"] in ("waiting", "placed") and placed["reason"] and placed["detail"]
    a.kill()
    a.spawn()
    wait_for(partial(serving, a), "a answers again")
    assert a.get(f"/v1/transfers/{placed['id']}")["transfer"]["status"] in ("waiting", "placed")
    for node in (c, d):
        node.spawn()
    wait_for(lambda: balance(b, people[1]) == before + 7, "it went through")
    for node in (c, d):
        wait_for(partial(serving, node), f"{node.name} answers")
    agree(four)
    assert balance(b, people[1]) == before + 7
    assert not [n for n in a.get("/v1/ledger")["notices"] if "does not come forward" in n]


def test_a_mark_of_the_other_counts_everywhere_once_the_transfer_is_certified(
    four: list[TestNode], people: list[str]
) -> None:
    a, b, *_ = four
    placed = pay(a, people[0], people[1], 2)
    coop, _, payee = people[1].partition(":")
    made = post(
        a,
        "/v1/records",
        kind="attestation",
        as_member=people[0].partition(":")[2],
        payload={
            "transfer": placed["id"],
            "subject": "70" + coop + payee,
            "criteria": {"quality": 5},
            "lang": "fr",
        },
    )
    wait_for(lambda: made["id"] in b.ids("attestation"), "the mark has arrived")
    answer = a.http.post(
        "/v1/records",
        json={
            "kind": "attestation",
            "as_member": people[0].partition(":")[2],
            "payload": {
                "transfer": "11" * 32,
                "subject": "70" + coop + payee,
                "criteria": {"quality": 5},
                "lang": "fr",
            },
        },
    )
    assert answer.status_code >= 400 and answer.json()["code"] == "ref_missing"


def test_a_restored_backup_runs_with_another_witness_key_and_says_so(
    four: list[TestNode], people: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    *_, d = four
    folder = tmp_path_factory.mktemp("r") / "backup"
    post(d, "/v1/backup", directory=str(folder))
    old = d.get("/v1/ledger")["witness_key"]
    assert d.stop() == 0
    restored = TestNode(folder, "Coop D")
    (folder / "password").write_bytes((d.home / "password").read_bytes())
    (folder / "password").chmod(0o600)
    try:
        restored.start()
        status = restored.get("/v1/ledger")
        assert status["witness_key"] != old and status["witness"] == "none"
        assert any("another witness key" in notice for notice in status["notices"])
        connected(restored, 3)
        # Three others still certify; the coop goes on writing under its old writer key.
        paid = pay(restored, people[3], people[0], 1)
        assert paid["status"] == "certified", paid
        checked = maillon(folder, "doctor", "--json")
        assert "witness" in checked.stdout
    finally:
        restored.close()
    d.start()


BAD: list[tuple[str, str, dict[str, Any] | None, int]] = [
    ("POST", "/v1/accounts", {"kind": "person"}, 400),
    ("POST", "/v1/accounts", {"kind": "bank"}, 400),
    ("POST", "/v1/accounts", {"person": "ff" * 16, "positions": [{"limit": "much"}]}, 400),
    ("POST", "/v1/accounts", {"person": "ff" * 16}, 404),
    ("POST", "/v1/accounts", {"kind": "group", "name": "G", "key": "00" * 32}, 422),
    ("POST", "/v1/accounts/nobody/limit", {"limit": 1}, 404),
    ("POST", "/v1/accounts/nobody/limit", {"limit": -1}, 400),
    ("POST", "/v1/accounts/nobody/close", {}, 404),
    ("POST", "/v1/accounts/nobody/recover", {"key": "12"}, 400),
    ("POST", "/v1/accounts/nobody/keys", {}, 404),
    ("POST", "/v1/accounts/nobody/mandates", {"allowances": []}, 400),
    ("POST", "/v1/accounts/nobody/mandates/00/revoke", None, 404),
    ("GET", "/v1/accounts/nobody/statement", None, 404),
    ("GET", "/v1/accounts?coop=zz", None, 404),
    ("GET", "/v1/accounts?unit=francs", None, 0),
    ("GET", "/v1/accounts?colour=red", None, 400),
    ("POST", "/v1/transfers", {}, 400),
    ("POST", "/v1/transfers", {"from": "nobody", "to": "x", "amount": 1}, 404),
    ("POST", "/v1/transfers", {"to": "zz:11", "amount": 1}, 404),
    ("POST", "/v1/transfers", {"to": "00", "amount": 10**13}, 400),
    ("POST", "/v1/transfers", {"to": "00", "amount": 1, "wait_s": 1e9}, 400),
    ("POST", "/v1/transfers/signed", {"order": "zz"}, 400),
    ("POST", "/v1/transfers/signed", {"order": "c0"}, 0),
    ("GET", "/v1/transfers?status=lost", None, 400),
    ("GET", "/v1/transfers?after=xyz", None, 400),
    ("GET", "/v1/transfers/zz", None, 404),
    ("GET", "/v1/transfers/" + "ab" * 32, None, 404),
    ("POST", "/v1/transfers/" + "ab" * 32 + "/confirm", {}, 404),
    ("POST", "/v1/transfers/" + "ab" * 32 + "/confirm", {"preimage": "1"}, 400),
    ("POST", "/v1/transfers/" + "ab" * 32 + "/release", {}, 404),
    ("POST", "/v1/transfers/" + "ab" * 32 + "/reverse", {}, 404),
    ("POST", "/v1/ledger/export", {"directory": ""}, 400),
    ("POST", "/v1/ledger/export", {"directory": "nowhere/said"}, 400),
    ("POST", "/v1/ledger/export", {"directory": "/proc/nowhere"}, 0),
    ("POST", "/v1/charter/proposals", {"entries": []}, 400),
    ("POST", "/v1/charter/proposals", {"entries": [{"entry": "gold"}]}, 400),
    ("POST", "/v1/charter/proposals", {"entries": [{"entry": "quorum", "quorum": "all"}]}, 400),
    ("POST", "/v1/charter/proposals", {"entries": [{"entry": "limit", "coop": "nowhere"}]}, 0),
    ("POST", "/v1/charter/proposals/abc/approve", None, 400),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD)
def test_what_cannot_be_is_refused_in_words_and_changes_nothing(
    four: list[TestNode], method: str, path: str, body: object, status: int
) -> None:
    a = four[0]
    before = a.get("/v1/ledger")["orders"], a.get("/v1/charter/proposals")
    answer = a.http.request(method, path, json=body) if body is not None else a.http.request(
        method, path
    )
    told = answer.json()
    assert 400 <= answer.status_code < 500, (answer.status_code, told)
    assert status in (0, answer.status_code), (answer.status_code, told)
    assert told["code"] and told["detail"]
    assert (a.get("/v1/ledger")["orders"], a.get("/v1/charter/proposals")) == before
