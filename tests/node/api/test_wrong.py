"""A request that does not fit is told in words that a person can follow, in their language."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
import pytest
from msgspec import Meta

from maillon.node.api import charter_shapes, groups_shapes, ledger_shapes, shapes
from maillon.node.api.wrong import in_words
from maillon.node.i18n import speaking
from support.nodes import TestNode

# What only programmers read: types in quotes, regular expressions, Python's words.
_LIBRARY = ("`", "regex", "Expected", "[0-9", "^")


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    key: shapes.Hex32 = "0" * 64
    id: shapes.Id = "0" * 8
    name: Annotated[str, Meta(min_length=1, max_length=3)] = "a"
    items: Annotated[list[int], Meta(min_length=1, max_length=2)] = msgspec.field(
        default_factory=lambda: [1]
    )
    wait: Annotated[float, Meta(gt=0, le=120)] = 1.0
    amount: int | str = 0
    flag: bool = False
    word: Literal["lost", "stolen"] = "lost"


def told(body: str, language: str = "en") -> str:
    with speaking(language), pytest.raises(msgspec.MsgspecError) as caught:
        msgspec.json.decode(body, type=Asked)
    with speaking(language):
        return in_words(str(caught.value))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"key": "zz"}', "key: 64 characters 0-9 and a-f are expected"),
        ('{"id": "zz"}', "id: 8 to 64 characters 0-9 and a-f are expected"),
        ('{"name": ""}', "name: at least 1 character is expected"),
        ('{"name": "abcd"}', "name: at most 3 characters are allowed"),
        ('{"items": []}', "items: at least 1 item is expected"),
        ('{"items": [1, 2, 3]}', "items: at most 2 items are allowed"),
        ('{"items": ["x"]}', "items[0]: a whole number is expected, not a text"),
        ('{"wait": 0}', "wait: a number above 0.0 is expected"),
        ('{"wait": 121}', "wait: a number of at most 120.0 is expected"),
        ('{"amount": []}', "amount: a whole number or a text is expected, not a list"),
        ('{"flag": null}', "flag: true or false is expected, not nothing (null)"),
        ('{"word": "gone"}', "word: 'gone' is none of the words that are known here"),
        ('{"wrod": "lost"}', "there is no field wrod"),
        ("[]", "a map of fields is expected, not a list"),
        ("{", "the JSON ends too early"),
        ("{x", "this is no JSON, from byte 1 on"),
    ],
)
def test_what_does_not_fit_is_said_in_words(body: str, words: str) -> None:
    assert told(body) == words
    french = told(body, "fr")
    assert french != words and not any(sign in french for sign in _LIBRARY)


def _patterns(hint: Any) -> list[str]:
    found = [
        part.pattern
        for part in getattr(hint, "__metadata__", ())
        if isinstance(part, Meta) and part.pattern
    ]
    return found + [pattern for inner in get_args(hint) for pattern in _patterns(inner)]


def test_every_pattern_of_the_interface_has_words_of_its_own() -> None:
    patterns = {
        pattern
        for module in (shapes, ledger_shapes, charter_shapes, groups_shapes)
        for made in vars(module).values()
        if isinstance(made, type) and issubclass(made, msgspec.Struct)
        for hint in get_type_hints(made, include_extras=True).values()
        for pattern in _patterns(hint)
    }
    assert len(patterns) > 5
    for pattern in patterns:
        words = in_words(f"Expected `str` matching regex {pattern!r} - at `$.field`")
        assert words.startswith("field: ") and pattern not in words, words
        assert "not written as it has to be" not in words


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/transfers", {"from": "a", "to": "b", "amount": ""}, "at least 1 character"),
        ("/v1/accounts", {"kind": "person", "key": "zz"}, "64 characters 0-9 and a-f"),
        ("/v1/accounts", {"kind": "king"}, "one of person, organisation, group"),
        ("/v1/transfers/00112233/confirm", {"preimage": "00"}, "64 characters 0-9 and a-f"),
        ("/v1/members", {"name": "A" * 500}, "characters are allowed"),
    ],
)
def test_the_interface_names_the_field_and_says_what_is_wanted(
    node: TestNode, path: str, body: dict[str, Any], words: str
) -> None:
    before = node.get("/v1/accounts", all=True), node.get("/v1/members")
    answer = node.http.post(path, json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "request"), problem
    assert words in problem["detail"] and list(body)[-1] in problem["detail"]
    assert not any(sign in problem["detail"] for sign in _LIBRARY)
    assert (node.get("/v1/accounts", all=True), node.get("/v1/members")) == before


def test_a_path_that_nobody_serves_is_named(node: TestNode) -> None:
    answer = node.http.get("/v1/nowhere", headers={"Accept-Language": "fr"})
    assert answer.status_code == 404 and "/v1/nowhere" in answer.json()["detail"]
    assert answer.json()["detail"].startswith("Il n'y a rien")


def test_a_coop_is_named_as_people_name_it_wherever_its_id_is_taken(node: TestNode) -> None:
    status = node.get("/v1/status")
    name, coop = status["name"], status["coop"]
    person = node.http.post("/v1/members", json={"name": "Coop Tester"}).json()["person"]
    placed = node.http.post("/v1/accounts", json={"person": person, "wait_s": 30})
    assert placed.status_code == 201, placed.text
    for text in (name, name.upper(), coop, coop[:8]):
        assert node.get("/v1/accounts", coop=text)["accounts"][-1]["coop"] == coop
        assert node.get(f"/v1/accounts/{text}:{person}")["account"] == person
        assert node.get("/v1/search", coop=text)["hits"] == []
    proposed = {"entries": [{"entry": "limit", "coop": name, "limit": "7h"}]}
    assert node.http.post("/v1/charter/proposals", json=proposed).status_code == 201
    for path in ("/v1/accounts?coop=Nowhere", f"/v1/accounts/Nowhere:{person}"):
        answer = node.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "Nowhere" in answer.json()["detail"]
