"""`maillon voucher`: paper cheques, printed here, filled in by hand, deposited anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.exchange_acting import UNDER_WAY, WAIT_S, WAIT_S_MAX, known
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _, language, ngettext

Json = dict[str, Any]

STATUSES = ["open", "presented", "paid", "blocked", "expired"]


@click.group(
    cls=base.Group,
    help=_(
        """Paper cheques: numbered, printed with a code, never paid twice.

        \b
          maillon voucher book "Ana Exemple" --count 10 --max 3h -o cheques.html
          maillon voucher deposit 7 K3F9-… 1h30 --to "Bruno Exemple"
          maillon voucher list "Ana Exemple"
          maillon voucher block "Ana Exemple" 8 9 --reason lost

        Who gives a cheque writes amount and receiver on it. Whoever receives it brings it to any
        coop of the federation, which deposits it at the coop that issued it.
        """
    ),
)
def voucher() -> None:
    pass


@voucher.command(
    "book",
    help=_(
        """Print a book of cheques for an account here. The codes are shown this once only.

        FILE.html is a page for a printer, three cheques on a sheet of A4: open it in a browser and
        print it, or make a PDF of it where there is no screen.

        \b
          maillon voucher book "Ana Exemple" --count 10 --max 3h -o cheques.html
          chromium --headless --no-pdf-header-footer --print-to-pdf=cheques.pdf cheques.html
        """
    ),
)
@click.argument("name")
@click.option("--count", type=click.IntRange(1, 100), default=10, show_default=True)
@click.option("--max", "max_", metavar="AMOUNT", help=_("The most one cheque may be written for."))
@click.option("--unit", metavar="CODE", help=_("Which unit, where there are several."))
@click.option("--days", type=click.IntRange(1, 1100), default=365, show_default=True)
@click.option("--mandate", metavar="ID", help=_("A mandate on the account, whose key is here."))
@click.option(
    "--lang", type=click.Choice(["fr", "en"]), default=language,
    help=_("Of the sheets [that of this command]."),
)  # fmt: skip
@click.option("--output", "-o", type=click.Path(dir_okay=False), metavar="FILE.html")
def book(
    name: str,
    count: int,
    max_: str | None,
    unit: str | None,
    days: int,
    mandate: str | None,
    lang: str,
    output: str | None,
) -> None:
    if output is not None and Path(output).exists():
        base.fail(
            "already_exists",
            _("{path} exists already and was left as it is.").format(path=output),
            _("Choose another name."),
        )
    names = known()
    place = names.account(name)
    body: Json = {
        "account": place.account, "count": count, "unit": names.unit(unit, max_ or "", place),
        "max": max_, "days": days, "mandate": mandate, "lang": lang,
        "sheets": "html" if output else "",
    }  # fmt: skip
    body = {field: value for field, value in body.items() if value is not None}
    data = base.state().client().post("/v1/voucher-books", body)
    if output is not None:
        from maillon.node.home import write_atomic

        write_atomic(Path(output), data["html"].encode())

    def human() -> None:
        last = data["first"] + data["count"] - 1
        click.echo(
            _("Book {id}: cheques {first} to {last} of {name}, until {when}.").format(
                id=data["book"][:8], first=data["first"], last=last,
                name=base.printable(data["name"]), when=base.when(data["expires"]),
            )
        )  # fmt: skip
        if output is not None:
            click.echo(
                _(
                    "Open {file} in a browser and print it (A4, three on a sheet), then delete it: "
                    "its codes are worth money."
                ).format(file=output)
            )
        else:
            rows = [(entry["number"], entry["code"]) for entry in data["vouchers"]]
            base.print_table((_("number"), _("code")), rows, empty="")

    base.emit(data, human)


@voucher.command("books", help=_("List books of cheques, with how many are open, paid, blocked."))
@click.argument("name", required=False)
def books(name: str | None) -> None:
    account = None if name is None else known().account(name).account
    data = base.state().client().get("/v1/voucher-books", account=account)
    rows = [
        (
            entry["book"][:8],
            entry["name"],
            f"{entry['first']}–{entry['first'] + entry['count'] - 1}",
            entry["open"],
            entry["paid"],
            entry["blocked"],
            base.when(entry["expires"])[:10],
            _("revoked") if entry["revoked"] else "",
        )
        for entry in data["books"]
    ]
    columns = (
        _("book"), _("of"), _("numbers"), _("open"), _("paid"), _("blocked"), _("until"), "",
    )  # fmt: skip
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("There is no book yet.")))


def _status(status: str) -> str:
    words = {
        "open": _("open"),
        "presented": _("presented"),
        "paid": _("paid"),
        "blocked": _("blocked"),
        "expired": _("expired"),
        "sent": _("its coop is not reached yet; tried again by itself"),
        "waiting": _("kept, goes on by itself"),
        "placed": _("kept, goes on by itself"),
        "certified": _("paid"),
        "refused": _("refused"),
    }
    return words.get(status, status)


@voucher.command("list", help=_("List cheques: which are open, paid, blocked."))
@click.argument("name", required=False)
@click.option("--book", "book_", metavar="ID", help=_("Only of this book."))
@click.option("--status", type=click.Choice(STATUSES), help=_("Only in this state."))
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", metavar="CURSOR", help=_("Go on where the last list ended."))
def list_(
    name: str | None, book_: str | None, status: str | None, limit: int, after: str | None
) -> None:
    account = None if name is None else known().account(name).account
    data = (
        base.state()
        .client()
        .get("/v1/vouchers", account=account, book=book_, status=status, limit=limit, after=after)
    )
    base.emit(data, lambda: _show(data))


def _show(data: Json) -> None:
    rows = [
        (
            entry["number"],
            entry["name"],
            _status(entry["status"]),
            entry["text"],
            entry["payee_name"] or entry["payee"][:8],
            entry["written"] or ("" if entry["status"] == "open" else base.when(entry["at"])),
        )
        for entry in data["vouchers"]
    ]
    columns = (_("number"), _("of"), _("state"), _("amount"), _("for"), _("date"))
    base.print_table(columns, rows, empty=_("There is no cheque."))
    if data["next"]:
        click.echo(_("More with: --after {cursor}").format(cursor=data["next"]))


@voucher.command("block", help=_("Block lost cheques of an account, by their numbers."))
@click.argument("name")
@click.argument("numbers", nargs=-1, required=True, type=click.IntRange(1))
@click.option("--reason", default="", help=_("For your own notes."))
def block(name: str, numbers: tuple[int, ...], reason: str) -> None:
    body = {"account": known().account(name).account, "numbers": list(numbers), "reason": reason}
    data = base.state().client().post("/v1/vouchers/block", body)
    n = len(data["vouchers"])
    base.emit(
        data,
        ngettext(
            "{n} cheque is blocked; nobody is paid for it.",
            "{n} cheques are blocked; nobody is paid for them.",
            n,
        ).format(n=n),
    )


@voucher.command("revoke", help=_("Block every open cheque of a book."))
@click.argument("book_", metavar="BOOK")
@click.option("--reason", default="", help=_("For your own notes."))
def revoke(book_: str, reason: str) -> None:
    client = base.state().client()
    data = client.post(f"/v1/voucher-books/{path_part(book_)}/revoke", {"reason": reason})
    base.emit(
        data,
        _("The book is blocked: {n} cheques that were open are worth nothing now.").format(
            n=data["blocked"]
        ),
    )


@voucher.command(
    "deposit",
    help=_(
        """Deposit a cheque: its number and code, or the text of its QR, and what is written on it.

        Asked again it tells what became of it; a cheque is paid once.

        \b
          maillon voucher deposit 7 K3F9-… 1h30 --to "Bruno Exemple"
          maillon voucher deposit 7 K3F9-… 1h30 --to "Bruno Exemple" --coop "Coop de la Drôme"
          maillon voucher deposit --qr "MAILLON:V1:…" 1h30 --to "Bruno Exemple"
        """
    ),
)
@click.argument("words", nargs=-1, required=True, metavar="[NUMBER CODE] AMOUNT")
@click.option("--to", required=True, metavar="NAME", help=_("Who is paid: an account here."))
@click.option("--qr", metavar="TEXT", help=_("What the QR says, in place of NUMBER and CODE."))
@click.option("--coop", metavar="COOP", help=_("Who issued it [your own coop]."))
@click.option("--unit", metavar="CODE", help=_("Which unit, where there are several."))
@click.option("--date", default="", metavar="DATE", help=_("As written on it: 2026-03-01."))
@click.option("--wait", "wait_s", type=click.FloatRange(0, WAIT_S_MAX), default=WAIT_S)
def deposit(
    words: tuple[str, ...],
    to: str,
    qr: str | None,
    coop: str | None,
    unit: str | None,
    date: str,
    wait_s: float,
) -> int:
    if len(words) != (1 if qr else 3):
        base.fail(
            "usage",
            _("Say which cheque, and for how much."),
            _("maillon voucher deposit NUMBER CODE AMOUNT --to NAME, or --qr TEXT and AMOUNT"),
        )
    names = known()
    place = names.account(to)
    body: Json = {
        "amount": words[-1],
        "payee": place.account,
        "unit": names.unit(unit, words[-1], place),
        "date": date,
        "wait_s": wait_s,
    }
    if qr:
        body["voucher"] = qr
    else:
        if not words[0].isdigit():
            base.fail("usage", _("{text!r} is no number of a cheque.").format(text=words[0][:40]))
        body |= {"number": int(words[0]), "code": words[1]}
    if coop:
        body["coop"] = names.coop(coop)[0]
    client = base.state().client()
    data = client.post("/v1/vouchers/deposits", body, timeout=base.patience(wait_s))
    if data["status"] == "refused":
        raise base.refusal(data)

    def human() -> None:
        if data["status"] == "certified" and data["repeated"]:
            told = _(
                "Was paid already, deposited on {when}: {amount} for {name}, cheque {number} of "
                "{coop}. Nothing was paid anew."
            )
        elif data["status"] == "certified":
            told = _("Paid: {amount} for {name}, cheque {number} of {coop}.")
        else:
            told = _("Cheque {number} of {coop} for {name}, {amount}: kept, goes on by itself.")
        click.echo(
            told.format(
                amount=data["text"], name=base.printable(data["payee_name"] or place.name),
                number=data["number"], coop=base.printable(data["coop_name"]),
                when=base.when(data["at"]),
            )
        )  # fmt: skip
        if data["repeated"] and data["status"] != "certified":
            click.echo(_("It was deposited before; this told what became of it."))

    base.emit(data, human)
    return base.PARTIAL if data["status"] in {*UNDER_WAY, "sent", "presented"} else base.OK


@voucher.command("deposits", help=_("List cheques of other coops deposited here."))
def deposits() -> None:
    data = base.state().client().get("/v1/vouchers/deposits")
    rows = [
        (
            entry["number"],
            entry["coop_name"],
            entry["text"],
            entry["payee_name"] or entry["payee"][:8],
            _status(entry["status"]),
            entry["detail"],
        )
        for entry in data["deposits"]
    ]
    columns = (_("number"), _("coop"), _("amount"), _("for"), _("state"), "")
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("There is no cheque.")))
