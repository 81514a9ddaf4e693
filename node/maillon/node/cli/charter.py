"""`maillon charter`: who keeps the accounts and by which rules, and how the coops change that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from maillon.node.cli import base
from maillon.node.cli.charter_coops import admit, limit, remove, replace_key, trustee
from maillon.node.cli.paths import path_part
from maillon.node.cli.proposing import (
    WAIT_S,
    send_proposal,
    show_consequences,
    tell_proposal,
    title_option,
)
from maillon.node.i18n import _

if TYPE_CHECKING:
    pass

# The newest; --json tells all that are remembered.
ENDED_SHOWN_MAX = 8
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
        # Whoever joins compares it with what another coop tells (spec/06-charter).
        click.echo(_("Head of the charter: {hash}").format(hash=data["hash"]))
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
        if data["ended"]:
            click.echo(_("Proposals that ended:"))
        for ended in data["ended"][:ENDED_SHOWN_MAX]:
            _show_ended(ended)

    base.emit(data, human)


def _show_ended(ended: dict[str, Any]) -> None:
    if ended["status"] == "certified":
        why = _("in force since {when}, as charter block {n}")
    else:
        why = _(
            "void since {when}: charter block {n} came first ({by}). Propose it again if it is "
            "still wanted. {got} of {needed} had approved"
        )
    told = why.format(
        when=base.when(ended["time"]),
        n=ended["height"],
        by=ended["by_title"] or ended["by"][:16],
        got=ended["approvals"],
        needed=ended["needed"],
    )
    about = ended["title"] or "; ".join(ended["entries"])
    click.echo(base.printable(f"  - {ended['proposal'][:16]} {about}: {told}"))


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
    show_consequences(proposal)
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
    return send_proposal(entries, title)


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
        return tell_proposal(data)

    def human() -> None:
        click.echo(_("Approved for your coop."))
        _show_proposal(data)

    base.emit(data, human)
    return base.OK


for command in (admit, remove, replace_key, trustee, limit):
    charter.add_command(command)


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
    return send_proposal([{"entry": "quorum", "quorum": number}], title)


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
    return send_proposal([entry], title)


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
    return send_proposal([{"entry": "rule", "name": name, "value": value}], title)


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
    return send_proposal(entries, title)


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
    return send_proposal([{"entry": "retire", "below": below}], title)
