"""Founding documents, cards and invitations (spec/02, "Federation")."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.protocol.encoding import Value, encode
from maillon.protocol.errors import BadKey, BadSignature, EncodingError, LocalError, SchemaError
from maillon.protocol.founding import (
    FoundingCoop,
    FoundingFile,
    Invitation,
    LedgerTerms,
    NotFounded,
    TextDamaged,
    Unit,
    card_from_text,
    decode_card,
    decode_founding,
    decode_founding_file,
    decode_invitation,
    fed_id,
    found,
    invitation_from_text,
    make_card,
    open_founding,
)
from maillon.protocol.keys import SMALL_ORDER_ENCODINGS
from maillon.protocol.limits import COOPS_MAX, FOUNDING_BYTES_MAX, WITNESSES_MAX
from support.world import World

W = World(seed="founding")
ADDRESS = "/dns4/a.example/tcp/4001"
CARD = make_card(W.coops[0].root, W.coops[0].node.public, "Coop du Diois", [ADDRESS])
INVITATION = Invitation(
    W.founding.fed, W.coops[0].node.public, ("/ip4/192.0.2.1/tcp/4001",), W.derive("t", 16), W.now
)


def test_a_document_reads_back_with_the_same_id() -> None:
    again = decode_founding(W.founding.encode())
    assert again == W.founding
    assert again.fed == W.founding.fed == fed_id(W.founding.document)


def test_the_salt_alone_makes_another_federation() -> None:
    other = dataclasses.replace(W.founding, salt=W.derive("other", 16))
    assert other.fed != W.founding.fed


def test_fields_that_this_version_does_not_know_are_kept_and_are_part_of_the_id() -> None:
    wider = dataclasses.replace(W.founding, extra={"pool": {"seats": [b"x", 3]}})
    again = decode_founding(wider.document)
    assert again.extra == {"pool": {"seats": [b"x", 3]}}
    assert again.document == wider.document
    assert again.fed == wider.fed != W.founding.fed


TERMS = LedgerTerms(2, 2, 604_800, 10_000, ((1, 5_000), (0, 6_000)))


def with_keys(coops: Sequence[FoundingCoop]) -> tuple[FoundingCoop, ...]:
    return tuple(
        dataclasses.replace(
            coop, writer=W.key(f"w {coop.name}").public, witness=W.key(f"v {coop.name}").public
        )
        for coop in coops
    )


LEDGER = dataclasses.replace(W.founding, coops=with_keys(W.founding.coops), ledger=TERMS)


def test_the_terms_of_the_ledger_read_back_and_are_part_of_the_id() -> None:
    again = decode_founding(LEDGER.document)
    assert (again.ledger, again.coops, again.extra) == (TERMS, LEDGER.coops, {})
    assert again.fed == LEDGER.fed != W.founding.fed
    other = dataclasses.replace(LEDGER, ledger=dataclasses.replace(TERMS, quorum=3))
    assert other.fed != LEDGER.fed
    turned = dataclasses.replace(TERMS, limits=TERMS.limits[::-1])
    assert dataclasses.replace(LEDGER, ledger=turned).fed != LEDGER.fed


def test_a_document_without_accounts_is_the_one_it_always_was() -> None:
    assert W.founding.ledger is None
    assert W.founding.fed.hex() == (
        "d0575e6146b004f56e65ef0a658d2a70b25151da14316d3ab2e8f93c5ccc2f07"
    )


def test_terms_of_a_later_version_are_kept_byte_for_byte_and_not_acted_upon() -> None:
    versions: list[dict[str, Value]] = [
        {"witnesses": 4},
        {**TERMS.as_map(), "epochs": 9},
        {"limits": [{"unit": 0, "limit": 1, "since": 5}]},
    ]
    for later in versions:
        wider = dataclasses.replace(LEDGER, ledger=None, extra={"ledger": later})
        again = decode_founding(wider.document)
        assert again.ledger is None and again.extra == {"ledger": later}
        assert again.document == wider.document


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"quorum": 4}, "ledger_quorum"),
        ({"quorum": 1}, "ledger_quorum"),
        ({"quorum": 0}, "range"),
        ({"quorum": 65}, "range"),
        ({"approvals": 4}, "ledger_approvals"),
        ({"approvals": 0}, "range"),
        ({"recovery_s": -1}, "range"),
        ({"recovery_s": 31_622_401}, "range"),
        ({"accounts_max": 0}, "range"),
        ({"limits": ((0, -1),)}, "range"),
        ({"limits": ((2, 5),)}, "ledger_limits"),
        ({"limits": ((0, 5), (0, 6))}, "ledger_limits"),
    ],
)
def test_terms_that_could_not_work_are_refused(change: dict[str, Any], rule: str) -> None:
    broken = dataclasses.replace(LEDGER, ledger=dataclasses.replace(TERMS, **change))
    with pytest.raises(SchemaError) as caught:
        decode_founding(broken.document)
    assert caught.value.rule == rule


def test_accounts_need_a_writer_in_each_coop_and_a_witness_in_enough() -> None:
    first, *others = LEDGER.coops
    without = dataclasses.replace(first, writer=b"")
    for coop, rule in ((without, "ledger_whole"), (dataclasses.replace(first, witness=b""), "")):
        founding = dataclasses.replace(LEDGER, coops=(coop, *others))
        if not rule:
            assert decode_founding(founding.document) == founding
            continue
        with pytest.raises(SchemaError) as caught:
            decode_founding(founding.document)
        assert caught.value.rule == rule
    nobody = tuple(dataclasses.replace(coop, witness=b"") for coop in LEDGER.coops)
    with pytest.raises(SchemaError) as caught:
        found(dataclasses.replace(LEDGER, coops=nobody))
    assert caught.value.rule == "ledger_quorum"


def test_a_unit_that_only_counts_has_no_limit() -> None:
    counted = (*W.founding.units, Unit("visite", "count", 0, "Visite"))
    terms = dataclasses.replace(TERMS, limits=((2, 5),))
    with pytest.raises(SchemaError) as caught:
        found(dataclasses.replace(LEDGER, units=counted, ledger=terms))
    assert caught.value.rule == "ledger_limits"


def test_no_key_does_two_things() -> None:
    first, second, third = LEDGER.coops
    twice = (
        dataclasses.replace(first, writer=first.witness),
        dataclasses.replace(first, witness=first.root),
        dataclasses.replace(first, writer=second.writer),
        dataclasses.replace(first, witness=third.node_key),
    )
    for coop in twice:
        with pytest.raises(SchemaError) as caught:
            found(dataclasses.replace(LEDGER, coops=(coop, second, third)))
        assert caught.value.rule == "keys_apart"


@pytest.mark.parametrize("role", ["writer", "witness"])
def test_a_key_that_anybody_could_sign_for_keeps_no_accounts(role: str) -> None:
    first, *others = LEDGER.coops
    change: dict[str, Any] = {role: min(SMALL_ORDER_ENCODINGS)}
    weak = dataclasses.replace(first, **change)
    with pytest.raises(BadKey):
        found(dataclasses.replace(LEDGER, coops=(weak, *others)))


def test_the_largest_federation_planned_for_fits() -> None:
    coops = tuple(
        FoundingCoop(
            W.key(f"r{at}").public, W.key(f"n{at}").public, f"Coopérative numéro {at}",
            (f"/dns4/noeud-{at}.exemple.example/tcp/4001", f"/ip4/192.0.2.{at % 256}/tcp/4001"),
            W.key(f"w{at}").public, W.key(f"v{at}").public if at < WITNESSES_MAX else b"",
        )
        for at in range(COOPS_MAX)
    )  # fmt: skip
    terms = dataclasses.replace(TERMS, quorum=44)
    large = found(dataclasses.replace(W.founding, coops=coops, admission_quorum=200, ledger=terms))
    assert len(large.document) < FOUNDING_BYTES_MAX
    assert len(large.coops) == COOPS_MAX
    file = FoundingFile.unsigned(large)
    assert decode_founding_file(file.encode()) == file


def test_a_document_beyond_its_bound_cannot_be_made() -> None:
    with pytest.raises(EncodingError):
        dataclasses.replace(W.founding, extra={"x": b"x" * FOUNDING_BYTES_MAX})


def test_signatures_are_gathered_one_by_one_and_joined() -> None:
    empty = FoundingFile.unsigned(W.founding)
    assert len(empty.missing) == 3
    left = empty.sign(W.coops[0].root).sign(W.coops[1].root)
    right = decode_founding_file(empty.sign(W.coops[2].root).encode())
    assert [coop.name for coop in left.missing] == ["coop 2"]
    with pytest.raises(NotFounded, match="coop 2") as caught:
        open_founding(left.encode())
    assert caught.value.facts["missing"] == (W.coops[2].id,)
    assert open_founding(left.merge(right).encode()) == W.founding


def test_only_founders_sign_and_only_one_document_is_joined() -> None:
    file = FoundingFile.unsigned(W.founding)
    with pytest.raises(LocalError):
        file.sign(W.coops[0].node)
    with pytest.raises(LocalError):
        file.merge(World(seed="elsewhere").file)


def test_a_signature_by_another_founder_is_refused_with_the_name_of_the_coop() -> None:
    signatures = (W.file.signatures[1], *W.file.signatures[1:])
    with pytest.raises(BadSignature, match="coop 0"):
        decode_founding_file(FoundingFile(W.founding, signatures).encode())


def test_a_key_that_anybody_could_sign_for_founds_nothing() -> None:
    weak = FoundingCoop(min(SMALL_ORDER_ENCODINGS), W.key("x").public, "Weak")  # type: ignore[arg-type]
    with pytest.raises(BadKey):
        found(dataclasses.replace(W.founding, coops=(*W.founding.coops, weak)))


def test_an_unknown_field_inside_a_coop_is_refused_because_rewriting_would_drop_it() -> None:
    from maillon.protocol.encoding import decode

    document = decode(W.founding.document, bytes_max=FOUNDING_BYTES_MAX)
    assert isinstance(document, dict)
    coops = document["coops"]
    assert isinstance(coops, list) and isinstance(coops[0], dict)
    coops[0]["later"] = 1
    with pytest.raises(SchemaError) as caught:
        decode_founding(encode(document))
    assert caught.value.rule == "unknown_field"


def test_a_coop_belongs_when_it_founded_or_enough_founders_admit_it() -> None:
    stranger = W.make_coop("stranger").id
    founders = [coop.id for coop in W.coops]
    assert W.founding.admission_quorum == 2
    assert W.founding.admits(founders[0], [])
    assert not W.founding.admits(stranger, founders[:1])
    assert not W.founding.admits(stranger, [founders[0], founders[0]])
    assert not W.founding.admits(stranger, [founders[0], stranger])
    assert W.founding.admits(stranger, founders[1:])


def test_a_card_survives_mail_and_gives_the_entry_of_a_founder() -> None:
    text = CARD.to_text()
    assert card_from_text(f"\n {text[:50]}\r\n{text[50:]} ") == CARD
    entry = CARD.founding_coop()
    assert (entry.id, entry.name) == (W.coops[0].id, "Coop du Diois")


def test_a_card_that_says_something_else_than_was_signed_is_refused() -> None:
    forged = dataclasses.replace(CARD, name="Another coop")
    with pytest.raises(BadSignature):
        decode_card(forged.encode())
    with pytest.raises(TextDamaged, match="cannot be used"):
        card_from_text(forged.to_text())


def test_a_card_whose_node_key_is_its_root_is_refused() -> None:
    with pytest.raises(SchemaError):
        make_card(W.coops[0].root, W.coops[0].root.public, "Coop")


def test_a_card_carries_the_keys_of_the_accounts_into_the_founding() -> None:
    writer, witness = W.key("w").public, W.key("v").public
    coop = W.coops[0]
    card = make_card(coop.root, coop.node.public, "Coop", [ADDRESS], writer=writer, witness=witness)
    assert card_from_text(card.to_text()) == card
    entry = card.founding_coop()
    assert (entry.writer, entry.witness) == (writer, witness)
    assert entry.keys == (coop.root.public, coop.node.public, writer, witness)
    assert CARD.founding_coop().keys == (coop.root.public, coop.node.public)
    # They are signed like the rest of it.
    with pytest.raises(BadSignature):
        decode_card(dataclasses.replace(card, witness=W.key("x").public).encode())
    with pytest.raises(BadSignature):
        decode_card(dataclasses.replace(card, writer=b"").encode())


def test_a_card_with_a_key_twice_or_a_weak_one_is_refused() -> None:
    coop, one = W.coops[0], W.key("w").public
    for writer, witness in ((one, one), (coop.node.public, one), (one, coop.root.public)):
        with pytest.raises(SchemaError) as caught:
            make_card(coop.root, coop.node.public, "Coop", writer=writer, witness=witness)
        assert caught.value.rule == "key_twice"
    with pytest.raises(BadKey):
        make_card(coop.root, coop.node.public, "Coop", witness=min(SMALL_ORDER_ENCODINGS))


@given(st.data())
def test_one_letter_changed_lost_or_doubled_in_a_text_is_found(data: st.DataObject) -> None:
    card = data.draw(st.booleans())
    text = CARD.to_text() if card else INVITATION.to_text()
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(["", text[at] * 2, "A", "z", "_", "=", "é"]))
    changed = text[:at] + letter + text[at + 1 :]
    if changed == text:
        return
    with pytest.raises(TextDamaged):
        if card:
            card_from_text(changed)
        else:
            invitation_from_text(changed, now=W.now)


def test_an_invitation_reads_back_until_it_expires() -> None:
    assert decode_invitation(INVITATION.encode()) == INVITATION
    assert invitation_from_text(INVITATION.to_text(), now=W.now) == INVITATION
    with pytest.raises(LocalError, match="expired") as caught:
        invitation_from_text(INVITATION.to_text(), now=W.now + 1)
    assert caught.value.hint


def test_a_text_of_another_sort_is_refused_with_what_it_should_begin_with() -> None:
    with pytest.raises(TextDamaged, match="maillon-card:"):
        card_from_text(INVITATION.to_text())
    with pytest.raises(TextDamaged, match="too long"):
        card_from_text("maillon-card:" + "A" * 100_000)


def test_a_community_that_names_no_criteria_has_the_usual_three_and_else_its_own_alone() -> None:
    none = dataclasses.replace(W.founding, criteria=())
    assert [one.code for one in none.asked] == ["quality", "punctuality", "respect"]
    assert all(set(one.labels) == {"en", "fr"} for one in none.asked)
    assert none.unasked(["respect", "zzz", "quality", "qualty"]) == ["qualty", "zzz"]
    # What stands in the document is what it was founded on: nothing is written into it.
    assert decode_founding(none.document).criteria == ()
    own = W.founding
    assert own.asked == own.criteria and own.unasked(["quality", own.criteria[0].code]) == [
        "quality"
    ]
