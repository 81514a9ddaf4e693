"""Audit a federation export on a disk: the whole of it, or what is new since last time."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from maillon.ledger.audit.chain import ChainResult
from maillon.ledger.audit.federation import (
    HeldHead,
    check_pins,
    check_sums,
    compare_channels,
    compare_heads,
    flows,
    judge_checkpoint,
    judge_evidence,
    sums,
)
from maillon.ledger.audit.findings import Finding, finding
from maillon.ledger.audit.report import Report
from maillon.ledger.block import decode_block
from maillon.ledger.charter import CharterChain
from maillon.ledger.errors import NoLedger
from maillon.ledger.export.container import (
    CHARTER,
    EVIDENCE,
    FOUNDING,
    MANIFEST,
    ExportDamaged,
    chain_path,
    checkpoint_path,
    heads_path,
)
from maillon.ledger.signing import Verify
from maillon.ledger.tool.files import ExportReader
from maillon.ledger.tool.progress import Silent, shown
from maillon.ledger.tool.replaying import Job, replay_all
from maillon.ledger.tool.verifying import best_verify
from maillon.protocol.errors import LocalError, MaillonError
from maillon.protocol.founding import Founding, open_founding
from maillon.protocol.ids import CoopId
from maillon.protocol.limits import SKEW_S_MAX

FOLDER_MAX = 10_000
"""Names in a directory that are looked at for files beside the listed ones."""


class Unusable(LocalError):
    """What was given is no export that could be audited at all."""

    code = "export_unusable"
    sentence = "This cannot be audited."


def audit_export(
    folder: Path,
    *,
    jobs: int = 0,
    cache: Path | None = None,
    at: int | None = None,
    quiet: bool = True,
    label: str = "",
) -> Report:
    """Audit the export in `folder` on `jobs` cores (0: all), with what `cache` holds of before.

    `at` is the time of the audit (None: now). Raises: Unusable when there is nothing to audit.
    """
    began = time.monotonic()
    reader, founding = _open(folder)
    verify, _ = best_verify()
    found: list[Finding] = []
    charters, blocks = _charters(reader, founding, verify, found)
    listed = reader.manifest.chains
    if _has_more(reader):
        found.append(finding("file_unlisted"))
    known = [chain for chain in listed if CoopId(chain) in charters.latest.coops]
    for chain in listed:
        if chain not in known:
            found.append(finding("chain_stranger", chain))
    for coop in charters.latest.coops:
        if coop not in known:
            found.append(finding("chain_absent", coop))
    sizes = [reader.manifest.files[chain_path(chain)].size for chain in known]
    cores = jobs or len(os.sched_getaffinity(0))
    job = Job(folder, founding.document, tuple(blocks), cache, 1)
    with Silent() if quiet else shown(sum(sizes), label) as progress:
        replayed = replay_all(job, known, sizes, cores, progress)
    results: dict[bytes, ChainResult] = {
        coop: replayed[coop] for coop in charters.latest.coops if coop in replayed
    }
    for result in results.values():
        found += result.findings
        if result.time > reader.manifest.at + SKEW_S_MAX:
            found.append(finding("time_ahead", result.chain, result.height, result.time))
    found += check_pins(results, charters)
    found += compare_channels(results)
    heads: list[HeldHead] = []
    _unchanged(reader, FOUNDING, found)
    for node in reader.manifest.nodes:
        frames = _whole(reader, heads_path(node), reader.heads(node), found)
        own = node == reader.manifest.by
        held, wrong = compare_heads(node, frames, results, charters, verify, exporter=own)
        heads += held
        found += wrong
    convicted = 0
    if EVIDENCE in reader.manifest.files:
        proofs = _whole(reader, EVIDENCE, reader.evidence(), found)
        convicted, wrong = judge_evidence(proofs, charters, verify)
        found += wrong
    checkpoints = _checkpoints(reader, results, charters, verify, found)
    channels = flows(results)
    totals = sums(results, channels, len(charters.latest.units))
    counted = frozenset(
        unit for unit, kind in enumerate(charters.latest.units) if kind.kind == "count"
    )
    judged = not any(one.is_error for one in found) and set(results) == set(charters.latest.coops)
    if judged:
        found += check_sums(results, channels, totals, counted)
    return Report(
        founding.fed,
        founding.name,
        founding.created,
        int(time.time()) if at is None else at,
        reader.manifest.at,
        charters,
        results,
        channels,
        totals,
        tuple(found),
        tuple(heads),
        convicted,
        checkpoints,
        judged,
        time.monotonic() - began,
        hashlib.sha256(reader.manifest.encode()).digest(),
        reader.manifest.by,
    )


def _has_more(reader: ExportReader) -> bool:
    """Say whether the directory holds files that the manifest does not list."""
    listed = {MANIFEST, *reader.manifest.files}
    for path in islice(reader.folder.rglob("*"), FOLDER_MAX):
        name = path.relative_to(reader.folder).as_posix()
        # What an interrupted writer left is no secret of anybody's.
        if not name.endswith(".new") and name not in listed and not path.is_dir():
            return True
    return False


def _open(folder: Path) -> tuple[ExportReader, Founding]:
    try:
        reader = ExportReader(folder)
        founding = open_founding(reader.founding())
    except FileNotFoundError as error:
        name = Path(str(error.filename)).name
        raise Unusable(
            f"There is no federation export in {folder}: {name} is missing.",
            hint=None if name == MANIFEST else "Ask for the copy again.",
        ) from None
    except NotADirectoryError:
        raise Unusable(f"{folder} is not a directory.") from None
    except MaillonError as error:
        raise Unusable(f"The export in {folder} cannot be read: {error}") from error
    if founding.fed != reader.fed:
        raise Unusable("The founding document is not that of the federation the export names.")
    if founding.ledger is None:
        raise Unusable(NoLedger.sentence)
    return reader, founding


def verified_charters(folder: Path) -> tuple[ExportReader, CharterChain]:
    """Return an export and its charters, verified from the founding document on.

    Raises: Unusable when there is no export, or its charter does not hold.
    """
    reader, founding = _open(folder)
    found: list[Finding] = []
    charters, _ = _charters(reader, founding, best_verify()[0], found)
    if any(one.is_error for one in found):
        raise Unusable("The charter in this export does not hold; audit the export first.")
    return reader, charters


def _charters(
    reader: ExportReader, founding: Founding, verify: Verify, found: list[Finding]
) -> tuple[CharterChain, list[bytes]]:
    """Return the charters as far as they hold, and their blocks."""
    charters = CharterChain(founding, None, verify)
    blocks: list[bytes] = []
    if CHARTER not in reader.manifest.files:
        return charters, blocks
    try:
        for _, data in reader.frames(CHARTER):
            block = decode_block(data)
            charters.apply(block, block.certificate)
            blocks.append(data)
        _unchanged(reader, CHARTER, found)
    except (ExportDamaged, FileNotFoundError) as error:
        found.append(_damaged(CHARTER, error))
    except MaillonError as error:
        reason = error.facts.get("reason", error.code)
        found.append(
            finding(
                "charter_invalid",
                founding.fed,
                charters.height + 1,
                charters.head.time,
                reason=reason if isinstance(reason, str) else error.code,
            )
        )
    return charters, blocks


def _damaged(path: str, error: ExportDamaged | FileNotFoundError) -> Finding:
    if isinstance(error, FileNotFoundError):
        return finding("file_missing", file=path)
    return finding("file_damaged", file=path, offset=error.facts.get("offset", 0))


def _whole(
    reader: ExportReader, path: str, frames: Iterator[bytes], found: list[Finding]
) -> list[bytes]:
    """Return the frames of a listed file, as far as they can be read; note what is amiss."""
    made: list[bytes] = []
    try:
        made.extend(frames)
    except (ExportDamaged, FileNotFoundError) as error:
        found.append(_damaged(path, error))
    else:
        _unchanged(reader, path, found)
    return made


def _unchanged(reader: ExportReader, path: str, found: list[Finding]) -> None:
    """Note when a file's bytes are not those that were listed."""
    if reader.digest(path) != reader.manifest.files[path].digest:
        found.append(finding("file_changed", file=path))


def _checkpoints(
    reader: ExportReader,
    results: Mapping[bytes, ChainResult],
    charters: CharterChain,
    verify: Verify,
    found: list[Finding],
) -> dict[bytes, int]:
    good: dict[bytes, int] = {}
    for chain in reader.manifest.checkpoints:
        result = results.get(chain)
        if result is None:
            continue
        try:
            note = reader.checkpoint(chain)
        except (ExportDamaged, FileNotFoundError) as error:
            found.append(_damaged(checkpoint_path(chain), error))
            continue
        _unchanged(reader, checkpoint_path(chain), found)
        size, wrong = judge_checkpoint(chain, note, result, charters, verify)
        found += wrong
        if size is not None:
            good[chain] = size
    return good
