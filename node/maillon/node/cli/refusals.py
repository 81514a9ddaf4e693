"""What the ledger refuses or lets wait, in words: the fact, and what is possible instead.

The ledger itself speaks in codes and facts (spec/registry.md); amounts among the facts come with
their text under `<name>_text`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from maillon.node.i18n import _

COMMONS = bytes(16).hex()


def _sentences() -> dict[str, tuple[str, str]]:
    """Return the sentence and the advice for each code. Facts in braces are filled in."""
    return {
        "over_limit": (
            _(
                "That is more than the account can give: its balance is {balance}, its limit "
                "-{limit}, and {held} is reserved."
            ),
            _("{available} at most can be given now."),
        ),
        "coop_limit": (
            _(
                "Your coop as a whole has reached what it may owe the other coops: it stands at "
                "{balance}, its limit is -{limit}."
            ),
            _(
                "{available} at most can go to other coops now. Inside the coop everything goes "
                "on; it recovers as your members give to other coops."
            ),
        ),
        "over_maximum": (
            _("The receiver would go over the highest balance allowed, {max}."),
            _("It can receive {room} at most until it gives."),
        ),
        "amount": (
            _(
                "An amount is {lowest} at least and {highest} at most, in the unit's smallest "
                "parts."
            ),
            "",
        ),
        "account_unknown": (
            _("There is no such account at this coop."),
            _("It has to be opened first: maillon account open NAME"),
        ),
        "account_closed": (_("The account is closed."), ""),
        "account_exists": (
            _("There is such an account already; a closed one is not opened again."),
            _("See it with: maillon account show NAME"),
        ),
        "account_in_use": (
            _("An account is closed when it stands at zero, nothing is reserved and no key waits."),
            _("See what it has with: maillon account show NAME"),
        ),
        "accounts_full": (
            _("Your coop has as many accounts as the charter allows it."),
            _("More need a change of the charter: maillon charter rule accounts_max N"),
        ),
        "stale_sequence": (
            _("The order was overtaken by a later one of the same account."),
            _("Sign it anew."),
        ),
        "sequence_gap": (
            _("The order's number is too far above the last one of its account."),
            _("Sign it anew, with the number after `seq` of: maillon account show NAME --json"),
        ),
        "order_expired": (
            _("The order was to be carried out earlier; it did not happen, and never will."),
            _("Give it once more."),
        ),
        "not_authorised": (
            _("The key that signed may not act for this account."),
            _("See its keys and mandates with: maillon account show NAME"),
        ),
        "unit_unknown": (
            _("The charter has no such unit."),
            _("See them with: maillon charter show"),
        ),
        "wrong_unit": (
            _("The account is not kept in this unit."),
            _("Its coop can add the unit: maillon account limit NAME 0 --unit CODE"),
        ),
        "wrong_account": (
            _("Payer and receiver are the same account, or one that cannot do this."),
            "",
        ),
        "ledger_coop_unknown": (
            _("The charter names no such coop."),
            _("See them with: maillon charter show"),
        ),
        "mandate_unknown": (
            _("There is no such mandate on the account; it was never given, or was ended."),
            _("See them with: maillon account show NAME"),
        ),
        "order_mandate_scope": (
            _("The mandate allows giving and reserving in its own units, and nothing else."),
            "",
        ),
        "order_mandate_expired": (
            _("The mandate is not in force at this time."),
            _("See it with: maillon account show NAME"),
        ),
        "mandate_exhausted": (
            _("What the mandate allows in this period does not suffice."),
            _("{available} is left of it; more from {next} on."),
        ),
        "too_many": (
            _("The account has as many keys, mandates or reservations as it may have."),
            "",
        ),
        "key_change": (_("An account keeps at least one key, and a key stands on it once."), ""),
        "hold_unknown": (
            _("Nothing is reserved under this number: it was given, given back, or never was."),
            _("See it with: maillon transfer show ID"),
        ),
        "hold_open": (
            _(
                "What is reserved is given when the payer or the one named confirms, and given "
                "back when the receiver releases it or it ends."
            ),
            "",
        ),
        "confirmation": (
            _("This was not signed by somebody who may confirm it, or is not the right secret."),
            "",
        ),
        "unplaceable": (_("No witness accepts it as it is written."), _("Give it anew.")),
        "hold_exists": (_("This is reserved already."), ""),
        "no_quorum": (
            _("Not enough witnesses can be reached to make it final."),
            _("See who is missing with: maillon ledger status"),
        ),
        "network_down": (
            _("No other node can be reached."),
            _("It goes on by itself when the network is back."),
        ),
        "frozen": (
            _("Your coop's chain stands still: two different blocks were signed at one place."),
            _("See the proof with: maillon ledger fork-proofs. The coops can clear it."),
        ),
        "stopped": (
            _("Another copy of your node runs with the same keys."),
            _("Stop one of the two: maillon ledger status tells what is known of it."),
        ),
        "not_approved": (_("Fewer coops have approved than the charter asks for."), ""),
        "coop_left": (
            _("Your coop has left the accounts: nothing is given from them any more."),
            "",
        ),
        "under_way": (_("The witnesses can be reached; it should be final in a moment."), ""),
        "chain_unknown": (
            _("The charter does not name this coop: it keeps no accounts yet."),
            _(
                "A coop that is in it proposes that, with the card that `maillon federation card` "
                "prints: maillon charter admit CARD --limit AMOUNT"
            ),
        ),
        "no_ledger": (_("This federation was founded without accounts."), ""),
        "committee": (
            _("A quorum is more than half of the witnesses, and at most all of them."),
            _("Change the number along with the witnesses: --quorum N."),
        ),
    }


def _receivers() -> dict[str, tuple[str, str]]:
    """Return what is said instead where the account is the receiver's, at another coop."""
    return {
        "account_unknown": (
            _("The receiver has no account at their coop."),
            _("Ask them for their account's number again: maillon account show NAME"),
        ),
        "account_closed": (_("The receiver's account is closed."), ""),
        "wrong_unit": (
            _("The receiver's account is not kept in this unit."),
            _("Their coop can add the unit: maillon account limit NAME 0 --unit CODE"),
        ),
    }


def _fill(text: str, facts: Mapping[str, Any]) -> str:
    """Return a sentence with its facts; empty when it needs one that is not known."""
    shown = {
        name: str(facts.get(f"{name}_text", facts.get(name)))
        for name in facts
        if facts.get(f"{name}_text", facts.get(name)) is not None
    }
    if isinstance(facts.get("next"), int):
        from maillon.node.cli.base import when

        shown["next"] = when(facts["next"])
    needed = {name for _t, name, _s, _c in string.Formatter().parse(text) if name}
    return "" if needed - shown.keys() else text.format_map(shown)


def in_words(code: str, facts: Mapping[str, Any], detail: str) -> tuple[str, str | None]:
    """Return the sentence and the advice for a code; `detail` where there is none of our own."""
    sentence, advice = _sentences().get(code, ("", ""))
    # What the charter refuses comes with the rule that it breaks.
    if code == "charter" and str(facts.get("reason", "")).startswith("quorum"):
        advice = _("Change the number along with the witnesses: --quorum N.")
    if facts.get("receiver") is True:
        sentence, advice = _receivers().get(code, (sentence, advice))
    if code == "wrong_unit" and facts.get("account") == COMMONS:
        advice = _("The commons takes part in a unit once it has a limit in it, 0 at first: ") + (
            "maillon account limit commons 0 --unit {code}"
        )
    return _fill(sentence, facts) or detail or code, _fill(advice, facts) or None


def reason_in_words(entry: Mapping[str, Any]) -> str:
    """Return why a transfer waits or was refused, on one line."""
    message, _hint = in_words(
        str(entry.get("reason") or ""), entry.get("facts") or {}, str(entry.get("detail") or "")
    )
    return message


def waiting(data: Mapping[str, Any]) -> str:
    """Return what is told of an order that is kept and goes on by itself."""
    told = _("Kept as {id}; it waits and goes on by itself. Do not give it again.").format(
        id=str(data["id"])[:16]
    )
    if not data.get("reason") and not data.get("detail"):
        return told
    message, hint = in_words(
        str(data.get("reason") or ""), data.get("facts") or {}, str(data.get("detail") or "")
    )
    return "\n".join(line for line in (told, f"  {message}", f"  {hint}" if hint else "") if line)
