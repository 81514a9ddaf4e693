"""`maillon exchange quote`, `accept`, `decline`, `appointment` and the like: come to terms."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base, exchange_terms
from maillon.node.cli.exchange_acting import (
    acting_options,
    author_of,
    exchange_id,
    known,
    price,
    read_exchange,
    slots,
    take,
    wait_option,
)
from maillon.node.cli.exchange_words import party_name
from maillon.node.i18n import _

Json = dict[str, Any]

DEADLINES = {
    "consent": "consent_within_s",
    "begin": "begin_within_s",
    "accept": "accept_within_s",
    "complain": "complain_within_s",
    "mediate": "mediate_within_s",
    "pay": "pay_within_s",
    "evaluate": "evaluate_within_s",
    "cancel-free": "cancel_free_before_s",
}
SILENCES = ["consent", "begin", "accept", "mediate", "pay"]


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value.strip():
            base.fail("usage", _("Write {option} as NAME=VALUE.").format(option=option))
        found[name.strip()] = value.strip()
    return found


# --- quotes -------------------------------------------------------------------------------------


@click.command(
    "quote",
    cls=base.Command,
    help=_(
        """Say on which terms the provider would do it.

        What is given in return is one of --amount, --per-hour, --count, --gift, --free, --outside.
        An --amount is reserved when the quote is accepted, unless --settle after. Every deadline
        and what silence means stands in the terms; what you leave out is filled in as usual.

        \b
          maillon exchange quote 5e20c4b1 --amount 1h30 --when "sa 09:00-10:30" --place "Her home"
          maillon exchange quote 5e20c4b1 --per-hour 1h --amount 4h        measured, 4 hours at most
          maillon exchange quote 5e20c4b1 --gift --text "With pleasure"
          maillon exchange quote 5e20c4b1 --outside "35 € by cheque"
          maillon exchange quote 5e20c4b1 --amount 2h --within accept=3d --silence accept=mediated
          maillon exchange quote 5e20c4b1 --amount 3h --share "Ana Exemple=2" --share Bruno=1
        """
    ),
)
@click.argument("id")
@click.option("--amount", metavar="AMOUNT", help=_("In all; with --per-hour the most."))
@click.option("--per-hour", metavar="AMOUNT", help=_("For an hour of the measured time."))
@click.option("--unit", metavar="CODE", help=_("Which unit, where there are several."))
@click.option("--count", is_flag=True, help=_("Only counted: nothing is owed."))
@click.option("--gift", is_flag=True, help=_("A gift."))
@click.option("--free", is_flag=True, help=_("Free of charge."))
@click.option("--outside", metavar="PRICE", help=_("In money outside of these accounts, in words."))
@click.option("--text", help=_("What will be done."))
@click.option("--minutes", metavar="TIME", help=_("Planned duration, such as 1h30."))
@click.option("--when", "when_", multiple=True, metavar="TIME", help=_('Such as "sa 09:00-10:30".'))
@click.option("--place", help=_("Where the appointments are."))
@click.option("--performer", help=_("Who comes."))
@click.option("--settle", type=click.Choice(["hold", "after"]), help=_("Reserved now, or after."))
@click.option("--valid", metavar="TIME", help=_("How long the quote stands [7d]."))
@click.option("--cancel-fee", metavar="AMOUNT", help=_("For who cancels late."))
@click.option("--guarantee", metavar="DAYS", type=click.IntRange(0, 400))
@click.option("--mediator", metavar="COOP", help=_("The coop that mediates a complaint."))
@click.option(
    "--within", multiple=True, metavar="NAME=TIME",
    help=_("A deadline: consent, begin, accept, complain, mediate, pay, evaluate, cancel-free."),
)  # fmt: skip
@click.option(
    "--silence", multiple=True, metavar="NAME=WORD",
    help=_("What its passing means, such as accept=mediated, begin=done, mediate=full."),
)  # fmt: skip
@click.option("--contact-name", metavar="NAME", help=_("The human to turn to without the network."))
@click.option("--contact-phone", metavar="NUMBER")
@click.option("--contact-place", metavar="TEXT")
@click.option("--audience", metavar="CODE", help=_("The tariff that applies."))
@click.option("--share", "shares", multiple=True, metavar="WHO=N", help=_("Split in a group."))
@click.option(
    "--reserved/--not-reserved", default=None,
    help=_("Binding until decided [a bundle's part is, others are not]."),
)  # fmt: skip
@click.option("--terms", metavar="FILE", help=_("The terms as JSON; options change them."))
@acting_options
def quote(id: str, by: str | None, as_: str | None, **given: Any) -> int:
    terms = quote_terms(given)
    fields: Json = {"terms": terms}
    if given["valid"]:
        fields["valid_until"] = base.moment(given["valid"])
    id = exchange_id(id)
    # The part of a bundle is reserved unless it is said otherwise: without, nobody can accept it.
    if given["reserved"] if given["reserved"] is not None else read_exchange(id)["bundle"]:
        fields["reserved"] = True

    def done(exchange: Json) -> str:
        newest = max(exchange["quotes"], key=lambda q: (q["status"] == "open", q["at"]))
        return _("Quoted {price} to {who}.").format(
            price=price(known(), newest["terms"]), who=party_name(exchange["requester"])
        )

    def more(exchange: Json) -> None:
        newest = max(exchange["quotes"], key=lambda q: (q["status"] == "open", q["at"]))
        exchange_terms.tell_quote(known(), exchange, newest)

    return take(id, "quote", fields, by, as_, done, more=more)


def quote_terms(given: Json) -> Json:
    """Return the terms that the options of a quote describe. Raises: LocalError."""
    from maillon.node.cli.exchange_acting import minutes
    from maillon.node.cli.offers import read_json

    terms: Json = dict(read_json(given["terms"])) if given.get("terms") else {}
    priced = bool(given["amount"] or given["per_hour"])
    words = {
        "amount": priced,
        "count_only": given["count"],
        "gift": given["gift"],
        "free": given["free"],
        "outside": bool(given["outside"]),
    }
    chosen = [kind for kind, yes in words.items() if yes]
    if len(chosen) > 1 or not (chosen or terms.get("kind")):
        base.fail(
            "usage",
            _("Say what is given in return."),
            _("One of --amount, --per-hour, --count, --gift, --free, --outside."),
        )
    if chosen:
        terms["kind"] = chosen[0]
    if priced:
        terms["unit"] = known().unit(given["unit"], given["amount"] or given["per_hour"])
    elif given["unit"]:
        terms["unit"] = known().unit(given["unit"])
    for name in ("amount", "per_hour", "outside", "text", "performer", "settle", "cancel_fee",
                 "audience"):  # fmt: skip
        if given[name]:
            terms[name] = given[name]
    if given["minutes"]:
        terms["minutes"] = minutes(given["minutes"])
    if given["when_"]:
        terms["when"] = slots(given["when_"], given["place"])
    if given["guarantee"] is not None:
        terms["guarantee_days"] = given["guarantee"]
    if given["mediator"]:
        terms["mediator"] = author_of(f"{given['mediator'].rstrip(':')}:")
    _deadlines(terms, given["within"], given["silence"])
    _who(terms, given)
    return terms


def _deadlines(terms: Json, within: tuple[str, ...], silence: tuple[str, ...]) -> None:
    for name, text in _pairs(within, "--within").items():
        if name not in DEADLINES:
            base.fail(
                "usage",
                _("There is no deadline called {name!r}.").format(name=name[:40]),
                _("There are: {names}.").format(names=", ".join(DEADLINES)),
            )
        seconds = 0 if text.strip() == "0" else base.period(text)
        terms[DEADLINES[name]] = seconds
    said = _pairs(silence, "--silence")
    for name in said:
        if name not in SILENCES:
            base.fail(
                "usage",
                _("There is no silence called {name!r}.").format(name=name[:40]),
                _("There are: {names}.").format(names=", ".join(SILENCES)),
            )
    if said:
        terms["silence"] = {**terms.get("silence", {}), **said}


def _who(terms: Json, given: Json) -> None:
    contact = {
        name: given[f"contact_{name}"]
        for name in ("name", "phone", "place")
        if given[f"contact_{name}"]
    }
    if contact:
        terms["fallback"] = {**terms.get("fallback", {}), **contact}
    if given["shares"]:
        shares: list[Json] = []
        for name, share in _pairs(given["shares"], "--share").items():
            if not share.isdigit():
                base.fail("usage", _("A share is a whole number, such as Ana=2."))
            shares.append({"author": author_of(name), "share": int(share)})
        terms["split"] = shares


@click.command(
    "withdraw",
    cls=base.Command,
    help=_(
        """Take a quote back, before it was accepted.

        \b
          maillon exchange withdraw 5e20c4b1
        """
    ),
)
@click.argument("id")
@click.option("--quote", "quote_", metavar="ID", help=_("Which, where there are several."))
@click.option("--reason", help=_("For the other side."))
@acting_options
def withdraw(
    id: str, quote_: str | None, reason: str | None, by: str | None, as_: str | None
) -> int:
    fields = {"quote": _whole_quote(id, quote_), "reason": reason}
    return take(
        id, "quote_withdrawal", _present(fields), by, as_,
        lambda exchange: _("The quote to {who} is taken back.").format(
            who=party_name(exchange["requester"])
        ),
    )  # fmt: skip


def _whole_quote(id: str, quote_: str | None) -> str | None:
    """Return the id of a quote from its beginning. Raises: LocalError."""
    if quote_ is None:
        return None
    from maillon.node.cli.who import the_one

    wanted = quote_.strip().rstrip("…").lower()
    quotes = read_exchange(exchange_id(id))["quotes"]
    found = [(entry["quote"], "") for entry in quotes if entry["quote"].startswith(wanted)]
    none = base.problem("not_found", _("There is no quote {id} here.").format(id=wanted[:16]))
    return the_one(quote_, found, none)[0]


def _present(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


# --- the decision -------------------------------------------------------------------------------


@click.command(
    "accept",
    cls=base.Command,
    help=_(
        """Accept a quote: from here on both sides are bound.

        What the terms want reserved is reserved now. With the agreement the provider learns how to
        reach the requester, if you say it.

        \b
          maillon exchange accept 5e20c4b1
          maillon exchange accept 5e20c4b1 --quote 81c2aa0f --phone "04 00 00 00 00" --address "…"
        """
    ),
)
@click.argument("id")
@click.option("--quote", "quote_", metavar="ID", help=_("Which, where there are several."))
@click.option("--name", help=_("To the other side only, like all that follows."))
@click.option("--phone")
@click.option("--email")
@click.option("--address")
@click.option("--note", help=_("The door code, the dog."))
@acting_options
@wait_option
def accept(id: str, quote_: str | None, by: str | None, as_: str | None, wait_s: float,
           **reach: Any) -> int:  # fmt: skip
    fields: Json = _present({"quote": _whole_quote(id, quote_)})
    contact = {name: value for name, value in reach.items() if value}
    if contact:
        fields["contact"] = contact

    def done(exchange: Json) -> str:
        if exchange["phase"] == "quoted":
            return _("Accepted; it counts once the bundle is decided.")
        return _("Agreed with {who}: {price}.").format(
            who=party_name(exchange["provider"]), price=price(known(), exchange["terms"] or {})
        )

    def more(exchange: Json) -> None:
        exchange_terms.tell_agreed(known(), exchange)

    return take(id, "agreement", fields, by, as_, done, wait_s=wait_s, more=more)


@click.command(
    "decline",
    cls=base.Command,
    help=_(
        """Refuse a quote; without --quote, end the exchange.

        \b
          maillon exchange decline 5e20c4b1 --quote 81c2aa0f --reason "Too late in the day"
          maillon exchange decline 5e20c4b1
        """
    ),
)
@click.argument("id")
@click.option("--quote", "quote_", metavar="ID", help=_("Only this quote; another may follow."))
@click.option("--reason", help=_("For the other side."))
@acting_options
def decline(
    id: str, quote_: str | None, reason: str | None, by: str | None, as_: str | None
) -> int:
    fields = {"quote": _whole_quote(id, quote_), "reason": reason}
    ended = _("Declined; {who} can quote again.") if quote_ else _("Declined: it has ended.")
    return take(
        id, "decline", _present(fields), by, as_,
        lambda exchange: ended.format(who=party_name(exchange["provider"])),
    )  # fmt: skip


@click.command(
    "contact",
    cls=base.Command,
    help=_(
        """Tell the other side how to reach you; only after the agreement, and only them.

        \b
          maillon exchange contact 5e20c4b1 --phone "04 00 00 00 00" --note "Ring twice"
        """
    ),
)
@click.argument("id")
@click.option("--name")
@click.option("--phone")
@click.option("--email")
@click.option("--address")
@click.option("--note", help=_("The door code, the dog."))
@acting_options
def contact(id: str, by: str | None, as_: str | None, **reach: Any) -> int:
    told = {name: value for name, value in reach.items() if value}
    if not told:
        base.fail("usage", _("Say how: --phone, --email, --address, --name or --note."))
    return take(
        id, "contact", {"contact": told}, by, as_, lambda _e: _("The other side knows it now.")
    )


# --- appointments and words ---------------------------------------------------------------------


@click.command(
    "appointment",
    cls=base.Command,
    help=_(
        """Propose appointments, move one, or call one off; the other side consents.

        \b
          maillon exchange appointment 5e20c4b1 --when "sa 09:00-10:30" --place "Her home"
          maillon exchange appointment 5e20c4b1 --move 4f0a12cd --when "su 14:00-15:30"
          maillon exchange appointment 5e20c4b1 --cancel 4f0a12cd
        """
    ),
)
@click.argument("id")
@click.option("--when", "when_", multiple=True, metavar="TIME", help=_('Such as "sa 09:00-10:30".'))
@click.option("--place", help=_("Where."))
@click.option("--move", metavar="SLOT", help=_("Put --when in the place of this appointment."))
@click.option("--cancel", "cancels", multiple=True, metavar="SLOT", help=_("Call this one off."))
@acting_options
def appointment(
    id: str,
    when_: tuple[str, ...],
    place: str | None,
    move: str | None,
    cancels: tuple[str, ...],
    by: str | None,
    as_: str | None,
) -> int:
    if not when_ and not cancels:
        base.fail("usage", _("Say when, or what to call off."), _("--when TIME, or --cancel SLOT"))
    if move and len(when_) != 1:
        base.fail("usage", _("To move an appointment, give one --when."))
    fields: Json = {}
    proposed = slots(when_, place)
    if move:
        proposed[0]["slot"] = whole_slot(id, move)
    if proposed:
        fields["slots"] = proposed
    if cancels:
        fields["cancels"] = [whole_slot(id, slot) for slot in cancels]
    return take(
        id, "appointment", fields, by, as_,
        lambda _e: _("Proposed; it counts once the other side consents."),
    )  # fmt: skip


def whole_slot(id: str, text: str) -> str:
    """Return the id of an appointment from its beginning. Raises: LocalError."""
    from maillon.node.cli.who import the_one

    wanted = text.strip().rstrip("…").lower()
    found = [
        (slot["slot"], base.when(slot["start"]))
        for slot in read_exchange(exchange_id(id))["slots"]
        if wanted and slot["slot"].startswith(wanted)
    ]
    none = base.problem(
        "not_found",
        _("There is no appointment {id} here.").format(id=wanted[:16]),
        _("See them with: maillon exchange show {id}").format(id=id[:8]),
    )
    return the_one(text, found, none)[0]


@click.command(
    "message",
    cls=base.Command,
    help=_(
        """Write to the other side, or tell them that you are late.

        \b
          maillon exchange message 5e20c4b1 "Do you have a ladder?"
          maillon exchange message 5e20c4b1 --late 20min
        """
    ),
)
@click.argument("id")
@click.argument("text", required=False, default="")
@click.option("--late", metavar="TIME", help=_("That you come so much later."))
@click.option("--slot", metavar="SLOT", help=_("The appointment it is about."))
@click.option("--language", "lang", default="fr", show_default=True)
@acting_options
def message(
    id: str,
    text: str,
    late: str | None,
    slot: str | None,
    lang: str,
    by: str | None,
    as_: str | None,
) -> int:
    from maillon.node.cli.exchange_acting import minutes

    if not text and late is None:
        base.fail("usage", _("Say what: a text in quotes, or --late TIME."))
    fields: Json = {"text": text, "lang": lang}
    if slot:
        fields["slot"] = whole_slot(id, slot)
    if late is not None:
        fields["minutes"] = minutes(late)
    return take(
        id, "message", fields, by, as_, lambda _e: _("Sent."), route="delay" if late else ""
    )


COMMANDS = (quote, withdraw, accept, decline, contact, appointment, message)
__all__ = ["COMMANDS", "whole_slot"]
