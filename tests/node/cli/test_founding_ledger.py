"""Founders are told what they choose about the accounts, and nothing impossible can be chosen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from maillon.ledger.charter_rules import explain_quorum
from maillon.node.quorumwords import quorum_data, quorum_words
from maillon.protocol.founding import make_card, open_founding
from support.commands import Run
from support.world import World

W = World(seed="cards")


def card(name: str, *, ledger: bool = True) -> str:
    """Return the card of a coop that exists nowhere else."""
    coop = W.make_coop(name)
    made = make_card(
        coop.root,
        coop.node.public,
        name,
        ["/ip4/192.0.2.9/tcp/4001"],
        writer=W.key(f"{name} writer").public if ledger else b"",
        witness=W.key(f"{name} witness").public if ledger else b"",
    )
    return made.to_text()


def test_a_lone_founder_is_told_that_one_node_protects_from_nothing(ready: Run, home: Path) -> None:
    told = ready("federation", "found", "--name", "Seule")
    assert told.code == 0 and "protects from nothing" in told.out
    founding = open_founding((home / "founding.bin").read_bytes())
    assert founding.ledger is not None and founding.ledger.quorum == 1
    assert founding.ledger.limits == ((0, 6_000),)
    coop = founding.coops[0]
    assert coop.writer and coop.witness and coop.writer != coop.witness


def test_the_terms_stand_in_the_document_and_in_what_programs_are_told(
    ready: Run, home: Path
) -> None:
    told = ready(
        "federation", "found", "--name", "F", "--json", "-o", str(home / "f.maillon"),
        "--unit", "heure:hours:Heure", "--unit", "sel:credit:Sel", "--unit", "visite:count:Visite",
        "--limit", "sel=1500,50", "--approvals", "3", "--recovery-days", "14",
        "--accounts-max", "500", card("b"), card("c"),
    )  # fmt: skip
    ledger = told.data["ledger"]
    assert (ledger["witnesses"], ledger["quorum"], ledger["approvals"]) == (3, 2, 3)
    assert (ledger["liars"], ledger["silent"]) == (0, 1)
    assert (ledger["recovery_s"], ledger["accounts_max"]) == (14 * 86_400, 500)
    assert ledger["limits"] == [
        {"unit": "heure", "limit": 6_000, "text": "100h00"},
        {"unit": "sel", "limit": 150_050, "text": "1500.50"},
    ]
    assert ledger["warnings"] == ["trusting", "invite"]
    assert all(coop["writer"] and coop["witness"] for coop in told.data["coops"])
    shown = ready("federation", "show", str(home / "f.maillon"))
    assert "go on while 1 node is down" in shown.out and "1500.50" in shown.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--witness-quorum", "1"], "more than half"),
        (["--witness-quorum", "3"], "can never come together"),
        (["--approvals", "3"], "cannot approve"),
        (["--limit", "sel=5"], "sel"),
        (["--limit", "heure=cinq"], "cinq"),
        (["--limit", "heure"], "CODE=AMOUNT"),
        (["--unit", "visite:count:Visite", "--limit", "visite=5"], "nothing is owed"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    ready: Run, home: Path, options: list[str], says: str
) -> None:
    file = home / "f.maillon"
    told = ready("federation", "found", "--name", "F", "-o", str(file), *options, card("b"))
    assert told.code != 0 and says in told.err
    assert not file.exists() and not (home / "founding.bin").exists()


def test_a_card_from_before_there_were_accounts_founds_without_them_only(
    ready: Run, home: Path
) -> None:
    file = home / "f.maillon"
    arguments = ("federation", "found", "--name", "F", "-o", str(file), card("b", ledger=False))
    told = ready(*arguments)
    assert told.code != 0 and "no keys for accounts" in told.err and not file.exists()
    told = ready(*arguments, "--no-accounts")
    assert told.code == 0 and "keeps no accounts" in told.out
    assert ready("federation", "show", str(file), "--json").data["ledger"] is None


def test_a_home_from_before_there_were_accounts_gets_its_keys_with_its_card(
    ready: Run, home: Path
) -> None:
    for path in (home / "keys" / "writer.key", *home.glob("votes.db*")):
        path.unlink(missing_ok=True)
    first = ready("federation", "card", "--json").data["card"]
    assert (home / "keys" / "writer.key").exists() and (home / "votes.db").exists()
    assert ready("federation", "card", "--json").data["card"] == first


def test_the_command_explains_each_choice(ready: Run) -> None:
    told = ready("federation", "quorum", "3", "--witness-quorum", "3", "--json").data
    assert (told["liars"], told["silent"], told["usual"]) == (2, 0, 2)
    assert [(c["quorum"], c["liars"], c["silent"]) for c in told["choices"]] == [
        (2, 0, 1),
        (3, 2, 0),
    ]
    assert "may be dishonest" in ready("federation", "quorum", "4").out


@pytest.mark.parametrize(
    ("n", "q", "says", "never"),
    [
        (1, 1, "protects from nothing", "go on while"),
        (2, 2, "while a single one is down", "go on while"),
        (3, 2, "All nodes have to be honest", "single one is down"),
        (3, 3, "payments wait whenever one is down", "have to be honest"),
        (4, 3, "Even if 1 node is broken into", "neutral"),
        (7, 5, "go on while up to 2 nodes are down", "neutral"),
        (4, 2, "not more than half", "go on while"),
    ],
)
def test_the_words_say_what_happens(n: int, q: int, says: str, never: str) -> None:
    words = " ".join(quorum_words(explain_quorum(n, q)))
    assert says in words and never not in words


def test_fewer_than_four_nodes_are_advised_to_invite_a_neutral_one() -> None:
    advised = {n for n in range(2, 10) if "neutral" in " ".join(quorum_data(n, n)["sentences"])}
    assert advised == {2, 3}


def test_the_words_are_french_for_the_french() -> None:
    program = (
        "from maillon.node.quorumwords import quorum_data\n"
        "print(*quorum_data(3, 2)['sentences'], sep='\\n')"
    )
    environment = os.environ | {"MAILLON_LANG": "fr"}
    told = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "nœuds" in told and "nodes" not in told
