"""Write down what one witness is told and what it answers: the scripts of gen_ledger_rules."""

from __future__ import annotations

from collections.abc import Callable

from maillon.ledger.messages import Failure, Message, encode_message
from maillon.ledger.openings import without_copies
from maillon.ledger.rounds import Final, Lock, Opening, Promise, Propose, Refuse, Vote
from maillon.ledger.told import read_told
from support.rounds import Rounds

Vector = dict[str, object]

SEED = "ledger rules"
NAMES = {"Opening": "OPEN", "Failure": "ERROR", "AskHeads": "HEADS?", "FraudReport": "FRAUD"}


class Script:
    """Messages to the first witness of a new federation, written down with its answers."""

    def __init__(self, name: str, rule: str, *, charter: bool = False) -> None:
        self.name = name
        self.rule = rule
        self.r = Rounds(4, seed=SEED)
        self.chain = self.r.fed if charter else self.r.chain(0)
        self.steps: list[Vector] = []
        self._restarted = False

    def ask(self, message: Message) -> list[Message]:
        answers = self.r.ask(0, message)
        step: Vector = {
            "now": self.r.now,
            "message": _name(message),
            "bytes": encode_message(message),
            "answers": [_answer(answer) for answer in answers],
        }
        if self._restarted:
            step["restart"] = True
        self._restarted = False
        self.steps.append(step)
        return answers

    def restart(self) -> None:
        self.r.restart(0)
        self._restarted = True

    def promise(self, counter: int, *others: int, nonce: bytes = b"n" * 16) -> list[Promise]:
        """Have the witness promise a term, and others, whose promises nobody writes down."""
        term = self.r.term(counter, nonce)
        own = self.ask(self.r.prepare(term, self.chain))
        assert isinstance(own[0], Promise), own
        return [own[0], *self.r.promises(term, *others, chain=self.chain)]

    def open(self, counter: int = 1) -> None:
        """Open a term with three of the four."""
        term = self.r.term(counter)
        promises = self.promise(counter, 1, 2)
        opening = Opening(self.chain, term, bare(promises))
        self.ask(opening)
        for at in (1, 2):
            self.r.ask(at, opening)

    def vote(self, counter: int, propose: Propose) -> Lock:
        """Have the witness and two others vote; return the LOCK of their votes."""
        del counter
        (own,) = self.ask(propose)
        assert isinstance(own, Vote), own
        votes = {own.witness: (own.counter, own.signature)}
        for at in (1, 2):
            (vote,) = self.r.ask(at, propose)
            assert isinstance(vote, Vote), vote
            votes[vote.witness] = (vote.counter, vote.signature)
        return Lock(self.r.gathered(propose.term, propose.block, votes))

    def certify(self, propose: Propose) -> Final:
        """Have a block certified, the witness taking part; return its certificate."""
        lock = self.vote(1, propose)
        self.ask(lock)
        final = self.r.commits(lock, 0, 1, 2)
        self.ask(final)
        for at in (1, 2):
            self.r.ask(at, final)
        return final

    def propose(self, name: str = "a", counter: int = 1, **terms: int) -> Propose:
        block = self.r.block(self.r.opening(name), salt=name, **terms)
        return self.r.propose(self.r.term(counter), block)

    def vector(self) -> Vector:
        return {"name": self.name, "shows": self.rule, "steps": self.steps}


def bare(promises: list[Promise]) -> tuple[Promise, ...]:
    """Return promises as OPEN carries them."""
    return without_copies(promises)


def _name(message: Message) -> str:
    name = type(message).__name__
    return NAMES.get(name, name.upper())


def _answer(message: Message) -> Vector:
    if isinstance(message, Failure):
        return {"message": "ERROR", "code": message.code}
    shown: Vector = {"message": _name(message)}
    if isinstance(message, Refuse):
        shown["reason"] = message.reason
        if message.reason == "invalid":
            shown["code"] = read_told(message.evidence)[0]
            return shown
    shown["bytes"] = encode_message(message)
    return shown


SCRIPTS: list[Callable[[], Script]] = []


def script(name: str, rule: str, *, charter: bool = False) -> Callable[..., None]:
    """Take what a function tells a witness into the list of scripts."""

    def named(tell: Callable[[Script], None]) -> None:
        def make() -> Script:
            made = Script(name, rule, charter=charter)
            tell(made)
            return made

        SCRIPTS.append(make)

    return named
