"""`maillon agenda`: the day of somebody here, and their calendar."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base, exchange_words
from maillon.node.cli.exchange_acting import key_holder
from maillon.node.i18n import _

# The most that a record of the kind freebusy holds (spec/08-community).
BUSY_MAX = 128


@click.command(
    cls=base.Command,
    help=_(
        """Show the appointments of people here, the earliest first, or write a calendar.

        \b
          maillon agenda
          maillon agenda "Bruno Exemple" --from today --to 7d
          maillon agenda "Bruno Exemple" --output bruno.ics        for any calendar program
        So that others see when there is room, and nothing else: only free or taken is published.
          maillon agenda "Bruno Exemple" --share --to 30d
        """
    ),
)
@click.argument("person", required=False)
@click.option("--from", "start", metavar="TIME", help=_("From then on [now]."))
@click.option("--to", "end", metavar="TIME", help=_("Until then."))
@click.option("--output", "-o", type=click.Path(dir_okay=False), metavar="FILE.ics")
@click.option("--share", is_flag=True, help=_("Publish when they are taken, until --to [30d]."))
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", metavar="CURSOR", help=_("Go on where the last list ended."))
def agenda(
    person: str | None,
    start: str | None,
    end: str | None,
    output: str | None,
    share: bool,
    limit: int,
    after: str | None,
) -> None:
    from urllib.parse import urlencode

    from maillon.node.cli.exchange import write_calendar
    from maillon.node.cli.exchange_show import slot_in_words

    asked = {
        "person": key_holder(person),
        "start": None if start is None else base.moment(start, start=True),
        "end": None if end is None else base.moment(end),
    }
    client = base.state().client()
    if share:
        _share(str(asked["person"] or ""), base.moment(end or "30d"))
        return
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


def _share(person: str, until: int) -> None:
    """Publish when somebody is taken: free or not, and nothing of what for."""
    if not person:
        base.fail("usage", _("Say whose times: maillon agenda NAME --share"))
    client = base.state().client()
    entries = client.get("/v1/agenda", person=person, end=until, limit=1000)["entries"]
    taken = sorted(
        (entry["slot"]["start"], entry["slot"]["end"])
        for entry in entries
        if entry["slot"]["status"] in ("agreed", "under_way")
    )
    busy: list[list[int]] = []
    for start, finish in taken:
        if busy and start <= busy[-1][1]:
            busy[-1][1] = max(busy[-1][1], finish)
        elif len(busy) < BUSY_MAX:
            busy.append([start, finish])
        else:
            # Nothing is said of later than what was said whole.
            until = start
            break
    body: dict[str, Any] = {"kind": "freebusy", "payload": {"busy": busy, "until": until}}
    if person != "coop":
        body["as_member"] = person
    data = client.post("/v1/records", body)
    base.emit(
        data,
        _("Published until {when}: taken at {n} times, free at all others.").format(
            when=base.when(until), n=len(busy)
        ),
    )
