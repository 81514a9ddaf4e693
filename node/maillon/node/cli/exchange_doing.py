"""`maillon exchange check-in`, `check-out`, `approve`, `complain`, `mediate`: the work itself."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base, clock
from maillon.node.cli.exchange_acting import acting_options, minutes, take, wait_option
from maillon.node.cli.exchange_agreeing import whole_slot
from maillon.node.cli.exchange_terms import sure
from maillon.node.cli.exchange_words import party_name
from maillon.node.i18n import _

Json = dict[str, Any]


def _present(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


@click.command(
    "check-in",
    cls=base.Command,
    help=_(
        """Say that the work begins, now or at a time.

        \b
          maillon exchange check-in 5e20c4b1
          maillon exchange check-in 5e20c4b1 --at 2026-03-01T09:10
        """
    ),
)
@click.argument("id")
@click.option("--at", metavar="TIME", help=_("When it began [now]."))
@click.option("--slot", metavar="SLOT", help=_("Which appointment, where there are several."))
@acting_options
def check_in(id: str, at: str | None, slot: str | None, by: str | None, as_: str | None) -> int:
    fields = {
        "time": None if at is None else base.moment(at),
        "slot": None if slot is None else whole_slot(id, slot),
    }
    return take(id, "check_in", _present(fields), by, as_, lambda _e: _("The work has begun."))


@click.command(
    "check-out",
    cls=base.Command,
    help=_(
        """Say that the work has ended; the time between counts, or the one you give.

        \b
          maillon exchange check-out 5e20c4b1
          maillon exchange check-out 5e20c4b1 --minutes 1h40 --last
        """
    ),
)
@click.argument("id")
@click.option("--at", metavar="TIME", help=_("When it ended [now]."))
@click.option("--minutes", "minutes_", metavar="TIME", help=_("The time that counts, as 1h40."))
@click.option("--last", is_flag=True, help=_("Nothing more is to be done."))
@click.option("--slot", metavar="SLOT", help=_("Which appointment, where there are several."))
@acting_options
def check_out(
    id: str,
    at: str | None,
    minutes_: str | None,
    last: bool,
    slot: str | None,
    by: str | None,
    as_: str | None,
) -> int:
    fields = {
        "time": None if at is None else base.moment(at),
        "minutes": None if minutes_ is None else minutes(minutes_),
        "last": True if last else None,
        "slot": None if slot is None else whole_slot(id, slot),
    }

    def done(exchange: Json) -> str:
        if exchange["phase"] != "done":
            return _("Noted; more work is planned.")
        return _("The work is done; {who} approves it or complains.").format(
            who=party_name(exchange["requester"])
        )

    return take(id, "check_out", _present(fields), by, as_, done)


@click.command(
    "approve",
    cls=base.Command,
    help=_(
        """Approve the work that was done, or a part of it. What is due is paid at once.

        Before the appointment, or before anybody said that the work was done, it asks first.

        \b
          maillon exchange approve 5e20c4b1
          maillon exchange approve 5e20c4b1 --part 1h --reason "The hedge was not cut"
        """
    ),
)
@click.argument("id")
@click.option("--part", metavar="AMOUNT", help=_("Only so much is due, for the --reason given."))
@click.option("--minutes", "minutes_", metavar="TIME", help=_("Only so much time counts."))
@click.option("--reason", help=_("Why only a part."))
@click.option("--yes", is_flag=True, help=_("Also when nobody has said that the work was done."))
@acting_options
@wait_option
def approve(
    id: str,
    part: str | None,
    minutes_: str | None,
    reason: str | None,
    yes: bool,
    by: str | None,
    as_: str | None,
    wait_s: float,
) -> int:
    partly = bool(part or minutes_)
    if partly != bool(reason):
        base.fail("usage", _("A part and its --reason come together."))
    fields = {
        "amount": part,
        "minutes": None if minutes_ is None else minutes(minutes_),
        "part": True if partly else None,
        "reason": reason,
    }

    def done(exchange: Json) -> str:
        if partly:
            return _("Approved in part; {who} can object.").format(
                who=party_name(exchange["provider"])
            )
        return _("Approved.")

    def before(exchange: Json) -> bool:
        if yes or exchange["phase"] not in ("agreed", "scheduled", "under_way"):
            return True
        return sure(_not_done(exchange, part), _("Approve and pay all the same?"))

    return take(id, "acceptance", _present(fields), by, as_, done, wait_s=wait_s, before=before)


def _not_done(exchange: Json, part: str | None) -> str:
    """Return what is said to whoever approves before the work is done."""
    planned = [slot for slot in exchange["slots"] if slot["status"] == "agreed" and slot["end"]]
    expected: Json | None = exchange["expected"]
    amount = part or ("" if expected is None or not expected["amount"] else str(expected["text"]))
    if exchange["phase"] == "under_way":
        told = _("Nobody has checked out: the work goes on.")
    elif planned:
        first = min(planned, key=lambda slot: int(slot["start"]))
        told = _("Nobody has checked in yet; the appointment is {when}, and falls away.").format(
            when=clock.span_in_words(first["start"], first["end"])
        )
    else:
        told = _("Nobody has said yet that the work began or was done.")
    if amount:
        told += " " + _("{amount} would be paid at once.").format(amount=amount)
    return told


@click.command(
    "complain",
    cls=base.Command,
    help=_(
        """Say what is wrong; nothing is paid until it is settled.

        You and the other side can still agree: they consent to what you propose, or you approve.
        Otherwise the mediator whom the agreement names decides.

        \b
          maillon exchange complain 5e20c4b1 "Half of the hedge was left" --proposes 45min
        """
    ),
)
@click.argument("id")
@click.argument("text")
@click.option("--proposes", metavar="AMOUNT", help=_("The amount that would settle it."))
@click.option("--language", "lang", default="fr", show_default=True)
@acting_options
def complain(
    id: str, text: str, proposes: str | None, lang: str, by: str | None, as_: str | None
) -> int:
    fields = _present({"text": text, "lang": lang, "proposes": proposes})

    def done(exchange: Json) -> str:
        if exchange["mediator"] is None:
            return _("The complaint is noted.")
        return _("The complaint is noted; {who} mediates.").format(
            who=party_name(exchange["mediator"])
        )

    return take(id, "complaint", fields, by, as_, done)


@click.command(
    "mediate",
    cls=base.Command,
    help=_(
        """Decide what is due, as the coop that the agreement names for it.

        The coop's own key signs, or somebody under its mandate: --by NAME --as COOP.

        \b
          maillon exchange mediate 5e20c4b1 --amount 45min "Both told their side; half was done."
        """
    ),
)
@click.argument("id")
@click.argument("text")
@click.option("--amount", required=True, metavar="AMOUNT", help=_("What is due, from 0 on."))
@click.option("--language", "lang", default="fr", show_default=True)
@acting_options
@wait_option
def mediate(
    id: str, text: str, amount: str, lang: str, by: str | None, as_: str | None, wait_s: float
) -> int:
    fields = {"text": text, "lang": lang, "amount": int(amount) if amount == "0" else amount}

    def done(exchange: Json) -> str:
        due = exchange["due"]
        if due is None or not due["amount"]:
            return _("Decided.")
        return _("Decided: {amount} is due.").format(amount=due["text"])

    return take(id, "mediation", fields, by, as_, done, wait_s=wait_s)


COMMANDS = (check_in, check_out, approve, complain, mediate)
