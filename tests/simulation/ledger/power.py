"""A machine of a simulated node as far as it has power: started, cut off, started from its disk."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from maillon.ledger.book import Book
from maillon.ledger.build import InWish
from maillon.ledger.catchup import Catchup
from maillon.ledger.messages import Message
from maillon.ledger.steps import Fraud
from maillon.ledger.witness import Witness
from maillon.ledger.writer import Writer
from simulation.ledger.disk import SimDisk
from simulation.ledger.keys import SimKey, same_key
from simulation.ledger.liars import LyingWitness, LyingWriter
from simulation.ledger.runs import Run

if TYPE_CHECKING:
    from simulation.ledger.stage import Coop
    from simulation.ledger.world import World

SYNC_MS = 7_000
RUN_MS = (0, 0, 5, 60, 400)
"""How long a node's runs take, drawn at each start: what comes meanwhile is in the next one."""


class Powered:
    """What a machine is, and what is left of it when the power goes."""

    def __init__(
        self,
        world: World,
        number: int,
        coop: Coop,
        *,
        disk: SimDisk,
        witness_key: SimKey | None,
        writes: bool,
        liar: bool = False,
    ) -> None:
        self.world = world
        self.number = number
        self.coop = coop
        self.name = f"{coop.name}/{number}"
        self.disk = disk
        self.writes = writes
        self.liar = liar
        """Its witness or its writer lies: what it says of itself proves nothing."""
        self.up = False
        self.over = False
        """It is switched off for good."""
        self.skew_s = 0
        self.starts = 0
        self.crash_at = ""
        self.asked: set[bytes] = set()
        self._run: Run | None = None
        self._inbox: list[tuple[Any, Message, bool]] = []
        self._signed: list[tuple[bytes, str, bytes]] = []
        self._witness_key = (
            same_key(witness_key, self._on_sign) if witness_key is not None else None
        )
        self.writer_key = same_key(coop.writer, self._on_sign)

    # --- Starting and stopping ------------------------------------------------------------------

    def boot(self) -> None:
        """Start from what is on the disk."""
        if self.over or self.up:
            return
        world = self.world
        self.up = True
        self.starts += 1
        self.crash_at = ""
        self._forget()
        pace = Random(f"runs {world.seed} {self.number} {self.starts}")
        self._run_ms = pace.choice(RUN_MS)
        self._inside = pace.random() < 0.6
        """Whether writer and witness talk inside a run, as in a node; else as over the network."""
        self.book = Book(world.founding, self.disk, world.verify)
        self.catchup = Catchup(self.book)
        self.witness = self._make_witness()
        self.writers: dict[bytes, Writer] = {}
        self.liars: dict[bytes, LyingWriter] = {}
        self.seen: dict[bytes, int] = {}
        self.taken: list[InWish] = []
        self.echoes: dict[tuple[bytes, bytes], int] = {}
        """Highest counter of a vote that this machine's writers hold, by witness and chain."""
        self._wakes: dict[bytes, int] = {}
        world.clock.note(self.name, "starts", self.starts)
        self.news()
        if isinstance(self.witness, Witness):
            # It may have stopped between keeping a proof and telling of it (spec/06-ledger, M1).
            for proof in self.witness.frauds.standing():
                self._fraud(Fraud(proof))
        self.start_writers()
        world.clock.after(world.rng.randrange(SYNC_MS), self._sync, self.starts)

    def _make_witness(self) -> Witness | LyingWitness | None:
        if self._witness_key is None:
            return None
        if self.coop.liar:
            return LyingWitness(self.book, self._witness_key, self.world.rng)
        return Witness(self.book, self._witness_key, self.disk, self.world.verify)

    def power_off(self, restart_ms: int | None) -> None:
        """Lose power, and perhaps come back."""
        if not self.up:
            return
        self.up = False
        self._forget()
        self.world.count("power cuts")
        self.world.clock.note(self.name, "loses power")
        if restart_ms is not None:
            self.world.clock.after(restart_ms, self.boot)

    def _forget(self) -> None:
        self._signed.clear()
        self._inbox.clear()
        self._run = None
        self.disk.power_off()

    def switch_off(self) -> None:
        """Stop for good."""
        self.power_off(None)
        self.over = True

    @property
    def witness_key(self) -> bytes:
        """Return the public key of its witness, or nothing."""
        return self._witness_key.public if self._witness_key is not None else b""

    @property
    def now(self) -> int:
        """Return this machine's clock."""
        return self.world.clock.now_ms // 1_000 + self.skew_s

    def chains(self) -> list[bytes]:
        """Return the chains that this machine knows of."""
        return [self.book.fed, *self.book.chains()]

    @property
    def in_charter(self) -> bool:
        """Say whether its coop is in the charter that this machine knows."""
        known = self.book.charter.latest.coops.get(self.coop.id)
        return known is not None and not known.removed

    def _on_sign(self, key: bytes, purpose: str, body: bytes) -> None:
        self._signed.append((key, purpose, body))

    # --- What a machine does when it has power ---------------------------------------------------

    def news(self) -> None:
        """Look at what the book holds that was not looked at."""
        raise NotImplementedError

    def start_writers(self) -> None:
        """Start to write on the chains this coop may write on."""
        raise NotImplementedError

    def _sync(self, starts: int) -> None:
        raise NotImplementedError

    def _fraud(self, notice: Fraud) -> None:
        raise NotImplementedError
