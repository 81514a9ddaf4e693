"""A resident without a device and her helper: from the need to both evaluations."""

from __future__ import annotations

import math
from typing import Any

from maillon.node.cells import home_cell
from maillon.node.cli.exchange_words import phase_in_words
from maillon.node.demo.dealing import Dealing, Json
from maillon.node.demo.display import Screen
from maillon.node.demo.nodes import DemoFailed, Node, wait_until
from maillon.node.demo.orders import FINAL_WITHIN_S, ORDER_WAIT_S, UNIT, Desk, Resident
from maillon.node.demo.people import ONLINE, PAPERWORK, places
from maillon.node.i18n import _

# What the helper may do for her, and nothing else: no message, no complaint, no evaluation.
HELPED_KINDS = ("demand", "opening", "agreement", "acceptance")
HOME_RADIUS_KM = 60
SHOWN = 3
AMOUNT, MINUTES = "1h", 60
WORDS = "Patience et clarté : tout est fait, et j'ai compris."
FICTIVE = "(Fictif, pour la démonstration.)"


class Helping:
    """One whole circuit: mandate, demand, proposals, agreement, work, payment, evaluations."""

    def __init__(self, dealing: Dealing, screen: Screen) -> None:
        self.dealing = dealing
        self.desk: Desk = dealing.desk
        self.screen = screen
        self.mandate = ""
        self.exchange = ""

    @property
    def asks(self) -> Resident:
        """Return the resident who has no device."""
        return self.desk.one(self.desk.founders[0], 1)

    @property
    def helps(self) -> Resident:
        """Return who acts for her."""
        return self.desk.one(self.desk.founders[0], 0)

    @property
    def gives(self) -> Resident:
        """Return the provider, of another coop."""
        return self.desk.one(self.desk.founders[2], 1)

    # --- finding --------------------------------------------------------------------------------

    def propose(self) -> None:
        """Let a helper ask for a resident, and the node propose offers of all coops."""
        self.screen.chapter(12, _("A resident without a device asks, through her helper"))
        desk, dealing = self.desk, self.dealing
        asks, helps, gives = self.asks, self.helps, self.gives
        with self.screen.live(_("Giving a mandate and asking…")):
            wish, offer = payloads(asks.node.area.code, gives.node.area.code)
            offered = dealing.publish(gives.node, "offer", offer, by=gives)["id"]
            self.mandate = asks.node.client.post(
                "/v1/mandates",
                {
                    "principal": asks.person,
                    "delegate": helps.person,
                    "kinds": list(HELPED_KINDS),
                    "days": 30,
                    "note": FICTIVE,
                },
            )["mandate"]
            demand = dealing.publish(asks.node, "demand", wish, by=helps, mandate=self.mandate)[
                "id"
            ]
            dealing.is_at(asks.node, id=offered)
            dealing.is_at(gives.node, id=demand)
            found = asks.node.client.get(f"/v1/records/{demand}/matches", limit=50)
        proposed: list[Json] = found["matches"]
        here = desk.coop(asks.node)
        mine = [match for match in proposed if match["id"] == offered]
        dealing.figures.proposed = len(proposed)
        dealing.figures.proposed_of_others = sum(match["coop"] != here for match in proposed)
        if not mine:
            raise DemoFailed(_("The offer of another coop was not proposed."))
        self.screen.done(
            _("{asks} has no device; {helps} may act for them").format(
                asks=asks.name, helps=helps.name
            ),
            _("a mandate for this and nothing else: {kinds}").format(
                kinds=", ".join(act_in_words(kind) for kind in HELPED_KINDS)
            ),
        )
        self.screen.done(
            _("«{title}»: {n} offers are proposed, {others} of other coops").format(
                title=wish["title"], n=len(proposed), others=dealing.figures.proposed_of_others
            )
        )
        for match in [*proposed[:SHOWN], *(m for m in mine if m not in proposed[:SHOWN])]:
            self.screen.item(f"{match['payload']['title']} — {match['coop_name']}")
            self.screen.note("  " + " · ".join(match["reasons"][:3]))
        self._open(demand, mine[0])

    def _open(self, demand: str, match: Json) -> None:
        dealing, asks, helps, gives = self.dealing, self.asks, self.helps, self.gives
        with self.screen.live(_("Opening an exchange…")):
            self.exchange = dealing.open(
                helps, None, "", about=match["id"], **{"as": self._principal()}
            )
            found = dealing.reaches(gives, self.exchange, "opened")
        if found["requester"]["author"] != dealing.author(asks):
            raise DemoFailed(_("The exchange is not of the resident who was helped."))
        self.screen.done(
            _("The helper opens an exchange with {gives}, in the name of who was helped").format(
                gives=gives.name
            ),
            _("demand {id}").format(id=demand[:8]),
        )

    def _principal(self) -> str:
        return self.asks.person

    # --- accepted and paid ----------------------------------------------------------------------

    def fulfil(self) -> None:
        """Quote, agree, work, accept and pay; then list what the helper did."""
        self.screen.chapter(13, _("It is agreed, done, accepted and paid"))
        dealing, asks, helps, gives = self.dealing, self.asks, self.helps, self.gives
        exchange = self.exchange
        before = self.desk.balance(asks), self.desk.balance(gives)
        with self.screen.live(_("Agreeing…")):
            dealing.quote(gives, exchange, AMOUNT)
            dealing.reaches(helps, exchange, "quoted")
            dealing.take(helps, exchange, "agreement", as_=self._principal())
            dealing.reserved(gives, exchange)
        self.screen.done(
            _("{gives} quotes {amount}; the helper agrees, and the hour is reserved").format(
                gives=gives.name, amount=AMOUNT
            )
        )
        if self.desk.balance(gives) != before[1]:
            raise DemoFailed(_("It was paid before the work was done."))
        with self.screen.live(_("Working…")):
            dealing.work(helps, gives, exchange, MINUTES)
            dealing.take(helps, exchange, "acceptance", as_=self._principal(), wait_s=ORDER_WAIT_S)
            dealing.paid(helps, gives, exchange, MINUTES)
            dealing.moved(asks, before[0], -MINUTES)
            dealing.moved(gives, before[1], MINUTES)
        self.screen.done(
            _("The work is done and accepted: the reserved hour is paid, from {a} to {b}").format(
                a=asks.node.area.name, b=gives.node.area.name
            )
        )
        self._acts()

    def _acts(self) -> None:
        asks = self.asks
        listed = asks.node.client.get(f"/v1/persons/{asks.person}/acts", mandate=self.mandate)
        acts: list[Json] = listed["acts"]
        done = [act["what"] for act in reversed(acts)]
        if sorted(done) != sorted(HELPED_KINDS):
            raise DemoFailed(
                _("The list of a helper's acts is not right: {acts}").format(acts=", ".join(done))
            )
        self.dealing.figures.acts = len(acts)
        self.screen.done(_("What the helper did is listed, for the person to read:"))
        for act in reversed(acts):
            self.screen.item(f"{act_in_words(act['what'])} — {act['delegate_name']}")

    # --- evaluations ----------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Let both sides evaluate: nothing can be seen before both have."""
        self.screen.chapter(20, _("Both evaluate each other, blind until both have"))
        dealing, asks, gives = self.dealing, self.asks, self.gives
        witness = self.desk.founders[1]
        watched = [asks.node, gives.node, witness]
        before = [attestations(node) for node in watched]
        with self.screen.live(_("Evaluating…")):
            self._evaluate(gives, {"respect": 5, "quality": 4}, "Un bel après-midi.")
            found = dealing.becomes(
                asks,
                self.exchange,
                _("the other side knows that it was evaluated"),
                lambda shown: len(shown["evaluations"]) == 1,
            )
        if found["evaluations"][0]["published"] or found["evaluations"][0]["attestation"]:
            raise DemoFailed(_("An evaluation was seen before both had evaluated."))
        if [attestations(node) for node in watched] != before:
            raise DemoFailed(_("An evaluation was published before both had evaluated."))
        if any("après-midi" in path.read_bytes().decode("utf-8", "replace")
               for path in asks.node.home.path.glob("*.db*")):  # fmt: skip
            raise DemoFailed(_("An evaluation was seen before both had evaluated."))
        self.screen.done(
            _("{gives} has evaluated: {coop} knows that, and not one word of what").format(
                gives=gives.name, coop=asks.node.area.name
            ),
            _("not in its files either"),
        )
        with self.screen.live(_("Evaluating…")):
            self._evaluate(asks, {"respect": 5, "quality": 5}, WORDS)
            wait_until(
                _("both evaluations are published at every node"),
                lambda: all(
                    len(attestations(node) - old) == 2
                    for node, old in zip(watched, before, strict=True)
                ),
                within_s=FINAL_WITHIN_S,
            )
            for who in (asks, gives):
                shown = dealing.reaches(who, self.exchange, "evaluated")
                if not all(one["published"] for one in shown["evaluations"]):
                    raise DemoFailed(_("An evaluation was not published."))
        dealing.figures.evaluations_published = 2
        self.screen.done(
            _("{asks} has too: both are published, the same at every node").format(asks=asks.name),
            phase_in_words("evaluated"),
        )
        new = attestations(witness) - before[2]
        for node in (gives.node, witness):
            self.screen.note(_("seen from {coop}:").format(coop=node.area.name))
            for id in sorted(new):
                payload = node.client.get(f"/v1/records/{id}")["payload"]
                marks = ", ".join(f"{name} {mark}" for name, mark in payload["criteria"].items())
                self.screen.item(f"{marks} — «{payload.get('text', '')}»")

    def _evaluate(self, who: Resident, criteria: dict[str, int], text: str) -> None:
        who.node.client.post(
            f"/v1/exchanges/{self.exchange}/evaluation",
            {"by": who.person, "criteria": criteria, "text": text, "lang": "fr"},
            timeout=FINAL_WITHIN_S,
        )


def act_in_words(kind: str) -> str:
    """Return what somebody did under the mandate."""
    return {
        "demand": _("asking for a service"),
        "opening": _("opening an exchange"),
        "agreement": _("agreeing to a price"),
        "acceptance": _("accepting the work"),
    }[kind]


def attestations(node: Node) -> frozenset[str]:
    """Return the ids of the evaluations that a node holds."""
    rows = node.client.get("/v1/records", kind="attestation", limit=1000)["records"]
    return frozenset(row["id"] for row in rows)


def payloads(asking: str, giving: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a made up demand and offer, near the two nearest real places of two départements."""
    near = min(
        ((one, other) for one in located(asking) for other in located(giving)),
        key=lambda pair: math.dist(pair[0][:2], pair[1][:2]),
    )
    shared: dict[str, Any] = {
        "lang": "fr",
        "categories": [PAPERWORK, ONLINE],
        "reciprocity": {"kind": "amount", "unit": UNIT, "amount": MINUTES},
    }
    there = [{"cell": home_cell(lat, lon), "city": city} for lat, lon, city in near]
    wish = {
        "title": "Faire ma déclaration d'impôts, chez moi ou au guichet",
        "text": f"Je n'ai ni ordinateur ni téléphone. {FICTIVE}",
        "mode": ["at_home", "on_site"],
        "place": there[0],
        "urgency": "planned",
        **shared,
    }
    offer = {
        "title": "Démarches en ligne, à votre domicile",
        "text": f"Je viens avec mon ordinateur et je vous montre comment faire. {FICTIVE}",
        "mode": ["at_home"],
        "place": there[1],
        "radius_km": HOME_RADIUS_KM,
        **shared,
    }
    return wish, offer


def located(code: str) -> list[tuple[float, float, str]]:
    """Return where the France services places of a département are, and in which commune."""
    return [
        (float(row["latitude"]), float(row["longitude"]), row["lib_com"])
        for row in places(code)
        if row["latitude"] and row["longitude"]
    ]
