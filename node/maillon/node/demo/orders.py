"""The desk of the demonstration: orders as a coop's staff gives them, and what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from maillon.node.demo.nodes import STARTS_WITHIN_S, DemoFailed, Node, wait_until
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

T = TypeVar("T")

UNIT = "heure"
LIMIT = "5h"
# What a coop as a whole may owe the others: enough for its two residents.
COOP_LIMIT = "20h"
# How long one order may take; two busy cores run six nodes.
FINAL_WITHIN_S = 60.0
ORDER_WAIT_S = 20.0
# Of an order that is neither final nor refused.
OPEN = ("waiting", "placed")


@dataclass(slots=True)
class Money:
    """The figures of the accounts, in the summary and for --json."""

    accounts: int = 0
    transfers: int = 0
    final_ms_p50: float = 0.0
    waited: int = 0
    charter: int = 0
    copies_final: int = 0
    lie_votes: list[int] = field(default_factory=list[int])
    lie_quorum: int = 0
    fork_proofs: int = 0
    blocks: int = 0
    signatures: int = 0
    sums: dict[str, int] = field(default_factory=dict[str, int])
    audit_good: bool = False
    exports: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Resident:
    """A resident who is made up, and the node of their coop, which keeps their key."""

    node: Node
    person: str
    number: int

    @property
    def name(self) -> str:
        """Return what the display calls them."""
        return _("resident {n} of {coop}").format(n=self.number, coop=self.node.area.name)


class Desk:
    """Gives orders at the nodes' local interfaces; `founders` and the `late` coop."""

    def __init__(self, founders: Sequence[Node], late: Node) -> None:
        self.founders = list(founders)
        self.late = late
        self.money = Money()
        self.people: dict[Node, list[Resident]] = {}
        self.times: list[float] = []
        self._coops: dict[Node, str] = {}

    @property
    def running(self) -> list[Node]:
        """Return the nodes whose processes run now."""
        return [node for node in (*self.founders, self.late) if node.process is not None]

    def enrol(self, node: Node, people: Sequence[str]) -> None:
        """Note the residents that a coop has registered."""
        self.people[node] = [Resident(node, id, n + 1) for n, id in enumerate(people)]

    def coop(self, node: Node) -> str:
        """Return the id of a node's coop, also while its process does not run."""
        if node not in self._coops:
            self._coops[node] = str(node.client.get("/v1/status")["coop"])
        return self._coops[node]

    def one(self, node: Node, place: int = 0) -> Resident:
        """Return a resident of a coop."""
        return self.people[node][place]

    # --- orders ---------------------------------------------------------------------------------

    def open_accounts(self, node: Node) -> int:
        """Open an account for each resident of a coop, and return how many there are."""
        self.coop(node)
        for resident in self.people[node]:
            body = {
                "person": resident.person,
                "positions": [{"unit": UNIT, "limit": LIMIT}],
                "wait_s": ORDER_WAIT_S,
            }
            answer = node.client.post("/v1/accounts", body, timeout=ORDER_WAIT_S + 30)
            if answer["status"] != "certified":
                self.becomes_final(node, resident.person)
        return len(self.people[node])

    def order(
        self,
        payer: Resident,
        payee: Resident,
        amount: str | int,
        wait_s: float = ORDER_WAIT_S,
        *,
        at: Node | None = None,
    ) -> dict[str, Any]:
        """Give a transfer and return what became of it; a refusal is an answer like any other."""
        body = {
            "from": payer.person,
            "to": f"{self.coop(payee.node)}:{payee.person}",
            "unit": UNIT,
            "amount": amount,
            "memo": "démonstration",
            "wait_s": wait_s,
        }
        client = (at or payer.node).client
        try:
            answer: dict[str, Any] = client.post("/v1/transfers", body, timeout=wait_s + 30)
        except LocalError as fault:
            document: Any = fault.facts.get("problem")
            if not isinstance(document, dict):
                raise
            return {
                "status": "refused", "reason": fault.code, "detail": str(fault),
                "facts": document, "id": "",
            }  # fmt: skip
        return answer

    def give(self, payer: Resident, payee: Resident, amount: str) -> float:
        """Give a transfer that must become final, and return how long that took."""
        start = time.monotonic()
        answer = self.order(payer, payee, amount)
        if answer["status"] == "refused":
            raise DemoFailed(
                _("A transfer of {name} was refused: {reason}").format(
                    name=payer.name, reason=answer["detail"] or answer["reason"]
                )
            )
        if answer["status"] != "certified":
            self.becomes_final(payer.node, answer["id"])
        self.times.append(time.monotonic() - start)
        return self.times[-1]

    def status_of(self, node: Node, id: str) -> str:
        """Return how far an order has come by what its coop's node says; empty when unknown."""
        try:
            return str(node.client.get(f"/v1/transfers/{id}")["transfer"]["status"])
        except LocalError as fault:
            if fault.code in ("not_found", "not_running", "timeout"):
                return ""
            raise

    def becomes_final(self, node: Node, id: str) -> float:
        """Wait until an order is certified, and return how long it took."""
        return wait_until(
            _("the order {id} is final").format(id=id[:12]),
            lambda: self.status_of(node, id) == "certified",
            within_s=FINAL_WITHIN_S,
        )

    def is_decided(self, node: Node, ids: Sequence[str]) -> None:
        """Wait until each of some orders is final or refused, as far as the node knows them."""
        wait_until(
            _("every order is final or refused"),
            lambda: all(self.status_of(node, id) not in OPEN for id in ids if id),
            within_s=FINAL_WITHIN_S,
        )

    # --- what stands ----------------------------------------------------------------------------

    def position(self, resident: Resident, at: Node | None = None) -> dict[str, Any]:
        """Return what a resident has, as a node sees it."""
        node = at or resident.node
        accounts = node.client.get("/v1/accounts", coop=self.coop(resident.node))["accounts"]
        found = [entry for entry in accounts if entry["account"] == resident.person]
        if not found:
            raise DemoFailed(_("The account of {name} is missing.").format(name=resident.name))
        position: dict[str, Any] = found[0]["positions"][0]
        return position

    def balance(self, resident: Resident) -> int:
        """Return a balance in minutes, as the resident's own coop keeps it."""
        return int(self.position(resident)["balance"])

    def heads(self, node: Node) -> dict[str, tuple[int, str]]:
        """Return height and hash of the last block of each chain, as a node knows them."""
        heads = node.client.get("/v1/ledger/heads")["heads"]
        return {head["chain"]: (head["h"], head["hash"]) for head in heads}

    def height(self, node: Node, chain: str) -> int:
        """Return the height of a chain as a node knows it."""
        return self.heads(node).get(chain, (0, ""))[0]

    def alive(self, *nodes: Node) -> None:
        """Wait until nodes answer and are connected to others."""
        for node in nodes:
            wait_until(
                _("{name} answers").format(name=node.area.name),
                lambda node=node: _connected(node),  # type: ignore[misc]  # bound at once
                within_s=STARTS_WITHIN_S,
            )

    def quorum_in_reach(self, node: Node) -> None:
        """Wait until a node reaches enough witnesses."""

        def enough() -> bool:
            now = node.client.get("/v1/ledger")
            reached = sum(bool(w["reachable"] or w["own"]) for w in now["witnesses"])
            return bool(reached >= now["quorum"] > 0)

        wait_until(
            _("{name} reaches enough witnesses").format(name=node.area.name),
            enough,
            within_s=STARTS_WITHIN_S,
        )

    def settled(self) -> float:
        """Wait until nothing is under way and every node holds the same blocks."""

        def same() -> bool:
            found = [self.heads(node) for node in self.running]
            return all(heads == found[0] for heads in found) and self._nothing_under_way()

        return wait_until(_("every node holds the same blocks"), same, within_s=FINAL_WITHIN_S)

    def _nothing_under_way(self) -> bool:
        """Tell whether the balances alone add up to zero, as every coop's own node keeps them."""
        node = self.running[0]
        total = 0
        for coop in self._coops.values():
            for account in node.client.get("/v1/accounts", coop=coop, all=True)["accounts"]:
                total += sum(p["balance"] for p in account["positions"] if p["code"] == UNIT)
        return total == 0

    # --- the charter ----------------------------------------------------------------------------

    def change_charter(self, entries: list[dict[str, Any]], title: str) -> list[str]:
        """Propose at the first node, approve at the others until it is in force; return by whom."""
        first = self.running[0]
        before = self._charter(first)
        body = {"entries": entries, "title": title}
        answer = first.client.post("/v1/charter/proposals", body, timeout=FINAL_WITHIN_S)
        hash: str = answer["proposal"]
        needed = int(answer["needed"])
        names = [first.area.name]
        members = {coop["coop"] for coop in first.client.get("/v1/charter")["coops"]}
        for node in self.running[1:]:
            if len(names) >= needed:
                break
            if self.coop(node) not in members:
                continue
            wait_until(
                _("{name} has heard of the proposal").format(name=node.area.name),
                lambda node=node: _heard(node, hash),  # type: ignore[misc]  # bound at once
                within_s=FINAL_WITHIN_S,
            )
            node.client.post(f"/v1/charter/proposals/{hash}/approve", timeout=FINAL_WITHIN_S)
            names.append(node.area.name)
        wait_until(
            _("the change of the charter is in force at every node"),
            lambda: all(self._charter(node) > before for node in self.running),
            within_s=FINAL_WITHIN_S,
        )
        self.money.charter = self._charter(first)
        return names

    def _charter(self, node: Node) -> int:
        return int(node.client.get("/v1/charter")["height"])

    def everywhere(self, work: Callable[[Node], T]) -> list[T]:
        """Do something at every running node at the same time, and return what came of it."""
        with ThreadPoolExecutor(len(self.running)) as pool:
            return list(pool.map(work, self.running))


def _connected(node: Node) -> bool:
    status = node.status()
    return bool(status is not None and status["peers"]["connected"] >= 1)


def _heard(node: Node, hash: str) -> bool:
    return any(
        entry["proposal"] == hash for entry in node.client.get("/v1/charter/proposals")["proposals"]
    )
