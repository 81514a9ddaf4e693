"""Ask every route of an interface, by its own description, with what nobody should send."""

from __future__ import annotations

import copy
import http.client
import json
import random
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote_from_bytes

Json = dict[str, Any]

LONG: Final = 200_000
TEXTS: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "hexadecimal of an odd length": b"abc",
    "short hexadecimal": b"00ff",
    "long hexadecimal": b"ab" * 40,
    "an id and an end of line": b"9a" * 32 + b"\n",
    "a NUL": b"12345678\0",
    "control characters": b"\x1b*\xf0\xa5\x95\xbd\xc2\xbc&",
    "letters beyond ASCII": "é́𝟙٣".encode(),
    "half a pair of surrogates": b"\xed\xa0\x80",
    "no UTF-8": b"\xff\xfe",
    "below zero": b"-1",
    "more than 64 bits": str(1 << 63).encode(),
    "a place that is none": b"99999999999999999999:00",
    "a number of 200 bits": str(1 << 200).encode(),
}
"""What a parameter or a text of a body is set to: bytes, as a text of a body decoded."""

OTHERS: Final[Mapping[str, Any]] = {
    "below zero": -1,
    "the most of 64 bits": (1 << 63) - 1,
    "more than 64 bits": 1 << 63,
    "a number of 200 bits": 1 << 200,
    "a fraction": 0.5,
    "a great fraction": 1e300,
    "null": None,
    "true": True,
    "a list": [[]],
    "a map": {"": {"": 0}},
}
"""What a value of a body is set to beside texts."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `what` says what is wrong with it."""

    method: str
    path: str
    what: str
    query: tuple[tuple[str, bytes], ...] = ()
    body: bytes | None = None

    @property
    def target(self) -> str:
        """Return path and query as they are sent."""
        said = "&".join(f"{name}={quote_from_bytes(value, safe='')}" for name, value in self.query)
        return f"{self.path}?{said}" if said else self.path


class Asking:
    """A connection to an interface: over TCP to a port, or to a Unix socket."""

    def __init__(self, where: int | Path, headers: Mapping[str, str]) -> None:
        self._where = where
        self._headers = dict(headers)
        self._http = self._connected()

    def _connected(self) -> http.client.HTTPConnection:
        if isinstance(self._where, int):
            return http.client.HTTPConnection("127.0.0.1", self._where, timeout=60)
        made = http.client.HTTPConnection("node", timeout=60)
        made.sock = socket.socket(socket.AF_UNIX)
        made.sock.settimeout(60)
        made.sock.connect(str(self._where))
        # Without it the client would look up the host when the node has ended the connection.
        made.auto_open = 0
        return made

    def ask(self, request: Request, **headers: str) -> tuple[int, bytes]:
        """Return status and body of an answer."""
        more = {"Content-Type": "application/json"} if request.body is not None else {}
        for last in (False, True):
            try:
                self._http.request(
                    request.method,
                    request.target,
                    body=request.body,
                    headers={**self._headers, **more, **headers},
                )
                answer = self._http.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                # It was ended between two requests, as the answer before said.
                self.close()
                self._http = self._connected()
                if last:
                    raise
        raise AssertionError

    def close(self) -> None:
        """End the connection."""
        self._http.close()


class Hostile:
    """The requests, from the description of an interface.

    `known` gives what exists: the value of a path's parameter by "path name", or by its name alone;
    `bodies` good bodies by "method path", in place of the examples of the description.
    """

    def __init__(
        self, described: Json, known: Mapping[str, str], bodies: Mapping[str, Json]
    ) -> None:
        self._schemas: Json = described["components"]["schemas"]
        self._paths: Json = described["paths"]
        self._known = known
        self._bodies = bodies

    def operations(self) -> list[tuple[str, str]]:
        """Return method and path of all."""
        return [(method, path) for path, found in self._paths.items() for method in found]

    def _parameters(self, method: str, path: str) -> list[Json]:
        found = cast("list[Json]", self._paths[path][method].get("parameters", []))
        return [one for one in found if "$ref" not in one]

    def good(self, method: str, path: str) -> Request:
        """Return a request as a client would send it."""
        filled, query = path, list[tuple[str, bytes]]()
        for one in self._parameters(method, path):
            name = str(one["name"])
            if one["in"] == "path":
                filled = filled.replace("{" + name + "}", self._value(path, one))
            elif one.get("required") or f"{path} {name}" in self._known:
                query.append((name, self._value(path, one).encode()))
        body = self._body(method, path)
        sent = None if body is None else json.dumps(body).encode()
        return Request(method.upper(), filled, "as it is", tuple(query), sent)

    def _value(self, path: str, parameter: Json) -> str:
        name = str(parameter["name"])
        known = self._known.get(f"{path} {name}", self._known.get(name))
        return str(parameter.get("example", "x")) if known is None else known

    def _content(self, method: str, path: str) -> Json | None:
        body: Json = self._paths[path][method].get("requestBody", {})
        found: Json | None = body.get("content", {}).get("application/json")
        return found

    def _body(self, method: str, path: str) -> Json | None:
        content = self._content(method, path)
        if content is None:
            return None
        given = self._bodies.get(f"{method} {path}")
        return copy.deepcopy(content["example"] if given is None else given)

    # --- parameters -----------------------------------------------------------------------------

    def parameters(self, method: str, path: str) -> Iterator[Request]:
        """Yield requests with one parameter wrong, the others as they are."""
        good = self.good(method, path)
        for one in self._parameters(method, path):
            name, where = str(one["name"]), str(one["in"])
            for what, value in TEXTS.items():
                told = f"{name}: {what}"
                if where == "query":
                    others = tuple(pair for pair in good.query if pair[0] != name)
                    yield replace(good, what=told, query=(*others, (name, value)))
                elif where == "path":
                    filled = path.replace("{" + name + "}", quote_from_bytes(value, safe=""))
                    for other in self._parameters(method, path):
                        if other["in"] == "path":
                            part = "{" + str(other["name"]) + "}"
                            filled = filled.replace(part, self._value(path, other))
                    yield replace(good, what=told, path=filled)

    # --- bodies ---------------------------------------------------------------------------------

    def bodies(self, method: str, path: str) -> Iterator[Request]:
        """Yield requests with one value of the body wrong, however deep, the others as they are."""
        content, good = self._content(method, path), self.good(method, path)
        if content is None:
            return
        body = self._body(method, path)
        for place in self._places(content["schema"], body):
            told = ".".join(map(str, place))
            for what, value in self._wrong():
                sent = json.dumps(_set(body, place, value), ensure_ascii=True).encode()
                yield replace(good, what=f"{told}: {what}", body=sent)
        for what, data in (
            ("no body", b""),
            ("no JSON", b"{"),
            ("no UTF-8", b'{"\xff": 1}'),
            ("half a pair of surrogates as a name", b'{"\\ud800": 1}'),
            ("deep lists", b"[" * 50_000),
            ("deep maps", b'{"a":' * 20_000),
        ):
            yield replace(good, what=f"the body: {what}", body=data)

    def long(self, method: str, path: str) -> Iterator[Request]:
        """Yield requests with something of 200 kB."""
        good = self.good(method, path)
        content = self._content(method, path)
        if content is not None:
            body = self._body(method, path)
            for place in self._places(content["schema"], body):
                sent = json.dumps(_set(body, place, "x" * LONG)).encode()
                yield replace(good, what=f"{'.'.join(map(str, place))}: 200 kB", body=sent)

    @staticmethod
    def _wrong() -> Iterator[tuple[str, Any]]:
        for what, data in TEXTS.items():
            yield what, data.decode("utf-8", "surrogatepass" if what != "no UTF-8" else "replace")
        yield from OTHERS.items()

    def _places(self, schema: Json, given: Any, seen: tuple[str, ...] = ()) -> Iterator[Place]:
        """Yield where in a body a value can be; what no schema says is as in the good body."""
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            if name not in seen:
                yield from self._places(self._schemas[name], given, (*seen, name))
            return
        found = dict[Place, None]()
        for kind in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            found.update(dict.fromkeys(self._places(kind, given, seen)))
        fields = cast("Json", schema.get("properties", {}))
        if fields:
            for name, kind in fields.items():
                has = cast("Json", given).get(name) if isinstance(given, dict) else None
                found.update({(name, *rest): None for rest in self._places(kind, has, seen)})
        elif schema.get("type") == "array":
            items = _items(given)
            found[()] = None
            for rest in self._places(schema.get("items", {}), items[0], seen):
                found[(0, *rest)] = None
        elif isinstance(given, dict | list):
            found.update(dict.fromkeys(_open(given)))
        else:
            found[()] = None
        yield from found


Place = tuple[str | int, ...]


def _items(value: Any) -> list[Any]:
    """Return a list as it is, one of nothing for what is none or empty."""
    found: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]  # of a body
    return found or [None]


def _open(given: Any) -> Iterator[Place]:
    """Yield the places of a value that no schema describes."""
    yield ()
    if isinstance(given, dict):
        for name, value in cast("Json", given).items():
            yield from ((name, *rest) for rest in _open(value))
    elif isinstance(given, list) and given:
        yield from ((0, *rest) for rest in _open(given[0]))


def _set(body: Any, place: Place, value: Any) -> Any:
    """Return a body with a value at a place, where maps and lists are made as needed."""
    if not place:
        return value
    name, rest = place[0], place[1:]
    if isinstance(name, int):
        items = _items(body)
        return [_set(items[0], rest, value), *items[1:]]
    fields = cast("Json", body) if isinstance(body, dict) else {}
    return {**fields, name: _set(fields.get(name), rest, value)}


def sample(requests: list[Request], share: float, draw: random.Random) -> list[Request]:
    """Return a share of requests."""
    return [one for one in requests if draw.random() < share]
