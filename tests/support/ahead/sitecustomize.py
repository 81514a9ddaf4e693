"""Set the clock of a process ahead by $AHEAD_S seconds; Python imports this before anything else.

A node cannot be asked to wait for a week. So its process is told that the week has passed: what is
replaced is the machine's clock, nothing of ours.
"""

from __future__ import annotations

import os
import time

_AHEAD = int(os.environ.get("AHEAD_S", "0"))
_time, _time_ns = time.time, time.time_ns

if _AHEAD:
    time.time = lambda: _time() + _AHEAD
    time.time_ns = lambda: _time_ns() + _AHEAD * 1_000_000_000
