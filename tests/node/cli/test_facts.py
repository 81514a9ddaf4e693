"""What an offer says is shown in words, not as the record holds it."""

from __future__ import annotations

from maillon.node.cli.facts import in_words


def test_hours_are_days_and_times() -> None:
    morning = [[540, 720]]
    hours = {"mo": morning, "tu": morning, "th": morning, "sa": [[540, 720], [840, 1_050]]}
    shown = in_words("when", {"hours": hours, "tz": "Europe/Paris", "text": "in summer"})
    assert shown.splitlines() == [
        "Mo–Tu 09:00–12:00",
        "Th 09:00–12:00",
        "Sa 09:00–12:00, 14:00–17:30",
        "in summer",
    ]


def test_a_place_is_an_address_and_degrees() -> None:
    place = {
        "lat": 45_640_000, "lon": 5_870_000, "public": True, "name": "Mairie", "postcode": "01300",
        "city": "Belley",
    }  # fmt: skip
    assert in_words("place", place).splitlines() == ["Mairie", "01300 Belley", "45.64000, 5.87000"]
    home = in_words("place", {"cell": "871f93759ffffff", "city": "Belley"})
    assert home.startswith("Belley\n") and "871f" not in home


def test_lists_and_contacts_are_lines_and_the_rest_is_whole() -> None:
    assert in_words("mode", ["on_site", "remote"]) == "on_site, remote"
    assert in_words("contact", {"phone": "1", "url": "u"}) == "phone: 1\nurl: u"
    assert in_words("reciprocity", {"kind": "amount", "amount": 5}) == (
        '{"kind": "amount", "amount": 5}'
    )
