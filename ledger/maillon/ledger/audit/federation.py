"""Compare what chains say of each other, and what nodes say of chains (spec/07, "Between chains").

The audit equation: over heads that rest on nothing but each other, the sum of all balances and of
all that is sent and not yet taken is 0, in each unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from maillon.ledger.audit.chain import REF_BYTES, UNKNOWN_UNIT, ChainResult, Incoming, Outgoing
from maillon.ledger.audit.findings import Finding, finding
from maillon.ledger.block import Header, certifies, decode_header, history_leaf
from maillon.ledger.charter import CharterChain
from maillon.ledger.checkpoint import (
    Signed,
    decode_note,
    open_checkpoint,
    origin,
)
from maillon.ledger.errors import LedgerError
from maillon.ledger.export.container import decode_head
from maillon.ledger.fraud import FraudProof, TwoProposals, decode_fraud, fraud_hash, verify_fraud
from maillon.ledger.merkle import Frontier
from maillon.ledger.quorum import bitmap_places, decode_certificate
from maillon.ledger.signing import Verify
from maillon.protocol.errors import MaillonError
from maillon.protocol.ids import CoopId

Results = Mapping[bytes, ChainResult]


@dataclass(frozen=True, slots=True)
class Flow:
    """A channel: messages sent and taken, and per unit what is on its way (minor units).

    `arrived` is what was credited, payments that came back left out. `since` is the height of the
    source at which the oldest untaken message was sent, -1 for none.
    """

    source: bytes
    target: bytes
    sent: int
    taken: int
    in_flight: Mapping[int, int]
    unknown: int
    since: int
    arrived: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class UnitSum:
    """One unit over all chains: what all balances add up to, and what is on its way."""

    unit: int
    balances: int
    in_flight: int
    positive: int

    @property
    def total(self) -> int:
        """Return what must be 0."""
        return self.balances + self.in_flight


def flows(results: Results) -> tuple[Flow, ...]:
    """Return the channels in which something was ever sent, by source and target."""
    found: list[Flow] = []
    for source, result in sorted(results.items()):
        for target, out in sorted(result.outgoing.items()):
            if not out.count:
                continue
            other = results.get(target)
            incoming = other.incoming.get(source) if other is not None else None
            taken = incoming.count if incoming is not None else 0
            sums: dict[int, int] = {}
            unknown = 0
            for place in range(taken, out.count):
                unit = out.units[place]
                if unit == UNKNOWN_UNIT:
                    unknown += 1
                else:
                    sums[unit] = sums.get(unit, 0) + out.amounts[place]
            since = out.heights[taken] if taken < out.count else -1
            arrived = _arrived(out, incoming)
            found.append(Flow(source, target, out.count, taken, sums, unknown, since, arrived))
    return tuple(found)


def _arrived(out: Outgoing, incoming: Incoming | None) -> dict[int, int]:
    sums: dict[int, int] = {}
    if incoming is None:
        return sums
    rows = zip(out.units, out.amounts, out.returns, incoming.credited, strict=False)
    for unit, amount, returned, credited in rows:
        if credited and not returned and unit != UNKNOWN_UNIT:
            sums[unit] = sums.get(unit, 0) + amount
    return sums


def compare_channels(results: Results) -> list[Finding]:
    """Return what is wrong between chains: messages taken that were not sent, or not so."""
    found: list[Finding] = []
    for target, result in sorted(results.items()):
        for source, incoming in sorted(result.incoming.items()):
            if not incoming.count:
                continue
            sender = results.get(source)
            out = sender.outgoing.get(target) if sender is not None else None
            sent = out.count if out is not None else 0
            common = min(sent, incoming.count)
            if out is not None:
                place = _first_difference(out.refs, incoming.refs, common)
                if place is not None:
                    found.append(
                        finding(
                            "message_other",
                            target,
                            incoming.heights[place],
                            number=place + 1,
                            source=source,
                            sent_in=out.heights[place],
                        )
                    )
                    continue
            if incoming.count > sent:
                code = "message_unknown"
                if sender is None or _cut_short(sender):
                    # The copy of the other chain ends before: nothing can be said of the rest.
                    code = "not_closed"
                found.append(
                    finding(
                        code,
                        target,
                        incoming.heights[sent],
                        number=sent + 1,
                        source=source,
                        source_height=sender.height if sender is not None else -1,
                    )
                )
    return found


def _cut_short(result: ChainResult) -> bool:
    return any(one.is_error for one in result.findings)


def _first_difference(sent: bytearray, taken: bytearray, count: int) -> int | None:
    length = count * REF_BYTES
    if sent[:length] == taken[:length]:
        return None
    nothing = bytes(REF_BYTES)
    for place in range(count):
        low, high = place * REF_BYTES, (place + 1) * REF_BYTES
        ours, theirs = sent[low:high], taken[low:high]
        # An erased entry leaves no trace of which message it was.
        if ours != theirs and nothing not in (bytes(ours), bytes(theirs)):
            return place
    return None


def sums(results: Results, channels: Iterable[Flow], units: int) -> tuple[UnitSum, ...]:
    """Return for each unit what all balances and all that is on its way add up to."""
    balances = dict.fromkeys(range(units), 0)
    positive = dict.fromkeys(range(units), 0)
    flying = dict.fromkeys(range(units), 0)
    for result in results.values():
        for account in result.accounts:
            for unit, balance, _, _, _ in account.positions:
                balances[unit] = balances.get(unit, 0) + balance
                if balance > 0:
                    positive[unit] = positive.get(unit, 0) + balance
    for channel in channels:
        for unit, amount in channel.in_flight.items():
            flying[unit] = flying.get(unit, 0) + amount
    return tuple(
        UnitSum(unit, balances[unit], flying.get(unit, 0), positive[unit])
        for unit in sorted(balances)
    )


def check_sums(
    results: Results, channels: Iterable[Flow], totals: Iterable[UnitSum], counted: frozenset[int]
) -> list[Finding]:
    """Return what is wrong with the sums: of each coop, and of the federation.

    Only for chains that are whole and rest on nothing but each other: otherwise a sum says nothing.
    """
    found: list[Finding] = []
    unknown = sum(result.opaque for result in results.values())
    unknown += sum(channel.unknown for channel in channels)
    for chain, result in sorted(results.items()):
        by_unit: dict[int, int] = {}
        for account in result.accounts:
            for unit, balance, _, _, _ in account.positions:
                by_unit[unit] = by_unit.get(unit, 0) + balance
        for unit in sorted({*by_unit, *result.trade}):
            if by_unit.get(unit, 0) != result.trade.get(unit, 0) and not result.opaque:
                found.append(
                    finding(
                        "trade_differs",
                        chain,
                        result.height,
                        result.time,
                        unit=unit,
                        amount=by_unit.get(unit, 0),
                        trade=result.trade.get(unit, 0),
                    )
                )
    for total in totals:
        if total.unit in counted or not total.total:
            continue
        if unknown:
            found.append(finding("sum_unknown", unit=total.unit, amount=total.total, count=unknown))
        else:
            found.append(finding("sum_not_zero", unit=total.unit, amount=total.total))
    return found


# --- What nodes hold ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeldHead:
    """What one node holds as a chain's head, compared with the chain: "same", "behind", "ahead",
    "fork" or "bad"."""

    node: bytes
    chain: bytes
    height: int
    hash: bytes
    verdict: str


def compare_heads(
    node: bytes,
    frames: Iterable[bytes],
    results: Results,
    charters: CharterChain,
    verify: Verify,
    *,
    exporter: bool = False,
) -> tuple[list[HeldHead], list[Finding]]:
    """Compare the heads that a node holds with the chains.

    A head is compared only once its own certificate is found good: otherwise anybody could make a
    node look like a liar. `exporter`: this node wrote the export, so it left nothing out that it
    held.
    """
    heads: list[HeldHead] = []
    found: list[Finding] = []
    for data in frames:
        try:
            header_bytes, certificate = decode_head(data)
            header = decode_header(header_bytes)
            signers = _signers(header, certificate, charters, verify)
        except MaillonError as error:
            found.append(finding("head_unreadable", node=node, why=error.code))
            continue
        if signers is None:
            heads.append(HeldHead(node, header.chain, header.h, header.hash, "bad"))
            found.append(finding("head_forged", header.chain, header.h, header.time, node=node))
            continue
        if header.of_charter:
            known = charters.hash_at(header.h) if header.h <= charters.height else None
            top, leaves = charters.height, b"".join(charters.hashes())
        else:
            result = results.get(header.chain)
            if result is None or (header.h > result.height and _cut_short(result)):
                continue  # the replay stopped before: that is said already
            known = result.hash_at(header.h) if header.h <= result.height else None
            top, leaves = result.height, result.hashes
        if known == header.hash:
            verdict = "same" if header.h == top else "behind"
        elif known is None:
            verdict = "ahead"
            if exporter:
                found.append(
                    finding("head_hidden", header.chain, top + 1, node=node, top=top, held=header.h)
                )
            else:
                found.append(
                    finding("head_ahead", header.chain, header.h, header.time, node=node, top=top)
                )
        else:
            verdict = "fork"
            found.append(_forked(header, leaves, signers, node, charters))
        heads.append(HeldHead(node, header.chain, header.h, header.hash, verdict))
    return heads, found


def _signers(
    header: Header, certificate_bytes: bytes, charters: CharterChain, verify: Verify
) -> list[bytes] | None:
    """Return the witnesses who certified a header, or None when nobody competent did."""
    certificate = decode_certificate(certificate_bytes)
    try:
        if header.fed != charters.fed or not certifies(certificate, header):
            return None
        committee = charters.state(header.c).committee()
        certificate.verify(committee, charters.fed, verify)
    except LedgerError:
        return None
    return [committee.keys[place] for place in bitmap_places(certificate.bitmap)]


def _forked(
    header: Header, hashes: bytes, signers: list[bytes], node: bytes, charters: CharterChain
) -> Finding:
    leaves = (history_leaf(hashes[at : at + 32]) for at in range(0, 32 * header.h, 32))
    # The same history below: the two chains part at this very block.
    here = Frontier.of(leaves).root() == header.history_root
    names = [_witness_name(charters, header.c, key) for key in signers]
    return finding(
        "fork",
        header.chain,
        header.h,
        header.time,
        node=node,
        parted="here" if here else "before",
        hash=header.hash,
        ours=hashes[32 * header.h : 32 * header.h + 32],
        witnesses=", ".join(names),
    )


def _witness_name(charters: CharterChain, c: int, key: bytes) -> str:
    coop = charters.state(c).witness_coop(key)
    return coop.name if coop is not None else key.hex()[:8]


# --- Evidence and checkpoints ---------------------------------------------------------------------


def judge_evidence(
    frames: Iterable[bytes], charters: CharterChain, verify: Verify
) -> tuple[int, list[Finding]]:
    """Return how many fraud proofs convict, and what is found of each."""
    found: list[Finding] = []
    convicted = 0
    cleared = {fraud for _, fraud in charters.latest.cleared}
    for data in frames:
        try:
            proof = decode_fraud(data)
            verify_fraud(proof, charters.fed, verify)
        except MaillonError as error:
            found.append(finding("fraud_unproven", why=error.code))
            continue
        accused = _accused(proof, charters)
        if accused is None:
            found.append(finding("fraud_unproven", proof.chain, proof.h, why="key_unknown"))
            continue
        convicted += 1
        code = "fraud_writer" if isinstance(proof, TwoProposals) else "fraud_witness"
        found.append(
            finding(
                code,
                proof.chain,
                proof.h,
                accused=accused,
                key=proof.accused,
                cleared=fraud_hash(proof) in cleared,
            )
        )
    return convicted, found


def _accused(proof: FraudProof, charters: CharterChain) -> str | None:
    """Return the name of the coop whose key it was, at any height of the charter."""
    for c in range(charters.height + 1):
        state = charters.state(c)
        for coop in state.coops.values():
            key = coop.writer if isinstance(proof, TwoProposals) else coop.witness
            if key == proof.accused:
                return coop.name
    return None


def judge_checkpoint(
    chain: bytes, note_bytes: bytes, result: ChainResult, charters: CharterChain, verify: Verify
) -> tuple[int | None, list[Finding]]:
    """Return the size of a chain's checkpoint when it is good, and what is found of it."""
    coop = charters.latest.coops.get(CoopId(chain))
    logs = {charters.state(c).coops[CoopId(chain)].writer for c in range(charters.height + 1)
            if CoopId(chain) in charters.state(c).coops}  # fmt: skip
    committee = charters.latest.committee()
    try:
        note = decode_note(note_bytes)
    except MaillonError as error:
        return None, [finding("checkpoint_unreadable", chain, why=error.facts.get("rule", ""))]
    needed = committee.quorum if coop is not None else 0

    def opened(quorum: int) -> Signed:
        return open_checkpoint(
            note,
            origin(charters.fed, chain),
            logs=sorted(key for key in logs if key),
            witnesses=committee.keys,
            quorum=quorum,
            verify=verify,
        )

    try:
        signed = opened(needed)
    except MaillonError as error:
        why = error.facts.get("rule", error.code)
        if why == "quorum":
            few = opened(0).checkpoint
            if few.size > result.height + 1 and _cut_short(result):
                return None, []
            if few.size <= result.height + 1 and _history(result, few.size) == few.root:
                # What a node's own note says of the chain the certificates say already.
                return None, [finding("checkpoint_few", chain, few.size - 1, needed=needed)]
        return None, [finding("checkpoint_untrusted", chain, why=why)]
    size = signed.checkpoint.size
    if size > result.height + 1 and _cut_short(result):
        return None, []
    if size > result.height + 1:
        return None, [
            finding("checkpoint_differs", chain, size - 1, rule="longer", top=result.height)
        ]
    if _history(result, size) != signed.checkpoint.root:
        return None, [
            finding("checkpoint_differs", chain, size - 1, rule="root", top=result.height)
        ]
    return size, []


def _history(result: ChainResult, size: int) -> bytes:
    """Return the root over a chain's first `size` blocks, genesis included."""
    return Frontier.of(history_leaf(result.hash_at(h)) for h in range(size)).root()


def check_pins(results: Results, charters: CharterChain) -> list[Finding]:
    """Return where a chain does not rest on the heads that the charter pinned (E4, E5).

    Blocks of a retired epoch count only at or below the pinned head, by its very hash.
    """
    found: list[Finding] = []
    for c in range(charters.height + 1):
        state = charters.state(c)
        for chain, (h, block_hash) in state.retired_heads.items():
            result = results.get(chain)
            if result is None or _cut_short(result):
                continue
            if result.height < h:
                # What retired keys certified only the pinned head proves, and it is not here.
                found.append(
                    finding("pin_missing", chain, result.height, result.time, pinned=h, c=c)
                )
            elif result.hash_at(h) != block_hash:
                found.append(
                    finding("block_retired", chain, h, c=c, below=state.retired_below, pinned=True)
                )
    unique: dict[tuple[bytes, int], Finding] = {}
    for one in found:
        unique.setdefault((one.chain, one.height), one)
    return list(unique.values())
