"""Exchanges of several coops in one process: people, letters, ledgers and faults out of one seed.

The cores of the exchanges and the public records are the real ones, and so are all signatures;
letters take as long as they like, come twice and overtake each other; nodes die in the middle of
what they do, and at any commit. The accounts are a model: what they do under faults of their own
is simulated elsewhere (simulation.ledger), as are the post offices (simulation.letters).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from maillon.node.engine.exchange.ports import Effect, ExchangeStore, Query
from maillon.protocol.errors import MaillonError, StepRefused
from maillon.protocol.exchange import Exchange
from simulation.exchange.checkers import Checkers
from simulation.exchange.people import Doing, evaluated, wish
from simulation.exchange.plan import DAY_S, Plan
from simulation.ledger.net import Clockwork
from support.dying import Died, DyingStore
from support.engines import Rig
from support.exchangenet import CoopNode, Letter, Net
from support.world import Member

LOOK_S = 1_800
"""How often a node looks at its deadlines and at what it began, besides when something comes."""

SETTLE_S = 4 * DAY_S
"""Time for everything to arrive once all is well: steps are asked for again within a day or so."""

DOWN_S = 3_600


class WatchedNet(Net):
    """Tells the checkers what is published."""

    checkers: Checkers | None = None

    def gossip(self, source: Rig, record: bytes) -> None:
        if self.checkers is not None:
            self.checkers.published(record, self.now)
        super().gossip(source, record)


class World:
    """One run."""

    def __init__(self, seed: int, *, plan: Plan, keep_trace: bool = False) -> None:
        self.plan = plan
        self.stores: list[DyingStore] = []
        self.net = self._make_net(seed)
        self.clock = self._make_clock(seed, keep_trace)
        self.rng = self.clock.rng
        self.counts: dict[str, int] = {}
        self.down: set[int] = set()
        self.away: set[int] = set()
        self.restored: set[int] = set()
        self.left: dict[int, int] = {}
        """Effects that a node carries out before it dies."""
        self.delivered: list[tuple[int, int, Letter]] = []
        """When, to which place, which letter: the post keeps them for a node that is put back."""
        self.members = [
            self.net.member(place, f"{place} {number}")
            for place in range(plan.coops)
            for number in range(plan.members)
        ]
        for node in self.net.nodes:
            node.do = partial(self._do, node)  # type: ignore[method-assign]
        self.checkers = self.net.checkers = self._make_checkers()

    def _make_net(self, seed: int) -> WatchedNet:
        return WatchedNet(self.plan.coops, seed=f"simulated exchanges {seed}", stores=self._store)

    def _make_clock(self, seed: int, keep_trace: bool) -> Clockwork:
        return Clockwork(f"exchanges {seed}", self.net.now, keep_trace=keep_trace)

    def _make_checkers(self) -> Checkers:
        return Checkers(self.net, self.members)

    def _store(self, place: int) -> ExchangeStore:
        self.stores.append(DyingStore())
        return self.stores[-1]

    def count(self, what: str) -> None:
        """Count something for the summary."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def figures(self) -> dict[str, int]:
        """Return what happened, for the summary."""
        return {**self.counts, **self.checkers.figures()}

    # --- a run ----------------------------------------------------------------------------------

    def run(self) -> dict[str, int]:
        """Run to the end. Raises: Broken, and whatever a core raises that it must not."""
        clock = self.clock
        self._begin()
        clock.run_until(clock.now_ms + self.plan.active_s * 1_000)
        self._heal()
        clock.run_until(clock.now_ms + SETTLE_S * 1_000)
        return self._end()

    def _begin(self) -> None:
        plan, clock = self.plan, self.clock
        self.clock.note("plan", plan)
        for place in range(plan.coops):
            clock.after(self.rng.randrange(LOOK_S * 1_000), self._look, place)
        clock.after(1_000, self._settle)
        for _ in range(plan.exchanges):
            clock.after(self.rng.randrange(DAY_S * 1_000), self._open)
        for number in range(plan.bundles):
            clock.after(self.rng.randrange(DAY_S * 1_000), self._open_bundle, number)
        for _ in range(plan.acts * max(1, plan.exchanges + 2 * plan.bundles)):
            clock.after(self._moment(), self._somebody_acts)
        self._plan_faults()

    def _end(self) -> dict[str, int]:
        self.net.now = self.clock.now_ms // 1_000
        self.checkers.at_the_end(self.net.now)
        return self.figures()

    def _moment(self) -> int:
        return self.rng.randrange(self.plan.active_s * 1_000)

    def _plan_faults(self) -> None:
        plan, clock, rng = self.plan, self.clock, self.rng
        places = range(plan.coops)
        for _ in range(plan.cuts):
            clock.after(self._moment(), self._cut, rng.choice(places), rng.choice((600, 3 * DAY_S)))
        for _ in range(plan.crashes):
            clock.after(self._moment(), self._dies_soon, rng.choice(places), rng.randint(1, 4))
        for _ in range(plan.power_cuts):
            clock.after(
                self._moment(), self._dies_at_commit, rng.choice(places), rng.randint(1, 5),
                rng.random() < 0.5,
            )  # fmt: skip
        # Of the two who deal with each other one may forget; of two who both do, nothing is sure.
        for place in rng.sample(places, min(plan.restores, 1)):
            clock.after(self._moment(), self._backed_up, place)
        for member in self.members:
            if rng.random() < plan.refusals:
                clock.after(self._moment(), self.net.chains.refuse.add, member.author)
                clock.after(self._moment(), self.net.chains.refuse.discard, member.author)

    def _heal(self) -> None:
        self.clock.note("heals")
        self.healed = True
        self.away.clear()
        self.net.chains.refuse.clear()
        self.left.clear()
        for store in self.stores:
            store.left = None
        for place in sorted(self.down):
            self._boot(place)
        for place in sorted(self.restored):
            self.clock.after(DAY_S * 1_000, self._write_to, place)

    healed = False

    def _write_to(self, place: int) -> None:
        """Let people write to those whose node was put back: then it learns what it said itself."""
        for other, node in enumerate(self.net.nodes):
            for row in node.store.find(Query(limit=1_000)) if other != place else ():
                for who in self.members:
                    if self._place(who) == other and who.author in (row.requester, row.provider):
                        doing = Doing("message", {"text": "Et alors ?", "lang": "fr"})
                        self.net.now = self.clock.now_ms // 1_000
                        state = node.state(row.id)
                        self.guarded(other, partial(self._does, node, who, state, doing))

    # --- nodes ----------------------------------------------------------------------------------

    def _do(self, node: CoopNode, effects: Sequence[Effect]) -> None:
        place = self.net.nodes.index(node)
        for effect in effects:
            if place in self.left:
                self.left[place] -= 1
                if self.left[place] < 0:
                    del self.left[place]
                    raise Died
            self.checkers.before(node, effect)
            type(node).do(node, (effect,))

    def guarded(self, place: int, action: Callable[[], object]) -> bool:
        """Let a node do something; False when it is down, or dies of it."""
        if place in self.down:
            return False
        node = self.net.nodes[place]
        self.net.now = self.clock.now_ms // 1_000
        node.rig.now = float(self.net.now)
        try:
            action()
        except Died:
            self._died(place)
            return False
        finally:
            self._send_off()
        self.checkers.look(node, self.net.now)
        return True

    def _died(self, place: int) -> None:
        self.count("nodes died in the middle of something")
        self.clock.note("dies", place)
        self.down.add(place)
        self.clock.after(self.rng.randrange(DOWN_S * 1_000), self._boot, place)

    def _boot(self, place: int) -> None:
        if place not in self.down:
            return
        self.down.discard(place)
        node = self.net.nodes[place]
        node.restarted()
        self.clock.note("starts", place)
        self.guarded(place, lambda: node.do(node.core.resume(self.net.now)))

    def _look(self, place: int) -> None:
        self.clock.after(LOOK_S * 1_000, self._look, place)
        node = self.net.nodes[place]

        def look() -> None:
            for _ in range(100):
                node.do(node.core.tick(self.net.now))
                wake = node.core.next_wake()
                if wake is None or wake > self.net.now:
                    break
            node.do(node.core.resume(self.net.now))

        self.guarded(place, look)

    def _settle(self) -> None:
        wait = self.rng.choice((2, 60, 3_600)) if not self.healed else 60
        self.clock.after(wait * 1_000, self._settle)
        if not self.net.chains.waiting:
            return
        self.net.chains.settle()
        for place in range(len(self.net.nodes)):
            self.clock.after(self.rng.randrange(60_000), self._sees_ledger, place)

    def _sees_ledger(self, place: int) -> None:
        if place in self.down or place in self.away:
            self.clock.after(60_000, self._sees_ledger, place)
            return
        node = self.net.nodes[place]

        def look() -> None:
            node.do(node.core.look_at_ledger(self.net.now))
            node.do(node.core.look_at_fundings(self.net.now))

        self.guarded(place, look)

    # --- letters --------------------------------------------------------------------------------

    def _send_off(self) -> None:
        letters, self.net.letters = self.net.letters, []
        for letter in letters:
            self.count("letters")
            self.clock.after(self._way(), self._arrives, letter)
            if self.rng.random() < self.plan.double:
                self.count("letters that come twice")
                self.clock.after(self._way() + self._way(), self._arrives, letter)

    def _way(self) -> int:
        slow = 5 if self.healed else self.plan.slow_s
        return self.rng.randrange(slow * 1_000)

    def _arrives(self, letter: Letter) -> None:
        place = next(n for n, node in enumerate(self.net.nodes) if node.coop.id == letter.to_coop)
        sender = next(
            n for n, node in enumerate(self.net.nodes) if node.coop.id == letter.from_coop
        )
        here = place not in self.away and sender not in self.away
        if here and self.guarded(place, lambda: self.net.deliver(letter)):
            self.delivered.append((self.clock.now_ms, place, letter))
        else:
            # The post keeps it until the addressee's node has it for good.
            self.clock.after(self.rng.randrange(60_000, 3_600_000), self._arrives, letter)

    # --- faults ---------------------------------------------------------------------------------

    def _cut(self, place: int, seconds: int) -> None:
        self.clock.note("away", place)
        self.count("coops away for a while")
        self.away.add(place)
        self.clock.after(seconds * 1_000, self.away.discard, place)

    def _dies_soon(self, place: int, effects: int) -> None:
        if not self.healed:
            self.left[place] = effects

    def _dies_at_commit(self, place: int, commits: int, after: bool) -> None:
        if not self.healed:
            self.stores[place].after, self.stores[place].left = after, commits

    def _backed_up(self, place: int) -> None:
        kept = copy.deepcopy(self.stores[place])
        self.clock.after(self._moment() // 2, self._put_back, place, kept, self.clock.now_ms)

    def _put_back(self, place: int, kept: DyingStore, since_ms: int) -> None:
        if self.healed or place in self.down:
            return
        self.clock.note("put back", place)
        self.count("nodes put back from a backup")
        self.restored.add(place)
        self.checkers.forgot(place)
        kept.left = None
        node = self.net.nodes[place]
        self.stores[place] = kept
        node.store = kept
        node.restarted()
        self.guarded(place, lambda: node.do(node.core.resume(self.net.now)))
        # As post offices do for an office that comes back without what it had (spec/08-letters).
        for at_ms, to, letter in self.delivered:
            if to == place and at_ms >= since_ms:
                self.clock.after(self._way(), self._arrives, letter)

    # --- people ---------------------------------------------------------------------------------

    def _open(self) -> None:
        asks, gives = self.rng.sample(self.members, 2) if len(self.members) > 1 else (None, None)
        if asks is None or gives is None:
            return
        self._opens(self.rng.choice((asks, gives)), asks, gives)

    def _open_bundle(self, number: int) -> None:
        if len(self.members) < 3:
            return
        asks, *providers = self.rng.sample(self.members, 3)
        bundle = self.net.world.derive(f"bundle {number}", 32)
        for node in self.net.nodes:
            node.records.bundles[bundle] = [provider.author for provider in providers]
        for provider in providers:
            self._opens(asks, asks, provider, bundle=bundle)

    def _opens(self, who: Member, asks: Member, gives: Member, **fields: Any) -> None:
        place = self._place(who)

        def open_it() -> None:
            self.net.nodes[place].act(
                who, "opening", requester=asks.author, provider=gives.author,
                title="Jardinage", lang="fr", **fields,
            )  # fmt: skip

        if not self.guarded(place, open_it) and not self.healed:
            # As people do: what was not answered is tried again.
            self.clock.after(DOWN_S * 1_000, self._opens, who, asks, gives)

    def _place(self, member: Member) -> int:
        return next(n for n, node in enumerate(self.net.nodes) if node.coop is member.coop)

    def _somebody_acts(self) -> None:
        who = self.rng.choice(self.members)
        place = self._place(who)
        node = self.net.nodes[place]
        if place in self.down:
            return
        self.net.now = self.clock.now_ms // 1_000
        rows = node.store.find(Query(authors=(who.author,), limit=100))
        if not rows:
            return
        exchange = self.rng.choice(sorted(row.id for row in rows))
        state = node.state(exchange)
        wrong = self.rng.random() < self.plan.wrong
        doing = wish(self.rng, self.net, state, who, wrong=wrong)
        if doing is not None:
            self.guarded(place, lambda: self._does(node, who, state, doing))

    def _does(self, node: CoopNode, who: Member, state: Exchange, doing: Doing) -> None:
        before = node.snapshot()
        self.clock.note(who.author[33:], doing.kind, state.id, state.phase)
        try:
            if doing.kind == "evaluation":
                evaluated(self.net, node, who, state)
            else:
                node.act(who, doing.kind, state.id, **doing.fields)
        except StepRefused as refusal:
            self.count(f"refused: {refusal.facts.get('reason')}")
            self.checkers.unchanged(before, node)
        except MaillonError as refusal:
            self.count(f"refused: {refusal.code}")
            self.checkers.unchanged(before, node)
        else:
            self.count(f"steps: {doing.kind}")
