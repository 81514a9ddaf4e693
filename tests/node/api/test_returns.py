"""A volunteer offers nothing for money: neither by the desk nor from a device (spec/08)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from maillon.protocol.envelope import draft, sign
from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.records import build
from maillon.protocol.records.kind import random_series
from support.nodes import TestNode, nodes

KEY = SigningKey.from_seed(b"\x31" * 32)
OFFER = {
    "title": "Cours de guitare", "lang": "fr", "categories": ["musique"], "mode": ["at_home"],
}  # fmt: skip
HOURS = {"kind": "amount", "unit": "heure", "amount": 60}
CREDIT = {"kind": "amount", "unit": "sel", "amount": 60}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestNode]:
    with nodes(tmp_path_factory.mktemp("n"), "a") as (one,):
        units = ("--unit", "heure:hours:Heure", "--unit", "sel:credit:Sel")
        one.init().cli("federation", "found", "--name", "Fed", *units)
        yield one.start()


def member(node: TestNode, name: str, **more: Any) -> str:
    answer = node.http.post(
        "/v1/members", json={"name": name, "roles": ["member", "provider"], **more}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["person"])


def offer() -> dict[str, Any]:
    """Return the payload of an offer for hours."""
    return dict(build("offer", salt=bytes(16), **{**OFFER, "reciprocity": HOURS}))


def offers(node: TestNode) -> list[Any]:
    return list(node.get("/v1/records", kind="offer")["records"])


@pytest.mark.capability("ASA-9")
def test_a_volunteer_publishes_no_offer_for_credit(node: TestNode) -> None:
    val = member(node, "Val", provider_status="volunteer")
    ana = member(node, "Ana")

    def publish(who: str, **more: Any) -> Any:
        request = {"kind": "offer", "payload": {**OFFER, **more}, "as_member": who}
        return node.http.post("/v1/records", json=request)

    before = offers(node)
    for more in (
        {"reciprocity": CREDIT},
        {"reciprocity": HOURS, "tariffs": [{"audience": "members", "reciprocity": CREDIT}]},
    ):
        answer = publish(val, **more)
        assert answer.status_code == 400 and answer.json()["code"] == "provider_status"
        assert "volunteer" in answer.json()["detail"] and "hours" in answer.json()["hint"]
    # An offer that says so itself is held to it, whoever publishes.
    said = publish(ana, reciprocity=CREDIT, provider_status="volunteer")
    assert said.json()["code"] == "provider_status"
    assert offers(node) == before
    assert publish(ana, reciprocity=CREDIT).status_code == 201
    made = publish(val, reciprocity=HOURS)
    assert made.status_code == 201
    # Nor by a revision of one that was allowed.
    request = {
        "kind": "offer", "payload": {**OFFER, "reciprocity": CREDIT}, "as_member": val,
        "replaces": made.json()["id"],
    }  # fmt: skip
    assert node.http.post("/v1/records", json=request).json()["code"] == "provider_status"


@pytest.mark.capability("ASA-9")
def test_a_device_is_drafted_no_such_offer_and_brings_none(node: TestNode) -> None:
    sealing = SealingKey.from_seed(b"\x31" * 32)
    person = member(
        node, "Zoé", key=KEY.public.hex(), sealing=sealing.public.hex(), custody="device"
    )
    payload = {**OFFER, "reciprocity": CREDIT}
    request = {"kind": "offer", "key": KEY.public.hex(), "payload": payload}
    drafted = node.http.post("/v1/drafts", json=request)
    assert drafted.status_code == 200, drafted.text
    # She becomes a volunteer: what was drafted before is not taken in, and nothing is drafted.
    member(node, "Zoé", person=person, provider_status="volunteer")
    before = offers(node)
    header = drafted.json()["header"]
    signed = {
        **{name: drafted.json()[name] for name in ("header", "payload") if name in drafted.json()},
        "signature": KEY.sign("record", bytes.fromhex(header)).hex(),
    }
    brought = node.http.post("/v1/records/signed", json=signed)
    assert brought.json()["code"] == "provider_status", brought.text
    # What is no offer at all is refused as that.
    no_tariffs: list[Any] = [
        [1], [{"audience": [], "reciprocity": 7}], [{"reciprocity": {"kind": []}}], 7,
    ]  # fmt: skip
    status, now = node.get("/v1/status"), int(time.time())
    for tariffs in no_tariffs:
        made = draft(
            "offer", {**offer(), "tariffs": tariffs}, by=KEY.public, at=now, until=now + 900,
            fed=bytes.fromhex(status["fed"]), coop=bytes.fromhex(status["coop"]),
            series=random_series("offer", bytes(16)),
        )  # fmt: skip
        record = sign(made, KEY).encode().hex()
        brought = node.http.post("/v1/records/signed", json={"record": record})
        assert brought.status_code == 422 and brought.json()["code"] == "schema", brought.text
    assert node.http.post("/v1/drafts", json=request).json()["code"] == "provider_status"
    assert offers(node) == before
