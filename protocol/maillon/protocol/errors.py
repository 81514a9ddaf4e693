"""Name everything that can go wrong, one class a fact (spec/registry.md, table "Error codes").

`RemoteError`: a peer broke the rules; it is counted and handled. `LocalError`: our own caller or
user did; the command line prints it in words a person can act on. Anything else is a bug.

The four flags of a class tell a node how to treat the peer that handed it such a record:

- `benign`: nothing is wrong, the record is merely not needed. No score lost.
- `pending`: it may become valid when another record arrives. No score lost.
- `excusable`: an honest peer that knows a little less than we do, or whose clock differs a little,
  sends such a record too. Refused, not relayed, no score lost. Benign and pending imply it.
"""

from __future__ import annotations

from typing import Any, ClassVar


class MaillonError(Exception):
    """Carry a code of the registry, a sentence for people, and facts for programs.

    `NotMember(coop=..., by=...)` says the class's sentence; a first argument replaces it. Facts
    are found in `facts` and as attributes. A fact is never a secret: facts reach logs.
    """

    code: ClassVar[str] = "error"
    sentence: ClassVar[str] = "Something went wrong."
    benign: ClassVar[bool] = False
    pending: ClassVar[bool] = False
    excusable: ClassVar[bool] = False

    message: str
    facts: dict[str, Any]

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        self.message = self.sentence if message is None else message
        self.facts = facts
        super().__init__(self.message)

    def __getattr__(self, name: str) -> Any:
        # Called only when the attribute is not found the usual way. `facts` itself may be absent
        # while an exception is being rebuilt, hence the detour through __dict__.
        facts: dict[str, Any] = self.__dict__.get("facts", {})
        try:
            return facts[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no fact {name!r}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process borders with all their attributes, not only their arguments.
        return _rebuild, (type(self), self.message), self.__dict__

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        shown = "".join(f", {name}={_shown(fact)}" for name, fact in self.facts.items())
        return f"{type(self).__name__}({self.message!r}{shown})"


def _rebuild(cls: type[MaillonError], message: str) -> MaillonError:
    return cls(message)


def _shown(fact: object) -> str:
    return fact.hex() if isinstance(fact, bytes) else repr(fact)


class RemoteError(MaillonError):
    """A peer, or bytes of unknown origin, broke a rule of the protocol."""

    code = "remote"
    sentence = "A peer broke a rule of the protocol."


class LocalError(MaillonError):
    """Our own caller or user did; `hint` says what to do about it, when there is something."""

    code = "local"
    sentence = "That cannot be done."

    hint: str | None

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.hint = hint


# --- The bytes (spec/01, spec/03) ---------------------------------------------------------------


class Malformed(RemoteError):
    """The bytes are not what they claim to be; `rule` names the broken rule (spec/01)."""

    code = "malformed"
    sentence = "The bytes cannot be read."

    rule: str

    def __init__(
        self, message: str | None = None, *, rule: str = "malformed", **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.rule = rule
        self.facts["rule"] = rule


class NotCanonical(Malformed):
    """The bytes can be read, and the same value has another, canonical encoding."""

    code = "not_canonical"
    sentence = "The bytes are not in the canonical encoding."


class TooLarge(Malformed):
    """A length, a depth or a count is beyond its limit."""

    code = "too_large"
    sentence = "The bytes are beyond a limit."


class BodyMismatch(RemoteError):
    """The payload's hash or size is not what the header commits to."""

    code = "body_mismatch"
    sentence = "The payload is not the one the header names."


class SchemaError(RemoteError):
    """A field is missing, of another type, or out of its bounds; `field` names it."""

    code = "schema"
    sentence = "A field of the record is missing or wrong."


class WrongVersion(RemoteError):
    """The record is of a major version this reader does not know, as newer nodes send."""

    code = "version_unsupported"
    excusable = True
    sentence = "The record is of an unsupported version."


class WrongFederation(RemoteError):
    """The record belongs to another federation."""

    code = "wrong_federation"
    sentence = "The record belongs to another federation."


# --- Signatures (spec/02) -----------------------------------------------------------------------


class BadSignature(RemoteError):
    """The signature is not one by this key over these bytes."""

    code = "bad_signature"
    sentence = "The signature is not valid."


class BadKey(RemoteError):
    """The public key is not one the protocol accepts, whatever it signs."""

    code = "bad_key"
    sentence = "The public key is not acceptable."


class CannotOpen(RemoteError):
    """What was sealed was not sealed to this key, or was changed on the way."""

    code = "cannot_open"
    sentence = "The letter cannot be opened with this key."


# --- Time ---------------------------------------------------------------------------------------


class FromFuture(RemoteError):
    """The record's `at` is too far ahead of the reader's clock."""

    code = "from_future"
    sentence = "The record is dated in the future."


class Expired(RemoteError):
    """The record's `until` has passed."""

    code = "expired"
    sentence = "The record has expired."
    excusable = True


class LifetimeTooLong(RemoteError):
    """`until` is further from `at` than the kind allows, or not after it."""

    code = "lifetime"
    sentence = "The record would live longer than its kind allows."


# --- Who may (spec/02, spec/03) -----------------------------------------------------------------


class UnknownCoop(RemoteError):
    """No admitted coop of this id is known yet."""

    code = "coop_unknown"
    sentence = "The coop is not known in this federation."
    pending = True
    excusable = True


class NotMember(RemoteError):
    """No membership of this coop for this key is known yet."""

    code = "membership_missing"
    sentence = "The key belongs to no known member of the coop."
    pending = True
    excusable = True


class MembershipExpired(RemoteError):
    """The membership did not cover the record's `at`."""

    code = "membership_expired"
    sentence = "The membership had expired."
    excusable = True


class MembershipRevoked(RemoteError):
    """The membership is suspended or revoked, and this record does not count any more."""

    code = "membership_revoked"
    sentence = "The membership was revoked."
    excusable = True


class NotAllowed(RemoteError):
    """This signer may not make such a record."""

    code = "not_allowed"
    sentence = "The signer may not make such a record."


class MandateMissing(RemoteError):
    """The mandate the record is made under is not known yet."""

    code = "mandate_missing"
    sentence = "The mandate is not known."
    pending = True
    excusable = True


class MandateScope(RemoteError):
    """The mandate does not cover such a record."""

    code = "mandate_scope"
    sentence = "The mandate does not cover such a record."


class MandateExpired(RemoteError):
    """The mandate did not cover the record's `at`."""

    code = "mandate_expired"
    sentence = "The mandate was not in force at that time."
    excusable = True


class MandateRevoked(RemoteError):
    """The mandate was revoked or withdrawn."""

    code = "mandate_revoked"
    sentence = "The mandate was revoked."
    excusable = True


class RefMissing(RemoteError):
    """A record or transfer that this record refers to is not known yet."""

    code = "ref_missing"
    sentence = "Something the record refers to is not known."
    pending = True
    excusable = True


class RefInvalid(RemoteError):
    """What the record refers to is known, and does not allow this record."""

    code = "ref_invalid"
    sentence = "What the record refers to does not allow it."


class StepRefused(RemoteError):
    """An exchange does not allow this step now; `phase`, `kind`, `reason` and `possible` say more.

    `possible` are the kinds of step that its author may take instead (spec/08).
    """

    code = "step"
    sentence = "The exchange does not allow this step now."
    # Two parties that have not read one another's last letter sign steps that cross.
    excusable = True


# --- Nothing wrong ------------------------------------------------------------------------------


class Superseded(RemoteError):
    """A later revision of the same thing is known."""

    code = "superseded"
    sentence = "A later revision is known."
    benign = True
    excusable = True


class Duplicate(RemoteError):
    """The record is known already."""

    code = "duplicate"
    sentence = "The record is known already."
    benign = True
    excusable = True


class QuotaExceeded(RemoteError):
    """The author, coop or peer has used up its share for now."""

    code = "quota"
    sentence = "The share of the author, coop or peer is used up."
    # Counts depend on the order of arrival: an honest relay may stand just below its own count.
    excusable = True


# --- Ours ---------------------------------------------------------------------------------------


class EncodingError(LocalError):
    """A value has no canonical encoding; `rule` names the rule it breaks (spec/01)."""

    code = "encoding"
    sentence = "The value has no canonical encoding."

    rule: str

    def __init__(
        self,
        message: str | None = None,
        *,
        rule: str = "encoding",
        hint: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, hint=hint, **facts)
        self.rule = rule
        self.facts["rule"] = rule


class BadSecret(LocalError):
    """Key material of our own has the wrong length or form."""

    code = "bad_secret"
    sentence = "The secret key is not of the right length."


class WordsError(LocalError):
    """Recovery words cannot be read; `position` (from 1, or None) says which of them is wrong.

    `suggestions` are words close to what was typed. They tell a good part of a secret, so they are
    not among the facts: show them to the person who typed, and log nothing of them.
    """

    code = "recovery_words"
    sentence = "The recovery words cannot be read."

    position: int | None
    suggestions: tuple[str, ...]

    def __init__(
        self,
        message: str | None = None,
        *,
        position: int | None = None,
        suggestions: tuple[str, ...] = (),
        hint: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, hint=hint, **facts)
        self.position = position
        self.suggestions = suggestions


class WrongPassword(LocalError):
    """The password does not open the key file."""

    code = "wrong_password"
    sentence = "The password does not open this key file."


class DamagedKeyFile(LocalError):
    """The bytes are not a key file, or not any more; `rule` names what is wrong."""

    code = "damaged_key_file"
    sentence = "This is not a key file, or it is damaged."
