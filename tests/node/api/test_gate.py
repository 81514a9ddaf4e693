"""The door over TCP: names, origins, bounds, and what every answer carries."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from maillon.node.api import bounds
from support.api import ApiNode, api_node, bearer
from support.nodes import wait_for

FRIEND = "https://carte.example.org"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    with api_node(
        tmp_path_factory.mktemp("n"),
        public_url="https://node.example.org",
        behind_proxy=True,
        requests_per_minute=60,
    ) as one:
        yield one


def ask(node: ApiNode, **headers: str) -> dict[str, str]:
    """Return headers with an address of their own, so that tests do not share its bounds."""
    ask.number += 1  # type: ignore[attr-defined]
    return {"X-Forwarded-For": f"198.51.100.{ask.number}", **headers}  # type: ignore[attr-defined]


ask.number = 0  # type: ignore[attr-defined]


def raw(node: ApiNode, request: bytes) -> bytes:
    """Return what comes back on a connection of its own, to its end."""
    with socket.create_connection(("127.0.0.1", int(node.host.rpartition(":")[2]))) as wire:
        wire.settimeout(60)
        wire.sendall(request)
        parts: list[bytes] = []
        with contextlib.suppress(ConnectionResetError):
            while part := wire.recv(65_536):
                parts.append(part)
        return b"".join(parts)


def code(answer: object) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "", "node.example.org.evil"])
def test_a_page_that_had_its_own_name_point_here_does_not_get_in(node: ApiNode, host: str) -> None:
    answer = node.http.get("/v1/health", headers={"Host": host})
    assert code(answer) == (421, "host")


def test_the_public_name_and_the_bound_address_are_answered(node: ApiNode) -> None:
    port = node.host.rpartition(":")[2]
    for host in ("node.example.org", "NODE.example.org", node.host, f"localhost:{port}"):
        answer = node.http.get("/v1/health", headers=ask(node, Host=host))
        assert answer.status_code == 200, host


def test_two_host_headers_or_none_are_refused(node: ApiNode) -> None:
    two = f"GET /v1/health HTTP/1.1\r\nHost: {node.host}\r\nHost: {node.host}\r\n\r\n".encode()
    none = b"GET /v1/health HTTP/1.1\r\n\r\n"
    for request in (two, none):
        assert raw(node, request).split(b" ")[1] in (b"400", b"421")


def test_every_answer_tells_browsers_to_do_nothing_with_it(node: ApiNode) -> None:
    for path in ("/v1/health", "/v1/nothing", "/v1/status"):
        headers = node.http.get(path, headers=ask(node)).headers
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        # The operator says that the public address is reached through TLS.
        assert headers["strict-transport-security"].startswith("max-age=")
        assert "server" not in headers and "access-control-allow-origin" not in headers


def test_a_page_of_another_site_changes_nothing(node: ApiNode) -> None:
    before = node.operator.get("/v1/status").json()["records"]
    token = bearer(node.token("read", "publish"))
    body: dict[str, object] = {"kind": "offer", "payload": {}}
    for origin in ("https://evil.example", "null", "http://node.example.org", FRIEND):
        answer = node.http.post("/v1/records", json=body, headers={**token, "Origin": origin})
        assert code(answer) == (403, "origin"), origin
    own = node.http.post(
        "/v1/records", json=body, headers={**token, "Origin": "https://node.example.org"}
    )
    assert code(own) == (400, "field")
    now = node.operator.get("/v1/status").json()["records"]
    assert {**now, "membership": 0} == {**before, "membership": 0}


def test_no_other_site_may_read_unless_the_operator_named_it(node: ApiNode) -> None:
    preflight = node.http.options(
        "/v1/search",
        headers=ask(node, Origin=FRIEND, **{"Access-Control-Request-Method": "GET"}),
    )
    assert preflight.status_code == 204
    assert "access-control-allow-origin" not in preflight.headers


def test_who_asks_too_often_is_told_when_to_come_back(node: ApiNode) -> None:
    address = ask(node)
    answers = [node.http.get("/v1/health", headers=address) for _ in range(80)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and code(refused[0]) == (429, "rate")
    assert int(refused[0].headers["retry-after"]) >= 1
    # Another address is another's affair.
    assert node.http.get("/v1/health", headers=ask(node)).status_code == 200


def test_only_the_proxys_own_word_counts_for_the_address(node: ApiNode) -> None:
    last = ask(node)["X-Forwarded-For"]
    answers = [
        node.http.get("/v1/health", headers={"X-Forwarded-For": f"203.0.113.{n}, {last}"})
        for n in range(80)
    ]
    assert 429 in [answer.status_code for answer in answers]


def test_guessing_is_bounded_and_signing_in_is_not(node: ApiNode) -> None:
    address = ask(node)
    body = {"token": "mln_" + "A" * 43}
    codes = [
        node.http.post("/v1/auth/session", json=body, headers=address).json()["code"]
        for _ in range(int(bounds.LOGINS_BURST) + 5)
    ]
    assert codes[0] == "unauthenticated" and codes[-1] == "rate"
    # Who does sign in is not held up by how often they do.
    _person, key = node.device("Often", 51)
    for _ in range(int(bounds.LOGINS_BURST) + 5):
        headers = ask(node)
        challenge = node.http.get("/v1/auth/challenge", headers=headers).json()
        body = node.answer(challenge, key)
        done = node.http.post(
            "/v1/auth/login",
            json=body,
            headers={**headers, "X-Forwarded-For": "198.51.100.254"},
        )
        assert done.status_code == 201, done.text


def test_a_head_that_is_too_long_ends_its_connection(node: ApiNode) -> None:
    long = b"X-Long: " + b"a" * (2 * bounds.TCP_HEAD_BYTES_MAX)
    said = raw(node, b"GET /v1/health HTTP/1.1\r\nHost: " + node.host.encode() + b"\r\n" + long)
    assert said.startswith(b"HTTP/1.1 431") or said.startswith(b"HTTP/1.1 400") or said == b""
    assert node.http.get("/v1/health", headers=ask(node)).status_code == 200


def test_a_connection_is_not_upgraded(node: ApiNode) -> None:
    head = f"GET /v1/health HTTP/1.1\r\nHost: {node.host}\r\nX-Forwarded-For: 198.51.100.253\r\n"
    for upgrade in ("h2c", "websocket"):
        request = f"{head}Connection: Upgrade, close\r\nUpgrade: {upgrade}\r\n"
        request += "HTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Version: 13\r\n"
        request += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        assert not raw(node, request.encode()).startswith(b"HTTP/1.1 101"), upgrade


def test_one_address_holds_a_bounded_number_of_connections(node: ApiNode) -> None:
    port = int(node.host.rpartition(":")[2])
    node.http.close()
    with contextlib.ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(bounds.TCP_CONNECTIONS_PER_ADDRESS_MAX + 8)
        ]
        request = f"GET /v1/health HTTP/1.1\r\nHost: {node.host}\r\n\r\n".encode()
        answered = 0
        for n, wire in enumerate(held):
            wire.settimeout(60)
            with contextlib.suppress(OSError):
                wire.sendall(
                    request.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.%d\r\n\r\n" % n)
                )
                answered += wire.recv(15).startswith(b"HTTP/1.1 200")
        assert answered == bounds.TCP_CONNECTIONS_PER_ADDRESS_MAX

    def back() -> bool:
        request = f"GET /v1/health HTTP/1.1\r\nHost: {node.host}\r\nConnection: close\r\n"
        return b"200" in raw(node, f"{request}X-Forwarded-For: 192.0.2.250\r\n\r\n".encode())[:16]

    wait_for(back, "there is room again")


def test_head_and_options_are_answered_for_every_route(node: ApiNode) -> None:
    with contextlib.closing(type(node.http)(base_url=node.url)) as http:
        head = http.head("/v1/search", headers=ask(node))
        assert head.status_code == 200 and head.content == b""
        options = http.options("/v1/records", headers=ask(node))
        assert options.status_code == 204
        assert options.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        wrong = http.delete("/v1/records", headers=ask(node))
        assert code(wrong) == (405, "method_not_allowed") and "POST" in wrong.headers["allow"]


def test_the_node_stops_in_time_while_somebody_listens_and_somebody_reads_nothing(
    node: ApiNode,
) -> None:
    token = node.token("read", "admin")
    port = int(node.host.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        for path in ("/v1/events", "/v1/openapi.json"):
            wire = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            wire.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {node.host}\r\nAuthorization: Bearer {token}\r\n"
                "\r\n".encode()
            )
            assert wire.recv(12) == b"HTTP/1.1 200"
        assert node.one.stop() == 0
