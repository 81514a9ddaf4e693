"""Forms say beside each field what is wrong with it, and keep what was typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node.api.bounds import FORM_FIELDS_MAX
from maillon.node.api.caller import Forbidden
from maillon.node.api.fields import URL_ENCODED, Unreadable, is_form, read_fields
from maillon.node.web.forms import Form
from maillon.protocol.errors import LocalError


def test_a_form_that_nobody_filled_in_has_no_faults() -> None:
    assert Form().ok and not Form().sent


def test_all_faults_are_told_at_once_and_what_was_typed_is_kept() -> None:
    form = Form({"title": ["  "], "amount": ["dix"], "kind": ["thing"]})
    form.text("title", required=True)
    form.number("amount", 1, 8)
    form.choice("kind", ("offer", "demand"))
    assert set(form.errors) == {"title", "amount", "kind"} and not form.ok
    assert form.value("amount") == "dix"


def test_a_text_is_brought_into_one_form_and_bounded() -> None:
    form = Form({"a": ["  e\u0301te\u0301 \r\n chaud "], "b": ["x" * 300], "c": ["un\x07deux"]})
    assert form.text("a") == "été chaud"
    assert form.text("a", lines=True) == "été \n chaud"
    form.text("b")
    form.text("c")
    assert set(form.errors) == {"b", "c"}


@pytest.mark.parametrize("text", ["9", "-1", "1.5", "1e3", "٣", "9999999999999", "one"])
def test_what_is_no_number_within_the_bounds_is_refused(text: str) -> None:
    form = Form({"n": [text]})
    assert form.number("n", 0, 8) is None and form.error("n")


def test_only_what_was_offered_can_be_chosen() -> None:
    form = Form({"mode": ["remote", "at_home", "remote", "evil"]})
    assert form.choices("mode", ("at_home", "remote")) == ["at_home", "remote"]
    assert form.error("mode")


def test_what_the_node_refuses_is_said_beside_the_field_that_it_names() -> None:
    form = Form({"title": ["x"]})
    with form.trying():
        raise LocalError("Too short.", field="title")
    with form.trying():
        raise LocalError("Not today.", hint="Ask with: maillon offer publish")
    assert form.errors == {"title": "Too short."} and form.general == ["Not today."]


def test_what_no_other_words_would_mend_is_no_fault_of_the_form() -> None:
    form = Form({"title": ["x"]})
    with pytest.raises(Forbidden), form.trying():
        raise Forbidden("No.")
    assert form.ok


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--X\r\n" + part + b"\r\n" for part in parts) + b"--X--\r\n"


def field(name: str, value: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()


def test_both_kinds_of_forms_are_read_alike() -> None:
    wanted = {"csrf": ["abc"], "mode": ["a", "é"]}
    assert read_fields(URL_ENCODED, b"csrf=abc&mode=a&mode=%C3%A9") == wanted
    body = multipart(field("csrf", "abc"), field("mode", "a"), field("mode", "é"))
    assert read_fields("multipart/form-data; boundary=X", body) == wanted


def test_a_file_is_passed_over() -> None:
    part = b'Content-Disposition: form-data; name="f"; filename="a.html"\r\n\r\n<script>'
    assert read_fields("multipart/form-data; boundary=X", multipart(part)) == {}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (URL_ENCODED, b"a=%ff"),
        (URL_ENCODED, b"\xff"),
        (URL_ENCODED, b"&".join([b"a=1"] * (FORM_FIELDS_MAX + 1))),
        ("multipart/form-data", multipart(field("a", "1"))),
        ("multipart/form-data; boundary=Y", multipart(field("a", "1"))),
        ("multipart/form-data; boundary=X", multipart(field("a", "1"))[:-6]),
        ("multipart/form-data; boundary=X\r\nX: y", multipart(field("a", "1"))),
        (
            "multipart/form-data; boundary=X",
            multipart(*[field("a", "1")] * (FORM_FIELDS_MAX + 1)),
        ),
    ],
)
def test_a_body_that_is_no_form_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_fields(kind, body)


@given(
    st.binary(max_size=300), st.sampled_from(["", "; boundary=X", "; charset=x", '; boundary="'])
)
def test_any_bytes_are_read_or_refused(body: bytes, more: str) -> None:
    for kind in (URL_ENCODED, "multipart/form-data"):
        assert is_form(kind + more)
        try:
            fields = read_fields(kind + more, body)
        except Unreadable:
            continue
        assert all(isinstance(v, str) for values in fields.values() for v in values)
