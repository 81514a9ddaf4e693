"""Claims about message ids and signatures that another implementation must share (spec/04)."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import hashlib

import pytest

from maillon.node import bounds
from support.nethost import TOPIC, signed_message


def test_the_id_of_a_message_is_of_its_content_only() -> None:
    from maillon.node.net.messages import message_id

    one, other = signed_message("one", b"content"), signed_message("other", b"content")
    assert message_id(one) == message_id(other) == hashlib.sha256(b"content").digest()[:20]
    assert message_id(one) != message_id(signed_message("one", b"Content"))


def test_a_message_signed_by_its_sender_holds() -> None:
    from maillon.node.net.messages import signature_holds

    assert signature_holds(signed_message("one", b"content"))


@pytest.mark.parametrize("field", ["data", "seqno", "topicIDs", "from_id", "signature"])
def test_a_message_changed_in_any_field_does_not_hold(field: str) -> None:
    from maillon.node.net.messages import signature_holds

    message = signed_message("one", b"content")
    if field == "topicIDs":
        message.topicIDs[:] = [TOPIC + "x"]
    elif field == "from_id":
        message.from_id = signed_message("other", b"").from_id
    else:
        old = getattr(message, field)
        setattr(message, field, bytes([old[0] ^ 1]) + old[1:])
    assert not signature_holds(message)


def test_seen_ids_expire_and_are_bounded() -> None:
    from maillon.node.net.messages import Seen

    now = 0.0
    seen = Seen(lambda: now)
    assert seen.add(b"first") and not seen.add(b"first") and seen.has(b"first")
    now = bounds.GOSSIP_SEEN_S + 1
    assert seen.add(b"second")
    assert not seen.has(b"first") and seen.has(b"second")
    for number in range(bounds.GOSSIP_SEEN_MAX + 10):
        seen.add(number.to_bytes(8, "big"))
    assert len(seen._until) <= bounds.GOSSIP_SEEN_MAX
