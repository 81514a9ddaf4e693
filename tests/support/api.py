"""A running node whose interface is reached over TCP, and people who sign in there."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx

from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.login import PURPOSE, login_body
from support.nodes import WAIT_S, TestNode, free_port, nodes

ROLES = ("member", "provider", "helper", "desk", "admin")


class ApiNode:
    """One node with a federation: `one` is its process, `http` asks over TCP, as nobody."""

    def __init__(self, one: TestNode, port: int) -> None:
        self.one = one
        self.url = f"http://127.0.0.1:{port}"
        self.host = f"127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=WAIT_S)
        self.operator = one.http

    def member(self, name: str, *roles: str) -> dict[str, Any]:
        """Register a person whose key the node keeps, and return them."""
        answer = self.operator.post(
            "/v1/members", json={"name": name, "roles": list(roles or ("member",))}
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def device(self, name: str, seed: int, *roles: str) -> tuple[dict[str, Any], SigningKey]:
        """Register a person with a key of their own, drawn from a seed."""
        key = SigningKey.from_seed(bytes([seed]) * 32)
        sealing = SealingKey.from_seed(bytes([seed]) * 32)
        answer = self.operator.post(
            "/v1/members",
            json={
                "name": name,
                "roles": list(roles or ("member",)),
                "key": key.public.hex(),
                "sealing": sealing.public.hex(),
                "custody": "device",
            },
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json()), key

    def token(self, *scopes: str, person: str | None = None, label: str = "tests") -> str:
        """Return a token that the operator makes, for one person with every role by default."""
        if person is None:
            person = str(self.member("Ada Toutes-Fonctions", *ROLES)["person"])
        body = {"scopes": list(scopes), "label": label, "person": person}
        answer = self.operator.post("/v1/tokens", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def challenge(self) -> dict[str, Any]:
        """Return a challenge."""
        return dict(self.http.get("/v1/auth/challenge").json())

    def answer(self, challenge: dict[str, Any], key: SigningKey, **changes: Any) -> dict[str, Any]:
        """Return the body that signs in with a key; `changes` are to what is signed."""
        fields: dict[str, Any] = {
            "fed": bytes.fromhex(challenge["fed"]),
            "coop": bytes.fromhex(challenge["coop"]),
            "host": self.host,
            "nonce": bytes.fromhex(challenge["nonce"]),
            "expires": challenge["expires"],
        }
        purpose = changes.pop("purpose", PURPOSE)
        signature = key.sign(purpose, login_body(**{**fields, **changes}))
        return {
            "key": key.public.hex(),
            "nonce": challenge["nonce"],
            "signature": signature.hex(),
        }

    def sign_in(self, key: SigningKey, **more: Any) -> httpx.Response:
        """Sign in with a key."""
        body = {**self.answer(self.challenge(), key), **more}
        return self.http.post("/v1/auth/login", json=body)

    def restart(self) -> None:
        """Stop the node and start it again."""
        self.one.stop()
        self.one.start()


def bearer(token: str) -> dict[str, str]:
    """Return the header of a token."""
    return {"Authorization": f"Bearer {token}"}


@contextlib.contextmanager
def api_node(directory: Path, **settings: Any) -> Generator[ApiNode]:
    """Give a running node that listens on the loopback interface; `settings` are of [api]."""
    with nodes(directory, "a") as (one,):
        one.init().cli("federation", "found", "--name", "Fed", "--unit", "heure:hours:Heure")
        port = free_port()
        chosen: dict[str, Any] = {
            "listen": f"127.0.0.1:{port}",
            "requests_per_minute": 1_000_000,
            **settings,
        }
        written = "".join(
            f"{name} = {str(value).lower() if isinstance(value, bool | int) else repr(value)}\n"
            for name, value in chosen.items()
        )
        config = one.home / "config.toml"
        config.write_text(config.read_text().replace("[api]\n", f"[api]\n{written}", 1))
        node = ApiNode(one.start(), port)
        try:
            yield node
        finally:
            node.http.close()
