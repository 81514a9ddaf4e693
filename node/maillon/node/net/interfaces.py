"""Find the addresses of this machine, to tell others instead of "every interface"."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from maillon.node.net.identity import Address


def local_hosts() -> list[tuple[str, str]]:
    """Return (kind, address) of every usable interface, loopback left out; may be empty."""
    import ifaddr  # comes with zeroconf, which libp2p needs

    found: list[tuple[str, str]] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ipaddress.ip_address(text)
            # A link-local address means nothing without the interface it belongs to.
            if address.is_loopback or address.is_link_local or address.is_multicast:
                continue
            found.append(("ip6" if address.version == 6 else "ip4", str(address)))
    return list(dict.fromkeys(found))


def expand(listening: Sequence[Address]) -> list[Address]:
    """Replace 0.0.0.0 and :: by the machine's addresses of that family.

    A machine without any keeps its loopback address, so that two nodes on it find each other.
    """
    out: list[Address] = []
    for address in listening:
        if not address.is_unspecified:
            out.append(address)
            continue
        hosts = [host for kind, host in local_hosts() if kind == address.kind]
        if not hosts:
            hosts = ["::1" if address.kind == "ip6" else "127.0.0.1"]
        out += [Address(address.kind, host, address.port) for host in hosts]
    return out
