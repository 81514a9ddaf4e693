"""Who calls the interface, and what they may do there (spec/09, "Who calls").

Whoever can open the Unix socket is the operator: the permissions of the file have decided. Over TCP
a caller is nobody until a session or a token says who it is. Every route names the scope that it
needs; one that names none is the operator's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation

from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

Scope = Literal["read", "exchange", "pay", "publish", "desk", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "exchange", "pay", "publish", "desk", "admin")

PUBLIC: Final = "public"
"""Of a route: anybody may call it, with or without an account."""
OPERATOR: Final = "operator"
"""Of a route: only over the Unix socket, since it reads or writes files of the machine."""

MEMBER_SCOPES: Final[frozenset[str]] = frozenset({"read", "exchange", "pay", "publish"})
"""What every member may do, for themselves."""
ROLE_SCOPES: Final[dict[str, frozenset[str]]] = {
    "desk": frozenset({"desk"}),
    "admin": frozenset({"desk", "admin"}),
}
"""What a role that the membership names adds (spec/03, "membership")."""


class NotSignedIn(LocalError):
    """Nobody is signed in, and the route needs somebody."""

    code: ClassVar[str] = "unauthenticated"


class Forbidden(LocalError):
    """The caller is known and may not do this. Facts: `scope`, when one is missing."""

    code: ClassVar[str] = "forbidden"


def _nobody() -> frozenset[bytes]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    `kind` is `operator` over the Unix socket; `member` for a session or token of a person of this
    coop; `token` for one of a program, behind which stands no person; `public` for all others.
    `author` is the person as records name authors (49 bytes), `key` the key that signed in (32
    bytes; None where a passkey or a token did), `id` names the session or token, `address` is the
    network address for the bounds. `mandated` returns the authors that have let this one act for
    them; it is asked only when it matters.
    """

    kind: Literal["operator", "member", "token", "public"]
    author: bytes | None = None
    key: bytes | None = None
    scopes: frozenset[str] = frozenset()
    id: str = ""
    address: str = ""
    mandated: Callable[[], frozenset[bytes]] = field(default=_nobody, compare=False)

    def may(self, scope: str) -> bool:
        """Tell whether the caller has a scope."""
        return scope == PUBLIC or self.kind == "operator" or scope in self.scopes

    def require(self, scope: str) -> None:
        """Return when the caller has a scope. Raises: NotSignedIn, Forbidden."""
        if self.may(scope):
            return
        if self.kind == "public":
            raise NotSignedIn(
                _("Sign in first."), hint=_("GET /v1/auth/challenge says what to sign.")
            )
        if scope == OPERATOR:
            raise Forbidden(
                _("This is done on the machine of the node itself."),
                scope=scope,
                hint=_("Use the command line there."),
            )
        raise Forbidden(_("This needs the scope {scope}.").format(scope=scope), scope=scope)

    def may_act_for(self, author: bytes) -> bool:
        """Tell whether the caller may act for, and read the affairs of, an author.

        The operator and the coop's desk may for everybody whom this node serves: what they sign is
        decided by the keys that the node holds and the mandates that were given. A person may for
        themselves and for whoever has let them.
        """
        if self.kind == "operator" or "desk" in self.scopes:
            return True
        if self.author is None:
            return False
        return author == self.author or author in self.mandated()

    def require_self(self, author: bytes) -> None:
        """Return when the caller may sign with an author's own key: it is theirs.

        Somebody who was let to act for an author signs with their own key and names the mandate,
        whose scope then counts. The operator and the desk are as in `may_act_for`.

        Raises: NotSignedIn, Forbidden.
        """
        self.require_author(author)
        if author != self.author and self.kind != "operator" and "desk" not in self.scopes:
            raise Forbidden(
                _("Somebody else's key is not yours to sign with."),
                hint=_("Sign with your own and say for whom you act: `as`."),
            )

    def require_author(self, author: bytes) -> None:
        """Return when the caller may act for an author. Raises: NotSignedIn, Forbidden."""
        if self.may_act_for(author):
            return
        if self.kind == "public":
            raise NotSignedIn(_("Sign in first."))
        raise Forbidden(_("You act for somebody who has not let you."))


NOBODY: Final = Caller("public")
THE_OPERATOR: Final = Caller("operator", scopes=frozenset(SCOPES))


def needs(scope: str) -> dict[str, Any]:
    """Return the `opt` of a route that needs a scope: `@get("/v1/x", opt=needs("read"))`."""
    if scope not in (*SCOPES, PUBLIC, OPERATOR):
        raise ValueError(f"{scope} is no scope")
    return {"scope": scope}


def scope_of(handler: Any) -> str:
    """Return the scope that a route needs; the operator's where it names none."""
    return str(handler.opt.get("scope", OPERATOR))


def caller_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Return who calls; nobody where no listener has said."""
    found = cast("dict[str, Any]", connection.scope).get("auth")
    return found if isinstance(found, Caller) else NOBODY


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let only those through who have the scope of the route. Raises: NotSignedIn, Forbidden."""
    if cast("dict[str, Any]", connection.scope).get("method") == "OPTIONS":
        # Which methods there are is in the description anyway.
        return
    caller_of(connection).require(scope_of(handler))


async def _provide(request: Request[Any, Any, Any]) -> Caller:
    return caller_of(request)


provide_caller: Final = Provide(_provide)
"""The dependency `caller` of every route."""

Who = NamedDependency[SkipValidation[Caller]]
"""Type of a handler's parameter `caller`."""
