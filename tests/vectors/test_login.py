"""Run the vectors of signing in against the code."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.protocol.errors import BadSignature
from maillon.protocol.keys import verify
from maillon.protocol.login import PURPOSE, BadLogin, login_body
from support.vectors import cases


@pytest.mark.parametrize("vector", cases("login.json"))
def test_signing_in_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    def body() -> bytes:
        return login_body(
            fed=bytes.fromhex(vector["fed"]),
            coop=bytes.fromhex(vector["coop"]),
            host=vector["host"],
            nonce=bytes.fromhex(vector["nonce"]),
            expires=vector["expires"],
        )

    if vector["expect"] == "login":
        with pytest.raises(BadLogin):
            body()
        return
    assert body().hex() == vector["body"]
    key, signature = bytes.fromhex(vector["key"]), bytes.fromhex(vector["signature"])
    if vector["expect"] == "ok":
        verify(key, PURPOSE, body(), signature)
        return
    with pytest.raises(BadSignature):
        verify(key, PURPOSE, body(), signature)
