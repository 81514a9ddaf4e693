"""How a running node answers the questions of the join protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maillon.node import clock
from maillon.node.run import join
from maillon.node.run.admission import admission_draft, missing_founders
from maillon.protocol.cards import CoopCard
from maillon.protocol.errors import MaillonError

if TYPE_CHECKING:
    from maillon.node.run.node import Node


class NodeDoor(join.Door):
    """The inviter's side, with the node's own register, view and key."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def now(self) -> float:
        return self._node.now()

    def check_token(self, token: bytes, root: bytes) -> bool:
        return self._node.register.check_token(token, root, clock.now())

    def founding_file(self) -> bytes:
        return self._node.founding_file.encode()

    def admit_card(self, card: CoopCard, token: bytes) -> tuple[int, list[str]]:
        node = self._node
        if not node.register.use_token(token, card.root, clock.now()):
            raise join.Refuse("token")
        draft = admission_draft(node, card)
        if draft is not None:
            try:
                node.author(draft, node.node_key)
            except MaillonError as fault:
                raise join.Refuse(fault.code) from None
        return missing_founders(node, card.id)

    def identity_records(self) -> list[bytes]:
        engine = self._node.engine
        ids = [id for _at, id in engine.identity_items()]
        return engine.encoded(ids)

    async def take_profile(self, record: bytes, peer: bytes) -> int:
        node = self._node
        coop = join.coop_of(record)
        if missing_founders(node, coop)[0] == 0:
            node.submit(record)
        else:
            # It waits until enough founders have admitted the coop; the newcomer offers it again.
            node.feed([record])
        return missing_founders(node, coop)[0]
