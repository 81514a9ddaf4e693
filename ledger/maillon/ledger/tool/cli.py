"""Read what an auditor types: `python -m maillon.ledger audit|export|prove|verify`.

docs/audit.md tells how to use it.

Exit codes: 0 the accounts are right, 1 something is wrong, 2 what was given cannot be audited or
understood.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from maillon.ledger.audit.report import FINE, Report
from maillon.ledger.audit.words import LANGUAGES
from maillon.ledger.tool.auditing import audit_export
from maillon.ledger.tool.books import FORMATS, write_book
from maillon.ledger.tool.viewing import make_view, read_names
from maillon.protocol.errors import MaillonError

OK: Final = 0
WRONG: Final = 1
UNUSABLE: Final = 2

_WORDS: Final = {
    "auditing": ("Auditing", "Audit"),
    "written": ("Written: {path}", "Écrit : {path}"),
    "not_written": (
        "Nothing is written from accounts that are wrong. --anyway writes what stands before the "
        "first error.",
        "Rien n'est écrit à partir de comptes faux. --anyway écrit ce qui précède la première "
        "erreur.",
    ),
    "no_id": (
        "The id of a transfer is 64 hexadecimal digits; see it with: maillon transfer show",
        "L'identifiant d'un transfert a 64 chiffres hexadécimaux ; voir : maillon transfer show",
    ),
    "proves_nothing": (
        "This proves nothing ({code}): {error}",
        "Ceci ne prouve rien ({code}) : {error}",
    ),
    "hint": ("Hint: {hint}", "Conseil : {hint}"),
    "failed": ("The audit could not be done: {error}", "L'audit n'a pas pu être fait : {error}"),
}


def environment_language() -> str:
    """Return the language of the environment, when it is one of ours."""
    for name in ("MAILLON_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return value[:2] if value[:2] in LANGUAGES else "en"
    return "en"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m maillon.ledger",
        description="Audit the ledger of a federation from its export, and hand it to other "
        "programs. Needs no node and no network.",
        epilog="Exit codes: 0 right, 1 wrong, 2 nothing that could be audited.",
    )
    commands = made.add_subparsers(
        dest="command", required=True, metavar="audit|export|prove|verify"
    )
    audit = commands.add_parser("audit", help="prove the accounts right, or say what is wrong")
    _common(audit)
    audit.add_argument("--json", type=Path, metavar="FILE", help="write the report (- for stdout)")
    audit.add_argument("--pdf", type=Path, metavar="FILE", help="write a report for an assembly")
    export = commands.add_parser("export", help="write the audited ledger for another program")
    _common(export)
    export.add_argument("--format", choices=FORMATS, required=True)
    export.add_argument("--output", "-o", type=Path, required=True, metavar="PATH")
    export.add_argument("--names", type=Path, metavar="FILE", help="CSV: account, name")
    export.add_argument(
        "--anyway", action="store_true", help="also when wrong: what stands before the first error"
    )
    prove = commands.add_parser("prove", help="take the proof of one transfer out of an export")
    prove.add_argument("id", metavar="ID", help="the transfer: 64 hexadecimal digits")
    prove.add_argument("--output", "-o", type=Path, required=True, metavar="FILE")
    verify = commands.add_parser("verify", help="verify such a proof, and say what it proves")
    verify.add_argument("proof", type=Path, metavar="FILE")
    for command in (prove, verify):
        command.add_argument("export", type=Path, metavar="EXPORT", help="whose charter counts")
        command.add_argument("--lang", choices=LANGUAGES, default=None)
        command.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")
    return made


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("export", type=Path, metavar="EXPORT", help="directory of the export")
    command.add_argument("--cache", type=Path, metavar="DIR", help="remember, for the next audit")
    command.add_argument("--jobs", type=int, default=0, metavar="N", help="cores (all)")
    command.add_argument("--lang", choices=LANGUAGES, default=None)
    command.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    given = parser().parse_args(arguments)
    language = given.lang or environment_language()
    say = _Say(language)
    try:
        return _run(given, language, say)
    except MaillonError as error:
        _tell(str(error))
        hint = getattr(error, "hint", None)
        if hint:
            _tell(say("hint").format(hint=hint))
        return UNUSABLE
    except OSError as error:
        _tell(say("failed").format(error=error))
        return UNUSABLE
    except KeyboardInterrupt:
        return 130


def _prove(given: Any, say: _Say) -> int:
    from maillon.ledger.tool.proving import prove

    id = _hex32(given.id)
    if id is None:
        _tell(say("no_id"))
        return UNUSABLE
    given.output.write_bytes(prove(given.export, id).encode())
    _tell_written(given, say, given.output)
    return OK


def _verify(given: Any, language: str, say: _Say) -> int:
    from maillon.ledger.proofs import PROOF_BYTES_MAX
    from maillon.ledger.tool.auditing import Unusable
    from maillon.ledger.tool.proving import verify_proof

    with given.proof.open("rb") as file:
        data = file.read(PROOF_BYTES_MAX + 1)
    try:
        proven = verify_proof(data, given.export)
    except Unusable:
        raise
    except MaillonError as error:
        _tell(say("proves_nothing").format(code=error.code, error=error))
        return WRONG
    if not given.quiet:
        for line in proven.lines(language):
            _out(line)
    return OK


def _hex32(text: str) -> bytes | None:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if len(found) == 32 else None


def _run(given: Any, language: str, say: _Say) -> int:
    if given.command == "prove":
        return _prove(given, say)
    if given.command == "verify":
        return _verify(given, language, say)
    report = audit_export(
        given.export,
        jobs=given.jobs,
        cache=given.cache,
        quiet=given.quiet,
        label=say("auditing"),
    )
    to_stdout = given.command == "audit" and str(given.json) == "-"
    if not given.quiet and not to_stdout:
        for line in report.lines(language):
            _out(line)
    if given.command == "audit":
        return _reports(given, report, language, say)
    return _book(given, report, language, say)


def _reports(given: Any, report: Report, language: str, say: _Say) -> int:
    if given.json is not None:
        text = json.dumps(report.as_json(), ensure_ascii=False, indent=2) + "\n"
        if str(given.json) == "-":
            sys.stdout.write(text)
        else:
            given.json.write_text(text, encoding="utf-8")
            _tell_written(given, say, given.json)
    if given.pdf is not None:
        from maillon.ledger.tool.pdf import write_pdf

        write_pdf(report, given.pdf, language)
        _tell_written(given, say, given.pdf)
    return OK if report.verdict == FINE else WRONG


def _book(given: Any, report: Report, language: str, say: _Say) -> int:
    fine = report.verdict == FINE
    if not fine and not given.anyway:
        _tell(say("not_written"))
        return WRONG
    names = read_names(given.names) if given.names else None
    view = make_view(report, given.export, names)
    write_book(given.format, view, report, given.output, language)
    _tell_written(given, say, given.output)
    return OK if fine else WRONG


class _Say:
    def __init__(self, language: str) -> None:
        self._place = 1 if language == "fr" else 0

    def __call__(self, key: str) -> str:
        return _WORDS[key][self._place]


def _out(line: str) -> None:
    sys.stdout.write(line + "\n")


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _tell_written(given: Any, say: _Say, path: Path) -> None:
    if not given.quiet:
        _tell(say("written").format(path=path))
