"""What pages know of the coop whose node serves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class House:
    """The coop, its clock, and where pages get time and random bytes.

    `zone` is a name of the IANA database; `point` latitude and longitude in degrees of the office;
    `now` returns Unix seconds, `random` random bytes; `samples` shows the page /kit, for tests.
    """

    name: str
    zone: str
    now: Callable[[], int]
    random: Callable[[int], bytes]
    languages: tuple[str, ...] = ()
    about: str = ""
    phone: str = ""
    email: str = ""
    url: str = ""
    hours: str = ""
    place: str = ""
    """The office in words: name, street, town."""
    point: tuple[float, float] | None = None
    secure: bool = False
    """Whether all of it goes through TLS: cookies say so then, also those that are no secret."""
    samples: bool = False
