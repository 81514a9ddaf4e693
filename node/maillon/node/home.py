"""Where a node keeps what is its own: paths, files written whole or not at all, and the lock.

<home>/config.toml     settings, edited by people
<home>/founding.bin    the founding document of the federation, signed by every founder
<home>/keys/*.key      root, node, sealing and writer key, each encrypted under the password
<home>/node.db         the federation's records; can be fetched again from any other node
<home>/private.db      the register of people and the keys held for them; exists nowhere else
<home>/ledger.db       the certified accounts of the federation, and the orders given here
<home>/votes.db        what this node promised as a witness, with its key; never leaves the machine
<home>/exchange.db     the exchanges of people here: their signed steps
<home>/letters.db      sealed letters: those to be sent, and those to members
<home>/matching.db     saved searches and what opens sealed bids, sealed; notices; demands relayed
<home>/access.db       tokens, sessions and passkeys, as hashes; answers to repeated requests
<home>/api.sock        the local API while the node runs
<home>/node.lock       held while the node runs
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

# The kernel's sun_path holds 108 bytes with its closing zero.
SOCKET_PATH_BYTES_MAX = 107
KEYS = ("root", "sealing", "node", "writer")


class HomeError(LocalError):
    """The home directory is missing, occupied or cannot be used."""

    code: ClassVar[str] = "home"


class NotInitialised(HomeError):
    """There is no node in the directory yet."""

    code: ClassVar[str] = "not_initialised"


class NotInFederation(HomeError):
    """The node exists and has neither founded nor joined a federation yet."""

    code: ClassVar[str] = "no_federation"


class AlreadyExists(HomeError):
    """Something that must not be overwritten is in the way."""

    code: ClassVar[str] = "already_exists"


class AlreadyRunning(HomeError):
    """Another process runs this node."""

    code: ClassVar[str] = "already_running"


def default_home() -> Path:
    """Return $MAILLON_HOME, else the place the XDG base directory specification gives."""
    chosen = os.environ.get("MAILLON_HOME")
    if chosen:
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "maillon"


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one node."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def founding(self) -> Path:
        return self.path / "founding.bin"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def database(self) -> Path:
        return self.path / "node.db"

    @property
    def private(self) -> Path:
        return self.path / "private.db"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.db"

    @property
    def votes(self) -> Path:
        return self.path / "votes.db"

    @property
    def access(self) -> Path:
        return self.path / "access.db"

    @property
    def exchanges(self) -> Path:
        return self.path / "exchange.db"

    @property
    def letters(self) -> Path:
        return self.path / "letters.db"

    @property
    def socket(self) -> Path:
        return self.path / "api.sock"

    @property
    def lock(self) -> Path:
        return self.path / "node.lock"

    def key(self, name: str) -> Path:
        """Return the file of the key `name`: root, node, sealing or writer."""
        return self.keys / f"{name}.key"

    @property
    def has_keys(self) -> bool:
        """Tell whether any key of a node is here."""
        return any(self.key(name).exists() for name in KEYS)

    def require(self) -> None:
        """Raise NotInitialised when there is no node here, or one whose settings are gone."""
        if self.config.is_file():
            return
        if self.has_keys:
            raise NotInitialised(
                _("The settings of the node in {path} are missing; its keys are there.").format(
                    path=self.path
                ),
                hint=_("Write config.toml again with: maillon init --name NAME"),
            )
        raise NotInitialised(
            _("There is no node in {path}.").format(path=self.path),
            hint=_("Create one with: maillon init --name NAME"),
        )

    def require_founding(self) -> bytes:
        """Return the bytes of the founding file, or raise NotInFederation."""
        self.require()
        try:
            return self.founding.read_bytes()
        except FileNotFoundError:
            raise NotInFederation(
                _("This node belongs to no federation yet."),
                hint=_(
                    "Found one with: maillon federation found --name NAME; "
                    "or join one with: maillon federation join CODE"
                ),
            ) from None


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600, replace: bool = False) -> None:
    """Write a file so that it is found whole or not at all, even after a power cut.

    Without `replace` a file that is there already is left alone and AlreadyExists is raised; the
    check and the creation are one step (a hard link), so two processes cannot both win.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)  # whatever the umask
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            try:
                os.link(temporary, path)
            except FileExistsError:
                raise AlreadyExists(
                    _("{path} exists already and was left as it is.").format(path=path),
                    hint=_("Move it away first, or choose another place with --output or --home."),
                ) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make what was renamed, created or removed in a directory survive a power cut."""
    # A rename is durable only when the directory that holds the name is.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def hold_lock(home: Home) -> Generator[None]:
    """Hold the node's lock, or raise AlreadyRunning naming the process that holds it.

    libp2p listens with SO_REUSEPORT: a second process on the same port starts without an error
    and the two share its connections. Only this lock prevents it. The kernel lets go of it when
    the process ends, however it ends.
    """
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            raise AlreadyRunning(
                _("This node is running already (process {pid}).").format(pid=holder or "?"),
                hint=_("See it with: maillon status"),
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        yield
    finally:
        os.close(descriptor)


def is_locked(home: Home) -> bool:
    """Tell whether a process runs this node now."""
    try:
        descriptor = os.open(home.lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def listen_socket(home: Home) -> socket.socket:
    """Return a bound Unix socket at <home>/api.sock that only its owner may open.

    Called with the lock held, so that a socket file found here is a dead node's.
    """
    path = os.fsencode(home.socket)
    if len(path) > SOCKET_PATH_BYTES_MAX:
        raise HomeError(
            _("The path {path} is too long for a socket ({n} bytes at most).").format(
                path=home.socket, n=SOCKET_PATH_BYTES_MAX
            ),
            hint=_("Move the node to a directory with a shorter path."),
        )
    with contextlib.suppress(FileNotFoundError):
        home.socket.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Narrow the mask before the name appears: with chmod alone there is a moment in which
    # everybody could connect.
    before = os.umask(0o177)
    try:
        listener.bind(path)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener
