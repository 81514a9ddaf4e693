"""A federation of real nodes with accounts, driven by the commands that people type.

Commands run in this process, which is fast; the nodes are processes of their own.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from maillon.node.cli.app import run
from support.commands import Told
from support.nodes import TestNode, nodes, wait_for

UNITS = ("heure:hours:Heure", "grain:credit:Grain", "savoir:count:Échange de savoirs")


class Exchanges:
    """Coops that keep accounts together."""

    def __init__(self, coops: Sequence[TestNode]) -> None:
        self.coops = list(coops)

    def tell(self, place: int, *arguments: str, as_json: bool = True) -> Told:
        """Run a command at a coop's node and return what it told."""
        out, err = io.StringIO(), io.StringIO()
        home = str(self.coops[place].home)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["--home", home, *(["--json"] if as_json else []), *arguments])
        return Told(code, out.getvalue(), err.getvalue())

    def do(self, place: int, *arguments: str) -> Any:
        """Run a command that must succeed and return its document."""
        told = self.tell(place, *arguments)
        assert told.code == 0, (arguments, told.err, told.out)
        return told.data

    def refused(self, place: int, *arguments: str) -> Any:
        """Run a command that must be refused and return the error."""
        told = self.tell(place, *arguments)
        assert told.code != 0, (arguments, told.out)
        return told.error

    def enrol(self, place: int, name: str, *options: str) -> str:
        """Register a member, open an account for them, and return the id of both."""
        person: str = self.do(place, "member", "add", name)["person"]
        self.do(place, "account", "open", name, *options)
        return person

    def address(self, place: int, account: str) -> str:
        """Return how an account is named at another coop."""
        return f"{self.coops[place].name}:{account}"

    def position(self, place: int, name: str, unit: str, at: int | None = None) -> dict[str, Any]:
        """Return what an account has in a unit."""
        where = name if at is None else self.address(place, name)
        shown = self.do(place if at is None else at, "account", "show", where)
        found: list[dict[str, Any]] = [p for p in shown["positions"] if p["code"] == unit]
        assert len(found) == 1, shown
        return found[0]

    def balance(self, place: int, name: str, unit: str) -> int:
        """Return a balance in minor units."""
        return int(self.position(place, name, unit)["balance"])

    def arrives(self, place: int, name: str, unit: str, balance: int) -> None:
        """Wait until a balance is there: what another coop gave comes a moment later."""
        wait_for(
            lambda: self.balance(place, name, unit) == balance,
            f"{name} has {balance} of {unit}",
        )

    def settled(self) -> list[dict[str, Any]]:
        """Wait until all nodes hold the same blocks; return what each found by replaying them."""

        def same() -> bool:
            heads = [
                {h["chain"]: h["hash"] for h in node.get("/v1/ledger/heads")["heads"]}
                for node in self.coops
            ]
            return all(found == heads[0] for found in heads)

        wait_for(same, "all nodes hold the same blocks")
        return [self.do(place, "ledger", "verify") for place in range(len(self.coops))]

    def total(self, unit: str) -> int:
        """Add up all accounts of all coops in a unit."""
        total = 0
        for place in range(len(self.coops)):
            for account in self.do(place, "account", "list", "--all")["accounts"]:
                total += sum(p["balance"] for p in account["positions"] if p["code"] == unit)
        return total


@contextlib.contextmanager
def federation(
    directory: Path, *names: str, units: Sequence[str] = UNITS, more: Sequence[str] = ()
) -> Generator[Exchanges]:
    """Give running nodes of coops that founded a federation with accounts together."""
    with nodes(directory, *names) as coops:
        cards = [node.init().cli("federation", "card")["card"] for node in coops]
        proposal = directory / "federation.maillon"
        options = [word for unit in units for word in ("--unit", unit)]
        found = ["federation", "found", "--name", "F", "--quorum", "1", *options, *more]
        if len(coops) == 1:
            coops[0].cli(*found)
        else:
            coops[0].cli(*found, "--output", str(proposal), *cards[1:])
            for node in coops[1:]:
                node.cli("federation", "sign", str(proposal))
            for node in coops:
                node.cli("federation", "install", str(proposal))
        for node in coops:
            node.spawn()
        made = Exchanges(coops)
        for node in coops:
            wait_for(lambda node=node: _ready(node), f"{node.name} is ready")  # type: ignore[misc]
        yield made


def _ready(node: TestNode) -> bool:
    """Tell whether a node reaches a quorum of witnesses."""
    assert node.process is not None and node.process.poll() is None, node.log.read_text()
    if not node.listens():
        return False
    state = json.loads(node.http.get("/v1/ledger").content)
    if not state.get("enabled"):
        return False
    reached = sum(bool(w["own"] or w["reachable"]) for w in state["witnesses"])
    return bool(reached >= state["quorum"] > 0)
