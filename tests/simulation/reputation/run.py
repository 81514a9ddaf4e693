"""Attack the reputation and print what came of it.

Run it as `PYTHONPATH=tests python -m simulation.reputation.run`.
docs/reputation.md holds what this prints; a test compares the two.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from random import Random

from simulation.reputation.world import START_S, YEAR_S, Federation, rank, spearman

NOW_S = START_S + YEAR_S
SEEDS = range(12)
RING = 1_000


def _federation(seed: int) -> Federation:
    return Federation(Random(f"reputation {seed}"))  # noqa: TID251 - seeded


def _scores(world: Federation) -> dict[bytes, float]:
    seen = world.seen_from(0)
    return {provider: seen.of(provider, NOW_S).score for provider in world.quality}


def _naive(world: Federation) -> dict[bytes, float]:
    return {provider: world.naive(provider) for provider in world.quality}


def _median(values: list[float]) -> float:
    return statistics.median(values)


def honest() -> tuple[float, float]:
    """Return how well the ranking finds the true order: of the plain mean, and ours."""
    plain: list[float] = []
    ours: list[float] = []
    for seed in SEEDS:
        world = _federation(seed)
        plain.append(spearman(_naive(world), world.quality))
        ours.append(spearman(_scores(world), world.quality))
    return _median(plain), _median(ours)


def ring(edges: int) -> tuple[float, float, float, float, float]:
    """Let a coop of made-up members praise one of them; some real people dealt with it too.

    Returns the place by the plain mean, ours, the weight of all that praise, its bound, and the
    place of the same provider without the ring.
    """
    rows: list[tuple[float, float, float, float, float]] = []
    for seed in SEEDS:
        world = _federation(seed)
        boss = world.person("ring", "boss")
        world.quality[boss] = 0.3
        for edge in range(edges):
            # A cheap service that is well given, so that real people speak well of it.
            world.deal(world.person(0, 10 + edge), world.person("ring", f"decoy {edge}"), 0.9)
        before = rank(_scores(world), boss)
        for member in range(RING):
            world.say(world.person("ring", member), boss, 5)
        seen = world.seen_from(0)
        weight = seen.of(boss, NOW_S).weight
        bound = seen.standing(world.coop("ring"))
        rows.append((rank(_naive(world), boss), rank(_scores(world), boss), weight, bound, before))
    a, b, c, d, e = (_median(list(column)) for column in zip(*rows, strict=True))
    return a, b, c, d, e


def whitewash() -> tuple[float, float, float]:
    """Let a bad provider come back under a new name: the places before, after, and of one mark."""
    rows: list[tuple[float, float, float]] = []
    for seed in SEEDS:
        world = _federation(seed)
        bad, new, honest = (world.person(1, f"w{i}") for i in range(3))
        for who, quality in ((bad, 0.15), (new, 0.15), (honest, 0.7)):
            world.quality[who] = quality
        for place in range(10):
            world.deal(world.person(place % 3, 20 + place), bad, 0.15)
        world.say(world.person(1, 30), honest, 4)
        scores = _scores(world)
        rows.append((rank(scores, bad), rank(scores, new), rank(scores, honest)))
    a, b, c = (_median(list(column)) for column in zip(*rows, strict=True))
    return a, b, c


def slander(liars: int, coop: object) -> tuple[float, float, float, float]:
    """Let people of a coop each buy a minute of the best provider's time and mark it 0.

    Returns the place before, by the plain mean, ours, and the weight of the slander.
    """
    rows: list[tuple[float, float, float, float]] = []
    for seed in SEEDS:
        world = _federation(seed)
        scores = _scores(world)
        own = [p for p in world.quality if p[1:33] == world.coop(0)]
        best = max(own, key=lambda provider: scores[provider])
        weight = world.seen_from(0).of(best, NOW_S).weight
        for liar in range(liars):
            world.say(world.person(coop, f"liar {liar}"), best, 0, NOW_S)
        after = world.seen_from(0).of(best, NOW_S).weight
        rows.append(
            (
                rank(scores, best),
                rank(_naive(world), best),
                rank(_scores(world), best),
                after - weight,
            )
        )
    a, b, c, d = (_median(list(column)) for column in zip(*rows, strict=True))
    return a, b, c, d


def report(say: Callable[[str], None]) -> None:
    """Run all attacks and say what came of them, as tables in Markdown."""
    plain, ours = honest()
    say(f"Medians of {len(SEEDS)} federations of 8 coops, 320 members, 48 providers, seen from")
    say("one coop. A place of 1 is the best.")
    say("")
    say("| nobody cheats | plain mean | here |")
    say("|---|---|---|")
    say(f"| agreement with the true order (Spearman) | {plain:.2f} | {ours:.2f} |")
    say("")
    say(f"| {RING:,} made up praise one | plain mean | without them | here | weight | bound |")
    say("|---|---|---|---|---|---|")
    for edges in (0, 1, 3, 10):
        a, b, c, d, e = ring(edges)
        say(
            f"| {edges} real people dealt with their coop | {a:.0f} | {e:.0f} | {b:.0f} "
            f"| {c:.1f} | {d:.1f} |"
        )
    say("")
    bad, new, one = whitewash()
    say("| a bad provider starts anew | place |")
    say("|---|---|")
    say(f"| under the old name | {bad:.0f} of 51 |")
    say(f"| under a new name | {new:.0f} |")
    say(f"| an honest newcomer with one mark of 4 | {one:.0f} |")
    say("")
    say(
        "| the best provider of the own coop is marked 0 by | before | plain mean | here | weight |"
    )
    say("|---|---|---|---|---|")
    for liars, coop, who in (
        (3, 0, "3 people of the own coop"),
        (3, 1, "3 people of a coop in good standing"),
        (100, 1, "100 people of that coop"),
        (1_000, 1, "1,000 people of that coop"),
        (1_000, "rival", "1,000 people of a coop nobody dealt with"),
    ):
        a, b, c, d = slander(liars, coop)
        say(f"| {who} | {a:.0f} | {b:.0f} | {c:.0f} | {d:.1f} |")


def main() -> int:
    """Print the report."""
    argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0]).parse_args()
    report(print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
