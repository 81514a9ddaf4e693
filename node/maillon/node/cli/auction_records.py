"""What the commands about auctions share: their records, who won, and what opens sealed bids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from maillon.node.cli import base
from maillon.node.cli.exchange_acting import COOP, COOP_AUTHOR, PERSON_AUTHOR, known
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _

if TYPE_CHECKING:
    from maillon.protocol.auctions import Outcome
    from maillon.protocol.envelope import Valid

Json = dict[str, Any]

HASHES_MAX: Final = 64
ROWS_MAX: Final = 1_000
PAGES_MAX: Final = 50
RECORDS: Final = ("bid", "bid_reveal", "auction_close", "award")

# --- what has to be kept secret for a while -----------------------------------------------------


def keep(kind: str, hash: bytes, nonce: bytes, until: int, by: str | None, **more: Any) -> None:
    """Let the node keep what opens a bid or a lot, durably, before its hash is published."""
    body: Json = {"kind": kind, "hash": hash.hex(), "nonce": nonce.hex(), "until": until, **more}
    body["person"] = by or COOP
    base.state().client().post("/v1/auctions/openings", body)


def kept_for(hashes: list[str]) -> dict[str, Json]:
    """Return what the node keeps that opens some hashes, by hash."""
    client = base.state().client()
    found: dict[str, Json] = {}
    for start in range(0, len(hashes), HASHES_MAX):
        some = hashes[start : start + HASHES_MAX]
        data = client.get("/v1/auctions/openings", hash=some)
        found |= {entry["hash"]: entry for entry in data["openings"]}
    return found


def forget(hash: str) -> None:
    base.state().client().post(f"/v1/auctions/openings/{hash}/forget")


def is_of(entry: Json, who: str | None) -> bool:
    """Tell whether an opening is kept for a person here, or for the coop."""
    own = COOP_AUTHOR + known().own_coop
    if who is None or who == COOP:
        return bool(entry["author"] == own)
    return bool(entry["author"].startswith(PERSON_AUTHOR + known().own_coop + who))


# --- records ------------------------------------------------------------------------------------


def demand_of(id: str) -> Json:
    data: Json = base.state().client().get(f"/v1/records/{path_part(id)}", raw=True)
    if data["kind"] != "demand" or "auction" not in (data["payload"] or {}):
        base.fail(
            "usage",
            _("{id} is no auction.").format(id=id[:16]),
            _("See them with: maillon auction list"),
        )
    return data


def related(demand: Json) -> dict[str, list[Json]]:
    """Return the live records of an auction by kind."""
    client = base.state().client()
    found: dict[str, list[Json]] = {kind: [] for kind in RECORDS}
    for kind in RECORDS:
        after: str | None = None
        for _page in range(PAGES_MAX):
            data = client.get("/v1/records", kind=kind, raw=True, limit=ROWS_MAX, after=after)
            found[kind] += data["records"]
            after = data["next"]
            if not after:
                break
    bids = {bid["id"] for bid in found["bid"] if demand["id"] in bid["refs"]}
    named = dict.fromkeys(RECORDS, {demand["id"]}) | {"bid_reveal": bids}
    return {kind: [r for r in rows if named[kind] & set(r["refs"])] for kind, rows in found.items()}


def _valid(record: Json) -> Valid:
    from maillon.protocol.envelope import Valid, decode_record

    signed = decode_record(bytes.fromhex(record["raw"]))
    # Whose it is plays no part in who wins; the node has checked the signature.
    return Valid(signed, b"c" + signed.header.coop, bytes.fromhex(record["thing"]), "member")


def outcome(demand: Json, records: dict[str, list[Json]]) -> Outcome:
    """Compute who wins, from the records alone."""
    from maillon.protocol.auctions import winner

    own = [bid for bid in records["bid"] if bid["refs"] == [demand["id"]]]
    closes = records["auction_close"]
    awards = records["award"]
    return winner(
        _valid(demand),
        _valid(closes[0]) if closes else None,
        [_valid(bid) for bid in own],
        [_valid(reveal) for reveal in records["bid_reveal"]],
        _valid(awards[0]) if awards else None,
    )


def publish(body: Json, who: str | None, mandate: str | None) -> Json:
    if who is not None and who != "coop":
        body["as_member"] = who
    if mandate is not None:
        body["mandate"] = mandate
    data: Json = base.state().client().post("/v1/records", body)
    return data


def bidder(record: Json) -> str:
    """Return who made a bid, as far as this node knows."""
    names = known()
    if record["coop"] == names.own_coop:
        return names.name_of_key(record["by"])
    # The person, as exchanges name them too, and not the key.
    return _("{id} of {coop}").format(
        id=author(record)[66:74] or str(record["by"])[:8],
        coop=base.printable(record["coop_name"] or record["coop"][:8]),
    )


def author(record: Json) -> str:
    """Return whose bid it is, as an author: the person whose key the coop vouches for."""
    client = base.state().client()
    after: str | None = None
    for _page in range(PAGES_MAX):
        data = client.get("/v1/records", kind="membership", limit=ROWS_MAX, after=after)
        for found in data["records"]:
            if found["payload"]["key"] == record["by"] and found["coop"] == record["coop"]:
                return f"70{record['coop']}{found['payload']['person']}"
        after = data["next"]
        if not after:
            break
    return f"63{record['coop']}"
