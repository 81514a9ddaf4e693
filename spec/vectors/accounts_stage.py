"""Play accounts on a stage, and write down what happens there (spec/06-accounts.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from maillon.ledger.block import Block, Body, Evidence, Header, Placed
from maillon.ledger.build import Wish
from maillon.ledger.entries import Entry
from maillon.ledger.errors import BadBlock
from maillon.ledger.orders import Order
from maillon.protocol.errors import MaillonError
from support.accounts import Accounts


class Stage:
    """A federation whose history is written down as it happens."""

    def __init__(self) -> None:
        self.world = Accounts(seed="vectors of accounts")
        self.history: list[dict[str, object]] = []
        self.vectors: list[dict[str, object]] = []

    # --- The history ---

    def did(self, what: str, block: Block) -> None:
        """Write a certified block down, with the state after it."""
        step: dict[str, object] = {"name": what, "block": block.encode()}
        if block.chain != self.world.fed:
            state = self.world.book.state(block.chain)
            step["rows"] = [row.row for row in state.rows()]
            step["state_root"] = state.root()
        self.history.append(step)

    def place(self, what: str, place: int, *wishes: Order | Entry | Wish, adopt: int = 0) -> None:
        self.did(what, self.world.place(place, *wishes, adopt=adopt))

    def arrive(self, what: str, place: int) -> None:
        block = self.world.arrive(place)
        assert block is not None
        self.did(what, block)

    def grow(self, what: str, *entries: Any) -> None:
        federation = self.world.federation
        federation.chain, federation.disk = self.world.book.charter, self.world.disk
        block = federation.block(*entries, time=self.world.time)
        certificate = federation.certify(block)
        self.world.disk.commit(self.world.book.apply(block, certificate))
        self.did(what, block.with_certificate(certificate))

    # --- Next blocks ---

    def raw(
        self,
        place: int,
        entries: Sequence[Entry | bytes],
        evidence: Sequence[Evidence] = (),
        **header: Any,
    ) -> Block:
        """Return a next block of a coop with these entries, valid or not, under the old state."""
        book, chain = self.world.book, self.world.coop(place)
        head = book.head(chain)
        salts = (hashlib.sha256(bytes([n])).digest() for n in range(len(entries)))
        placed = tuple(
            Placed(salt, entry if isinstance(entry, bytes) else entry.encode())
            for salt, entry in zip(salts, entries, strict=True)
        )
        body = Body(placed, tuple(evidence))
        c = book.governing(chain)
        made = Header(
            self.world.fed, chain, head.h + 1, head.hash, c, c, self.world.time, body.root(),
            len(placed), book.state(chain).root(), head.history.root(), body.size(),
        )  # fmt: skip
        return Block(replace(made, **header), body)

    def listed(self, name: str, block: Block, expect: dict[str, object]) -> None:
        self.vectors.append(
            {
                "name": name,
                "after": len(self.history),
                "header": block.header.encoded,
                "body": block.body.encode(),
                **expect,
            }
        )

    def good(self, name: str, place: int, *wishes: Order | Entry | Wish, adopt: int = 0) -> None:
        """List a valid next block, with the rows that it changes."""
        built = self.world.build(place, *wishes, adopt=adopt)
        assert built.block is not None and built.checked is not None
        assert not built.refused and not built.left, name
        self.world.book.check(built.block)
        changed = [[row.slot, row.row] for row in built.checked.state.changed()]
        self.listed(name, built.block, {"expect": "ok", "changed": changed})

    def bad(self, name: str, block: Block, reason: str, code: str = "", index: int = 0) -> None:
        """List a next block that is refused; every refusal is tried here."""
        try:
            self.world.book.check(block)
        except MaillonError as error:
            expect: dict[str, object] = {"expect": error.code}
            if isinstance(error, BadBlock):
                expect["reason"] = error.reason
                if error.reason == "entry":
                    expect["index"] = error.index
                if "entry_code" in error.facts:
                    expect["entry_code"] = error.entry_code
            wanted = (reason, code, index) if reason == "entry" else (reason, code)
            got: tuple[object, ...] = (
                expect.get("reason", error.code),
                expect.get("entry_code", ""),
            )
            if reason == "entry":
                got = (*got, expect["index"])
            if got != wanted:
                raise AssertionError(f"{name}: {got}, not {wanted}") from None
            self.listed(name, block, expect)
            return
        raise AssertionError(f"{name}: is valid")

    def entry(self, name: str, code: str, entry: Entry, place: int = 0) -> None:
        """List a block whose only entry breaks a rule."""
        self.bad(name, self.raw(place, [entry]), "entry", code)
