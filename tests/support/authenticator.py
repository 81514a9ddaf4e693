"""A security key in software: makes passkeys and signs in with them (Web Authentication, level 3).

Enough of an authenticator to be accepted and, told to be wrong somewhere, to be refused. It uses
nothing of the library that the node checks it with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Authenticator:
    """One key on a ring, with one credential."""

    def __init__(self, seed: int) -> None:
        self._key = ec.derive_private_key(seed, ec.SECP256R1())
        self.id = hashlib.sha256(b"credential %d" % seed).digest()
        self.count = 0
        self.user = b""

    def create(self, options: dict[str, Any], origin: str, /, **wrong: Any) -> dict[str, Any]:
        """Return what a browser answers to `navigator.credentials.create`."""
        self.user = base64.urlsafe_b64decode(options["user"]["id"] + "==")
        numbers = self._key.public_key().public_numbers()
        # COSE (RFC 9053): kty 2 (EC2), alg -7 (ES256), crv 1 (P-256), x, y.
        key = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        data = self._data(wrong.get("rp", options["rp"]["id"]), ATTESTED | self._flags(wrong))
        data += bytes(16) + len(self.id).to_bytes(2) + self.id + cbor2.dumps(key)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options, origin, wrong)
        return self._credential(
            {
                "clientDataJSON": base64url(client),
                "attestationObject": base64url(attestation),
                "transports": ["usb"],
            }
        )

    def get(self, options: dict[str, Any], origin: str, /, **wrong: Any) -> dict[str, Any]:
        """Return what a browser answers to `navigator.credentials.get`."""
        self.count = wrong.get("count", self.count + 1)
        data = self._data(wrong.get("rp", options["rpId"]), self._flags(wrong))
        client = self._client("webauthn.get", options, origin, wrong)
        signed = data + hashlib.sha256(client).digest()
        signature = self._key.sign(signed, ec.ECDSA(hashes.SHA256()))
        if "signature" in wrong:
            signature = wrong["signature"]
        return self._credential(
            {
                "clientDataJSON": base64url(client),
                "authenticatorData": base64url(data),
                "signature": base64url(signature),
                "userHandle": base64url(wrong.get("user", self.user)),
            }
        )

    def _flags(self, wrong: dict[str, Any]) -> int:
        return USER_PRESENT | (0 if wrong.get("unverified") else USER_VERIFIED)

    def _data(self, rp: str, flags: int) -> bytes:
        return hashlib.sha256(rp.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _client(
        self, kind: str, options: dict[str, Any], origin: str, wrong: dict[str, Any]
    ) -> bytes:
        return json.dumps(
            {
                "type": wrong.get("type", kind),
                "challenge": wrong.get("challenge", options["challenge"]),
                "origin": wrong.get("origin", origin),
                "crossOrigin": False,
            }
        ).encode()

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        id = base64url(self.id)
        return {
            "id": id,
            "rawId": id,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }
