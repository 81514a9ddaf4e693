"""Propose changes of the charter: what the commands for it share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from maillon.node.cli import base
from maillon.node.i18n import _, ngettext

if TYPE_CHECKING:
    from maillon.node.cli.who import Directory

# A proposal that the last approval completes is certified within seconds.
WAIT_S = 30.0

title_option = click.option("--title", default="", help=_("What it is about, for the others."))

quorum_option = click.option(
    "--quorum",
    type=click.IntRange(1),
    metavar="N",
    help=_("Along with it, how many witnesses certify a block [what is usual for their number]."),
)


def show_consequences(proposal: dict[str, Any]) -> None:
    """Say what the witnesses withstand after a change that is not in force yet."""
    if proposal["consequences"] and proposal["status"] == "open":
        told = " ".join(proposal["consequences"])
        click.echo("  " + _("After it: {consequences}").format(consequences=base.printable(told)))


def send_proposal(entries: list[dict[str, Any]], title: str) -> int:
    """Propose these entries as one change, tell what came of it, and return the exit code."""
    client = base.state().client()
    body = {"entries": entries, "title": title}
    data = client.post("/v1/charter/proposals", body, timeout=base.patience(WAIT_S))
    return tell_proposal(data)


def tell_proposal(data: dict[str, Any]) -> int:
    """Tell how a proposal stands, and what is missing; return the exit code."""

    def human() -> None:
        if data["status"] == "certified":
            click.echo(_("It is in force, as charter block {n}.").format(n=data["height"]))
            return
        show_consequences(data)
        missing = data["needed"] - len(data["approvals"])
        id = data["proposal"][:16]
        if missing > 0:
            click.echo(
                ngettext(
                    "Proposed as {id}. {n} more coop must approve it:",
                    "Proposed as {id}. {n} more coops must approve it:",
                    missing,
                ).format(id=id, n=missing)
            )
            click.echo(f"  maillon charter approve {id}")
        else:
            click.echo(
                _("Enough coops approve {id}; the witnesses have yet to sign.").format(id=id)
            )

    base.emit(data, human)
    return base.OK


def limits_of(known: Directory, texts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return limits given as AMOUNT, or as UNIT=AMOUNT where there are several units."""
    limits: list[dict[str, Any]] = []
    for text in texts:
        code, equals, amount = text.partition("=")
        if not equals and len(known.kept_units()) > 1:
            base.fail(
                "usage",
                _("The limit {text!r} does not say of which unit.").format(text=text[:40]),
                _("Write the unit before it: --limit {code}={text}").format(
                    code=known.kept_units()[0], text=text[:40]
                ),
            )
        unit = known.unit(code.strip()) if equals else known.unit(None)
        limits.append({"unit": unit, "limit": (amount if equals else code).strip()})
    return limits


def quorum_along(known: Directory, change: int, quorum: int | None) -> list[dict[str, Any]]:
    """Return the change of the quorum that goes along when so many witnesses come, or go.

    A quorum that was the usual one stays the usual one, and one that becomes impossible becomes it;
    any other was chosen, and stays.
    """
    from maillon.ledger.quorum import default_quorum

    now = known.charter()
    if quorum is None and change:
        before = sum(bool(c["witness"]) and not c["removed"] for c in now["coops"])
        after = before + change
        kept = int(now["quorum"])
        possible = after < 2 * kept <= 2 * after
        if after > 0 and (kept == default_quorum(before) or not possible):
            quorum = default_quorum(after)
    if quorum is None or quorum == now["quorum"]:
        return []
    return [{"entry": "quorum", "quorum": quorum}]


def witness_of(known: Directory, coop: str) -> str:
    """Return the witness key that the charter names for a coop, empty for none."""
    return next((str(c["witness"]) for c in known.charter()["coops"] if c["coop"] == coop), "")
