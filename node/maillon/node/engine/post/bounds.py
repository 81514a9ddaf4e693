"""Every bound of the post office that is not part of the protocol, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1_024
MIB: Final = 1_024 * KIB
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a post office keeps, and for how long."""

    bytes_max: int = 1_024 * MIB
    """All letters on the disk, coming and going: some half a million of the usual 2 KiB."""

    out_letters_max: int = 100_000
    """Letters of this coop that wait to be sent, in all."""

    out_bytes_max: int = 256 * MIB
    """Their bytes: a coop's correspondence while a partner's node is away for a week."""

    owner_letters_max: int = 2_000
    """Letters that one member has waiting: a hundred open exchanges with several devices each."""

    owner_bytes_max: int = 16 * MIB

    coop_letters_max: int = 50_000
    """Letters from one coop that nobody has fetched yet."""

    coop_bytes_max: int = 256 * MIB
    """A quarter of the disk: one coop does not fill it."""

    addressee_letters_max: int = 4_000
    """Letters waiting for one key: a device that is away for a whole summer."""

    addressee_bytes_max: int = 16 * MIB

    pair_share: int = 2
    """One coop fills at most the half of what waits for one key."""

    arrived_bytes_max: int = 128 * MIB
    """Letters kept after they arrived; the earliest go first beyond it."""

    arrived_s: int = 8 * DAY_S
    """How long a letter is kept after it arrived, for a node that is brought back from a copy: last
    week's, made weekly, and a day to notice."""

    taken_s: int = 7 * DAY_S
    """How long a letter is kept after it was taken, for a device that loses what it fetched."""

    gap_s: int = 3 * DAY_S
    """How long letters wait for one before them: a node that stays away longer holds nothing up."""

    gap_end_s: int = 3_600
    """And no longer than until so many seconds before their own end."""

    thread_s: int = 200 * DAY_S
    """How long the numbers of a thread without letters are remembered: more than two lives of a
    letter, so that no letter comes to a thread that was forgotten before it."""

    retry_s: int = 30
    """Wait after a letter was not taken in, doubled by each further time."""

    retry_s_max: int = 3_600
    """Longest such wait: a box that was emptied fills within the hour."""

    resend_s: int = 60
    """A letter without an answer is sent again after this."""

    flight_letters_max: int = 256
    """Letters on their way to one coop at a time."""

    parcel_bytes_max: int = 192 * KIB
    """Letters in one frame: three quarters of what a frame may have."""

    jump_s: int = 3_600
    """A clock that goes ahead by more than this between two looks is not believed at once: ..."""

    jump_wait_s: int = 3_600
    """... nothing ends for so long, in which a wrong clock is usually set right."""

    slice_rows: int = 256
    """Letters ended, erased or passed over in one look; the next look takes the next ones."""

    tick_s: int = 30
    """Longest wait between two looks."""


SERIES_OF_BACKOFFS: Final = 16
"""Doublings that are counted: beyond, the longest wait holds anyway."""

THREADS_A_DAY: Final = 10_000
"""Threads forgotten in one look, some ten milliseconds: more than a node begins in a day."""
