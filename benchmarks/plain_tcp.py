"""The least that certifying a block costs: the same two rounds between processes over plain TCP.

One writer and n - 1 more witnesses, each a process of its own that keeps its votes in SQLite with
`synchronous=FULL`. No encryption, no framing but a length, no state, no validity but signatures:
a floor to hold the node against, never a ledger. A message is a length of four bytes and a body.

    propose   0x01, 32 bytes of block hash, signature of the writer, member signatures to check
    vote      0x02, place, signature        one commit to disk before it leaves
    lock      0x03, q votes                 each verified
    commit    0x04, place, signature        one commit to disk before it leaves
"""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import struct
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from maillon.node.store.database import sqlite3

LENGTH = struct.Struct(">I")
SIGNATURE = 64
HASH = 32
MEMBER_MESSAGE = 200  # bytes that a member signs for a transfer, about


def key_of(name: int) -> SigningKey:
    """Return the key of a participant; fixed, because nothing here is secret."""
    return SigningKey(bytes([name]) * 32)


def send(connection: socket.socket, body: bytes) -> None:
    """Send one message."""
    connection.sendall(LENGTH.pack(len(body)) + body)


def receive(connection: socket.socket) -> bytes:
    """Return the next message, or nothing when the other side has closed."""
    head = _exactly(connection, LENGTH.size)
    return _exactly(connection, LENGTH.unpack(head)[0]) if head else b""


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = connection.recv(count)
        if not part:
            return b""
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class Votes:
    """What a witness must not forget, on disk before it answers."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(str(path), isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE vote (key BLOB PRIMARY KEY, value BLOB)")

    def keep(self, key: bytes, value: bytes) -> None:
        """Commit one vote."""
        self._connection.execute("INSERT OR REPLACE INTO vote VALUES (?, ?)", (key, value))


def member_orders(count: int) -> bytes:
    """Return signed messages of members, as they stand in a block."""
    member = key_of(200)
    return b"".join(
        bytes(member.sign(number.to_bytes(MEMBER_MESSAGE, "big"))) for number in range(count)
    )


def check_orders(orders: bytes) -> None:
    """Verify every member's signature. Raises: nacl's BadSignatureError."""
    verify = key_of(200).verify_key.verify
    step = SIGNATURE + MEMBER_MESSAGE
    for at in range(0, len(orders), step):
        verify(orders[at : at + step])


def witness(place: int, path: str, port: Any) -> None:
    """Serve one writer until it hangs up."""
    key, writer, votes = key_of(place), key_of(1).verify_key, Votes(Path(path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port.send(server.getsockname()[1])
        connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while message := receive(connection):
            block = message[1 : 1 + HASH]
            if message[0] == 1:
                at = 1 + HASH + SIGNATURE
                writer.verify(block, message[1 + HASH : at])
                check_orders(message[at:])
                votes.keep(b"vote" + block, message)
                answer = bytes(key.sign(b"vote" + block).signature)
                send(connection, bytes([2, place]) + answer)
            else:
                _check_quorum(b"vote" + block, message[1 + HASH :])
                votes.keep(b"lock" + block, message)
                answer = bytes(key.sign(b"commit" + block).signature)
                send(connection, bytes([4, place]) + answer)


def _check_quorum(signed: bytes, votes: bytes) -> None:
    for at in range(0, len(votes), 1 + SIGNATURE):
        key_of(votes[at]).verify_key.verify(signed, votes[at + 1 : at + 1 + SIGNATURE])


class Certifier:
    """The writer, itself the first of n witnesses."""

    def __init__(self, connections: Sequence[socket.socket], votes: Votes) -> None:
        self._connections = connections
        self._votes = votes
        self._count = 0
        n = len(connections) + 1
        self._quorum = -(-(n + (n - 1) // 3 + 1) // 2)

    def certify(self, orders: bytes = b"") -> bytes:
        """Have one block certified and return its certificate: q signatures."""
        self._count += 1
        block, key = self._count.to_bytes(HASH, "big"), key_of(1)
        check_orders(orders)
        self._votes.keep(b"proposal" + block, orders)
        proposal = b"\1" + block + bytes(key.sign(block).signature) + orders
        votes = self._round(proposal, b"vote" + block)
        return self._round(b"\3" + block + votes, b"commit" + block)

    def _round(self, message: bytes, signed: bytes) -> bytes:
        for connection in self._connections:
            send(connection, message)
        self._votes.keep(signed, message)
        answers = [b"\1" + bytes(key_of(1).sign(signed).signature)]
        for connection in self._connections:
            answer = receive(connection)[1:]
            if len(answers) < self._quorum:
                key_of(answer[0]).verify_key.verify(signed, answer[1:])
                answers.append(answer)
        return b"".join(answers)


@contextlib.contextmanager
def certifier(n: int, tmp: Path) -> Generator[Certifier]:
    """Run n - 1 witnesses in processes of their own, and yield the writer that is the nth."""
    context = multiprocessing.get_context("spawn")
    processes: list[Any] = []
    connections: list[socket.socket] = []
    try:
        for place in range(2, n + 1):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=witness, args=(place, str(tmp / f"plain-{n}-{place}.db"), theirs)
            )
            process.start()
            processes.append(process)
            connection = socket.create_connection(("127.0.0.1", ours.recv()))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)
        yield Certifier(connections, Votes(tmp / f"plain-{n}-1.db"))
    finally:
        for connection in connections:
            connection.close()
        for process in processes:
            process.join(5)
            process.kill()
