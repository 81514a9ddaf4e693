"""Every bound of the post's driver, with its reason; the office's own are in engine/post/bounds."""

from __future__ import annotations

from typing import Final

FRAMES_AHEAD_MAX: Final = 4
"""Frames sent before the first answer: the next is read while the other node commits this one."""

KEEP_ALIVE_S: Final = 45.0
"""An idle stream carries an empty frame so often: well within what counts as stalled (120 s)."""

LINK_KEPT_S: Final = 1_800.0
"""How long a stream is kept open without letters: the next letter then leaves at once."""

LINK_RETRY_S: Final = 1.0
"""Wait after a stream could not be opened or broke, doubled by each further time."""

LINK_RETRY_S_MAX: Final = 300.0
"""Longest such wait. A new connection ends it at once."""

FRAMES_BURST: Final = 64.0
FRAMES_RATE: Final = 16.0
"""Frames of one coop that are read at once, and a second: each may cost a durable commit. 16 frames
are up to 1,024 letters."""

BUCKETS_MAX: Final = 1_024
"""Coops whose rate is remembered: more than a federation has."""

READ_LETTERS: Final = 64
"""Letters of one key opened and handed in before other keys have their turn."""

READ_AGAIN_S: Final = 60.0
"""Wait before a letter is handed in again that could not be taken in."""

SCRUB_S: Final = 5.0
"""Wait between an erasure and cutting the write-ahead log, so that one cut serves many."""

INBOX_MAX: Final = 100
"""Letters that one request of a device gets."""
