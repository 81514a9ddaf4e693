"""`maillon exchange`: from a need to a service given, accepted, paid and evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maillon.node.cli import (
    base,
    exchange_agreeing,
    exchange_changing,
    exchange_closing,
    exchange_doing,
    exchange_offline,
    exchange_words,
)
from maillon.node.cli.exchange_acting import (
    acting_options,
    author_of,
    exchange_id,
    key_holder,
    known,
    price,
    principal,
    read_exchange,
    send,
)
from maillon.node.cli.paths import path_part
from maillon.node.cli.sections import SectionedGroup
from maillon.node.i18n import _, ngettext

if TYPE_CHECKING:
    from maillon.node.cli.who import Directory

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
        "tz": "Europe/Paris",
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
    "show",
    help=_(
        """Show an exchange: what was agreed, how it stands, who must act, and what is possible.

        \b
          maillon exchange show 5e20c4b1
          maillon exchange show "Pruning the roses" --why       also why other steps are not
        """
    ),
)
@click.argument("id")
@click.option("--why", is_flag=True, help=_("Say why the other steps are not possible now."))
def show(id: str, why: bool) -> None:
    data = read_exchange(exchange_id(id))
    base.emit(data, lambda: _show(data, why=why))


def _show(data: Json, *, why: bool) -> None:
    names = known()
    click.echo(click.style(base.printable(data["title"]), bold=True))
    if data["text"]:
        click.echo(base.printable(data["text"]))
    rows: list[tuple[str, object]] = [
        (_("id"), data["id"]),
        (_("state"), exchange_words.phase_in_words(data["phase"])),
        (_("requester"), exchange_words.party_name(data["requester"])),
        (_("provider"), exchange_words.party_name(data["provider"])),
    ]
    for name, label in (("payer", _("payer")), ("mediator", _("mediator"))):
        if data[name] is not None:
            rows.append((label, exchange_words.party_name(data[name])))
    if data["participants"]:
        shown = ", ".join(exchange_words.party_name(party) for party in data["participants"])
        rows.append((_("co-signers"), shown))
    if data["origin"]:
        rows.append((_("comes from"), data["origin"]["exchange"][:8]))
    if data["successors"]:
        rows.append((_("goes on in"), ", ".join(other[:8] for other in data["successors"])))
    rows.append((_("since"), base.when(data["opened_at"])))
    rows += _agreed(names, data)
    base.print_table(("", ""), rows, empty="")
    for payment in data["payments"]:
        click.echo(exchange_words.payment_in_words(payment))
    _show_after(data)
    for line in exchange_words.next_in_words(data):
        base.advise(line)
    if why:
        _show_why(data)


def _agreed(names: Directory, data: Json) -> list[tuple[str, object]]:
    """Return what is quoted and agreed, for a table."""
    rows: list[tuple[str, object]] = []
    for quote in data["quotes"]:
        if data["terms"] is None and quote["status"] == "open":
            text = quote["terms"].get("text", "")
            told = _("{price}, until {when}").format(
                price=price(names, quote["terms"]), when=base.when(quote["valid_until"])
            )
            rows.append((_("quote {id}").format(id=quote["quote"][:8]), f"{told}  {text}".strip()))
    terms: Json | None = data["terms"]
    if terms is not None:
        rows.append((_("price"), price(names, terms)))
        if terms.get("text"):
            rows.append((_("what"), terms["text"]))
        if terms.get("performer"):
            rows.append((_("who comes"), terms["performer"]))
        if data["due"] is not None:
            rows.append((_("due"), data["due"]["text"] if data["due"]["amount"] else "–"))
            rows.append((_("paid"), data["paid"]["text"] if data["paid"]["amount"] else "–"))
        if data["hold"] is not None and data["hold"]["status"] == "held":
            rows.append((_("reserved"), data["hold"]["amount"]["text"]))
    for slot in data["slots"]:
        rows.append((_("appointment"), slot_in_words(slot)))
    for role in ("requester", "provider", "fallback"):
        contact: Json | None = data["contact"][role]
        if contact:
            label = {
                "requester": _("reach the requester"),
                "provider": _("reach the provider"),
                "fallback": _("without the network"),
            }[role]
            rows.append((label, exchange_words.contact_in_words(contact)))
    return rows


def slot_in_words(slot: Json) -> str:
    """Return an appointment on one line."""
    states = {
        "proposed": _("proposed"),
        "agreed": _("agreed"),
        "under_way": _("under way"),
        "done": _("done"),
        "accepted": _("approved"),
        "cancelled": _("cancelled"),
    }
    # Work without an appointment has no planned time.
    start = slot["start"] or slot["check_in"]
    end = slot["end"] or slot["check_out"]
    text = f"{base.when(start)} – {base.when(end)[-5:]}"
    if slot["place"]:
        text += f", {slot['place']}"
    text += f" ({states.get(slot['status'], slot['status'])})"
    if slot["minutes"] is not None:
        text += " " + ngettext("{n} minute", "{n} minutes", slot["minutes"]).format(
            n=slot["minutes"]
        )
    return f"{text}  {slot['slot'][:8]}".rstrip()


def _show_after(data: Json) -> None:
    for entry in data["evaluations"]:
        who = next(
            exchange_words.party_name(data[role])
            for role in ("requester", "provider")
            if role == "provider" or data[role]["author"] == entry["by"]
        )
        told = (
            _("{who} has evaluated: {id}")
            if entry["published"]
            else _("{who} has evaluated; it is shown once both have, or when the time is over.")
        )
        click.echo(told.format(who=who, id=entry["attestation"][:16]))
    for claim in data["guarantees"]:
        told = _("Guarantee claimed on {when}: {text}").format(
            when=base.when(claim["at"]), text=base.printable(claim["text"])
        )
        if claim["closed"] is not None:
            told += " " + _("(closed {when})").format(when=base.when(claim["closed"]))
        click.echo(told)
    if data["void"]:
        click.echo(
            ngettext(
                "{n} step does not count: see maillon exchange transcript {id}",
                "{n} steps do not count: see maillon exchange transcript {id}",
                data["void"],
            ).format(n=data["void"], id=data["id"][:8])
        )


def _show_why(data: Json) -> None:
    rows = [
        (exchange_words.COMMANDS.get(entry["kind"], entry["kind"]), entry["detail"] or entry["why"])
        for entry in data["impossible"]
    ]
    if rows:
        click.echo()
        base.print_table((_("not now"), _("why")), rows, empty="")


@exchange.command(
    "transcript",
    help=_(
        """Show the signed steps in the order in which they count.

        With --raw, the exact bytes and all that proves who signed them: enough for a mediator or
        another program to compute the state anew.

        \b
          maillon exchange transcript 5e20c4b1
          maillon exchange transcript 5e20c4b1 --raw --json > transcript.json
        """
    ),
)
@click.argument("id")
@click.option("--raw", is_flag=True, help=_("Add the records' bytes, in hexadecimal."))
def transcript(id: str, raw: bool) -> None:
    client = base.state().client()
    path = f"/v1/exchanges/{path_part(exchange_id(id))}"
    data = client.get(f"{path}/transcript", raw=raw or None)

    def human() -> None:
        whole = client.get(path)
        parties = [whole[role] for role in ("requester", "provider", "payer", "mediator")]
        names = {p["author"]: exchange_words.party_name(p) for p in parties if p is not None}
        rows = [
            (
                step["id"][:8],
                base.when(step["at"]),
                step["kind"],
                names.get(step["author"], step["author"][66:74]),
                _("under a mandate") if step["under"] else "",
                "" if not step["void"] else _("does not count ({why})").format(why=step["void"]),
            )
            for step in data["steps"]
        ]
        columns = (_("step"), _("when"), _("kind"), _("by"), "", "")
        base.print_table(columns, rows, empty="")
        if raw:
            for record in data["records"]:
                click.echo(record)

    base.emit(data, human)


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
    """Print a calendar, or write it into a file."""
    if output is None:
        if base.state().json:
            base.emit({"calendar": text})
        else:
            click.echo(text, nl=False)
        return
    Path(output).write_text(text, encoding="utf-8", newline="")
    base.emit({"file": output}, _("Wrote {file}.").format(file=output))


for command in (
    *exchange_agreeing.COMMANDS,
    *exchange_doing.COMMANDS,
    *exchange_closing.COMMANDS,
    *exchange_changing.COMMANDS,
    *exchange_offline.COMMANDS,
):
    exchange.add_command(command)

__all__ = ["acting_options", "exchange", "slot_in_words", "write_calendar"]
