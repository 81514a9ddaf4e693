"""The file of tokens, sessions, passkeys and kept answers."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from maillon.node.engine.access import Kept, Passkey, Session, Token, hashed, token_text
from maillon.node.store.accessdisk import ANSWER_GONE, AccessDisk

ADA = b"p" + b"\x01" * 48
BOB = b"p" + b"\x02" * 48
SECRET = bytes(range(32))


def token(id: str = "a1", author: bytes = ADA, expires: int = 1_000) -> Token:
    return Token(id, "tablette", author, frozenset({"read"}), 10, expires, 0, 0)


def session(id: str = "s1", author: bytes = ADA) -> Session:
    return Session(id, author, b"\x05" * 32, "key", 10, 1_000, 500, 10, frozenset({"pay", "read"}))


def passkey(id: bytes = b"cred", author: bytes = ADA) -> Passkey:
    return Passkey(id, author, b"cose", 3, "téléphone", 10, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.db"


def everything(path: Path) -> bytes:
    """Return all bytes of the file and what stands beside it."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob("access.db*")))


def test_what_was_kept_is_there_after_a_restart(path: Path) -> None:
    disk = AccessDisk(path)
    disk.add_token(hashed(SECRET), token())
    disk.add_session(b"h" * 32, session())
    assert disk.add_passkey(passkey())
    disk.begin(ADA, b"key", b"r" * 32, 20)
    disk.close()
    disk = AccessDisk(path)
    assert disk.token(hashed(SECRET)) == token()
    assert disk.session(b"h" * 32) == session() == disk.session_by_id("s1")
    assert disk.passkey(b"cred") == passkey()
    assert disk.kept(ADA, b"key") == Kept(b"r" * 32, 0, (), b"", 20)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    disk.close()


def test_no_secret_is_in_the_file(path: Path) -> None:
    disk = AccessDisk(path)
    disk.add_token(hashed(SECRET), token())
    found = everything(path)
    assert SECRET not in found and token_text(SECRET).encode() not in found
    assert hashed(SECRET) in found
    disk.close()


def test_a_second_passkey_of_the_same_id_changes_nothing(path: Path) -> None:
    disk = AccessDisk(path)
    assert disk.add_passkey(passkey())
    assert not disk.add_passkey(passkey(author=BOB))
    assert disk.passkey(b"cred") == passkey()
    disk.close()


def test_a_revoked_token_keeps_the_time_of_its_end(path: Path) -> None:
    disk = AccessDisk(path)
    disk.add_token(hashed(SECRET), token())
    disk.revoke_token("a1", 50)
    disk.revoke_token("a1", 60)
    found = disk.token_by_id("a1")
    assert found is not None and found.revoked == 50
    assert disk.count_tokens(ADA, 55) == 0
    disk.close()


def test_tokens_are_listed_by_id_and_author(path: Path) -> None:
    disk = AccessDisk(path)
    for n, (id, author) in enumerate((("c", ADA), ("a", ADA), ("b", BOB))):
        disk.add_token(bytes([n]) * 32, token(id, author))
    assert [row.id for row in disk.tokens(None, "", 10)] == ["a", "b", "c"]
    assert [row.id for row in disk.tokens(ADA, "a", 10)] == ["c"]
    assert [row.id for row in disk.tokens(None, "", 2)] == ["a", "b"]
    disk.close()


def test_what_is_over_is_forgotten_and_nothing_else(path: Path) -> None:
    disk = AccessDisk(path)
    disk.add_token(b"1" * 32, token("old", expires=100))
    disk.add_token(b"2" * 32, token("new", expires=900))
    disk.add_session(b"3" * 32, session())
    disk.begin(ADA, b"early", b"r" * 32, 100)
    disk.begin(ADA, b"late", b"r" * 32, 400)
    assert disk.expire(answers_before=300, now=499, rows_max=10) == 2
    assert [row.id for row in disk.tokens(None, "", 10)] == ["new"]
    assert disk.kept(ADA, b"early") is None and disk.kept(ADA, b"late") is not None
    assert disk.session_by_id("s1") is not None
    assert disk.expire(answers_before=300, now=500, rows_max=10) == 1
    assert disk.session_by_id("s1") is None
    disk.close()


def test_ending_everything_of_a_person_leaves_others_alone(path: Path) -> None:
    disk = AccessDisk(path)
    disk.add_token(b"1" * 32, token("a", ADA))
    disk.add_token(b"2" * 32, token("b", BOB))
    disk.add_session(b"3" * 32, session())
    disk.add_passkey(passkey())
    assert disk.end_all(ADA, 70) == 3
    ended, kept = disk.token_by_id("a"), disk.token_by_id("b")
    assert ended is not None and ended.revoked == 70 and kept == token("b", BOB)
    assert disk.sessions(ADA, 20) == [] and disk.passkeys(ADA) == []
    disk.close()


def test_forgetting_a_person_leaves_no_byte_of_them_in_any_file(path: Path) -> None:
    disk = AccessDisk(path)
    named = b"Ada of the red house"
    disk.add_token(b"1" * 32, token("a", ADA))
    disk.add_session(b"3" * 32, session())
    disk.add_passkey(passkey())
    for caller in (ADA, b"operator"):
        disk.begin(caller, b"key", b"r" * 32, 20)
        disk.done(caller, b"key", Kept(b"r" * 32, 201, (("x", "y"),), named, 20))
    assert ADA in everything(path) and named in everything(path)
    assert disk.forget(ADA) == 4
    found = everything(path)
    assert ADA not in found and named not in found and "téléphone".encode() not in found
    # That the operator's request was done is still known: it is not done again.
    left = disk.kept(b"operator", b"key")
    assert left is not None and (left.status, left.body) == (ANSWER_GONE, b"")
    disk.close()
