"""`maillon import` and `maillon export`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.audit import BOOKS
from maillon.node.i18n import _

FORMATS = ("jsonl", "csv", *BOOKS)

FAULTS_SHOWN_MAX = 20
# Spelt out: help must not load the protocol. A test holds them against its registry.
RECORD_KINDS = [
    "coop_profile", "admission", "membership", "mandate", "category", "offer", "demand",
    "withdrawal", "attestation", "reply", "move", "vouching", "bundle", "organisation", "relay",
    "freebusy", "bid", "cosignature", "bundle_part", "organisation_part", "auction_close", "award",
    "contest", "bid_reveal",
]  # fmt: skip


@click.command(
    "import",
    cls=base.Command,
    help=_(
        """Publish the rows of a list as offers or demands of your coop.

        A second import of the same list changes what has changed and leaves the rest alone; with
        --sync, what is no longer in the list is withdrawn. Rows that cannot be taken are told with
        their line; the others are published all the same. Exits with 8 when a row was refused.

        \b
          maillon import --builtin france-services --where insee_dep=01
          maillon import places.csv --source "Annuaire de l'Ain" --date 2026-03-01 \\
                --licence "Licence Ouverte 2.0" --dry-run
          maillon import services.json structures.json --format data-inclusion --sync

        Formats: france-services (CSV of data.gouv.fr), data-inclusion (JSON, schema version 1),
        csv (the columns are in docs/cli.md). Without --format it is recognised.
        """
    ),
)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--builtin", type=click.Choice(["france-services"]), help=_("A list that ships."))
@click.option(
    "--format", "format_", type=click.Choice(["france-services", "data-inclusion", "csv"])
)
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help=_("Only such rows; VALUE*."))
@click.option("--source", default="", help=_("Name of the list; the same at each import."))
@click.option("--date", default="", help=_("Date of the list, such as 2026-03-01."))
@click.option("--licence", default="", help=_("Licence of the list."))
@click.option("--url", default="", help=_("Where the list is published."))
@click.option("--days", type=click.IntRange(1, 400), default=365, show_default=True)
@click.option("--as-member", metavar="PERSON", help=_("For a member whose key is here."))
@click.option("--sync", is_flag=True, help=_("Withdraw what is no longer in the list."))
@click.option("--dry-run", is_flag=True, help=_("Only say what would happen."))
def import_(
    files: tuple[str, ...],
    builtin: str | None,
    format_: str | None,
    where: tuple[str, ...],
    source: str,
    date: str,
    licence: str,
    url: str,
    days: int,
    as_member: str | None,
    sync: bool,
    dry_run: bool,
) -> int:
    from maillon.node import bounds
    from maillon.node.cli.who import Directory
    from maillon.node.importers.formats import combine, guess_format

    if bool(files) == bool(builtin):
        base.fail("usage", _("Name a file, or a list that ships with --builtin."))
    _check_options(where, date)
    client = base.state().client()
    if builtin:
        from maillon.node.data import france_services

        data = france_services()
    else:
        contents: list[bytes] = []
        for name in files:
            content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            contents.append(content)
            if sum(map(len, contents)) > bounds.IMPORT_BYTES_MAX:
                base.fail(
                    "import",
                    _("The file is larger than {n} MB.").format(n=bounds.IMPORT_BYTES_MAX >> 20),
                    _("Import it in parts."),
                )
        data = combine(contents)
    chosen = format_ or builtin or guess_format(data)
    if chosen == "csv" and not source:
        base.fail(
            "usage",
            _("A table needs a name, so that importing it again finds its own rows."),
            _("Give it with --source NAME, the same each time."),
        )
    parameters: dict[str, Any] = {
        "format": chosen,
        "where": list(where) or None,
        "source": source or None,
        "date": date or None,
        "licence": licence or None,
        "url": url or None,
        "days": days,
        "as_member": None if as_member is None else Directory(client).person(as_member),
        "sync": sync or None,
        "dry_run": dry_run or None,
    }
    events = client.stream("POST", "/v1/import", content=data, **parameters)
    report = _json_report(events) if base.state().json else _human_report(events)
    return base.PARTIAL if report.get("refused") else base.OK


def _check_options(where: tuple[str, ...], date: str) -> None:
    from datetime import date as calendar

    for text in where:
        column, equals, _value = text.partition("=")
        if not equals or not column.strip():
            base.fail(
                "usage",
                _("The filter {text!r} is not of the form column=value.").format(text=text),
                _("For example: --where insee_dep=01"),
            )
    try:
        good = not date or calendar.fromisoformat(date).isoformat() == date
    except ValueError:
        good = False
    if not good:
        base.fail(
            "usage", _("{text!r} is no date.").format(text=date), _("Write it as 2026-03-01.")
        )


def _json_report(events: Any) -> dict[str, Any]:
    faults: list[dict[str, Any]] = []
    report: dict[str, Any] = {}
    for event in events:
        if event["event"] == "fault":
            faults.append({k: v for k, v in event.items() if k != "event"})
        elif event["event"] == "done":
            report = {k: v for k, v in event.items() if k != "event"}
        elif event["event"] == "failed":
            raise base.problem(event["code"], event["message"], event.get("hint"))
    report["faults"] = faults
    click.echo(json.dumps(report, ensure_ascii=False, indent=2))
    return _finished(report)


def _finished(report: dict[str, Any]) -> dict[str, Any]:
    if "rows" not in report:
        base.fail(
            "timeout",
            _("The node broke off the import."),
            _("What was reported is published; run the import again to finish it."),
        )
    return report


def _human_report(events: Any) -> dict[str, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    report: dict[str, Any] = {}
    faults = 0
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=base.console(error=True),
        transient=True,
        disable=not sys.stderr.isatty(),  # it would leave a blank line in a file
    ) as progress:
        task = progress.add_task(_("Importing"), total=None)
        for event in events:
            match event["event"]:
                case "progress":
                    progress.update(task, completed=event["done"], total=event["total"])
                case "fault":
                    faults += 1
                    if faults <= FAULTS_SHOWN_MAX:
                        _tell_fault(event)
                case "failed":
                    raise base.problem(event["code"], event["message"], event.get("hint"))
                case "done":
                    report = event
                case _:
                    pass  # a later node may tell more
    _finished(report)
    if faults > FAULTS_SHOWN_MAX:
        click.echo(
            _("… and {n} more; see all with --json").format(n=faults - FAULTS_SHOWN_MAX), err=True
        )
    if report["dry_run"]:
        click.echo(_("This was a dry run: nothing was published."))
    click.echo(
        _(
            "{rows} rows: {created} new, {changed} changed, {unchanged} unchanged, "
            "{withdrawn} withdrawn, {refused} refused."
        ).format(**report)
    )
    return report


def _tell_fault(event: dict[str, Any]) -> None:
    where = _("line {line}").format(line=event["line"])
    if event["field"]:
        where += f", {event['field']}"
    click.echo(f"  {where}: {base.printable(event['message'])}", err=True)


@click.command(
    cls=base.Command,
    help=_(
        """Write the records or the accounts this node holds, for other programs.

        Records: jsonl (one a line) and csv (offers and demands). Accounts, once audited: sqlite
        (opens in datasette), hledger, ledger and beancount journals, parquet, or csv with
        --accounts; federation is the whole ledger, for an auditor.

        \b
          maillon export > records.jsonl                     one record a line, readable
          maillon export --raw > records.jsonl               with the exact bytes, in hexadecimal
          maillon export --format csv --kind offer > offers.csv
          maillon export --format hledger -o accounts.journal
          maillon export --format csv --accounts -o accounts
          maillon export --format federation -o export       then: maillon audit export
        """
    ),
)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="jsonl")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(RECORD_KINDS),
    metavar="KIND",
    help=_("Only records of this kind."),
)
@click.option("--mine", is_flag=True, help=_("Only of your own coop."))
@click.option("--raw", is_flag=True, help=_("Add the record's bytes, for other implementations."))
@click.option("--accounts", is_flag=True, help=_("With csv: the accounts instead of records."))
@click.option(
    "--names",
    is_flag=True,
    help=_("Write the names of your own members into the accounts; keep such a file to yourself."),
)
@click.option("--output", "-o", type=click.Path(), metavar="FILE")
@click.option("--force", is_flag=True, help=_("Write over a file that is there."))
def export(
    format_: str,
    kinds: tuple[str, ...],
    mine: bool,
    raw: bool,
    accounts: bool,
    names: bool,
    output: str | None,
    force: bool,
) -> int:
    from maillon.node.exporters import write_csv, write_jsonl

    if accounts or format_ in BOOKS:
        from maillon.node.cli.audit import export_ledger

        if format_ == "jsonl" or kinds or mine or raw:
            raise click.UsageError(
                _("--kind, --mine, --raw and jsonl are for records, not for accounts.")
            )
        return export_ledger(format_, output, force=force, names=names)
    if output is not None:
        if Path(output).exists() and not force:
            base.fail(
                "already_exists",
                _("{path} exists already and was left as it is.").format(path=output),
                _("Write over it with --force."),
            )
        if not Path(output).absolute().parent.is_dir():
            base.fail(
                "not_found_file",
                _("{path} does not exist.").format(path=Path(output).absolute().parent),
            )
    client = base.state().client()
    rows = client.stream(
        "GET", "/v1/export", kind=list(kinds) or None, mine=mine or None, raw=raw or None
    )
    write = write_csv if format_ == "csv" else write_jsonl
    if output is None:
        count = write(rows, sys.stdout)
    else:
        # Whole or not at all: a broken export must not look like a complete one.
        target = Path(output)
        temporary = target.with_name(f".{target.name}.new")
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                count = write(rows, file)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        base.emit(
            {"file": output, "records": count},
            _("Wrote {n} records to {file}.").format(n=count, file=output),
        )
    return base.OK
