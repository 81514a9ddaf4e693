"""`maillon exchange add-task`, `consent`, `handover`, `take-over`, `cancel`: what changes."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.exchange_acting import (
    acting_options,
    author_of,
    minutes,
    slots,
    take,
    wait_option,
)
from maillon.node.cli.exchange_terms import warn_of_fee
from maillon.node.cli.exchange_words import party_name, proposal_in_words
from maillon.node.i18n import _

Json = dict[str, Any]


def _present(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


@click.command(
    "add-task",
    cls=base.Command,
    help=_(
        """Propose another task on the spot; it counts once the other side consents.

        \b
          maillon exchange add-task 5e20c4b1 "The gutter too" --amount 30min
          maillon exchange add-task 5e20c4b1 "Again next week" --when "2026-03-08 09:00-10:00"
        """
    ),
)
@click.argument("id")
@click.argument("text")
@click.option("--amount", metavar="AMOUNT", help=_("Besides what is agreed, in its unit."))
@click.option("--minutes", "minutes_", metavar="TIME", help=_("Planned duration, such as 1h30."))
@click.option("--when", "when_", multiple=True, metavar="TIME", help=_('Such as "sa 09:00-10:30".'))
@click.option("--place", help=_("Where the appointments are."))
@click.option("--language", "lang", default="fr", show_default=True)
@acting_options
def add_task(
    id: str,
    text: str,
    amount: str | None,
    minutes_: str | None,
    when_: tuple[str, ...],
    place: str | None,
    lang: str,
    by: str | None,
    as_: str | None,
) -> int:
    adds = {
        "text": text,
        "lang": lang,
        "amount": amount,
        "minutes": None if minutes_ is None else minutes(minutes_),
        "when": slots(when_, place) or None,
    }
    return take(
        id, "amendment", {"adds": _present(adds)}, by, as_,
        lambda _e: _("Proposed; it counts once the other side consents."),
    )  # fmt: skip


@click.command(
    "consent",
    cls=base.Command,
    help=_(
        """Answer what the other side proposes: an appointment, a task, a handover, a settlement.

        \b
          maillon exchange consent 5e20c4b1
          maillon exchange consent 5e20c4b1 --no --text "Saturday is too late"
          maillon exchange consent 5e20c4b1 --to 002ff229        where several wait: as `show` lists
        """
    ),
)
@click.argument("id")
@click.option("--no", is_flag=True, help=_("Do not consent."))
@click.option("--to", metavar="STEP", help=_("To which step, where several wait."))
@click.option("--text", help=_("For the other side."))
@acting_options
def consent(
    id: str, no: bool, to: str | None, text: str | None, by: str | None, as_: str | None
) -> int:
    fields = {"yes": not no, "to": None if to is None else _whole_step(id, to), "text": text}
    told = _("Refused; it stays as it was.") if no else _("Agreed.")

    def before(exchange: Json) -> bool:
        able = {entry["by"] for entry in exchange["possible"] if entry["kind"] == "consent"}
        waiting = [
            entry
            for entry in exchange["proposals"]
            if entry["wants"] == "consent" and able - {entry["by"]["author"]}
        ]
        if to is None and len(waiting) > 1:
            base.fail(
                "ambiguous",
                _("Several proposals wait; say to which with --to."),
                "\n  ".join(proposal_in_words(entry, exchange) for entry in waiting),
            )
        return True

    return take(id, "consent", _present(fields), by, as_, lambda _e: told, before=before)


def _whole_step(id: str, text: str) -> str:
    from maillon.node.cli.exchange_acting import exchange_id
    from maillon.node.cli.paths import path_part
    from maillon.node.cli.who import the_one

    wanted = text.strip().rstrip("…").lower()
    path = f"/v1/exchanges/{path_part(exchange_id(id))}/transcript"
    steps = base.state().client().get(path)["steps"]
    found = [(s["id"], s["kind"]) for s in steps if wanted and s["id"].startswith(wanted)]
    none = base.problem(
        "not_found",
        _("There is no step {id} here.").format(id=wanted[:16]),
        _("See them with: maillon exchange transcript {id}").format(id=id[:8]),
    )
    return the_one(text, found, none)[0]


@click.command(
    "handover",
    cls=base.Command,
    help=_(
        """Propose that another provider does it: all of it, or one added task.

        It needs the requester's consent, and then the other provider's. What was agreed stays.

        \b
          maillon exchange handover 5e20c4b1 "Chloé Exemple" --text "I have broken my arm"
          maillon exchange handover 5e20c4b1 "Coop de la Drôme:4f0a…" --task 81c2aa0f
        """
    ),
)
@click.argument("id")
@click.argument("to", metavar="WHO")
@click.option("--task", metavar="STEP", help=_("Only the task that this step added."))
@click.option("--text", default="", help=_("Why, for the requester."))
@acting_options
def handover(id: str, to: str, task: str | None, text: str, by: str | None, as_: str | None) -> int:
    fields = {
        "to": author_of(to),
        "task": None if task is None else _whole_step(id, task),
        "text": text,
    }

    def done(exchange: Json) -> str:
        return _("Proposed; {who} has to consent, then the other provider.").format(
            who=party_name(exchange["requester"])
        )

    return take(id, "handover", _present(fields), by, as_, done, route="handover")


@click.command(
    "take-over",
    cls=base.Command,
    help=_(
        """Take over what another provider hands to you, on the terms that were agreed.

        \b
          maillon exchange take-over 5e20c4b1
        """
    ),
)
@click.argument("id")
@acting_options
@wait_option
def take_over(id: str, by: str | None, as_: str | None, wait_s: float) -> int:
    def done(exchange: Json) -> str:
        return _("{who} does it from now on.").format(who=party_name(exchange["provider"]))

    return take(id, "handover_acceptance", {}, by, as_, done, wait_s=wait_s)


@click.command(
    "cancel",
    cls=base.Command,
    help=_(
        """Take the agreement back. What was reserved is given back.

        Who cancels later than the terms allow owes the fee that they name: it is said before, and
        asked. `maillon exchange show` says at any time what it would be.

        \b
          maillon exchange cancel 5e20c4b1 --reason "I am ill"
          maillon exchange cancel 5e20c4b1 --yes              without being asked about a fee
        """
    ),
)
@click.argument("id")
@click.option("--reason", help=_("For the other side."))
@click.option("--fee", metavar="AMOUNT", help=_("What you offer for it instead of the terms' fee."))
@click.option("--yes", is_flag=True, help=_("Cancel also when it costs a fee."))
@acting_options
@wait_option
def cancel(
    id: str,
    reason: str | None,
    fee: str | None,
    yes: bool,
    by: str | None,
    as_: str | None,
    wait_s: float,
) -> int:
    owed = ""

    def before(exchange: Json) -> bool:
        nonlocal owed
        owed = exchange["fee"]["text"] if exchange["fee"] else ""
        return yes or warn_of_fee(exchange)

    def done(exchange: Json) -> str:
        due = exchange["due"]
        if due is not None and due["amount"]:
            return _("Cancelled; {amount} is due for it.").format(amount=due["text"])
        if owed:
            return _("Cancelled; the fee of {amount} that the terms name was due for it.").format(
                amount=owed
            )
        return _("Cancelled: nothing is due.")

    fields = _present({"reason": reason, "fee": fee})
    return take(id, "cancellation", fields, by, as_, done, wait_s=wait_s, before=before)


COMMANDS = (add_task, consent, handover, take_over, cancel)
