"""Make the vectors of signing in with a key (spec/09)."""

from __future__ import annotations

import random
from typing import Any

from maillon.protocol.keys import SigningKey
from maillon.protocol.limits import INT_MAX
from maillon.protocol.login import NONCE_BYTES, PURPOSE, login_body


def vectors(rng: random.Random) -> dict[str, object]:
    key = SigningKey.from_seed(bytes(range(32)))
    fields: dict[str, Any] = {
        "fed": b"\x66" * 32,
        "coop": b"\x11" * 32,
        "host": "node.example.org",
        "nonce": bytes(range(NONCE_BYTES)),
        "expires": 1_800_000_000,
    }

    def good(name: str, **changes: Any) -> dict[str, object]:
        said = {**fields, **changes}
        body = login_body(**said)
        return {
            "name": name, **said, "body": body, "key": key.public,
            "signature": key.sign(PURPOSE, body), "expect": "ok",
        }  # fmt: skip

    def wrong(name: str, **changes: Any) -> dict[str, object]:
        """Return a signature over the body of the example, shown where another one is expected."""
        body = login_body(**{**fields, **changes})
        signature = key.sign(PURPOSE, login_body(**fields))
        return {
            "name": name, **fields, **changes, "body": body, "key": key.public,
            "signature": signature, "expect": "bad_signature",
        }  # fmt: skip

    listed = [
        good("the example"),
        good("a host with a port", host="127.0.0.1:4780"),
        good("a host of IPv6", host="[::1]:4780"),
        good("the longest host", host="a" * 253 + ":65535"),
        good("the first time", expires=0),
        good("the last time", expires=INT_MAX),
        good("another nonce", nonce=rng.randbytes(NONCE_BYTES)),
        wrong("for another federation", fed=b"\x67" * 32),
        wrong("for another coop", coop=b"\x12" * 32),
        wrong("for another host", host="node.example.net"),
        wrong("for another port", host="node.example.org:443"),
        wrong("for another nonce", nonce=bytes(NONCE_BYTES)),
        wrong("for another time", expires=1_800_000_001),
        {
            **good("signed for the purpose of records"),
            "signature": key.sign("record", login_body(**fields)),
            "expect": "bad_signature",
        },
    ]
    for name, changes in (
        ("a host in capitals", {"host": "Node.example.org"}),
        ("a host with a path", {"host": "node.example.org/"}),
        ("a host of no characters", {"host": ""}),
        ("a host too long", {"host": "a" * 262}),
        ("a nonce of 47 bytes", {"nonce": bytes(NONCE_BYTES - 1)}),
        ("a nonce of 49 bytes", {"nonce": bytes(NONCE_BYTES + 1)}),
        ("a federation of 31 bytes", {"fed": bytes(31)}),
        ("a coop of 33 bytes", {"coop": bytes(33)}),
        ("a time before 1970", {"expires": -1}),
        ("a time too late", {"expires": INT_MAX + 1}),
    ):
        listed.append({"name": name, **fields, **changes, "expect": "login"})
    return {
        "login.json": {
            "spec": "09-api",
            "about": "What is signed to sign in at a node. `login` stands for what no client signs;"
            " `bad_signature` for a signature that a node does not take for this body.",
            "vectors": listed,
        }
    }
