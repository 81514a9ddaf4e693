"""Key files of people's own devices: made, opened and used without a node and without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from maillon.node.cli import base
from maillon.node.i18n import _

if TYPE_CHECKING:
    from maillon.protocol.keys import SealingKey, SigningKey

ENTROPY_BYTES: Final = 16
KEY_FILE_BYTES_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """The two keys of a device: one signs, one opens letters."""

    signing: SigningKey
    sealing: SealingKey


def key_file_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --key-file to a command that signs with somebody's own key."""
    function = base.password_option(function)
    return click.option(
        "--key-file",
        required=True,
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help=_("The key of the device, as `maillon device new` made it."),
    )(function)


def write_keys(path: Path, entropy: bytes, *, confirm: bool) -> DeviceKeys:
    """Write the keys that some entropy gives, sealed under a password. Raises: AlreadyExists."""
    import os

    from maillon.node import keyring
    from maillon.node.home import write_atomic
    from maillon.protocol import words

    if path.exists():
        base.fail(
            "already_exists",
            _("{path} exists already and was left as it is.").format(path=path),
            _("Choose another name."),
        )
    password = base.get_password(confirm=confirm)
    write_atomic(path, keyring.seal(entropy, password, os.urandom))
    return DeviceKeys(*words.derive(entropy))


def open_keys(path: str) -> DeviceKeys:
    """Open a key file. Raises: WrongPassword, DamagedKeyFile in words."""
    from maillon.protocol import keyfile, words
    from maillon.protocol.errors import DamagedKeyFile, WrongPassword

    with Path(path).open("rb") as file:
        data = file.read(KEY_FILE_BYTES_MAX)
    try:
        entropy = keyfile.open_key(data, base.get_password())
    except WrongPassword:
        raise WrongPassword(_("The password does not open {path}.").format(path=path)) from None
    except DamagedKeyFile:
        base.fail(
            "damaged_key_file", _("{path} is not a key file, or it is damaged.").format(path=path)
        )
    return DeviceKeys(*words.derive(entropy))
