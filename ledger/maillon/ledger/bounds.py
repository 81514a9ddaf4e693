"""Name what a witness and a writer bound for their own sake, each with its reason (spec/06-ledger).

Limits that are part of the format stand in `limits`. Two witnesses may differ in what stands here:
it decides what they refuse, when they give up, and how much they remember; never which blocks are
valid.
"""

from __future__ import annotations

from typing import Final

# --- Witnesses ----------------------------------------------------------------------------------

CLOCK_AHEAD_S_MAX: Final = 300
"""How far ahead of a witness's clock a block's time may be, in seconds: as a record's."""

CHARTER_BEHIND_MAX: Final = 1
"""How many charters a block may adopt behind the newest known: one may have come this minute."""

TERM_JUMP_MAX: Final = 2**24
"""How far a PREPARE may raise the counter of a term. Who stole a writer's key cannot use up all
2^53 counters in one message, after which nobody could ever write again."""

LEASE_S: Final = 60
"""How long a witness keeps the charter's chain for one opener (E1), in seconds: several times what
a block takes."""

TOKENS_PER_S: Final = 4_000
"""Signature checks a second that one chain may ask of a witness: half of what one core does."""

TOKENS_BURST: Final = 40_000
"""Tokens that gather while a chain is idle: 150 full blocks at once after an outage."""

PREPARE_TOKENS: Final = 100
"""What a PREPARE or an OPEN costs: it may carry a quorum's votes for each of several locks."""

BODIES_CACHED_MAX: Final = 32
"""Proposed bodies a witness keeps in memory, of 128 KiB at most each; the others are on its
disk."""

READ_KEPT_MAX: Final = 16
"""Certified blocks whose entries stay decoded until they are read, about 256 KiB each: as many as
come between two commits. The others are decoded again."""

FRAUDS_MAX: Final = 4_096
"""Fraud proofs kept: one a chain and accused. The convicted lose their keys in the charter."""

CONFIRMATIONS_MAX: Final = 1_000_000
"""Confirmations a witness holds, all chains together: about 200 bytes each. Holds are bounded by
accounts; this bounds what is in memory."""

# --- Catching up --------------------------------------------------------------------------------

ANSWER_BYTES: Final = 65_536
"""Where an answer of blocks ends, once it has one: a block may be larger than that alone."""

# --- Writers ------------------------------------------------------------------------------------

RETRY_S: Final = 2
"""After how many seconds without an answer a message is sent again for the first time."""

RETRY_S_MAX: Final = 32
"""Longest time between two repetitions, doubled from `RETRY_S`; witnesses that come back say so
themselves, by opening a connection."""

STUCK_S: Final = 10
"""After how many seconds without progress a writer tells its operator what it waits for."""

BACK_OFF_S_MAX: Final = 64
"""Longest mean wait of a writer that met another instance of itself, doubled from 1 s."""

CLAIM_MAX: Final = 2**20
"""How far a writer's counter follows one refusal that shows a higher term: a sixteenth of the leap
that witnesses refuse, so that those who follow the writer never do."""

GUESS_SHIFT_MAX: Final = 10
"""By at most 2^10 a writer's counter grows at once when a witness says, without proof, that it
follows a higher term."""

REBUILD_S: Final = 5
"""After how many seconds a writer looks again at what could not be placed in a block."""
REBUILD_S_MAX: Final = 3_600
"""After how many at the most, doubled each time while nobody's order waits."""

TRUSTEE_WAITS_S: Final = 60
"""How long what was sent to a coop waits for it before its trustee takes it or sends it back."""

OPENER_TURN_S: Final = 4
"""Seconds by which each coop waits longer than the one before to open the charter's chain: several
times what a block takes."""

OPENER_TURNS_MAX: Final = 10
"""Turns after which coops do not wait any longer for those before them."""

NEEDS_PER_S: Final = 32
"""Questions for blocks a writer answers one witness in a second: 2 MiB of blocks."""

REMEDIES_MAX: Final = 4
"""How often a writer tries to help a witness over one refusal in a term; then it counts as one."""

REPEATS_MAX: Final = 8
"""How often a certificate is sent again to a witness that does not answer; later it asks itself."""

WISHES_MAX: Final = 8_192
"""Entries that wait for a writer's next blocks: 32 full blocks. Beyond, whoever asks is told."""

CANDIDATES_MAX: Final = 8
"""Blocks of one height that a writer remembers to have built, to know what was in them once one is
certified."""
