"""Compare the clock with the other nodes' (spec/10, "Time").

A record dated more than five minutes ahead is refused by everybody, and a clock that is behind
refuses everybody's. Neither side can see from a refusal which of the two is wrong; the median of
the federation's clocks can. One stream of PROTOCOL: the asker sends nothing and reads one frame,
[1, milliseconds].
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from maillon.node.i18n import _
from maillon.node.run.logs import get_log
from maillon.protocol import encoding
from maillon.protocol.errors import MaillonError, Malformed

if TYPE_CHECKING:
    from maillon.node.net import Libp2pNetwork
    from maillon.node.ports import FrameStream

log = get_log("maillon.node")

PROTOCOL = "/maillon/1/time"
ASK_S_MAX = 5.0
ASK_AGAIN_S = 600.0
ASK_FIRST_S = 3.0
ASKED_MAX = 8
FRAME_BYTES_MAX = 64
SKEW_S_TOLD = 120


class Timekeeping:
    """Ask some peers for their time now and then; never change the machine's clock."""

    def __init__(self, network: Libp2pNetwork, now_ms: Callable[[], int]) -> None:
        self._network = network
        self._now_ms = now_ms
        self.skew_s: int | None = None
        """Seconds by which this clock is ahead of the median of the others', None when unknown."""

    async def answer(self, stream: FrameStream) -> None:
        """Tell a peer what time it is here."""
        await stream.send(encoding.encode([1, self._now_ms()]))

    async def run(self) -> None:
        """Ask again and again; soon while nobody has answered yet."""
        while True:
            await trio.sleep(ASK_FIRST_S if self.skew_s is None else ASK_AGAIN_S)
            await self.compare()

    async def compare(self) -> None:
        """Ask connected peers and take the median of the differences."""
        peers = [peer.key for peer in self._network.peers() if peer.connected][:ASKED_MAX]
        differences: list[float] = []
        for peer in peers:
            try:
                with trio.fail_after(ASK_S_MAX):
                    differences.append(await self._ask(peer))
            except (MaillonError, trio.TooSlowError):
                continue
        if differences:
            before = self.notice()
            self.skew_s = round(statistics.median(differences) / 1000)
            now = self.notice()
            if now is not None and before is None:
                log.warning("clock", skew_s=self.skew_s, notice=now)

    async def _ask(self, peer: bytes) -> float:
        """Return by how many milliseconds our clock is ahead of a peer's."""
        sent = self._now_ms()
        stream = await self._network.open_stream(peer, PROTOCOL)
        frame = await stream.receive()
        received = self._now_ms()
        await stream.close()
        if frame is None:
            raise Malformed(rule="time_frame")
        value = encoding.decode(frame, bytes_max=FRAME_BYTES_MAX)
        if type(value) is not list or len(value) < 2 or type(value[1]) is not int:
            raise Malformed(rule="time_frame")
        # The answer was written about half-way between the two.
        return (sent + received) / 2 - value[1]

    def notice(self) -> str | None:
        """Return a sentence when this clock is too far from the others'."""
        if self.skew_s is None or abs(self.skew_s) < SKEW_S_TOLD:
            return None
        minutes = max(1, round(abs(self.skew_s) / 60))
        if self.skew_s > 0:
            return _(
                "This machine's clock is {n} minutes ahead of the other nodes': "
                "they refuse what is published here. Set it right."
            ).format(n=minutes)
        return _(
            "This machine's clock is {n} minutes behind the other nodes': "
            "what they publish is refused here. Set it right."
        ).format(n=minutes)
