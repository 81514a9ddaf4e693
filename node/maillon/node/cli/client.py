"""Ask the running node, through its socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, Final

import httpx

from maillon.node.cli.base import NO_ANSWER, problem
from maillon.node.cli.refusals import in_words
from maillon.node.home import Home, is_locked
from maillon.node.i18n import _, language

# A search or a list answers in milliseconds; a big transaction of an import may come in between.
ANSWER_S_MAX = 30.0


class Client:
    """Requests to the node whose home this is."""

    def __init__(self, home: Home) -> None:
        self.home = home
        home.require()
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(home.socket)),
            base_url="http://node",
            timeout=ANSWER_S_MAX,
            trust_env=False,  # a proxy of the environment has no place here
            headers={"Accept-Language": language()},
        )

    def close(self) -> None:
        """Close what is open to the node."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        return self._request("GET", path, params=_clean(parameters))

    def post(self, path: str, body: Any = None, *, timeout: float | None = None) -> Any:
        limit = ANSWER_S_MAX if timeout is None else timeout
        return self._request("POST", path, json={} if body is None else body, timeout=limit)

    def text(self, path: str) -> str:
        """Return an answer that is no JSON."""
        return self._whole(path).text

    def content(self, path: str) -> bytes:
        """Return an answer that is no text."""
        return self._whole(path).content

    def _whole(self, path: str) -> httpx.Response:
        self._require_listener()
        try:
            answer = self._http.get(path)
        except httpx.HTTPError as fault:
            raise self._unreachable(fault) from None
        _raise_problem(answer)
        return answer

    def stream(
        self, method: str, path: str, *, content: bytes | None = None, **parameters: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the objects of an answer made of lines of JSON, as they come."""
        self._require_listener()
        try:
            with self._http.stream(
                method, path, content=content, params=_clean(parameters), timeout=None
            ) as answer:
                if answer.is_error:
                    answer.read()
                    _raise_problem(answer)
                for line in answer.iter_lines():
                    if line.strip():
                        yield json.loads(line)
        except httpx.HTTPError as fault:
            raise self._unreachable(fault) from None

    def _request(self, method: str, path: str, **settings: Any) -> Any:
        self._require_listener()
        try:
            answer = self._http.request(method, path, **settings)
        except httpx.HTTPError as fault:
            if method != "GET" and not isinstance(fault, httpx.ConnectError):
                raise self._unanswered(fault) from None
            raise self._unreachable(fault) from None
        placed = _placed(answer)
        if placed is not None:
            return placed
        _raise_problem(answer)
        return answer.json() if answer.content else None

    def _require_listener(self) -> None:
        """Find out whether anybody listens before the first request.

        httpcore leaves the socket open when it cannot be connected.
        """
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.home.socket))
            except OSError as fault:
                raise self._unreachable(httpx.ConnectError(str(fault))) from None

    def _unanswered(self, fault: httpx.HTTPError) -> Exception:
        """Return the error of what was asked and not answered: nobody here knows whether it is
        done, so it must not look like what was never asked."""
        late = isinstance(fault, httpx.TimeoutException)
        return problem(
            NO_ANSWER,
            _("The node did not answer in time: what was asked may be done, or kept, or neither.")
            if late
            else _("The node ended before it answered: what was asked may be kept, or not."),
            _("Look first, with the node running; then ask again what is missing."),
        )

    def _unreachable(self, fault: httpx.HTTPError) -> Exception:
        if is_locked(self.home):
            if isinstance(fault, httpx.ConnectError):
                return problem(
                    "not_running",
                    _("The node is starting or stopping and does not answer yet."),
                    _("Try again in a few seconds."),
                )
            return problem(
                "timeout",
                _("The node runs and broke off its answer."),
                _("Try again; see its log if this happens twice."),
            )
        return problem(
            "not_running",
            _("The node is not running."),
            _("Start it in another terminal, or as a service: maillon run"),
        )


# Unprocessable content: what an order that was refused is answered with.
REFUSED: Final = 422


def _clean(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _placed(answer: httpx.Response) -> Any:
    """Return what became of a refused order, which its problem document holds whole, or None."""
    if answer.status_code != REFUSED:
        return None
    try:
        document: Any = answer.json()
    except ValueError:
        return None
    return document.get("placed")


def _raise_problem(answer: httpx.Response) -> None:
    """Raise the error that a problem document (RFC 9457) tells."""
    if not answer.is_error:
        return
    try:
        document: Any = answer.json()
    except ValueError:
        document = {}
    code = document.get("code", "failure")
    detail = document.get("detail") or _("The node answered {status}.").format(
        status=answer.status_code
    )
    # What the ledger refuses comes with facts; here they become a sentence of this language.
    message, hint = in_words(code, document, detail)
    raise problem(code, message, hint or document.get("hint"), problem=document)
