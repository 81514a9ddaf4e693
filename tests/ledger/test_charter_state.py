"""Charter 0 comes from the founding document, and a charter's state says who may do what (06)."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from maillon.ledger.charter_entries import Refound, Remove, Retire, SetKey, SetTrustee
from maillon.ledger.charter_rules import heads_root, next_state
from maillon.ledger.charter_state import STATE_BYTES_MAX, CharterCoop, founding_state, new_coop
from maillon.ledger.errors import NoLedger
from maillon.ledger.limits import UNITS_MAX
from maillon.protocol.encoding import decode
from maillon.protocol.limits import ACCOUNTS_MAX, COOPS_MAX
from support.charters import LedgerFederation
from support.world import World

F = LedgerFederation(seed="charter state")
STATE = F.chain.latest


def test_charter_0_is_a_function_of_the_founding_document() -> None:
    again = founding_state(F.founding)
    assert again == STATE and again.root() == STATE.root()
    assert STATE.height == 0
    assert [coop.name for coop in STATE.coops.values()] == [coop.name for coop in F.coops]
    assert STATE.committee().keys == tuple(coop.witness.public for coop in F.coops)
    assert (STATE.committee().quorum, STATE.approvals) == (3, 2)
    assert STATE.units == F.founding.units


def test_a_federation_founded_without_accounts_has_no_charter() -> None:
    with pytest.raises(NoLedger):
        founding_state(World(seed="plain").founding)


def test_the_root_is_the_hash_of_the_encoded_state_as_a_leaf() -> None:
    assert STATE.root() == hashlib.sha256(b"\0" + STATE.encode()).digest()
    shown = decode(STATE.encode(), bytes_max=STATE_BYTES_MAX)
    assert isinstance(shown, dict)
    assert (shown["height"], shown["quorum"], shown["v"]) == (0, 3, 1)


@pytest.mark.parametrize("field", ["quorum", "approvals", "recovery_s", "accounts_max", "height"])
def test_each_number_of_the_state_is_in_its_root(field: str) -> None:
    other = dataclasses.replace(STATE, **{field: getattr(STATE, field) + 1})
    assert other.root() != STATE.root()


def test_the_founders_limits_and_accounts_are_those_of_the_terms() -> None:
    coop = STATE.coops[F.coops[0].id]
    assert dict(coop.limits) == {0: 6_000, 1: 100_000}
    assert (coop.accounts_own, coop.accounts_max) == (ACCOUNTS_MAX, 1_000)
    assert STATE.accounts_cap(coop.id) == 1_000
    assert STATE.coop_limit(coop.id, 1) == 100_000
    assert STATE.coop_limit(coop.id, 2) == 0 == STATE.coop_limit(bytes(32), 0)
    assert STATE.accounts_cap(bytes(32)) == 0


def test_a_chain_is_written_by_its_own_coop_and_the_charter_by_any() -> None:
    assert STATE.writers(F.coops[1].id) == {F.coops[1].writer.public}
    assert STATE.writers(F.fed) == {coop.writer.public for coop in F.coops}
    assert STATE.writers(bytes(32)) == frozenset()


def test_a_trustee_writes_besides_the_coop_and_alone_once_it_has_left() -> None:
    a, b, *_ = F.coops
    named = next_state(STATE, [SetTrustee(a.id, b.id)])
    assert named.writers(a.id) == {a.writer.public, b.writer.public}
    assert named.writers(b.id) == {b.writer.public}
    left = next_state(named, [Remove(a.id, b.id)])
    assert left.writers(a.id) == {b.writer.public}
    assert a.writer.public not in left.writers(F.fed)
    assert left.accounts_cap(a.id) == 0 == left.coop_limit(a.id, 0)


def test_who_left_neither_witnesses_nor_approves_nor_counts() -> None:
    a, b, c, d = F.coops
    left = next_state(STATE, [Remove(b.id, a.id)])
    assert left.committee().keys == tuple(coop.witness.public for coop in (a, c, d))
    assert set(left.approvers()) == {a.id, c.id, d.id}
    assert left.witness_coop(b.witness.public) is None
    witness = left.witness_coop(c.witness.public)
    assert witness is not None and witness.id == c.id
    # It stays in the state: its chain is still closed, and its id is taken for ever.
    assert list(left.coops) == [coop.id for coop in F.coops]


def test_a_replaced_witness_keeps_its_place_in_the_committee() -> None:
    fresh = F.key("fresh").public
    turned = next_state(STATE, [SetKey(F.coops[1].id, "witness", fresh)])
    assert turned.committee().keys[1] == fresh
    assert F.coops[1].witness.public in turned.spent


def test_a_certificate_of_a_retired_epoch_counts_for_the_pinned_head_alone() -> None:
    heads = tuple((chain, 5, b"H" * 32) for chain in sorted(STATE.coops))
    grown = next_state(STATE, [SetKey(F.coops[0].id, "writer", F.key("w2").public)])
    retired = next_state(grown, [Retire(1, heads_root(heads), heads)])
    chain = F.coops[0].id
    assert retired.counts(chain, 0, 5, b"H" * 32) and not retired.counts(chain, 0, 5, b"X" * 32)
    assert not retired.counts(chain, 0, 4, b"x" * 32)
    assert not retired.counts(chain, 0, 6, b"x" * 32)
    assert retired.counts(chain, 1, 6, b"x" * 32)
    # A reader that climbs from genesis takes what is below, until the pinned head decides.
    assert retired.may_count(chain, 0, 4, b"x" * 32)
    assert not retired.may_count(chain, 0, 5, b"X" * 32)
    assert not retired.may_count(chain, 0, 6, b"x" * 32)
    # A coop that entered later has no head of a retired epoch at all; the charter's own chain is
    # judged by what stands above it.
    assert not retired.may_count(b"L" * 32, 0, 1, b"x" * 32)
    assert retired.may_count(F.fed, 0, 1, b"x" * 32)


def test_a_re_founding_retires_every_epoch_before_it() -> None:
    heads = tuple((chain, 3, b"H" * 32) for chain in sorted(STATE.coops))
    coops = tuple(
        (coop.id, coop.writer.public, coop.witness.public)
        for coop in sorted(F.coops[:2], key=lambda coop: coop.id)
    )
    again = next_state(STATE, [Refound(heads, coops, 2)])
    assert (again.refounded, again.retired_below, again.quorum) == (1, 1, 2)
    assert set(again.committee().keys) == {coop.witness.public for coop in F.coops[:2]}
    assert not again.counts(F.coops[0].id, 0, 4, b"x" * 32)


def test_the_largest_charter_fits_its_bound() -> None:
    limits = tuple((unit, 2**53 - 1) for unit in range(UNITS_MAX))
    coops: dict[bytes, CharterCoop] = {}
    for at in range(2 * COOPS_MAX):
        keys = tuple(hashlib.sha256(b"%d/%d" % (at, key)).digest() for key in range(4))
        coop = new_coop((keys[0], keys[1], keys[2], keys[3]), "é" * 120, limits, 10**6, 10**6)
        coops[coop.id] = dataclasses.replace(coop, trustee=bytes(32))
    full = dataclasses.replace(
        STATE,
        coops=coops,
        units=STATE.units[:1] * UNITS_MAX,
        retired_heads={coop: (2**53 - 1, bytes(32)) for coop in coops},
        cleared=((bytes(32), bytes(32)),) * 1_000,
        spent=(bytes(32),) * 1_000,
    )
    assert len(full.encode()) < STATE_BYTES_MAX
