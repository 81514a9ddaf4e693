"""`maillon demand cosign`: stand behind a demand of somebody else."""

from __future__ import annotations

import click

from maillon.node.cli import base, exchange_words
from maillon.node.cli.exchange_acting import acting_options, key_holder, principal
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _, ngettext


@click.command(
    "cosign",
    cls=base.Command,
    help=_(
        """Stand behind a demand of somebody else, so that one answer serves all.

        \b
          maillon demand cosign 9c01d2ab --by "Bruno Exemple"
        """
    ),
)
@click.argument("id")
@acting_options
def cosign(id: str, by: str | None, as_: str | None) -> None:
    body = {"by": key_holder(by), "as": principal(as_)}
    data = (
        base.state()
        .client()
        .post(
            f"/v1/demands/{path_part(id)}/cosignatures",
            {name: value for name, value in body.items() if value is not None},
        )
    )
    n = len(data["cosigners"])
    base.emit(
        data,
        ngettext(
            "{title}: {n} person stands behind it now, besides its author.",
            "{title}: {n} people stand behind it now, besides its author.",
            n,
        ).format(title=base.printable(data["title"]), n=n),
    )


@click.command(
    "cosigners", cls=base.Command, help=_("List who stands behind a demand, besides its author.")
)
@click.argument("id")
def cosigners(id: str) -> None:
    data = base.state().client().get(f"/v1/demands/{path_part(id)}/cosignatures")
    rows = [
        (exchange_words.party_name(entry["who"]), base.when(entry["at"]))
        for entry in data["cosigners"]
    ]
    base.emit(
        data,
        lambda: base.print_table((_("who"), _("since")), rows, empty=_("Nobody has co-signed.")),
    )


COMMANDS = (cosign, cosigners)
