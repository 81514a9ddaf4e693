"""What happens in the demonstration, step by step; each step checks that it went as it must."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maillon.node.data import france_services
from maillon.node.demo.cheats import Cheats
from maillon.node.demo.dealing import Dealing
from maillon.node.demo.display import Screen, node_table, seconds
from maillon.node.demo.endings import Endings
from maillon.node.demo.exchange import Exchange
from maillon.node.demo.helping import Helping
from maillon.node.demo.nodes import STARTS_WITHIN_S, DemoFailed, Node, wait_until
from maillon.node.demo.orders import COOP_LIMIT, UNIT, Desk
from maillon.node.demo.people import AREAS, LATE, demands
from maillon.node.demo.together import Together
from maillon.node.i18n import _, size

# Generous: a busy machine of two cores runs six nodes and whatever else it has to do.
AGREES_WITHIN_S = 120.0
RESIDENTS_PER_COOP = 2
DEMANDS_PER_COOP = 6
WHILE_DOWN = 5
QUERY = "aide démarches administratives retraite"


@dataclass(slots=True)
class Figures:
    """What the summary shows, and --json prints."""

    nodes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    agree: bool = False
    records: int = 0
    spread_ms_p50: float = 0.0
    spread_ms_p99: float = 0.0
    spread_deliveries: int = 0
    catch_up_s: float = 0.0
    catch_up_records: int = 0
    catch_up_bytes: int = 0
    restart_s: float = 0.0
    withdrawn_everywhere_s: float = 0.0
    bytes_sent_per_record: float = 0.0
    signatures_checked: int = 0
    offers_of_others_found: int = 0
    parts_s: dict[str, float] = field(default_factory=dict[str, float])


class Scenario:
    """One run: the nodes, what they have published and what was measured."""

    def __init__(self, root: Path, screen: Screen, seed: int, *, everywhere: bool) -> None:
        self.root = root
        self.screen = screen
        self.seed = seed
        self.rng = random.Random(seed)
        self.everywhere = everywhere
        self.nodes = [Node(area, root) for area in AREAS]
        self.late = Node(LATE, root)
        self.figures = Figures()
        self.killed = ""
        self.desk = Desk(self.nodes, self.late)
        self.exchange = Exchange(self.desk, root, screen)
        self.cheats = Cheats(self.desk, root, screen)
        self.dealing = Dealing(self.desk)
        self.helping = Helping(self.dealing, screen)
        self.endings = Endings(self.dealing, screen)
        self.together = Together(self.dealing, root, screen)

    @property
    def all(self) -> list[Node]:
        """Return the nodes that were set up, the late one last."""
        return [*self.nodes, self.late] if self.late.home.config.exists() else list(self.nodes)

    @property
    def processes(self) -> list[Node]:
        """Return every node that may run, the copy of a cheat included."""
        copy = self.cheats.copy
        return [*self.nodes, self.late, *([] if copy is None else [copy])]

    @property
    def parts(self) -> list[Callable[[], None]]:
        """Return what happens, in order."""
        return [
            self.found,
            self.start,
            self.publish,
            self.arrive_late,
            self.crash,
            self.search,
            self.withdraw,
            self.exchange.give,
            self.exchange.away,
            self.exchange.admit,
            self.cheats.copies,
            self.cheats.lie,
            self.helping.propose,
            self.helping.fulfil,
            self.endings.mediate,
            self.endings.hand_over,
            self.together.bundle,
            self.together.auction,
            self.together.cheque,
            self.endings.resume,
            self.helping.evaluate,
            self.exchange.audit,
            self.summarise,
        ]

    # --- the parts ------------------------------------------------------------------------------

    def found(self) -> None:
        """Make five nodes and let their coops found a federation: each signs the document."""
        self.screen.chapter(1, _("Five coops found a federation"))
        with self.screen.live(_("Making keys and signing the founding document…")):
            with ThreadPoolExecutor(2) as pool:
                cards = list(pool.map(Node.set_up, self.nodes))
            first, others = self.nodes[0], self.nodes[1:]
            proposal = self.root / "federation.maillon"
            first.command(
                "federation", "found", "--name", "Services du Rhône aux Cévennes",
                "--quorum", "1", "--unit", f"{UNIT}:hours:Heure", "--limit", f"{UNIT}={COOP_LIMIT}",
                "--output", str(proposal),
                *cards[1:],
            )  # fmt: skip
            for node in others:
                node.command("federation", "sign", str(proposal))
            with ThreadPoolExecutor(2) as pool:
                waiting = [
                    pool.submit(node.command, "federation", "install", str(proposal))
                    for node in self.nodes
                ]
                for done in waiting:
                    done.result()
        shown = first.command("federation", "show")
        self.screen.done(
            _("{n} coops signed the founding document").format(n=len(self.nodes)),
            _("federation {id}").format(id=shown["fed"][:16]),
        )

    def start(self) -> None:
        """Start five processes and wait until each is connected."""
        with self.screen.live(_("Starting five nodes…")) as moving:
            for node in self.nodes:
                node.start()
            took = self._wait(
                _("every node is connected to the others"),
                lambda now: all(s is not None and s["peers"]["connected"] >= 2 for s in now),
                self.nodes,
                moving,
                within_s=STARTS_WITHIN_S,
            )
        processes = ", ".join(str(n.process.pid) for n in self.nodes if n.process)
        self.screen.done(
            _("{n} nodes are running and know each other").format(n=len(self.nodes)),
            _("processes {list}; after {time}").format(list=processes, time=seconds(took)),
        )

    def publish(self) -> None:
        """Publish the real places as offers and synthetic demands, and let gossip spread them."""
        self.screen.chapter(2, _("Each publishes the real France services of its département"))
        before = {node: node.client.get("/v1/arrivals")["next"] for node in self.nodes}
        with self.screen.live(_("Publishing…")) as moving:
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                published = list(pool.map(self._publish_one, self.nodes))
            offers = sum(p[0] for p in published)
            wishes = sum(p[1] for p in published)
            took = self._agree(self.nodes, moving)
        self.screen.done(
            _("{offers} real offers and {demands} synthetic demands").format(
                offers=offers, demands=wishes
            )
        )
        self.screen.done(
            _("All {n} nodes hold the same records").format(n=len(self.nodes)),
            _("{time} after the last was published").format(time=seconds(took)),
        )
        self._measure_spread(before)
        self.screen.note(
            _("time to spread: p50 {p50}, p99 {p99}, over {n} deliveries").format(
                p50=seconds(self.figures.spread_ms_p50 / 1000),
                p99=seconds(self.figures.spread_ms_p99 / 1000),
                n=self.figures.spread_deliveries,
            )
        )
        rows = [(n.area.name, n.status()) for n in self.nodes]
        self.screen.show(node_table(rows, self.screen.console.width))

    def arrive_late(self) -> None:
        """Invite a sixth coop, which catches up with what it missed by comparing sets."""
        self.screen.chapter(3, _("A sixth coop is invited and catches up"))
        with self.screen.live(_("Inviting and joining…")) as moving:
            self.late.set_up()
            code = self.nodes[0].client.post("/v1/federation/invitations", {"days": 1})["code"]
            joined = self.late.command("federation", "join", code)
            self.screen.done(
                _("{name} joined with an invitation of {inviter}").format(
                    name=LATE.name, inviter=self.nodes[0].area.name
                ),
                joined["federation"],
            )
            moving.text = _("Catching up…")
            start = time.monotonic()
            self.late.start()
            self._agree(self.all, moving)
        status = self._status(self.late)
        # From the start of its process, so imports and connecting are counted too.
        self.figures.catch_up_s = time.monotonic() - start
        self.figures.catch_up_records = status["live"]
        self.figures.catch_up_bytes = status["bytes_in"]
        self.screen.done(
            _("It holds all {n} records").format(n=status["live"]),
            _("{time} after its process started, {bytes} received").format(
                time=seconds(self.figures.catch_up_s), bytes=size(status["bytes_in"])
            ),
        )
        offers, wishes = self._publish_one(self.late)
        with self.screen.live(_("Spreading what it publishes…")) as moving:
            self._agree(self.all, moving)
        self.screen.done(_("Its own {n} records are everywhere").format(n=offers + wishes))

    def crash(self) -> None:
        """Kill a node while others publish; nothing it had confirmed may be lost."""
        self.screen.chapter(4, _("A node is killed and comes back"))
        victim, others = self.nodes[2], [n for n in self.all if n is not self.nodes[2]]
        with self.screen.live(_("Publishing and killing…")) as moving:
            confirmed = [
                victim.client.post("/v1/records", {"kind": "demand", "payload": payload})["id"]
                for payload in demands(victim.area, WHILE_DOWN, self.rng)
            ]
            victim.kill()
            self.killed = victim.area.name
            self.screen.done(
                _("{name} was killed with SIGKILL right after confirming {n} demands").format(
                    name=victim.area.name, n=len(confirmed)
                )
            )
            missed = [
                others[0].client.post("/v1/records", {"kind": "demand", "payload": payload})["id"]
                for payload in demands(others[0].area, WHILE_DOWN, self.rng)
            ]
            start = time.monotonic()
            victim.start()
            self._agree(self.all, moving)
            self.figures.restart_s = time.monotonic() - start
        lost = [
            id
            for node in self.all
            for id in (*confirmed, *missed)
            if node.client.get(f"/v1/records/{id}")["payload"] is None
        ]
        if lost:
            raise DemoFailed(_("Records were lost: {ids}.").format(ids=", ".join(lost)))
        self.screen.done(
            _("Back after {time} with all it had confirmed and the {n} it missed").format(
                time=seconds(self.figures.restart_s), n=len(missed)
            )
        )

    def search(self) -> None:
        """Search on one node for what another published."""
        self.screen.chapter(5, _("A resident searches, without an account"))
        asked, publisher = self.nodes[0], self.nodes[1]
        offers = publisher.client.get("/v1/records", kind="offer", mine=True, limit=50)["records"]
        places: list[dict[str, Any]] = [offer["payload"]["place"] for offer in offers]
        place = next(place for place in places if "lat" in place)
        answer = asked.client.get(
            "/v1/search",
            q=QUERY,
            kind=["offer"],
            lat=place["lat"] / 1e6,
            lon=place["lon"] / 1e6,
            km=30,
            limit=3,
        )
        foreign = [hit for hit in answer["hits"] if hit["coop_name"] != asked.area.name]
        if not foreign:
            raise DemoFailed(_("The search found nothing of another coop."))
        self.figures.offers_of_others_found = len(foreign)
        self.screen.done(
            _("On {name}: «{query}», within 30 km of {city}").format(
                name=asked.area.name, query=QUERY, city=place.get("city", "")
            )
        )
        for hit in answer["hits"]:
            self.screen.item(f"{hit['payload']['title']} — {hit['coop_name']}")
            self.screen.note("  " + " · ".join(hit["reasons"][:3]))

    def withdraw(self) -> None:
        """Withdraw an offer and see it gone from every node."""
        self.screen.chapter(6, _("An offer is withdrawn"))
        owner = self.nodes[1]
        offer = owner.client.get("/v1/records", kind="offer", mine=True, limit=1)["records"][0]
        title = offer["payload"]["title"]
        with self.screen.live(_("Withdrawing…")) as moving:
            start = time.monotonic()
            owner.client.post(f"/v1/records/{offer['id']}/withdraw", {"reason": "démonstration"})
            wait_until(
                _("the offer is gone from every node"),
                lambda: all(self._gone(node, offer["id"]) for node in self.all),
                within_s=AGREES_WITHIN_S,
            )
            self.figures.withdrawn_everywhere_s = time.monotonic() - start
            self._agree(self.all, moving)
        found = [
            hit["id"]
            for node in self.all
            for hit in node.client.get("/v1/search", q=title, limit=50)["hits"]
            if hit["id"] == offer["id"]
        ]
        if found:
            raise DemoFailed(_("A withdrawn offer is still found."))
        self.screen.done(
            _("«{title}» is gone from all {n} nodes").format(title=title, n=len(self.all)),
            seconds(self.figures.withdrawn_everywhere_s),
        )

    def summarise(self) -> None:
        """Compare all nodes a last time and add the figures up."""
        with self.screen.live(_("Comparing the nodes…")) as moving:
            self._agree(self.all, moving)
        now = [(node.area.name, self._status(node)) for node in self.all]
        figures = self.figures
        figures.records = now[0][1]["live"]
        figures.agree = len({status["fingerprint"] for _name, status in now}) == 1
        figures.signatures_checked = sum(s["signatures"]["checked"] for _name, s in now)
        deliveries = sum(s["live"] for _name, s in now)
        figures.bytes_sent_per_record = sum(s["bytes_out"] for _name, s in now) / deliveries
        figures.nodes = [
            {
                "name": name,
                "restarted": name == self.killed,
                "records": s["live"],
                "by_kind": s["records"],
                "fingerprint": s["fingerprint"],
                "bytes_out": s["bytes_out"],
                "signatures_checked": s["signatures"]["checked"],
            }
            for name, s in now
        ]

    # --- helpers --------------------------------------------------------------------------------

    def _publish_one(self, node: Node) -> tuple[int, int]:
        """Publish a coop's offers, register its residents and publish what they ask for."""
        rng = random.Random(f"{self.seed}/{node.area.code}")
        codes = share(node.area.code) if self.everywhere else [node.area.code]
        created = 0
        # Conditions of one import must hold together, so each département is its own.
        for code in codes:
            for event in node.client.stream(
                "POST", "/v1/import", content=france_services(),
                format="france-services", where=[f"insee_dep={code}"],
            ):  # fmt: skip
                if event["event"] == "failed":
                    raise DemoFailed(event["message"])
                if event["event"] == "done":
                    created += event["created"]
        people = [
            node.client.post("/v1/members", {"name": f"Résident fictif {n + 1}"})["person"]
            for n in range(RESIDENTS_PER_COOP)
        ]
        self.desk.enrol(node, people)
        wishes = demands(node.area, DEMANDS_PER_COOP, rng)
        for number, payload in enumerate(wishes):
            node.client.post(
                "/v1/records",
                {
                    "kind": "demand",
                    "payload": payload,
                    "as_member": people[number % len(people)],
                },
            )
        return created, len(wishes)

    def _measure_spread(self, since: dict[Node, int]) -> None:
        """Compare when each record was first seen where it was published and elsewhere."""
        seen: dict[str, list[int]] = {}
        for node, mark in since.items():
            for arrival in node.client.get("/v1/arrivals", since=mark)["arrivals"]:
                seen.setdefault(arrival["id"], []).append(arrival["at_ms"])
        delays = [
            at - min(times)
            for times in seen.values()
            if len(times) == len(since)
            for at in sorted(times)[1:]
        ]
        if len(delays) < 2:
            raise DemoFailed(_("No record reached every node."))
        cuts = statistics.quantiles(delays, n=100)
        self.figures.spread_ms_p50 = cuts[49]
        self.figures.spread_ms_p99 = cuts[98]
        self.figures.spread_deliveries = len(delays)

    def _status(self, node: Node) -> dict[str, Any]:
        status = node.status()
        if status is None:
            raise DemoFailed(_("The node of {name} does not answer.").format(name=node.area.name))
        return status

    def _gone(self, node: Node, id: str) -> bool:
        return node.client.get(f"/v1/records/{id}")["payload"] is None

    def _agree(self, nodes: Sequence[Node], moving: Any) -> float:
        """Wait until all nodes hold the same set of records, and return how long it took."""

        def same(now: Sequence[dict[str, Any] | None]) -> bool:
            prints = {s["fingerprint"] if s else None for s in now}
            return None not in prints and len(prints) == 1

        return self._wait(
            _("all nodes hold the same records"), same, nodes, moving, within_s=AGREES_WITHIN_S
        )

    def _wait(
        self,
        what: str,
        check: Callable[[Sequence[dict[str, Any] | None]], bool],
        nodes: Sequence[Node],
        moving: Any,
        *,
        within_s: float,
    ) -> float:
        def look() -> bool:
            now = [node.status() for node in nodes]
            moving.body = node_table(
                [(n.area.name, s) for n, s in zip(nodes, now, strict=True)],
                self.screen.console.width,
            )
            return check(now)

        return wait_until(what, look, within_s=within_s)


def share(code: str) -> list[str]:
    """Return the départements that a coop publishes when all of France is shared out."""
    codes = departements()
    coops = sorted(area.code for area in (*AREAS, LATE))
    own = coops.index(code)
    others = [c for n, c in enumerate(codes) if c not in coops and n % len(coops) == own]
    return [code, *others]


def departements() -> list[str]:
    import csv
    import io

    rows = csv.DictReader(io.StringIO(france_services().decode("utf-8-sig")))
    return sorted({row["insee_dep"] for row in rows})
