"""What the parts of the desk share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import Caller

if TYPE_CHECKING:
    from maillon.node.engine.exchange.core import ExchangeCore, Taken
    from maillon.node.exchange.asking import Acting, Asking
    from maillon.node.exchange.ports import Host
    from maillon.node.exchange.runner import ExchangeRunner
    from maillon.node.exchange.showing import Showing


class Part:
    """A part of `ExchangeDesk`, which fills in what is declared here."""

    _host: Host
    _runner: ExchangeRunner

    @property
    def core(self) -> ExchangeCore:
        """Return what decides."""
        raise NotImplementedError

    @property
    def asking(self) -> Asking:
        """Return what resolves names and fields."""
        raise NotImplementedError

    @property
    def showing(self) -> Showing:
        """Return what shows exchanges."""
        raise NotImplementedError

    def _shown(self, exchange: bytes, caller: Caller) -> shapes.Exchange:
        raise NotImplementedError

    async def _act(
        self,
        kind: str,
        fields: Mapping[str, Any],
        acting: Acting,
        exchange: bytes | None,
        caller: Caller,
        wait_s: float,
    ) -> shapes.StepDone:
        raise NotImplementedError

    async def _done(self, taken: Taken, caller: Caller, wait_s: float) -> shapes.StepDone:
        raise NotImplementedError

    def _device_author(
        self, coop: bytes, key: bytes, as_: str | None, caller: Caller, kind: str
    ) -> bytes:
        raise NotImplementedError
