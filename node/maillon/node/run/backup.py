"""Copy a node into a directory: consistent, whole or not at all, while it runs."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from maillon.node import clock
from maillon.node.home import AlreadyExists, Home, write_atomic
from maillon.node.i18n import _
from maillon.node.matching.storage import FILE as MATCHING_FILE
from maillon.node.persons.storage import FILE as PERSONS_FILE
from maillon.node.store.database import (
    StoreDamaged,
    faults_in_words,
    open_reader,
    require_whole,
    translated,
)
from maillon.node.store.lettersdisk import mark_copy

if TYPE_CHECKING:
    import sqlite3

# auctions.json: of an older version, until the node was started once with this one.
SMALL_FILES = ("config.toml", "founding.bin", "profile.bin", "coop.id", "auctions.json")
KEY_FILES = ("root.key", "sealing.key", "node.key", "writer.key")
CACHE_KIB = 1_024


def write_backup(home: Home, target: Path, *, records: bool) -> dict[str, Any]:
    """Write a backup and return its directory, files and size.

    The password is not in it: keep the backup and the password in different places. Neither are
    the votes of this node's witness and its key: brought back later they would contradict what was
    promised since. A restored node gets a new witness key through the charter. Raises:
    AlreadyExists when the target is not empty; what writing can raise.
    """
    if target.exists() and any(target.iterdir()):
        raise AlreadyExists(
            _("{path} is not empty; nothing was written.").format(path=target),
            hint=_("Name a new directory, for example one with today's date."),
        )
    # Under another name until it is whole: half a backup must not look like one.
    partial = target.with_name(f".{target.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(mode=0o700, parents=True)
    try:
        files: list[str] = []
        for name in SMALL_FILES:
            files += _copy(home.path / name, partial / name)
        (partial / "keys").mkdir(mode=0o700)
        for name in KEY_FILES:
            files += [f"keys/{found}" for found in _copy(home.keys / name, partial / "keys" / name)]
        databases = [home.private, home.ledger, home.access, home.exchanges]
        databases += [home.path / PERSONS_FILE, home.path / MATCHING_FILE]
        databases += [home.database] if records else []
        for path in databases:
            if path.exists():
                # What can be fetched again is not worth the minutes that a whole reading takes.
                _copy_database(path, partial / path.name, examine=path != home.database)
                files.append(path.name)
        if home.letters.exists():
            _copy_database(home.letters, partial / home.letters.name, examine=True)
            # Whoever starts from the copy gives no number a second time, and asks for what came
            # after it.
            mark_copy(partial / home.letters.name, clock.now())
            files.append(home.letters.name)
        size = sum((partial / name).stat().st_size for name in files)
        with contextlib.suppress(FileNotFoundError):
            target.rmdir()
        os.rename(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return {"directory": str(target), "files": sorted(files), "bytes": size}


def _copy(source: Path, target: Path) -> list[str]:
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        return []
    write_atomic(target, data, mode=0o600)
    return [target.name]


def _copy_database(source: Path, target: Path, *, examine: bool) -> None:
    """Copy a database with VACUUM INTO: one read transaction, whatever is written meanwhile.

    Raises: StoreDamaged, which names the source, also with `examine` for damage that the copy
    would hide.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = open_reader(source, cache_kib=CACHE_KIB)
    try:
        if examine:
            require_whole(connection, source)
        try:
            with faults_in_words(target):
                connection.execute("PRAGMA query_only = OFF")
                connection.execute("VACUUM INTO ?", (str(target),))
        except StoreDamaged as fault:
            # The copy was new a moment ago: what is damaged is what was read.
            raise translated(cast("sqlite3.Error", fault.__cause__), source) from fault
    finally:
        connection.close()
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
