"""`maillon federation refound`: go on when too many witnesses are lost for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.i18n import _, ngettext


@click.group(
    cls=base.Group,
    help=_(
        """Found the federation again when too many witnesses are lost for good.

        Only when so many nodes are lost, with their disks, that no payment will ever be signed
        again: while they are merely down, wait. Two thirds of the coops sign with their root keys,
        their nodes stopped. Each chain goes on from the block that the proposal names; payments
        above it are void, so the coop that knows most writes it.

        \b
          1. one coop:      maillon federation refound propose --keep "Coop A" --keep "Coop B"
          2. other coops:   maillon federation refound sign refounding.maillon
          3. who is left:   maillon federation refound install refounding.maillon
        """
    ),
)
def refound() -> None:
    pass


@refound.command(
    "propose",
    help=_(
        """Write a proposal at the last blocks that this node knows, and sign it.

        \b
          maillon federation refound propose --keep "Coop A" --keep 61ab02c4 --witness-quorum 2
          maillon federation refound propose --keep "Coop A" --card coop-b.card
        """
    ),
)
@base.password_option
@click.option(
    "--keep", multiple=True, metavar="COOP", help=_("A coop whose witness is there still.")
)
@click.option("--card", "cards", multiple=True, help=_("The card of a coop that has new keys."))
@click.option(
    "--witness-quorum",
    type=click.IntRange(1, 64),
    help=_("Nodes that must sign each payment [so many that a third may be dishonest]."),
)
@click.option("--output", "-o", default="refounding.maillon", metavar="FILE", show_default=True)
def propose(
    keep: tuple[str, ...], cards: tuple[str, ...], witness_quorum: int | None, output: str
) -> None:
    from maillon.node import clock, keyring
    from maillon.node.cli.federation import text_or_file
    from maillon.node.home import write_atomic
    from maillon.node.run import refounding
    from maillon.protocol.cards import card_from_text

    now = base.state()
    read = [card_from_text(text_or_file(text)) for text in cards]
    root = keyring.open_root(now.home, base.get_password())
    with refounding.opened(now.home) as ledger:
        block = refounding.propose(
            ledger.book, root, keep=keep, cards=read, quorum=witness_quorum, now=clock.now()
        )
        data = refounding.describe(ledger.book, block) | {"file": output}
    write_atomic(Path(output), block.encode(), mode=0o644)
    base.emit(data, lambda: _show(data))


@refound.command("show", help=_("Show a proposal, and what this node knows beyond it."))
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def show(file: str) -> None:
    from maillon.node.run import refounding

    with refounding.opened(base.state().home) as ledger:
        data = refounding.describe(ledger.book, refounding.read(Path(file)))
    base.emit(data, lambda: _show(data))


@refound.command(
    "sign",
    help=_(
        """Read a proposal and sign it for your coop.

        Several copies that were signed apart are joined into the first.

        \b
          maillon federation refound sign refounding.maillon
        """
    ),
)
@base.password_option
@click.option("--yes", is_flag=True, help=_("Do not ask."))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
def sign(files: tuple[str, ...], yes: bool) -> int:
    from maillon.node import keyring
    from maillon.node.home import write_atomic
    from maillon.node.run import refounding

    now = base.state()
    block = refounding.merge([refounding.read(Path(file)) for file in files])
    with refounding.opened(now.home) as ledger:
        if not yes and not now.json:
            _show(refounding.describe(ledger.book, block))
            if not base.confirm(_("Sign for your coop?")):
                click.echo(_("Nothing was signed."), err=True)
                return base.FAILURE
        root = keyring.open_root(now.home, base.get_password())
        block = refounding.sign(ledger.book, block, root)
        data = refounding.describe(ledger.book, block) | {"file": files[0]}
    write_atomic(Path(files[0]), block.encode(), mode=0o644, replace=True)
    base.emit(data, lambda: _show(data))
    return base.OK


@refound.command("install", help=_("Go on by a proposal that two thirds of the coops have signed."))
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def install(file: str) -> None:
    from maillon.node.run import refounding

    now = base.state()
    block = refounding.read(Path(file))
    with refounding.opened(now.home) as ledger:
        data = refounding.describe(ledger.book, block)
        refounding.install(ledger, block)
    base.emit(data, now.in_home(_("The federation goes on. Start your node: maillon run")))


def _show(data: dict[str, Any]) -> None:
    for sentence in data["quorum"]["sentences"]:
        click.echo(sentence)
    rows = [
        (
            coop["name"],
            coop["coop"][:8],
            _("witness") if coop["witness"] else "–",
            "✓" if coop["signed"] else "·",
        )
        for coop in data["coops"]
    ]
    base.print_table((_("coop"), _("id"), "", _("signed")), rows, empty="")
    for head in data["heads"]:
        lost = head["known"] - head["height"]
        if head["other"]:
            click.echo(
                _("Careful: your node knows another block of {name} in that place.").format(
                    name=base.printable(head["name"])
                )
            )
        elif lost > 0:
            click.echo(
                ngettext(
                    "Careful: your node knows {n} later block of {name}, which would be void.",
                    "Careful: your node knows {n} later blocks of {name}, which would be void.",
                    lost,
                ).format(n=lost, name=base.printable(head["name"]))
            )
    missing = data["needed"] - sum(coop["signed"] for coop in data["coops"])
    if missing > 0:
        click.echo(
            ngettext(
                "{n} more coop must sign: maillon federation refound sign FILE",
                "{n} more coops must sign: maillon federation refound sign FILE",
                missing,
            ).format(n=missing)
        )
    else:
        click.echo(
            _("Enough have signed. Who is left runs: maillon federation refound install FILE")
        )
