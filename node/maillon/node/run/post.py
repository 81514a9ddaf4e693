"""Put the post of a node together with the rest: who is who, keys held for people, a clock."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from maillon.node import clock, keyring
from maillon.node.engine.post.bounds import DAY_S, Bounds
from maillon.node.post.links import PROTOCOL
from maillon.node.post.ports import Desk, Sending, Waiting
from maillon.node.post.runner import PostRunner
from maillon.node.run.register import RegisterError
from maillon.node.store.lettersdisk import LettersDisk
from maillon.node.store.lettertraces import LetterTraces
from maillon.protocol.keys import SealingKey
from maillon.protocol.limits import LETTER_LIFETIME_S_MAX
from maillon.protocol.view import MembershipInfo

if TYPE_CHECKING:
    from maillon.node.persons.settings import Retention
    from maillon.node.ports import FrameStream
    from maillon.node.run.node import Node

LOOK_AGAIN_S = 1
"""A sealing key that is not found is looked for among ten thousand members at most so often."""


class Addressees:
    """Find who a sealing key belongs to: the members of this coop, and the coop itself."""

    def __init__(self, node: Node, coop_sealing: SealingKey) -> None:
        self._node = node
        self._coop_sealing = coop_sealing
        self._keys: dict[bytes, bytes] = {}
        self._looked_at = 0

    def member(self, sealing: bytes) -> MembershipInfo | None:
        """Return the membership that a sealing key stands in now, unless it was revoked."""
        found = self._current(sealing)
        now = clock.now()
        if found is None and not 0 <= now - self._looked_at < LOOK_AGAIN_S:
            self._looked_at = now
            view = self._node.engine.view
            self._keys = {info.sealing: info.key for info in view.members(self._node.coop)}
            found = self._current(sealing)
        return found

    def _current(self, sealing: bytes) -> MembershipInfo | None:
        key = self._keys.get(sealing)
        if key is None:
            return None
        info = self._node.engine.view.membership(self._node.coop, key)
        if info is None or info.sealing != sealing or info.status == "revoked":
            return None
        return info

    def known(self, sealing: bytes) -> bool:
        """Tell whether letters to this key are taken in here."""
        return sealing == self._coop_sealing.public or self.member(sealing) is not None

    def secret(self, sealing: bytes) -> SealingKey | None:
        """Return the secret when the node holds it: for a member, or as the coop's own."""
        if sealing == self._coop_sealing.public:
            return self._coop_sealing
        info = self.member(sealing)
        if info is None:
            return None
        try:
            secrets = self._node.register.held_secrets(info.key)
        except RegisterError:
            return None
        key = SealingKey.from_seed(secrets[32:])
        return key if key.public == sealing else None


class PostHost:
    """Implements post.ports.Host for a running node."""

    def __init__(self, node: Node, coop_sealing: SealingKey) -> None:
        self._node = node
        self.addressees = Addressees(node, coop_sealing)
        self._coops: dict[bytes, bytes] = {}

    @property
    def coop(self) -> bytes:
        return self._node.coop

    @property
    def fed(self) -> bytes:
        return self._node.founding.fed

    def time(self) -> int:
        return clock.now()

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def node_of(self, coop: bytes) -> bytes | None:
        info = self._node.engine.view.coop(coop)
        return None if info is None or not info.admitted else info.node_key

    def coop_of(self, node: bytes) -> bytes | None:
        known = self._coops.get(node)
        if known is None or self.node_of(known) != node:
            self._coops = {
                info.node_key: info.coop
                for info in self._node.engine.view.coops()
                if info.node_key is not None and info.admitted
            }
            known = self._coops.get(node)
        return known

    def belongs(self, coop: bytes) -> bool:
        info = self._node.engine.view.coop(coop)
        return info is not None and info.admitted

    def addressee(self, key: bytes) -> bool:
        return self.addressees.known(key)

    def held_sealing(self, key: bytes) -> SealingKey | None:
        return self.addressees.secret(key)

    def letters_waiting(self, key: bytes) -> None:
        info = self.addressees.member(key)
        if info is not None:
            self._node.events.publish("letters", info.author, "letters.waiting", {"key": key})

    def fault(self, where: str, what: str) -> None:
        self._node.faults.note(where, what)


def bounds_of(kept: Retention) -> Bounds:
    """Return the bounds of the post office by the settings; 0 days is a letter's own end."""
    return Bounds(
        taken_s=kept.letters * DAY_S or LETTER_LIFETIME_S_MAX,
        arrived_s=kept.sent_letters * DAY_S or LETTER_LIFETIME_S_MAX,
    )


class Post:
    """The post of a node, as the rest of the node sees it."""

    def __init__(self, node: Node, password: bytes) -> None:
        self._node = node
        sealing = keyring.open_sealing(node.home, password)
        host = PostHost(node, sealing)
        self.addressees = host.addressees
        self.coop_sealing = sealing.public
        disk = LettersDisk(node.home.letters)
        try:
            self.runner = PostRunner(
                disk, host, node.network, node.rng, bounds_of(node.config.retention)
            )
        except BaseException:
            disk.close()
            raise

    @property
    def traces(self) -> LetterTraces:
        """Return what is kept about persons, to show and to erase it."""
        return LetterTraces(self.runner.disk)

    @property
    def desk(self) -> Desk | None:
        """Return who reads letters to keys held here."""
        return self.runner.desk

    @desk.setter
    def desk(self, desk: Desk) -> None:
        self.runner.desk = desk

    async def run(self) -> None:
        """Run until cancelled."""
        await self.runner.run()

    async def serve(self, stream: FrameStream) -> None:
        """Answer a stream of PROTOCOL."""
        await self.runner.serve(stream)

    def connections_changed(self) -> None:
        """Be told that a node came or went, or that the records now say otherwise who it is."""
        self.runner.connections_changed()

    def send(self, letters: Sequence[Sending]) -> list[bytes]:
        """Seal and keep letters, durably; return their ids. Raises: as PostRunner.send."""
        return self.runner.send(letters)

    def inbox(self, to_key: bytes, after: int, limit: int) -> list[Waiting]:
        """Return letters that wait for a key, by serial after `after`."""
        return self.runner.inbox(to_key, after, limit)

    def taken(self, to_key: bytes, ids: Sequence[bytes]) -> int:
        """Be told that a device has letters; return how many had been waiting for its key."""
        return self.runner.taken(to_key, ids)

    def figures(self) -> dict[str, int]:
        """Return counts, sizes and ages by name."""
        return self.runner.figures()

    def close(self) -> None:
        """Close the database."""
        self.runner.close()


__all__ = ["PROTOCOL", "Post", "PostHost"]
