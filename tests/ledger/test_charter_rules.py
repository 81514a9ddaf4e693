"""What may change in a charter and what may not, each refusal by its reason (06)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import combinations, product

import pytest

from maillon.ledger.charter_entries import (
    AddUnit,
    CharterEntry,
    Clear,
    Refound,
    Remove,
    Retire,
    SetKey,
    SetLimit,
    SetQuorum,
    SetRule,
    SetTrustee,
)
from maillon.ledger.charter_rules import (
    REASONS,
    explain_quorum,
    heads_root,
    next_state,
)
from maillon.ledger.charter_state import CharterState, founding_state
from maillon.ledger.errors import CharterRefused
from maillon.ledger.limits import UNITS_MAX
from maillon.ledger.quorum import Committee, default_quorum
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import Unit
from support.charters import LedgerFederation

F = LedgerFederation(seed="charter rules")
STATE = F.chain.latest
A, B, C, D = (coop.id for coop in F.coops)
NEW = F.make_coop("new")
FRESH = F.key("fresh").public
TOMATO = AddUnit(Unit("tomate", "credit", 2, "Tomate"))
PINNED = tuple((chain, 4, b"H" * 32) for chain in sorted(STATE.coops))
RETIRE = Retire(1, heads_root(PINNED), PINNED)
GROWN = next_state(STATE, [TOMATO])
RETIRED = next_state(GROWN, [RETIRE])
ALONE = LedgerFederation(1, seed="alone", approvals=1).chain.latest
FRAUD = b"f" * 32


def heads(*changed: tuple[bytes, int, bytes]) -> tuple[tuple[bytes, int, bytes], ...]:
    """Return the pinned heads with some of them replaced."""
    given = {chain: (chain, h, block) for chain, h, block in changed}
    return tuple(given.get(head[0], head) for head in PINNED)


def retire(below: int, *changed: tuple[bytes, int, bytes]) -> Retire:
    return Retire(below, heads_root(heads(*changed)), heads(*changed))


def refound(*coops: tuple[bytes, bytes, bytes], q: int = 1) -> Refound:
    return Refound(PINNED, tuple(sorted(coops)), q)


def keys(place: int) -> tuple[bytes, bytes, bytes]:
    coop = F.coops[place]
    return coop.id, coop.writer.public, coop.witness.public


REFUSED: list[tuple[str, CharterState, list[CharterEntry]]] = [
    ("empty", STATE, []),
    ("coop_known", STATE, [F.admit(F.coops[0])]),
    ("coop_known", next_state(STATE, [Remove(A, B)]), [F.admit(F.coops[0], writer=FRESH)]),
    ("coop_known", STATE, [F.admit(NEW), F.admit(NEW)]),
    ("key_in_use", STATE, [F.admit(NEW, writer=F.coops[0].writer.public)]),
    ("key_in_use", STATE, [F.admit(NEW, node_key=F.coops[0].node.public)]),
    ("key_in_use", STATE, [F.admit(NEW, root=F.coops[2].witness.public)]),
    ("key_in_use", STATE, [SetKey(A, "writer", F.coops[1].witness.public)]),
    ("key_in_use", STATE, [SetKey(A, "witness", F.coops[0].root.public)]),
    ("key_spent", next_state(STATE, [SetKey(A, "witness", FRESH)]),
     [SetKey(A, "witness", F.coops[0].witness.public)]),
    ("key_spent", next_state(STATE, [Remove(A, B)]),
     [F.admit(NEW, witness=F.coops[0].witness.public)]),
    ("key_same", STATE, [SetKey(A, "writer", F.coops[0].writer.public)]),
    ("key_missing", next_state(STATE, [SetKey(A, "witness", b"")]), [SetKey(A, "witness", b"")]),
    ("last_witness", ALONE, [SetKey(next(iter(ALONE.coops)), "witness", b"")]),
    ("quorum_unreachable", STATE, [SetQuorum(5)]),
    ("quorum_unreachable", next_state(STATE, [SetQuorum(4)]), [Remove(A, B)]),
    ("quorum_unsafe", STATE, [SetQuorum(2)]),
    ("quorum_unsafe", next_state(STATE, [F.admit(NEW)]), [F.admit(F.make_coop("sixth"))]),
    ("approvals_unreachable", STATE, [SetRule("approvals", 5)]),
    ("approvals_unreachable", next_state(STATE, [SetRule("approvals", 4)]), [Remove(A, B)]),
    ("no_writer", STATE, [SetKey(A, "writer", b"")]),
    ("no_writer", next_state(STATE, [SetTrustee(A, B), SetKey(A, "writer", b"")]),
     [SetTrustee(A, None)]),
    ("trustee_itself", STATE, [SetTrustee(A, A)]),
    ("trustee_itself", STATE, [Remove(A, A)]),
    ("trustee_unknown", STATE, [SetTrustee(A, NEW.id)]),
    ("trustee_unknown", STATE, [Remove(A, NEW.id)]),
    ("trustee_unknown", next_state(STATE, [SetTrustee(A, B)]), [Remove(B, C)]),
    ("trustee_unknown", next_state(STATE, [Remove(B, C)]), [SetTrustee(A, B)]),
    ("trustee_unknown", next_state(STATE, [SetTrustee(A, B)]),
     [SetTrustee(B, C), SetKey(B, "writer", b"")]),
    ("trustee_same", next_state(STATE, [SetTrustee(A, B)]), [SetTrustee(A, B)]),
    ("trustee_same", STATE, [SetTrustee(A, None)]),
    ("coop_unknown", STATE, [SetLimit(NEW.id, 0, 5)]),
    ("coop_unknown", STATE, [Remove(NEW.id, A)]),
    ("coop_unknown", STATE, [SetTrustee(NEW.id, A)]),
    ("coop_unknown", next_state(STATE, [Remove(A, B)]), [SetLimit(A, 0, 5)]),
    ("coop_unknown", next_state(STATE, [Remove(A, B)]), [SetKey(A, "writer", FRESH)]),
    ("coop_unknown", next_state(STATE, [Remove(A, B)]), [Remove(A, C)]),
    ("unit_known", STATE, [AddUnit(Unit("heure", "credit", 2, "Autre"))]),
    ("unit_unknown", STATE, [SetLimit(A, 3, 5)]),
    ("unit_unknown", STATE, [F.admit(NEW, limits=((3, 5),))]),
    ("unit_count", STATE, [SetLimit(A, 2, 5)]),
    ("unit_count", STATE, [F.admit(NEW, limits=((2, 5),))]),
    ("units_full", dataclasses.replace(STATE, units=STATE.units[:1] * UNITS_MAX), [TOMATO]),
    ("rule_same", STATE, [SetRule("approvals", 2)]),
    ("epoch", STATE, [RETIRE]),
    ("epoch", GROWN, [retire(2)]),
    ("epoch", RETIRED, [RETIRE]),
    ("heads", GROWN, [Retire(1, heads_root(PINNED[1:]), PINNED[1:])]),
    ("heads", GROWN, [Retire(1, heads_root(((NEW.id, 1, FRAUD),)), ((NEW.id, 1, FRAUD),))]),
    ("heads", RETIRED, [retire(2, (A, 3, b"H" * 32))]),
    ("heads", RETIRED, [retire(2, (A, 4, b"X" * 32))]),
    ("heads", RETIRED, [Refound(heads((A, 3, b"H" * 32)), (keys(0),), 1)]),
    ("heads_root", GROWN, [Retire(1, b"r" * 32, PINNED)]),
    ("chain_unknown", STATE, [SetKey(A, "writer", FRESH), Clear(NEW.id, FRAUD)]),
    ("chain_unknown", STATE, [SetKey(A, "writer", FRESH), Clear(F.fed, FRAUD)]),
    ("writer_stays", STATE, [Clear(A, FRAUD)]),
    ("writer_stays", STATE, [Clear(A, FRAUD), SetKey(A, "writer", FRESH)]),
    ("writer_stays", STATE, [SetTrustee(A, B), Clear(A, FRAUD)]),
    ("writer_stays", STATE, [SetKey(B, "writer", FRESH), Clear(A, FRAUD)]),
    ("cleared", next_state(STATE, [SetKey(A, "writer", FRESH), Clear(A, FRAUD)]),
     [SetKey(A, "writer", F.key("third").public), Clear(A, FRAUD)]),
    ("refound_alone", STATE, [refound(keys(0)), SetQuorum(1)]),
    ("quorum_unreachable", STATE, [refound(keys(0), q=2)]),
    ("quorum_unsafe", STATE, [refound(*map(keys, range(4)), q=2)]),
    ("coop_unknown", STATE, [refound((NEW.id, FRESH, F.key("v").public))]),
    ("key_in_use", STATE, [refound((A, F.coops[1].writer.public, FRESH))]),
    ("key_in_use", STATE, [refound((A, F.coops[0].witness.public, F.coops[0].writer.public))]),
    ("key_spent", next_state(STATE, [SetKey(A, "witness", FRESH)]), [refound(keys(0))]),
    ("last_witness", STATE, [refound((A, F.coops[0].writer.public, b""))]),
    ("no_writer", STATE, [refound((A, b"", FRESH))]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "state", "entries"),
    [pytest.param(*case, id=f"{case[0]}-{at}") for at, case in enumerate(REFUSED)],
)
def test_a_change_that_may_not_be_is_refused_with_its_reason_and_changes_nothing(
    reason: str, state: CharterState, entries: list[CharterEntry]
) -> None:
    before = state.encode()
    with pytest.raises(CharterRefused) as caught:
        next_state(state, entries)
    assert caught.value.reason == reason
    assert str(caught.value) == REASONS[reason]
    assert state.encode() == before


def test_every_reason_that_entries_alone_can_give_is_tried() -> None:
    elsewhere = {  # bounds that no test of this file reaches, and what the chain refuses
        "coops_full", "witnesses_full", "not_adopted", "stale", "proposal_unknown",
        "approval_missing", "proposals_full",
    }  # fmt: skip
    assert {case[0] for case in REFUSED} == set(REASONS) - elsewhere


def test_as_many_coops_as_there_may_be_and_not_one_more() -> None:
    coop = STATE.coops[A]
    live = {bytes([1, at // 256, at % 256]) + A[3:]: coop for at in range(300)}
    gone = {key: dataclasses.replace(coop, removed=True) for key in live}
    other = {
        bytes([2, at // 256, at % 256]) + A[3:]: entry for at, entry in enumerate(gone.values())
    }
    for coops in (live, gone | other):
        with pytest.raises(CharterRefused) as caught:
            next_state(dataclasses.replace(STATE, coops=coops), [F.admit(NEW)])
        assert caught.value.reason == "coops_full"


def test_as_many_witnesses_as_there_may_be_and_not_one_more() -> None:
    federation = LedgerFederation(64, seed="many")
    with pytest.raises(CharterRefused) as caught:
        next_state(federation.chain.latest, [federation.admit(NEW)])
    assert caught.value.reason == "witnesses_full"
    without = next_state(federation.chain.latest, [federation.admit(NEW, witness=b"")])
    assert without.committee().n == 64


def test_entries_of_one_block_lean_on_each_other() -> None:
    # Five witnesses with a quorum of three would be too few for six: both change together.
    six = next_state(next_state(STATE, [F.admit(NEW)]), [F.admit(F.make_coop("6")), SetQuorum(4)])
    assert six.committee() == Committee(six.committee().keys, 4) and six.committee().n == 6
    # A unit is there for the entries behind it.
    priced = next_state(STATE, [TOMATO, SetLimit(A, 3, 5_000)])
    assert priced.coop_limit(A, 3) == 5_000 and priced.coop_limit(B, 3) == 0
    # A trustee takes over in the block that takes the writer's key away.
    held = next_state(STATE, [SetKey(A, "writer", b""), SetTrustee(A, B)])
    assert held.writers(A) == {F.coops[1].writer.public}


def test_a_coop_enters_at_the_height_of_its_charter_with_its_limits() -> None:
    made = next_state(GROWN, [F.admit(NEW)])
    coop = made.coops[NEW.id]
    assert (coop.entered, dict(coop.limits), coop.accounts_max) == (2, {0: 600}, 100)
    assert made.committee().keys[-1] == NEW.witness.public
    assert list(made.coops)[-1] == NEW.id


def test_a_lower_number_of_accounts_for_all_holds_for_each_and_a_higher_not_beyond_its_own() -> (
    None
):
    small = F.admit(NEW, accounts_max=100)
    made = next_state(STATE, [small, SetRule("accounts_max", 50)])
    assert {made.accounts_cap(coop) for coop in (A, NEW.id)} == {50}
    raised = next_state(made, [SetRule("accounts_max", 5_000)])
    assert (raised.accounts_cap(A), raised.accounts_cap(NEW.id)) == (5_000, 100)


def test_clearing_a_chain_takes_a_key_that_could_write_on_it_away() -> None:
    by_trustee = next_state(STATE, [SetTrustee(A, B)])
    ways: list[tuple[CharterState, CharterEntry]] = [
        (STATE, SetKey(A, "writer", FRESH)),
        (STATE, Remove(A, B)),
        (by_trustee, SetTrustee(A, C)),
        (by_trustee, SetKey(B, "writer", FRESH)),
        (by_trustee, SetKey(A, "writer", b"")),
    ]
    for state, entry in ways:
        made = next_state(state, [entry, Clear(A, FRAUD)])
        assert made.cleared == ((A, FRAUD),)
        assert state.writers(A) - made.writers(A)


def test_what_is_remembered_of_keys_and_proofs_is_bounded_and_the_oldest_goes() -> None:
    full = dataclasses.replace(
        STATE,
        spent=tuple(at.to_bytes(32, "big") for at in range(1_000)),
        cleared=tuple((A, at.to_bytes(32, "big")) for at in range(1_000)),
    )
    made = next_state(full, [SetKey(A, "writer", FRESH), Clear(A, FRAUD)])
    assert len(made.spent) == len(made.cleared) == 1_000
    assert made.spent[-1] == F.coops[0].writer.public and made.spent[0] == (1).to_bytes(32, "big")
    assert made.cleared[-1] == (A, FRAUD)


def test_a_later_retirement_goes_on_from_the_heads_of_the_one_before() -> None:
    later = retire(2, (A, 9, b"N" * 32))
    made = next_state(RETIRED, [later])
    assert made.retired_below == 2 and made.retired_heads[A] == (9, b"N" * 32)
    assert made.retired_heads[B] == (4, b"H" * 32)


def test_a_re_founding_gives_the_coops_it_names_their_keys_and_the_others_no_witness() -> None:
    fresh = (F.key("w'").public, F.key("v'").public)
    made = next_state(STATE, [refound((A, *fresh), keys(1), q=2)])
    assert (made.coops[A].writer, made.coops[A].witness) == fresh
    assert made.coops[B] == STATE.coops[B]
    assert (made.coops[C].writer, made.coops[C].witness) == (F.coops[2].writer.public, b"")
    gone = {F.coops[0].writer.public, *(F.coops[at].witness.public for at in (0, 2, 3))}
    assert set(made.spent) == gone
    assert made.committee().keys == (fresh[1], F.coops[1].witness.public)


def test_the_state_after_some_blocks_depends_on_the_blocks_alone() -> None:
    def grow(state: CharterState) -> CharterState:
        state = next_state(state, [F.admit(NEW), SetQuorum(4)])
        state = next_state(state, [Remove(A, NEW.id)])
        return next_state(state, [SetRule("recovery_s", 60), SetLimit(B, 1, 7)])

    assert grow(STATE) == grow(founding_state(F.founding))
    assert grow(STATE).root() == grow(STATE).root() != STATE.root()


# --- Quorums ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "q", "liars", "silent", "warnings"),
    [
        (1, 1, 0, 0, ("alone",)),
        (2, 2, 1, 0, ("halts", "invite")),
        (2, 1, 0, 1, ("unsafe", "invite")),
        (3, 2, 0, 1, ("trusting", "invite")),
        (3, 3, 2, 0, ("halts", "invite")),
        (4, 3, 1, 1, ()),
        (4, 4, 3, 0, ("halts",)),
        (4, 2, 0, 2, ("unsafe",)),
        (4, 5, 5, 0, ("unreachable",)),
        (5, 3, 0, 2, ("trusting",)),
        (7, 5, 2, 2, ()),
        (10, 7, 3, 3, ()),
    ],
)
def test_a_quorum_is_explained(
    n: int, q: int, liars: int, silent: int, warnings: tuple[str, ...]
) -> None:
    facts = explain_quorum(n, q)
    assert (facts.liars, facts.silent, facts.warnings) == (liars, silent, warnings)
    assert facts.possible is ("unsafe" not in warnings and "unreachable" not in warnings)


def test_what_is_called_possible_is_what_a_committee_may_be() -> None:
    for n, q in product(range(1, 12), range(1, 14)):
        key = [bytes([at]) * 32 for at in range(n)]
        assert explain_quorum(n, q).possible is _fits(lambda: Committee(tuple(key), q))  # noqa: B023
    assert all(explain_quorum(n, default_quorum(n)).possible for n in range(1, 65))


def _fits(make: Callable[[], object]) -> bool:
    try:
        make()
    except MaillonError:
        return False
    return True


def test_two_quorums_share_an_honest_witness_as_long_as_liars_are_as_few_as_said() -> None:
    for n in range(1, 8):
        for q in range(n // 2 + 1, n + 1):
            facts = explain_quorum(n, q)
            least = min(
                len(set(one) & set(other))
                for one in combinations(range(n), q)
                for other in combinations(range(n), q)
            )
            assert least == facts.liars + 1
            assert n - facts.silent == q
