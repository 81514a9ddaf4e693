"""A coop's own keys on disk: made once, opened with a password, restored from recovery words.

root.key     16 bytes of entropy, which are the twelve recovery words; may be moved offline
sealing.key  the X25519 secret that the same words give
node.key     the Ed25519 seed of this machine's node: not in the words, replaced when lost
writer.key   the Ed25519 seed that signs the blocks of this coop's accounts: not in the words either
             (the key of its witness lies in votes.db and nowhere else, see store/ledgerdisk.py)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from maillon.node.home import Home, write_atomic
from maillon.node.i18n import _
from maillon.protocol import keyfile, words
from maillon.protocol.errors import DamagedKeyFile, LocalError, WrongPassword
from maillon.protocol.keys import SealingKey, SigningKey

ENTROPY_BYTES = 16  # twelve words, as strong as the signatures they make
PASSWORD_FILE_BYTES_MAX = 4_096
PASSWORD_CHARACTERS_MIN = 8
CREDENTIAL = "maillon-password"

Random = Callable[[int], bytes]


class KeyMissing(LocalError):
    """A key file is not there."""

    code: ClassVar[str] = "key_missing"


class PasswordMissing(LocalError):
    """There is no password and nobody to ask for it."""

    code: ClassVar[str] = "password_missing"


@dataclass(frozen=True, slots=True)
class CoopKeys:
    """The opened keys of a coop."""

    root: SigningKey
    sealing: SealingKey


def seal(secret: bytes, password: bytes, random: Random) -> bytes:
    """Return the bytes of an encrypted key file."""
    return keyfile.seal_key(
        secret, password, salt=random(keyfile.SALT_BYTES), nonce=random(keyfile.NONCE_BYTES)
    )


def create_keys(home: Home, password: bytes, entropy: bytes, random: Random) -> CoopKeys:
    """Write root, sealing, node and writer key; nothing that exists is overwritten."""
    root, sealing = words.derive(entropy)
    home.keys.mkdir(mode=0o700, exist_ok=True)
    write_atomic(home.key("root"), seal(entropy, password, random))
    write_atomic(home.key("sealing"), seal(sealing.secret_bytes(), password, random))
    write_atomic(home.key("node"), seal(random(32), password, random))
    write_atomic(home.key("writer"), seal(random(32), password, random))
    return CoopKeys(root, sealing)


def _open(home: Home, name: str, password: bytes) -> bytes:
    path = home.key(name)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise KeyMissing(
            _("The key file {path} is not there.").format(path=path),
            hint=_("Bring it back from a backup, or use: maillon key restore"),
            key=name,
        ) from None
    try:
        return keyfile.open_key(data, password)
    except WrongPassword:
        raise WrongPassword(_("The password does not open {path}.").format(path=path)) from None
    except DamagedKeyFile as fault:
        raise DamagedKeyFile(
            _("{path} is not a key file, or it is damaged.").format(path=path),
            hint=_("Bring it back from a backup, or use: maillon key restore"),
            **fault.facts,
        ) from None


def open_entropy(home: Home, password: bytes) -> bytes:
    """Return the entropy that the recovery words spell."""
    return _open(home, "root", password)


def holds_entropy(home: Home, password: bytes, entropy: bytes) -> bool:
    """Tell whether the root key on disk is this one already; False when there is none.

    Raises: WrongPassword, DamagedKeyFile: what is there and cannot be opened is not passed over.
    """
    return root_is_here(home) and open_entropy(home, password) == entropy


def open_root(home: Home, password: bytes) -> SigningKey:
    """Open the coop's root key. Raises: KeyMissing when it is kept elsewhere."""
    return words.derive(open_entropy(home, password))[0]


def open_node(home: Home, password: bytes) -> SigningKey:
    """Open the key of this node."""
    return SigningKey.from_seed(_open(home, "node", password))


def open_writer(home: Home, password: bytes) -> SigningKey:
    """Open the key that signs the blocks of this coop's accounts."""
    return SigningKey.from_seed(_open(home, "writer", password))


def ensure_writer(home: Home, password: bytes, random: Random) -> SigningKey:
    """Open the writer key, made first in a home from before there were accounts."""
    if not home.key("writer").is_file():
        home.keys.mkdir(mode=0o700, exist_ok=True)
        write_atomic(home.key("writer"), seal(random(32), password, random))
    return open_writer(home, password)


def open_sealing(home: Home, password: bytes) -> SealingKey:
    """Open the coop's sealing key."""
    return SealingKey.from_seed(_open(home, "sealing", password))


def root_is_here(home: Home) -> bool:
    """Tell whether the root key is on this machine."""
    return home.key("root").is_file()


def check_secret_file(path: Path) -> None:
    """Raise PasswordMissing when others than the owner may read a file that holds a secret."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        raise PasswordMissing(
            _("Others can read {path}, so it is not used.").format(path=path),
            hint=_("Run: chmod 600 {path}").format(path=path),
        )


def find_password_file(chosen: Path | None, home: Home) -> Path | None:
    """Return the file that holds the password: as chosen, from the environment, or the home's own.

    The order is --password-file, $MAILLON_PASSWORD_FILE, systemd's $CREDENTIALS_DIRECTORY, and
    <home>/password, which `init --generate-password` writes.
    """
    if chosen is not None:
        return chosen
    named = os.environ.get("MAILLON_PASSWORD_FILE")
    if named:
        return Path(named)
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and (Path(directory) / CREDENTIAL).is_file():
        return Path(directory) / CREDENTIAL
    own = home.path / "password"
    return own if own.is_file() else None


def read_password_file(path: Path) -> bytes:
    """Return the first line of a password file. Raises: PasswordMissing."""
    try:
        # systemd's credentials are readable by root and the service alone, by its own means.
        if os.environ.get("CREDENTIALS_DIRECTORY", "\0") not in str(path):
            check_secret_file(path)
        with path.open("rb") as file:
            data = file.read(PASSWORD_FILE_BYTES_MAX)
    except FileNotFoundError:
        raise PasswordMissing(
            _("The password file {path} is not there.").format(path=path)
        ) from None
    except (IsADirectoryError, NotADirectoryError):
        raise PasswordMissing(
            _("{path} is not a file with a password.").format(path=path)
        ) from None
    password = data.splitlines()[0] if data.splitlines() else b""
    if not password:
        raise PasswordMissing(_("The password file {path} is empty.").format(path=path))
    return password
