"""The command `maillon`."""

from __future__ import annotations


def main() -> None:
    """Run the command line of this process and exit."""
    # Imported here so that `import maillon.node.cli` costs nothing.
    from maillon.node.cli.app import run

    raise SystemExit(run())


__all__ = ["main"]
