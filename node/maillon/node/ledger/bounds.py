"""Bounds of the ledger on a node: every size, queue, count and wait, with its reason."""

from __future__ import annotations

SIGNATURES_REMEMBERED = 65_536
"""Signatures found good lately, about 120 bytes each: 256 orders of a block and its commits pass
by four times within a second."""

INBOX_MAX = 4_096
"""Messages that wait for the ledger, in all; a stream whose messages find no room waits."""
INBOX_PEER_MAX = 128
"""Messages of one stream that wait: 300 witnesses' writers find room at once."""
BATCH_MAX = 512
"""Messages that share one commit: more would keep the first waiting for the last."""

LINK_QUEUE_MAX = 64
"""Messages that wait for one witness; a writer says everything again that got lost."""
LINK_BYTES_MAX = 4 * 1_024 * 1_024
"""Bytes that wait for one witness: a slow one holds up itself."""
LINK_RETRY_S = 1.0
LINK_RETRY_S_MAX = 30.0
"""Waits between two attempts to open a stream to a witness, doubled by each failure."""

CALL_S = 15.0
"""How long an answer to a question may take: blocks of 64 KiB over a slow line."""
COMPARE_S = 20.0
"""Time between two comparisons of heads, each with the connected peer not asked for longest; one
message of some 80 bytes a chain when nothing is new."""

FETCH_BLOCKS_MAX = 4_096
"""Blocks fetched from one peer in one go; the next comparison goes on."""

FETCHES_MAX = 2
"""Peers that one chain is fetched from at once."""

HINTS_BYTES_MAX = 60 * 1_024
"""Hints gathered in one gossip message, under the 64 KiB of a message."""
HINTS_MAX = 64
"""Hints in one message, each with a certificate to verify."""
HINTS_WAIT_S = 0.1
"""How long a hint waits for company: a chain makes at most some blocks a second."""
HINTS_PENDING_MAX = 256
"""Hints of chains waiting to be gossiped or fetched; beyond it the oldest goes."""
FRAUDS_TOLD_MAX = 64
"""Proofs of fraud told again at a connection: more than ever stand uncleared at one time."""
HINTS_RATE = 20.0
HINTS_BURST = 400.0
"""Hints a second that are read from one peer; comparison of heads brings the rest."""

ORDERS_WAITING_MAX = 20_000
"""Orders given and not certified: a week without the network at a coop of 10,000 members."""
ORDERS_ACCOUNT_MAX = 256
"""Orders of one account that wait."""

READ_BLOCKS_MAX = 64
"""Blocks of a chain taken into the index in one run: others have their turn."""

ROUNDS_MAX = 8
"""Times that one run looks again at what follows from what it did: a lone coop's transfer takes
four."""

RELOADS_MAX = 16
"""Times that the ledger is loaded again after a fault of ours; then the node ends, and tells."""

LOOK_AGAIN_S = 60
"""Time between two looks for holds that have expired."""

REFUSED_KEPT_MAX = 2_000
"""Refused orders that are kept with their reason, the latest."""

ORDER_LIFETIME_S = 14 * 86_400
"""How long an order made here may wait for the network; then it is refused, and nothing moved."""

EXPORT_PEERS_MAX = 32
"""Nodes whose heads go into an export: each is asked at once, and may take CALL_S."""

LATER_MAX = 1_024
"""Writes that wait for a commit to go with; beyond it one is made for them."""

ARRIVALS_WAIT_S = 0.2
"""How long what came from other coops waits for more of it, or for a block that is made anyway: a
block costs the federation the same for one arrival as for a hundred."""

LATENCIES_KEPT = 100
"""Transfers whose time to the certificate is remembered."""

WAIT_S_MAX = 120.0
"""How long an answer of the interface may wait for a certificate."""
REVOKE_WAIT_S = 10.0
"""How long the end of a mandate is waited for: who ends one wants to know."""

RIVAL_QUIET_S = 3_600
"""After how long without a sign of it another process of this coop counts as gone: two that run at
once meet within seconds, whenever anything is given."""
OWN_TERMS_MAX = 32
"""Own terms that are remembered per chain: those whose word a witness may still hold."""
WAITERS_MAX = 1_024
"""Answers of the interface that wait at once."""
ARRIVAL_S_MAX = 5.0
"""How long an answer waits for the other coop: it takes a second or two, or its node is away."""

KEYS_KEPT_S = 90 * 86_400
"""How long a key that something was asked under is known: a quarter's bookkeeping."""
KEYS_DROPPED_MAX = 64
"""Outdated rows of such keys that go with a new one: more than come with it, so they get fewer."""

# --- numbers of orders --------------------------------------------------------------------------

SIGNED_NUMBERS_MAX = 16_384
"""Accounts whose last number is remembered, signed and not placed yet: 100 bytes each."""

SIGNED_ANEW_MAX = 3
"""How often a payment is signed anew whose number was taken: more of the chain is known then."""
