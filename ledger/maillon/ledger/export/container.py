"""Write and read a federation export (spec/07, "The export").

    manifest                    canonical map: which federation; each file's length and hash
    founding.bin                the founding file, with its founders' signatures
    charter.blocks              frames: the charter's blocks from height 1
    chains/<coop>.blocks        frames: the coop's blocks from height 1
    heads/<node key>.heads      frames: the heads that another node holds
    evidence.bin                frames: fraud proofs
    checkpoints/<coop>.note     a signed note (C2SP tlog-checkpoint) of the chain's history

A frame is a length of four bytes, big end first, and as many bytes. Files only grow, and the
manifest is replaced last: what stands behind the lengths it names does not exist yet. So a reader
that comes while a writer appends sees the export as it was before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from maillon.ledger.export.bounds import (
    FILE_BYTES_MAX,
    FILES_MAX,
    FRAME_BYTES_MAX,
    FRAMES_MAX,
    MANIFEST_BYTES_MAX,
)
from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.errors import RemoteError
from maillon.protocol.limits import INT_MAX

KIND: Final = "maillon-ledger"
VERSION: Final = 1

MANIFEST: Final = "manifest"
FOUNDING: Final = "founding.bin"
CHARTER: Final = "charter.blocks"
EVIDENCE: Final = "evidence.bin"

_HEX: Final = "[0-9a-f]{64}"
# The only names a reader ever opens. Nothing in a manifest can lead out of its folder.
_PATH: Final = re.compile(
    rf"founding\.bin|charter\.blocks|evidence\.bin"
    rf"|chains/{_HEX}\.blocks|heads/{_HEX}\.heads|checkpoints/{_HEX}\.note"
)
_HASH_BYTES: Final = 32
_LENGTH_BYTES: Final = 4


class ExportDamaged(RemoteError):
    """The files are not a whole export; `rule` says what is wrong, `file` and `offset` where."""

    code = "export_damaged"
    sentence = "The files are not a federation export, or not a whole one."


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What the manifest says of one file: its length in bytes, its frames, its SHA-256."""

    size: int
    frames: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """List an export's files. `at` is when it was written (Unix seconds), `by` whose node did."""

    fed: bytes
    at: int
    files: Mapping[str, FileEntry]
    by: bytes = b""
    extra: Mapping[str, Value] = field(default_factory=dict[str, Value])

    def encode(self) -> bytes:
        """Return the manifest's canonical bytes."""
        listed: list[Value] = [
            [path, entry.size, entry.frames, entry.digest]
            for path, entry in sorted(self.files.items())
        ]
        known: dict[str, Value] = {
            "v": VERSION,
            "kind": KIND,
            "fed": self.fed,
            "at": self.at,
            "files": listed,
            **({"by": self.by} if self.by else {}),
        }
        return encode({**self.extra, **known}, bytes_max=MANIFEST_BYTES_MAX)

    @property
    def chains(self) -> tuple[bytes, ...]:
        """Return the ids of the coops whose chains are there."""
        return self._ids("chains/")

    @property
    def nodes(self) -> tuple[bytes, ...]:
        """Return the keys of the nodes whose heads are there."""
        return self._ids("heads/")

    @property
    def checkpoints(self) -> tuple[bytes, ...]:
        """Return the ids of the coops for whose chains there is a checkpoint."""
        return self._ids("checkpoints/")

    def _ids(self, folder: str) -> tuple[bytes, ...]:
        names = (path.removeprefix(folder) for path in self.files if path.startswith(folder))
        return tuple(sorted(bytes.fromhex(name.partition(".")[0]) for name in names))


def chain_path(coop: bytes) -> str:
    """Return the name of the file with this coop's blocks."""
    return f"chains/{coop.hex()}.blocks"


def heads_path(node: bytes) -> str:
    """Return the name of the file with the heads that the node of this key holds."""
    return f"heads/{node.hex()}.heads"


def checkpoint_path(coop: bytes) -> str:
    """Return the name of the file with the checkpoint of this coop's chain."""
    return f"checkpoints/{coop.hex()}.note"


def path_ok(path: str) -> bool:
    """Say whether a manifest may list a file of this name."""
    return _PATH.fullmatch(path) is not None


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest. Raises: ExportDamaged with the `rule` that is broken, Malformed."""
    value = decode(data, bytes_max=MANIFEST_BYTES_MAX)
    if type(value) is not dict:
        raise ExportDamaged(rule="manifest", file=MANIFEST)
    fields = value
    if fields.get("kind") != KIND:
        raise ExportDamaged(rule="kind", file=MANIFEST)
    if fields.get("v") != VERSION:
        raise ExportDamaged("The export is of a version not known here.", rule="version")
    fed, at, files, by = (fields.get(name) for name in ("fed", "at", "files", "by"))
    if type(fed) is not bytes or len(fed) != _HASH_BYTES:
        raise ExportDamaged(rule="fed", file=MANIFEST)
    if type(at) is not int or not 0 <= at <= INT_MAX:
        raise ExportDamaged(rule="at", file=MANIFEST)
    if by is None:
        by = b""
    elif type(by) is not bytes or len(by) != _HASH_BYTES:
        raise ExportDamaged(rule="by", file=MANIFEST)
    if type(files) is not list or len(files) > FILES_MAX:
        raise ExportDamaged(rule="files", file=MANIFEST)
    known = {"v", "kind", "fed", "at", "files", "by"}
    extra = {name: field for name, field in fields.items() if name not in known}
    return Manifest(fed, at, _entries(files), by, extra)


def _entries(listed: list[Value]) -> dict[str, FileEntry]:
    files: dict[str, FileEntry] = {}
    for item in listed:
        match cast(Any, item):
            case [str(path), int(size), int(frames), bytes(digest)] if (
                type(size) is int
                and type(frames) is int
                and 0 <= size <= FILE_BYTES_MAX
                and 0 <= frames <= FRAMES_MAX
                and len(digest) == _HASH_BYTES
                and path_ok(path)
            ):
                if path in files:
                    raise ExportDamaged(rule="file_twice", file=path)
                if files and path < next(reversed(files)):
                    raise ExportDamaged(rule="file_order", file=path)
                files[path] = FileEntry(size, frames, digest)
            case _:
                raise ExportDamaged(rule="file_entry", file=MANIFEST)
    if FOUNDING not in files:
        raise ExportDamaged(rule="founding_missing", file=FOUNDING)
    return files


def frame(data: bytes) -> bytes:
    """Return `data` with its length before it. Raises: ValueError beyond FRAME_BYTES_MAX."""
    if len(data) > FRAME_BYTES_MAX:
        raise ValueError("the frame is too long")
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def frames(chunks: Iterable[bytes], *, file: str) -> Iterator[tuple[int, bytes]]:
    """Cut a stream of bytes into frames; yield where each begins, and its bytes.

    `file` names the stream in errors. Holds one frame and one chunk at a time.
    Raises: ExportDamaged at a frame that is too long or cut off; those before it were yielded.
    """
    held = bytearray()
    start = 0  # where `held` begins in the stream
    for chunk in chunks:
        held += chunk
        place = 0
        while len(held) - place >= _LENGTH_BYTES:
            length = int.from_bytes(held[place : place + _LENGTH_BYTES], "big")
            if length > FRAME_BYTES_MAX:
                raise ExportDamaged(rule="frame_length", file=file, offset=start + place)
            end = place + _LENGTH_BYTES + length
            if end > len(held):
                break
            yield start + place, bytes(held[place + _LENGTH_BYTES : end])
            place = end
        del held[:place]
        start += place
    if held:
        raise ExportDamaged(
            "The file ends in the middle of a block.", rule="cut", file=file, offset=start
        )


def encode_head(header: bytes, certificate: bytes) -> bytes:
    """Return what stands in a frame of heads: what one node holds as the head of one chain."""
    return encode([header, certificate])


def decode_head(data: bytes) -> tuple[bytes, bytes]:
    """Return header and certificate of one frame of heads. Raises: ExportDamaged, Malformed."""
    match cast(Any, decode(data, bytes_max=len(data))):
        case [bytes(header), bytes(certificate)]:
            return header, certificate
        case _:
            raise ExportDamaged(rule="head")
