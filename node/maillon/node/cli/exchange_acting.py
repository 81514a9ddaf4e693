"""What the commands about exchanges share: which one is meant, who acts, taking a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from maillon.node.cli import base, exchange_words
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

if TYPE_CHECKING:
    from maillon.node.cli.who import Directory

Json = dict[str, Any]

WAIT_S: Final = 15.0
WAIT_S_MAX: Final = 120.0
LISTED_MAX: Final = 100
COOP: Final = "coop"
PERSON_AUTHOR: Final = "70"
COOP_AUTHOR: Final = "63"
AUTHOR_CHARACTERS: Final = (2 * 33, 2 * 49)
# Payments that were asked for and are not certain yet.
UNDER_WAY: Final = frozenset({"ordered", "waiting", "placed"})


class Names(Protocol):
    """Who is who and which units there are: a node's directory, or what a file took along."""

    @property
    def own_coop(self) -> str: ...

    def charter(self) -> Json: ...

    def members(self) -> list[Json]: ...

    def coop_name(self, coop: str) -> str: ...


def acting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --by and --as: whose key signs, and for whom."""
    function = click.option(
        "--as",
        "as_",
        metavar="WHO",
        help=_("For somebody who gave a mandate: their name, or the mandate's id."),
    )(function)
    return click.option(
        "--by",
        metavar="NAME",
        help=_("Whose key signs: a person here, or `coop` [the only one who can]."),
    )(function)


def wait_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --wait: how long to listen for a payment that follows."""
    return click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(0, WAIT_S_MAX),
        default=WAIT_S,
        show_default=True,
        help=_("Seconds to wait until the accounts have certified it."),
    )(function)


def known() -> Directory:
    """Return whom this node knows."""
    from maillon.node.cli.who import directory

    return directory()


# --- who ----------------------------------------------------------------------------------------


def key_holder(text: str | None) -> str | None:
    """Return whose key signs, as the interface reads it: a person's id, or `coop`."""
    if text is None or text.strip().casefold() == COOP:
        return text if text is None else COOP
    return known().person(text)


def principal(text: str | None) -> str | None:
    """Return for whom somebody acts: a mandate's id, or a person here by id."""
    from maillon.node.cli.who import looks_like_id

    if text is None or looks_like_id(text):
        return text if text is None else text.strip().rstrip("…").lower()
    return known().person(text)


def author_of(text: str) -> str:
    """Return the author that a text means: a person of any coop, or a coop.

    NAME or ID of this coop, `coop`, COOP:ID of another, the name of a coop, or the author itself.
    Raises: LocalError that says what could be meant.
    """
    wanted = text.strip().rstrip("…").lower()
    if len(wanted) in AUTHOR_CHARACTERS and wanted[:2] in (PERSON_AUTHOR, COOP_AUTHOR):
        return wanted
    names = known()
    if wanted == COOP:
        return COOP_AUTHOR + names.own_coop
    coop_text, colon, rest = text.strip().rpartition(":")
    if colon and not rest.strip():
        return COOP_AUTHOR + names.coop(coop_text)[0]
    place = names.account(text)
    return PERSON_AUTHOR + place.coop + place.account


# --- which exchange -----------------------------------------------------------------------------


def exchange_id(text: str) -> str:
    """Return the id of the exchange that a text means: the beginning of it, or its title.

    Raises: LocalError that says which could be meant.
    """
    from maillon.node.cli.who import looks_like_id, the_one
    from maillon.node.naming import same_name

    wanted = text.strip().rstrip("…")
    if not wanted or looks_like_id(wanted):
        path_part(wanted)  # says that it is empty
        return wanted.lower()
    rows = base.state().client().get("/v1/exchanges", limit=LISTED_MAX)["exchanges"]
    found = same_name(wanted, [(row["title"], (row["id"], row["title"])) for row in rows])
    none = base.problem(
        "not_found",
        _("There is no exchange called {title!r} here.").format(title=wanted[:80]),
        _("See them with: maillon exchange list"),
    )
    return the_one(wanted, found, none)[0]


def read_exchange(id: str) -> Json:
    """Return an exchange as it is now."""
    found: Json = base.state().client().get(f"/v1/exchanges/{path_part(id)}")
    return found


def acting(exchange: Json, kind: str, by: str | None, as_: str | None) -> Json:
    """Return `by` and `as` of a step. Without --by it is the only one here who can take it.

    Raises: LocalError when nobody or several could.
    """
    if by is not None:
        said = {"by": key_holder(by), "as": principal(as_)}
        return {name: value for name, value in said.items() if value is not None}
    able = [entry["by"] for entry in exchange["possible"] if entry["kind"] == kind]
    others = [entry["by"] for entry in exchange["impossible"] if entry["kind"] == kind]
    here = [
        party["author"]
        for party in (exchange["requester"], exchange["provider"], exchange.get("mediator"))
        if party is not None and party["here"]
    ]
    for authors in (able, others, here):
        distinct = list(dict.fromkeys(authors))
        if len(distinct) == 1 and as_ is None:
            return {"by": holder_of(distinct[0])}
        if distinct:
            break
    base.fail(
        "usage",
        _("Say who acts."),
        _("With --by NAME, the one whose key signs; for somebody else with --as NAME besides."),
    )


def holder_of(author: str) -> str:
    """Return the author of somebody here as `by` names them."""
    return COOP if author.startswith(COOP_AUTHOR) else author[66:]


# --- taking a step ------------------------------------------------------------------------------


def take(
    id_text: str,
    kind: str,
    fields: Mapping[str, Any],
    by: str | None,
    as_: str | None,
    done: Callable[[Json], str],
    *,
    wait_s: float = 0.0,
    route: str = "",
    more: Callable[[Json], None] | None = None,
    before: Callable[[Json], bool] | None = None,
) -> int:
    """Take a step of an exchange, say what is now so, and return the exit code.

    `done` makes the first sentence out of the exchange as it is then, and `more` prints what else
    is to be told of it. `before` is asked with the exchange as it is: False leaves it so. `route`
    is another one than that of steps, which takes the fields at its top.
    """
    id = exchange_id(id_text)
    exchange = read_exchange(id)
    if before is not None and not before(exchange):
        base.emit(exchange, _("Nothing was changed."))
        return base.OK
    body = acting(exchange, kind, by, as_)
    if route:
        body |= fields
    else:
        body |= {"kind": kind, "fields": dict(fields)}
    if wait_s:
        body["wait_s"] = wait_s
    path = f"/v1/exchanges/{exchange['id']}/{route or 'steps'}"
    return send(exchange["id"], path, body, done, wait_s=wait_s, more=more)


def send(
    id: str,
    path: str,
    body: Json,
    done: Callable[[Json], str],
    *,
    wait_s: float = 0.0,
    more: Callable[[Json], None] | None = None,
) -> int:
    """Ask for a step and tell what became of it. Raises: LocalError, with what is possible now."""
    try:
        data = base.state().client().post(path, body, timeout=base.patience(wait_s))
    except LocalError as fault:
        raise exchange_words.refused(fault, id[:8]) from None
    exchange: Json = data["exchange"]
    # Where nobody waits for payments, none follows from the step.
    payments: list[Json] = data.get("payments", []) if wait_s else []
    base.emit(data, lambda: exchange_words.tell(exchange, done(exchange), out=payments, more=more))
    statuses = {payment["status"] for payment in payments}
    return base.PARTIAL if statuses & UNDER_WAY or "refused" in statuses else base.OK


# --- times and amounts --------------------------------------------------------------------------


def span(text: str) -> tuple[int, int]:
    """Return start and end of an appointment. Raises: LocalError."""
    from maillon.node.cli import clock
    from maillon.node.cli.times import parse_when

    try:
        start, end = parse_when(text, clock.now())
        base.state().understood[text] = clock.span_in_words(start, end)
        return start, end
    except (ValueError, OverflowError):
        base.fail(
            "usage",
            _("{text!r} is no time of an appointment.").format(text=text[:80]),
            _('Write it as "sa 09:00-11:30", "2026-03-01 14:00-16:00" or "tomorrow 9h-10h".'),
        )


def slots(texts: Sequence[str], place: str | None) -> list[Json]:
    """Return appointments as the terms of a quote have them."""
    found: list[Json] = []
    for text in texts:
        start, end = span(text)
        slot: Json = {"start": start, "end": end}
        if place:
            slot["place"] = place
        found.append(slot)
    return found


def minutes(text: str) -> int:
    """Return the minutes that a duration such as 1h30, 90min or 45 means. Raises: LocalError."""
    from maillon.ledger.units import HOURS, UnitTable
    from maillon.protocol.errors import MaillonError
    from maillon.protocol.founding import Unit

    try:
        if text.strip().isdigit():
            return int(text)
        return UnitTable((Unit("h", HOURS, 0, ""),)).parse(0, text)
    except MaillonError:
        base.fail(
            "usage",
            _("{text!r} is no duration.").format(text=text[:40]),
            _("Write it as 1h30, 90min or 45."),
        )


def minor(names: Names, code: str, text: str) -> int:
    """Return an amount in the smallest parts of its unit. Raises: LocalError."""
    from maillon.ledger.units import UnitTable
    from maillon.protocol.founding import Unit

    for unit in names.charter()["units"]:
        if unit["code"] == code:
            table = UnitTable((Unit(code, unit["kind"], unit["decimals"], ""),))
            return table.parse(0, text)
    base.fail("usage", _("The federation has no unit {code!r}.").format(code=code[:32]))


def amount_text(names: Names, code: str, amount: int) -> str:
    """Return an amount in the way of its unit; as a number where the unit is not known."""
    from maillon.ledger.units import UnitTable
    from maillon.protocol.errors import MaillonError
    from maillon.protocol.founding import Unit

    try:
        for unit in names.charter()["units"]:
            if unit["code"] == code:
                entry = Unit(code, unit["kind"], unit["decimals"], "")
                return UnitTable((entry,)).format(0, amount)
    except MaillonError:
        pass
    return f"{amount} {code}"


def price(names: Names, terms: Mapping[str, Any]) -> str:
    """Return what is given in return, in words."""
    kind = terms.get("kind")
    if kind == "gift":
        return _("a gift")
    if kind == "free":
        return _("free of charge")
    if kind == "count_only":
        return _("only counted, nothing is owed")
    if kind == "outside":
        said = base.printable(terms.get("outside", "")) or _("as agreed")
        return _("{price}, in money outside of these accounts").format(price=said)
    code = str(terms.get("unit", ""))
    most = terms.get("amount")
    if "per_hour" in terms:
        hourly = amount_text(names, code, terms["per_hour"])
        if most is None:
            return _("{amount} an hour").format(amount=hourly)
        return _("{amount} an hour, {most} at most").format(
            amount=hourly, most=amount_text(names, code, most)
        )
    return amount_text(names, code, int(most or 0))
