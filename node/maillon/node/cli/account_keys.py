"""`maillon account recover`, `keys`, `allow`, `disallow`: who may act for an account."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.accounts import decide, named
from maillon.node.cli.standing import read_account
from maillon.node.i18n import _


@click.command(
    "recover",
    cls=base.Command,
    help=_(
        """Give the holder of an account a new key, after they lost theirs.

        Your coop vouches for it. The new key counts after some days (the charter says how many),
        during which whoever still has the old one can object: so no coop takes an account over in
        silence. `maillon account show` says from when on it counts.

        This is the key that gives from the account. What the person publishes, agrees to and signs
        in with is another: `maillon person recovery begin` replaces that one. Until the new key
        counts, `maillon account limit NAME 0` keeps the old one from giving more than there is.

        \b
          maillon account recover "Ana Exemple" --key PUBLIC
          maillon account recover "Ana Exemple"                  the node makes and keeps the key
        """
    ),
)
@click.argument("name")
@click.option("--key", metavar="HEX", help=_("Public key of the new device."))
def recover(name: str, key: str | None) -> int:
    from maillon.node.cli.who import directory, hex_key

    body = {"key": hex_key(key, "--key")} if key else {}
    place = directory().account(name)

    def done(_data: dict[str, Any]) -> str:
        told = _("{name} has a new key, which counts from the day that the charter sets.").format(
            name=named(place)
        )
        entry = read_account(place.account) or {}
        for pending in entry.get("pending_keys", ())[-1:]:
            told += "\n  " + _(
                "That is {when}. Until then the old key can object: maillon account keys NAME "
                "--stop-recovery"
            ).format(when=base.when(pending["from"]))
        return told

    return decide(place, "recover", body, done)


@click.command(
    "keys",
    cls=base.Command,
    help=_(
        """Add a key to an account or drop one, or stop a recovery that the holder did not ask for.

        Signed with a key of the account that your node keeps.

        \b
          maillon account keys "Ana Exemple" --add PUBLIC
          maillon account keys "Ana Exemple" --drop PUBLIC
          maillon account keys "Ana Exemple" --stop-recovery
        """
    ),
)
@click.argument("name")
@click.option("--add", metavar="HEX")
@click.option("--drop", metavar="HEX")
@click.option("--stop-recovery", is_flag=True, help=_("The old key objects to a new one."))
def keys(name: str, add: str | None, drop: str | None, stop_recovery: bool) -> int:
    from maillon.node.cli.who import directory, hex_key

    if not (add or drop) and not stop_recovery or (add or drop) and stop_recovery:
        base.fail("usage", _("Say what to change: --add, --drop, or --stop-recovery."))
    body: dict[str, Any] = {"cancel": True} if stop_recovery else {}
    if add:
        body["add"] = hex_key(add, "--add")
    if drop:
        body["drop"] = hex_key(drop, "--drop")
    place = directory().account(name)
    return decide(
        place, "keys", body, _("The keys of {name} are changed.").format(name=named(place))
    )


@click.command(
    "allow",
    cls=base.Command,
    help=_(
        """Let somebody give from an account, up to an amount in each period, until a day.

        For a relative, a helper, or the desk that enters paper time cheques.

        \b
          maillon account allow "Ana Exemple" "Chloé Exemple" 5h --until 2027-06-30
          maillon account allow "Ana Exemple" PUBLIC 2h --every 7d --until 90d
        """
    ),
)
@click.argument("name")
@click.argument("who", metavar="WHO")
@click.argument("amount")
@click.option("--every", default="30d", show_default=True, metavar="PERIOD")
@click.option("--until", required=True, metavar="TIME", help=_("The last day, or 90d."))
@click.option("--unit", metavar="CODE", help=_("Which unit, where there are several."))
def allow(name: str, who: str, amount: str, every: str, until: str, unit: str | None) -> int:
    from maillon.node.cli.who import directory

    known = directory()
    place = known.account(name)
    body: dict[str, Any] = {
        "allowances": [{"amount": amount, "unit": known.unit(unit, amount, place)}],
        "period_s": base.period(every),
        "end": base.moment(until),
    }
    body |= {"key": known.key(who)}

    def done(data: dict[str, Any]) -> str:
        told = _("{who} may give {amount} of {name} every {every}: mandate {id}.").format(
            who=base.printable(who),
            amount=base.printable(amount),
            name=named(place),
            every=every,
            id=data["mandate"][:16],
        )
        next_ = _("Until {when}, by: maillon transfer FROM TO AMOUNT --mandate {id}").format(
            when=base.when(body["end"]), id=data["mandate"][:16]
        )
        return f"{told}\n  {base.state().in_home(next_)}"

    return decide(place, "mandates", body, done)


@click.command(
    "disallow",
    cls=base.Command,
    help=_(
        """End such a mandate at once. `maillon account show` lists them.

        \b
          maillon account disallow "Ana Exemple" 61ab02c4
        """
    ),
)
@click.argument("name")
@click.argument("mandate")
def disallow(name: str, mandate: str) -> int:
    from maillon.node.cli.paths import path_part
    from maillon.node.cli.who import directory

    place = directory().account(name)
    verb = f"mandates/{path_part(mandate)}/revoke"
    return decide(place, verb, {}, _("The mandate is ended."))


COMMANDS = (recover, keys, allow, disallow)
"""In the order in which `maillon account --help` lists them."""
