"""Exchanges between real nodes in processes of their own, driven over their interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.exchanging import found_together, member, start_all
from support.nodes import TestNode, wait_for

UNITS = ("--unit", "heure:hours:Heure", "--unit", "savoir:count:Échange de savoirs")
FALLBACK = {"name": "Desk of the coop", "phone": "+33 4 75 00 00 00"}
DAY_S = 86_400


@dataclass(frozen=True)
class Resident:
    """Somebody of a coop, whose key its node keeps."""

    node: TestNode
    name: str
    coop: str
    person: str

    @property
    def author(self) -> str:
        return f"70{self.coop}{self.person}"

    @property
    def account(self) -> str:
        return f"{self.coop}:{self.person}"


def federation(nodes: Sequence[TestNode], file: Path) -> None:
    """Found coops that keep hours together, and start their nodes."""
    found_together(nodes, file, *UNITS)
    start_all(nodes)


def resident(node: TestNode, name: str, limit: str = "10h") -> Resident:
    """Make somebody known at a node, with an account."""
    coop, _, person = member(node, name, limit).partition(":")
    return Resident(node, name, coop, person)


def call(node: TestNode, path: str, **body: Any) -> Any:
    """Post and return the answer; fail when it is an error."""
    answer = node.http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def refused(node: TestNode, path: str, **body: Any) -> Any:
    """Post and return the problem; fail when it is none."""
    answer = node.http.post(path, json=body)
    assert not answer.is_success, answer.text
    return answer.json()


def open_with(who: Resident, other: Resident, role: str = "requester", **more: Any) -> str:
    """Open an exchange; return its id."""
    done = call(
        who.node, "/v1/exchanges", by=who.person, role=role,
        **{"with": other.author, "title": "Jardinage", **more},
    )  # fmt: skip
    return str(done["exchange"]["id"])


def step(who: Resident, exchange: str, kind: str, wait_s: float = 0, **fields: Any) -> Any:
    """Take a step; return the exchange as it is then."""
    return call(
        who.node, f"/v1/exchanges/{exchange}/steps", by=who.person, kind=kind, fields=fields,
        wait_s=wait_s,
    )["exchange"]  # fmt: skip


def show(who: Resident | TestNode, exchange: str) -> Any:
    """Return an exchange as a node sees it, or None while it is not there."""
    node = who if isinstance(who, TestNode) else who.node
    answer = node.http.get(f"/v1/exchanges/{exchange}")
    return answer.json() if answer.is_success else None


def part(who: Resident | TestNode, exchange: str, *names: str) -> Any:
    """Return a part of an exchange as a node sees it; None while it is not there."""
    found: Any = show(who, exchange)
    for name in names:
        found = None if found is None else found[name]
    return found


def reaches(who: Resident | TestNode, exchange: str, *phases: str) -> Any:
    """Wait until a node sees an exchange in one of some phases; return it."""

    def there() -> Any:
        found = show(who, exchange)
        return found if found is not None and found["phase"] in phases else None

    return wait_for(there, f"the exchange is {' or '.join(phases)}")


def terms(**more: Any) -> dict[str, Any]:
    """Return terms of an hour, reserved at the agreement."""
    given = {"kind": "amount", "unit": "heure", "amount": "1h", "fallback": FALLBACK, **more}
    return {name: value for name, value in given.items() if value is not None}


def agreed(
    asks: Resident, gives: Resident, *, opening: dict[str, Any] | None = None, **more: Any
) -> str:  # noqa: E501
    """Open, quote and agree; return the exchange once both see it agreed."""
    exchange = open_with(asks, gives, **(opening or {}))
    reaches(gives, exchange, "opened")
    step(gives, exchange, "quote", terms=terms(**more))
    reaches(asks, exchange, "quoted")
    step(asks, exchange, "agreement")
    reaches(gives, exchange, "agreed", "scheduled")
    return exchange


def worked(asks: Resident, gives: Resident, exchange: str) -> None:
    """Check in and out; wait until the requester sees it."""
    step(gives, exchange, "check_in")
    step(gives, exchange, "check_out", minutes=60, last=True)
    reaches(asks, exchange, "done")
