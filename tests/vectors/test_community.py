"""Run the vectors of spec/08-community against the code."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.protocol import relays
from maillon.protocol.auctions import commitment, lot, lot_of, winner
from maillon.protocol.bundles import approved, complete, waiting_for
from maillon.protocol.calendars import free
from maillon.protocol.envelope import Valid, decode_record
from maillon.protocol.errors import NotAllowed
from maillon.protocol.moving import past, present, vouching_stands
from maillon.protocol.records import thing_id
from maillon.protocol.records.market import asked_of
from maillon.protocol.splitting import group_shares, shares
from maillon.protocol.statuses import require_allowed
from support.vectors import cases, load

FILE = "community.json"


def live(shown: str, author: str = "") -> Valid:
    signed = decode_record(bytes.fromhex(shown))
    owner = bytes.fromhex(author)
    return Valid(signed, owner, thing_id(owner, signed.header.series), "member")


def maybe(shown: str | None) -> Valid | None:
    return None if shown is None else live(shown)


@pytest.mark.parametrize("vector", cases(FILE, "commitments"))
def test_a_sealed_bid_shows_the_hash_that_the_vector_shows(vector: dict[str, Any]) -> None:
    demand, nonce = bytes.fromhex(vector["demand"]), bytes.fromhex(vector["nonce"])
    assert commitment(demand, vector["amount"], nonce).hex() == vector["commit"]


@pytest.mark.parametrize("vector", cases(FILE, "lots"))
def test_a_bid_draws_the_lot_that_the_vector_shows(vector: dict[str, Any]) -> None:
    secret = bytes.fromhex(vector["secret"])
    assert lot(secret).hex() == vector["lot"]
    assert lot_of(secret, bytes.fromhex(vector["bid"])).hex() == vector["draw"]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("vector", cases(FILE, "auctions"))
def test_an_auction_comes_to_what_the_vector_says(vector: dict[str, Any], backwards: bool) -> None:
    order = -1 if backwards else 1
    outcome = winner(
        live(vector["demand"]),
        maybe(vector["close"]),
        [live(bid) for bid in vector["bids"][::order]],
        [live(reveal) for reveal in vector["reveals"][::order]],
        maybe(vector["award"]),
    )
    got = outcome.winner
    assert (None if got is None else got.id.hex()) == vector["winner"]
    assert (None if got is None else got.amount) == vector["amount"]
    assert [bid.id.hex() for bid in outcome.ranking] == vector["ranking"]
    assert outcome.tied == vector["tied"]
    for name in ("missing", "unopened", "omitted"):
        assert [id.hex() for id in getattr(outcome, name)] == vector[name]
    assert outcome.award_right is vector["award_right"]


def parts_of(vector: dict[str, Any]) -> list[tuple[bytes, int]]:
    return [(bytes.fromhex(one["author"]), one["share"]) for one in vector["members"]]


@pytest.mark.parametrize("vector", cases(FILE, "splits"))
def test_an_amount_is_split_as_the_vector_says(vector: dict[str, Any]) -> None:
    parts = parts_of(vector)
    split = shares(vector["amount"], parts)
    assert [units for _, units in split] == vector["units"]
    assert [author for author, _ in split] == [author for author, _ in parts]


@pytest.mark.parametrize("vector", cases(FILE, "groups"))
def test_a_group_splits_as_its_rule_says(vector: dict[str, Any]) -> None:
    performer = None if vector["performer"] is None else bytes.fromhex(vector["performer"])
    split = group_shares(vector["amount"], parts_of(vector), vector["split"], performer)
    assert [{"author": who.hex(), "units": units} for who, units in split] == vector["units"]


@pytest.mark.parametrize("vector", cases(FILE, "consents"))
def test_a_whole_waits_for_those_that_the_vector_names(vector: dict[str, Any]) -> None:
    whole = live(**_shown(vector["whole"]))
    parts = [live(**_shown(part)) for part in vector["parts"]]
    assert [who.hex() for who in waiting_for(whole, parts)] == vector["waiting_for"]
    assert complete(whole, parts) is not bool(vector["waiting_for"])


def _shown(entry: dict[str, str]) -> dict[str, str]:
    return {"shown": entry["record"], "author": entry["author"]}


@pytest.mark.parametrize("vector", cases(FILE, "signatures"))
def test_a_group_signs_when_as_many_approve_as_its_rule_asks(vector: dict[str, Any]) -> None:
    who = [bytes.fromhex(author) for author in vector["approvals"]]
    assert approved(live(vector["organisation"]), who) is vector["approved"]


@pytest.mark.parametrize("vector", cases(FILE, "moves"))
def test_a_person_is_followed_as_the_vector_says(vector: dict[str, Any]) -> None:
    moves = [live(move) for move in vector["moves"]]
    for order in (moves, moves[::-1]):
        for who in vector["authors"]:
            author = bytes.fromhex(who["author"])
            assert present(author, order).hex() == who["present"]
            assert sorted(one.hex() for one in past(author, order)) == who["past"]


@pytest.mark.parametrize("vector", cases(FILE, "vouchings"))
def test_a_key_that_a_coop_vouches_for_stands_or_not_as_the_vector_says(
    vector: dict[str, Any],
) -> None:
    contests = [live(contest) for contest in vector["contests"]]
    assert vouching_stands(live(vector["vouching"]), contests, vector["now"]) is vector["stands"]


@pytest.mark.parametrize("vector", cases(FILE, "statuses"))
def test_terms_are_allowed_for_a_status_as_the_vector_says(vector: dict[str, Any]) -> None:
    if vector["expect"] == "ok":
        require_allowed(vector["terms"], vector["status"], vector["units"])
    else:
        with pytest.raises(NotAllowed) as caught:
            require_allowed(vector["terms"], vector["status"], vector["units"])
        assert (caught.value.code, caught.value.facts["rule"]) == ("not_allowed", "status")


@pytest.mark.parametrize("vector", cases(FILE, "tariffs"))
def test_an_offer_asks_of_an_audience_what_the_vector_says(vector: dict[str, Any]) -> None:
    assert dict(asked_of(vector["offer"], vector["audiences"])) == vector["asked"]


@pytest.mark.parametrize("vector", cases(FILE, "calendars"))
def test_somebody_is_free_as_the_vector_says(vector: dict[str, Any]) -> None:
    assert free(vector["freebusy"], vector["start"], vector["end"]) is vector["free"]


def test_the_vectors_hold_both_outcomes_of_everything() -> None:
    told = load(FILE)
    assert {v["award_right"] for v in told["auctions"]} == {True, False, None}
    assert {v["stands"] for v in told["vouchings"]} == {True, False, None}
    assert {v["approved"] for v in told["signatures"]} == {True, False}
    refused = {(v["status"], v["name"].rpartition(" ")[2]) for v in told["statuses"]
               if v["expect"] != "ok"}  # fmt: skip
    assert refused == {("volunteer", "graine"), ("volunteer", "inconnue"), ("volunteer", "outside")}


@pytest.mark.parametrize("vector", cases(FILE, "relay_requests"))
def test_a_request_to_a_relay_counts_or_is_left_out_as_the_vector_says(
    vector: dict[str, Any],
) -> None:
    request = decode_record(bytes.fromhex(vector["request"]))
    brought_by = bytes.fromhex(vector["brought_by"])
    if vector["expect"] == "ok":
        relays.check_request(request, brought_by)
        assert request.id.hex() == vector["id"]
        return
    with pytest.raises(NotAllowed) as caught:
        relays.check_request(request, brought_by)
    assert (caught.value.code, caught.value.facts["rule"]) == (vector["expect"], vector["rule"])


@pytest.mark.parametrize("vector", cases(FILE, "relay_answers"))
def test_the_first_answer_of_a_relay_counts_as_the_vector_says(vector: dict[str, Any]) -> None:
    request = decode_record(bytes.fromhex(vector["request"]))
    first: tuple[Any, int] | None = None
    for letter, outcome in zip(vector["letters"], vector["outcomes"], strict=True):
        answer = decode_record(bytes.fromhex(letter["answer"]))
        places = bytes.fromhex(vector["asked"]), bytes.fromhex(letter["brought_by"])
        if outcome in ("counts", "later"):
            relays.check_answer(answer, request, *places)
            assert (first is None) is (outcome == "counts")
            first = first or (answer.payload, letter["at"])
            continue
        with pytest.raises(NotAllowed) as caught:
            relays.check_answer(answer, request, *places)
        assert caught.value.facts["rule"] == outcome
    assert (None if first is None else first[0]["taken"]) is vector["taken"]
    assert (None if first is None else relays.in_time(request, first[1])) is vector["in_time"]
