"""Know what the own witness has said since the last commit, and what may leave before the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from maillon.ledger.messages import Message
from maillon.ledger.rounds import Commit, Lock, Opening, Prepare, Promise, Propose, Vote


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
