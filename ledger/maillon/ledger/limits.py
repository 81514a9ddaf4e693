"""Name every size, count and amount that the ledger bounds (spec/06-blocks.md, "Limits").

A limit here is part of the format, as those of `maillon.protocol.limits` are: two witnesses that
disagree on one of them disagree on which blocks are valid.
"""

from __future__ import annotations

from typing import Final

from maillon.protocol.limits import COOPS_MAX, FRAME_BYTES_MAX, INT_MAX, WITNESSES_MAX
from maillon.protocol.limits import UNITS_MAX as _UNITS_MAX

# --- Amounts ------------------------------------------------------------------------------------

AMOUNT_MAX: Final = 10**12
"""Greatest amount of one transfer, in minor units: ten thousand million of a credit with two
decimals. Nine thousand such transfers one way still fit a balance."""

BALANCE_MAX: Final = INT_MAX
"""Greatest balance, credit limit or sum, either side of zero; also what "no maximum" is written
as."""

SEQ_MAX: Final = INT_MAX
"""Greatest sequence number of an account's orders."""

SEQ_GAP_MAX: Final = 2**20
"""How far an order's number may be above its account's last one. Room for a book of paper cheques
and for devices that number on their own; and whoever may sign an order, a delegate of a few minutes
among them, cannot use up an account's numbers: that takes 2^33 orders, each of which moves
something."""

HEIGHT_MAX: Final = INT_MAX
"""Greatest height of a block."""

COUNTER_MAX: Final = INT_MAX
"""Greatest counter of a term and of a witness's votes."""

CHANNEL_MAX: Final = INT_MAX
"""Greatest number of a message of a channel."""

UNITS_MAX: Final = _UNITS_MAX
"""Units of a charter, the founding ones and those added; an account has at most one position in
each."""

# --- Blocks -------------------------------------------------------------------------------------

HASH_BYTES: Final = 32
"""Bytes of every hash, coop id and federation id."""

ENTRY_SALT_BYTES: Final = 32
"""Random bytes hashed before an entry: after erasure the hash tells nothing of what it was."""

ACCOUNT_BYTES: Final = 16
"""Bytes of an account's id; a person's is the id of its membership."""

ENTRIES_MAX: Final = 256
"""Entries of a block: with 100 a block, the signatures of witnesses weigh 1 % of the members'."""

BODY_BYTES_MAX: Final = 131_072
"""A block's body, encoded whole: half of a frame, and 256 entries of 500 bytes."""

HEADER_BYTES_MAX: Final = 256
"""A header: 6 hashes of 34 bytes, 4 numbers of at most 9, the count and the size, 250 at most."""

SLOTS_MAX: Final = 2**32
"""Slots of a chain's state: accounts and channels; a slot's number takes four bytes."""

ENTRY_BYTES_MAX: Final = 4_096
"""An entry of a coop's chain. The longest carries a return, that carries a payment, each with its
path: about 1.3 kB."""

ENTRY_PATH_MAX: Final = 8
"""Hashes of a path inside a block: 2^8 = 256 entries."""

HISTORY_PATH_MAX: Final = 53
"""Hashes of a path in a chain's history: 2^53 blocks."""

EVIDENCE_MAX: Final = ENTRIES_MAX
"""Foreign blocks that a body proves: at most one an entry."""

APPROVALS_MAX: Final = COOPS_MAX
"""Approvals in a charter block: at most one a coop."""

DELTA_MAX: Final = 1_024
"""Rows a block changes: each entry touches at most three, and the totals stand once."""

BLOCK_BYTES_MAX: Final = FRAME_BYTES_MAX - 1_024
"""A block with certificate and delta: it fits a frame. Rows that do not fit stand as leaves."""

ROW_BYTES_MAX: Final = 32_768
"""A row of the state: 64 holds of about 310 bytes, 16 mandates, 8 keys, 16 positions."""

# --- Orders -------------------------------------------------------------------------------------

ORDER_BODY_BYTES_MAX: Final = 512
"""What a person signs: a hold with everything takes 346 bytes, a mandate over 16 units 319."""

ORDER_BYTES_MAX: Final = ORDER_BODY_BYTES_MAX + 160
"""The body, a key, a mandate's id, a signature and their framing."""

CATEGORY_BYTES_MAX: Final = 64
"""A category's public code, `[a-z0-9]` with `_` and `-` inside."""

KEYS_MAX: Final = 8
"""Keys of an account: the devices of a person, or the people who act for an organisation."""

HOLDS_MAX: Final = 64
"""Holds that one account has open as payer."""

MANDATES_MAX: Final = 16
"""Mandates on one account."""

PERIOD_S_MIN: Final = 3_600
"""Shortest period of a mandate's limits: an hour."""

PERIOD_S_MAX: Final = 366 * 86_400
"""Longest period of a mandate's limits: a year."""

# --- Witnesses and certificates -----------------------------------------------------------------

NONCE_BYTES: Final = 16
"""Random bytes of a term, fresh at each start of a writer's process."""

CERTIFICATE_BYTES_MAX: Final = 4_608
"""64 commits of 66 bytes, the bitmap, and at most 160 bytes of what they say."""

VOTE_QC_BYTES_MAX: Final = CERTIFICATE_BYTES_MAX + WITNESSES_MAX * 9
"""As a certificate, and a counter for each vote."""

PROOF_BYTES_MAX: Final = 32_768
"""What certifies a block: a certificate, or on a re-founding block 300 signatures of roots with
their coops, 101 bytes each."""

# --- Messages -----------------------------------------------------------------------------------

REASON_FACTS_BYTES_MAX: Final = 2_048
"""What a refusal says of why a block is invalid."""

HEADS_MAX: Final = 2 * COOPS_MAX + 1
"""Chains of a federation: one for each coop it has or had, and the charter's."""

BLOCKS_MAX: Final = 256
"""Blocks in one answer; the frame bounds them before."""

HINTS_MAX: Final = 64
"""Hints in one gossip message."""

PROPOSAL_BYTES_MAX: Final = 98_304
"""A charter proposal: re-founding 300 chains takes about 55 kB."""

TITLE_BYTES_MAX: Final = 200
"""A proposal's title."""

FRAUD_BYTES_MAX: Final = 1_024
"""A fraud proof: two signatures and what they say, at most 560 bytes."""
