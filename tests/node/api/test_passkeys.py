"""Passkeys, made and used with a security key in software, against a running node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.api import ApiNode, api_node, bearer
from support.authenticator import Authenticator

ORIGIN = "https://node.example.org"
HOST = {"Host": "node.example.org"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    with api_node(tmp_path_factory.mktemp("n"), public_url=ORIGIN) as one:
        yield one


def make(
    node: ApiNode, name: str, seed: int, **wrong: Any
) -> tuple[Authenticator, dict[str, str], Any]:
    """Register a person without a device, give them a token, and make a passkey with it."""
    person = node.member(name)
    headers = {**HOST, **bearer(node.token("read", "exchange", person=person["person"]))}
    told = node.http.post("/v1/auth/passkeys/options", headers=headers).json()["options"]
    key = Authenticator(seed)
    body = {"credential": key.create(told, ORIGIN, **wrong), "label": "Clé bleue"}
    return key, headers, node.http.post("/v1/auth/passkeys", json=body, headers=headers)


def options(node: ApiNode) -> dict[str, Any]:
    return dict(node.http.get("/v1/auth/passkeys/challenge", headers=HOST).json()["options"])


def sign_in(node: ApiNode, key: Authenticator, **wrong: Any) -> Any:
    body = {"credential": key.get(options(node), ORIGIN, **wrong)}
    return node.http.post("/v1/auth/passkeys/login", json=body, headers=HOST)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_person_whose_key_the_node_keeps_signs_in_with_a_passkey(node: ApiNode) -> None:
    key, headers, made = make(node, "Rose", 101)
    assert made.status_code == 201 and made.json()["label"] == "Clé bleue", made.text
    (shown,) = node.http.get("/v1/auth/passkeys", headers=headers).json()["passkeys"]
    assert shown["id"] == key.id.hex() and shown["last_used"] == 0
    assert sign_in(node, key).status_code == 201
    begun = sign_in(node, key)
    assert begun.status_code == 201, begun.text
    assert begun.json()["caller"]["name"] == "Rose"
    session = {**HOST, "Cookie": begun.headers["set-cookie"].partition(";")[0]}
    assert node.http.get("/v1/auth/me", headers=session).json()["kind"] == "member"


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://evil.example"},
        {"rp": "evil.example"},
        {"type": "webauthn.get"},
        {"unverified": True},
        {"challenge": "AAAA"},
    ],
    ids=str,
)
def test_a_passkey_made_elsewhere_or_without_its_owner_is_refused(
    node: ApiNode, wrong: dict[str, Any]
) -> None:
    key, headers, made = make(node, "Iris", 102, **wrong)
    assert code(made) == (401, "sign_in")
    assert node.http.get("/v1/auth/passkeys", headers=headers).json()["passkeys"] == []
    assert code(sign_in(node, key)) == (401, "sign_in")


def test_a_sign_in_made_elsewhere_or_by_another_key_is_refused(node: ApiNode) -> None:
    key, _headers, made = make(node, "Jasmine", 103)
    assert made.status_code == 201
    assert sign_in(node, key).status_code == 201
    for wrong in (
        {"origin": "https://evil.example"},
        {"rp": "evil.example"},
        {"type": "webauthn.create"},
        {"unverified": True},
        {"challenge": "AAAA"},
        {"user": b"\x07" * 16},
        {"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"},
        # A count that does not grow tells of a copy of the key.
        {"count": 1},
    ):
        assert code(sign_in(node, key, **wrong)) == (401, "sign_in"), wrong
    key.count = 50
    assert sign_in(node, key).status_code == 201


def test_an_answer_is_taken_once(node: ApiNode) -> None:
    key, _headers, _made = make(node, "Violette", 104)
    body = {"credential": key.get(options(node), ORIGIN)}
    first = node.http.post("/v1/auth/passkeys/login", json=body, headers=HOST)
    again = node.http.post("/v1/auth/passkeys/login", json=body, headers=HOST)
    assert first.status_code == 201 and code(again) == (401, "sign_in")


def test_the_challenge_of_one_person_makes_no_passkey_of_another(node: ApiNode) -> None:
    mine = {**HOST, **bearer(node.token("read", person=node.member("Capucine")["person"]))}
    theirs = {**HOST, **bearer(node.token("read", person=node.member("Myrtille")["person"]))}
    told = node.http.post("/v1/auth/passkeys/options", headers=mine).json()["options"]
    body = {"credential": Authenticator(105).create(told, ORIGIN)}
    answer = node.http.post("/v1/auth/passkeys", json=body, headers=theirs)
    assert code(answer) == (401, "sign_in")
    assert node.http.get("/v1/auth/passkeys", headers=theirs).json()["passkeys"] == []


def test_a_removed_passkey_signs_in_no_more_and_nobody_removes_anothers(node: ApiNode) -> None:
    key, headers, _made = make(node, "Anémone", 106)
    other = {**HOST, **bearer(node.token("read", person=node.member("Autre")["person"]))}
    place = f"/v1/auth/passkeys/{key.id.hex()}/remove"
    assert code(node.http.post(place, headers=other)) == (404, "not_found")
    assert sign_in(node, key).status_code == 201
    assert node.http.post(place, headers=headers).status_code == 200
    assert code(sign_in(node, key)) == (401, "sign_in")


@pytest.mark.parametrize(
    "credential", [{}, {"response": {}}, {"response": {"clientDataJSON": "e"}}]
)
def test_what_is_no_credential_is_refused(node: ApiNode, credential: dict[str, Any]) -> None:
    answer = node.http.post(
        "/v1/auth/passkeys/login", json={"credential": credential}, headers=HOST
    )
    assert code(answer) == (401, "sign_in")
