"""`maillon group`: people who work together found a micro-organisation with one account."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.exchange_acting import author_of, exchange_id, known, wait_option
from maillon.node.cli.paths import path_part
from maillon.node.cli.standing import how_it_stands
from maillon.node.i18n import _

Json = dict[str, Any]


@click.group(
    cls=base.Group,
    help=_(
        """Found a group with members and shares, and pay from its account together.

        \b
          maillon group found "Les Jardiniers" --member "Ana Exemple=2" --member Bruno=1 \\
                --signatures 2 --founder "Ana Exemple"
          maillon group consent "Les Jardiniers" "Bruno Exemple"     each member consents
          maillon group pay "Les Jardiniers" "Chloé Exemple" 1h --by "Ana Exemple"
          maillon group approve "Les Jardiniers" 61ab02c4 "Bruno Exemple"

        What comes in is split between the members by their shares at once, once all have
        consented: the group's own account stays at 0, and pays only where it may go below zero:
        maillon account limit "Les Jardiniers" 5h
        """
    ),
)
def group() -> None:
    pass


@group.command(
    "found",
    help=_(
        """Found a group; every member has to consent before it counts.

        What comes in is given on to the members as --split says: the group itself keeps nothing to
        pay from, unless `maillon account limit` lets it owe something.

        \b
          maillon group found "Les Jardiniers" --member "Ana Exemple=2" --member Bruno=1 \\
                --signatures 2 --split shares --founder "Ana Exemple"
        """
    ),
)
@click.argument("name")
@click.option("--member", "members", multiple=True, required=True, metavar="WHO[=SHARE]")
@click.option("--founder", required=True, metavar="NAME", help=_("Whose key signs; one of them."))
@click.option("--signatures", type=click.IntRange(1, 32), default=1, show_default=True)
@click.option(
    "--split", type=click.Choice(["shares", "equal", "performer"]), default="shares",
    show_default=True,
)  # fmt: skip
@click.option("--unit", "units", multiple=True, metavar="CODE", help=_("Of its account [all]."))
@click.option("--days", type=click.IntRange(1, 400), default=365, show_default=True)
@wait_option
def found(
    name: str,
    members: tuple[str, ...],
    founder: str,
    signatures: int,
    split: str,
    units: tuple[str, ...],
    days: int,
    wait_s: float,
) -> None:
    people: list[Json] = []
    for text in members:
        who, _equals, share = text.partition("=")
        if share and not share.isdigit():
            base.fail("usage", _("A share is a whole number, such as Ana=2."))
        people.append({"author": author_of(who), "share": int(share or 1)})
    names = known()
    body: Json = {
        "name": name,
        "founder": names.person(founder),
        "members": people,
        "signatures": signatures,
        "split": split,
        "days": days,
        "units": [names.unit(code) for code in units],
        "wait_s": wait_s,
    }
    data = base.state().client().post("/v1/groups", body, timeout=base.patience(wait_s))
    base.emit(data, lambda: _tell(data, _("Founded as {id}.").format(id=data["group"][:8])))


def _tell(data: Json, done: str) -> None:
    click.echo(done)
    missing = [part for part in data["members"] if not part["consents"]]
    if missing:
        listed = ", ".join(_member(part) for part in missing)
        click.echo(_("It counts once these have consented too: {names}").format(names=listed))
        base.advise(f"  maillon group consent {data['group'][:8]} NAME")
    else:
        click.echo(_("All members have consented: what comes in is split."))


def _member(part: Json) -> str:
    return base.printable(part["name"]) or part["author"][66:74]


def _group_id(text: str) -> str:
    """Return the id of a group, by its name or the beginning of the id. Raises: LocalError."""
    from maillon.node.cli.who import looks_like_id, the_one
    from maillon.node.naming import same_name

    wanted = text.strip().rstrip("…")
    if looks_like_id(wanted):
        return wanted.lower()
    groups = base.state().client().get("/v1/groups")["groups"]
    entries = [(entry["name"], (entry["group"], entry["name"])) for entry in groups]
    none = base.problem(
        "not_found",
        _("No group here is called {name!r}.").format(name=wanted[:80]),
        _("See them with: maillon group list"),
    )
    return the_one(wanted, same_name(wanted, entries), none)[0]


def _path(text: str) -> str:
    return f"/v1/groups/{path_part(_group_id(text))}"


@group.command("list", help=_("List the groups whose accounts are here."))
def list_() -> None:
    data = base.state().client().get("/v1/groups")
    rows = [
        (
            entry["group"][:8],
            entry["name"],
            ", ".join(_member(part) for part in entry["members"]),
            _("all have consented") if entry["counts"] else _("consents missing"),
        )
        for entry in data["groups"]
    ]
    columns = (_("id"), _("name"), _("members"), "")
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("There is no group.")))


@group.command("show", help=_("Show a group: its members, shares, and rule for signing."))
@click.argument("group_", metavar="GROUP")
def show(group_: str) -> None:
    data = base.state().client().get(_path(group_))

    def human() -> None:
        click.echo(click.style(base.printable(data["name"]), bold=True))
        splits = {
            "shares": _("split by shares"),
            "equal": _("split in equal parts"),
            "performer": _("for whoever did the work"),
        }
        click.echo(
            _("{n} of {m} sign a payment; what comes in is {split}.").format(
                n=data["signatures"], m=len(data["members"]),
                split=splits.get(data["split"], data["split"]),
            )
        )  # fmt: skip
        rows = [
            (_member(part), part["share"], _("consents") if part["consents"] else _("not yet"))
            for part in data["members"]
        ]
        base.print_table((_("member"), _("share"), ""), rows, empty="")

    base.emit(data, human)


@group.command("consent", help=_("Consent to a group as one of its members."))
@click.argument("group_", metavar="GROUP")
@click.argument("member", metavar="NAME")
def consent(group_: str, member: str) -> None:
    path = f"{_path(group_)}/consents"
    data = base.state().client().post(path, {"member": author_of(member)})
    base.emit(data, lambda: _tell(data, _("Consented.")))


@group.command(
    "pay",
    help=_(
        """Propose a payment from the group's account; it is made with enough approvals.

        \b
          maillon group pay "Les Jardiniers" "Chloé Exemple" 1h --by "Ana Exemple"
          maillon group pay "Les Jardiniers" --exchange 5e20c4b1     what an exchange asks of it
        """
    ),
)
@click.argument("group_", metavar="GROUP")
@click.argument("to", required=False)
@click.argument("amount", required=False)
@click.option(
    "--exchange", metavar="ID",
    help=_("Pay for this exchange what it asks of the group; it says to whom and how much."),
)  # fmt: skip
@click.option("--unit", metavar="CODE", help=_("Which unit, where there are several."))
@click.option("--memo", default="", help=_("What it was for; only the two parties can read it."))
@click.option("--by", metavar="NAME", help=_("A member who approves it at once."))
@wait_option
def pay(
    group_: str,
    to: str | None,
    amount: str | None,
    exchange: str | None,
    unit: str | None,
    memo: str,
    by: str | None,
    wait_s: float,
) -> int:
    body: Json = {"memo": memo, "wait_s": wait_s}
    if exchange is not None:
        if to is not None or amount is not None or unit is not None:
            base.fail("usage", _("The exchange says to whom and how much: give --exchange alone."))
        body["exchange"] = exchange_id(exchange)
    elif to is None or amount is None:
        base.fail("usage", _("Say to whom and how much, or for which exchange: --exchange ID."))
    else:
        names = known()
        place = names.account(to)
        body["to"] = place.account if place.here else place.address
        body |= {"amount": amount, "unit": names.unit(unit, amount)}
    if by is not None:
        body["by"] = author_of(by)
    client = base.state().client()
    data = client.post(f"{_path(group_)}/orders", body, timeout=base.patience(wait_s))
    return _order(data)


def _order(data: Json) -> int:
    def human() -> None:
        amount, to = data["text"], base.printable(data["to_name"] or data["to_account"][:8])
        if data["status"] == "certified" and data["exchange"]:
            told = _("Reserved for exchange {id}: {amount} for {name}.")
            click.echo(told.format(id=data["exchange"][:8], amount=amount, name=to))
        elif data["status"] == "certified":
            click.echo(_("Paid: {amount} to {name}.").format(amount=amount, name=to))
        elif data["status"] == "open":
            missing = data["needed"] - len(data["approvals"])
            if missing <= 0:
                _tell_unpaid(data, amount, to)
                return
            click.echo(
                _("{amount} to {name}: {n} more have to approve, until {when}.").format(
                    amount=amount, name=to, n=missing, when=base.when(data["until"])
                )
            )
            base.advise(f"  maillon group approve {data['group'][:8]} {data['order'][:8]} NAME")
        elif data["status"] in ("refused", "expired"):
            click.echo(
                _("{amount} to {name}: {reason}.").format(
                    amount=amount, name=to, reason=data["reason"] or data["status"]
                )
            )
        else:
            click.echo(
                _("{amount} to {name}: kept, goes on by itself.").format(amount=amount, name=to)
            )

    base.emit(data, human)
    waits = data["status"] == "open" and len(data["approvals"]) < data["needed"]
    return base.OK if data["status"] == "certified" or waits else base.PARTIAL


def _tell_unpaid(data: Json, amount: str, to: str) -> None:
    """Say why a payment that all have approved was not made, and what the group has."""
    click.echo(
        _("{amount} to {name}: approved by all who have to, and not paid yet.").format(
            amount=amount, name=to
        )
    )
    why = data["detail"] or data["reason"]
    if why:
        click.echo("  " + base.printable(why))
    stands = how_it_stands(data["group"], _("The group"), data["code"])
    if stands:
        click.echo(stands.lstrip("\n"))
    told = _("It is tried again until {when}; a group that splits what comes in keeps nothing.")
    click.echo("  " + told.format(when=base.when(data["until"])))


@group.command("approve", help=_("Approve a payment of the group, as one of its members."))
@click.argument("group_", metavar="GROUP")
@click.argument("order")
@click.argument("member", metavar="NAME")
@wait_option
def approve(group_: str, order: str, member: str, wait_s: float) -> int:
    path = f"{_path(group_)}/orders/{path_part(order)}/approvals"
    body = {"member": author_of(member), "wait_s": wait_s}
    data = base.state().client().post(path, body, timeout=base.patience(wait_s))
    return _order(data)


@group.command("payments", help=_("List the payments proposed in a group."))
@click.argument("group_", metavar="GROUP")
def payments(group_: str) -> None:
    data = base.state().client().get(f"{_path(group_)}/orders")
    rows = [
        (
            entry["order"][:8],
            entry["text"],
            entry["to_name"] or entry["to_account"][:8],
            f"{len(entry['approvals'])}/{entry['needed']}",
            entry["status"],
            entry["memo"],
        )
        for entry in data["orders"]
    ]
    columns = (_("id"), _("amount"), _("for"), _("approvals"), _("state"), _("memo"))

    def human() -> None:
        base.print_table(columns, rows, empty=_("There is no payment."))
        for entry in data["wanted"]:
            if entry["order"]:
                continue
            click.echo(
                _("Exchange {id} asks for {amount} for {name}, until {when}:").format(
                    id=entry["exchange"][:8], amount=entry["text"],
                    name=base.printable(entry["to_name"] or entry["to_account"][:8]),
                    when=base.when(entry["until"]),
                )
            )  # fmt: skip
            team = _group_id(group_)[:8]
            base.advise(f"  maillon group pay {team} --exchange {entry['request'][:8]} --by NAME")

    base.emit(data, human)


@group.command(
    "worked",
    help=_(
        """Say which member did the work of a payment that came in: they get all of it.

        For a group that was founded with `--split performer`. The id of the payment is in its
        statement. It is said once; in a group in which several sign, at the desk.

        \b
          maillon account statement "Les Jardiniers"
          maillon group worked "Les Jardiniers" 61ab02c4 "Ana Exemple"
        """
    ),
)
@click.argument("group_", metavar="GROUP")
@click.argument("transfer", metavar="PAYMENT")
@click.argument("member", metavar="NAME")
def worked(group_: str, transfer: str, member: str) -> None:
    client = base.state().client()
    whole = client.get(f"/v1/transfers/{path_part(transfer)}")["transfer"]["id"]
    body = {"transfer": whole, "performer": author_of(member)}
    data = client.post(f"{_path(group_)}/splits", body)

    def human() -> None:
        split = next(entry for entry in data["splits"] if entry["transfer"] == whole)
        for part in split["parts"]:
            told = (
                _("{amount} to {name}: paid.")
                if part["status"] == "certified"
                else _("{amount} to {name}: kept, goes on by itself.")
            )
            click.echo(told.format(amount=part["text"], name=base.printable(member)))

    base.emit(data, human)


@group.command("splits", help=_("List what came in and how it was split."))
@click.argument("group_", metavar="GROUP")
def splits(group_: str) -> None:
    client = base.state().client()
    path = _path(group_)
    data = client.get(f"{path}/splits")
    names = {part["author"]: _member(part) for part in client.get(path)["members"]}
    rows = [
        (
            base.when(entry["at"]),
            entry["text"],
            ", ".join(
                f"{names.get(part['author'], part['author'][66:74])} {part['text']}"
                for part in entry["parts"]
            ),
        )
        for entry in data["splits"]
    ]
    columns = (_("when"), _("amount"), _("parts"))
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("Nothing came in yet.")))
