"""`maillon ledger`: how the accounts of the federation are kept, and whether they are right."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base
from maillon.node.i18n import _, ngettext

# Replaying millions of entries takes minutes on a small machine.
VERIFY_S_MAX = 3_600.0


@click.group(
    cls=base.Group,
    help=_(
        """See how the accounts of the federation are kept, and check them.

        Each coop keeps its members' accounts on a chain of blocks of its own. A block is final
        when enough witnesses have signed it: the nodes that the charter names. Every node keeps
        all chains, so anybody can add everything up.

        \b
          maillon ledger status
          maillon ledger verify
          maillon ledger fork-proofs
        An auditor works without a node: maillon audit.
        """
    ),
)
def ledger() -> None:
    pass


@ledger.command(
    "status",
    help=_(
        """Tell how the ledger is: waiting orders, witnesses within reach, the chains' last blocks.

        \b
          maillon ledger status
          maillon ledger status --json | jq .orders
        """
    ),
)
def status() -> None:
    from maillon.node.cli.who import require_ledger

    data = require_ledger(base.state().client().get("/v1/ledger"))
    base.emit(data, lambda: _show_status(data))


def writer_states() -> dict[str, str]:
    """Return what each state of a coop's writer means."""
    return {
        "idle": _("at rest"),
        "opening": _("asking the witnesses for the turn"),
        "working": _("a block is under way"),
        "stuck": _("cannot go on"),
        "stopped": _("stopped"),
        "none": _("no key here"),
    }


def _show_status(data: dict[str, Any]) -> None:
    writer = data["writer"]
    state = writer_states().get(writer["state"], str(writer["state"]))
    if writer["reason"]:
        from maillon.node.cli.refusals import in_words

        state += f": {in_words(writer['reason'], {}, writer['reason'])[0]}"
    rows: list[tuple[str, object]] = [
        (_("your coop's chain"), state),
        (_("orders"), _orders(data["orders"])),
        (_("your witness"), _witness_word(data["witness"])),
        (_("quorum"), _quorum(data["quorum"], len(data["witnesses"]))),
        (_("charter"), _("block {height}").format(height=data["charter"])),
        (_("your members together"), ", ".join(b["text"] for b in data["trade"]) or "0"),
    ]
    if data["latency_ms"]:
        rows.append(
            (
                _("time until final"),
                ", ".join(f"{name} {round(ms)} ms" for name, ms in data["latency_ms"].items()),
            )
        )
    rows += [
        (name, data[field])
        for name, field in (
            (_("witness key of this node"), "witness_key"),
            (_("writer key of this node"), "writer_key"),
        )
        if data.get(field)
    ]
    rows += [(_("notice"), notice) for notice in data["notices"]]
    base.print_table(("", ""), rows, empty="")
    if data["witnesses_needed"]:
        click.echo(base.printable(data["witnesses_needed"]))
    click.echo()
    base.print_table(
        (_("witness"), _("within reach"), _("last heard"), _("behind")),
        [
            (
                _("{name} (this node)").format(name=w["name"]) if w["own"] else w["name"],
                _("yes") if w["reachable"] or w["own"] else _("no"),
                "" if w["own"] else base.when(w["heard_at"]),
                "?" if w["behind"] < 0 else w["behind"],
            )
            for w in data["witnesses"]
        ],
        empty=_("There is no witness."),
    )
    click.echo()
    base.print_table(
        (_("chain"), _("height"), _("last block"), _("charter"), _("accounts"), ""),
        [
            (
                c["name"],
                c["h"],
                base.when(c["time"]),
                c["adopted"],
                c["accounts"],
                _("stands still") if c["frozen"] else "",
            )
            for c in data["chains"]
        ],
        empty=_("There is no chain yet."),
    )


def _orders(orders: dict[str, int]) -> str:
    words = {
        "waiting": _("waiting"),
        "placed": _("in a block that is not final yet"),
        "certified": _("final"),
        "refused": _("refused"),
        "held": _("reserved"),
    }
    told = [f"{n} {words.get(name, name)}" for name, n in orders.items() if n]
    return ", ".join(told) or "0"


def _witness_word(text: str) -> str:
    state, colon, reason = text.partition(":")
    word = {"working": _("working"), "stopped": _("stopped"), "none": _("none")}.get(state, state)
    return f"{word}:{reason}" if colon else word


def _quorum(quorum: int, n: int) -> str:
    return ngettext("{quorum} of {n} witness", "{quorum} of {n} witnesses", n).format(
        quorum=quorum, n=n
    )


@ledger.command(
    "verify",
    help=_(
        """Replay every chain from its first block, check all signatures and add everything up.

        Exits with 8 when something is wrong, and says what and where.

        \b
          maillon ledger verify
        """
    ),
)
def verify() -> int:
    data = base.state().client().post("/v1/ledger/verify", timeout=VERIFY_S_MAX)

    def human() -> None:
        click.echo(
            _(
                "{blocks} blocks of {chains} chains, {entries} entries, {signatures} signatures."
            ).format(**{name: data[name] for name in ("blocks", "chains", "entries", "signatures")})
        )
        if data["erased"]:
            n = data["erased"]
            click.echo(
                ngettext(
                    "{n} entry was erased and is taken from the certified state.",
                    "{n} entries were erased and are taken from the certified state.",
                    n,
                ).format(n=n)
            )
        for total in data["sums"]:
            click.echo(_("sum {sum} ({unit})").format(sum=total["text"], unit=total["code"]))
        for fault in data["faults"]:
            click.echo(f"✗ {base.printable(fault)}")
        click.echo(_("Everything is right.") if data["good"] else _("Something is wrong."))

    base.emit(data, human)
    return base.OK if data["good"] else base.PARTIAL


@ledger.command(
    "fork-proofs",
    help=_(
        """List the proofs that somebody signed two different things at one place.

        Each convinces anybody: it holds both signatures. A coop's chain stands still from then on
        until the coops clear it: maillon charter clear.

        \b
          maillon ledger fork-proofs
          maillon ledger fork-proofs --json            with the bytes of each proof
        """
    ),
)
def fork_proofs() -> None:
    data = base.state().client().get("/v1/ledger/fork-proofs")

    def human() -> None:
        for proof in data["proofs"]:
            mark = _("cleared") if proof["cleared"] else _("open")
            click.echo(f"{proof['hash'][:16]}  {mark}  {base.printable(proof['sentence'])}")
        if not data["proofs"]:
            click.echo(_("Nobody was found to have signed two things at one place."))

    base.emit(data, human)
