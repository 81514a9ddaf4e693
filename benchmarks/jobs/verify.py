"""The ceiling of everything else: bare Ed25519 verification, V on one core and V₂ on two."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from nacl.bindings import crypto_sign_open

from harness import Harness

NAME = "verify"
DESCRIPTION = "bare signature verification, by library and with the strict rule (ceiling V and V₂)"


def items(h: Harness, count: int) -> list[tuple[bytes, bytes, bytes]]:
    """Return (public key, message, signature) of `count` distinct 200-byte messages."""
    from maillon.protocol.keys import SigningKey

    keys = [SigningKey.from_seed(h.rng.randbytes(32)) for _ in range(16)]
    made: list[tuple[bytes, bytes, bytes]] = []
    for i in range(count):
        key, body = keys[i % 16], h.rng.randbytes(200)
        made.append((key.public, b"maillon/1/record\0" + body, key.sign("record", body)))
    return made


def bare(batch: list[tuple[bytes, bytes, bytes]]) -> int:
    """Verify a batch with libsodium and nothing else; return how many there were."""
    for public, message, signature in batch:
        crypto_sign_open(signature + message, public)
    return len(batch)


def bare_pool(pool: ThreadPoolExecutor, batch: list[tuple[bytes, bytes, bytes]]) -> int:
    """Verify a batch with libsodium on the two threads of a pool: the ceiling V₂."""
    chunks = [batch[i : i + 128] for i in range(0, len(batch), 128)]
    return sum(pool.map(bare, chunks))


def run(h: Harness) -> None:
    """Measure the ceilings, and what the strict rule adds to them."""
    from maillon.node.verify import nacl_backend
    from maillon.protocol.keys import cryptography_backend, signature_ok

    batch = items(h, 512 if h.quick else 4096)
    with ThreadPoolExecutor(2) as pool:
        rounds = h.rounds(
            {
                "V": lambda: bare(batch),
                "V2": lambda: bare_pool(pool, batch),
                "strict": lambda: sum(
                    signature_ok(p, m, s, backend=nacl_backend) for p, m, s in batch
                ),
                "openssl": lambda: sum(
                    signature_ok(p, m, s, backend=cryptography_backend) for p, m, s in batch
                ),
            }
        )
    h.row("V: libsodium, one core", rounds.rate("V", "wall"), "/s")
    h.row("V: a verification", 1e6 * rounds.median("V"), "µs")
    h.ratio_row("V₂ / V (two threads)", rounds.ratio("V2", "V", "wall"))
    h.ratio_row("strict rule with libsodium / V", rounds.ratio("strict", "V"))
    h.ratio_row("strict rule with OpenSSL / V", rounds.ratio("openssl", "V"))
    public, message, signature = batch[0]
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    h.control(
        "a flipped signature",
        not signature_ok(public, message, flipped, backend=nacl_backend)
        and not signature_ok(public, message, flipped, backend=cryptography_backend),
    )
