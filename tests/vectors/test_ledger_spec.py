"""Hold the examples, tables and rules of spec/06-blocks.md against the code and the vectors."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from maillon.ledger import block, entries, limits, merkle, messages, orders, quorum, rounds, signing
from maillon.ledger.messages import Message
from maillon.protocol import encoding
from maillon.protocol.keys import SigningKey, coop_id
from support.vectors import FOLDER, load

SPEC = (FOLDER.parent / "06-blocks.md").read_text("utf-8")
FILES = sorted(
    path.name for path in FOLDER.glob("ledger-*.json") if load(path.name)["spec"] == "06-blocks"
)


def example(name: str) -> bytes:
    """Return the bytes of an example: of each line, what stands before four spaces."""
    found = re.search(rf"<!-- example: {name} -->\n```text\n(.*?)```", SPEC, re.DOTALL)
    assert found, f"no example {name}"
    lines = [line.partition("    ")[0] for line in found[1].splitlines()]
    return bytes.fromhex(" ".join(lines))


def key(number: int) -> SigningKey:
    return SigningKey.from_seed(bytes([number]) * 32)


FED = bytes(range(32))
CHAIN = coop_id(key(1).public)
ORDER = orders.sign_order(
    key(2),
    FED,
    b"\xa1" * 16,
    1,
    CHAIN,
    1_767_229_200,
    orders.PayAction(CHAIN, b"\xb2" * 16, 0, 90, orders.NO_REF, "jardin"),
)
BODY = block.Body((block.Placed(b"\x5a" * 32, entries.Intra(ORDER).encode()),))


def header() -> block.Header:
    genesis = block.genesis_hash(FED, CHAIN)
    history = merkle.root([block.history_leaf(genesis)])
    return block.Header(
        FED, CHAIN, 1, genesis, 0, 0, 1_767_225_660, BODY.root(), 1, bytes(32), history,
        BODY.size(),
    )  # fmt: skip


def test_the_example_of_an_order_is_what_the_code_signs() -> None:
    assert example("order body") == ORDER.body
    assert example("order id") == ORDER.id(FED)
    assert example("entry") == entries.Intra(ORDER).encode()
    assert example("leaf") == BODY.root()
    assert CHAIN.hex().startswith("79eab8e7") and "`79eab8e7…`" in SPEC


def test_the_example_of_a_block_is_what_the_code_certifies() -> None:
    assert example("header") == header().encode()
    assert example("hash") == header().hash
    term = quorum.Term(1, b"\x77" * 16, key(3).public)
    at = (0, CHAIN, 1, term, header().hash)
    assert example("commit body") == quorum.commit_body(*at)
    witnesses = [key(number) for number in (4, 5, 6, 7)]
    committee = quorum.Committee.of([witness.public for witness in witnesses])
    commits: dict[bytes, bytes] = {
        witnesses[place].public: rounds.Commit.sign(witnesses[place], FED, *at).signature
        for place in (0, 1, 3)
    }
    certificate = quorum.Certificate.gather(committee, *at, commits)
    assert example("certificate") == certificate.encode()
    certificate.verify(committee, FED, signing.inline_verify)
    block.Block(header(), BODY, certificate.encode()).check_form()


def test_the_table_of_quorums_is_that_of_the_code() -> None:
    rows = dict(re.findall(r"^\| ([nfq]) \| (1 \|.*|0 \|.*)\|$", SPEC, re.MULTILINE))
    numbers = {name: [int(each) for each in row.split("|")] for name, row in rows.items()}
    assert numbers["n"] == list(range(1, 11))
    assert numbers["f"] == [quorum.faults(n) for n in numbers["n"]]
    assert numbers["q"] == [quorum.default_quorum(n) for n in numbers["n"]]


def _parts(array: str) -> int:
    """Return how many items an array of the specification has."""
    depth, count = 0, 1
    for character in array.replace("\\|", "/")[1:-1]:
        depth += character == "["
        depth -= character == "]"
        count += character == "," and depth == 0
    return count


def test_the_table_of_messages_is_that_of_the_code() -> None:
    section = SPEC.partition("\n## Messages\n")[2].partition("\n### Hints")[0]
    rows = re.findall(
        r"^\| (\d+) ([A-Z?]+) \| (?:`(\w+)`)? ?\| (.*?) ?\| (\[.*\]) \|$", section, re.MULTILINE
    )
    kinds = {kind.TYPE: kind for kind in Message.__args__}
    assert [int(number) for number, *_ in rows] == sorted(kinds)
    lengths = {
        vector["type"]: len(_decoded(vector["bytes"]))
        for vector in load("ledger-messages.json")["vectors"]
        if vector["expect"] == "ok"
    }
    for number, _, purpose, body, array in rows:
        assert array.startswith(f"[{number}")
        assert _parts(array) == lengths[int(number)], number
        assert bool(purpose) == bool(body) == hasattr(kinds[int(number)], "check")
        assert not purpose or purpose in signing.PURPOSES


def _decoded(shown: str) -> list[Any]:
    value = encoding.decode(bytes.fromhex(shown), bytes_max=300_000)
    assert isinstance(value, list)
    return value


def test_the_table_of_entries_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \w+ \| (\[\d+, .*\]) \| ", SPEC, re.MULTILINE)
    lengths = {
        vector["kind"]: len(_decoded(vector["bytes"]))
        for vector in load("ledger-entries.json")["vectors"]
        if vector["expect"] == "ok"
    }
    assert {int(kind): _parts(array) for kind, array in rows} == lengths


def test_the_reasons_of_refusals_are_those_of_the_code() -> None:
    [row] = re.findall(r"^\| `reason` \| (.*) \| `reason` \|$", SPEC, re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", row)) == messages.REASONS


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ENTRY_BYTES_MAX", "at most 4,096 bytes"),
        ("ORDER_BODY_BYTES_MAX", "at most 512 bytes, signed"),
        ("HEADER_BYTES_MAX", "A header has at most 256 bytes"),
        ("BODY_BYTES_MAX", "at most 131,072 bytes"),
        ("BLOCK_BYTES_MAX", "at most 261,120 bytes"),
        ("PROPOSAL_BYTES_MAX", "1 to 98,304 bytes"),
        ("FRAUD_BYTES_MAX", "1 to 1,024 bytes"),
        ("HEADS_MAX", "at most 601, chains ascending"),
        ("BLOCKS_MAX", "at most 256, of this chain"),
        ("HINTS_MAX", "1 to 64 hints"),
        ("ENTRIES_MAX", "0 to 256"),
        ("HISTORY_PATH_MAX", "at most 53 hashes"),
        ("PERIOD_S_MIN", "3,600 to"),
        ("PERIOD_S_MAX", "to 31,622,400 seconds"),
        ("REASON_FACTS_BYTES_MAX", "at most 2,048 bytes (`evidence`)"),
        ("APPROVALS_MAX", "at most 300, coops ascending"),
    ],
)
def test_the_bounds_in_the_text_are_those_of_the_code(name: str, text: str) -> None:
    assert text in " ".join(SPEC.split())
    assert f"{getattr(limits, name):,}" in text


# Rules of 01 and 02, which every reader of bytes and of keys applies.
ELSEWHERE = {
    "array_form",
    "empty",
    "int_form",
    "total_length",
    "trailing_bytes",
    "truncated",
    "version_unsupported",
}


def test_every_rule_that_a_vector_breaks_is_named_and_every_named_one_is_broken() -> None:
    broken: set[str] = set()
    for file in FILES:
        content: dict[str, Any] = {
            name: listed for name, listed in load(file).items() if isinstance(listed, list)
        }
        for vector in (each for listed in content.values() for each in listed):
            if isinstance(vector, dict) and "expect" in vector:
                shown = cast("dict[str, str]", vector)
                broken |= {shown["expect"], shown.get("rule", "")}
    named = set(re.findall(r"`([a-z0-9_]+)`", SPEC))
    assert broken - named - ELSEWHERE - {"", "ok", "malformed", "too_large", "not_canonical"} == (
        set()
    )
    # The last column of a table, and what stands in round brackets, are rules.
    columns = re.findall(r"\| ([^|]*) \|$", SPEC, re.MULTILINE)
    rules = {rule for column in columns for rule in re.findall(r"`([a-z_]+)`", column)}
    purposes = set(signing.PURPOSES)
    assert rules - broken - purposes == set()


def test_the_vectors_are_those_that_the_chapter_lists() -> None:
    listed = SPEC.partition("\n## Vectors\n")[2]
    assert set(re.findall(r"ledger-[a-z]+\.json", listed)) == set(FILES)
