"""The bytes shown in spec/02 (memberships) and spec/03 are the bytes the code makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maillon.protocol.envelope import Signed, draft, sign
from maillon.protocol.keys import SigningKey, coop_id
from maillon.protocol.records import derived_series, tag, thing_id
from maillon.protocol.view import person_author

SPEC = Path(__file__).resolve().parents[2] / "spec"
ROOT = SigningKey.from_seed(bytes(range(32)))
MEMBER = SigningKey.from_seed(b"\x01" * 32)
PERSON = b"\x07" * 16


def _examples(file: str) -> dict[str, bytes]:
    """Return the marked examples of a chapter: the hexadecimal digits that begin each line."""
    text = (SPEC / file).read_text("utf-8")
    found: dict[str, bytes] = {}
    for name, block in re.findall(r"<!-- example: (\w+) -->\n```text\n(.*?)```", text, re.DOTALL):
        lines = [line.split("  ")[0].strip() for line in block.splitlines()]
        if all(re.fullmatch(r"[0-9a-f ]+", line) for line in lines):
            found[name] = bytes.fromhex("".join(lines))
    return found


def _offer() -> Signed:
    payload = draft(
        "offer",
        {
            "salt": bytes(range(16)),
            "title": "Jardinage",
            "lang": "fr",
            "categories": ["jardin"],
            "mode": ["at_home"],
            "reciprocity": {"kind": "gift"},
        },
        fed=b"\xfe" * 32,
        coop=coop_id(ROOT.public),
        by=MEMBER.public,
        at=1_700_000_000,
        until=1_702_592_000,
        series=bytes(range(16)),
    )
    return sign(payload, MEMBER)


AUTHOR = person_author(coop_id(ROOT.public), PERSON)
SUBJECT = PERSON + MEMBER.public
RECORD = {
    "payload": _offer().payload_bytes,
    "header": _offer().header_bytes,
    "id": _offer().id,
    "signature": _offer().signature,
    "tag": tag("offer"),
}
IDENTITY = {
    "membership_subject": SUBJECT,
    "membership_series": derived_series("membership", SUBJECT),
    "author": AUTHOR,
    "thing": thing_id(AUTHOR, _offer().header.series),
}


@pytest.mark.parametrize("name", RECORD)
def test_an_example_of_03_is_what_the_code_makes(name: str) -> None:
    assert _examples("03-records.md")[name] == RECORD[name]


@pytest.mark.parametrize("name", IDENTITY)
def test_an_example_of_02_is_what_the_code_makes(name: str) -> None:
    assert _examples("02-identity.md")[name] == IDENTITY[name]


def test_every_example_of_03_is_checked() -> None:
    text = (SPEC / "03-records.md").read_text("utf-8")
    assert set(re.findall(r"<!-- example: (\w+) -->", text)) == set(RECORD)
    assert f"{len(_offer().encode())} bytes" in text


def test_every_answer_the_chapters_name_is_a_code_of_the_registry() -> None:
    registry = (SPEC / "registry.md").read_text("utf-8")
    codes = set(re.findall(r"^\| `(\w+)` \|", registry.split("## Error codes")[1], re.MULTILINE))
    form = r"`([a-z]+_[a-z_]+|malformed|schema|expired|lifetime)`"
    rows = (SPEC / "03-records.md").read_text("utf-8").splitlines()
    answers = [row.split("|")[2] for row in rows if row.startswith("|") and row.count("|") >= 3]
    cells = [code for answer in answers for code in re.findall(form, answer)]
    known = codes | {"not_allowed"}
    unknown = {code for code in cells if code not in known}
    assert cells
    assert not unknown
