"""Make keys, orders, entries and blocks for the vectors of the ledger (spec/06-blocks.md)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from maillon.ledger import block, entries, merkle, orders, quorum, rounds
from maillon.protocol import encoding
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SigningKey

TIME = 1_767_225_600


def shown(value: Any) -> Any:
    """Return a value as vectors show it: {"$bin": hex} for bytes."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in cast("Sequence[Any]", value)]
    return value


def raw(*parts: Any) -> bytes:
    """Return the canonical bytes of an array, whatever stands in it."""
    return encoding.encode(list(parts))


def changed(parts: list[Any], place: int, value: Any) -> bytes:
    """Return the bytes of an array with one item in another's place."""
    return raw(*parts[:place], value, *parts[place + 1 :])


class Cases:
    """Collect vectors; each refusal is tried on the code, so that none is written that is not so.

    `read` reads bytes and returns the fields that an `ok` shows.
    """

    def __init__(self, read: Callable[[bytes], dict[str, object]]) -> None:
        self.read = read
        self.listed: list[dict[str, object]] = []

    def good(self, name: str, data: bytes, unit: bytes = b"") -> None:
        """Add bytes that are read; `unit` is what long ones repeat."""
        self.listed.append({"name": name, **_long(data, unit), "expect": "ok", **self.read(data)})

    def bad(self, name: str, rule: str, data: bytes, unit: bytes = b"") -> None:
        """Add bytes that break a rule; `rule` is the error's rule or reason, or else its code."""
        try:
            self.read(data)
        except MaillonError as error:
            named = error.facts.get("rule") or error.facts.get("reason") or error.code
            if named != rule:
                raise AssertionError(f"{name}: {named}, not {rule}") from None
            case: dict[str, object] = {
                "name": name,
                **_long(data, unit),
                "expect": error.code,
            }
            if rule != error.code:
                case["rule"] = rule
            self.listed.append(case)
            return
        raise AssertionError(f"{name}: is read")

    def cut(self, data: bytes) -> None:
        """Add what breaks any value: bytes missing, bytes too many, another encoding."""
        self.bad("a byte is missing at the end", "truncated", data[:-1])
        self.bad("a byte follows", "trailing_bytes", data + b"\0")
        self.bad("no bytes", "empty", b"")
        # The array's header says one item more than a header of one byte does.
        self.bad("the array in a longer form", "array_form", b"\xdc\0" + _count(data) + data[1:])


def _long(data: bytes, unit: bytes) -> dict[str, object]:
    """Return `bytes`, or what gives them when a unit comes many times."""
    if not unit:
        assert len(data) < 4_000, "name the unit that it repeats"
        return {"bytes": data}
    run = max(re.finditer(b"(?:" + re.escape(unit) + b")+", data, re.DOTALL), key=_length)
    times = _length(run) // len(unit)
    return {
        "start": data[: run.start()],
        "repeat": unit,
        "times": times,
        "end": data[run.end() :],
    }


def _length(run: re.Match[bytes]) -> int:
    return run.end() - run.start()


def _count(data: bytes) -> bytes:
    return bytes([data[0] & 0x0F])


class World:
    """Keys, ids, and a small federation of four witnesses, drawn from a seed."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.fed = rng.randbytes(32)
        self.chain = rng.randbytes(32)
        self.other = rng.randbytes(32)
        self.member = self.key()
        self.delegate = self.key()
        self.payee = self.key()
        self.writer = self.key()
        self.witnesses = [self.key() for _ in range(4)]
        self.committee = quorum.Committee.of([key.public for key in self.witnesses])
        self.account = rng.randbytes(16)
        self.receiver = rng.randbytes(16)
        self.mandate = rng.randbytes(16)
        self.term = quorum.Term(3, rng.randbytes(16), self.writer.public)

    def key(self) -> SigningKey:
        """Draw a key."""
        return SigningKey.from_seed(self.rng.randbytes(32))

    def pay(
        self, amount: int = 90, *, to: bytes = b"", category: str = "jardin"
    ) -> orders.PayAction:
        """Return a payment to the receiver, here or at another coop."""
        coop = to or self.chain
        return orders.PayAction(coop, self.receiver, 0, amount, self.rng.randbytes(32), category)

    def hold(self, *, to: bytes = b"", all_of: bool = False) -> orders.HoldAction:
        """Return a hold for the receiver."""
        return orders.HoldAction(
            to or self.chain,
            self.receiver,
            0,
            120,
            self.rng.randbytes(32),
            "",
            TIME + 86_400,
            self.payee.public,
            self.delegate.public if all_of else b"",
            self.rng.randbytes(32) if all_of else b"",
        )

    def order(self, action: orders.Action, seq: int = 1, *, mandate: bytes = b"") -> orders.Order:
        """Sign an order of the account."""
        key = self.delegate if mandate else self.member
        return orders.sign_order(
            key, self.fed, self.account, seq, self.chain, TIME + 3_600, action, mandate=mandate
        )

    def place(self, *found: entries.Entry) -> block.Body:
        """Return a body with these entries under drawn salts."""
        return block.Body(
            tuple(block.Placed(self.rng.randbytes(32), entry.encode()) for entry in found)
        )

    def header(
        self,
        body: block.Body,
        *,
        chain: bytes = b"",
        h: int = 1,
        history: list[bytes] | None = None,
        c: int = 0,
        c2: int = 0,
    ) -> block.Header:
        """Return a header over a body; `history` are the hashes of all blocks before it."""
        chain = chain or self.chain
        past = history or [
            block.genesis_hash(self.fed, chain),
            *(self.rng.randbytes(32) for _ in range(h - 1)),
        ]
        return block.Header(
            self.fed,
            chain,
            h,
            past[-1],
            c,
            c2,
            TIME + 60 * h,
            body.root(),
            len(body.entries),
            self.rng.randbytes(32),
            merkle.root([block.history_leaf(each) for each in past]),
            body.size(),
        )

    def certificate(
        self, header: block.Header, signers: tuple[int, ...] = (0, 1, 3)
    ) -> quorum.Certificate:
        """Certify a header."""
        at = (header.c, header.chain, header.h, self.term, header.hash)
        commits: dict[bytes, bytes] = {
            self.witnesses[place].public: rounds.Commit.sign(
                self.witnesses[place], self.fed, *at
            ).signature
            for place in signers
        }
        return quorum.Certificate.gather(self.committee, *at, commits)

    def votes(self, header: block.Header, signers: tuple[int, ...] = (0, 1, 3)) -> quorum.VoteQC:
        """Gather votes for a header."""
        at = (header.c, header.chain, header.h, self.term, header.hash)
        votes: dict[bytes, tuple[int, bytes]] = {
            self.witnesses[place].public: (
                place + 7,
                rounds.Vote.sign(self.witnesses[place], self.fed, *at, place + 7).signature,
            )
            for place in signers
        }
        return quorum.VoteQC.gather(self.committee, *at, votes)
