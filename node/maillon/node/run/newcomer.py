"""The newcomer's side of joining: a network of its own for as long as the conversation takes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, cast

import trio

from maillon.node import bounds, clock
from maillon.node.config import Config
from maillon.node.engine import Engine
from maillon.node.home import Home, write_atomic
from maillon.node.i18n import _
from maillon.node.net import Libp2pNetwork, NetSettings
from maillon.node.run import join as protocol
from maillon.node.run.founding import config_addresses
from maillon.node.run.ledgerkeys import LedgerKeys
from maillon.node.run.profile import profile_draft, profile_fields
from maillon.node.verify import verify_inline
from maillon.protocol import encoding
from maillon.protocol.cards import Invitation, make_card
from maillon.protocol.encoding import Value
from maillon.protocol.envelope import sign
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import Founding, open_founding
from maillon.protocol.gossip import topic
from maillon.protocol.keys import SigningKey, coop_id


class Newcomer:
    """One attempt to join."""

    def __init__(
        self,
        home: Home,
        config: Config,
        root: SigningKey,
        node_key: SigningKey,
        invitation: Invitation,
        keys: LedgerKeys,
    ) -> None:
        self.home = home
        self.config = config
        self.root = root
        self.node_key = node_key
        self.invitation = invitation
        self.coop = coop_id(root.public)
        self.addresses = config_addresses(config)
        self.card = make_card(
            root,
            node_key.public,
            config.coop.name,
            self.addresses,
            writer=keys.writer.public,
            witness=keys.witness.public,
        )

    def join(self) -> dict[str, Any]:
        """Run the conversation; see `join_federation`."""
        return trio.run(self._run)

    async def _run(self) -> dict[str, Any]:
        network = Libp2pNetwork(
            # Any port: a node of ours that runs already keeps its own.
            NetSettings(topic=topic(self.invitation.fed), listen=("/ip4/127.0.0.1/tcp/0",)),
            self.node_key.secret_bytes(),
            lambda _peer, _data: False,
            lambda _event: None,
            lambda key: key == self.invitation.node_key,
            rng=random.Random(self.node_key.public),  # noqa: TID251 - spreads redials, no secret
        )
        result: dict[str, Any] | None = None
        fault: MaillonError | None = None
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
            try:
                with trio.fail_after(bounds.JOIN_S_MAX):
                    result = await self._converse(network)
            except trio.TooSlowError:
                fault = protocol.JoinRefused(
                    _("The inviting node did not answer in time."),
                    hint=_("Ask whether it is running, then try again."),
                    reason="timeout",
                )
            except MaillonError as error:
                fault = error
            nursery.cancel_scope.cancel()
        if fault is not None:
            raise fault
        assert result is not None, "the conversation ended with one or the other"
        return result

    async def _converse(self, network: Libp2pNetwork) -> dict[str, Any]:
        inviter = self.invitation.node_key
        await network.connect(inviter, self.invitation.addresses)
        stream = await network.open_stream(inviter, protocol.PROTOCOL)
        token, card = self.invitation.token, self.card.encode()
        await stream.send(encoding.encode([protocol.ASK, protocol.VERSION, token, card]))
        welcome = protocol.read_frame(await stream.receive(), protocol.WELCOME)
        file = cast(bytes, welcome[1])
        founding = open_founding(file)
        if founding.fed != self.invitation.fed:
            raise protocol.JoinRefused(
                _("The inviting node belongs to another federation than its invitation says."),
                hint=_("Do not use this invitation; ask the coop that sent it."),
                reason="wrong_federation",
            )
        may_admit = [str(name) for name in cast("list[Value]", welcome[3])]
        records = await protocol.receive_records(stream, protocol.RECORDS_MAX)
        profile = await trio.to_thread.run_sync(self._profile, founding, records)
        for frame in protocol.record_frames([profile]):
            await stream.send(frame)
        await stream.send(encoding.encode([protocol.DONE, 1]))
        done = protocol.read_frame(await stream.receive(), protocol.DONE)
        await stream.close()
        self._keep(file, records, profile)
        return {
            "federation": founding.name,
            "fed": founding.fed.hex(),
            "coop": self.coop.hex(),
            "missing": done[1],
            "may_admit": may_admit,
            "card": self.card.to_text(),
        }

    def _profile(self, founding: Founding, records: list[bytes]) -> bytes:
        """Sign the own profile, after an earlier one that the federation may know.

        What came is judged like anything from the network, in a store that is thrown away.
        """
        from maillon.node.store.memory import MemoryStore

        engine = Engine(
            MemoryStore(),
            founding,
            node_key=self.node_key.public,
            rng=random.Random(0),  # noqa: TID251 - decides jitter only
        )
        now = clock.now()
        engine.start(now)
        prepared = engine.prepare_sync(self.invitation.node_key, records, now)
        engine.complete(prepared, verify_inline(prepared.items), now)
        current = engine.view.profile(self.coop)
        draft = profile_draft(
            profile_fields(self.config, self.node_key.public, self.addresses),
            None if current is None else current.signed,
            fed=founding.fed,
            coop=self.coop,
            root=self.root.public,
            now=now,
            salt=protocol.salt(),
        )
        return sign(draft, self.root).encode()

    def _keep(self, file: bytes, records: list[bytes], profile: bytes) -> None:
        """Write what was received; the founding file last: with it the node belongs."""
        write_records(self.home.path / "joined.bin", records)
        write_atomic(self.home.path / "profile.bin", profile, mode=0o644, replace=True)
        write_atomic(self.home.founding, file, mode=0o644)


def write_records(path: Path, records: list[bytes]) -> None:
    """Keep the inviter's identity records for the first start, which takes them in.

    The founding document alone does not tell a newcomer where an inviter that is no founder is.
    """
    frames = protocol.record_frames(records)
    data = b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)
    write_atomic(path, data, mode=0o644, replace=True)


def read_records(path: Path) -> list[bytes]:
    """Return what `write_records` kept; nothing when there is no such file or it is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    records: list[bytes] = []
    while data:
        size = int.from_bytes(data[:4], "big")
        try:
            frame = protocol.read_frame(data[4 : 4 + size], protocol.RECORDS)
        except MaillonError:
            break
        records += cast("list[bytes]", frame[1])
        data = data[4 + size :]
    return records
