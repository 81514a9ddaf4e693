"""The command `maillon`."""

from __future__ import annotations

import sys

from maillon.node.i18n import _


def main() -> None:
    """Run the command line of this process and exit."""
    # Imported here so that `import maillon.node.cli` costs nothing.
    try:
        from maillon.node.cli.app import run
    except ModuleNotFoundError as fault:
        if str(fault.name).startswith("maillon"):
            raise
        raise SystemExit(tell_not_installed(str(fault.name))) from None

    raise SystemExit(run())


def tell_not_installed(module: str) -> int:
    """Say that only the protocol is installed, not the node; return the exit code.

    `pip install maillon` installs this command too, without the packages that it needs.
    """
    what = _("maillon: the node is not installed here, only the protocol ({module} is missing).")
    advice = _("  Install it with: pip install 'maillon[node]' (docs/operator.md tells more).")
    print(what.format(module=module), advice, sep="\n", file=sys.stderr)
    return 1


__all__ = ["main", "tell_not_installed"]
