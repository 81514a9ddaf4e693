"""Find the programs that the books are read with, or skip with the reason.

hledger, ledger, poppler and qpdf come from the distribution (``tools/audit_tools`` installs them),
bean-check and datasette from the development tools.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

DISTRIBUTION = ("hledger", "ledger", "pdftoppm", "pdftotext", "qpdf")


def real_tool(name: str) -> str:
    """Return the path of a program; skip the test when it is not installed.

    With $MAILLON_AUDIT_TOOLS=required its absence is a failure: a run that is meant to have them
    (.ci/run as root) must not pass by skipping.
    """
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if found is None:
        hint = "tools/audit_tools" if name in DISTRIBUTION else "make dev"
        reason = f"{name} is not installed ({hint} installs it)"
        if os.environ.get("MAILLON_AUDIT_TOOLS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found
