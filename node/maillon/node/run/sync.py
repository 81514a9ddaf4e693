"""Carry reconciliation sessions over streams: the same loop for both sides (spec/05)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import trio

from maillon.node.engine.frames import is_records
from maillon.node.events import Effect
from maillon.node.ports import FrameStream, SignatureItem

if TYPE_CHECKING:
    from maillon.node.engine.sync import Session

PROTOCOL = "/maillon/1/sync"


class Verdicts(Protocol):
    """Answers that may still be on their way."""

    @property
    def done(self) -> bool: ...

    async def wait(self) -> list[bool]: ...


# Begins to verify a batch; the answers are awaited later.
Verify = Callable[[Sequence[SignatureItem]], Verdicts]


async def run_session(
    session: Session,
    stream: FrameStream,
    now: Callable[[], float],
    verify: Verify,
    run: Callable[[Sequence[Effect]], None],
) -> None:
    """Drive one session to its end; what it holds of the engine is always given back.

    While the signatures of a batch are verified on other threads, the next ones are read and the
    ones before are stored.
    """
    session.start(now())
    verdicts: deque[Verdicts] = deque()

    async def settle(left: int) -> None:
        """Hand over what is verified already, and wait until no more than `left` are not."""
        while verdicts and (verdicts[0].done or len(verdicts) > left):
            answers = await verdicts.popleft().wait()
            # A session that broke off has let go of what it had given out.
            if session.unverified:
                session.verified(answers, now())
                run(session.take_effects())

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
                await settle(0)
                session.closed(now(), "silent" if scope.cancelled_caught else "closed")
                break
            if not session.takes(frame):
                await settle(len(verdicts) - 1 if is_records(frame) else 0)
            prepared = session.receive(frame, now())
            if prepared is not None:
                verdicts.append(verify(prepared.items))
            await settle(len(verdicts))
            run(session.take_effects())
    except trio.TooSlowError:
        session.closed(now(), "slow")
    finally:
        session.closed(now(), "broken")
        run(session.take_effects())
