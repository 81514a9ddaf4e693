"""Run the auditor's tool: `python -m maillon.ledger audit EXPORT` (docs/audit.md)."""

from maillon.ledger.tool.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
