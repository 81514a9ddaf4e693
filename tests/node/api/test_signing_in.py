"""Signing in over TCP: by a signed challenge, a token, a cookie; and what each may do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.login import NONCE_BYTES
from support.api import ApiNode, api_node, bearer

COOKIE = "__Host-maillon"
OFFER = {
    "title": "Cours de guitare",
    "lang": "fr",
    "categories": ["musique"],
    "mode": ["at_home"],
    "reciprocity": {"kind": "free"},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    with api_node(tmp_path_factory.mktemp("n")) as one:
        yield one


@pytest.fixture(scope="module")
def ada(node: ApiNode) -> tuple[dict[str, Any], SigningKey]:
    return node.device("Ada", 21)


def code(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["code"]


def cookie(answer: Any) -> dict[str, str]:
    """Return the header with which a browser would send the session's cookie back."""
    said = answer.headers["set-cookie"]
    assert said.startswith(f"{COOKIE}=")
    return {"Cookie": said.partition(";")[0]}


# --- nobody -------------------------------------------------------------------------------------


def test_nobody_reaches_a_route_that_is_not_open(node: ApiNode) -> None:
    document = node.http.get("/v1/openapi.json").json()
    open_to_all: set[str] = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = path.replace("{", "").replace("}", "")
            answer = node.http.request(method, place, json={} if method == "post" else None)
            if operation["x-scope"] == "public":
                open_to_all.add(path)
                assert answer.json().get("code") not in ("unauthenticated", "forbidden"), path
            else:
                assert code(answer) == (401, "unauthenticated"), (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
    assert {"/v1/search", "/v1/records", "/v1/health", "/v1/auth/challenge"} <= open_to_all
    assert not open_to_all & {"/v1/members", "/v1/accounts", "/v1/status", "/v1/export"}


def test_without_an_account_one_finds_offers_and_not_who_is_who(node: ApiNode) -> None:
    made = node.operator.post("/v1/records", json={"kind": "offer", "payload": OFFER}).json()
    assert node.http.get("/v1/search", params={"q": "guitare"}).json()["count"] >= 1
    assert node.http.get(f"/v1/records/{made['id']}").json()["payload"]["title"] == OFFER["title"]
    kinds = {row["kind"] for row in node.http.get("/v1/records").json()["records"]}
    assert "membership" not in kinds and "offer" in kinds
    asked = node.http.get("/v1/records", params={"kind": "membership"})
    assert code(asked) == (401, "unauthenticated")
    node.member("Quelqu'une")
    (one, *_rest) = node.operator.get("/v1/records?kind=membership").json()["records"]
    assert code(node.http.get(f"/v1/records/{one['id']}")) == (401, "unauthenticated")


# --- a signed challenge -------------------------------------------------------------------------


def test_a_member_signs_a_challenge_and_is_let_in(node: ApiNode, ada: Any) -> None:
    person, key = ada
    answer = node.sign_in(key, want="token", label="Téléphone", days=3, scopes=["read", "pay"])
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["caller"]["person"] == person["person"] and told["caller"]["name"] == "Ada"
    assert told["caller"]["scopes"] == ["pay", "read"] and told["token"].startswith("mln_")
    me = node.http.get("/v1/auth/me", headers=bearer(told["token"])).json()
    assert (me["kind"], me["author"]) == ("member", told["caller"]["author"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"fed": b"\x09" * 32},
        {"coop": b"\x09" * 32},
        {"host": "elsewhere.example"},
        {"nonce": b"\x09" * NONCE_BYTES},
        {"expires": 1},
        {"purpose": "record"},
    ],
    ids=lambda wrong: str(next(iter(wrong))),
)
def test_a_signature_for_something_else_is_refused(
    node: ApiNode, ada: Any, wrong: dict[str, Any]
) -> None:
    _person, key = ada
    body = node.answer(node.challenge(), key, **wrong)
    assert code(node.http.post("/v1/auth/login", json=body)) == (401, "sign_in")


def test_a_challenge_is_answered_once(node: ApiNode, ada: Any) -> None:
    _person, key = ada
    body = node.answer(node.challenge(), key)
    assert node.http.post("/v1/auth/login", json=body).status_code == 201
    assert code(node.http.post("/v1/auth/login", json=body)) == (401, "sign_in")


def test_a_challenge_of_our_own_making_or_of_another_host_is_refused(
    node: ApiNode, ada: Any
) -> None:
    _person, key = ada
    good = node.challenge()
    forged = {**good, "nonce": "00" * NONCE_BYTES}
    body = node.answer(forged, key)
    assert code(node.http.post("/v1/auth/login", json=body)) == (401, "sign_in")
    local = node.operator.get("/v1/auth/challenge").json()
    assert local["host"] == "node"
    body = node.answer(local, key)
    assert code(node.http.post("/v1/auth/login", json=body)) == (401, "sign_in")


def test_a_key_of_nobody_and_a_wrong_signature_are_told_alike(node: ApiNode, ada: Any) -> None:
    _person, key = ada
    stranger = node.sign_in(SigningKey.from_seed(b"\x63" * 32))
    body = node.answer(node.challenge(), key)
    forged = node.http.post("/v1/auth/login", json={**body, "signature": "11" * 64})
    assert code(stranger) == code(forged) == (401, "sign_in")
    assert stranger.json()["detail"] == forged.json()["detail"]


# --- tokens -------------------------------------------------------------------------------------


def test_a_key_in_place_of_a_lost_one_hears_from_when_on_it_counts(node: ApiNode) -> None:
    person, old = node.device("Nora", 43)
    new = SigningKey.from_seed(bytes([45]) * 32)
    sealing = SealingKey.from_seed(bytes([45]) * 32)
    begun = node.operator.post(
        f"/v1/persons/{person['person']}/recoveries",
        json={
            "old_key": old.public.hex(),
            "procedure": "Identity card seen at the desk",
            "key": new.public.hex(),
            "sealing": sealing.public.hex(),
        },
    )
    assert begun.status_code == 201, begun.text
    refused = node.sign_in(new)
    assert code(refused) == (401, "sign_in")
    assert refused.json()["counts_from"] == begun.json()["contest_until"]
    assert "counts from" in refused.json()["detail"]
    # Who only knows the key hears what anybody hears; and the old one counts until then.
    wrong = node.sign_in(new, signature="00" * 64)
    assert code(wrong) == (401, "sign_in") and "counts_from" not in wrong.json()
    assert node.sign_in(old).is_success


def test_a_token_does_only_what_its_scopes_name(node: ApiNode) -> None:
    token = node.token("read")
    assert node.http.get("/v1/federation", headers=bearer(token)).status_code == 200
    refused = node.http.post(
        "/v1/records", json={"kind": "offer", "payload": OFFER}, headers=bearer(token)
    )
    assert code(refused) == (403, "forbidden") and refused.json()["scope"] == "publish"
    assert code(node.http.get("/v1/members", headers=bearer(token))) == (403, "forbidden")


@pytest.mark.parametrize("scopes", [["admin"], ["desk"], ["read", "admin"]])
def test_nobody_gives_themselves_what_their_roles_do_not(
    node: ApiNode, ada: Any, scopes: list[str]
) -> None:
    _person, key = ada
    mine = node.sign_in(key, want="token", label="x").json()["token"]
    answer = node.http.post(
        "/v1/tokens", json={"scopes": scopes, "label": "more"}, headers=bearer(mine)
    )
    assert code(answer) == (403, "forbidden")
    asked = node.sign_in(key, want="token", label="x", scopes=scopes)
    assert code(asked) == (403, "forbidden")


def test_the_desk_gives_a_member_a_token_and_never_the_keys_of_the_house(node: ApiNode) -> None:
    desk = node.token("desk", "read", person=node.member("Desk", "member", "desk")["person"])
    guest = node.member("Guest")["person"]
    body = {"person": guest, "scopes": ["read", "exchange"], "label": "kiosk", "days": 1}
    made = node.http.post("/v1/tokens", json=body, headers=bearer(desk))
    assert made.status_code == 201, made.text
    me = node.http.get("/v1/auth/me", headers=bearer(made.json()["token"])).json()
    assert me["person"] == guest and me["scopes"] == ["exchange", "read"]
    boss = node.member("Boss", "member", "admin")["person"]
    for wanted in ({"person": boss, "scopes": ["admin"]}, {"program": True, "scopes": ["read"]}):
        answer = node.http.post("/v1/tokens", json={"label": "up", **wanted}, headers=bearer(desk))
        assert code(answer) == (403, "forbidden")


def test_a_revoked_token_is_refused_at_once_and_stays_so(node: ApiNode) -> None:
    token = node.token("read", label="lost tablet")
    listed = node.http.get("/v1/tokens", headers=bearer(token)).json()["tokens"]
    (mine,) = [row for row in listed if row["label"] == "lost tablet"]
    assert mine["token"] == "" and mine["last_used"] > 0
    answer = node.http.post(f"/v1/tokens/{mine['id']}/revoke", headers=bearer(token))
    assert answer.status_code == 200 and answer.json()["revoked"] > 0
    assert code(node.http.get("/v1/federation", headers=bearer(token))) == (401, "unauthenticated")


def test_nobody_ends_the_token_of_another(node: ApiNode, ada: Any) -> None:
    _person, key = ada
    theirs = node.sign_in(key, want="token", label="hers").json()
    other = node.token("read", person=node.member("Other")["person"])
    refused = node.http.post(f"/v1/tokens/{theirs['id']}/revoke", headers=bearer(other))
    assert code(refused) == (404, "not_found")
    assert node.http.get("/v1/federation", headers=bearer(theirs["token"])).status_code == 200


def test_a_key_that_ends_takes_its_sessions_and_tokens_with_it(node: ApiNode) -> None:
    person, key = node.device("Leaving", 33)
    token = node.sign_in(key, want="token", label="phone").json()["token"]
    session = cookie(node.sign_in(key))
    node.operator.post(f"/v1/members/{person['person']}/revoke", json={"reason": "stolen"})
    assert code(node.http.get("/v1/federation", headers=bearer(token)))[1] == "unauthenticated"
    assert code(node.http.get("/v1/federation", headers=session))[1] == "unauthenticated"
    assert code(node.sign_in(key)) == (401, "sign_in")


# --- sessions -----------------------------------------------------------------------------------


def test_the_cookie_is_for_this_host_and_no_script_and_no_other_site(
    node: ApiNode, ada: Any
) -> None:
    _person, key = ada
    said = node.sign_in(key).headers["set-cookie"]
    parts = {part.strip().lower() for part in said.split(";")[1:]}
    assert {"path=/", "secure", "httponly", "samesite=strict"} <= parts
    assert not any(part.startswith("domain") for part in parts)


def test_a_change_by_cookie_needs_the_csrf_token_of_that_session(node: ApiNode, ada: Any) -> None:
    _person, key = ada
    first, second = node.sign_in(key), node.sign_in(key)
    mine = cookie(first)
    token = first.json()["caller"]["csrf"]
    assert node.http.get("/v1/auth/me", headers=mine).json()["csrf"] == token
    body = {"scopes": ["read"], "label": "by cookie"}
    for said in ({}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": second.json()["caller"]["csrf"]}):
        assert code(node.http.post("/v1/tokens", json=body, headers={**mine, **said})) == (
            403,
            "csrf",
        )
    good = node.http.post("/v1/tokens", json=body, headers={**mine, "X-CSRF-Token": token})
    assert good.status_code == 201


def test_a_token_of_the_desk_begins_a_session_and_logging_out_ends_it(node: ApiNode) -> None:
    person = node.member("No device")
    token = node.token("read", "exchange", person=person["person"])
    begun = node.http.post("/v1/auth/session", json={"token": token})
    assert begun.status_code == 201 and begun.json()["caller"]["person"] == person["person"]
    mine = {**cookie(begun), "X-CSRF-Token": begun.json()["caller"]["csrf"]}
    sessions = node.http.get("/v1/auth/sessions", headers=mine).json()["sessions"]
    assert [row["current"] for row in sessions] == [True] and sessions[0]["method"] == "token"
    ended = node.http.post("/v1/auth/logout", headers=mine)
    assert ended.status_code == 200 and "Max-Age=0" in ended.headers["set-cookie"]
    assert code(node.http.get("/v1/auth/sessions", headers=mine))[1] == "unauthenticated"


# --- what is one's own --------------------------------------------------------------------------


def test_people_publish_for_themselves_and_change_only_what_is_theirs(node: ApiNode) -> None:
    ann, bob = node.member("Ann Own"), node.member("Bob Own")
    hers = bearer(node.token("read", "publish", person=ann["person"]))
    his = bearer(node.token("read", "publish", person=bob["person"]))
    body = {"kind": "offer", "payload": OFFER}
    made = node.http.post("/v1/records", json=body, headers=hers)
    assert made.status_code == 201, made.text
    shown = node.http.get(f"/v1/records/{made.json()['id']}").json()
    assert shown["by"] == ann["key"]
    as_bob = {**body, "as_member": bob["person"]}
    assert code(node.http.post("/v1/records", json=as_bob, headers=hers)) == (403, "forbidden")
    revised = {**body, "replaces": made.json()["id"]}
    assert code(node.http.post("/v1/records", json=revised, headers=his)) == (403, "forbidden")
    place = f"/v1/records/{made.json()['id']}/withdraw"
    assert code(node.http.post(place, json={}, headers=his)) == (403, "forbidden")
    unknown = node.http.post("/v1/records/00112233445566/withdraw", json={}, headers=his)
    assert code(unknown) == (403, "forbidden")
    assert node.http.get(f"/v1/records/{made.json()['id']}").json()["state"] == "live"
    assert node.http.post(place, json={}, headers=hers).status_code == 200


def test_what_touches_files_of_the_machine_is_done_on_the_machine(node: ApiNode) -> None:
    everything = bearer(node.token("read", "exchange", "pay", "publish", "desk", "admin"))
    for path in ("/v1/backup", "/v1/ledger/export"):
        answer = node.http.post(path, json={"directory": "/tmp/never"}, headers=everything)
        assert code(answer) == (403, "forbidden") and answer.json()["scope"] == "operator"


# --- a device signs -----------------------------------------------------------------------------


def test_a_device_signs_a_draft_and_it_passes_the_gate_of_strangers(
    node: ApiNode, ada: Any
) -> None:
    _person, key = ada
    mine = bearer(node.sign_in(key, want="token", label="phone").json()["token"])
    body = {"kind": "offer", "payload": OFFER, "key": key.public.hex(), "days": 30}
    draft = node.http.post("/v1/drafts", json=body, headers=mine)
    assert draft.status_code == 200, draft.text
    told = draft.json()
    assert told["says"]["title"] == OFFER["title"] and told["purpose"] == "record"
    signature = key.sign("record", bytes.fromhex(told["header"])).hex()
    parts = {"header": told["header"], "payload": told["payload"], "signature": signature}
    forged = node.http.post(
        "/v1/records/signed", json={**parts, "signature": "11" * 64}, headers=mine
    )
    assert code(forged) == (400, "bad_signature")
    assert code(node.http.get(f"/v1/records/{told['id']}"))[0] == 404
    done = node.http.post("/v1/records/signed", json=parts, headers=mine)
    assert done.status_code == 201, done.text
    assert done.json()["id"] == told["id"]
    assert node.http.get(f"/v1/records/{told['id']}").json()["by"] == key.public.hex()


def test_a_draft_is_made_for_ones_own_key_only(node: ApiNode, ada: Any) -> None:
    _person, key = ada
    _other, other_key = node.device("Other device", 44)
    mine = bearer(node.sign_in(key, want="token", label="phone").json()["token"])
    for wanted in (other_key.public.hex(), "ab" * 32):
        body = {"kind": "offer", "payload": OFFER, "key": wanted}
        assert code(node.http.post("/v1/drafts", json=body, headers=mine)) == (403, "forbidden")
    member: dict[str, Any] = {"kind": "membership", "payload": {}, "key": key.public.hex()}
    assert code(node.http.post("/v1/drafts", json=member, headers=mine))[1] == "not_allowed"


def test_letters_are_given_to_whom_they_are_sealed(node: ApiNode, ada: Any) -> None:
    from maillon.protocol.keys import SealingKey

    _person, key = ada
    sealing = SealingKey.from_seed(bytes([21]) * 32).public.hex()
    mine = bearer(node.sign_in(key, want="token", label="phone").json()["token"])
    own = node.http.get("/v1/letters", params={"sealing": sealing}, headers=mine)
    assert own.status_code == 200 and own.json() == {"letters": [], "next": None}
    theirs = node.http.get("/v1/letters", params={"sealing": "ab" * 32}, headers=mine)
    assert code(theirs) == (403, "forbidden")
    taken = {"sealing": "ab" * 32, "ids": ["cd" * 32]}
    assert code(node.http.post("/v1/letters/taken", json=taken, headers=mine)) == (403, "forbidden")


# --- last: it restarts the node -----------------------------------------------------------------


def test_tokens_and_sessions_outlive_the_node_and_challenges_do_not(
    node: ApiNode, ada: Any
) -> None:
    _person, key = ada
    token = node.sign_in(key, want="token", label="phone").json()["token"]
    session = cookie(node.sign_in(key))
    before = node.answer(node.challenge(), key)
    secret = token.removeprefix("mln_").encode()
    node.restart()
    assert node.http.get("/v1/federation", headers=bearer(token)).status_code == 200
    assert node.http.get("/v1/federation", headers=session).status_code == 200
    assert code(node.http.post("/v1/auth/login", json=before)) == (401, "sign_in")
    files = b"".join(path.read_bytes() for path in node.one.home.glob("access.db*"))
    assert files and secret not in files
    # Nor does the log know who signed in, or what for.
    found = subprocess.run(["grep", "-c", "mln_", str(node.one.log)], check=False)
    assert found.returncode == 1
