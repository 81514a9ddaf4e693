"""Examples for the description of the interface: what a developer sees first of every route.

Those of the usual requests are written out; the others are made from the types, so that a route
without one does not exist, and none contradicts its type (a test compares them).
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from maillon.node.api.fitting import fitting

Json = dict[str, Any]

ID32: Final = "9a48dba5f32a23fbc06662b7dcfc4c538120e6c018f47de2262b25dfc9f103d9"
PERSON: Final = "52dbfd8c9e0f4d4f8a1c7b20f3d5ab64"
AT: Final = 1_795_354_347

_OFFER: Final[Json] = {
    "title": "Cours de guitare",
    "lang": "fr",
    "categories": ["musique"],
    "mode": ["at_home"],
    "reciprocity": {"kind": "free"},
}

REQUESTS: Final[dict[tuple[str, str], Json]] = {
    ("post", "/v1/auth/login"): {
        "key": ID32,
        "nonce": "00" * 48,
        "signature": "00" * 64,
        "want": "token",
        "scopes": ["read", "exchange"],
        "label": "Téléphone",
        "days": 90,
    },
    ("post", "/v1/auth/session"): {"token": "mln_" + "A" * 43},
    ("post", "/v1/tokens"): {
        "person": PERSON[:8],
        "scopes": ["read", "exchange"],
        "label": "Tablette",
        "days": 365,
    },
    ("post", "/v1/records"): {"kind": "offer", "payload": _OFFER, "days": 365},
    ("post", "/v1/drafts"): {"kind": "offer", "payload": _OFFER, "key": ID32},
    ("post", "/v1/records/signed"): {
        "header": "93" + "00" * 3,
        "payload": "81a474657874a26f6b",
        "signature": "00" * 64,
    },
    ("post", "/v1/records/{id}/withdraw"): {"kind": "offer", "reason": "Je déménage"},
    ("post", "/v1/members"): {"name": "Une habitante", "roles": ["member"]},
    ("post", "/v1/members/{person}/revoke"): {"reason": "left"},
    ("post", "/v1/mandates"): {"kinds": ["offer", "demand"], "principal": PERSON, "days": 90},
    ("post", "/v1/transfers"): {"from": PERSON, "to": "52dbfd8c", "amount": "1h30"},
    ("post", "/v1/exchanges"): {"about": ID32[:16], "title": "Cours de guitare", "by": PERSON},
    ("post", "/v1/exchanges/drafts"): {
        "kind": "opening",
        "key": ID32,
        "open": {
            "with": "70" + ID32 + PERSON,
            "role": "requester",
            "title": "Cours de guitare",
            "lang": "fr",
        },
    },
    ("post", "/v1/exchanges/{id}/drafts"): {
        "kind": "message",
        "key": ID32,
        "fields": {"text": "Mardi à 14 h me convient.", "lang": "fr"},
    },
    ("post", "/v1/exchanges/{id}/steps"): {
        "kind": "quote",
        "by": PERSON,
        "fields": {
            "terms": {
                "kind": "amount",
                "unit": "heure",
                "amount": "45min",
                "when": [{"start": AT + 86_400, "end": AT + 90_000, "place": "Chez vous"}],
                "fallback": {"name": "Accueil", "phone": "+33 4 75 00 00 00"},
            }
        },
    },
    ("post", "/v1/exchanges/signed"): {"records": ["93c40100c40100c40100"], "wait_s": 10},
    ("post", "/v1/exchanges/{id}/handover"): {
        "to": "70" + ID32 + PERSON,
        "text": "Je suis malade.",
        "by": PERSON,
    },
    ("post", "/v1/exchanges/{id}/evaluation"): {
        "criteria": {"quality": 5, "punctuality": 4},
        "text": "Merci !",
        "by": PERSON,
    },
    ("post", "/v1/exchanges/{id}/payment"): {"by": PERSON, "wait_s": 10},
    ("post", "/v1/fundings/{id}"): {"yes": True, "by": "coop", "wait_s": 10},
    ("post", "/v1/federation/invitations"): {"days": 7, "note": "Pour la coop voisine"},
}

# What a field of this name holds, where its type leaves it open.
_BY_NAME: Final[Json] = {
    "name": "Une habitante",
    "label": "Tablette",
    "title": "Cours de guitare",
    "text": "Mardi à 14 h me convient.",
    "note": "",
    "reason": "",
    "lang": "fr",
    "language": "fr",
    "kind": "offer",
    "code": "heure",
    "unit": "heure",
    "category": "musique",
    "coop": ID32,
    "id": ID32[:16],
    "person": PERSON,
    "author": "70" + ID32 + PERSON,
    "q": "guitare",
    "format": "data-inclusion",
    "detail": "",
    "after": "",
    "url": "https://example.org",
    "date": "2026-11-22",
    "status": "active",
    "fed": ID32,
    "host": "node.example.org",
    "purpose": "login",
    "api": ["v1"],
    "addresses": ["/dns4/node.example.org/tcp/4710"],
}
_TIMES: Final = frozenset(
    {"at", "until", "created", "expires", "last_used", "start", "end", "since"}
)
_HEX: Final = re.compile(r"\^\[0-9a-f\]\{(?:\d+,)?(\d+)\}\$")
_DEPTH_MAX: Final = 6


def request(method: str, path: str, schema: Json, components: Json) -> Any:
    """Return an example of what a route takes."""
    written = REQUESTS.get((method, path))
    return _value(schema, components, "", 0, needed_only=True) if written is None else written


def answer(path: str, schema: Json, components: Json) -> Any:
    """Return an example of what a route answers."""
    del path
    return _value(schema, components, "", 0, needed_only=False)


def parameter(name: str, schema: Json) -> Any:
    """Return an example of a parameter."""
    return _value(schema, {}, name, 0, needed_only=True)


def _value(schema: Json, components: Json, name: str, depth: int, *, needed_only: bool) -> Any:
    if "$ref" in schema:
        found = components[schema["$ref"].rpartition("/")[2]]
        return _value(found, components, name, depth, needed_only=needed_only)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            branches = cast("list[Json]", schema[union])
            if depth > _DEPTH_MAX and any(branch.get("type") == "null" for branch in branches):
                return None
            first = next(branch for branch in branches if branch.get("type") != "null")
            return _value(first, components, name, depth + 1, needed_only=needed_only)
    match schema.get("type"):
        case "object":
            return _object(schema, components, depth, needed_only=needed_only)
        case "array":
            return _array(schema, components, name, depth, needed_only=needed_only)
        case "string":
            return _text(schema, name)
        case "integer" | "number":
            return _number(schema, name)
        case "boolean":
            return bool(schema.get("default", True))
        case "null":
            return None
        case _:
            return {} if schema.get("additionalProperties") is not None else "…"


def _object(schema: Json, components: Json, depth: int, *, needed_only: bool) -> Json:
    others = schema.get("additionalProperties")
    if schema.get("minProperties") and isinstance(others, dict):
        named = cast("Json", others)
        return {"exemple": _value(named, components, "", depth + 1, needed_only=needed_only)}
    needed = cast("list[str]", schema.get("required", []))
    fields = cast("dict[str, Json]", schema.get("properties", {}))
    return {
        name: _value(field, components, name, depth + 1, needed_only=needed_only)
        for name, field in fields.items()
        if name in needed or (not needed_only and depth <= _DEPTH_MAX)
    }


def _array(
    schema: Json, components: Json, name: str, depth: int, *, needed_only: bool
) -> list[Any]:
    if depth > _DEPTH_MAX and not schema.get("minItems"):
        return []
    if isinstance(_BY_NAME.get(name), list):
        known: list[Any] = _BY_NAME[name]
        return known
    places = cast("list[Json]", schema.get("prefixItems", []))
    if places:
        return [
            _value(place, components, name, depth + 1, needed_only=needed_only) for place in places
        ]
    item = schema.get("items")
    if not isinstance(item, dict):
        return []
    one = _value(
        cast("Json", item), components, name.removesuffix("s"), depth + 1, needed_only=needed_only
    )
    return [one] * max(1, int(schema.get("minItems", 1)))


def _text(schema: Json, name: str) -> str:
    pattern = str(schema.get("pattern", ""))
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 1 << 16))
    default = schema.get("default")
    for known in (_BY_NAME.get(name), default, "x" * least or "…", "Exemple"):
        if (
            isinstance(known, str)
            and least <= len(known) <= most
            and (not pattern or re.search(pattern, known))
        ):
            return known
    if found := _HEX.search(pattern):
        return (ID32 * 4)[: int(found[1])]
    made = fitting(pattern)
    return made.ljust(least, made[-1:] or "x")


def _number(schema: Json, name: str) -> int | float:
    number: int | float
    if name in _TIMES or name.endswith("_at"):
        number = AT
    elif isinstance(default := schema.get("default"), int | float) and not isinstance(
        default, bool
    ):
        number = default
    else:
        number = 1
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and number < low:
        number = low
    if high is not None and number > high:
        number = high
    return number
