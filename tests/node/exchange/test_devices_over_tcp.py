"""A device with its own keys, over TCP: it reads its letters, signs a draft, and brings it back.

The device is this process: it has two keys and a token, and asks a real node of another process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from maillon.protocol.encoding import encode
from maillon.protocol.envelope import decode_record, signed_message
from maillon.protocol.keys import SealingKey, SigningKey, signature_ok
from maillon.protocol.letters import ITEM_STEP, decode_letter, open_letter
from maillon.protocol.login import PURPOSE, login_body
from support.exchangenodes import Resident, open_with, part, reaches, resident, step, terms
from support.exchanging import found_together, start_all
from support.nodes import WAIT_S, TestNode, free_port, nodes, wait_for

Json = dict[str, Any]
SECRET = "Sonner deux fois au portail bleu"


class Device:
    """Somebody's telephone: two keys, a token of its own, and the address of a node."""

    def __init__(self, node: TestNode, port: int, name: str, seed: int) -> None:
        self.key = SigningKey.from_seed(bytes([seed]) * 32)
        self.sealing = SealingKey.from_seed(bytes([seed + 1]) * 32)
        self.host = f"127.0.0.1:{port}"
        self.http = httpx.Client(base_url=f"http://{self.host}", timeout=WAIT_S)
        member = node.http.post(
            "/v1/members",
            json={
                "name": name,
                "key": self.key.public.hex(),
                "sealing": self.sealing.public.hex(),
                "custody": "device",
            },
        )
        assert member.is_success, member.text
        coop = str(node.get("/v1/status")["coop"])
        self.resident = Resident(node, name, coop, str(member.json()["person"]))

    def sign_in(self) -> None:
        """Get a token for a signature, as spec/09 says."""
        asked = self.http.get("/v1/auth/challenge").json()
        body = login_body(
            fed=bytes.fromhex(asked["fed"]), coop=bytes.fromhex(asked["coop"]), host=self.host,
            nonce=bytes.fromhex(asked["nonce"]), expires=asked["expires"],
        )  # fmt: skip
        answer = self.http.post(
            "/v1/auth/login",
            json={
                "key": self.key.public.hex(),
                "nonce": asked["nonce"],
                "signature": self.key.sign(PURPOSE, body).hex(),
                "want": "token",
                "scopes": ["read", "exchange"],
                "label": "Téléphone",
            },
        )
        assert answer.status_code == 201, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def letters(self, least: int = 0) -> list[Json]:
        """Return the letters that wait; none while they are fewer than `least`."""
        answer = self.http.get("/v1/letters", params={"sealing": self.sealing.public.hex()})
        assert answer.is_success, answer.text
        found: list[Json] = answer.json()["letters"]
        return found if len(found) >= least else []

    def read(self, letters: list[Json]) -> list[bytes]:
        """Open letters here and return the steps in them; the signature of each is verified."""
        steps: list[bytes] = []
        for entry in letters:
            for item in open_letter(decode_letter(bytes.fromhex(entry["letter"])), self.sealing):
                if item.kind == ITEM_STEP:
                    signed = decode_record(item.data)
                    message, by = signed_message(signed), signed.header.by
                    assert signature_ok(by, message, signed.signature)
                    steps.append(item.data)
        return steps

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def signed(self, draft: Json) -> str:
        """Sign what is in the bytes of a draft."""
        header = bytes.fromhex(draft["header"])
        assert draft["id"] == hashlib.sha256(header).hexdigest()
        signature = self.key.sign("record", header)
        return encode([header, signature, bytes.fromhex(draft["payload"])]).hex()


@pytest.fixture(scope="module")
def ports() -> Json:
    return {"a": free_port()}


@pytest.fixture(scope="module")
def coops(tmp_path_factory: pytest.TempPathFactory, ports: Json) -> Iterator[list[TestNode]]:
    directory = tmp_path_factory.mktemp("d")
    with nodes(directory, "a", "b") as made:
        found_together(
            made, directory / "f.bin", "--unit", "heure:hours:Heure", "--quorum", "1"
        )
        config = made[0].home / "config.toml"
        listen = f'[api]\nlisten = "127.0.0.1:{ports["a"]}"\n'
        config.write_text(config.read_text().replace("[api]\n", listen, 1))
        start_all(made)
        yield made


@pytest.fixture(scope="module")
def phone(coops: list[TestNode], ports: Json) -> Iterator[Device]:
    made = Device(coops[0], ports["a"], "Dee", 0x31)
    made.sign_in()
    yield made
    made.http.close()


@pytest.fixture(scope="module")
def gives(coops: list[TestNode]) -> Resident:
    return resident(coops[1], "Bo", "10h")


@pytest.mark.capability("MSA-2")
def test_a_device_opens_its_letters_itself_signs_a_draft_and_the_other_coop_agrees(
    phone: Device, gives: Resident
) -> None:
    exchange = open_with(gives, phone.resident, role="provider", text=SECRET)
    step(gives, exchange, "quote", terms=terms(settle="after"))
    letters = wait_for(lambda: phone.letters(2), "two letters")
    steps = phone.read(letters)
    kinds = [decode_record(data).header.kind for data in steps]
    assert kinds == ["opening", "quote"]
    opening = decode_record(steps[0])
    assert opening.id.hex() == exchange and opening.payload is not None
    assert opening.payload["text"] == SECRET
    # The node cannot read what it keeps for the device: it knows nothing of this exchange yet.
    node = phone.resident.node
    assert node.http.get(f"/v1/exchanges/{exchange}").status_code == 404
    for file in node.home.glob("*.db*"):
        assert SECRET.encode() not in file.read_bytes(), file.name
    told = phone.post("/v1/exchanges/signed", received=[data.hex() for data in steps])
    assert told.is_success, told.text
    taken = phone.post(
        "/v1/letters/taken",
        sealing=phone.sealing.public.hex(), ids=[letter["id"] for letter in letters],
    )  # fmt: skip
    assert taken.json()["count"] == len(letters) and phone.letters() == []

    draft = phone.post(
        f"/v1/exchanges/{exchange}/drafts", kind="agreement", key=phone.key.public.hex()
    ).json()
    # It signs what it has read out of the bytes, not what it was told of them.
    record = phone.signed(draft)
    said = decode_record(bytes.fromhex(record))
    assert said.payload is not None and said.header.kind == "agreement"
    assert said.payload["quote"] == decode_record(steps[1]).id
    assert part(gives, exchange, "phase") == "quoted"
    done = phone.post("/v1/exchanges/signed", records=[record])
    assert done.json()["taken"][0]["outcome"] == "new", done.text
    reaches(gives, exchange, "agreed")
    again = phone.post("/v1/exchanges/signed", records=[record])
    assert again.json()["taken"][0]["outcome"] == "known"
    # And what follows comes to the device again, once.
    step(gives, exchange, "message", text="À demain.")


    def heard() -> list[bytes]:
        read = phone.read(phone.letters())
        return [data for data in read if decode_record(data).header.kind == "message"]

    (message,) = wait_for(heard, "the message came")
    said = decode_record(message)
    assert said.payload is not None and said.payload["text"] == "À demain."


def test_letters_are_given_to_nobody_but_the_owner_of_the_key(
    phone: Device, coops: list[TestNode], ports: Json, gives: Resident
) -> None:
    other = Device(coops[0], ports["a"], "Eve", 0x41)
    params = {"sealing": phone.sealing.public.hex()}
    assert other.http.get("/v1/letters", params=params).status_code == 401
    other.sign_in()
    exchange = open_with(gives, phone.resident, role="provider")
    waiting = wait_for(phone.letters, "a letter waits")
    assert other.http.get("/v1/letters", params=params).status_code == 403
    stolen = other.post("/v1/letters/taken", ids=[e["id"] for e in waiting], **params)
    assert stolen.status_code == 403
    assert phone.letters() == waiting
    # Nor does anybody sign in their place: the header names whose key it is.
    phone.post("/v1/exchanges/signed", received=[data.hex() for data in phone.read(waiting)])
    draft = phone.post(
        f"/v1/exchanges/{exchange}/drafts", kind="message", key=phone.key.public.hex(),
        fields={"text": "Not mine"},
    ).json()  # fmt: skip
    before = phone.http.get(f"/v1/exchanges/{exchange}/transcript").json()
    forged = other.signed(draft)
    for who in (other, phone):
        answer = who.post("/v1/exchanges/signed", records=[forged])
        outcome = answer.json().get("taken", [{"outcome": "refused"}])[0]["outcome"]
        assert not answer.is_success or outcome not in ("new", "known"), answer.text
    assert phone.http.get(f"/v1/exchanges/{exchange}/transcript").json() == before
    other.http.close()
