"""Lay out node.db, one step for each version of its format.

    records     one row a known record, in the order of arrival; `state` 0 is live
    seals       the keys of the payloads, 128 to a row (see `sealing`)
    live        the live set by (at, id): what is reconciled
    keys_new    (key, row): where a record is, by its id, and by its author and series;
    keys          random keys go into the small young table and move on in key order, so that
                  an insert touches few pages however many records there are
    links       (first 8 bytes of a mandate's name or of a referred id, row)
    signers     which authors a key has signed for
    words       the word index: no text, no positions, only which row has which token
    unindexed   rows that the word index does not have yet
    counts      live records by kind
    facts       what the store notes about itself
"""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

from maillon.node.store.database import Schema

APPLICATION_ID: Final = 0x4D41494C  # "MAIL"

# Kinds a node may hold a million of; the others are few and have an index by kind.
BULK_SQL: Final = (
    "kind NOT IN ('offer', 'demand', 'withdrawal', 'attestation', 'reply')"
)
BULK_KINDS: Final = frozenset(("offer", "demand", "withdrawal", "attestation", "reply"))

WORDS_SQL: Final = (
    "CREATE VIRTUAL TABLE words USING fts5(tokens, content='', contentless_delete=1, "
    "detail=none, tokenize=\"ascii tokenchars '_:.'\")"
)


def _version_1(database: Database) -> None:
    for statement in (
        "CREATE TABLE records (n INTEGER PRIMARY KEY, state INTEGER NOT NULL, at INTEGER NOT NULL, "
        "until INTEGER NOT NULL, kind TEXT NOT NULL, role TEXT NOT NULL, author BLOB NOT NULL, "
        "head BLOB NOT NULL, payload BLOB) STRICT",
        "CREATE INDEX records_until ON records (until)",
        f"CREATE INDEX records_kind ON records (kind) WHERE {BULK_SQL}",
        "CREATE TABLE seals (block INTEGER PRIMARY KEY, keys BLOB NOT NULL) STRICT",
        "CREATE TABLE live (at INTEGER, id BLOB, n INTEGER NOT NULL, PRIMARY KEY (at, id)) "
        "STRICT, WITHOUT ROWID",
        "CREATE TABLE keys_new (k INTEGER, n INTEGER, PRIMARY KEY (k, n)) STRICT, WITHOUT ROWID",
        "CREATE TABLE keys (k INTEGER, n INTEGER, PRIMARY KEY (k, n)) STRICT, WITHOUT ROWID",
        "CREATE TABLE links (k INTEGER, n INTEGER, PRIMARY KEY (k, n)) STRICT, WITHOUT ROWID",
        "CREATE TABLE signers (key BLOB, author BLOB, PRIMARY KEY (key, author)) "
        "STRICT, WITHOUT ROWID",
        "CREATE TABLE unindexed (n INTEGER PRIMARY KEY) STRICT",
        "CREATE TABLE counts (kind TEXT PRIMARY KEY, live INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
        WORDS_SQL,
    ):
        database.conn.execute(statement)


NODE_DB: Final = Schema("node database", APPLICATION_ID, (_version_1,))
