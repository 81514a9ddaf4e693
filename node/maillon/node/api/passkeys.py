"""Passkeys: sign in with what a telephone or a security key holds (Web Authentication, level 3).

They are for signing in at this node's pages only and never sign a record: what they hold is bound
to the host, not to the person's key. No attestation is asked for: which make of device somebody
owns is not the coop's affair.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final, cast

from maillon.node.api import bounds
from maillon.node.api.accessports import Person
from maillon.node.api.auth import NONCE_RANDOM_BYTES, Access, NotFound, SignInFailed, TooManyHeld
from maillon.node.engine.access import Passkey
from maillon.node.i18n import _

EDDSA: Final = -8
ES256: Final = -7
RS256: Final = -257
"""Algorithms (RFC 9053, 2; RFC 8812, 2): the last is what Windows Hello had for years."""


def base64url(data: bytes) -> str:
    """Return bytes as WebAuthn's JSON carries them: base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str):
        raise SignInFailed(_("This is no answer of a passkey."))
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SignInFailed(_("This is no answer of a passkey.")) from None


def rp_id(host: str) -> str:
    """Return the relying party's id of a host: its name without the port."""
    return host if host.startswith("[") else host.partition(":")[0]


class Passkeys:
    """Register passkeys and sign in with them. `name` is the coop's, shown by the device."""

    def __init__(self, access: Access, name: str) -> None:
        self._access = access
        self._name = name

    # --- registering ----------------------------------------------------------------------------

    def creation_options(self, person: Person, host: str) -> dict[str, Any]:
        """Return what `navigator.credentials.create` takes as `publicKey`, as JSON."""
        access = self._access
        nonce, _expires = access.challenges.make(
            _place("create", host, person.author),
            access.random(NONCE_RANDOM_BYTES),
            access.now(),
        )
        return {
            "rp": {"id": rp_id(host), "name": self._name},
            "user": {
                # The person's id says nothing outside; the name stays on their own device.
                "id": base64url(person.author[33:]),
                "name": person.name or person.author[33:37].hex(),
                "displayName": person.name or person.author[33:37].hex(),
            },
            "challenge": base64url(nonce),
            "pubKeyCredParams": [
                {"type": "public-key", "alg": algorithm} for algorithm in (EDDSA, ES256, RS256)
            ],
            "timeout": bounds.CHALLENGE_S * 1_000,
            "excludeCredentials": [
                {"type": "public-key", "id": base64url(passkey.id)}
                for passkey in access.store.passkeys(person.author)
            ],
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": True,
                "userVerification": "required",
            },
            "attestation": "none",
        }

    def register(
        self, person: Person, credential: dict[str, Any], label: str, *, host: str, origin: str
    ) -> Passkey:
        """Keep a passkey that a device made. Raises: SignInFailed, TooManyHeld."""
        # Imported here: it takes a third of a second, and most nodes' first minute needs none.
        from webauthn import verify_registration_response
        from webauthn.helpers.exceptions import WebAuthnException

        access = self._access
        nonce, expires = self._challenge(credential, _place("create", host, person.author))
        if len(access.store.passkeys(person.author)) >= bounds.PASSKEYS_PER_PERSON_MAX:
            raise TooManyHeld(_("There are too many passkeys already; remove one first."))
        try:
            made = verify_registration_response(
                credential=credential,
                expected_challenge=nonce,
                expected_rp_id=rp_id(host),
                expected_origin=origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as fault:
            raise SignInFailed(_("The passkey was not accepted.")) from fault
        access.use_challenge(nonce, expires)
        now = access.now()
        passkey = Passkey(
            made.credential_id,
            person.author,
            made.credential_public_key,
            made.sign_count,
            label,
            now,
            0,
        )
        if not access.store.add_passkey(passkey):
            raise SignInFailed(_("The passkey was not accepted."))
        return passkey

    def remove(self, author: bytes, id: str) -> None:
        """Forget a passkey of a person. Raises: NotFound."""
        try:
            key = bytes.fromhex(id)
        except ValueError:
            key = b""
        passkey = self._access.store.passkey(key)
        if passkey is None or passkey.author != author:
            raise NotFound(_("There is no such passkey."))
        self._access.store.remove_passkey(key)

    # --- signing in -----------------------------------------------------------------------------

    def request_options(self, host: str) -> dict[str, Any]:
        """Return what `navigator.credentials.get` takes as `publicKey`, as JSON.

        It names no credential: the device finds its own, and nobody learns who has one here.
        """
        access = self._access
        nonce, _expires = access.challenges.make(
            _place("get", host), access.random(NONCE_RANDOM_BYTES), access.now()
        )
        return {
            "rpId": rp_id(host),
            "challenge": base64url(nonce),
            "timeout": bounds.CHALLENGE_S * 1_000,
            "userVerification": "required",
        }

    def prove(self, credential: dict[str, Any], *, host: str, origin: str) -> Person:
        """Return who signed in with a passkey. Raises: SignInFailed, the same for every reason."""
        from webauthn import verify_authentication_response
        from webauthn.helpers.exceptions import WebAuthnException

        access = self._access
        nonce, expires = self._challenge(credential, _place("get", host))
        passkey = access.store.passkey(_bytes(credential.get("rawId", credential.get("id"))))
        person = None if passkey is None else access.directory.by_author(passkey.author)
        if passkey is None or person is None:
            raise SignInFailed(_("The passkey was not accepted."))
        response = credential.get("response")
        if isinstance(response, dict):
            handle = cast("dict[str, Any]", response).get("userHandle")
            if handle and _bytes(handle) != person.author[33:]:
                raise SignInFailed(_("The passkey was not accepted."))
        try:
            proved = verify_authentication_response(
                credential=credential,
                expected_challenge=nonce,
                expected_rp_id=rp_id(host),
                expected_origin=origin,
                credential_public_key=passkey.public,
                # A count that does not grow tells of a copy (W3C, 6.1.1); it is refused in there.
                credential_current_sign_count=passkey.count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as fault:
            raise SignInFailed(_("The passkey was not accepted.")) from fault
        access.use_challenge(nonce, expires)
        access.store.used_passkey(passkey.id, proved.new_sign_count, access.now())
        return person

    def _challenge(self, credential: dict[str, Any], place: str) -> tuple[bytes, int]:
        """Return the challenge that an answer is for, and its end. Raises: SignInFailed."""
        response = credential.get("response")
        data = cast("dict[str, Any]", response if isinstance(response, dict) else {})
        try:
            said: Any = json.loads(_bytes(data.get("clientDataJSON")))
            nonce = _bytes(said["challenge"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SignInFailed(_("This is no answer of a passkey.")) from None
        expires = self._access.challenges.expiry(nonce, place, self._access.now())
        if expires is None:
            raise SignInFailed(
                _("This challenge is not one of ours, was used, or is over."),
                hint=_("Fetch another one."),
            )
        return nonce, expires


def _place(act: str, host: str, author: bytes = b"") -> str:
    """Return what a challenge is bound to: no other act, host or person can use it."""
    return f"passkey {act} {host} {author.hex()}"
