"""Put the steps of a transcript into the one order in which they are judged (spec/08, "The order").

The order is by time, then depth, then id, where the time of a step is the latest `at` among it and
all that it refers to: so it never stands before what its author had seen, and whoever dates back
gets no further than what they refer to. What was seen by whom is kept as bit masks over the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.protocol.errors import LocalError
from maillon.protocol.exchange.steps import Step
from maillon.protocol.records.exchange import STEP_KINDS, exchanges_of

ALL: Final = -1
"""The mask of who has seen everything, such as a step about to be signed."""

OUTSIDERS: Final = frozenset({"bundle_decision", "funding"})
"""Kinds whose authors hold no transcript: refs that are not found do not keep them waiting."""


@dataclass(slots=True)
class Arranged:
    """The steps of one exchange in their order, with what each had seen.

    `past[i]` has bit j set when step i refers to step j, directly or through others; `crossed[i]`
    when neither refers to the other, and is absent where there is none. `lost` are the places of
    steps that gave way to another by the same key.
    """

    exchange: bytes
    opening: Step
    steps: list[Step]
    place: dict[bytes, int]
    past: list[int]
    time: list[int]
    depth: list[int]
    foreign: list[Step]
    waiting: tuple[bytes, ...]
    heads: tuple[bytes, ...]
    providers: frozenset[bytes]
    crossed: dict[int, int]
    lost: frozenset[int] = frozenset()

    def sees(self, known: int, id: object) -> bool:
        """Tell whether a step is among what a mask has seen."""
        place = self.place.get(cast("bytes", id))
        return place is not None and bool(known >> place & 1)

    def side(self, author: bytes) -> str:
        """Return "p" for a provider, past or proposed, "r" for the requester, "m" for others."""
        if author in self.providers:
            return "p"
        payload = cast("Mapping[str, Any]", self.opening.payload)
        return "r" if author == payload["requester"] else "m"

    def acknowledged(self, place: int) -> int:
        """Return by how many steps of the other side a step is referred to."""
        mine = self.side(self.steps[place].author)
        count = 0
        for later in range(place + 1, len(self.steps)):
            if self.past[later] >> place & 1:
                other = self.side(self.steps[later].author)
                count += other != mine and other != "m"
        return count

    def rank(self, place: int) -> tuple[int, int, int, bytes]:
        """Return by what rivals are compared; the least counts (spec/08, "Rivals")."""
        return (
            -self.acknowledged(place),
            self.time[place],
            self.depth[place],
            self.steps[place].id,
        )

    def aside(self, place: int) -> list[int]:
        """Return the places of the steps concurrent with one, but those that gave way.

        A step about to be signed has seen all there is.
        """
        mask = self.crossed.get(place, 0)
        if not mask:
            return []
        return [
            other
            for other in range(mask.bit_length())
            if mask >> other & 1 and other not in self.lost
        ]

    def beaten(self, place: int, rival: Callable[[int], bool]) -> bool:
        """Tell whether a concurrent step counts rather than this one, of those that are rivals."""
        rivals = [other for other in self.aside(place) if rival(other)]
        if not rivals:
            return False
        mine = self.rank(place)
        return any(self.rank(other) < mine for other in rivals)


def _opening(steps: Iterable[Step]) -> Step:
    openings = [step for step in steps if step.kind == "opening"]
    if len(openings) != 1:
        raise LocalError("A transcript has one opening.", got=len(openings))
    if openings[0].payload is None:
        raise LocalError("The content of this exchange was erased.", exchange=openings[0].id)
    return openings[0]


def arrange(given: Iterable[Step]) -> Arranged:
    """Put steps in order; those that refer to what is not here wait, with what refers to them.

    Raises: LocalError when there is not exactly one opening with its payload.
    """
    unique = {step.id: step for step in given}
    opening = _opening(unique.values())
    exchange = opening.id
    ours: dict[bytes, Step] = {}
    foreign: list[Step] = []
    for step in unique.values():
        named = (
            (exchange,)
            if step.payload is None or step is opening
            else exchanges_of(step.kind, step.id, step.payload)
        )
        if step.kind in STEP_KINDS and exchange in named:
            ours[step.id] = step
        else:
            foreign.append(step)
    refs = {step.id: _refs(step, exchange, ours) for step in ours.values()}
    time, depth = _depths(ours, refs, exchange)
    ordered = sorted((time[id], depth[id], id) for id in time)
    steps = [ours[id] for _, _, id in ordered]
    place = {step.id: at for at, step in enumerate(steps)}
    past: list[int] = []
    referred = 0
    for step in steps:
        mask = 0
        for ref in refs[step.id]:
            seen = place[ref]
            mask |= past[seen] | 1 << seen
        past.append(mask)
        referred |= mask
    missing = {ref for id in ours.keys() - place.keys() for ref in refs[id] if ref not in ours}
    arranged = Arranged(
        exchange,
        opening,
        steps,
        place,
        past,
        [entry[0] for entry in ordered],
        [entry[1] for entry in ordered],
        sorted(foreign, key=lambda step: step.id),
        tuple(sorted(missing)),
        tuple(step.id for at, step in enumerate(steps) if not referred >> at & 1),
        _providers(opening, steps),
        _crossed(past),
    )
    arranged.lost = _equivocations(arranged)
    return arranged


def _refs(step: Step, exchange: bytes, ours: Mapping[bytes, Step]) -> list[bytes]:
    """Return what a step comes after."""
    if step.kind not in OUTSIDERS:
        return list(step.refs)
    known = [ref for ref in step.refs if ref in ours]
    if step.kind == "bundle_decision" and step.payload is not None:
        agreements = step.payload.get("agreements", ())
        at = step.payload["exchanges"].index(exchange)
        # A commitment comes after the agreement that it names, and waits for it.
        known += [id for id in agreements[at : at + 1] if id not in known]
    return known


def _depths(
    ours: Mapping[bytes, Step], refs: Mapping[bytes, list[bytes]], exchange: bytes
) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """Return time and depth of every step all of whose past is here."""
    waits_for: dict[bytes, int] = {}
    referring: dict[bytes, list[bytes]] = {}
    ready: list[bytes] = []
    for id, named in refs.items():
        waits_for[id] = len(named)
        for ref in named:
            referring.setdefault(ref, []).append(id)
        # Without refs a step that is not the opening belongs to nothing; an outsider's may be so.
        if not named and (id == exchange or ours[id].kind in OUTSIDERS):
            ready.append(id)
    time: dict[bytes, int] = {}
    depth: dict[bytes, int] = {}
    while ready:
        id = ready.pop()
        named = refs[id]
        time[id] = max([ours[id].at, *(time[ref] for ref in named)])
        depth[id] = max([-1, *(depth[ref] for ref in named)]) + 1
        if not named and id != exchange:
            # An outsider's step comes after the opening, whatever its clock says.
            time[id] = max(time[id], ours[exchange].at)
            depth[id] = 1
        for later in referring.get(id, ()):
            waits_for[later] -= 1
            if not waits_for[later]:
                ready.append(later)
    return time, depth


def _crossed(past: list[int]) -> dict[int, int]:
    """Return for each place the mask of those that it had not seen and that had not seen it."""
    crossed: dict[int, int] = {}
    for place, known in enumerate(past):
        unseen = ((1 << place) - 1) & ~known
        if unseen:
            crossed[place] = crossed.get(place, 0) | unseen
            for other in range(unseen.bit_length()):
                if unseen >> other & 1:
                    crossed[other] = crossed.get(other, 0) | 1 << place
    return crossed


def _providers(opening: Step, steps: Iterable[Step]) -> frozenset[bytes]:
    payload = cast("Mapping[str, Any]", opening.payload)
    providers = {payload["provider"]}
    for step in steps:
        if step.kind == "handover" and step.payload is not None and step.author in providers:
            providers.add(step.payload["to"])
    return frozenset(providers - {payload["requester"]})


def _equivocations(arranged: Arranged) -> frozenset[int]:
    """Return the places of steps whose key had signed another one that they do not refer to."""
    by_key: dict[bytes, list[int]] = {}
    for place, step in enumerate(arranged.steps):
        if step.kind not in OUTSIDERS:
            by_key.setdefault(step.by, []).append(place)
    lost: set[int] = set()
    for places in by_key.values():
        if all(
            arranged.past[later] >> earlier & 1
            for earlier, later in zip(places, places[1:], strict=False)
        ):
            continue
        kept: list[int] = []
        for place in sorted(places, key=arranged.rank):
            aside = arranged.crossed.get(place, 0)
            if any(aside >> other & 1 for other in kept):
                lost.add(place)
            else:
                kept.append(place)
    return frozenset(lost)
