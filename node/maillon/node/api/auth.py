"""Sign people in and recognise them again: sessions, tokens, signed challenges (spec/09)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar, Final

from maillon.node.api import bounds
from maillon.node.api.accessports import AccessStore, Directory, Person
from maillon.node.api.caller import (
    MEMBER_SCOPES,
    ROLE_SCOPES,
    SCOPES,
    Caller,
    Forbidden,
    NotSignedIn,
)
from maillon.node.api.ratelimit import Rates
from maillon.node.engine.access import (
    SECRET_BYTES,
    Challenges,
    Session,
    Token,
    hashed,
    read_token,
    token_text,
)
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError, MaillonError
from maillon.protocol.keys import verify
from maillon.protocol.login import PURPOSE, login_body

PUBLIC_ID_BYTES: Final = 8
NONCE_RANDOM_BYTES: Final = 24
DAY_S: Final = 86_400


class SignInFailed(LocalError):
    """What was shown to sign in is not good. It does not say what is wrong, or whom it knows."""

    code: ClassVar[str] = "sign_in"


class NotFound(LocalError):
    """There is no such session, token or passkey, or it is somebody else's."""

    code: ClassVar[str] = "not_found"


class TooManyHeld(LocalError):
    """Somebody holds as many as one may."""

    code: ClassVar[str] = "quota"


def scopes_of(person: Person) -> frozenset[str]:
    """Return all that a person may do, by the roles of their memberships."""
    return MEMBER_SCOPES.union(*(ROLE_SCOPES.get(role, frozenset()) for role in person.roles))


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just begun; `secret` is what the cookie carries, said once."""

    session: Session
    secret: bytes


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; `text` is said once."""

    token: Token
    text: str


@dataclass(frozen=True, slots=True)
class Rules:
    """How long what is given out lasts, in seconds."""

    session_s: int = bounds.SESSION_S_MAX
    idle_s: int = bounds.SESSION_IDLE_S
    token_days: int = bounds.TOKEN_DAYS_MAX


class Access:
    """Who may come in. `random` returns random bytes, `now` Unix seconds."""

    def __init__(
        self,
        store: AccessStore,
        directory: Directory,
        *,
        fed: bytes,
        coop: bytes,
        random: Callable[[int], bytes],
        now: Callable[[], int],
        rules: Rules | None = None,
    ) -> None:
        self.store = store
        self.directory = directory
        self.fed = fed
        self.coop = coop
        self.random = random
        self.now = now
        self.rules = rules or Rules()
        self.challenges = Challenges(
            random(SECRET_BYTES),
            lifetime_s=bounds.CHALLENGE_S,
            used_max=bounds.CHALLENGES_USED_MAX,
        )
        self._logins = Rates(bounds.LOGINS_PER_S, bounds.LOGINS_BURST)

    # --- recognising ----------------------------------------------------------------------------

    def by_token(self, text: str, address: str = "") -> Caller:
        """Return who shows a token. Raises: NotSignedIn, the same for every reason."""
        secret = read_token(text)
        token = None if secret is None else self.store.token(hashed(secret))
        now = self.now()
        if token is None or token.revoked or token.expires <= now:
            raise NotSignedIn(_("This token does not count; it may have ended."))
        if not token.author:
            caller = Caller("token", scopes=token.scopes, id=token.id, address=address)
        else:
            caller = self._member(token.author, token.key, token.scopes, token.id, address)
        if now - token.last_used >= bounds.TOUCH_S:
            self.store.used_token(token.id, now)
        return caller

    def by_session(self, secret: bytes, address: str = "") -> Caller:
        """Return who shows the cookie of a session. Raises: NotSignedIn."""
        session = self.store.session(hashed(secret)) if len(secret) == SECRET_BYTES else None
        now = self.now()
        if session is None or session.expires <= now or session.idle_until <= now:
            raise NotSignedIn(_("Your session has ended; sign in again."))
        caller = self._member(session.author, session.key, session.scopes, session.id, address)
        if now - session.last_used >= min(bounds.TOUCH_S, self.rules.idle_s // 2):
            idle_until = min(now + self.rules.idle_s, session.expires)
            self.store.used_session(session.id, now, idle_until)
        return caller

    def again(self, caller: Caller) -> Caller:
        """Return a caller as it is now, for answers that last: nobody when it ended."""
        if caller.kind in ("operator", "public"):
            return caller
        now = self.now()
        session = self.store.session_by_id(caller.id)
        token = None if session else self.store.token_by_id(caller.id)
        ended = (session is None or session.expires <= now) and (
            token is None or bool(token.revoked) or token.expires <= now
        )
        if ended:
            return Caller("public", address=caller.address)
        if caller.author is None:
            return caller
        try:
            return self._member(
                caller.author, caller.key or b"", caller.scopes, caller.id, caller.address
            )
        except NotSignedIn:
            return Caller("public", address=caller.address)

    def _member(
        self, author: bytes, key: bytes, scopes: frozenset[str], id: str, address: str
    ) -> Caller:
        person = self.directory.by_author(author)
        if person is None or (key and key not in person.keys):
            raise NotSignedIn(_("Your membership, or the key you signed in with, has ended."))
        return Caller(
            "member",
            author=author,
            key=key or None,
            # A role that was taken away takes its scope with it at once.
            scopes=scopes & scopes_of(person),
            id=id,
            address=address,
            mandated=lambda: self.directory.mandated(author),
        )

    # --- signing in -----------------------------------------------------------------------------

    def challenge(self, host: str) -> tuple[bytes, int]:
        """Return (nonce, expires) to be signed by who signs in at a host."""
        return self.challenges.make(host, self.random(NONCE_RANDOM_BYTES), self.now())

    def attempt(self, address: str, clock: float) -> None:
        """Count an attempt to sign in as one that fails. Raises: TooMany."""
        self._logins.take(address, clock)

    def attempt_was_good(self, address: str, clock: float) -> None:
        """Count it no more: only who guesses is held up."""
        self._logins.give(address, clock)

    def prove(self, *, key: bytes, nonce: bytes, signature: bytes, host: str) -> Person:
        """Return who signed a challenge. Raises: SignInFailed, the same for every reason."""
        expires = self.challenges.expiry(nonce, host, self.now())
        if expires is None:
            raise SignInFailed(
                _("This challenge is not one of ours, was used, or is over."),
                hint=_("Fetch another one."),
            )
        body = login_body(fed=self.fed, coop=self.coop, host=host, nonce=nonce, expires=expires)
        person = self.directory.by_key(key)
        try:
            verify(key, PURPOSE, body, signature)
        except MaillonError:
            person = None
        else:
            awaited = None if person is not None else self.directory.awaited(key)
            if awaited is not None:
                # What the coop vouches for is public, and the key is in their hands.
                said = _("This key is new: it counts from {when} (UTC) on, if nobody contests it.")
                raise SignInFailed(
                    said.format(when=f"{datetime.fromtimestamp(awaited, UTC):%Y-%m-%d %H:%M}"),
                    counts_from=awaited,
                )
        if person is None:
            raise SignInFailed(_("The signature, or the key, does not count here."))
        self.use_challenge(nonce, expires)
        return person

    def use_challenge(self, nonce: bytes, expires: int) -> None:
        """Take a challenge that was answered well, once. Raises: TooManyHeld."""
        if not self.challenges.use(nonce, expires, self.now()):
            raise TooManyHeld(_("Too many are signing in; try again in some minutes."))

    def begin_session(
        self,
        person: Person,
        *,
        key: bytes,
        method: str,
        scopes: frozenset[str] | None = None,
    ) -> NewSession:
        """Begin a session. The one not used longest ends when there are too many."""
        now = self.now()
        held = self.store.sessions(person.author, now)
        if len(held) >= bounds.SESSIONS_PER_PERSON_MAX:
            self.store.end_session(min(held, key=lambda session: session.last_used).id)
        secret = self.random(SECRET_BYTES)
        allowed = scopes_of(person)
        session = Session(
            id=self.random(PUBLIC_ID_BYTES).hex(),
            author=person.author,
            key=key,
            method=method,
            created=now,
            expires=now + self.rules.session_s,
            idle_until=now + min(self.rules.idle_s, self.rules.session_s),
            last_used=now,
            scopes=allowed if scopes is None else allowed & scopes,
        )
        self.store.add_session(hashed(secret), session)
        return NewSession(session, secret)

    # --- tokens ---------------------------------------------------------------------------------

    def make_token(
        self,
        by: Caller | None,
        *,
        person: Person | None,
        scopes: Iterable[str],
        label: str,
        days: int,
        key: bytes = b"",
    ) -> NewToken:
        """Make a token for a person, or with None for a program of the coop.

        `by` is who asks for it, None for the person as they sign in. Nobody gives what they do not
        have: for oneself one's own scopes, the desk for others what every member may, only `admin`
        and the operator more. Raises: Forbidden, TooManyHeld.
        """
        wanted = frozenset(scopes)
        unknown = wanted.difference(SCOPES)
        if unknown or not wanted:
            raise Forbidden(_("There is no such scope."), scope=" ".join(sorted(unknown)))
        self._check_grant(by, person, wanted)
        now = self.now()
        author = b"" if person is None else person.author
        most = bounds.TOKENS_OF_COOP_MAX if person is None else bounds.TOKENS_PER_PERSON_MAX
        if self.store.count_tokens(author, now) >= most:
            raise TooManyHeld(_("There are {n} tokens already; end one first.").format(n=most))
        if by is not None and person is not None and by.author == person.author:
            key = by.key or b""
        secret = self.random(SECRET_BYTES)
        token = Token(
            id=self.random(PUBLIC_ID_BYTES).hex(),
            label=label,
            author=author,
            scopes=wanted,
            created=now,
            expires=now + min(days, self.rules.token_days) * DAY_S,
            last_used=0,
            revoked=0,
            key=key,
        )
        self.store.add_token(hashed(secret), token)
        return NewToken(token, token_text(secret))

    def _check_grant(
        self, by: Caller | None, person: Person | None, wanted: frozenset[str]
    ) -> None:
        if person is not None and not wanted <= scopes_of(person):
            raise Forbidden(
                _("Their roles do not allow these scopes."),
                scope=" ".join(sorted(wanted - scopes_of(person))),
            )
        if by is None or by.kind == "operator":
            return
        if person is not None and by.author == person.author:
            missing = wanted - by.scopes
        elif by.may("admin"):
            missing = wanted - by.scopes
        else:
            by.require("desk")
            missing = wanted - MEMBER_SCOPES
            if person is None:
                missing = wanted
        if missing:
            raise Forbidden(
                _("You cannot give what you may not do."), scope=" ".join(sorted(missing))
            )

    def token_of(self, caller: Caller, id: str) -> Token:
        """Return a token that a caller may end. Raises: NotFound."""
        token = self.store.token_by_id(id)
        if token is None or not (
            caller.may("admin")
            or (token.author and token.author == caller.author)
            or (token.author and caller.may("desk"))
        ):
            raise NotFound(_("There is no such token."))
        return token

    def revoke_token(self, caller: Caller, id: str) -> Token:
        """End a token. Raises: NotFound."""
        token = self.token_of(caller, id)
        now = self.now()
        self.store.revoke_token(id, now)
        return token if token.revoked else replace(token, revoked=now)

    def end_session(self, caller: Caller, id: str) -> None:
        """End a session of the caller's person, or of anybody for the desk. Raises: NotFound."""
        session = self.store.session_by_id(id)
        if session is None or not (session.author == caller.author or caller.may("desk")):
            raise NotFound(_("There is no such session."))
        self.store.end_session(id)
