"""What people do around exchanges, by commands, in words and in JSON, at real nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.node.cli.app import run
from maillon.protocol.envelope import decode_record
from support.circuit import Circuit, circuit
from support.nodes import wait_for

Json = dict[str, Any]
ALWAYS = "Mo-Su 00:00-24:00"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circuit]:
    with pytest.MonkeyPatch.context() as screen, circuit(tmp_path_factory.mktemp("k")) as made:
        # Wide enough that no cell of a table is broken.
        screen.setenv("COLUMNS", "300")
        yield made


def both(two: Circuit, place: int, *words: str) -> tuple[Any, str]:
    """Run a command that changes nothing twice: return its document, and its words on one line."""
    return two.coops.do(place, *words), two.words(place, *words)


def name_at(two: Circuit, place: int, name: str) -> str:
    """Return how somebody of one coop is named at the other."""
    members = two.coops.do(place, "member", "list")["members"]
    person = next(member["person"] for member in members if member["name"] == name)
    return f"Coop {'AB'[place]}:{person}"


# --- searches and notices -----------------------------------------------------------------------


def test_a_kept_search_tells_of_what_is_published_elsewhere_until_it_is_forgotten(
    two: Circuit,
) -> None:
    told = two.words(0, "watch", "add", "Ana Exemple", "accordéon", "--name", "Musique")
    assert told.startswith("Kept as ") and 'maillon watch notices "Ana Exemple"' in told
    listed, words = both(two, 0, "watch", "list", "Ana")
    (kept,) = listed["searches"]
    assert (kept["name"], kept["query"]["q"], kept["new"]) == ("Musique", "accordéon", 0)
    assert "Musique" in words and kept["id"][:8] in words
    assert "Nothing is new." in two.words(0, "watch", "notices", "Ana")
    offer = two.coops.do(
        1, "offer", "publish", "--title", "Cours d'accordéon", "--category", "musique", 
        "--as-member", "Bruno",
    )  # fmt: skip

    def noticed() -> list[Json]:
        path = {"person": kept_person(two), "unseen": "true"}
        return list(two.coops.coops[0].get("/v1/notices", **path)["notices"])

    wait_for(noticed, "the notice is there")
    shown, words = both(two, 0, "watch", "show", kept["id"])
    assert [found["id"] for found in shown["found"]] == [offer["id"]]
    assert "Cours d'accordéon" in words and "Coop B" in words
    data, words = both(two, 0, "watch", "notices", "Ana", "--all")
    (notice,) = data["notices"]
    assert (notice["record"], notice["source"]) == (offer["id"], "search")
    assert "Cours d'accordéon" in words and "offer" in words
    # Once looked at, it is not new any more.
    assert two.coops.do(0, "watch", "notices", "Ana")["notices"] == []
    assert two.words(0, "watch", "forget", kept["id"]) == "Erased."
    assert two.coops.do(0, "watch", "list", "Ana")["searches"] == []
    assert "No search is kept." in two.words(0, "watch", "list", "Ana")
    assert two.coops.refused(0, "watch", "show", kept["id"])["code"] == "not_found"


def kept_person(two: Circuit) -> str:
    members = two.coops.do(0, "member", "list")["members"]
    return next(str(m["person"]) for m in members if m["name"] == "Ana Exemple")


def test_what_fits_a_demand_is_proposed_with_reasons_and_demands_are_counted(two: Circuit) -> None:
    offer = two.coops.do(
        1, "offer", "publish", "--title", "Ramonage de cheminée", "--category", "aide", 
        "--as-member", "Bruno",
    )  # fmt: skip
    wait_for(lambda: offer["id"] in two.coops.coops[0].ids("offer"), "the offer is at both")
    need = two.demand("Ramonage de cheminée", "--urgency", "emergency")
    data, words = both(two, 0, "demand", "matches", need)
    assert data["matches"][0]["id"] == offer["id"] and data["matches"][0]["reasons"]
    assert "Ramonage de cheminée" in words and data["matches"][0]["reasons"][0] in words
    one, words = both(two, 0, "demand", "matches", need, "--with", offer["id"])
    assert one["refused"] == [] and one["reasons"][0] in words
    back = two.coops.do(1, "offer", "matches", offer["id"])
    assert need in [match["id"] for match in back["matches"]]
    counted, words = both(two, 0, "demand", "counts")
    assert counted["emergency"] >= 1 and f"emergency {counted['emergency']}" in words


# --- relays -------------------------------------------------------------------------------------


def test_a_demand_is_handed_to_the_relay_which_answers_and_is_counted(two: Circuit) -> None:
    told = two.words(0, "relay", "set", "Coop B", "--hours", ALWAYS, "--within", "30min")
    assert "Coop B" in told
    wait_for(lambda: two.coops.coops[1].ids("relay"), "the relay knows")
    need = two.demand("Fuite sous l'évier", "--urgency", "emergency")
    assert "Nothing was handed over." in two.words(0, "relay", "list")
    told = two.words(0, "relay", "hand", need, "--text", "Clef chez la voisine")
    assert told.startswith("Coop B is asked; they answer until ")
    twice = two.coops.refused(0, "relay", "hand", need)
    assert twice["exit"] != 0

    def asked() -> list[Json]:
        return list(two.coops.do(1, "relay", "list", "--way", "in")["relays"])

    (request,) = wait_for(asked, "the request is at the relay")
    assert (request["title"], request["status"]) == ("Fuite sous l'évier", "asked")
    words = two.words(1, "relay", "list")
    assert "to us" in words and "waits for the answer" in words and "emergency" in words
    told = two.words(1, "relay", "answer", request["id"], "--yes", "--text", "Nous y allons")
    assert told == "Taken: Fuite sous l'évier is yours."
    assert two.coops.refused(1, "relay", "answer", request["id"], "--no")["exit"] != 0
    wait_for(
        lambda: two.coops.do(0, "relay", "list", "--status", "taken")["relays"],
        "the answer came back",
    )
    assert "from us" in two.words(0, "relay", "list", "--status", "taken")
    data, words = both(two, 0, "relay", "report", "--since", "2020-01-01")
    (figures,) = data["figures"]
    assert (figures["way"], figures["taken"], figures["in_time_percent"]) == ("out", 1, 100.0)
    assert "100 %" in words and "Coop B" in words
    assert two.coops.do(0, "relay", "report", "--since", "2100-01-01")["figures"] == []


# --- evaluations, replies and guarantees --------------------------------------------------------


@pytest.fixture(scope="module")
def guaranteed(two: Circuit) -> Json:
    """Return an exchange with a guarantee that was paid and that both have evaluated."""
    id = two.quoted("Réparer le robinet", "1h", "--guarantee", "30")
    two.coops.do(0, "exchange", "accept", id)
    two.reaches(1, id, "agreed")
    two.coops.do(1, "exchange", "check-in", id)
    two.coops.do(1, "exchange", "check-out", id)
    two.reaches(0, id, "done")
    two.coops.tell(0, "exchange", "approve", id)
    two.pays(0, id)
    two.reaches(1, id, "paid")
    pending = two.coops.do(0, "exchange", "evaluations", "--person", "Ana")["evaluations"]
    words = two.words(0, "exchange", "evaluations")
    kept = two.words(
        0, "exchange", "evaluate", id, "--mark", "quality=2", "--text", "Venu une heure en retard"
    )
    public = two.coops.coops[1].ids("attestation")
    two.words(1, "exchange", "evaluate", id, "--mark", "quality=5", "--text", "Merci")
    two.reaches(0, id, "evaluated")
    two.reaches(1, id, "evaluated")
    return {"id": id, "pending": pending, "words": words, "kept": kept, "public": public}


def test_an_evaluation_is_answered_once_and_both_stand_in_what_is_said_of_somebody(
    two: Circuit, guaranteed: Json
) -> None:
    id = guaranteed["id"]
    assert id in [entry["exchange"] for entry in guaranteed["pending"]]
    assert "Réparer le robinet" in guaranteed["words"]
    assert "Kept until the other side" in guaranteed["kept"] and guaranteed["public"] == set()
    a, b = two.coops.coops
    wait_for(lambda: len(b.ids("attestation")) == 2, "both evaluations are published")
    said = b.get("/v1/records", kind="attestation", limit=100)["records"]
    of_bruno = next(r["id"] for r in said if "retard" in r["payload"]["text"])
    refused = two.coops.refused(1, "exchange", "reply", of_bruno, "Non", "--by", "Chloé")
    assert refused["exit"] != 0 and b.ids("reply") == set()
    told = two.words(1, "exchange", "reply", of_bruno, "Une panne", "--by", "Bruno")
    assert told == "Published; it stands beside the evaluation."
    wait_for(lambda: a.ids("reply"), "the answer is at both")
    again = two.coops.refused(1, "exchange", "reply", of_bruno, "Encore", "--by", "Bruno")
    assert (again["code"], again["exit"]) == ("answered", 4) and len(b.ids("reply")) == 1
    assert again["message"].startswith("This was said already")
    elsewhere = two.coops.refused(0, "exchange", "reply", of_bruno, "Non")
    assert "somebody of another coop" in elsewhere["message"]

    def weighed() -> Any:
        data = two.coops.do(0, "person", "reputation", name_at(two, 1, "Bruno Exemple"))
        return data if data["said"] and data["said"][0]["replies"] else None

    data = wait_for(weighed, "the other coop has read it")
    (word,) = data["said"]
    assert (word["text"], word["criteria"]) == ("Venu une heure en retard", {"quality": 2})
    assert [reply["text"] for reply in word["replies"]] == ["Une panne"]
    words = two.words(0, "person", "reputation", name_at(two, 1, "Bruno Exemple"))
    assert "Venu une heure en retard" in words and "> Une panne" in words
    assert "quality 2" in words and "Coop A" in words
    assert "Nobody has said anything yet." in two.words(1, "person", "reputation", "Chloé")


@pytest.mark.capability("SOSS-7")
def test_a_claim_under_guarantee_is_seen_at_both_coops_until_it_is_closed(
    two: Circuit, guaranteed: Json
) -> None:
    id = guaranteed["id"]
    assert "No claim is open." in two.words(0, "exchange", "guarantee", "list")
    told = two.words(0, "exchange", "guarantee", "claim", id, "Il goutte encore")
    assert told.startswith("Claimed; ") and "stays open until you close it" in told

    def open_at(place: int) -> list[Json]:
        return list(two.coops.do(place, "exchange", "guarantee", "list")["guarantees"])

    (claim,) = wait_for(lambda: open_at(1), "the provider's coop sees it")
    assert (claim["exchange"], claim["text"]) == (id, "Il goutte encore")
    for place in (0, 1):
        words = two.words(place, "exchange", "guarantee", "list")
        assert "Réparer le robinet" in words and "Il goutte encore" in words
    # It stands beside what is said of the provider, for the desk and for themselves.
    assert two.coops.do(1, "person", "reputation", "Bruno")["guarantees_open"] == 1
    assert "Guarantees not closed: 1" in two.words(1, "person", "reputation", "Bruno")
    wrong = two.coops.refused(1, "exchange", "guarantee", "close", id, "--by", "Bruno")
    assert wrong["code"] == "step" and len(open_at(0)) == len(open_at(1)) == 1
    told = two.words(0, "exchange", "guarantee", "close", id, "--text", "C'est réparé")
    assert told.startswith("The claim is closed.")
    wait_for(lambda: not open_at(1), "the provider's coop sees the end")
    assert open_at(0) == []
    assert two.coops.do(1, "person", "reputation", "Bruno")["guarantees_open"] == 0


# --- third-party payers -------------------------------------------------------------------------


@pytest.mark.capability("DOM-3")
def test_a_third_party_funds_from_its_account_and_reads_nothing_of_the_service(
    two: Circuit,
) -> None:
    opened = two.coops.do(
        0, "exchange", "open", "--with", name_at(two, 1, "Bruno Exemple"), "--role", "requester",
        "--title", "Toilette du matin", "--text", "Sonner deux fois", "--by", "Ana",
        "--payer", name_at(two, 1, "Chloé Exemple"),
    )  # fmt: skip
    assert opened["exchange"]["payer"]
    id = opened["exchange"]["id"]
    two.shows(1, id, lambda e: e["phase"] == "opened")
    assert "Nobody asks for a payment." in two.words(1, "exchange", "fundings")
    two.coops.do(1, "exchange", "quote", id, "--amount", "40min", *two.reach)
    two.reaches(0, id, "quoted")
    two.coops.tell(0, "exchange", "accept", id)

    def asked() -> list[Json]:
        return list(two.coops.do(1, "exchange", "fundings", "--person", "Chloé")["fundings"])

    (request,) = wait_for(asked, "the payer is asked")
    assert (request["status"], request["amount"]["amount"]) == ("open", 40)
    words = two.words(1, "exchange", "fundings")
    assert "40 min" in words and "waits for you" in words
    assert "Toilette" not in json.dumps(request) and "Toilette" not in words
    unknown = two.coops.refused(1, "exchange", "fund", "ffffffff")
    assert unknown["code"] == "not_found"
    before = two.coops.balance(0, "Ana Exemple", "heure")
    told = two.words(1, "exchange", "fund", request["id"][:12])
    assert "40 min is funded for Bruno Exemple" in told
    two.shows(0, id, lambda e: e["hold"] is not None and e["hold"]["status"] == "held")
    two.shows(1, id, lambda e: e["hold"] is not None)
    two.coops.do(1, "exchange", "check-in", id)
    two.coops.do(1, "exchange", "check-out", id)
    two.reaches(0, id, "done")
    paid = two.coops.balance(1, "Chloé Exemple", "heure")
    two.coops.tell(0, "exchange", "approve", id)
    two.pays(0, id)
    two.coops.arrives(1, "Chloé Exemple", "heure", paid - 40)
    assert two.coops.balance(0, "Ana Exemple", "heure") == before
    (done,) = two.coops.do(1, "exchange", "fundings", "--person", "Chloé")["fundings"]
    assert done["status"] == "funded" and "funded" in two.words(1, "exchange", "fundings")


# --- cheques and groups -------------------------------------------------------------------------


def test_books_of_cheques_are_listed_counted_and_blocked_whole(two: Circuit) -> None:
    assert "There is no book yet." in two.words(1, "voucher", "books", "Chloé")
    told = two.words(1, "voucher", "book", "Chloé", "--count", "3", "--max", "1h")
    assert "cheques 1 to 3 of Chloé Exemple" in told
    data, words = both(two, 1, "voucher", "books", "Chloé")
    (book,) = data["books"]
    assert (book["open"], book["paid"], book["blocked"]) == (3, 0, 0) and "1–3" in words
    listed, words = both(two, 1, "voucher", "list", "Chloé", "--status", "open")
    assert [entry["number"] for entry in listed["vouchers"]] == [1, 2, 3] and "open" in words
    told = two.words(1, "voucher", "revoke", book["book"], "--reason", "Carnet perdu")
    assert told == "The book is blocked: 3 cheques that were open are worth nothing now."
    assert two.coops.do(1, "voucher", "list", "Chloé", "--status", "open")["vouchers"] == []
    assert "There is no cheque." in two.words(1, "voucher", "list", "Chloé", "--status", "open")
    assert "There is no cheque." in two.words(1, "voucher", "deposits")
    assert two.coops.do(1, "voucher", "deposits") == {"deposits": []}


def test_a_payment_of_a_group_waits_for_its_signatures_and_income_is_split(two: Circuit) -> None:
    two.coops.do(
        1, "group", "found", "Les Peintres", "--member", "Bruno=2", "--member", "Chloé=1",
        "--signatures", "2", "--founder", "Bruno",
    )  # fmt: skip
    two.coops.do(1, "group", "consent", "Les Peintres", "Chloé")
    listed, words = both(two, 1, "group", "list")
    assert [entry["name"] for entry in listed["groups"]] == ["Les Peintres"]
    assert "all have consented" in words and "Bruno Exemple, Chloé Exemple" in words
    _data, words = both(two, 1, "group", "show", "Les Peintres")
    assert "2 of 2 sign a payment; what comes in is split by shares." in words
    before = two.coops.balance(1, "Chloé Exemple", "heure")
    group = listed["groups"][0]["account"]
    two.coops.do(1, "transfer", "send", "Bruno Exemple", group.rpartition(":")[2], "9min")
    two.coops.arrives(1, "Chloé Exemple", "heure", before + 3)
    data, words = both(two, 1, "group", "splits", "Les Peintres")
    (split,) = data["splits"]
    assert sorted(part["amount"] for part in split["parts"]) == [3, 6] and "9 min" in words
    told = two.words(
        1, "group", "pay", "Les Peintres", "commons", "4min", "--by", "Bruno", "--memo", "Peinture"
    )
    assert "4 min to" in told and "1 more have to approve" in told
    data, words = both(two, 1, "group", "payments", "Les Peintres")
    (order,) = data["orders"]
    assert order["status"] == "open" and "1/2" in words and "Peinture" in words
    refused = two.coops.refused(1, "group", "approve", "Les Peintres", order["order"], "Ana")
    assert refused["exit"] != 0


# --- devices, letters, tokens -------------------------------------------------------------------


def test_the_keys_of_a_device_are_made_shown_made_anew_and_let_in(
    two: Circuit, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    password = tmp_path / "password"
    password.write_text("a long password\n")
    password.chmod(0o600)
    secret = ("--password-file", str(password))
    alone = ("--home", str(tmp_path / "none"))
    first, second = str(tmp_path / "phone.key"), str(tmp_path / "again.key")

    def told(*words: str) -> Any:
        capfd.readouterr()
        assert run([*alone, "--json", *words, *secret]) == 0, capfd.readouterr().err
        return json.loads(capfd.readouterr().out)

    made = told("device", "new", "-o", first)
    assert Path(first).stat().st_mode & 0o077 == 0 and len(made["words"].split()) == 12
    assert told("device", "show", "--key-file", first)["key"] == made["key"]
    words = tmp_path / "words"
    words.write_text(made["words"])
    anew = told("device", "restore", "-o", second, "--words-file", str(words))
    assert (anew["key"], anew["sealing"]) == (made["key"], made["sealing"])
    two.coops.do(0, "member", "add", "Appareil Lou")
    told_words = two.words(
        0, "device", "add", "Appareil Lou", "--key", made["key"], "--sealing", made["sealing"]
    )
    assert "Appareil Lou has one more key" in told_words
    shown, shown_words = both(two, 0, "person", "show", "Appareil Lou")
    assert {d["custody"] for d in shown["devices"]} == {"node", "device"}
    assert "a device" in shown_words and made["key"] in shown_words
    # What others say waits sealed, until it is fetched and opened with the file.
    assert "No letter waits." in two.words(0, "letters", "list", "Appareil Lou")
    opened = two.coops.do(
        1, "exchange", "open", "--with", name_at(two, 0, "Appareil Lou"), "--role", "provider",
        "--title", "Un courrier", "--by", "Bruno",
    )  # fmt: skip
    id = opened["exchange"]["id"]
    wait_for(
        lambda: two.coops.do(0, "letters", "list", "Appareil Lou")["letters"], "a letter waits"
    )
    assert made["sealing"][:12] in two.words(0, "letters", "list", "Appareil Lou")
    letters, clear = str(tmp_path / "letters.json"), str(tmp_path / "clear.json")
    assert two.words(0, "letters", "fetch", "Appareil Lou", "-o", letters).startswith("Wrote 1 ")
    done = told("letters", "open", letters, "--key-file", first, "-o", clear)
    assert (done["opened"], done["closed"], done["steps"]) == (1, 0, ["opening"])
    (received,) = json.loads(Path(clear).read_text())["received"]
    assert decode_record(bytes.fromhex(received)).id.hex() == id
    two.coops.do(0, "exchange", "send", clear)
    assert two.coops.do(0, "letters", "list", "Appareil Lou")["letters"] == []
    ended = two.words(
        0, "device", "remove", "Appareil Lou", made["key"][:12], "--reason", "stolen"
    )
    assert "has ended" in ended
    shown = two.coops.do(0, "person", "show", "Appareil Lou")
    assert next(d for d in shown["devices"] if d["key"] == made["key"])["status"] == "revoked"


def test_a_token_is_shown_once_listed_and_ended(two: Circuit) -> None:
    made = two.coops.do(0, "token", "make", "Ana", "--label", "Tablette", "--scope", "read")
    assert made["token"].startswith("mln_")
    data, words = both(two, 0, "token", "list")
    listed = next(entry for entry in data["tokens"] if entry["id"] == made["id"])
    assert listed["token"] == "" and "Tablette" in words and made["token"] not in words
    assert two.words(0, "token", "revoke", made["id"][:8]) == "The token is revoked."
    assert "revoked" in two.words(0, "token", "list")
    two.coops.do(0, "token", "make", "Ana", "--label", "Autre", "--scope", "read")
    assert two.words(0, "token", "end", "Ana").startswith("Ended: ")
    program = two.coops.do(0, "token", "make", "--program", "--label", "Site", "--scope", "read")
    assert program["person"] == "" and "a program" in two.words(0, "token", "list")
    assert two.coops.refused(0, "token", "make", "--label", "x", "--scope", "read")["exit"] == 2


# --- acts, retention, moving --------------------------------------------------------------------


def test_every_act_of_a_helper_is_listed_and_printed(two: Circuit, tmp_path: Path) -> None:
    assert "Nobody has acted for them." in two.words(0, "person", "acts", "Ana")
    given = two.coops.do(
        0, "mandate", "give", "--for", "Ana Exemple", "--to", "Hélène Exemple", "--kind", "demand"
    )
    two.coops.do(
        0, "demand", "publish", "--title", "Courses du jeudi", "--category", "aide",
        "--as-member", "Hélène", "--mandate", given["mandate"],
    )  # fmt: skip
    data, words = both(two, 0, "person", "mandates", "Ana")
    (mandate,) = data["given"]
    assert (mandate["mandate"], mandate["acts"]) == (given["mandate"], 1)
    assert "Hélène Exemple" in words and "demand" in words
    acts, words = both(two, 0, "person", "acts", "Ana")
    assert [act["title"] for act in acts["acts"]] == ["Courses du jeudi"]
    assert "Courses du jeudi" in words and "mandate revoke ID" in words
    sheet = tmp_path / "acts.html"
    assert "Wrote" in two.words(0, "person", "acts", "Ana", "--sheet", "-o", str(sheet))
    assert "Courses du jeudi" in sheet.read_text()
    assert "Courses du jeudi" in two.words(0, "person", "acts", "Ana", "--sheet")


def test_the_periods_of_the_settings_are_shown_and_applied(two: Circuit) -> None:
    data, words = both(two, 0, "person", "retention", "show")
    days = {rule["what"]: rule["days"] for rule in data["rules"]}
    assert (days["letters"], days["notices"], days["auctions"]) == (7, 120, 90)
    assert all(name in words for name in days)
    done = two.coops.do(0, "person", "retention", "run")
    assert set(done["removed"]) == set(days) and not any(done["removed"].values())


def test_somebody_moves_to_another_coop_and_somebody_stays_after_all(two: Circuit) -> None:
    assert "Nobody moves." in two.words(0, "person", "move", "list")
    for name in ("Partante Iris", "Restante Jade"):
        two.coops.enrol(0, name, "--limit", "5h")
    two.coops.do(0, "person", "move", "prepare", "Restante Jade", "Coop B")
    assert two.words(0, "person", "move", "cancel", "Restante Jade") == "Restante Jade stays."
    two.coops.do(0, "transfer", "send", "Hélène Exemple", "Partante Iris", "25min")
    moving = two.coops.do(0, "person", "move", "prepare", "Partante Iris", "Coop B")
    data, words = both(two, 0, "person", "move", "list")
    assert {m["name"]: m["status"] for m in data["moves"]}["Partante Iris"] == "prepared"
    assert "prepared" in words and "cancelled" in words
    told = two.words(
        1, "person", "arrive", moving["ticket"], "Partante Iris", "--code", moving["code"],
        "--limit", "2h",
    )  # fmt: skip
    assert "Partante Iris belongs to your coop now" in told
    two.coops.arrives(1, "Partante Iris", "heure", 25)
    wait_for(
        lambda: "done" in two.words(0, "person", "move", "list"), "the move is done"
    )
    again = two.coops.refused(
        1, "person", "arrive", moving["ticket"], "Encore Iris", "--code", moving["code"]
    )
    assert again["exit"] != 0
