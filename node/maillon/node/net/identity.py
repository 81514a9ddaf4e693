"""Map node keys to libp2p peer ids and read multiaddresses (spec/04, "Transport").

A peer id is the identity multihash (code 0x00) of the protobuf `PublicKey { Type = Ed25519 (1),
Data = key }`, so the key can be read back from it: 00 24 08 01 12 20 and the 32 bytes, in base58
(libp2p specs, "Peer ids and keys"). Nothing here imports libp2p, which takes seconds.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from maillon.node.bounds import ADDRESS_CHARS_MAX
from maillon.node.i18n import _
from maillon.node.net.errors import BadAddress, BadPeerId

_PREFIX: Final = bytes.fromhex("002408011220")
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUE: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_PEER_ID_CHARS_MAX: Final = 64  # 38 bytes take 52 letters

_DNS: Final = frozenset({"dns", "dns4", "dns6"})


def peer_id(key: bytes) -> str:
    """Return the text form of the peer id of a node key (32 bytes).

    Raises: BadPeerId when the key has another length.
    """
    if len(key) != 32:
        raise BadPeerId("A node key has 32 bytes.", length=len(key))
    return _base58(_PREFIX + key)


def peer_id_bytes(key: bytes) -> bytes:
    """Return the binary form of the peer id of a node key."""
    return _PREFIX + key


def key_of(text: str) -> bytes:
    """Return the 32-byte node key inside a peer id in base58.

    Raises: BadPeerId when the text is not base58 or names another kind of key.
    """
    if not 0 < len(text) <= _PEER_ID_CHARS_MAX:
        raise BadPeerId()
    number = 0
    for letter in text:
        value = _VALUE.get(letter)
        if value is None:
            raise BadPeerId()
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    return key_of_bytes(b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big"))


def key_of_bytes(data: bytes) -> bytes:
    """Return the 32-byte node key inside a binary peer id.

    Raises: BadPeerId when it is not the identity multihash of an Ed25519 key. RSA and other keys
    are not node keys: a peer that proves one is a stranger we have no use for.
    """
    if len(data) != 38 or not data.startswith(_PREFIX):
        raise BadPeerId("Only Ed25519 keys name nodes.")
    return data[6:]


def _base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    letters: list[str] = []
    while number:
        number, rest = divmod(number, 58)
        letters.append(_ALPHABET[rest])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP multiaddress: `host` is an IP address, or a name when `kind` is a dns kind.

    `relay` is the text of the relay's own address for a circuit address, else "". `peer` is the
    key at the end (`/p2p/…`), or b"" when the address names none.
    """

    kind: str
    host: str
    port: int
    peer: bytes = b""
    relay: str = ""

    @property
    def is_name(self) -> bool:
        """Tell whether `host` must be resolved before dialling."""
        return self.kind in _DNS

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach the address."""
        if self.is_name:
            return self.host == "localhost"
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_unspecified(self) -> bool:
        """Tell whether the address means "every interface" (0.0.0.0 or ::)."""
        return not self.is_name and ipaddress.ip_address(self.host).is_unspecified

    def without_peer(self) -> str:
        """Return the multiaddress up to the port."""
        return f"/{self.kind}/{self.host}/tcp/{self.port}"

    def __str__(self) -> str:
        if self.relay:
            return f"{self.relay}/p2p-circuit/p2p/{peer_id(self.peer)}"
        return self.without_peer() + (f"/p2p/{peer_id(self.peer)}" if self.peer else "")


def parse_address(text: str) -> Address:
    """Read `/ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>[/p2p/<id>]`, or a circuit through such a one.

    Raises: BadAddress with what is wrong. Other transports are refused, not guessed at.
    """
    if len(text) > ADDRESS_CHARS_MAX:
        raise BadAddress(_("The address is too long."), address=text[:80])
    relay, circuit, target = text.partition("/p2p-circuit")
    if circuit:
        through = parse_address(relay)
        parts = target.split("/")
        if not through.peer or len(parts) != 3 or parts[:2] != ["", "p2p"]:
            raise BadAddress(_("A relayed address names the relay and the node."), address=text)
        return Address(through.kind, through.host, through.port, _peer(parts[2], text), relay)
    parts = text.split("/")
    if len(parts) not in (5, 7) or parts[0] or parts[3] != "tcp":
        raise BadAddress(
            _("An address looks like /ip4/192.0.2.1/tcp/4001 or /dns4/node.example.org/tcp/4001."),
            address=text,
        )
    kind, host, port = parts[1], parts[2], parts[4]
    try:
        if kind == "ip4":
            host = str(ipaddress.IPv4Address(host))
        elif kind == "ip6":
            host = str(ipaddress.IPv6Address(host))
        elif kind not in _DNS or not host or host != host.strip() or len(host) > 253:
            raise ValueError
        if not port.isascii() or not port.isdigit() or not 0 <= int(port) < 65_536:
            raise ValueError
    except ValueError:
        raise BadAddress(_("The address has no valid host and port."), address=text) from None
    peer = b""
    if len(parts) == 7:
        if parts[5] != "p2p":
            raise BadAddress(_("After the port only /p2p/<node> may follow."), address=text)
        peer = _peer(parts[6], text)
    return Address(kind, host, int(port), peer)


def _peer(text: str, address: str) -> bytes:
    try:
        return key_of(text)
    except BadPeerId as error:
        raise BadAddress(_("The address names no node after /p2p/."), address=address) from error
