"""What people find, in which order, and what they are told about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.node.cursors import BadCursor
from maillon.node.search.query import Answer, Query, SearchError
from maillon.node.search.reader import SearchReader
from maillon.node.search.vocabulary import SHIPPED, Vocabulary, load_synonyms
from maillon.node.store.sqlite import SqliteStore
from maillon.protocol.envelope import Signed, Valid
from maillon.protocol.records import thing_id
from support.world import NOW, World

DIE = (44.7540, 5.3700)
CREST = (44.7283, 5.0217)  # 28 km west of Die
GUISE = (49.9003, 3.6253)
DAY = 86_400
# NOW in the test world is a Tuesday.
MONDAY = NOW - NOW % DAY + 6 * DAY


def point(place: tuple[float, float], city: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {
        "lat": round(place[0] * 1e6), "lon": round(place[1] * 1e6), "public": True,
    }  # fmt: skip
    return found | ({"city": city} if city else {})


class Town:
    """A node with offers, and somebody who searches."""

    def __init__(self, folder: Path) -> None:
        self.world = World(coops_count=3, seed="town")
        self.members = [self.world.make_member(n, f"m{n}") for n in range(3)]
        self.store = SqliteStore(folder / "node.db")
        self.vocabulary = Vocabulary(load_synonyms(SHIPPED))
        self.reader = SearchReader(folder / "node.db", self.vocabulary)
        self.titles: dict[bytes, str] = {}

    def put(self, signed: Signed, coop: int = 0) -> bytes:
        author = self.members[coop].author
        self.store.put(Valid(signed, author, thing_id(author, signed.header.series), "member"))
        return signed.id

    def offer(self, title: str, *, coop: int = 0, **fields: Any) -> bytes:
        return self.put(self.world.offer(self.members[coop], title, **fields), coop)

    def demand(self, title: str, *, coop: int = 0, **fields: Any) -> bytes:
        return self.put(self.world.demand(self.members[coop], title, **fields), coop)

    def ask(self, text: str = "", **conditions: Any) -> Answer:
        self.store.index_now()
        return self.reader.search(Query(text=text, **conditions), NOW)

    def titles_of(self, text: str = "", **conditions: Any) -> list[str]:
        return [hit.payload["title"] for hit in self.ask(text, **conditions).hits]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.reader.close()
    made.store.close()


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Réparation de vélos", "reparation velo"),
        ("Réparation de vélos", "RÉPARER UN VÉLO"),
        ("L'électricité à la maison", "electricite"),
        ("Dépannage d'électricité", "l’électricité"),
        ("Aide à l'écriture", "ecriture"),
        ("Cœur et œuvre", "oeuvre"),
        ("Cours de yoga", "cours yoga débutant"),
        ("Gardening for seniors", "garden"),
        ("Garde d'enfants", "baby-sitting"),
        ("Garde d'enfants", "nounou"),
        ("Garde d'enfants", "childcare"),
        ("Tonte de pelouse", "gazon"),
        ("Aide aux démarches administratives", "papiers"),
        ("Covoiturage", "carpool"),
        ("Ремонт велосипедов", "велосипедов"),
    ],
)
def test_what_is_meant_is_found_however_it_is_written(
    town: Town, written: str, asked: str
) -> None:
    lang = "en" if written.startswith("Gardening") else "ru" if "Р" in written else "fr"
    town.offer(written, lang=lang)
    town.offer("Tout autre chose", text="sans rapport")
    assert town.titles_of(asked) == [written]


def test_a_word_in_the_title_stands_before_one_in_the_text_and_a_synonym_behind_both(
    town: Town,
) -> None:
    town.offer("Bicyclette à prêter", at=NOW - 10)
    town.offer("Atelier", text="on répare aussi le vélo", at=NOW - 20)
    town.offer("Vélo à prêter", at=NOW - 30)
    answer = town.ask("vélo")
    assert [hit.payload["title"] for hit in answer.hits] == [
        "Vélo à prêter", "Bicyclette à prêter", "Atelier",
    ]  # fmt: skip
    assert [hit.reasons[0] for hit in answer.hits] == [
        "“vélo” stands in the title",
        "“vélos” stands in the title, which means “vélo”"
        if "vélos" in answer.hits[1].reasons[0]
        else "“bicyclette” stands in the title, which means “vélo”",
        "“vélo” stands in the text",
    ]
    for hit in answer.hits:
        assert hit.score == pytest.approx(sum(hit.parts.values()), abs=1e-3)


def test_everything_asked_for_is_wanted_and_only_without_that_anything(town: Town) -> None:
    town.offer("Vélo")
    town.offer("Atelier vélo électrique")
    answer = town.ask("vélo électrique")
    assert answer.hits[0].payload["title"] == "Atelier vélo électrique"
    # The second has one of the two words: it comes after, and the answer says so.
    assert [hit.payload["title"] for hit in answer.hits[1:]] == ["Vélo"]
    assert answer.loosened


def test_a_misspelt_word_is_corrected_and_the_answer_says_so(town: Town) -> None:
    town.offer("Réparation de vélos")
    town.offer("Électricien disponible")
    answer = town.ask("electricein")
    assert [hit.payload["title"] for hit in answer.hits] == ["Électricien disponible"]
    assert answer.corrected == {"electricein": "électricien"}
    assert town.ask("réparattion").corrected == {"réparattion": "réparation"}
    assert town.ask("zzzzzzzz").hits == ()
    # What is right is left alone.
    assert town.ask("vélos").corrected == {}


def test_a_query_is_words_and_never_a_formula(town: Town) -> None:
    town.offer("Vélo")
    signs = ('vélo"', 'vélo" OR "x', "vélo*", "vélo NEAR(", "k:offer", "-vélo", "^ : ( ) ' \x00")
    for text in signs:
        town.ask(text)
    assert town.titles_of("vélo) OR k:demand") == ["Vélo"]
    assert town.titles_of("k:demand") == []


def test_near_means_kilometres_and_blurred_places_are_said_to_be_about(town: Town) -> None:
    town.offer("Ici", place=point(DIE, "Die"))
    town.offer("À Crest", place=point(CREST, "Crest"))
    town.offer("Au nord", place=point(GUISE, "Guise"))
    town.offer("Chez moi", place={"cell": "871f93759ffffff", "city": "Die"})
    close = town.ask(near=DIE, radius_km=15, near_name="Die")
    assert {hit.payload["title"] for hit in close.hits} == {"Ici", "Chez moi"}
    by_title = {hit.payload["title"]: hit for hit in close.hits}
    assert not by_title["Ici"].approximate and by_title["Ici"].distance_km == pytest.approx(0)
    assert "0.0 km from Die" in by_title["Ici"].reasons
    home = by_title["Chez moi"]
    assert home.approximate and any(r.startswith("about ") for r in home.reasons)
    assert town.titles_of(near=DIE, radius_km=40, order="nearest")[-1] == "À Crest"
    everywhere = town.ask(near=DIE, order="nearest")
    assert [hit.payload["title"] for hit in everywhere.hits][-2:] == ["À Crest", "Au nord"]
    crest = next(hit for hit in everywhere.hits if hit.payload["title"] == "À Crest")
    assert crest.distance_km == pytest.approx(27.7, abs=1)


@pytest.mark.parametrize("radius", [1, 3, 7, 20, 60, 150, 400, 900])
def test_no_place_within_the_distance_is_missed_and_none_beyond_it_is_shown(
    town: Town, radius: int
) -> None:
    from maillon.node.search.places import distance_km

    spread = [
        (46.5 + 0.0089 * radius * dy / 4, 2.5 + 0.013 * radius * dx / 4)
        for dx in range(-6, 7, 2)
        for dy in range(-6, 7, 2)
    ]
    with town.store.batch():
        for n, place in enumerate(spread):
            town.offer(f"Lieu {n}", place=point(place))
    found = set(town.titles_of(near=(46.5, 2.5), radius_km=radius, limit=200))
    expected = {
        f"Lieu {n}"
        for n, place in enumerate(spread)
        if distance_km((46.5, 2.5), place) <= radius
    }
    assert found == expected
    assert 0 < len(expected) < len(spread)


def test_who_comes_to_you_is_found_from_afar_and_online_needs_no_place(town: Town) -> None:
    town.offer("Coiffure à domicile", mode=["at_home"], radius_km=40, place=point(CREST))
    town.offer("Salon de coiffure", mode=["on_site"], radius_km=40, place=point(CREST))
    town.offer("Coiffure à domicile, loin", mode=["at_home"], radius_km=40, place=point(GUISE))
    town.offer("Cours de coiffure en ligne", mode=["remote"], place=None)
    assert town.titles_of("coiffure", near=DIE, radius_km=5) == [
        "Coiffure à domicile", "Cours de coiffure en ligne",
    ]  # fmt: skip
    assert town.titles_of("coiffure", near=DIE, radius_km=5, remote_too=False) == [
        "Coiffure à domicile"
    ]
    reasons = town.ask("coiffure", near=DIE, radius_km=5).hits[0].reasons
    assert any("comes to you" in reason for reason in reasons)
    assert town.titles_of(modes=("remote",)) == ["Cours de coiffure en ligne"]


def test_no_sector_is_forced_and_a_category_holds_those_below_it(town: Town) -> None:
    for code, parent, label in (
        ("habitat", None, "Habitat"),
        ("habitat--jardin", "habitat", "Jardin"),
        ("sante", None, "Santé"),
    ):
        town.vocabulary.add_category(
            {"code": code, "labels": {"fr": label}, "synonyms": ["verdure"] if parent else []}
            | ({"parent": parent} if parent else {})
        )
    town.offer("Tonte", categories=["habitat--jardin"])
    town.offer("Jardin thérapeutique", categories=["habitat--jardin", "sante"])
    town.offer("Infirmière", categories=["sante"])
    assert set(town.titles_of(categories=("habitat",))) == {"Tonte", "Jardin thérapeutique"}
    assert set(town.titles_of(categories=("habitat", "sante"))) == {
        "Tonte", "Jardin thérapeutique", "Infirmière",
    }  # fmt: skip
    assert town.titles_of(categories=("habitat", "sante"), categories_all=True) == [
        "Jardin thérapeutique"
    ]
    # By what the category is called, or a synonym the coop gave it.
    assert set(town.titles_of("verdure")) == {"Tonte", "Jardin thérapeutique"}
    assert "in the category “Jardin”" in town.ask("verdure").hits[0].reasons


def test_categories_in_a_circle_do_not_hang(town: Town) -> None:
    town.vocabulary.add_category({"code": "a", "labels": {"fr": "A"}, "parent": "b"})
    town.vocabulary.add_category({"code": "b", "labels": {"fr": "B"}, "parent": "a"})
    town.offer("Un", categories=["a"])
    assert town.titles_of(categories=("b",)) == ["Un"]


def test_conditions_hold_exactly(town: Town) -> None:
    town.offer("A", mode=["on_site"], audience=["seniors"], provider_status="volunteer")
    town.offer(
        "B", lang="en", coop=1, access={"disability": True, "cost": "gratuit"},
        verified={"by": town.world.coops[0].id, "kind": "approved"},
    )  # fmt: skip
    town.demand("C", urgency="emergency", coop=2)
    town.demand("D")

    def check(**conditions: Any) -> set[str]:
        return set(town.titles_of(**conditions))

    assert check() == {"A", "B", "C", "D"}
    assert check(kinds=("offer",)) == {"A", "B"}
    assert check(kinds=("demand",)) == {"C", "D"}
    assert check(urgency=("emergency",)) == {"C"}
    assert check(urgency=("planned",)) == {"D"}
    assert check(audience=("seniors",)) == {"A"}
    assert check(provider_statuses=("volunteer",)) == {"A"}
    assert check(verified="approved") == {"B"}
    assert check(verified="none", kinds=("offer",)) == {"A"}
    assert check(access=("disability", "cost")) == {"B"}
    assert check(access=("disability", "digital")) == set()
    assert check(languages=("en",), languages_only=True) == {"B"}
    assert check(coops=(bytes(town.members[1].coop.id),)) == {"B"}
    assert check(modes=("on_site",), kinds=("offer",)) == {"A"}


def test_time_is_weekly_hours_windows_and_recurrence(town: Town) -> None:
    tuesday = MONDAY + DAY
    town.offer("Le mardi matin", when={"hours": {"tu": [[540, 720]]}, "tz": "Europe/Paris"})
    town.offer("Un jour", when={"windows": [{"start": tuesday, "end": tuesday + 3600}]})
    town.offer(
        "Tous les mardis",
        when={
            "rrule": "FREQ=WEEKLY;BYDAY=TU", "dtstart": tuesday - 70 * DAY + 36_000,
            "tz": "Europe/Paris", "duration_s": 7200,
        },
    )  # fmt: skip
    town.offer("On verra")
    on_tuesday = town.ask(when=(tuesday, tuesday + DAY))
    assert {hit.payload["title"] for hit in on_tuesday.hits} == {
        "Le mardi matin", "Un jour", "Tous les mardis", "On verra",
    }  # fmt: skip
    # Who says nothing about time is not left out, and not put first.
    assert on_tuesday.hits[-1].payload["title"] == "On verra"
    reasons = {hit.payload["title"]: hit.reasons for hit in on_tuesday.hits}
    assert "to be had then: Tuesday 09:00 to 12:00" in reasons["Le mardi matin"]
    assert town.titles_of(when=(tuesday + DAY, tuesday + 2 * DAY)) == ["On verra"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=-5FR;BYMONTHDAY=1",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=DAILY;UNTIL=99999999",
        "FREQ=DAILY;COUNT=99999999999999999999",
        "FREQ=DAILY;INTERVAL=99999999999999999999",
    ],
)
def test_a_rule_that_never_happens_costs_nothing_and_says_nothing(town: Town, rule: str) -> None:
    from maillon.node.search.when import Fit, fit

    when = {"rrule": rule, "dtstart": 0, "tz": "Europe/Paris"}
    verdict, _words = fit(when, NOW, NOW + DAY)
    assert verdict in (Fit.UNKNOWN, Fit.NO)


def test_a_coop_gets_no_bonus_for_its_own_node_and_the_source_is_shown(town: Town) -> None:
    source = {"name": "Liste", "id": "1", "date": "2024-08-01", "licence": "Licence Ouverte 2.0"}
    for coop in range(3):
        town.offer("Aide", coop=coop, at=NOW - 5, source=source)
    answer = town.ask("aide")
    assert len({hit.score for hit in answer.hits}) == 1
    # The same weight, the same age: the id decides, which nobody chooses.
    assert [hit.id for hit in answer.hits] == sorted(hit.id for hit in answer.hits)
    assert {hit.coop for hit in answer.hits} == {bytes(m.coop.id) for m in town.members}
    assert all(hit.payload["source"]["name"] == "Liste" for hit in answer.hits)


def test_pages_follow_each_other_without_gap_or_repetition_while_others_publish(
    town: Town,
) -> None:
    with town.store.batch():
        for n in range(420):
            town.offer(f"Vélo {n}", at=NOW - 1000 + n)
    first = town.ask("vélo", limit=50)
    assert first.count_more is False and first.count == 420
    seen = [hit.id for hit in first.hits]
    cursor = first.cursor
    while cursor:
        # New offers belong to a new search.
        town.offer("Vélo tout neuf")
        page = town.ask("vélo", limit=50, cursor=cursor)
        seen += [hit.id for hit in page.hits]
        cursor = page.cursor
    assert len(seen) == len(set(seen)) == 420
    third = town.reader.search(Query(text="vélo", limit=50, offset=0), NOW)
    assert len(third.hits) == 50


def test_an_offset_skips_as_many(town: Town) -> None:
    with town.store.batch():
        for n in range(300):
            town.offer(f"Vélo {n}", at=NOW - 1000 + n)
    whole = [hit.id for hit in town.ask("vélo", limit=200).hits]
    assert [hit.id for hit in town.ask("vélo", limit=20, offset=37).hits] == whole[37:57]
    assert len(town.ask("vélo", limit=20, offset=290).hits) == 10
    assert town.ask("vélo", offset=300).hits == ()


def test_a_count_ends_at_its_bound(town: Town) -> None:
    with town.store.batch():
        for n in range(600):
            town.offer(f"Vélo {n}")
    answer = town.ask("vélo", limit=1)
    assert (answer.count, answer.count_more) == (500, True)


def test_what_expired_is_not_shown_before_it_is_forgotten(town: Town) -> None:
    town.offer("Vélo", until=NOW + 10)
    assert town.titles_of("vélo") == ["Vélo"]
    assert town.reader.search(Query(text="vélo"), NOW + 11).hits == ()


def test_what_was_withdrawn_is_not_found(town: Town) -> None:
    id = town.offer("Vélo")
    assert town.titles_of("vélo") == ["Vélo"]
    town.store.retire(id, reason="withdrawn")
    assert town.titles_of("vélo") == []
    # Nor when it goes before it was indexed.
    other = town.offer("Tandem")
    town.store.retire(other, reason="withdrawn")
    assert town.titles_of("tandem") == []


@pytest.mark.parametrize(
    "query",
    [
        Query(limit=0), Query(limit=201), Query(text="a" * 1001), Query(radius_km=5),
        Query(near=(91, 0)), Query(near=(0, 181)), Query(order="nearest"), Query(when=(5, 5)),
        Query(kinds=("offer",) * 65), Query(near=DIE, radius_km=-1),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_in_words(town: Town, query: Query) -> None:
    with pytest.raises(SearchError) as caught:
        town.reader.search(query, NOW)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("cursor", ["nonsense", "WzJd", "é", "W1tbW1tb"])
def test_a_cursor_that_no_search_gave_is_refused(town: Town, cursor: str) -> None:
    with pytest.raises(BadCursor):
        town.reader.search(Query(cursor=cursor), NOW)


def test_a_changed_reading_of_words_reads_all_records_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = Town(tmp_path)
    town.offer("Vélo")
    town.demand("Tandem")
    town.store.close()
    monkeypatch.setattr("maillon.node.store.sqlite.INDEX_VERSION", 999)
    town.store = SqliteStore(tmp_path / "node.db")
    assert town.store.unindexed == 2
    assert town.titles_of("vélo") == ["Vélo"]
    assert town.store.unindexed == 0
    town.reader.close()
    town.store.close()
