"""Bundles, auctions, cheques, groups and devices by commands, at the nodes of two coops."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from maillon.node.cli.app import run
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
        two.coops.do(1, "exchange", "quote", id, "--amount", "20min", "--reserved", *two.reach)
        assert two.coops.refused(1, "exchange", "withdraw", id)["code"] == "step"
    wait_for(
        lambda: two.coops.do(0, "bundle", "show", bundle)["status"] == "reserved", "all reserved"
    )
    assert "Agreed: all 2 parts." in two.words(0, "bundle", "accept", bundle, "--by", "Ana")
    for id in parts:
        two.reaches(1, id, "agreed")


def test_the_lowest_bid_wins_and_both_nodes_compute_the_same_winner(two: Circuit) -> None:
    closes = datetime.fromtimestamp(time.time() + CLOSES_IN_S).isoformat(timespec="seconds")
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
    two.coops.do(1, *paid)
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


def test_steps_signed_with_no_network_all_go_through_later_and_once(
    two: Circuit, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    password = tmp_path / "password"
    password.write_text("a long password\n")
    password.chmod(0o600)
    key, pocket = str(tmp_path / "phone.key"), str(tmp_path / "pocket.json")

    def device(*arguments: str) -> int:
        # No home: whatever a device does alone needs neither node nor directory.
        none = str(tmp_path / "nowhere")
        return run(["--home", none, *arguments, "--password-file", str(password)])

    assert device("device", "new", "-o", key) == 0
    code = two.coops.do(1, "device", "code", "Chloé")["code"]
    two.coops.do(1, "device", "claim", code, "--key-file", key, "--password-file", str(password))
    shown = two.coops.do(1, "person", "show", "Chloé")
    assert [d["custody"] for d in shown["devices"] if d["status"] == "active"] == ["device"]
    public = next(d["key"] for d in shown["devices"] if d["status"] == "active")

    need = two.demand("Couper du bois")
    two.coops.do(1, "exchange", "open", need, "--by", "Bruno")
    id = two.latest(1, "Couper du bois")
    two.coops.do(1, "exchange", "quote", id, "--amount", "1h", *two.reach)
    two.reaches(0, id, "quoted")
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "agreed")
    two.coops.do(1, "exchange", "handover", id, "Chloé Exemple")
    two.shows(0, id, lambda e: any(p["kind"] == "consent" for p in e["possible"]))
    two.coops.do(0, "exchange", "consent", id)
    two.shows(1, id, lambda e: any(p["kind"] == "handover_acceptance" for p in e["possible"]))

    step = str(tmp_path / "step.json")
    two.coops.do(1, "exchange", "draft", id, "take-over", "--key", public, "-o", step)
    assert two.coops.refused(1, "exchange", "send", step)["code"] == "usage"
    assert device("exchange", "sign", step, "--key-file", key, "--yes") == 0
    two.coops.do(1, "exchange", "send", step)
    two.coops.do(1, "exchange", "draft", id, "--take-along", "-o", pocket)
    before = len(two.coops.do(1, "exchange", "transcript", id)["steps"])
    sign = ("exchange", "sign", pocket)
    assert device(*sign, "check-in", "--key-file", key, "--yes") == 0
    assert device(*sign, "check-out", "--minutes", "50", "--key-file", key, "--yes") == 0
    capfd.readouterr()
    assert device(*sign, "check-out", "--key-file", key, "--yes") == 4
    assert "done, waits for approval" in capfd.readouterr().err
    assert len(two.coops.do(1, "exchange", "transcript", id)["steps"]) == before
    sent = two.coops.do(1, "exchange", "send", pocket)
    assert [taken["outcome"] for taken in sent["taken"]] == ["new", "new"]
    again = two.coops.do(1, "exchange", "send", pocket)
    assert [taken["outcome"] for taken in again["taken"]] == ["known", "known"]
    two.reaches(0, id, "done")
    two.coops.tell(0, "exchange", "approve", id)
    two.pays(0, id)

    letters, opened = str(tmp_path / "letters.json"), str(tmp_path / "opened.json")
    wait_for(lambda: two.coops.do(1, "letters", "list", "Chloé")["letters"], "letters wait")
    two.coops.do(1, "letters", "fetch", "Chloé", "-o", letters)
    assert device("letters", "open", letters, "--key-file", key, "-o", opened) == 0
    handed = two.coops.do(1, "exchange", "send", opened)
    assert {taken["outcome"] for taken in handed["taken"]} <= {"known", "waits"}


def test_what_is_held_about_a_person_is_given_to_them_in_one_file(
    two: Circuit, tmp_path: Path
) -> None:
    target = tmp_path / "ana.zip"
    two.coops.do(0, "person", "export", "Ana Exemple", "-o", str(target))
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None and archive.namelist()
    assert two.coops.refused(0, "person", "export", "Ana", "-o", str(target))["exit"] == 7
    assert "exchanges" in two.words(0, "person", "retention", "show")
