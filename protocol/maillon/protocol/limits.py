"""Name every size, depth, count and wait that the protocol bounds (spec/01, table "Limits").

A limit here is part of the format: two nodes that disagree on one of them disagree on which
records exist. What a node bounds for its own sake (queues, caches) lives in the node's `bounds`.
"""

from __future__ import annotations

from typing import Final

# --- Values (spec/01) ---------------------------------------------------------------------------

INT_MAX: Final = 2**53 - 1
"""Greatest integer either side of zero: JavaScript keeps integers exact up to here."""

DEPTH_MAX: Final = 8
"""Containers inside one another, the outermost counted. Our deepest record uses 5; a recursive
reader in any language survives 8."""

STRING_BYTES_MAX: Final = 8_192
"""UTF-8 bytes in one string: twice the longest text of any kind (4,000 characters, most of them
two bytes at worst in the languages written here)."""

ARRAY_ITEMS_MAX: Final = 1_024
"""Items in one array: 1,000 ids (a revocation's `keep`, a sync request) and a little room."""

MAP_ITEMS_MAX: Final = 64
"""Fields in one map: the widest kind has about 25, unknown fields of later versions fit."""

KEY_BYTES_MAX: Final = 32
"""Bytes in a map key, `[a-z][a-z0-9_]{0,31}`."""

# --- Records (spec/03) --------------------------------------------------------------------------

HEADER_BYTES_MAX: Final = 1_024
"""A header with 16 references takes about 800 bytes."""

PAYLOAD_BYTES_MAX: Final = 16_384
"""An offer with 4,000 characters takes at most about 10 KiB; no pictures travel in records."""

RECORD_BYTES_MAX: Final = 18_432
"""Header, payload, signature (64) and framing (at most 12), rounded up to a multiple of 1 KiB."""

REFS_MAX: Final = 16
"""Records one header may point to; each costs every reader a look-up."""

SKEW_S_MAX: Final = 300
"""How far ahead of the reader's clock a record's `at` may be, in seconds."""

SALT_BYTES: Final = 16
"""Random bytes in each payload, so that the hash kept after erasure cannot be guessed from."""

# --- Messages (spec/04, spec/05) ----------------------------------------------------------------

BATCH_BYTES_MAX: Final = 65_536
"""One gossip message, and one frame of records: large enough that the cost of a message is spread
over about a hundred records, small enough that a relay forwards it without delay."""

FRAME_BYTES_MAX: Final = 262_144
"""One frame on a stream; nothing decoded at once is ever larger."""

BIN_BYTES_MAX: Final = FRAME_BYTES_MAX
"""Bytes in one binary value: only the whole it sits in bounds it (a frame carries a message, a
message records, a record a payload)."""

# --- Reconciliation (spec/05) --------------------------------------------------------------------

RECONCILE_MESSAGE_BYTES: Final = 61_440
"""Longest reconciliation message a node writes by default: with its framing one 64 KiB write. A
node reads up to `FRAME_BYTES_MAX`."""

RECONCILE_MESSAGE_BYTES_MIN: Final = 4_096
"""Least limit for written messages (that of Negentropy v1): room for one split and one list."""

RECONCILE_RANGES_MAX: Final = 16_384
"""Ranges in one message that is read: more fingerprints than this do not fit a frame; it bounds
the empty ranges a stranger can have us look up."""

RECONCILE_ROUNDS_MAX: Final = 2_048
"""Messages either side of one reconciliation takes: a million differences, ids listed, need about
a thousand. What is not found by then is found by the next one."""

RECONCILE_HAVE_IDS_MAX: Final = 8_192
"""Ids of our own that one step reports as missing at the peer; the rest is asked about again."""

RECONCILE_TODO_MAX: Final = 65_536
"""Ranges an initiator remembers to ask about (about 12 MB); beyond that it joins the last ones."""

# --- Letters (spec/08-letters) -------------------------------------------------------------------

LETTER_PLAIN_BYTES_MAX: Final = 61_440
"""Plaintext of one letter, padding included: three of the largest records and their memberships;
with its header still one write of 64 KiB."""

LETTER_PADDING_BYTES: Final = 512
"""Plaintexts are padded to a multiple of this: a yes is as long as a no, and a step without much
text as any other."""

LETTER_ITEMS_MAX: Final = 64
"""Items in one letter: a step, what vouches for it, and the steps of an exchange handed on."""

LETTER_HEADER_BYTES_MAX: Final = 256
"""A header takes at most 228 bytes: four of 32, one of 16, five integers, and framing."""

LETTER_BYTES_MAX: Final = LETTER_PLAIN_BYTES_MAX + LETTER_HEADER_BYTES_MAX + 64
"""Header, ephemeral key (32), tag (16), plaintext, and framing (at most 8)."""

LETTER_LIFETIME_S_MAX: Final = 90 * 86_400
"""Longest time a letter is kept for a device that does not fetch it: a summer, or an illness."""

LETTER_WINDOW: Final = 64
"""How far a letter's number may be ahead of the next one to be delivered in its thread: what is
missing is asked for again long before so many wait behind it."""

RELAY_SLACK_S: Final = 120
"""How much later than its deadline a relay's answer may arrive and be in time: a letter's way."""

MISSING_BYTES_MAX: Final = 4_096
"""Bytes of a question for missing steps: a hundred heads, of which eight are usual at most."""

THREAD_BYTES: Final = 16
"""Bytes of a thread's name: 2^64 threads before two of one coop are likely to share it."""

PUT_LETTERS_MAX: Final = 64
"""Letters in one frame; one durable commit serves them all."""

PUT_RANGES_MAX: Final = 256
"""Ranges of numbers that one frame gives up, asks for, or confirms."""

# --- Key files (spec/02) ------------------------------------------------------------------------

KEYFILE_BYTES_MAX: Final = 1_024
"""A sealed key file takes about 200 bytes."""

KEYFILE_MEMORY_KIB_MIN: Final = 19 * 1_024
"""Least Argon2id memory a reader accepts (OWASP's minimum for t = 2)."""

KEYFILE_MEMORY_KIB_MAX: Final = 1_024 * 1_024
"""Most Argon2id memory a reader spends on a file it was handed: 1 GiB. A hostile file could
otherwise demand terabytes."""

KEYFILE_ITERATIONS_MAX: Final = 16
"""Most Argon2id passes a reader spends: with 1 GiB about a minute on a small machine."""

KEYFILE_LANES_MAX: Final = 16
"""Most Argon2id lanes a reader accepts."""

KEYFILE_SECRET_BYTES_MAX: Final = 256
"""Longest secret a key file carries (a seed takes 32)."""

PASSWORD_BYTES_MAX: Final = 1_024
"""Longest password, in UTF-8 bytes."""

# --- Kinds of records (spec/03, spec/registry.md) -----------------------------------------------

REV_MAX: Final = 2**31 - 1
"""Greatest revision. A thief who jumps to it blocks a series only until the stolen key is revoked:
what it signed then stops counting, its revision with it."""

KEEP_MAX: Final = 400
"""Ids in a revocation's `keep`: 400 of 34 bytes are 13.6 kB of a payload's 16 KiB."""

STEP_REFS_MAX: Final = 8
"""Steps one step of an exchange may say it has seen last: two parties on a few devices each, a
mediator and a payer leave no more ends open at once."""

BIDS_MAX: Final = 400
"""Bids that take part in one auction: 400 ids of 34 bytes fill a close as they fill a `keep`."""

CONTEST_S_MIN: Final = 7 * 86_400
"""Least time in which a person can contest the new key that a coop vouches for: a week, in which a
letter on paper reaches who has no telephone at hand."""

MANDATE_KINDS_MAX: Final = 64
"""Kinds that one mandate names, or forbids: all that are open to mandates, and room for later."""

TRANSCRIPT_STEPS_MAX: Final = 2_000
"""Steps of one exchange after which none is added: a service every day for a year, each time with
check-in, check-out, acceptance and payment, and a few hundred messages."""

CHECK_IN_EARLY_S: Final = 86_400
"""How long before its appointment work may be said to begin: people come a day early by a word on
the telephone. Further ahead a check-in would only serve against somebody who cancels in time."""

BUNDLE_GRACE_S: Final = 7 * 86_400
"""How long after the last moment for a bundle's decision its parts stay reserved: a decision made
in time reaches everybody meanwhile, through anybody who holds it."""

UNKNOWN_FIELDS_MAX: Final = 32
"""Fields of later minor versions in one map of a known kind: half of a map's 64."""

# --- The founding document, cards and invitations (spec/02) -------------------------------------

COOPS_MAX: Final = 300
"""Founding coops: the largest federation planned for."""

FOUNDING_BYTES_MAX: Final = 131_072
"""300 coops of about 250 bytes, and as much again for what the ledger adds."""

FOUNDING_FILE_BYTES_MAX: Final = FOUNDING_BYTES_MAX + COOPS_MAX * 66 + 16
"""The document, 300 signatures of 64 bytes with 2 bytes of framing each, and the frame."""

ADDRESSES_MAX: Final = 8
"""Addresses of one node: TCP, WebSocket and QUIC over two families, and two relays."""

ADDRESS_CHARS_MAX: Final = 256
"""Characters in one multiaddr: the longest in use, a relayed WebSocket one, takes about 200."""

CARD_BYTES_MAX: Final = 4_096
"""A card with 8 of the longest addresses takes about 2.5 kB."""

# --- The terms of the ledger (spec/02, spec/06) ---------------------------------------------------

UNITS_MAX: Final = 16
"""Units of account of a federation: hours, a credit, what is counted, and room for later ones."""

WITNESSES_MAX: Final = 64
"""Witnesses of a federation. What a writer shows to open a term holds a certificate from each of a
quorum, so it grows with the square: 43 certificates of 2.9 kB fill half a frame."""

RECOVERY_S_MAX: Final = 366 * 86_400
"""Longest wait before a key that a coop vouches for becomes an account's: a year."""

ACCOUNTS_MAX: Final = 1_000_000
"""Greatest number of accounts a charter may allow a coop: ten times the largest one planned for."""

# --- Paper cheques (spec/08-persons) --------------------------------------------------------------

VOUCHER_BYTES_MAX: Final = 160
"""Two hashes, three ids of 16 bytes, a number and their framing: 128 to 136 bytes."""

VOUCHER_NUMBER_MAX: Final = (1 << 31) - 1
"""Number of a cheque within its account: ten digits, which people can still copy."""

TICKET_BYTES_MAX: Final = 512
"""A ticket of somebody who moves: an author, a coop, two keys, two times and a signature."""

TICKET_PACK_BYTES_MAX: Final = 2_048
"""A ticket with the key file of the key that moves, as text for paper."""
