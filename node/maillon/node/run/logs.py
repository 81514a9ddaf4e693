"""The node's log: lines for people or JSON for machines, on standard error; never a secret.

systemd or whatever runs the node keeps and rotates it. What is logged: starts and stops, peers,
faults, counts. What is not: searches, contents of records, names, tokens, keys.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = ("token", "password", "secret", "seed", "words", "entropy", "invitation")


def _without_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop fields that are named like a secret, and show bytes as short hexadecimal."""
    for name in list(event):
        if any(part in name for part in _SECRET):
            event[name] = "(not logged)"
        elif isinstance(event[name], bytes):
            event[name] = event[name][:8].hex()
    return event


def set_up_logging(level: str, form: str) -> None:
    """Send the log of this process to standard error."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_secrets,
    ]
    if form == "json":
        renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries speak up only about trouble
    logging.getLogger("maillon").setLevel(level.upper())
    # libp2p reports each refused connection as an error; the driver counts and tells what matters.
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def get_log(name: str) -> Any:
    """Return a logger that takes fields: log.info("started", addresses=3)."""
    return structlog.stdlib.get_logger(name)
