"""`maillon device`: keys that people hold themselves, on a phone, a computer, or paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.device_keys import ENTROPY_BYTES, key_file_option, open_keys, write_keys
from maillon.node.cli.exchange_acting import known
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _

Json = dict[str, Any]


@click.group(
    cls=base.Group,
    help=_(
        """Keys that people hold themselves. `new`, `restore` and `show` need no node.

        \b
          maillon device new -o phone.key                       prints its two public keys
          maillon device code "Ana Exemple"                     a code with which she brings it
          maillon device claim CODE --key-file phone.key
          maillon device add "Ana Exemple" --key PUBLIC --sealing PUBLIC
          maillon device remove "Ana Exemple" 4f0a12cd --reason lost

        What such a key signs: maillon exchange draft, sign, send. What waits for it:
        maillon letters list.
        """
    ),
)
def device() -> None:
    pass


def _public(path: str, keys: Any, words: str = "") -> Json:
    data: Json = {
        "file": path,
        "key": keys.signing.public.hex(),
        "sealing": keys.sealing.public.hex(),
    }
    return data | ({"words": words} if words else {})


def _tell(data: Json) -> None:
    rows = [(_("key"), data["key"]), (_("sealing"), data["sealing"])]
    base.print_table(("", ""), rows, empty="")
    if "words" in data:
        click.echo(_("Write down these words; they make the key anew when the device is lost:"))
        click.echo("  " + data["words"])


@device.command(
    "new",
    help=_(
        """Make the keys of a device, in a file under a password, and show the recovery words.

        \b
          maillon device new -o phone.key
        """
    ),
)
@base.password_option
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), metavar="FILE")
@click.option("--lang", type=click.Choice(["fr", "en"]), default="fr", help=_("Language of words."))
def new(output: str, lang: str) -> None:
    import os

    from maillon.protocol.words import to_words

    entropy = os.urandom(ENTROPY_BYTES)
    keys = write_keys(Path(output), entropy, confirm=True)
    words = " ".join(to_words(entropy, "fr" if lang == "fr" else "en"))
    data = _public(output, keys, words)
    base.emit(data, lambda: _tell(data))


@device.command("restore", help=_("Make the keys of a device anew from its recovery words."))
@base.password_option
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), metavar="FILE")
@click.option("--words-file", type=click.Path(exists=True, dir_okay=False), metavar="FILE")
def restore(output: str, words_file: str | None) -> None:
    import sys

    from maillon.protocol.words import from_words

    if words_file:
        text = Path(words_file).read_text("utf-8")
    elif sys.stdin.isatty():
        text = click.prompt(_("The recovery words, in order"), hide_input=True, err=True)
    else:
        base.fail(
            "usage",
            _("There is no keyboard to ask for the recovery words."),
            _("Give them with --words-file FILE."),
        )
    keys = write_keys(Path(output), from_words(text), confirm=True)
    data = _public(output, keys)
    base.emit(data, lambda: _tell(data))


@device.command("show", help=_("Show the public keys of a key file."))
@key_file_option
def show(key_file: str) -> None:
    data = _public(key_file, open_keys(key_file))
    base.emit(data, lambda: _tell(data))


@device.command(
    "code",
    help=_(
        """Make a code with which a person brings a key of their own; shown this once.

        \b
          maillon device code "Ana Exemple" -o ana.html      a sheet to print, with a QR code
        """
    ),
)
@click.argument("name")
@click.option("--days", type=click.IntRange(1, 90), default=14, show_default=True)
@click.option("--lang", type=click.Choice(["fr", "en"]), default="fr", help=_("Of the sheet."))
@click.option("--output", "-o", type=click.Path(dir_okay=False), metavar="FILE.html")
def code(name: str, days: int, lang: str, output: str | None) -> None:
    path = f"/v1/persons/{path_part(known().person(name))}/claim-codes"
    data = base.state().client().post(path, {"days": days, "lang": lang})
    if output is not None:
        Path(output).write_text(data["html"], encoding="utf-8")
    told = _("{code}  for {name} alone, until {when}.").format(
        code=data["code"], name=name, when=base.when(data["expires"])
    )
    base.emit(data, told)


@device.command(
    "claim",
    help=_(
        """Bring an own key with a code; the keys that the node or paper had are ended.

        \b
          maillon device claim CODE --key-file phone.key
        """
    ),
)
@click.argument("code_", metavar="CODE")
@key_file_option
@click.option("--keep", is_flag=True, help=_("Keep the keys that the node or paper had."))
def claim(code_: str, key_file: str, keep: bool) -> None:
    from maillon.protocol.claims import CLAIM_PURPOSE, claim_body, claim_code

    keys = open_keys(key_file)
    client = base.state().client()
    status = client.get("/v1/status")
    body = claim_body(
        bytes.fromhex(status["fed"]),
        bytes.fromhex(status["coop"]),
        claim_code(code_).hash,
        keys.signing.public,
        keys.sealing.public,
    )
    data = client.post(
        "/v1/claims",
        {
            "code": code_,
            "key": keys.signing.public.hex(),
            "sealing": keys.sealing.public.hex(),
            "signature": keys.signing.sign(CLAIM_PURPOSE, body).hex(),
            "drop": not keep,
        },
        timeout=base.patience(15.0),
    )

    def human() -> None:
        click.echo(_("This key speaks for {person} now.").format(person=data["person"][:8]))
        if data["dropped"]:
            click.echo(_("The keys that others kept are ended."))
        if data["pending_from"]:
            click.echo(
                _("It can spend from the account from {when} on.").format(
                    when=base.when(data["pending_from"])
                )
            )

    base.emit(data, human)


@device.command(
    "add",
    help=_(
        """Add another key of a person, by the word of your coop's desk.

        \b
          maillon device add "Ana Exemple" --key PUBLIC --sealing PUBLIC
          maillon device add "Ana Exemple" --key-file tablet.key
        """
    ),
)
@click.argument("name")
@base.password_option
@click.option("--key", metavar="HEX", help=_("Public signing key of the device."))
@click.option("--sealing", metavar="HEX", help=_("Public sealing key of the device."))
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False), metavar="FILE")
@click.option("--custody", type=click.Choice(["device", "paper"]), default="device")
def add(
    name: str, key: str | None, sealing: str | None, key_file: str | None, custody: str
) -> None:
    from maillon.node.cli.who import hex_key

    if key_file is not None:
        keys = open_keys(key_file)
        key, sealing = keys.signing.public.hex(), keys.sealing.public.hex()
    if not key or not sealing:
        base.fail("usage", _("Give --key and --sealing, or a --key-file."))
    path = f"/v1/persons/{path_part(known().person(name))}/devices"
    body = {
        "key": hex_key(key, "--key"),
        "sealing": hex_key(sealing, "--sealing"),
        "custody": custody,
    }
    data = base.state().client().post(path, body, timeout=base.patience(15.0))

    def human() -> None:
        click.echo(_("{name} has one more key: {key}.").format(name=name, key=key[:16]))
        if data["to_sign"]:
            click.echo(_("To spend from the account, another key of theirs has to sign for it."))

    base.emit(data, human)


@device.command(
    "remove",
    help=_(
        """End a key of a person: it signs nothing more, and spends nothing more.

        \b
          maillon device remove "Ana Exemple" 4f0a12cd --reason stolen
        """
    ),
)
@click.argument("name")
@click.argument("key")
@click.option("--reason", required=True, type=click.Choice(["lost", "stolen", "left", "rotated"]))
@click.option("--since", metavar="TIME", help=_("What it signed after this does not count."))
def remove(name: str, key: str, reason: str, since: str | None) -> None:
    from maillon.node.cli.who import the_one

    client = base.state().client()
    path = f"/v1/persons/{path_part(known().person(name))}"
    wanted = key.strip().rstrip("…").lower()
    devices = client.get(path)["devices"]
    found = [(d["key"], d["custody"]) for d in devices if wanted and d["key"].startswith(wanted)]
    none = base.problem(
        "not_found",
        _("{name} has no key {key}.").format(name=name, key=wanted[:16]),
        _("See them with: maillon person show NAME"),
    )
    whole = the_one(key, found, none)[0]
    body: Json = {"reason": reason}
    if since is not None:
        body["until_at"] = base.moment(since)
    data = client.post(f"{path}/devices/{whole}/remove", body, timeout=base.patience(15.0))

    def human() -> None:
        click.echo(_("The key {key} has ended.").format(key=whole[:16]))
        if data["standing"]:
            click.echo(
                _("What it published still stands: {ids}").format(
                    ids=", ".join(id[:12] for id in data["standing"])
                )
            )

    base.emit(data, human)
