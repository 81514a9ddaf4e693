"""Sign in at a node with a member's key (spec/09-api, "Signing in with a key").

    body      = [1, fed, coop, host, nonce, expires]        signed for the purpose "login"

The signature says to one node, at one address, once and soon: I hold this key. It says nothing else
and is worth nothing elsewhere: the purpose tells it from a record's, `fed`, `coop` and `host` name
where it is meant for, and the node takes each nonce once.
"""

from __future__ import annotations

import re
from typing import Final

from maillon.protocol.encoding import encode
from maillon.protocol.errors import LocalError
from maillon.protocol.limits import INT_MAX

VERSION: Final = 1
PURPOSE: Final = "login"
NONCE_BYTES: Final = 48
HOST_CHARS_MAX: Final = 261  # a name of 253, a colon, a port, and the brackets of an IPv6 address

_HOST: Final = re.compile(r"[a-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-f:.]+\](?::[0-9]{1,5})?")


class BadLogin(LocalError):
    """What is to be signed for a sign-in is not in order."""

    code = "login"


def host_ok(host: str) -> bool:
    """Tell whether a text is the host (and port) of an address, in its one form: lower case."""
    return len(host) <= HOST_CHARS_MAX and _HOST.fullmatch(host) is not None


def login_body(*, fed: bytes, coop: bytes, host: str, nonce: bytes, expires: int) -> bytes:
    """Return the bytes that are signed for the purpose `login` to sign in.

    `fed` and `coop` are 32 bytes; `host` is what the client dialled, host and port as in the HTTP
    header Host, lower case; `nonce` is 48 bytes of the node's, `expires` Unix seconds. Raises:
    BadLogin rather than to have a key sign anything of another form.
    """
    if len(fed) != 32 or len(coop) != 32 or len(nonce) != NONCE_BYTES:
        raise BadLogin("A federation and a coop have 32 bytes, a nonce has 48.")
    if not host_ok(host):
        raise BadLogin("The host of a sign-in is a name or number and a port, in lower case.")
    if not 0 <= expires <= INT_MAX:
        raise BadLogin("The time of a sign-in is in Unix seconds.")
    return encode([VERSION, fed, coop, host, nonce, expires])
