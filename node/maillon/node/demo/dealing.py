"""How the demonstration's residents deal with each other: steps over their nodes' interfaces."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from maillon.node.demo.nodes import DemoFailed, Node, wait_until
from maillon.node.demo.orders import FINAL_WITHIN_S, ORDER_WAIT_S, UNIT, Desk, Resident
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

Json = dict[str, Any]

# Somebody must be reachable when the agreement's other side is not; plainly no real number.
FALLBACK = {"name": "Accueil fictif de la coop", "phone": "+33 4 00 00 00 00"}


@dataclass(slots=True)
class Dealings:
    """The figures of the exchanges, in the summary and for --json."""

    exchanges: int = 0
    steps: int = 0
    step_ms: list[float] = field(default_factory=list[float])
    acts: int = 0
    proposed: int = 0
    proposed_of_others: int = 0
    mediated_minutes: int = 0
    bundle_parts: int = 0
    auction_nodes: int = 0
    cheque_refused: str = ""
    resumed_s: float = 0.0
    payments_after_restart: int = 0
    evaluations_published: int = 0


class Dealing:
    """Takes steps for residents and for coops, and waits until the other side has seen them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.figures = Dealings()

    # --- who ------------------------------------------------------------------------------------

    def author(self, who: Resident) -> str:
        """Return a resident's author: their coop and person."""
        return f"70{self.desk.coop(who.node)}{who.person}"

    def account(self, who: Resident) -> str:
        """Return a resident's account as another coop names it."""
        return f"{self.desk.coop(who.node)}:{who.person}"

    # --- exchanges ------------------------------------------------------------------------------

    def open(self, who: Resident, other: Resident | None, title: str, **more: Any) -> str:
        """Open an exchange as requester, or on something published (`about`); return its id."""
        body: Json = {"by": who.person, "title": title, "lang": "fr", **more}
        if other is not None:
            body |= {"with": self.author(other), "role": "requester"}
        done = who.node.client.post("/v1/exchanges", body, timeout=FINAL_WITHIN_S)
        self.figures.exchanges += 1
        return str(done["exchange"]["id"])

    def take(
        self,
        who: Resident | Node,
        exchange: str,
        kind: str,
        fields: Mapping[str, Any] | None = None,
        *,
        as_: str | None = None,
        wait_s: float = 0.0,
    ) -> Json:
        """Take a step as a resident, or as a coop; return the exchange as it is then."""
        node, by = (who, "coop") if isinstance(who, Node) else (who.node, who.person)
        body: Json = {"kind": kind, "fields": dict(fields or {}), "by": by, "wait_s": wait_s}
        if as_ is not None:
            body["as"] = as_
        start = time.monotonic()
        done = node.client.post(
            f"/v1/exchanges/{exchange}/steps", body, timeout=FINAL_WITHIN_S + wait_s
        )
        self.figures.steps += 1
        if not wait_s:
            self.figures.step_ms.append(1000 * (time.monotonic() - start))
        shown: Json = done["exchange"]
        return shown

    def show(self, at: Resident | Node, exchange: str) -> Json:
        """Return an exchange as a node sees it; empty while it does not answer or knows nothing."""
        node = at if isinstance(at, Node) else at.node
        try:
            found: Json = node.client.get(f"/v1/exchanges/{exchange}")
            return found
        except LocalError as fault:
            if fault.code in ("not_found", "not_running", "timeout"):
                return {}
            raise

    def becomes(
        self, at: Resident | Node, exchange: str, what: str, check: Callable[[Json], bool]
    ) -> Json:
        """Wait until an exchange is as it must be at a node; return it."""
        seen: list[Json] = []

        def there() -> bool:
            found = self.show(at, exchange)
            seen[:] = [found]
            return bool(found) and check(found)

        wait_until(what, there, within_s=FINAL_WITHIN_S)
        return seen[0]

    def reaches(self, at: Resident | Node, exchange: str, *phases: str) -> Json:
        """Wait until an exchange is in one of some phases at a node; return it."""
        return self.becomes(
            at,
            exchange,
            _("the exchange is {phase}").format(phase=phases[0]),
            lambda found: found["phase"] in phases,
        )

    def may(self, at: Resident, exchange: str, kind: str) -> Json:
        """Wait until a kind of step is possible at a node; return the exchange."""
        return self.becomes(
            at,
            exchange,
            _("the step {kind} is possible").format(kind=kind),
            lambda found: any(step["kind"] == kind for step in found["possible"]),
        )

    # --- the usual way --------------------------------------------------------------------------

    def quote(self, who: Resident, exchange: str, amount: str, **more: Any) -> None:
        """Quote a price in hours once the other side's opening has arrived."""
        reserved = bool(more.pop("reserved", False))
        self.reaches(who, exchange, "opened")
        terms = {"kind": "amount", "unit": UNIT, "amount": amount, "fallback": FALLBACK, **more}
        fields: Json = {"terms": terms}
        if reserved:
            fields["reserved"] = True
        self.take(who, exchange, "quote", fields)

    def agree(self, asks: Resident, gives: Resident, title: str, amount: str, **terms: Any) -> str:
        """Open, quote and agree; return the exchange once the hours are reserved at both."""
        exchange = self.open(asks, gives, title)
        self.quote(gives, exchange, amount, **terms)
        self.reaches(asks, exchange, "quoted")
        self.take(asks, exchange, "agreement")
        self.reserved(gives, exchange)
        return exchange

    def reserved(self, at: Resident, exchange: str) -> Json:
        """Wait until what was agreed is reserved on the requester's account."""
        return self.becomes(
            at,
            exchange,
            _("the hours are reserved"),
            lambda found: bool(found["hold"]) and found["hold"]["status"] == "held",
        )

    def work(self, asks: Resident, gives: Resident, exchange: str, minutes: int) -> None:
        """Check in and out; wait until the requester sees it."""
        self.take(gives, exchange, "check_in")
        self.take(gives, exchange, "check_out", {"minutes": minutes, "last": True})
        self.reaches(asks, exchange, "done")

    def paid(self, asks: Resident, gives: Resident, exchange: str, minutes: int) -> None:
        """Wait until both nodes see a sum paid, once. Raises: DemoFailed when it is another."""
        for who in (asks, gives):
            found = self.reaches(who, exchange, "paid", "evaluated")
            if found["paid"] is None or found["paid"]["amount"] != minutes:
                raise DemoFailed(_("Another sum was paid than was agreed."))

    def moved(self, who: Resident, before: int, minutes: int) -> None:
        """Wait until a balance has changed by what it must."""
        wait_until(
            _("the balance of {name} is right").format(name=who.name),
            lambda: self.desk.balance(who) == before + minutes,
            within_s=FINAL_WITHIN_S,
        )

    # --- records --------------------------------------------------------------------------------

    def publish(
        self,
        node: Node,
        kind: str,
        payload: Json,
        *,
        by: Resident | None = None,
        mandate: str | None = None,
        refs: tuple[str, ...] = (),
    ) -> Json:
        """Publish a public record of a resident, or of the coop; return its ids."""
        body: Json = {"kind": kind, "payload": payload, "refs": list(refs)}
        if by is not None:
            body["as_member"] = by.person
        if mandate is not None:
            body["mandate"] = mandate
        made: Json = node.client.post("/v1/records", body, timeout=ORDER_WAIT_S + 30)
        return made

    def is_at(self, *nodes: Node, id: str) -> None:
        """Wait until nodes hold a record."""
        for node in nodes:
            wait_until(
                _("{name} has heard of what was published").format(name=node.area.name),
                lambda node=node: _holds(node, id),  # type: ignore[misc]  # bound at once
                within_s=FINAL_WITHIN_S,
            )


def _holds(node: Node, id: str) -> bool:
    try:
        return node.client.get(f"/v1/records/{id}")["payload"] is not None
    except LocalError as fault:
        if fault.code in ("not_found", "not_running", "timeout"):
            return False
        raise


def refused(work: Callable[[], object]) -> LocalError:
    """Return why something was refused. Raises: DemoFailed when it was not."""
    try:
        work()
    except LocalError as fault:
        if not isinstance(fault.facts.get("problem"), dict):
            raise
        return fault
    raise DemoFailed(_("Something was done that had to be refused."))
