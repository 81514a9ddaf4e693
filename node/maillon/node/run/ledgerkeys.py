"""The two keys of a node's accounts: one signs the blocks of its coop, one its votes as a witness.

A home from before there were accounts gets both at its next start, or when its card is made.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from maillon.node import keyring
from maillon.node.home import Home
from maillon.node.store.ledgerdisk import create_witness_key, open_witness_key
from maillon.protocol.keys import SigningKey


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """The opened keys of a node's accounts."""

    writer: SigningKey
    witness: SigningKey


def ensure_ledger_keys(home: Home, password: bytes) -> LedgerKeys:
    """Open both keys, made first where they are missing.

    Raises: WrongPassword, DamagedKeyFile, StoreError.
    """
    writer = keyring.ensure_writer(home, password, os.urandom)
    create_witness_key(home.path, password, os.urandom)
    return LedgerKeys(writer, open_witness_key(home.path, password))
