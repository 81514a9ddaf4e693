"""`maillon token`: let programs, pages and devices of people use the node's interface."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.exchange_acting import known
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _

Json = dict[str, Any]

SCOPES = ["read", "exchange", "pay", "publish", "desk", "admin"]


@click.group(
    cls=base.Group,
    help=_(
        """Let a person's device or a program of the coop use this node's interface over HTTP.

        \b
          maillon token make "Ana Exemple" --label Tablette --scope read --scope exchange
          maillon token make --program --label "Website" --scope read
          maillon token list
          maillon token revoke 9c01d2ab
          maillon token end "Ana Exemple"            all tokens, sessions and passkeys at once
        """
    ),
)
def token() -> None:
    pass


@token.command("make", help=_("Make a token; it is shown this once."))
@click.argument("name", required=False)
@click.option("--program", is_flag=True, help=_("For a program of the coop, not a person."))
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES))
@click.option("--label", required=True, help=_("What it is for."))
@click.option("--days", type=click.IntRange(1, 400), default=90, show_default=True)
def make(name: str | None, program: bool, scopes: tuple[str, ...], label: str, days: int) -> None:
    if bool(name) == program:
        base.fail("usage", _("Say for whom: NAME, or --program."))
    body: Json = {"scopes": list(scopes), "label": label, "days": days, "program": program}
    if name is not None:
        body["person"] = known().person(name)
    data = base.state().client().post("/v1/tokens", body)

    def human() -> None:
        click.echo(data["token"])
        click.echo(
            _("Valid until {when}; it is not shown again. To end it: {command}").format(
                when=base.when(data["expires"]),
                command=f"maillon token revoke {data['id'][:8]}",
            ),
            err=True,
        )

    base.emit(data, human)


@token.command("list", help=_("List tokens, and when they were last used."))
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", metavar="CURSOR", help=_("Go on where the last list ended."))
def list_(limit: int, after: str | None) -> None:
    data = base.state().client().get("/v1/tokens", limit=limit, after=after)
    rows = [
        (
            entry["id"][:8],
            entry["label"],
            entry["name"] or (_("a program") if not entry["person"] else entry["person"][:8]),
            ", ".join(entry["scopes"]),
            base.when(entry["last_used"]),
            _("revoked") if entry["revoked"] else base.when(entry["expires"]),
        )
        for entry in data["tokens"]
    ]
    columns = (_("id"), _("label"), _("of"), _("may"), _("last used"), _("until"))

    def human() -> None:
        base.print_table(columns, rows, empty=_("There is no token."))
        if data["next"]:
            click.echo(_("More with: --after {cursor}").format(cursor=data["next"]))

    base.emit(data, human)


@token.command("revoke", help=_("End a token at once."))
@click.argument("id")
def revoke(id: str) -> None:
    from maillon.node.cli.who import the_one

    client = base.state().client()
    wanted = id.strip().rstrip("…").lower()
    tokens = client.get("/v1/tokens", limit=1000)["tokens"]
    found = [(t["id"], t["label"]) for t in tokens if wanted and t["id"].startswith(wanted)]
    none = base.problem(
        "not_found",
        _("There is no token {id}.").format(id=wanted[:16]),
        _("See them with: maillon token list"),
    )
    data = client.post(f"/v1/tokens/{path_part(the_one(id, found, none)[0])}/revoke")
    base.emit(data, _("The token is revoked."))


@token.command("end", help=_("End all sessions and tokens of a person, and forget their passkeys."))
@click.argument("name")
def end(name: str) -> None:
    data = base.state().client().post("/v1/auth/end", {"person": known().person(name)})
    base.emit(data, _("Ended: {n}.").format(n=data["count"]))
