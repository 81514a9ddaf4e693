"""A federation under stress: coops, people and thieves, drawn from one seed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from maillon.protocol.envelope import Signed
from maillon.protocol.keys import SigningKey
from maillon.protocol.records import DAY_S, build
from simulation.check import Broken, Checker
from simulation.dealings import DEALINGS
from simulation.disk import SimDisk
from simulation.liar import LiarNode
from simulation.net import Clockwork, Net, Weather
from simulation.node import SimNode, Verifier
from simulation.plan import Person, Plan
from support.world import NOW, Coop, Member, World


class Federation:
    """Run one plan from one seed."""

    def __init__(
        self, seed: int, plan: Plan | None = None, *, keep_trace: bool = False
    ) -> None:
        self.seed = seed
        self.clock = Clockwork(f"maillon {seed}", float(NOW), keep_trace=keep_trace)
        self.rng = self.clock.rng
        self.plan = plan or Plan.draw(self.rng)
        self.world = World(self.plan.founders, seed=f"simulation {seed}")
        self.net = Net(self.clock)
        self.checker = Checker(self.world.founding)
        self.verifier = Verifier()
        self.released: list[Signed] = []
        self.people: list[Person] = []
        self.offices: dict[str, SimNode] = {}
        self.profiles: dict[str, Signed] = {}
        self.vouched: dict[bytes, Signed] = {}
        self.mandates: list[tuple[Person, Person, Signed]] = []
        self.late: list[Coop] = []
        self.done: dict[str, int] = {}
        self._found()

    # --- Beginning ------------------------------------------------------------------------------

    def _found(self) -> None:
        plan = self.plan
        for place, coop in enumerate(self.world.coops):
            self._office(coop, liar=place >= plan.founders - plan.liars)
        for place in range(plan.late_coops):
            coop = self.world.make_coop(f"late {place}")
            self.late.append(coop)
            self._office(coop, liar=False)
        self._cable()
        weather = Weather(plan.loss, plan.double, plan.latency_s, plan.stream_break)
        self.net.weather = weather

    def _office(self, coop: Coop, *, liar: bool) -> None:
        kind = LiarNode if liar else SimNode
        skew = self.rng.uniform(-self.plan.skew_s, self.plan.skew_s)
        node = kind(
            coop.name,
            coop.node,
            self.world.founding,
            self.net,
            self.checker,
            self.verifier,
            skew,
        )
        if isinstance(node, LiarNode):
            node.federation = self
            node.mood = self.rng.choice((0.0, 0.05, 0.3))
        self.offices[coop.name] = node
        self.net.nodes.append(node)

    def _cable(self) -> None:
        """Connect everybody, or a ring of the correct with a few more; liars reach all."""
        nodes = self.net.nodes
        correct = [node for node in nodes if not node.liar]
        for at, one in enumerate(nodes):
            for other in nodes[at + 1 :]:
                pair = frozenset((one.name, other.name))
                near = one.liar or other.liar
                if one in correct and other in correct:
                    gap = abs(correct.index(one) - correct.index(other))
                    near = gap in (1, len(correct) - 1) or self.rng.random() < 0.2
                if near or not self.plan.sparse:
                    self.net.pairs.add(pair)

    # --- Who and what ---------------------------------------------------------------------------

    def now_at(self, node: SimNode) -> int:
        """Return the whole second on a machine's clock."""
        return int(node.clock())

    def any_member(self) -> Member:
        """Return somebody, to be lied about."""
        if self.people:
            return self.rng.choice(self.people).member
        return self.world.make_member(0, "nobody yet")

    def some_offer(
        self,
        member: Member,
        *,
        by: SigningKey | None = None,
        fed: bytes | None = None,
        days: int = 20,
        **header: Any,
    ) -> Signed:
        """Make an offer that has never been before."""
        header.setdefault("at", int(self.clock.now))
        if fed is not None:
            payload = build("offer", salt=self.world.fresh(), **_offer_fields("Foreign"))
            return self.world.record(
                "offer", payload, coop=member.coop, by=by or member.key, fed=fed, **header
            )
        return self.world.offer(member, by=by, days=days, **header)

    def give(self, node: SimNode, signed: Signed, why: str) -> bool:
        """Hand a record of our people to a machine; say whether it was taken."""
        self.clock.note("give", node.name, why, signed.id)
        self.released.append(signed)
        for liar in self.net.nodes:
            if isinstance(liar, LiarNode) and self.rng.random() < 0.1:
                liar.forestall(signed)
        crashes = node.crashes
        fault = node.submit(signed.encode())
        if not node.up or node.crashes != crashes:
            return False
        if not node.liar:
            self.checker.refusal(node, signed, None if fault is None else fault.code)
        name = f"{why} {'taken' if fault is None else 'refused'}"
        self.done[name] = self.done.get(name, 0) + 1
        return fault is None

    def insist(self, node: SimNode, signed: Signed, why: str) -> None:
        """Hand over a record again and again until it is taken: what a coop must say."""

        def once() -> None:
            if not node.up or not self.give(node, signed, why):
                self.clock.after(20.0, once)

        once()

    # --- The run --------------------------------------------------------------------------------

    def run(self) -> dict[str, int]:
        """Live through the plan, heal, and check. Raises: Broken."""
        plan, rng = self.plan, self.rng
        for node in self.net.nodes:
            self.clock.after(rng.uniform(0, 20), node.boot)
        for coop in self.world.coops:
            self.clock.after(rng.uniform(20, 40), partial(self.publish_profile, coop))
        for coop in self.late:
            self.clock.after(rng.uniform(60, 200), partial(self.admit, coop))
        for node in self.net.nodes:
            for place in range(plan.members):
                when = rng.uniform(45, 120)
                self.clock.after(when, partial(self.join, node, place))
        for _ in range(plan.actions):
            self.clock.after(rng.uniform(60, plan.active_s), self.act)
        for _ in range(plan.partitions):
            self.clock.after(rng.uniform(30, plan.active_s), self.cut)
        for _ in range(plan.restarts):
            self.clock.after(rng.uniform(30, plan.active_s), self.restart)
        for _ in range(plan.power_cuts):
            self.clock.after(rng.uniform(30, plan.active_s), self.arm_power_cut)
        for node in self.net.nodes:
            if isinstance(node, LiarNode):
                for _ in range(rng.randint(5, 25)):
                    self.clock.after(rng.uniform(60, plan.active_s + 120), node.rant)
        self.net.keep_trying()
        self.clock.run_until(NOW + plan.active_s)
        self.heal()
        return self.settle()

    def heal(self) -> None:
        """Mend cables and machines; set the clocks right enough."""
        self.clock.note("heal")
        self.net.weather = Weather(0.0, 0.0, 0.05, 0.0)
        self.net.island.clear()
        self.net.flapped.clear()
        for node in self.net.nodes:
            node.disk.writes_until_power_cut = None
            node.boot_again()
        self.net.refresh()

    def settle(self) -> dict[str, int]:
        """Wait until all correct machines hold the same, for an hour at most; check it."""
        healed = self.clock.now
        while True:
            self.clock.run_until(self.clock.now + 60)
            waited = self.clock.now - healed
            # Long enough for everything that was cut short to be asked for again.
            calm = self.checker.calm(int(self.clock.now), self.plan.skew_s + 10)
            if waited >= 300 and calm and self.checker.equal():
                break
            if waited > 3_600:
                raise Broken(f"not equal an hour after healing: {self.checker.difference()}")
        outcome = self.checker.final(int(self.clock.now), lossless=self.plan.tame)
        outcome["settled_s"] = int(waited)
        outcome["relays"] = self.checker.relays
        outcome["lies_punished"] = self.checker.lies_punished
        self.clock.note("settled", sorted(outcome.items()))
        return outcome

    # --- Coops ----------------------------------------------------------------------------------

    def publish_profile(self, coop: Coop) -> None:
        """Say who the coop is; insist until its node takes it."""
        node = self.offices[coop.name]
        profile = self.world.profile(coop, at=int(self.clock.now) - 200)
        self.profiles[coop.name] = profile
        self.insist(node, profile, "profile")

    def admit(self, coop: Coop) -> None:
        """Let founders admit a new coop; it introduces itself as soon as it knows."""
        for founder in self.world.coops[: self.world.founding.admission_quorum]:
            node = self.offices[founder.name]
            at = int(self.clock.now) - 150
            until = at + 900 * DAY_S
            self._admit_by(node, founder, coop, at, until)
        self.publish_profile(coop)

    def _admit_by(self, node: SimNode, founder: Coop, coop: Coop, at: int, until: int) -> None:
        def once() -> None:
            # Signed anew each time: the founder's key may have been replaced meanwhile.
            signer = replace(founder, node=node.key)
            admission = self.world.admission(signer, coop, at=at, until=until)
            if not node.up or not self.give(node, admission, "admission"):
                self.clock.after(20.0, once)

        once()

    def join(self, node: SimNode, place: int) -> None:
        """Vouch for a new member."""
        coop = next(c for c in (*self.world.coops, *self.late) if c.name == node.name)
        member = self.world.make_member(coop, f"member {place}")
        at = int(self.clock.now) - 150
        short = self.rng.random() < 0.1 and not self.plan.tame
        until = at + (int(self.rng.uniform(250, 600)) if short else 600 * DAY_S)
        person = Person(member, node, until)
        self.people.append(person)
        self.vouch(person, member, 0, at=at)

    def vouch(self, person: Person, member: Member, rev: int, **fields: Any) -> None:
        """Publish a membership or a revision of it; insist until the coop's node takes it."""
        fields.setdefault("at", int(self.clock.now) - 150)
        node = person.home
        tries = 0

        def once() -> None:
            nonlocal tries
            tries += 1
            signed = self.world.membership(
                member, rev=rev, until=person.until, by=node.key, **fields
            )
            self.vouched[member.key.public] = signed
            if signed.header.until > self.clock.now and tries < 40:
                if not node.up or not self.give(node, signed, "membership"):
                    self.clock.after(20.0, once)

        once()

    # --- People ---------------------------------------------------------------------------------

    def act(self) -> None:
        """Let somebody do something."""
        rng = self.rng
        if not self.people:
            return
        person = rng.choice(self.people)
        member = person.second if person.second and rng.random() < 0.5 else person.member
        where = person.home if rng.random() < 0.8 else rng.choice(self.net.nodes)
        if not where.up or where.liar:
            return
        acts = ["offer", "offer", "demand", "revise", "revise", "withdraw", "republish", "device"]
        acts += ["auction", "answer", "answer", "reveal", "close", "bundle", "consent"]
        if not self.plan.tame:
            acts += ["suspend", "lift", "revoke", "steal", "mandate", "delegate", "delegate"]
            acts += ["end_mandate", "rotate_node", "leave", "rename"]
        act = rng.choice(acts)
        self.clock.note("act", act, member.key.public)
        if act in DEALINGS:
            DEALINGS[act](self, person, member, where)
        else:
            getattr(self, "do_" + act)(person, member, where)

    def _until(self, person: Person, at: int) -> int:
        short = self.rng.random() < 0.2
        until = at + (int(self.rng.uniform(60, 500)) if short else 20 * DAY_S)
        return min(until, person.until)

    def do_offer(self, person: Person, member: Member, where: SimNode, kind: str = "offer") -> None:
        at = self.now_at(where)
        until = self._until(person, at)
        if until <= at:
            return
        signed = self.world.offer(member, kind=kind, at=at, until=until)
        person.untils[signed.header.series] = until
        if self.give(where, signed, kind):
            person.things.append(signed)

    def do_demand(self, person: Person, member: Member, where: SimNode) -> None:
        self.do_offer(person, member, where, "demand")

    def do_revise(self, person: Person, member: Member, where: SimNode) -> None:
        if not person.things:
            return
        place = self.rng.randrange(len(person.things))
        old = person.things[place]
        at = self.now_at(where)
        until = max(person.untils.get(old.header.series, 0), self._until(person, at))
        if old.header.kind == "withdrawal" or not at < until <= at + 100 * DAY_S:
            return
        signed = self.world.offer(
            member,
            f"Revised {self.world.count}",
            kind=old.header.kind,
            at=at,
            until=until,
            rev=old.header.rev + 1,
            series=old.header.series,
        )
        person.untils[signed.header.series] = until
        # Each device has its own idea of the last revision: two may make the same number.
        if self.give(where, signed, "revise") and self.rng.random() < 0.7:
            person.things[place] = signed

    def do_withdraw(self, person: Person, member: Member, where: SimNode) -> None:
        if not person.things:
            return
        old = self.rng.choice(person.things)
        at = self.now_at(where)
        if old.header.kind == "withdrawal" or old.header.until <= at:
            return
        signed = self.world.withdrawal(
            old, member.key, member.coop, at=at, until=person.untils[old.header.series]
        )
        if self.give(where, signed, "withdraw") and self.rng.random() < 0.7:
            person.things.remove(old)

    def do_republish(self, person: Person, member: Member, where: SimNode) -> None:
        """Send an old thing of one's own again, as a device that was offline does."""
        if person.things:
            node = self.rng.choice(self.checker.correct())
            if node.up:
                self.give(node, self.rng.choice(person.things), "republish")

    def do_device(self, person: Person, member: Member, where: SimNode) -> None:
        """Give a person a second device."""
        if person.second is None:
            device = self.world.make_member(
                person.member.coop, f"{person.member.name} two", person=person.member.name
            )
            person.second = device
            self.vouch(person, device, 0)

    # --- What goes wrong among people -----------------------------------------------------------

    def do_suspend(self, person: Person, member: Member, where: SimNode) -> None:
        person.rev += 1
        self.vouch(person, member, person.rev, status="suspended", at=self.now_at(person.home))

    def do_lift(self, person: Person, member: Member, where: SimNode) -> None:
        person.rev += 1
        self.vouch(person, member, person.rev, at=self.now_at(person.home))

    def do_rename(self, person: Person, member: Member, where: SimNode) -> None:
        person.rev += 1
        roles = ["member", "provider"]
        self.vouch(person, member, person.rev, roles=roles, at=self.now_at(person.home))

    def do_revoke(self, person: Person, member: Member, where: SimNode) -> None:
        """End a key: from now on, from some time ago, or but for a few records."""
        at = self.now_at(person.home)
        ended: dict[str, Any] = {
            "reason": self.rng.choice(("lost", "stolen", "left", "rotated")),
            "until_at": at - self.rng.choice((0, 30, 200)),
        }
        if self.rng.random() < 0.4:
            ended["keep"] = [signed.id for signed in person.things[:2]]
        person.rev += 1
        self.vouch(person, member, person.rev, status="revoked", revoked=ended, at=at)

    def do_leave(self, person: Person, member: Member, where: SimNode) -> None:
        """Withdraw a membership as a whole."""
        old = self.vouched.get(member.key.public)
        if old is None:
            return
        at = self.now_at(person.home)
        if old.header.until > at and person.home.up:
            coop = member.coop
            signed = self.world.withdrawal(
                old, person.home.key, coop, at=at, until=old.header.until, rev=person.rev + 1
            )
            person.rev += 1
            self.give(person.home, signed, "leave")

    def do_steal(self, person: Person, member: Member, where: SimNode) -> None:
        """Use somebody else's key: new things, things of the past, over what is there."""
        person.stolen = True
        rng = self.rng
        at = self.now_at(where) - rng.choice((0, 0, 50, 400))
        things = [thing for thing in person.things if thing.header.kind != "withdrawal"]
        over = rng.choice(things) if things and rng.random() < 0.6 else None
        until = max(self._until(person, at), over.header.until if over else 0)
        if not at < until <= at + 100 * DAY_S:
            return
        if over is not None and rng.random() < 0.4:
            signed = self.world.withdrawal(over, member.key, member.coop, at=at, until=until, rev=9)
        else:
            signed = self.world.offer(
                member,
                "Stolen",
                at=at,
                until=until,
                kind=over.header.kind if over else "offer",
                rev=rng.choice((1, 7, 2**31 - 1)) if over else 0,
                series=over.header.series if over else None,
            )
        self.give(where, signed, "steal")

    def do_mandate(self, person: Person, member: Member, where: SimNode) -> None:
        """Let somebody of any coop act for a person."""
        delegate = self.rng.choice(self.people)
        at = self.now_at(where) - 100
        if delegate is person or person.until - at < 30 * DAY_S:
            return
        signed = self.world.mandate(
            person.member, delegate.member, kinds=("offer",), at=at, days=20, end=at + 10 * DAY_S
        )
        if self.give(where, signed, "mandate"):
            self.mandates.append((person, delegate, signed))

    def do_delegate(self, person: Person, member: Member, where: SimNode) -> None:
        """Publish for somebody else, under a mandate."""
        if not self.mandates:
            return
        principal, delegate, mandate = self.rng.choice(self.mandates)
        at = self.now_at(where)
        thing = self.world.mandate_thing(principal.member, mandate)
        until = min(self._until(delegate, at), mandate.header.until)
        if until <= at:
            return
        old = self.rng.choice(principal.things) if principal.things else None
        if old is not None and old.header.kind == "offer" and self.rng.random() < 0.5:
            until = max(until, old.header.until)
            signed = self.world.offer(
                delegate.member,
                "For somebody",
                at=at,
                until=until,
                rev=old.header.rev + 1,
                series=old.header.series,
                as_=thing,
            )
        else:
            signed = self.world.offer(
                delegate.member, "For somebody", at=at, until=until, as_=thing
            )
        if self.give(where, signed, "delegate"):
            principal.things.append(signed)
            principal.untils.setdefault(signed.header.series, until)

    def do_end_mandate(self, person: Person, member: Member, where: SimNode) -> None:
        """Revoke a mandate, or withdraw it."""
        if not self.mandates:
            return
        place = self.rng.randrange(len(self.mandates))
        principal, delegate, old = self.mandates[place]
        at = self.now_at(where)
        if self.rng.random() < 0.5:
            until = old.header.until
            signed = self.world.withdrawal(
                old, principal.member.key, principal.member.coop, at=at, until=until
            )
            self.give(where, signed, "end mandate")
            return
        signed = self.world.mandate(
            principal.member,
            delegate.member,
            at=at,
            rev=old.header.rev + 1,
            series=old.header.series,
            start=old.header.at,
            end=old.header.at + 10 * DAY_S,
            revoked=True,
            until_at=at - self.rng.choice((0, 100)),
        )
        if self.give(where, signed, "revoke mandate"):
            self.mandates[place] = (principal, delegate, signed)

    def do_rotate_node(self, person: Person, member: Member, where: SimNode) -> None:
        """Replace a coop's node key: say so first, then come back with the new one."""
        node = person.home
        old = self.profiles.get(node.name)
        if old is None or not node.up or self.rng.random() < 0.5:
            return
        assert old.payload is not None
        if old.payload["node_key"] != node.key.public:
            return  # one replacement at a time
        coop = member.coop
        at = self.now_at(node)
        key = SigningKey.from_seed(self.world.fresh(32))
        previous: list[Any] = list(old.payload.get("previous", []))  # type: ignore[arg-type]  # a list
        # A founder's admissions would go with a key that ends in the past, and coops with them.
        back = 0 if coop.founder else self.rng.choice((0, 0, 120))
        previous.append({"key": node.key.public, "until_at": at - back})
        profile = self.world.profile(
            coop,
            node=key,
            rev=old.header.rev + 1,
            at=at,
            until=old.header.until,
            previous=previous,
        )
        if not self.give(node, profile, "rotate"):
            return
        self.profiles[node.name] = profile

        def switch() -> None:
            # Whoever has not heard of the new key takes it for a stranger: somebody has to have.
            others = [other for other in self.checker.correct() if other is not node]
            told = any(other.disk.live(profile.id) for other in others)
            if not node.up or not (told or not others):
                self.clock.after(15.0, switch)
                return
            node.down()
            del self.net.by_key[node.key.public]
            node.key = key
            node.boot()

        self.clock.after(10.0, switch)

    # --- Weather --------------------------------------------------------------------------------

    def cut(self) -> None:
        """Cut the federation in two for a while, or one cable for a moment."""
        rng = self.rng
        if rng.random() < 0.5:
            for node in self.net.nodes:
                self.net.island[node.name] = rng.randint(0, 1)
            self.clock.after(rng.uniform(20, 200), self.join_islands)
        else:
            pairs = sorted(sorted(pair) for pair in self.net.pairs)
            if pairs:
                seconds = rng.uniform(1, 60)
                pair = frozenset(rng.choice(pairs))
                self.net.flapped[pair] = self.clock.now + seconds
                self.clock.after(seconds + 0.01, self.net.refresh)
        self.clock.note("cut")
        self.net.refresh()

    def join_islands(self) -> None:
        """Mend the cut."""
        self.net.island.clear()
        self.net.refresh()

    def restart(self) -> None:
        """Switch a machine off, and on again later."""
        node = self.rng.choice(self.net.nodes)
        if node.up:
            node.down()
            self.clock.after(self.rng.uniform(1, 90), node.boot_again)

    def arm_power_cut(self) -> None:
        """Let a machine lose power in one of its next writes."""
        node = self.rng.choice(self.net.nodes)
        disk: SimDisk = node.disk
        disk.writes_until_power_cut = self.rng.randint(0, 12)


def _offer_fields(title: str) -> dict[str, Any]:
    return {
        "title": title,
        "text": title,
        "lang": "fr",
        "categories": ["jardin"],
        "mode": ["remote"],
        "reciprocity": {"kind": "free"},
    }
