"""Several post offices in one process: time, wires, disks and people out of one seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

from maillon.node.engine.post import PostFull, PostOffice, Wish
from maillon.node.engine.post.memory import Rows
from maillon.node.engine.post.ports import Deliver, Effect, Ended, In, SendSoon
from maillon.protocol.keys import SealingKey
from maillon.protocol.letterframes import Ack, Again, Ask, Put, decode_frame, encode_frame
from maillon.protocol.letters import ITEM_APP, Item
from simulation.ledger.net import Clockwork, Net, Weather
from simulation.letters.checkers import Book, Written, need
from simulation.letters.disk import PowerCut, SimDisk
from simulation.letters.plan import HOUR_S, SIM_BOUNDS, Plan
from support.hpke_reference import sealer

START_S = 1_800_000_000
FED = b"f" * 32
SETTLE_S = 8 * HOUR_S
"""Time for everything to arrive once all is well: longer than letters are kept for a restored node,
and than the longest wait for one that is missing."""

KEYS_EACH = 2


def plain_seal(rng: Random) -> Callable[[bytes, bytes, bytes], bytes]:
    """Return a sealer that does not seal: most of a run's time would go there otherwise."""
    return lambda public, info, plaintext: rng.randbytes(32) + plaintext + bytes(16)


class Office:
    """One coop: its machine may be down, its clock wrong, its coop removed."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.coop = hashlib.sha256(b"coop %d" % number).digest()
        self.keys = [
            SealingKey.from_seed(hashlib.sha256(b"key %d %d" % (number, k)).digest()).public
            for k in range(KEYS_EACH)
        ]
        self.disk = SimDisk()
        self.office: PostOffice | None = None
        self.offset = 0
        self.belongs_to_federation = True
        self.unknown: set[bytes] = set()
        self.away: set[bytes] = set()
        self.put_back = False
        """Its disk was put back at some time: letters may be shown twice."""
        self.linked: set[int] = set()
        self.lives = 0
        self.unsure: list[Written] = []

    # --- Federation, as this office sees it -----------------------------------------------------

    def belongs(self, coop: bytes) -> bool:
        return self.world.by_coop[coop].belongs_to_federation

    def addressee(self, key: bytes) -> bool:
        return key in self.keys and key not in self.unknown

    # --- life -----------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the time by this office's clock."""
        return self.world.clock.now_ms // 1_000 + self.offset

    def start(self) -> None:
        """Start the machine with what its disk has."""
        rng = self.world.clock.rng
        self.lives += 1
        seal = sealer(rng) if self.world.plan.real_seals else plain_seal(rng)
        self.office = PostOffice(
            self.disk,
            fed=FED,
            coop=self.coop,
            federation=self,
            random=rng.randbytes,
            rng=rng,
            bounds=self.world.bounds,
            sealer=seal,
        )
        self.do(lambda office: office.start(self.now()))
        self.world.look_at_links()
        self.tick(self.lives)
        for message in self.unsure:
            # Nobody knows whether it was kept: it is written again, with the same ticket.
            self.world.clock.after(1_000, self.world.write, message)
        self.unsure = []

    def crash(self) -> None:
        """Lose power: what was not committed is gone, and so is what was in flight."""
        if self.office is None:
            return
        self.world.book.count("power cuts")
        self.office = None
        self.disk = type(self.disk)(self.disk.rows)
        self.world.look_at_links()
        self.world.clock.after(self.world.clock.rng.randrange(500, 300_000), self.restart)

    def restart(self) -> None:
        if self.office is None:
            self.start()

    def do(self, step: Callable[[PostOffice], list[Effect]]) -> bool:
        """Take a step, and do what it wants; False when the power failed in it."""
        if self.office is None:
            return False
        try:
            effects = step(self.office)
        except PowerCut:
            self.world.note("power cut in a step of", self.number)
            self.crash()
            return False
        for effect in effects:
            match effect:
                case SendSoon(coop):
                    other = self.world.by_coop[coop]
                    delay = self.world.clock.rng.randrange(1, 20)
                    self.world.clock.after(delay, self.pump, other, self.lives)
                case Deliver(to_key):
                    delay = self.world.clock.rng.randrange(1, 5_000)
                    self.world.clock.after(delay, self.fetch, to_key)
                case Ended():
                    self.world.ended(self, effect)
                case _:
                    pass
        return True

    def tick(self, life: int) -> None:
        """Look at the clock, again and again, while this life lasts."""
        office = self.office
        if office is None or life != self.lives:
            return
        if self.do(lambda office: office.tick(self.now())):
            self.world.book.office(self.disk)
            self.world.look_into_own_boxes(self)
            wait = max(1, office.next_wake(self.now()) - self.now())
            self.world.clock.after(1_000 * wait, self.tick, life)

    # --- wires ----------------------------------------------------------------------------------

    def pump(self, other: Office, life: int) -> None:
        """Send frames while there are some."""
        for _ in range(8):
            if self.office is None or life != self.lives or other.number not in self.linked:
                return
            frame = self.office.parcel(other.coop, self.now())
            if frame is None:
                return
            data = encode_frame(frame)
            self.world.net.carry(self.number, other.number, other.arrive, self, data)

    def arrive(self, sender: Office, data: bytes) -> None:
        """Take in a frame, and answer it once what it brought is on the disk."""
        if self.office is None:
            return
        frame = decode_frame(data)
        answers: list[Ack | Again] = []

        def step(office: PostOffice) -> list[Effect]:
            match frame:
                case Put():
                    ack, effects = office.received(sender.coop, frame, self.now())
                    for id, code in ack.outcomes:
                        self.world.answered(id, code, self)
                    answers.append(ack)
                case Ask():
                    again, effects = office.asked(sender.coop, frame, self.now())
                    self.world.note("asked by", sender.number, "of", self.number, frame.since)
                    self.world.book.count("letters sent again to who was restored", again.count)
                    answers.append(again)
                case _:
                    return office.acked(sender.coop, frame, self.now())
            return list(effects)

        if self.do(step):
            for answer in answers:
                self.world.net.carry(
                    self.number, sender.number, sender.arrive, self, encode_frame(answer)
                )

    # --- people ---------------------------------------------------------------------------------

    def fetch(self, to_key: bytes) -> None:
        """Have a device fetch what waits for it, and say what it has."""
        rng = self.world.clock.rng
        if self.office is None or to_key in self.away:
            return
        rows = self.office.inbox(to_key, 0, rng.choice((3, 50)))
        for row in rows:
            self.world.note("got", row.id, "at", self.number)
            self.world.book.got(
                row.id, self.world.clock.now_ms // 1_000, receiver_put_back=self.put_back
            )
        ids = [row.id for row in rows]
        if not ids:
            return
        if rng.random() < 0.1:
            # The device has them, and what it says of it is lost.
            self.world.clock.after(rng.randrange(60_000), self.fetch, to_key)
            return

        def step(office: PostOffice) -> list[Effect]:
            office.taken(to_key, ids, self.now())
            return []

        self.do(step)
        self.world.book.taken |= {
            id
            for id in ids
            if (kept := self.disk.rows.inside.get(id)) is not None and kept.state is In.TAKEN
        }
        self.world.clock.after(rng.randrange(60_000), self.fetch, to_key)

    def put_disk_back(self, rows: Rows, at: int, *, by_hand: bool) -> None:
        """Go on with an old disk."""
        world = self.world
        world.book.count("disks put back by hand" if by_hand else "disks restored from a backup")
        self.put_back = True
        self.office = None
        world.look_at_links()
        self.disk = SimDisk(rows.copy())
        now = world.clock.now_ms // 1_000
        for message in world.book.messages:
            if message.sender == self.number:
                # Two eras of one sender are not put in order, and what the old disk does not know
                # of was written by somebody whose own notes are as old.
                message.reordered = True
                kept = any(self.disk.out(id) is not None for id in message.letters)
                if message.letters and not kept:
                    message.excused = "sender put back"
            if message.receiver == self.number:
                message.reordered = True
                if message.stored and (by_hand or now - message.stored > SIM_BOUNDS.arrived_s / 2):
                    message.excused = "receiver put back"
        self.start()


class World:
    """One run."""

    def __init__(
        self,
        seed: int,
        *,
        plan: Plan | None = None,
        keep_trace: bool = False,
        make_disk: Callable[[], SimDisk] = SimDisk,
    ) -> None:
        self.plan = plan or Plan.draw(Random(f"letters plan {seed}"))
        self.clock = Clockwork(f"letters {seed}", START_S, keep_trace=keep_trace)
        self.bounds = SIM_BOUNDS
        if self.plan.small_boxes:
            self.bounds = replace(
                SIM_BOUNDS, addressee_letters_max=6, owner_letters_max=25, coop_letters_max=20
            )
        self.net = Net(
            self.clock,
            Weather(loss=self.plan.loss, double=self.plan.double, slow=self.plan.slow),
        )
        self.book = Book(self.bounds)
        self.offices = [Office(self, number) for number in range(self.plan.coops)]
        for office in self.offices:
            office.disk = make_disk()
        self.by_coop = {office.coop: office for office in self.offices}

    def note(self, *words: object) -> None:
        """Write into the trace what happened."""
        self.clock.note(*words)

    def seconds(self) -> int:
        """Return the true time."""
        return self.clock.now_ms // 1_000

    # --- running --------------------------------------------------------------------------------

    def run(self) -> dict[str, int]:
        """Run to the end. Raises: Broken when a promise does not hold."""
        plan, rng = self.plan, self.clock.rng
        for office in self.offices:
            office.start()
        for number in range(plan.messages):
            self._at(rng, self.begin, number)
        for what, times in (
            (self.cut_link, plan.cuts),
            (self.crash, plan.crashes),
            (self.power_cut, plan.power_cuts),
            (partial(self.restore, False), plan.restores),
            (partial(self.restore, True), plan.rollbacks),
            (self.jump, plan.jumps),
            (self.remove, plan.removals),
            (self.forget_key, plan.unknowns),
            (self.go_away, plan.absences),
        ):
            for _ in range(times):
                self._at(rng, what)
        self.clock.run_until(self.clock.now_ms + 1_000 * plan.active_s)
        self.heal()
        self.clock.run_until(self.clock.now_ms + 1_000 * SETTLE_S)
        for office in self.offices:
            for key in office.keys:
                office.fetch(key)
        self.clock.run_until(self.clock.now_ms + 600_000)
        self.book.end(self.seconds())
        return self.figures()

    def _at(self, rng: Random, what: Callable[..., None], *arguments: object) -> None:
        self.clock.after(rng.randrange(1_000 * self.plan.active_s), what, *arguments)

    def figures(self) -> dict[str, int]:
        """Return what happened, by name."""
        net = self.net
        return {
            **self.book.counts,
            "messages": len(self.book.messages),
            "frames": net.sent,
            "frames lost": net.lost,
            "frames doubled": net.doubled,
            "commits": sum(office.disk.commits for office in self.offices),
        }

    def heal(self) -> None:
        """Make everything well."""
        self.note("all is well from here on")
        self.net.weather.loss = self.net.weather.double = self.net.weather.slow = 0.0
        self.net.island.clear()
        self.net.deaf.clear()
        for office in self.offices:
            office.offset = 0
            office.belongs_to_federation = True
            office.unknown.clear()
            office.away.clear()
            office.disk.cut = ""
            office.restart()
            for key in office.keys:
                office.fetch(key)
        self.look_at_links()

    def look_at_links(self) -> None:
        """Tell offices which others they are connected with."""
        for one in self.offices:
            for other in self.offices:
                if one is other:
                    continue
                up = (
                    one.office is not None
                    and other.office is not None
                    and self.net.linked(one.number, other.number)
                    and self.net.linked(other.number, one.number)
                    and one.belongs_to_federation
                    and other.belongs_to_federation
                )
                if up and other.number not in one.linked:
                    one.linked.add(other.number)
                    coop = other.coop

                    def step(
                        office: PostOffice, coop: bytes = coop, now: int = one.now()
                    ) -> list[Effect]:
                        return office.connected(coop, now)

                    one.do(step)
                elif not up and other.number in one.linked:
                    one.linked.discard(other.number)
                    if one.office is not None:
                        one.office.disconnected(other.coop)

    # --- people ---------------------------------------------------------------------------------

    def begin(self, number: int) -> None:
        """Have somebody write a message."""
        rng = self.clock.rng
        sender, receiver = rng.choice(self.offices), rng.choice(self.offices)
        life = rng.choice((20 * 60, 2 * HOUR_S, 40 * HOUR_S, 40 * HOUR_S))
        exchange = hashlib.sha256(b"exchange %d" % rng.randrange(self.plan.exchanges)).digest()
        at = self.seconds()
        message = Written(
            len(self.book.messages), sender.number, receiver.number, exchange,
            rng.choice(receiver.keys), at, at + life,
        )  # fmt: skip
        self.book.messages.append(message)
        self.write(message)

    def write(self, message: Written) -> None:
        """Write a message, or try again later."""
        sender = self.offices[message.sender]
        if sender.office is None:
            sender.unsure.append(message)
            return
        if not message.letters:
            # Whoever could not write yet writes after those who could.
            message.number = self.book.counts.get("letters written", 0)
            message.at = self.seconds()
        wish = Wish(
            to_coop=self.offices[message.receiver].coop,
            to_key=message.to_key,
            exchange=message.exchange,
            items=(Item(ITEM_APP, b"message %d" % message.number),),
            until=message.until + sender.offset,
            owner=b"person",
            ticket=b"%d %d" % (message.sender, self.book.messages.index(message)),
        )
        written: list[bytes] = []

        def step(office: PostOffice) -> list[Effect]:
            ids, effects = office.write([wish], sender.now())
            written.extend(ids)
            return effects

        try:
            if message.until <= self.seconds():
                # Too late to write it again: whoever wrote it knows.
                message.told = message.told or "expired"
                return
            if not sender.do(step):
                self.after_power_cut(message, sender)
                return
        except PostFull:
            self.book.count("letters for which there was no room at first")
            self.clock.after(60_000, self.write, message)
            return
        message.skewed |= sender.offset != 0
        self.book.wrote(message, written[0])
        self.note("wrote", message.number, written[0], "from", sender.number)
        if message.receiver == message.sender:
            self.stored_here(message, written[0])

    def after_power_cut(self, message: Written, sender: Office) -> None:
        """Find out, as nobody in the run can, whether a letter was kept when the power failed."""
        sender.unsure.append(message)
        ticket = b"%d %d" % (message.sender, self.book.messages.index(message))
        row = sender.disk.out_ticket(ticket, message.to_key)
        if row is not None:
            message.skewed |= sender.offset != 0
            self.book.wrote(message, row.id)
            if message.receiver == message.sender:
                self.stored_here(message, row.id)

    def look_into_own_boxes(self, office: Office) -> None:
        """Note which letters to the same coop found room in the meantime."""
        for message in self.book.messages:
            if message.sender == message.receiver == office.number and not message.stored:
                for letter in message.letters:
                    self.stored_here(message, letter)

    def stored_here(self, message: Written, letter: bytes) -> None:
        """Note that a letter to somebody of the same coop is in their box."""
        if self.offices[message.receiver].disk.letter(letter) is not None:
            message.stored = self.seconds()

    def answered(self, id: bytes, code: str, receiver: Office) -> None:
        """Note what an office is about to answer."""
        self.book.count(f"answered: {code}")
        message = self.book.by_letter.get(id)
        if message is not None and code in ("stored", "known"):
            message.stored = self.seconds()
        if code != "stored":
            self.note(code, id, "at", receiver.number)

    def ended(self, office: Office, ended: Ended) -> None:
        """Tell whoever wrote a letter that it was given up."""
        self.note("ended", ended.id, ended.code)
        message = self.book.by_letter.get(ended.id)
        if message is None:
            return
        self.book.count(f"given up: {ended.code}")

        def step(one: PostOffice) -> list[Effect]:
            one.told([ended.id])
            return []

        if not office.do(step):
            return
        in_time = message.until > self.seconds()
        if ended.code == "reused" or (message.skewed and in_time):
            message.reordered = True
            self.clock.after(1_000, self.write, message)
        else:
            need(
                message.until <= self.seconds() + abs(office.offset) + 1,
                "a letter is given up when its time has come and not before",
                number=message.number, code=ended.code,
            )  # fmt: skip
            message.told = ended.code

    # --- what goes wrong ------------------------------------------------------------------------

    def cut_link(self) -> None:
        """Break a link, in one direction or both, for a while."""
        rng = self.clock.rng
        one, other = rng.sample(range(len(self.offices)), 2)
        pairs = {(one, other)} if rng.random() < 0.3 else {(one, other), (other, one)}
        self.net.deaf |= pairs
        self.look_at_links()

        def mend() -> None:
            self.net.deaf -= pairs
            self.look_at_links()

        self.clock.after(rng.randrange(1_000, 1_800_000), mend)

    def crash(self) -> None:
        """Cut the power of a machine."""
        self.clock.rng.choice(self.offices).crash()

    def power_cut(self) -> None:
        """Cut the power of a machine in its next commit."""
        rng = self.clock.rng
        rng.choice(self.offices).disk.cut = rng.choice(("before", "after"))

    def restore(self, by_hand: bool) -> None:
        """Copy a disk now, and put it back later."""
        rng = self.clock.rng
        office = rng.choice(self.offices)
        now = office.now()
        rows = office.disk.rows.copy() if by_hand else office.disk.backup(now)
        self.note("copied the disk of", office.number)

        def put_back() -> None:
            self.note("put the disk of", office.number, "back")
            office.put_disk_back(rows, now, by_hand=by_hand)

        self.clock.after(rng.randrange(10_000, 1_200_000), put_back)

    def jump(self) -> None:
        """Have a clock leap for some minutes."""
        rng = self.clock.rng
        office = rng.choice(self.offices)
        office.offset = rng.choice((-1, 1)) * rng.choice((3 * HOUR_S, 400 * 24 * HOUR_S))
        self.note("clock of", office.number, "is off by", office.offset)

        def set_right() -> None:
            office.offset = 0

        self.clock.after(rng.randrange(1_000, 600_000), set_right)

    def remove(self) -> None:
        """Remove a coop from the federation for a while."""
        rng = self.clock.rng
        office = rng.choice(self.offices)
        office.belongs_to_federation = False
        self.look_at_links()

        def readmit() -> None:
            office.belongs_to_federation = True
            self.look_at_links()

        self.clock.after(rng.randrange(60_000, 3_600_000), readmit)

    def forget_key(self) -> None:
        """Have a node not know a key for a while."""
        rng = self.clock.rng
        office = rng.choice(self.offices)
        key = rng.choice(office.keys)
        office.unknown.add(key)
        self.clock.after(rng.randrange(60_000, 1_800_000), office.unknown.discard, key)

    def go_away(self) -> None:
        """Have a device stay away for a while."""
        rng = self.clock.rng
        office = rng.choice(self.offices)
        key = rng.choice(office.keys)
        office.away.add(key)

        def come_back() -> None:
            office.away.discard(key)
            office.fetch(key)

        self.clock.after(rng.randrange(60_000, 3 * 3_600_000), come_back)
