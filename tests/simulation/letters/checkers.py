"""Write down what was written, delivered and told, and see whether the promises hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from maillon.node.engine.post.bounds import Bounds
from maillon.node.engine.post.memory import MemoryLetters
from maillon.node.engine.post.ports import In


class Broken(AssertionError):
    """A promise does not hold."""


def need(holds: bool, promise: str, **facts: object) -> None:
    """Raise Broken unless a promise holds."""
    if not holds:
        told = ", ".join(
            f"{name}={value[:4].hex() if isinstance(value, bytes) else value}"
            for name, value in facts.items()
        )
        raise Broken(f"{promise} ({told})")


@dataclass
class Written:
    """One message of a person, whatever letters carried it."""

    number: int
    sender: int
    receiver: int
    exchange: bytes
    to_key: bytes
    at: int
    until: int
    letters: list[bytes] = field(default_factory=list[bytes])
    delivered: list[int] = field(default_factory=list[int])
    """When the addressee got it, each time."""
    stored: int = 0
    """When the receiving office last took it in."""
    told: str = ""
    excused: str = ""
    """Why it may be lost: somebody put a disk back."""
    skewed: bool = False
    """A clock was wrong when it was written: so is the end that the letter says."""
    reordered: bool = False
    """Why it may come out of order: a disk was put back, or it had to be written again."""


class Book:
    """All messages of a run."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.messages: list[Written] = []
        self.by_letter: dict[bytes, Written] = {}
        self.taken: set[bytes] = set()
        """Letters that an office has noted as taken."""
        self.seen: dict[bytes, int] = {}
        self.last: dict[tuple[int, bytes, bytes], Written] = {}
        """The latest message delivered, by sender, exchange and key."""
        self.counts: dict[str, int] = {}

    def count(self, what: str, by: int = 1) -> None:
        """Count something that happened."""
        self.counts[what] = self.counts.get(what, 0) + by

    def wrote(self, message: Written, letter: bytes) -> None:
        """Note the letter that carries a message."""
        if letter not in message.letters:
            need(
                len(message.letters) <= 8, "a message is written again only when it was given up",
                number=message.number,
            )  # fmt: skip
            message.letters.append(letter)
            self.by_letter[letter] = message
        self.count("letters written")

    def got(self, letter: bytes, now: int, *, receiver_put_back: bool) -> None:
        """Note that an addressee has got a letter."""
        message = self.by_letter.get(letter)
        need(message is not None, "nothing is delivered that nobody wrote", letter=letter)
        assert message is not None
        again = letter in self.taken
        need(
            not again or receiver_put_back,
            "a letter that was taken is not delivered again",
            number=message.number,
        )
        if letter in self.seen:
            self.count("letters shown again before they were noted as taken")
            self.seen[letter] += 1
            return
        self.seen[letter] = 1
        need(
            not message.delivered or message.reordered or len(message.letters) == 1,
            "a message is not delivered by two letters",
            number=message.number,
        )
        message.delivered.append(now)
        self.count("messages delivered")
        self._order(message, now)

    def _order(self, message: Written, now: int) -> None:
        key = (message.sender, message.exchange, message.to_key)
        last = self.last.get(key)
        if last is None or message.number > last.number:
            self.last[key] = message
            return
        waited = last.delivered[0] - last.at
        # One that had waited too long, or whose end came near, took along what waited with it.
        gap = any(
            self._impatient(other, now)
            for other in self.messages
            if (other.sender, other.exchange, other.to_key) == key
            and message.number < other.number <= last.number
        )
        need(
            message.reordered or last.reordered or gap,
            "letters of an exchange are delivered in order",
            number=message.number, behind=last.number, waited=waited,
        )  # fmt: skip
        self.count("letters delivered late, out of order, as they may")

    def _impatient(self, message: Written, now: int) -> bool:
        """Tell whether a letter may have been handed out before one that it waited for."""
        until = message.delivered[0] if message.delivered else now
        waited = until - message.at >= self.bounds.gap_s - 60
        return waited or until >= message.until - self.bounds.gap_end_s - 120

    def office(self, rows: MemoryLetters) -> None:
        """See that an office keeps within its bounds, and its own order."""
        bounds = self.bounds
        load = rows.load_in()
        need(
            rows.bytes_kept() <= bounds.bytes_max + 16 * 1_024,
            "an office keeps no more bytes than it may",
            bytes=rows.bytes_kept(),
        )
        kept: dict[bytes, int] = {}
        for row in rows.rows.inside.values():
            if row.state in (In.BEHIND, In.READY):
                kept[row.to_key] = kept.get(row.to_key, 0) + 1
            if row.state is In.BEHIND:
                need(
                    row.n >= rows.next_in(row.coop, row.thread),
                    "what waits for one before it is not behind what was delivered",
                    n=row.n,
                )
            need(
                (row.state is In.ERASED) != bool(row.letter),
                "a letter has its bytes until it is erased, and then none",
            )
        # One letter above the bound for each thread: it frees those that wait behind it.
        need(
            max(kept.values(), default=0) <= bounds.addressee_letters_max + 8,
            "a box holds no more letters than it may",
            letters=load.letters,
        )

    def end(self, now: int) -> None:
        """See that nothing was lost: when all is well again and time enough has passed."""
        for message in self.messages:
            if not message.letters:
                continue
            if message.delivered:
                continue
            if message.told:
                self.count("messages given up, and told")
                need(
                    message.told != "expired" or message.until <= now,
                    "a letter expires when its time has come",
                    number=message.number,
                )
            elif message.excused:
                self.count("messages lost with a disk that was put back")
            elif message.until <= now and message.stored:
                self.count("messages that nobody fetched in time")
            else:
                need(
                    False, "no message is lost before its time", number=message.number,
                    sender=message.sender, receiver=message.receiver, stored=message.stored,
                    until=message.until - now, at=message.at - now,
                )  # fmt: skip
