"""`maillon exchange`: from a need to a service given, accepted, paid and evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from maillon.node.cli import (
    base,
    clock,
    exchange_agreeing,
    exchange_changing,
    exchange_closing,
    exchange_doing,
    exchange_offline,
    exchange_show,
    exchange_words,
)
from maillon.node.cli.exchange_acting import (
    acting_options,
    author_of,
    exchange_id,
    key_holder,
    principal,
    send,
)
from maillon.node.cli.paths import path_part
from maillon.node.cli.sections import SectionedGroup
from maillon.node.cli.who import looks_like_id
from maillon.node.i18n import _
from maillon.node.zones import USUAL

Json = dict[str, Any]

ROLES = ["requester", "provider", "payer", "mediator", "participant"]
PHASES = [
    "opened", "quoted", "agreed", "scheduled", "under_way", "done", "accepted", "disputed",
    "settled", "paid", "evaluated", "cancelled", "declined", "expired", "handed_over",
]  # fmt: skip
ROWS_USUAL = 50
ROWS_MAX = 1_000


def _sections() -> Sequence[tuple[str, Sequence[str]]]:
    return (
        (_("Begin and look"), ("open", "list", "show", "transcript", "calendar", "message")),
        (_("Agree"), ("quote", "withdraw", "accept", "decline", "contact", "appointment")),
        (_("Work"), ("check-in", "check-out", "approve", "complain", "mediate")),
        (_("Settle"), ("pay", "fundings", "fund", "evaluate", "evaluations", "reply", "guarantee")),
        (_("Change"), ("add-task", "consent", "handover", "take-over", "cancel")),
        (_("Without a network"), ("draft", "sign", "send")),
    )


@click.group(
    cls=SectionedGroup,
    sections=_sections,
    also={"agree": "accept", "accept-work": "approve", "checkin": "check-in", "tasks": "add-task"},
    help=_(
        """Agree on a service, give it, approve it, pay it, evaluate it.

        Each step is signed by whoever takes it and travels sealed to the other side; both nodes
        compute the same state from it. Every command says who must act next, and until when.

        \b
          maillon exchange open 9c01d2ab --by "Bruno Exemple"     on a demand, by a provider
          maillon exchange quote 5e20c4b1 --amount 1h30 --when "sa 09:00-10:30"
          maillon exchange accept 5e20c4b1
          maillon exchange check-in 5e20c4b1; maillon exchange check-out 5e20c4b1
          maillon exchange approve 5e20c4b1                           pays what is due
          maillon exchange evaluate 5e20c4b1 --mark quality=5 --mark punctuality=4

        ID is the beginning of an exchange's id, or its title. --by says whose key signs, where
        several people here could; --as for whom, under a mandate.
        """
    ),
)
def exchange() -> None:
    pass


@exchange.command(
    "open",
    help=_(
        """Begin an exchange: on a demand, on an offer, or with somebody directly.

        ABOUT is the id of a demand or an offer: whoever answers a demand is the provider, whoever
        answers an offer the requester. Without it, say with whom, and as what.

        \b
          maillon exchange open 9c01d2ab --by "Bruno Exemple"
          maillon exchange open --with "Chloé Exemple" --role requester --by "Ana Exemple" \\
                --title "Pruning the roses"
          maillon exchange open 9c01d2ab --by "Helper" --as "Ana Exemple"
          maillon exchange open 77ab01cd --by "Ana Exemple" --payer "Mairie de Die:"
        """
    ),
)
@click.argument("about", required=False)
@click.option("--with", "with_", metavar="WHO", help=_("The other side: NAME, or COOP:ID."))
@click.option("--role", type=click.Choice(["requester", "provider"]), help=_("What --by is."))
@click.option("--title", default="", help=_("One line [that of the demand or offer]."))
@click.option("--text", default="", help=_("What it is about; only the two sides can read it."))
@click.option("--language", "lang", help=_("Language of the words."))
@click.option("--payer", metavar="WHO", help=_("A third party who pays."))
@click.option("--participant", "participants", multiple=True, metavar="WHO")
@click.option("--repeat", metavar="RRULE", help=_('Recurring, such as "FREQ=WEEKLY;COUNT=10".'))
@click.option("--first", metavar="TIME", help=_('With --repeat: the first, "sa 09:00-10:00".'))
@acting_options
def open_(
    about: str | None,
    with_: str | None,
    role: str | None,
    title: str,
    text: str,
    lang: str | None,
    payer: str | None,
    participants: tuple[str, ...],
    repeat: str | None,
    first: str | None,
    by: str | None,
    as_: str | None,
) -> int:
    if bool(about) == bool(with_):
        base.fail(
            "usage",
            _("Say what it is about, or with whom."),
            _("An id of `maillon demand list` or `maillon offer list`, or --with NAME."),
        )
    if about and not looks_like_id(about):
        base.fail(
            "usage",
            _("{text!r} is no id of an offer or a demand.").format(text=about[:60]),
            _("An id of `maillon demand list` or `maillon offer list`, or --with NAME."),
        )
    if with_ and not (role and title):
        base.fail("usage", _("With nothing published, --role and --title say what it is."))
    body: Json = {
        "about": about,
        "with": None if with_ is None else author_of(with_),
        "role": role or "",
        "title": title,
        "text": text,
        "lang": lang,
        "payer": None if payer is None else author_of(payer),
        "participants": [author_of(name) for name in participants],
        "recurrence": recurrence(repeat, first),
        "by": key_holder(by),
        "as": principal(as_),
    }
    body = {name: value for name, value in body.items() if value is not None}

    def done(made: Json) -> str:
        return _("Opened {id}: {title}.").format(
            id=made["id"][:8], title=base.printable(made["title"])
        )

    return send("", "/v1/exchanges", body, done)


def recurrence(repeat: str | None, first: str | None) -> Json | None:
    """Return how often something recurs. Raises: LocalError."""
    from maillon.node.cli.exchange_acting import span

    if (repeat is None) != (first is None):
        base.fail("usage", _("--repeat and --first come together."))
    if repeat is None or first is None:
        return None
    start, end = span(first)
    return {
        "rrule": repeat.removeprefix("RRULE:"),
        "dtstart": start,
        "tz": clock.zone_name() or USUAL,
        "duration_s": end - start,
    }


@exchange.command(
    "list",
    help=_(
        """List exchanges of people here, the one changed last first.

        \b
          maillon exchange list
          maillon exchange list --waiting                    where somebody here has to act
          maillon exchange list --person "Ana Exemple" --role requester --open
          maillon exchange list --phase disputed
        """
    ),
)
@click.option("--person", metavar="NAME", help=_("Only of this person."))
@click.option("--role", type=click.Choice(ROLES), help=_("Only in this part."))
@click.option("--phase", "phases", multiple=True, type=click.Choice(PHASES), metavar="PHASE")
@click.option("--about", metavar="ID", help=_("Only on this demand or offer."))
@click.option("--bundle", metavar="ID", help=_("Only parts of this bundle."))
@click.option("--waiting", is_flag=True, help=_("Only where somebody here has to act."))
@click.option("--open/--closed", "open_", default=None, help=_("Only what is not finished, or is."))
@click.option("--limit", type=click.IntRange(1, ROWS_MAX), default=ROWS_USUAL, show_default=True)
@click.option("--after", metavar="CURSOR", help=_("Go on where the last list ended."))
def list_(
    person: str | None,
    role: str | None,
    phases: tuple[str, ...],
    about: str | None,
    bundle: str | None,
    waiting: bool,
    open_: bool | None,
    limit: int,
    after: str | None,
) -> None:
    data = base.state().client().get(
        "/v1/exchanges",
        person=key_holder(person),
        role=role,
        phase=list(phases) or None,
        about=about,
        bundle=bundle,
        waiting_for_me=waiting or None,
        open=open_,
        limit=limit,
        after=after,
    )  # fmt: skip
    base.emit(data, lambda: _show_rows(data))


def _show_rows(data: Json) -> None:
    rows = [
        (
            row["id"][:8],
            row["title"],
            exchange_words.party_name(row["requester"]),
            exchange_words.party_name(row["provider"]),
            exchange_words.phase_in_words(row["phase"]),
            ", ".join(exchange_words.role_in_words(role) for role in row["waiting_for"]),
            "" if row["deadline"] is None else base.when(row["deadline"]["at"]),
        )
        for row in data["exchanges"]
    ]
    columns = (
        _("id"), _("title"), _("requester"), _("provider"), _("state"), _("waits for"), _("until"),
    )  # fmt: skip
    base.print_table(columns, rows, empty=_("There is no exchange."))
    if data["next"]:
        click.echo(_("More with: --after {cursor}").format(cursor=data["next"]))


@exchange.command(
    "calendar",
    help=_(
        """Write the appointments of an exchange for a calendar (iCalendar, RFC 5545).

        \b
          maillon exchange calendar 5e20c4b1 -o garden.ics
        """
    ),
)
@click.argument("id")
@click.option("--output", "-o", type=click.Path(dir_okay=False), metavar="FILE.ics")
def calendar(id: str, output: str | None) -> None:
    path = f"/v1/exchanges/{path_part(exchange_id(id))}/calendar.ics"
    write_calendar(base.state().client().text(path), output)


def write_calendar(text: str, output: str | None) -> None:
    """Print a calendar, or write it into a file. Raises: LocalError when nothing is in it."""
    if "BEGIN:VEVENT" not in text:
        # A calendar without a component is none (RFC 5545, 3.6).
        base.fail(
            "not_found",
            _("There is no appointment to write down."),
            _("Propose one with: maillon exchange appointment ID --when TIME"),
        )
    if output is None:
        if base.state().json:
            base.emit({"calendar": text})
        else:
            click.echo(text, nl=False)
        return
    Path(output).write_text(text, encoding="utf-8", newline="")
    base.emit({"file": output}, _("Wrote {file}.").format(file=output))


for command in (
    *exchange_show.COMMANDS,
    *exchange_agreeing.COMMANDS,
    *exchange_doing.COMMANDS,
    *exchange_closing.COMMANDS,
    *exchange_changing.COMMANDS,
    *exchange_offline.COMMANDS,
):
    exchange.add_command(command)

__all__ = ["acting_options", "exchange", "write_calendar"]
