"""`maillon letters`: what waits for a device of somebody here, and how it is opened there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import click

from maillon.node.cli import base
from maillon.node.cli.device_keys import key_file_option, open_keys
from maillon.node.cli.exchange_acting import known
from maillon.node.i18n import _, ngettext

Json = dict[str, Any]

PAGE: Final = 256
PAGES_MAX: Final = 64
FORMAT: Final = "maillon-letters-1"


@click.group(
    cls=base.Group,
    help=_(
        """Sealed letters that wait for people's own devices. This node cannot read them.

        \b
          maillon letters list "Ana Exemple"
          maillon letters fetch "Ana Exemple" -o letters.json
        On the device, without a network:
          maillon letters open letters.json --key-file phone.key -o opened.json
        Back at the node, which then knows the steps and forgets the letters:
          maillon exchange send opened.json
        """
    ),
)
def letters() -> None:
    pass


def _sealing_keys(who: str) -> list[str]:
    from maillon.node.cli.paths import path_part
    from maillon.node.cli.who import KEY_CHARACTERS, looks_like_id

    wanted = who.strip().lower()
    if looks_like_id(wanted) and len(wanted) == KEY_CHARACTERS:
        return [wanted]
    person = path_part(known().person(who))
    devices = base.state().client().get(f"/v1/persons/{person}")["devices"]
    return [d["sealing"] for d in devices if not d["held"]]


def _waiting(who: str) -> list[Json]:
    found: list[Json] = []
    client = base.state().client()
    for sealing in _sealing_keys(who):
        after: str | None = None
        for _page in range(PAGES_MAX):
            data = client.get("/v1/letters", sealing=sealing, limit=PAGE, after=after)
            found += [{"sealing": sealing, **letter} for letter in data["letters"]]
            after = data["next"]
            if not after:
                break
    return found


def waiting_in_words(exchange: Json) -> list[str]:
    """Return a line for each party of an exchange whose own devices have letters to open.

    The node cannot read them, so what it shows of the exchange may be older than what they say.
    """
    client, lines = base.state().client(), list[str]()
    for role in ("requester", "provider"):
        party: Json = exchange[role]
        if not (party["here"] and party["person"]):
            continue
        devices = client.get(f"/v1/persons/{party['person']}")["devices"]
        # A person of whom the node holds a key hears by that one: the letters for another device
        # say the same.
        if any(device["held"] and device["status"] == "active" for device in devices):
            continue
        waiting = sum(
            len(client.get("/v1/letters", sealing=device["sealing"], limit=PAGE)["letters"])
            for device in devices
            if device["status"] == "active"
        )
        if waiting:
            name = base.printable(party["name"])
            told = ngettext(
                "{n} letter waits for the device of {name}; what it says is not known here before "
                "it is opened there: {command}",
                "{n} letters wait for the device of {name}; what they say is not known here before "
                "they are opened there: {command}",
                waiting,
            )
            command = f"maillon letters fetch '{name}' -o letters.json"
            lines.append(told.format(n=waiting, name=name, command=command))
    return lines


@letters.command("list", help=_("List the letters that wait for the devices of a person."))
@click.argument("who", metavar="NAME")
def list_(who: str) -> None:
    found = _waiting(who)
    rows = [
        (
            letter["id"][:12],
            base.when(letter["received_at"]),
            letter["from_coop"][:8],
            base.when(letter["until"]),
            letter["sealing"][:12],
        )
        for letter in found
    ]
    columns = (_("letter"), _("came"), _("from"), _("until"), _("for the key"))
    base.emit(
        {"letters": found}, lambda: base.print_table(columns, rows, empty=_("No letter waits."))
    )


@letters.command("fetch", help=_("Write the letters that wait into a file for the device."))
@click.argument("who", metavar="NAME")
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), metavar="FILE")
def fetch(who: str, output: str) -> None:
    import json

    from maillon.node.home import write_atomic

    found = _waiting(who)
    fed = base.state().client().get("/v1/status")["fed"]
    document = {"format": FORMAT, "fed": fed, "letters": found}
    write_atomic(Path(output), json.dumps(document, indent=1).encode(), replace=True)
    n = len(found)
    base.emit(
        {"file": output, "letters": n},
        ngettext("Wrote {n} letter to {file}.", "Wrote {n} letters to {file}.", n).format(
            n=n, file=output
        ),
    )


@letters.command(
    "open",
    help=_(
        """Open letters with the key of the device; needs no network and no node.

        \b
          maillon letters open letters.json --key-file phone.key -o opened.json
        """
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@key_file_option
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), metavar="FILE")
def open_(file: str, key_file: str, output: str) -> None:
    import json

    from maillon.node.cli import exchange_offline, exchange_words
    from maillon.protocol.envelope import decode_record
    from maillon.protocol.errors import MaillonError
    from maillon.protocol.letters import ITEM_STEP, decode_letter, open_letter

    found: Any = json.loads(Path(file).read_bytes())
    document = cast("Json", found) if isinstance(found, dict) else {}
    if document.get("format") != FORMAT:
        base.fail(
            "usage",
            _("{file} is no file of letters.").format(file=file),
            _("Make one with: maillon letters fetch NAME -o FILE"),
        )
    keys = open_keys(key_file)
    received: list[str] = []
    taken: list[str] = []
    told: list[str] = []
    closed = 0
    for entry in document["letters"]:
        try:
            items = open_letter(decode_letter(bytes.fromhex(entry["letter"])), keys.sealing)
        except MaillonError:
            closed += 1
            continue
        taken.append(entry["id"])
        for item in items:
            if item.kind == ITEM_STEP:
                step = decode_record(item.data)
                kind = step.header.kind
                told.append(exchange_words.COMMANDS.get(kind, kind))
                received.append(item.data.hex())
    exchange_offline.write_file(
        output,
        {
            "format": exchange_offline.FORMAT,
            "fed": document["fed"],
            "title": "",
            "items": [],
            "received": received,
            "taken": {"sealing": keys.sealing.public.hex(), "ids": taken},
        },
    )

    def human() -> None:
        n = len(taken)
        click.echo(ngettext("Opened {n} letter.", "Opened {n} letters.", n).format(n=n))
        for line in told:
            click.echo("  " + line)
        if closed:
            click.echo(_("{n} are for another key.").format(n=closed))
        click.echo(_("Back at the node: maillon exchange send {file}").format(file=output))

    base.emit({"file": output, "opened": len(taken), "steps": told, "closed": closed}, human)
