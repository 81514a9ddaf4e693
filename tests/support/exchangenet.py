"""Whole exchanges in one process: real engines, cores and letters, and a model of accounts."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from maillon.node.engine.exchange import ExchangeCore, Setup, notes
from maillon.node.engine.exchange.ports import (
    Ask,
    Effect,
    ExchangeStore,
    Fault,
    Happened,
    Ordered,
    Post,
    Release,
    Transfer,
    Unsigned,
    Wanted,
)
from maillon.node.engine.exchange.writing import Signer
from maillon.node.store.exchangememory import MemoryExchangeStore
from maillon.protocol.encoding import decode, encode
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import LocalError, MaillonError, RemoteError
from maillon.protocol.exchange import Exchange
from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.letters import open_letter, seal, thread_id
from maillon.protocol.records import DAY_S, build, terms, thing_id
from support.engines import Rig
from support.world import Coop, Member, World

HOUR: Mapping[str, Any] = {"kind": "amount", "unit": "heure", "amount": 60}
FALLBACK: Mapping[str, Any] = {"name": "Desk of the coop", "phone": "+33 4 75 00 00 00"}


class Chains:
    """A model of all coops' accounts: orders take effect when `settle` is called."""

    def __init__(self) -> None:
        self.transfers: dict[bytes, Transfer] = {}
        self.waiting: dict[bytes, bytes] = {}
        self.numbers = itertools.count(1)
        """Orders differ although they say the same, as real ones do by the time they end."""
        self.last: dict[bytes, int] = {}
        """The number of the last order of an account: one that is not above it is stale."""
        self.unread = False
        """Nobody has read yet which numbers were taken."""
        self.counting: tuple[str, ...] = ("savoir",)
        self.refuse: set[bytes] = set()
        """Payers whose orders are refused."""

    def place(self, data: bytes) -> None:
        """Take an order in; the same one twice is one."""
        self.waiting[hashlib.sha256(data).digest()] = data

    def settle(self) -> int:
        """Certify what waits; return how many orders took effect."""
        done = 0
        waiting, self.waiting = self.waiting, {}
        for digest, data in waiting.items():
            what, payer, payee, unit, amount, ref, order, expiry, number, _which = cast(
                "list[Any]", decode(data, bytes_max=1_024)
            )
            id = order or digest
            before = self.transfers.get(id)
            match what:
                case "hold" | "pay" if before is None:
                    status, reason = "held" if what == "hold" else "certified", ""
                    if number <= self.last.get(payer, 0):
                        status, reason = "refused", "stale_sequence"
                    elif payer in self.refuse:
                        status = "refused"
                    else:
                        self.last[payer] = number
                    self.transfers[id] = Transfer(
                        id, status, payer, payee, unit, amount, ref, expiry, reason,
                        final=status in ("certified", "refused"),
                    )  # fmt: skip
                case "confirm" | "release" if before is not None and before.status == "held":
                    status = "posted" if what == "confirm" else "void"
                    self.transfers[id] = replace(before, status=status, final=True)
                case _:
                    continue
            done += 1
        return done

    def paid(self, payer: bytes, payee: bytes) -> int:
        """Return what went from one to the other for good, what only counts apart."""
        return sum(
            t.amount
            for t in self.transfers.values()
            if (t.payer, t.payee) == (payer, payee)
            and t.status in ("certified", "posted")
            and t.unit not in self.counting
        )


class ModelLedger:
    """The accounts as one node sees them: it signs for its own people."""

    enabled = True

    def __init__(self, chains: Chains, coop: bytes) -> None:
        self._chains = chains
        self._coop = coop

    def transfer(self, id: bytes) -> Transfer | None:
        return self._chains.transfers.get(id)

    def unit_kind(self, code: str) -> str | None:
        return {"heure": "hours", "graine": "credit", "savoir": "count"}.get(code)

    def counting(self) -> tuple[str, ...]:
        return self._chains.counting

    def under(self, payer: bytes, ref: bytes) -> list[Transfer]:
        every = self._chains.transfers.values()
        return [one for one in every if (one.payer, one.ref) == (payer, ref)]

    def lapsed(self, data: bytes) -> bool:
        fields = cast("list[Any]", decode(data, bytes_max=1_024))
        return not self._chains.unread and fields[8] <= self._chains.last.get(fields[1], 0)

    def may_sign(self, wanted: Wanted) -> bool:
        return wanted.what == "confirm" or (
            (wanted.payee if wanted.what == "release" else wanted.payer)[1:33] == self._coop
        )

    def sign(self, wanted: Wanted, *, delegate: bytes | None = None, after: int = 0) -> Ordered:
        if not self.may_sign(wanted):
            raise LocalError("The key is elsewhere.")
        number = 0 if wanted.order else 1 + max(after, self._chains.last.get(wanted.payer, 0))
        data = encode(
            [
                wanted.what, wanted.payer, wanted.payee, wanted.unit, wanted.amount, wanted.ref,
                wanted.order, wanted.expiry, number, next(self._chains.numbers),
            ]
        )  # fmt: skip
        id = hashlib.sha256(data).digest()
        if wanted.order:
            id = notes.about_hold(wanted.what, wanted.order)
        return Ordered(id, data, number)

    def unsigned(self, wanted: Wanted, key: bytes, *, after: int = 0) -> Unsigned:
        raise LocalError("Nobody signs elsewhere here.")

    def signed(self, wanted: Wanted, key: bytes, body: bytes, signature: bytes) -> Ordered:
        raise LocalError("Nobody signs elsewhere here.")


class HeldKeys:
    """The keys of a node and of those who leave theirs with it."""

    def __init__(self, node: SigningKey) -> None:
        self.node = node
        self._held: dict[bytes, SigningKey] = {}
        self.sealing: dict[bytes, SealingKey] = {}

    def add(self, member: Member) -> None:
        self._held[member.key.public] = member.key
        self.sealing[member.sealing.public] = member.sealing

    def held(self, public: bytes) -> SigningKey | None:
        return self.node if public == self.node.public else self._held.get(public)

    def holds(self, public: bytes) -> bool:
        return public == self.node.public or public in self._held


class PublicRecords:
    """The public records of a node's engine."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.bundles: dict[bytes, list[bytes]] = {}

    def record(self, id: bytes) -> Signed | None:
        found = self._rig.store.get(id)
        return found if self._rig.store.live(id) else None

    def parts(self, bundle: bytes) -> list[bytes] | None:
        return self.bundles.get(bundle)

    def publish(self, record: bytes) -> None:
        try:
            self._rig.engine.submit(record, self._rig.now, self._rig.verify)
        except RemoteError as fault:
            if not fault.benign:
                raise


@dataclass(eq=False)
class Letter:
    """A letter between two nodes, as the post carries it."""

    to_coop: bytes
    to_key: bytes
    from_coop: bytes
    data: Any


class CoopNode:
    """A coop with an engine and a core; what it sends waits in `net.letters`."""

    def __init__(self, net: Net, place: int, store: ExchangeStore | None = None) -> None:
        self.net = net
        self.coop: Coop = net.world.coops[place]
        self.rig = Rig(net.world, place)
        self.keys = HeldKeys(self.coop.node)
        self.records = PublicRecords(self.rig)
        self.sealing = SealingKey.from_seed(net.world.derive(f"coop sealing {place}", 32))
        self.keys.sealing[self.sealing.public] = self.sealing
        self.store: ExchangeStore = MemoryExchangeStore() if store is None else store
        self.happened: list[Happened] = []
        self.faults: list[Fault] = []
        self.released: list[bytes] = []
        self.core = self.restarted()

    def restarted(self) -> ExchangeCore:
        """Return a core over what the store holds, as after a start."""
        self.core = ExchangeCore(
            Setup(
                self.net.world.founding.fed,
                self.coop.id,
                self.store,
                self.rig.engine.view,
                ModelLedger(self.net.chains, self.coop.id),
                self.keys,
                self.records,
                self.net.world.fresh,
            )
        )
        return self.core

    def do(self, effects: Sequence[Effect]) -> None:
        """Carry out what a core wants done."""
        for effect in effects:
            match effect:
                case Post():
                    self.post()
                case Ask(order):
                    note = self.store.note(notes.ORDER, order)
                    assert note is not None
                    self.net.chains.place(notes.order_note(note).data)
                    self.core.ordered(order, "waiting")
                case Release(attestation):
                    note = self.store.note(notes.KEPT, attestation)
                    assert note is not None
                    self.released.append(attestation)
                    self.net.gossip(self.rig, notes.kept_attestation(note).record)
                    self.core.published(attestation)
                case Happened():
                    self.happened.append(effect)
                case Fault():
                    self.faults.append(effect)

    def post(self) -> None:
        """Seal what is in the outbox and hand it to the post."""
        tickets: list[bytes] = []
        for note in self.store.notes(notes.OUT):
            letter = notes.out_letter(note)
            sealed = seal(
                fed=self.net.world.founding.fed,
                from_coop=self.coop.id,
                to_coop=letter.to_coop,
                to_key=letter.to_key,
                thread=thread_id(letter.exchange, letter.to_key, bytes(16)),
                n=0,
                at=self.net.now,
                until=letter.until,
                items=letter.items,
            )
            self.net.letters.append(Letter(letter.to_coop, letter.to_key, self.coop.id, sealed))
            tickets.append(letter.ticket)
        self.core.posted(tickets)

    # --- what people do ---

    def act(
        self, who: Member | None, kind: str, exchange: bytes | None = None, *,
        as_: bytes = b"", **fields: Any
    ) -> bytes:  # fmt: skip
        """Take a step with a key held here (the node's own without `who`); return its id."""
        key = self.coop.node if who is None else who.key
        signer = Signer(key.public, self.coop.id if who is None else who.coop.id, as_)
        taken, effects = self.core.act(kind, fields, signer, key, exchange, self.net.now)
        self.do(effects)
        return taken.id

    def state(self, exchange: bytes) -> Exchange:
        """Return the state of an exchange as this node sees it."""
        return self.core.state(exchange, self.net.now)

    def snapshot(self) -> tuple[object, ...]:
        """Return all that a refusal must not change."""
        rows = self.store.find(_everything())
        steps = [tuple(self.store.transcript(row.id)) for row in rows]
        spaces = (notes.OUT, notes.ORDER, notes.KEPT, notes.WAITING, notes.FUNDING)
        return rows, steps, [self.store.notes(space) for space in spaces]


def _everything() -> Any:
    from maillon.node.engine.exchange.ports import Query

    return Query(limit=100_000)


@dataclass
class Net:
    """Coops whose nodes send each other letters. Nothing moves until `run` is called."""

    coops: int = 3
    seed: str = "exchanges"
    world: World = field(init=False)
    now: int = field(init=False)
    chains: Chains = field(default_factory=Chains)
    letters: list[Letter] = field(default_factory=list[Letter])
    nodes: list[CoopNode] = field(default_factory=list[CoopNode])
    devices: dict[bytes, list[Any]] = field(default_factory=dict[bytes, list[Any]])
    """Letters to keys that no node holds, by key."""
    cut: set[bytes] = field(default_factory=set[bytes])
    """Coops whose nodes are away: letters to them wait, and they see nothing of the ledger."""
    stores: Callable[[int], ExchangeStore | None] = lambda place: None

    def __post_init__(self) -> None:
        self.world = World(self.coops, seed=self.seed)
        self.now = self.world.now
        for place in range(self.coops):
            self.nodes.append(CoopNode(self, place, self.stores(place)))
        for node in self.nodes:
            self.publish(self.world.profile(node.coop, sealing=node.sealing.public))

    def publish(self, *records: Signed) -> None:
        """Make records known to every node at once."""
        for node in self.nodes:
            node.rig.now = float(self.now)
            node.rig.submit(*records)
            node.do(node.core.identity_changed(self.now))

    def gossip(self, source: Rig, record: bytes) -> None:
        """Give a record to every node that takes it."""
        for node in self.nodes:
            node.rig.now = float(self.now)
            # A transfer that another node does not know yet makes it wait there.
            try:
                node.rig.engine.submit(record, node.rig.now, node.rig.verify)
            except MaillonError:
                if node.rig is source:
                    continue

    def member(self, place: int, name: str, *, held: bool = True, **fields: Any) -> Member:
        """Make somebody known; with `held` the node keeps their key."""
        made = self.world.make_member(place, name)
        if held:
            self.nodes[place].keys.add(made)
        custody = "node" if held else "device"
        self.publish(self.world.membership(made, custody=custody, **fields))
        return made

    def mandate(self, principal: Member | Coop, delegate: Member, *kinds: str) -> bytes:
        """Let somebody act for another; return the mandate's thing."""
        record = self.world.mandate(principal, delegate, kinds=kinds)
        self.publish(record)
        return thing_id(principal.author, record.header.series)

    def deliver(self, letter: Letter) -> None:
        """Let a letter arrive."""
        node = next(n for n in self.nodes if n.coop.id == letter.to_coop)
        key = node.keys.sealing.get(letter.to_key)
        if key is None:
            self.devices.setdefault(letter.to_key, []).append(letter.data)
            return
        items = open_letter(letter.data, key)
        reader = self.reader(node, letter.to_key)
        node.rig.now = float(self.now)
        _refused, effects = node.core.receive(items, letter.from_coop, reader, self.now)
        node.do(effects)

    @staticmethod
    def reader(node: CoopNode, key: bytes) -> bytes:
        """Return whose sealing key it is."""
        if key == node.sealing.public:
            return node.coop.author
        return next(
            info.author
            for info in node.rig.engine.view.members(node.coop.id)
            if info.sealing == key
        )

    def run(self) -> None:
        """Let letters arrive and orders take effect until nothing moves any more."""
        for _ in range(64):
            letters = [letter for letter in self.letters if letter.to_coop not in self.cut]
            for letter in letters:
                self.deliver(letter)
                # The post keeps it until the addressee's node has it for good.
                self.letters.remove(letter)
            settled = self.chains.settle()
            for node in self.nodes:
                if node.coop.id in self.cut:
                    continue
                node.do(node.core.look_at_ledger(self.now))
                node.do(node.core.look_at_fundings(self.now))
            left = [letter for letter in self.letters if letter.to_coop not in self.cut]
            if not letters and not settled and not left and not self.chains.waiting:
                return
        raise AssertionError("letters and orders go round in circles")

    def wait(self, seconds: int) -> None:
        """Let time pass, deadline by deadline."""
        end = self.now + seconds
        while True:
            wakes = [w for node in self.nodes if (w := node.core.next_wake()) is not None]
            coming = min([wake for wake in wakes if wake > self.now], default=end + 1)
            self.now = min(coming, end)
            for node in self.nodes:
                node.rig.now = float(self.now)
                node.do(node.core.tick(self.now))
            self.run()
            if self.now >= end:
                return

    # --- whole stretches of an exchange ---

    def terms(self, **fields: Any) -> dict[str, Any]:
        """Return complete terms for an hour of work tomorrow."""
        start = self.now + DAY_S
        given = {
            **HOUR,
            "minutes": 60,
            "fallback": dict(FALLBACK),
            "when": [{"slot": b"s" * 16, "start": start, "end": start + 3_600}],
            **fields,
        }
        return terms.complete({name: value for name, value in given.items() if value is not None})

    def opened(
        self, asks: Member, gives: Member, *, by: Member | None = None, **fields: Any
    ) -> bytes:
        """Open an exchange and let it arrive."""
        opener = by or asks
        exchange = self.node_of(opener).act(
            opener, "opening", requester=asks.author, provider=gives.author,
            title="Jardinage", lang="fr", **fields,
        )  # fmt: skip
        self.run()
        return exchange

    def quoted(
        self,
        asks: Member,
        gives: Member,
        *,
        valid_s: int = 7 * DAY_S,
        opening: Mapping[str, Any] | None = None,
        reserved: bool | None = None,
        **fields: Any,
    ) -> tuple[bytes, bytes]:  # noqa: E501
        """Open an exchange and quote terms; return both ids."""
        exchange = self.opened(asks, gives, **(opening or {}))
        quote = self.node_of(gives).act(
            gives, "quote", exchange, terms=self.terms(**fields),
            valid_until=self.now + valid_s, reserved=reserved,
        )  # fmt: skip
        self.run()
        return exchange, quote

    def agreed(self, asks: Member, gives: Member, **fields: Any) -> bytes:
        """Agree to an hour of work; return the exchange."""
        exchange, quote = self.quoted(asks, gives, **fields)
        self.node_of(asks).act(asks, "agreement", exchange, quote=quote)
        self.run()
        return exchange

    def done(self, asks: Member, gives: Member, **fields: Any) -> bytes:
        """Let the work be done; return the exchange."""
        exchange = self.agreed(asks, gives, **fields)
        node = self.node_of(gives)
        slot = next(s for s in node.state(exchange).slots)
        self.wait(slot.start - self.now)
        node.act(gives, "check_in", exchange, slot=slot.slot, time=self.now)
        self.wait(3_600)
        node.act(gives, "check_out", exchange, slot=slot.slot, time=self.now)
        self.run()
        return exchange

    def accepted(self, asks: Member, gives: Member, **fields: Any) -> bytes:
        """Let the work be done and accepted; return the exchange."""
        exchange = self.done(asks, gives, **fields)
        self.node_of(asks).act(asks, "acceptance", exchange)
        self.run()
        return exchange

    def node_of(self, member: Member) -> CoopNode:
        """Return the node of somebody's coop."""
        return next(node for node in self.nodes if node.coop.id == member.coop.id)

    def attest(self, node: CoopNode, who: Member, exchange: bytes, text: str) -> bytes:
        """Evaluate the other side; return the attestation's id."""
        state = node.state(exchange)
        transfer = next(p.transfer for p in state.payments if p.transfer is not None)
        other = state.provider if who.author == state.requester else state.requester
        payload = build(
            "attestation", salt=self.world.fresh(), transfer=transfer, subject=other,
            criteria={"politeness": 5}, text=text, lang="fr",
        )  # fmt: skip
        attestation = self.world.record(
            "attestation", payload, coop=who.coop, by=who.key, refs=(transfer,), at=self.now,
            days=300,
        )  # fmt: skip
        made, _ = node.core.draft(
            "evaluation", {"attestation": attestation.id},
            Signer(who.key.public, who.coop.id), exchange, self.now,
        )  # fmt: skip
        from maillon.protocol.envelope import sign

        _, effects = node.core.take(sign(made, who.key), self.now, attestation=attestation)
        node.do(effects)
        self.run()
        return attestation.id
