"""Run the vectors of orders, entries, blocks and hash trees against the code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from maillon.ledger import block, entries, merkle, orders, signing
from maillon.ledger.quorum import Committee
from maillon.protocol.errors import MaillonError
from support.vectors import cases, from_json, load


def data_of(vector: dict[str, Any]) -> bytes:
    """Return a vector's bytes, written out where they repeat."""
    if "bytes" in vector:
        return bytes.fromhex(vector["bytes"])
    start, unit, end = (bytes.fromhex(vector[name]) for name in ("start", "repeat", "end"))
    return bytes(start + unit * vector["times"] + end)


def refused(vector: dict[str, Any], read: Callable[[], object]) -> None:
    """Hold a refusal against the vector's code and rule."""
    with pytest.raises(MaillonError) as caught:
        read()
    assert caught.value.code == vector["expect"]
    facts = caught.value.facts
    if "rule" in vector:
        assert (facts.get("rule") or facts.get("reason")) == vector["rule"]


@pytest.mark.parametrize("vector", cases("ledger-orders.json"))
def test_reading_an_order_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = data_of(vector)
    if vector["expect"] != "ok":
        refused(vector, lambda: orders.decode_order(data))
        return
    order = orders.decode_order(data)
    assert order.encode() == data
    assert order.id(bytes.fromhex(load("ledger-orders.json")["fed"])).hex() == vector["id"]
    assert (order.account.hex(), order.chain.hex()) == (vector["account"], vector["chain"])
    assert (order.seq, order.until) == (vector["seq"], vector["until"])
    written = orders.order_body(order.account, order.seq, order.chain, order.until, order.action)
    assert written == order.body
    assert _plain(order.action.array()) == from_json(vector["action"])


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return value


@pytest.mark.parametrize("vector", cases("ledger-orders.json", "signatures"))
def test_the_signature_of_an_order_counts_as_the_vector_says(vector: dict[str, Any]) -> None:
    fed = bytes.fromhex(load("ledger-orders.json")["fed"])
    order = orders.decode_order(data_of(vector))
    [good] = signing.inline_verify([order.check(fed)])
    assert good == (vector["expect"] == "ok")


@pytest.mark.parametrize("vector", cases("ledger-entries.json"))
def test_reading_an_entry_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    shown = load("ledger-entries.json")
    fed, salt = bytes.fromhex(shown["fed"]), bytes.fromhex(shown["salt"])
    data = data_of(vector)
    if vector["expect"] != "ok":
        refused(vector, lambda: entries.message_of(entries.decode_entry(data), bytes(32), fed))
        return
    entry = entries.decode_entry(data)
    assert entry.encode() == data
    assert entry.KIND == vector["kind"] == entries.entry_kind(data)
    leaf = entries.entry_leaf(salt, data)
    assert leaf.hex() == vector["leaf"]
    message = entries.message_of(entry, leaf, fed)
    if "message" not in vector:
        assert message is None
        return
    assert message is not None
    for name, value in vector["message"].items():
        found = getattr(message, name)
        assert (found.hex() if isinstance(found, bytes) else found) == value


def test_the_genesis_of_a_chain_is_that_of_the_vector() -> None:
    shown = load("ledger-blocks.json")
    fed, chain = bytes.fromhex(shown["fed"]), bytes.fromhex(shown["genesis"]["chain"])
    assert block.genesis_hash(fed, chain).hex() == shown["genesis"]["hash"]


@pytest.mark.parametrize("vector", cases("ledger-blocks.json", "headers"))
def test_reading_a_header_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = data_of(vector)
    if vector["expect"] != "ok":
        refused(vector, lambda: block.decode_header(data))
        return
    header = block.decode_header(data)
    assert header.encode() == data
    assert (header.hash.hex(), header.chain.hex()) == (vector["hash"], vector["chain"])
    assert (header.h, header.time) == (vector["h"], vector["time"])


@pytest.mark.parametrize("vector", cases("ledger-blocks.json", "bodies"))
def test_reading_a_body_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = data_of(vector)
    charter = vector.get("charter", False)
    if vector["expect"] != "ok":
        refused(vector, lambda: block.decode_body(data, charter=charter))
        return
    body = block.decode_body(data, charter=charter)
    assert block.Body(body.entries, body.evidence, body.approvals).encode() == data
    assert (body.root().hex(), body.size(), body.erased) == (
        vector["root"],
        vector["size"],
        vector["erased"],
    )


@pytest.mark.parametrize("vector", cases("ledger-blocks.json", "blocks"))
def test_reading_a_block_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = data_of(vector)
    if vector["expect"] != "ok":
        refused(vector, lambda: block.decode_block(data).check_form())
        return
    found = block.decode_block(data)
    found.check_form()
    assert found.encode() == data
    assert found.hash.hex() == vector["hash"]
    assert [[row.slot, row.leaf().hex()] for row in found.delta] == vector["delta"]


@pytest.mark.parametrize("vector", cases("ledger-blocks.json", "evidence"))
def test_evidence_proves_what_the_vector_says(vector: dict[str, Any]) -> None:
    shown = load("ledger-blocks.json")
    fed = bytes.fromhex(shown["fed"])
    committee = Committee.of([bytes.fromhex(key) for key in shown["witnesses"]])
    data = data_of(vector)
    if vector["expect"] != "ok":
        refused(
            vector,
            lambda: block.decode_evidence(data).verify(committee, fed, signing.inline_verify),
        )
        return
    evidence = block.decode_evidence(data)
    evidence.verify(committee, fed, signing.inline_verify)
    assert all(signing.inline_verify(evidence.items(committee, fed)))
    assert evidence.encode() == data
    assert evidence.header.hash.hex() == vector["hash"]
    assert evidence.carrier.h == vector["carrier"]


@pytest.mark.parametrize("vector", cases("ledger-merkle.json", "roots"))
def test_the_published_roots_come_out(vector: dict[str, Any]) -> None:
    leaves = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in vector["leaves"]]
    assert merkle.root(leaves).hex() == vector["root"]


@pytest.mark.parametrize("vector", cases("ledger-merkle.json", "inclusion"))
def test_a_path_of_inclusion_proves_what_the_vector_says(vector: dict[str, Any]) -> None:
    leaf, root = bytes.fromhex(vector["leaf"]), bytes.fromhex(vector["root"])
    path = [bytes.fromhex(each) for each in vector["path"]]
    arguments = (leaf, vector["index"], vector["size"], path, root)
    if vector["expect"] == "ok":
        merkle.verify_inclusion(*arguments)
    else:
        refused(vector, lambda: merkle.verify_inclusion(*arguments))


@pytest.mark.parametrize("vector", cases("ledger-merkle.json", "consistency"))
def test_a_path_of_consistency_proves_what_the_vector_says(vector: dict[str, Any]) -> None:
    old_root, root = bytes.fromhex(vector["old_root"]), bytes.fromhex(vector["root"])
    path = [bytes.fromhex(each) for each in vector["path"]]
    arguments = (vector["old_size"], vector["size"], path, old_root, root)
    if vector["expect"] == "ok":
        merkle.verify_consistency(*arguments)
    else:
        refused(vector, lambda: merkle.verify_consistency(*arguments))
