"""Hold the example and the tables of spec/07-audit.md against the code and the vectors."""

from __future__ import annotations

import re

from maillon.ledger.audit.findings import ERROR, NOTE, SEVERITIES, WARNING
from maillon.ledger.audit.report import FORMAT
from maillon.ledger.checkpoint import NOTE_BYTES_MAX, SIGNATURES_MAX
from maillon.ledger.export import bounds
from maillon.ledger.export.view import BACK, BOUNCE, HOLD, IN, INTRA, OUT, VOID
from support.vectors import FOLDER, load

SPEC = (FOLDER.parent / "07-audit.md").read_text("utf-8")


def test_the_example_is_the_first_checkpoint_of_the_vectors() -> None:
    found = re.search(r"<!-- example: checkpoint -->\n```text\n(.*?)```", SPEC, re.DOTALL)
    assert found
    assert found[1].encode().hex() == load("checkpoints.json")["notes"][0]["note"]


def test_the_table_of_findings_is_that_of_the_code() -> None:
    rows = {
        severity: set(re.findall(r"`([a-z_]+)`", line))
        for severity, word in ((ERROR, "wrong"), (WARNING, "to be looked at"), (NOTE, "for info"))
        for line in SPEC.splitlines()
        if line.startswith(f"| *{word}")
    }
    for severity in (ERROR, WARNING, NOTE):
        assert rows[severity] == {c for c, found in SEVERITIES.items() if found == severity}


def test_every_finding_is_explained_in_the_text() -> None:
    before = SPEC[: SPEC.index("### Findings")]
    unexplained = {code for code in SEVERITIES if f"`{code}`" not in before}
    assert unexplained <= {
        "file_unlisted", "chain_absent", "chain_stranger", "time_ahead", "head_unreadable",
        "checkpoint_unreadable",
    }  # fmt: skip


def test_the_bounds_are_those_of_the_code() -> None:
    for number in (
        bounds.MANIFEST_BYTES_MAX,
        bounds.FILES_MAX,
        bounds.FRAME_BYTES_MAX,
        bounds.HEADS_MAX,
        bounds.EVIDENCE_MAX,
        NOTE_BYTES_MAX,
        SIGNATURES_MAX,
    ):
        assert f"{number:,}" in SPEC, number
    assert bounds.FILE_BYTES_MAX == 2**40
    assert bounds.FRAMES_MAX == 2**32
    assert FORMAT in SPEC


def test_every_kind_of_movement_stands_in_the_table_of_books() -> None:
    table = SPEC[SPEC.index("## Books") : SPEC.index("## Rationale")]
    for kind in (INTRA, OUT, IN, BOUNCE, BACK, HOLD, VOID):
        assert f"`{kind}`" in table


def test_every_rule_of_a_refused_vector_stands_in_the_text() -> None:
    export, checkpoints = load("export.json"), load("checkpoints.json")
    cases = [*export["manifests"], *export["streams"], *checkpoints["notes"]]
    missing = {case["rule"] for case in cases if "rule" in case and f"`{case['rule']}`" not in SPEC}
    assert missing == set()
    assert "thirty-one ways" in SPEC
    assert len(load("audits.json")["cases"]) == 31
