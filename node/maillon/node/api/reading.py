"""Read the JSON of a request exactly as its type says: no text for a number, no 1 for true.

The framework would convert what does not fit and looks like it. A client that sends "1" for 1 has a
fault somewhere, and in a payment that is to be known before it counts.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import ValidationException

_PLACE = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body is decoded as the type that its handler takes."""

    async def json(self) -> Any:
        """Return the body. Raises: ValidationException naming the field that does not fit."""
        parameter = self.route_handler.parsed_fn_signature.parameters.get("data")
        kind: Any = Any if parameter is None else parameter.annotation
        body = await self.body()
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            message = str(fault) if isinstance(fault, msgspec.MsgspecError) else _NOT_TEXT
            place = _PLACE.search(message)
            told = {"key": place[1] if place else "", "message": _PLACE.sub("", message)}
            raise ValidationException(detail="", extra=[told]) from fault


_NOT_TEXT = "Invalid UTF-8"
