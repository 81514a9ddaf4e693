"""Carry reconciliation sessions over streams: the same loop for both sides (spec/05)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import trio

from maillon.node.events import Effect
from maillon.node.ports import FrameStream, SignatureItem

if TYPE_CHECKING:
    from maillon.node.engine.sync import Session

PROTOCOL = "/maillon/1/sync"

Verify = Callable[[Sequence[SignatureItem]], Awaitable[list[bool]]]


async def run_session(
    session: Session,
    stream: FrameStream,
    now: Callable[[], float],
    verify: Verify,
    run: Callable[[Sequence[Effect]], None],
) -> None:
    """Drive one session to its end; what it holds of the engine is always given back."""
    session.start(now())
    try:
        while True:
            # Frames are made one at a time, when the one before has left: a slow reader holds up
            # its own session and no memory.
            while (out := session.pull(now())) is not None:
                with trio.fail_after(session.silence_s_max):
                    await stream.send(out)
            if session.over:
                break
            frame: bytes | None = None
            with trio.move_on_after(session.silence_s_max) as scope:
                frame = await stream.receive()
            if frame is None:
                session.closed(now(), "silent" if scope.cancelled_caught else "closed")
                break
            prepared = session.receive(frame, now())
            if prepared is not None:
                session.verified(await verify(prepared.items), now())
            run(session.take_effects())
    except trio.TooSlowError:
        session.closed(now(), "slow")
    finally:
        session.closed(now(), "broken")
        run(session.take_effects())
