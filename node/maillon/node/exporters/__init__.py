"""Write records for other programs: lines of JSON, or a table."""

from __future__ import annotations

from maillon.node.exporters.records import CSV_COLUMNS, write_csv, write_jsonl

__all__ = ["CSV_COLUMNS", "write_csv", "write_jsonl"]
