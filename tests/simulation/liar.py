"""A node key that the federation trusts, in the hands of somebody who lies.

It runs the same engine, so that it looks like a node, and tells others what it likes. Each lie that
no honest node could tell is marked, and the checkers insist that the machine told so minds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from maillon.node.engine import frames
from maillon.protocol import encoding
from maillon.protocol.envelope import Signed
from maillon.protocol.gossip import encode_batches
from maillon.protocol.keys import SigningKey
from maillon.protocol.records import build
from simulation.node import SimNode

if TYPE_CHECKING:
    from simulation.federation import Federation


class LiarNode(SimNode):
    """Lie by gossip and in sessions, a part of the time."""

    liar = True
    federation: Federation
    mood = 0.0

    def lies_about(self, frame: bytes, to: SimNode) -> list[tuple[bytes, bool]]:
        rng = self.net.clock.rng
        if to.liar or rng.random() >= self.mood:
            return [(frame, False)]
        lie = rng.choice(
            (
                lambda: rng.randbytes(rng.randint(0, 60)),
                lambda: frame[: len(frame) // 2],
                # A number with a leading zero: no message of the reconciliation.
                lambda: frames.neg(b"\x61\x80" + rng.randbytes(40)),
                lambda: encoding.encode([frames.RECORDS, [self.forged().encode()]]),
                lambda: encoding.encode([frames.RECORDS, [rng.randbytes(200)]]),
                lambda: encoding.encode([frames.RECORDS, [self.bare()]]),
                lambda: encoding.encode([frames.RECORDS, [self.indiscreet().encode()]]),
                lambda: encoding.encode([9, b"?"]),
                lambda: bytes(frames_too_long),
            )
        )()
        if rng.random() < 0.3:
            return []  # silence, or records withheld: no proof of anything
        return [(lie, True)]

    def rant(self) -> None:
        """Say one thing by gossip that no honest node says, or that only looks wrong."""
        if not self.up:
            return
        rng = self.net.clock.rng
        lie, provable = rng.choice(self._rants())()
        self.net.clock.note("lie", self.name, provable, len(lie))
        self.net.gossip(self, lie, lie=provable)

    def _rants(self) -> list[Callable[[], tuple[bytes, bool]]]:
        rng = self.net.clock.rng
        return [
            lambda: (rng.randbytes(rng.randint(1, 300)), True),
            lambda: (_batch(self.forged().encode()), True),
            lambda: (_batch(self.bare()), True),
            lambda: (_batch(self.loose()), True),
            lambda: (_batch(self.foreign().encode()), True),
            lambda: (_batch(self.endless().encode()), True),
            lambda: (_batch(self.indiscreet().encode()), True),
            lambda: (encoding.encode([1, [bytes(18_000)] * 3]), True),
            lambda: (bytes(70_000), True),
            lambda: (_batch(*(self.stranger().encode() for _ in range(rng.randint(1, 14)))), False),
            lambda: (self.spoilt(), False),
            lambda: (self.replay(), False),
            lambda: (self.mixture(), True),
        ]

    # --- Lies -----------------------------------------------------------------------------------

    def forged(self) -> Signed:
        """Make a new record of somebody else with a signature that is none."""
        true = self.federation.some_offer(self.federation.any_member())
        return _with_signature(true, bytes(31) + b"\x01" + bytes(32))

    def bare(self) -> bytes:
        """Make a new record without its payload."""
        return self.federation.some_offer(self.federation.any_member()).without_payload().encode()

    def loose(self) -> bytes:
        """Encode a true record in another way than the one."""
        record = self.federation.some_offer(self.federation.any_member()).encode()
        # The outer array in its long form: the same value, not the same bytes.
        return b"\xdc\x00\x03" + record[1:]

    def foreign(self) -> Signed:
        """Make a record of another federation."""
        return self.federation.some_offer(self.federation.any_member(), fed=b"\x07" * 32)

    def endless(self) -> Signed:
        """Make an offer that lives longer than offers may."""
        return self.federation.some_offer(self.federation.any_member(), days=3_000)

    def indiscreet(self) -> Signed:
        """Make a step of an exchange, rightly signed, that was for one other person to read."""
        world, member = self.federation.world, self.federation.any_member()
        payload = build("message", salt=world.fresh(), exchange=world.fresh(32), text="Code 1234.",
                        lang="fr")  # fmt: skip
        at = int(self.net.clock.now)
        return world.record("message", payload, coop=member.coop, by=member.key, at=at,
                            refs=(world.fresh(32),))  # fmt: skip

    def stranger(self) -> Signed:
        """Make an offer by a key that nobody vouches for."""
        world = self.federation.world
        key = SigningKey.from_seed(world.fresh(32))
        return self.federation.some_offer(self.federation.any_member(), by=key)

    def spoilt(self) -> bytes:
        """Spoil the signature of a record that is out already: its id stays the true one's."""
        released = self.federation.released
        if not released:
            return _batch(self.stranger().encode())
        true = self.net.clock.rng.choice(released)
        return _batch(_with_signature(true, true.signature[:-1] + b"\x00").encode())

    def forestall(self, signed: Signed) -> None:
        """Spread a spoilt copy before the record itself is out."""
        if self.up:
            spoilt = _with_signature(signed, signed.signature[:-1] + b"\x00")
            self.net.gossip(self, _batch(spoilt.encode()))

    def replay(self) -> bytes:
        """Send old revisions again."""
        released = self.federation.released
        if not released:
            return _batch(self.stranger().encode())
        return _batch(self.net.clock.rng.choice(released).encode())

    def mixture(self) -> bytes:
        """Put a forged record among true ones."""
        released = self.federation.released[-3:]
        return _batch(*(signed.encode() for signed in released), self.forged().encode())


def _with_signature(signed: Signed, signature: bytes) -> Signed:
    return Signed(
        signed.header,
        signed.header_bytes,
        signed.id,
        signature,
        signed.payload_bytes,
        signed.payload,
    )


def _batch(*records: bytes) -> bytes:
    return encode_batches(records)[0]


frames_too_long = 300_000
