"""Changes of the charter in flight, within the run's budget of faults."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from maillon.ledger.charter_entries import (
    AddUnit,
    Admit,
    CharterEntry,
    Clear,
    Remove,
    Retire,
    SetKey,
    SetLimit,
    SetQuorum,
    SetRule,
    SetTrustee,
    encode_charter_entry,
)
from maillon.ledger.charter_rules import heads_root
from maillon.protocol.encoding import decode
from maillon.protocol.founding import Unit
from maillon.protocol.ids import CoopId
from simulation.ledger.charter_model import CharterModel, CharterStateModel
from simulation.ledger.keys import SimKey, make_key
from simulation.ledger.machine import Machine
from simulation.ledger.plan import LIMITS, default_quorum, tolerated
from simulation.ledger.stage import Coop, Stage


class Charters(Stage):
    """Propose, clear and retire."""

    def change_charter(self) -> None:
        """Propose a change of the charter that keeps the run within its budget of faults."""
        openers = self._openers()
        if not openers:
            return
        machine = self.rng.choice(openers)
        entries = self._change()
        if entries is None or not self.bearable(entries):
            return
        state = self.charter.latest
        members = [coop for coop in self.coops if self._member(state, coop)]
        enough = self.rng.random() < 0.85
        wanted = state.approvals if enough else state.approvals - 1
        voters = self.rng.sample(members, min(len(members), max(0, wanted)))
        self.count("charter proposals" if enough else "charter proposals short of approvals")
        machine.propose(entries, voters, enough=enough)

    def _openers(self) -> list[Machine]:
        """Return who may propose a charter: honest machines; once healed, also those that lied."""
        running = [m for m in self.machines if m.up and m.writes and m.in_charter]
        return [m for m in running if self.healed or not m.coop.crook]

    def bearable(self, entries: Sequence[CharterEntry]) -> bool:
        """Say whether enough honest witnesses would be left, and not too many liars."""
        state = copy.deepcopy(self.charter.latest)
        probe = CharterModel(self.fed, state, self.verify)
        for entry in entries:
            fields: Any = decode(encode_charter_entry(entry), bytes_max=1 << 20)
            probe.change(state, fields, self.charter.height + 1)
        return self._bearable(state)

    def _bearable(self, state: CharterStateModel) -> bool:
        members = state.witnesses()
        liars = sum(1 for key in members if key in self.observer.liars)
        silent = sum(1 for key in members if key in self.dead or key in self.observer.liars)
        n, quorum = len(members), state.quorum
        return (
            n < 2 * quorum <= 2 * n
            and liars <= tolerated(n, quorum)
            and n - silent >= quorum
            and state.approvals <= sum(1 for coop in state.coops.values() if not coop.removed)
        )

    def _change(self) -> list[CharterEntry] | None:
        state = self.charter.latest
        rng = self.rng
        here = [coop for coop in self.coops if self._member(state, coop)]
        coop = rng.choice(here)
        late = [c for c in self.coops if c.id not in state.coops]
        kinds = ["limit", "limit", "rule", "unit", "quorum", "writer", "witness", "trustee"]
        kinds += ["retire", "remove", *(["admit"] * 4 if late else [])]
        kind = rng.choice(kinds)
        quorum_of = default_quorum
        if kind == "limit":
            return [SetLimit(coop.id, rng.choice((0, 1)), rng.choice((0, 30, 60, 500)))]
        if kind == "rule":
            name, value = rng.choice((("recovery_s", 30), ("recovery_s", 90), ("approvals", 1)))
            return None if getattr(state, name) == value else [SetRule(name, value)]
        if kind == "unit":
            code = f"u{len(state.units)}"
            return [AddUnit(Unit(code, "credit", 0, code))]
        if kind == "quorum":
            n = len(state.witnesses())
            quorum = rng.randint(n // 2 + 1, n)
            return None if quorum == state.quorum else [SetQuorum(quorum)]
        if kind in ("writer", "witness"):
            if coop.crook or coop.liar:
                return None
            return [SetKey(coop.id, kind, self._next_key(coop, kind).public)]
        others = [c for c in here if c is not coop and not c.crook]
        if kind == "trustee":
            if not others or state.coops[coop.id].trustee:
                return None
            return [SetTrustee(coop.id, rng.choice(others).id)]
        if kind == "admit":
            new = rng.choice(late)
            n = len(state.witnesses()) + 1
            change: list[CharterEntry] = [
                Admit(
                    new.root.public, new.node.public, new.writer.public, new.witness.public,
                    new.name, LIMITS, 1_000,
                )
            ]  # fmt: skip
            if quorum_of(n) != state.quorum:
                change.append(SetQuorum(quorum_of(n)))
            return change
        if kind == "remove":
            if coop.number < self.plan.writing or not others or len(here) < 3:
                return None
            if any(known.trustee == coop.id for known in state.coops.values()):
                return None
            n = len(state.witnesses()) - 1
            removal: list[CharterEntry] = [Remove(coop.id, rng.choice(others).id)]
            if quorum_of(n) != state.quorum:
                removal.append(SetQuorum(quorum_of(n)))
            return removal
        return self._retirement()

    def _retirement(self) -> list[CharterEntry] | None:
        state = self.charter.latest
        heads: list[tuple[CoopId, int, bytes]] = []
        adopted: list[int] = []
        for id in sorted(state.coops):
            chain = self.model.chain(id)
            heads.append((CoopId(id), chain.h, chain.H))
            adopted.append(chain.c)
        below = min([*adopted, self.charter.height])
        if below <= state.retired_below:
            return None
        return [Retire(below, heads_root(heads), tuple(heads))]

    def _next_key(self, coop: Coop, role: str) -> SimKey:
        return make_key(
            f"{role} {coop.number} replaced {self.charter.height + 1}", real=self.plan.real
        )

    def clear(self, chain: bytes, fraud: bytes) -> None:
        """Let the charter clear a frozen chain: its writer gets another key."""
        coop = next(c for c in self.coops if c.id == chain)
        state = self.charter.latest
        if (chain, fraud) in state.cleared or not self._member(state, coop):
            return
        openers = self._openers()
        if not openers:
            return
        key = self._next_key(coop, "writer")
        entries: list[CharterEntry] = [
            SetKey(coop.id, "writer", key.public), Clear(coop.id, fraud)
        ]  # fmt: skip
        members = [c for c in self.coops if self._member(state, c)]
        voters = self.rng.sample(members, min(len(members), state.approvals))
        self.count("clearings proposed")
        self.rng.choice(openers).propose(entries, voters, enough=True)

    def convicted(self, chain: bytes, fraud: bytes) -> None:
        """Note that a chain is frozen, and let the charter clear it sooner or later."""
        if chain == self.fed:
            self.count("openers barred from the charter's chain")
            return
        if (chain, fraud) not in self.frauds:
            self.frauds[(chain, fraud)] = None
            self.count("chains frozen")
            self.clock.after(self.rng.choice((5, 30, 90)) * 1_000, self.clear, chain, fraud)
