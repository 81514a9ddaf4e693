"""What marks are worth, seen from one coop (docs/reputation.md)."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node.engine.reputation import Opinion, Relation, Reputations
from simulation.reputation.run import NOW_S, report
from simulation.reputation.world import Federation, name

DOCS = Path(__file__).resolve().parents[3] / "docs" / "reputation.md"


def person(coop: object, number: object) -> bytes:
    return b"p" + name("coop", coop) + name("person", coop, number)[:16]


def said(author: bytes, subject: bytes, mark: int, at: int = NOW_S, n: int = 0) -> Opinion:
    return Opinion(name(author, subject, mark, at, n), author, subject, {"quality": mark}, at)


def seen(*opinions: Opinion) -> Reputations:
    made = Reputations(name("coop", 0))
    for opinion in opinions:
        made.add(opinion)
    return made


def test_somebody_nobody_spoke_of_is_a_newcomer_below_everybody_with_a_decent_mark() -> None:
    new, decent, bad = (person(0, i) for i in range(3))
    marks = seen(said(person(0, 8), decent, 4), said(person(0, 8), bad, 0))
    assert marks.of(new, NOW_S).newcomer and not marks.of(decent, NOW_S).newcomer
    scores = [marks.of(one, NOW_S).score for one in (decent, new, bad)]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 3


def test_only_the_newest_word_of_each_person_counts() -> None:
    subject, customer = person(0, 1), person(0, 2)
    marks = seen(*(said(customer, subject, 5, NOW_S - i, i) for i in range(1, 9)))
    marks.add(said(customer, subject, 1, NOW_S))
    found = marks.of(subject, NOW_S)
    assert (found.given, found.weight) == (1, 1.0)
    assert found.criteria["quality"].mean < 3


def test_a_mark_weighs_half_after_two_years_and_one_of_tomorrow_no_more_than_one_of_today() -> None:
    subject = person(0, 1)
    two_years = 2 * 365 * 86_400
    for at, weight in ((NOW_S, 1.0), (NOW_S - two_years, 0.5), (NOW_S + 300, 1.0)):
        found = seen(said(person(0, 2), subject, 5, at)).of(subject, NOW_S)
        assert found.weight == pytest.approx(weight)


def test_a_coop_weighs_no_more_than_the_root_of_the_people_who_spoke_well_of_it() -> None:
    boss = person("ring", "boss")
    ring = [said(person("ring", i), boss, 5) for i in range(1_000)]
    nobody = seen(*ring)
    assert nobody.standing(name("coop", "ring")) == 0
    assert nobody.of(boss, NOW_S).weight == 0 and nobody.of(boss, NOW_S).cut == 1_000
    assert nobody.of(boss, NOW_S).score == nobody.of(person("ring", "nobody"), NOW_S).score

    four = seen(*ring, *(said(person(0, i), person("ring", "decoy"), 4) for i in range(4)))
    assert four.standing(name("coop", "ring")) == 2
    assert four.of(boss, NOW_S).weight == pytest.approx(2)
    # Whoever was served badly recommends nobody.
    badly = seen(*ring, *(said(person(0, i), person("ring", "decoy"), 2) for i in range(4)))
    assert badly.standing(name("coop", "ring")) == 0


def test_a_third_coop_recommends_no_more_than_it_is_trusted_itself() -> None:
    far, third = name("coop", "far"), name("coop", "third")
    of_far = [said(person("third", i), person("far", 1), 5) for i in range(50)]
    assert seen(*of_far).standing(far) == 0
    trusted = [said(person(0, i), person("third", i), 5) for i in range(8)]
    marks = seen(*of_far, *trusted)
    assert marks.standing(far) == pytest.approx(math.sqrt(8 / 2))
    assert marks.relation(far) is Relation.RECOMMENDED
    assert marks.relation(third) is Relation.DEALT_WITH
    assert marks.relation(name("coop", 0)) is Relation.OWN
    assert marks.relation(name("coop", "other")) is Relation.STRANGER


def test_marks_follow_somebody_who_moved() -> None:
    old, new = person(0, 1), person(3, 1)
    marks = seen(said(person(0, 2), old, 5), said(person(0, 3), new, 5))
    assert marks.of(new, NOW_S).given == 1
    assert marks.of(new, NOW_S, former=[old]).given == 2


def test_nobody_speaks_for_themselves_under_an_old_name() -> None:
    old, new = person(0, 1), person(3, 1)
    moved = {old: new}
    marks = Reputations(name("coop", 0), lambda author: moved.get(author, author))
    marks.add(said(old, new, 5))
    assert marks.of(new, NOW_S, former=[old]).newcomer


@given(st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_outcome_depends_on_no_order_and_removing_undoes_adding(
    seed: int, order: Random
) -> None:
    world = Federation(Random(seed), coops=3, members=8, providers=2, exchanges=4)  # noqa: TID251
    shuffled = list(world.said)
    order.shuffle(shuffled)
    one, other = seen(*world.said), seen(*shuffled)
    extra = [said(person("x", i), person(0, 1), 5) for i in range(5)]
    extra += [said(person(0, i), person("x", 1), 5) for i in range(5)]
    for opinion in extra:
        other.add(opinion)
    for opinion in extra:
        other.remove(opinion.id)
    for subject in world.quality:
        assert one.of(subject, NOW_S) == other.of(subject, NOW_S)
    assert other.standing(name("coop", "x")) == 0 and len(other) == len(one)


@given(st.integers(0, 30), st.integers(1, 200), st.integers(0, 5))
def test_no_number_of_strangers_outweighs_the_bound(edges: int, liars: int, mark: int) -> None:
    victim = person(0, 1)
    marks = seen(*(said(person(0, i), person("x", "decoy"), 5) for i in range(2, 2 + edges)))
    for liar in range(liars):
        marks.add(said(person("x", liar), victim, mark))
    assert marks.of(victim, NOW_S).weight <= min(liars, math.sqrt(edges)) + 1e-9


def test_the_figures_of_the_documentation_are_those_of_the_simulation() -> None:
    lines: list[str] = []
    report(lines.append)
    text = DOCS.read_text()
    kept = text.partition("<!-- figures -->\n")[2].partition("<!-- /figures -->")[0]
    assert kept.split("\n")[:-1] == lines
