"""The examples of spec/09-api, played against a running node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from maillon.protocol.encoding import encode
from maillon.protocol.keys import SigningKey
from maillon.protocol.login import login_body
from support.api import ApiNode, api_node, bearer

SPEC = (Path(__file__).parents[3] / "spec" / "09-api.md").read_text()
EXAMPLE = re.compile(
    r"<!-- example: ([a-z-]+) -->\n```http\n(.*?)\n```\n\n```json\n(\d+) (.*?)\n```", re.DOTALL
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    with api_node(tmp_path_factory.mktemp("n")) as one:
        yield one


def fits(shown: Any, said: Any) -> bool:
    """Tell whether an answer has all that the example shows; "…" stands for anything."""
    if isinstance(shown, dict):
        fields = cast("dict[str, Any]", shown)
        return isinstance(said, dict) and all(
            name in said and fits(value, said[name]) for name, value in fields.items()
        )
    if isinstance(shown, list):
        pairs: Any = (shown, said)
        return isinstance(said, list) and all(map(fits, *pairs))
    if isinstance(shown, str) and shown.endswith("…"):
        return shown == "…" or str(said).startswith(shown[:-1])
    return bool(shown == said)


def play(
    node: ApiNode, known: Mapping[str, Any], headers: Mapping[str, str], *example: str
) -> tuple[Any, str, str, Any, dict[str, str]]:
    """Ask what an example asks; fail when the answer is not as it shows."""
    name, request, status, answer = example
    for part, value in known.items():
        request = request.replace("{" + part + "}", str(value))
        answer = answer.replace("{" + part + "}", str(value))
    first, *lines = request.split("\n")
    method, path = first.split(" ")
    more = dict(line.split(": ", 1) for line in lines if not line.startswith("{"))
    body = next((json.loads(line) for line in lines if line.startswith("{")), None)
    said = node.http.request(method, path, json=body, headers={**headers, **more})
    assert said.status_code == int(status), (name, said.text)
    assert fits(json.loads(answer), said.json()), (name, said.text)
    return said, method, path, body, more


def test_the_examples_are_what_a_node_answers(node: ApiNode) -> None:
    offer = {
        "title": "Cours de guitare",
        "lang": "fr",
        "categories": ["musique"],
        "mode": ["at_home"],
        "reciprocity": {"kind": "free"},
    }
    made = node.operator.post("/v1/records", json={"kind": "offer", "payload": offer})
    assert made.status_code == 201
    _person, key = node.device("Ada", 7)
    known: dict[str, Any] = {"key": key.public.hex()}
    headers: dict[str, str] = {}
    played: list[str] = []
    for name, request, status, answer in EXAMPLE.findall(SPEC):
        if name.startswith("exchange-"):
            continue  # the next test
        played.append(name)
        if name == "login-request":
            known |= node.answer(known, key)
        if name == "signed":
            known["signature"] = key.sign("record", bytes.fromhex(known["header"])).hex()
        said, method, path, body, more = play(node, known, headers, name, request, status, answer)
        if name == "signed":
            again = node.http.request(method, path, json=body, headers={**headers, **more})
            assert again.headers["idempotency-replayed"] == "true"
            assert again.json() == said.json()
        if name == "challenge":
            known |= said.json()
        elif name == "draft":
            known |= {part: said.json()[part] for part in ("id", "header", "payload")}
        elif name == "login-request":
            headers = bearer(said.json()["token"])
    assert played == [
        "search",
        "refused",
        "challenge",
        "login-request",
        "draft",
        "signed",
    ]


def test_the_exchange_of_the_examples_goes_from_the_opening_to_the_payment(node: ApiNode) -> None:
    member, key = node.device("Dee", 9)
    provider = node.member("Bo")["person"]
    for body in (
        {"person": member["person"], "key": key.public.hex(), "positions": [{"limit": "10h"}]},
        {"person": provider},
    ):
        made = node.operator.post("/v1/accounts", json={**body, "wait_s": 30})
        assert made.is_success, made.text
    scopes = ("read", "exchange", "pay")
    hers, theirs = (
        bearer(node.token(*scopes, person=str(person))) for person in (member["person"], provider)
    )
    coop = node.operator.get("/v1/status").json()["coop"]
    known: dict[str, Any] = {"key": key.public.hex(), "provider": f"70{coop}{provider}"}
    played: list[str] = []
    signed = signature = b""
    for name, *example in EXAMPLE.findall(SPEC):
        if not name.startswith("exchange-"):
            continue
        played.append(name)
        if name == "exchange-acceptance-draft":
            path = f"/v1/exchanges/{known['exchange']}/steps"
            for body in ({"kind": "check_in"}, {"kind": "check_out", "fields": {"minutes": 45}}):
                done = node.http.post(path, json=body, headers=theirs)
                assert done.status_code == 201, done.text
        headers = theirs if name == "exchange-quote" else hers
        said, *_rest = play(node, known, headers, name, *example)
        answer = said.json()
        if "sign" in answer:
            # Exactly what the text says to sign, with nothing of ours in between.
            purpose, _zero, signed = bytes.fromhex(answer["sign"]).partition(b"\0")
            signature = key.sign(purpose.decode().removeprefix("maillon/1/"), signed)
            known |= {"signature": signature.hex()}
            known |= {part: answer[part] for part in ("order", "body") if part in answer}
        if "header" in answer:
            header, payload = (bytes.fromhex(answer[part]) for part in ("header", "payload"))
            assert signed == header
            known |= {"id": answer["id"], "record": encode([header, signature, payload]).hex()}
        if name == "exchange-opening-signed":
            known["exchange"] = answer["taken"][0]["exchange"]
        elif name == "exchange-quote":
            known["quote"] = answer["exchange"]["quotes"][0]["quote"]
    steps = ["opening", "agreement", "acceptance", "order", "payment"]
    told = [f"exchange-{what}-{part}" for what in steps for part in ("draft", "signed")]
    assert played == [*told[:2], "exchange-quote", *told[2:]]


def test_every_example_of_a_request_is_read_as_one(node: ApiNode) -> None:
    document = node.http.get("/v1/openapi.json").json()
    refused: dict[str, Any] = {}
    asked = 0
    for path, operations in document["paths"].items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {})
        if "application/json" not in content or path.startswith("/v1/auth/"):
            continue
        # Nothing of this name is there, so that nothing is done: only what is written counts.
        url = re.sub(r"\{[a-z_]+\}", "9a" * 32, path)
        answer = node.operator.post(url, json=content["application/json"]["example"])
        asked += 1
        problem: dict[str, Any] = answer.json() if answer.status_code >= 400 else {}
        if answer.status_code >= 500 or problem.get("code") == "request":
            refused[path] = (answer.status_code, problem.get("detail"))
    assert asked > 60 and refused == {}


def test_the_sign_in_of_the_specification_is_what_we_sign() -> None:
    found = re.search(r"<!-- example: login -->\n```text\n(.*?)\n\n(.*?)\n```", SPEC, re.DOTALL)
    assert found is not None
    key = SigningKey.from_seed(bytes(range(32)))
    body = login_body(
        fed=b"\x66" * 32,
        coop=b"\x11" * 32,
        host="node.example.org",
        nonce=bytes(range(48)),
        expires=1_800_000_000,
    )
    assert bytes.fromhex(found[1]) == body
    assert bytes.fromhex(found[2]) == key.sign("login", body)


def test_every_code_that_a_client_meets_is_in_the_specification() -> None:
    from maillon.node.api import auth, gate, idempotency, ratelimit
    from maillon.node.api.caller import Forbidden, NotSignedIn
    from maillon.protocol.errors import LocalError

    codes = {NotSignedIn.code, Forbidden.code}
    for module in (auth, gate, idempotency, ratelimit):
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, LocalError)
                and value is not LocalError
            ):
                codes.add(value.code)
    missing = {code for code in codes if f"`{code}`" not in SPEC}
    assert missing == set()


def test_every_list_ends_with_null_and_by_nothing_else(node: ApiNode) -> None:
    document = node.http.get("/v1/openapi.json").json()
    schemas: dict[str, Any] = document["components"]["schemas"]
    routes: dict[str, str] = {}
    for path, methods in document["paths"].items():
        query = {entry["name"] for entry in methods.get("get", {}).get("parameters", ())}
        if "after" in query:
            answer = methods["get"]["responses"]["200"]["content"]
            named = answer.get("application/json", {}).get("schema", {}).get("$ref", "")
            routes[path] = named.rpartition("/")[2]
    assert len(routes) > 12
    # Arrivals and events are counted, and never at an end: they go on with a number, and say so.
    counted = {"/v1/arrivals", "/v1/events"}
    wrong: dict[str, Any] = {}
    for path, name in routes.items():
        if path in counted:
            continue
        field: dict[str, Any] = schemas.get(name, {}).get("properties", {}).get("next", {})
        kinds = sorted(str(one.get("type")) for one in field.get("anyOf", ()))
        if kinds != ["null", "string"] or field.get("default") is not None:
            wrong[path] = field
    assert wrong == {}
    # What a list calls `next` is that everywhere, whatever route answers it.
    for name, schema in schemas.items():
        field = schema.get("properties", {}).get("next", {})
        if field and field.get("type") != "integer":
            assert "null" in {one.get("type") for one in field.get("anyOf", ())}, name
            assert field.get("default") is None, name


def test_a_short_list_says_null_at_its_end(node: ApiNode) -> None:
    document = node.http.get("/v1/openapi.json").json()
    said: dict[str, Any] = {}
    for path, methods in document["paths"].items():
        query = {entry["name"] for entry in methods.get("get", {}).get("parameters", ())}
        if "after" in query and "{" not in path and path not in ("/v1/arrivals", "/v1/events"):
            answer = node.operator.get(path)
            if answer.status_code == 200:
                said[path] = answer.json()["next"]
    assert len(said) > 10 and set(said.values()) == {None}, said


def test_every_route_is_described_with_an_example_that_fits_its_type(node: ApiNode) -> None:
    import jsonschema_rs

    document = node.http.get("/v1/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    schemas = {"components": document["components"]}
    seen = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = (method, path)
            assert operation["summary"].endswith("."), place
            assert operation["x-scope"], place
            problem = operation["responses"]["4XX"]["content"]
            assert list(problem) == ["application/problem+json"], place
            told = [entry for entry in operation.get("parameters", []) if "schema" in entry]
            told += operation.get("requestBody", {}).get("content", {}).values()
            for response in operation["responses"].values():
                told += [
                    content
                    for kind, content in response["content"].items()
                    if kind == "application/json"
                ]
            for content in told:
                if content.get("schema") == {"type": "string"} and "example" not in content:
                    continue
                check = jsonschema_rs.validator_for({**content["schema"], **schemas})
                faults = [str(fault) for fault in check.iter_errors(content["example"])]
                assert faults == [], place
                seen += 1
    assert seen > 200
