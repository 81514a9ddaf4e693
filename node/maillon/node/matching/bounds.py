"""Bounds of matching, each with its reason."""

from __future__ import annotations

from typing import Final

CACHE_KIB: Final = 2_048

MATCHES_MAX: Final = 50
"""Proposals in one answer: more than anybody reads."""

JUDGED_MAX: Final = 64
"""Of the records that were read, those whose times, marks and dealings are looked up as well."""

SEARCHES_PER_PERSON_MAX: Final = 20
"""Saved searches of one person."""

SEARCHES_MAX: Final = 20_000
"""Saved searches on a node: each is compared with every new record, some ten microseconds."""

SEARCH_BYTES_MAX: Final = 4_096
"""A saved search as JSON, sealed."""

NOTICES_PER_PERSON_MAX: Final = 200
"""Notices kept for one person; the oldest give way."""

PROPOSED_MAX: Final = 10
"""Counterparts that somebody is told of unasked, for each new record."""

ARRIVALS_BATCH: Final = 16
"""New records looked at in one go; between two goes others have their turn."""

LOOK_S: Final = 0.5
"""Pause before new records are looked at, so that many at once are looked at together."""

WATCH_SLICE: Final = 500
"""Saved searches compared with a record before others have their turn: some five milliseconds."""

MARKS_SLICE: Final = 500
"""Rows of the store looked at in one go when a node starts and reads all marks."""

MARKS_SLICE_FIRST: Final = 5_000
"""The same while all marks are read for the first time, most rows being something else."""

NEWS_S: Final = 30 * 86_400
"""What was made longer ago and arrives only now, at a first synchronisation, is no news."""

KEEP_PLACE: Final = 500
"""Records looked at before it is written down how far one is, when nobody was told anything."""

OPENINGS_PER_PERSON_MAX: Final = 1_000
"""Sealed bids and lots of one person or the coop that wait to be opened: three a day for a year."""

OPENINGS_MAX: Final = 200_000
"""The same for all of a node: some 60 MB."""

CLEAN_S: Final = 3_600
"""Pause between two looks at what has ended."""

TEXTS_MAX: Final = 50
"""Newest texts about somebody in one answer."""

DEALINGS_READ_MAX: Final = 500
"""Exchanges of a person that are looked at for whom they dealt with."""

RELAYS_OPEN_PER_COOP_MAX: Final = 500
"""Requests of one coop that wait for an answer here; what is beyond is refused."""

RELAYS_MAX: Final = 100_000
"""Requests that are remembered for the figures: a hundred a day for three years."""

RELAY_TEXT_MAX: Final = 2_000
"""Characters of what is said with a request or an answer."""

RELAY_TICK_S: Final = 5.0
"""Longest pause between two looks at the deadlines."""

RELAYED_AGE_S: Final = 3_600
"""A demand that was made longer ago is not handed to a relay: it came from a backup."""
