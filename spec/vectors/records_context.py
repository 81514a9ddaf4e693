"""Make the vectors of records among others: who may, when, and what becomes of a set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from community_context import community, steps
from maillon.protocol.envelope import Checked, Signed
from maillon.protocol.errors import RemoteError
from maillon.protocol.records import DAY_S, PRIVATE_KINDS, build, tag
from maillon.protocol.validation import check_context, check_step
from maillon.protocol.view import TransferInfo
from support.model_view import ModelView, live_set
from support.world import World

DAY = DAY_S


class Book:
    """Collect records under labels, and the cases that name them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.records: dict[str, Signed] = {}
        self.cases: list[dict[str, object]] = []
        self.sets: list[dict[str, object]] = []
        self.transfers: dict[bytes, TransferInfo] = {}

    def put(self, label: str, signed: Signed) -> Signed:
        """Keep a record under a label of its own."""
        assert label not in self.records, label
        self.records[label] = signed
        return signed

    def case(
        self, name: str, given: Sequence[str], record: str, expect: str = "ok", **facts: Any
    ) -> None:
        """State what becomes of a record among others; the generator refuses a wrong statement."""
        view = ModelView(self.world.founding, self.transfers)
        known = [self.records[label] for label in given]
        live = live_set(known, self.world.founding, self.world.now, self.transfers)
        for valid in live.values():
            view.add(valid)
        got, author, rule = "ok", None, None
        try:
            checked = Checked(self.records[record])
            if checked.signed.header.kind in PRIVATE_KINDS:
                author = check_step(checked, view).author
            else:
                author = check_context(checked, view, self.world.now).author
        except RemoteError as error:
            got, rule = error.code, error.facts.get("rule")
        assert facts.get("rule") in (None, rule), f"{name}: {rule} instead of {facts}"
        assert got == expect, f"{name}: {got} instead of {expect}"
        case: dict[str, object] = {
            "name": name, "given": list(given), "record": record, "expect": expect,
        }  # fmt: skip
        if author is not None:
            case["author"] = author
        self.cases.append({**case, **facts})

    def live(self, name: str, given: Sequence[str], live: Sequence[str]) -> None:
        """State which of some records are live."""
        known = [self.records[label] for label in given]
        got = live_set(known, self.world.founding, self.world.now, self.transfers)
        want = {self.records[label].id for label in live}
        extra = [label for label in given if (self.records[label].id in got) != (label in live)]
        assert set(got) == want, f"{name}: differs on {extra}"
        self.sets.append({"name": name, "records": list(given), "live": list(live)})


def context() -> dict[str, object]:
    """Return the content of records-context.json."""
    w = World(seed="context")
    book = Book(w)
    _coops(book)
    _members(book)
    _mandates(book)
    _answers(book)
    _sets(book)
    _edges(book)
    community(book)
    steps(book)
    return {
        "about": "spec/03: the view is what the live set of `given` says; judge `record` against "
        "it. In `sets`, the live ones of `records`, whatever the order.",
        "founding": w.founding.document,
        "now": w.now,
        "transfers": [
            {"id": id, "payer": t.payer, "payee": t.payee} for id, t in book.transfers.items()
        ],
        "records": {label: signed.encode() for label, signed in book.records.items()},
        "cases": book.cases,
        "sets": book.sets,
    }


def _coops(b: Book) -> None:
    w = b.world
    for place in range(3):
        b.put(f"profile {place}", w.profile(place))
    b.case("a founder's profile needs nothing before it", [], "profile 0")
    stranger = w.make_coop("stranger")
    b.put("stranger profile", w.profile(stranger))
    for place in range(3):
        b.put(f"admission {place}", w.admission(place, stranger))
    founders = ["profile 0", "profile 1", "profile 2"]
    b.case("a stranger's profile", founders, "stranger profile", "coop_unknown")
    b.case("admitted by one of the two that are needed", [*founders, "admission 0"],
           "stranger profile", "coop_unknown")  # fmt: skip
    b.case("admitted by two", [*founders, "admission 0", "admission 2"], "stranger profile")
    b.put("admission 0 gone", w.withdrawal(b.records["admission 0"], w.coops[0].node, w.coops[0]))
    b.case("an admission withdrawn",
           [*founders, "admission 0", "admission 2", "admission 0 gone"],
           "stranger profile", "coop_unknown")  # fmt: skip
    b.case("admitting before one's profile is known", [], "admission 0", "coop_unknown")
    other = w.make_coop("other")
    b.put("admission by stranger", w.admission(stranger, other))
    admitted = [*founders, "admission 0", "admission 1", "stranger profile"]
    b.case("an admission by a coop that was admitted itself", admitted, "admission by stranger",
           "not_allowed")  # fmt: skip
    b.put("category", w.category(0))
    b.case("a category by the node key", ["profile 0"], "category")
    b.case("a category before the profile is known", [], "category", "coop_unknown")
    rooted = w.record("category", dict(b.records["category"].payload or {}),
                      coop=w.coops[0], by=w.coops[0].root)  # fmt: skip
    b.put("category by root", rooted)
    b.case("a category by the root key", ["profile 0"], "category by root", "not_allowed")
    renewed = w.key("renewed")
    old = w.coops[0].node.public
    b.put("category later", w.category(0, at=w.now - DAY, rev=1))
    categories = [b.records["category"].id]
    endings: list[tuple[str, int, dict[str, Any]]] = [
        ("rotated", 1, {"until_at": w.now - 2 * DAY}),
        ("rotated, category kept", 2, {"until_at": w.now - 2 * DAY, "keep": categories}),
        ("rotated, nothing kept", 3, {"until_at": w.now, "keep": []}),
    ]
    for label, rev, ended in endings:
        b.put(label, w.profile(
            0, node=renewed, rev=rev, at=w.now, previous=[{"key": old, **ended}]
        ))  # fmt: skip
    b.put("rotated and forgotten", w.profile(0, node=renewed, rev=4))
    b.put("category of old", w.category(0, "ancien", at=w.now - 3 * DAY))
    b.case("by the old node key before its end", ["rotated"], "category of old")
    b.case("by the old node key after its end", ["rotated"], "category later",
           "membership_revoked")  # fmt: skip
    b.case("by the old node key, kept by name", ["rotated, category kept"], "category")
    b.case("by the old node key, not kept", ["rotated, category kept"], "category of old",
           "membership_revoked")  # fmt: skip
    b.case("nothing kept of the old node key", ["rotated, nothing kept"], "category of old",
           "membership_revoked")  # fmt: skip
    b.case("a node key that no profile names any more", ["rotated and forgotten"],
           "category of old", "membership_missing")  # fmt: skip
    short = b.put("profile of 50 days", w.profile(0, days=50, at=w.now - DAY, rev=5))
    payload = dict(w.category(0, "queue").payload or {})
    for label, until in (("to the end", short.header.until), ("beyond", short.header.until + 1)):
        b.put(f"category {label}", w.record(
            "category", payload, coop=w.coops[0], by=w.coops[0].node, until=until
        ))  # fmt: skip
    b.case("until the profile's end", ["profile of 50 days"], "category to the end")
    b.case("outliving the profile", ["profile of 50 days"], "category beyond",
           "membership_expired")  # fmt: skip
    end = w.withdrawal(b.records["profile 0"], w.coops[0].node, w.coops[0])
    b.put("profile withdrawn by the node", end)
    b.case("a profile withdrawn by the node key", ["profile 0"], "profile withdrawn by the node",
           "not_allowed")  # fmt: skip
    b.put("profile withdrawn", w.withdrawal(b.records["profile 0"], w.coops[0].root, w.coops[0]))
    b.case("a profile withdrawn by the root", ["profile 0"], "profile withdrawn")
    b.case("after the profile is gone", ["profile 0", "profile withdrawn"], "category",
           "coop_unknown")  # fmt: skip


def _members(b: Book) -> None:
    w = b.world
    alice = w.make_member(0, "alice")
    p = "profile 0"
    b.put("alice", w.membership(alice))
    b.put("offer", w.offer(alice))
    b.put("offer of 3 days ago", w.offer(alice, at=w.now - 3 * DAY))
    b.case("a member's offer", [p, "alice"], "offer")
    b.case("a membership before the profile", [], "alice", "coop_unknown")
    b.case("an offer by nobody's key", [p], "offer", "membership_missing")
    b.put("alice, by a member", w.membership(w.make_member(0, "friend"), by=alice.key))
    b.case("a membership by a member", [p, "alice"], "alice, by a member", "not_allowed")
    b.put("alice, by another coop", w.record(
        "membership", dict(b.records["alice"].payload or {}), coop=w.coops[0], by=w.coops[1].node,
    ))  # fmt: skip
    b.case("a membership by another coop's node", [p, "profile 1"], "alice, by another coop",
           "membership_missing")  # fmt: skip
    b.put("offer through coop 1", w.offer(alice, coop=w.coops[1]))
    b.case("an offer that names another coop", [p, "profile 1", "alice"], "offer through coop 1",
           "membership_missing")  # fmt: skip
    b.put("alice, ten days", w.membership(alice, at=w.now - DAY, days=10, rev=1))
    b.put("offer of nine days", w.offer(alice, days=9))
    b.case("until the membership's end", [p, "alice, ten days"], "offer of nine days")
    b.case("outliving the membership", [p, "alice, ten days"], "offer", "membership_expired")
    b.put("alice, expired", w.membership(alice, at=w.now - 10 * DAY, days=9))
    b.case("a membership that has expired itself", [p, "alice, expired"], "offer",
           "membership_missing")  # fmt: skip
    b.put("alice, suspended", w.membership(alice, status="suspended", at=w.now - 2 * DAY, rev=2))
    b.put("alice, suspended since 4 days", w.membership(
        alice, status="suspended", at=w.now - DAY, status_since=w.now - 4 * DAY, rev=3
    ))  # fmt: skip
    b.put("alice, active again", w.membership(alice, at=w.now, rev=4))
    b.case("signed while suspended", [p, "alice, suspended"], "offer", "membership_revoked")
    b.case("signed before the suspension", [p, "alice, suspended"], "offer of 3 days ago")
    b.put("offer of that second", w.offer(alice, at=w.now - 2 * DAY))
    b.case("signed in the second of the suspension", [p, "alice, suspended"],
           "offer of that second", "membership_revoked")  # fmt: skip
    b.case("suspended since an earlier day", [p, "alice, suspended since 4 days"],
           "offer of 3 days ago", "membership_revoked")  # fmt: skip
    b.case("active again", [p, "alice", "alice, suspended", "alice, active again"], "offer")
    b.put("offer gone", w.withdrawal(b.records["offer"], alice.key, alice.coop))
    b.case("taking back while suspended", [p, "alice, suspended"], "offer gone")
    for label, rev, ended in (
        ("alice, lost", 5, {"reason": "lost", "until_at": w.now - 2 * DAY}),
        ("alice, lost, one kept", 6, {"reason": "lost", "until_at": w.now - 9 * DAY,
                                      "keep": [b.records["offer"].id]}),
    ):  # fmt: skip
        b.put(label, w.membership(alice, status="revoked", revoked=ended, rev=rev, at=w.now))
    b.case("revoked, signed before", [p, "alice, lost"], "offer of 3 days ago")
    b.case("revoked, signed after", [p, "alice, lost"], "offer", "membership_revoked")
    b.case("revoked, kept by name", [p, "alice, lost, one kept"], "offer")
    b.case("revoked, not kept", [p, "alice, lost, one kept"], "offer of 3 days ago",
           "membership_revoked")  # fmt: skip
    b.put("alice gone", w.withdrawal(b.records["alice"], w.coops[0].node, w.coops[0]))
    b.case("a membership withdrawn", [p, "alice", "alice gone"], "offer", "membership_missing")
    b.put("alice, gone by alice", w.withdrawal(b.records["alice"], alice.key, alice.coop))
    b.case("a member cannot end the membership", [p, "alice"], "alice, gone by alice",
           "not_allowed")  # fmt: skip
    b.put("category by alice", w.record("category", dict(b.records["category"].payload or {}),
          coop=alice.coop, by=alice.key))  # fmt: skip
    b.case("a category by a member", [p, "alice"], "category by alice", "not_allowed")
    b.put("poem", w.record("poem", {"salt": w.fresh()}, coop=alice.coop, by=alice.key))
    root = alice.coop.root
    b.put("poem by root", w.record("poem", {"salt": w.fresh()}, coop=alice.coop, by=root))
    b.case("a later kind by a member", [p, "alice"], "poem")
    b.case("a later kind by the root", [p], "poem by root", "not_allowed")
    b.put("offer by the node", w.offer(alice, by=w.coops[0].node))
    b.case("an offer by the node key", [p], "offer by the node")
    # Two persons, one key: on every node the lesser person id has it.
    twin = w.make_member(0, "twin", key="coop 0/alice")
    b.put("twin", w.membership(twin))
    first, second = sorted((("alice", alice.person), ("twin", twin.person)), key=lambda x: x[1])
    b.case("a key that is another person's", [p, first[0]], second[0], "ref_invalid")
    b.case("the lesser person takes the key", [p, second[0]], first[0])
    b.live("one key, two persons", [p, first[0], second[0]], [p, first[0]])


def _mandates(b: Book) -> None:
    w = b.world
    alice, helper = w.make_member(0, "alice"), w.make_member(1, "helper")
    b.put("helper", w.membership(helper))
    known = ["profile 0", "profile 1", "alice", "helper"]
    given = b.put("mandate", w.mandate(alice, helper, kinds=("offer", "poem")))
    thing = w.mandate_thing(alice, given)
    b.put("mandated offer", w.offer(helper, as_=thing))
    b.case("a mandate", known, "mandate")
    b.case("under a mandate", [*known, "mandate"], "mandated offer")
    b.case("a mandate that is not known", known, "mandated offer", "mandate_missing")
    b.case("a mandate known, the delegate not", [*known[:3], "mandate"], "mandated offer",
           "membership_missing")  # fmt: skip
    b.put("mandated demand", w.demand(helper, as_=thing))
    b.case("a kind the mandate does not cover", [*known, "mandate"], "mandated demand",
           "mandate_scope")  # fmt: skip
    b.put("mandated poem", w.record("poem", {"salt": w.fresh()}, coop=helper.coop, by=helper.key,
          as_=thing))  # fmt: skip
    b.case("a later kind the mandate covers", [*known, "mandate"], "mandated poem")
    friend = w.make_member(1, "friend")
    b.put("friend", w.membership(friend))
    b.put("offer by a friend", w.offer(friend, as_=thing))
    b.case("by another than the delegate", [*known, "friend", "mandate"], "offer by a friend",
           "mandate_scope")  # fmt: skip
    twice = w.make_member(0, "helper too", key="coop 1/helper")
    b.put("helper of two coops", w.membership(twice))
    b.put("offer through the other coop", w.offer(twice, as_=thing))
    b.case("by the delegate through another coop", [*known, "helper of two coops", "mandate"],
           "offer through the other coop", "mandate_scope")  # fmt: skip
    b.put("early offer", w.offer(helper, as_=thing, at=w.now - 6 * DAY))
    b.case("before the mandate's start", [*known, "mandate"], "early offer", "mandate_expired")
    series = given.header.series
    b.put("mandate, past", w.mandate(alice, helper, end=w.now - DAY, rev=1, series=series))
    b.case("after the mandate's end", [*known, "mandate, past"], "mandated offer",
           "mandate_expired")  # fmt: skip
    b.put("mandated offer of yesterday", w.offer(helper, as_=thing, at=w.now - DAY))
    b.case("in the mandate's last second", [*known, "mandate, past"], "mandated offer of yesterday")
    b.put("mandated offer of 2 days ago", w.offer(helper, as_=thing, at=w.now - 2 * DAY))
    b.case("signed before the mandate's end", [*known, "mandate, past"],
           "mandated offer of 2 days ago")  # fmt: skip
    short = w.mandate(alice, helper, days=20, end=w.now + 10 * DAY, rev=2, series=series)
    b.put("mandate of 20 days", short)
    b.case("outliving the mandate", [*known, "mandate of 20 days"], "mandated offer",
           "mandate_expired")  # fmt: skip
    forbidding = w.mandate(alice, helper, forbidden=["offer"], rev=3, series=series)
    b.put("mandate, forbidding", forbidding)
    b.case("a kind that is forbidden", [*known, "mandate, forbidding"], "mandated offer",
           "mandate_scope")  # fmt: skip
    kept = [b.records["mandated offer"].id]
    endings: list[tuple[str, int, dict[str, Any]]] = [
        ("mandate, revoked", 4, {}),
        ("mandate, revoked, one kept", 5, {"keep": kept, "until_at": w.now - 5 * DAY}),
        ("mandate, revoked from 3 days ago", 6, {"until_at": w.now - 3 * DAY}),
    ]
    for label, rev, ended in endings:
        b.put(label, w.mandate(
            alice, helper, revoked=True, rev=rev, series=series, at=w.now - DAY,
            start=w.now - 5 * DAY, **ended,
        ))  # fmt: skip
    b.case("signed after the mandate was revoked", [*known, "mandate", "mandate, revoked"],
           "mandated offer", "mandate_revoked")  # fmt: skip
    b.case("signed before the mandate was revoked", [*known, "mandate, revoked"],
           "mandated offer of 2 days ago")  # fmt: skip
    b.case("kept by name after the mandate was revoked", [*known, "mandate, revoked, one kept"],
           "mandated offer")  # fmt: skip
    b.case("revoked from an earlier day", [*known, "mandate, revoked from 3 days ago"],
           "mandated offer of 2 days ago", "mandate_revoked")  # fmt: skip
    b.put("mandate gone", w.withdrawal(given, alice.key, alice.coop))
    b.case("a mandate withdrawn: nothing under it counts", [*known, "mandate", "mandate gone"],
           "mandated offer of 2 days ago", "mandate_missing")  # fmt: skip
    b.case("the principal was revoked before", ["profile 0", "profile 1", "helper", "alice, lost",
           "mandate"], "mandated offer", "mandate_revoked")  # fmt: skip
    b.case("the principal is suspended", ["profile 0", "profile 1", "helper", "alice, suspended",
           "mandate"], "mandated offer", "mandate_revoked")  # fmt: skip
    own = b.records["offer of 3 days ago"]
    b.put("offer edited by the helper", w.offer(helper, "Taille", as_=thing, rev=1,
          series=own.header.series))  # fmt: skip
    b.live("a delegate revises what the principal offers",
           [*known, "mandate", "offer of 3 days ago", "offer edited by the helper"],
           [*known, "mandate", "offer edited by the helper"])  # fmt: skip
    b.put("offer ended by the helper", w.withdrawal(own, helper.key, helper.coop, as_=thing))
    b.case("a delegate withdraws what the mandate covers", [*known, "mandate"],
           "offer ended by the helper")  # fmt: skip
    demand = b.put("demand", w.demand(alice))
    b.put("demand ended by the helper", w.withdrawal(demand, helper.key, helper.coop, as_=thing))
    b.case("a delegate withdraws what the mandate does not cover", [*known, "mandate"],
           "demand ended by the helper", "mandate_scope")  # fmt: skip
    coop = b.put("coop's mandate", w.mandate(w.coops[0], helper, kinds=("offer",)))
    b.put("coop's offer", w.offer(helper, as_=w.mandate_thing(w.coops[0], coop)))
    b.case("under a coop's mandate", [*known, "coop's mandate"], "coop's offer")
    rotated = ["rotated", *known[1:], "coop's mandate"]
    b.case("the coop's key that gave the mandate was replaced before", rotated, "coop's offer",
           "mandate_revoked")  # fmt: skip
    forbidden = w.mandate(alice, helper, forbidden=["withdrawal"], rev=7, series=series)
    b.put("mandate, not to withdraw", forbidden)
    b.case("a delegate that may not withdraw", [*known, "mandate, not to withdraw"],
           "offer ended by the helper", "mandate_scope")  # fmt: skip
    b.case("a delegate withdraws a forbidden kind", [*known, "mandate, forbidding"],
           "offer ended by the helper", "mandate_scope")  # fmt: skip
    marks = b.put("coop's mandate for marks", w.mandate(w.coops[0], helper, kinds=("attestation",)))
    transfer = w.derive("a transfer", 32)
    b.put("coop's mark", w.attestation(helper, transfer, alice.author,
          as_=w.mandate_thing(w.coops[0], marks)))  # fmt: skip
    b.case("a delegate of a coop signs what only members may", [*known, "coop's mandate for marks"],
           "coop's mark", "not_allowed")  # fmt: skip


def _answers(b: Book) -> None:
    w = b.world
    alice, bob, carol = (w.make_member(*who) for who in ((0, "alice"), (1, "bob"), (1, "carol")))
    b.put("bob", w.membership(bob))
    b.put("carol", w.membership(carol))
    known = ["profile 0", "profile 1", "alice", "bob", "carol"]
    transfer = w.derive("transfer", 32)
    b.transfers[transfer] = TransferInfo(alice.author, bob.author)
    mark = b.put("mark", w.attestation(bob, transfer, alice.author))
    b.case("by the payee of the payer", known, "mark")
    b.put("mark by alice", w.attestation(alice, transfer, bob.author))
    b.case("by the payer of the payee", known, "mark by alice")
    b.put("mark by carol", w.attestation(carol, transfer, alice.author))
    b.case("by a third party", known, "mark by carol", "ref_invalid")
    b.put("mark of oneself", w.attestation(bob, transfer, bob.author))
    b.case("of oneself", known, "mark of oneself", "ref_invalid")
    b.put("mark of nothing", w.attestation(bob, w.derive("no transfer", 32), alice.author))
    b.case("of a transfer that is not known", known, "mark of nothing", "ref_missing")
    b.put("reply", w.reply(alice, mark.id))
    b.case("a reply by the subject", [*known, "mark"], "reply")
    b.case("a reply to what is not known", known, "reply", "ref_missing")
    b.put("reply by carol", w.reply(carol, mark.id))
    b.case("a reply by somebody else", [*known, "mark"], "reply by carol", "ref_invalid")
    b.put("reply by the writer", w.reply(bob, mark.id))
    b.case("a reply by the writer", [*known, "mark"], "reply by the writer", "ref_invalid")
    b.put("mark gone", w.withdrawal(mark, bob.key, bob.coop))
    b.live("a reply falls with what it answers", [*known, "mark", "reply", "mark gone"],
           [*known, "mark gone"])  # fmt: skip
    b.put("second reply", w.reply(alice, mark.id, "Encore merci.", at=w.now - 1))
    b.live("one reply an attestation", [*known, "mark", "second reply", "reply"],
           [*known, "mark", "reply"])  # fmt: skip


def _sets(b: Book) -> None:
    w = b.world
    alice, tablet = w.make_member(0, "alice"), w.make_member(0, "tablet", person="alice")
    b.put("tablet", w.membership(tablet))
    known = ["profile 0", "alice", "tablet"]
    first = b.put("r0", w.offer(alice, at=w.now - 3 * DAY))
    series = first.header.series
    b.put("r1 of the morning", w.offer(alice, "Matin", rev=1, at=w.now - DAY, series=series))
    b.put("r1 of the evening", w.offer(tablet, "Soir", rev=1, at=w.now - 1, series=series))
    early = w.offer(tablet, "Tôt", rev=2, at=w.now - 2 * DAY, series=series)
    b.put("r2 of an earlier clock", early)
    every = [*known, "r0", "r1 of the morning", "r1 of the evening"]
    b.live("of equal revisions the later", every, [*known, "r1 of the evening"])
    b.live("the revision before the clock", [*every, "r2 of an earlier clock"],
           [*known, "r2 of an earlier clock"])  # fmt: skip
    same = [b.put(f"same second {at}", w.offer(alice, f"Titre {at}", rev=3, series=series))
            for at in range(3)]  # fmt: skip
    last = max(range(3), key=lambda at: same[at].id)
    b.live("of equal times the greatest id", [*every, *(f"same second {at}" for at in range(3))],
           [*known, f"same second {last}"])  # fmt: skip
    b.put("r4 gone", w.withdrawal(first, tablet.key, tablet.coop, rev=4))
    b.live("a withdrawal by another device of the person", [*every, "r4 gone"], [*known, "r4 gone"])
    b.put("r5 back", w.offer(alice, "Retour", rev=5, series=series))
    b.live("a withdrawn thing comes back", [*every, "r4 gone", "r5 back"], [*known, "r5 back"])
    b.put("tablet stolen", w.membership(
        tablet, status="revoked", rev=1, at=w.now,
        revoked={"reason": "stolen", "until_at": w.now - 2 * DAY},
    ))  # fmt: skip
    b.live("what a stolen key revised is undone",
           [*every, "r2 of an earlier clock", "r4 gone", "tablet stolen"],
           ["profile 0", "alice", "tablet stolen", "r2 of an earlier clock"])  # fmt: skip
    b.live("everybody's own series", [*known, "profile 1", "bob", "r0", "offer"],
           [*known, "profile 1", "bob", "r0", "offer"])  # fmt: skip
    bob = w.make_member(1, "bob")
    b.put("usurped", w.offer(bob, "Usurpé", rev=9, series=series))
    b.live("a series is its author's alone", [*known, "profile 1", "bob", "r0", "usurped"],
           [*known, "profile 1", "bob", "r0", "usurped"])  # fmt: skip
    b.live("nothing without the profile", ["alice", "offer", "poem"], [])


def _edges(b: Book) -> None:
    """State what the very second of each limit counts for."""
    w = b.world
    alice, helper = w.make_member(0, "alice"), w.make_member(1, "helper")
    p, known = "profile 0", ["profile 0", "profile 1", "alice", "helper"]
    end = w.now - 2 * DAY
    b.case("in the last second of a revoked membership", [p, "alice, lost"], "offer of that second")
    b.put("offer a second later", w.offer(alice, at=end + 1))
    b.case("a second after the last of a revoked membership", [p, "alice, lost"],
           "offer a second later", "membership_revoked")  # fmt: skip
    b.put("offer a second before", w.offer(alice, at=end - 1))
    b.case("in the last second before a suspension", [p, "alice, suspended"],
           "offer a second before")  # fmt: skip
    b.put("alice, lost, nothing kept", w.membership(
        alice, status="revoked", revoked={"reason": "lost", "until_at": w.now, "keep": []},
        rev=8, at=w.now,
    ))  # fmt: skip
    b.case("an empty list keeps nothing", [p, "alice, lost, nothing kept"], "offer a second before",
           "membership_revoked")  # fmt: skip
    for at, name in ((end, "of that second"), (end + 1, "a second later")):
        b.put(f"category {name}", w.category(0, f"code {at - end}".replace(" ", "-"), at=at))
    b.case("by the old node key in its last second", ["rotated"], "category of that second")
    b.case("by the old node key a second later", ["rotated"], "category a second later",
           "membership_revoked")  # fmt: skip

    given = b.records["mandate"]
    thing = w.mandate_thing(alice, given)
    start, until = given.header.at, given.header.until
    for name, at in (("at the mandate's start", start), ("a second before the start", start - 1),
                     ("of that second", end), ("a second later", end + 1)):  # fmt: skip
        b.put(f"mandated offer {name}", w.offer(helper, as_=thing, at=at))
    b.case("in the mandate's first second", [*known, "mandate"],
           "mandated offer at the mandate's start")  # fmt: skip
    b.case("a second before the mandate's first", [*known, "mandate"],
           "mandated offer a second before the start", "mandate_expired")  # fmt: skip
    short = b.records["mandate of 20 days"].header.until
    for name, last in (("with the mandate", short), ("a second after the mandate", short + 1)):
        b.put(f"mandated offer that ends {name}", w.offer(helper, as_=thing, until=last))
    b.case("until the mandate's own end", [*known, "mandate of 20 days"],
           "mandated offer that ends with the mandate")  # fmt: skip
    b.case("a second beyond the mandate's own end", [*known, "mandate of 20 days"],
           "mandated offer that ends a second after the mandate", "mandate_expired")  # fmt: skip
    assert until > short
    b.put("mandate, revoked that second", w.mandate(
        alice, helper, kinds=("offer", "poem"), rev=9, series=given.header.series, at=w.now - DAY,
        start=start, revoked=True, until_at=end,
    ))  # fmt: skip
    # The mandate, or the key that gave it, ended in that second.
    ended = [
        ("of a revoked mandate", [*known, "mandate, revoked that second"]),
        ("of a revoked principal", ["profile 0", "profile 1", "helper", "alice, lost", "mandate"]),
    ]
    for name, before in ended:
        b.case(f"in the last second {name}", before, "mandated offer of that second")
        b.case(f"a second after the last {name}", before, "mandated offer a second later",
               "mandate_revoked")  # fmt: skip
    suspended = ["profile 0", "profile 1", "helper", "alice, suspended", "mandate"]
    b.case("in the second in which the principal is suspended", suspended,
           "mandated offer of that second", "mandate_revoked")  # fmt: skip
    b.put("mandated offer a second earlier", w.offer(helper, as_=thing, at=end - 1))
    b.case("in the last second before the principal is suspended", suspended,
           "mandated offer a second earlier")  # fmt: skip
    b.case("a delegate withdraws while the principal is suspended", suspended,
           "offer ended by the helper")  # fmt: skip
    coops = w.mandate_thing(w.coops[0], b.records["coop's mandate"])
    for name, at in (("of that second", end), ("a second later", end + 1)):
        b.put(f"coop's offer {name}", w.offer(helper, as_=coops, at=at))
    rotated = ["rotated", "profile 1", "helper", "coop's mandate"]
    b.case("in the last second of the coop's key that gave the mandate", rotated,
           "coop's offer of that second")  # fmt: skip
    b.case("a second after the last of the coop's key that gave the mandate", rotated,
           "coop's offer a second later", "mandate_revoked")  # fmt: skip

    # A membership counts whatever its status when two persons have one key.
    first, second = sorted((("alice", alice.person), ("twin", w.make_member(0, "twin").person)),
                           key=lambda x: x[1])  # fmt: skip
    if first[0] == "alice":
        lesser, other = alice, w.make_member(0, "twin", key="coop 0/alice")
    else:
        lesser, other = w.make_member(0, "twin", key="coop 0/alice"), alice
    b.put("the lesser, revoked", w.membership(
        lesser, status="revoked", revoked={"reason": "left", "until_at": end}, rev=10, at=w.now
    ))  # fmt: skip
    b.put("the lesser, gone", w.withdrawal(
        b.records[first[0]], w.coops[0].node, w.coops[0], rev=11
    ))  # fmt: skip
    b.case("a key that is another person's, revoked", [p, "the lesser, revoked"], second[0],
           "ref_invalid")  # fmt: skip
    b.case("a key that was another person's, withdrawn", [p, "the lesser, gone"], second[0])
    assert other.key.public == lesser.key.public

    # A withdrawal goes by the tag, whatever kind it names.
    name = next(n for at in range(2**20) if tag(n := f"x{at}") == tag("membership"))
    of = b.records["alice"].header
    for label, key in (("by alice", alice.key), ("by the node", w.coops[0].node)):
        b.put(f"alice gone by another name, {label}", w.record(
            "withdrawal", build("withdrawal", salt=w.fresh(), kind_=name), coop=w.coops[0], by=key,
            series=of.series, rev=1, until=of.until,
        ))  # fmt: skip
    b.case("a membership ended by another name, by the member", [p, "alice"],
           "alice gone by another name, by alice", "not_allowed")  # fmt: skip
    b.live("a membership ended by another name",
           [p, "alice", "offer", "alice gone by another name, by the node"],
           [p, "alice gone by another name, by the node"])  # fmt: skip
