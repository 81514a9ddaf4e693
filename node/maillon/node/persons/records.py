"""Write records about persons: memberships, vouchings, moves, with their next revision."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from maillon.node.persons.host import PersonsHost
from maillon.protocol.envelope import Draft, Signed, Valid, draft
from maillon.protocol.keys import SigningKey
from maillon.protocol.moving import present
from maillon.protocol.records import DAY_S, build
from maillon.protocol.validation import longest_until
from maillon.protocol.view import MembershipInfo, person_author

log = logging.getLogger("maillon.persons")


class Writer:
    """Draft and publish records of the coop and of people whose keys are held."""

    def __init__(self, host: PersonsHost) -> None:
        self._host = host

    def draft(
        self,
        kind: str,
        fields: Mapping[str, Any],
        by: bytes,
        author: bytes,
        *,
        until: int | None = None,
        series: bytes | None = None,
        refs: Sequence[bytes] = (),
        as_: bytes = b"",
    ) -> Draft:
        """Draft a new thing, or the next revision of one that has the same series."""
        host = self._host
        now = host.time()
        longest = longest_until(kind, host.view, coop=host.coop, by=by, at=now, as_=as_)
        end = longest if until is None else min(until, longest)
        payload = build(kind, salt=host.random(16), **fields)
        made = self._made(kind, payload, by, now, end, series or host.random(16), 0, refs, as_)
        head = host.store.head(author, made.header.series)
        if head is None:
            return made
        return self._made(
            kind, payload, by, max(now, head.at), max(end, head.until),
            made.header.series, head.rev + 1, refs, as_,
        )  # fmt: skip

    def _made(
        self, kind: str, payload: dict[str, Any], by: bytes, at: int, until: int, series: bytes,
        rev: int, refs: Sequence[bytes], as_: bytes,
    ) -> Draft:  # fmt: skip
        host = self._host
        return draft(
            kind, payload, fed=host.founding.fed, coop=host.coop, by=by, at=at, until=until,
            series=series, rev=rev, refs=refs, as_=as_,
        )  # fmt: skip

    # --- memberships ----------------------------------------------------------------------------

    def keys(self, person: bytes) -> list[tuple[MembershipInfo, Mapping[str, Any]]]:
        """Return what the coop vouches for, of one person: by key, with the payloads."""
        found: list[tuple[MembershipInfo, Mapping[str, Any]]] = []
        for info in self._host.view.keys_of(person_author(self._host.coop, person)):
            signed = self._host.store.get(info.record)
            if signed is not None and signed.payload is not None:
                found.append((info, cast("Mapping[str, Any]", signed.payload)))
        return found

    def vouch(
        self, person: bytes, key: bytes, sealing: bytes, custody: str, *, days: int = 730
    ) -> Signed:
        """Publish that a key is a person's, with the roles and status of their other keys."""
        host = self._host
        fields: dict[str, Any] = {"roles": ["member"]}
        for _info, payload in self.keys(person):
            wanted = ("roles", "provider_status", "verification", "verified_by")
            fields.update({name: payload[name] for name in wanted if name in payload})
            if payload["status"] == "active":
                break
        fields |= {
            "person": person,
            "key": key,
            "sealing": sealing,
            "status": "active",
            "custody": custody,
        }
        made = self.draft(
            "membership",
            fields,
            host.node_key.public,
            b"c" + host.coop,
            until=host.time() + days * DAY_S,
        )
        return host.author(made, host.node_key)

    def end(
        self,
        person: bytes,
        key: bytes,
        reason: str,
        until_at: int | None = None,
        keep: Sequence[bytes] | None = None,
    ) -> bool:
        """Publish that a key of a person has ended; False when it had, or is not known."""
        host = self._host
        for info, payload in self.keys(person):
            if info.key != key or payload["status"] == "revoked":
                continue
            fields = {
                name: value
                for name, value in payload.items()
                if name not in ("salt", "status", "status_since")
            }
            header = host.store.header(info.record)
            now = max(host.time(), 0 if header is None else header.at)
            fields["status"] = "revoked"
            fields["revoked"] = {
                "reason": reason,
                "until_at": now if until_at is None else min(until_at, now),
                **({} if keep is None else {"keep": list(keep)}),
            }
            made = self.draft("membership", fields, host.node_key.public, b"c" + host.coop)
            host.author(made, host.node_key)
            return True
        return False

    def withdraw_membership(self, info: MembershipInfo) -> None:
        """Publish that the coop takes its word on a key back: nothing it signed counts any more."""
        old = self._host.store.get(info.record)
        if old is not None:
            self.withdraw(old)

    def withdraw(self, old: Signed) -> None:
        """Withdraw a record that the coop's node key signed, or may."""
        host, header = self._host, old.header
        made = self._made(
            "withdrawal",
            build("withdrawal", salt=host.random(16), kind_=header.kind),
            host.node_key.public,
            max(host.time(), header.at),
            header.until,
            header.series,
            header.rev + 1,
            (),
            b"",
        )
        host.author(made, host.node_key)

    # --- others ---------------------------------------------------------------------------------

    def held_signer(self, person: bytes) -> SigningKey | None:
        """Return a key of a person that is held here and that the coop vouches for now, or None."""
        host = self._host
        for row in host.register.keys_of(person):
            info = host.view.membership(host.coop, row.public)
            if row.held and info is not None and info.status == "active":
                return host.register.held_key(row.public)
        return None

    def today(self, author: bytes) -> bytes:
        """Return who an author is now, after moving to another coop or not at all."""
        return present(author, self.live("move"))

    def live(self, kind: str) -> Iterator[Valid]:
        """Yield the live records of a kind."""
        yield from self._host.store.by_kinds((kind,))
