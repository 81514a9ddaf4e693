"""`maillon auction`: providers bid, the lowest price wins, and anybody can compute it anew."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from maillon.node.cli import base
from maillon.node.cli.exchange_acting import amount_text, key_holder, known
from maillon.node.cli.offers import build_payload, publish_options
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _

if TYPE_CHECKING:
    from maillon.protocol.auctions import Outcome
    from maillon.protocol.envelope import Valid

Json = dict[str, Any]

SECRETS: Final = "auctions.json"
SECRETS_BYTES_MAX: Final = 4 << 20
SECRET_BYTES: Final = 32
ROWS_MAX: Final = 1_000
PAGES_MAX: Final = 50
RECORDS: Final = ("bid", "bid_reveal", "auction_close", "award")


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


# --- what has to be kept secret for a while -----------------------------------------------------


def _secrets_path() -> Path:
    return base.state().home.path / SECRETS


def _secrets() -> Json:
    try:
        with _secrets_path().open("rb") as file:
            found: Any = json.loads(file.read(SECRETS_BYTES_MAX))
    except FileNotFoundError:
        return {}
    except ValueError:
        base.fail(
            "damaged_file",
            _("{path} is damaged.").format(path=_secrets_path()),
            _("Bring it back from a backup, or move it away."),
        )
    return cast("Json", found) if isinstance(found, dict) else {}


def _keep(id: str, entry: Json) -> None:
    """Keep a nonce or the secret of a lot: without it nobody can open what was sealed."""
    from maillon.node.home import write_atomic

    kept = _secrets() | {id: entry}
    write_atomic(_secrets_path(), json.dumps(kept, indent=1).encode(), replace=True)


def _forget(id: str) -> None:
    from maillon.node.home import write_atomic

    kept = _secrets()
    if kept.pop(id, None) is not None:
        write_atomic(_secrets_path(), json.dumps(kept, indent=1).encode(), replace=True)


# --- opening ------------------------------------------------------------------------------------


def _open(closes: str, sealed: bool, reveal_until: str | None, **given: Any) -> None:
    import hashlib

    if sealed != bool(reveal_until):
        base.fail(
            "usage",
            _("Sealed bids need a time to be opened."),
            _("--sealed and --reveal-until TIME come together."),
        )
    given["reciprocity"] = "auction"
    given["unit"] = known().unit(given["unit"])
    highest, given["amount"] = given["amount"], None
    unit, given["unit"] = given["unit"], None
    payload = build_payload(given)
    payload["reciprocity"] = {"kind": "auction", "unit": unit}
    if highest is not None:
        payload["reciprocity"]["amount"] = highest
    secret = os.urandom(SECRET_BYTES)
    rules: Json = {
        "form": "sealed" if sealed else "open",
        "closes": base.moment(closes),
        "lot": hashlib.sha256(secret).hexdigest(),
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
    data = base.state().client().post("/v1/records", body)
    _keep(data["thing"], {"secret": secret.hex()})
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


# --- records ------------------------------------------------------------------------------------


def _demand(id: str) -> Json:
    data: Json = base.state().client().get(f"/v1/records/{path_part(id)}", raw=True)
    if data["kind"] != "demand" or "auction" not in (data["payload"] or {}):
        base.fail(
            "usage",
            _("{id} is no auction.").format(id=id[:16]),
            _("See them with: maillon auction list"),
        )
    return data


def _related(demand: Json) -> dict[str, list[Json]]:
    """Return the live records of an auction by kind."""
    client = base.state().client()
    found: dict[str, list[Json]] = {kind: [] for kind in RECORDS}
    for kind in RECORDS:
        after: str | None = None
        for _page in range(PAGES_MAX):
            data = client.get("/v1/records", kind=kind, raw=True, limit=ROWS_MAX, after=after)
            found[kind] += data["records"]
            after = data["next"]
            if not after:
                break
    bids = {bid["id"] for bid in found["bid"] if demand["id"] in bid["refs"]}
    named = dict.fromkeys(RECORDS, {demand["id"]}) | {"bid_reveal": bids}
    return {kind: [r for r in rows if named[kind] & set(r["refs"])] for kind, rows in found.items()}


def _valid(record: Json) -> Valid:
    from maillon.protocol.envelope import Valid, decode_record

    signed = decode_record(bytes.fromhex(record["raw"]))
    # Whose it is plays no part in who wins; the node has checked the signature.
    return Valid(signed, b"c" + signed.header.coop, bytes.fromhex(record["thing"]), "member")


def outcome(demand: Json, records: dict[str, list[Json]]) -> Outcome:
    """Compute who wins, from the records alone."""
    from maillon.protocol.auctions import winner

    own = [bid for bid in records["bid"] if bid["refs"] == [demand["id"]]]
    closes = records["auction_close"]
    awards = records["award"]
    return winner(
        _valid(demand),
        _valid(closes[0]) if closes else None,
        [_valid(bid) for bid in own],
        [_valid(reveal) for reveal in records["bid_reveal"]],
        _valid(awards[0]) if awards else None,
    )


def _publish(body: Json, by: str | None, mandate: str | None) -> Json:
    who = key_holder(by)
    if who is not None and who != "coop":
        body["as_member"] = who
    if mandate is not None:
        body["mandate"] = mandate
    data: Json = base.state().client().post("/v1/records", body)
    return data


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

        What opens a sealed bid is kept in this node's directory until `maillon auction reveal`.

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

    record = _demand(demand)
    rules = record["payload"]["auction"]
    unit = record["payload"]["reciprocity"]["unit"]
    minor = _minor(unit, amount)
    payload: Json = {"demand": record["thing"]}
    if text:
        payload |= {"text": text, "lang": lang}
    sealed = rules["form"] == "sealed"
    nonce = os.urandom(SECRET_BYTES)
    if sealed:
        payload["commit"] = commitment(bytes.fromhex(record["thing"]), minor, nonce).hex()
    else:
        payload["amount"] = minor
    body: Json = {"kind": "bid", "payload": payload, "refs": [record["id"]]}
    data = _publish(body, by, mandate)
    if sealed:
        entry = {"nonce": nonce.hex(), "amount": minor, "demand": record["thing"], "by": by or ""}
        _keep(data["id"], entry)
        told = _("Your sealed bid {id} is in. Open it after {when}: {command}").format(
            id=data["id"][:8],
            when=base.when(rules["closes"]),
            command=f"maillon auction reveal {record['id'][:8]}" + (f' --by "{by}"' if by else ""),
        )
    else:
        told = _("Your bid of {amount} is in; bids are taken until {when}.").format(
            amount=amount_text(known(), unit, minor), when=base.when(rules["closes"])
        )
    base.emit(data, base.state().in_home(told))


def _minor(unit: str, text: str) -> int:
    """Return an amount in the smallest parts of its unit. Raises: LocalError."""
    from maillon.ledger.units import UnitTable
    from maillon.protocol.founding import Unit

    for entry in known().charter()["units"]:
        if entry["code"] == unit:
            table = UnitTable((Unit(unit, entry["kind"], entry["decimals"], ""),))
            return table.parse(0, text)
    base.fail("usage", _("The federation has no unit {unit!r}.").format(unit=unit))


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
    record = _demand(demand)
    opened = {r["refs"][0] for r in _related(record)["bid_reveal"]}
    mine = {
        id: entry
        for id, entry in _secrets().items()
        if entry.get("demand") == record["thing"]
        and entry.get("by", "") == (by or "")
        and id not in opened
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
        done.append(_publish({"kind": "bid_reveal", "payload": payload, "refs": [id]}, by, mandate))
        _forget(id)
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
    record = _demand(demand)
    closes = record["payload"]["auction"]["closes"]
    import time

    if time.time() <= closes:
        base.fail(
            "step",
            _("Bids are taken until {when}; it cannot be closed before.").format(
                when=base.when(closes)
            ),
        )
    bids = [r for r in _related(record)["bid"] if r["at"] <= closes]
    payload = {"demand": record["thing"], "bids": sorted(r["id"] for r in bids)}
    body: Json = {"kind": "auction_close", "payload": payload, "refs": [record["id"]]}
    data = _publish(body, by, mandate)
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

    from maillon.protocol.auctions import lot_of

    record = _demand(demand)
    rules = record["payload"]["auction"]
    records = _related(record)
    if not records["auction_close"]:
        base.fail(
            "step",
            _("The auction is not closed yet."),
            _("Close it first: maillon auction close {id}").format(id=record["id"][:8]),
        )
    if rules["form"] == "sealed" and time.time() <= rules["reveal_until"]:
        base.fail(
            "step",
            _("Sealed bids are opened until {when}.").format(when=base.when(rules["reveal_until"])),
        )
    kept = secret or _secrets().get(record["thing"], {}).get("secret")
    if not kept:
        base.fail(
            "key_missing",
            _("The secret of the lot is not here."),
            _("It is kept by the node with which the auction was opened; or give --secret HEX."),
        )
    result = outcome(record, records | {"award": []})
    lot = bytes.fromhex(kept)
    best = [b for b in result.ranking if b.amount == result.ranking[0].amount]
    first = min(best, key=lambda b: lot_of(lot, b.id), default=None)
    payload: Json = {"demand": record["thing"], "secret": kept}
    if first is not None:
        payload["winner"] = first.id.hex()
    if rules["form"] == "sealed":
        payload["reveals"] = sorted(r["id"] for r in records["bid_reveal"])
    body: Json = {"kind": "award", "payload": payload, "refs": [record["id"]]}
    data = _publish(body, by, mandate)
    _forget(record["thing"])
    if first is None:
        base.emit(data, _("Awarded to nobody: there was no bid."))
        return
    won = next(r for r in records["bid"] if r["id"] == first.id.hex())
    told = _("Awarded to {who} for {amount}.").format(
        who=_bidder(won),
        amount=amount_text(known(), record["payload"]["reciprocity"]["unit"], first.amount),
    )
    author = _author(won)
    told += "\n" + _("To begin with them: {command}").format(
        command=f"maillon exchange open {record['id'][:8]} --with {author}"
        + (f' --by "{by}"' if by else "")
    )
    data |= {"winner": first.id.hex(), "amount": first.amount, "author": author}
    base.emit(data, base.state().in_home(told))


def _bidder(record: Json) -> str:
    """Return who made a bid, as far as this node knows."""
    names = known()
    if record["coop"] == names.own_coop:
        return names.name_of_key(record["by"])
    return _("{id} of {coop}").format(
        id=str(record["by"])[:8], coop=base.printable(record["coop_name"] or record["coop"][:8])
    )


def _author(record: Json) -> str:
    """Return whose bid it is, as an author: the person whose key the coop vouches for."""
    client = base.state().client()
    after: str | None = None
    for _page in range(PAGES_MAX):
        data = client.get("/v1/records", kind="membership", limit=ROWS_MAX, after=after)
        for found in data["records"]:
            if found["payload"]["key"] == record["by"] and found["coop"] == record["coop"]:
                return f"70{record['coop']}{found['payload']['person']}"
        after = data["next"]
        if not after:
            break
    return f"63{record['coop']}"


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
    record = _demand(demand)
    records = _related(record)
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
        (place + 1, _bidder(by_id[b.id.hex()]), amount_text(names, unit, b.amount), b.id.hex()[:8])
        for place, b in enumerate(result.ranking)
        if b.id.hex() in by_id
    ]
    sealed = [r for id, r in by_id.items() if id in data["unopened"]]
    rows += [("–", _bidder(r), _("sealed"), r["id"][:8]) for r in sealed]
    columns = ("", _("who"), _("price"), _("bid"))
    base.print_table(columns, rows, empty=_("There is no bid yet."))
    if result.omitted:
        click.echo(
            _("{n} bids that came in time by their own date were left out.").format(
                n=len(result.omitted)
            )
        )
    if result.winner is not None:
        click.echo(
            _("Computed here: {who} wins with {amount}.").format(
                who=_bidder(by_id[result.winner.id.hex()]),
                amount=amount_text(names, unit, result.winner.amount),
            )
        )
    elif not data["closed"]:
        click.echo(_("It is not closed yet."))
    elif not data["awarded"]:
        click.echo(_("It is not awarded yet."))
    if result.award_right is True:
        click.echo(_("The award says the same."))
    elif result.award_right is False:
        click.echo(_("The award names somebody else: it is wrong."), err=True)
