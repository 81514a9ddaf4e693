"""A request that arrives twice is done once, whatever happens between."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio.testing
from litestar.types import HTTPScope, Receive, Scope, Send

from maillon.node.api import bounds
from maillon.node.api.caller import NOBODY, THE_OPERATOR, Caller
from maillon.node.api.idempotency import Idempotent
from maillon.node.store.accessdisk import AccessDisk

ADA = Caller("member", b"p" + b"\x01" * 48, id="a", scopes=frozenset({"read"}))
BOB = Caller("member", b"p" + b"\x02" * 48, id="b", scopes=frozenset({"read"}))


class Counter:
    """An application that counts what it does; `before` may hold it up or break it."""

    def __init__(self) -> None:
        self.done = 0
        self.status = 201
        self.size = 0
        self.before: Callable[[], Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message: Any = await receive()
        if self.before is not None:
            await self.before()
        self.done += 1
        body = json.dumps({"n": self.done, "said": message["body"].decode()}).encode()
        headers = [(b"content-type", b"application/json"), (b"set-cookie", b"secret=1")]
        start: Any = {"type": "http.response.start", "status": self.status, "headers": headers}
        text = body + b" " * self.size
        end: Any = {"type": "http.response.body", "body": text, "more_body": False}
        await send(start)
        await send(end)


class Asker:
    """One node's file and time, and requests to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.app = Counter()
        self.now = 1_000
        self.start()

    def start(self) -> None:
        self.store = AccessDisk(self.path)
        self.gate = Idempotent(self.app, self.store, lambda: self.now)

    def restart(self) -> None:
        self.store.close()
        self.start()

    async def post(
        self,
        key: str = "k1",
        body: bytes = b"{}",
        caller: Caller = ADA,
        path: str = "/v1/transfers",
        method: str = "POST",
    ) -> tuple[int, Any, dict[bytes, bytes]]:
        """Return (status, body, headers)."""
        scope = cast(
            HTTPScope,
            {
                "type": "http",
                "method": method,
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "headers": [(b"idempotency-key", key.encode("latin-1"))] if key else [],
                "auth": caller,
            },
        )
        messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.gate(scope, receive, send)
        text = b"".join(part["body"] for part in sent[1:])
        return sent[0]["status"], json.loads(text), dict(sent[0]["headers"])


@pytest.fixture
def node(tmp_path: Path) -> Asker:
    return Asker(tmp_path / "access.db")


async def test_the_same_request_gets_the_same_answer_and_is_done_once(node: Asker) -> None:
    first = await node.post()
    again = await node.post()
    assert first[:2] == again[:2] == (201, {"n": 1, "said": "{}"}) and node.app.done == 1
    assert again[2][b"idempotency-replayed"] == b"true"
    assert b"idempotency-replayed" not in first[2]
    # What was said once, as a secret is, is not said again.
    assert b"set-cookie" in first[2] and b"set-cookie" not in again[2]


async def test_it_is_done_once_also_when_the_node_restarted_between(node: Asker) -> None:
    await node.post()
    node.restart()
    assert (await node.post())[:2] == (201, {"n": 1, "said": "{}"}) and node.app.done == 1


@pytest.mark.parametrize("other", [{"body": b'{"a":1}'}, {"path": "/v1/members"}])
async def test_another_request_under_the_same_key_is_refused(
    node: Asker, other: dict[str, Any]
) -> None:
    await node.post()
    status, told, _headers = await node.post(**other)
    assert (status, told["code"]) == (422, "idempotency_mismatch") and node.app.done == 1


async def test_the_keys_of_two_callers_are_two(node: Asker) -> None:
    program = Caller("token", id="t1", scopes=frozenset({"read"}))
    for n, caller in enumerate((ADA, BOB, THE_OPERATOR, program), 1):
        assert (await node.post(caller=caller))[1]["n"] == n
    assert (await node.post(caller=BOB))[1]["n"] == 2


async def test_what_is_no_post_or_of_nobody_or_secret_is_not_kept(node: Asker) -> None:
    for n, asked in enumerate(
        (
            {"key": ""},
            {"method": "GET"},
            {"caller": NOBODY},
            {"path": "/v1/tokens"},
            {"path": "/v1/auth/login"},
        )
    ):
        for _ in range(2):
            await node.post(**asked)  # type: ignore[arg-type]  # one dict of several types
        assert node.app.done == 2 * (n + 1), asked
    assert node.store.count_kept() == 0


async def test_a_repeated_request_waits_for_the_first(node: Asker) -> None:
    go = trio.Event()
    node.app.before = go.wait
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await node.post())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert answers == []
        go.set()
    assert node.app.done == 1 and [answer[1]["n"] for answer in answers] == [1, 1, 1]


async def test_who_waited_too_long_for_the_first_is_told_that_it_goes_on(
    node: Asker, autojump_clock: trio.testing.MockClock
) -> None:
    node.app.before = trio.sleep_forever
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.post)
        await trio.testing.wait_all_tasks_blocked()
        status, told, headers = await node.post()
        assert (status, told["code"]) == (409, "idempotency_running")
        assert headers[b"retry-after"] == b"5"
        nursery.cancel_scope.cancel()
    assert node.app.done == 0


async def test_a_node_that_died_in_the_middle_does_not_do_it_again(node: Asker) -> None:
    node.app.before = trio.sleep_forever
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.post)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    node.restart()
    node.app.before = None
    status, told, _headers = await node.post()
    assert (status, told["code"]) == (409, "idempotency_unknown") and node.app.done == 0


@pytest.mark.parametrize("status", [401, 403, 429, 503, 507])
async def test_what_was_not_done_may_be_tried_again(node: Asker, status: int) -> None:
    node.app.status = status
    assert (await node.post())[0] == status
    node.app.status = 201
    assert (await node.post())[0] == 201


async def test_a_refusal_is_an_answer_and_a_breakdown_is_not(node: Asker) -> None:
    node.app.status = 422
    assert [(await node.post("a"))[0] for _ in range(2)] == [422, 422] and node.app.done == 1
    node.app.status = 500
    assert (await node.post("b"))[0] == 500
    assert (await node.post("b"))[1]["code"] == "idempotency_unknown" and node.app.done == 2


async def test_of_a_long_answer_is_kept_that_it_was_given(node: Asker) -> None:
    node.app.size = bounds.ANSWER_BYTES_MAX
    assert (await node.post())[0] == 201
    status, told, _headers = await node.post()
    assert (status, told["code"]) == (409, "idempotency_unknown") and node.app.done == 1


async def test_a_key_is_forgotten_after_a_day(node: Asker) -> None:
    await node.post()
    node.now += bounds.ANSWER_KEPT_S - 1
    await node.post()
    assert node.app.done == 1
    node.now += 1
    assert (await node.post())[1]["n"] == 2


@pytest.mark.parametrize("key", [" ", "a b", "é", "x" * 65, "\t"])
async def test_a_key_is_printing_characters_and_not_too_many(node: Asker, key: str) -> None:
    status, told, _headers = await node.post(key)
    assert (status, told["code"]) == (400, "request") and node.app.done == 0


async def test_one_caller_does_not_fill_the_memory(
    node: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "ANSWERS_PER_CALLER_MAX", 3)
    for n in range(3):
        assert (await node.post(f"k{n}"))[0] == 201
    status, told, _headers = await node.post("k3")
    assert (status, told["code"]) == (429, "quota") and node.app.done == 3
    assert (await node.post("k3", caller=BOB))[0] == 201
    assert (await node.post("k1"))[1]["n"] == 2
