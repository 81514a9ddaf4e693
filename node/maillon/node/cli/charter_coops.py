"""`maillon charter admit`, `remove`, `replace-key`, `trustee`, `limit`: what concerns one coop."""

from __future__ import annotations

import sys
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.proposing import (
    limits_of,
    quorum_along,
    quorum_option,
    send_proposal,
    title_option,
    witness_of,
)
from maillon.node.i18n import _


@click.command(
    "admit",
    cls=base.Command,
    help=_(
        """Propose to let a coop into the ledger, with the witness that its card names.

        How much it may owe the others together is its limit; without one it gives first. One more
        witness usually needs a larger quorum: it is proposed along.

        \b
          maillon charter admit coop-d.card --limit 50h
          maillon charter admit maillon-card:… --limit heure=50h --limit grain=200
        """
    ),
)
@click.argument("card")
@click.option("--limit", "limits", multiple=True, metavar="AMOUNT", help=_("Or UNIT=AMOUNT [0]."))
@click.option("--accounts-max", type=click.IntRange(1), help=_("Accounts it may have at most."))
@quorum_option
@title_option
def admit(
    card: str,
    limits: tuple[str, ...],
    accounts_max: int | None,
    quorum: int | None,
    title: str,
) -> int:
    from maillon.node.cli.federation import text_or_file
    from maillon.node.cli.who import directory
    from maillon.protocol.cards import card_from_text

    known = directory()
    text = text_or_file(card)
    entry: dict[str, Any] = {"entry": "admit", "card": text, "limits": limits_of(known, limits)}
    if accounts_max is not None:
        entry["accounts_max"] = accounts_max
    comes = 1 if card_from_text(text).witness else 0
    return send_proposal([entry, *quorum_along(known, comes, quorum)], title)


@click.command(
    "remove",
    cls=base.Command,
    help=_(
        """Propose to remove a coop. Another ends what is under way as its trustee.

        Nothing is given from its accounts any more once it has left: what its members have there
        they give to accounts of other coops before. With its witness goes one of those who certify:
        the usual quorum for the others is proposed along.

        \b
          maillon charter remove "Coop de la Loire" --trustee "Coop de l'Isère"
        """
    ),
)
@click.argument("coop")
@click.option("--trustee", required=True, metavar="COOP", help=_("Who writes for it from now on."))
@quorum_option
@click.option("--yes", is_flag=True, help=_("Do not ask when it is your own coop."))
@title_option
def remove(coop: str, trustee: str, quorum: int | None, yes: bool, title: str) -> int:
    from maillon.node.cli.who import directory

    known = directory()
    gone = known.coop(coop)[0]
    entry = {"entry": "remove", "coop": gone, "trustee": known.coop(trustee)[0]}
    if gone == known.own_coop and not yes:
        what = _("This removes your own coop: nothing can be given from its accounts afterwards.")
        if not sys.stdin.isatty():
            base.fail("usage", what, _("Say that you mean it with --yes."))
        click.echo(what, err=True)
        if not base.confirm(_("Propose it?")):
            return base.FAILURE
    goes = -1 if witness_of(known, gone) else 0
    return send_proposal([entry, *quorum_along(known, goes, quorum)], title)


@click.command(
    "replace-key",
    cls=base.Command,
    help=_(
        """Propose another writer or witness key for a coop: after a theft, or a lost machine.

        A witness that was restored from a backup stops for good and needs this; `maillon ledger
        status` on that node shows the new key.

        \b
          maillon charter replace-key "Coop de la Loire" --witness PUBLIC
          maillon charter replace-key "Coop de la Loire" --writer PUBLIC
          maillon charter replace-key "Coop de la Loire" --witness none    it is no witness any more
        """
    ),
)
@click.argument("coop")
@click.option("--witness", metavar="HEX", help=_("Or `none`."))
@click.option("--writer", metavar="HEX")
@quorum_option
@title_option
def replace_key(
    coop: str, witness: str | None, writer: str | None, quorum: int | None, title: str
) -> int:
    from maillon.node.cli.who import directory, hex_key

    if not (witness or writer):
        base.fail("usage", _("Say which key: --witness or --writer."))
    known = directory()
    id = known.coop(coop)[0]
    entries: list[dict[str, Any]] = []
    change = 0
    for role, key in (("witness", witness), ("writer", writer)):
        if key is not None:
            none = key.strip().lower() in ("none", "aucune")
            value = "" if none else hex_key(key, f"--{role}")
            entries.append({"entry": "key", "coop": id, "role": role, "key": value})
            if role == "witness":
                change = bool(value) - bool(witness_of(known, id))
    return send_proposal([*entries, *quorum_along(known, change, quorum)], title)


@click.command(
    "trustee",
    cls=base.Command,
    help=_(
        """Propose that one coop writes for another which is away for long.

        The trustee finishes what is under way and keeps the chain up to date with the charter. It
        cannot give anything in the members' names. `--nobody` ends it.

        \b
          maillon charter trustee "Coop de la Loire" "Coop de l'Isère"
          maillon charter trustee "Coop de la Loire" --nobody
        """
    ),
)
@click.argument("coop")
@click.argument("trustee", required=False)
@click.option("--nobody", is_flag=True, help=_("It writes for itself again."))
@title_option
def trustee(coop: str, trustee: str | None, nobody: bool, title: str) -> int:
    from maillon.node.cli.who import directory

    if bool(trustee) == nobody:
        base.fail("usage", _("Name the coop that writes for it, or say --nobody."))
    known = directory()
    entry = {
        "entry": "trustee",
        "coop": known.coop(coop)[0],
        "trustee": known.coop(trustee)[0] if trustee else "",
    }
    return send_proposal([entry], title)


@click.command(
    "limit",
    cls=base.Command,
    help=_(
        """Propose how much a coop may owe all the others together.

        \b
          maillon charter limit "Coop de la Drôme" 80h
          maillon charter limit "Coop de la Drôme" 500 --unit grain
        """
    ),
)
@click.argument("coop")
@click.argument("amount")
@click.option("--unit", metavar="CODE", help=_("Which unit, where there are several."))
@title_option
def limit(coop: str, amount: str, unit: str | None, title: str) -> int:
    from maillon.node.cli.who import directory

    known = directory()
    entry = {
        "entry": "limit",
        "coop": known.coop(coop)[0],
        "unit": known.unit(unit),
        "limit": amount,
    }
    return send_proposal([entry], title)
