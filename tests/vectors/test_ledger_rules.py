"""Answer the vectors of the ledger's rules (spec/06-ledger)."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.ledger.book import Book
from maillon.ledger.messages import Failure, Message, decode_message, encode_message
from maillon.ledger.rounds import Refuse
from maillon.ledger.signing import inline_verify
from maillon.ledger.told import read_told
from maillon.ledger.witness import Witness
from maillon.protocol.founding import decode_founding
from maillon.protocol.keys import SigningKey
from support.charters import MemoryDisk
from support.vectors import cases, load

FILE = "ledger-rules.json"
ALL = load(FILE)
FOUNDING = decode_founding(bytes.fromhex(ALL["founding"]))
KEY = SigningKey.from_seed(bytes.fromhex(ALL["witness_seeds"][0]))


def started(disk: MemoryDisk) -> Witness:
    return Witness(Book(FOUNDING, disk, inline_verify), KEY, disk, inline_verify)


def shown(message: Message) -> dict[str, Any]:
    """Return what counts of an answer."""
    if isinstance(message, Failure):
        return {"message": "ERROR", "code": message.code}
    if isinstance(message, Refuse) and message.reason == "invalid":
        code = read_told(message.evidence)[0]
        return {"message": "REFUSE", "reason": "invalid", "code": code}
    return {"bytes": encode_message(message).hex()}


def expected(answer: dict[str, Any]) -> dict[str, Any]:
    return {"bytes": answer["bytes"]} if "bytes" in answer else answer


def replay(script: Any, *, always_restart: bool) -> None:
    disk = MemoryDisk()
    witness = started(disk)
    for step in script["steps"]:
        if step.get("restart") or always_restart:
            witness = started(disk)
        done = witness.handle(b"", decode_message(bytes.fromhex(step["bytes"])), step["now"])
        disk.commit(done.writes)
        answers = [shown(send.message) for send in done.sends]
        assert answers == [expected(answer) for answer in step["answers"]], step["message"]


@pytest.mark.parametrize("script", cases(FILE, "scripts"))
def test_a_witness_answers_as_the_vectors_say(script: Any) -> None:
    replay(script, always_restart=False)


@pytest.mark.parametrize("script", cases(FILE, "scripts"))
def test_a_witness_that_restarts_before_every_message_answers_the_same(script: Any) -> None:
    if script["shows"] == "W1 lease":
        pytest.skip("a lease is kept in memory only, for liveness")
    replay(script, always_restart=True)


def test_the_vectors_break_every_reason_a_witness_has() -> None:
    reasons = {
        answer.get("reason")
        for script in ALL["scripts"]
        for step in script["steps"]
        for answer in step["answers"]
    }
    from maillon.ledger.rounds import REASONS

    # A witness of the first charter is always in the committee, and never below an opening's S.
    assert set(REASONS) - reasons == {"not_witness", "height"}
