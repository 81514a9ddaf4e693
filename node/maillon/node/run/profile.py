"""The coop's own profile: what the settings and the network say, signed by its root key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from maillon.node.config import Config
from maillon.protocol.envelope import Draft, Signed, Valid, draft
from maillon.protocol.limits import ADDRESSES_MAX
from maillon.protocol.records import DAY_S, KINDS, build

# Everything the coop vouches for ends with its profile, so it is renewed long before: a coop whose
# root key lies in a safe takes it out once in two years.
LIFETIME_DAYS = 1_000
RENEW_DAYS = 730
PREVIOUS_MAX = 16
MICRO = 1_000_000


def profile_fields(
    config: Config, node_key: bytes, addresses: Sequence[str], sealing: bytes = b""
) -> dict[str, Any]:
    """Return what the profile says, without its salt and its list of replaced keys."""
    coop = config.coop
    fields: dict[str, Any] = {
        "name": coop.name,
        "node_key": node_key,
        "languages": coop.languages,
        "lang": coop.languages[0] if coop.languages else "fr",
    }
    if sealing:
        fields["sealing"] = sealing
    if addresses:
        fields["addresses"] = list(addresses)[:ADDRESSES_MAX]
    if coop.territory:
        fields["territory"] = coop.territory
    if coop.about:
        fields["about"] = coop.about
    if coop.place is not None:
        place: dict[str, Any] = {
            "lat": round(coop.place.lat * MICRO),
            "lon": round(coop.place.lon * MICRO),
        }
        for name in ("name", "address", "postcode", "city", "insee"):
            if getattr(coop.place, name):
                place[name] = getattr(coop.place, name)
        fields["place"] = place
    if coop.contact is not None:
        contact = {
            name: getattr(coop.contact, name)
            for name in ("phone", "email", "url", "hours")
            if getattr(coop.contact, name)
        }
        if contact:
            fields["contact"] = contact
    return fields


def outdated(current: Valid | None, fields: Mapping[str, Any], now: int) -> bool:
    """Tell whether a new profile has to be signed."""
    if current is None or current.signed.payload is None:
        return True
    if current.signed.header.until < now + RENEW_DAYS * DAY_S:
        return True
    said = {
        name: value
        for name, value in current.signed.payload.items()
        if name not in ("salt", "previous")
    }
    return said != fields


def profile_draft(
    fields: Mapping[str, Any],
    current: Signed | None,
    *,
    fed: bytes,
    coop: bytes,
    root: bytes,
    now: int,
    salt: bytes,
) -> Draft:
    """Draft the coop's profile, after `current` when there is one.

    A node key that `current` names and `fields` does not is listed as replaced: what it signed
    until now counts on, what it signs later does not.
    """
    # Revisions are ordered by their number first, so one made in the same second counts too.
    at = now if current is None else max(now, current.header.at)
    previous: list[dict[str, Any]] = []
    until = at + LIFETIME_DAYS * DAY_S
    rev = 0
    if current is not None and current.payload is not None:
        payload = cast("Mapping[str, Any]", current.payload)
        replaced: list[dict[str, Any]] = payload.get("previous", [])
        previous = [dict(entry) for entry in replaced if entry["key"] != fields["node_key"]]
        if payload["node_key"] != fields["node_key"]:
            previous.append({"key": payload["node_key"], "until_at": at})
        # What was signed under a profile may live as long as that profile said.
        until = max(until, current.header.until)
        rev = current.header.rev + 1
    longest = at + KINDS["coop_profile"].lifetime_s_max
    extra: dict[str, Any] = {"previous": previous[-PREVIOUS_MAX:]} if previous else {}
    return draft(
        "coop_profile",
        build("coop_profile", salt=salt, **fields, **extra),
        fed=fed,
        coop=coop,
        by=root,
        at=at,
        until=min(until, longest),
        rev=rev,
    )
