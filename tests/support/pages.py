"""A running node that serves pages, with people and what they offer and ask for; all made up."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from support.api import ApiNode
from support.nodes import TestNode, free_port, wait_for

COOP = """
[coop.place]
lat = 45.7600
lon = 5.6900
name = "Maison des services"
address = "12 rue des Exemples"
postcode = "01300"
city = "Belley"

[coop.contact]
phone = "+33 4 00 00 00 00"
email = "accueil@example.org"
hours = "Du lundi au vendredi, 9 h à 12 h"
"""

FREE = {"kind": "free"}
HOUR = {"kind": "amount", "unit": "heure", "amount": 60}
PLACE = {
    "lat": 45_761_000, "lon": 5_688_000, "public": True, "name": "Maison des services",
    "address": "12 rue des Exemples", "postcode": "01300", "city": "Belley",
}  # fmt: skip
HOME = {"cell": "871f93759ffffff", "city": "Virieu"}


def record(title: str, text: str, code: str, **more: Any) -> dict[str, Any]:
    """Return the payload of an offer or a demand."""
    return {
        "title": title, "text": text, "lang": "fr", "categories": [code], "mode": ["at_home"],
        "place": HOME, "reciprocity": HOUR, **more,
    }  # fmt: skip


RECORDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("offer", "Chloé Exemple", record(
        "Jardinage et petites tailles",
        "Je taille les haies et les rosiers, je tonds, et je bavarde volontiers autour d'un café.",
        "jardin", mode=["at_home", "itinerant"], radius_km=15,
    )),
    ("offer", "Bruno Exemple", record(
        "Cours de guitare pour débuter",
        "Une heure par semaine, chez vous ou chez moi. J'ai une guitare à prêter.",
        "musique", mode=["at_home", "on_site"],
        when={"hours": {"we": [[840, 1080]], "sa": [[540, 720]]}, "tz": "Europe/Paris"},
    )),
    ("offer", "", record(
        "Aide aux démarches en ligne",
        "Impôts, retraite, carte grise : on fait la démarche ensemble, papier et ordinateur.",
        "numerique--acceder-a-des-services-en-ligne", mode=["on_site"], place=PLACE,
        reciprocity=FREE, access={"disability": True, "cost": "gratuit", "digital": True},
        contact={"name": "Accueil", "phone": "+33 4 00 00 00 00", "hours": "Lundi à vendredi"},
        when={"hours": {day: [[540, 720], [840, 1020]] for day in ("mo", "tu", "th")}},
    )),
    ("demand", "Ana Exemple", record(
        "Trajet vers un rendez-vous médical",
        "Une place en voiture mardi matin, retour vers midi. Je marche avec une canne.",
        "mobilite", urgency="emergency", mode=["on_site"],
    )),
    ("demand", "Ana Exemple", record(
        "Apprendre à se servir d'une tablette",
        "Quelques séances pour écrire à mes petits-enfants et les voir à l'écran.",
        "numerique--acceder-a-des-services-en-ligne", urgency="conviviality",
    )),
    ("demand", "Bruno Exemple", record(
        "Réparer un vélo", "La chaîne saute et les freins sont usés. J'ai quelques outils.",
        "velo", reciprocity={"kind": "count_only"},
    )),
)  # fmt: skip


class PagesNode(ApiNode):
    """A node with pages; `people` are ids by name, `ids` records by title."""

    def __init__(self, one: TestNode, port: int) -> None:
        super().__init__(one, port)
        self.people: dict[str, dict[str, Any]] = {}
        self.ids: dict[str, str] = {}

    def publish(self, kind: str, payload: dict[str, Any], who: str = "") -> str:
        """Publish a record and return its id."""
        body: dict[str, Any] = {"kind": kind, "payload": payload}
        if who:
            body["as_member"] = self.people[who]["person"]
        answer = self.operator.post("/v1/records", json=body)
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        self.ids[payload["title"]] = found
        return found

    def code(self, name: str, *scopes: str) -> str:
        """Return an access code of a person."""
        chosen = scopes or ("read", "exchange", "pay", "publish")
        return self.token(*chosen, person=self.people[name]["person"], label="pages")

    def claim_code(self, name: str) -> str:
        """Return the code of a sheet with which a person brings a key of their own."""
        person = self.people[name]["person"]
        answer = self.operator.post(f"/v1/persons/{person}/claim-codes", json={})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["code"])


@contextlib.contextmanager
def pages_node(
    directory: Path, *, people: bool = True, name: str = "Coop du Bugey", **settings: Any
) -> Generator[PagesNode]:
    """Give a running node of one coop that serves pages; `settings` are of [api]."""
    one = TestNode(directory / "a", name)
    one.variables["MAILLON_SAMPLES"] = "1"
    port = free_port()
    chosen = {"listen": f"127.0.0.1:{port}", "requests_per_minute": 1_000_000, **settings}
    written = "".join(
        f"{key} = {str(value).lower() if isinstance(value, bool | int) else repr(value)}\n"
        for key, value in chosen.items()
    )
    try:
        one.init().cli("federation", "found", "--name", "Fédération", "--unit", "heure:hours:Heure")
        config = one.home / "config.toml"
        text = config.read_text().replace("[api]\n", f"[api]\n{written}", 1)
        # What the settings say of the coop already makes way for what the pages show.
        kept = [part for part in _parts(text) if not part.startswith(("[coop.contact", "[coop.pl"))]
        config.write_text("\n".join(kept) + COOP)
        one.start()
        node = PagesNode(one, port)
        if people:
            _populate(node)
        yield node
        node.http.close()
    finally:
        one.close()


def _parts(text: str) -> list[str]:
    parts = [""]
    for line in text.splitlines():
        if line.startswith("["):
            parts.append("")
        parts[-1] += line + "\n"
    return parts


def _populate(node: PagesNode) -> None:
    node.one.cli("account", "limit", "commons", "100h", "--unit", "heure")
    for name in ("Ana Exemple", "Bruno Exemple", "Chloé Exemple"):
        node.people[name] = node.one.cli("member", "add", name)
        node.one.cli("account", "open", name, "--limit", "20h")
    for kind, who, payload in RECORDS:
        node.publish(kind, payload, who)
    for payer, payee, amount, memo in (
        ("Ana Exemple", "Chloé Exemple", "2h", "Taille des rosiers"),
        ("Bruno Exemple", "Ana Exemple", "1h30", "Conversation anglaise"),
        ("Ana Exemple", "Bruno Exemple", "45 min", "Trajet au marché"),
    ):
        node.one.cli("transfer", "send", payer, payee, amount, "--memo", memo)
    wait_for(lambda: node.one.get("/v1/search", limit=1)["count"], "the offers are found")
