"""Every bound of the exchanges of a node that is not part of the protocol, with its reason."""

from __future__ import annotations

from typing import Final

from maillon.protocol.limits import TRANSCRIPT_STEPS_MAX

DAY_S: Final = 86_400

STEPS_MAX: Final = TRANSCRIPT_STEPS_MAX
"""Steps of one exchange. What comes from elsewhere beyond it is not taken in; people here are
refused a little earlier."""

OWN_STEPS_MAX: Final = STEPS_MAX - 64
"""What people here may fill of it: payments and the answers of others still find room."""

EXCHANGES_MAX: Final = 200_000
"""Exchanges kept by a node: 100,000 members, of whom every tenth has twenty at a time."""

OPENINGS_MAX: Final = 64
"""Exchanges that one author elsewhere may have open with one person here without an answer: a
stranger cannot fill somebody's list."""

WAITING_MAX: Final = 1_000
"""Steps kept aside until the opening, or what vouches for their key, is known."""

WAITING_S: Final = 30 * DAY_S
"""How long such steps are kept: letters live three times as long, gossip catches up in minutes."""

ADDRESSEES_MAX: Final = 32
"""Keys that one step is sealed to: two people on eight devices each, their helpers, a mediator."""

LETTER_ITEMS_BYTES: Final = 48 * 1_024
"""Records in one letter when a whole transcript is handed on; a letter takes 60 KiB."""

LETTER_S: Final = 90 * DAY_S
"""How long a letter is tried: as long as the post office keeps one."""

REACTIONS_MAX: Final = 8
"""Steps that may follow from one another by themselves: a bundle's decision, a reservation, a
confirmation, a payment, a release. More would be a circle."""

HOLD_MARGIN_S: Final = 14 * DAY_S
"""How much longer a reservation lasts than the last deadline before it is paid: nodes that are away
and a mediation have their turn."""

HOLD_S_MAX: Final = 400 * DAY_S
"""Longest reservation: an agreement does not live longer either."""

CLOCK_SLACK_S: Final = 5
"""How far before the newest step it has seen a step of people here may be dated: the other side's
clock is a little ahead. The step takes the later time."""

DUE_SLICE: Final = 64
"""Exchanges looked at in one go because a deadline passed: others have their turn in between."""

ORDERS_LOOKED_AT: Final = 2_000
"""Orders under way that are compared with the ledger in one go."""

RETRY_S: Final = 3_600
"""How long after a refusal the same is not ordered again by itself: whoever pays may do so at once
when they have made room."""

STALE_TRIES_MAX: Final = 8
"""How often what lapsed is signed anew at once within that time: another order of the account, from
a device or given at the same moment, took its number. Nobody is that late that often by chance."""

NUMBERS_MAX: Final = 4_096
"""Accounts whose last number signed here is remembered: for the moment until an order is placed."""

MISSING_S: Final = 60
"""Wait before others are asked for steps that are missing: letters under way come by themselves.
Doubled each time."""

MISSING_TRIES_MAX: Final = 12
"""Times they are asked: the last time a fortnight after the first."""

ANSWER_S: Final = 30
"""How often one coop is sent what it misses of one exchange: asking is cheaper than answering."""

STRANGERS_MAX: Final = 256
"""Exchanges kept although nobody here has a part in them yet: a transcript handed on in several
letters says only at its end that somebody here is to mediate, or to take over."""

STRANGER_S: Final = DAY_S
"""How long they are kept: the letters of one transcript arrive together."""

FUNDING_S: Final = 120 * DAY_S
"""How long what a third party funds stays reserved: it does not know when the service is given."""

FUNDINGS_MAX: Final = 10_000
"""Requests to payers here that are kept."""

KEPT_S: Final = 400 * DAY_S
"""How long a finished exchange is kept where the configuration says nothing: a dispute, a tax
return, and the life of its records, which end after as long."""
