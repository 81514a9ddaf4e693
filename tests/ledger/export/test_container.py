"""A federation export is whole or refused, and a reader of a hostile one stays bounded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.ledger.export.bounds import CHUNK_BYTES, FRAME_BYTES_MAX
from maillon.ledger.export.container import (
    FOUNDING,
    MANIFEST,
    ExportDamaged,
    FileEntry,
    Manifest,
    chain_path,
    decode_head,
    decode_manifest,
    encode_head,
    frame,
    frames,
)
from maillon.ledger.tool.files import ExportReader, ExportWriter
from maillon.protocol.encoding import Encodable, encode
from maillon.protocol.errors import LocalError, MaillonError

FED = bytes(range(32))
COOP = b"\xc0" * 32
NODE = b"\x0d" * 32


def written(folder: Path, blocks: list[bytes]) -> ExportWriter:
    writer = ExportWriter(folder, FED)
    writer.founding(b"founding")
    writer.append(None, [b"charter 1"])
    writer.append(COOP, blocks)
    writer.heads(NODE, [(b"header", b"certificate")])
    writer.evidence([b"proof"])
    writer.commit(1_000, NODE)
    return writer


def blocks_of(reader: ExportReader) -> list[bytes]:
    return [data for _, data in reader.frames(chain_path(COOP))]


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    blocks = [b"", b"a" * 300, b"b" * FRAME_BYTES_MAX, b"c"]
    written(tmp_path / "export", blocks)
    reader = ExportReader(tmp_path / "export")
    assert reader.fed == FED
    assert reader.founding() == b"founding"
    assert reader.manifest.chains == (COOP,)
    assert reader.manifest.by == NODE
    assert blocks_of(reader) == blocks
    assert [decode_head(data) for data in reader.heads(NODE)] == [(b"header", b"certificate")]
    assert list(reader.evidence()) == [b"proof"]
    for path, entry in reader.manifest.files.items():
        assert reader.digest(path) == entry.digest


def test_a_second_export_writes_only_what_is_new(tmp_path: Path) -> None:
    written(tmp_path, [b"one", b"two"])
    before = (tmp_path / chain_path(COOP)).read_bytes()
    writer = ExportWriter(tmp_path, FED)
    assert writer.height(COOP) == 2
    assert writer.height(None) == 1
    assert writer.append(COOP, [b"three"]) == 1
    writer.commit(2_000)
    after = (tmp_path / chain_path(COOP)).read_bytes()
    assert after == before + frame(b"three")
    assert blocks_of(ExportReader(tmp_path)) == [b"one", b"two", b"three"]


def test_what_an_interrupted_export_left_does_not_count_and_is_cleared_away(
    tmp_path: Path,
) -> None:
    written(tmp_path, [b"one"])
    ExportWriter(tmp_path, FED).append(COOP, [b"two"])  # and then the power fails
    assert blocks_of(ExportReader(tmp_path)) == [b"one"]
    with open(tmp_path / chain_path(COOP), "ab") as file:
        file.write(b"\0\0")
    assert blocks_of(ExportReader(tmp_path)) == [b"one"]
    writer = ExportWriter(tmp_path, FED)
    writer.append(COOP, [b"other"])
    writer.commit(2_000)
    assert blocks_of(ExportReader(tmp_path)) == [b"one", b"other"]


def test_an_export_written_in_pieces_is_the_one_written_at_once(tmp_path: Path) -> None:
    blocks = [f"block {n}".encode() for n in range(7)]
    whole = ExportReader(written(tmp_path / "whole", blocks).folder)
    written(tmp_path / "parts", blocks[:2])
    writer = ExportWriter(tmp_path / "parts", FED)
    writer.append(COOP, blocks[2:4])

    def breaking_off() -> Iterator[bytes]:
        yield blocks[4]
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        writer.append(COOP, breaking_off())
    writer.append(COOP, blocks[4:])
    assert writer.commit(1_000, NODE) == whole.manifest
    reader = ExportReader(tmp_path / "parts")
    assert blocks_of(reader) == blocks
    assert reader.digest(chain_path(COOP)) == whole.manifest.files[chain_path(COOP)].digest
    # Anew, and on from there.
    writer.rewrite(COOP, ())
    writer.append(COOP, blocks[:5])
    writer.append(COOP, blocks[5:])
    assert writer.commit(1_000, NODE) == whole.manifest


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(LocalError):
        ExportWriter(tmp_path, FED)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_the_export_of_another_federation_is_not_carried_on(tmp_path: Path) -> None:
    written(tmp_path, [b"one"])
    before = (tmp_path / MANIFEST).read_bytes()
    with pytest.raises(LocalError):
        ExportWriter(tmp_path, b"\xff" * 32)
    assert (tmp_path / MANIFEST).read_bytes() == before


def test_a_file_that_was_cut_is_noticed_and_says_where(tmp_path: Path) -> None:
    written(tmp_path, [b"one", b"two"])
    path = tmp_path / chain_path(COOP)
    path.write_bytes(path.read_bytes()[:-1])
    seen: list[bytes] = []
    with pytest.raises(ExportDamaged) as caught:
        for _, data in ExportReader(tmp_path).frames(chain_path(COOP)):
            seen.append(data)
    assert caught.value.rule == "cut"
    assert seen == [b"one"]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "chains/../founding.bin",
        "chains/" + "g" * 64 + ".blocks",
        "chains/" + "a" * 64 + ".blocks\n",
        "manifest",
        "",
    ],
)
def test_a_manifest_cannot_name_a_file_outside_the_export(name: str) -> None:
    files = {FOUNDING: FileEntry(0, 0, bytes(32)), name: FileEntry(0, 0, bytes(32))}
    with pytest.raises(ExportDamaged) as caught:
        decode_manifest(Manifest(FED, 0, files).encode())
    assert caught.value.rule == "file_entry"


GOOD: dict[str, Encodable] = {
    "v": 1,
    "kind": "maillon-ledger",
    "fed": FED,
    "at": 7,
    "files": [[FOUNDING, 1, 0, bytes(32)]],
}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"kind": "other"}, "kind"),
        ({"v": 2}, "version"),
        ({"fed": b"short"}, "fed"),
        ({"at": -1}, "at"),
        ({"at": True}, "at"),
        ({"by": b"short"}, "by"),
        ({"files": {}}, "files"),
        ({"files": []}, "founding_missing"),
        ({"files": [[FOUNDING, -1, 0, bytes(32)]]}, "file_entry"),
        ({"files": [[FOUNDING, 2**41, 0, bytes(32)]]}, "file_entry"),
        ({"files": [[FOUNDING, True, 0, bytes(32)]]}, "file_entry"),
        ({"files": [[FOUNDING, 1, 0, b"short"]]}, "file_entry"),
        ({"files": [[FOUNDING, 1, 0, bytes(32)]] * 2}, "file_twice"),
        (
            {"files": [[FOUNDING, 1, 0, bytes(32)], ["evidence.bin", 1, 0, bytes(32)]]},
            "file_order",
        ),
    ],
)
def test_each_part_of_a_manifest_is_held_to_its_form(
    change: dict[str, Encodable], rule: str
) -> None:
    fields = {**GOOD, **change}
    with pytest.raises(ExportDamaged) as caught:
        decode_manifest(encode(fields))
    assert caught.value.rule == rule


def test_a_manifest_of_a_later_minor_version_keeps_what_it_adds() -> None:
    data = encode({**GOOD, "title": "autumn"})
    manifest = decode_manifest(data)
    assert manifest.extra == {"title": "autumn"}
    assert manifest.encode() == data


def test_a_frame_that_claims_to_be_huge_is_refused_before_it_is_read() -> None:
    def endless() -> Iterator[bytes]:
        yield (FRAME_BYTES_MAX + 1).to_bytes(4, "big")
        raise AssertionError("the reader asked for more")

    with pytest.raises(ExportDamaged) as caught:
        list(frames(endless(), file="x"))
    assert caught.value.rule == "frame_length"


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 30))
def test_frames_do_not_depend_on_how_the_stream_is_cut(parts: list[bytes], size: int) -> None:
    stream = b"".join(frame(part) for part in parts)
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    found = list(frames(chunks, file="x"))
    assert [data for _, data in found] == parts
    for place, data in found:
        assert stream[place:].startswith(frame(data))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_refused(data: bytes) -> None:
    try:
        manifest = decode_manifest(data)
    except MaillonError:
        return
    assert manifest.encode() == data


def test_damaged_manifests_are_refused_or_read_never_a_crash() -> None:
    rng = random.Random(7)
    good = encode(GOOD)
    for _ in range(3_000):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            decode_manifest(bytes(data))
        except MaillonError:
            pass


def test_a_long_file_is_read_in_pieces(tmp_path: Path) -> None:
    block = bytes(200_000)
    written(tmp_path, [block] * 12)
    reader = ExportReader(tmp_path)
    assert max(len(chunk) for chunk in reader.chunks(chain_path(COOP))) <= CHUNK_BYTES
    assert blocks_of(reader) == [block] * 12


def test_heads_are_two_byte_strings() -> None:
    assert decode_head(encode_head(b"h", b"c")) == (b"h", b"c")
    bads: list[Encodable] = [[b"h"], [b"h", "c"], {"h": b"c"}]
    for bad in bads:
        with pytest.raises(ExportDamaged):
            decode_head(encode(bad))
