"""What can go wrong with persons, in words for people."""

from __future__ import annotations

from typing import ClassVar

from maillon.protocol.errors import LocalError


class PersonsError(LocalError):
    """What is asked about persons cannot be done."""

    code: ClassVar[str] = "persons"


class NotFound(PersonsError):
    """There is no such thing here."""

    code: ClassVar[str] = "not_found"


class NotPossible(PersonsError):
    """Something stands against it now."""

    code: ClassVar[str] = "not_possible"


class PaidOtherwise(NotPossible):
    """The chain shows another payment of the same."""


class VoucherUnknown(PersonsError):
    """No cheque of this coop has this number and code."""

    code: ClassVar[str] = "voucher_unknown"


class VoucherUsed(PersonsError):
    """The cheque was deposited before."""

    code: ClassVar[str] = "voucher_used"


class VoucherBlocked(PersonsError):
    """The cheque was lost, or its book revoked."""

    code: ClassVar[str] = "voucher_blocked"


class VoucherExpired(PersonsError):
    """The cheque is too old."""

    code: ClassVar[str] = "voucher_expired"


class VoucherRefused(PersonsError):
    """What is written on the cheque cannot be paid by it."""

    code: ClassVar[str] = "voucher_refused"


class ClaimRefused(PersonsError):
    """The code opens nothing."""

    code: ClassVar[str] = "claim_refused"


class StatusRefused(PersonsError):
    """Somebody of this status is not paid in this unit."""

    code: ClassVar[str] = "provider_status"
