"""Payloads between records and JSON: bytes are hexadecimal text there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from maillon.protocol.errors import LocalError
from maillon.protocol.records import KINDS
from maillon.protocol.records.schema import AnyOf, Bytes, ListOf, MapOf, Struct, Type


class BadHex(LocalError):
    """A field that holds bytes is not hexadecimal text."""

    code = "field"


def to_json(value: Any) -> Any:
    """Return a value of a record as JSON can carry it; the salt is left out of a payload."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {name: to_json(item) for name, item in fields.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def payload_to_json(payload: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a payload as JSON can carry it, without its salt, which says nothing."""
    if payload is None:
        return None
    return {name: to_json(item) for name, item in payload.items() if name != "salt"}


def payload_from_json(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a payload, with bytes where the kind says bytes. Raises: BadHex."""
    known = KINDS.get(kind)
    if known is None:
        return dict(payload)
    return dict(_convert(known.schema, payload, kind))


def _convert(type_: Type, value: Any, path: str) -> Any:
    match type_:
        case Bytes() if isinstance(value, str):
            try:
                return bytes.fromhex(value)
            except ValueError:
                raise BadHex(f"The field {path} is not hexadecimal.", field=path) from None
        case Struct(fields) if isinstance(value, dict):
            types = {field.name: field.type for field in fields}
            return {
                name: _convert(types[name], item, f"{path}.{name}") if name in types else item
                for name, item in cast("dict[str, Any]", value).items()
            }
        case ListOf(item) if isinstance(value, list):
            entries: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            return [_convert(item, entry, f"{path}[{i}]") for i, entry in enumerate(entries)]
        case MapOf(item) if isinstance(value, dict):
            named = cast("dict[str, Any]", value)
            return {name: _convert(item, entry, f"{path}.{name}") for name, entry in named.items()}
        case AnyOf(options):
            for option in options:
                if isinstance(option, Struct | ListOf | MapOf):
                    return _convert(option, value, path)
            return value
        case _:
            return value
