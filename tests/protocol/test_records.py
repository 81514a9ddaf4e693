"""The registry of kinds, and the helpers for writers (spec/03, spec/registry.md)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maillon.protocol.encoding import decode, encode, nfc
from maillon.protocol.errors import LocalError, SchemaError
from maillon.protocol.limits import DEPTH_MAX, MAP_ITEMS_MAX, PAYLOAD_BYTES_MAX, UNKNOWN_FIELDS_MAX
from maillon.protocol.records import (
    KINDS,
    TAGS,
    WITHDRAWAL,
    FieldError,
    build,
    check_payload,
    derived_series,
    priority,
    random_series,
    tag,
)
from maillon.protocol.records._fast import compile_fits
from maillon.protocol.records.fields import cell_ok
from maillon.protocol.records.identity import NOT_UNDER_MANDATE
from maillon.protocol.records.schema import Broken, Pattern, Struct, Text, Type, compile_type
from support.schema_cases import breakages, explained, sample
from support.strategies import payloads

FITS = {name: compile_fits(kind.schema) for name, kind in KINDS.items()}
GOOD: dict[str, Any] = {
    "title": "Jardinage",
    "lang": "fr",
    "categories": ["jardin"],
    "mode": ["at_home"],
    "reciprocity": {"kind": "gift"},
}


@settings(max_examples=60)
@given(st.data())
def test_drawn_payloads_fit_and_survive_the_encoding(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(KINDS)))
    payload = data.draw(payloads(name))
    check_payload(KINDS[name], payload)
    assert FITS[name](payload)
    packed = encode(payload)
    assert decode(packed, bytes_max=4 * PAYLOAD_BYTES_MAX) == payload


@pytest.mark.parametrize("name", sorted(KINDS))
def test_both_checks_of_a_kind_refuse_each_broken_rule_at_its_field(name: str) -> None:
    kind = KINDS[name]
    seen = 0
    for field, rule, payload in breakages(kind.schema):
        assert explained(kind.schema, payload) == (field, rule)
        assert not FITS[name](payload)
        seen += 1
    assert seen >= 10


@settings(max_examples=200)
@given(st.data())
def test_the_quick_check_and_the_explaining_one_agree_on_damaged_payloads(
    data: st.DataObject,
) -> None:
    name = data.draw(st.sampled_from(sorted(KINDS)))
    payload = dict(sample(KINDS[name].schema, full=data.draw(st.booleans())))
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.binary(max_size=40),
        st.lists(st.integers() | st.text(max_size=3), max_size=3),
        st.dictionaries(st.sampled_from(["kind", "lat", "cell"]), st.integers(), max_size=2),
    )  # fmt: skip
    names = [part.name for part in KINDS[name].schema.fields]
    for field in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)):
        value = data.draw(junk)
        if value is None:
            payload.pop(field, None)
        else:
            payload[field] = value
    assert FITS[name](payload) == (explained(KINDS[name].schema, payload) is None)


def test_the_tags_of_all_kinds_differ() -> None:
    assert len(TAGS) == len(KINDS)
    planned = """resource booking_slot tour market_day trip practice proposal ballot exclusion
        dispute_outcome""".split()
    assert len({tag(name) for name in (*KINDS, *planned)}) == len(KINDS) + len(planned)


def test_a_series_keeps_the_tag_and_the_randomness() -> None:
    assert random_series("offer", bytes(range(16))) == tag("offer") + bytes(range(2, 16))
    assert derived_series("membership", b"x")[:2] == tag("membership")
    assert derived_series("membership", b"x") != derived_series("membership", b"y")
    with pytest.raises(ValueError, match="16"):
        random_series("offer", bytes(15))


def test_what_others_rest_on_is_sent_first() -> None:
    order = sorted([*KINDS, "poem"], key=priority)
    assert order[:5] == ["coop_profile", "admission", "membership", "mandate", "category"]


def test_kinds_closed_to_mandates_cannot_be_named_in_one() -> None:
    closed = {name for name, kind in KINDS.items() if not kind.under_mandate}
    # A withdrawal is covered by the kind it ends, never by its own name.
    assert closed | {WITHDRAWAL} == NOT_UNDER_MANDATE


def test_a_withdrawal_can_outlive_whatever_it_ends() -> None:
    assert KINDS[WITHDRAWAL].lifetime_s_max == max(k.lifetime_s_max for k in KINDS.values())


def test_what_vouches_can_live_at_least_as_long_as_what_it_vouches_for() -> None:
    life = {name: kind.lifetime_s_max for name, kind in KINDS.items()}
    assert life["coop_profile"] >= life["membership"] >= life["offer"]
    assert life["mandate"] >= life["offer"]


def _depth(kind: Type) -> int:
    match kind:
        case Struct(fields):
            return 1 + max(_depth(part.type) for part in fields)
        case _:
            inner = getattr(kind, "item", None)
            return 0 if inner is None else 1 + _depth(inner)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_full_payload_of_each_kind_leaves_room_in_every_bound(name: str) -> None:
    schema = KINDS[name].schema
    assert _depth(schema) < DEPTH_MAX
    assert len(schema.fields) + UNKNOWN_FIELDS_MAX <= MAP_ITEMS_MAX
    assert len(encode(sample(schema, full=True))) < PAYLOAD_BYTES_MAX // 4


def test_patterns_use_only_what_every_regular_expression_dialect_reads_alike() -> None:
    def patterns(kind: Type) -> list[Pattern]:
        if isinstance(kind, Pattern):
            return [kind]
        if isinstance(kind, Struct):
            return [found for part in kind.fields for found in patterns(part.type)]
        inner = getattr(kind, "item", None)
        options = getattr(kind, "options", ())
        return [p for one in (*options, *([inner] if inner else [])) for p in patterns(one)]

    for kind in KINDS.values():
        for pattern in patterns(kind.schema):
            assert pattern.regex.isascii()
            dialects = (r"\s", r"\w", r"\d", r"\b", "(?P")
            assert not any(escape in pattern.regex for escape in dialects)
            compile_type(pattern)(pattern.example)


def test_white_space_at_an_end_is_what_the_registry_lists() -> None:
    listed = {0x20, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000}
    refused = {
        point
        for point in range(0x11_0000)
        if explained(Text(3), f"a{chr(point)}") == ("", "outer_space")
    }
    assert refused == listed
    assert all(not compile_fits(Text(3))(f"{chr(point)}a") for point in listed)


def test_a_cell_finer_than_resolution_7_is_refused() -> None:
    # Source: h3 4.x, latlng_to_cell(44.755, 5.37, resolution).
    fits = {
        "841f937ffffffff": False,
        "851f9377fffffff": True,
        "861f9375fffffff": True,
        "871f93759ffffff": True,
        "881f93759bfffff": False,
        "8f1f93759b98a16": False,
    }
    assert {cell: cell_ok(cell) for cell in fits} == fits
    assert not cell_ok("871f93759fffff7")
    assert not cell_ok("971f93759ffffff")


def test_writers_get_nfc_stripped_texts_and_no_absent_fields() -> None:
    typed = {**GOOD, "title": " Re\u0301paration ", "text": None}
    payload = build("offer", salt=bytes(16), **typed)
    assert payload["title"] == nfc("Réparation")
    assert "text" not in payload
    assert payload["salt"] == bytes(16)


@pytest.mark.parametrize(
    ("change", "field", "rule", "said"),
    [
        ({"title": "x" * 201}, "title", "too_long", "200 characters"),
        ({"title": None}, "title", "required", "missing"),
        ({"title": "   "}, "title", "too_short", "empty"),
        ({"mode": ["anywhere"]}, "mode[0]", "one_of", "at_home"),
        ({"radius_km": -1}, "radius_km", "range", "0 to 1000"),
        ({"categories": ["a", "a"]}, "categories", "twice", "same entry"),
        ({"reciprocity": {"kind": "amount"}}, "reciprocity", "amount_belongs", "amount"),
        ({"place": {"lat": 1, "lon": 2}}, "place", "place_form", "public place"),
        ({"text": "\u4e2d" * 4_000}, "text", "too_many_bytes", "8192 bytes"),
        ({f"later_{at}": "x" * 8_000 for at in range(3)}, "", "payload_length", "16384"),
    ],
)
def test_a_writer_is_told_in_words_which_field_does_not_fit(
    change: dict[str, Any], field: str, rule: str, said: str
) -> None:
    with pytest.raises(FieldError) as caught:
        build("offer", salt=bytes(16), **{**GOOD, **change})
    assert (caught.value.facts["field"], caught.value.facts["rule"]) == (field, rule)
    assert said in str(caught.value)


def test_a_writer_is_told_that_a_kind_does_not_exist() -> None:
    with pytest.raises(LocalError, match="ofer"):
        build("ofer", salt=bytes(16))


def test_an_error_of_the_schema_carries_what_a_peer_needs_to_mend_it() -> None:
    with pytest.raises(SchemaError) as caught:
        check_payload(KINDS["offer"], {**GOOD, "salt": bytes(15)})
    assert caught.value.facts == {
        "kind": "offer", "field": "salt", "rule": "size", "limit": "16",
    }  # fmt: skip


def test_every_rule_has_words_for_writers() -> None:
    from maillon.protocol.records.build import _SENTENCES  # pyright: ignore[reportPrivateUsage]

    rules = {rule for kind in KINDS.values() for _, rule, _ in breakages(kind.schema)}
    # Those that no form can cause: desks fill these fields in themselves.
    silent = {"key_twice", "revoked_status", "verified_whole", "revoked_whole", "point_whole",
              "kind_withdrawable"}  # fmt: skip
    assert rules - silent <= set(_SENTENCES)


def test_a_broken_value_names_the_way_to_it() -> None:
    with pytest.raises(Broken) as caught:
        compile_type(KINDS["offer"].schema)(
            {**GOOD, "salt": bytes(16), "when": {"windows": [{"start": 1, "end": 2}, {"start": 1}]}}
        )
    assert caught.value.field == "when.windows[1].end"
