"""Say in words what a quorum of witnesses means to the people whose accounts rest on it.

The arithmetic is the ledger's (`explain_quorum`); founders choose by these sentences, so they name
what happens, not what is computed.
"""

from __future__ import annotations

from typing import Any

from maillon.ledger.charter_rules import QuorumFacts, explain_quorum
from maillon.node.i18n import _, ngettext


def quorum_words(facts: QuorumFacts) -> list[str]:
    """Return the sentences about a quorum, the plainest first."""
    words = [
        ngettext(
            "Accounts are kept by {n} node; every payment is final once {q} of them has signed it.",
            "Accounts are kept by {n} nodes; every payment is final once {q} of them have signed "
            "it.",
            facts.witnesses,
        ).format(n=facts.witnesses, q=facts.quorum)
    ]
    if not facts.possible:
        return [*words, _impossible(facts)]
    if facts.witnesses == 1:
        return [
            *words,
            _(
                "One node alone protects from nothing: while it is down no payment goes through, "
                "if its disk is lost with its backups so are the accounts, and what it says cannot "
                "be compared with anything. Invite other coops as soon as there are any."
            ),
        ]
    words += [_liars(facts), _silent(facts), *_choice(facts)]
    if "invite" in facts.warnings:
        words.append(
            _(
                "Better: invite a neutral node, such as a town hall's or a neighbouring network's, "
                "until there are four. Four nodes with a quorum of three bear one that lies and "
                "one that is down. A node that keeps no accounts of its own can do this too."
            )
        )
    return words


def consequences(facts: QuorumFacts) -> list[str]:
    """Return what a quorum withstands in two or three sentences, without advice."""
    return quorum_words(facts)[:3]


def _impossible(facts: QuorumFacts) -> str:
    if facts.quorum > facts.witnesses:
        return _("So many signatures can never come together.")
    return _(
        "That is not more than half: two halves could sign two different payments of the same "
        "money. Such a quorum is not possible."
    )


def _liars(facts: QuorumFacts) -> str:
    if facts.liars == 0:
        return _(
            "All nodes have to be honest: if a single one is broken into or cheats, two versions "
            "of an account could both be signed. That would be proven and seen by all, but not "
            "prevented."
        )
    return ngettext(
        "Even if {n} node is broken into or cheats, no account can have two versions.",
        "Even if {n} nodes are broken into or cheat together, no account can have two versions.",
        facts.liars,
    ).format(n=facts.liars)


def _silent(facts: QuorumFacts) -> str:
    if facts.silent == 0:
        return _(
            "All nodes have to run: while a single one is down, no payment goes through anywhere. "
            "Payments wait and go on by themselves when it is back."
        )
    return ngettext(
        "Payments go on while {n} node is down.",
        "Payments go on while up to {n} nodes are down.",
        facts.silent,
    ).format(n=facts.silent)


def _choice(facts: QuorumFacts) -> list[str]:
    if facts.witnesses != 3:
        return []
    if facts.quorum == 2:
        return [
            _(
                "With three nodes you choose between the two. As it is, you trust each other and "
                "go on when one is down; with --witness-quorum 3 nobody has to be trusted, and "
                "payments wait whenever one is down."
            )
        ]
    return [
        _(
            "With three nodes you choose between the two. As it is, nobody has to be trusted, and "
            "payments wait whenever one is down; with --witness-quorum 2 you trust each other and "
            "go on."
        )
    ]


def quorum_data(witnesses: int, quorum: int) -> dict[str, Any]:
    """Return what a quorum withstands, and what each other choice would, for programs."""
    facts = explain_quorum(witnesses, quorum)
    choices = [
        {"quorum": q, "liars": choice.liars, "silent": choice.silent}
        for q in range(witnesses // 2 + 1, witnesses + 1)
        for choice in (explain_quorum(witnesses, q),)
    ]
    return {
        "witnesses": witnesses,
        "quorum": quorum,
        "usual": facts.default,
        "liars": facts.liars,
        "silent": facts.silent,
        "possible": facts.possible,
        "warnings": list(facts.warnings),
        "choices": choices,
        "sentences": quorum_words(facts),
    }
