"""`maillon audit`, and the books that `maillon export` writes of an audited ledger."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maillon.node.cli import base
from maillon.node.i18n import _

if TYPE_CHECKING:
    from maillon.ledger.audit.report import Report

# What a node that keeps a million payments takes to write them out, with room.
EXPORT_S_MAX = 1_800.0

# Inside the home: what was exported and audited last, so that the next time costs the difference.
EXPORT = Path("audit", "export")
CACHE = Path("audit", "cache")

FEDERATION = "federation"
"""The form in which everything leaves: the export that anybody can audit."""

BOOKS = ("federation", "sqlite", "hledger", "ledger", "beancount", "parquet")
"""The forms of the ledger that `maillon export --format` knows besides those of records."""

UNUSABLE = 2


@click.command(
    cls=base.Command,
    help=_(
        """Prove the accounts of the federation right, or say what is wrong and since which block.

        Without EXPORT: those of the running node. With the directory of an export, of whichever
        federation: without a node and without the network. Every block is replayed on all cores;
        a second audit replays only what is new. Leaves with 0 when all is right, 1 when something
        is wrong, 2 when there is nothing that could be audited.

        \b
          maillon audit
          maillon audit --pdf report.pdf              for an assembly
          maillon audit /media/key/export --json > report.json
        An auditor needs no node at all: python -m maillon.ledger audit EXPORT.
        """
    ),
)
@click.argument("export", required=False, type=click.Path(file_okay=False))
@click.option(
    "--pdf", type=click.Path(dir_okay=False), metavar="FILE", help=_("Write a report as PDF.")
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False),
    metavar="DIRECTORY",
    help=_("Remember there what was audited, for the next time."),
)
@click.option(
    "--jobs", type=click.IntRange(0, 256), default=0, help=_("Cores to use [all of them].")
)
def audit(export: str | None, pdf: str | None, cache: str | None, jobs: int) -> int:
    from maillon.ledger.audit.report import FINE
    from maillon.ledger.tool.auditing import Unusable

    language = _language()
    try:
        report, _folder = audited(export, cache, jobs)
    except Unusable as fault:
        as_json = base.state().json
        base.report_error(fault.code, str(fault), fault.hint, as_json=as_json, exit=UNUSABLE)
        return UNUSABLE
    if pdf is not None:
        from maillon.ledger.tool.pdf import write_pdf

        write_pdf(report, Path(pdf), language)
    if base.state().json:
        click.echo(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        for line in report.lines(language):
            click.echo(base.printable(line))
        if pdf is not None:
            click.echo(_("Written: {path}").format(path=pdf), err=True)
    return base.OK if report.verdict == FINE else base.FAILURE


def audited(export: str | None, cache: str | None = None, jobs: int = 0) -> tuple[Report, Path]:
    """Audit an export, or without one what the running node holds; return where it lies as well.

    Raises: Unusable; LocalError of the running node.
    """
    from maillon.ledger.tool.auditing import audit_export

    memory = Path(cache) if cache else None
    if export is None:
        folder = base.state().home.path / EXPORT
        memory = memory or base.state().home.path / CACHE
        _from_node(folder)
    else:
        folder = Path(export)
    quiet = base.state().json
    return audit_export(folder, jobs=jobs, cache=memory, quiet=quiet, label=_("Audit")), folder


def _from_node(folder: Path) -> Any:
    """Let the running node write an export, or carry on the one that is there."""
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    request = {"directory": str(folder.absolute())}
    return base.state().client().post("/v1/ledger/export", request, timeout=EXPORT_S_MAX)


def _language() -> str:
    from maillon.ledger.tool.cli import environment_language

    return environment_language()


def export_ledger(form: str, output: str | None, *, force: bool, names: bool) -> int:
    """Write the ledger of the running node in one of the forms, once it is found right."""
    from maillon.ledger.audit.report import FINE
    from maillon.ledger.tool.books import FOLDERS, write_book
    from maillon.ledger.tool.viewing import make_view

    if output is None:
        base.fail(
            "usage",
            _("The accounts are written to files, not to the terminal."),
            _("Name the file or directory with --output."),
        )
    target = Path(output)
    folder = form in FOLDERS or form == FEDERATION
    if target.exists() and not force and not (form == FEDERATION and target.is_dir()):
        base.fail(
            "already_exists",
            _("{path} exists already and was left as it is.").format(path=output),
            _("Write over it with --force."),
        )
    if not target.absolute().parent.is_dir():
        missing = target.absolute().parent
        base.fail("not_found_file", _("{path} does not exist.").format(path=missing))
    if folder and target.exists() and not target.is_dir():
        base.fail("already_exists", _("{path} is not a directory.").format(path=output))
    if form == FEDERATION:
        told = _from_node(target)
        base.emit(
            told,
            _("Wrote {n} chains to {path}. Anybody can audit it: maillon audit {path}").format(
                n=told["chains"], path=output
            ),
        )
        return base.OK
    report, source = audited(None)
    if report.verdict != FINE:
        for line in report.lines(_language()):
            click.echo(base.printable(line), err=True)
        base.fail("audit_wrong", _("The accounts are wrong, so no book was written of them."))
    known = _account_names() if names else None
    write_book(form, make_view(report, source, known), report, target, _language())
    done = {"file": output, "format": form, **report.counts()}
    base.emit(
        done,
        _("Wrote {n} payments to {file}.").format(n=report.counts()["transfers"], file=output),
    )
    if form == "sqlite" and not base.state().json and sys.stdout.isatty():
        command = f"datasette {output} --metadata {output}.metadata.json"
        click.echo(_("Open it with: {command}").format(command=command))
    return base.OK


def _account_names() -> dict[bytes, str]:
    """Return the names that this coop's register knows, by account."""
    listed = base.state().client().get("/v1/accounts", all=True)["accounts"]
    return {
        bytes.fromhex(account["account"]): account["name"]
        for account in listed
        if account.get("name")
    }
