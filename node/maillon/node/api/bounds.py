"""Bounds of the interface over TCP, and of what it keeps, each with its reason."""

from __future__ import annotations

EVENTS_KEPT_MAX = 4_096
"""Events that can be read again after a broken connection: an hour of a busy node, some 2 MB."""
EVENT_BYTES_MAX = 2_048
"""Facts of one event as JSON: ids and numbers, of which sixteen ids are 1,100 bytes."""
EVENT_HEARTBEAT_S = 20.0
"""Silence after which a listener gets an empty line: proxies close what is silent for a minute."""
LISTENERS_MAX = 256
"""Who may listen at once: one task and one connection each."""
LISTENERS_PER_CALLER_MAX = 4
"""Of one session or token: some tabs of a browser."""
