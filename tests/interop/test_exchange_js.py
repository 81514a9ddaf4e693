"""Claims about any transcript: a reader in another language folds it as we do (spec/08-exchange).

The vectors show endings one by one; here the transcripts are what people and liars make at random.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from maillon.protocol.exchange import Exchange, fold
from support.crossing import Crossing
from support.transcripts import (
    DAY,
    MEDIATOR,
    OTHER,
    PAYER,
    PROVIDER,
    REQUESTER,
    STRANGER,
    Play,
    shuffled,
)

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
PEOPLE = {
    "requester": REQUESTER,
    "provider": PROVIDER,
    "other": OTHER,
    "mediator": MEDIATOR,
    "payer": PAYER,
    "stranger": STRANGER,
}
NAMES = {author: name for name, author in PEOPLE.items()}
LIARS = [(REQUESTER, 0), (REQUESTER, 1), (PROVIDER, 0), (PROVIDER, 1)]


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}  # pyright: ignore
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]  # pyright: ignore
    return value


def asked(play: Play, now: int, seed: int) -> dict[str, Any]:
    return {
        "steps": [
            {
                "id": step.id.hex(), "kind": step.kind, "by": step.by.hex(),
                "author": step.author.hex(), "role": step.signer_role, "at": step.at,
                "refs": plain(step.refs), "payload": plain(step.payload),
            }
            for step in shuffled(play.steps, seed)
        ],
        "transfers": {
            order.hex(): {
                "payer": fact.payer.hex(), "payee": fact.payee.hex(), "unit": fact.unit,
                "amount": fact.amount, "status": fact.status, "ref": fact.ref.hex(),
            }
            for order, fact in play.transfers.items()
        },
        "now": now,
        "names": list(PEOPLE),
        "people": plain(PEOPLE),
    }  # fmt: skip


def told(state: Exchange) -> dict[str, Any]:
    due = state.due
    return {
        "phase": state.phase,
        "provider": NAMES[state.provider],
        "due": [due.amount, due.unit, NAMES[due.payer], NAMES[due.payee]],
        "owed": state.owed,
        "paid": state.paid,
        "expected": state.expected,
        "void": [[entry.id.hex(), entry.reason] for entry in state.void],
        "waiting": plain(state.waiting),
        "heads": plain(state.heads),
        "deadlines": [[entry.what, entry.at, entry.outcome] for entry in state.deadlines],
        "next": {name: list(state.next(PEOPLE[name], state.now).kinds) for name in PEOPLE},
        "released": state.released,
    }


def test_a_reader_in_another_language_folds_any_transcript_as_we_do(seeds: int = 200) -> None:
    questions: list[str] = []
    wanted: list[dict[str, Any]] = []
    for seed in range(seeds):
        play = Crossing(random.Random(seed), LIARS if seed % 2 else [])
        play.run(50)
        for now in (play.at, play.at + 12 * DAY, play.at + 90 * DAY):
            questions.append(json.dumps(asked(play, now, seed)))
            wanted.append(told(fold(play.steps, play.facts, now)))
    ended = subprocess.run(
        [TOP / "tools/node", HERE / "second_reader/folding.mjs"],
        input="\n".join(questions) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(answers) == len(wanted)
    for place, (answer, ours) in enumerate(zip(answers, wanted, strict=True)):
        assert answer == ours, f"seed {place // 3}"
    # Or else the claim would say little.
    reasons = Counter(reason for answer in answers for _, reason in answer["void"])
    wanted_reasons = {"role", "phase", "equivocation", "unknown_step", "outranked", "rival"}
    assert reasons.keys() >= wanted_reasons, reasons
