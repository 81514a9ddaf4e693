"""Results of several runs of the benchmarks stand in one table, and none is lost or made up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from harness import Row  # noqa: E402
from results import BEGIN, END, KEPT, Result, by_job, load, merge, placed, save, table  # noqa: E402

ROOT = Path(__file__).parents[2]
DOCUMENT = f"# Measured\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"


def rows(job: str, *values: str) -> list[Row]:
    return [Row(job, f"what {at}", value, "≥ 2", at == 0) for at, value in enumerate(values)]


def result(machine: str, job: str, *values: str) -> dict[str, Result]:
    return by_job(rows(job, *values), machine)


def test_the_table_in_the_document_is_made_of_the_results_that_are_kept() -> None:
    document = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    kept = load(KEPT)
    assert len(kept) > 5
    assert placed(document, kept) == document


def test_a_run_replaces_its_jobs_whole_and_leaves_the_others_in_their_place() -> None:
    kept = merge(result("m", "a", "1", "2"), result("m", "b", "3"), result("m", "c", "4"))
    merged = merge(kept, result("m", "b", "5", "6"), result("m", "d", "7"), result("m", "d", "8"))
    assert list(merged) == ["a", "b", "c", "d"]
    assert [row.value for row in merged["b"].rows] == ["5", "6"]
    assert merged["a"] == kept["a"] and merged["c"] == kept["c"]
    assert [row.value for row in merged["d"].rows] == ["8"]
    assert [row.value for row in kept["b"].rows] == ["3"], "what is merged is not changed"


def test_results_read_back_as_they_were_written(tmp_path: Path) -> None:
    kept = merge(result("m «1»", "a", "1.2 µs", ""), result("m2", "b", "×"))
    save(tmp_path / "r.json", kept)
    assert load(tmp_path / "r.json") == kept
    assert load(tmp_path / "none.json") == {}
    (tmp_path / "old.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="by job"):
        load(tmp_path / "old.json")


def test_a_table_names_each_machine_that_measured() -> None:
    one = merge(result("m", "a", "1"), result("m", "b", "2"))
    assert table(one).count("Machine: ") == 1
    two = table(merge(one, result("other", "b", "3")))
    a, b = two.split("### b")
    assert "Machine: m." in a and "Machine: other." in b
    assert "| what 0 | 3 | ≥ 2 | ✓ |" in b


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "run.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_takes_up_files_of_several_runs(tmp_path: Path) -> None:
    document, kept = tmp_path / "benchmarks.md", tmp_path / "results.json"
    document.write_text(DOCUMENT, encoding="utf-8")
    save(kept, merge(result("m", "verify", "old"), result("m", "transfer", "stays")))
    save(tmp_path / "one.json", result("m", "verify", "new"))
    save(tmp_path / "two.json", result("m", "audit", "first"))
    files = [str(tmp_path / "one.json"), str(tmp_path / "two.json")]
    done = run("--rows", *files, "--write", str(document), "--kept", str(kept))
    assert done.returncode == 0, done.stderr
    text = document.read_text(encoding="utf-8")
    assert text.startswith("# Measured\n\nBefore.\n") and text.endswith("\nAfter.\n")
    assert "old" not in text and "new" in text and "stays" in text and "first" in text
    assert list(load(kept)) == ["verify", "transfer", "audit"]


def test_a_document_without_a_place_for_results_changes_nothing(tmp_path: Path) -> None:
    document, kept = tmp_path / "benchmarks.md", tmp_path / "results.json"
    document.write_text("no place\n", encoding="utf-8")
    save(kept, result("m", "verify", "old"))
    save(tmp_path / "one.json", result("m", "verify", "new"))
    before = kept.read_bytes()
    one = str(tmp_path / "one.json")
    done = run("--rows", one, "--write", str(document), "--kept", str(kept))
    assert done.returncode != 0
    assert kept.read_bytes() == before and document.read_text("utf-8") == "no place\n"
