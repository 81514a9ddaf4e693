"""What every command shares: the home, the output, the errors and their exit codes."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from maillon.node.i18n import _

if TYPE_CHECKING:
    from rich.console import Console

    from maillon.node.cli.client import Client
    from maillon.node.home import Home

_COMMAND = re.compile(r"\bmaillon (?=[a-z])")

# Exit codes, documented in docs/cli.md.
OK = 0
FAILURE = 1
USAGE = 2
NOT_RUNNING = 3
REFUSED = 4
KEYS = 5
NETWORK = 6
HOME = 7
PARTIAL = 8
UNANSWERED = 9
INTERRUPTED = 130

# Error code of a request that was sent and not answered.
NO_ANSWER = "unanswered"

YEAR_S = 366 * 86_400

_CODES = {
    FAILURE: "failure local internal import request not_installed",
    USAGE: "usage amount_text",
    NOT_RUNNING: "not_running",
    UNANSWERED: NO_ANSWER,
    INTERRUPTED: "interrupted",
    KEYS: "wrong_password damaged_key_file recovery_words bad_secret key_missing password_missing "
    "witness_key_missing",
    NETWORK: "network unreachable join_refused timeout dial_failed listen_failed network_down "
    "not_connected stream_broken stream_stalled frame_too_large frame_truncated message_too_large",
    HOME: "home not_initialised no_federation already_exists already_running config address "
    "peer_id disk_full permission damaged_database not_found_file os store store_damaged "
    "store_too_new store_full store_read_only store_busy ledger_disk "
    "export_unusable",
}
_EXITS = {code: number for number, codes in _CODES.items() for code in codes.split()}


def exit_code(code: str) -> int:
    """Return the exit code of an error code; codes of the protocol's registry mean REFUSED."""
    return _EXITS.get(code, REFUSED)


class State:
    """What the options common to all commands say."""

    def __init__(self) -> None:
        from maillon.node.home import Home, default_home

        self.home: Home = Home(default_home())
        self.home_given = ""
        self.json = False
        self.password_file: Path | None = None
        # The times that were read of this command, as they were understood.
        self.understood: dict[str, str] = {}
        self._client: Client | None = None

    def in_home(self, text: str) -> str:
        """Return advice whose commands name the directory that --home gave here."""
        if not self.home_given:
            return text
        return _COMMAND.sub(f"maillon --home {shlex.quote(self.home_given)} ", text)

    def client(self) -> Client:
        """Return the client of the running node; its first request tells when there is none."""
        if self._client is None:
            from maillon.node.cli.client import Client

            self._client = Client(self.home)
        return self._client

    def close(self) -> None:
        """Close the connection with the node, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None


def state() -> State:
    """Return the state of the running command."""
    return click.get_current_context().find_root().ensure_object(State)


def _set_home(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value:
        from maillon.node.home import Home

        state = context.find_root().ensure_object(State)
        state.home = Home(Path(value).expanduser().absolute())
        state.home_given = value


def _set_json(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().ensure_object(State).json = True


def _set_password_file(context: click.Context, _o: click.Parameter, value: str | None) -> None:
    if value:
        context.find_root().ensure_object(State).password_file = Path(value)


def common_options() -> list[click.Parameter]:
    """Return the options that every command takes, before or after its name."""
    return [
        click.Option(
            ["--home"],
            metavar="DIRECTORY",
            expose_value=False,
            callback=_set_home,
            help=_("The node's directory [$MAILLON_HOME, else ~/.local/share/maillon]."),
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_set_json,
            help=_("Print JSON for programs."),
        ),
    ]


class Command(click.Command):
    """A command that takes the common options."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += common_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; of one too many, say what it usually is: a name without quotes."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as fault:
            takes_words = any(isinstance(parameter, click.Argument) for parameter in self.params)
            # Its kinds are about an option or a missing word, and say so themselves.
            if type(fault) is click.UsageError and takes_words and len(given) > 1:
                raise click.UsageError(f"{fault.message}\n{quotes_advice()}", ctx) from None
            raise


def quotes_advice() -> str:
    """Return what helps when a name of several words was taken for several."""
    return _('A name of several words stands in quotes: "Ana Exemple".')


class Group(click.Group):
    """A group of commands that take the common options."""

    command_class = Command

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += common_options()

    def list_commands(self, ctx: click.Context) -> list[str]:
        # In the order they are written, which is the order of a node's life.
        return list(self.commands)


def password_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --password-file to a command that opens keys."""
    return click.option(
        "--password-file",
        metavar="FILE",
        expose_value=False,
        callback=_set_password_file,
        help=_("Read the password of the keys from the first line of FILE."),
    )(function)


def get_password(*, confirm: bool = False) -> bytes:
    """Return the password of the keys from a file, else from the keyboard."""
    from maillon.node import keyring

    now = state()
    path = keyring.find_password_file(now.password_file, now.home)
    if path is not None:
        return keyring.read_password_file(path)
    if not sys.stdin.isatty():
        raise keyring.PasswordMissing(
            _("The keys need a password and there is no keyboard to ask."),
            hint=_("Give it with --password-file FILE or $MAILLON_PASSWORD_FILE."),
        )
    while True:
        text: str = click.prompt(
            _("Password of the keys"), hide_input=True, confirmation_prompt=confirm, err=True
        )
        if not confirm or len(text) >= keyring.PASSWORD_CHARACTERS_MIN:
            return text.encode()
        message = _("At least {n} characters, please.").format(n=keyring.PASSWORD_CHARACTERS_MIN)
        click.echo(message, err=True)


def confirm(question: str) -> bool:
    """Ask for a yes or a no in the language of the process; both languages are understood."""
    while True:
        asked = question + " " + _("[y/N]")
        text: str = click.prompt(asked, default="", show_default=False, err=True)
        answer = text.strip().casefold()
        if answer in ("y", "yes", "o", "oui"):
            return True
        if answer in ("", "n", "no", "non"):
            return False
        click.echo(_("Please answer y or n."), err=True)


# --- output -------------------------------------------------------------------------------------


def console(*, error: bool = False) -> Console:
    """Return a rich console for people; plain when the output is no terminal."""
    from rich.console import Console

    return Console(stderr=error, highlight=False, soft_wrap=not sys.stdout.isatty())


def emit(data: Any, human: Callable[[], None] | str | None = None) -> None:
    """Print a result: as JSON when asked for, else in words, with how its times were read."""
    if state().json:
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
        return
    for text, meaning in state().understood.items():
        click.echo(_("“{text}” is {meaning}.").format(text=printable(text), meaning=meaning))
    state().understood.clear()
    if isinstance(human, str):
        click.echo(human)
    elif human is not None:
        human()


def advise(text: str) -> None:
    """Print what to do next, as it must be typed for the node of this command."""
    click.echo(state().in_home(text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under headings, or a sentence when there are none."""
    from rich.markup import escape
    from rich.table import Table

    # Without headings there is no line for them, which would be blank.
    table = Table(
        box=None, pad_edge=False, header_style="bold", show_edge=False, show_header=any(columns)
    )
    whole = [0] * len(columns)
    shown: list[list[str]] = []
    for row in rows:
        # What other coops wrote is shown as text: neither markup nor terminal control codes.
        cells = [_broken(printable(cell)) for cell in row]
        shown.append([escape(cell) for cell in cells])
        whole = [max(w, _copied(cell)) for w, cell in zip(whole, cells, strict=True)]
    if not shown:
        click.echo(empty)
        return
    for column, least in zip(columns, whole, strict=True):
        table.add_column(column, overflow="fold", min_width=least or None)
    for cells in shown:
        table.add_row(*cells)
    out = console()
    if any(whole):
        # A word of each other column, and the gaps.
        needed = sum(least or WORD_CHARACTERS_MIN for least in whole) + 2 * len(whole)
        out.width = max(out.width, needed)
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


# Keys, ids and addresses are there to be copied, so they stay whole: where they do not fit, a line
# becomes longer than the terminal, which shows it on two and still copies it as one. (So no line
# ends in spaces either.) Ids have 32 characters, keys 64, accounts of other coops 97.
COPIED_CHARACTERS_MIN = 32
# What somebody wrote as one word beyond this length is broken all the same.
WORD_CHARACTERS_MAX = 240
WORD_CHARACTERS_MIN = 12


def _copied(text: str) -> int:
    """Return the length of the longest word that must stay whole, 0 when there is none."""
    longest = max(map(len, text.split()), default=0)
    return longest if longest >= COPIED_CHARACTERS_MIN else 0


def _broken(text: str) -> str:
    """Return a text in which no word is longer than what is there to be copied."""
    if len(text) <= WORD_CHARACTERS_MAX:
        return text
    return re.sub(rf"\S{{{WORD_CHARACTERS_MAX}}}(?=\S)", r"\g<0> ", text)


def printable(value: object) -> str:
    """Return a value as text without control characters, which could drive the terminal."""
    text = "" if value is None else str(value)
    return "".join(c if c == "\n" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def when(seconds: int | None) -> str:
    """Return a time in words of the coop's clock."""
    if not seconds:
        return "–"
    from maillon.node.cli import clock

    return clock.at(seconds).strftime("%Y-%m-%d %H:%M")


def moment(text: str, *, start: bool = False) -> int:
    """Return the Unix seconds that a text names. Raises: LocalError for what is no time."""
    from maillon.node.cli import clock
    from maillon.node.cli.times import parse_moment

    try:
        found = parse_moment(text, clock.now(), start=start)
        state().understood[text] = clock.moment_in_words(found)
        return found
    except (ValueError, OverflowError):
        fail(
            "usage",
            _("{text!r} is no time.").format(text=text[:80]),
            _("Write it as 2026-03-01, 2026-03-01T14:30, tomorrow, or 30d for in thirty days."),
        )


def period(text: str) -> int:
    """Return the seconds of a period such as 30d or 12h. Raises: LocalError."""
    from datetime import UTC, datetime

    from maillon.node.cli.times import parse_moment

    start = datetime(2000, 1, 1, tzinfo=UTC)
    try:
        seconds = parse_moment(text, start) - int(start.timestamp())
    except (ValueError, OverflowError):
        seconds = 0
    if not 0 < seconds < YEAR_S or not text.strip()[:1].isdigit() or "-" in text:
        fail(
            "usage",
            _("{text!r} is no period.").format(text=text[:80]),
            _("Write it as 30d, 7d or 12h."),
        )
    return seconds


# --- orders of the ledger -----------------------------------------------------------------------


def patience(wait_s: float) -> float:
    """Return how long to listen for the answer to an order that the node may wait for."""
    # The node answers after `wait_s`; what it does besides is done in a few seconds.
    return wait_s + 30.0


def tell_order(data: dict[str, Any], *, done: str | Callable[[], str]) -> int:
    """Tell how far an order of this node came, and return the exit code.

    `done` is said of what is certified, and asked for then where it is a function. What waits is
    kept and goes on by itself; what was refused is an error like that of any other command.
    Raises: LocalError.
    """
    from maillon.node.cli.refusals import waiting

    if data["status"] == "refused":
        raise refusal(data)
    if data["status"] in ("waiting", "placed"):
        emit(data, lambda: click.echo(waiting(data)))
        return PARTIAL
    emit(data, done if isinstance(done, str) else lambda: click.echo(done()))
    if not state().json:
        for notice in data.get("notices", ()):
            click.echo(_("Note: {text}").format(text=printable(notice)), err=True)
    return OK


def refusal(data: dict[str, Any]) -> Exception:
    """Return the error for what the ledger refused, with what is possible instead."""
    from maillon.node.cli.refusals import in_words

    code = data.get("reason") or "ledger"
    message, hint = in_words(code, data.get("facts") or {}, data.get("detail") or "")
    return problem(code, message, hint, problem=data)


# --- errors -------------------------------------------------------------------------------------


def report_error(code: str, message: str, hint: str | None, *, as_json: bool, **more: Any) -> int:
    """Tell an error on standard error and return the exit code of the process."""
    number = exit_code(code)
    message = message.strip()
    if as_json:
        error = {"code": code, "message": message, "hint": hint, "exit": number, **more}
        click.echo(json.dumps({"error": error}, ensure_ascii=False), err=True)
    else:
        click.echo(_("maillon: {message}").format(message=printable(message)), err=True)
        if hint:
            click.echo("  " + printable(hint), err=True)
    return number


_OF_PROBLEMS = frozenset({"type", "title", "status", "code", "detail", "hint"})


def facts_of(told: object) -> dict[str, Any]:
    """Return {"facts": …} out of what a node told of an error, empty when it told none."""
    if not isinstance(told, dict):
        return {}
    document = cast("dict[str, Any]", told)
    facts = document.get("facts")
    if not isinstance(facts, dict):
        facts = {name: value for name, value in document.items() if name not in _OF_PROBLEMS}
    return {"facts": facts} if facts else {}


def explain_os_error(fault: OSError) -> tuple[str, str, str | None]:
    """Return code, sentence and advice for what the operating system refused."""
    path = fault.filename.decode() if isinstance(fault.filename, bytes) else fault.filename
    what = str(path or "")
    match fault.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return (
                "disk_full",
                _("The disk is full."),
                _("Nothing was left half-written. Make room, then try again."),
            )
        case errno.EACCES | errno.EPERM:
            return (
                "permission",
                _("No permission for {path}.").format(path=what or "?"),
                _("Run this as the user who owns the node's directory."),
            )
        case errno.EROFS:
            return "permission", _("{path} is on a read-only disk.").format(path=what), None
        case errno.ENOENT:
            return "not_found_file", _("{path} does not exist.").format(path=what or "?"), None
        case errno.EISDIR | errno.ENOTDIR:
            return "os", _("{path} is not a file of the right kind.").format(path=what), None
        case errno.EADDRINUSE:
            return (
                "network",
                _("The port is in use by another program."),
                _("Choose another under [network] listen in config.toml."),
            )
        case errno.EMFILE | errno.ENFILE:
            return "os", _("Too many files are open."), _("Raise LimitNOFILE of the service.")
        case errno.EIO:
            return "os", _("The disk cannot be read or written."), _("Check it: maillon doctor")
        case _:
            text = fault.strerror or str(fault)
            return "os", _("The system refused: {fault}.").format(fault=text), None


def fail(code: str, message: str, hint: str | None = None, **facts: Any) -> NoReturn:
    """Raise a LocalError with a code of the command line."""
    raise problem(code, message, hint, **facts)


def problem(code: str, message: str, hint: str | None = None, **facts: Any) -> Exception:
    """Return a LocalError that carries `code`."""
    from maillon.protocol.errors import LocalError

    error = LocalError(message, hint=hint, **facts)
    # The class attribute is the usual code; here it comes from a node's answer.
    error.__dict__["code"] = code
    return error


def quiet_stdout() -> None:
    """Point standard output at nothing, after the reader of a pipe has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
