"""Decide what may change in a charter, and what a quorum means (spec/06, "Rules").

`next_state` applies the entries of one block in their order. What an entry says of itself is
looked at as it is applied; what must hold of the charter as a whole (a quorum that can be reached,
a writer for every chain) once all of them are, so that entries of one block may lean on each other:
a witness's key and the quorum change together.

Each refusal is a CharterRefused whose `reason` is one of `REASONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, NoReturn

from maillon.ledger.charter_entries import (
    COOPS_EVER_MAX,
    WITNESS,
    WRITER,
    AddUnit,
    Admit,
    CharterEntry,
    Clear,
    PinnedHead,
    Refound,
    Remove,
    Retire,
    SetKey,
    SetLimit,
    SetQuorum,
    SetRule,
    SetTrustee,
)
from maillon.ledger.charter_state import (
    CLEARED_MAX,
    SPENT_KEYS_MAX,
    CharterCoop,
    CharterState,
    new_coop,
    with_caps,
)
from maillon.ledger.errors import CharterRefused
from maillon.ledger.limits import UNITS_MAX
from maillon.ledger.merkle import leaf_hash
from maillon.ledger.merkle import root as tree_root
from maillon.ledger.quorum import default_quorum
from maillon.protocol.encoding import encode
from maillon.protocol.keys import coop_id
from maillon.protocol.limits import COOPS_MAX, WITNESSES_MAX

REASONS: Final[Mapping[str, str]] = {
    "empty": "A charter block holds at least one entry.",
    "coop_known": "The coop entered the charter before; a coop that left does not come back under "
    "the same root key.",
    "coop_unknown": "The charter has no such coop, or it has left.",
    "coops_full": "The charter has as many coops as it may have.",
    "key_in_use": "A key stands in the charter once.",
    "key_spent": "The key was replaced before and does not come back.",
    "key_same": "The coop has this key already.",
    "key_missing": "The coop has no such key that could be taken away.",
    "last_witness": "The last witness cannot be taken away: nobody could certify anything.",
    "witnesses_full": "The charter has as many witnesses as it may have.",
    "quorum_unreachable": "The quorum is larger than the number of witnesses.",
    "quorum_unsafe": "The quorum is not more than half of the witnesses: two halves could certify "
    "two different blocks.",
    "approvals_unreachable": "More approvals would be needed than there are coops.",
    "no_writer": "The chain of a coop would have nobody who may write on it.",
    "trustee_itself": "A coop is not its own trustee.",
    "trustee_unknown": "The trustee is no coop of the charter, has left, or has no writer key.",
    "trustee_same": "The coop has this trustee already.",
    "unit_known": "A unit of this code exists already.",
    "units_full": "The charter has as many units as it may have.",
    "unit_unknown": "The charter has no unit of this number.",
    "unit_count": "A unit that only counts has no limits.",
    "rule_same": "The charter says so already.",
    "epoch": "Only epochs after those retired before, and at most the present one, can be retired.",
    "heads": "The heads of all chains stand there, each once, and none lies below the last ones.",
    "heads_root": "The root is not that of the heads.",
    "not_adopted": "A chain has not adopted the charter from which on certificates shall count.",
    "chain_unknown": "The charter has no such chain.",
    "cleared": "This proof was dealt with before.",
    "writer_stays": "A chain is cleared when a key that could write on it no longer can, by an "
    "entry before it in the same block.",
    "refound_alone": "A re-founding stands alone in its block.",
    "stale": "The proposal is about an earlier charter, and has to be made again.",
    "proposal_unknown": "There is no such proposal, or it was about an earlier charter.",
    "approval_missing": "A proposal is kept once a coop has approved it.",
    "proposals_full": "There are as many open proposals as there may be, or as one coop may keep.",
}


def refuse(reason: str, **facts: Any) -> NoReturn:
    """Raise CharterRefused with the sentence of the reason."""
    raise CharterRefused(REASONS[reason], reason=reason, **facts)


def heads_root(heads: Sequence[PinnedHead]) -> bytes:
    """Return the Merkle root over heads: leaves are SHA-256(0x00 || encode([chain, h, H]))."""
    return tree_root([leaf_hash(encode(list(head))) for head in heads])


# --- Entries ------------------------------------------------------------------------------------


class _Draft:
    """A charter being changed: the mutable copy behind `next_state`."""

    def __init__(self, state: CharterState) -> None:
        self.before = state
        self.height = state.height + 1
        self.coops = dict(state.coops)
        self.units = list(state.units)
        self.quorum = state.quorum
        self.numbers = {
            "approvals": state.approvals,
            "recovery_s": state.recovery_s,
            "accounts_max": state.accounts_max,
        }
        self.retired = (state.retired_below, dict(state.retired_heads))
        self.refounded = state.refounded
        self.cleared = list(state.cleared)
        self.spent = list(state.spent)

    def finish(self) -> CharterState:
        return replace(
            self.before,
            height=self.height,
            coops=with_caps(self.coops, self.numbers["accounts_max"]),
            units=tuple(self.units),
            quorum=self.quorum,
            retired_below=self.retired[0],
            retired_heads=self.retired[1],
            refounded=self.refounded,
            cleared=tuple(self.cleared[-CLEARED_MAX:]),
            spent=tuple(self.spent[-SPENT_KEYS_MAX:]),
            approvals=self.numbers["approvals"],
            recovery_s=self.numbers["recovery_s"],
            accounts_max=self.numbers["accounts_max"],
        )

    def live(self, coop: bytes) -> CharterCoop:
        found = self.coops.get(coop)
        if found is None or found.removed:
            refuse("coop_unknown", coop=coop)
        return found

    def put(self, coop: CharterCoop, **change: Any) -> None:
        self.coops[coop.id] = replace(coop, **change)

    def keys(self) -> Iterator[bytes]:
        for coop in self.coops.values():
            yield from (coop.root, coop.node_key, coop.writer, coop.witness)

    def check_new_key(self, key: bytes) -> None:
        if key in set(self.keys()):
            refuse("key_in_use", key=key)
        if key in self.spent:
            refuse("key_spent", key=key)

    def spend(self, key: bytes) -> None:
        if key:
            self.spent.append(key)


def _admit(draft: _Draft, entry: Admit) -> None:
    coop = coop_id(entry.root)
    if coop in draft.coops:
        refuse("coop_known", coop=coop)
    live = sum(not known.removed for known in draft.coops.values())
    if live >= COOPS_MAX or len(draft.coops) >= COOPS_EVER_MAX:
        refuse("coops_full", coop=coop)
    for key in (entry.root, entry.node_key, entry.writer, entry.witness):
        if key:
            draft.check_new_key(key)
    _check_limits(draft, [unit for unit, _limit in entry.limits])
    keys = (entry.root, entry.node_key, entry.writer, entry.witness)
    draft.coops[coop] = new_coop(keys, entry.name, entry.limits, entry.accounts_max, draft.height)


def _check_limits(draft: _Draft, units: Sequence[int]) -> None:
    for unit in units:
        if unit >= len(draft.units):
            refuse("unit_unknown", unit=unit)
        if draft.units[unit].kind == "count":
            refuse("unit_count", unit=unit)


def _remove(draft: _Draft, entry: Remove) -> None:
    coop = draft.live(entry.coop)
    _check_trustee(draft, entry.coop, entry.trustee)
    draft.spend(coop.writer)
    draft.spend(coop.witness)
    draft.put(coop, removed=True, trustee=entry.trustee, writer=b"", witness=b"")


def _check_trustee(draft: _Draft, coop: bytes, trustee: bytes) -> None:
    if coop == trustee:
        refuse("trustee_itself", coop=coop)
    if trustee not in draft.coops:
        refuse("trustee_unknown", coop=coop, trustee=trustee)


def _set_key(draft: _Draft, entry: SetKey) -> None:
    coop = draft.live(entry.coop)
    now = coop.writer if entry.role == WRITER else coop.witness
    if entry.key == now:
        refuse("key_same" if now else "key_missing", coop=coop.id, role=entry.role)
    if entry.key:
        draft.check_new_key(entry.key)
    draft.spend(now)
    draft.put(coop, **{entry.role: entry.key})


def _set_limit(draft: _Draft, entry: SetLimit) -> None:
    coop = draft.live(entry.coop)
    _check_limits(draft, [entry.unit])
    limits = dict(coop.limits) | {entry.unit: entry.limit}
    draft.put(coop, limits=MappingProxyType(limits))


def _set_trustee(draft: _Draft, entry: SetTrustee) -> None:
    coop = draft.coops.get(entry.coop)
    if coop is None:
        refuse("coop_unknown", coop=entry.coop)
    if entry.trustee == coop.trustee:
        refuse("trustee_same", coop=entry.coop)
    if entry.trustee is not None:
        _check_trustee(draft, entry.coop, entry.trustee)
    draft.put(coop, trustee=entry.trustee)


def _set_quorum(draft: _Draft, entry: SetQuorum) -> None:
    draft.quorum = entry.quorum


def _add_unit(draft: _Draft, entry: AddUnit) -> None:
    if any(unit.code == entry.unit.code for unit in draft.units):
        refuse("unit_known", code=entry.unit.code)
    if len(draft.units) >= UNITS_MAX:
        refuse("units_full", limit=UNITS_MAX)
    draft.units.append(entry.unit)


def _check_heads(draft: _Draft, heads: Sequence[PinnedHead]) -> None:
    listed = [chain for chain, _h, _hash in heads]
    if listed != sorted(draft.coops):
        refuse("heads")
    for chain, h, block_hash in heads:
        pinned = draft.retired[1].get(chain)
        # Going back behind a pinned head, or beside it, would undo what was final.
        if pinned is not None and (h < pinned[0] or (h == pinned[0] and block_hash != pinned[1])):
            refuse("heads", chain=chain)


def _retire(draft: _Draft, entry: Retire) -> None:
    # The block that retires is itself certified by the epoch before it, which goes on counting.
    if not draft.retired[0] < entry.below <= draft.before.height:
        refuse("epoch", below=entry.below, known=draft.before.height)
    _check_heads(draft, entry.heads)
    if heads_root(entry.heads) != entry.root:
        refuse("heads_root")
    draft.retired = (entry.below, {chain: (h, hash_) for chain, h, hash_ in entry.heads})


def _clear(draft: _Draft, entry: Clear) -> None:
    if entry.chain not in draft.coops:
        refuse("chain_unknown", chain=entry.chain)
    if (entry.chain, entry.fraud) in draft.cleared:
        refuse("cleared", chain=entry.chain)
    could = draft.before.writers(entry.chain)
    if could <= draft.finish().writers(entry.chain):
        refuse("writer_stays", chain=entry.chain)
    draft.cleared.append((entry.chain, entry.fraud))


def _set_rule(draft: _Draft, entry: SetRule) -> None:
    if draft.numbers[entry.name] == entry.value:
        refuse("rule_same", name=entry.name)
    draft.numbers[entry.name] = entry.value


def _refound(draft: _Draft, entry: Refound) -> None:
    _check_heads(draft, entry.heads)
    given = {coop: (writer, witness) for coop, writer, witness in entry.coops}
    for named in given:
        draft.live(named)
    for coop in list(draft.coops.values()):
        # Who is not named keeps its writer and witnesses no more; who left has neither.
        writer, witness = given.get(coop.id, (coop.writer, b""))
        own = {coop.writer, coop.witness}
        for role, key in ((WRITER, writer), (WITNESS, witness)):
            if key and key not in own:
                draft.check_new_key(key)
            elif key and key != (coop.writer if role == WRITER else coop.witness):
                refuse("key_in_use", key=key)
        # In this order, not a set's: what was spent when is part of the state.
        for key in (coop.writer, coop.witness):
            if key not in (writer, witness):
                draft.spend(key)
        draft.put(coop, writer=writer, witness=witness)
    draft.quorum = entry.quorum
    draft.refounded = draft.height
    draft.retired = (draft.height, {chain: (h, hash_) for chain, h, hash_ in entry.heads})


_APPLY: Final[dict[type[Any], Callable[[_Draft, Any], None]]] = {
    Admit: _admit,
    Remove: _remove,
    SetKey: _set_key,
    SetLimit: _set_limit,
    SetTrustee: _set_trustee,
    SetQuorum: _set_quorum,
    AddUnit: _add_unit,
    Retire: _retire,
    Clear: _clear,
    SetRule: _set_rule,
    Refound: _refound,
}


def next_state(state: CharterState, entries: Sequence[CharterEntry]) -> CharterState:
    """Return the charter that the entries of one block make. Raises: CharterRefused.

    The block's certificate and approvals are not looked at here, nor, for a retirement, whether
    the heads are those of the chains (`charter.CharterChain.check`).
    """
    if not entries:
        refuse("empty")
    if len(entries) > 1 and any(isinstance(entry, Refound) for entry in entries):
        refuse("refound_alone")
    draft = _Draft(state)
    for entry in entries:
        _APPLY[type(entry)](draft, entry)
    made = draft.finish()
    check_whole(made)
    return made


def check_whole(state: CharterState) -> None:
    """Refuse a charter that could not go on. Raises: CharterRefused."""
    members = state.members()
    witnesses = sum(bool(coop.witness) for coop in members)
    if not witnesses:
        refuse("last_witness")
    if witnesses > WITNESSES_MAX:
        refuse("witnesses_full", limit=WITNESSES_MAX)
    if state.quorum > witnesses:
        refuse("quorum_unreachable", quorum=state.quorum, witnesses=witnesses)
    if 2 * state.quorum <= witnesses:
        refuse("quorum_unsafe", quorum=state.quorum, witnesses=witnesses)
    if state.approvals > len(members):
        refuse("approvals_unreachable", approvals=state.approvals, coops=len(members))
    for coop in state.coops.values():
        if coop.trustee is not None:
            trustee = state.coops[coop.trustee]
            if trustee.removed or not trustee.writer:
                refuse("trustee_unknown", coop=coop.id, trustee=coop.trustee)
        if not state.writers(coop.id):
            refuse("no_writer", coop=coop.id)


# --- What a quorum means ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QuorumFacts:
    """What `quorum` of `witnesses` withstand.

    `liars`: so many may say whatever they like without two blocks of one height being certified;
    `silent`: so many may be away without payments coming to a halt. `warnings` are codes:
    `alone`, `halts`, `trusting`, `unsafe`, `unreachable`, `invite`.
    """

    witnesses: int
    quorum: int
    liars: int
    silent: int
    default: int
    warnings: tuple[str, ...]

    @property
    def possible(self) -> bool:
        """Tell whether a charter may have this quorum."""
        return self.witnesses < 2 * self.quorum and self.quorum <= self.witnesses


def explain_quorum(witnesses: int, quorum: int) -> QuorumFacts:
    """Say what a quorum withstands. 1 <= witnesses; every quorum is explained, possible or not.

    Two quorums share at least 2q - n witnesses: with b liars among them, 2q - n >= b + 1 leaves
    one that is honest. With s silent, n - q >= s leaves a quorum.
    """
    liars = max(2 * quorum - witnesses - 1, 0)
    silent = max(witnesses - quorum, 0)
    warnings: list[str] = []
    if quorum > witnesses:
        warnings.append("unreachable")
    elif 2 * quorum <= witnesses:
        warnings.append("unsafe")
    elif witnesses == 1:
        warnings.append("alone")
    else:
        if silent == 0:
            warnings.append("halts")
        if liars == 0:
            warnings.append("trusting")
    if 1 < witnesses < 4:
        warnings.append("invite")
    return QuorumFacts(witnesses, quorum, liars, silent, default_quorum(witnesses), tuple(warnings))
