"""Bundles, auctions, cheques, groups and devices by commands, at the nodes of two coops."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.circuit import Circuit, circuit
from support.nodes import wait_for

CLOSES_IN_S = 6


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circuit]:
    with circuit(tmp_path_factory.mktemp("t")) as made:
        yield made


def test_a_bundle_is_signed_by_all_reserved_by_all_and_accepted_at_once(two: Circuit) -> None:
    made = two.coops.do(
        1, "bundle", "publish", "--title", "Retour", "--category", "aide",
        "--part", "Bruno=Courses", "--part", "Chloé Exemple=Ménage", "--by", "Bruno",
    )  # fmt: skip
    assert not made["complete"]
    assert "is complete" in two.words(1, "bundle", "sign", made["bundle"], "--by", "Chloé")
    bundle = made["bundle"]
    wait_for(
        lambda: [b for b in two.coops.do(0, "bundle", "list")["bundles"] if b["complete"]],
        "the bundle is at both",
    )
    reserving = two.coops.do(0, "bundle", "reserve", bundle, "--by", "Ana")
    parts = [part["exchange"] for part in reserving["parts"]]
    early = two.coops.refused(0, "bundle", "accept", bundle, "--by", "Ana")
    assert early["exit"] == 4
    for id in parts:
        two.shows(1, id, lambda e: e["phase"] == "opened")
        quoted = two.coops.do(1, "exchange", "quote", id, "--amount", "20min", *two.reach)
        assert quoted["exchange"]["quotes"][0]["reserved"], "a bundle's part is, if nothing is said"
        assert two.coops.refused(1, "exchange", "withdraw", id)["code"] == "step"
    wait_for(
        lambda: two.coops.do(0, "bundle", "show", bundle)["status"] == "reserved", "all reserved"
    )
    shown = two.words(0, "bundle", "show", bundle)
    assert shown.count("20 min") >= 2 and "Reserved until" in shown
    two.coops.do(0, "bundle", "reserve", bundle, "--by", "Hélène")
    shown = two.words(0, "bundle", "show", bundle)
    assert "Also asked for by Ana Exemple: all parts reserved" in shown
    second = two.coops.do(0, "bundle", "show", bundle)["parts"][0]["exchange"]
    two.coops.do(0, "exchange", "decline", second)
    # One part has ended, so not all can be agreed: her coop decides that none is.
    wait_for(
        lambda: two.coops.do(0, "bundle", "show", bundle)["status"] == "abort", "it is given up"
    )
    assert "given up, all parts free" in two.words(0, "bundle", "show", bundle)
    told = two.words(0, "bundle", "accept", bundle, "--by", "Ana")
    assert "Agreed: all 2 parts." in told and "Courses: 20 min, reserved in the accounts" in told
    for id in parts:
        two.reaches(1, id, "agreed")


def test_the_lowest_bid_wins_and_both_nodes_compute_the_same_winner(two: Circuit) -> None:
    end_at = datetime.fromtimestamp(time.time() + CLOSES_IN_S, UTC)
    closes = end_at.isoformat(timespec="seconds")
    made = two.coops.do(
        0, "auction", "open", "--title", "Tondre la place", "--category", "jardin",
        "--closes", closes, "--as-member", "Ana",
    )  # fmt: skip
    id = made["id"]
    wait_for(lambda: id in two.coops.coops[1].ids("demand"), "the auction is at both")
    two.coops.do(1, "auction", "bid", id, "2h30", "--by", "Bruno")
    two.coops.do(1, "auction", "bid", id, "2h", "--by", "Chloé")
    wait_for(lambda: len(two.coops.coops[0].ids("bid")) == 2, "the bids are at both")
    assert two.coops.refused(0, "auction", "award", id, "--by", "Ana")["code"] == "step"
    end = datetime.fromisoformat(closes).timestamp()
    wait_for(lambda: time.time() > end + 1, "the time is over")
    two.coops.do(0, "auction", "close", id, "--by", "Ana")
    told = two.words(0, "auction", "award", id, "--by", "Ana")
    assert "for 2h00" in told and "maillon" in told
    wait_for(lambda: two.coops.coops[1].ids("award"), "the award is at both")
    first, second = (two.coops.do(place, "auction", "show", id) for place in (0, 1))
    assert first["winner"] == second["winner"] and second["amount"] == 120
    assert second["award_right"] is True
    assert "Computed here: Chloé Exemple wins with 2h00." in two.words(1, "auction", "show", id)


def test_a_paper_cheque_is_paid_once_at_another_coop(two: Circuit, tmp_path: Path) -> None:
    book = two.coops.do(
        0, "voucher", "book", "Hélène", "--count", "2", "--max", "3h",
        "-o", str(tmp_path / "cheques.html"),
    )  # fmt: skip
    assert "<" in (tmp_path / "cheques.html").read_text()
    number, code = str(book["vouchers"][0]["number"]), book["vouchers"][0]["code"]
    paid = ("voucher", "deposit", number, code, "1h30", "--to", "Bruno", "--coop", "Coop A")
    before = two.coops.balance(1, "Bruno Exemple", "heure")
    assert "Paid: 1h30 for Bruno Exemple" in two.words(1, *paid)
    two.coops.arrives(1, "Bruno Exemple", "heure", before + 90)
    again = two.words(1, *paid)
    assert "Was paid already" in again and "Nothing was paid anew." in again
    twice = two.coops.refused(0, "voucher", "deposit", number, code, "1h", "--to", "Ana")
    assert twice["exit"] == 4
    assert two.coops.balance(0, "Hélène Exemple", "heure") == -90
    other = str(book["vouchers"][1]["number"])
    assert "1 cheque is blocked" in two.words(0, "voucher", "block", "Hélène", other)
    states = [v["status"] for v in two.coops.do(0, "voucher", "list", "Hélène")["vouchers"]]
    assert sorted(states) == ["blocked", "paid"]


def test_a_group_counts_once_all_consent_and_pays_with_the_signatures_it_wants(
    two: Circuit,
) -> None:
    two.coops.do(
        1, "group", "found", "Les Jardiniers", "--member", "Bruno=2", "--member", "Chloé=1",
        "--signatures", "2", "--founder", "Bruno",
    )  # fmt: skip
    assert "All members have consented" in two.words(
        1, "group", "consent", "les jardiniers", "Chloé"
    )
    shown = two.coops.do(1, "group", "show", "Les Jardiniers")
    assert shown["counts"] and [m["share"] for m in shown["members"]] == [2, 1]
    order = two.coops.do(
        1, "group", "pay", "Les Jardiniers", "commons", "5min", "--by", "Bruno Exemple"
    )
    assert order["status"] == "open" and len(order["approvals"]) == 1


def test_what_is_held_about_a_person_is_given_to_them_in_one_file(
    two: Circuit, tmp_path: Path
) -> None:
    target = tmp_path / "ana.zip"
    two.coops.do(0, "person", "export", "Ana Exemple", "-o", str(target))
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None and archive.namelist()
    assert two.coops.refused(0, "person", "export", "Ana", "-o", str(target))["exit"] == 7
    assert "exchanges" in two.words(0, "person", "retention", "show")
