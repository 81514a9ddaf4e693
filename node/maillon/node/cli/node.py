"""`maillon init`, `run`, `status`, `peers`, `doctor`, `backup`, `demo`, `completion`."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maillon.node.cli import base
from maillon.node.i18n import _, ngettext, size

if TYPE_CHECKING:
    from maillon.node.config import Contact
    from maillon.node.home import Home

GENERATED_PASSWORD_BYTES = 24
NAME_SHOWN = 28


OPTIONS = {
    "coop.name": "--name",
    "coop.territory": "--territory",
    "coop.languages": "--language",
    "coop.zone": "--zone",
    "coop.contact.phone": "--phone",
    "coop.contact.email": "--email",
    "network.listen": "--listen",
    "network.announce": "--announce",
}


def new_settings(
    name: str,
    *,
    languages: list[str],
    territory: list[str],
    listen: list[str],
    announce: list[str],
    zone: str = "",
    contact: Contact | None = None,
) -> bytes:
    """Return the text of a config.toml; a value that cannot work is told with its option."""
    from maillon.node.config import Config, Coop, Network, find_fault, render_config
    from maillon.node.zones import USUAL

    network = Network(listen=listen or Network().listen, announce=announce)
    coop = Coop(
        name=name, languages=languages, territory=territory, zone=zone or USUAL, contact=contact
    )
    fault = find_fault(Config(coop, network))
    if fault is not None:
        place, value, why = fault
        base.fail(
            "usage",
            _("{option} {value!r} is wrong. {why}").format(
                option=OPTIONS[place], value=value, why=why
            ),
        )
    return render_config(
        name=name,
        languages=languages,
        territory=territory,
        listen=network.listen,
        announce=announce,
        zone=zone,
        contact=contact,
    )


def prepare_home(home: Home, settings: bytes) -> None:
    """Make the directory and its settings. Raises: AlreadyExists when a node is there."""
    from maillon.node.home import AlreadyExists, HomeError, write_atomic

    if home.config.exists():
        raise AlreadyExists(
            _("There is a node in {path} already; nothing was changed.").format(path=home.path),
            hint=_("Choose another directory: maillon --home DIRECTORY init …"),
        )
    try:
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise HomeError(
            _("{path} is or lies below a file, not a directory.").format(path=home.path),
            hint=_("Choose another directory: maillon --home DIRECTORY init …"),
        ) from None
    write_atomic(home.config, settings, mode=0o640)


@click.command(
    cls=base.Command,
    help=_(
        """Make a new node: its directory, its settings and its keys.

        The keys are encrypted with a password, which the node needs each time it starts. Nothing
        that exists is overwritten. When the settings alone are lost, this writes them again and
        leaves the keys as they are.

        \b
          maillon init --name "Coop du Bugey" --territory 01 --phone "04 00 00 00 00"
          maillon init --name "Coop du Bugey" --password-file password.txt
          maillon --home /srv/node init --name "Coop du Bugey" --generate-password
        """
    ),
)
@click.option("--name", required=True, help=_("Name of your coop, as the others will see it."))
@click.option("--territory", multiple=True, metavar="CODE", help=_("INSEE codes you serve."))
@click.option("--language", multiple=True, default=["fr"], help=_("Languages you speak [fr]."))
@click.option("--listen", multiple=True, metavar="ADDRESS", help=_("Where the node listens."))
@click.option("--announce", multiple=True, metavar="ADDRESS", help=_("How others reach it."))
@click.option("--phone", metavar="NUMBER", help=_("Whom people can call; in every agreement."))
@click.option("--email", metavar="ADDRESS", help=_("Where people can write to."))
@click.option("--zone", metavar="NAME", help=_("Your clock [of the territory; Europe/Paris]."))
@base.password_option
@click.option(
    "--generate-password",
    is_flag=True,
    help=_("Make a password and keep it in <home>/password, readable by you alone."),
)
@click.option("--words", is_flag=True, help=_("Show the recovery words at once."))
@click.option("--lang", type=click.Choice(["fr", "en"]), default="fr", help=_("Language of words."))
def init(
    name: str,
    territory: tuple[str, ...],
    language: tuple[str, ...],
    listen: tuple[str, ...],
    announce: tuple[str, ...],
    phone: str | None,
    email: str | None,
    zone: str | None,
    generate_password: bool,
    words: bool,
    lang: str,
) -> None:
    from maillon.node import keyring
    from maillon.node.cli.keys import show_words
    from maillon.node.home import write_atomic
    from maillon.protocol.keys import coop_id
    from maillon.protocol.words import to_words

    home = base.state().home
    contact = _contact(home, phone, email)
    settings = new_settings(
        name,
        languages=list(language),
        territory=list(territory),
        listen=list(listen),
        announce=list(announce),
        zone=zone or "",
        contact=contact,
    )
    if home.has_keys and not home.config.exists():
        if generate_password or words:
            base.fail(
                "usage",
                _("The keys of a node are in {path} already.").format(path=home.keys),
                _("To write its settings again, leave out --generate-password and --words."),
            )
        prepare_home(home, settings)
        base.emit(
            {"home": str(home.path), "name": name, "kept_keys": True},
            _("Wrote {file} again; the keys and all else were left as they were.").format(
                file=home.config
            ),
        )
        return
    if not (home.config.exists() or generate_password):
        password = base.get_password(confirm=True)
    else:
        password = secrets.token_urlsafe(GENERATED_PASSWORD_BYTES).encode()
    prepare_home(home, settings)
    try:
        if generate_password:
            write_atomic(home.path / "password", password + b"\n")
        entropy = os.urandom(keyring.ENTROPY_BYTES)
        keys = keyring.create_keys(home, password, entropy, os.urandom)
    except BaseException:
        # A half-made node would refuse to be made again.
        _undo(home)
        raise
    result: dict[str, Any] = {
        "home": str(home.path),
        "name": name,
        "coop": coop_id(keys.root.public).hex(),
        "node": keyring.open_node(home, password).public.hex(),
    }
    shown = to_words(entropy, "fr" if lang == "fr" else "en")
    if words:
        result["words"] = " ".join(shown)

    def human() -> None:
        click.echo(_("Made the node of {name} in {home}.").format(name=name, home=home.path))
        if generate_password:
            click.echo(_("Its password is in {file}.").format(file=home.path / "password"))
        if words:
            show_words(shown)
        else:
            base.advise(_("Write down the recovery words now: maillon key words"))
        if contact is None or not contact.phone:
            click.echo(
                _(
                    "Say in {file}, under [coop.contact], whom people can call: every agreement "
                    "names a way besides this network."
                ).format(file=home.config)
            )
        base.advise(_('Then found a federation: maillon federation found --name "NAME"'))
        base.advise(_("or join one: maillon federation join CODE"))

    base.emit(result, human)


def _contact(home: Home, phone: str | None, email: str | None) -> Contact | None:
    """Return how people reach the coop; asked for where somebody can answer."""
    from maillon.node.config import Contact

    asked = phone is None and not home.config.exists() and not base.state().json
    if asked and sys.stdin.isatty():
        phone = click.prompt(
            _("Phone number that people can call (Enter for none)"),
            default="", show_default=False, err=True,
        )  # fmt: skip
    if not (phone or email):
        return None
    return Contact(phone=(phone or "").strip(), email=(email or "").strip())


def _undo(home: Home) -> None:
    votes = [home.votes.with_name(home.votes.name + end) for end in ("", "-wal", "-shm")]
    made = [home.key(k) for k in ("root", "sealing", "node", "writer")]
    for path in (*made, *votes, home.path / "password"):
        path.unlink(missing_ok=True)
    if home.keys.is_dir():
        home.keys.rmdir()
    home.config.unlink(missing_ok=True)


@click.command(
    cls=base.Command,
    help=_(
        """Run the node until it is stopped with Ctrl+C or SIGTERM.

        \b
          maillon run
          maillon run --password-file /etc/maillon/password
        docs/operator.md shows how to run it as a service.
        """
    ),
)
@base.password_option
@click.option("--log-format", type=click.Choice(["text", "json"]), help=_("Form of the log."))
@click.option(
    "--until-eof", is_flag=True, help=_("End when standard input closes, as its writer has ended.")
)
def run(log_format: str | None, until_eof: bool) -> None:
    from maillon.node.config import load_config
    from maillon.node.home import hold_lock

    if until_eof:
        from maillon.node.run.process import end_at_eof

        end_at_eof()
    home = base.state().home
    home.require_founding()
    config = load_config(home)
    with hold_lock(home):
        password = base.get_password()
        from maillon.node.run import run_node

        run_node(home, config, password, log_format=log_format)


@click.command(
    cls=base.Command,
    help=_(
        """Tell how the running node is: records, peers, what was refused and why.

        \b
          maillon status
          maillon status --json | jq .records
        """
    ),
)
def status() -> None:
    data = base.state().client().get("/v1/status")
    base.emit(data, lambda: _show_status(data))


def _show_status(data: dict[str, Any]) -> None:
    rows: list[tuple[str, object]] = [
        (_("coop"), f"{data['name']} ({data['coop'][:8]})"),
        (_("federation"), f"{data['federation']} ({data['fed'][:8]})"),
        (_("running since"), f"{base.when(data['started_at'])} ({_span(data['uptime_s'])})"),
        (_("addresses"), "\n".join(data["addresses"]) or "–"),
        (
            _("peers"),
            _("{n} connected of {m} known").format(
                n=data["peers"]["connected"], m=data["peers"]["known"]
            ),
        ),
        (_("records"), _counts(data["records"])),
        (_("waiting for others"), data["pending"]),
        (_("still to send"), data["backlog"]),
        (_("refused"), _counts(data["refused"]) if data["refused"] else "0"),
        (
            _("signatures checked"),
            _("{n}, of them bad {m}").format(
                n=data["signatures"]["checked"], m=data["signatures"]["bad"]
            ),
        ),
        (
            _("bytes"),
            _("{n} in, {m} out").format(n=size(data["bytes_in"]), m=size(data["bytes_out"])),
        ),
        (_("database"), size(data["database_bytes"])),
    ]
    rows += [(_("notice"), notice) for notice in data["notices"]]
    base.print_table(("", ""), rows, empty="")


def _counts(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    return f"{total}" + (
        " (" + ", ".join(f"{kind} {n}" for kind, n in sorted(counts.items())) + ")"
        if counts
        else ""
    )


def _span(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    return (f"{days} d " if days else "") + f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}"


@click.command(cls=base.Command, help=_("List the nodes that this one knows and talks to."))
@click.option("--addresses", is_flag=True, help=_("Show addresses and last errors too."))
def peers(addresses: bool) -> None:
    data = base.state().client().get("/v1/peers")
    base.emit(data, lambda: _show_peers(data["peers"], addresses))


def _show_peers(peers: list[dict[str, Any]], addresses: bool) -> None:
    """Print a line for each peer that fits 80 columns, wider only when asked for."""
    columns = [
        _("coop"),
        _("key"),
        _("connected"),
        _("score"),
        _("bytes in"),
        _("bytes out"),
    ]
    if addresses:
        columns += [_("address"), _("last error")]
    rows: list[list[object]] = []
    for peer in peers:
        row: list[object] = [
            _shortened(peer["name"] or "?"),
            peer["key"][:8],
            _("yes") if peer["connected"] else _("no"),
            round(peer["score"]),  # an integer: no minus before a zero
            size(peer["bytes_in"]),
            size(peer["bytes_out"]),
        ]
        if addresses:
            row += [peer["addresses"][0] if peer["addresses"] else "–", peer["last_error"]]
        rows.append(row)
    base.print_table(columns, rows, empty=_("No other node is known."))


def _shortened(name: str) -> str:
    return name if len(name) <= NAME_SHOWN else name[: NAME_SHOWN - 1] + "…"


@click.command(
    cls=base.Command,
    help=_(
        """Examine the node and say what is wrong and what to do about it.

        Works while the node runs and while it does not. Exits with 8 when something is wrong.
        """
    ),
)
@base.password_option
@click.option("--offline", is_flag=True, help=_("Do not ask the running node or the network."))
def doctor(offline: bool) -> int:
    from maillon.node import keyring
    from maillon.node.doctor import examine

    now = base.state()
    path = keyring.find_password_file(now.password_file, now.home)
    password = None if path is None else keyring.read_password_file(path)
    findings = examine(now.home, password, client=None if offline else now.client)
    bad = [finding for finding in findings if finding.level == "bad"]
    data = {
        "ok": not bad,
        "findings": [
            {"check": f.check, "level": f.level, "message": f.message, "advice": f.advice}
            for f in findings
        ],
    }

    def human() -> None:
        marks = {"good": "✓", "note": "•", "bad": "✗"}
        for finding in findings:
            click.echo(f"{marks[finding.level]} {base.printable(finding.message)}")
            if finding.advice and finding.level != "good":
                click.echo(f"    {base.printable(finding.advice)}")
        click.echo()
        click.echo(
            _("All is well.")
            if not bad
            else ngettext(
                "{n} thing needs your attention.", "{n} things need your attention.", len(bad)
            ).format(n=len(bad))
        )

    base.emit(data, human)
    return base.PARTIAL if bad else base.OK


@click.command(
    cls=base.Command,
    help=_(
        """Write a copy of the node into a new directory: settings, keys, founding file, databases.

        The databases are copied whole and consistent while the node runs. Keys stay encrypted; the
        password is not copied. Restore by copying the directory back to the node's place.

        \b
          maillon backup /mnt/usb/maillon-2026-03-01
        """
    ),
)
@click.argument("directory", type=click.Path(file_okay=False))
@click.option("--without-records", is_flag=True, help=_("Leave out what the others have too."))
def backup(directory: str, without_records: bool) -> None:
    from maillon.node.home import is_locked
    from maillon.node.run.backup import write_backup

    now = base.state()
    now.home.require()
    target = Path(directory).absolute()
    _require_place(target)
    if is_locked(now.home):
        # Through the node: it knows when its databases are at rest.
        result = now.client().post(
            "/v1/backup",
            {"directory": str(target), "records": not without_records},
            timeout=600.0,
        )
    else:
        result = write_backup(now.home, target, records=not without_records)
    base.emit(result, _("Wrote the backup to {path}.").format(path=target))


def _require_place(target: Path) -> None:
    """Find out whether a directory can be made there before minutes are spent on a copy.

    Missing parents are not made: they are a slip of the pen, or a disk that is not mounted.
    """
    if target.is_dir():
        return
    try:
        target.mkdir(mode=0o700)
        target.rmdir()
    except OSError as fault:
        parent = target.parent
        base.fail(
            "not_found_file" if not parent.is_dir() else base.explain_os_error(fault)[0],
            _("The directory {path} cannot be made: {fault}.").format(
                path=target, fault=fault.strerror
            ),
            _("Make {path} first, or mount its disk.").format(path=parent)
            if not parent.is_dir()
            else None,
        )


@click.command(
    cls=base.Command,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
    help=_("Show a federation of several nodes at work on this machine."),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> Any:
    try:
        from maillon.node.demo import main
    except ImportError:
        base.fail("failure", _("The demonstration is not part of this installation."))
    given = list(arguments)
    if base.state().json:
        given.append("--json")
    return main(given)


@click.command(
    cls=base.Command,
    help=_(
        """Print what makes your shell complete the names of commands and options.

        \b
          maillon completion bash > ~/.local/share/bash-completion/completions/maillon
          maillon completion zsh  > ~/.zfunc/_maillon
          maillon completion fish > ~/.config/fish/completions/maillon.fish
        """
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(root, {}, "maillon", "_MAILLON_COMPLETE").source())
