"""Keep people to what is theirs, where a route serves the desk as well.

The desk and the operator act for everybody whom the node serves. A person names nobody, or
themselves: their records, their account, the transfers they take part in. A refusal is the same
whether the thing is somebody else's or does not exist.
"""

from __future__ import annotations

import msgspec

from maillon.node.api import ledger_shapes, shapes
from maillon.node.api.caller import Caller, Forbidden
from maillon.node.api.service import Service
from maillon.node.i18n import _
from maillon.protocol.errors import MaillonError


def _for_all(caller: Caller) -> bool:
    return caller.kind == "operator" or "desk" in caller.scopes


def _person(caller: Caller) -> str:
    """Return the caller's person id. Raises: Forbidden when no person stands behind them."""
    if caller.author is None:
        raise Forbidden(_("This is done by people, or needs the scope desk."), scope="desk")
    return caller.author[33:].hex()


def publishing(
    service: Service, caller: Caller, request: shapes.PublishRequest
) -> shapes.PublishRequest:
    """Return a request that signs with the caller's own key. Raises: Forbidden."""
    if _for_all(caller):
        return request
    person = _person(caller)
    if request.as_member not in (None, person):
        raise Forbidden(_("You sign for yourself, or under a mandate with your own key."))
    if request.replaces is not None and request.mandate is None:
        require_record(service, caller, request.replaces)
    return msgspec.structs.replace(request, as_member=person)


def require_record(service: Service, caller: Caller, id: str) -> None:
    """Return when a record is the caller's own. Raises: Forbidden."""
    if _for_all(caller):
        return
    author: bytes | None = None
    try:
        author = service.door.owner(id)
    except MaillonError as fault:
        if fault.code not in ("not_found", "ambiguous"):
            raise
    if author is None or author != caller.author:
        raise Forbidden(_("This record is not yours."))


def is_own_account(service: Service, caller: Caller, account: str) -> bool:
    """Tell whether an account is the caller's: it has their id, or one of their keys."""
    person = _person(caller)
    if account == person:
        return True
    assert caller.author is not None
    who = service.door.access.directory.by_author(caller.author)
    if who is None:
        return False
    try:
        found = service.ledger.account(account)
    except MaillonError as fault:
        if fault.code not in ("not_found", "ambiguous", "account"):
            raise
        return False
    return found.account == person or any(bytes.fromhex(key) in who.keys for key in found.keys)


def require_account(service: Service, caller: Caller, account: str) -> None:
    """Return when an account is the caller's own. Raises: Forbidden."""
    if _for_all(caller) or is_own_account(service, caller, account):
        return
    raise Forbidden(_("This account is not yours."))


def paying(
    service: Service, caller: Caller, request: ledger_shapes.TransferRequest
) -> ledger_shapes.TransferRequest:
    """Return a payment from the caller's own account, or with their key under its mandate.

    Raises: Forbidden.
    """
    if _for_all(caller):
        return request
    person = _person(caller)
    if request.mandate is not None:
        # The mandate says from which account; the key that signs is the caller's.
        return msgspec.structs.replace(request, key_of=person)
    if request.from_ is not None:
        require_account(service, caller, request.from_)
    if request.key_of not in (None, person):
        raise Forbidden(_("You pay with your own key."))
    return msgspec.structs.replace(request, from_=request.from_ or person)


def require_transfer(service: Service, caller: Caller, id: str, *, side: str = "") -> None:
    """Return when the caller takes part in a transfer, on a side when one is named.

    `side` is "payer" for what only who pays may say, "payee" for what only who is paid may: both
    may be people whose keys the node holds. Raises: Forbidden.
    """
    if _for_all(caller):
        return
    try:
        found = service.ledger.show_transfer(id).transfer
    except MaillonError as fault:
        if fault.code not in ("not_found", "ambiguous"):
            raise
        raise Forbidden(_("You take no part in this transfer.")) from None
    own_coop = service.door.access.coop.hex()
    sides = {"payer": (found.coop, found.account), "payee": (found.to_coop, found.to_account)}
    for name, (coop, account) in sides.items():
        if side in ("", name) and coop == own_coop and is_own_account(service, caller, account):
            return
    raise Forbidden(_("You take no part in this transfer."))
