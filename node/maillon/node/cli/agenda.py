"""`maillon agenda`: the day of somebody here, and their calendar."""

from __future__ import annotations

import click

from maillon.node.cli import base, exchange_words
from maillon.node.cli.exchange_acting import key_holder
from maillon.node.i18n import _


@click.command(
    cls=base.Command,
    help=_(
        """Show the appointments of people here, the earliest first, or write a calendar.

        \b
          maillon agenda
          maillon agenda "Bruno Exemple" --from today --to 7d
          maillon agenda "Bruno Exemple" --output bruno.ics        for any calendar program
        """
    ),
)
@click.argument("person", required=False)
@click.option("--from", "start", metavar="TIME", help=_("From then on [now]."))
@click.option("--to", "end", metavar="TIME", help=_("Until then."))
@click.option("--output", "-o", type=click.Path(dir_okay=False), metavar="FILE.ics")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", metavar="CURSOR", help=_("Go on where the last list ended."))
def agenda(
    person: str | None,
    start: str | None,
    end: str | None,
    output: str | None,
    limit: int,
    after: str | None,
) -> None:
    from urllib.parse import urlencode

    from maillon.node.cli.exchange import slot_in_words, write_calendar

    asked = {
        "person": key_holder(person),
        "start": None if start is None else base.moment(start, start=True),
        "end": None if end is None else base.moment(end),
    }
    client = base.state().client()
    if output is not None:
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        write_calendar(client.text(f"/v1/agenda.ics?{query}"), output)
        return
    data = client.get("/v1/agenda", **asked, limit=limit, after=after)
    rows = [
        (
            slot_in_words(entry["slot"]),
            entry["title"],
            exchange_words.role_in_words(entry["role"]),
            exchange_words.party_name(entry["with"]),
            exchange_words.contact_in_words(entry["contact"]),
            _("{n} min late").format(n=entry["late_minutes"]) if entry["late_minutes"] else "",
            entry["exchange"][:8],
        )
        for entry in data["entries"]
    ]
    columns = (
        _("when"), _("title"), _("as"), _("with"), _("contact"), "", _("exchange"),
    )  # fmt: skip

    def human() -> None:
        base.print_table(columns, rows, empty=_("No appointment."))
        if data["next"]:
            click.echo(_("More with: --after {cursor}").format(cursor=data["next"]))

    base.emit(data, human)
