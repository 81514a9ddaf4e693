"""After an erasure no file of a running node says anything of the person: databases, logs, answers.

What is searched is every file of the node's directory and its log at its most talkative, in clear
and as the text of bytes. What the words are is printed, so that a failure can be looked into.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.protocol.auctions import commitment
from support.api import ApiNode, api_node, bearer
from support.authenticator import Authenticator
from support.nodes import WAIT_S, wait_for

ORIGIN = "https://node.example.org"
HOST = {"Host": "node.example.org"}
CONSONANTS = "bcdfghjklmnpqrtvwxz"
Json = dict[str, Any]

PLACES = (
    "name", "note", "token", "session", "passkey", "search", "asked", "title", "text", "demand",
    "bid", "key", "exchange", "message", "contact",
)  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    with api_node(tmp_path_factory.mktemp("e"), public_url=ORIGIN) as one:
        config = one.one.home / "config.toml"
        config.write_text(config.read_text().replace('#level = "info"', 'level = "debug"'))
        one.restart()
        yield one


@pytest.fixture
def words() -> dict[str, str]:
    """Return a word for every place in which a trace is left; no text has one by chance."""
    seed = random.Random().randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    return {place: "".join(rng.choices(CONSONANTS, k=16)) for place in PLACES}


class Listener(threading.Thread):
    """Somebody at the desk who has the stream of events open all the while."""

    def __init__(self, node: ApiNode) -> None:
        super().__init__(daemon=True)
        self.node = node
        self.lines: list[str] = []

    def run(self) -> None:
        try:
            with self.node.operator.stream("GET", "/v1/events", timeout=WAIT_S) as answer:
                for line in answer.iter_lines():
                    self.lines.append(line)
        except Exception:
            return  # the node ended, which ends the stream


def files_of(node: ApiNode) -> dict[str, bytes]:
    home: Path = node.one.home
    found = {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file()
    }
    return found | {"log": node.one.log.read_bytes()}


def where(node: ApiNode, traces: dict[str, bytes]) -> set[tuple[str, str]]:
    """Return in which files what is found, in clear or as hexadecimal text."""
    return {
        (file, place)
        for file, data in files_of(node).items()
        for place, trace in traces.items()
        if trace in data or trace.hex().encode() in data
    }


def post(node: ApiNode, path: str, headers: Json | None = None, **body: Any) -> Json:
    http = node.operator if headers is None or "Authorization" not in headers else node.http
    answer = http.post(path, json=body, headers={**HOST, **(headers or {})})
    assert answer.is_success, answer.text
    return dict(answer.json())


def live(node: ApiNode, words: dict[str, str]) -> tuple[str, dict[str, bytes]]:
    """Let somebody leave a trace in every place; return who, and what to look for."""
    person = post(
        node, "/v1/members", {"Idempotency-Key": "enter-1"}, name=words["name"],
        note=words["note"],
    )["person"]  # fmt: skip
    other = post(node, "/v1/members", name="Autre")["person"]
    # Tokens, sessions, passkeys; whose label and hash are theirs.
    token = post(
        node, "/v1/tokens", person=person, label=words["token"],
        scopes=["read", "exchange", "publish"],
    )["token"]  # fmt: skip
    own = bearer(token)
    session = node.http.post("/v1/auth/session", json={"token": token}, headers=HOST)
    assert session.status_code == 201, session.text
    told = node.http.post("/v1/auth/passkeys/options", headers={**HOST, **own}).json()["options"]
    ring = Authenticator(7)
    made = post(
        node, "/v1/auth/passkeys", own, credential=ring.create(told, ORIGIN),
        label=words["passkey"],
    )  # fmt: skip
    assert made["id"] == ring.id.hex()
    # What they look for; whoever searches leaves no trace at all.
    post(node, "/v1/searches", own, name=words["search"], query={"q": words["asked"]})
    assert node.http.get("/v1/search", params={"q": words["asked"]}, headers=own).is_success
    # Records, by themselves and by the desk; both answers are kept under their keys.
    offer = {
        "title": words["title"], "text": words["text"], "lang": "fr", "categories": ["aide"],
        "mode": ["at_home"], "reciprocity": {"kind": "free"},
    }  # fmt: skip
    post(node, "/v1/records", {**own, "Idempotency-Key": words["key"]}, kind="offer",
         payload=offer)  # fmt: skip
    soon = int(time.time()) + 7 * 86_400
    secret = hashlib.sha256(words["bid"].encode()).digest()
    demand = {
        **offer, "title": words["demand"], "reciprocity": {"kind": "auction", "unit": "heure"},
        "auction": {
            "form": "sealed", "closes": soon, "reveal_until": soon + 100_000,
            "lot": hashlib.sha256(secret).hexdigest(),
        },
    }  # fmt: skip
    post(node, "/v1/auctions/openings", kind="lot", hash=hashlib.sha256(secret).hexdigest(),
         nonce=secret.hex(), until=soon + 100_000, person=person)  # fmt: skip
    thing = post(
        node, "/v1/records", {"Idempotency-Key": "desk-1"}, kind="demand", payload=demand,
        as_member=person,
    )["thing"]  # fmt: skip
    hash = commitment(bytes.fromhex(thing), 60, secret)
    post(node, "/v1/auctions/openings", own, kind="bid", hash=hash.hex(), nonce=secret.hex(),
         until=soon + 100_000, demand=thing, amount=60)  # fmt: skip
    # An exchange, with letters, steps and events.
    coop = node.operator.get("/v1/status").json()["coop"]
    exchange = post(
        node, "/v1/exchanges", own, **{"with": f"70{coop}{other}"}, role="requester",
        title=words["exchange"], text=words["exchange"], lang="fr",
    )["exchange"]["id"]  # fmt: skip
    post(node, f"/v1/exchanges/{exchange}/steps", own, kind="message",
         fields={"text": words["message"], "lang": "fr"})  # fmt: skip
    # It is over: of one that is not, the other side here keeps what was agreed (spec/08-persons).
    post(node, f"/v1/exchanges/{exchange}/steps", own, kind="cancellation")
    traces = {place: word.encode() for place, word in words.items()}
    traces |= {"nonce": secret, "passkey id": ring.id, "bid hash": hash}
    return str(person), traces


@pytest.mark.capability("PLF-1")
def test_nothing_of_an_erased_person_is_left_in_any_file_nor_in_the_log(
    node: ApiNode, words: dict[str, str]
) -> None:
    listener = Listener(node)
    listener.start()
    wait_for(lambda: listener.lines, "the stream of events is open")
    person, traces = live(node, words)
    before = {place for _file, place in where(node, traces)}
    # What is looked for can be found, but what is sealed, hashed or never written.
    assert {"name", "note", "token", "passkey", "exchange", "message", "bid hash"} <= before
    assert not before & {"asked", "search", "nonce"}
    assert "log" not in {file for file, _place in where(node, traces)}
    export = node.operator.get(f"/v1/persons/{person}/export").content
    assert export
    told = post(node, f"/v1/persons/{person}/erase", confirm=person, wait_s=30)
    assert told["done"]
    # While it runs, and after it ended.
    assert where(node, traces) == set()
    assert node.operator.get("/v1/searches", params={"person": person}).status_code == 404
    node.one.stop()
    assert where(node, traces) == set()
    assert listener.lines and not any(
        word in line for line in listener.lines for word in words.values()
    )
    node.one.start()
    # Repeating a request of before says that it was done, and not what was said.
    again = node.operator.post(
        "/v1/members", json={"name": words["name"], "note": words["note"]},
        headers={"Idempotency-Key": "enter-1"},
    )  # fmt: skip
    assert json.loads(again.text)["code"] == "idempotency_unknown"
    assert where(node, traces) == set()
