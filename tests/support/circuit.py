"""Two coops with people, and the whole circuit of an exchange by commands."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from support.exchanges import Exchanges, federation
from support.nodes import wait_for

Json = dict[str, Any]
PEOPLE = (("Ana Exemple", "Hélène Exemple"), ("Bruno Exemple", "Chloé Exemple"))
UNITS = ("heure:hours:Heure",)


class Circuit:
    """Ana and her helper Hélène at the first coop, Bruno and Chloé at the second."""

    reach = ("--contact-name", "Accueil", "--contact-phone", "04 00 00 00 00")

    def __init__(self, coops: Exchanges) -> None:
        self.coops = coops

    def words(self, place: int, *arguments: str) -> str:
        """Run a command that must not be refused and return its words on one line."""
        told = self.coops.tell(place, *arguments, as_json=False)
        assert told.code in (0, 8), (arguments, told.err, told.out)
        return " ".join(told.out.split())

    def demand(self, title: str, *options: str) -> str:
        """Publish a demand of Ana's and wait until both nodes have it."""
        made = self.coops.do(
            0, "demand", "publish", "--title", title, "--category", "aide",
            "--as-member", "Ana", *options,
        )  # fmt: skip
        id: str = made["id"]
        wait_for(lambda: id in self.coops.coops[1].ids("demand"), f"{title} is at both")
        return id

    def latest(self, place: int, title: str) -> str:
        """Return the id of the exchange of that title."""
        rows = self.coops.do(place, "exchange", "list")["exchanges"]
        found: list[str] = [row["id"] for row in rows if row["title"] == title]
        assert found, rows
        return found[0]

    def quoted(self, title: str, amount: str, *options: str) -> str:
        """Return an exchange that Bruno opened on a demand of Ana's and quoted, at both nodes."""
        need = self.demand(title)
        opened = self.coops.do(1, "exchange", "open", need, "--by", "Bruno")
        id: str = opened["exchange"]["id"]
        self.coops.do(1, "exchange", "quote", id, "--amount", amount, *self.reach, *options)
        self.reaches(0, id, "quoted")
        return id

    def shows(self, place: int, id: str, question: Callable[[Json], bool]) -> Json:
        """Wait until an exchange is there and is as asked; return it."""

        def answer() -> Json:
            got = self.coops.coops[place].http.get(f"/v1/exchanges/{id}")
            shown: Json = got.json() if got.is_success else {}
            return shown if shown and question(shown) else {}

        return wait_for(answer, f"{id[:8]} at {place}")

    def reaches(self, place: int, id: str, phase: str) -> Json:
        """Wait until an exchange is in a phase at a node."""

        seen = ""

        def answer() -> Json:
            nonlocal seen
            got = self.coops.coops[place].http.get(f"/v1/exchanges/{id}")
            shown: Json = got.json() if got.is_success else {}
            seen = shown.get("phase", got.text)
            return shown if seen == phase else {}

        try:
            return wait_for(answer, f"{id[:8]} is {phase} at {place}")
        except AssertionError as fault:
            raise AssertionError(f"{fault}; it is {seen}") from None

    def pays(self, place: int, id: str) -> Json:
        """Wait until nothing is due any more."""
        return self.shows(place, id, lambda e: e["phase"] in ("paid", "evaluated"))


@contextlib.contextmanager
def circuit(
    directory: Path, *, names: tuple[str, ...] = ("a", "b"), units: tuple[str, ...] = UNITS
) -> Generator[Circuit]:
    """Give two coops whose people have accounts, and who know one another's profiles."""
    with federation(directory, *names, units=units) as coops:
        for place, people in enumerate(PEOPLE[: len(names)]):
            coops.do(place, "account", "limit", "commons", "100h", "--unit", "heure")
            for name in people:
                coops.enrol(place, name, "--limit", "20h")
        yield Circuit(coops)
