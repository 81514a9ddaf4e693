"""`maillon charter`: who keeps the accounts and by which rules, and how the coops change that."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import click

from maillon.node.cli import base
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _, ngettext

if TYPE_CHECKING:
    from maillon.node.cli.who import Directory

# A proposal that the last approval completes is certified within seconds.
WAIT_S = 30.0
RULES = ["approvals", "recovery_s", "accounts_max"]


@click.group(
    cls=base.Group,
    help=_(
        """See and change the charter: the coops, their limits and keys, the witnesses, the units.

        A change is proposed by one coop and approved by others; when enough have approved and the
        witnesses have signed, it is in force. Each command below proposes one change and approves
        it for your coop; `propose` takes several at once from a file.

        \b
          maillon charter show
          maillon charter admit coop-d.card --limit 50h
          maillon charter proposals
          maillon charter approve 61ab02c4
        """
    ),
)
def charter() -> None:
    pass


@charter.command(
    "show",
    help=_(
        """Show the charter in force: coops with their limits, units, witnesses and quorum.

        \b
          maillon charter show
          maillon charter show --json
        """
    ),
)
def show() -> None:
    from maillon.node.cli.who import require_ledger

    data = require_ledger(base.state().client().get("/v1/charter"))

    def human() -> None:
        since = _("Charter block {height}, in force since {when}.")
        told = since if data["height"] else _("The charter is that of the founding document.")
        click.echo(told.format(height=data["height"], when=base.when(data["time"])))
        for sentence in data["sentences"]:
            click.echo(base.printable(sentence))
        rows = [
            (
                coop["name"],
                coop["coop"][:8],
                ", ".join(f"-{limit['text']}" for limit in coop["limits"]) or "–",
                coop["witness"][:8] or "–",
                _standing(coop, data["coops"]),
            )
            for coop in data["coops"]
        ]
        base.print_table((_("coop"), _("id"), _("may owe"), _("witness"), ""), rows, empty="")
        click.echo(_("Units of account:"))
        for unit in data["units"]:
            click.echo(f"  - {base.printable(unit['label'])} ({unit['code']}, {unit['kind']})")

    base.emit(data, human)


def _standing(coop: dict[str, Any], coops: list[dict[str, Any]]) -> str:
    told: list[str] = []
    if coop["removed"]:
        told.append(_("removed"))
    if coop["trustee"]:
        name = next((c["name"] for c in coops if c["coop"] == coop["trustee"]), coop["trustee"][:8])
        told.append(_("{name} writes for it").format(name=name))
    return ", ".join(told)


@charter.command(
    "proposals",
    help=_(
        """List the proposed changes, who has approved them, and how many more it takes.

        \b
          maillon charter proposals
        """
    ),
)
def proposals() -> None:
    data = base.state().client().get("/v1/charter/proposals")

    def human() -> None:
        for proposal in data["proposals"]:
            _show_proposal(proposal)
        if not data["proposals"]:
            click.echo(_("Nothing is proposed."))

    base.emit(data, human)


def _show_proposal(proposal: dict[str, Any]) -> None:
    states = {
        "open": _("open"),
        "certified": _("in force"),
        "outdated": _("outdated: another change came first"),
    }
    state = states.get(proposal["status"], proposal["status"])
    title = f"{proposal['proposal'][:16]}  {state}  {proposal['title']}"
    click.echo(click.style(base.printable(title.rstrip()), bold=True))
    for sentence in proposal["entries"]:
        click.echo(f"  • {base.printable(sentence)}")
    _show_consequences(proposal)
    names = base.printable(", ".join(entry["name"] for entry in proposal["approvals"]))
    click.echo(
        "  "
        + _("Approved by {n} of the {needed} it takes: {names}").format(
            n=len(proposal["approvals"]), needed=proposal["needed"], names=names or "–"
        )
    )
    if proposal["status"] == "open" and not proposal["approved_here"]:
        base.advise(
            "  "
            + _("For your coop: maillon charter approve {id}").format(id=proposal["proposal"][:16])
        )


def _show_consequences(proposal: dict[str, Any]) -> None:
    """Say what the witnesses withstand after a change that is not in force yet."""
    if proposal["consequences"] and proposal["status"] == "open":
        told = " ".join(proposal["consequences"])
        click.echo("  " + _("After it: {consequences}").format(consequences=base.printable(told)))


def _propose(entries: list[dict[str, Any]], title: str) -> int:
    client = base.state().client()
    body = {"entries": entries, "title": title}
    data = client.post("/v1/charter/proposals", body, timeout=base.patience(WAIT_S))
    return _tell_proposal(data)


def _tell_proposal(data: dict[str, Any]) -> int:
    def human() -> None:
        if data["status"] == "certified":
            click.echo(_("It is in force, as charter block {n}.").format(n=data["height"]))
            return
        _show_consequences(data)
        missing = data["needed"] - len(data["approvals"])
        id = data["proposal"][:16]
        if missing > 0:
            click.echo(
                ngettext(
                    "Proposed as {id}. {n} more coop must approve it:",
                    "Proposed as {id}. {n} more coops must approve it:",
                    missing,
                ).format(id=id, n=missing)
            )
            click.echo(f"  maillon charter approve {id}")
        else:
            click.echo(
                _("Enough coops approve {id}; the witnesses have yet to sign.").format(id=id)
            )

    base.emit(data, human)
    return base.OK


@charter.command(
    "propose",
    help=_(
        """Propose several changes as one, from a file of JSON: a list of entries.

        docs/cli.md lists the entries. Either all of them come into force or none.

        \b
          maillon charter propose changes.json --title "Assembly of March 2027"
          echo '[{"entry": "quorum", "quorum": 4}]' | maillon charter propose -
        """
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--title", default="", help=_("What it is about, for the other coops."))
def propose(file: str, title: str) -> int:
    from maillon.node.cli.offers import read_json

    found = read_json(file)
    entries = cast("list[dict[str, Any]]", found) if isinstance(found, list) else []
    if not entries or not all(type(entry) is dict for entry in entries):
        base.fail("usage", _("{file} holds no JSON list of entries.").format(file=file))
    return _propose(entries, title)


@charter.command(
    "approve",
    help=_(
        """Approve a proposed change for your coop. This cannot be taken back.

        \b
          maillon charter approve 61ab02c4
        """
    ),
)
@click.argument("id")
def approve(id: str) -> int:
    path = f"/v1/charter/proposals/{path_part(id)}/approve"
    return _tell_approval(base.state().client().post(path, timeout=base.patience(WAIT_S)))


def _tell_approval(data: dict[str, Any]) -> int:
    if data["status"] == "certified":
        return _tell_proposal(data)

    def human() -> None:
        click.echo(_("Approved for your coop."))
        _show_proposal(data)

    base.emit(data, human)
    return base.OK


title_option = click.option("--title", default="", help=_("What it is about, for the others."))


def _limits(known: Directory, texts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return limits given as AMOUNT, or as UNIT=AMOUNT where there are several units."""
    limits: list[dict[str, Any]] = []
    for text in texts:
        code, equals, amount = text.partition("=")
        if not equals and len(known.kept_units()) > 1:
            base.fail(
                "usage",
                _("The limit {text!r} does not say of which unit.").format(text=text[:40]),
                _("Write the unit before it: --limit {code}={text}").format(
                    code=known.kept_units()[0], text=text[:40]
                ),
            )
        unit = known.unit(code.strip()) if equals else known.unit(None)
        limits.append({"unit": unit, "limit": (amount if equals else code).strip()})
    return limits


quorum_option = click.option(
    "--quorum",
    type=click.IntRange(1),
    metavar="N",
    help=_("Along with it, how many witnesses certify a block [what is usual for their number]."),
)


def _along(known: Directory, change: int, quorum: int | None) -> list[dict[str, Any]]:
    """Return the change of the quorum that goes along when so many witnesses come, or go.

    A quorum that was the usual one stays the usual one, and one that becomes impossible becomes it;
    any other was chosen, and stays.
    """
    from maillon.ledger.quorum import default_quorum

    now = known.charter()
    if quorum is None and change:
        before = sum(bool(c["witness"]) and not c["removed"] for c in now["coops"])
        after = before + change
        kept = int(now["quorum"])
        possible = after < 2 * kept <= 2 * after
        if after > 0 and (kept == default_quorum(before) or not possible):
            quorum = default_quorum(after)
    if quorum is None or quorum == now["quorum"]:
        return []
    return [{"entry": "quorum", "quorum": quorum}]


def _witness_of(known: Directory, coop: str) -> str:
    """Return the witness key that the charter names for a coop, empty for none."""
    return next((str(c["witness"]) for c in known.charter()["coops"] if c["coop"] == coop), "")


@charter.command(
    "admit",
    help=_(
        """Propose to let a coop into the ledger, with the witness that its card names.

        How much it may owe the others together is its limit; without one it gives first. One more
        witness usually needs a larger quorum: it is proposed along.

        \b
          maillon charter admit coop-d.card --limit 50h
          maillon charter admit maillon-card:… --limit heure=50h --limit grain=200
        """
    ),
)
@click.argument("card")
@click.option("--limit", "limits", multiple=True, metavar="AMOUNT", help=_("Or UNIT=AMOUNT [0]."))
@click.option("--accounts-max", type=click.IntRange(1), help=_("Accounts it may have at most."))
@quorum_option
@title_option
def admit(
    card: str,
    limits: tuple[str, ...],
    accounts_max: int | None,
    quorum: int | None,
    title: str,
) -> int:
    from maillon.node.cli.federation import text_or_file
    from maillon.node.cli.who import directory
    from maillon.protocol.cards import card_from_text

    known = directory()
    text = text_or_file(card)
    entry: dict[str, Any] = {"entry": "admit", "card": text, "limits": _limits(known, limits)}
    if accounts_max is not None:
        entry["accounts_max"] = accounts_max
    comes = 1 if card_from_text(text).witness else 0
    return _propose([entry, *_along(known, comes, quorum)], title)


@charter.command(
    "remove",
    help=_(
        """Propose to remove a coop. Another ends what is under way as its trustee.

        Nothing is given from its accounts any more once it has left: what its members have there
        they give to accounts of other coops before. With its witness goes one of those who certify:
        the usual quorum for the others is proposed along.

        \b
          maillon charter remove "Coop de la Loire" --trustee "Coop de l'Isère"
        """
    ),
)
@click.argument("coop")
@click.option("--trustee", required=True, metavar="COOP", help=_("Who writes for it from now on."))
@quorum_option
@click.option("--yes", is_flag=True, help=_("Do not ask when it is your own coop."))
@title_option
def remove(coop: str, trustee: str, quorum: int | None, yes: bool, title: str) -> int:
    from maillon.node.cli.who import directory

    known = directory()
    gone = known.coop(coop)[0]
    entry = {"entry": "remove", "coop": gone, "trustee": known.coop(trustee)[0]}
    if gone == known.own_coop and not yes:
        what = _("This removes your own coop: nothing can be given from its accounts afterwards.")
        if not sys.stdin.isatty():
            base.fail("usage", what, _("Say that you mean it with --yes."))
        click.echo(what, err=True)
        if not base.confirm(_("Propose it?")):
            return base.FAILURE
    goes = -1 if _witness_of(known, gone) else 0
    return _propose([entry, *_along(known, goes, quorum)], title)


@charter.command(
    "replace-key",
    help=_(
        """Propose another writer or witness key for a coop: after a theft, or a lost machine.

        A witness that was restored from a backup stops for good and needs this; `maillon ledger
        status` on that node shows the new key.

        \b
          maillon charter replace-key "Coop de la Loire" --witness PUBLIC
          maillon charter replace-key "Coop de la Loire" --writer PUBLIC
          maillon charter replace-key "Coop de la Loire" --witness none    it is no witness any more
        """
    ),
)
@click.argument("coop")
@click.option("--witness", metavar="HEX", help=_("Or `none`."))
@click.option("--writer", metavar="HEX")
@quorum_option
@title_option
def replace_key(
    coop: str, witness: str | None, writer: str | None, quorum: int | None, title: str
) -> int:
    from maillon.node.cli.who import directory, hex_key

    if not (witness or writer):
        base.fail("usage", _("Say which key: --witness or --writer."))
    known = directory()
    id = known.coop(coop)[0]
    entries: list[dict[str, Any]] = []
    change = 0
    for role, key in (("witness", witness), ("writer", writer)):
        if key is not None:
            none = key.strip().lower() in ("none", "aucune")
            value = "" if none else hex_key(key, f"--{role}")
            entries.append({"entry": "key", "coop": id, "role": role, "key": value})
            if role == "witness":
                change = bool(value) - bool(_witness_of(known, id))
    return _propose([*entries, *_along(known, change, quorum)], title)


@charter.command(
    "trustee",
    help=_(
        """Propose that one coop writes for another which is away for long.

        The trustee finishes what is under way and keeps the chain up to date with the charter. It
        cannot give anything in the members' names. `--nobody` ends it.

        \b
          maillon charter trustee "Coop de la Loire" "Coop de l'Isère"
          maillon charter trustee "Coop de la Loire" --nobody
        """
    ),
)
@click.argument("coop")
@click.argument("trustee", required=False)
@click.option("--nobody", is_flag=True, help=_("It writes for itself again."))
@title_option
def trustee(coop: str, trustee: str | None, nobody: bool, title: str) -> int:
    from maillon.node.cli.who import directory

    if bool(trustee) == nobody:
        base.fail("usage", _("Name the coop that writes for it, or say --nobody."))
    known = directory()
    entry = {
        "entry": "trustee",
        "coop": known.coop(coop)[0],
        "trustee": known.coop(trustee)[0] if trustee else "",
    }
    return _propose([entry], title)


@charter.command(
    "limit",
    help=_(
        """Propose how much a coop may owe all the others together.

        \b
          maillon charter limit "Coop de la Drôme" 80h
          maillon charter limit "Coop de la Drôme" 500 --unit grain
        """
    ),
)
@click.argument("coop")
@click.argument("amount")
@click.option("--unit", metavar="CODE", help=_("Which unit, where there are several."))
@title_option
def limit(coop: str, amount: str, unit: str | None, title: str) -> int:
    from maillon.node.cli.who import directory

    known = directory()
    entry = {
        "entry": "limit",
        "coop": known.coop(coop)[0],
        "unit": known.unit(unit),
        "limit": amount,
    }
    return _propose([entry], title)


@charter.command(
    "quorum",
    help=_(
        """Propose how many witnesses must sign a block.

        More withstand more liars, fewer keep going while more are away. With n witnesses, q of
        which must sign: 2q − n − 1 may lie, n − q may be away.

        \b
          maillon charter quorum 4
        """
    ),
)
@click.argument("number", type=click.IntRange(1))
@title_option
def quorum(number: int, title: str) -> int:
    return _propose([{"entry": "quorum", "quorum": number}], title)


@charter.command(
    "unit",
    help=_(
        """Propose one more unit of account.

        Kinds: hours (counted in minutes), credit (hundredths, or as many decimals as you say) and
        count (exchanges are counted and nobody owes anything).

        \b
          maillon charter unit grain:credit:Grain --decimals 2
          maillon charter unit savoir:count:"Échange de savoirs"
        """
    ),
)
@click.argument("unit", metavar="CODE:KIND:LABEL")
@click.option("--decimals", type=click.IntRange(0, 6), help=_("Of a credit [2]."))
@title_option
def unit(unit: str, decimals: int | None, title: str) -> int:
    code, _colon, rest = unit.partition(":")
    kind, _colon, label = rest.partition(":")
    if kind not in ("hours", "credit", "count") or not code or not label:
        base.fail(
            "usage",
            _("A unit is written CODE:KIND:LABEL; kinds are hours, credit and count."),
            _("For example: maillon charter unit grain:credit:Grain"),
        )
    if decimals is None:
        decimals = 2 if kind == "credit" else 0
    entry = {"entry": "unit", "code": code, "kind": kind, "decimals": decimals, "label": label}
    return _propose([entry], title)


@charter.command(
    "rule",
    help=_(
        """Propose another value for a rule: how many coops must approve a change, and the like.

        \b
          maillon charter rule approvals 3
          maillon charter rule recovery_s 604800        a new key counts after seven days
          maillon charter rule accounts_max 5000
        """
    ),
)
@click.argument("name", type=click.Choice(RULES))
@click.argument("value", type=click.IntRange(0))
@title_option
def rule(name: str, value: int, title: str) -> int:
    return _propose([{"entry": "rule", "name": name, "value": value}], title)


@charter.command(
    "clear",
    help=_(
        """Propose that a coop's chain goes on although two blocks were signed at one place.

        The key that signed both must not write any more: say which one writes from now on, or which
        coop does as trustee. The proof stays for everybody to see; `maillon ledger fork-proofs`
        shows its number.

        \b
          maillon charter clear 9f41c0de --writer PUBLIC
          maillon charter clear 9f41c0de --trustee "Coop de l'Isère"
        """
    ),
)
@click.argument("proof")
@click.option("--writer", metavar="HEX", help=_("The coop's new key, of `maillon ledger status`."))
@click.option("--trustee", metavar="COOP", help=_("Who writes for it from now on."))
@title_option
def clear(proof: str, writer: str | None, trustee: str | None, title: str) -> int:
    from maillon.node.cli.who import directory, hex_key

    if not (writer or trustee):
        base.fail("usage", _("Say who writes from now on: --writer or --trustee."))
    known = directory()
    wanted = proof.strip().rstrip("…").lower()
    proofs: list[dict[str, Any]] = known.client.get("/v1/ledger/fork-proofs")["proofs"]
    found = [entry for entry in proofs if wanted and entry["hash"].startswith(wanted)]
    if len(found) != 1:
        base.fail(
            "not_found",
            _("There is no such proof here."),
            _("See them with: maillon ledger fork-proofs"),
        )
    chain = found[0]["chain"]
    key = hex_key(writer, "--writer") if writer else ""
    # In this order: a chain is cleared once whoever could write on it no longer can.
    entries = [{"entry": "key", "coop": chain, "role": "writer", "key": key}]
    if trustee:
        entries.append({"entry": "trustee", "coop": chain, "trustee": known.coop(trustee)[0]})
    entries.append({"entry": "clear", "chain": chain, "fraud": found[0]["hash"]})
    return _propose(entries, title)


@charter.command(
    "retire",
    help=_(
        """Propose that keys of old charters count no more, once all chains have moved on.

        What they certified stays valid; whoever steals them later can do nothing with them.

        \b
          maillon charter retire 4          keys of the charter blocks before the fourth
        """
    ),
)
@click.argument("below", type=click.IntRange(1))
@title_option
def retire(below: int, title: str) -> int:
    return _propose([{"entry": "retire", "below": below}], title)
