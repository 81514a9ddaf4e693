"""`maillon account`: open accounts, read them, set their limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from maillon.node.cli import base
from maillon.node.cli.standing import how_it_stands, then
from maillon.node.i18n import _, ngettext
from maillon.protocol.errors import LocalError

if TYPE_CHECKING:
    from maillon.node.cli.who import Directory, Place

LINES_USUAL = 50
LINES_MAX = 1_000
# A block is certified within seconds, or not before other nodes are back.
WAIT_S = 15.0


@click.group(
    cls=base.Group,
    help=_(
        """Open accounts, read them, set their limits.

        An account begins at zero. Giving a service raises it, receiving one lowers it, never below
        its limit. All accounts of the federation together are always zero.

        \b
          maillon account open "Ana Exemple" --limit 10h
          maillon account list
          maillon account statement "Ana Exemple"

        NAME is a person of your coop, an organisation or a group with an account, the beginning of
        an id, or `commons`: your coop's own account.
        """
    ),
)
def account() -> None:
    pass


@account.command(
    "open",
    help=_(
        """Open an account for a person of your coop, an organisation or a group.

        Without --limit it receives first and gives then, and never goes below zero.

        \b
          maillon account open "Ana Exemple" --limit 10h --max 40h
          maillon account open --everybody --limit 10h           all members without an account
          maillon account open "Mairie de Die" --organisation --limit 100h
          maillon account open "Bois-bûche" --group --unit grain --limit 50
          maillon account open "Bruno Exemple" --limit heure=10h --limit grain=50
        """
    ),
)
@click.argument("name", required=False)
@click.option(
    "--limit", "limits", multiple=True, metavar="AMOUNT", help=_("How far below zero [0].")
)
@click.option(
    "--max", "maxima", multiple=True, metavar="AMOUNT", help=_("How far above zero [no bound].")
)
@click.option("--unit", "units", multiple=True, help=_("Code of a unit [all of the federation]."))
@click.option("--organisation", "kind", flag_value="organisation", help=_("A legal person."))
@click.option("--group", "kind", flag_value="group", help=_("Several people with one account."))
@click.option("--key", metavar="HEX", help=_("Public key that signs for it [the node keeps one]."))
@click.option("--everybody", is_flag=True, help=_("Every member who has no account yet."))
def open_(
    name: str | None,
    limits: tuple[str, ...],
    maxima: tuple[str, ...],
    units: tuple[str, ...],
    kind: str | None,
    key: str | None,
    everybody: bool,
) -> int:
    from maillon.node.cli.who import directory, hex_key

    if bool(name) == everybody:
        base.fail(
            "usage",
            _("Say whose account to open."),
            _('maillon account open "NAME", or --everybody for all members without one'),
        )
    if everybody and (kind or key):
        base.fail("usage", _("--everybody opens accounts of persons, with their own keys."))
    known = directory()
    positions = _positions(known, limits, maxima, units)
    if everybody:
        return _open_everybody(known, positions)
    assert name is not None
    body: dict[str, Any] = {"positions": positions, "wait_s": WAIT_S}
    if key:
        body["key"] = hex_key(key, "--key")
    if kind:
        body |= {"kind": kind, "name": name}
    else:
        body["person"] = known.person(name)
    data = base.state().client().post("/v1/accounts", body, timeout=base.patience(WAIT_S))
    return base.tell_order(
        data,
        done=then(
            _("Opened the account of {name} ({id}).").format(
                name=_whole(known, data["account"], name), id=data["account"][:8]
            ),
            data["account"],
            _whole(known, data["account"], name),
        ),
    )


def _whole(known: Directory, account: str, typed: str) -> str:
    """Return the whole name of a person whose account it is, else what was typed."""
    name = next((m["name"] for m in known.members() if m["person"] == account), "")
    return base.printable(name or typed)


def _positions(
    known: Directory, limits: tuple[str, ...], maxima: tuple[str, ...], units: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return the units of an account with their limits, as the node reads them.

    A limit is AMOUNT, of the only unit that can be meant, or UNIT=AMOUNT.
    """
    codes = [known.unit(code) for code in units] if units else known.kept_units()
    positions: dict[str, dict[str, Any]] = {code: {"unit": code, "limit": 0} for code in codes}
    for field, texts in (("limit", limits), ("max", maxima)):
        for text in texts:
            given, equals, amount = text.rpartition("=")
            code = codes[0] if len(codes) == 1 and not equals else None
            code = code or known.unit(given.strip() if equals else None, amount)
            if units and code not in codes:
                base.fail(
                    "usage", _("{text!r} is of none of the units of --unit.").format(text=text)
                )
            positions.setdefault(code, {"unit": code, "limit": 0})[field] = amount.strip()
    return list(positions.values())


def limits_by_unit(known: Directory, texts: tuple[str, ...]) -> dict[str, str]:
    """Return amounts by code of their unit, from AMOUNT, of the only unit that can be meant, or
    UNIT=AMOUNT."""
    found: dict[str, str] = {}
    for text in texts:
        given, equals, amount = text.rpartition("=")
        try:
            code = known.unit(given.strip() if equals else None, amount)
        except LocalError as fault:
            fault.hint = _("Say of which, as UNIT=AMOUNT.")
            raise
        found[code] = amount.strip()
    return found


def _open_everybody(known: Directory, positions: list[dict[str, Any]]) -> int:
    """Open an account for each member without one; what is refused does not stop the others."""
    from maillon.protocol.errors import LocalError

    have = {entry["account"] for entry in known.accounts()}
    people = {m["person"]: m["name"] for m in known.members() if m["status"] == "active"}
    opened: list[dict[str, Any]] = []
    faults: list[dict[str, Any]] = []
    for person, name in people.items():
        if person in have:
            continue
        body = {"person": person, "positions": positions, "wait_s": WAIT_S}
        try:
            data = known.client.post("/v1/accounts", body, timeout=base.patience(WAIT_S))
            if data["status"] == "refused":
                raise base.refusal(data)
        except LocalError as fault:
            if fault.code == "not_running":
                raise
            faults.append({"person": person, "name": name, "message": str(fault)})
            continue
        opened.append(data)
    waiting = [data for data in opened if data["status"] != "certified"]

    def human() -> None:
        n = len(opened) - len(waiting)
        click.echo(ngettext("Opened {n} account.", "Opened {n} accounts.", n).format(n=n))
        if waiting:
            n = len(waiting)
            text = ngettext("{n} more is kept and waits.", "{n} more are kept and wait.", n)
            click.echo(text.format(n=n))
        for fault in faults:
            click.echo(f"  {base.printable(fault['name'])}: {fault['message']}", err=True)

    base.emit({"opened": opened, "faults": faults}, human)
    return base.PARTIAL if faults or waiting else base.OK


@account.command(
    "list",
    help=_(
        """List accounts with their balances and what can still be given.

        \b
          maillon account list
          maillon account list --unit heure --near-limit
          maillon account list --coop "Coop de la Drôme"
        """
    ),
)
@click.option("--coop", metavar="COOP", help=_("Of another coop: name or id."))
@click.option("--unit", metavar="CODE", help=_("Only this unit."))
@click.option("--all", "all_", is_flag=True, help=_("Closed accounts too."))
@click.option("--near-limit", is_flag=True, help=_("Only those with less than a fifth left."))
def list_(coop: str | None, unit: str | None, all_: bool, near_limit: bool) -> None:
    from maillon.node.cli.who import directory

    known = directory()
    where = None if coop is None else known.coop(coop)[0]
    code = None if unit is None else known.unit(unit)
    data = known.client.get("/v1/accounts", coop=where, unit=code, all=all_ or None)
    if near_limit:
        data["accounts"] = [
            entry | {"positions": near}
            for entry in data["accounts"]
            if (near := [p for p in entry["positions"] if _is_near(p)])
        ]
    base.emit(data, lambda: show_accounts(data["accounts"]))


def show_accounts(accounts: list[dict[str, Any]]) -> None:
    """Print accounts with a line for each unit."""
    rows: list[tuple[object, ...]] = []
    for entry in accounts:
        # An account of a federation that only counts has no position; it is listed all the same.
        for place, position in enumerate(entry["positions"] or [None]):
            first = (holder(entry), entry["account"][:8]) if place == 0 else ("", "")
            unit = "" if position is None else position["code"]
            rows.append((*first, unit, *_amounts(position)))
    columns = [
        _("account"), _("id"), _("unit"), _("balance"), _("reserved"), _("can give"), _("limits"),
    ]  # fmt: skip
    if len({row[2] for row in rows}) < 2:
        # Where all are in the same unit, it goes without saying.
        del columns[2]
        rows = [(*row[:2], *row[3:]) for row in rows]
    base.print_table(columns, rows, empty=_("There is no account yet."))


def _amounts(position: dict[str, Any] | None) -> tuple[str, str, str, str]:
    if position is None:
        return "–", "", "", ""
    limits = _("down to {limit}").format(limit=_below(position["limit"], position["limit_text"]))
    if position["max"] is not None:
        limits += ", " + _("up to {max}").format(max=position["max_text"])
    return (
        position["text"],
        position["held_text"] if position["held"] else "",
        position["available_text"],
        limits,
    )


def _below(limit: int, text: str) -> str:
    return f"-{text}" if limit else text


def _is_near(position: dict[str, Any]) -> bool:
    """Tell whether less than a fifth of what an account may owe is left."""
    return bool(position["limit"] > 0 and position["available"] * 5 < position["limit"])


def holder(entry: dict[str, Any]) -> str:
    """Return whose account it is, as far as this node knows."""
    name = str(entry.get("name") or "")
    if entry["kind"] == "commons":
        name = _("commons")
    elif not name:
        name = {
            "organisation": _("an organisation"),
            "group": _("a group"),
        }.get(entry["kind"], _("a member"))
    return name if entry["open"] else _("{name} (closed)").format(name=name)


@account.command(
    "show",
    help=_(
        """Show an account whole: balances, limits, keys, mandates, and how others name it.

        \b
          maillon account show "Ana Exemple"
          maillon account show commons --json
        """
    ),
)
@click.argument("name")
def show(name: str) -> None:
    from maillon.node.cli.who import directory

    known = directory()
    place = known.account(name)
    found = [
        entry
        for entry in known.accounts("" if place.here else place.coop)
        if entry["account"] == place.account
    ]
    if not found:
        base.fail(
            "not_found",
            _("{name} has no account.").format(name=base.printable(place.name or name)),
            _('Open one with: maillon account open "{name}"').format(name=place.name or name)
            if place.here
            else None,
        )
    entry = found[0]

    def human() -> None:
        click.echo(click.style(base.printable(holder(entry)), bold=True))
        # On a line of its own, so that it can be copied whole.
        click.echo(_("for payers: {address}").format(address=place.address))
        rows: list[tuple[str, object]] = []
        for position in entry["positions"]:
            balance, held, available, limits = _amounts(position)
            told = _("{balance}; can give {available} ({limits})").format(
                balance=balance, available=available, limits=limits
            )
            if held:
                told += ", " + _("reserved {amount}").format(amount=held)
            rows.append((position["code"], told))
        rows += [(_("key"), key) for key in entry["keys"]]
        for pending in entry["pending_keys"]:
            told = _("counts from {when} on").format(when=base.when(pending["from"]))
            rows.append((_("new key"), f"{pending['key']}, {told}"))
        rows += [(_("mandate"), _mandate(mandate, known)) for mandate in entry["mandates"]]
        base.print_table(("", ""), rows, empty="")

    base.emit(entry, human)


def _mandate(mandate: dict[str, Any], known: Directory) -> str:
    allowed = ", ".join(
        str(entry.get("text") or entry.get("amount")) for entry in mandate.get("allowances", ())
    )
    hours = mandate["period_s"] // 3600
    every = (
        ngettext("{n} hour", "{n} hours", hours).format(n=hours)
        if hours % 24
        else ngettext("{n} day", "{n} days", hours // 24).format(n=hours // 24)
    )
    return _("{id}: {who} may give {allowed} in {every}, until {when}").format(
        id=mandate["mandate"][:16],
        who=known.name_of_key(mandate["key"]),
        allowed=allowed,
        every=every,
        when=base.when(mandate["end"]),
    )


@account.command(
    "statement",
    help=_(
        """Show what went in and out of an account, and the balance after each.

        Memos are private: they stand here for those whom this node serves, never on the chain.

        \b
          maillon account statement "Ana Exemple"
          maillon account statement commons --from 2026-01-01 --to 2026-12-31
          maillon account statement 4f0a12cd --json
        """
    ),
)
@click.argument("name")
@click.option("--from", "since", metavar="DAY", help=_("From this day on."))
@click.option("--to", "until", metavar="DAY", help=_("Up to the end of this day."))
@click.option("--unit", metavar="CODE", help=_("Only this unit."))
@click.option("--limit", type=click.IntRange(1, LINES_MAX), default=LINES_USUAL, show_default=True)
@click.option("--after", metavar="CURSOR", help=_("Go on where the last page ended."))
def statement(
    name: str,
    since: str | None,
    until: str | None,
    unit: str | None,
    limit: int,
    after: str | None,
) -> None:
    from maillon.node.cli.who import directory

    known = directory()
    place = known.account(name)
    if not place.here:
        base.fail(
            "usage",
            _("A statement is kept by the coop of the account."),
            _("Its balance is seen with: maillon account list --coop COOP"),
        )
    first = None if since is None else base.moment(since, start=True)
    last = None if until is None else base.moment(until)
    if first is not None and last is not None and first >= last:
        base.fail("usage", _("--from is after --to."))
    parameters = {
        "from": first,
        "to": last,
        "unit": None if unit is None else known.unit(unit),
        "limit": limit,
        "after": after,
    }
    data = known.client.get(f"/v1/accounts/{place.account}/statement", **parameters)
    base.emit(data, lambda: _show_statement(data, known.own_coop))


def _show_statement(data: dict[str, Any], own: str) -> None:
    click.echo(click.style(base.printable(holder(data["account"])), bold=True))
    _show_balances(_("before: {balances}"), data["opening"])
    rows = [_line(line, own) for line in data["lines"]]
    columns = (_("when"), _("what"), _("with"), _("amount"), _("balance"), _("memo"))
    base.print_table(columns, rows, empty=_("Nothing went in or out."))
    if data["next"]:
        click.echo(_("More with: --after {cursor}").format(cursor=data["next"]))
    else:
        _show_balances(_("after: {balances}"), data["closing"])


def _show_balances(text: str, balances: list[dict[str, Any]]) -> None:
    if balances:
        click.echo(text.format(balances=", ".join(entry["text"] for entry in balances)))


def _what(line: dict[str, Any]) -> str:
    """Return what a line of a statement is, in the words that people use."""
    words = {
        "hold": _("reserved"),
        "void": _("no longer reserved"),
        "return": _("came back"),
    }
    if line["status"] == "waiting":
        return _("waiting")
    if line["kind"] in words:
        return words[line["kind"]]
    return _("received") if line["direction"] == "in" else _("given")


def _line(line: dict[str, Any], own: str) -> tuple[object, ...]:
    other = line["counterpart_name"] or line["counterpart"][:8]
    if line["counterpart_coop"] != own:
        other += f" ({line['counterpart_coop_name']})"
    # What goes out has its sign already; what is only reserved moves no balance.
    moved = line["kind"] not in ("hold", "void")
    sign = "+" if moved and line["amount"] > 0 else ""
    return (
        base.when(line["at"]),
        _what(line),
        other,
        sign + line["text"],
        line["balance_text"],
        line["memo"] or line["category"],
    )


@account.command(
    "limit",
    help=_(
        """Set how far an account may go below zero, and above it.

        A lower limit takes nothing away: the account only cannot give until it is above it again.
        In a unit that the account does not have yet, this adds the unit to it.

        \b
          maillon account limit "Ana Exemple" 20h
          maillon account limit "Ana Exemple" 20h --max 60h --unit heure
          maillon account limit commons 200h
        """
    ),
)
@click.argument("name")
@click.argument("amount")
@click.option("--unit", metavar="CODE", help=_("Which unit, where there are several."))
@click.option("--max", "maximum", metavar="AMOUNT", help=_("How far above zero [no bound]."))
def limit(name: str, amount: str, unit: str | None, maximum: str | None) -> int:
    from maillon.node.cli.who import directory

    known = directory()
    place = known.account(name)
    code = known.unit(unit, amount, place)
    body: dict[str, Any] = {"unit": code, "limit": amount}
    if maximum is not None:
        body["max"] = maximum
    done = _("The account of {name} may go down to -{limit}.").format(
        name=named(place), limit=base.printable(amount)
    )
    return decide(
        place, "limit", body, lambda _data: done + how_it_stands(place.account, named(place), code)
    )


def named(place: Place) -> str:
    """Return the name of an account, or the beginning of its id, fit for a terminal."""
    return base.printable(place.name) or place.account[:8]


def decide(
    place: Place, verb: str, body: dict[str, Any], done: str | Callable[[dict[str, Any]], str]
) -> int:
    """Ask the node for something that the coop decides about one of its accounts."""
    if not place.here:
        base.fail("not_allowed", _("Only its own coop decides about an account."))
    path = f"/v1/accounts/{place.account}/{verb}"
    given = body if verb.endswith("/revoke") else {**body, "wait_s": WAIT_S}
    data = base.state().client().post(path, given, timeout=base.patience(WAIT_S))
    return base.tell_order(data, done=done if isinstance(done, str) else lambda: done(data))


@account.command(
    "close",
    help=_(
        """Close an account for good. It must stand at zero, with nothing reserved.

        A member who leaves for another coop first gives the balance to the new account there:

        \b
          maillon transfer send "Ana Exemple" "Coop de la Drôme:93bc01ff" 3h15
          maillon account close "Ana Exemple"
        """
    ),
)
@click.argument("name")
def close(name: str) -> int:
    from maillon.node.cli.who import directory

    place = directory().account(name)
    done = _("The account of {name} is closed.").format(name=named(place))
    return decide(place, "close", {}, done)
