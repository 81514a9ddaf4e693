"""The formats that `maillon import` reads, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from maillon.node.i18n import _
from maillon.node.importers import base, data_inclusion, france_services, table
from maillon.node.importers.base import Fault, Filter, ImportError_, Item, Reading, Source
from maillon.protocol.limits import SALT_BYTES
from maillon.protocol.records import FieldError, build

Reader = Callable[[bytes, Source, Sequence[Filter]], Reading]

FORMATS: dict[str, tuple[Reader, Source]] = {
    "france-services": (france_services.read, france_services.SOURCE),
    "data-inclusion": (data_inclusion.read, data_inclusion.SOURCE),
    "csv": (table.read, table.SOURCE),
}


def read(
    format: str,
    data: bytes,
    filters: Sequence[Filter] = (),
    *,
    source: str = "",
    date: str = "",
    licence: str = "",
    url: str = "",
    today: str = "1970-01-01",
) -> tuple[Source, Reading]:
    """Read a file in a named format; what is said of its source replaces the format's own words.

    `today` dates a list that says no date of its own.

    Raises: ImportError_ for an unknown format or a file that is not of that format at all.
    """
    if format not in FORMATS:
        raise ImportError_(
            _("There is no format {name!r}.").format(name=format),
            hint=_("The formats are: {names}.").format(names=", ".join(FORMATS)),
        )
    reader, usual = FORMATS[format]
    named = Source(
        name=source or usual.name,
        date=date or usual.date or today,
        licence=licence or usual.licence,
        url=url or usual.url,
    )
    return named, _checked(reader(data, named, filters))


def _checked(reading: Reading) -> Reading:
    """Turn rows whose payload is not of its kind's form into faults, here and not at publishing.

    A dry run then finds what a real one would.
    """
    for found in reading:
        if isinstance(found, Item):
            try:
                build(found.kind, salt=bytes(SALT_BYTES), **found.payload)
            except FieldError as fault:
                yield Fault(found.line, fault.field, str(fault))
                continue
        yield found


def source_ids(format: str, data: bytes) -> set[str]:
    """Return the identifiers of all rows of a file, whether they can be imported or not."""
    if format == "data-inclusion":
        return data_inclusion.ids(data)
    column = "id_fs" if format == "france-services" else "id"
    rows = base.table(data, required=(column,))
    return {row.get(column) for row in rows if isinstance(row, base.Row) and row.get(column)}


def guess_format(data: bytes) -> str:
    """Tell the format of a file from its beginning."""
    head = data[:65_536].lstrip(b"\xef\xbb\xbf \r\n\t")
    if head[:1] in (b"{", b"["):
        return "data-inclusion"
    line = head.split(b"\n", 1)[0]
    if b"id_fs" in line and b"lib_fs" in line:
        return "france-services"
    return "csv"


def combine(files: Sequence[bytes]) -> bytes:
    """Join files of one list: data·inclusion publishes structures and services apart.

    Raises: ImportError_ when there are several files and one is not JSON.
    """
    if len(files) == 1:
        return files[0]
    joined: list[object] = []
    for data in files:
        joined += data_inclusion.entries(data)
    return json.dumps(joined, ensure_ascii=False).encode()
