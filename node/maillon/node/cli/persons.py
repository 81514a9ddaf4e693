"""`maillon person`: what the coop holds about somebody, who acted for them, moving, recovery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.exchange_acting import known
from maillon.node.cli.paths import path_part
from maillon.node.cli.person_changes import COMMANDS
from maillon.node.cli.sections import SectionedGroup
from maillon.node.i18n import _

Json = dict[str, Any]


def _sections() -> Sequence[tuple[str, Sequence[str]]]:
    return (
        (_("Look"), ("show", "acts", "mandates", "reputation")),
        (_("Privacy"), ("export", "erase", "retention")),
        (_("Lost keys"), ("recovery",)),
        (_("Another coop"), ("move", "arrive")),
    )


@click.group(
    cls=SectionedGroup,
    sections=_sections,
    help=_(
        """Everything about one person of your coop: keys, acts done for them, data, moving.

        \b
          maillon person show "Ana Exemple"
          maillon person acts "Ana Exemple"                 every act that helpers did for her
          maillon person export "Ana Exemple" -o ana.zip    all that this node holds about her
          maillon person recovery begin "Ana Exemple" --procedure "…"
          maillon person move prepare "Ana Exemple" "Coop de la Drôme"

        People are registered with `maillon member`, their devices with `maillon device`.
        """
    ),
)
def person() -> None:
    pass


def _path(name: str) -> str:
    return f"/v1/persons/{path_part(known().person(name))}"


def custody_in_words(custody: str) -> str:
    """Return who holds a key."""
    words = {"node": _("the node"), "device": _("a device"), "paper": _("paper")}
    return words.get(custody, custody)


@person.command(
    "show",
    help=_(
        """Show what the coop knows of a person and vouches for: keys, status, who verified it.

        \b
          maillon person show "Ana Exemple"
        """
    ),
)
@click.argument("name")
def show(name: str) -> None:
    data = base.state().client().get(_path(name))
    base.emit(data, lambda: _show(data))


def _show(data: Json) -> None:
    click.echo(click.style(base.printable(data["name"]), bold=True))
    rows: list[tuple[str, object]] = [
        (_("person"), data["person"]),
        (_("author"), data["author"]),
        (_("roles"), ", ".join(data["roles"])),
    ]
    if data["provider_status"]:
        verified = (
            _("approved by {coop}").format(coop=data["verified_by_name"])
            if data["verification"] == "approved"
            else _("self-declared")
        )
        rows.append((_("status"), f"{data['provider_status']} ({verified})"))
        rows.append((_("may be paid in"), ", ".join(data["payable"]) or "–"))
    if data["note"]:
        rows.append((_("note"), data["note"]))
    if data["moved_to"]:
        rows.append((_("moved to"), data["moved_to"]))
    base.print_table(("", ""), rows, empty="")
    accounts: dict[str, str] = {
        "yes": _("spends"),
        "no": "",
        "pending": _("spends from {when}"),
    }
    devices = [
        (
            device["key"],
            custody_in_words(device["custody"]),
            device["status"],
            base.when(device["until"]),
            accounts.get(str(device["account"]), "").format(when=base.when(device["pending_from"])),
        )
        for device in data["devices"]
    ]
    columns = (_("key"), _("held by"), _("state"), _("until"), _("account"))
    base.print_table(columns, devices, empty=_("No key."))


@person.command("mandates", help=_("List the mandates that somebody gave, and those they hold."))
@click.argument("name")
def mandates(name: str) -> None:
    data = base.state().client().get(f"{_path(name)}/mandates")

    def human() -> None:
        rows = [
            (
                entry["mandate"][:12],
                entry["principal_name"] or entry["principal"][:8],
                entry["delegate_name"] or entry["delegate_coop_name"] or entry["delegate_key"][:8],
                ", ".join(entry["kinds"]),
                base.when(entry["end"]),
                _("revoked") if entry["revoked"] else "",
                entry["acts"],
            )
            for entry in [*data["given"], *data["received"]]
        ]
        columns = (
            _("mandate"), _("for"), _("acts"), _("kinds"), _("until"), "", _("used"),
        )  # fmt: skip
        base.print_table(columns, rows, empty=_("There is no mandate."))

    base.emit(data, human)


@person.command(
    "acts",
    help=_(
        """List every act that helpers did for a person, the newest first; or a sheet to print.

        A mandate is ended at once with `maillon mandate revoke ID`.

        \b
          maillon person acts "Ana Exemple" --since 2026-03-01
          maillon person acts "Ana Exemple" --sheet -o acts.html
        """
    ),
)
@click.argument("name")
@click.option("--mandate", metavar="ID", help=_("Only under this mandate."))
@click.option("--since", metavar="TIME", help=_("From then on."))
@click.option("--sheet", is_flag=True, help=_("As a sheet to print, or text without --output."))
@click.option("--lang", type=click.Choice(["fr", "en"]), default="fr", help=_("Of the sheet."))
@click.option("--output", "-o", type=click.Path(dir_okay=False), metavar="FILE.html")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", metavar="CURSOR", help=_("Go on where the last list ended."))
def acts(
    name: str,
    mandate: str | None,
    since: str | None,
    sheet: bool,
    lang: str,
    output: str | None,
    limit: int,
    after: str | None,
) -> None:
    client = base.state().client()
    asked: Json = {
        "mandate": mandate,
        "since": None if since is None else base.moment(since, start=True),
    }
    path = f"{_path(name)}/acts"
    if sheet or output:
        data = client.get(f"{path}/receipt", **asked, lang=lang)
        if output is not None:
            Path(output).write_text(data["html"], encoding="utf-8")
            data = {"file": output}
            base.emit(data, _("Wrote {file}.").format(file=output))
        else:
            base.emit(data, str(data["text"]))
        return
    data = client.get(path, **asked, limit=limit, after=after)
    rows = [
        (
            base.when(act["at"]),
            act["delegate_name"] or act["delegate_key"][:8],
            act["what"],
            act["text"],
            act["title"],
            _("refused: {why}").format(why=act["refused"]) if act["refused"] else "",
            act["mandate"][:8],
        )
        for act in data["acts"]
    ]
    columns = (
        _("when"), _("who"), _("what"), _("amount"), _("title"), "", _("mandate"),
    )  # fmt: skip

    def human() -> None:
        base.print_table(columns, rows, empty=_("Nobody has acted for them."))
        if data["next"]:
            click.echo(_("More with: --after {cursor}").format(cursor=data["next"]))
        if rows:
            base.advise(_("To end a mandate at once: {command}").format(
                command="maillon mandate revoke ID"
            ))  # fmt: skip

    base.emit(data, human)


@person.command(
    "export",
    help=_(
        """Write everything that this node holds about a person into a zip file for them.

        \b
          maillon person export "Ana Exemple" -o ana.zip
        """
    ),
)
@click.argument("name")
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), metavar="FILE.zip")
def export(name: str, output: str) -> None:
    from maillon.node.home import write_atomic

    if Path(output).exists():
        base.fail(
            "already_exists",
            _("{path} exists already and was left as it is.").format(path=output),
            _("Choose another name."),
        )
    data = base.state().client().content(f"{_path(name)}/export")
    write_atomic(Path(output), data)
    base.emit(
        {"file": output, "bytes": len(data)},
        _("Wrote {file}: for {name} and nobody else.").format(file=output, name=name),
    )


@person.command(
    "erase",
    help=_(
        """Erase a person from every file of this node; it cannot be undone.

        What the accounts need stays, without name or words. An account has to be at rest; with
        --settle what is left on it goes to the coop's own account first.

        \b
          maillon person erase "Ana Exemple" --settle
        """
    ),
)
@click.argument("name")
@click.option("--settle", is_flag=True, help=_("Give what is left to the coop's own account."))
@click.option("--yes", is_flag=True, help=_("Do not ask."))
def erase(name: str, settle: bool, yes: bool) -> int:
    client = base.state().client()
    shown = client.get(_path(name))
    question = _("Erase {name} for good?").format(name=base.printable(shown["name"]))
    if not (yes or base.confirm(question)):
        raise click.Abort
    body = {"confirm": shown["person"], "settle_to_commons": settle}
    path = f"/v1/persons/{shown['person']}/erase"
    data = client.post(path, body, timeout=base.patience(60.0))

    def human() -> None:
        if data["done"]:
            click.echo(_("Erased from every file of this node."))
        else:
            click.echo(_("Begun; it goes on by itself."))
        for line in data["left"]:
            click.echo("  " + _("stays: {what}").format(what=base.printable(line)))

    base.emit(data, human)
    return base.OK if data["done"] else base.PARTIAL


@person.group(
    "retention",
    cls=base.Group,
    help=_(
        """How long what is kept about people; the days are set under [retention] in config.toml.

        \b
          maillon person retention show
          maillon person retention run
        """
    ),
)
def retention() -> None:
    pass


@retention.command("show", help=_("Show how long what is kept, and what is due."))
def show_retention() -> None:
    data = base.state().client().get("/v1/retention")
    rows = [
        (
            rule["what"],
            _("for ever") if not rule["days"] else _("{n} days").format(n=rule["days"]),
            rule["due"],
            base.when(rule["last"]),
        )
        for rule in data["rules"]
    ]
    columns = (_("what"), _("kept for"), _("due now"), _("last looked at"))
    base.emit(data, lambda: base.print_table(columns, rows, empty=""))


@retention.command("run", help=_("Remove what was kept long enough; it happens daily by itself."))
def run_retention() -> None:
    data = base.state().client().post("/v1/retention/run")
    total = sum(data["removed"].values())
    base.emit(data, _("Removed {n} entries.").format(n=total))


for command in COMMANDS:
    person.add_command(command)
