"""Terms, committees, and what a quorum of witnesses has signed (spec/06-blocks.md, "Certificates").

n witnesses of whom f = floor((n - 1) / 3) may lie, and a quorum q = ceil((n + f + 1) / 2): two
quorums share at least 2q - n >= f + 1 witnesses, one of them honest, and an honest one votes once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from maillon.ledger import _read as read
from maillon.ledger import signing
from maillon.ledger.errors import BadCertificate, BadCommittee, NoQuorum
from maillon.ledger.limits import (
    APPROVALS_MAX,
    CERTIFICATE_BYTES_MAX,
    COUNTER_MAX,
    HASH_BYTES,
    HEIGHT_MAX,
    NONCE_BYTES,
    PROOF_BYTES_MAX,
    VOTE_QC_BYTES_MAX,
)
from maillon.ledger.signing import Check, Verify
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable
from maillon.protocol.ids import KEY_BYTES, SIGNATURE_BYTES
from maillon.protocol.limits import WITNESSES_MAX


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """A writer's time of office on a chain: `nonce` (16) is fresh at each start of its process.

    Ordered by counter, then nonce, then key, each as its bytes.
    """

    counter: int
    nonce: bytes
    key: bytes

    def array(self) -> list[Encodable]:
        """Return the term as it is encoded."""
        return [self.counter, self.nonce, self.key]


ZERO_TERM: Final = Term(0, bytes(NONCE_BYTES), bytes(KEY_BYTES))
"""Below every term that a writer opens: those count from 1."""

LEAST_TERM: Final = Term(1, bytes(NONCE_BYTES), bytes(KEY_BYTES))
"""The least term that a message carries; a refusal names it where nothing was promised."""


def term_from(value: Any) -> Term:
    """Read a term out of a decoded array; its counter is at least 1."""
    parts = read.items(value, "term", 3, 3)
    return Term(
        read.number(parts[0], "term", 1, COUNTER_MAX),
        read.fixed(parts[1], NONCE_BYTES, "term"),
        read.fixed(parts[2], KEY_BYTES, "term"),
    )


def faults(n: int) -> int:
    """Return how many of n witnesses may lie with the usual quorum: floor((n - 1) / 3)."""
    return (n - 1) // 3


def default_quorum(n: int) -> int:
    """Return ceil((n + f + 1) / 2): 1 of 1, 2 of 2, 2 of 3, 3 of 4, 4 of 5, 5 of 7, 7 of 10."""
    return (n + faults(n) + 2) // 2


@dataclass(frozen=True, slots=True)
class Committee:
    """The witnesses of one charter height, in charter order, and the quorum.

    Raises: BadCommittee unless the keys are 1 to 64, distinct, and n < 2q <= 2n: two quorums that
    share nobody could certify two blocks at one height.
    """

    keys: tuple[bytes, ...]
    quorum: int
    _places: Mapping[bytes, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        n = len(self.keys)
        places = {key: place for place, key in enumerate(self.keys)}
        if not 1 <= n <= WITNESSES_MAX or len(places) != n:
            raise BadCommittee("A committee has 1 to 64 different witnesses.", n=n)
        if not n < 2 * self.quorum <= 2 * n:
            raise BadCommittee(n=n, quorum=self.quorum)
        object.__setattr__(self, "_places", places)

    @classmethod
    def of(cls, keys: Sequence[bytes], quorum: int = 0) -> Committee:
        """Return the committee of these keys; quorum 0 stands for the usual one."""
        return cls(tuple(keys), quorum or default_quorum(len(keys)))

    @property
    def n(self) -> int:
        """Return the number of witnesses."""
        return len(self.keys)

    @property
    def liars_max(self) -> int:
        """Return how many may lie without two blocks certified at one height: 2q - n - 1."""
        return 2 * self.quorum - self.n - 1

    @property
    def silent_max(self) -> int:
        """Return how many may be silent without the chains coming to a halt: n - q."""
        return self.n - self.quorum

    @property
    def refusals(self) -> int:
        """Return how many refusals mean that no quorum will ever vote for it: n - q + 1."""
        return self.n - self.quorum + 1

    def place(self, key: bytes) -> int | None:
        """Return a witness's place in charter order, or None."""
        return self._places.get(key)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    @property
    def bitmap_bytes(self) -> int:
        """Return the length of a bitmap over this committee."""
        return (self.n + 7) // 8


def bitmap_places(bitmap: bytes) -> list[int]:
    """Return the places whose bit is set, ascending; bit i is bit i % 8 (from the least) of byte
    i // 8."""
    return [8 * at + bit for at, byte in enumerate(bitmap) for bit in range(8) if byte >> bit & 1]


def make_bitmap(places: Sequence[int], size: int) -> bytes:
    """Return the bitmap of some places of a committee of `size`."""
    bitmap = bytearray((size + 7) // 8)
    for place in places:
        if not 0 <= place < size:
            raise IndexError(place)
        bitmap[place // 8] |= 1 << place % 8
    return bytes(bitmap)


def vote_body(c: int, chain: bytes, h: int, term: Term, block: bytes, counter: int) -> bytes:
    """Return what a vote signs: [c, chain, h, t, H, counter]."""
    return encoding.encode([c, chain, h, term.array(), block, counter])


def commit_body(c: int, chain: bytes, h: int, term: Term, block: bytes) -> bytes:
    """Return what a commit signs: [c, chain, h, t, H]."""
    return encoding.encode([c, chain, h, term.array(), block])


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a quorum signed for block `block` (H) at height `h` of `chain`, in `term`, under
    charter `c`. `bitmap` names the signers, `signatures` are in charter order."""

    c: int
    chain: bytes
    h: int
    term: Term
    block: bytes
    bitmap: bytes
    signatures: tuple[bytes, ...]

    _WHAT: ClassVar[str] = ""

    def _messages(self, fed: bytes) -> list[bytes]:
        raise NotImplementedError

    def _array(self) -> list[Encodable]:
        return [
            self.c,
            self.chain,
            self.h,
            self.term.array(),
            self.block,
            self.bitmap,
            self.signatures,
        ]

    def signers(self, committee: Committee) -> list[bytes]:
        """Return the keys of those who signed, in charter order.

        Raises: BadCertificate when the bitmap does not fit the committee, NoQuorum when they are
        too few.
        """
        n = committee.n
        if len(self.bitmap) != committee.bitmap_bytes:
            raise BadCertificate(rule="bitmap_length", got=len(self.bitmap), n=n)
        places = bitmap_places(self.bitmap)
        if places and places[-1] >= n:
            raise BadCertificate(rule="bitmap_spare", place=places[-1], n=n)
        if len(places) != len(self.signatures):
            raise BadCertificate(rule="bitmap_count", got=len(self.signatures))
        if len(places) < committee.quorum:
            raise NoQuorum(got=len(places), needed=committee.quorum)
        return [committee.keys[place] for place in places]

    def items(self, committee: Committee, fed: bytes) -> list[Check]:
        """Return what has to be verified, one for each signer: all of them have to be valid.

        Raises: BadCertificate, NoQuorum.
        """
        signers = self.signers(committee)
        return list(zip(signers, self._messages(fed), self.signatures, strict=True))

    def verify(self, committee: Committee, fed: bytes, verify: Verify) -> None:
        """Return when it counts. Raises: BadCertificate naming the `witness`, NoQuorum.

        That it is about the block in question, and that the committee is that of `c`, is for the
        caller to compare.
        """
        checks = self.items(committee, fed)
        for (witness, _, _), good in zip(checks, verify(checks), strict=True):
            if not good:
                raise BadCertificate(rule="signature", witness=witness)


@dataclass(frozen=True, slots=True)
class Certificate(_Signed):
    """A quorum of commits: the block is final."""

    _WHAT: ClassVar[str] = "certificate"

    def _messages(self, fed: bytes) -> list[bytes]:
        body = commit_body(self.c, self.chain, self.h, self.term, self.block)
        return [signing.signed_bytes(signing.COMMIT, fed, body)] * len(self.signatures)

    def encode(self) -> bytes:
        """Return the certificate's bytes."""
        return encoding.encode(self._array(), bytes_max=CERTIFICATE_BYTES_MAX)

    @classmethod
    def gather(
        cls,
        committee: Committee,
        c: int,
        chain: bytes,
        h: int,
        term: Term,
        block: bytes,
        commits: Mapping[bytes, bytes],
    ) -> Certificate:
        """Make one of commits (witness key → signature). Raises: NoQuorum when they are too few.

        Signatures of others than the committee's are left out; the first `quorum` in charter order
        are taken, so that the same commits give the same bytes.
        """
        found = [
            (place, commits[key]) for place, key in enumerate(committee.keys) if key in commits
        ]
        if len(found) < committee.quorum:
            raise NoQuorum(got=len(found), needed=committee.quorum)
        found = found[: committee.quorum]
        bitmap = make_bitmap([place for place, _ in found], committee.n)
        return cls(c, chain, h, term, block, bitmap, tuple(signature for _, signature in found))


@dataclass(frozen=True, slots=True)
class VoteQC(_Signed):
    """A quorum of votes: a witness that holds it may lock the block. `counters` are the voters'."""

    counters: tuple[int, ...]

    _WHAT: ClassVar[str] = "vote_qc"

    def _messages(self, fed: bytes) -> list[bytes]:
        return [
            signing.signed_bytes(
                signing.VOTE,
                fed,
                vote_body(self.c, self.chain, self.h, self.term, self.block, counter),
            )
            for counter in self.counters
        ]

    def encode(self) -> bytes:
        """Return the quorum's bytes."""
        array = [*self._array(), self.counters]
        return encoding.encode(array, bytes_max=VOTE_QC_BYTES_MAX)

    @classmethod
    def gather(
        cls,
        committee: Committee,
        c: int,
        chain: bytes,
        h: int,
        term: Term,
        block: bytes,
        votes: Mapping[bytes, tuple[int, bytes]],
    ) -> VoteQC:
        """Make one of votes (witness key → counter, signature). Raises: NoQuorum."""
        found = [(place, *votes[key]) for place, key in enumerate(committee.keys) if key in votes]
        if len(found) < committee.quorum:
            raise NoQuorum(got=len(found), needed=committee.quorum)
        found = found[: committee.quorum]
        return cls(
            c,
            chain,
            h,
            term,
            block,
            make_bitmap([place for place, _, _ in found], committee.n),
            tuple(signature for _, _, signature in found),
            tuple(counter for _, counter, _ in found),
        )


def _common(parts: list[Any], what: str) -> tuple[int, bytes, int, Term, bytes, bytes, Any]:
    c, chain, h, term, block, bitmap, signatures = parts[:7]
    bitmap = read.bounded(bitmap, (WITNESSES_MAX + 7) // 8, what, 1)
    given = read.items(signatures, what, 1, WITNESSES_MAX)
    return (
        read.number(c, what),
        read.fixed(chain, HASH_BYTES, what),
        read.number(h, what, 1, HEIGHT_MAX),
        term_from(term),
        read.fixed(block, HASH_BYTES, what),
        bitmap,
        tuple(read.fixed(signature, SIGNATURE_BYTES, what) for signature in given),
    )


def decode_certificate(data: bytes) -> Certificate:
    """Read a certificate; nothing is verified. Raises: Malformed and its kinds."""
    parts = read.array(data, CERTIFICATE_BYTES_MAX, "certificate")
    if len(parts) != 7:
        read.refuse("certificate")
    return Certificate(*_common(parts, "certificate"))


def decode_vote_qc(data: bytes) -> VoteQC:
    """Read a quorum of votes; nothing is verified. Raises: Malformed and its kinds."""
    parts = read.array(data, VOTE_QC_BYTES_MAX, "vote_qc")
    if len(parts) != 8:
        read.refuse("vote_qc")
    common = _common(parts, "vote_qc")
    counters = read.items(parts[7], "vote_qc", len(common[6]), len(common[6]))
    return VoteQC(
        *common, tuple(read.number(counter, "vote_qc", 1, COUNTER_MAX) for counter in counters)
    )


def encode_refounding(signatures: Mapping[bytes, bytes]) -> bytes:
    """Return what stands in place of a certificate on a re-founding block: coop id → signature of
    its root, by coop id."""
    return encoding.encode([[coop, signatures[coop]] for coop in sorted(signatures)])


def decode_refounding(data: bytes) -> dict[bytes, bytes]:
    """Read the roots' signatures on a re-founding block. Raises: Malformed and its kinds."""
    found: dict[bytes, bytes] = {}
    last = b""
    for item in read.items(
        read.array(data, PROOF_BYTES_MAX, "refounding"), "refounding", 1, APPROVALS_MAX
    ):
        coop, signature = read.items(item, "refounding", 2, 2)
        coop = read.fixed(coop, HASH_BYTES, "refounding")
        if coop <= last:
            read.refuse("refounding")
        found[coop] = read.fixed(signature, SIGNATURE_BYTES, "refounding")
        last = coop
    return found
