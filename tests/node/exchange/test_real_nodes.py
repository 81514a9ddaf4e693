"""Exchanges between real nodes: over their interface, their letters and their accounts."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from maillon.protocol.encoding import encode
from maillon.protocol.keys import SealingKey, SigningKey
from support.exchangenodes import (
    Resident,
    agreed,
    call,
    federation,
    open_with,
    part,
    reaches,
    refused,
    resident,
    show,
    step,
    terms,
    worked,
)
from support.nodes import TestNode, nodes, wait_for

SECRET = "words that only their writer knows"


@pytest.fixture(scope="module")
def coops(tmp_path_factory: pytest.TempPathFactory) -> Generator[list[TestNode]]:
    directory = tmp_path_factory.mktemp("x")
    with nodes(directory, "a", "b", "c") as made:
        federation(made, directory / "f.bin")
        yield made


@pytest.fixture(scope="module")
def asks(coops: list[TestNode]) -> Resident:
    return resident(coops[0], "Ana", "40h")


@pytest.fixture(scope="module")
def gives(coops: list[TestNode]) -> Resident:
    return resident(coops[1], "Bo", "40h")


def attestations(node: TestNode) -> list[Any]:
    return list(node.get("/v1/records", kind="attestation", limit=1000)["records"])


def test_a_service_is_agreed_given_paid_and_evaluated_blind(
    coops: list[TestNode], asks: Resident, gives: Resident
) -> None:
    exchange = agreed(asks, gives)
    held = wait_for(lambda: part(gives, exchange, "hold"), "it is reserved")
    assert held["status"] == "held" and held["amount"]["text"] == "1h00"
    worked(asks, gives, exchange)
    done = step(asks, exchange, "acceptance", wait_s=30)
    assert done["phase"] == "paid" and done["paid"]["amount"] == 60
    reaches(gives, exchange, "paid")

    pending = gives.node.get("/v1/evaluations", person=gives.person)["evaluations"]
    assert exchange in [entry["exchange"] for entry in pending]
    before = [len(attestations(node)) for node in coops]
    call(
        asks.node, f"/v1/exchanges/{exchange}/evaluation", by=asks.person,
        criteria={"respect": 4}, text=SECRET,
    )  # fmt: skip
    seen = wait_for(lambda: part(gives, exchange, "evaluations"), "the other side knows of it")
    assert seen[0]["by"] == asks.author and not seen[0]["published"]
    assert [len(attestations(node)) for node in coops] == before
    answer = gives.node.http.get(f"/v1/exchanges/{exchange}/transcript", params={"raw": "true"})
    assert SECRET not in answer.text and SECRET.encode().hex() not in answer.text
    for node in coops[1:]:
        for file in node.home.glob("*.db*"):
            assert SECRET.encode() not in file.read_bytes(), file.name

    call(
        gives.node, f"/v1/exchanges/{exchange}/evaluation", by=gives.person,
        criteria={"respect": 5}, text="A pleasure.",
    )  # fmt: skip
    wait_for(
        lambda: all(len(attestations(n)) == b + 2 for n, b in zip(coops, before, strict=True)),
        "both evaluations are everywhere",
    )
    assert any(entry["payload"].get("text") == SECRET for entry in attestations(coops[2]))
    reaches(asks, exchange, "evaluated")


def acknowledged(who: Resident, exchange: str) -> list[Any]:
    return [
        payment
        for payment in part(who, exchange, "payments")
        if payment["what"] == "acknowledge" and payment["status"] == "certified"
    ]


@pytest.mark.capability("DOM-3")
def test_what_a_third_coop_pays_is_evaluated_by_the_two_and_every_node_takes_it(
    coops: list[TestNode], asks: Resident, gives: Resident
) -> None:
    payer = resident(coops[2], "Mairie", "40h")
    before = [{entry["id"] for entry in attestations(node)} for node in coops]
    exchange = agreed(asks, gives, opening={"payer": payer.author}, settle="after")
    worked(asks, gives, exchange)
    assert step(asks, exchange, "acceptance")["phase"] == "accepted"
    reaches(gives, exchange, "accepted")
    problem = refused(
        gives.node, f"/v1/exchanges/{exchange}/evaluation", by=gives.person,
        criteria={"respect": 4},
    )  # fmt: skip
    assert problem["code"] == "nothing_to_evaluate"
    (request,) = wait_for(
        lambda: payer.node.get("/v1/fundings", person=payer.person)["fundings"],
        "the payer is asked",
    )
    call(payer.node, f"/v1/fundings/{request['id']}", by=payer.person, wait_s=30)
    for who in (asks, gives):
        reaches(who, exchange, "paid")
        found = wait_for(partial(acknowledged, who, exchange), "it is acknowledged")
        assert [p["amount"]["unit"] for p in found] == ["savoir"]
        assert (found[0]["payer"], found[0]["payee"]) == (asks.author, gives.author)
    for who, mark in ((asks, 5), (gives, 4)):
        call(
            who.node, f"/v1/exchanges/{exchange}/evaluation", by=who.person,
            criteria={"respect": mark},
        )  # fmt: skip
    reaches(asks, exchange, "evaluated")

    def new(place: int) -> list[Any]:
        return [e for e in attestations(coops[place]) if e["id"] not in before[place]]

    # Each of them judges the attestations alone: also the payer's node, which has no transcript.
    wait_for(lambda: all(len(new(place)) == 2 for place in range(3)), "all nodes take both")
    assert {entry["payload"]["transfer"] for entry in new(2)} == {found[0]["order"]}
    assert {entry["payload"]["exchange_kind"] for entry in new(2)} == {"count_only"}
    assert show(payer, exchange) is None


def test_a_step_that_does_not_fit_is_a_problem_that_says_what_does(
    asks: Resident, gives: Resident
) -> None:
    exchange = open_with(asks, gives)
    reaches(gives, exchange, "opened")
    before = asks.node.get(f"/v1/exchanges/{exchange}/transcript", raw="true")
    problem = refused(
        asks.node, f"/v1/exchanges/{exchange}/steps", by=asks.person, kind="acceptance"
    )
    assert problem["code"] == "step" and problem["phase"] == "opened"
    assert "message" in problem["possible"]
    assert asks.node.get(f"/v1/exchanges/{exchange}/transcript", raw="true") == before
    problem = refused(
        gives.node, f"/v1/exchanges/{exchange}/steps", by=gives.person, kind="quote",
        fields={"terms": {"kind": "amount", "unit": "heure"}},
    )  # fmt: skip
    assert problem["code"] == "field"
    problem = refused(
        asks.node, "/v1/exchanges/ffffffffffffffff/steps", by=asks.person, kind="message"
    )
    assert problem["code"] == "not_found"


def test_a_complaint_is_mediated_by_a_third_coop_and_paid_in_part(
    coops: list[TestNode], asks: Resident, gives: Resident
) -> None:
    mediator = coops[2].get("/v1/status")["coop"]
    exchange = agreed(asks, gives, mediator=f"63{mediator}")
    worked(asks, gives, exchange)
    step(asks, exchange, "complaint", text="Half of it only.")
    reaches(coops[2], exchange, "disputed")
    told = coops[2].get("/v1/exchanges", role="mediator", waiting_for_me="true")["exchanges"]
    assert exchange in [entry["id"] for entry in told]
    call(
        coops[2], f"/v1/exchanges/{exchange}/steps", by="coop", kind="mediation",
        fields={"amount": "30min", "text": "Half an hour.", "lang": "en"},
    )  # fmt: skip
    found = reaches(asks, exchange, "paid")
    assert found["paid"]["amount"] == 30
    reaches(gives, exchange, "paid")
    wait_for(lambda: part(asks, exchange, "hold", "status") == "void", "the rest is given back")


def test_a_node_that_is_killed_goes_on_where_it_was(asks: Resident, gives: Resident) -> None:
    exchange = agreed(asks, gives)
    worked(asks, gives, exchange)
    # Answered for means durable: the acceptance, the order that follows, the letters that tell it.
    step(asks, exchange, "acceptance")
    asks.node.kill()
    asks.node.start()
    found = reaches(asks, exchange, "paid")
    assert found["paid"]["amount"] == 60 and len(found["payments"]) == 1
    found = reaches(gives, exchange, "paid")
    assert found["paid"]["amount"] == 60


@pytest.mark.capability("MSA-5")
def test_letters_wait_for_a_node_that_is_away(asks: Resident, gives: Resident) -> None:
    exchange = open_with(asks, gives)
    reaches(gives, exchange, "opened")
    gives.node.kill()
    for word in ("one", "two", "three"):
        step(asks, exchange, "message", text=word)
    gives.node.start()
    wait_for(lambda: part(gives, exchange, "steps") == 4, "all of them arrived")
    steps = gives.node.get(f"/v1/exchanges/{exchange}/transcript")["steps"]
    assert [s["fields"].get("text") for s in steps[1:]] == ["one", "two", "three"]


def test_the_day_of_a_provider_lists_appointments_with_who_and_where(
    asks: Resident, gives: Resident
) -> None:
    start = 1_900_000_000
    exchange = agreed(
        asks, gives, when=[{"start": start, "end": start + 3_600, "place": "At her home"}]
    )
    step(asks, exchange, "contact", contact={"name": "Ana", "phone": "+33 4 75 11 11 11"})
    wait_for(lambda: part(gives, exchange, "contact", "requester"), "the contact arrived")
    call(gives.node, f"/v1/exchanges/{exchange}/delay", by=gives.person, minutes=20, lang="en")
    (entry,) = gives.node.get("/v1/agenda", person=gives.person, start=start - 60)["entries"]
    assert entry["with"]["author"] == asks.author and entry["role"] == "provider"
    assert entry["contact"]["phone"] == "+33 4 75 11 11 11" and entry["late_minutes"] == 20
    text = gives.node.http.get("/v1/agenda.ics", params={"person": gives.person}).text
    assert "BEGIN:VEVENT" in text and "LOCATION:At her home" in text
    assert "DTSTART:20300317T174640Z" in text


def test_nothing_private_stands_in_the_public_records(
    coops: list[TestNode], asks: Resident, gives: Resident
) -> None:
    private = "The blue door behind the bakery"
    exchange = agreed(asks, gives, opening={"text": "Please bring your own tools"})
    step(asks, exchange, "contact", contact={"name": "Ana", "note": private})
    wait_for(lambda: part(gives, exchange, "contact", "requester"), "the contact arrived")
    for node in coops:
        for file in node.home.glob("node.db*"):
            assert private.encode() not in file.read_bytes(), file
    for file in coops[2].home.glob("*.db*"):
        data = file.read_bytes()
        assert private.encode() not in data and b"own tools" not in data, file.name


@pytest.fixture
def bundle(coops: list[TestNode], asks: Resident, gives: Resident) -> tuple[str, Resident]:
    other = resident(coops[2], "Cléo", "40h")
    made = call(
        gives.node, "/v1/bundles", by=gives.person, title="A garden from end to end",
        categories=["jardin"], lang="en",
        parts=[
            {"provider": gives.author, "title": "Digging", "unit": "heure", "amount": "1h"},
            {"provider": other.author, "title": "Planting", "unit": "heure", "amount": "1h"},
        ],
    )  # fmt: skip
    assert not made["complete"]
    wait_for(lambda: other.node.http.get(f"/v1/bundles/{made['bundle']}").is_success, "it arrived")
    call(other.node, f"/v1/bundles/{made['bundle']}/parts", by=other.person)
    wait_for(
        lambda: asks.node.http.get(f"/v1/bundles/{made['bundle']}").json().get("complete"),
        "both have signed",
    )
    return str(made["bundle"]), other


@pytest.mark.capability("SOSS-3")
def test_a_bundle_is_accepted_once_and_every_part_counts(
    asks: Resident, gives: Resident, bundle: tuple[str, Resident]
) -> None:
    thing, other = bundle
    asked = call(asks.node, f"/v1/bundles/{thing}/reserve", by=asks.person)
    exchanges = {part["provider"]["author"]: part["exchange"] for part in asked["parts"]}
    problem = refused(asks.node, f"/v1/bundles/{thing}/commit", by=asks.person)
    assert problem["code"] == "not_reserved"
    for who in (gives, other):
        reaches(who, exchanges[who.author], "opened")
        call(
            who.node, f"/v1/exchanges/{exchanges[who.author]}/steps", by=who.person,
            kind="quote", fields={"terms": terms(), "reserved": True},
        )  # fmt: skip
    wait_for(lambda: asks.node.get(f"/v1/bundles/{thing}")["status"] == "reserved", "both reserved")
    done = call(asks.node, f"/v1/bundles/{thing}/commit", by=asks.person)
    assert done["status"] == "commit"
    for who in (gives, other):
        exchange = exchanges[who.author]
        reaches(who, exchange, "agreed", "scheduled")
        # Both are reserved on the same account, by orders that were signed in one go.
        wait_for(lambda: part(who, exchange, "hold"), "it is reserved")  # noqa: B023
        assert [payment["status"] for payment in show(asks, exchange)["payments"]] == ["held"]


def test_a_device_signs_what_the_node_drafted(
    coops: list[TestNode], asks: Resident, gives: Resident
) -> None:
    key, sealing = SigningKey.from_seed(b"d" * 32), SealingKey.from_seed(b"e" * 32)
    call(
        asks.node, "/v1/members", person=asks.person, key=key.public.hex(),
        sealing=sealing.public.hex(), custody="device",
    )  # fmt: skip
    draft = call(
        asks.node, "/v1/exchanges/drafts", kind="opening", key=key.public.hex(),
        open={"with": gives.author, "role": "requester", "title": "On a device"},
    )  # fmt: skip
    header = bytes.fromhex(draft["header"])
    assert draft["sign"] == (b"maillon/1/record\0" + header).hex()
    signature = key.sign("record", header)
    record = encode([header, signature, bytes.fromhex(draft["payload"])])
    done = call(asks.node, "/v1/exchanges/signed", records=[record.hex()])
    assert done["taken"][0]["outcome"] == "new" and done["taken"][0]["id"] == draft["id"]
    found = reaches(gives, draft["id"], "opened")
    assert found["title"] == "On a device"
    # The device gets what others say, sealed to its own key.
    step(gives, draft["id"], "message", text="Sealed to you.")
    letters = wait_for(
        lambda: asks.node.get("/v1/letters", sealing=sealing.public.hex())["letters"], "a letter"
    )
    assert len(letters) >= 1


def test_a_third_party_funds_without_reading(
    coops: list[TestNode], asks: Resident, gives: Resident
) -> None:
    payer = resident(coops[2], "Fund", "40h")
    exchange = agreed(asks, gives, opening={"payer": payer.author})
    (request,) = wait_for(
        lambda: payer.node.get("/v1/fundings", person=payer.person)["fundings"], "it was asked"
    )
    assert request["status"] == "open" and request["amount"]["amount"] == 60
    funded = call(payer.node, f"/v1/fundings/{request['id'][:16]}", by=payer.person, wait_s=30)
    assert funded["status"] in ("ordered", "funded")
    wait_for(lambda: part(gives, exchange, "hold"), "it is reserved")
    assert show(payer, exchange) is None
    worked(asks, gives, exchange)
    step(asks, exchange, "acceptance", wait_s=30)
    reaches(gives, exchange, "paid")


def test_the_files_of_nodes_are_the_owners_alone(coops: list[TestNode]) -> None:
    for node in coops:
        assert (node.home / "exchange.db").stat().st_mode & 0o077 == 0
        assert Path(node.home / "exchange.db").exists()


def signed_step(
    node: TestNode, key: SigningKey, exchange: str, kind: str, **fields: Any
) -> dict[str, Any]:
    """Have a step drafted, sign it as a device does, and bring it back."""
    draft = call(
        node, f"/v1/exchanges/{exchange}/drafts", kind=kind, key=key.public.hex(), fields=fields
    )
    header = bytes.fromhex(draft["header"])
    record = encode([header, key.sign("record", header), bytes.fromhex(draft["payload"])])
    return dict(call(node, "/v1/exchanges/signed", records=[record.hex()]))


def signed_order(node: TestNode, key: SigningKey, exchange: str, what: str) -> str:
    """Have an order drafted, sign it as a device does, and bring it back; return its id."""
    draft = call(node, f"/v1/exchanges/{exchange}/orders/drafts", what=what, key=key.public.hex())
    purpose, _, body = bytes.fromhex(draft["sign"]).partition(b"\0")
    signature = key.sign(purpose.decode().removeprefix("maillon/1/"), body)
    call(
        node, "/v1/exchanges/signed", exchange=exchange, wait_s=30,
        orders=[
            {
                "what": what, "order": draft["order"], "key": key.public.hex(),
                "body": draft["body"], "signature": signature.hex(),
            }
        ],
    )  # fmt: skip
    return str(draft["order"])


def test_somebody_whose_only_key_is_on_a_device_reserves_and_pays(
    coops: list[TestNode], gives: Resident
) -> None:
    node = coops[0]
    key, sealing = SigningKey.from_seed(b"1" * 32), SealingKey.from_seed(b"2" * 32)
    member = call(
        node, "/v1/members", name="Dee", key=key.public.hex(), sealing=sealing.public.hex(),
        custody="device",
    )  # fmt: skip
    placed = call(
        node, "/v1/accounts", person=member["person"], key=key.public.hex(),
        positions=[{"limit": "10h"}], wait_s=30,
    )  # fmt: skip
    assert placed["status"] == "certified"
    coop = node.get("/v1/status")["coop"]
    dee = Resident(node, "Dee", coop, member["person"])
    exchange = open_with(gives, dee, role="provider")
    step(gives, exchange, "quote", terms=terms())
    # What came sealed to the device, it opens and hands to its node, to be drafted for.
    wait_for(
        lambda: len(node.get("/v1/letters", sealing=sealing.public.hex())["letters"]) >= 2,
        "the letters are there",
    )
    raw = gives.node.get(f"/v1/exchanges/{exchange}/transcript", raw="true")["steps"]
    call(node, "/v1/exchanges/signed", received=[entry["record"] for entry in raw])
    done = signed_step(node, key, exchange, "agreement")
    assert done["taken"][0]["outcome"] == "new"
    reaches(gives, exchange, "agreed")
    order = signed_order(node, key, exchange, "hold")
    signed_step(node, key, exchange, "hold", order=order, amount=60, unit="heure")
    wait_for(lambda: part(gives, exchange, "hold", "status") == "held", "it is reserved")
    step(gives, exchange, "check_in")
    step(gives, exchange, "check_out", minutes=60, last=True)
    raw = gives.node.get(f"/v1/exchanges/{exchange}/transcript", raw="true")["steps"]
    call(node, "/v1/exchanges/signed", received=[entry["record"] for entry in raw])
    signed_step(node, key, exchange, "acceptance")
    signed_order(node, key, exchange, "confirm")
    signed_step(node, key, exchange, "payment", transfer=order, amount=60, unit="heure")
    found = reaches(gives, exchange, "paid")
    assert found["paid"]["amount"] == 60


def test_a_helper_of_another_coop_agrees_and_pays_for_somebody(
    coops: list[TestNode], gives: Resident
) -> None:
    asks, helper = resident(coops[0], "Old Ada", "10h"), resident(coops[2], "Helper", "10h")
    key = next(
        entry["key"]
        for entry in coops[2].get("/v1/members")["members"]
        if entry["person"] == helper.person
    )
    mandate = call(
        coops[0], "/v1/mandates", principal=asks.person, delegate_key=key,
        delegate_coop=helper.coop,
        kinds=["opening", "agreement", "acceptance", "message", "payment"],
    )["mandate"]  # fmt: skip
    call(
        coops[0], f"/v1/accounts/{asks.person}/mandates", key=key,
        allowances=[{"amount": "5h"}], wait_s=30,
    )  # fmt: skip
    wait_for(
        lambda: coops[2].http.post(
            "/v1/exchanges",
            json={"by": helper.person, "as": mandate[:16], "with": gives.author,
                  "role": "requester", "title": "Shopping for Ada"},
        ).is_success,
        "the mandate has arrived",
    )  # fmt: skip
    exchange = coops[2].get("/v1/exchanges", person=helper.person)["exchanges"]
    found = [e for e in coops[2].get("/v1/exchanges")["exchanges"] if "Ada" in e["title"]]
    assert exchange == [] and found[0]["requester"]["author"] == asks.author
    id = found[0]["id"]
    reaches(gives, id, "opened")
    step(gives, id, "quote", terms=terms(settle="after"))
    reaches(coops[2], id, "quoted")
    path = f"/v1/exchanges/{id}/steps"
    acting = {"by": helper.person, "as": asks.author}
    call(coops[2], path, kind="agreement", **acting)
    reaches(gives, id, "agreed")
    step(gives, id, "check_in")
    step(gives, id, "check_out", minutes=60, last=True)
    reaches(coops[2], id, "done")
    call(coops[2], path, kind="acceptance", **acting)
    # Her own node holds the key of her account: it pays by itself, once.
    found = reaches(coops[0], id, "paid")
    assert found["paid"]["amount"] == 60
    reaches(gives, id, "paid")
    acts = coops[0].get(f"/v1/persons/{asks.person}/acts")
    assert "acceptance" in str(acts) and mandate[:8] in str(acts)
