"""Know what the own witness has said since the last commit, and what may leave before the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from maillon.ledger.messages import Message
from maillon.ledger.rounds import Commit, Lock, Opening, Prepare, Promise, Propose, Vote
from maillon.ledger.witness import Witness
from maillon.ledger.witness_state import BODIES, VOTES
from maillon.node.ledger.staging import StagedDisk


@dataclass
class Speech:
    """What was said since the last commit."""

    late: set[bytes] = field(default_factory=set[bytes])
    """Witnesses for whom something waits for the commit."""
    spoke: set[bytes] = field(default_factory=set[bytes])
    """Chains on which the own witness has voted or promised."""
    firm: set[bytes] = field(default_factory=set[bytes])
    """Chains on which others rely on what the own witness has said."""
    owing: bool = False
    """Whether something was asked that a proposal may carry and only its queue row tells apart."""

    def clear(self) -> None:
        """Note that all of it is durable."""
        for said in (self.late, self.spoke, self.firm):
            said.clear()
        self.owing = False

    def may_leave_early(self, to: bytes, message: Message) -> bool:
        """Tell whether a message of the own writer rests on nothing that is not durable yet."""
        match message:
            case Prepare():
                return to not in self.late
            case Propose():
                # A member's order can stand on a chain once. What a coop gives from its commons has
                # no number: were its row lost after it left, asking again would give it twice.
                return to not in self.late and not self.owing
            case Opening(chain):
                pass
            case Lock(votes):
                chain = votes.chain
            case _:
                return False
        # It shows others what the own witness has said.
        self.firm.add(chain)
        return to not in self.late and chain not in self.spoke

    def said(self, message: Message, *, outside: bool) -> None:
        """Note what the own witness has said, to the own writer or to others."""
        if isinstance(message, Vote | Commit | Promise):
            self.spoke.add(message.chain)
            if outside or isinstance(message, Promise):
                self.firm.add(message.chain)


def let_wait(
    speech: Speech, witness: Witness, height: Callable[[bytes], int], disk: StagedDisk
) -> None:
    """Let rows of the own witness wait that nothing rests on now.

    With a quorum of one, PROPOSE to FINAL pass within one run. What was voted and locked at or
    below the head (`height` of a chain) means nothing (spec/06, W3 and W4), and the head is durable
    with this commit. So when nobody outside was told of it, it is written a moment later.
    """
    for write in disk.staged(VOTES):
        chain = write.key
        if chain in speech.firm or write.value is None:
            continue
        row, h = witness.row(chain), height(chain)
        if row.vote is None or row.lock is None or not row.vote.h == row.lock.h == h:
            continue
        disk.commit_later(write)
        for body in disk.staged(BODIES):
            if body.key.startswith(chain):
                disk.commit_later(body)
