"""A node's machine around the real book, witness and writers: what the node's own glue does.

Events go to the state machines, several in a run. What they decide is written, and only then sent,
but for what the writers ask: that leaves first. The power may go before anything has left, after
that and before the write, between the two files, or after the write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from maillon.ledger import messages as wire
from maillon.ledger import steps
from maillon.ledger.block import Block
from maillon.ledger.build import EntryWish, OrderWish, Wish, arrivals
from maillon.ledger.charter import approve, decode_proposal
from maillon.ledger.charter_entries import CharterEntry
from maillon.ledger.entries import Confirmation, Entry, Post
from maillon.ledger.errors import LedgerError
from maillon.ledger.fraud import fraud_hash
from maillon.ledger.messages import Message
from maillon.ledger.opener import CharterSource
from maillon.ledger.orders import Order
from maillon.ledger.signing import COMMIT, VOTE
from maillon.ledger.sources import AdoptionSource, Source
from maillon.ledger.steps import Step
from maillon.ledger.writer import Writer, WriterSettings
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SigningKey
from simulation.ledger.disk import PowerCut
from simulation.ledger.keys import Salts, same_key
from simulation.ledger.liars import LyingWriter, blocks_to_lie_with
from simulation.ledger.model import plain
from simulation.ledger.power import SYNC_MS, Powered
from simulation.ledger.runs import Leaving, Run, require_durable, shows_vote

if TYPE_CHECKING:
    from simulation.ledger.stage import Coop

RESTART_MS = 8_000
_BLOCKS = ("block", "head")


class Machine(Powered):
    """A running node of a coop, or one of its two instances, or a witness alone."""

    # --- Writers --------------------------------------------------------------------------------

    def start_writers(self) -> None:
        """Start to write on the chains this coop may write on."""
        if not self.up or not self.writes:
            return
        latest = self.book.charter.latest
        mine = self.writer_key.public
        chains = [chain for chain in self.book.chains() if mine in latest.writers(chain)]
        if mine in latest.writers(self.book.fed):
            chains.append(self.book.fed)
        for chain in chains:
            if chain not in self.writers and self._wanted(chain):
                self._start_writer(chain)
        for chain in list(self.writers):
            if chain not in chains:
                del self.writers[chain]

    def _wanted(self, chain: bytes) -> bool:
        if chain == self.coop.id or chain == self.book.fed:
            return True
        return self.world.needs_trustee(chain)

    def _start_writer(self, chain: bytes) -> None:
        rng, book = self.world.rng, self.book
        salts = Salts(rng.randbytes(16))
        source: Source | None = None
        if chain == book.fed:
            source = CharterSource(book, self.coop.id)
        elif chain != self.coop.id:
            source = AdoptionSource(book, chain, salts)
            self.world.count("trustees' writers started")
        writer = Writer(
            book,
            chain,
            self.writer_key,
            rng.randbytes(16),
            verify=self.world.verify,
            salt=salts,
            seed=rng.randbytes(16),
            own=self.witness_key,
            disk=self.disk,
            source=source,
            settings=WriterSettings(eager=chain == self.coop.id),
        )
        self.writers[chain] = writer
        self.do(lambda: writer.start(self.now), chain)
        if self.coop.crook and chain == self.coop.id:
            self.liars[chain] = LyingWriter(book, chain, self.writer_key, rng)
            self.world.clock.after(500, self._lie, chain, self.starts)

    def charter_news(self) -> None:
        """Take up a new writer key once the charter names it (the coop put it in place)."""
        if self.writer_key.public != self.coop.writer.public and not self.over:
            self.writer_key = same_key(self.coop.writer, self._on_sign)
            if self.up:
                self.power_off(1_000)

    # --- Doing what the machines decide ---------------------------------------------------------

    def do(
        self, event: Callable[[], Step], chain: bytes, asker: Machine | None = None
    ) -> None:
        """Let a machine decide something; write it, then send it, unless the power goes."""
        if not self.up:
            return
        if self._run is not None:
            self._follow(self._run, event(), chain, asker)
            return
        self._in_a_run(lambda run: self._follow(run, event(), chain, asker))

    def _in_a_run(self, decide: Callable[[Run], None]) -> None:
        starts, run = self.starts, Run()
        self._run = run
        decide(run)
        self._inner_traffic(run)
        self._run = None
        if not self._commit(run):
            return
        for notice, chain in run.notices:
            if self.up and self.starts == starts:
                self._notice(notice, chain)
        if self.up and self.starts == starts:
            blocks = any(write.space in _BLOCKS for write in run.writes)
            if blocks:
                self.news()
            if blocks or run.own:
                # What a witness answers others changes nothing for the writers here.
                self._plan_wake()

    def _follow(self, run: Run, step: Step, chain: bytes, asker: Machine | None) -> None:
        """Stage what a step writes, so that the next step of the run sees it."""
        self.disk.stage(step.writes)
        run.writes += step.writes
        run.notices += [(notice, chain) for notice in step.notices]
        run.own = run.own or asker is None
        for send in step.sends:
            if self._inside and self.witness is not None and send.to == self.witness_key:
                run.local.append(send.message)
            else:
                run.send(send, chain, asker)

    def _inner_traffic(self, run: Run) -> None:
        while run.local and self.witness is not None:
            message = run.local.popleft()
            chain: bytes = getattr(message, "chain", b"")
            self._saw(message)
            step = self.witness.handle(self.coop.id, message, self.now)
            answers = [send.message for send in step.sends if send.to == b""]
            others = tuple(send for send in step.sends if send.to != b"")
            self._follow(run, Step(step.writes, others, step.notices), chain, None)
            for answer in answers:
                run.said_inside(answer)
                self._answered(self, answer)

    def _commit(self, run: Run) -> bool:
        """Let go what may leave early, write, and send the rest; False when the power goes."""
        rng, writes = self.world.rng, bool(run.writes)
        how = self.crash_at if writes else ""
        if how == "before":
            self.power_off(RESTART_MS)
            return False
        cut = how == "early" and bool(run.early)
        # The power may go between two messages as well.
        early = run.early[: rng.randint(1, len(run.early))] if cut else run.early
        self._leave_early(early)
        self.world.count("messages that left before their commit", len(early))
        self.disk.cut_before = cut
        self.disk.cut_after_ledger = how == "between"
        try:
            self.disk.flush()
        except PowerCut:
            if early:
                self.world.count("power cuts that lost a run whose messages had left")
            if self.disk.cut_after_ledger:
                self._show_what_is_kept(run)
            self.power_off(RESTART_MS)
            return False
        signed, self._signed = self._signed, []
        for key, purpose, body in signed:
            self.world.observer.signed(key, purpose, body)
        after = self.crash_at == "after" and bool(run.sends)
        sends = run.sends[: rng.randrange(len(run.sends))] if after else run.sends
        for send, chain, asker in sends:
            self._send(send, chain, asker)
        if after:
            self.power_off(RESTART_MS)
        return not after

    def _show_what_is_kept(self, run: Run) -> None:
        """Tell the observer what was signed here for blocks that ledger.db holds as certified.

        It has not left, and votes.db has lost it; but it stands in their certificates.
        """
        kept = {
            (write.key[:32], int.from_bytes(write.key[32:], "big"))
            for write in run.writes
            if write.space == "block" and write.value is not None
        }
        for key, purpose, body in self._signed:
            if purpose == COMMIT:
                _, chain, h, _, _ = plain(body[32:])
                if (chain, h) in kept:
                    self.world.observer.signed(key, purpose, body)

    def _leave_early(self, early: Sequence[Leaving]) -> None:
        """Send before the commit, and tell the observer of the signatures that leave so."""
        if not early:
            return
        fed, mine = self.book.fed, self.writer_key.public
        voted = [b for k, purpose, b in self._signed if k == self.witness_key and purpose == VOTE]
        for key, purpose, body in self._signed:
            if key == mine or any(
                purpose == VOTE and shows_vote(send.message, fed, body) for send, _, _ in early
            ):
                self.world.observer.signed(key, purpose, body)
        self._signed = [said for said in self._signed if said[0] != mine]
        for send, chain, asker in early:
            if not (self.liar or self.coop.crook or self.coop is self.world.amnesiac):
                require_durable(send.message, self.disk, self.witness_key, voted, fed)
            self._send(send, chain, asker)

    def _send(self, send: steps.Send, chain: bytes, asker: Machine | None) -> None:
        world = self.world
        other = asker if send.to == b"" else world.by_witness.get(send.to)
        message = send.message
        if other is None:
            return
        self._saw(message)
        if world.plan.wire:
            message = wire.decode_message(wire.encode_message(message))
        world.net.carry(self.number, other.number, other.receive, self, message, send.to == b"")

    def _saw(self, message: Message) -> None:
        if isinstance(message, wire.Propose):
            block = message.block
            self.world.observer.saw(block.hash, block.header.encoded, block.body.encode())

    def receive(self, sender: Machine, message: Message, answer: bool) -> None:
        """Take a message from the network, at once or with the next run."""
        if not self.up:
            return
        if not self._run_ms:
            self._received(sender, message, answer)
            return
        if not self._inbox:
            self.world.clock.after(self._run_ms, self._read_inbox, self.starts)
        self._inbox.append((sender, message, answer))

    def _read_inbox(self, starts: int) -> None:
        if not self.up or starts != self.starts:
            return
        inbox, self._inbox = self._inbox, []
        if len(inbox) > 1:
            self.world.count("runs of several messages")

        def decide(run: Run) -> None:
            run.own = False
            for sender, message, answer in inbox:
                self._received(sender, message, answer)
                self._inner_traffic(run)

        self._in_a_run(decide)

    def _received(self, sender: Machine, message: Message, answer: bool) -> None:
        self.world.clock.note(
            sender.number, self.number, type(message).__name__, getattr(message, "chain", b"")
        )
        if answer:
            self._answered(sender, message)
        else:
            self._asked(sender, message)

    def _asked(self, sender: Machine, message: Message) -> None:
        chain: bytes = getattr(message, "chain", b"")
        if isinstance(message, wire.Proposal):
            self._proposal(message)
            return
        witness = self.witness
        if witness is None:
            # No witness here; but blocks and heads are anybody's to give.
            if isinstance(message, wire.Get | wire.AskHeads):
                self.do(lambda: self._serve(message), chain, sender)
            return
        self.do(lambda: witness.handle(sender.coop.id, message, self.now), chain, sender)

    def _answered(self, sender: Machine, message: Message) -> None:
        if isinstance(message, wire.Heads):
            self._heads(sender, message)
            return
        if isinstance(message, wire.Blocks):
            self._blocks(sender, message)
            return
        if isinstance(message, wire.Ack | wire.Done | wire.Ok | wire.Failure) and not isinstance(
            message, wire.Done
        ):
            return
        chain: bytes = getattr(message, "chain", b"")
        if isinstance(message, wire.Lock):
            chain = message.votes.chain
        key = sender.witness_key
        if isinstance(message, wire.Vote) and message.witness == key:
            held = self.echoes.get((key, chain), 0)
            self.echoes[(key, chain)] = max(held, message.counter)
        liar = self.liars.get(chain)
        if liar is not None:
            self.do(lambda: liar.handle(key, message, self.now), chain)
        writer = self.writers.get(chain)
        if writer is not None:
            self.do(lambda: writer.handle(key, message, self.now), chain)

    # --- Catching up ----------------------------------------------------------------------------

    def _sync(self, starts: int) -> None:
        if not self.up or starts != self.starts:
            return
        others = [m for m in self.world.machines if m is not self and m.up]
        if others:
            other = self.world.rng.choice(others)
            self._tell(other, self.catchup.ask())
            for gathered in self.book.charter.proposals():
                pairs = gathered.approvals
                self._tell(other, wire.Proposal(gathered.proposal.encode(), pairs))
        self.world.clock.after(SYNC_MS, self._sync, starts)

    def _tell(self, other: Machine, message: Message) -> None:
        self.world.net.carry(self.number, other.number, other.receive, self, message, False)

    def _heads(self, sender: Machine, message: wire.Heads) -> None:
        # Only a hint: what it leads to is certified or not taken.
        self.do(lambda: self.catchup.take_heads(message, sender.witness_key), self.book.fed)

    def _fetch(self, chain: bytes, other: Machine) -> None:
        low = self.book.head(chain).h + 1
        self._tell(other, wire.Get(chain, low, low + 15))

    def _blocks(self, sender: Machine, message: wire.Blocks) -> None:
        def take() -> Step:
            try:
                return self.catchup.take(message.blocks, sender.witness_key)
            except MaillonError as error:
                self.world.count("blocks refused when fetched")
                self.world.clock.note(self.name, "refuses", message.chain, error.code)
                return Step()

        self.do(take, message.chain)

    def take(self, block: Block) -> None:
        """Take over a certified block that somebody has brought."""
        self.do(lambda: self.catchup.take((block,)), block.chain)

    def _serve(self, message: wire.Get | wire.AskHeads) -> Step:
        answer = (
            self.catchup.blocks(message)
            if isinstance(message, wire.Get)
            else self.catchup.heads(message)
        )
        return Step(sends=(steps.Send(b"", answer),))

    # --- News -----------------------------------------------------------------------------------

    def news(self) -> None:
        """Look at what is certified here now: check it, find what is sent to this coop."""
        book, world = self.book, self.world
        fresh = False
        for chain in [book.fed, *book.chains()]:
            head = book.head(chain)
            seen = self.seen.get(chain, 0)
            if head.h == seen:
                continue
            for h in range(min(seen, head.h) + 1, head.h + 1):
                if not self.liar:
                    world.observer.head(self.name, chain, h, book.hash_at(chain, h))
            self.seen[chain] = head.h
            if chain == book.fed:
                world.clock.after(1, world.charter_known, head.h)
                world.clock.after(1, self.start_writers)
            fresh = True
        if fresh and self.writes:
            world.clock.after(1, self._offer_messages_later, self.starts)

    def _offer_messages_later(self, starts: int) -> None:
        if self.up and starts == self.starts:
            self._offer_messages()

    def _offer_messages(self) -> None:
        """Let the writers look at what came; now and then offer what was taken already."""
        chain = self.coop.id
        if chain not in self.writers or chain not in self.book.chains():
            return
        for wish in arrivals(self.book, chain):
            self.taken.append(wish)
        if self.taken and self.world.rng.random() < 0.3:
            self.submit(self.world.rng.choice(self.taken))
        for other in list(self.writers):
            self._tick(other)

    # --- Wishes ---------------------------------------------------------------------------------

    def submit(self, wish: Wish) -> None:
        """Hand a wish to the writer of the own chain."""
        writer = self.writers.get(self.coop.id)
        if writer is not None:
            self.do(lambda: writer.submit(wish, self.now), self.coop.id)

    def wish(self, entry: Entry) -> None:
        """Wish for an entry of the coop's own."""
        self.submit(EntryWish(entry))

    def order(self, order: Order) -> None:
        """Take a member's order."""
        self.submit(OrderWish(order))

    def post(self, account: bytes, hold: bytes, confirmation: Confirmation) -> None:
        """Wish to post a hold."""
        body = self.book.hold_body(self.coop.id, hold) or b""
        self.wish(Post(account, hold, confirmation, 0, body))

    def confirm(self, chain: bytes, hold: bytes, confirmation: Confirmation) -> None:
        """Show all witnesses a confirmation."""
        if not self.up:
            return
        self.world.count("confirmations shown")
        for machine in self.world.machines:
            if machine.up and machine.witness is not None:
                self._tell(machine, wire.Confirm(chain, hold, confirmation))

    # --- The charter ----------------------------------------------------------------------------

    def propose(
        self, entries: Sequence[CharterEntry], voters: Sequence[Coop], *, enough: bool
    ) -> None:
        """Make a proposal, approved by some coops, and begin to open the charter's chain."""
        if not self.up:
            return
        charter = self.book.charter
        try:
            proposal = charter.propose(entries)
        except LedgerError as error:
            self.world.count(f"charter proposals refused: {error.facts.get('reason')}")
            return
        approvals = [
            approve(self.book.fed, proposal.hash, c.id, cast(SigningKey, c.writer)) for c in voters
        ]
        if not approvals:
            return
        self._proposal(wire.Proposal(proposal.encode(), tuple(approvals)))

    def _proposal(self, message: wire.Proposal) -> None:
        def keep() -> Step:
            try:
                found = decode_proposal(message.proposal)
                return Step(writes=self.book.charter.keep(found, message.approvals))
            except MaillonError:
                return Step()

        self.do(keep, self.book.fed)
        self.start_writers()

    # --- Time -----------------------------------------------------------------------------------

    def _plan_wake(self) -> None:
        now = self.now
        for chain, writer in list(self.writers.items()):
            at = writer.next_wake(now)
            if at is None:
                continue
            at = max(at, now + 1)
            planned = self._wakes.get(chain, 0)
            if now < planned <= at:
                continue
            self._wakes[chain] = at
            self.world.clock.after((at - now) * 1_000, self._wake, chain, self.starts, at)

    def _wake(self, chain: bytes, starts: int, at: int) -> None:
        if not self.up or starts != self.starts or self._wakes.get(chain) != at:
            return
        self._wakes.pop(chain)
        self._tick(chain)
        writer = self.writers.get(chain)
        if self.up and writer is not None:
            again = writer.next_wake(self.now)
            if again is not None and again <= self.now:
                # A node that slept until then would not sleep at all.
                self.world.count("wakes asked for in the past, after a tick")
                self.world.clock.note(self.name, "wake in the past", chain, writer.status.phase)

    def _tick(self, chain: bytes) -> None:
        writer = self.writers.get(chain)
        if self.up and writer is not None:
            self.do(lambda: writer.tick(self.now), chain)

    # --- Notices --------------------------------------------------------------------------------

    def _notice(self, notice: steps.Notice, chain: bytes) -> None:
        world = self.world
        name = type(notice).__name__
        if isinstance(notice, steps.Fraud):
            self._fraud(notice)
        elif isinstance(notice, steps.NeedsBlocks):
            other = world.by_witness.get(notice.from_whom)
            if other is None:
                others = [m for m in world.machines if m is not self and m.up]
                other = world.rng.choice(others) if others else None
            if other is not None:
                self._fetch(notice.chain, other)
        elif isinstance(notice, steps.OrderRefused):
            world.count(f"refused: {notice.error.code}")
        elif isinstance(notice, steps.Stopped):
            world.witness_stopped(self)
        elif isinstance(notice, steps.OrderPlaced):
            world.count("wishes placed")
        else:
            world.count(f"notices: {name}")

    def _fraud(self, notice: steps.Fraud) -> None:
        proof = notice.proof
        world = self.world
        data = proof.encode()
        if data in self.asked:
            return
        self.asked.add(data)
        what = "writer" if type(proof).__name__ == "TwoProposals" else "witness"
        world.observer.accused(proof.accused, what)
        for machine in world.machines:
            if machine is not self and machine.up:
                self._tell(machine, wire.FraudReport(data))
        if what == "writer":
            world.convicted(proof.chain, fraud_hash(proof))

    # --- Lying ----------------------------------------------------------------------------------

    def _lie(self, chain: bytes, starts: int) -> None:
        liar = self.liars.get(chain)
        if not self.up or starts != self.starts or liar is None or not self.coop.crook:
            return
        writer = self.writers.get(chain)
        rng = self.world.rng
        if writer is not None and not self.world.healed:
            wishes = self.world.clients.wishes_of(self.coop.number)
            liar.make_blocks = blocks_to_lie_with(self.book, chain, wishes, rng, self.now)
            self.do(lambda: liar.tick(self.now), chain)
        self.world.clock.after(rng.choice((400, 1_000, 3_000)), self._lie, chain, starts)
