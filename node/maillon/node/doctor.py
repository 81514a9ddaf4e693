"""Examine a node: what is wrong, and what to do about it.

Every check stands alone and works on a node that does not start; none changes anything.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from maillon.node import clock, keyring
from maillon.node.config import Config, load_config
from maillon.node.home import Home, is_locked
from maillon.node.i18n import _
from maillon.node.matching.storage import FILE as MATCHING_FILE
from maillon.protocol.errors import LocalError, MaillonError

FREE_BYTES_BAD = 100 * 1024 * 1024
FREE_BYTES_NOTE = 1024 * 1024 * 1024
# A record may be dated five minutes ahead; beyond that others refuse what this node signs.
SKEW_S_BAD = 300
SKEW_S_NOTE = 30
PROFILE_S_NOTE = 180 * 86_400
DIAL_S = 3.0
# A node that is away over a weekend is nothing to act upon.
LETTERS_DAYS_NOTE = 3
# No clock of a working machine is before this program was written.
YEAR_2025 = 1_735_689_600


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: `level` is good, note or bad; `advice` says what to do."""

    check: str
    level: str
    message: str
    advice: str = ""


class Client(Protocol):
    """What the examination asks of a running node."""

    def get(self, path: str, **parameters: Any) -> Any: ...


def examine(
    home: Home, password: bytes | None, client: Callable[[], Client] | None
) -> list[Finding]:
    """Return what was found, in the order in which things depend on each other."""
    findings: list[Finding] = []
    if not home.config.is_file():
        return [
            Finding(
                "home",
                "bad",
                _("There is no node in {path}.").format(path=home.path),
                _("Create one with: maillon init --name NAME"),
            )
        ]
    findings += _home(home)
    config, found = _config(home)
    findings += found
    findings += _keys(home, password)
    findings += _founding(home)
    findings += _disk(home)
    findings += _databases(home)
    findings += _votes(home, password)
    findings += _clock()
    running = is_locked(home)
    if running and client is not None:
        findings += _running(client)
    elif running:
        findings.append(Finding("running", "good", _("The node is running.")))
    else:
        advice = _("Start it with: maillon run")
        findings.append(Finding("running", "note", _("The node is not running."), advice))
        if config is not None:
            findings += _ports(config)
    return findings


def _home(home: Home) -> Iterator[Finding]:
    mode = stat.S_IMODE(home.path.stat().st_mode)
    if mode & 0o007:
        yield Finding(
            "home",
            "bad",
            _("Everybody on this machine can look into {path}.").format(path=home.path),
            _("Run: chmod 700 {path}").format(path=home.path),
        )
    if not os.access(home.path, os.W_OK):
        yield Finding(
            "home",
            "bad",
            _("{path} cannot be written by this user.").format(path=home.path),
            _("Run this as the user who owns the node's directory."),
        )
    elif not mode & 0o007:
        yield Finding(
            "home", "good", _("The directory {path} is yours alone.").format(path=home.path)
        )


def _config(home: Home) -> tuple[Config | None, list[Finding]]:
    try:
        config = load_config(home)
    except LocalError as fault:
        return None, [Finding("config", "bad", str(fault), fault.hint or "")]
    return config, [Finding("config", "good", _("The settings can be read."))]


def _keys(home: Home, password: bytes | None) -> Iterator[Finding]:
    openers: dict[str, Callable[[Home, bytes], object]] = {
        "node": keyring.open_node,
        "sealing": keyring.open_sealing,
        "root": keyring.open_root,
        "writer": keyring.open_writer,
    }
    for name, opener in openers.items():
        path = home.key(name)
        if not path.is_file():
            if name == "root":
                yield Finding(
                    "keys",
                    "note",
                    _("The root key is not on this machine."),
                    _("It is needed to renew the coop's profile; keep it where you find it."),
                )
            elif name == "writer":
                yield Finding(
                    "keys",
                    "note",
                    _("The writer key is not there; the node makes one when it starts."),
                    _("If the coop kept accounts before, bring it back from a backup first."),
                )
            else:
                yield Finding(
                    "keys",
                    "bad",
                    _("The key file {path} is missing.").format(path=path),
                    _("Bring it back from a backup, or use: maillon key restore"),
                )
            continue
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding(
                "keys",
                "bad",
                _("Others can read {path}.").format(path=path),
                _("Run: chmod 600 {path}").format(path=path),
            )
        if password is None:
            continue
        try:
            opener(home, password)
        except MaillonError as fault:
            hint = fault.hint if isinstance(fault, LocalError) else None
            message = _("The {name} key cannot be opened: {fault}").format(name=name, fault=fault)
            yield Finding("keys", "bad", message, hint or "")
        else:
            yield Finding("keys", "good", _("The {name} key opens.").format(name=name))
    if password is None:
        yield Finding(
            "keys",
            "note",
            _("The keys were not opened: no password was given."),
            _("Give it with --password-file FILE to try them."),
        )


def _founding(home: Home) -> Iterator[Finding]:
    from maillon.protocol.founding import open_founding

    try:
        data = home.require_founding()
    except LocalError as fault:
        yield Finding("federation", "note", str(fault), fault.hint or "")
        return
    try:
        founding = open_founding(data)
    except MaillonError as fault:
        yield Finding(
            "federation",
            "bad",
            _("The founding file is damaged: {fault}").format(fault=fault),
            _("Copy founding.bin from a backup or from another coop: it is the same for all."),
        )
        return
    message = _("The node belongs to {name}.").format(name=founding.name)
    yield Finding("federation", "good", message)


def _disk(home: Home) -> Iterator[Finding]:
    free = shutil.disk_usage(home.path).free
    message = _("{n} MB are free on the disk.").format(n=free // 1_000_000)
    if free < FREE_BYTES_BAD:
        yield Finding("disk", "bad", message, _("Make room: the node stops writing soon."))
    elif free < FREE_BYTES_NOTE:
        yield Finding("disk", "note", message, _("Make room before it is needed."))
    else:
        yield Finding("disk", "good", message)


def _databases(home: Home) -> Iterator[Finding]:
    from maillon.node.persons.storage import FILE as PERSONS_FILE
    from maillon.node.store.database import examine as quick_check
    from maillon.node.store.database import open_reader

    for path, advice in (
        (
            home.database,
            _("Stop the node and move node.db away: it fetches its records again from the others."),
        ),
        (
            home.private,
            _("Stop the node and bring private.db back from a backup: it exists nowhere else."),
        ),
        (
            home.ledger,
            _("Stop the node and bring ledger.db back from a backup; it fetches what is newer."),
        ),
        (
            home.access,
            _("Stop the node and move access.db away: people sign in again; passkeys are lost."),
        ),
        (
            home.exchanges,
            _(
                "Stop the node and bring exchange.db back from a backup: what came since is asked "
                "for again, what people here did since is at the other coop."
            ),
        ),
        (
            home.path / MATCHING_FILE,
            _("Stop the node and bring matching.db back from a backup: it exists nowhere else."),
        ),
        (
            home.path / PERSONS_FILE,
            _(
                "Stop the node and bring persons.db back from a backup; cheques that were paid "
                "since are found on the chain."
            ),
        ),
        (
            home.letters,
            _(
                "Stop the node and bring letters.db back from a backup: the other nodes send again "
                "what came since. Without one, move it away: letters that were not read are lost."
            ),
        ),
        (
            home.votes,
            _(
                "Stop the node and move votes.db away. Its witness gets a new key, which the other "
                "coops approve: maillon charter replace-key"
            ),
        ),
    ):
        if not path.exists():
            continue
        try:
            connection = open_reader(path, cache_kib=4_096)
            try:
                faults = quick_check(connection, path)
            finally:
                connection.close()
        except LocalError as fault:
            faults = [str(fault)]
        if faults:
            message = _("{name} is damaged: {fault}").format(name=path.name, fault=faults[0])
            yield Finding("database", "bad", message, advice)
        else:
            yield Finding("database", "good", _("{name} is whole.").format(name=path.name))
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield Finding(
                "database",
                "bad",
                _("Others can read {path}.").format(path=path),
                _("Run: chmod 600 {path}").format(path=path),
            )


def _votes(home: Home, password: bytes | None) -> Iterator[Finding]:
    from maillon.node.store.ledgerdisk import has_witness_key, open_witness_key

    if is_locked(home) or not home.founding.is_file():
        return  # the running node tells of itself; before a federation there is nothing to sign
    try:
        if not has_witness_key(home.path):
            advice = _(
                "It makes one when it starts. If the coop kept accounts before (a restored or "
                "moved node), the other coops approve the new one: maillon charter replace-key"
            )
            yield Finding("witness", "note", _("This node has no key as a witness."), advice)
        elif password is not None:
            open_witness_key(home.path, password)
            yield Finding("witness", "good", _("The witness key opens."))
    except MaillonError as fault:
        hint = fault.hint if isinstance(fault, LocalError) else None
        yield Finding("witness", "bad", str(fault), hint or "")


def _ledger(client: Client) -> Iterator[Finding]:
    try:
        status = client.get("/v1/ledger")
    except LocalError as fault:
        yield Finding("ledger", "bad", str(fault), fault.hint or "")
        return
    if not status["enabled"]:
        yield Finding("ledger", "good", _("The federation keeps no accounts."))
        return
    writer = status["writer"]
    if writer["state"] == "stuck" or writer["state"] == "stopped":
        yield Finding(
            "ledger",
            "bad",
            _("This coop's accounts do not come forward: {reason}.").format(
                reason=writer["reason"] or writer["state"]
            ),
            _("See which witnesses are missing with: maillon ledger status"),
        )
    reachable = sum(witness["reachable"] for witness in status["witnesses"])
    message = _("{n} of {m} witnesses can be reached; {quorum} are needed.").format(
        n=reachable, m=len(status["witnesses"]), quorum=status["quorum"]
    )
    if reachable < status["quorum"]:
        advice = _("Payments are kept and go through when enough of them are back.")
        yield Finding("ledger", "bad", message, advice)
    else:
        yield Finding("ledger", "good", message)
    if any(chain["frozen"] for chain in status["chains"]):
        names = ", ".join(chain["name"] for chain in status["chains"] if chain["frozen"])
        yield Finding(
            "ledger",
            "bad",
            _("Frozen, because somebody signed two blocks at one place: {names}.").format(
                names=names
            ),
            _("The coops clear it together: maillon charter propose"),
        )


def _clock() -> Iterator[Finding]:
    if clock.now() < YEAR_2025:
        yield Finding(
            "clock",
            "bad",
            _("The machine's clock is years behind."),
            _("Set it: timedatectl set-ntp true"),
        )
        return
    if _synchronised() is False:
        yield Finding(
            "clock",
            "note",
            _("The machine's clock is not synchronised with a time server."),
            _("Switch it on: timedatectl set-ntp true"),
        )


def _synchronised() -> bool | None:
    """Tell whether systemd-timesyncd keeps the clock; None where that cannot be known."""
    if not Path("/run/systemd/timesync").is_dir():
        return None
    return Path("/run/systemd/timesync/synchronized").exists()


def _running(client: Callable[[], Client]) -> Iterator[Finding]:
    try:
        status = client().get("/v1/status")
    except LocalError as fault:
        message = _("The node runs and does not answer: {fault}").format(fault=fault)
        yield Finding("running", "bad", message, _("Look into its log, then start it again."))
        return
    yield Finding("running", "good", _("The node is running and answers."))
    skew = status.get("clock_skew_s")
    if skew is not None and abs(skew) > SKEW_S_NOTE:
        minutes = round(abs(skew) / 60)
        message = (
            _("This machine's clock is {n} minutes ahead of the others' clocks.")
            if skew > 0
            else _("This machine's clock is {n} minutes behind the others' clocks.")
        ).format(n=minutes)
        level = "bad" if abs(skew) > SKEW_S_BAD else "note"
        yield Finding("clock", level, message, _("Set it: timedatectl set-ntp true"))
    elif skew is not None:
        yield Finding("clock", "good", _("The clock agrees with the others' clocks."))
    peers = status["peers"]
    if peers["known"] and not peers["connected"]:
        yield Finding(
            "peers",
            "bad",
            _("None of {n} known nodes is connected.").format(n=peers["known"]),
            _("See the last errors with: maillon peers --addresses; then look at your firewall."),
        )
    elif peers["known"]:
        yield Finding(
            "peers",
            "good",
            _("{n} of {m} known nodes are connected.").format(
                n=peers["connected"], m=peers["known"]
            ),
        )
    else:
        yield Finding("peers", "note", _("No other node is known yet."))
    if status["profile_until"] and status["profile_until"] - clock.now() < PROFILE_S_NOTE:
        yield Finding(
            "profile",
            "bad" if not status["root_key_here"] else "note",
            _("The coop's profile ends soon, and everything it vouches for ends with it."),
            _("Put the root key back into keys/ and start the node once."),
        )
    yield from _letters(status)
    yield from _ledger(client())
    for notice in status["notices"]:
        yield Finding("notice", "note", notice)


def _letters(status: Any) -> Iterator[Finding]:
    letters = status["letters"]
    days = letters["sending_oldest_s"] // 86_400
    if days >= LETTERS_DAYS_NOTE:
        yield Finding(
            "letters",
            "note",
            _("Letters have been waiting to be sent for {n} days.").format(n=days),
            _("See which nodes are away with: maillon peers"),
        )
    else:
        yield Finding(
            "letters",
            "good",
            _("{n} letters wait to be sent, {m} to be fetched.").format(
                n=letters["sending"], m=letters["waiting"]
            ),
        )


def _ports(config: Config) -> Iterator[Finding]:
    from maillon.node.net import parse_address

    for text in config.network.listen:
        try:
            address = parse_address(text)
        except MaillonError as fault:
            yield Finding("ports", "bad", str(fault), _("Correct [network] listen."))
            continue
        family = socket.AF_INET6 if address.kind == "ip6" else socket.AF_INET
        if address.kind not in ("ip4", "ip6") or not address.port:
            continue
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address.host, address.port))
            except OSError as fault:
                yield Finding(
                    "ports",
                    "bad",
                    _("The node cannot listen on {address}: {fault}.").format(
                        address=text, fault=fault.strerror
                    ),
                    _("Stop the program that uses the port, or change [network] listen."),
                )
            else:
                yield Finding("ports", "good", _("{address} is free.").format(address=text))
