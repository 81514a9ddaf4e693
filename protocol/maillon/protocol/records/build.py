"""Help writers: put a payload together, and say in words which field does not fit (spec/03).

What people type is brought into NFC, and white space at its ends is taken off, here and nowhere
else: a reader changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from maillon.protocol.encoding import Value, encode, nfc
from maillon.protocol.errors import EncodingError, LocalError
from maillon.protocol.limits import PAYLOAD_BYTES_MAX, STRING_BYTES_MAX
from maillon.protocol.records.kind import Kind
from maillon.protocol.records.schema import Broken


class FieldError(LocalError):
    """A field of a record that is being written does not fit.

    `kind`, `field` (such as `place.lat`), `rule` and `limit` say what is wrong, for a form to put
    the sentence beside the right box.
    """

    code = "field"
    sentence = "A field does not fit."


_SENTENCES = {
    "required": "{field} is missing.",
    "type": "{field} should be {limit}.",
    "too_long": "{field} is too long: at most {limit} characters.",
    "too_many_bytes": "{field} is too long: at most {limit} bytes.",
    "too_short": "{field} is empty.",
    "control_character": "{field} contains a character that cannot be shown.",
    "outer_space": "{field} begins or ends with a space.",
    "form": "{field} does not look like a {limit}.",
    "one_of": "{field} should be one of: {limit}.",
    "range": "{field} should be a number from {limit}.",
    "size": "{field} should be {limit} bytes long.",
    "too_many": "{field} has too many entries: at most {limit}.",
    "too_few": "{field} has too few entries.",
    "twice": "{field} has the same entry twice.",
    "order": "{field}: the end comes before the beginning.",
    "too_many_unknown": "The record has more than {limit} fields that this version does not know.",
    "place_form": "{field} is either a public place with its point, or a cell without an address.",
    "cell_form": "{field} is not a cell of resolution 5, 6 or 7.",
    "rrule_anchor": "{field}: a recurrence needs its first date and its time zone.",
    "amount_belongs": "{field}: the amount and the kind of return do not fit together.",
    "own_parent": "{field}: a category cannot be inside itself.",
    "kinds_delegable": "{field}: a mandate cannot cover identity or other mandates.",
    "tariffs_whole": "{field}: each audience has one tariff, and none is an auction.",
    "reveal_when": "{field}: sealed bids need a time to open them, after the close; others none.",
    "auction_priced": "{field}: an auction needs its unit, and a return of the kind auction.",
    "reachable": "{field}: a telephone number or a place is missing.",
    "return_whole": "{field}: the unit, the amounts and the kind of return do not fit together.",
    "outside_words": "{field}: a price in words goes with money outside of the accounts.",
    "hold_amount": "{field}: only a fixed amount of a unit can be reserved.",
    "fee_unit": "{field}: a fee for cancelling goes with an amount of a unit.",
    "mediator_named": "{field}: nobody is named to mediate.",
    "split_whole": "{field}: everybody has one share, and not all of them are 0.",
    "parties": "{field}: nobody gives to, and receives from, the same person.",
    "appointment_whole": "{field}: say which slots are added or cancelled, each once.",
    "part_reason": "{field}: accepting a part needs how much, and why.",
    "payment_whole": "{field}: say either by which transfer, or how without one.",
    "decision_whole": "{field}: an agreement is missing.",
    "two_providers": "{field}: a bundle is of two providers or more.",
    "bid_form": "{field}: either a price, or a sealed one.",
    "busy_order": "{field}: times are in order and do not touch.",
    "members_whole": "{field}: every member stands there once, and not all shares are 0.",
    "key_new": "{field}: the new key is the one that was lost.",
    "signatures": "{field}: more signatures are asked for than there are members.",
    "payload_length": "The record is too long: at most {limit} bytes.",
}


def _tidied(value: object) -> Any:
    if isinstance(value, str):
        return nfc(value).strip()
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        return {name: _tidied(item) for name, item in fields.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_tidied(item) for item in cast("Sequence[object]", value)]
    return value


def build_payload(kind: Kind, salt: bytes, fields: Mapping[str, Any]) -> dict[str, Value]:
    """Put a payload together: tidy the texts, leave out what is None, check every field.

    `salt` is 16 random bytes, new for each revision.

    Raises: FieldError naming the first field that does not fit.
    """
    payload: dict[str, Value] = {**_tidied(fields), "salt": salt}
    try:
        kind.check(payload)
        encode(payload, bytes_max=PAYLOAD_BYTES_MAX)
    except Broken as broken:
        raise _in_words(kind, broken.field, broken.rule, broken.limit) from None
    except EncodingError as error:
        if error.rule == "total_length":
            raise _in_words(kind, "", "payload_length", PAYLOAD_BYTES_MAX) from None
        if error.rule == "string_length":
            # Characters outside Latin take three bytes or four: the bound in bytes comes first.
            field = next(_too_long(payload, ""), "")
            raise _in_words(kind, field, "too_many_bytes", STRING_BYTES_MAX) from None
        raise FieldError(str(error), kind=kind.name, field="", rule=error.rule) from None
    return payload


def _too_long(value: object, path: str) -> Iterator[str]:
    if isinstance(value, str) and len(value.encode()) > STRING_BYTES_MAX:
        yield path.removeprefix(".")
    elif isinstance(value, dict):
        for name, item in cast("dict[str, object]", value).items():
            yield from _too_long(item, f"{path}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(cast("list[object]", value)):
            yield from _too_long(item, f"{path}[{place}]")


def _in_words(kind: Kind, field: str, rule: str, limit: int | str | None) -> FieldError:
    sentence = _SENTENCES.get(rule, "{field} breaks the rule {rule}.")
    where = field or kind.name
    return FieldError(
        sentence.format(field=where, limit=limit, rule=rule),
        kind=kind.name,
        field=field,
        rule=rule,
        limit=limit,
    )
