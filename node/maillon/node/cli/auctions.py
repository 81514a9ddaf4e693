"""`maillon auction`: providers bid, the lowest price wins, and anybody can compute it anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from maillon.node.cli import base, clock
from maillon.node.cli.auction_records import (
    ROWS_MAX,
    author,
    bidder,
    demand_of,
    forget,
    is_of,
    keep,
    kept_for,
    outcome,
    publish,
    related,
)
from maillon.node.cli.exchange_acting import amount_text, key_holder, known, minor
from maillon.node.cli.offers import build_payload, publish_options
from maillon.node.i18n import _, ngettext

if TYPE_CHECKING:
    from maillon.protocol.auctions import Outcome

Json = dict[str, Any]

SECRET_BYTES: Final = 32


@click.group(
    cls=base.Group,
    help=_(
        """Ask for prices and take the lowest, in the open or sealed.

        \b
          maillon auction open --title "Mowing the green" --category jardin --unit heure \\
                --closes 7d
          maillon auction bid 9c01d2ab 2h30 --by "Bruno Exemple"
          maillon auction close 9c01d2ab
          maillon auction award 9c01d2ab
        With --sealed nobody sees the prices until all are in:
          maillon auction open … --closes 7d --sealed --reveal-until 9d
          maillon auction reveal 9c01d2ab --by "Bruno Exemple"

        `maillon auction show` computes the winner from the records alone and compares it with what
        the award says. Among equal prices a lot decides that nobody could choose.
        """
    ),
)
def auction() -> None:
    pass


# --- opening ------------------------------------------------------------------------------------


def _open(closes: str, sealed: bool, reveal_until: str | None, **given: Any) -> None:
    from maillon.protocol.auctions import lot

    if sealed != bool(reveal_until):
        base.fail(
            "usage",
            _("Sealed bids need a time to be opened."),
            _("--sealed and --reveal-until TIME come together."),
        )
    given["reciprocity"] = "auction"
    given["unit"] = known().unit(given["unit"])
    unit, given["unit"] = given["unit"], None
    highest = None if given["amount"] is None else minor(known(), unit, given["amount"])
    given["amount"] = None
    payload = build_payload(given)
    asked: Json = {"kind": "auction", "unit": unit}
    if highest is not None:
        asked["amount"] = highest
    payload["reciprocity"] = asked
    secret = os.urandom(SECRET_BYTES)
    rules: Json = {
        "form": "sealed" if sealed else "open",
        "closes": base.moment(closes),
        "lot": lot(secret).hex(),
    }
    if reveal_until:
        rules["reveal_until"] = base.moment(reveal_until)
    payload["auction"] = rules
    body: Json = {"kind": "demand", "payload": payload}
    for name in ("days", "mandate", "as_member"):
        if given.get(name) is not None:
            body[name] = given[name]
    if "as_member" in body:
        body["as_member"] = known().person(body["as_member"])
    due = rules["reveal_until"] if sealed else rules["closes"]
    keep("lot", lot(secret), secret, due, body.get("as_member"))
    data = base.state().client().post("/v1/records", body)
    base.emit(
        data,
        _("Published as {id}: bids are taken until {when}.").format(
            id=data["id"][:8], when=base.when(rules["closes"])
        ),
    )


_open_command: Callable[..., Any] = _open
for _option in reversed(
    [
        click.option("--closes", required=True, metavar="TIME", help=_("Last moment of a bid.")),
        click.option("--sealed", is_flag=True, help=_("Nobody sees a price before all are in.")),
        click.option("--reveal-until", metavar="TIME", help=_("Last moment to open a sealed bid.")),
        *publish_options("demand"),
    ]
):
    _open_command = _option(_open_command)
auction.command(
    "open",
    help=_(
        """Publish a demand on which providers bid; the lowest price wins.

        --amount is the most that is given, if you want to say so. Takes the options of
        `maillon demand publish`.

        \b
          maillon auction open --title "Mowing the green" --category jardin --unit heure \\
                --closes 7d --as-member "Ana Exemple"
        """
    ),
)(_open_command)


def _by_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--mandate", metavar="ID", help=_("Acting under this mandate."))(
        function
    )
    return click.option(
        "--by", metavar="NAME", help=_("Whose key signs: a person here [the coop].")
    )(function)


# --- commands -----------------------------------------------------------------------------------


@auction.command("list", help=_("List the auctions of the federation, the newest first."))
@click.option("--mine", is_flag=True, help=_("Only of your own coop."))
def list_(mine: bool) -> None:
    client = base.state().client()
    data = client.get("/v1/records", kind="demand", mine=mine or None, limit=ROWS_MAX)
    found = [r for r in data["records"] if "auction" in (r["payload"] or {})]
    rows = [
        (
            record["id"][:8],
            record["payload"]["title"],
            record["coop_name"],
            _("sealed") if record["payload"]["auction"]["form"] == "sealed" else _("open"),
            base.when(record["payload"]["auction"]["closes"]),
        )
        for record in found
    ]
    columns = (_("id"), _("title"), _("coop"), _("bids"), _("closes"))
    base.emit(
        {"records": found},
        lambda: base.print_table(columns, rows, empty=_("There is no auction.")),
    )


@auction.command(
    "bid",
    help=_(
        """Bid on a demand: open, or sealed where the auction asks for it.

        What opens a sealed bid is kept by this node, and in its backups, until
        `maillon auction reveal`.

        \b
          maillon auction bid 9c01d2ab 2h30 --by "Bruno Exemple"
        """
    ),
)
@click.argument("demand")
@click.argument("amount")
@click.option("--text", help=_("What would be done for it; everybody can read it."))
@click.option("--language", "lang", default="fr", show_default=True)
@_by_options
def bid(
    demand: str,
    amount: str,
    text: str | None,
    lang: str,
    by: str | None,
    mandate: str | None,
) -> None:
    from maillon.protocol.auctions import commitment

    record = demand_of(demand)
    rules = record["payload"]["auction"]
    unit = record["payload"]["reciprocity"]["unit"]
    offered = minor(known(), unit, amount)
    highest = record["payload"]["reciprocity"].get("amount")
    if highest is not None and offered > highest:
        base.fail(
            "usage",
            _("That is more than whoever asks would give: {most} at most.").format(
                most=amount_text(known(), unit, highest)
            ),
        )
    payload: Json = {"demand": record["thing"]}
    if text:
        payload |= {"text": text, "lang": lang}
    sealed = rules["form"] == "sealed"
    who = key_holder(by)
    if sealed:
        nonce = os.urandom(SECRET_BYTES)
        hash = commitment(bytes.fromhex(record["thing"]), offered, nonce)
        keep("bid", hash, nonce, rules["reveal_until"], who, demand=record["thing"], amount=offered)
        payload["commit"] = hash.hex()
    else:
        payload["amount"] = offered
    body: Json = {"kind": "bid", "payload": payload, "refs": [record["id"]]}
    data = publish(body, who, mandate)
    if sealed:
        told = _("Your sealed bid {id} is in. Open it after {when}: {command}").format(
            id=data["id"][:8],
            when=base.when(rules["closes"]),
            command=f"maillon auction reveal {record['id'][:8]}" + (f' --by "{by}"' if by else ""),
        )
    else:
        told = _("Your bid of {amount} is in; bids are taken until {when}.").format(
            amount=amount_text(known(), unit, offered), when=base.when(rules["closes"])
        )
    base.emit(data, base.state().in_home(told))


@auction.command(
    "reveal",
    help=_(
        """Open your sealed bids, once the auction has closed.

        \b
          maillon auction reveal 9c01d2ab --by "Bruno Exemple"
        """
    ),
)
@click.argument("demand")
@_by_options
def reveal(demand: str, by: str | None, mandate: str | None) -> None:
    record = demand_of(demand)
    who = key_holder(by)
    records = related(record)
    opened = {r["refs"][0] for r in records["bid_reveal"]}
    waiting = [r for r in records["bid"] if r["id"] not in opened and "commit" in r["payload"]]
    kept = kept_for([r["payload"]["commit"] for r in waiting])
    mine = {
        r["id"]: kept[r["payload"]["commit"]]
        for r in waiting
        if r["payload"]["commit"] in kept and is_of(kept[r["payload"]["commit"]], who)
    }
    if not mine:
        base.fail(
            "not_found",
            _("There is no sealed bid of yours here that waits to be opened."),
            _("It is opened by the one who made it (--by), with the node it was made with."),
        )
    done: list[Json] = []
    for id, entry in mine.items():
        payload = {"bid": id, "amount": entry["amount"], "nonce": entry["nonce"]}
        body: Json = {"kind": "bid_reveal", "payload": payload, "refs": [id]}
        done.append(publish(body, who, mandate))
        forget(entry["hash"])
    amounts = ", ".join(
        amount_text(known(), record["payload"]["reciprocity"]["unit"], entry["amount"])
        for entry in mine.values()
    )
    base.emit({"revealed": done}, _("Opened: {amount}.").format(amount=amounts))


@auction.command(
    "close",
    help=_(
        """Name the bids that take part, once the time is over: all that are here and in time.

        \b
          maillon auction close 9c01d2ab --by "Ana Exemple"
        """
    ),
)
@click.argument("demand")
@_by_options
def close(demand: str, by: str | None, mandate: str | None) -> None:
    record = demand_of(demand)
    closes = record["payload"]["auction"]["closes"]
    import time

    if time.time() <= closes:
        base.fail(
            "step",
            _("Bids are taken until {when}; it cannot be closed before.").format(
                when=base.when(closes)
            ),
        )
    bids = [r for r in related(record)["bid"] if r["at"] <= closes]
    payload = {"demand": record["thing"], "bids": sorted(r["id"] for r in bids)}
    body: Json = {"kind": "auction_close", "payload": payload, "refs": [record["id"]]}
    data = publish(body, key_holder(by), mandate)
    sealed = record["payload"]["auction"]["form"] == "sealed"
    told = _("Closed with {n} bids.").format(n=len(bids))
    if sealed:
        told += " " + _("The bidders open theirs until {when}; then: {command}").format(
            when=base.when(record["payload"]["auction"]["reveal_until"]),
            command=f"maillon auction award {record['id'][:8]}",
        )
    else:
        told += " " + _("Now: {command}").format(
            command=f"maillon auction award {record['id'][:8]}"
        )
    base.emit(data, base.state().in_home(told))


@auction.command(
    "award",
    help=_(
        """Say who won, as the records have it, and open the lot. There is nothing to choose.

        \b
          maillon auction award 9c01d2ab --by "Ana Exemple"
        """
    ),
)
@click.argument("demand")
@click.option("--secret", metavar="HEX", help=_("Of the lot, when another machine keeps it."))
@_by_options
def award(demand: str, secret: str | None, by: str | None, mandate: str | None) -> None:
    import time

    from maillon.protocol.auctions import lot, lot_of

    record = demand_of(demand)
    rules = record["payload"]["auction"]
    records = related(record)
    if not records["auction_close"]:
        base.fail(
            "step",
            _("The bids that take part were not named yet."),
            _("Name them first: maillon auction close {id}").format(id=record["id"][:8]),
        )
    if rules["form"] == "sealed" and time.time() <= rules["reveal_until"]:
        base.fail(
            "step",
            _("Sealed bids are opened until {when}.").format(when=base.when(rules["reveal_until"])),
        )
    kept = secret or kept_for([rules["lot"]]).get(rules["lot"], {}).get("nonce")
    if not kept:
        base.fail(
            "key_missing",
            _("The secret of the lot is not here."),
            _("It is kept by the node with which the auction was opened; or give --secret HEX."),
        )
    try:
        right = lot(bytes.fromhex(kept)).hex() == rules["lot"]
    except ValueError:
        right = False
    if not right:
        base.fail(
            "usage",
            _("That is not the secret of this lot."),
            _("Its SHA-256 is in the demand; nothing was published."),
        )
    result = outcome(record, records | {"award": []})
    drawn = bytes.fromhex(kept)
    best = [b for b in result.ranking if b.amount == result.ranking[0].amount]
    first = min(best, key=lambda b: lot_of(drawn, b.id), default=None)
    payload: Json = {"demand": record["thing"], "secret": kept}
    if first is not None:
        payload["winner"] = first.id.hex()
    if rules["form"] == "sealed":
        payload["reveals"] = sorted(r["id"] for r in records["bid_reveal"])
    body: Json = {"kind": "award", "payload": payload, "refs": [record["id"]]}
    data = publish(body, key_holder(by), mandate)
    forget(rules["lot"])
    if first is None:
        base.emit(data, _("Awarded to nobody: there was no bid."))
        return
    won = next(r for r in records["bid"] if r["id"] == first.id.hex())
    told = _("Awarded to {who} for {amount}.").format(
        who=bidder(won),
        amount=amount_text(known(), record["payload"]["reciprocity"]["unit"], first.amount),
    )
    whose = author(won)
    told += "\n" + _("To begin with them: {command}").format(
        command=f"maillon exchange open {record['id'][:8]} --with {whose}"
        + (f' --by "{by}"' if by else "")
    )
    data |= {"winner": first.id.hex(), "amount": first.amount, "author": whose}
    base.emit(data, base.state().in_home(told))


@auction.command(
    "show",
    help=_(
        """Show an auction, compute the winner from the records alone, and compare.

        \b
          maillon auction show 9c01d2ab
        """
    ),
)
@click.argument("demand")
def show(demand: str) -> None:
    record = demand_of(demand)
    records = related(record)
    result = outcome(record, records)
    by_id = {r["id"]: r for r in records["bid"]}
    unit = record["payload"]["reciprocity"]["unit"]
    data: Json = {
        "demand": record["id"],
        "thing": record["thing"],
        "title": record["payload"]["title"],
        "auction": record["payload"]["auction"],
        "bids": len(by_id),
        "closed": bool(records["auction_close"]),
        "awarded": bool(records["award"]),
        "winner": None if result.winner is None else result.winner.id.hex(),
        "amount": None if result.winner is None else result.winner.amount,
        "ranking": [{"bid": b.id.hex(), "amount": b.amount} for b in result.ranking],
        "tied": result.tied,
        "missing": [id.hex() for id in result.missing],
        "unopened": [id.hex() for id in result.unopened],
        "omitted": [id.hex() for id in result.omitted],
        "award_right": result.award_right,
    }
    base.emit(data, lambda: _show(record, data, result, by_id, unit))


def _show(record: Json, data: Json, result: Outcome, by_id: dict[str, Json], unit: str) -> None:
    names = known()
    click.echo(click.style(base.printable(data["title"]), bold=True))
    rules = data["auction"]
    click.echo(_("Bids until {when}.").format(when=base.when(rules["closes"])))
    if "reveal_until" in rules:
        click.echo(_("Opened until {when}.").format(when=base.when(rules["reveal_until"])))
    rows: list[tuple[object, ...]] = [
        (place + 1, bidder(by_id[b.id.hex()]), amount_text(names, unit, b.amount), b.id.hex()[:8])
        for place, b in enumerate(result.ranking)
        if b.id.hex() in by_id
    ]
    sealed = [r for id, r in by_id.items() if id in data["unopened"]]
    rows += [("–", bidder(r), _("sealed"), r["id"][:8]) for r in sealed]
    columns = ("", _("who"), _("price"), _("bid"))
    base.print_table(columns, rows, empty=_("There is no bid yet."))
    if result.omitted:
        click.echo(
            ngettext(
                "{n} bid that is dated in time takes no part: it was kept out, or came late.",
                "{n} bids that are dated in time take no part: they were kept out, or came late.",
                len(result.omitted),
            ).format(n=len(result.omitted))
        )
    if result.winner is not None:
        click.echo(
            _("Computed here: {who} wins with {amount}.").format(
                who=bidder(by_id[result.winner.id.hex()]),
                amount=amount_text(names, unit, result.winner.amount),
            )
        )
    elif not data["closed"] and clock.now().timestamp() <= rules["closes"]:
        click.echo(_("Bids are still taken."))
    elif not data["closed"]:
        told = _(
            "The time for bids is over; who asks has yet to name those that take part: {command}"
        )
        base.advise(told.format(command=f"maillon auction close {data['demand'][:8]}"))
    elif not data["awarded"]:
        click.echo(_("It is not awarded yet."))
    if result.award_right is True:
        click.echo(_("The award says the same."))
    elif result.award_right is False:
        click.echo(_("The award names somebody else: it is wrong."), err=True)
