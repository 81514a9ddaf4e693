"""Own keys: claimed with a code once, several devices, lost ones recovered in the open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maillon.node.api import persons_shapes as shapes
from maillon.node.persons import bounds
from maillon.node.persons.errors import ClaimRefused, NotPossible
from maillon.protocol.cards import TextDamaged
from maillon.protocol.claims import ClaimCode, claim_body, claim_code, device_body
from maillon.protocol.errors import BadSignature, MaillonError
from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.records import DAY_S
from maillon.protocol.view import person_author
from support.charters import RECOVERY_S
from support.ledgernet import LedgerNet, until
from support.persons import OPERATOR, PersonsTestNode, persons_net, restart

Net = tuple[LedgerNet, list[PersonsTestNode]]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


class Phone:
    """A device with keys of its own."""

    def __init__(self, node: PersonsTestNode, label: str) -> None:
        self.node = node
        self.key = node.net.federation.key(f"phone {label}")
        self.sealing = SealingKey.from_seed(node.net.federation.key(f"seal {label}").secret_bytes())

    def claim(self, code: str, **more: object) -> shapes.ClaimRequest:
        node = self.node
        body = claim_body(
            node.founding.fed, node.coop, claim_code(code).hash, self.key.public,
            self.sealing.public,
        )  # fmt: skip
        return shapes.ClaimRequest(
            code=code,
            key=self.key.public.hex(),
            sealing=self.sealing.public.hex(),
            signature=self.key.sign("claim", body).hex(),
            wait_s=60,
            **more,  # type: ignore[arg-type]
        )


def person_of(account: str) -> str:
    return account.partition(":")[2]


def keys_on(node: PersonsTestNode, account: str) -> set[bytes]:
    found = node.persons.accounts.account(bytes.fromhex(person_of(account)))
    assert found is not None
    return set(found.keys_at(node.time()))


def code_for(node: PersonsTestNode, account: str) -> str:
    made = node.persons.claim_code(OPERATOR, person_of(account), shapes.ClaimCodeRequest())
    assert made.code in made.html and "<svg" in made.html
    return made.code


async def test_a_person_entered_by_a_helper_takes_the_account_over_with_an_own_key(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana, bo = await a.holder("Ana", roles=["member", "provider"]), await a.holder("Bo")
    (kept,) = keys_on(a, ana)
    code, phone = code_for(a, ana), Phone(a, "ana")
    done = await a.persons.claim(OPERATOR, phone.claim(code.lower().replace("-", " ")))
    assert (done.account, done.dropped) == ("certified", [kept.hex()])
    await until(lambda: keys_on(a, ana) == {phone.key.public}, "the account is hers alone")
    await until(lambda: not a.register.keys_of(bytes.fromhex(done.person))[0].held, "forgotten")
    shown = a.persons.person(OPERATOR, person_of(ana))
    assert {d.key: (d.status, d.account, d.held) for d in shown.devices} == {
        kept.hex(): ("revoked", "no", False),
        phone.key.public.hex(): ("active", "yes", False),
    }
    assert shown.roles == ["member", "provider"]
    # The same code once more, with the same key, tells the same; with another it opens nothing.
    assert (await a.persons.claim(OPERATOR, phone.claim(code))).account == "certified"
    with pytest.raises(ClaimRefused):
        await a.persons.claim(OPERATOR, Phone(a, "thief").claim(code))
    assert keys_on(a, ana) == {phone.key.public} and bo


async def test_a_claim_keeps_the_old_key_when_the_person_wants_both(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana = await a.holder("Ana")
    (kept,) = keys_on(a, ana)
    phone = Phone(a, "ana")
    done = await a.persons.claim(OPERATOR, phone.claim(code_for(a, ana), drop=False))
    assert done.dropped == [] and keys_on(a, ana) == {kept, phone.key.public}
    assert {d.status for d in a.persons.person(OPERATOR, person_of(ana)).devices} == {"active"}


async def test_a_person_on_paper_claims_by_the_ledgers_recovery(
    net: Net, autojump_clock: object
) -> None:
    world, (a, *_rest) = net
    ana = await a.holder("Ana", custody="paper")
    (paper,) = keys_on(a, ana)
    phone = Phone(a, "ana")
    done = await a.persons.claim(OPERATOR, phone.claim(code_for(a, ana), drop=False))
    assert (done.account, keys_on(a, ana)) == ("pending", {paper})
    world.skew += RECOVERY_S + 60
    assert keys_on(a, ana) == {paper, phone.key.public}


@pytest.mark.parametrize("killed", ["used", "registered", "vouched"])
async def test_a_claim_that_broke_off_is_repeated_to_its_end(
    net: Net, killed: str, autojump_clock: object
) -> None:
    world, (a, *_rest) = net
    ana = await a.holder("Ana")
    phone, code = Phone(a, "ana"), code_for(a, ana)
    person = bytes.fromhex(person_of(ana))
    a.persons.disk.run("UPDATE claim SET used_at = ?, key = ?", a.time(), phone.key.public)
    if killed != "used":
        a.register.add_key(
            person, phone.key.public, phone.sealing.public, "device", a.time()
        )
    if killed == "vouched":
        a.persons.writer.vouch(person, phone.key.public, phone.sealing.public, "device")
    a.stop()
    await restart(world, a)
    done = await a.persons.claim(OPERATOR, phone.claim(code))
    assert done.account == "certified"
    await until(lambda: keys_on(a, ana) == {phone.key.public}, "it went through")
    assert len(a.view.keys_of(person_author(a.coop, person))) == 2


async def test_wrong_codes_are_bounded_and_say_nothing(net: Net, autojump_clock: object) -> None:
    world, (a, *_rest) = net
    ana = await a.holder("Ana")
    code, phone = code_for(a, ana), Phone(a, "ana")
    right = claim_code(code)
    said: set[str] = set()
    for n in range(bounds.CLAIM_TRIES_MAX):
        wrong = ClaimCode(right.name, n.to_bytes(8, "big")).text()
        with pytest.raises(ClaimRefused) as refused:
            await a.persons.claim(OPERATOR, phone.claim(wrong))
        said.add(str(refused.value))
    with pytest.raises(ClaimRefused) as refused:
        await a.persons.claim(OPERATOR, phone.claim(ClaimCode(b"\1\2\3", bytes(8)).text()))
    said.add(str(refused.value))
    with pytest.raises(ClaimRefused) as refused:
        # The right one as well: its tries are used up.
        await a.persons.claim(OPERATOR, phone.claim(code))
    assert len(said | {str(refused.value)}) == 1
    with pytest.raises(TextDamaged):
        await a.persons.claim(OPERATOR, phone.claim(code[:-1] + ("0" if code[-1] != "0" else "1")))
    late = code_for(a, ana)
    world.skew += 15 * DAY_S
    with pytest.raises(ClaimRefused):
        await a.persons.claim(OPERATOR, phone.claim(late))
    forged = phone.claim(code_for(a, ana))
    forged.signature = Phone(a, "other").key.sign("claim", b"").hex()
    with pytest.raises(BadSignature):
        await a.persons.claim(OPERATOR, forged)
    assert len(keys_on(a, ana)) == 1 and len(a.register.keys_of(bytes.fromhex(person_of(ana)))) == 1


async def test_a_second_device_is_let_in_by_the_first(net: Net, autojump_clock: object) -> None:
    _, (a, *_rest) = net
    ana = await a.holder("Ana")
    phone, tablet = Phone(a, "ana"), Phone(a, "tablet")
    await a.persons.claim(OPERATOR, phone.claim(code_for(a, ana)))
    await until(lambda: keys_on(a, ana) == {phone.key.public}, "her own")
    person = bytes.fromhex(person_of(ana))
    her = a.caller(ana)

    def wish(by: SigningKey, end: int) -> shapes.DeviceRequest:
        body = device_body(
            a.founding.fed, a.coop, person, tablet.key.public, tablet.sealing.public, end
        )
        return shapes.DeviceRequest(
            key=tablet.key.public.hex(),
            sealing=tablet.sealing.public.hex(),
            approved_by=phone.key.public.hex(),
            approval=by.sign("device", body).hex(),
            until=end,
        )

    with pytest.raises(BadSignature):
        await a.persons.add_device(her, person_of(ana), wish(tablet.key, a.time() + 60))
    with pytest.raises(NotPossible):
        await a.persons.add_device(her, person_of(ana), wish(phone.key, a.time() - 60))
    bare = wish(phone.key, 0)
    bare.approved_by = bare.approval = None
    with pytest.raises(NotPossible):
        await a.persons.add_device(her, person_of(ana), bare)
    assert a.view.membership(a.coop, tablet.key.public) is None
    done = await a.persons.add_device(her, person_of(ana), wish(phone.key, a.time() + 600))
    assert done.device.status == "active" and done.account == "no"
    # The order for the account is signed on the phone, since no key is held here.
    (order,) = done.to_sign
    assert (order.what, order.key) == ("order", phone.key.public.hex())
    from maillon.ledger import signing
    from maillon.ledger.orders import Order
    from maillon.node.api import ledger_shapes

    signature = signing.sign(
        phone.key, signing.ORDER, a.founding.fed, bytes.fromhex(order.body)
    )
    placed = await a.desk.signed(
        ledger_shapes.SignedRequest(
            order=Order(bytes.fromhex(order.body), phone.key.public, b"", signature).encode().hex(),
            wait_s=60,
        )
    )
    assert placed.status == "certified"
    assert keys_on(a, ana) == {phone.key.public, tablet.key.public}


async def test_a_removed_device_signs_nothing_more_and_leaves_the_account(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    ana = await a.holder("Ana")
    phone = Phone(a, "ana")
    await a.persons.claim(OPERATOR, phone.claim(code_for(a, ana), drop=False))
    person = bytes.fromhex(person_of(ana))
    kept = bytes(32)
    done = await a.persons.remove_device(
        OPERATOR,
        person_of(ana),
        phone.key.public.hex(),
        shapes.RemoveDeviceRequest(reason="stolen", keep=[kept.hex()], wait_s=60),
    )
    assert (done.device.status, done.account) == ("revoked", "no")
    assert phone.key.public not in keys_on(a, ana)
    info = a.view.membership(a.coop, phone.key.public)
    assert info is not None and info.end is not None and info.end.keep == frozenset({kept})
    assert a.register.person(person) is not None
    # Whoever has the stolen device is signed out with it.
    assert a.signed_out == [a.author_of(ana)]


async def begin(a: PersonsTestNode, account: str, phone: Phone) -> shapes.Recovery:
    (old,) = keys_on(a, account)
    return a.persons.recover(
        OPERATOR,
        person_of(account),
        shapes.RecoveryRequest(
            old_key=old.hex(),
            procedure="Two members of the board recognised her at the desk.",
            key=phone.key.public.hex(),
            sealing=phone.sealing.public.hex(),
        ),
    )


async def test_a_key_that_the_coop_vouches_for_counts_after_the_time_to_contest(
    net: Net, autojump_clock: object
) -> None:
    world, (a, b, _c) = net
    ana = await a.holder("Ana")
    (old,) = keys_on(a, ana)
    phone = Phone(a, "ana")
    made = await begin(a, ana, phone)
    assert (made.status, made.contest_until) == ("open", a.time() + 14 * DAY_S)
    with pytest.raises(NotPossible):
        await begin(a, ana, Phone(a, "again"))
    await until(lambda: any(b.store.by_kinds(("vouching",))), "everybody can see it")
    assert a.view.membership(a.coop, phone.key.public) is None and keys_on(a, ana) == {old}
    world.skew += 14 * DAY_S + 60
    await a.persons.work()
    assert a.persons.recoveries(OPERATOR).recoveries[0].status == "done"
    info = a.view.membership(a.coop, phone.key.public)
    assert info is not None and info.status == "active"
    await until(
        lambda: a.persons.recoveries(OPERATOR).recoveries[0].account == "pending", "it waits again"
    )
    assert keys_on(a, ana) == {old}
    world.skew += RECOVERY_S + 60
    await until(lambda: keys_on(a, ana) == {phone.key.public}, "the old one has left the account")
    ended = a.view.membership(a.coop, old)
    assert ended is not None and ended.status == "revoked"


async def test_an_old_key_contests_and_nothing_comes_of_the_recovery(
    net: Net, autojump_clock: object
) -> None:
    world, (a, *_rest) = net
    ana, eve = await a.holder("Ana"), await a.holder("Eve")
    (old,) = keys_on(a, ana)
    phone = Phone(a, "thief")
    made = await begin(a, ana, phone)
    stranger = a.register.held_key(next(iter(keys_on(a, eve))))
    record = a.persons.writer.draft(
        "contest", {"vouching": bytes.fromhex(made.recovery)}, stranger.public,
        a.author_of(eve), refs=(bytes.fromhex(made.recovery),),
    )  # fmt: skip
    from maillon.protocol.envelope import sign

    with pytest.raises(MaillonError):
        a.persons.contest(
            a.caller(eve), made.recovery,
            shapes.ContestRequest(signed=sign(record, stranger).encode().hex()),
        )  # fmt: skip
    assert a.persons.recoveries(OPERATOR).recoveries[0].status == "open"
    told = a.persons.contest(a.caller(ana), made.recovery, shapes.ContestRequest())
    assert (told.status, told.contested_by) == ("contested", old.hex())
    world.skew += 30 * DAY_S
    await a.persons.work()
    assert a.persons.recoveries(OPERATOR).recoveries[0].status == "contested"
    assert a.view.membership(a.coop, phone.key.public) is None and keys_on(a, ana) == {old}
