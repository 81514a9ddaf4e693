"""What happens to a node and what it wants done: between the engine and the runner."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PeerConnected:
    peer: bytes
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    peer: bytes


@dataclass(frozen=True, slots=True)
class HostRestarted:
    """The network host died and was started again; `fault` says why, for `status`."""

    fault: str


@dataclass(frozen=True, slots=True)
class ListenFailed:
    address: str
    fault: str


NetworkEvent = PeerConnected | PeerDisconnected | HostRestarted | ListenFailed


@dataclass(frozen=True, slots=True)
class Publish:
    """Gossip this batch message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Penalise:
    """Take points from a peer's score; the driver disconnects it below its bound."""

    peer: bytes
    points: float
    code: str


@dataclass(frozen=True, slots=True)
class StartSync:
    """Open a reconciliation session with a peer."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class KeepConnected:
    """A federation node and its announced addresses became known, or changed."""

    peer: bytes
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DropPeer:
    """A node key no longer belongs to the federation."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """Records entered the live set; for live listeners, statistics and measurements."""

    ids: tuple[bytes, ...]
    source: bytes | None = None  # the peer they came from, None when local


@dataclass(frozen=True, slots=True)
class Gone:
    """Records left the live set (superseded, withdrawn, revoked, expired)."""

    ids: tuple[bytes, ...] = field(default=())
    reason: str = ""


Effect = Publish | Penalise | StartSync | KeepConnected | DropPeer | Stored | Gone
