"""What the ledger refuses is told with the balance, the limit and what is possible."""

from __future__ import annotations

import pytest

from maillon.ledger import errors
from maillon.node.cli import base
from maillon.node.cli.refusals import in_words, reason_in_words, waiting
from maillon.protocol.errors import MaillonError

# Of blocks, certificates and messages: a node meets them, a person who gives hours does not.
BETWEEN_NODES = {
    "ledger", "channel_gap", "already_consumed", "evidence", "bad_block", "not_certified",
    "certificate", "need_blocks", "charter_unknown", "chain_unknown", "fraud_proof",
    # Their own sentence says more than a code could: which rule, which entry, what is no amount.
    "charter", "amount_text",
}  # fmt: skip
FACTS = {
    "unit": 0, "amount": 600, "amount_text": "10:00", "balance": -60, "balance_text": "-1:00",
    "limit": 300, "limit_text": "5:00", "held": 30, "held_text": "0:30", "available": 210,
    "available_text": "3:30", "max": 600, "max_text": "10:00", "room": 5, "room_text": "0:05",
    "lowest": 1, "highest": 1,
    "next": 1_800_000_000,
}  # fmt: skip


def codes() -> list[str]:
    found = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, MaillonError)
        and kind.__module__ == errors.__name__
    }
    return sorted(found - BETWEEN_NODES)


@pytest.mark.parametrize("code", codes())
def test_every_refusal_of_an_order_has_a_sentence(code: str) -> None:
    message, hint = in_words(code, FACTS, "")
    assert message != code and message.endswith(".") and "{" not in message
    assert hint is None or "{" not in hint


def test_over_the_limit_says_balance_limit_and_what_is_possible() -> None:
    message, hint = in_words("over_limit", FACTS, "")
    assert "-1:00" in message and "5:00" in message and "0:30" in message
    assert hint is not None and "3:30" in hint


def test_a_sentence_whose_facts_are_missing_is_left_to_the_node() -> None:
    assert in_words("over_limit", {}, "Too much.") == ("Too much.", None)
    assert in_words("no_such_code", {}, "Said by the node.") == ("Said by the node.", None)
    assert in_words("no_such_code", {}, "")[0] == "no_such_code"


def test_what_waits_says_that_it_is_kept_and_why() -> None:
    told = waiting({"id": "9c01d2aa" * 8, "status": "waiting", "reason": "no_quorum"})
    assert "9c01d2aa9c01d2aa" in told and "again" in told
    assert in_words("no_quorum", {}, "")[0] in told
    assert "\n" not in waiting({"id": "9c", "status": "waiting"})


def test_a_reason_is_one_line() -> None:
    entry = {"reason": "over_limit", "facts": FACTS}
    assert "\n" not in reason_in_words(entry) and "5:00" in reason_in_words(entry)


def test_a_refusal_is_an_error_that_exits_with_four() -> None:
    fault = base.refusal({"reason": "over_limit", "facts": FACTS, "detail": ""})
    assert base.exit_code(fault.code) == base.REFUSED  # type: ignore[attr-defined]  # a LocalError
    assert base.exit_code("amount_text") == base.USAGE
