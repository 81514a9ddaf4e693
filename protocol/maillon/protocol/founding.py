"""Found a federation (spec/02, "Founding").

    document  = canonical map                 fed = SHA-256("maillon/1/federation" 0x00 document)
    file      = [document, [signature, ...]]  one of each founding coop's root, purpose "founding"

The document never changes, and its hash is the federation's id: every record names it, so a record
of one federation is nothing in another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from maillon.protocol.cards import (
    CARD_SCHEME,
    INVITE_SCHEME,
    CoopCard,
    FoundingCoop,
    Invitation,
    TextDamaged,
    card_from_text,
    checked_map,
    coop_fields,
    decode_card,
    decode_invitation,
    invitation_from_text,
    make_card,
)
from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.errors import (
    BadKey,
    BadSignature,
    LocalError,
    Malformed,
)
from maillon.protocol.ids import CoopId, FedId
from maillon.protocol.keys import (
    Backend,
    SigningKey,
    cryptography_backend,
    key_ok,
    verify,
)
from maillon.protocol.limits import (
    ACCOUNTS_MAX,
    COOPS_MAX,
    FOUNDING_BYTES_MAX,
    FOUNDING_FILE_BYTES_MAX,
    INT_MAX,
    RECOVERY_S_MAX,
    UNITS_MAX,
    WITNESSES_MAX,
)
from maillon.protocol.records.fields import ADDRESSES, CODE, KEY, LABELS, LANGUAGES, UNIT
from maillon.protocol.records.kind import schema_error
from maillon.protocol.records.schema import (
    Bytes,
    Field,
    Int,
    ListOf,
    OneOf,
    Rule,
    Struct,
    Text,
    compile_type,
)

__all__ = [
    "CARD_SCHEME",
    "INVITE_SCHEME",
    "CoopCard",
    "Criterion",
    "Founding",
    "FoundingCoop",
    "FoundingFile",
    "Invitation",
    "LedgerTerms",
    "NotFounded",
    "TextDamaged",
    "Unit",
    "card_from_text",
    "decode_card",
    "decode_founding",
    "decode_founding_file",
    "decode_invitation",
    "fed_id",
    "found",
    "invitation_from_text",
    "make_card",
    "open_founding",
]

VERSION: Final = 1
FOUNDING_PURPOSE: Final = "founding"
_NAME: Final = Text(120)


class NotFounded(LocalError):
    """The founding file is not signed by all its founders yet; `missing` names their coops."""

    code = "not_founded"
    sentence = "Not all founding coops have signed yet."


def _keys_apart(document: Mapping[str, Any]) -> bool:
    keys = [entry[name] for entry in document["coops"] for name in _KEY_FIELDS if name in entry]
    return len(set(keys)) == len(keys)


_KEY_FIELDS: Final = ("root", "node_key", "writer", "witness")


def ledger_known(document: Mapping[str, Any]) -> bool:
    """Tell whether a document has a `ledger` of this version: one without further fields."""
    if "ledger" not in document:
        return False
    ledger = document["ledger"]
    entries = ledger.get("limits", ())
    return ledger.keys() <= _LEDGER_FIELDS and all(
        entry.keys() <= _LIMIT_FIELDS for entry in entries
    )


def _ledger_whole(document: Mapping[str, Any]) -> bool:
    if not ledger_known(document):
        return True
    needed = _LEDGER_FIELDS - {"limits"}
    return needed <= document["ledger"].keys() and all(
        "writer" in entry for entry in document["coops"]
    )


def _ledger_quorum(document: Mapping[str, Any]) -> bool:
    if not ledger_known(document):
        return True
    witnesses = sum("witness" in entry for entry in document["coops"])
    quorum = document["ledger"]["quorum"]
    return witnesses <= WITNESSES_MAX and witnesses < 2 * quorum and quorum <= witnesses


def _ledger_approvals(document: Mapping[str, Any]) -> bool:
    if not ledger_known(document):
        return True
    return bool(document["ledger"]["approvals"] <= len(document["coops"]))


def _ledger_limits(document: Mapping[str, Any]) -> bool:
    if not ledger_known(document):
        return True
    units = [entry["unit"] for entry in document["ledger"].get("limits", ())]
    known = [unit < len(document["units"]) for unit in units]
    return (
        all(known)
        and len(set(units)) == len(units)
        and all(document["units"][unit]["kind"] != "count" for unit in units)
    )


COOP_ENTRY: Final = Struct(
    (
        Field("root", KEY, True, "root key: its hash is the coop's id for ever"),
        Field("node_key", KEY, True, "for dialling its node before its profile is known"),
        Field("name", _NAME, True),
        Field("addresses", ADDRESSES, False, "multiaddrs of its node"),
        Field("writer", KEY, False, "signs the blocks of its accounts (06)"),
        Field("witness", KEY, False, "votes on the blocks of all coops (06)"),
    )
)

UNIT_ENTRY: Final = Struct(
    (
        Field("code", UNIT, True),
        Field("kind", OneOf(("hours", "credit", "count")), True),
        Field("decimals", Int(0, 6), True, "minor units are 10^-decimals; hours count minutes: 0"),
        Field("label", _NAME, True),
    )
)

LIMIT_ENTRY: Final = Struct(
    (
        Field("unit", Int(0, UNITS_MAX - 1), True, "place in `units`, from 0"),
        Field("limit", Int(0, INT_MAX), True, "minor units each coop may owe the others together"),
    )
)

LEDGER: Final = Struct(
    (
        Field("quorum", Int(1, WITNESSES_MAX), False, "witnesses that certify a block"),
        Field("approvals", Int(1, COOPS_MAX), False, "coops that approve a change of the charter"),
        Field("recovery_s", Int(0, RECOVERY_S_MAX), False, "before a recovered key counts"),
        Field("accounts_max", Int(1, ACCOUNTS_MAX), False, "accounts of one coop"),
        Field("limits", ListOf(LIMIT_ENTRY, UNITS_MAX, distinct=False), False, "else 0"),
    )
)

_LEDGER_FIELDS: Final = frozenset(part.name for part in LEDGER.fields)
_LIMIT_FIELDS: Final = frozenset(part.name for part in LIMIT_ENTRY.fields)

CRITERION: Final = Struct((Field("code", CODE, True), Field("labels", LABELS, True)))

DOCUMENT: Final = Struct(
    (
        Field("v", Int(1, 1), True),
        Field("name", _NAME, True, "of the federation"),
        Field("salt", Bytes((16,)), True, "random: no two federations have one id"),
        Field("created", Int(0, INT_MAX), True, "Unix seconds"),
        Field("coops", ListOf(COOP_ENTRY, COOPS_MAX, distinct=False), True, "the founding coops"),
        Field("admission_quorum", Int(1, COOPS_MAX), True, "founding coops that admit another"),
        Field("units", ListOf(UNIT_ENTRY, UNITS_MAX, low=0, distinct=False), True),
        Field("criteria", ListOf(CRITERION, 16, low=0, distinct=False), True, "of attestations"),
        Field("languages", LANGUAGES, True),
        Field("ledger", LEDGER, False, "terms of the accounts (06); without them there are none"),
    ),
    (
        Rule(
            "keys_apart",
            "no key stands twice among roots, node keys, writers' and witnesses' keys",
            _keys_apart,
            {},
        ),
        Rule(
            "quorum_reachable",
            "`admission_quorum` is at most the number of founding coops",
            lambda document: document["admission_quorum"] <= len(document["coops"]),
            {"admission_quorum": COOPS_MAX},
        ),
        Rule(
            "codes_apart",
            "no code stands twice among units, nor among criteria",
            lambda document: all(
                len({entry["code"] for entry in document[part]}) == len(document[part])
                for part in ("units", "criteria")
            ),
            {},
        ),
        Rule(
            "ledger_whole",
            "a `ledger` without fields beyond these tables has all of them but `limits`, which may "
            "be left out, and each coop has a `writer`",
            _ledger_whole,
            {},
        ),
        Rule(
            "ledger_quorum",
            "with such a `ledger`, its `quorum` is at most the number of coops with a `witness`, "
            f"and more than half of it; there are at most {WITNESSES_MAX}",
            _ledger_quorum,
            {},
        ),
        Rule(
            "ledger_approvals",
            "with such a `ledger`, its `approvals` are at most the number of coops",
            _ledger_approvals,
            {},
        ),
        Rule(
            "ledger_limits",
            "with such a `ledger`, each `unit` of its `limits` is a place in `units` with a kind "
            "other than `count`, and stands there once",
            _ledger_limits,
            {},
        ),
    ),
)

_check_document = compile_type(DOCUMENT)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of account: `kind` is "hours", "credit" or "count"."""

    code: str
    kind: str
    decimals: int
    label: str


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion of attestations, with a label for each language."""

    code: str
    labels: Mapping[str, str]


# What a community asks that has not said what it asks (spec/02 "The founding document").
USUAL_CRITERIA: Final = (
    Criterion(
        "quality",
        {"en": "Was the service done well?", "fr": "Le service a-t-il été bien rendu ?"},
    ),
    Criterion(
        "punctuality",
        {"en": "Was the agreed time kept?", "fr": "L'horaire convenu a-t-il été tenu ?"},
    ),
    Criterion(
        "respect",
        {"en": "Was the meeting respectful?", "fr": "La rencontre a-t-elle été respectueuse ?"},
    ),
)


@dataclass(frozen=True, slots=True)
class LedgerTerms:
    """The terms of the accounts that charter 0 begins with (spec/06).

    `limits` are pairs of a unit's place and the minor units each coop may owe the others together.
    """

    quorum: int
    approvals: int
    recovery_s: int
    accounts_max: int
    limits: tuple[tuple[int, int], ...] = ()

    def as_map(self) -> dict[str, Value]:
        """Return the terms as they stand in the document."""
        fields: dict[str, Value] = {
            "quorum": self.quorum,
            "approvals": self.approvals,
            "recovery_s": self.recovery_s,
            "accounts_max": self.accounts_max,
        }
        if self.limits:
            fields["limits"] = [{"unit": unit, "limit": limit} for unit, limit in self.limits]
        return fields


@dataclass(frozen=True, slots=True)
class Founding:
    """What a federation was founded on. `fed` is its id; it never changes.

    `ledger` is None when it keeps no accounts, or keeps them by a later version's terms. `extra`
    holds the fields this version does not know (a later minor version's); they are part of the id.
    `document` is the canonical encoding of everything.
    """

    name: str
    salt: bytes
    created: int
    coops: tuple[FoundingCoop, ...]
    admission_quorum: int
    units: tuple[Unit, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    languages: tuple[str, ...] = ("fr",)
    extra: Mapping[str, Value] = field(default_factory=dict[str, Value])
    v: int = VERSION
    ledger: LedgerTerms | None = None
    document: bytes = field(init=False, compare=False, repr=False)
    fed: FedId = field(init=False, compare=False)
    _by_id: Mapping[CoopId, FoundingCoop] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        document = encode(self._map(), bytes_max=FOUNDING_BYTES_MAX)
        object.__setattr__(self, "document", document)
        object.__setattr__(self, "fed", fed_id(document))
        object.__setattr__(self, "_by_id", {coop.id: coop for coop in self.coops})

    def _map(self) -> dict[str, Value]:
        known: dict[str, Value] = {
            "v": self.v,
            "name": self.name,
            "salt": self.salt,
            "created": self.created,
            "coops": [coop_fields(coop) for coop in self.coops],
            "admission_quorum": self.admission_quorum,
            "units": [
                {"code": u.code, "kind": u.kind, "decimals": u.decimals, "label": u.label}
                for u in self.units
            ],
            "criteria": [
                {"code": c.code, "labels": dict[str, Value](c.labels)} for c in self.criteria
            ],
            "languages": list(self.languages),
        }
        if self.ledger is not None:
            known["ledger"] = self.ledger.as_map()
        return {**self.extra, **known}

    @property
    def asked(self) -> tuple[Criterion, ...]:
        """Return the criteria of attestations: the document's, or the usual ones if it has none."""
        return self.criteria or USUAL_CRITERIA

    def unasked(self, marks: Iterable[str]) -> list[str]:
        """Return those of the names of marks that are no criterion here, in order."""
        known = {criterion.code for criterion in self.asked}
        return sorted(name for name in marks if name not in known)

    def encode(self) -> bytes:
        """Return the founding document's bytes."""
        return self.document

    def founder(self, coop: bytes) -> FoundingCoop | None:
        """Return the founding coop of this id, or None."""
        return self._by_id.get(CoopId(coop))

    def admits(self, coop: bytes, admitters: Sequence[bytes] | frozenset[bytes]) -> bool:
        """Tell whether a coop belongs to the federation.

        `admitters` are the ids of coops with a current admission for it; only distinct founding
        coops count.
        """
        if coop in self._by_id:
            return True
        founders = {admitter for admitter in admitters if admitter in self._by_id}
        return len(founders) >= self.admission_quorum


def fed_id(document: bytes) -> FedId:
    """Return the federation's id: the hash of its founding document under its prefix."""
    return FedId(hashlib.sha256(b"maillon/1/federation\0" + document).digest())


def decode_founding(document: bytes) -> Founding:
    """Read a founding document, unsigned. Raises: Malformed and its kinds, SchemaError, BadKey."""
    fields = cast(
        "dict[str, Any]",
        checked_map(document, FOUNDING_BYTES_MAX, "founding", _check_document),
    )
    for entry in fields["coops"]:
        if set(entry) - _COOP_FIELDS:
            # The coops' list is what `fed` and admission rest on: a field here that some readers
            # do not know would be dropped when they write the document again.
            raise schema_error("founding", "coops", "unknown_field")
        for name in _KEY_FIELDS:
            if name in entry and not key_ok(entry[name]):
                raise BadKey(key=entry[name])
    for part, inside in (("units", _UNIT_FIELDS), ("criteria", _CRITERION_FIELDS)):
        if any(set(entry) - inside for entry in fields[part]):
            raise schema_error("founding", part, "unknown_field")
    known = _DOCUMENT_FIELDS
    terms = None
    if ledger_known(fields):
        terms = _read_terms(fields["ledger"])
    else:
        # Kept as it is: the terms of a later version, which are part of the id all the same.
        known = known - {"ledger"}
    return Founding(
        fields["name"],
        fields["salt"],
        fields["created"],
        tuple(
            FoundingCoop(
                entry["root"],
                entry["node_key"],
                entry["name"],
                tuple(entry.get("addresses", ())),
                entry.get("writer", b""),
                entry.get("witness", b""),
            )
            for entry in fields["coops"]
        ),
        fields["admission_quorum"],
        tuple(Unit(**entry) for entry in fields["units"]),
        tuple(Criterion(entry["code"], entry["labels"]) for entry in fields["criteria"]),
        tuple(fields["languages"]),
        {name: value for name, value in fields.items() if name not in known},
        ledger=terms,
    )


def _read_terms(ledger: Mapping[str, Any]) -> LedgerTerms:
    return LedgerTerms(
        ledger["quorum"],
        ledger["approvals"],
        ledger["recovery_s"],
        ledger["accounts_max"],
        tuple((entry["unit"], entry["limit"]) for entry in ledger.get("limits", ())),
    )


_DOCUMENT_FIELDS: Final = frozenset(part.name for part in DOCUMENT.fields)
_COOP_FIELDS: Final = frozenset(part.name for part in COOP_ENTRY.fields)
_UNIT_FIELDS: Final = frozenset(part.name for part in UNIT_ENTRY.fields)
_CRITERION_FIELDS: Final = frozenset(part.name for part in CRITERION.fields)


def found(founding: Founding) -> Founding:
    """Check a document that was made here, as a reader of it would.

    Raises: SchemaError naming the field; EncodingError when it is too long.
    """
    return decode_founding(founding.document)


@dataclass(frozen=True, slots=True)
class FoundingFile:
    """The founding document with its founders' signatures, in the order of its coops.

    While signatures are gathered the missing ones are empty; `open_founding` accepts only a
    complete file.
    """

    founding: Founding
    signatures: tuple[bytes, ...]

    @classmethod
    def unsigned(cls, founding: Founding) -> FoundingFile:
        """Begin to gather signatures."""
        return cls(founding, (b"",) * len(founding.coops))

    def sign(self, root: SigningKey) -> FoundingFile:
        """Add one founder's signature. Raises: LocalError when the key is not a founder's root."""
        for place, coop in enumerate(self.founding.coops):
            if coop.root == root.public:
                signature = root.sign(FOUNDING_PURPOSE, self.founding.document)
                return self._with(place, signature)
        raise LocalError("This root key is not that of a founding coop.", key=root.public)

    def _with(self, place: int, signature: bytes) -> FoundingFile:
        signatures = (*self.signatures[:place], signature, *self.signatures[place + 1 :])
        return replace(self, signatures=signatures)

    def merge(self, other: FoundingFile) -> FoundingFile:
        """Join the signatures gathered in two copies. Raises: LocalError when they differ."""
        if other.founding.fed != self.founding.fed:
            raise LocalError("The two files are of different federations.")
        joined = zip(self.signatures, other.signatures, strict=True)
        return replace(self, signatures=tuple(ours or theirs for ours, theirs in joined))

    @property
    def missing(self) -> tuple[FoundingCoop, ...]:
        """Return the founding coops that have not signed."""
        pairs = zip(self.founding.coops, self.signatures, strict=True)
        return tuple(coop for coop, signature in pairs if not signature)

    def encode(self) -> bytes:
        """Return the file's bytes."""
        signatures: list[Value] = list(self.signatures)
        return encode([self.founding.document, signatures], bytes_max=FOUNDING_FILE_BYTES_MAX)


def decode_founding_file(
    data: bytes, *, backend: Backend = cryptography_backend
) -> FoundingFile:
    """Read a founding file and check the signatures that are there.

    Raises: Malformed and its kinds, SchemaError, BadKey, BadSignature (naming `coop`).
    """
    value = decode(data, bytes_max=FOUNDING_FILE_BYTES_MAX)
    if type(value) is not list or len(value) != 2:
        raise Malformed(rule="founding_parts")
    document, signatures = value
    if type(document) is not bytes or type(signatures) is not list:
        raise Malformed(rule="founding_parts")
    founding = decode_founding(document)
    if len(signatures) != len(founding.coops):
        raise Malformed(rule="founding_signatures")
    for coop, signature in zip(founding.coops, signatures, strict=True):
        if type(signature) is not bytes or len(signature) not in (0, 64):
            raise Malformed(rule="founding_signatures")
        if signature:
            try:
                verify(coop.root, FOUNDING_PURPOSE, document, signature, backend=backend)
            except BadSignature:
                raise BadSignature(
                    f"The signature of {coop.name} on the founding document is not valid.",
                    key=coop.root,
                    coop=coop.id,
                ) from None
    return FoundingFile(founding, tuple(cast("list[bytes]", signatures)))


def open_founding(data: bytes, *, backend: Backend = cryptography_backend) -> Founding:
    """Read a founding file that all founders have signed.

    Raises: NotFounded naming who is missing, and what `decode_founding_file` raises.
    """
    file = decode_founding_file(data, backend=backend)
    if file.missing:
        names = ", ".join(coop.name for coop in file.missing)
        raise NotFounded(
            f"Not all founding coops have signed yet; missing: {names}.",
            missing=tuple(coop.id for coop in file.missing),
        )
    return file.founding
