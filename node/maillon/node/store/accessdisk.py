"""access.db: tokens, sessions and passkeys of those who use the node, and answers to be repeated.

Of a token or cookie only a hash is here: who copies the file signs in with none of it. It is
written with FULL synchronisation: a token that was revoked stays revoked after a power cut, and a
request that was begun is not begun again. Erased rows are overwritten (secure_delete).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlite_utils import Database

from maillon.node.engine.access import Kept, Passkey, Session, Token
from maillon.node.store.database import Schema, faults_in_words, open_database

APPLICATION_ID: Final = 0x4D414343  # "MACC"
CACHE_KIB: Final = 1_024
ANSWER_GONE: Final = 410
"""Status of a kept answer whose content was erased."""


def _version_1(database: Database) -> None:
    for statement in (
        "CREATE TABLE token (hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, label TEXT NOT NULL, "
        "author BLOB NOT NULL, key BLOB NOT NULL, scopes TEXT NOT NULL, created INTEGER NOT NULL, "
        "expires INTEGER NOT NULL, last_used INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT",
        "CREATE INDEX token_author ON token (author, id)",
        "CREATE TABLE session (hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
        "author BLOB NOT NULL, key BLOB NOT NULL, method TEXT NOT NULL, scopes TEXT NOT NULL, "
        "created INTEGER NOT NULL, expires INTEGER NOT NULL, idle_until INTEGER NOT NULL, "
        "last_used INTEGER NOT NULL) STRICT",
        "CREATE INDEX session_author ON session (author, id)",
        "CREATE TABLE passkey (id BLOB PRIMARY KEY, author BLOB NOT NULL, public BLOB NOT NULL, "
        "count INTEGER NOT NULL, label TEXT NOT NULL, created INTEGER NOT NULL, "
        "last_used INTEGER NOT NULL) STRICT",
        "CREATE INDEX passkey_author ON passkey (author)",
        # What was answered to a POST with an Idempotency-Key; `status` 0 while it is being done.
        "CREATE TABLE answer (caller BLOB NOT NULL, key BLOB NOT NULL, request BLOB NOT NULL, "
        "status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL, "
        "PRIMARY KEY (caller, key)) STRICT",
        "CREATE INDEX answer_at ON answer (at)",
    ):
        database.execute(statement)  # pyright: ignore[reportUnknownMemberType]


ACCESS_DB: Final = Schema("access", APPLICATION_ID, (_version_1,))

_TOKEN = "id, label, author, scopes, created, expires, last_used, revoked, key"
_SESSION = "id, author, key, method, created, expires, idle_until, last_used, scopes"
_PASSKEY = "id, author, public, count, label, created, last_used"


def _scopes(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _token(row: Any) -> Token:
    id, label, author, scopes, created, expires, last_used, revoked, key = row
    return Token(id, label, author, _scopes(scopes), created, expires, last_used, revoked, key)


def _session(row: Any) -> Session:
    id, author, key, method, created, expires, idle_until, last_used, scopes = row
    return Session(
        id, author, key, method, created, expires, idle_until, last_used, _scopes(scopes)
    )


class AccessDisk:
    """The file. Times are Unix seconds; every method is one transaction. Raises: StoreError."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._db = open_database(path, ACCESS_DB, synchronous="FULL", cache_kib=CACHE_KIB)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _batch(self) -> Generator[None]:
        with faults_in_words(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, query: str, values: Iterable[Any] = ()) -> list[Any]:
        with faults_in_words(self._path):
            return self._db.execute(query, tuple(values)).fetchall()

    def _change(self, query: str, values: Iterable[Any]) -> int:
        with faults_in_words(self._path):
            return self._db.execute(query, tuple(values)).rowcount

    # --- tokens ---------------------------------------------------------------------------------

    def add_token(self, hash: bytes, token: Token) -> None:
        """Keep a new token under the hash of its secret."""
        self._change(
            f"INSERT INTO token (hash, {_TOKEN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (hash, token.id, token.label, token.author, " ".join(sorted(token.scopes)),
             token.created, token.expires, token.last_used, token.revoked, token.key),
        )  # fmt: skip

    def token(self, hash: bytes) -> Token | None:
        """Return the token with this hash, also when it is over."""
        rows = self._rows(f"SELECT {_TOKEN} FROM token WHERE hash = ?", (hash,))
        return _token(rows[0]) if rows else None

    def tokens(self, author: bytes | None, after: str, limit: int) -> list[Token]:
        """Return tokens by id, those of one author or, with None, all."""
        where = "id > ?" if author is None else "author = ? AND id > ?"
        values = (after, limit) if author is None else (author, after, limit)
        query = f"SELECT {_TOKEN} FROM token WHERE {where} ORDER BY id LIMIT ?"
        return [_token(row) for row in self._rows(query, values)]

    def count_tokens(self, author: bytes, now: int) -> int:
        """Return how many tokens of an author still count."""
        query = "SELECT count(*) FROM token WHERE author = ? AND revoked = 0 AND expires > ?"
        return int(self._rows(query, (author, now))[0][0])

    def token_by_id(self, id: str) -> Token | None:
        """Return a token by its public id."""
        rows = self._rows(f"SELECT {_TOKEN} FROM token WHERE id = ?", (id,))
        return _token(rows[0]) if rows else None

    def used_token(self, id: str, now: int) -> None:
        """Note that a token was used."""
        self._change("UPDATE token SET last_used = ? WHERE id = ?", (now, id))

    def revoke_token(self, id: str, now: int) -> None:
        """End a token."""
        self._change("UPDATE token SET revoked = ? WHERE id = ? AND revoked = 0", (now, id))

    # --- sessions -------------------------------------------------------------------------------

    def add_session(self, hash: bytes, session: Session) -> None:
        """Keep a new session under the hash of its cookie."""
        self._change(
            f"INSERT INTO session (hash, {_SESSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (hash, session.id, session.author, session.key, session.method, session.created,
             session.expires, session.idle_until, session.last_used,
             " ".join(sorted(session.scopes))),
        )  # fmt: skip

    def session(self, hash: bytes) -> Session | None:
        """Return the session with this hash, also when it is over."""
        rows = self._rows(f"SELECT {_SESSION} FROM session WHERE hash = ?", (hash,))
        return _session(rows[0]) if rows else None

    def session_by_id(self, id: str) -> Session | None:
        """Return a session by its public id."""
        rows = self._rows(f"SELECT {_SESSION} FROM session WHERE id = ?", (id,))
        return _session(rows[0]) if rows else None

    def sessions(self, author: bytes, now: int) -> list[Session]:
        """Return the sessions of an author that count, by id."""
        query = (
            f"SELECT {_SESSION} FROM session WHERE author = ? AND expires > ? AND idle_until > ? "
            "ORDER BY id"
        )
        return [_session(row) for row in self._rows(query, (author, now, now))]

    def used_session(self, id: str, now: int, idle_until: int) -> None:
        """Note that a session was used."""
        self._change(
            "UPDATE session SET last_used = ?, idle_until = ? WHERE id = ?", (now, idle_until, id)
        )

    def end_session(self, id: str) -> None:
        """Forget a session."""
        self._change("DELETE FROM session WHERE id = ?", (id,))

    # --- passkeys -------------------------------------------------------------------------------

    def add_passkey(self, passkey: Passkey) -> bool:
        """Keep a new passkey; False when its id is there already."""
        return bool(
            self._change(
                f"INSERT INTO passkey ({_PASSKEY}) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (passkey.id, passkey.author, passkey.public, passkey.count, passkey.label,
                 passkey.created, passkey.last_used),
            )
        )  # fmt: skip

    def passkey(self, id: bytes) -> Passkey | None:
        """Return a passkey by the id of its credential."""
        rows = self._rows(f"SELECT {_PASSKEY} FROM passkey WHERE id = ?", (id,))
        return Passkey(*rows[0]) if rows else None

    def passkeys(self, author: bytes) -> list[Passkey]:
        """Return the passkeys of a person, the oldest first."""
        query = f"SELECT {_PASSKEY} FROM passkey WHERE author = ? ORDER BY created, id"
        return [Passkey(*row) for row in self._rows(query, (author,))]

    def used_passkey(self, id: bytes, count: int, now: int) -> None:
        """Note that a passkey signed in, and how often its authenticator says it did."""
        self._change("UPDATE passkey SET count = ?, last_used = ? WHERE id = ?", (count, now, id))

    def remove_passkey(self, id: bytes) -> None:
        """Forget a passkey."""
        self._change("DELETE FROM passkey WHERE id = ?", (id,))

    # --- answers --------------------------------------------------------------------------------

    def kept(self, caller: bytes, key: bytes) -> Kept | None:
        """Return what is kept of a caller's request under its key."""
        rows = self._rows(
            "SELECT request, status, headers, body, at FROM answer WHERE caller = ? AND key = ?",
            (caller, key),
        )
        if not rows:
            return None
        request, status, headers, body, at = rows[0]
        pairs = tuple((str(name), str(value)) for name, value in json.loads(headers))
        return Kept(request, status, pairs, body, at)

    def count_kept(self, caller: bytes | None = None) -> int:
        """Return how many answers are kept, of one caller or in all."""
        if caller is None:
            return int(self._rows("SELECT count(*) FROM answer")[0][0])
        return int(self._rows("SELECT count(*) FROM answer WHERE caller = ?", (caller,))[0][0])

    def begin(self, caller: bytes, key: bytes, request: bytes, now: int) -> None:
        """Note that a request is being done, before anything of it is."""
        self._change(
            "INSERT INTO answer VALUES (?, ?, ?, 0, '[]', x'', ?)", (caller, key, request, now)
        )

    def done(self, caller: bytes, key: bytes, kept: Kept) -> None:
        """Keep the answer of a request that was begun."""
        self._change(
            "UPDATE answer SET status = ?, headers = ?, body = ? WHERE caller = ? AND key = ?",
            (kept.status, json.dumps(kept.headers), kept.body, caller, key),
        )

    def undone(self, caller: bytes, key: bytes) -> None:
        """Forget a request of which nothing was done."""
        self._change("DELETE FROM answer WHERE caller = ? AND key = ?", (caller, key))

    # --- forgetting -----------------------------------------------------------------------------

    def expire(self, *, answers_before: int, now: int, rows_max: int) -> int:
        """Forget what is over: at most `rows_max` rows of each sort. Return how many."""
        gone = 0
        with self._batch():
            for table, over, values in (
                ("answer", "at < ?", (answers_before,)),
                ("session", "expires <= ? OR idle_until <= ?", (now, now)),
                # A token that ended is shown in the list for as long as answers are kept.
                ("token", "expires < ? OR revoked BETWEEN 1 AND ?",
                 (answers_before, answers_before)),
            ):  # fmt: skip
                gone += self._db.execute(
                    f"DELETE FROM {table} WHERE rowid IN "
                    f"(SELECT rowid FROM {table} WHERE {over} LIMIT ?)",
                    (*values, rows_max),
                ).rowcount
        return gone

    def forget(self, author: bytes) -> int:
        """Leave nothing of a person in the file, its free pages or its log; return how many rows.

        What was answered to others may speak of them as well: of every kept answer only remains
        that it was given.
        """
        gone = 0
        with self._batch():
            for table in ("token", "session", "passkey"):
                gone += self._db.execute(
                    f"DELETE FROM {table} WHERE author = ?", (author,)
                ).rowcount
            gone += self._db.execute("DELETE FROM answer WHERE caller = ?", (author,)).rowcount
            self._db.execute(
                "UPDATE answer SET status = ?, headers = '[]', body = x'' WHERE status != 0",
                (ANSWER_GONE,),
            )
        self.scrub()
        return gone

    def end_all(self, author: bytes, now: int) -> int:
        """End every session and token of a person and forget their passkeys; return how many."""
        with self._batch():
            return sum(
                self._db.execute(query, values).rowcount
                for query, values in (
                    ("DELETE FROM session WHERE author = ?", (author,)),
                    ("UPDATE token SET revoked = ? WHERE author = ? AND revoked = 0",
                     (now, author)),
                    ("DELETE FROM passkey WHERE author = ?", (author,)),
                )
            )  # fmt: skip

    def scrub(self) -> None:
        """Move the log into the file and cut it, and the file's free pages too."""
        with faults_in_words(self._path):
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
