"""Read the body of a form, as pages send it."""

from __future__ import annotations

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import Final
from urllib.parse import parse_qsl

from maillon.node.api.bounds import FORM_FIELDS_MAX
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

URL_ENCODED: Final = "application/x-www-form-urlencoded"
FORM_TYPES: Final = (URL_ENCODED, "multipart/form-data")


class Unreadable(LocalError):
    """The body of a request is no form."""

    code = "request"


def is_form(content_type: str) -> bool:
    """Tell whether a Content-Type is that of a form, which a page of any site may send."""
    return content_type.partition(";")[0].strip().lower() in FORM_TYPES


def read_fields(content_type: str, body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form's body; files are passed over. Raises: Unreadable."""
    try:
        pairs = (
            parse_qsl(
                body.decode("utf-8"),
                keep_blank_values=True,
                encoding="utf-8",
                errors="strict",
                max_num_fields=FORM_FIELDS_MAX,
            )
            if content_type.partition(";")[0].strip().lower() == URL_ENCODED
            else _parts(content_type, body)
        )
    except (ValueError, LookupError) as fault:
        raise Unreadable(_("What the form sent cannot be read.")) from fault
    fields: dict[str, list[str]] = {}
    for field, value in pairs:
        fields.setdefault(field, []).append(value)
    return fields


def _parts(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Read multipart/form-data (RFC 7578), which has the form of a message."""
    if not content_type.isprintable() or not content_type.isascii():
        raise ValueError("the type of the form is no header")
    whole = b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(whole)
    parts = [part for part in message.iter_parts() if isinstance(part, EmailMessage)]
    if not message.is_multipart() or message.defects or len(parts) > FORM_FIELDS_MAX:
        raise ValueError("the parts of the form cannot be told apart")
    found: list[tuple[str, str]] = []
    for part in parts:
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is None and isinstance(name, str):
            data = part.get_payload(decode=True)
            found.append((name, data.decode("utf-8") if isinstance(data, bytes) else ""))
    return found
