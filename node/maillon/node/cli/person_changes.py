"""`maillon person recovery`, `move` and `arrive`: new keys, and another coop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.exchange_acting import known
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _

Json = dict[str, Any]


def _path(name: str) -> str:
    return f"/v1/persons/{path_part(known().person(name))}"


# --- recovery -----------------------------------------------------------------------------------


@click.group(
    "recovery",
    cls=base.Group,
    help=_(
        """Give somebody a new key after they lost theirs, in the open.

        Who still has the recovery words makes the key anew with `maillon device restore`; then
        nothing else is needed. Otherwise the coop vouches for a new key after its own procedure;
        it counts after some days, in which whoever has the old key can contest it. This is about
        the person: what they publish, agree to and sign in with. The key of their account, which
        gives and receives, is another: `maillon account recover NAME` replaces that one.

        The old key works until then. Where it may be in wrong hands, end it at once with `maillon
        member revoke NAME --reason lost`, and set the account's limit with `maillon account limit`.

        \b
          maillon person recovery begin "Ana Exemple" --procedure "Identity card seen at the desk"
          maillon person recovery list
          maillon person recovery contest 61ab02c4
        """
    ),
)
def recovery() -> None:
    pass


@recovery.command("begin", help=_("Vouch for a new key in the place of a lost one."))
@click.argument("name")
@click.option("--procedure", required=True, help=_("How the coop made sure; published."))
@click.option("--old-key", metavar="HEX", help=_("Which key is lost, where there are several."))
@click.option("--key", metavar="HEX", help=_("Public signing key of the new device [kept here]."))
@click.option("--sealing", metavar="HEX", help=_("Public sealing key of the new device."))
@click.option("--days", type=click.IntRange(1, 90), help=_("How long it can be contested."))
def begin(
    name: str,
    procedure: str,
    old_key: str | None,
    key: str | None,
    sealing: str | None,
    days: int | None,
) -> None:
    from maillon.node.cli.who import hex_key

    client = base.state().client()
    path = _path(name)
    lost = old_key or ""
    if not lost:
        active = [d["key"] for d in client.get(path)["devices"] if d["status"] == "active"]
        if len(active) != 1:
            base.fail(
                "usage",
                _("Say which key is lost: {name} has {n}.").format(name=name, n=len(active)),
                _("With --old-key; see them with: maillon person show NAME"),
            )
        lost = str(active[0])
    if bool(key) != bool(sealing):
        base.fail("usage", _("--key and --sealing come together."))
    body: Json = {"old_key": hex_key(lost, "--old-key"), "procedure": procedure}
    if key and sealing:
        body |= {"key": hex_key(key, "--key"), "sealing": hex_key(sealing, "--sealing")}
    if days is not None:
        body["days"] = days
    data = client.post(f"{path}/recoveries", body)
    name = base.printable(data["name"])

    def human() -> None:
        told = _(
            "The new key of {name} counts from {when} on, unless whoever has the old one contests "
            "it. Nobody can sign in or act with it before."
        )
        click.echo(told.format(name=name, when=base.when(data["contest_until"])))
        base.advise(_(
            "The old key works until then. To block it now: {command}"
        ).format(command=f"maillon member revoke '{name}' --reason lost"))  # fmt: skip
        base.advise(_(
            "The account has a key of its own. If that is lost too: {command}"
        ).format(command=f"maillon account recover '{name}'"))  # fmt: skip

    base.emit(data, human)


@recovery.command("list", help=_("List recoveries, those that can still be contested first."))
def list_recoveries() -> None:
    data = base.state().client().get("/v1/recoveries")
    states = {
        "open": _("can be contested"),
        "contested": _("contested"),
        "done": _("done"),
        "cancelled": _("cancelled"),
    }
    rows = [
        (
            entry["recovery"][:8],
            entry["name"],
            base.when(entry["at"]),
            base.when(entry["contest_until"]),
            states.get(entry["status"], entry["status"]),
            entry["procedure"],
        )
        for entry in data["recoveries"]
    ]
    columns = (_("id"), _("name"), _("since"), _("until"), _("state"), _("procedure"))
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("There is no recovery.")))


@recovery.command(
    "contest",
    help=_(
        """Stop a recovery that the person did not ask for, with the old key.

        A key that the node keeps signs; one on a device signs a `contest` record there.
        """
    ),
)
@click.argument("id")
@click.option("--signed", metavar="HEX", help=_("A contest record that the old key signed."))
def contest(id: str, signed: str | None) -> None:
    body = {} if signed is None else {"signed": signed}
    path = f"/v1/recoveries/{path_part(_whole_recovery(id))}/contest"
    data = base.state().client().post(path, body)
    base.emit(data, _("Contested: the new key does not count."))


def _whole_recovery(text: str) -> str:
    from maillon.node.cli.who import the_one

    wanted = text.strip().rstrip("…").lower()
    entries = base.state().client().get("/v1/recoveries")["recoveries"]
    found = [
        (e["recovery"], e["name"]) for e in entries if wanted and e["recovery"].startswith(wanted)
    ]
    none = base.problem(
        "not_found",
        _("There is no recovery {id}.").format(id=wanted[:16]),
        _("See them with: maillon person recovery list"),
    )
    return the_one(text, found, none)[0]


# --- moving -------------------------------------------------------------------------------------


@click.group(
    "move",
    cls=base.Group,
    help=_(
        """Leave for another coop, with identity, history, evaluations and balance.

        \b
          maillon person move prepare "Ana Exemple" "Coop de la Drôme" -o ticket.html
        At the other coop, with the ticket and, on another way, its code:
          maillon person arrive TICKET "Ana Exemple" --code CODE
        """
    ),
)
def move() -> None:
    pass


def _state(status: str) -> str:
    words = {
        "prepared": _("prepared"),
        "arrived": _("the new coop vouches"),
        "declared": _("declared"),
        "balanced": _("the balance has gone over"),
        "closed": _("done"),
        "cancelled": _("cancelled"),
    }
    return words.get(status, status)


@move.command("prepare", help=_("Prepare to leave; the ticket is shown this once."))
@click.argument("name")
@click.argument("coop")
@click.option("--without-key", is_flag=True, help=_("Leave the key that the node keeps here."))
@click.option("--output", "-o", type=click.Path(dir_okay=False), metavar="FILE.html")
def prepare(name: str, coop: str, without_key: bool, output: str | None) -> None:
    body = {"to_coop": known().coop(coop)[0], "with_key": not without_key}
    data = base.state().client().post(f"{_path(name)}/moves", body)
    if output is not None:
        Path(output).write_text(data["html"], encoding="utf-8")

    def human() -> None:
        click.echo(
            _("{name} can go to {coop} now. Give them the ticket:").format(
                name=base.printable(data["name"]), coop=base.printable(data["to_coop_name"])
            )
        )
        click.echo("  " + data["ticket"])
        if data["code"]:
            click.echo(_("And on another way the code that opens the key in it:"))
            click.echo("  " + data["code"])
        click.echo(_("There: maillon person arrive TICKET NAME --code CODE"))

    base.emit(data, human)


@move.command("list", help=_("List who moves away, and how far it has come."))
def list_moves() -> None:
    data = base.state().client().get("/v1/moves")
    rows = [
        (entry["name"], entry["to_coop_name"], _state(entry["status"]), base.when(entry["at"]),
         entry["detail"])
        for entry in data["moves"]
    ]  # fmt: skip
    columns = (_("name"), _("to"), _("state"), _("since"), "")
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("Nobody moves.")))


@move.command("cancel", help=_("Stay after all, as long as the move is not declared."))
@click.argument("name")
def cancel(name: str) -> None:
    data = base.state().client().post(f"{_path(name)}/moves/cancel")
    base.emit(data, _("{name} stays.").format(name=base.printable(data["name"])))


@click.command(
    "arrive",
    cls=base.Command,
    help=_(
        """Take in somebody who moves here, with the ticket from their old coop.

        \b
          maillon person arrive TICKET "Ana Exemple" --code CODE --limit 10h
          maillon person arrive TICKET "Ana Exemple" --code CODE --limit heure=10h --limit grain=50

        The same command again goes on where it broke off.
        """
    ),
)
@click.argument("ticket")
@click.argument("name")
@click.option("--code", help=_("What opens the key in the ticket."))
@click.option(
    "--limit", "limits", multiple=True, metavar="AMOUNT", help=_("How far below zero [0].")
)
@click.option("--note", default="", help=_("Kept in your register only."))
def arrive(ticket: str, name: str, code: str | None, limits: tuple[str, ...], note: str) -> int:
    from maillon.node.cli.accounts import limits_by_unit

    body: Json = {"ticket": ticket, "name": name, "note": note}
    if limits:
        body["limits"] = limits_by_unit(known(), limits)
    if code:
        body["code"] = code
    client = base.state().client()
    data = client.post("/v1/arrivals/persons", body, timeout=base.patience(15.0))
    base.emit(
        data,
        _("{name} belongs to your coop now, as {person}; the balance follows by itself.").format(
            name=name, person=data["person"][:8]
        ),
    )
    return base.OK


COMMANDS = (recovery, move, arrive)
