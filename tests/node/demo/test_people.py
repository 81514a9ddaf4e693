"""Who takes part in the demonstration, and how what happened is judged."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from maillon.node.demo.display import bar
from maillon.node.demo.nodes import DemoFailed, wait_until
from maillon.node.demo.people import AREAS, LATE, Area, demands, places
from maillon.node.demo.scenario import departements, share
from maillon.node.i18n import size
from maillon.protocol.records import build


def test_every_coop_has_real_places_to_publish() -> None:
    for area in (*AREAS, LATE):
        assert len(places(area.code)) >= 20, area


def test_all_of_france_is_shared_out_and_no_place_twice() -> None:
    shared = Counter(code for area in (*AREAS, LATE) for code in share(area.code))
    assert set(shared) == set(departements())
    assert set(shared.values()) == {1}


def test_the_same_seed_makes_the_same_demands_and_another_does_not() -> None:
    first, again, other = (demands(AREAS[0], 6, random.Random(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("area", [*AREAS, LATE], ids=lambda area: area.code)
def test_every_demand_is_valid_and_gives_a_home_only_as_a_cell(area: Area) -> None:
    for payload in demands(area, 12, random.Random(3)):
        assert "lat" not in payload["place"]
        build("demand", **payload, salt=bytes(16))


def test_what_does_not_happen_in_time_is_named() -> None:
    with pytest.raises(DemoFailed, match="the moon is blue"):
        wait_until("the moon is blue", lambda: False, within_s=0.0)


def test_what_holds_already_takes_no_time() -> None:
    seen: list[int] = []
    wait_until("now", lambda: True, within_s=0.0, meanwhile=lambda: seen.append(1))
    assert seen == []


def test_a_bar_is_as_full_as_its_part() -> None:
    assert bar(1, 2, width=10).plain == "━" * 10
    assert bar(1, 2, width=10).spans[0].end == 5
    assert bar(0, 0).plain  # nothing to divide by


def test_sizes_read_as_people_write_them() -> None:
    assert [size(n) for n in (0, 999, 1000, 2_500_000)] == ["0 B", "999 B", "1.0 kB", "2.5 MB"]
