"""Let groups pay for exchanges: what is asked of their accounts, once enough have signed."""

from __future__ import annotations

from collections.abc import Sequence

from maillon.node.engine.exchange import bounds, notes
from maillon.node.engine.exchange.core import ExchangeCore
from maillon.node.engine.exchange.notes import FundingNote
from maillon.node.exchange.ports import Host
from maillon.node.exchange.runner import ExchangeRunner
from maillon.protocol.keys import SigningKey


class JointFundings:
    """Implements persons.host.Fundings over the exchanges of a node."""

    def __init__(self, core: ExchangeCore, host: Host, runner: ExchangeRunner) -> None:
        self._core = core
        self._host = host
        self._runner = runner

    def asked(self, author: bytes) -> Sequence[FundingNote]:
        """Return what a payer here is asked, or was and is on its way."""
        kept = self._core.store.notes(notes.FUNDING, limit=bounds.FUNDINGS_MAX)
        found = map(notes.funding_note, kept)
        return [n for n in found if n.payer == author and n.status in ("open", "ordered")]

    def request(self, id: bytes) -> FundingNote | None:
        """Return one request."""
        return self._core.funding.note(id)

    def refusal(self, note: FundingNote) -> tuple[str, str]:
        """Return why the last order for a request was refused: code and words, or nothing."""
        refused = self._core.refused(note)
        return ("", "") if refused is None else (refused.reason, refused.detail or refused.reason)

    async def fund(self, request: bytes, key: SigningKey, wait_s: float) -> None:
        """Order what was asked with the key of a group's account.

        Raises: NotAllowed when it is not asked any more; what refuses the order.
        """
        note = self._core.funding.note(request)
        self._runner.do(self._core.fund_jointly(request, key, self._host.time()))
        if wait_s and note is not None:
            await self._runner.settled(note.exchange, wait_s)
            # What became of it is noted with the request before anybody is told.
            self._runner.do(self._core.look_at_fundings(self._host.time()))
