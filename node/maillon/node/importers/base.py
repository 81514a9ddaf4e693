"""What every importer shares: items, faults, filters, tables and the fields that recur."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from maillon.node import bounds
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError
from maillon.protocol.records.fields import PHONE
from maillon.protocol.records.schema import Pattern

Payload = dict[str, Any]

MICRO = 1_000_000
TITLE_CHARACTERS_MAX = 200
TEXT_CHARACTERS_MAX = 4_000
COLUMNS_TOLD_MAX = 60


class ImportError_(LocalError):
    """The file as a whole cannot be imported."""

    code: ClassVar[str] = "import"


class RowError(Exception):
    """One row cannot be imported; `field` names the column."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Source:
    """Where a list comes from, said in every record made from it."""

    name: str
    date: str = ""
    licence: str = ""
    url: str = ""

    def field(self, id: str) -> Payload:
        """Return the payload's `source` for the row `id`."""
        named = {"name": self.name, "id": id, "date": self.date, "licence": self.licence}
        return {**named, "url": self.url} if self.url else dict(named)


@dataclass(frozen=True, slots=True)
class Item:
    """One row, ready to be published: its place in the file, its id there, and its payload."""

    line: int
    id: str
    kind: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Fault:
    """One row, or one field of it, that was not taken. `fatal` rows are skipped whole."""

    line: int
    field: str
    message: str
    fatal: bool = True


Reading = Iterator[Item | Fault]


@dataclass(frozen=True, slots=True)
class Filter:
    """One `--where column=value`; a value that ends in "*" matches its beginning."""

    column: str
    value: str

    def matches(self, row: Mapping[str, Any]) -> bool:
        found = row.get(self.column)
        values: list[Any] = [found or ""]
        if isinstance(found, list):
            values = found  # pyright: ignore[reportUnknownVariableType]  # of any column
        texts = [str(value) for value in values]
        if self.value.endswith("*"):
            return any(text.startswith(self.value[:-1]) for text in texts)
        return self.value in texts


def parse_filter(text: str) -> Filter:
    """Read `column=value`. Raises: ImportError_."""
    column, equals, value = text.partition("=")
    if not equals or not column.strip():
        raise ImportError_(
            _("The filter {text!r} is not of the form column=value.").format(text=text),
            hint=_("For example: --where insee_dep=01"),
        )
    return Filter(column.strip(), value.strip())


def series_of(source: str, id: str) -> bytes:
    """Return the 16-byte series of a row: the same row always makes the same thing.

    The series only has to be new within its author, who alone can write to it, so a hash serves
    as well as a random draw and lets a second import find what the first one published.
    """
    text = f"{source}\0{id}".encode()
    return hashlib.sha256(b"maillon/import\0" + text).digest()[:16]


def decode_text(data: bytes) -> str:
    """Return a file's text: UTF-8 with or without a mark, else Windows-1252, in NFC."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What spreadsheets of French administrations still write.
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            raise ImportError_(
                _("The file is neither UTF-8 nor Windows-1252 text."),
                hint=_("Save it as CSV in UTF-8."),
            ) from None
    return unicodedata.normalize("NFC", text)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, by column name; empty cells are absent."""

    line: int
    cells: Mapping[str, str]

    def get(self, column: str) -> str:
        return self.cells.get(column, "")


def require_columns(filters: Sequence[Filter], columns: Collection[str]) -> None:
    """Refuse a filter on a column that no row has: it would take nothing and say nothing.

    Raises: ImportError_.
    """
    for filter in filters:
        if filter.column not in columns:
            names = ", ".join(sorted(columns)[:COLUMNS_TOLD_MAX])
            raise ImportError_(
                _("The list has no column {name!r} to filter by.").format(name=filter.column),
                hint=_("It has: {names}.").format(names=names),
            )


def table(
    data: bytes,
    *,
    required: Sequence[str],
    known: Sequence[str] = (),
    filters: Sequence[Filter] = (),
) -> Iterator[Row | Fault]:
    """Yield the rows of a CSV file with their first line's number.

    Raises: ImportError_ when the header lacks a required column or one of a filter or, with
    `known`, has others.
    """
    text = decode_text(data)
    head = text[: text.find("\n")] if "\n" in text else text
    delimiter = max(",;\t", key=head.count)
    csv.field_size_limit(bounds.IMPORT_CELL_CHARACTERS_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [name.strip() for name in next(reader)]
    except StopIteration:
        raise ImportError_(_("The file is empty.")) from None
    except csv.Error as fault:
        raise ImportError_(_("The file is no table: {fault}.").format(fault=fault)) from None
    missing = [name for name in required if name not in header]
    if missing:
        raise ImportError_(
            _("The table has no column {names}.").format(names=", ".join(missing)),
            hint=_("docs/cli.md names the columns of each format."),
        )
    foreign = [name for name in header if known and name and name not in known]
    if foreign:
        raise ImportError_(
            _("The table has unknown columns: {names}.").format(names=", ".join(foreign[:8])),
            hint=_("Rename or delete them; docs/cli.md names the columns of each format."),
        )
    require_columns(filters, known or [name for name in header if name])
    count = 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            yield Fault(line, "", _("The line cannot be read: {fault}.").format(fault=fault))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        if count > bounds.IMPORT_ROWS_MAX:
            yield Fault(line, "", _("The table has too many rows; the rest was left out."))
            return
        if len(cells) > len(header):
            yield Fault(
                line,
                "",
                _("The line has {n} cells, the header {m}.").format(n=len(cells), m=len(header)),
            )
            continue
        yield Row(line, {k: v.strip() for k, v in zip(header, cells, strict=False) if v.strip()})


def cut(text: str, characters: int) -> str:
    """Return at most `characters` of a text in the form that records ask for.

    Control characters become spaces, lines are kept, and what is too long ends in an ellipsis at a
    word's end.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", " ", text)
    text = re.sub(r"[ \u00a0]+", " ", text).strip()
    if len(text) <= characters:
        return text
    return text[: characters - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def line(text: str, characters: int) -> str:
    """Return at most `characters` of a text on one line."""
    return cut(" ".join(text.split()), characters)


def microdegrees(latitude: float, longitude: float) -> tuple[int, int]:
    """Return a point in whole microdegrees. Raises: RowError outside the globe or at 0, 0."""
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise RowError("latitude", _("The coordinates lie outside the globe."))
    if latitude == 0 and longitude == 0:
        raise RowError("latitude", _("The coordinates are 0, 0, which stands for nothing."))
    return round(latitude * MICRO), round(longitude * MICRO)


def number(text: str, field: str) -> float:
    """Read a decimal number with point or comma. Raises: RowError."""
    try:
        value = float(text.replace(",", ".").strip())
    except ValueError:
        raise RowError(field, _("{text!r} is not a number.").format(text=text)) from None
    if value != value or value in (float("inf"), float("-inf")):
        raise RowError(field, _("{text!r} is not a number.").format(text=text))
    return value


def phone(text: str) -> str | None:
    """Return a telephone number, a French one in the international form; None when it is none."""
    digits = re.sub(r"[^\d+]", "", text)
    if re.fullmatch(r"0[1-9]\d{8}", digits):
        return "+33" + digits[1:]
    if re.fullmatch(r"\+\d{6,15}", digits):
        return digits
    return text.strip() if matches(PHONE, text.strip()) else None


def matches(pattern: Pattern, text: str) -> bool:
    """Tell whether a text has the form that records ask for."""
    return len(text) <= pattern.max_chars and re.fullmatch(pattern.regex, text) is not None


_EMAIL = re.compile(r"[^@\s,;<>\"]{1,64}@[^@\s,;<>\"]+\.[A-Za-z]{2,}")
# Words that show that a mailbox belongs to an organisation and not to a person.
_OFFICE = re.compile(
    r"accueil|admin|agence|antenne|asso|bus|ccas|centre|commun|conseil|contact|coord|direction"
    r"|emploi|espace|efs|fs\b|franceservice|france[._-]?service|info|itiner|maison|mairie|mde|mds|mdd"
    r"|mediat|mfs|mobile|mpt|msap|pfs|pi14|pimms|point|pole|poste|public|relais|rsp|secretariat"
    r"|service|social|sous-prefecture|sp-|standard|territoire",
    re.IGNORECASE,
)


def organisation_email(text: str, *names: str) -> str | None:
    """Return the mailbox when it is an organisation's, None when it may be a person's.

    A published list may hold `first.last@…`; a record is copied to every node and stays for its
    lifetime, so a person's address is left out. A mailbox passes when its local part holds a word
    of an office, or a word of the organisation's or the town's name, or is not shaped like a name.
    """
    match = _EMAIL.fullmatch(text.strip())
    if not match:
        return None
    local, domain = text.strip().rsplit("@", 1)
    plain = fold(local)
    if domain.lower() == "france-services.gouv.fr" or _OFFICE.search(plain):
        return text.strip()
    words = {w for name in names for w in re.findall(r"[a-z0-9]{4,}", fold(name))}
    if any(word in plain for word in words):
        return text.strip()
    if re.fullmatch(r"[a-z]+([-_.])[a-z]+(-[a-z]+)?\d?", plain):
        return None
    return text.strip()


def fold(text: str) -> str:
    """Return a text in small letters without accents."""
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def slug(text: str) -> str:
    """Return a code made of a label: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", fold(text)).strip("-")[:64].strip("-")


class Fields:
    """Collect the fields of a payload; what has not the form of records is told and left out."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.faults: list[Fault] = []

    def left_out(self, column: str, message: str) -> None:
        """Tell that a field was not taken; the row is."""
        self.faults.append(Fault(self.line, column, message, fatal=False))

    def put(self, into: Payload, name: str, text: str, pattern: Pattern, column: str) -> None:
        """Set `into[name]` when there is a text of that form."""
        if not text:
            return
        if matches(pattern, text):
            into[name] = text
        else:
            message = _("{text!r} has not the form of a {what} and was left out.")
            self.left_out(column, message.format(text=text, what=pattern.name))

    def put_phone(self, into: Payload, text: str, column: str) -> None:
        """Set `phone` when there is a telephone number."""
        number = phone(text) if text else None
        if number:
            into["phone"] = number
        elif text:
            message = _("{text!r} is no telephone number and was left out.").format(text=text)
            self.left_out(column, message)

    def put_email(self, into: Payload, text: str, column: str, *names: str) -> None:
        """Set `email` when there is an organisation's mailbox."""
        email = organisation_email(text, *names) if text else None
        if email:
            into["email"] = email
        elif text:
            self.left_out(column, _("The mailbox may be a person's and was left out."))
