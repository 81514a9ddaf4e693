"""The checkers can fail: engines broken on purpose are caught, each within a few seeds."""

# A mutant reaches inside on purpose, and a lambda in place of a method has no types to speak of.
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from maillon.node.engine import ingest, view
from maillon.node.engine.core import Engine, Verdict
from maillon.node.engine.ingest import Ingest, Outcome, Prepared
from maillon.node.engine.pending import PendingPool
from maillon.node.engine.refusals import Refusals
from maillon.node.events import Effect, Penalise
from maillon.protocol import validation
from maillon.protocol.envelope import Valid
from maillon.protocol.reconcile import ItemSet
from maillon.protocol.view import MandateInfo
from simulation.disk import SimDisk
from simulation.run import simulate

SEEDS = 60

Break = Callable[[pytest.MonkeyPatch], None]


def skip_signatures(patch: pytest.MonkeyPatch) -> None:
    true = Ingest.complete

    def complete(
        self: Ingest, prepared: Prepared, results: Sequence[bool], now: float
    ) -> Outcome:
        return true(self, prepared, [True] * len(results), now)

    patch.setattr(Ingest, "complete", complete)


def skip_structure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ingest, "check_structure", lambda signed, *, fed, now: None)


def ignore_revocation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(validation, "_member_may", lambda member, header, id: None)


def ignore_the_end_of_mandates(patch: pytest.MonkeyPatch) -> None:
    true = MandateInfo.of

    def endless(valid: Valid) -> MandateInfo:
        return replace(true(valid), ended=None)

    patch.setattr(MandateInfo, "of", staticmethod(endless))
    patch.setattr(validation, "_principal_still", lambda header, mandate, view: None)


def relay_before_judging(patch: pytest.MonkeyPatch) -> None:
    true = Engine.gossip

    def gossip(self: Engine, *arguments: Any) -> Verdict:
        return Verdict(True, true(self, *arguments).effects)

    patch.setattr(Engine, "gossip", gossip)


def relay_spoilt_copies(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Engine, "_live_bytes", lambda self, outcome: True)


def keep_withdrawn_payloads(patch: pytest.MonkeyPatch) -> None:
    true = SimDisk.retire

    def retire(self: SimDisk, id: bytes, *, reason: str) -> None:
        kept = self.get(id)
        true(self, id, reason=reason)
        if reason == "withdrawn" and kept is not None:
            row = self._rows[id]
            self._rows[id] = type(row)(kept, row.author, row.thing, row.role, False)

    patch.setattr(SimDisk, "retire", retire)


def never_judge_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ingest, "_resting_on", lambda self, change: [])


def known_is_known(patch: pytest.MonkeyPatch) -> None:
    true = Ingest._skip

    def skip(self: Ingest, prepared: Prepared, id: bytes, data: bytes, now: float) -> bool:
        if self.store.known(id) and not self.store.live(id):
            prepared.stale.append(id)
            return True
        return true(self, prepared, id, data, now)

    patch.setattr(Ingest, "_skip", skip)
    patch.setattr(Ingest, "wants", lambda self, peer, id, now: not self.store.known(id))


def last_one_wins(patch: pytest.MonkeyPatch) -> None:
    true = Ingest._place

    def place(self: Ingest, valid: Valid, waiting: Any, outcome: Outcome) -> Any:
        head = self.store.head(valid.author, valid.signed.header.series)
        if head is not None and head.id != valid.signed.id:
            self._take_out(
                head.id, head.at, "superseded", outcome
            )
        return true(self, valid, waiting, outcome)

    patch.setattr(Ingest, "_place", place)


def never_forget_refusals(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Refusals, "view_changed", lambda self: None)
    patch.setattr(
        Refusals,
        "code",
        lambda self, peer, id, now: "again" if id in self._by_view else None,
    )


def spoilt_copies_make_deaf(patch: pytest.MonkeyPatch) -> None:
    deaf: dict[tuple[int, bytes], None] = {}

    def by_sender(self: Refusals, peer: bytes, id: bytes, code: str, now: float) -> None:
        deaf[(id_of(self), id)] = None

    patch.setattr(Refusals, "by_sender", by_sender)
    patch.setattr(
        Refusals,
        "code",
        lambda self, peer, id, now: "again" if (id_of(self), id) in deaf else None,
    )


def id_of(thing: object) -> int:
    return id(thing)


def keep_revoked_identity(patch: pytest.MonkeyPatch) -> None:
    true = view.IdentityView.replace

    def keep(self: view.IdentityView, old: bytes | None, new: Valid | None) -> Any:
        return [] if new is None else true(self, old, new)

    patch.setattr(view.IdentityView, "replace", keep)


def forgive_everything(patch: pytest.MonkeyPatch) -> None:
    true = Ingest._outward

    def outward(self: Ingest, peer: bytes, origin: Any, outcome: Outcome) -> None:
        true(self, peer, origin, outcome)
        outcome.effects = [e for e in outcome.effects if not isinstance(e, Penalise)]

    patch.setattr(Ingest, "_outward", outward)


def blame_for_what_depends_on_the_view(patch: pytest.MonkeyPatch) -> None:
    true = Engine._after

    def after(self: Engine, outcome: Outcome, now: float, **rest: bool) -> list[Effect]:
        effects = true(self, outcome, now, **rest)
        honest = [p for p in self._peers.states() if p != self._node_key]
        if any(fault.code == "membership_revoked" for _, fault in outcome.refused) and honest:
            effects.append(Penalise(honest[0], 20.0, "membership_revoked"))
        return effects

    patch.setattr(Engine, "_after", after)


def remember_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimDisk, "forget_expired", lambda self, now, limit: [])


def offer_what_left(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ItemSet, "discard", lambda self, at, id: False)


def wait_without_end(patch: pytest.MonkeyPatch) -> None:
    def add(self: Any, waiting: Any) -> None:
        self._all[waiting.checked.signed.id] = waiting

    patch.setattr(PendingPool, "add", add)
    patch.setattr(PendingPool, "discard", lambda self, id: self._all.pop(id, None))


def let_steps_in(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(validation, "_right_way", lambda header, private: None)
    patch.setattr(validation, "PRIVATE_KINDS", frozenset())


def bid_on_anything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(validation, "check_resting", lambda header, author, payload, view: None)


def leave_bids_behind(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(view.IdentityView, "_rest", lambda self, old, new: [])


# Each with the seed to begin at: what few histories bring to light is looked for where it shows.
MUTANTS: tuple[tuple[Break, int], ...] = (
    (skip_signatures, 0),
    (skip_structure, 0),
    (ignore_revocation, 0),
    (ignore_the_end_of_mandates, 0),
    (relay_before_judging, 0),
    (relay_spoilt_copies, 0),
    (keep_withdrawn_payloads, 0),
    (never_judge_again, 0),
    (known_is_known, 18),
    (last_one_wins, 0),
    (never_forget_refusals, 0),
    (spoilt_copies_make_deaf, 40),
    (keep_revoked_identity, 18),
    (forgive_everything, 0),
    (blame_for_what_depends_on_the_view, 46),
    (remember_for_ever, 0),
    (offer_what_left, 0),
    (wait_without_end, 0),
    (let_steps_in, 0),
    (bid_on_anything, 0),
    (leave_bids_behind, 0),
)


@pytest.mark.parametrize(
    ("mutant", "first"), MUTANTS, ids=[mutant.__name__ for mutant, _ in MUTANTS]
)
def test_a_broken_engine_is_caught(
    mutant: Break, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in range(first, first + SEEDS):
        result = simulate(seed)
        if result.failure:
            # Caught by a promise that does not hold, not by an accident of the mutant.
            assert "simulation.check.Broken" in result.failure, result.failure[-1_500:]
            return
    pytest.fail(f"not caught in {SEEDS} seeds from {first}")
