"""Name what bounds a federation export, so that a hostile one costs a reader little (spec/07)."""

from __future__ import annotations

from typing import Final

from maillon.protocol.limits import FRAME_BYTES_MAX as PROTOCOL_FRAME_BYTES_MAX

MANIFEST_BYTES_MAX: Final = 262_144
"""603 files of at most 160 bytes each are 97 kB; this is also the largest value decoded at once."""

FILES_MAX: Final = 1_000
"""300 chains, the heads of 300 nodes, 300 checkpoints and three more, and some room."""

FRAME_BYTES_MAX: Final = PROTOCOL_FRAME_BYTES_MAX
"""One block with certificate and delta fits a frame of a stream, so it fits one here."""

FILE_BYTES_MAX: Final = 2**40
"""A terabyte: 3 thousand million transfers. A size beyond it is a mistake or an attack."""

FRAMES_MAX: Final = 2**32
"""Blocks in one chain: one a second for a century."""

HEADS_MAX: Final = 301
"""Frames in the file of one node: one head for each coop's chain, and one for the charter's."""

EVIDENCE_MAX: Final = 10_000
"""Fraud proofs in one export; each freezes a chain, so honest federations have a handful."""

CHECKPOINT_BYTES_MAX: Final = 65_536
"""A note with 300 cosignatures of at most 200 bytes each."""

CHUNK_BYTES: Final = 1_048_576
"""What a reader takes from a file at once."""
