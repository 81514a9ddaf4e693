"""What a run of the ledger gives out, and when it leaves: before its commit or after it."""

from __future__ import annotations

from collections import deque

from maillon.ledger.messages import Message, encode_message
from maillon.node.ledger.happenings import Asker, Out
from maillon.node.ledger.speech import Speech
from maillon.protocol.errors import MaillonError

Frames = list[tuple[bytes, bytes]]


class Leaving:
    """What leaves with this run; what is for `own`, the key of the node's witness, does not."""

    def __init__(self, own: bytes, speech: Speech) -> None:
        self._own = own
        self._speech = speech
        self.out = Out()
        """What leaves after the commit."""
        self.local: deque[Message] = deque()
        """Messages to the own witness."""
        self._early: Frames = []
        self._frame: tuple[Message | None, bytes] = (None, b"")

    def send(self, to: bytes, message: Message) -> None:
        """Send to a witness, as early as may be."""
        if to == self._own:
            self.local.append(message)
            return
        known, frame = self._frame
        if known is not message:
            frame = encode_message(message)
            self._frame = message, frame
        if self._speech.may_leave_early(to, message):
            self._early.append((to, frame))
        else:
            self._speech.late.add(to)
            self.out.sends.append((to, frame))

    def answer(self, asker: Asker, message: Message) -> None:
        """Answer after the commit."""
        self.out.answers.append((asker, encode_message(message)))

    def blame(self, peer: bytes, fault: MaillonError) -> None:
        """Tell of a peer that broke a rule, unless an honest one may have come to it."""
        if not (fault.excusable or fault.pending or fault.benign):
            self.out.offences.append((peer, fault.code))

    def early(self) -> Frames:
        """Return what may leave before the commit, once."""
        early, self._early = self._early, []
        return early

    def committed(self) -> Out:
        """Return what may leave now that everything is durable, and begin anew."""
        out, self.out = self.out, Out()
        # What was decided meanwhile by who asks from inside is durable with the rest.
        out.sends += self.early()
        return out
