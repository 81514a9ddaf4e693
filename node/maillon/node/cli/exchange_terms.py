"""Say in words what somebody binds themselves to: the terms of a quote, or what was agreed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from maillon.node.cli import base, clock, exchange_words
from maillon.node.cli.exchange_acting import COOP_AUTHOR, Names, amount_text, price
from maillon.node.i18n import _, ngettext

Json = dict[str, Any]
Rows = list[tuple[str, object]]

_HOUR_S = 3_600
_DAY_S = 24 * _HOUR_S


def length(seconds: int) -> str:
    """Return a period in words: whole days, else hours, else minutes."""
    if seconds % _DAY_S == 0 and seconds:
        n = seconds // _DAY_S
        return ngettext("{n} day", "{n} days", n).format(n=n)
    if seconds % _HOUR_S == 0:
        n = seconds // _HOUR_S
        return ngettext("{n} hour", "{n} hours", n).format(n=n)
    n = seconds // 60
    return ngettext("{n} minute", "{n} minutes", n).format(n=n)


def mediator_in_words(mediator: Json | None, exchange: Json) -> str:
    """Return who mediates, and whose coop that is."""
    if mediator is None:
        return _("nobody: the two settle a complaint, or silence does")
    name = exchange_words.party_name(mediator)
    sides = [
        role for role in ("requester", "provider") if exchange[role]["coop"] == mediator["coop"]
    ]
    if len(sides) == 2:
        return _("{coop} (the coop of both sides)").format(coop=name)
    if sides == ["provider"]:
        return _("{coop} (the provider's own coop)").format(coop=name)
    if sides == ["requester"]:
        return _("{coop} (the requester's own coop)").format(coop=name)
    return _("{coop} (the coop of neither side)").format(coop=name)


def cancelling(names: Names, terms: Mapping[str, Any]) -> str:
    """Return what it costs to cancel."""
    fee = terms.get("cancel_fee")
    if not fee:
        return _("costs nothing")
    return _("free until {time} before the first appointment; then who cancels owes {fee}").format(
        time=length(int(terms["cancel_free_before_s"])),
        fee=amount_text(names, str(terms.get("unit", "")), int(fee)),
    )


def deadlines(terms: Mapping[str, Any]) -> list[str]:
    """Return each deadline of the terms and what its passing means, as sentences."""
    silence: Mapping[str, str] = terms["silence"]

    def within(name: str) -> str:
        return length(int(terms[f"{name}_within_s"]))

    def means(what: str) -> str:
        return exchange_words.silence_in_words(what, str(silence[what]))

    found = [
        _("The work begins {time} after the last appointment at the latest.").format(
            time=within("begin")
        )
        + " "
        + means("begin"),
        _("It is approved or complained of within {time} after the work.").format(
            time=within("accept")
        )
        + " "
        + means("accept"),
        _("A complaint is possible for {time} after the approval.").format(time=within("complain")),
    ]
    if terms.get("mediator"):
        told = _("The mediator decides within {time}.").format(time=within("mediate"))
        found.append(f"{told} {means('mediate')}")
    if terms["kind"] == "amount":
        told = _("It is paid within {time}.").format(time=within("pay"))
        found.append(f"{told} {means('pay')}")
    told = _("A proposal is answered within {time}.").format(time=within("consent"))
    found.append(f"{told} {means('consent')}")
    found.append(
        _("Both evaluate within {time} after the payment.").format(time=within("evaluate"))
    )
    return found


def rows(names: Names, exchange: Json, terms: Json, mediator: Json | None) -> Rows:
    """Return everything that terms bind to, for a table, but the appointments."""
    found: Rows = [(_("price"), price(names, terms))]
    if terms["kind"] == "amount":
        held = terms.get("settle") == "hold"
        found.append(
            (
                _("payment"),
                _("reserved in the accounts when it is accepted, given once the work is approved")
                if held
                else _("after the work is approved; nothing is reserved"),
            )
        )
    if terms.get("text"):
        found.append((_("what"), terms["text"]))
    if terms.get("minutes"):
        found.append((_("planned"), length(int(terms["minutes"]) * 60)))
    if terms.get("performer"):
        found.append((_("who comes"), terms["performer"]))
    if terms.get("recurrence"):
        found.append((_("repeats"), terms["recurrence"]["rrule"]))
    if terms.get("split"):
        shares = ", ".join(f"{_who(names, s['author'])} {s['share']}" for s in terms["split"])
        found.append((_("split"), shares))
    if terms.get("audience"):
        found.append((_("tariff"), terms["audience"]))
    found.append((_("to cancel"), cancelling(names, terms)))
    found.append((_("mediator"), mediator_in_words(mediator, exchange)))
    if terms.get("guarantee_days"):
        found.append((_("guarantee"), length(int(terms["guarantee_days"]) * _DAY_S)))
    fallback = terms.get("fallback")
    if fallback:
        found.append((_("without the network"), exchange_words.contact_in_words(fallback)))
    for place, sentence in enumerate(deadlines(terms)):
        found.append((_("deadlines") if not place else "", sentence))
    return found


def slots_of(terms: Mapping[str, Any]) -> Rows:
    """Return the appointments that terms propose, for a table."""
    return [(_("appointment"), when_and_where(slot)) for slot in terms.get("when", ())]


def when_and_where(slot: Mapping[str, Any]) -> str:
    """Return when and where an appointment is."""
    text = clock.span_in_words(slot["start"], slot["end"])
    return f"{text}, {slot['place']}" if slot.get("place") else text


def quote_rows(names: Names, exchange: Json, quote: Json) -> Rows:
    """Return everything a quote says, for a table."""
    terms: Json = quote["terms"]
    found: Rows = rows(names, exchange, terms, quote.get("mediator"))
    found[1:1] = slots_of(terms) or [(_("appointment"), _("none yet; it is agreed on later"))]
    stands = base.when(quote["valid_until"])
    if quote["reserved"]:
        told = _("until {when}, and not taken back before (a bundle's part)").format(when=stands)
    else:
        told = _("until {when}").format(when=stands)
    return [(_("quote {id}").format(id=quote["quote"][:8]), told), *found]


def tell_quote(names: Names, exchange: Json, quote: Json) -> None:
    """Print everything a quote says, under what was said of it."""
    base.print_table(
        ("", ""), [(f"  {a}", b) for a, b in quote_rows(names, exchange, quote)], empty=""
    )


def tell_agreed(names: Names, exchange: Json) -> None:
    """Print what both are bound to now."""
    terms: Json | None = exchange["terms"]
    if terms is None:
        return
    found: Rows = rows(names, exchange, terms, exchange["mediator"])
    found[1:1] = [
        (_("appointment"), when_and_where(slot))
        for slot in exchange["slots"]
        if slot["status"] == "agreed" and slot["end"]
    ]
    base.print_table(("", ""), [(f"  {label}", value) for label, value in found], empty="")


def _who(names: Names, author: str) -> str:
    """Return the name of an author as far as it is known here."""
    coop, person = author[2:66], author[66:]
    if author.startswith(COOP_AUTHOR):
        return names.coop_name(coop)
    if coop == names.own_coop:
        name = next((m["name"] for m in names.members() if m["person"] == person), "")
        return base.printable(name or person[:8])
    return _("{id} of {coop}").format(id=person[:8], coop=names.coop_name(coop))


def warn_of_fee(exchange: Json) -> bool:
    """Ask whoever cancels whether they will owe the fee. Raises: LocalError without a keyboard."""
    fee = exchange.get("fee")
    if not fee:
        return True
    told = _("Cancelling now costs {amount}: the terms that both agreed to say so.").format(
        amount=fee["text"]
    )
    return sure(told, _("Cancel all the same?"))


def sure(told: str, question: str) -> bool:
    """Say something and ask whether to go on. Raises: LocalError where nobody can be asked."""
    import sys

    if base.state().json or not sys.stdin.isatty():
        raise base.problem("not_confirmed", told, _("Add --yes to go on."))
    click.echo(told, err=True)
    return base.confirm(question)
