"""`maillon member` and `maillon mandate`: who belongs to the coop, and who acts for whom."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.offers import STATUSES
from maillon.node.cli.paths import path_part
from maillon.node.cli.who import Directory
from maillon.node.i18n import _, ngettext

ROLES = ["member", "provider", "helper", "desk", "admin"]


@click.group(
    cls=base.Group,
    help=_(
        """Register the people of your coop.

        Names stay in your node's private register; the federation sees a random number and a key.
        """
    ),
)
def member() -> None:
    pass


@member.command(
    "add",
    help=_(
        """Register a person. Without --key, the node keeps a key for them.

        \b
          maillon member add "Prénom Nom" --role provider --provider-status volunteer
          maillon member add "Prénom Nom" --key PUBLIC --sealing PUBLIC
          maillon member add --person 4f0a… --key PUBLIC --sealing PUBLIC    a second device
        """
    ),
)
@click.argument("name", required=False)
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), default=["member"])
@click.option("--provider-status", type=click.Choice(STATUSES))
@click.option("--self-declared/--approved", default=True, help=_("Who says so: the person or you."))
@click.option("--key", metavar="HEX", help=_("Public signing key of the person's device."))
@click.option("--sealing", metavar="HEX", help=_("Public sealing key of the person's device."))
@click.option("--custody", type=click.Choice(["device", "paper"]), help=_("Who holds --key."))
@click.option("--person", metavar="ID", help=_("Add a key to a person registered already."))
@click.option("--days", type=click.IntRange(1, 800), default=730, show_default=True)
@click.option("--note", default="", help=_("Kept in your register only."))
def add(
    name: str | None,
    roles: tuple[str, ...],
    provider_status: str | None,
    self_declared: bool,
    key: str | None,
    sealing: str | None,
    custody: str | None,
    person: str | None,
    days: int,
    note: str,
) -> None:
    if not name and not person:
        base.fail("usage", _("A new member needs a name."), _('maillon member add "NAME"'))
    if bool(key) != bool(sealing):
        base.fail("usage", _("--key and --sealing come together."))
    body: dict[str, Any] = {
        "name": name,
        "roles": list(roles),
        "provider_status": provider_status,
        "verification": None
        if provider_status is None
        else ("self_declared" if self_declared else "approved"),
        "key": key,
        "sealing": sealing,
        "custody": custody or ("device" if key else "node"),
        "person": person,
        "days": days,
        "note": note,
    }
    client = base.state().client()
    if person is not None:
        body["person"] = Directory(client).person(person)
    data = client.post("/v1/members", _present(body))
    base.emit(
        data,
        _("Registered {name} as {person}.").format(
            name=base.printable(data["name"]), person=data["person"]
        ),
    )


def _present(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


@member.command("list", help=_("List the people of your coop, with their names."))
def list_() -> None:
    data = base.state().client().get("/v1/members")
    rows = [
        (
            entry["name"],
            entry["person"],
            ", ".join(entry["roles"]),
            entry["status"],
            entry["custody"],
            base.when(entry["until"]),
        )
        for entry in data["members"]
    ]
    columns = (_("name"), _("person"), _("roles"), _("status"), _("key held by"), _("until"))
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("Nobody is registered yet.")))


@member.command(
    "revoke",
    help=_(
        """End the membership of a person, or of one of their keys.

        What the keys signed before counts on, unless --since says from when on it does not.

        \b
          maillon member revoke "Prénom Nom" --reason lost
          maillon member revoke 4f0a… --reason left
        """
    ),
)
@click.argument("person")
@click.option("--key", metavar="HEX", help=_("Only this key of theirs."))
@click.option(
    "--reason",
    required=True,
    type=click.Choice(["lost", "stolen", "left", "excluded", "rotated"]),
)
@click.option("--since", metavar="TIME", help=_("What was signed after this does not count."))
@click.option("--withdraw", is_flag=True, help=_("Withdraw their offers and demands first."))
def revoke(person: str, key: str | None, reason: str, since: str | None, withdraw: bool) -> None:
    if withdraw and since:
        base.fail("usage", _("--withdraw and --since exclude each other."))
    body = {
        "reason": reason,
        "key": key,
        "since": _time(since) if since else None,
        "withdraw": withdraw or None,
    }
    client = base.state().client()
    person = Directory(client).person(person)
    data = client.post(f"/v1/members/{path_part(person)}/revoke", _present(body))
    base.emit(
        data,
        ngettext(
            "Revoked {n} key of {name}.", "Revoked {n} keys of {name}.", len(data["keys"])
        ).format(n=len(data["keys"]), name=base.printable(data["name"])),
    )
    if not base.state().json:
        _tell_what_stands(data, person)


def _tell_what_stands(data: dict[str, Any], person: str) -> None:
    if data["withdrawn"]:
        click.echo(_("Withdrawn: {ids}").format(ids=", ".join(i[:12] for i in data["withdrawn"])))
    if data["standing"]:
        click.echo(_("Still standing: {ids}").format(ids=", ".join(data["standing"])))
        click.echo(
            "  "
            + _(
                "So that what was signed after a time does not count: "
                "maillon member revoke {person} --reason left --since TIME"
            ).format(person=person)
        )


def _time(text: str) -> int:
    from datetime import datetime

    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        base.fail(
            "usage",
            _("{text!r} is no time.").format(text=text),
            _("Write it as 2026-03-01 or 2026-03-01T14:30."),
        )


@click.group(
    cls=base.Group,
    help=_(
        """Let somebody act for a member of your coop, within limits, until a day.

        Shown here are mandates that your node signs: for members whose key it keeps, or for the
        coop itself.
        """
    ),
)
def mandate() -> None:
    pass


@mandate.command(
    "give",
    help=_(
        """Give a mandate.

        \b
          maillon mandate give --for "Prénom Nom" --to 93bc… --kind demand --kind offer --days 90
          maillon mandate give --to-key PUBLIC --to-coop COOP --kind offer --days 30
        """
    ),
)
@click.option("--for", "principal", metavar="PERSON", help=_("The member; without it, the coop."))
@click.option("--to", "delegate", metavar="PERSON", help=_("A member of your coop whose key acts."))
@click.option("--to-key", metavar="HEX", help=_("Public key of the one who acts."))
@click.option("--to-coop", metavar="HEX", help=_("The coop that vouches for --to-key."))
@click.option("--kind", "kinds", multiple=True, required=True, help=_("What they may publish."))
@click.option("--forbid", multiple=True, help=_("What stays excluded."))
@click.option("--days", type=click.IntRange(1, 800), default=90, show_default=True)
@click.option("--note", default="", help=_("Published with the mandate."))
def give(
    principal: str | None,
    delegate: str | None,
    to_key: str | None,
    to_coop: str | None,
    kinds: tuple[str, ...],
    forbid: tuple[str, ...],
    days: int,
    note: str,
) -> None:
    if not delegate and not (to_key and to_coop):
        base.fail("usage", _("Say who may act: --to PERSON, or --to-key with --to-coop."))
    body = {
        "principal": principal,
        "delegate": delegate,
        "delegate_key": to_key,
        "delegate_coop": to_coop,
        "kinds": list(kinds),
        "forbidden": list(forbid),
        "days": days,
        "note": note,
    }
    client = base.state().client()
    known = Directory(client)
    for name in ("principal", "delegate"):
        if body[name] is not None:
            body[name] = known.person(str(body[name]))
    data = client.post("/v1/mandates", _present(body))
    base.emit(data, _("Gave the mandate {id}.").format(id=data["mandate"]))


@mandate.command("list", help=_("List the mandates given in your coop."))
def list_mandates() -> None:
    data = base.state().client().get("/v1/mandates")
    rows = [
        (
            entry["mandate"][:16],
            entry["principal_name"] or entry["principal"][:8],
            entry["delegate_name"] or entry["delegate_key"][:8],
            ", ".join(entry["kinds"]),
            base.when(entry["end"]),
            _("revoked") if entry["revoked"] else "",
        )
        for entry in data["mandates"]
    ]
    columns = (_("mandate"), _("for"), _("acts"), _("kinds"), _("until"), "")
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("There is no mandate.")))


@mandate.command("revoke", help=_("End a mandate at once."))
@click.argument("id")
def revoke_mandate(id: str) -> None:
    data = base.state().client().post(f"/v1/mandates/{path_part(id)}/revoke")
    base.emit(data, _("The mandate is revoked."))
