"""Which clock a coop goes by: a name of the IANA time zone database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

USUAL: Final = "Europe/Paris"

# By the beginning of an INSEE code: France outside of Europe (the zones of the IANA database).
_TERRITORIES: Final = {
    "971": "America/Guadeloupe",
    "972": "America/Martinique",
    "973": "America/Cayenne",
    "974": "Indian/Reunion",
    "975": "America/Miquelon",
    "976": "Indian/Mayotte",
    "977": "America/St_Barthelemy",
    "978": "America/Marigot",
    "986": "Pacific/Wallis",
    "987": "Pacific/Tahiti",
    "988": "Pacific/Noumea",
}


def zone_of_territory(codes: Iterable[str]) -> str:
    """Return the zone of a coop that serves these INSEE codes."""
    found = {_TERRITORIES.get(code[:3], USUAL) for code in codes}
    return found.pop() if len(found) == 1 else USUAL


def is_zone(name: str) -> bool:
    """Tell whether there is a zone of this name."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
