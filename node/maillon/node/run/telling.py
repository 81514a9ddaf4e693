"""Tell how the node is: status, peers, the federation, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maillon.node import clock
from maillon.node.api import shapes
from maillon.node.i18n import _
from maillon.node.run.admission import admitters

if TYPE_CHECKING:
    from maillon.node.run.node import Node


def _database_bytes(node: Node) -> int:
    total = 0
    for suffix in ("", "-wal"):
        path = node.home.database.with_name(node.home.database.name + suffix)
        if path.exists():
            total += path.stat().st_size
    return total


def status(node: Node) -> shapes.Status:
    """Return how the node is."""
    now = clock.now()
    engine: dict[str, Any] = node.engine.status(node.now())
    network = node.network.metrics()
    known = node.network.peers()
    sessions: dict[str, dict[str, Any]] = engine["sync"]
    profile = node.engine.view.profile(node.coop)
    return shapes.Status(
        name=node.config.coop.name,
        coop=node.coop.hex(),
        node_key=node.node_key.public.hex(),
        federation=node.founding.name,
        fed=node.founding.fed.hex(),
        version=node.version,
        started_at=node.started_at,
        uptime_s=max(0, now - node.started_at),
        addresses=node.network.addresses(),
        records=dict(engine["live_by_kind"]),
        live=engine["live"],
        fingerprint=engine["fingerprint"].hex(),
        peers=shapes.PeerCounts(len(known), sum(peer.connected for peer in known)),
        sync=shapes.SyncCounts(
            running=sum(bool(entry["running"]) for entry in sessions.values()),
            sessions=sum(entry["sessions"] for entry in sessions.values()),
            failed=sum(entry["failures"] for entry in sessions.values()),
            last_at=int(max((entry["last_at"] or 0 for entry in sessions.values()), default=0)),
        ),
        pending=engine["pending"],
        backlog=engine["gossip"]["queued"],
        refused={code: n for code, n in engine["refused"].items() if n},
        signatures=shapes.SignatureCounts(node.pool.checked, node.pool.bad),
        bytes_in=_traffic(network, "bytes_in"),
        bytes_out=_traffic(network, "bytes_out"),
        database_bytes=_database_bytes(node),
        root_key_here=node.root_key is not None,
        profile_until=0 if profile is None else profile.signed.header.until,
        clock_skew_s=node.timekeeping.skew_s,
        notices=notices(node, engine),
        letters=_letters(node),
    )


def _letters(node: Node) -> shapes.LetterCounts:
    figures = node.post.figures()
    return shapes.LetterCounts(
        sending=figures["sending"],
        sending_oldest_s=figures["sending_oldest_s"],
        waiting=figures["waiting"],
        waiting_oldest_s=figures["waiting_oldest_s"],
        bytes=figures["kept_bytes"],
    )


def _traffic(network: dict[str, int | float | str], direction: str) -> int:
    """Add up the bytes of gossip and of every stream protocol in one direction."""
    return sum(
        int(number)
        for name, number in network.items()
        if name.startswith(direction) or name == f"gossip_{direction}"
    )


def notices(node: Node, engine: dict[str, Any]) -> list[str]:
    """Return what the operator should know, in sentences."""
    found = [say() for say in node.notices]
    unknown = node.people.notice()
    if unknown is not None:
        found.append(unknown)
    if engine["store_full"]:
        found.append(_("The store is full: records of others are not taken in any more."))
    skewed = node.timekeeping.notice()
    if skewed is not None:
        found.append(skewed)
    found += node.ledger.notices()
    found += node.matching.notices()
    found += [_("Fault: {fault}").format(fault=fault) for fault in node.faults.last[-3:]]
    return found


def peers(node: Node) -> shapes.Peers:
    """Return the other nodes, with the names of their coops."""
    names: dict[bytes, tuple[str, str]] = {}
    for entry in node.founding.coops:
        names[entry.node_key] = (entry.id.hex(), entry.name)
    for info in node.engine.view.coops():
        if info.node_key is not None:
            names[info.node_key] = (info.coop.hex(), node.catalogue.coop_name(info.coop))
    return shapes.Peers(
        [
            shapes.Peer(
                key=peer.key.hex(),
                coop=names.get(peer.key, ("", ""))[0],
                name=names.get(peer.key, ("", ""))[1],
                addresses=list(peer.addresses),
                connected=peer.connected,
                score=peer.score,
                bytes_in=peer.bytes_in,
                bytes_out=peer.bytes_out,
                since=peer.since,
                last_error=peer.last_error,
            )
            for peer in node.network.peers()
        ]
    )


def federation(node: Node) -> shapes.Federation:
    """Return the federation and every coop that is known of."""
    founding = node.founding
    coops: list[shapes.Coop] = []
    for info in node.engine.view.coops():
        founder = founding.founder(info.coop)
        profile = node.engine.view.profile(info.coop)
        payload: dict[str, Any] = {}
        if profile is not None and profile.signed.payload is not None:
            payload = profile.signed.payload
        node_key = payload.get("node_key") or (founder.node_key if founder else b"")
        addresses = payload.get("addresses") or (founder.addresses if founder else ())
        coops.append(
            shapes.Coop(
                name=node.catalogue.coop_name(info.coop),
                coop=info.coop.hex(),
                node_key=node_key.hex(),
                addresses=list(addresses),
                founder=founder is not None,
                admitted=info.admitted,
                admissions=len(admitters(node, info.coop)),
                profile=profile is not None,
                territory=list(payload.get("territory", ())),
            )
        )
    return shapes.Federation(
        name=founding.name,
        fed=founding.fed.hex(),
        created=founding.created,
        quorum=founding.admission_quorum,
        languages=list(founding.languages),
        criteria=[shapes.Criterion(c.code, dict(c.labels)) for c in founding.asked],
        units=[
            {"code": u.code, "kind": u.kind, "decimals": u.decimals, "label": u.label}
            for u in founding.units
        ],
        coops=coops,
    )


def metrics(node: Node) -> str:
    """Return counters and gauges in the Prometheus text format, version 0.0.4."""
    now = status(node)
    lines: list[str] = []

    def gauge(name: str, value: float, help: str, **labels: str) -> None:
        full = f"maillon_{name}"
        if not any(line.startswith(f"# HELP {full} ") for line in lines):
            lines.append(f"# HELP {full} {help}")
            lines.append(f"# TYPE {full} {'counter' if name.endswith('_total') else 'gauge'}")
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{full}{{{shown}}} {value:g}" if shown else f"{full} {value:g}")

    gauge("uptime_seconds", now.uptime_s, "Seconds since the node started.")
    for kind, count in sorted(now.records.items()):
        gauge("records", count, "Live records by kind.", kind=kind)
    gauge("peers_connected", now.peers.connected, "Federation nodes connected.")
    gauge("peers_known", now.peers.known, "Federation nodes known.")
    gauge("records_pending", now.pending, "Records that wait for another record.")
    gauge("gossip_queued", now.backlog, "Records waiting to be gossiped.")
    for code, count in sorted(now.refused.items()):
        gauge("records_refused_total", count, "Records refused, by code.", code=code)
    gauge("signatures_checked_total", now.signatures.checked, "Signatures verified.")
    gauge("signatures_bad_total", now.signatures.bad, "Signatures that were not valid.")
    gauge("database_bytes", now.database_bytes, "Size of node.db.")
    for name, measure in sorted(node.ledger.metrics().items()):
        gauge(f"ledger_{name}", measure, "A measure of the accounts.")
    for name, measure in sorted(node.post.figures().items()):
        gauge(f"letters_{name}", measure, "A measure of letters.")
    for name, measure in sorted(node.exchanges.metrics().items()):
        gauge(f"exchanges_{name}", measure, "A measure of exchanges.")
    for name, measure in sorted(node.matching.metrics().items()):
        gauge(f"matching_{name}", measure, "A measure of matching, saved searches and relays.")
    for name, value in sorted(node.network.metrics().items()):
        if isinstance(value, int | float):
            clean = "".join(c if c.isalnum() else "_" for c in name)
            gauge(f"network_{clean}", value, "A measure of the network driver.")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
