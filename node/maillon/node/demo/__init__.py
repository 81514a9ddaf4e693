"""The demonstration: a federation of real nodes, as separate processes, on real open data.

`maillon demo` founds a federation of five coops of neighbouring départements, lets them publish,
spread, find and withdraw, brings in a sixth one late, kills one and restarts it, lets residents
give each other hours and exchange services in every way there is, and checks at every step that
the nodes agree. Nothing in it is special: it drives the same commands and the
same local interface as a person would.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] = ()) -> int:
    """Run the demonstration with its own options and return the exit code."""
    from maillon.node.demo.command import demo

    result: object = demo.main(list(arguments), prog_name="maillon demo", standalone_mode=False)
    return result if isinstance(result, int) else 0
