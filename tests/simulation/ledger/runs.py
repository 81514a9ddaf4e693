"""A run of a node: several events, one commit, and what may leave before it.

What a writer asks promises nothing, so PREPARE, OPEN, PROPOSE and LOCK leave before the commit of
their run: the power may go when they have left and nothing of the run is on the disk. Not so an
OPEN or a LOCK on a chain on which the own witness has promised or voted in the same run, and not
what would overtake something that waits for the commit (spec/06-ledger.md, "No answer leaves…").
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maillon.ledger import messages as wire
from maillon.ledger import steps
from maillon.ledger.messages import Message
from maillon.ledger.quorum import vote_body
from maillon.ledger.voterow import decode_row
from simulation.ledger.disk import SimDisk
from simulation.ledger.model import need

if TYPE_CHECKING:
    from simulation.ledger.machine import Machine

Leaving = tuple[steps.Send, bytes, "Machine | None"]
"""What is sent, the chain it is about, and who asked."""


@dataclass
class Run:
    """What was decided since the last commit."""

    early: list[Leaving] = field(default_factory=list[Leaving])
    sends: list[Leaving] = field(default_factory=list[Leaving])
    notices: list[tuple[steps.Notice, bytes]] = field(
        default_factory=list[tuple[steps.Notice, bytes]]
    )
    local: deque[Message] = field(default_factory=deque[Message])
    """What the own writers ask the own witness."""
    writes: list[steps.Write] = field(default_factory=list[steps.Write])
    own: bool = False
    """Something happened that was not a witness's answer to others."""
    _late: set[bytes] = field(default_factory=set[bytes])
    _spoke: set[bytes] = field(default_factory=set[bytes])

    def send(self, send: steps.Send, chain: bytes, asker: Machine | None) -> None:
        """Keep a message until the commit, unless it may leave before."""
        if isinstance(send.message, wire.Promise | wire.Vote | wire.Commit):
            self._spoke.add(send.message.chain)
        if self.may_leave_early(send):
            self.early.append((send, chain, asker))
        else:
            self.sends.append((send, chain, asker))
            if send.to != b"":
                self._late.add(send.to)

    def said_inside(self, message: Message) -> None:
        """Note what the own witness has told the own writer."""
        if isinstance(message, wire.Promise | wire.Vote | wire.Commit):
            self._spoke.add(message.chain)

    def may_leave_early(self, send: steps.Send) -> bool:
        """Say whether a message may leave before the commit."""
        message = send.message
        if send.to == b"" or send.to in self._late:
            return False
        if isinstance(message, wire.Prepare | wire.Propose):
            return True
        if isinstance(message, wire.Opening):
            return message.chain not in self._spoke
        if isinstance(message, wire.Lock):
            return message.votes.chain not in self._spoke
        return False


def shows_vote(message: Message, fed: bytes, body: bytes) -> bool:
    """Say whether a LOCK shows the vote whose signed bytes are `body`."""
    if not isinstance(message, wire.Lock):
        return False
    votes = message.votes
    return any(
        body.endswith(vote_body(votes.c, votes.chain, votes.h, votes.term, votes.block, counter))
        for counter in votes.counters
    )


def require_durable(
    message: Message, disk: SimDisk, witness: bytes, voted: list[bytes], fed: bytes
) -> None:
    """See that a message shows nothing of the own witness that a power cut would make forgotten.

    `voted` are the bodies of the votes it has signed since the last commit. Raises: Broken.
    """
    need(
        not any(shows_vote(message, fed, body) for body in voted),
        "no LOCK shows an own vote that is not on the disk",
        witness=witness,
    )
    if not isinstance(message, wire.Opening):
        return
    row = disk.rows.get("vote", {}).get(message.chain)
    for promise in message.promises:
        if promise.witness == witness:
            need(
                row is not None and decode_row(row).promised >= promise.term,
                "no OPEN shows an own promise that is not on the disk",
                chain=message.chain, witness=witness,
            )  # fmt: skip
