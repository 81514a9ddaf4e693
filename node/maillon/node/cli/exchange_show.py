"""`maillon exchange show` and `transcript`: all that was agreed, what was said, and what waits."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base, clock, exchange_terms, exchange_words, letters
from maillon.node.cli.exchange_acting import exchange_id, known, read_exchange
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _, ngettext

Json = dict[str, Any]
Rows = list[tuple[str, object]]


@click.command(
    "show",
    cls=base.Command,
    help=_(
        """Show an exchange: all that was quoted and agreed, what was said, how it stands, who must
        act, and what is possible.

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
    click.echo(click.style(base.printable(data["title"]), bold=True))
    if data["text"]:
        click.echo(base.printable(data["text"]))
    rows: Rows = [
        (_("id"), data["id"]),
        (_("state"), exchange_words.phase_in_words(data["phase"])),
        (_("requester"), exchange_words.party_name(data["requester"])),
        (_("provider"), exchange_words.party_name(data["provider"])),
    ]
    if data["payer"] is not None:
        rows.append((_("payer"), exchange_words.party_name(data["payer"])))
    if data["participants"]:
        shown = ", ".join(exchange_words.party_name(party) for party in data["participants"])
        rows.append((_("co-signers"), shown))
    if data["bundle"]:
        rows.append((_("part of bundle"), data["bundle"][:8]))
    if data["origin"]:
        rows.append((_("comes from"), data["origin"]["exchange"][:8]))
    if data["successors"]:
        rows.append((_("goes on in"), ", ".join(other[:8] for other in data["successors"])))
    rows.append((_("since"), base.when(data["opened_at"])))
    rows.append((_("times"), _("as in {zone}").format(zone=clock.zone_in_words())))
    rows += _agreed(data)
    base.print_table(("", ""), rows, empty="")
    for payment in data["payments"]:
        click.echo(exchange_words.payment_in_words(payment))
    _show_joint(data)
    _show_said(data)
    _show_proposals(data)
    _show_after(data)
    for line in (*exchange_words.next_in_words(data), *letters.waiting_in_words(data)):
        base.advise(line)
    if why:
        _show_why(data)


def _agreed(data: Json) -> Rows:
    """Return what is quoted and agreed, for a table."""
    names = known()
    rows: Rows = []
    terms: Json | None = data["terms"]
    if terms is None:
        for quote in data["quotes"]:
            if quote["status"] == "open":
                rows += exchange_terms.quote_rows(names, data, quote)
    else:
        rows += exchange_terms.rows(names, data, terms, data["mediator"])
        if data["fee"]:
            told = _("{amount} is owed by whoever cancels now").format(amount=data["fee"]["text"])
            rows.append((_("fee"), told))
        if data["due"] is not None:
            rows.append((_("due"), data["due"]["text"] if data["due"]["amount"] else "–"))
            rows.append((_("paid"), data["paid"]["text"] if data["paid"]["amount"] else "–"))
        if data["hold"] is not None and data["hold"]["status"] == "held":
            rows.append((_("reserved"), data["hold"]["amount"]["text"]))
    rows += [
        (_("appointment"), slot_in_words(slot))
        for slot in data["slots"]
        # Proposals stand below, with the id that an answer to them names.
        if slot["status"] != "proposed"
    ]
    for role in ("requester", "provider"):
        contact: Json | None = data["contact"][role]
        if contact:
            label = {"requester": _("reach the requester"), "provider": _("reach the provider")}
            rows.append((label[role], exchange_words.contact_in_words(contact)))
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
    text = clock.span_in_words(start, end, zoned=False) if start and end else base.when(start)
    if slot["place"]:
        text += f", {slot['place']}"
    text += f" ({states.get(slot['status'], slot['status'])})"
    if slot["minutes"] is not None:
        text += " " + ngettext("{n} minute", "{n} minutes", slot["minutes"]).format(
            n=slot["minutes"]
        )
    return f"{text}  {slot['slot'][:8]}".rstrip()


def _show_joint(data: Json) -> None:
    """Show what a group is to pay, and who of its members has to sign."""
    for entry in data["joint"]:
        group = exchange_words.party_name(entry["payer"])
        who = ", ".join(exchange_words.party_name(member) for member in entry["members"])
        click.echo(
            _("{group} is to reserve {amount} for {name}, until {when}.").format(
                group=group, amount=entry["amount"]["text"],
                name=exchange_words.party_name(entry["payee"]), when=base.when(entry["until"]),
            )
        )  # fmt: skip
        click.echo(
            "  "
            + _("{n} of these sign, {m} have: {who}").format(
                n=entry["needed"], m=len(entry["approvals"]), who=who
            )
        )
        if entry["status"] == "ordered":
            continue
        team = entry["payer"]["person"][:8]
        if entry["order"]:
            base.advise(f"  maillon group approve {team} {entry['order'][:8]} NAME")
        else:
            base.advise(f"  maillon group pay {team} --exchange {entry['request'][:8]} --by NAME")


def _show_said(data: Json) -> None:
    if not data["said"]:
        return
    rows = [
        (
            base.when(entry["at"]),
            who_did(entry["by"], entry["signer"]),
            exchange_words.said_in_words(entry),
        )
        for entry in data["said"]
    ]
    click.echo()
    base.print_table((_("when"), _("who"), _("said")), rows, empty="")


def who_did(by: Json, signer: Json | None) -> str:
    """Return whose step it is, and whose hand signed it."""
    name = exchange_words.party_name(by)
    if signer is None:
        return name
    hand = exchange_words.party_name(signer)
    return _("{who} (by {helper}, under a mandate)").format(who=name, helper=hand)


def _show_proposals(data: Json) -> None:
    if not data["proposals"]:
        return
    click.echo()
    click.echo(_("Waits for an answer:"))
    for entry in data["proposals"]:
        click.echo("  " + exchange_words.proposal_in_words(entry, data))


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
            if claim["closed_text"]:
                told += " " + base.printable(claim["closed_text"])
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


@click.command(
    "transcript",
    cls=base.Command,
    help=_(
        """Show the signed steps in the order in which they count, with their words.

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
        named = {p["author"]: p for p in parties if p is not None}
        rows = [
            (
                step["id"][:8],
                base.when(step["at"]),
                who_did(named[step["author"]], step["signer"])
                if step["author"] in named
                else step["author"][66:74],
                _step(step, whole),
            )
            for step in data["steps"]
        ]
        base.print_table((_("step"), _("when"), _("by"), _("what")), rows, empty="")
        if raw:
            for record in data["records"]:
                click.echo(record)

    base.emit(data, human)


def _step(step: Json, whole: Json) -> str:
    """Return what a step is, what it says, and why it does not count."""
    told = exchange_words.kind_in_words(step["kind"])
    says = exchange_words.fields_in_words(step, whole)
    if says:
        told = f"{told}: {says}"
    if step["void"]:
        why = exchange_words.void_in_words(step["void"])
        told += " " + _("[does not count: {why}]").format(why=why)
    return told


COMMANDS = (show, transcript)
__all__ = ["COMMANDS", "slot_in_words", "who_did"]
