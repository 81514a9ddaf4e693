"""Resolve what people write: who acts and for whom, which exchange, which fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.ledger.units import UnitTable
from maillon.node.api.caller import Caller
from maillon.node.api.plain import payload_from_json
from maillon.node.engine.exchange.addressing import (
    PERSON_AUTHOR_BYTES,
    in_force,
    is_person,
)
from maillon.node.engine.exchange.core import ExchangeCore
from maillon.node.engine.exchange.transcripts import NoSuchExchange
from maillon.node.engine.exchange.writing import Signer
from maillon.node.exchange.awaiting import Names
from maillon.node.exchange.calendars import sessions
from maillon.node.exchange.filling import fill, require_whole
from maillon.node.exchange.ports import Host
from maillon.node.i18n import _
from maillon.node.ledger.host import PersonRow
from maillon.protocol.errors import LocalError
from maillon.protocol.exchange import Exchange
from maillon.protocol.keys import SigningKey
from maillon.protocol.records import KINDS, terms
from maillon.protocol.view import MandateInfo, coop_author, person_author

PREFIX_CHARACTERS_MIN: Final = 8
COOP: Final = "coop"
DAY_S: Final = 86_400
OCCURRENCES_MAX: Final = 26
"""Sessions of a recurring service that are agreed on at once: half a year of weeks."""
QUOTE_DAYS: Final = 7
"""How long a quote stands when its writer says nothing."""

_HEX = re.compile(r"[0-9a-f]+")


class Who(LocalError):
    """It is not said who acts, or they cannot act here."""

    code = "who"


class KeyElsewhere(LocalError):
    """The key that would have to sign is not on this node."""

    code = "key_elsewhere"


class MandateScope(LocalError):
    """A mandate does not cover what is to be done under it, or not any more."""

    code = "mandate_scope"


class Ambiguous(LocalError):
    """What was written fits several."""

    code = "ambiguous"


class NotFound(LocalError):
    """What was written fits nothing here."""

    code = "not_found"


@dataclass(frozen=True, slots=True)
class Acting:
    """Who signs with which key, and in whose name."""

    signer: Signer
    key: SigningKey
    author: bytes


class Asking:
    """Resolve names, ids and fields for one node."""

    def __init__(
        self, host: Host, core: ExchangeCore, units: UnitTable | None, names: Names
    ) -> None:
        self._host = host
        self._core = core
        self._units = units
        self._shown_as = names

    # --- people ---------------------------------------------------------------------------------

    def person(self, text: str) -> PersonRow:
        """Return somebody of this coop by id, the beginning of it, or name.

        Raises: NotFound, Ambiguous of the register.
        """
        register = self._host.register
        if _HEX.fullmatch(text) and len(text) <= 32:
            return register.find_person(text)
        if len(text) == 98 and text.startswith("70"):
            return register.find_person(text[66:])
        fits = [p for p in register.people() if p.name.casefold() == text.casefold()]
        if len(fits) > 1:
            raise Ambiguous(
                _("Several people are called {name}.").format(name=text[:80]),
                hint=_("Give the id: maillon member list"),
            )
        if not fits:
            raise NotFound(
                _("Nobody of your coop is called {name}.").format(name=text[:80]),
                hint=_("See the ids with: maillon member list"),
            )
        return fits[0]

    def author(self, text: str) -> bytes:
        """Return the author of somebody of this coop; `coop` is the coop itself."""
        if text == COOP:
            return coop_author(self._host.coop)
        return person_author(self._host.coop, self.person(text).id)

    def readers(self, person: str, caller: Caller) -> tuple[bytes, ...] | None:
        """Return whose exchanges a list is about; None for those of everybody here.

        Raises: NotSignedIn, Forbidden when they are not the caller's affair.
        """
        if person:
            author = self.author(person)
            caller.require_author(author)
            return (author,)
        if caller.kind == "operator" or "desk" in caller.scopes:
            return None
        if caller.author is None:
            caller.require("desk")
            return ()
        return (caller.author, *sorted(caller.mandated()))

    def acting(self, by: str | None, as_: str | None, caller: Caller, kind: str) -> Acting:
        """Return who acts with a key held here. Raises: Who, KeyElsewhere, NotFound, Forbidden."""
        if by == COOP:
            caller.require("desk")
            author, key = coop_author(self._host.coop), self._host.node_key
        else:
            author = self._caller_author(by, caller)
            key = self._held_key(author)
        mandate = b""
        if as_ is not None:
            found = self.mandate(as_, key.public, kind)
            mandate, author = found.thing, found.author
        return Acting(Signer(key.public, self._host.coop, mandate), key, author)

    def _caller_author(self, by: str | None, caller: Caller) -> bytes:
        if by is not None:
            author = self.author(by)
        elif caller.author is not None:
            author = caller.author
        else:
            raise Who(_("Say who acts."), hint=_("Give the id or the name of a member, or `coop`."))
        caller.require_self(author)
        return author

    def _held_key(self, author: bytes) -> SigningKey:
        keys = self._core.setup.keys
        for info in self._host.directory.keys_of(author):
            key = keys.held(info.key) if info.status == "active" else None
            if key is not None:
                return key
        raise KeyElsewhere(
            _("Your node holds no valid key of {name}.").format(
                name=self._host.register.name_of(author[33:]) or author[33:].hex()[:8]
            ),
            hint=_("They sign on their own device, or somebody acts under a mandate."),
        )

    def device(self, key: bytes, coop: bytes | None, as_: str | None, kind: str) -> Signer:
        """Return who signs on a device."""
        mandate = b"" if as_ is None else self.mandate(as_, key, kind).thing
        return Signer(key, coop or self._host.coop, mandate)

    def mandate(self, text: str, delegate: bytes, kind: str) -> MandateInfo:
        """Return the mandate that lets a key take a step, by its id or by who gave it.

        Raises: NotFound; Ambiguous; MandateScope when none that fits covers the kind now, which
        says why.
        """
        now = self._host.time()
        given = self._host.directory.mandates_to(delegate)
        fits = [mandate for mandate in given if self._names(mandate, text)]
        able = [m for m in fits if in_force(m, now) and kind in m.kinds - m.forbidden]
        if len(able) == 1:
            return able[0]
        if able:
            raise Ambiguous(
                _("Several mandates fit {text}.").format(text=text[:80]),
                hint=_("Give the id of one: maillon mandate list"),
            )
        if not fits:
            raise NotFound(
                _("{name} has given you no mandate.").format(name=self._called(text)),
                hint=_("See those there are with: maillon mandate list"),
            )
        raise self._unfit(max(fits, key=lambda m: (in_force(m, now), m.end)), kind, now)

    def _unfit(self, mandate: MandateInfo, kind: str, now: int) -> MandateScope:
        """Return the refusal that says why a mandate does not cover a kind now."""
        name = self._called(mandate.author.hex())
        if in_force(mandate, now):
            told = _("The mandate of {name} does not cover the kind {kind}; it covers: {kinds}.")
            return MandateScope(
                told.format(
                    name=name, kind=kind, kinds=", ".join(sorted(mandate.kinds - mandate.forbidden))
                ),
                hint=_("A new one is given with: maillon mandate give … --kind {kind}").format(
                    kind=kind
                ),
                kind=kind,
            )
        if mandate.ended is not None:
            told = _("The mandate of {name} was withdrawn.")
        elif mandate.end < now:
            told = _("The mandate of {name} has expired.")
        elif mandate.start > now:
            told = _("The mandate of {name} has not begun yet.")
        else:
            told = _("The mandate of {name} covers no step of an exchange.")
        return MandateScope(
            told.format(name=name), hint=_("See those there are with: maillon mandate list")
        )

    def _called(self, text: str) -> str:
        """Return the name of whom a person's or author's id is, else the text itself."""
        lower = text.lower()
        if len(lower) == 2 * PERSON_AUTHOR_BYTES and lower.startswith("70"):
            author = bytes.fromhex(lower)
            coop = self._host.coop_name(author[1:33])
            if author[1:33] != self._host.coop:
                return _("{id} of {coop}").format(id=author[33:].hex()[:8], coop=coop)
            return self._host.register.name_of(author[33:]) or author[33:].hex()[:8]
        if lower.startswith("63") and len(lower) == 66:
            return self._host.coop_name(bytes.fromhex(lower[2:]))
        if _HEX.fullmatch(lower) and len(lower) == 32:
            return self._host.register.name_of(bytes.fromhex(lower)) or lower[:8]
        return text[:80]

    def _names(self, mandate: MandateInfo, text: str) -> bool:
        lower = text.lower()
        if _HEX.fullmatch(lower) and len(lower) >= PREFIX_CHARACTERS_MIN:
            ids = (mandate.thing, bytes(mandate.record), mandate.author, mandate.author[33:])
            if any(id.hex().startswith(lower) for id in ids if id):
                return True
        name = ""
        if is_person(mandate.author) and mandate.author[1:33] == self._host.coop:
            name = self._host.register.name_of(mandate.author[33:])
        return bool(name) and name.casefold() == text.casefold()

    # --- exchanges ------------------------------------------------------------------------------

    def exchange(self, text: str, caller: Caller) -> bytes:
        """Return the id of an exchange that the caller may see. Raises: NoSuchExchange."""
        lower = text.lower()
        found: list[bytes] = []
        if _HEX.fullmatch(lower) and PREFIX_CHARACTERS_MIN <= len(lower) <= 64:
            found = self._core.store.beginning(lower, 8)
        found = [id for id in found if self.may_see(id, caller)]
        if len(found) == 1:
            return found[0]
        if found:
            raise Ambiguous(_("Several exchanges begin with {id}.").format(id=lower[:16]))
        raise NoSuchExchange(
            _("There is no exchange {id} here.").format(id=lower[:16]),
            hint=_("See them with: maillon exchange list"),
        )

    def may_see(self, exchange: bytes, caller: Caller) -> bool:
        """Tell whether an exchange is the caller's affair."""
        if caller.kind == "operator" or "desk" in caller.scopes:
            return True
        row = self._core.store.row(exchange)
        return row is not None and any(
            caller.may_act_for(part.author) for part in row.parts if part.role != "payer"
        )

    # --- fields ---------------------------------------------------------------------------------

    def fields(
        self, kind: str, given: Mapping[str, Any], state: Exchange | None, author: bytes
    ) -> dict[str, Any]:
        """Return the fields of a step: bytes for hexadecimal, integers for amounts in words, and
        what can only be meant where it was left out. Raises: BadHex, AmountText."""
        if kind not in KINDS or not KINDS[kind].private:
            raise LocalError(_("There is no step of the kind {kind}.").format(kind=kind[:40]))
        fields = payload_from_json(kind, self._with_slot_ids(kind, given))
        fields.pop("salt", None)
        fields.pop("exchange", None)
        if kind == "quote":
            fields = self._quote(fields)
        elif state is not None:
            unit = (state.terms or {}).get("unit")
            fields = cast("dict[str, Any]", self._amounts(fields, unit))
            fill(kind, fields, state, author, self._host.time())
        if "lang" in _names_of(kind) and "lang" not in fields:
            lang = state.lang if state is not None else "fr"
            if kind in ("message", "complaint", "mediation", "guarantee_claim"):
                fields["lang"] = lang
        if kind == "quote" and isinstance(fields["terms"], dict):
            said = cast("dict[str, Any]", fields["terms"])
            if "text" in said:
                said.setdefault("lang", state.lang if state is not None else "fr")
        require_whole(kind, fields, state, author, self._shown_as)
        return fields

    def public(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a public record. Raises: BadHex, AmountText."""
        kept = {name: value for name, value in given.items() if value is not None}
        fields = payload_from_json(kind, kept)
        for part in fields.get("parts", ()):
            if isinstance(part.get("amount"), str):
                part["amount"] = self._amount(part["amount"], part.get("unit"))
        return fields

    def _with_slot_ids(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Give every new appointment an id."""
        fields = dict(given)
        for where in ("terms", "adds"):
            inner = fields.get(where)
            if isinstance(inner, Mapping):
                fields[where] = self._slots(cast("Mapping[str, Any]", inner), "when")
        return self._slots(fields, "slots") if kind == "appointment" else fields

    def _slots(self, fields: Mapping[str, Any], name: str) -> dict[str, Any]:
        copy = dict(fields)
        if isinstance(copy.get(name), list):
            slots: list[Any] = copy[name]
            copy[name] = [
                {"slot": self._host.random(16).hex(), **cast("Mapping[str, Any]", slot)}
                if isinstance(slot, Mapping)
                else slot
                for slot in slots
            ]
        return copy

    def _quote(self, fields: dict[str, Any]) -> dict[str, Any]:
        given = fields.get("terms", {})
        fields.setdefault("valid_until", self._host.time() + QUOTE_DAYS * DAY_S)
        if not isinstance(given, Mapping):
            # Said as what it is by the check of the whole.
            return {**fields, "terms": given}
        partial = dict(cast("Mapping[str, Any]", given))
        partial = cast("dict[str, Any]", self._amounts(partial, partial.get("unit")))
        if "fallback" not in partial:
            fallback = self._fallback()
            if fallback is not None:
                partial["fallback"] = fallback
        recurrence = partial.get("recurrence")
        if isinstance(recurrence, dict) and "when" not in partial:
            partial["when"] = [
                {"slot": self._host.random(16), "start": start, "end": end}
                for start, end in sessions(
                    cast("dict[str, Any]", recurrence), self._host.time(), OCCURRENCES_MAX
                )
            ]
        if partial.get("split") and "settle" not in partial:
            # A reservation has one payee.
            partial["settle"] = "after"
        said = partial.get("silence", {})
        fields["terms"] = partial
        if isinstance(said, Mapping):
            fields["terms"] = terms.complete(partial)
        return fields

    def _fallback(self) -> dict[str, Any] | None:
        """Return the human contact of this coop, as its profile has it."""
        profile = self._host.directory.profile(self._host.coop)
        said: Mapping[str, Any] = {} if profile is None else profile.signed.payload or {}
        contact: Mapping[str, Any] = said.get("contact", {})
        place: Mapping[str, Any] = said.get("place", {})
        found: dict[str, Any] = {"name": said.get("name", "")[:120]}
        for name in ("phone", "hours"):
            if name in contact:
                found[name] = contact[name]
        where = ", ".join(
            place[name] for name in ("name", "address", "postcode", "city") if name in place
        )
        if where or "place" in contact:
            found["place"] = (contact.get("place") or where)[:200]
        return found if "phone" in found or "place" in found else None

    def _amounts(self, value: Any, unit: object) -> Any:
        if isinstance(value, Mapping):
            fields = cast("Mapping[str, Any]", value)
            return {
                name: self._amount(item, unit)
                if name in _AMOUNTS and isinstance(item, str)
                else self._amounts(item, unit)
                for name, item in fields.items()
            }
        return value

    def amount(self, text: str | int, unit: str | None) -> int:
        """Return an amount in minor units. Raises: AmountText, LocalError."""
        return text if isinstance(text, int) else self._amount(text, unit)

    def _amount(self, text: str, unit: object) -> int:
        if self._units is None or not isinstance(unit, str):
            raise LocalError(
                _("The amount {text} is of no unit.").format(text=text[:40]),
                hint=_("Give the unit, or a whole number of its smallest parts."),
            )
        return self._units.parse(self._units.index(unit), text)


_AMOUNTS: Final = frozenset({"amount", "per_hour", "cancel_fee", "fee", "proposes"})


def _names_of(kind: str) -> frozenset[str]:
    return frozenset(field.name for field in KINDS[kind].schema.fields)
