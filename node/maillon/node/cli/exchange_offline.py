"""`maillon exchange draft`, `sign` and `send`: take steps where there is no network.

What is to be signed leaves the node in a file, is signed on another machine, and comes back later.
A file with the whole exchange (`draft ID --take-along`) lets several steps follow each other there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, cast

import click

from maillon.node.cli import base, exchange_words
from maillon.node.cli.device_keys import key_file_option
from maillon.node.cli.exchange_acting import (
    WAIT_S,
    exchange_id,
    minutes,
    principal,
    read_exchange,
)
from maillon.node.cli.exchange_words import COMMANDS as KIND_COMMANDS
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _, ngettext
from maillon.protocol.errors import LocalError

Json = dict[str, Any]

FORMAT: Final = "maillon-steps-1"
FILE_BYTES_MAX: Final = 4 << 20
PAGES_MAX: Final = 50
OPEN: Final = "open"
ORDERS: Final = ("hold", "pay", "confirm", "release")
KINDS: Final = {command: kind for kind, command in KIND_COMMANDS.items() if " " not in command}


# --- files --------------------------------------------------------------------------------------


def read_file(path: str) -> Json:
    """Return a file of steps. Raises: LocalError for anything else."""
    with Path(path).open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    found: Any = None
    if len(data) <= FILE_BYTES_MAX:
        try:
            found = json.loads(data)
        except ValueError:
            found = None
    if not isinstance(found, dict) or cast("Json", found).get("format") != FORMAT:
        base.fail(
            "usage",
            _("{file} is no file of steps.").format(file=path),
            _("Make one with: maillon exchange draft ID STEP -o FILE"),
        )
    return cast("Json", found)


NAMEABLE = frozenset(
    {"opening", "quote", "appointment", "amendment", "handover", "complaint", "cancellation"}
)
"""Kinds of steps that an answer can be to: what is signed shows what they say."""


def write_file(path: str, document: Json) -> None:
    """Write a file of steps, for its owner alone: it holds what only the two sides may read."""
    from maillon.node.home import write_atomic

    data = json.dumps(document, ensure_ascii=False, indent=1).encode()
    write_atomic(Path(path), data, replace=True)


def _kind_of(step: str) -> str:
    kind = KINDS.get(step, step.replace("-", "_"))
    if kind not in KIND_COMMANDS and kind not in ORDERS:
        base.fail(
            "usage",
            _("There is no step {name!r}.").format(name=step[:40]),
            _("There are: {names}.").format(names=", ".join([*KINDS, *ORDERS])),
        )
    return kind


def _fields(fields: str | None, minutes_: str | None) -> Json:
    found: Any = {}
    if fields:
        try:
            found = json.loads(fields)
        except ValueError:
            found = None
    if not isinstance(found, dict):
        base.fail("usage", _('Write --fields as JSON, such as {example}.').format(
            example='\'{"text": "Bonjour"}\''
        ))  # fmt: skip
    given = cast("Json", found)
    if minutes_ is not None:
        given["minutes"] = minutes(minutes_)
    return given


# --- drafts -------------------------------------------------------------------------------------


@click.command(
    "draft",
    cls=base.Command,
    help=_(
        """Have the node write a step that is signed elsewhere, or take the exchange along.

        STEP is the name of a command (accept, check-in, approve, …), or an order of the accounts:
        hold, pay, confirm, release. With `open`, ID is the demand or offer. The file is signed
        with `maillon exchange sign`, on a machine that needs neither network nor node.

        \b
          maillon exchange draft 5e20c4b1 accept --key PUBLIC -o step.json
          maillon exchange draft 5e20c4b1 evaluate --key PUBLIC --mark quality=5 -o step.json
          maillon exchange draft 5e20c4b1 pay --key PUBLIC -o order.json
        Everything along, to take several steps where there is no network:
          maillon exchange draft 5e20c4b1 --take-along -o garden.json
        """
    ),
)
@click.argument("id")
@click.argument("step", required=False)
@click.option("--key", metavar="HEX", help=_("Public key that will sign, or whose: a name here."))
@click.option("--as", "as_", metavar="WHO", help=_("Under a mandate of this person."))
@click.option("--fields", metavar="JSON", help=_("What the step says, where it says something."))
@click.option("--minutes", "minutes_", metavar="TIME", help=_("The time that counts, as 1h40."))
@click.option("--mark", "marks", multiple=True, metavar="CRITERION=N", help=_("Of an evaluation."))
@click.option("--text", default="", help=_("Of an evaluation."))
@click.option("--take-along", is_flag=True, help=_("The exchange itself, for steps in the field."))
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), metavar="FILE")
def draft(
    id: str,
    step: str | None,
    key: str | None,
    as_: str | None,
    fields: str | None,
    minutes_: str | None,
    marks: tuple[str, ...],
    text: str,
    take_along: bool,
    output: str,
) -> None:
    from maillon.node.cli.exchange_acting import known

    client = base.state().client()
    if step == OPEN:
        _draft_opening(id, key, as_, output)
        return
    exchange = read_exchange(exchange_id(id))
    path = f"/v1/exchanges/{path_part(exchange['id'])}"
    document: Json = {
        "format": FORMAT,
        "fed": client.get("/v1/status")["fed"],
        "exchange": exchange["id"],
        "title": exchange["title"],
        "items": [],
        **_readable(exchange, path),
    }
    if take_along:
        document["transcript"] = client.get(f"{path}/transcript", raw=True)
        document["memberships"] = _memberships(exchange)
        write_file(output, document)
        told = _("Wrote {file}. In the field: maillon exchange sign {file} STEP --key-file FILE")
        base.emit({"file": output, **document}, told.format(file=output))
        return
    if not step or not key:
        base.fail("usage", _("Say which step, and with which --key it will be signed."))
    kind = _kind_of(step)
    public = known().key(key)
    try:
        if kind in ORDERS:
            made = client.post(f"{path}/orders/drafts", {"what": kind, "key": public})
            items = [{"type": "order", "key": public, **made}, *_telling(path, made, public)]
        elif kind == "evaluation":
            from maillon.node.cli.exchange_closing import criteria

            body: Json = {"key": public, "criteria": criteria(marks), "text": text}
            if as_ is not None:
                body["as"] = principal(as_)
            made = client.post(f"{path}/evaluation/drafts", body)
            items = [
                {"type": "attestation", "key": public, **made["attestation"]},
                {"type": "step", "key": public, **made["step"]},
            ]
        else:
            body = {"kind": kind, "key": public, "fields": _fields(fields, minutes_)}
            if as_ is not None:
                body["as"] = principal(as_)
            items = [{"type": "step", "key": public, **client.post(f"{path}/drafts", body)}]
    except LocalError as fault:
        raise exchange_words.refused(fault, exchange["id"][:8]) from None
    document["items"] = items
    write_file(output, document)
    told = _("Wrote {file}; nothing has happened yet. To sign it: {command}")
    command = f"maillon exchange sign {output} --key-file FILE"
    base.emit({"file": output, **document}, told.format(file=output, command=command))


def _readable(exchange: Json, path: str) -> Json:
    """Return what a device needs to show in words what it signs: the steps that an answer can name,
    as they were signed, the names that this node knows, and the units."""
    from maillon.node.cli.exchange_acting import known

    client = base.state().client()
    steps = client.get(f"{path}/transcript", raw=True)["steps"]
    parties = [exchange[role] for role in ("requester", "provider", "payer", "mediator")]
    parties += [quote["mediator"] for quote in exchange["quotes"]]
    parties += [entry["to"] for entry in exchange["proposals"]]
    try:
        units = known().charter()["units"]
    except LocalError:
        units = []
    return {
        "named": [step["record"] for step in steps if step["kind"] in NAMEABLE],
        "names": {p["author"]: exchange_words.party_name(p) for p in parties if p is not None},
        "units": units,
    }


def _telling(path: str, order: Json, public: str) -> list[Json]:
    """Return the step that tells the other side of an order: signed with it, it goes along.

    The provider who gives a reservation back tells nothing; nor is there anything to tell where the
    exchange does not take the step now: the node of the payee sees the accounts in any case.
    """
    amount = {"amount": order["amount"]["amount"], "unit": order["amount"]["unit"]}
    kinds: dict[str, tuple[str, Json]] = {
        "hold": ("hold", {"order": order["order"], **amount}),
        "pay": ("payment", {"transfer": order["order"], **amount}),
        "confirm": ("payment", {"transfer": order["order"], **amount}),
    }
    if order["what"] not in kinds:
        return []
    kind, fields = kinds[order["what"]]
    body = {"kind": kind, "key": public, "fields": fields}
    try:
        made = base.state().client().post(f"{path}/drafts", body)
    except LocalError as fault:
        if fault.code != "step":
            raise
        return []
    return [{"type": "step", "key": public, **made}]


def _memberships(exchange: Json) -> list[str]:
    """Return what vouches for the keys of both sides, also those that have signed nothing yet."""
    client = base.state().client()
    people = {exchange[role]["person"] for role in ("requester", "provider")} - {""}
    found: list[str] = []
    after: str | None = None
    for _page in range(PAGES_MAX):
        data = client.get("/v1/records", kind="membership", raw=True, limit=1_000, after=after)
        found += [r["raw"] for r in data["records"] if r["payload"]["person"] in people]
        after = data["next"]
        if not after:
            break
    return found


def _draft_opening(about: str, key: str | None, as_: str | None, output: str) -> None:
    from maillon.node.cli.exchange_acting import known

    if not key:
        base.fail("usage", _("Say which step, and with which --key it will be signed."))
    client = base.state().client()
    record = client.get(f"/v1/records/{path_part(about)}")
    public = known().key(key)
    body: Json = {"kind": "opening", "key": public, "open": {"about": record["id"]}}
    if as_ is not None:
        body["as"] = principal(as_)
    made = client.post("/v1/exchanges/drafts", body)
    document: Json = {
        "format": FORMAT,
        "fed": client.get("/v1/status")["fed"],
        "exchange": "",
        "title": record["payload"]["title"],
        "items": [{"type": "step", "key": public, **made}],
    }
    write_file(output, document)
    command = f"maillon exchange sign {output} --key-file FILE"
    told = _("Wrote {file}; nothing has happened yet. To sign it: {command}")
    base.emit({"file": output, **document}, told.format(file=output, command=command))


# --- signing ------------------------------------------------------------------------------------


@click.command(
    "sign",
    cls=base.Command,
    help=_(
        """Sign a file of steps with the key of a device; needs no network and no node.

        What is signed is read out of the bytes themselves and shown first. With a file that was
        taken along, say which step to take; several may follow one another, by several people.

        \b
          maillon exchange sign step.json --key-file phone.key
          maillon exchange sign garden.json check-in --key-file bruno.key
          maillon exchange sign garden.json check-out --minutes 1h30 --key-file bruno.key
          maillon exchange sign garden.json approve --key-file ana.key
        """
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("step", required=False)
@key_file_option
@click.option("--fields", metavar="JSON", help=_("What the step says, where it says something."))
@click.option("--minutes", "minutes_", metavar="TIME", help=_("The time that counts, as 1h40."))
@click.option("--yes", is_flag=True, help=_("Do not ask."))
def sign(
    file: str,
    step: str | None,
    key_file: str,
    fields: str | None,
    minutes_: str | None,
    yes: bool,
) -> None:
    from maillon.node.cli import offline_signing
    from maillon.node.cli.device_keys import open_keys

    document = read_file(file)
    keys = open_keys(key_file)
    if step is not None:
        kind = _kind_of(step)
        if kind in ORDERS or kind == "evaluation" or "transcript" not in document:
            base.fail(
                "usage",
                _("This file holds no exchange in which {step} could be taken.").format(step=step),
                _("Make one with: maillon exchange draft ID --take-along -o FILE"),
            )
        made = offline_signing.follow(document, keys, kind, _fields(fields, minutes_))
        document["items"].append(made)
    mine = [
        item
        for item in document["items"]
        if item["key"] == keys.signing.public.hex() and "signature" not in item
    ]
    if not mine:
        base.fail(
            "usage",
            _("Nothing in {file} waits for this key.").format(file=file),
            _("Its public key is {key}.").format(key=keys.signing.public.hex()),
        )
    told = [offline_signing.read(document, item) for item in mine]
    if not base.state().json:
        for line in told:
            click.echo(base.printable(line))
    if not (yes or base.state().json or base.confirm(_("Sign it?"))):
        raise click.Abort
    for item in mine:
        item["signature"] = offline_signing.sign(document, item, keys)
    write_file(file, document)
    base.emit(
        {"file": file, "signed": told},
        _("Signed. With a network again: maillon exchange send {file}").format(file=file),
    )


# --- sending ------------------------------------------------------------------------------------


@click.command(
    "send",
    cls=base.Command,
    help=_(
        """Hand in what was signed on a device; sent twice, it counts once.

        \b
          maillon exchange send step.json
        """
    ),
)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--wait", "wait_s", type=click.FloatRange(0, 120), default=WAIT_S, show_default=True)
def send(files: tuple[str, ...], wait_s: float) -> int:
    done = [_send(file, wait_s) for file in files]
    data = done[0] if len(done) == 1 else {"files": done}

    def human() -> None:
        for one in done:
            new = sum(entry["outcome"] == "new" for entry in one["taken"])
            known = len(one["taken"]) - new
            click.echo(
                ngettext("{n} step handed in.", "{n} steps handed in.", new).format(n=new)
                + (" " + _("{n} were known already.").format(n=known) if known else "")
            )
            for payment in one["payments"]:
                click.echo("  " + exchange_words.payment_in_words(payment))
            for row in one["exchanges"]:
                shown = read_exchange(row["id"])
                click.echo(
                    f"{base.printable(row['title'])}: "
                    + exchange_words.phase_in_words(row["phase"])
                )
                for line in exchange_words.next_in_words(shown):
                    base.advise(line)

    base.emit(data, human)
    waits = any(p["status"] in ("ordered", "waiting") for one in done for p in one["payments"])
    return base.PARTIAL if waits else base.OK


def _send(file: str, wait_s: float) -> Json:
    from maillon.node.cli import offline_signing

    document = read_file(file)
    items = [item for item in document["items"] if "signature" in item]
    received = list(document.get("received", ()))
    if not items and not received:
        base.fail(
            "usage",
            _("Nothing in {file} is signed yet.").format(file=file),
            _("Sign it first: maillon exchange sign {file} --key-file FILE").format(file=file),
        )
    named = {"exchange": document["exchange"]} if document.get("exchange") else {}
    orders = [item for item in items if item["type"] == "order"]
    payments = _send_orders(orders, named, wait_s) if orders else []
    body: Json = {
        "records": [offline_signing.record(i) for i in items if i["type"] == "step"],
        "attestations": [offline_signing.record(i) for i in items if i["type"] == "attestation"],
        "received": received,
        # What the steps say is ordered already.
        "wait_s": 0.0 if orders else wait_s,
        **named,
    }
    answer = _post(body, body["wait_s"])
    answer["payments"] += payments
    if document.get("taken", {}).get("ids"):
        # Only now: letters that were not handed in can be fetched again.
        base.state().client().post("/v1/letters/taken", document["taken"])
    return answer


def _post(body: Json, wait_s: float) -> Json:
    client = base.state().client()
    try:
        answer: Json = client.post("/v1/exchanges/signed", body, timeout=base.patience(wait_s))
    except LocalError as fault:
        raise exchange_words.refused(fault, str(body.get("exchange", ""))[:8]) from None
    return answer


def _send_orders(orders: list[Json], named: Json, wait_s: float) -> list[Json]:
    """Have orders carried out before the steps that tell of them: a step alone would look as if
    somebody else had seen to it. An order that was carried out already is so told."""
    fields = ("what", "order", "key", "body", "signature")
    body: Json = {
        "orders": [{name: order[name] for name in fields} for order in orders],
        "wait_s": wait_s,
        **named,
    }
    try:
        found: list[Json] = _post(body, wait_s)["payments"]
    except LocalError as fault:
        if fault.code != "nothing_due" or not named:
            raise
        found = read_exchange(named["exchange"])["payments"]
        if not {order["order"] for order in orders} & {entry["order"] for entry in found}:
            raise
    return found


COMMANDS = (draft, sign, send)
