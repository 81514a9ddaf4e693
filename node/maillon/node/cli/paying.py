"""`maillon transfer`: give hours or credits, reserve them, confirm, undo, and see what became."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maillon.node.cli import base
from maillon.node.cli.accounts import holder, named
from maillon.node.cli.paths import path_part
from maillon.node.cli.refusals import COMMONS
from maillon.node.cli.standing import how_it_stands, read_account, then
from maillon.node.i18n import _, ngettext

if TYPE_CHECKING:
    from maillon.node.cli.who import Directory, Place

WAIT_S = 15.0
WAIT_S_MAX = 120.0
MEMO_CHARACTERS_MAX = 500
STATUSES = ["waiting", "placed", "certified", "held", "refused"]
# FROM, TO and AMOUNT: fewer words are no transfer, but a command written wrong.
SENT_WORDS_MIN = 3
# spec/06-accounts.md, "Orders".
CATEGORY = re.compile(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?")
OWN_ID = re.compile(r"[!-~]{1,64}")


class TransferGroup(base.Group):
    """`maillon transfer ANA BRUNO 1h30` is `maillon transfer send ANA BRUNO 1h30`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if len(args) >= SENT_WORDS_MIN and args[0] not in self.commands:
            return "send", self.commands["send"], args
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as fault:
            advice = _(
                "To give, say from whom, to whom and how much: "
                'maillon transfer "Ana Exemple" "Bruno Exemple" 1h30'
            )
            raise click.UsageError(f"{fault.message}\n{advice}", ctx) from None


@click.group(
    cls=TransferGroup,
    help=_(
        """Give hours or credits to somebody, here or in another coop.

        \b
          maillon transfer "Ana Exemple" "Bruno Exemple" 1h30
          maillon transfer send "Ana Exemple" "Coop de la Drôme:4f0a12cd" 90min --memo "Jardin"
          maillon transfer list

        A transfer is final once enough witnesses of the federation have signed its block, within
        about a second. While they cannot be reached it is kept and waits. What goes to another coop
        is taken there a moment later, or comes back by itself. A mistake is undone by a transfer
        the other way: maillon transfer reverse ID.
        """
    ),
)
def transfer() -> None:
    pass


@transfer.command(
    "send",
    help=_(
        """Give AMOUNT from the account FROM to the account TO.

        Amounts: 1h30, 90min, 1.5h for hours; 12.50 for credits; 1 for what is only counted. FROM
        and TO are names or ids of your coop, `commons`, or COOP:ACCOUNT. Exits with 8 while the
        transfer waits: it is kept, and goes through or is refused later; never send it again. With
        an --id of your own, such as the number of an invoice, it is given once however often you
        ask: nothing else tells whether it was kept when the answer got lost (exit code 9).

        \b
          maillon transfer send "Ana Exemple" "Bruno Exemple" 1h30 --memo "Taille des rosiers"
          maillon transfer send "Ana Exemple" commons 30min --category vie-collective
          maillon transfer send "Ana Exemple" "Coop de la Drôme:4f0a12cd" 2h
          maillon transfer send "Ana Exemple" "Bruno Exemple" 2h --id facture-2026-031
        Reserved now and given when the payer, or the one who may confirm, says so; else back:
          maillon transfer send "Ana Exemple" "Bruno Exemple" 3h --hold --until 2026-06-30
          maillon transfer send Ana Bruno 3h --hold --until 30d --confirm-by "Chloé Exemple"
        """
    ),
)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.argument("amount")
@click.option("--unit", metavar="CODE", help=_("Which unit, where there are several."))
@click.option("--memo", default="", help=_("What it was for; only the two parties can read it."))
@click.option("--category", default="", metavar="CODE", help=_("A public code, for statistics."))
@click.option("--hold", is_flag=True, help=_("Reserve it now and give it when confirmed."))
@click.option("--until", metavar="TIME", help=_("With --hold: until then, such as 30d."))
@click.option(
    "--confirm-by",
    metavar="WHO",
    help=_("With --hold: who may confirm besides the payer; a person here, or a key."),
)
@click.option("--hashlock", metavar="HEX", help=_("With --hold: whose preimage confirms too."))
@click.option("--mandate", metavar="ID", help=_("Acting under this mandate on the account."))
@click.option("--id", "key", metavar="TEXT", help=_("An id of yours: under it, it is given once."))
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, WAIT_S_MAX),
    default=WAIT_S,
    show_default=True,
    help=_("Seconds to wait until it is final."),
)
def send(
    source: str,
    target: str,
    amount: str,
    unit: str | None,
    memo: str,
    category: str,
    hold: bool,
    until: str | None,
    confirm_by: str | None,
    hashlock: str | None,
    mandate: str | None,
    key: str | None,
    wait_s: float,
) -> int:
    from maillon.node.cli.who import directory
    from maillon.protocol.errors import LocalError

    if hold and until is None:
        base.fail(
            "usage",
            _("A reservation needs an end."),
            _("Say until when: --hold --until 30d"),
        )
    if not hold and (until or confirm_by or hashlock):
        base.fail("usage", _("--until, --confirm-by and --hashlock go with --hold."))
    if len(memo) > MEMO_CHARACTERS_MAX:
        base.fail("usage", _("A memo has at most {n} characters.").format(n=MEMO_CHARACTERS_MAX))
    if category and not CATEGORY.fullmatch(category):
        base.fail(
            "usage",
            _("{text!r} is no code of a category.").format(text=category[:64]),
            _("Write it in small letters without accents, such as jardin or lien-social."),
        )
    if key is not None and not OWN_ID.fullmatch(key):
        base.fail("usage", _("--id takes 1 to 64 characters without spaces and accents."))
    known = directory()
    payer, payee = known.account(source), known.account(target)
    code = known.unit(unit, amount, payer)
    if hold and known.counts_only(code):
        base.fail("usage", _("What is only counted cannot be reserved."))
    if not payer.here:
        base.fail(
            "not_allowed",
            _("FROM must be an account of your coop; {name} belongs to another.").format(
                name=source
            ),
            _("What they give is entered at their own coop."),
        )
    body: dict[str, Any] = {
        "from": payer.account,
        "to": payee.address,
        "unit": code,
        "amount": amount,
        "memo": memo,
        "category": category,
        "wait_s": wait_s,
        "arrival": True,
        "key": key or secrets.token_hex(8),
    }
    if mandate is not None:
        body |= known.acting_under(payer, mandate)
    if hold:
        body["hold"] = _hold(known, str(until), confirm_by, hashlock)
    try:
        data = known.client.post("/v1/transfers", body, timeout=base.patience(wait_s))
    except LocalError as fault:
        if fault.code == base.NO_ANSWER:
            fault.hint = _(
                "Ask again by the very same command with --id {key}: it is given once, whether it "
                "was kept or not."
            ).format(key=body["key"])
        raise
    done = _sent(data, known, body, payer, payee)
    return _tell(data, then(done, payer.account, named(payer), code))


def _tell(data: dict[str, Any], done: str | Callable[[], str]) -> int:
    """Tell what became of a transfer; exit as for a refusal when it came back."""
    told = base.tell_order(data, done=done)
    if data.get("repeated"):
        note = _("Note: this was asked before under the same id; nothing was given a second time.")
        click.echo(note, err=True)
    return base.REFUSED if data.get("arrival") == "returned" else told


def _why_it_came_back(data: dict[str, Any]) -> str:
    from maillon.node.cli.refusals import reason_in_words

    return reason_in_words(data) if data.get("reason") else _("Their coop could not credit it.")


def _of_arrival(data: dict[str, Any]) -> str:
    """Return what the other coop did with it, after a space; empty when it went to none."""
    match data.get("arrival"):
        case "on_its_way":
            told = _(
                "\n  It is on its way: the other coop takes it or sends it back by itself.\n"
                "  See which: maillon transfer show {id}"
            ).format(id=data["id"][:16])
            return base.state().in_home(told)
        case "arrived":
            return " " + _("It has arrived.")
        case "returned":
            return "\n  " + _("It came back: {reason}").format(reason=_why_it_came_back(data))
        case _:
            return ""


def _hold(
    known: Directory, until: str, confirm_by: str | None, hashlock: str | None
) -> dict[str, Any]:
    from maillon.node.cli.who import hex_key

    found: dict[str, Any] = {"expiry": base.moment(until)}
    if confirm_by is not None:
        found["arbiter"] = known.key(confirm_by)
    if hashlock is not None:
        found["hashlock"] = hex_key(hashlock, "--hashlock")
    return found


def _sent(
    data: dict[str, Any], known: Directory, body: dict[str, Any], payer: Place, payee: Place
) -> str:
    facts = {
        "amount": base.printable(body["amount"]),
        "payer": named(payer),
        "payee": named(payee) if payee.here else f"{named(payee)} ({known.coop_name(payee.coop)})",
        "id": data["id"][:16],
    }
    if "hold" in body:
        told = _(
            "Reserved {amount} of {payer} for {payee} until {when}.\n"
            "  To give it: maillon transfer confirm {id}"
        ).format(when=base.when(body["hold"]["expiry"]), **facts)
        return base.state().in_home(told)
    match data.get("arrival"):
        case "returned":
            return _("{amount} for {payee} came back to {payer}: {reason}\n  {id}").format(
                reason=_why_it_came_back(data), **facts
            )
        case "on_its_way":
            told = _(
                "{amount} has left {payer} for {payee}, whose coop takes it or sends it back.\n"
                "  See which: maillon transfer show {id}"
            ).format(**facts)
            return base.state().in_home(told)
        case "arrived":
            return _(
                "{payer} gave {amount} to {payee}, where it has arrived. It is final: {id}"
            ).format(**facts)
        case _:
            return _("{payer} gave {amount} to {payee}. It is final: {id}").format(**facts)


@transfer.command(
    "list",
    help=_(
        """List the transfers that your coop's members gave, the newest first.

        \b
          maillon transfer list
          maillon transfer list --status waiting
        """
    ),
)
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", metavar="CURSOR", help=_("Go on where the last page ended."))
def list_(status: str | None, limit: int, after: str | None) -> None:
    from maillon.node.cli.who import directory

    known = directory()
    data = known.client.get("/v1/transfers", status=status, limit=limit, after=after)
    base.emit(data, lambda: _show_list(data, known.own_coop, status))


def _show_list(data: dict[str, Any], own: str, asked: str | None) -> None:
    rows = [
        (
            entry["id"][:12],
            base.when(entry["given_at"]),
            party(entry, "", always=entry["coop"] != own),
            party(entry, "to_", always=entry["to_coop"] != own),
            entry["text"],
            status_word(entry["status"]),
        )
        for entry in data["transfers"]
    ]
    columns = (_("id"), _("when"), _("from"), _("to"), _("amount"), _("how it stands"))
    empty = _("No transfer stands like that.") if asked else _("Nothing was transferred yet.")
    base.print_table(columns, rows, empty=empty)
    # A sentence does not fit into a column.
    for entry in data["transfers"]:
        told = status_in_words(entry)
        if told != status_word(entry["status"]):
            click.echo(f"{entry['id'][:12]} {base.printable(told)}")
    if data["next"]:
        click.echo(_("More with: --after {cursor}").format(cursor=data["next"]))


def party(entry: dict[str, Any], side: str, *, always: bool = False) -> str:
    """Return who gives or (`side` "to_") receives; with `always`, of which coop too."""
    account = entry[f"{side}account"]
    name = _("commons") if account == COMMONS else entry[f"{side}name"] or account[:8]
    return f"{name} ({entry[f'{side}coop_name']})" if always else str(name)


def status_word(status: str) -> str:
    """Return how far a transfer has come, in a word or two."""
    return {
        "certified": _("final"),
        "held": _("reserved"),
        "waiting": _("waiting"),
        "placed": _("waiting for witnesses"),
        "refused": _("refused"),
        "void": _("no longer reserved"),
        "returned": _("came back"),
    }.get(status, status)


def status_in_words(entry: dict[str, Any]) -> str:
    """Return how far a transfer has come, with the reason where there is one."""
    from maillon.node.cli.refusals import reason_in_words

    status = entry["status"]
    word = status_word(status)
    with_reason = ("waiting", "refused", "placed", "returned")
    reason = reason_in_words(entry) if status in with_reason else ""
    return f"{word}: {reason}" if reason else word


@transfer.command(
    "show",
    help=_(
        """Show a transfer whole: who signed it, in which block it stands, who vouches for that.

        \b
          maillon transfer show 9c01d2aa
          maillon transfer show 9c01d2aa --json
        """
    ),
)
@click.argument("id")
def show(id: str) -> None:
    data = base.state().client().get(f"/v1/transfers/{path_part(id)}")
    base.emit(data, lambda: _show(data))


def _show(data: dict[str, Any]) -> None:
    entry: dict[str, Any] = data["transfer"]
    title = f"{party(entry, '', always=True)} → {party(entry, 'to_', always=True)}: {entry['text']}"
    click.echo(click.style(base.printable(title), bold=True))
    rows: list[tuple[str, object]] = [
        (_("id"), entry["id"]),
        (_("how it stands"), status_in_words(entry)),
        (_("when"), base.when(entry["given_at"])),
    ]
    texts = ((_("memo"), entry["memo"]), (_("category"), entry["category"]))
    rows += [(name, text) for name, text in texts if text]
    if entry["hold"]:
        rows.append((_("reserved until"), base.when(entry["hold"]["expiry"])))
    there = _("sent back in") if entry["status"] == "returned" else _("arrived in")
    places = (
        (_("stands in"), entry["block"]),
        (there, entry["arrived"]),
        (_("credited again in"), entry["back"]),
    )
    for name, block in places:
        if block:
            text = _("block {h} of {when} ({hash})").format(
                h=block["h"], when=base.when(block["time"]), hash=block["hash"][:16]
            )
            rows.append((name, text))
    for signature in data["signatures"]:
        good = "" if signature["valid"] else _("NOT VALID") + ": "
        role = roles_in_words().get(signature["role"], str(signature["role"]))
        who = signature["who"] or signature["key"][:16]
        rows.append((role, f"{good}{who} ({signature['key'][:8]})"))
    if data["witnesses"]:
        told = ngettext(
            "{quorum} of {n} witness is enough", "{quorum} of {n} witnesses are enough",
            data["quorum"],
        ).format(quorum=data["quorum"], n=data["witnesses"])  # fmt: skip
        rows.append((_("final because"), told))
    base.print_table(("", ""), rows, empty="")
    for sentence in data["explanation"]:
        click.echo(base.printable(sentence))


@transfer.command(
    "proof",
    help=_(
        """Write the proof of a transfer for somebody who has no node (spec/07, "Proofs").

        It holds the signed order, its block's header, and the certificate of the witnesses, and
        nobody's name or memo. Verified by: python -m maillon.ledger verify FILE EXPORT

        \b
          maillon transfer proof 9c01d2aa -o payment.proof
          maillon transfer proof 9c01d2aa --json
        """
    ),
)
@click.argument("id")
@click.option("--output", "-o", type=click.Path(), metavar="FILE")
@click.option("--force", is_flag=True, help=_("Write over a file that is there."))
def proof(id: str, output: str | None, force: bool) -> None:
    data = base.state().client().get(f"/v1/transfers/{path_part(id)}/proof")
    if output is None:
        base.emit(data, lambda: click.echo(data["proof"]))
        return
    target = Path(output)
    if target.exists() and not force:
        base.fail(
            "already_exists",
            _("{path} exists already and was left as it is.").format(path=output),
            _("Write over it with --force."),
        )
    try:
        target.write_bytes(bytes.fromhex(data["proof"]))
    except OSError as fault:
        base.fail(
            "permission",
            _("{path} cannot be written: {fault}.").format(
                path=output, fault=fault.strerror or fault
            ),
        )
    told = _("Wrote {file}: {id} in block {h} of {coop}.").format(
        file=output, id=data["id"][:16], h=data["block"]["h"], coop=data["coop_name"]
    )
    base.emit({**data, "file": output}, told)


def roles_in_words() -> dict[str, str]:
    """Return what each kind of signature under a transfer is called."""
    return {"payer": _("payer"), "delegate": _("on behalf"), "witness": _("witness")}


@transfer.command(
    "confirm",
    help=_(
        """Confirm a reservation: what was reserved is given now, and cannot be taken back.

        \b
          maillon transfer confirm 9c01d2aa
          maillon transfer confirm 9c01d2aa --preimage HEX
        """
    ),
)
@click.argument("id")
@click.option("--preimage", metavar="HEX", help=_("What the hashlock of the reservation hides."))
@click.option("--wait", "wait_s", type=click.FloatRange(0, WAIT_S_MAX), default=WAIT_S)
def confirm(id: str, preimage: str | None, wait_s: float) -> int:
    from maillon.node.cli.who import hex_key

    body: dict[str, Any] = {"arrival": True}
    body |= {"preimage": hex_key(preimage, "--preimage")} if preimage else {}
    return _act(id, "confirm", body, wait_s, _("Confirmed; it is given."))


@transfer.command(
    "release",
    help=_(
        """Give a reservation up, as the one it was for: the payer has it back at once.

        \b
          maillon transfer release 9c01d2aa
        """
    ),
)
@click.argument("id")
@click.option("--wait", "wait_s", type=click.FloatRange(0, WAIT_S_MAX), default=WAIT_S)
def release(id: str, wait_s: float) -> int:
    return _act(id, "release", {}, wait_s, _("Released; the payer has it back."))


@transfer.command(
    "reverse",
    help=_(
        """Undo a transfer by one the other way, which names the first. Nothing is ever erased.

        The one who received gives it back, so this is done at their coop, within their limit. A
        transfer of which something was sent back already is refused, unless you say --again.

        \b
          maillon transfer reverse 9c01d2aa
          maillon transfer reverse 9c01d2aa --amount 30min --memo "Entered as 1h30"
        """
    ),
)
@click.argument("id")
@click.option("--amount", metavar="AMOUNT", help=_("Only a part of it [all]."))
@click.option("--memo", default="", help=_("Why; only the two parties can read it."))
@click.option("--again", is_flag=True, help=_("Also when something was sent back already."))
@click.option("--wait", "wait_s", type=click.FloatRange(0, WAIT_S_MAX), default=WAIT_S)
def reverse(id: str, amount: str | None, memo: str, again: bool, wait_s: float) -> int:
    body: dict[str, Any] = {"memo": memo, "again": again, "arrival": True}
    body |= {"amount": amount} if amount else {}
    return _act(id, "reverse", body, wait_s, _("Undone by a transfer the other way."))


def _act(id: str, verb: str, body: dict[str, Any], wait_s: float, done: str) -> int:
    client = base.state().client()
    path = f"/v1/transfers/{path_part(id)}/{verb}"
    data = client.post(path, {**body, "wait_s": wait_s}, timeout=base.patience(wait_s))

    def told() -> str:
        # Of a reversal, whose account gave this time; of a reservation, whose it was.
        account = str(data.get("account") or "")
        here = bool(account) and verb in ("reverse", "confirm")
        entry = read_account(account) if here else None
        stands = how_it_stands(account, holder(entry)) if entry else ""
        return f"{done} {data['id'][:16]}{_of_arrival(data)}{stands}"

    return _tell(data, told)
