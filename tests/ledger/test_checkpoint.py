"""Checkpoints are C2SP signed notes: ours are read as such, and strangers' notes are held to it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.ledger.checkpoint import (
    COSIGNATURE_TYPE,
    NOTE_BYTES_MAX,
    NOTE_TYPE,
    BadNote,
    Checkpoint,
    Note,
    NoteSignature,
    UntrustedNote,
    cosign,
    cosigned_bytes,
    decode_checkpoint,
    decode_note,
    key_id,
    open_checkpoint,
    origin,
    raw_signer,
    sign_checkpoint,
    verifier_key,
    witness_name,
)
from maillon.protocol.keys import SigningKey, signature_ok, signing_bytes

FED, CHAIN = b"\xfe" * 32, b"\xc0" * 32
WRITER = SigningKey.from_seed(b"w" * 32)
WITNESSES = [SigningKey.from_seed(bytes([i]) * 32) for i in range(4)]

# From the published text of tlog-cosignature, whose keys are not published with it.
PUBLISHED = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\N{EM DASH} example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\N{EM DASH} witness.example.com/w1 \
jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZ\
qhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""


def checkpoint() -> Checkpoint:
    return Checkpoint.of(FED, CHAIN, 42, b"\x17" * 32)


def signed(count: int = 4) -> Note:
    note = sign_checkpoint(checkpoint(), WRITER.public, raw_signer(WRITER))
    for number, key in enumerate(WITNESSES[:count]):
        note = cosign(note, key.public, raw_signer(key), 1_700_000_000 + number)
    return note


def opened(note: Note, quorum: int = 3) -> object:
    return open_checkpoint(
        note,
        origin(FED, CHAIN),
        logs=[WRITER.public],
        witnesses=[key.public for key in WITNESSES],
        quorum=quorum,
    )


def test_a_note_of_another_tool_and_its_key_verify() -> None:
    # The example of the signed-note specification, and that of Go's package, each with its key.
    for vkey, text, line in (
        (
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "This is an example message.\n",
            "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1"
            "Yu72IneyaQM=",
        ),
        (
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "If you think cryptography is the answer to your problem,\n"
            "then you don't know what your problem is.\n",
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6K"
            "E6RyyBwJnAM=",
        ),
    ):
        name, _, coded = vkey.split("+", 2)
        public = base64.b64decode(coded)[1:]
        note = decode_note(f"{text}\n\N{EM DASH} {name} {line}\n".encode())
        found = note.signed_by(name, key_id(name, NOTE_TYPE, public))
        assert found is not None
        assert note.text == text
        assert signature_ok(public, text.encode(), found.signature)
        assert verifier_key(name, NOTE_TYPE, public) == vkey


def test_the_published_checkpoint_is_read_and_written_byte_for_byte() -> None:
    note = decode_note(PUBLISHED.encode())
    found = decode_checkpoint(note.text)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert found.text() == note.text
    assert note.encode() == PUBLISHED.encode()
    log, witness = note.signatures
    assert (log.name, witness.name) == ("example.com/behind-the-sofa", "witness.example.com/w1")
    assert len(log.signature) == 64
    assert int.from_bytes(witness.signature[:8], "big") == 1679315147
    assert cosigned_bytes(note.text, 1679315147).decode() == (
        "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )


def test_a_signed_and_cosigned_checkpoint_survives_the_way_through_bytes() -> None:
    data = signed().encode()
    found = opened(decode_note(data), 4)
    assert getattr(found, "checkpoint") == checkpoint()  # noqa: B009
    assert getattr(found, "cosigners") == {  # noqa: B009
        key.public: 1_700_000_000 + number for number, key in enumerate(WITNESSES)
    }


def test_too_few_witnesses_are_not_enough_and_strangers_do_not_count() -> None:
    note = signed(2)
    stranger = SigningKey.from_seed(b"s" * 32)
    note = cosign(note, stranger.public, raw_signer(stranger), 1_700_000_000)
    with pytest.raises(UntrustedNote) as caught:
        opened(note)
    assert caught.value.facts["got"] == 2
    assert caught.value.facts["needed"] == 3


def test_one_witness_signing_twice_counts_once() -> None:
    note = signed(2)
    again = cosign(note, WITNESSES[0].public, raw_signer(WITNESSES[0]), 1_700_000_900)
    assert len(again.signatures) == len(note.signatures)
    doubled = Note(note.text, (*note.signatures, note.signatures[1]))
    with pytest.raises(UntrustedNote):
        opened(doubled)


def test_a_checkpoint_without_the_writer_is_not_the_logs() -> None:
    note = signed()
    with pytest.raises(UntrustedNote) as caught:
        opened(Note(note.text, note.signatures[1:]))
    assert caught.value.facts["rule"] == "log"


@pytest.mark.parametrize("line", [0, 2])
def test_one_bad_signature_of_a_known_key_spoils_the_note(line: int) -> None:
    note = signed()
    bad = bytearray(note.signatures[line].signature)
    bad[-40] ^= 1
    lines = list(note.signatures)
    lines[line] = NoteSignature(lines[line].name, lines[line].key_id, bytes(bad))
    with pytest.raises(UntrustedNote) as caught:
        opened(Note(note.text, tuple(lines)))
    assert caught.value.facts["rule"] == "signature"


def test_a_changed_time_of_a_cosignature_is_noticed() -> None:
    note = signed()
    line = note.signatures[1]
    moved = (1_800_000_000).to_bytes(8, "big") + line.signature[8:]
    lines = (note.signatures[0], NoteSignature(line.name, line.key_id, moved))
    with pytest.raises(UntrustedNote):
        opened(Note(note.text, lines), 1)


def test_the_checkpoint_of_another_chain_or_federation_is_refused() -> None:
    for fed, chain in ((FED, b"\xc1" * 32), (b"\xfd" * 32, CHAIN)):
        other = sign_checkpoint(
            Checkpoint.of(fed, chain, 42, bytes(32)), WRITER.public, raw_signer(WRITER)
        )
        with pytest.raises(UntrustedNote) as caught:
            opened(other, 0)
        assert caught.value.facts["rule"] == "origin"


def test_no_text_that_is_signed_here_can_be_a_message_of_the_protocol() -> None:
    ours = signing_bytes("commit", FED)
    for text in (checkpoint().text().encode(), cosigned_bytes(checkpoint().text(), 1)):
        assert b"\0" not in text
        assert not text.startswith(b"maillon/1/")
        assert not ours.startswith(text[:10])
    with pytest.raises(BadNote):
        # A text that would begin as our own messages do is not signed at all.
        forged = Checkpoint("maillon/1/commit", 1, bytes(32))
        sign_checkpoint(forged, WRITER.public, raw_signer(WRITER))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "parts"),
        (b"text\n", "parts"),
        (b"\n\n\xe2\x80\x94 n AAAAAAA=\n", "parts"),
        (b"text\n\n", "parts"),
        (b"text\n\n\xe2\x80\x94 n AAAAAAA=", "parts"),
        (b"text\n\n- n AAAAAAA=\n", "signature_line"),
        (b"text\n\n\xe2\x80\x94 n\n", "signature_line"),
        (b"text\n\n\xe2\x80\x94  AAAAAAA=\n", "signature_line"),
        (b"text\n\n\xe2\x80\x94 a+b AAAAAAA=\n", "signature_line"),
        ("text\n\n\N{EM DASH} a\N{NO-BREAK SPACE}b AAAAAAA=\n".encode(), "signature_line"),
        (b"text\n\n\xe2\x80\x94 n AAAA\n", "signature_line"),
        (b"text\n\n\xe2\x80\x94 n AAAA!AA=\n", "base64"),
        (b"text\n\n\xe2\x80\x94 n AAAAAAB=\n", "base64"),
        (b"te\rxt\n\n\xe2\x80\x94 n AAAAAAA=\n", "control"),
        (b"te\x00xt\n\n\xe2\x80\x94 n AAAAAAA=\n", "control"),
        (b"te\xffxt\n\n\xe2\x80\x94 n AAAAAAA=\n", "utf8"),
        (b"x" * (NOTE_BYTES_MAX + 1), "length"),
        (b"text\n\n" + b"\xe2\x80\x94 n AAAAAAA=\n" * 321, "signatures"),
    ],
)
def test_bytes_that_are_no_note_are_refused_by_the_rule_they_break(data: bytes, rule: str) -> None:
    with pytest.raises(BadNote) as caught:
        decode_note(data)
    assert caught.value.facts["rule"] == rule


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (f"\n1\n{ROOT}\n", "origin"),
        (f"o\n01\n{ROOT}\n", "tree_size"),
        (f"o\n-1\n{ROOT}\n", "tree_size"),
        (f"o\n9007199254740992\n{ROOT}\n", "tree_size"),
        ("o\n1\nAAAA\n", "root_hash"),
        (f"o\n1\n{ROOT}", "checkpoint_lines"),
        (f"o\n1\n{ROOT}\nmore\n", "checkpoint_lines"),
    ],
)
def test_each_line_of_a_checkpoint_is_held_to_its_form(text: str, rule: str) -> None:
    with pytest.raises(BadNote) as caught:
        decode_checkpoint(text)
    assert caught.value.facts["rule"] == rule


@given(st.binary(max_size=120))
def test_any_bytes_are_a_note_or_refused(data: bytes) -> None:
    try:
        note = decode_note(data)
    except BadNote:
        return
    assert note.encode() == data


def test_key_names_and_types_tell_keys_apart() -> None:
    public = WITNESSES[0].public
    ids = {
        key_id(name, kind, public)
        for name in (witness_name(public), origin(FED, CHAIN))
        for kind in (NOTE_TYPE, COSIGNATURE_TYPE)
    }
    assert len(ids) == 4
