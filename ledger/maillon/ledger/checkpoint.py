"""Sign how far a chain has come, in the form that other transparency logs use (spec/07).

    maillon-ledger/<fed>/<chain>            origin: whose log this is
    4182                                    tree size: the blocks 0 to 4181
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    root of the chain's history tree

    — maillon-ledger/<fed>/<chain> base64   the coop's writer key: an Ed25519 note signature
    — maillon-witness/<key> base64          a witness: cosignature/v1, with the time it signed

The form is C2SP's tlog-checkpoint over signed-note and tlog-cosignature, unchanged, so that tools
and witnesses made for other logs read it. Its signatures do not carry our prefix of purposes. They
cannot be taken for one that does: what is signed begins with "maillon-ledger/" or "cosignature/v1",
where ours begins with "maillon/1/", and a note holds no zero byte, where ours ends its purpose.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from maillon.ledger.errors import LedgerError
from maillon.ledger.limits import HASH_BYTES
from maillon.ledger.signing import Verify, inline_verify
from maillon.protocol.keys import SigningKey
from maillon.protocol.limits import INT_MAX

NOTE_BYTES_MAX: Final = 65_536
"""A note with 300 cosignatures of at most 200 bytes each."""

SIGNATURES_MAX: Final = 320
"""Signature lines of a note: one a witness, the log's, and some of keys that were replaced."""

NOTE_TYPE: Final = 1
"""Signature type of an Ed25519 signature over the note's text (C2SP signed-note)."""

COSIGNATURE_TYPE: Final = 4
"""Signature type of a timestamped Ed25519 cosignature (C2SP tlog-cosignature)."""

_LOG: Final = "maillon-ledger/"
_WITNESS: Final = "maillon-witness/"
_DASH: Final = "\N{EM DASH} "
_SIGNATURE_BYTES: Final = 64
_TIME_BYTES: Final = 8
_KEY_ID_BYTES: Final = 4
_SIZE: Final = re.compile("0|[1-9][0-9]{0,15}")
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")


class BadNote(LedgerError):
    """The bytes are not a signed note, or not a checkpoint; `rule` says why."""

    code = "note"
    sentence = "This is not a checkpoint."


class UntrustedNote(LedgerError):
    """The keys that count have not signed it. Facts: rule, name, got, needed."""

    code = "note_untrusted"
    sentence = "The checkpoint is not signed by the keys that count."


Sign = Callable[[bytes], bytes]
"""Sign bytes as they are with an Ed25519 key (64 bytes)."""


def raw_signer(key: SigningKey) -> Sign:
    """Return what signs bytes without the prefix of a purpose. For notes and nothing else."""
    return Ed25519PrivateKey.from_private_bytes(key.secret_bytes()).sign


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: a key's name, the 4 bytes that tell keys of a name apart, the rest."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and who signed it."""

    text: str
    signatures: tuple[NoteSignature, ...] = ()

    def encode(self) -> bytes:
        """Return the note's bytes. Raises: BadNote when text or names have no such form."""
        lines = [
            f"{_DASH}{line.name} {_base64(line.key_id + line.signature)}\n"
            for line in self.signatures
        ]
        data = (self.text + "\n" + "".join(lines)).encode()
        if decode_note(data) != self:
            raise BadNote(rule="form")
        return data

    def signed_by(self, name: str, key_id: bytes) -> NoteSignature | None:
        """Return the first line of this key, or None."""
        for line in self.signatures:
            if line.name == name and line.key_id == key_id:
                return line
        return None


def decode_note(data: bytes) -> Note:
    """Read a signed note (C2SP signed-note). Nothing in it counts yet. Raises: BadNote."""
    if len(data) > NOTE_BYTES_MAX:
        raise BadNote(rule="length", got=len(data), limit=NOTE_BYTES_MAX)
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadNote(rule="utf8") from None
    if _CONTROL.search(whole):
        raise BadNote(rule="control")
    # The last blank line parts text and signatures; a text may have blank lines of its own.
    text, blank, tail = whole.rpartition("\n\n")
    if not blank or not tail.endswith("\n") or not text:
        raise BadNote(rule="parts")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise BadNote(rule="signatures", got=len(lines), limit=SIGNATURES_MAX)
    return Note(text + "\n", tuple(_signature_line(line) for line in lines))


def _signature_line(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not _name_ok(name):
        raise BadNote(rule="signature_line")
    signature = _from_base64(encoded)
    if len(signature) <= _KEY_ID_BYTES:
        raise BadNote(rule="signature_line")
    return NoteSignature(name, signature[:_KEY_ID_BYTES], signature[_KEY_ID_BYTES:])


def _name_ok(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote(rule="base64") from None
    if _base64(data) != text:
        # Bits behind the end that say nothing: a second way to write the same bytes.
        raise BadNote(rule="base64")
    return data


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """Return the 4 bytes that name a key in a note: SHA-256(name || LF || type || key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((kind,)) + public).digest()[:_KEY_ID_BYTES]


def verifier_key(name: str, kind: int, public: bytes) -> str:
    """Return the text by which other tools are told of a key (C2SP "vkey")."""
    return f"{name}+{key_id(name, kind, public).hex()}+{_base64(bytes((kind,)) + public)}"


def origin(fed: bytes, chain: bytes) -> str:
    """Return the origin line of a chain's checkpoints, which is the log's key name too."""
    return f"{_LOG}{fed.hex()}/{chain.hex()}"


def witness_name(public: bytes) -> str:
    """Return the key name of a witness."""
    return _WITNESS + public.hex()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The root over the first `size` blocks of a chain, the virtual block 0 among them.

    It is the `history_root` that the header of height `size` will carry.
    """

    origin: str
    size: int
    root: bytes

    @classmethod
    def of(cls, fed: bytes, chain: bytes, size: int, root: bytes) -> Checkpoint:
        """Return the checkpoint of a chain of this federation."""
        return cls(origin(fed, chain), size, root)

    def text(self) -> str:
        """Return the note's text: three lines."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


def decode_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text. Extension lines, which we never write, are refused.

    Raises: BadNote. C2SP allows extension lines and asks nobody to trust them.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise BadNote(rule="checkpoint_lines", got=len(lines) - 1)
    name, size, root = lines[:3]
    if not name:
        raise BadNote(rule="origin")
    if not _SIZE.fullmatch(size) or int(size) > INT_MAX:
        raise BadNote(rule="tree_size")
    found = _from_base64(root)
    if len(found) != HASH_BYTES:
        raise BadNote(rule="root_hash")
    return Checkpoint(name, int(size), found)


def sign_checkpoint(checkpoint: Checkpoint, public: bytes, sign: Sign) -> Note:
    """Return the note that a chain's writer signs.

    A writer signs certified history only: two of its checkpoints are then always consistent.
    """
    if not checkpoint.origin.startswith(_LOG):
        # The one thing that keeps a note from being the bytes of another purpose.
        raise BadNote(rule="origin")
    text = checkpoint.text()
    identity = key_id(checkpoint.origin, NOTE_TYPE, public)
    return Note(text, (NoteSignature(checkpoint.origin, identity, sign(text.encode())),))


def cosign(note: Note, public: bytes, sign: Sign, at: int) -> Note:
    """Add a witness's cosignature of the time `at` (Unix seconds).

    By it the witness says that this was the greatest tree of the origin that it had seen, and that
    it had verified that the tree only grew. Replaces an earlier one of the same key.
    """
    name = witness_name(public)
    identity = key_id(name, COSIGNATURE_TYPE, public)
    kept = tuple(line for line in note.signatures if (line.name, line.key_id) != (name, identity))
    signature = at.to_bytes(_TIME_BYTES, "big") + sign(cosigned_bytes(note.text, at))
    return replace(note, signatures=(*kept, NoteSignature(name, identity, signature)))


def cosigned_bytes(text: str, at: int) -> bytes:
    """Return what a cosigner signs: two lines, then the whole text."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint whose signatures count: `logs` are writers' keys, `cosigners` key -> time."""

    checkpoint: Checkpoint
    logs: tuple[bytes, ...]
    cosigners: Mapping[bytes, int]


def open_checkpoint(
    note: Note,
    expected_origin: str,
    *,
    logs: Iterable[bytes],
    witnesses: Iterable[bytes],
    quorum: int,
    verify: Verify = inline_verify,
) -> Signed:
    """Return the checkpoint when one of `logs` and `quorum` of `witnesses` have signed it.

    Lines of other keys are passed over. A line of one of these keys that does not verify makes the
    whole note worthless, as C2SP advises: somebody tampered with it.
    Raises: BadNote, UntrustedNote.
    """
    checkpoint = decode_checkpoint(note.text)
    if checkpoint.origin != expected_origin:
        raise UntrustedNote("The checkpoint is of another chain.", rule="origin")
    text = note.text.encode()
    checks: list[tuple[bytes, bytes, bytes]] = []
    signers: list[tuple[bytes, int | None]] = []
    for public in logs:
        line = note.signed_by(expected_origin, key_id(expected_origin, NOTE_TYPE, public))
        if line is not None:
            checks.append((public, text, line.signature))
            signers.append((public, None))
    for public in witnesses:
        name = witness_name(public)
        line = note.signed_by(name, key_id(name, COSIGNATURE_TYPE, public))
        if line is None:
            continue
        if len(line.signature) != _TIME_BYTES + _SIGNATURE_BYTES:
            raise UntrustedNote(rule="signature", name=name)
        at = int.from_bytes(line.signature[:_TIME_BYTES], "big")
        if at > INT_MAX:
            raise UntrustedNote(rule="timestamp", name=name)
        message = cosigned_bytes(note.text, at)
        checks.append((public, message, line.signature[_TIME_BYTES:]))
        signers.append((public, at))
    for (public, _, _), good in zip(checks, verify(checks), strict=True):
        if not good:
            raise UntrustedNote(
                "A signature on the checkpoint is not valid.", rule="signature", key=public
            )
    found_logs = tuple(public for public, at in signers if at is None)
    cosigners = {public: at for public, at in signers if at is not None}
    if not found_logs:
        raise UntrustedNote(rule="log")
    if len(cosigners) < quorum:
        raise UntrustedNote(rule="quorum", got=len(cosigners), needed=quorum)
    return Signed(checkpoint, found_logs, cosigners)
