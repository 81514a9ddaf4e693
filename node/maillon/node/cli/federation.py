"""`maillon federation`: found a federation, let coops in, join, look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.refounding import refound
from maillon.node.i18n import _, ngettext
from maillon.node.i18n import language as own_language


@click.group(
    cls=base.Group,
    help=_(
        """Found a federation, join one, let others in.

        \b
        Alone, in one step:
          maillon federation found --name "Services de l'Ain"
        Several coops together:
          1. each coop:   maillon federation card                  sends the card to one of them
          2. one of them: maillon federation found --name "…" CARD CARD
          3. each coop:   maillon federation sign FILE             passes the file on
          4. each coop:   maillon federation install FILE
        Later on:
          maillon federation invite        prints a code for one more coop
          maillon federation join CODE     that coop joins with it
        """
    ),
)
def federation() -> None:
    pass


@federation.command(
    "card",
    help=_(
        """Print your coop's card: its keys and addresses, signed by its root key.

        A card holds nothing secret. Send it by a way the other side trusts: it says who you are.
        """
    ),
)
@base.password_option
@click.option("--output", "-o", type=click.Path(dir_okay=False), metavar="FILE")
def card(output: str | None) -> None:
    from maillon.node.run.founding import own_card

    now = base.state()
    text, addresses = own_card(now.home, base.get_password())
    if output:
        from maillon.node.home import write_atomic

        write_atomic(Path(output), text.encode() + b"\n", mode=0o644, replace=True)
    if not addresses:
        click.echo(
            _("The card names no address: set [network] listen or announce in config.toml."),
            err=True,
        )
    base.emit({"card": text, "addresses": addresses}, output or text)


@federation.command(
    "found",
    help=_(
        """Write the founding document of a new federation.

        Without cards your coop founds it alone and can run at once. With the cards of others, this
        writes a proposal that every founder signs with `maillon federation sign FILE`.

        The accounts are kept by the founders' nodes together. How many of them must sign a payment
        is the quorum of witnesses; what it means is printed, and `federation quorum` tells it
        beforehand. All of this can be changed later on by the coops together.

        \b
          maillon federation found --name "Services de l'Ain"
          maillon federation found --name "Services de l'Ain" --quorum 2 coop-b.card coop-c.card
          maillon federation found --name SEL --unit heure:hours:Heure --limit heure=200h b.card
          maillon federation found --name SEL --criterion quality --criterion "joy:Was it fun?"
        """
    ),
)
@base.password_option
@click.option("--name", required=True, help=_("Name of the federation."))
@click.option(
    "--quorum",
    type=click.IntRange(1),
    help=_("Founders who must admit a newcomer [more than half of them]."),
)
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="CODE:KIND:LABEL",
    help=_("A unit of account, such as heure:hours:Heure (kinds: hours, credit, count)."),
)
@click.option(
    "--witness-quorum",
    type=click.IntRange(1),
    help=_("Nodes that must sign each payment [so many that a third may be dishonest]."),
)
@click.option(
    "--approvals",
    type=click.IntRange(1),
    help=_("Coops that must approve a change of these terms [more than half]."),
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="CODE=AMOUNT",
    help=_("What each coop may owe the others together in a unit [100 h, 1000 credits]."),
)
@click.option(
    "--recovery-days",
    type=click.IntRange(0, 366),
    default=7,
    show_default=True,
    help=_("Days before a key counts that a coop gives a member in place of a lost one."),
)
@click.option(
    "--accounts-max",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help=_("Accounts that a coop may have."),
)
@click.option("--no-accounts", is_flag=True, help=_("Keep no accounts, now or later."))
@click.option(
    "--criterion",
    "criteria",
    multiple=True,
    metavar="CODE:QUESTION",
    help=_("What evaluations mark, for good [quality, punctuality, respect]."),
)
@click.option("--language", multiple=True, default=["fr"], help=_("Languages [fr]."))
@click.option("--output", "-o", default="federation.maillon", metavar="FILE", show_default=True)
@click.argument("cards", nargs=-1)
def found(
    name: str,
    quorum: int | None,
    units: tuple[str, ...],
    witness_quorum: int | None,
    approvals: int | None,
    limits: tuple[str, ...],
    recovery_days: int,
    accounts_max: int,
    no_accounts: bool,
    criteria: tuple[str, ...],
    language: tuple[str, ...],
    output: str,
    cards: tuple[str, ...],
) -> None:
    from maillon.node.run import founding

    now = base.state()
    terms = founding.Terms(witness_quorum, approvals, recovery_days, accounts_max, _limits(limits))
    proposal = founding.propose(
        now.home,
        base.get_password(),
        name=name,
        cards=[text_or_file(text) for text in cards],
        quorum=quorum,
        units=units,
        languages=list(language),
        criteria=criteria,
        terms=None if no_accounts else terms,
    )
    if proposal.complete:
        founding.install(now.home, proposal)
        made: dict[str, Any] = founding.describe(proposal) | {"installed": True}

        def founded() -> None:
            _show_ledger(made)
            told = _("Founded {name} ({fed}). Start your node: maillon run")
            base.advise(told.format(name=base.printable(name), fed=made["fed"][:8]))

        base.emit(made, founded)
        return
    from maillon.node.home import write_atomic

    write_atomic(Path(output), proposal.encode(), mode=0o644)
    data = founding.describe(proposal) | {"installed": False, "file": output}

    def human() -> None:
        _show_ledger(data)
        click.echo(_("Wrote the proposal to {file}.").format(file=output))
        _show_signatures(data)

    base.emit(data, human)


def _limits(texts: tuple[str, ...]) -> dict[str, str]:
    """Read CODE=AMOUNT; the amount is read once the unit is known."""
    limits: dict[str, str] = {}
    for text in texts:
        code, equals, amount = text.partition("=")
        if not equals or not code or not amount:
            base.fail(
                "usage",
                _("The limit {text!r} is not of the form CODE=AMOUNT.").format(text=text[:80]),
                _("For example heure=200h, or sel=1500."),
            )
        limits[code] = amount
    return limits


def _show_ledger(data: dict[str, Any]) -> None:
    """Say what the founders agree on about the accounts, before anybody signs or starts."""
    if "ledger" not in data:
        return
    terms = data["ledger"]
    if terms is None:
        click.echo(
            _("This federation keeps no accounts: offers and demands, but no payments. It cannot "
              "be changed later; accounts need a federation founded with them.")
        )  # fmt: skip
        return
    for sentence in terms["sentences"]:
        click.echo(sentence)
    for limit in terms["limits"]:
        click.echo(
            _("Each coop may owe the others {amount} together ({code}).").format(
                amount=limit["text"], code=limit["unit"]
            )
        )
    click.echo(
        ngettext(
            "A change of these terms needs the approval of {n} coop.",
            "A change of these terms needs the approval of {n} coops.",
            terms["approvals"],
        ).format(n=terms["approvals"])
    )


@federation.command(
    "quorum",
    help=_(
        """Say what a quorum of witnesses means for a number of nodes.

        Without --witness-quorum the usual one is explained, and what else could be chosen.

        \b
          maillon federation quorum 3
          maillon federation quorum 3 --witness-quorum 3
        """
    ),
)
@click.option("--witness-quorum", type=click.IntRange(1, 64), help=_("The quorum to explain."))
@click.argument("nodes", type=click.IntRange(1, 64))
def quorum(nodes: int, witness_quorum: int | None) -> None:
    from maillon.ledger.quorum import default_quorum
    from maillon.node.quorumwords import quorum_data

    data = quorum_data(nodes, witness_quorum or default_quorum(nodes))

    def human() -> None:
        for sentence in data["sentences"]:
            click.echo(sentence)
        rows = [(c["quorum"], c["liars"], c["silent"]) for c in data["choices"]]
        columns = (_("quorum"), _("may be dishonest"), _("may be down"))
        base.print_table(columns, rows, empty="")

    base.emit(data, human)


def text_or_file(text: str) -> str:
    """Return a code as given, or the contents of the file it names."""
    if text.startswith("maillon-"):
        return text
    path = Path(text)
    with path.open("rb") as file:
        return file.read(65_536).decode("utf-8", "replace").strip()


def belonging(coop: dict[str, Any], quorum: int) -> str:
    """Say in what way a coop belongs to the federation, or how far it is from it."""
    if coop.get("founder", True):
        return _("founder")
    if coop.get("admitted", True):
        return _("admitted")
    return _("not yet: {n} of {quorum}").format(n=coop["admissions"], quorum=quorum)


def _quorum(n: int) -> str:
    return ngettext(
        "A newcomer is admitted by {n} founder.", "A newcomer is admitted by {n} founders.", n
    ).format(n=n)


def _show_signatures(data: dict[str, Any]) -> None:
    for coop in data["coops"]:
        mark = "✓" if coop["signed"] else "·"
        click.echo(f"  {mark} {base.printable(coop['name'])} ({coop['coop'][:8]})")
    missing = [coop["name"] for coop in data["coops"] if not coop["signed"]]
    if missing:
        names = base.printable(", ".join(missing))
        click.echo(_("To be signed by: {names} (maillon federation sign FILE)").format(names=names))
    else:
        click.echo(_("Every founder has signed. Each runs: maillon federation install FILE"))


@federation.command(
    "sign",
    help=_(
        """Read a founding proposal and sign it for your coop.

        Several copies that were signed apart are joined into the first.

        \b
          maillon federation sign federation.maillon
          maillon federation sign federation.maillon copy-of-b.maillon copy-of-c.maillon
        """
    ),
)
@base.password_option
@click.option("--yes", is_flag=True, help=_("Do not ask."))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
def sign(files: tuple[str, ...], yes: bool) -> int:
    from maillon.node.home import write_atomic
    from maillon.node.run import founding

    now = base.state()
    proposal = founding.merge([founding.read_proposal(Path(file)) for file in files])
    if not yes and not now.json:
        data = founding.describe(proposal)
        click.echo(_("Federation: {name}").format(name=base.printable(data["name"])))
        click.echo(_quorum(data["quorum"]))
        for coop in data["coops"]:
            click.echo(f"  - {base.printable(coop['name'])} ({coop['coop'][:8]})")
        click.echo(_("Units of account:"))
        for unit in data["units"]:
            click.echo(f"  - {base.printable(unit['label'])} ({unit['code']}, {unit['kind']})")
        _show_ledger(data)
        if not base.confirm(_("Sign for your coop?")):
            click.echo(_("Nothing was signed."), err=True)
            return base.FAILURE
    proposal = founding.sign_proposal(now.home, base.get_password(), proposal)
    write_atomic(Path(files[0]), proposal.encode(), mode=0o644, replace=True)
    data = founding.describe(proposal) | {"file": files[0]}
    base.emit(data, lambda: _show_signatures(data))
    return base.OK


@federation.command("install", help=_("Make a completely signed founding file your node's own."))
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def install(file: str) -> None:
    from maillon.node.run import founding

    now = base.state()
    proposal = founding.read_proposal(Path(file))
    founding.install(now.home, proposal)
    base.emit(
        founding.describe(proposal) | {"installed": True},
        now.in_home(_("Your node belongs to the federation now. Start it: maillon run")),
    )


def _show_criteria(criteria: list[dict[str, Any]]) -> None:
    """Print what evaluations mark, in the language of the commands where there is a label."""
    click.echo(_("Evaluations mark, from 0 to 5:"))
    for criterion in criteria:
        labels = criterion["labels"]
        label = labels.get(own_language()) or next(iter(labels.values()))
        click.echo(f"  {criterion['code']}: {base.printable(label)}")


@federation.command("show", help=_("Show the federation your node belongs to, or a proposal."))
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
def show(file: str | None) -> None:
    from maillon.node.home import is_locked
    from maillon.node.run import founding

    now = base.state()
    data: dict[str, Any]
    if file is None and is_locked(now.home):
        data = now.client().get("/v1/federation")
    else:
        path = Path(file) if file else now.home.founding
        if file is None:
            now.home.require_founding()
        data = founding.describe(founding.read_proposal(path))

    def human() -> None:
        click.echo(f"{base.printable(data['name'])} ({data['fed']})")
        click.echo(_quorum(data["quorum"]))
        _show_ledger(data)
        _show_criteria(data["criteria"])
        rows = [
            (
                coop["name"],
                coop["coop"][:8],
                belonging(coop, data["quorum"]),
                coop["addresses"][0] if coop["addresses"] else "–",
            )
            for coop in data["coops"]
        ]
        base.print_table((_("coop"), _("id"), _("belongs"), _("address")), rows, empty="")

    base.emit(data, human)


@federation.command(
    "invite",
    help=_(
        """Print a code with which one coop can join, once, within some days.

        Send it by a way only that coop can read: whoever has the code can use it.

        \b
          maillon federation invite --days 7
        """
    ),
)
@click.option("--days", type=click.IntRange(1, 90), default=7, show_default=True)
@click.option("--note", default="", help=_("For whom it is; kept on your node only."))
def invite(days: int, note: str) -> None:
    client = base.state().client()
    data = client.post("/v1/federation/invitations", {"days": days, "note": note})

    def human() -> None:
        click.echo(data["code"])
        click.echo(
            _("Good for one coop until {when}.").format(when=base.when(data["expires"])), err=True
        )
        click.echo(_("Tell them besides, by a way you both trust, for comparing:"), err=True)
        fed, charter = client.get("/v1/status")["fed"], client.get("/v1/charter")
        click.echo("  " + _("federation {fed}").format(fed=fed), err=True)
        if charter["enabled"]:
            head = _("charter block {height} {hash}")
            click.echo("  " + head.format(height=charter["height"], hash=charter["hash"]), err=True)

    base.emit(data, human)


@federation.command(
    "join",
    help=_(
        """Join the federation that an invitation code comes from.

        Your node calls the inviting node, which must be running, shows the code and its card, and
        receives the founding document. Afterwards start yours with `maillon run`.

        \b
          maillon federation join maillon-invite:…
          maillon federation join invitation.txt
        """
    ),
)
@base.password_option
@click.argument("code")
def join(code: str) -> None:
    from maillon.node.run.join import join_federation

    now = base.state()
    now.home.require()
    data = join_federation(now.home, base.get_password(), text_or_file(code))

    def human() -> None:
        click.echo(
            _("Joined {name} ({fed}).").format(
                name=base.printable(data["federation"]), fed=data["fed"][:8]
            )
        )
        click.echo(
            _(
                "Compare with what they told you by another way: federation {fed}. Once your node "
                "runs, compare the head too: maillon charter show"
            ).format(fed=data["fed"])
        )
        if data["missing"]:
            click.echo(
                ngettext(
                    "{n} more founder must admit your coop before its records count.",
                    "{n} more founders must admit your coop before its records count.",
                    data["missing"],
                ).format(n=data["missing"])
            )
            names = base.printable(", ".join(data["may_admit"]))
            click.echo(_("Ask one of {names} to run:").format(names=names))
            click.echo(f"  maillon federation admit {data['card']}")
        base.advise(_("Start your node: maillon run"))

    base.emit(data, human)


@federation.command(
    "admit",
    help=_(
        """Give your coop's word that another coop belongs to the federation (founders only).

        \b
          maillon federation admit maillon-card:…
          maillon federation admit coop-d.card
        """
    ),
)
@click.argument("card")
def admit(card: str) -> None:
    client = base.state().client()
    data = client.post("/v1/federation/admissions", {"card": text_or_file(card)})

    def human() -> None:
        name = base.printable(data["name"])
        if data["missing"]:
            click.echo(
                ngettext(
                    "Noted. {n} more founder must admit {name}.",
                    "Noted. {n} more founders must admit {name}.",
                    data["missing"],
                ).format(n=data["missing"], name=name)
            )
        else:
            click.echo(_("{name} belongs to the federation.").format(name=name))
        # Its members' accounts are another matter, which the coops decide together.
        if client.get("/v1/charter")["enabled"]:
            base.advise(
                _(
                    "To let it keep accounts too: maillon charter admit {card} --limit AMOUNT"
                ).format(card=base.printable(card))
            )

    base.emit(data, human)


federation.add_command(refound)
