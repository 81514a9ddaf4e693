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

# --- signing in ---------------------------------------------------------------------------------

CHALLENGE_S = 300
"""How long a challenge may be answered: a person finds their glasses in it."""
CHALLENGES_USED_MAX = 4_096
"""Challenges remembered because they were used: sign-ins of five minutes."""
SESSION_S_MAX = 30 * 86_400
"""The longest session; then one signs in again."""
SESSION_IDLE_S = 12 * 3_600
"""A session ends when it was not used for so long: a day's work with its breaks."""
TOKEN_DAYS_MAX = 400
"""The longest token, as memberships are renewed within such a time."""
TOKENS_PER_PERSON_MAX = 32
"""Tokens of one person at once: some devices and programs."""
TOKENS_OF_COOP_MAX = 256
"""Tokens of programs of the coop."""
SESSIONS_PER_PERSON_MAX = 32
"""Sessions of one person at once; the one not used longest makes room."""
PASSKEYS_PER_PERSON_MAX = 16
"""Passkeys of one person: telephones and keys on a ring."""
TOUCH_S = 300
"""The last use of a token or session is written again after so long: a write to disk each time
would cost more than the request."""
LOGINS_PER_S = 0.2
LOGINS_BURST = 20.0
"""Attempts to sign in from one address: a whole neighbourhood house behind one, and no guessing."""

# --- requests -----------------------------------------------------------------------------------

RATES_KEPT_MAX = 16_384
"""Callers whose rate is remembered, about 200 bytes each."""

# --- repeated requests --------------------------------------------------------------------------

ANSWER_KEPT_S = 86_400
"""How long an answer can be had again: a device was in a tunnel, or out of power for a night."""
ANSWER_BYTES_MAX = 65_536
"""The longest answer that is kept; of a longer one only that it was given."""
ANSWERS_PER_CALLER_MAX = 2_048
"""Answers kept for one caller: a day of one request each 40 seconds."""
ANSWERS_KEPT_MAX = 65_536
"""Answers kept in all: at 1 KB each, 64 MB."""
SAME_REQUEST_WAIT_S = 30.0
"""How long a repeated request waits for the first, before it is told that it goes on."""

# --- the TCP listener ---------------------------------------------------------------------------

TCP_CONNECTIONS_MAX = 256
"""Connections at once. Each costs two tasks and some 40 KiB."""
TCP_CONNECTIONS_PER_ADDRESS_MAX = 64
"""Of one address: a browser opens six, a neighbourhood house shares one address."""
TCP_HEAD_BYTES_MAX = 16 * 1_024
"""Request line and headers: the longest search and the largest cookie have 4 KB together."""
TCP_IDLE_S = 20.0
"""How long a connection may be silent between requests, or take for the head of one."""
TCP_BODY_S = 30.0
"""How long the body of a request may take to come: 256 KiB over a bad mobile line."""
TCP_STALL_S = 20.0
"""How long a client may take none of an answer before its connection is cut."""
TCP_REQUESTS_PER_CONNECTION_MAX = 10_000
"""Requests on one connection; then it says goodbye, and the client opens another."""
TCP_PENDING_MAX = 128
"""Connections that the system holds while they wait to be accepted."""
ORIGINS_MAX = 16
"""Web addresses that the operator may name."""

# --- forms of pages -----------------------------------------------------------------------------

FORM_BYTES_MAX = 65_536
"""The longest body of a form: sixteen fields of the longest text (web.bounds)."""
FORM_FIELDS_MAX = 256
"""Fields of a form: a week of hours and every condition of access."""
