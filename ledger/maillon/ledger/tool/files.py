"""Keep a federation export on a disk (spec/07, "The export")."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Protocol

from maillon.ledger.export.bounds import (
    CHECKPOINT_BYTES_MAX,
    CHUNK_BYTES,
    EVIDENCE_MAX,
    HEADS_MAX,
    MANIFEST_BYTES_MAX,
)
from maillon.ledger.export.container import (
    CHARTER,
    EVIDENCE,
    FOUNDING,
    MANIFEST,
    ExportDamaged,
    FileEntry,
    Manifest,
    chain_path,
    checkpoint_path,
    decode_manifest,
    encode_head,
    frame,
    frames,
    heads_path,
)
from maillon.protocol.errors import LocalError
from maillon.protocol.limits import FOUNDING_FILE_BYTES_MAX


class ExportReader:
    """Read a stranger's export: nothing but what its manifest lists, and only that much of it."""

    def __init__(self, folder: Path) -> None:
        """Open the export in `folder`. Raises: ExportDamaged, Malformed, OSError."""
        self.folder = folder
        self.manifest = decode_manifest(_read(folder / MANIFEST, MANIFEST_BYTES_MAX))

    @property
    def fed(self) -> bytes:
        """Return the id of the federation that the manifest names."""
        return self.manifest.fed

    def founding(self) -> bytes:
        """Return the founding file's bytes."""
        return self.whole(FOUNDING, FOUNDING_FILE_BYTES_MAX)

    def checkpoint(self, coop: bytes) -> bytes:
        """Return the signed note of this coop's chain."""
        return self.whole(checkpoint_path(coop), CHECKPOINT_BYTES_MAX)

    def whole(self, path: str, bytes_max: int) -> bytes:
        """Return a listed file's bytes, as far as the manifest counts them."""
        entry = self.manifest.files[path]
        if entry.size > bytes_max:
            raise ExportDamaged(rule="file_length", file=path)
        return b"".join(self.chunks(path))

    def frames(self, path: str, *, offset: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield where each frame of a listed file begins, and its bytes, from `offset` on."""
        cut = frames(self.chunks(path, offset=offset), file=path)
        return ((offset + place, data) for place, data in cut)

    def heads(self, node: bytes) -> Iterator[bytes]:
        """Yield the frames of one node's heads, as many as there can be chains."""
        return self._bounded(heads_path(node), HEADS_MAX)

    def evidence(self) -> Iterator[bytes]:
        """Yield the fraud proofs."""
        if EVIDENCE in self.manifest.files:
            yield from self._bounded(EVIDENCE, EVIDENCE_MAX)

    def _bounded(self, path: str, count_max: int) -> Iterator[bytes]:
        for number, (offset, data) in enumerate(self.frames(path)):
            if number == count_max:
                raise ExportDamaged(rule="frame_count", file=path, offset=offset)
            yield data

    def chunks(self, path: str, *, offset: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a listed file from `offset` to `end` (None: what the manifest says).

        Raises: ExportDamaged when the file is shorter than that.
        """
        left = (self.manifest.files[path].size if end is None else end) - offset
        with open(self.folder / path, "rb") as file:
            file.seek(offset)
            while left > 0:
                data = file.read(min(CHUNK_BYTES, left))
                if not data:
                    raise ExportDamaged(
                        "The file is shorter than the manifest says.",
                        rule="cut",
                        file=path,
                        missing=left,
                    )
                left -= len(data)
                yield data

    def digest(self, path: str, *, end: int | None = None) -> bytes:
        """Return the SHA-256 of a listed file's first `end` bytes (None: all that count)."""
        digest = hashlib.sha256()
        for chunk in self.chunks(path, end=end):
            digest.update(chunk)
        return digest.digest()


def _read(path: Path, bytes_max: int) -> bytes:
    with open(path, "rb") as file:
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise ExportDamaged(rule="file_length", file=path.name)
    return data


class _Digest(Protocol):
    """What is hashed of a file so far: many appendings read it once."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...

    def copy(self) -> _Digest: ...


def _digest_of(path: Path) -> _Digest:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest


class ExportWriter:
    """Write an export, or carry one on. Nothing counts before `commit`.

    Blocks are given as the bytes of whole blocks, certificate included, in the order of heights.
    """

    def __init__(self, folder: Path, fed: bytes) -> None:
        """Open or make `folder`. Raises: LocalError when another federation's export is in it."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._fed = fed
        self._files: dict[str, FileEntry] = {}
        self._digests: dict[str, _Digest] = {}
        try:
            found = decode_manifest(_read(folder / MANIFEST, MANIFEST_BYTES_MAX))
        except FileNotFoundError:
            # A name that is taken by something else is the user's mistake, not ours to overwrite.
            if any(folder.iterdir()):
                raise LocalError(
                    f"{folder} is not empty, and is not a federation export.",
                    hint="Name a new directory.",
                ) from None
        else:
            if found.fed != fed:
                raise LocalError(f"{folder} holds the export of another federation.")
            self._files = dict(found.files)

    def height(self, coop: bytes | None) -> int:
        """Return how many blocks of this coop's chain (None: the charter's) are there already."""
        entry = self._files.get(CHARTER if coop is None else chain_path(coop))
        return entry.frames if entry else 0

    def founding(self, data: bytes) -> None:
        """Put the founding file."""
        self._replace(FOUNDING, [data], 0)

    def append(self, coop: bytes | None, blocks: Iterable[bytes]) -> int:
        """Add blocks at the end of a chain (None: the charter's); return how many."""
        path = CHARTER if coop is None else chain_path(coop)
        old = self._files.get(path, FileEntry(0, 0, hashlib.sha256(b"").digest()))
        target = self.folder / path
        target.parent.mkdir(exist_ok=True)
        count = 0
        with open(target, "ab") as file:
            # Behind the length that counts stands at most what an interrupted writer left.
            file.truncate(old.size)
            known = self._digests.get(path)
            # A copy: what breaks off in the middle does not count.
            digest = _digest_of(target) if known is None else known.copy()
            for block in blocks:
                data = frame(block)
                file.write(data)
                digest.update(data)
                count += 1
            _flush(file)
            size = file.tell()
        self._digests[path] = digest
        if count or not old.size:
            self._files[path] = FileEntry(size, old.frames + count, digest.digest())
        return count

    def rewrite(self, coop: bytes | None, blocks: Iterable[bytes]) -> None:
        """Put a chain's blocks anew from height 1, as after entries were erased."""
        path = CHARTER if coop is None else chain_path(coop)
        self._replace_frames(path, blocks)

    def heads(self, node: bytes, heads: Iterable[tuple[bytes, bytes]]) -> None:
        """Put the heads (header and certificate) that the node of this key holds."""
        self._replace_frames(heads_path(node), (encode_head(*head) for head in heads))

    def evidence(self, proofs: Iterable[bytes]) -> None:
        """Put the fraud proofs."""
        self._replace_frames(EVIDENCE, proofs)

    def checkpoint(self, coop: bytes, note: bytes) -> None:
        """Put the signed note of this coop's chain."""
        self._replace(checkpoint_path(coop), [note], 0)

    def commit(self, at: int, by: bytes = b"") -> Manifest:
        """Let everything written count: at the time `at` (Unix seconds), by the node `by`."""
        manifest = Manifest(self._fed, at, self._files, by)
        _write_atomic(self.folder / MANIFEST, [manifest.encode()])
        return manifest

    def _replace_frames(self, path: str, parts: Iterable[bytes]) -> None:
        count = 0

        def framed() -> Iterator[bytes]:
            nonlocal count
            for part in parts:
                count += 1
                yield frame(part)

        self._digests.pop(path, None)
        size, digest = _write_atomic(self.folder / path, framed())
        self._files[path] = FileEntry(size, count, digest)

    def _replace(self, path: str, parts: Iterable[bytes], count: int) -> None:
        size, digest = _write_atomic(self.folder / path, parts)
        self._files[path] = FileEntry(size, count, digest)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _write_atomic(path: Path, parts: Iterable[bytes]) -> tuple[int, bytes]:
    """Write a file whole or not at all; return its length and its SHA-256."""
    path.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    new = path.with_name(path.name + ".new")
    with open(new, "wb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
            size += len(part)
        _flush(file)
    os.replace(new, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # The rename itself is kept only once the folder is.
        os.fsync(folder)
    finally:
        os.close(folder)
    return size, digest.digest()
