"""`maillon exchange pay`, `evaluate`, `reply`, `guarantee`, `fund`: what comes after the work."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base, exchange_words
from maillon.node.cli.exchange_acting import (
    UNDER_WAY,
    acting_options,
    key_holder,
    principal,
    read_exchange,
    take,
    wait_option,
)
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _

Json = dict[str, Any]

MARKS = range(6)


def _present(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


# --- paying -------------------------------------------------------------------------------------


@click.command(
    "pay",
    cls=base.Command,
    help=_(
        """Pay what is due, where it was not paid by itself.

        Say --how for what is not paid in the accounts: a gift, only counted, or money outside.

        \b
          maillon exchange pay 5e20c4b1
          maillon exchange pay 5e20c4b1 --how outside
        """
    ),
)
@click.argument("id")
@click.option("--how", type=click.Choice(["gift", "count_only", "outside"]), default=None)
@click.option("--amount", metavar="AMOUNT", help=_("Only a part of what is due."))
@acting_options
@wait_option
def pay(
    id: str, how: str | None, amount: str | None, by: str | None, as_: str | None, wait_s: float
) -> int:
    def done(exchange: Json) -> str:
        due = exchange["due"]
        if due is not None and due["amount"]:
            return _("{amount} is still due.").format(amount=due["text"])
        return _("Nothing more is due.")

    fields = _present({"how": how, "amount": amount, "wait_s": wait_s})
    return take(id, "payment", fields, by, as_, done, wait_s=wait_s, route="payment")


@click.command(
    "fundings",
    cls=base.Command,
    help=_(
        """List what payers here are asked to fund; it does not say which service.

        Nothing leaves a payer's account before somebody who may act for it has said yes, to the
        amount that is asked for.

        \b
          maillon exchange fundings --person "Mairie de Die"
        """
    ),
)
@click.option("--person", metavar="NAME", help=_("Only of this payer; `coop` for the coop."))
def fundings(person: str | None) -> None:
    data = base.state().client().get("/v1/fundings", person=key_holder(person))
    states = {
        "open": _("waits for you"),
        "ordered": _("under way"),
        "replaced": _("another amount is asked for"),
        "funded": _("funded"),
        "declined": _("declined"),
        "expired": _("expired"),
    }
    rows = [
        (
            entry["id"][:8],
            entry["amount"]["text"],
            exchange_words.party_name(entry["payer"]),
            exchange_words.party_name(entry["payee"]),
            exchange_words.party_name(entry["asker"]),
            entry["category"],
            entry["beneficiary"],
            states.get(entry["status"], entry["status"]),
        )
        for entry in data["fundings"]
    ]
    columns = (
        _("id"), _("amount"), _("payer"), _("for"), _("asked by"), _("category"), _("beneficiary"),
        _("state"),
    )  # fmt: skip
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("Nobody asks for a payment.")))


@click.command(
    "fund",
    cls=base.Command,
    help=_(
        """Say yes to what a payer here was asked for: it is reserved, or paid, from its account.

        ID is that of the request, or of the exchange it is for. --no says that nothing is paid.

        \b
          maillon exchange fund 77ab01cd --by coop
          maillon exchange fund 77ab01cd --no
        """
    ),
)
@click.argument("id")
@click.option("--no", is_flag=True, help=_("Nothing is paid; who asked is told."))
@acting_options
@wait_option
def fund(id: str, no: bool, by: str | None, as_: str | None, wait_s: float) -> int:
    from maillon.node.cli.who import the_one

    client = base.state().client()
    wanted = id.strip().rstrip("…").lower()
    known = client.get("/v1/fundings")["fundings"]
    fits = [
        e
        for e in known
        if wanted and (e["id"].startswith(wanted) or e["exchange"].startswith(wanted))
    ]
    # An exchange whose amount changed asks several times: meant is what waits.
    fits = [e for e in fits if e["status"] == "open"] or fits
    found = [(e["id"], e["amount"]["text"]) for e in fits]
    none = base.problem(
        "not_found",
        _("Nobody asks for a payment {id}.").format(id=wanted[:16]),
        _("See them with: maillon exchange fundings"),
    )
    whole = the_one(id, found, none)[0]
    payer = next(entry["payer"] for entry in known if entry["id"] == whole)
    body = _present({"by": key_holder(by), "as": principal(as_), "wait_s": wait_s})
    body |= {"yes": not no}
    body.setdefault("by", payer["person"] or "coop")
    before = next(entry["status"] for entry in known if entry["id"] == whole)
    data = client.post(f"/v1/fundings/{path_part(whole)}", body, timeout=base.patience(wait_s))
    sentences = {
        "declined": _("Nothing is paid; whoever asked is told."),
        "replaced": _("Nothing was done: another amount is asked for now."),
        "expired": _("Nothing was done: the time to answer is over."),
        "open": _("The order was refused, and nothing is paid."),
    }
    funded = _("{amount} is funded for {who}; their coop goes on by itself.")
    told = sentences.get(data["status"], funded).format(
        amount=data["amount"]["text"], who=exchange_words.party_name(data["payee"])
    )
    if before not in ("open", "ordered"):
        told = _("That was answered already; nothing new was done.") + f" {told}"
    base.emit(data, told)
    if data["status"] in ("open", "replaced", "expired"):
        return base.REFUSED
    return base.PARTIAL if data["status"] in UNDER_WAY else base.OK


# --- evaluations --------------------------------------------------------------------------------


@click.command(
    "evaluate",
    cls=base.Command,
    help=_(
        """Say how it went, by the criteria of the federation, from 0 to 5.

        It is kept back until both have evaluated, or until the time is over; then both are public.
        `maillon federation show` lists the criteria.

        \b
          maillon exchange evaluate 5e20c4b1 --mark quality=5 --mark punctuality=4 --text "Bravo"
        """
    ),
)
@click.argument("id")
@click.option("--mark", "marks", multiple=True, required=True, metavar="CRITERION=N")
@click.option("--text", default="", help=_("Published with it."))
@click.option("--language", "lang", default="fr", show_default=True)
@acting_options
def evaluate(
    id: str, marks: tuple[str, ...], text: str, lang: str, by: str | None, as_: str | None
) -> int:
    fields = {"criteria": criteria(marks), "text": text, "lang": lang}

    def done(exchange: Json) -> str:
        if all(entry["published"] for entry in exchange["evaluations"]):
            return _("Both have evaluated: both evaluations are published now.")
        return _("Kept until the other side has evaluated too, or the time is over.")

    return take(id, "evaluation", fields, by, as_, done, route="evaluation")


def criteria(marks: tuple[str, ...]) -> dict[str, int]:
    """Return the marks by criterion. Raises: LocalError."""
    found: dict[str, int] = {}
    for text in marks:
        name, equals, value = text.partition("=")
        if not equals or not value.strip().isdigit() or int(value) not in MARKS:
            base.fail(
                "usage",
                _("{text!r} is no mark.").format(text=text[:60]),
                _("Write it as quality=5, from 0 to 5."),
            )
        found[name.strip()] = int(value)
    return found


@click.command(
    "evaluations",
    cls=base.Command,
    help=_(
        """List what people here can still evaluate, the earliest deadline first.

        \b
          maillon exchange evaluations --person "Ana Exemple"
        """
    ),
)
@click.option("--person", metavar="NAME", help=_("Only of this person."))
def evaluations(person: str | None) -> None:
    data = base.state().client().get("/v1/evaluations", person=key_holder(person))
    rows = [
        (
            entry["exchange"][:8],
            entry["title"],
            exchange_words.party_name(entry["by"]),
            exchange_words.party_name(entry["of"]),
            base.when(entry["deadline"]),
        )
        for entry in data["evaluations"]
    ]
    columns = (_("exchange"), _("title"), _("who"), _("whom"), _("until"))
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("Nothing to evaluate.")))


@click.command(
    "reply",
    cls=base.Command,
    help=_(
        """Answer a published evaluation of yourself, once.

        \b
          maillon exchange reply 81c2aa0f "The rain kept me" --by "Bruno Exemple"
        """
    ),
)
@click.argument("evaluation")
@click.argument("text")
@click.option("--by", metavar="NAME", help=_("Who was evaluated, where several could be."))
@click.option("--mandate", metavar="ID", help=_("Acting under this mandate."))
@click.option("--language", "lang", default="fr", show_default=True)
def reply(evaluation: str, text: str, by: str | None, mandate: str | None, lang: str) -> None:
    client = base.state().client()
    record = client.get(f"/v1/records/{path_part(evaluation)}")
    if record["kind"] != "attestation":
        base.fail(
            "usage",
            _("{id} is no evaluation.").format(id=evaluation[:16]),
            _("`maillon exchange show ID` names those that are published."),
        )
    who = key_holder(by)
    if who is None:
        said: Json = record["payload"] or {}
        subject = str(said.get("subject", ""))
        if subject[2:66] != client.get("/v1/status")["coop"]:
            base.fail(
                "not_allowed",
                _("This evaluation is of somebody of another coop: they answer it there."),
            )
        who = subject[66:] or None
    body: Json = _present(
        {
            "kind": "reply",
            "payload": {"text": text, "lang": lang},
            "as_member": who,
            "mandate": mandate,
            "refs": [record["id"]],
        }
    )
    data = client.post("/v1/records", body)
    base.emit(data, _("Published; it stands beside the evaluation."))


# --- guarantees ---------------------------------------------------------------------------------


@click.group(
    "guarantee",
    cls=base.Group,
    help=_(
        """Claim what the provider guaranteed; it stays visible until it is closed.

        \b
          maillon exchange guarantee claim 5e20c4b1 "The tap drips again"
          maillon exchange guarantee list
          maillon exchange guarantee close 5e20c4b1 --text "Mended"
        """
    ),
)
def guarantee() -> None:
    pass


@guarantee.command("claim", help=_("Ask for what was guaranteed."))
@click.argument("id")
@click.argument("text")
@click.option("--language", "lang", default="fr", show_default=True)
@acting_options
def claim(id: str, text: str, lang: str, by: str | None, as_: str | None) -> int:
    def done(exchange: Json) -> str:
        return _("Claimed; {who} sees to it, and it stays open until you close it.").format(
            who=exchange_words.party_name(exchange["provider"])
        )

    return take(id, "guarantee_claim", {"text": text, "lang": lang}, by, as_, done)


@guarantee.command("close", help=_("Say that a claim is settled."))
@click.argument("id")
@click.option("--claim", "claim_", metavar="STEP", help=_("Which, where there are several."))
@click.option("--text", help=_("For the other side."))
@acting_options
def close(id: str, claim_: str | None, text: str | None, by: str | None, as_: str | None) -> int:
    fields: Json = _present({"text": text})
    if claim_ is not None:
        from maillon.node.cli.exchange_acting import exchange_id
        from maillon.node.cli.who import the_one

        wanted = claim_.strip().rstrip("…").lower()
        known = read_exchange(exchange_id(id))["guarantees"]
        found = [(c["claim"], "") for c in known if wanted and c["claim"].startswith(wanted)]
        none = base.problem("not_found", _("There is no claim {id}.").format(id=wanted[:16]))
        fields["claim"] = the_one(claim_, found, none)[0]
    return take(id, "guarantee_closed", fields, by, as_, lambda _e: _("The claim is closed."))


@guarantee.command("list", help=_("List claims that are not closed."))
@click.option("--person", metavar="NAME", help=_("Only of this person."))
def list_(person: str | None) -> None:
    data = base.state().client().get("/v1/guarantees", person=key_holder(person))
    rows = [
        (
            entry["exchange"][:8],
            entry["title"],
            exchange_words.party_name(entry["requester"]),
            exchange_words.party_name(entry["provider"]),
            base.when(entry["at"]),
            entry["text"],
        )
        for entry in data["guarantees"]
    ]
    columns = (
        _("exchange"), _("title"), _("requester"), _("provider"), _("since"), _("what"),
    )  # fmt: skip
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("No claim is open.")))


COMMANDS = (pay, fundings, fund, evaluate, evaluations, reply, guarantee)
