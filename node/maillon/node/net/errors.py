"""Name what goes wrong between nodes before any record is read (spec/04, "Streams and frames")."""

from __future__ import annotations

from typing import cast

from maillon.protocol.errors import LocalError, RemoteError


class StreamBroken(RemoteError):
    """The peer reset the stream, or the connection under it ended; nobody is at fault."""

    code = "stream_broken"
    sentence = "The connection to the other node broke off."
    excusable = True


class StreamStalled(RemoteError):
    """The peer neither sent nor took anything for longer than the bound."""

    code = "stream_stalled"
    sentence = "The other node stopped answering."
    excusable = True


class FrameTooLarge(RemoteError):
    """A frame's length prefix is beyond FRAME_BYTES_MAX; `length` says what was claimed."""

    code = "frame_too_large"
    sentence = "The other node announced a frame beyond the limit."


class FrameTruncated(RemoteError):
    """The peer closed its side in the middle of a frame."""

    code = "frame_truncated"
    sentence = "The other node ended in the middle of a frame."


class NotConnected(LocalError):
    """No connection to that peer stands at the moment; the driver goes on dialling it."""

    code = "not_connected"
    sentence = "There is no connection to that node at the moment."


class DialFailed(LocalError):
    """None of a peer's addresses led to it."""

    code = "dial_failed"
    sentence = "The other node could not be reached at any of its addresses."


class ListenError(LocalError):
    """The node cannot listen where it was told to; `address` says where."""

    code = "listen_failed"
    sentence = "The node cannot listen at the address it was given."


class BadAddress(LocalError):
    """A multiaddress cannot be read or is of a kind this node does not dial."""

    code = "address"
    sentence = "That is not an address a node can be reached at."


class BadPeerId(LocalError):
    """A peer id is not that of an Ed25519 key."""

    code = "peer_id"
    sentence = "That is not the identifier of a node."


class NetworkDown(LocalError):
    """The host is not running: starting, restarting or shut down."""

    code = "network_down"
    sentence = "The network is not running at the moment."


class MessageTooLarge(LocalError):
    """Our own caller gave a message or a frame beyond its bound."""

    code = "message_too_large"
    sentence = "The message is larger than one message may be."


def reason(error: BaseException) -> str:
    """Return one line that says what went wrong, out of however many exceptions."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    text = str(error) or type(error).__name__
    cause = error.__cause__
    while cause is not None and not isinstance(cause, BaseExceptionGroup) and str(cause):
        text += f" ({cause})"
        cause = cause.__cause__
    return text[:300]
