"""The command tree, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click

from maillon.node.cli import (
    account_keys,
    accounts,
    agenda,
    auctions,
    audit,
    base,
    bundles,
    charter,
    cosigning,
    devices,
    exchange,
    federation,
    groups,
    keys,
    ledger,
    letters,
    matching,
    members,
    node,
    offers,
    paying,
    persons,
    searching,
    tokens,
    transfer,
    vouchers,
)
from maillon.node.cli.sections import SectionedGroup
from maillon.node.i18n import _, speak_for_click

# Where the traceback of a fault of ours is kept, inside the home; one deep recursion is 300 kB.
DETAILS = "error.txt"
DETAILS_BYTES_MAX = 100_000


def _sections() -> Sequence[tuple[str, Sequence[str]]]:
    return (
        (_("The node"), ("init", "key", "run", "status", "peers", "doctor", "backup")),
        (_("The federation"), ("federation", "charter")),
        (_("People"), ("member", "mandate", "person", "device", "group")),
        (
            _("Offers and demands"),
            ("category", "offer", "demand", "search", "watch", "auction", "bundle"),
        ),
        (_("Exchanges"), ("exchange", "agenda", "letters", "relay")),
        (_("Accounts"), ("account", "transfer", "voucher", "ledger", "audit")),
        (_("Programs and data"), ("import", "export", "token", "demo", "completion")),
    )


@click.group(
    cls=SectionedGroup,
    sections=_sections,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=_(
        """Run a node of a federation of cooperatives, and use it.

        \b
        Begin alone:
          maillon init --name "Coop du Bugey"
          maillon federation found --name "Services de l'Ain"
          maillon run
        In another terminal:
          maillon offer publish --title "Repair of bicycles" --category mobilite
          maillon search vélo
          maillon exchange open 9c01d2ab --by "Bruno Exemple"
          maillon account open "Ana Exemple" --limit 10h
          maillon transfer "Ana Exemple" "Bruno Exemple" 1h30
        Let another coop in, and join with what it prints:
          maillon federation invite
          maillon federation join CODE

        Every command takes --json and tells more with --help. Exit codes: 0 done, 1 failure,
        2 usage, 3 no running node, 4 refused by the rules, 5 keys or password, 6 network,
        7 directory, settings or disk, 8 done in part.
        """
    ),
)
@click.version_option(package_name="maillon", prog_name="maillon")
def cli() -> None:
    pass


for command in (
    node.init,
    keys.key,
    federation.federation,
    node.run,
    node.status,
    node.peers,
    members.member,
    members.mandate,
    persons.person,
    devices.device,
    groups.group,
    offers.category,
    offers.offer,
    offers.demand,
    searching.search,
    matching.watch,
    auctions.auction,
    bundles.bundle,
    exchange.exchange,
    agenda.agenda,
    letters.letters,
    matching.relay,
    accounts.account,
    paying.transfer,
    vouchers.voucher,
    ledger.ledger,
    charter.charter,
    audit.audit,
    transfer.import_,
    transfer.export,
    tokens.token,
    node.doctor,
    node.backup,
    node.demo,
    node.completion,
):
    cli.add_command(command)
for command in account_keys.COMMANDS:
    accounts.account.add_command(command)
offers.offer.add_command(matching.OFFER_MATCHES)
for command in (matching.DEMAND_MATCHES, matching.counts, *cosigning.COMMANDS):
    offers.demand.add_command(command)
persons.person.add_command(matching.reputation)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    No error leaves as a traceback, not even a bug's, unless $MAILLON_DEBUG asks for it.
    """
    speak_for_click()
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    # Made here and not by click, so that what failed can still be asked which home was meant.
    state = base.State()
    try:
        result: Any = cli.main(given, prog_name="maillon", standalone_mode=False, obj=state)
        return result if isinstance(result, int) else base.OK
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as fault:
        if as_json:
            return base.report_error("usage", fault.format_message(), None, as_json=True)
        fault.show()
        return base.USAGE
    except (click.Abort, KeyboardInterrupt):
        if as_json:
            return base.report_error("interrupted", _("Stopped."), None, as_json=True)
        click.echo(_("Stopped."), err=True)
        return base.INTERRUPTED
    except BrokenPipeError:
        base.quiet_stdout()
        return base.FAILURE
    except OSError as fault:
        code, message, hint = base.explain_os_error(fault)
        return base.report_error(code, message, hint, as_json=as_json)
    except Exception as fault:
        return _report(fault, as_json, state)
    finally:
        state.close()


def _report(fault: Exception, as_json: bool, state: base.State) -> int:
    from maillon.protocol.errors import LocalError, MaillonError

    if isinstance(fault, LocalError):
        hint = state.in_home(fault.hint) if fault.hint else None
        facts = base.facts_of(fault.facts.get("problem"))
        return base.report_error(fault.code, str(fault), hint, as_json=as_json, **facts)
    if isinstance(fault, MaillonError):
        return base.report_error(fault.code, str(fault), None, as_json=as_json)
    if isinstance(fault, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", fault)
        found = _first_known(group)
        if found is not None:
            return _report(found, as_json, state)
        return _report_bug(group, as_json, state.home.path)
    if type(fault).__module__.partition(".")[0] in ("pysqlite3", "sqlean", "sqlite3"):
        code, message, hint = explain_database_error(fault)
        return base.report_error(code, message, hint, as_json=as_json)
    if isinstance(fault, OSError):
        code, message, hint = base.explain_os_error(fault)
        return base.report_error(code, message, hint, as_json=as_json)
    return _report_bug(fault, as_json, state.home.path)


def _report_bug(fault: Exception, as_json: bool, home: Path) -> int:
    """Tell a fault that is ours in a sentence, and keep the traceback where it can be sent from."""
    if os.environ.get("MAILLON_DEBUG", "0") not in ("", "0"):
        raise fault
    if isinstance(fault, ModuleNotFoundError) and not str(fault.name).startswith("maillon"):
        from maillon.node.cli import tell_not_installed

        return tell_not_installed(str(fault.name))
    path = _keep_details(fault, home)
    return base.report_error(
        "internal",
        _("Something went wrong inside the program, which is a fault of ours: {kind}.").format(
            kind=type(fault).__name__
        ),
        _("Its details are in {path}. MAILLON_DEBUG=1 shows them here.").format(path=path)
        if path
        else _("MAILLON_DEBUG=1 shows its details."),
        as_json=as_json,
    )


def _keep_details(fault: Exception, home: Path) -> Path | None:
    """Write the traceback for its owner alone, the newest over the last; None when nowhere."""
    from maillon.node.home import write_atomic

    details = "".join(traceback.format_exception(fault)).encode("utf-8", "replace")
    if home.is_dir():
        try:
            write_atomic(home / DETAILS, details[-DETAILS_BYTES_MAX:], replace=True)
        except OSError:
            pass  # a home that cannot be written: keep them beside the other temporary files
        else:
            return home / DETAILS
    try:
        descriptor, name = tempfile.mkstemp(prefix="maillon-", suffix=".txt")
        with os.fdopen(descriptor, "wb") as file:
            file.write(details[-DETAILS_BYTES_MAX:])
    except OSError:
        return None
    return Path(name)


def _first_known(group: ExceptionGroup[Exception]) -> Exception | None:
    from maillon.protocol.errors import MaillonError

    for fault in group.exceptions:
        if isinstance(fault, ExceptionGroup):
            found = _first_known(cast("ExceptionGroup[Exception]", fault))
            if found is not None:
                return found
        elif isinstance(fault, MaillonError | OSError):
            return fault
        elif type(fault).__module__.partition(".")[0] in ("pysqlite3", "sqlean", "sqlite3"):
            return fault
    return None


def explain_database_error(fault: Exception) -> tuple[str, str, str | None]:
    """Return code, sentence and advice for what SQLite refused."""
    text = str(fault)
    if "full" in text:
        return "disk_full", _("The disk is full."), _("Make room, then try again.")
    if "readonly" in text or "unable to open" in text:
        return (
            "permission",
            _("The database cannot be opened or written."),
            _("Run this as the user who owns the node's directory."),
        )
    if "locked" in text:
        return "os", _("The database is in use by another program."), None
    return (
        "damaged_database",
        _("The database is damaged: {fault}.").format(fault=text),
        _(
            "node.db can be moved away: the node fetches its records again from the others. "
            "private.db must come from a backup. See docs/operator.md."
        ),
    )
