"""What the commands about exchanges show to whoever binds themselves, at two running nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.circuit import Circuit, circuit
from support.nodes import wait_for

AHEAD = "2031-11-28"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circuit]:
    with pytest.MonkeyPatch.context() as screen, circuit(tmp_path_factory.mktemp("x")) as made:
        # Wide enough that no cell of a table is broken.
        screen.setenv("COLUMNS", "300")
        yield made


def test_a_quote_is_shown_whole_to_whoever_may_accept_it(two: Circuit) -> None:
    options = (
        "--when", "tomorrow 14:00-15:30", "--place", "Chez Ana", "--mediator", "Coop B",
        "--cancel-fee", "30min", "--performer", "Chloé", "--text", "La haie du nord",
        "--guarantee", "30", "--silence", "accept=mediated",
    )  # fmt: skip
    id = two.quoted("Tailler la haie", "1h30", *options)
    told = two.words(0, "exchange", "show", id)
    for part in (
        "1h30", "14:00 – 15:30 (Europe/Paris), Chez Ana", "Coop B (the provider's own coop)",
        "Chloé", "La haie du nord", "30 days", "then who cancels owes 30 min",
        "Otherwise the mediator decides.", "Accueil", "04 00 00 00 00", "reserved in the accounts",
    ):  # fmt: skip
        assert part in told, (part, told)
    told = two.words(0, "exchange", "accept", id)
    assert "then who cancels owes 30 min" in told and "Chez Ana" in told


def test_words_reach_the_other_side_in_show_and_in_the_transcript(two: Circuit) -> None:
    id = two.quoted("Ranger le bois", "1h", "--mediator", "Coop A")
    two.coops.do(0, "exchange", "message", id, "Avez-vous une échelle ?")
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "agreed")
    two.coops.do(1, "exchange", "message", id, "--late", "20min")
    two.coops.do(1, "exchange", "check-in", id)
    two.coops.do(1, "exchange", "check-out", id)
    two.reaches(0, id, "done")
    two.coops.do(0, "exchange", "complain", id, "Il en reste la moitié", "--proposes", "45min")
    two.reaches(1, id, "disputed")
    for command in ("show", "transcript"):
        told = two.words(1, "exchange", command, id)
        assert "Avez-vous une échelle ?" in told
        assert "Il en reste la moitié" in told and "45 min" in told
    proposal = two.shows(1, id, lambda e: bool(e["proposals"]))["proposals"][0]
    assert proposal["kind"] == "complaint" and proposal["amount"]["text"] == "45 min"
    assert f"--to {proposal['step'][:8]}" in two.words(1, "exchange", "show", id)
    two.coops.do(0, "exchange", "mediate", id, "--amount", "45min", "La moitié est faite")
    two.pays(1, id)
    assert "La moitié est faite" in two.words(1, "exchange", "show", id)


def test_a_handover_says_to_whom_and_why_before_anybody_consents(two: Circuit) -> None:
    id = two.quoted("Porter les courses", "1h")
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "agreed")
    two.coops.do(1, "exchange", "handover", id, "Chloé Exemple", "--text", "Bras cassé")
    shown = two.shows(0, id, lambda e: bool(e["proposals"]))
    told = two.words(0, "exchange", "show", id)
    assert "Bras cassé" in told and shown["proposals"][0]["to"]["person"][:8] in told


def test_each_proposal_that_waits_has_the_id_that_an_answer_names(two: Circuit) -> None:
    id = two.quoted("Peindre le volet", "1h", "--when", f"{AHEAD} 09:00-10:00")
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "scheduled")
    slot = two.shows(1, id, lambda e: bool(e["slots"]))["slots"][0]["slot"]
    told = two.words(
        1, "exchange", "appointment", id, "--when", f"{AHEAD}T16:20-17:00", "--move", slot
    )
    assert f"Fri {AHEAD} 16:20 – 17:00 (Europe/Paris)" in told
    two.coops.do(1, "exchange", "appointment", id, "--when", f"{AHEAD} 11:00-12:00")
    waiting = two.shows(0, id, lambda e: len(e["proposals"]) == 2)["proposals"]
    assert sorted(p["moves"] for p in waiting) == [[], [slot]]
    refused = two.coops.refused(0, "exchange", "consent", id)
    assert refused["code"] == "ambiguous"
    assert all(entry["step"][:8] in refused["hint"] for entry in waiting)
    assert "16:20 – 17:00 in the place of" in refused["hint"]
    assert len(two.shows(0, id, lambda e: True)["proposals"]) == 2
    two.coops.do(0, "exchange", "consent", id, "--to", waiting[1]["step"][:8])
    assert len(two.shows(0, id, lambda e: True)["proposals"]) == 1


def test_a_fee_is_said_before_and_is_not_owed_unawares(two: Circuit) -> None:
    terms = (
        "--when",
        "tomorrow 14:00-15:00",
        "--cancel-fee",
        "30min",
        "--within",
        "cancel-free=3d",
    )
    id = two.quoted("Garder le chat", "1h", *terms)
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "scheduled")
    before = two.coops.do(0, "exchange", "transcript", id)
    assert "30 min is owed by whoever cancels now" in two.words(0, "exchange", "show", id)
    refused = two.coops.refused(0, "exchange", "cancel", id)
    assert refused["code"] == "not_confirmed" and "30 min" in refused["message"]
    assert two.coops.do(0, "exchange", "transcript", id) == before
    told = two.words(0, "exchange", "cancel", id, "--yes")
    assert "nothing is due" not in told and "30 min" in told
    two.reaches(1, id, "cancelled")


def test_to_approve_before_the_appointment_is_asked_first(two: Circuit) -> None:
    id = two.quoted("Monter l'étagère", "1h", "--when", f"{AHEAD} 09:00-10:00")
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "scheduled")
    refused = two.coops.refused(0, "exchange", "approve", id)
    assert refused["code"] == "not_confirmed"
    assert AHEAD in refused["message"] and "1h00 would be paid" in refused["message"]
    assert two.shows(0, id, lambda e: True)["phase"] == "scheduled"
    two.coops.tell(0, "exchange", "approve", id, "--yes")
    two.pays(0, id)


def test_a_calendar_without_an_appointment_is_not_written(two: Circuit) -> None:
    id = two.quoted("Lire à voix haute", "1h")
    refused = two.coops.refused(0, "exchange", "calendar", id)
    assert refused["code"] == "not_found"


def test_amounts_of_offers_are_written_as_everywhere_else(two: Circuit) -> None:
    common = ("offer", "publish", "--title", "Cours", "--category", "musique", "--as-member", "Ana")
    made = two.coops.do(0, *common, "--amount", "1h30")
    shown = two.coops.do(0, "offer", "show", made["id"])
    assert shown["payload"]["reciprocity"] == {"kind": "amount", "unit": "heure", "amount": 90}
    refused = two.coops.refused(0, *common, "--amount", "beaucoup")
    assert refused["code"] == "amount_text" and "1h30" in refused["hint"]


def test_a_bid_above_what_is_given_at_most_is_refused(two: Circuit) -> None:
    made = two.coops.do(
        0, "auction", "open", "--title", "Peindre", "--category", "jardin", "--amount", "4h",
        "--closes", "2d", "--as-member", "Ana",
    )  # fmt: skip
    wait_for(lambda: made["id"] in two.coops.coops[1].ids("demand"), "it is at both")
    refused = two.coops.refused(1, "auction", "bid", made["id"], "5h", "--by", "Bruno")
    assert "4h00 at most" in refused["message"]
    assert two.coops.coops[1].ids("bid") == set()
    assert "Bids are still taken." in two.words(0, "auction", "show", made["id"])


def test_a_transcript_names_the_hand_that_signed_under_a_mandate(two: Circuit) -> None:
    two.coops.do(
        0, "mandate", "give", "--for", "Ana Exemple", "--to", "Hélène Exemple",
        "--kind", "agreement",
    )  # fmt: skip
    id = two.quoted("Réparer la porte", "30min")
    two.coops.do(0, "exchange", "accept", id, "--by", "Hélène", "--as", "Ana Exemple")
    told = two.words(0, "exchange", "transcript", id)
    assert "Ana Exemple (by Hélène Exemple, under a mandate)" in told
