"""Say what a kind is, and how a thing keeps its name through its revisions (spec/03, "Series").

A series begins with the tag of its kind, so no record can take the place of a record of another
kind: a delegate whose mandate covers offers cannot end a membership by choosing its series.
Things of which there is one (a coop's profile, a membership of one key, an answer to one
attestation) have a derived series: two writers who never met use the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from maillon.protocol.errors import SchemaError
from maillon.protocol.ids import SeriesId
from maillon.protocol.limits import SALT_BYTES
from maillon.protocol.records._fast import compile_fits
from maillon.protocol.records.schema import Broken, Bytes, Check, Field, Struct, compile_type

if TYPE_CHECKING:
    # Only for the type checker: `envelope` imports this package.
    from maillon.protocol.envelope import Header

TAG_BYTES: Final = 2
SERIES_BYTES: Final = 16
DAY_S: Final = 86_400

ROOT: Final = "root"
NODE: Final = "node"
MEMBER: Final = "member"

WITHDRAWAL: Final = "withdrawal"

SALT: Final = Field(
    "salt", Bytes((SALT_BYTES,)), True, "random, so that the hash kept after erasure tells nothing"
)

# What one-of-a-kind things are told apart by; None when the payload or header is not of the form.
Subject = Callable[["Header", Mapping[str, Any]], bytes]
# Conditions between header and payload, known without any other record.
HeaderRule = Callable[["Header", Mapping[str, Any]], None]


@dataclass(frozen=True)
class Kind:
    """One kind of record: its form, its life, and who may make it.

    `signers` are parts of ROOT, NODE and MEMBER; `under_mandate` says whether a delegate may make
    it for a principal; `subject` derives the series of one-of-a-kind things, `subject_text` says
    from what; `revisable` is False when only revision 0 and a withdrawal exist. A `private` kind
    travels in letters (spec/08): gossip, reconciliation and import refuse it.
    """

    name: str
    summary: str
    lifetime_s_max: int
    signers: frozenset[str]
    under_mandate: bool
    schema: Struct
    subject: Subject | None = None
    subject_text: str = ""
    revisable: bool = True
    header_rule: HeaderRule | None = None
    header_rule_text: str = ""
    private: bool = False

    @cached_property
    def check(self) -> Check:
        """Return the compiled check of the payload; it raises `Broken`."""
        fits, explain = compile_fits(self.schema), compile_type(self.schema)

        def check(payload: Any) -> None:
            if not fits(payload):
                explain(payload)

        return check


@lru_cache(maxsize=1024)
def tag(kind: str) -> bytes:
    """Return the two bytes with which every series of a kind begins.

    The cache is bounded: kinds that others invent cannot fill the memory.
    """
    return hashlib.sha256(b"maillon/1/series\0" + kind.encode("ascii")).digest()[:TAG_BYTES]


def derived_series(kind: str, subject: bytes) -> SeriesId:
    """Return the series of a one-of-a-kind thing."""
    prefix = b"maillon/1/series\0" + kind.encode("ascii") + b"\0"
    end = hashlib.sha256(prefix + subject).digest()[: SERIES_BYTES - TAG_BYTES]
    return SeriesId(tag(kind) + end)


def random_series(kind: str, randomness: bytes) -> SeriesId:
    """Return a new series of a kind out of 16 random bytes, two of which give way to the tag."""
    if len(randomness) != SERIES_BYTES:
        raise ValueError(f"a series takes {SERIES_BYTES} random bytes, got {len(randomness)}")
    return SeriesId(tag(kind) + randomness[TAG_BYTES:])


def thing_id(author: bytes, series: bytes) -> bytes:
    """Return the 32 bytes that name a thing through all its revisions.

    A mandate is named so in `as`: whoever holds any one revision can compute it.
    """
    return hashlib.sha256(b"maillon/1/thing\0" + author + series).digest()


def schema_error(kind: str, field: str, rule: str, limit: int | str | None = None) -> SchemaError:
    """Return the error that names a field of a kind and the rule it breaks."""
    what = f"{kind}.{field}" if field else kind
    limits = f" ({limit})" if limit is not None else ""
    return SchemaError(
        f"The field {what} breaks the rule {rule}{limits}.",
        kind=kind,
        field=field,
        rule=rule,
        limit=limit,
    )


def check_payload(kind: Kind, payload: Mapping[str, Any]) -> None:
    """Check a payload against its kind. Raises: SchemaError with `kind`, `field`, `rule`."""
    try:
        kind.check(payload)
    except Broken as broken:
        raise schema_error(kind.name, broken.field, broken.rule, broken.limit) from None
