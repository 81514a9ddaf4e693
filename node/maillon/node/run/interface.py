"""The way in of a running node: who people are, what they may do, and the doors themselves."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from maillon.node import clock
from maillon.node.api import access_shapes as shapes
from maillon.node.api import shapes as record_shapes
from maillon.node.api.accessports import Person
from maillon.node.api.auth import Access, Rules
from maillon.node.api.bounds import ANSWER_KEPT_S
from maillon.node.api.caller import Caller, Forbidden
from maillon.node.api.events import Events
from maillon.node.api.passkeys import Passkeys
from maillon.node.i18n import _
from maillon.node.run.devices import Devices
from maillon.node.run.logs import get_log
from maillon.node.store.accessdisk import AccessDisk
from maillon.node.web.house import House
from maillon.protocol.view import person_author

if TYPE_CHECKING:
    from maillon.node.api.gate import Site
    from maillon.node.run.node import Node

log = get_log("maillon.api")

EXPIRE_S: Final = 300.0
EXPIRE_ROWS: Final = 1_000
DAY_S: Final = 86_400


class Members:
    """The people of the coop as they are now. Implements api.accessports.Directory."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def by_key(self, key: bytes) -> Person | None:
        """Return whose key this is, when it counts."""
        node = self._node
        info = node.engine.view.membership(node.coop, key)
        if info is None:
            return None
        person = self.by_author(info.author)
        return person if person is not None and key in person.keys else None

    def awaited(self, key: bytes) -> int | None:
        """Return from when on a key counts that the coop vouches for, in place of a lost one."""
        node, now = self._node, clock.now()
        for valid in node.store.by_kinds(("vouching",)):
            payload: Any = valid.signed.payload
            if valid.signed.header.coop == node.coop and payload["new_key"] == key:
                until: int = payload["contest_until"]
                if until > now:
                    return until
        return None

    def by_author(self, author: bytes) -> Person | None:
        """Return a person who has a key that counts."""
        node = self._node
        if len(author) != 49 or author[1:33] != node.coop:
            return None
        now = clock.now()
        counting = [
            info
            for info in node.engine.view.keys_of(author)
            if info.status == "active" and info.until > now
        ]
        if not counting:
            return None
        return Person(
            author,
            node.register.name_of(author[33:]),
            frozenset(role for info in counting for role in info.roles),
            frozenset(info.key for info in counting),
        )

    def find(self, person: str) -> Person:
        """Return a person by id, its beginning, or name. Raises: NotFound, Ambiguous, Forbidden."""
        found = self._node.register.find_person(person)
        known = self.by_author(person_author(self._node.coop, found.id))
        if known is None:
            raise Forbidden(_("Their membership has ended, or has not begun."))
        return known

    def mandated(self, author: bytes) -> frozenset[bytes]:
        """Return the authors that let this person act for them now."""
        person = self.by_author(author)
        if person is None:
            return frozenset()
        now = clock.now()
        return frozenset(
            mandate.author
            for key in person.keys
            for mandate in self._node.engine.view.mandates_to(key)
            if mandate.delegate_coop == self._node.coop
            and mandate.ended is None
            and mandate.start <= now < min(mandate.end, mandate.until)
        )


class Interface:
    """Everything between a request and the service. Implements api.access_service.AccessService."""

    def __init__(self, node: Node) -> None:
        self._node = node
        settings = node.config.api
        self.store = AccessDisk(node.home.access)
        self.events = Events(os.urandom(16), clock.now)
        self.access = Access(
            self.store,
            Members(node),
            fed=node.founding.fed,
            coop=node.coop,
            random=os.urandom,
            now=clock.now,
            rules=Rules(
                session_s=settings.session_days * DAY_S,
                idle_s=settings.idle_minutes * 60,
                token_days=settings.token_days,
            ),
        )
        self.passkeys = Passkeys(self.access, node.config.coop.name)
        self.site: Site | None = None
        self.address = ""
        self._devices = Devices(node)

    def close(self) -> None:
        """Close the file."""
        self.store.close()

    def stop(self) -> None:
        """End what lasts: the answers that tell events."""
        self.events.close()

    # --- serving --------------------------------------------------------------------------------

    async def serve(
        self,
        service: Any,
        unix: socket.socket,
        stop: Callable[[], Awaitable[None]],
        *,
        task_status: Any = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve on the Unix socket and, where the settings say so, over TCP, until `stop` returns.

        Raises: CannotListen before anything is served.
        """
        # Imported here: the command line shows a wrong setting before this is paid for.
        from maillon.node.api.app import make_app
        from maillon.node.api.bodies import whole_bodies
        from maillon.node.api.gate import Gate, operators, site, with_methods
        from maillon.node.api.idempotency import Idempotent
        from maillon.node.api.listener import Door, bind, bound_address
        from maillon.node.api.server import InTheirLanguage, serve_api
        from maillon.node.web.app import Pages

        settings = self._node.config.api
        listener = bind(settings.listen) if settings.listen else None
        made: Any = make_app(service, version=self._node.version)
        app: Any = Idempotent(with_methods(made), self.store, clock.now)
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_api, operators(app), unix, stop))
            if listener is not None:
                self.address = bound_address(listener)
                self.site = site(
                    self.address, settings.public_url, settings.origins, settings.behind_proxy
                )
                # The pages are for browsers: on the socket there is the interface alone.
                pages = Pages(service, self._house())
                both: Any = Idempotent(with_methods(pages.inside(made)), self.store, clock.now)
                gate: Any = Gate(
                    both,
                    self.access,
                    self.site,
                    per_s=settings.requests_per_minute / 60,
                    burst=float(settings.requests_per_minute),
                )
                door = Door(InTheirLanguage(whole_bodies(pages.around(gate))))
                await nursery.start(partial(door.serve, listener, stop))
                log.info("serving", address=self.address, public_url=settings.public_url)
            task_status.started()

    def _house(self) -> House:
        """Return what the pages say of the coop, by its settings."""
        coop = self._node.config.coop
        contact, place = coop.contact, coop.place
        town = "" if place is None else f"{place.postcode} {place.city}".strip()
        return House(
            name=coop.name,
            zone=coop.zone,
            now=clock.now,
            random=os.urandom,
            languages=tuple(coop.languages),
            about=coop.about,
            phone=contact.phone if contact else "",
            email=contact.email if contact else "",
            url=contact.url if contact else "",
            hours=contact.hours if contact else "",
            place="\n".join(line for line in (place.name, place.address, town) if line)
            if place
            else "",
            point=(place.lat, place.lon) if place else None,
            secure=self.site is not None and self.site.https,
            samples=os.environ.get("MAILLON_SAMPLES") == "1",
        )

    async def expire_loop(self) -> None:
        """Forget what is over, a slice at a time."""
        while True:
            with self._node.faults.contained("access"):
                now = clock.now()
                while self.store.expire(
                    answers_before=now - ANSWER_KEPT_S, now=now, rows_max=EXPIRE_ROWS
                ):
                    await trio.sleep(0.05)
            await trio.sleep(EXPIRE_S)

    # --- what devices sign ----------------------------------------------------------------------

    def draft(self, request: shapes.DraftRequest, caller: Caller) -> shapes.DraftOut:
        """Draft a record for a device to sign."""
        return self._devices.draft(request, caller)

    def submit(
        self, request: shapes.SignedRecordRequest, caller: Caller
    ) -> record_shapes.Published:
        """Take in a record that a device signed."""
        return self._devices.submit(request, caller)

    def owner(self, record: str) -> bytes | None:
        """Return the author of a record that they signed themselves; None of any other."""
        return self._devices.owner(record)

    def letters(self, sealing: bytes, after: int, limit: int, caller: Caller) -> shapes.Letters:
        """Return letters that wait for a sealing key of the caller's."""
        return self._devices.letters(sealing, after, limit, caller)

    def taken(self, request: shapes.TakenRequest, caller: Caller) -> shapes.Taken:
        """Forget letters that a device has."""
        return self._devices.taken(request, caller)
