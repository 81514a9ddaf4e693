"""`maillon bundle`: services of several providers, accepted together or not at all."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base, exchange_terms, exchange_words
from maillon.node.cli.exchange_acting import (
    acting_options,
    author_of,
    key_holder,
    known,
    price,
    principal,
    wait_option,
)
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _

Json = dict[str, Any]


@click.group(
    cls=base.Group,
    help=_(
        """Offer several services of several providers as one, and accept all or none.

        \b
          maillon bundle publish --title "Back from hospital" --category aide \\
                --part "Bruno Exemple=Shopping" --part "Chloé Exemple=Cleaning" --by Bruno
          maillon bundle sign 61ab02c4 --by "Chloé Exemple"       each provider signs their part
          maillon bundle reserve 61ab02c4 --by "Ana Exemple"      asks each to reserve it
          maillon bundle accept 61ab02c4 --by "Ana Exemple"       all are agreed, or none

        A bundle is listed once every provider has signed. Each part is an exchange of its own:
        the providers quote with `maillon exchange quote ID`, which reserves it until the decision.
        """
    ),
)
def bundle() -> None:
    pass


@bundle.command(
    "publish",
    help=_(
        """Publish a bundle; whoever acts signs their own part at once.

        \b
          maillon bundle publish --title "Back from hospital" --category aide \\
                --part "Bruno Exemple=Shopping" --part "Coop B:4f0a…=Cleaning" --by Bruno
        """
    ),
)
@click.option("--title", required=True, help=_("One line."))
@click.option("--part", "parts", multiple=True, required=True, metavar="WHO=TITLE")
@click.option("--text", default="", help=_("A description."))
@click.option("--category", "categories", multiple=True, required=True, metavar="CODE")
@click.option("--language", "lang", default="fr", show_default=True)
@click.option("--days", type=click.IntRange(1, 400), help=_("How long it stands."))
@acting_options
def publish(
    title: str,
    parts: tuple[str, ...],
    text: str,
    categories: tuple[str, ...],
    lang: str,
    days: int | None,
    by: str | None,
    as_: str | None,
) -> None:
    named: list[Json] = []
    for part in parts:
        who, equals, what = part.partition("=")
        if not equals or not what.strip():
            base.fail("usage", _('Write a part as "WHO=TITLE".'))
        named.append({"provider": author_of(who), "title": what.strip()})
    body = {
        "title": title, "parts": named, "text": text, "categories": list(categories),
        "lang": lang, "days": days, **_acting(by, as_),
    }  # fmt: skip
    body = {name: value for name, value in body.items() if value is not None}
    data = base.state().client().post("/v1/bundles", body)
    base.emit(data, lambda: _told(data, _("Published as {id}.").format(id=data["bundle"][:8])))


def _acting(by: str | None, as_: str | None) -> Json:
    said = {"by": key_holder(by), "as": principal(as_)}
    return {name: value for name, value in said.items() if value is not None}


def _told(data: Json, done: str) -> None:
    if done:
        click.echo(done)
    missing = [p for p in data["parts"] if not p["signed"]]
    if missing:
        names = ", ".join(exchange_words.party_name(part["provider"]) for part in missing)
        click.echo(_("It is listed once these have signed too: {names}").format(names=names))
        base.advise(f"  maillon bundle sign {data['bundle'][:8]} --by NAME")
    for part in data["parts"]:
        waits = data["status"] == "reserving" and not part["reserved"] and part["exchange"]
        if waits and part["provider"]["here"]:
            base.advise(
                _("  {who} reserves with: {command}").format(
                    who=exchange_words.party_name(part["provider"]),
                    command=f"maillon exchange quote {part['exchange'][:8]}",
                )
            )
    if data["status"] == "broken":
        for part in data["parts"]:
            if part["exchange"] and part["phase"] in ("opened", "quoted"):
                base.advise(
                    _("  {title} is still asked for; to end it: {command}").format(
                        title=base.printable(part["title"]),
                        command=f"maillon exchange decline {part['exchange'][:8]}",
                    )
                )
        base.advise(
            _("To ask for all parts anew: {command}").format(
                command=f"maillon bundle reserve {data['bundle'][:8]}"
            )
        )
    if data["status"] == "reserved":
        base.advise(
            _("All parts are reserved. To accept all at once: {command}").format(
                command=f"maillon bundle accept {data['bundle'][:8]}"
            )
        )


def _state(status: str) -> str:
    words = {
        "none": "",
        "reserving": _("being reserved"),
        "reserved": _("all parts reserved"),
        "agreed": _("accepted, to be decided"),
        "commit": _("agreed, all parts"),
        "abort": _("given up, all parts free"),
        "broken": _("a part has ended: not all can be agreed any more"),
    }
    return words.get(status, status)


@bundle.command("list", help=_("List the bundles that are complete, and those that wait for you."))
@click.option("--person", metavar="NAME", help=_("With those that wait for this person."))
def list_(person: str | None) -> None:
    data = base.state().client().get("/v1/bundles", person=key_holder(person))
    rows = [
        (
            entry["bundle"][:8],
            entry["title"],
            ", ".join(exchange_words.party_name(part["provider"]) for part in entry["parts"]),
            _("complete") if entry["complete"] else _("signatures missing"),
            _state(entry["status"]),
        )
        for entry in data["bundles"]
    ]
    columns = (_("id"), _("title"), _("providers"), "", _("state"))
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("There is no bundle.")))


@bundle.command("show", help=_("Show a bundle, its parts, and how the reservation stands."))
@click.argument("id")
def show(id: str) -> None:
    data = base.state().client().get(f"/v1/bundles/{path_part(id)}")
    base.emit(data, lambda: _show(data))


def _show(data: Json) -> None:
    click.echo(click.style(base.printable(data["title"]), bold=True))
    if data["text"]:
        click.echo(base.printable(data["text"]))
    if data["status"] != "none":
        click.echo(_state(data["status"]))
    rows = [
        (
            exchange_words.party_name(part["provider"]),
            part["title"],
            _price(part),
            _("signed") if part["signed"] else _("not signed"),
            exchange_words.phase_in_words(part["phase"]) if part["phase"] else "",
            part["exchange"][:8],
        )
        for part in data["parts"]
    ]
    columns = (_("provider"), _("part"), _("price"), "", _("state"), _("exchange"))
    base.print_table(columns, rows, empty="")
    _show_terms(data)
    if data["until"] is not None and data["status"] in ("reserving", "reserved"):
        click.echo(_("Reserved until {when}.").format(when=base.when(data["until"])))
    for other in data["others"]:
        click.echo(
            _("Also asked for by {who}: {state} ({exchanges})").format(
                who=exchange_words.party_name(other["requester"]),
                state=_state(other["status"]),
                exchanges=", ".join(id[:8] for id in other["exchanges"]),
            )
        )
    _told(data, "")


def _price(part: Json) -> str:
    """Return what is given for a part: as quoted, else as the bundle said when it was published."""
    if part["terms"] is not None:
        return price(known(), part["terms"])
    return "" if part["amount"] is None else str(part["amount"]["text"])


def _show_terms(data: Json) -> None:
    """Print what each quoted part binds to, while it can still be decided."""
    if data["status"] not in ("reserving", "reserved"):
        return
    names = known()
    for part in data["parts"]:
        if part["terms"] is None:
            continue
        click.echo()
        who = exchange_words.party_name(part["provider"])
        click.echo(click.style(f"{base.printable(part['title'])} — {who}", bold=True))
        sides = {"requester": data["requester"], "provider": part["provider"]}
        terms = part["terms"]
        rows = exchange_terms.rows(names, sides, terms, part["mediator"])
        rows[1:1] = exchange_terms.slots_of(terms)
        base.print_table(("", ""), [(f"  {label}", value) for label, value in rows], empty="")


@bundle.command("sign", help=_("Sign your own part of a bundle."))
@click.argument("id")
@acting_options
def sign(id: str, by: str | None, as_: str | None) -> None:
    path = f"/v1/bundles/{path_part(id)}/parts"
    data = base.state().client().post(path, _acting(by, as_))
    told = _("Signed: the bundle is complete and listed.") if data["complete"] else _("Signed.")
    base.emit(data, lambda: _told(data, told))


@bundle.command(
    "reserve",
    help=_(
        """Ask every provider of a bundle to reserve their part.

        \b
          maillon bundle reserve 61ab02c4 --by "Ana Exemple" --text "From Monday on"
        """
    ),
)
@click.argument("id")
@click.option("--text", default="", help=_("What it is about; only the providers can read it."))
@click.option("--language", "lang", default="fr", show_default=True)
@acting_options
def reserve(id: str, text: str, lang: str, by: str | None, as_: str | None) -> None:
    path = f"/v1/bundles/{path_part(id)}/reserve"
    data = base.state().client().post(path, {"text": text, "lang": lang, **_acting(by, as_)})
    base.emit(data, lambda: _told(data, _("Every provider is asked to reserve their part.")))


@bundle.command(
    "accept",
    help=_(
        """Accept all parts of a bundle at once: all are agreed, or none.

        \b
          maillon bundle accept 61ab02c4 --by "Ana Exemple" --phone "04 00 00 00 00"
        """
    ),
)
@click.argument("id")
@click.option("--phone", help=_("For the providers, like what follows."))
@click.option("--address")
@acting_options
@wait_option
def accept(
    id: str,
    phone: str | None,
    address: str | None,
    by: str | None,
    as_: str | None,
    wait_s: float,
) -> int:
    contact = {n: v for n, v in (("phone", phone), ("address", address)) if v}
    body: Json = {"wait_s": wait_s, **_acting(by, as_)}
    if contact:
        body["contact"] = contact
    path = f"/v1/bundles/{path_part(id)}/commit"
    data = base.state().client().post(path, body, timeout=base.patience(wait_s))
    done = {
        "commit": _("Agreed: all {n} parts.").format(n=len(data["parts"])),
        "abort": _("Given up: not all parts could be agreed, so none is."),
    }.get(data["status"], _("Accepted; it counts once your coop has decided."))

    def human() -> None:
        _told(data, done)
        _tell_prices(data)
        for part in data["parts"]:
            if part["exchange"]:
                base.advise(
                    f"  {exchange_words.party_name(part['provider'])}: "
                    f"maillon exchange show {part['exchange'][:8]}"
                )

    base.emit(data, human)
    return base.OK if data["status"] == "commit" else base.PARTIAL


def _tell_prices(data: Json) -> None:
    """Print what each part costs, and what is reserved of it in the accounts."""
    for part in data["parts"]:
        terms = part["terms"]
        if terms is None:
            continue
        told = f"  {base.printable(part['title'])}: {price(known(), terms)}"
        if terms.get("settle") == "hold":
            told += ", " + _("reserved in the accounts until the work is approved")
        click.echo(told)
