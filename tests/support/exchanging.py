"""Federations of real nodes that keep accounts: founded together, with members who pay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from support.nodes import TestNode, wait_for


def found_together(nodes: Sequence[TestNode], file: Path, *options: str) -> None:
    """Make the homes of all and found one federation of them; nothing runs yet."""
    for node in nodes:
        node.init()
    first, *others = nodes
    cards = [node.cli("federation", "card")["card"] for node in others]
    if not others:
        first.cli("federation", "found", "--name", "Essai", *options)
        return
    first.cli("federation", "found", "--name", "Essai", "-o", str(file), *options, *cards)
    for node in others:
        node.cli("federation", "sign", "--yes", str(file))
    for node in nodes:
        node.cli("federation", "install", str(file))


def start_all(nodes: Sequence[TestNode]) -> None:
    """Start nodes at the same time and wait until each is connected with all others."""
    for node in nodes:
        node.spawn()
    for node in nodes:
        wait_for(partial(serving, node), f"{node.name} answers")
    for node in nodes:
        connected(node, len(nodes) - 1)


def serving(node: TestNode) -> bool:
    """Tell whether a node answers; fail with its log when its process ended."""
    assert node.process is not None and node.process.poll() is None, node.log.read_text()[-3_000:]
    return node.listens() and bool(node.http.get("/v1/status").json().get("addresses"))


def connected(node: TestNode, count: int) -> None:
    """Wait until a node is connected with so many others."""
    wait_for(
        lambda: node.get("/v1/status")["peers"]["connected"] >= count,
        f"{node.name} is connected with {count}",
    )


def post(node: TestNode, path: str, **body: Any) -> Any:
    """Post and return the answer; fail when it is an error."""
    answer = node.http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def member(node: TestNode, name: str, limit: str = "10h") -> str:
    """Register a member with an account; return `coop:account`."""
    person = post(node, "/v1/members", name=name)["person"]
    placed = post(
        node, "/v1/accounts", person=person, positions=[{"limit": limit}], wait_s=30
    )
    assert placed["status"] == "certified", placed
    return f"{node.get('/v1/status')['coop']}:{person}"


def pay(node: TestNode, payer: str, payee: str, amount: int | str, **more: Any) -> Any:
    """Pay from an account of a node; return what became of it."""
    sender = payer.partition(":")[2]
    wait_s = more.pop("wait_s", 30)
    return post(
        node, "/v1/transfers", **{"from": sender}, to=payee, amount=amount, wait_s=wait_s, **more
    )


def balance(node: TestNode, account: str) -> int:
    """Return the balance of an account in the first unit, as a node sees it."""
    coop, _, wanted = account.partition(":")
    for row in node.get("/v1/accounts", coop=coop)["accounts"]:
        if row["account"] == wanted:
            return int(sum(p["balance"] for p in row["positions"] if p["unit"] == 0))
    raise LookupError(account)


def heads(node: TestNode) -> dict[str, tuple[int, str]]:
    """Return height and hash of every chain's head."""
    return {row["chain"]: (row["h"], row["hash"]) for row in node.get("/v1/ledger/heads")["heads"]}


def agree(nodes: Sequence[TestNode]) -> None:
    """Wait until all nodes stand at the same heads."""
    wait_for(
        lambda: all(heads(node) == heads(nodes[0]) for node in nodes), "all have the same heads"
    )
