"""What real local services need to find each other, over real nodes: each claim by its identifier.

The identifiers are those of docs/capabilities.md, which says what each asks and how far it is met.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.exchangenodes import (
    Resident,
    agreed,
    call,
    federation,
    open_with,
    reaches,
    resident,
    step,
    worked,
)
from support.nodes import TestNode, nodes, wait_for

HOME = {"cell": "871f93759ffffff", "city": "Die"}
FAR = {"lat": 49_900_300, "lon": 3_625_300, "public": True, "city": "Guise"}
HOUR = {"kind": "amount", "unit": "heure", "amount": 60}
DAY_S = 86_400
WORD = "zwqxkbvjmt"
"""A word that no text has by chance."""


class Coops:
    """Two coops, with a resident at the first and providers at both."""

    def __init__(self, made: list[TestNode]) -> None:
        self.a, self.b = made
        self.ada = resident(self.a, "Ada")
        self.near = resident(self.b, "Near")
        self.own = resident(self.a, "Own")

    def publish(self, who: Resident, kind: str, title: str, **fields: Any) -> str:
        """Publish an offer or a demand of somebody; return its id once both nodes have it."""
        payload = {
            "title": title,
            "lang": "fr",
            "categories": ["jardin"],
            "mode": ["at_home"],
            "place": HOME,
            "reciprocity": HOUR,
            **fields,
        }
        answer = who.node.http.post(
            "/v1/records", json={"kind": kind, "as_member": who.person, "payload": payload}
        )
        assert answer.is_success, answer.text
        id = str(answer.json()["id"])
        self.everywhere(kind, id)
        return id

    def everywhere(self, kind: str, id: str) -> None:
        """Wait until both nodes have a record."""
        for node in (self.a, self.b):
            wait_for(lambda node=node: id in node.ids(kind), f"the {kind} is at {node.name}")  # type: ignore[misc]

    def withdraw(self, node: TestNode, kind: str, *ids: str) -> None:
        for id in ids:
            answer = node.http.post(f"/v1/records/{id}/withdraw", json={"kind": kind})
            assert answer.is_success, answer.text
        for other in (self.a, self.b):
            wait_for(lambda other=other: not other.ids(kind) & set(ids), "it is withdrawn")  # type: ignore[misc]


@pytest.fixture(scope="module")
def coops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coops]:
    # A short path: that of a socket has at most 107 bytes.
    folder = tmp_path_factory.mktemp("m")
    with nodes(folder, "a", "b") as made:
        federation(made, folder / "f")
        yield Coops(made)


def saturday() -> int:
    """Return midnight (UTC) of a Saturday that is not today."""
    now = int(time.time())
    return now - now % DAY_S + ((5 - time.gmtime(now).tm_wday) % 7 or 7) * DAY_S


@pytest.mark.capability("ASA-3")
def test_matches_are_ranked_by_category_distance_time_language_marks_and_price_with_reasons(
    coops: Coops,
) -> None:
    day = saturday()
    when = {"windows": [{"start": day + 9 * 3600, "end": day + 12 * 3600}]}
    offers = {
        "all": coops.publish(coops.near, "offer", "Tonte de pelouse", when=when),
        "dear": coops.publish(
            coops.near, "offer", "Tonte de pelouse", reciprocity={**HOUR, "amount": 90}
        ),
        "far": coops.publish(coops.near, "offer", "Tonte de pelouse", place=FAR, lang="en"),
        "other": coops.publish(coops.near, "offer", "Réparation", categories=["mecanique"]),
    }
    demand = coops.publish(coops.ada, "demand", "Tondre la pelouse", when=when)
    before = coops.a.get(f"/v1/records/{demand}/matches")
    ranked = [match["id"] for match in before["matches"]]
    assert ranked[:3] == [offers["all"], offers["dear"], offers["far"]]
    assert offers["other"] not in ranked
    best = before["matches"][0]
    assert {"category", "words", "near", "time", "language", "price", "reputation"} <= set(
        best["parts"]
    )
    assert best["score"] == pytest.approx(sum(best["parts"].values()), abs=1e-3)
    assert len(best["reasons"]) >= 5 and all(best["reasons"])
    assert best["coop_name"] == coops.b.name

    # An exchange, certified and marked by both: it counts from the next look on, and says so.
    exchange = agreed(coops.ada, coops.near)
    worked(coops.ada, coops.near, exchange)
    step(coops.ada, exchange, "acceptance", wait_s=60)
    for who, other in ((coops.ada, coops.near), (coops.near, coops.ada)):
        reaches(other, exchange, "paid")
        reaches(who, exchange, "paid")
        answer = who.node.http.post(
            f"/v1/exchanges/{exchange}/evaluation",
            json={"by": who.person, "criteria": {"quality": 5}, "text": "Très bien.", "lang": "fr"},
        )
        assert answer.is_success, answer.text

    def marked() -> Any:
        shown = coops.a.get(f"/v1/reputations/{coops.near.author}")
        return shown if shown["given"] else None

    shown = wait_for(marked, "the mark is published, and weighs")
    assert shown["by_relation"]["own"] == 1 and shown["said"][0]["text"] == "Très bien."
    after = coops.a.get(f"/v1/records/{demand}/matches")["matches"][0]
    assert after["parts"]["reputation"] > best["parts"]["reputation"]
    assert after["parts"]["dealings"] > 0
    assert any("of 5 from 1 people" in words for words in after["reasons"])
    coops.withdraw(coops.b, "offer", *offers.values())
    coops.withdraw(coops.a, "demand", demand)


@pytest.mark.capability("SOSS-4")
def test_a_demand_is_proposed_to_one_with_free_capacity_and_calendars_say_nothing_else(
    coops: Coops,
) -> None:
    day = saturday()
    busy = {"busy": [[day, day + DAY_S]], "until": day + 7 * DAY_S}
    shared = coops.b.http.post(
        "/v1/records",
        json={"kind": "freebusy", "as_member": coops.near.person, "days": 30, "payload": busy},
    )
    assert shared.is_success, shared.text
    calendar = shared.json()["id"]
    coops.everywhere("freebusy", calendar)
    taken = coops.publish(coops.near, "offer", "Aide au potager")
    free = coops.publish(coops.own, "offer", "Aide au potager")
    demand = coops.publish(
        coops.ada, "demand", "Aide au potager",
        when={"windows": [{"start": day + 9 * 3600, "end": day + 12 * 3600}]},
    )  # fmt: skip
    found = coops.a.get(f"/v1/records/{demand}/matches")
    assert [match["id"] for match in found["matches"]] == [free]
    assert found["left_out"]["busy"] == 1
    why = coops.a.get(f"/v1/records/{demand}/matches/{taken}")
    assert [one["code"] for one in why["refused"]] == ["busy"] and why["refused"][0]["reason"]
    record = coops.a.get(f"/v1/records/{calendar}")
    assert set(record["payload"]) == {"busy", "until"}
    coops.withdraw(coops.b, "offer", taken)
    coops.withdraw(coops.a, "offer", free)
    coops.withdraw(coops.a, "demand", demand)


@pytest.mark.capability("SOSS-11")
def test_before_publishing_a_provider_sees_close_offers_of_the_whole_network(
    coops: Coops,
) -> None:
    offers = [
        coops.publish(coops.near, "offer", "Cours de guitare", categories=["musique"]),
        coops.publish(coops.own, "offer", "Guitare pour débutants", categories=["musique"]),
        coops.publish(coops.near, "offer", "Taille de haies"),
    ]
    demand = coops.publish(coops.ada, "demand", "Apprendre la guitare", categories=["musique"])
    draft = {
        "title": "Cours de guitare",
        "lang": "fr",
        "categories": ["musique"],
        "mode": ["at_home"],
        "place": HOME,
        "reciprocity": HOUR,
    }
    answer = coops.a.http.post("/v1/matches", json={"kind": "offer", "payload": draft})
    assert answer.is_success, answer.text
    found = answer.json()
    assert {match["id"] for match in found["close"]["matches"]} == set(offers[:2])
    assert [match["id"] for match in found["matches"]["matches"]] == [demand]
    assert all(match["reasons"] for match in found["close"]["matches"])
    assert coops.a.ids("offer") == coops.b.ids("offer") == set(offers)
    coops.withdraw(coops.b, "offer", offers[0], offers[2])
    coops.withdraw(coops.a, "offer", offers[1])
    coops.withdraw(coops.a, "demand", demand)


@pytest.mark.capability("DOM-1")
@pytest.mark.capability("DOM-6")
def test_outside_opening_hours_a_demand_goes_to_the_relay_which_acknowledges_in_time(
    coops: Coops,
) -> None:
    # Open for a minute of a day that is neither today nor tomorrow.
    day = ("mo", "tu", "we", "th", "fr", "sa", "su")[(time.gmtime().tm_wday + 3) % 7]
    relay = {
        "hours": {day: [[0, 1]]},
        "tz": "Europe/Paris",
        "relay": coops.near.coop,
        "ack_within_s": 1_800,
    }
    named = coops.a.http.post("/v1/records", json={"kind": "relay", "payload": relay})
    assert named.is_success, named.text
    coops.everywhere("relay", named.json()["id"])
    demand = coops.publish(coops.ada, "demand", "Chute à la maison", urgency="emergency")

    def came() -> Any:
        return [r for r in coops.b.get("/v1/relays", way="in")["relays"] if r["demand"] == demand]

    (request,) = wait_for(came, "the request is at the relay")
    assert request["agreed"] and request["urgency"] == "emergency"
    assert request["deadline"] - request["asked_at"] == 1_800
    answer = coops.b.http.post(
        f"/v1/relays/{request['id']}/answer", json={"taken": True, "text": "Nous y allons."}
    )
    assert answer.is_success, answer.text
    (taken,) = wait_for(
        lambda: coops.a.get("/v1/relays", way="out", status="taken")["relays"],
        "the answer is back",
    )
    assert taken["demand"] == demand and not taken["late"]
    assert taken["answer"] == "Nous y allons."
    (figures,) = coops.a.get("/v1/relays/report")["figures"]
    assert (figures["asked"], figures["taken"], figures["missed"]) == (1, 1, 0)
    assert figures["in_time_percent"] == 100.0
    # What is asked of the coop itself goes there too; what is asked of a resident does not.
    between = open_with(coops.near, coops.ada, title="Entre voisins")
    reaches(coops.ada, between, "opened")
    asked = call(
        coops.b, "/v1/exchanges", by=coops.near.person, role="requester", title="Une visite",
        **{"with": f"63{coops.ada.coop}"},
    )["exchange"]["id"]  # fmt: skip
    (opening,) = wait_for(
        lambda: [r for r in coops.b.get("/v1/relays", way="in")["relays"] if not r["title"]],
        "the opening is at the relay",
    )
    assert opening["demand"] == asked
    assert opening["text"] == f"Une visite (for {coops.b.name})"
    handed = coops.a.get("/v1/relays", way="out")["relays"]
    assert {row["demand"] for row in handed} == {demand, asked}
    coops.withdraw(coops.a, "relay", named.json()["id"])
    coops.withdraw(coops.a, "demand", demand)


@pytest.mark.capability("DOM-2")
def test_urgencies_are_counted_apart_and_an_emergency_hides_no_company(coops: Coops) -> None:
    demands = [
        coops.publish(coops.ada, "demand", f"Courses {n}", urgency="emergency") for n in range(3)
    ]
    demands.append(coops.publish(coops.own, "demand", "Courses à deux", urgency="conviviality"))
    offer = coops.publish(coops.near, "offer", "Courses")
    counts = coops.b.get("/v1/demands/counts")
    assert (counts["emergency"], counts["planned"], counts["conviviality"]) == (3, 0, 1)
    found = coops.b.get(f"/v1/records/{offer}/matches")
    assert found["urgency"] == {"emergency": 3, "planned": 0, "conviviality": 1}
    only = coops.b.get(f"/v1/records/{offer}/matches", urgency="conviviality")
    assert [match["id"] for match in only["matches"]] == [demands[3]]

    def told() -> Any:
        notices = coops.b.get("/v1/notices", person=coops.near.person, unseen=True)
        return notices if notices["urgency"]["conviviality"] else None

    assert wait_for(told, "the provider is told of both")["urgency"]["conviviality"] == 1
    coops.withdraw(coops.b, "offer", offer)
    coops.withdraw(coops.a, "demand", *demands)


@pytest.mark.capability("MSA-4")
def test_what_is_looked_for_stands_in_no_file_and_a_saved_search_is_its_owners_alone(
    coops: Coops,
) -> None:
    draft = {
        "title": f"Aide {WORD}", "lang": "fr", "categories": ["sante"], "mode": ["remote"],
        "reciprocity": {"kind": "free"},
    }  # fmt: skip
    answer = coops.a.http.post("/v1/matches", json={"kind": "demand", "payload": draft})
    assert answer.is_success, answer.text
    coops.a.get("/v1/search", q=WORD)
    made = coops.a.http.post(
        "/v1/searches", json={"person": coops.ada.person, "query": {"q": WORD}}
    )
    assert made.is_success, made.text
    mine = coops.a.get("/v1/searches", person=coops.ada.person)["searches"]
    assert [search["query"]["q"] for search in mine] == [WORD]
    assert coops.a.get("/v1/searches", person=coops.own.person)["searches"] == []
    found = coops.publish(coops.near, "offer", f"Aide {WORD}")
    told = wait_for(
        lambda: coops.a.get("/v1/notices", person=coops.ada.person, unseen=True)["notices"],
        "the owner of the search is told",
    )
    assert [notice["record"] for notice in told if notice["source"] == "search"] == [found]
    coops.withdraw(coops.b, "offer", found)
    gone = coops.a.http.post(f"/v1/searches/{mine[0]['id']}/forget")
    assert gone.is_success and gone.json() == {"searches": []}
    # The offer that was found had the word, and stood in node.db until it was withdrawn; nothing of
    # what was asked stands in any other file, nor in the log.
    for path in [*coops.a.home.rglob("*"), coops.a.log]:
        if path.is_file() and not path.name.startswith("node.db"):
            assert WORD.encode() not in path.read_bytes(), path
