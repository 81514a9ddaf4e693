"""Bounds of what a node does for persons, each with its reason."""

from __future__ import annotations

CACHE_KIB = 2_048
"""Page cache of persons.db: the rows of a busy desk's day."""

PERSONS_ROWS_MAX = 2_000_000
"""Rows of one table of persons.db: ten years of a hundred cheques a day, five times over."""

BOOK_VOUCHERS_MAX = 100
"""Cheques of one book: what fits a stapler."""

BOOKS_OPEN_MAX = 16
"""Books of one account with cheques that can still be deposited."""

PAYMENT_TRIES_MAX = 4
"""How often a payment is signed anew within one request when other orders took its number."""

LINES_SEARCHED_MAX = 20_000
"""Lines of an account's statement that are searched for a ref before a cheque is paid: a register
that was restored from an older copy must not pay what the chain shows as paid."""

DEPOSITS_WAITING_MAX = 1_000
"""Cheques of other coops that wait for their node."""

DEPOSIT_RETRY_S = (10, 60, 300, 1_800, 7_200)
"""Pauses between two tries to reach the node of another coop; the last goes on."""

DEPOSIT_DAYS_MAX = 90
"""How long a deposit is tried before it is given back to the desk."""

DEPOSIT_ANSWER_S = 30.0
"""How long a deposit at another coop's node may take: a certificate of a quorum and some more."""

DEPOSITS_PER_PEER_MAX = 8
"""Deposits of one coop that are looked at at once."""

WRONG_SECRETS_PER_PEER_MAX = 100
"""Cheques with a wrong secret that one coop may send in a day: after that it is not listened to.
A secret has 128 bits; what is bounded is work, and noise."""

CLAIM_TRIES_MAX = 5
"""Wrong codes for one claim; then a new one must be made at the desk."""

CLAIMS_WRONG_PER_HOUR_MAX = 100
"""Codes of no claim at all that are looked at in an hour, whoever asks."""

CLAIMS_OPEN_MAX = 10_000
"""Claims that wait to be used."""

CONTEST_DAYS = 14
"""How long a recovery can be contested when the settings say nothing: two weeks of holidays."""

RECOVERIES_OPEN_MAX = 1_000
"""Recoveries that can be contested now."""

ACTS_SEARCHED_MAX = 50_000
"""Lines of a statement that are looked through for what delegates ordered."""

GROUPS_MAX = 1_000
"""Groups whose accounts a node keeps."""

GROUP_ORDERS_OPEN_MAX = 64
"""Payments of one group that wait for approvals."""

GROUP_ORDER_S = 30 * 86_400
"""How long members have to approve a payment: a monthly meeting."""

SPLITS_PER_RUN_MAX = 64
"""Incoming payments of a group that are split in one turn of the loop."""

MOVES_OPEN_MAX = 1_000
"""People who are about to leave for another coop."""

TICKET_S = 90 * 86_400
"""How long a ticket opens the door of the new coop."""

MOVES_LOOK_S = 3_600
"""Pause between two looks at all declared moves for one that the node's own files do not know."""

JOBS_PAUSE_S = 5.0
"""Pause between two looks at what goes on by itself; each look is a query by an index."""

RETENTION_PAUSE_S = 86_400
"""What was kept long enough is removed once a day."""

EXPORT_BYTES_MAX = 64 << 20
"""An export of one person: more records than anybody has published."""
