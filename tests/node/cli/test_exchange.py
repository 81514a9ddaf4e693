"""Exchanges by the commands that people type, at the running nodes of two coops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.circuit import Circuit, circuit


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circuit]:
    with circuit(tmp_path_factory.mktemp("x")) as made:
        yield made


def test_from_a_need_to_both_evaluations_each_sentence_says_who_acts_next(two: Circuit) -> None:
    need = two.demand("Taille des haies")
    told = two.words(1, "exchange", "open", need, "--by", "Bruno")
    assert "Opened" in told and "Taille des haies" in told and "Next: Bruno Exemple." in told
    assert "Bruno Exemple can: quote" in told
    id = two.latest(1, "Taille des haies")
    told = two.words(1, "exchange", "quote", id, "--amount", "1h30", *two.reach)
    assert "Quoted 1h30" in told and "The quote stands until" in told
    two.reaches(0, id, "quoted")
    told = two.words(0, "exchange", "accept", id, "--phone", "04 00 00 00 00")
    assert "Agreed" in told and "1h30" in told and "reserved" in told
    two.reaches(1, id, "agreed")
    told = two.words(1, "exchange", "check-in", id)
    assert "The work has begun." in told
    told = two.words(1, "exchange", "check-out", id)
    assert "The work is done" in told
    two.reaches(0, id, "done")
    told = two.words(0, "exchange", "approve", id)
    assert "Approved." in told and "1h30" in told
    two.pays(0, id)
    assert two.coops.balance(0, "Ana Exemple", "heure") == -90
    two.coops.arrives(1, "Bruno Exemple", "heure", 90)
    two.reaches(1, id, "paid")
    kept = two.words(0, "exchange", "evaluate", id, "--mark", "quality=5")
    assert "Kept until the other side has evaluated too" in kept
    assert two.coops.coops[1].ids("attestation") == set()
    two.coops.do(1, "exchange", "evaluate", id, "--mark", "quality=4", "--text", "Merci")
    two.reaches(0, id, "evaluated")
    two.reaches(1, id, "evaluated")
    shown = two.shows(0, id, lambda e: all(v["published"] for v in e["evaluations"]))
    assert len(shown["evaluations"]) == 2


def test_a_step_that_is_not_possible_names_the_state_and_the_commands_that_are(
    two: Circuit,
) -> None:
    id = two.quoted("Laver les vitres", "1h")
    before = two.coops.do(0, "exchange", "transcript", id)
    error = two.coops.refused(0, "exchange", "approve", id)
    assert (error["code"], error["exit"]) == ("step", 4)
    assert "quoted" in error["message"]
    assert "accept" in error["hint"] and f"exchange accept {id[:8]}" in error["hint"]
    assert error["facts"]["phase"] == "quoted" and "agreement" in error["facts"]["possible"]
    assert two.coops.do(0, "exchange", "transcript", id) == before


def test_a_complaint_is_mediated_and_what_was_decided_is_paid(two: Circuit) -> None:
    id = two.quoted("Ranger la cave", "2h", "--mediator", "Coop A")
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "agreed")
    two.coops.do(1, "exchange", "check-in", id)
    two.coops.do(1, "exchange", "check-out", id)
    two.reaches(0, id, "done")
    before = two.coops.balance(0, "Ana Exemple", "heure")
    told = two.words(0, "exchange", "complain", id, "La moitié reste à faire")
    assert "Coop A mediates" in told
    two.reaches(1, id, "disputed")
    told = two.words(0, "exchange", "mediate", id, "--amount", "45min", "La moitié est faite")
    assert "45 min" in told
    two.pays(0, id)
    assert two.coops.balance(0, "Ana Exemple", "heure") == before - 45
    two.reaches(1, id, "paid")


def test_another_provider_takes_over_with_consent_and_is_the_one_who_is_paid(
    two: Circuit,
) -> None:
    id = two.quoted("Porter du bois", "1h")
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "agreed")
    told = two.words(1, "exchange", "handover", id, "Chloé Exemple", "--text", "Bras cassé")
    assert "has to consent" in told
    two.shows(0, id, lambda e: any(p["kind"] == "consent" for p in e["possible"]))
    told = two.words(0, "exchange", "consent", id)
    assert "Agreed." in told
    two.shows(1, id, lambda e: any(p["kind"] == "handover_acceptance" for p in e["possible"]))
    told = two.words(1, "exchange", "take-over", id)
    assert "Chloé Exemple does it from now on." in told
    two.reaches(0, id, "agreed")
    two.coops.do(1, "exchange", "check-in", id)
    two.coops.do(1, "exchange", "check-out", id)
    two.reaches(0, id, "done")
    two.coops.tell(0, "exchange", "approve", id)
    two.pays(0, id)
    two.coops.arrives(1, "Chloé Exemple", "heure", 60)


def test_the_agenda_and_the_calendar_hold_the_appointment(two: Circuit) -> None:
    id = two.quoted("Lire le courrier", "1h", "--when", "tomorrow 09:00-10:00", "--place", "Mairie")
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "scheduled")
    entries = two.coops.do(1, "agenda", "Bruno")["entries"]
    assert [entry["title"] for entry in entries] == ["Lire le courrier"]
    assert "Mairie" in two.words(1, "agenda", "Bruno")
    told = two.coops.tell(1, "exchange", "calendar", id, as_json=False)
    assert "BEGIN:VCALENDAR" in told.out and "Mairie" in told.out
    told_late = two.words(1, "exchange", "message", id, "--late", "20min")
    assert "Sent." in told_late
    cancelled = two.words(0, "exchange", "cancel", id, "--reason", "Malade")
    assert "Cancelled: nothing is due." in cancelled
    two.reaches(1, id, "cancelled")


def test_a_helper_acts_under_a_mandate_and_the_person_sees_every_act(two: Circuit) -> None:
    two.coops.do(
        0, "mandate", "give", "--for", "Ana Exemple", "--to", "Hélène Exemple",
        "--kind", "opening", "--kind", "agreement", "--kind", "decline",
    )  # fmt: skip
    need = two.demand("Réparer le portail")
    two.coops.do(1, "exchange", "open", need, "--by", "Bruno")
    id = two.latest(1, "Réparer le portail")
    two.coops.do(1, "exchange", "quote", id, "--gift", *two.reach)
    two.reaches(0, id, "quoted")
    refused = two.coops.refused(
        0, "exchange", "message", id, "Bonjour", "--by", "Hélène", "--as", "Ana Exemple"
    )
    assert refused["code"] != "internal"
    two.coops.do(0, "exchange", "accept", id, "--by", "Hélène", "--as", "Ana Exemple")
    acts = two.coops.do(0, "person", "acts", "Ana Exemple")["acts"]
    assert [act["what"] for act in acts] == ["agreement"]
    assert acts[0]["delegate_name"] == "Hélène Exemple"
    assert "Hélène Exemple" in two.words(0, "person", "acts", "Ana")
    mandate = acts[0]["mandate"]
    two.coops.do(0, "mandate", "revoke", mandate)
    refused = two.coops.refused(
        0, "exchange", "cancel", id, "--by", "Hélène", "--as", "Ana Exemple"
    )
    assert refused["exit"] == 4
