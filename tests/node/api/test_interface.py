"""The local interface: who may use it, what it answers, and how it tells errors."""

from __future__ import annotations

import json
import stat
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from maillon.node import bounds
from support.nodes import TestNode, maillon, wait_for

OFFER: dict[str, Any] = {
    "title": "Cours de guitare",
    "lang": "fr",
    "categories": ["musique"],
    "mode": ["at_home"],
    "reciprocity": {"kind": "free"},
}


def publish(node: TestNode, **changes: Any) -> dict[str, Any]:
    body = {"kind": "offer", "payload": {**OFFER, **changes}}
    answer = node.http.post("/v1/records", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def counts(node: TestNode) -> Any:
    return node.get("/v1/status")["records"]


def test_only_the_owner_may_open_the_socket(node: TestNode) -> None:
    mode = (node.home / "api.sock").stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/nothing", None, 404, "not_found"),
        ("DELETE", "/v1/records", None, 405, "method_not_allowed"),
        ("GET", "/v1/records/00112233445566", None, 404, "not_found"),
        ("GET", "/v1/records/zz", None, 404, "not_found"),
        ("GET", "/v1/records?limit=0", None, 400, "request"),
        ("GET", "/v1/records?limit=99999", None, 400, "request"),
        ("GET", "/v1/records?after=nonsense", None, 400, "cursor"),
        ("GET", "/v1/search?lat=91&lon=0", None, 400, "request"),
        ("GET", "/v1/search?coop=unheard-of", None, 404, "not_found"),
        ("GET", "/v1/search?day=mo", None, 400, "request"),
        ("GET", "/v1/search?verified=certainly", None, 400, "request"),
        ("GET", "/v1/search?order=dearest", None, 400, "request"),
        ("GET", "/v1/search?start=5", None, 400, "search"),
        ("GET", "/v1/search?start=9&end=5", None, 400, "search"),
        ("GET", "/v1/search?km=5", None, 400, "search"),
        ("GET", "/v1/search?lat=5", None, 400, "request"),
        ("GET", "/v1/status?id=3", None, 400, "request"),
        ("GET", "/v1/records/00112233445566?rwa=true", None, 400, "request"),
        ("POST", "/v1/records", {"kind": "offer"}, 400, "request"),
        ("POST", "/v1/records", {"kind": "offer", "payload": {}}, 400, "field"),
        ("POST", "/v1/records", {"kind": "offer", "payload": {}, "dyas": 3}, 400, "request"),
        ("POST", "/v1/records", {"kind": "membership", "payload": {}}, 400, "not_allowed"),
        ("POST", "/v1/records", {"kind": "unheard_of", "payload": {}}, 400, "local"),
        ("POST", "/v1/members/00112233/revoke", {"reason": "left"}, 404, "not_found"),
        ("POST", "/v1/members", {"roles": ["member"]}, 400, "register"),
        ("POST", "/v1/members", {"name": "A", "roles": ["king"]}, 400, "field"),
        ("POST", "/v1/federation/admissions", {"card": "maillon-card:xx"}, 400, "text_damaged"),
        ("POST", "/v1/import?format=unheard-of", None, 200, "import"),
    ],
)
def test_every_error_is_a_problem_document_and_changes_nothing(
    node: TestNode, method: str, path: str, body: Any, status: int, code: str
) -> None:
    before = counts(node)
    answer = node.http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    if status == 200:
        # A stream has begun by then: its last line tells.
        event = json.loads(answer.text.splitlines()[-1])
        assert (event["event"], event["code"]) == ("failed", code)
    else:
        assert answer.headers["content-type"].startswith("application/problem+json")
        problem = answer.json()
        assert (problem["status"], problem["code"]) == (status, code)
        assert problem["type"] == f"urn:maillon:problem:{code}"
        assert problem["detail"] and problem["title"]
    assert counts(node) == before


def test_a_body_that_is_too_large_or_no_json_is_refused(node: TestNode) -> None:
    large = node.http.post("/v1/records", content=b"{" + b" " * 300_000 + b"}")
    assert large.status_code == 413 and large.json()["code"] == "too_large"
    broken = node.http.post("/v1/records", content=b"{")
    assert broken.status_code == 400 and broken.json()["code"] == "request"


def test_a_field_that_breaks_a_rule_is_named(node: TestNode) -> None:
    body = {"kind": "offer", "payload": {**OFFER, "mode": ["flying"]}}
    problem = node.http.post("/v1/records", json=body).json()
    assert problem["code"] == "field" and problem["field"] == "mode[0]"


def test_a_record_is_published_shown_revised_and_withdrawn(node: TestNode) -> None:
    first = publish(node)
    shown = node.get(f"/v1/records/{first['id'][:10]}", raw=True)
    assert shown["payload"]["title"] == "Cours de guitare" and "salt" not in shown["payload"]
    assert shown["rev"] == 0 and bytes.fromhex(shown["raw"])
    body = {
        "kind": "offer",
        "payload": {**OFFER, "title": "Cours de piano"},
        "replaces": first["id"],
    }
    second = node.http.post("/v1/records", json=body).json()
    assert (second["series"], second["thing"]) == (first["series"], first["thing"])
    assert second["rev"] == 1
    assert node.get(f"/v1/records/{first['id']}")["payload"] is None
    assert second["id"] in node.ids("offer") and first["id"] not in node.ids("offer")
    gone = node.http.post(f"/v1/records/{second['id']}/withdraw", json={"reason": "fini"})
    assert gone.status_code == 200
    assert second["id"] not in node.ids("offer")
    again = node.http.post(f"/v1/records/{second['id']}/withdraw", json={})
    assert again.json()["code"] == "not_allowed"


def test_lists_go_on_where_they_ended_newest_first(node: TestNode) -> None:
    made = [publish(node, title=f"Offre {i}")["id"] for i in range(5)]
    found: list[str] = []
    after = ""
    while True:
        page = node.get("/v1/records", kind="offer", limit=2, after=after)
        found += [record["id"] for record in page["records"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert set(made) <= set(found) and len(found) == len(set(found))
    assert set(found) == node.ids("offer")


def test_an_export_holds_every_live_record_and_raw_bytes_that_are_records(node: TestNode) -> None:
    from maillon.protocol.envelope import decode_record

    answer = node.http.get("/v1/export", params={"raw": True})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    records = [json.loads(line) for line in answer.text.splitlines()]
    assert len(records) == node.get("/v1/status")["live"]
    for record in records:
        assert decode_record(bytes.fromhex(record["raw"])).id.hex() == record["id"]


def test_a_member_is_named_here_only(node: TestNode) -> None:
    made = node.cli("member", "add", "Personne Inventée", "--role", "provider")
    assert made["custody"] == "node"
    assert "Personne Inventée" in {m["name"] for m in node.get("/v1/members")["members"]}
    assert "Inventée" not in node.http.get("/v1/export", params={"raw": True}).text
    offered = node.cli(
        "offer", "publish", "--title", "Couture", "--category", "x", "--as-member", made["person"]
    )
    assert node.get(f"/v1/records/{offered['id']}")["by"] == made["key"]
    revoked = node.cli("member", "revoke", made["person"], "--reason", "left")
    assert revoked["keys"] == [made["key"]]
    refused = maillon(
        node.home, "offer", "publish", "--title", "C", "--category", "x", "--as-member",
        made["person"], "--json",
    )  # fmt: skip
    assert refused.returncode == 4
    # What was said while the membership held goes on counting.
    assert offered["id"] in node.ids("offer")


def test_what_a_member_left_behind_is_listed_and_ends_with_a_later_since(node: TestNode) -> None:
    made = node.cli("member", "add", "Partante")
    offered = node.cli(
        "offer", "publish", "--title", "Couture", "--category", "x", "--as-member", made["person"]
    )["id"]
    revoke = ("member", "revoke", made["person"], "--reason", "left")
    assert node.cli(*revoke)["standing"] == [offered]
    code, error = refused(node, "offer", "withdraw", offered)
    assert code == 4 and "--since" in error["hint"]
    code, error = refused(node, *revoke)
    assert code == 4 and "--since" in error["hint"]
    before = datetime.fromtimestamp(node.get(f"/v1/records/{offered}")["at"] - 1).isoformat()
    ended = node.cli(*revoke, "--since", before)
    assert (ended["keys"], ended["standing"]) == ([made["key"]], [])
    assert offered not in node.ids("offer")
    assert node.cli("offer", "show", offered)["state"] == "ended"


def test_what_a_member_left_behind_can_be_withdrawn_at_once(node: TestNode) -> None:
    made = node.cli("member", "add", "Partant")
    offered = [
        node.cli(kind, "publish", "--title", "T", "--category", "x", "--as-member", made["person"])
        for kind in ("offer", "demand")
    ]
    revoke = ("member", "revoke", made["person"], "--reason", "left", "--withdraw")
    code, error = refused(node, *revoke, "--since", "2026-01-01")
    assert (code, error["code"]) == (2, "usage")
    ended = node.cli(*revoke)
    assert set(ended["withdrawn"]) == {row["id"] for row in offered}
    assert (ended["keys"], ended["standing"]) == ([made["key"]], [])
    for row in offered:
        assert node.get(f"/v1/records/{row['id']}")["state"] == "withdrawn"


def test_a_member_whose_record_is_refused_is_not_in_the_register(node: TestNode) -> None:
    before = node.get("/v1/members")
    answer = node.http.post("/v1/members", json={"name": "Personne", "roles": ["king"]})
    assert answer.status_code == 400
    assert node.get("/v1/members") == before


def test_a_delegate_acts_within_a_mandate_until_it_is_revoked(node: TestNode) -> None:
    principal = node.cli("member", "add", "Mandante")
    delegate = node.cli("member", "add", "Mandataire", "--role", "helper")
    given = node.cli(
        "mandate", "give", "--for", principal["person"], "--to", delegate["person"],
        "--kind", "demand", "--days", "30",
    )  # fmt: skip
    # The beginning of either of its ids is enough.
    common = ("--title", "Aide", "--category", "x", "--mandate", given["mandate"][:12])
    made = node.cli(
        "demand", "publish", *common[:-1], given["id"][:8], "--as-member", delegate["person"]
    )
    assert node.get(f"/v1/records/{made['id']}")["mandate"] == given["mandate"]
    for kind in ("nonsense", "membership"):
        code, error = refused(
            node, "mandate", "give", "--for", principal["person"], "--to", delegate["person"],
            "--kind", kind,
        )  # fmt: skip
        assert (code, error["code"]) == (4, "register") and "demand" in error["hint"]
    made = node.cli("demand", "publish", *common, "--as-member", delegate["person"])
    assert node.get(f"/v1/records/{made['id']}")["mandate"] == given["mandate"]
    outside = maillon(
        node.home, "offer", "publish", *common, "--as-member", delegate["person"], "--json"
    )
    assert outside.returncode == 4
    assert json.loads(outside.stderr)["error"]["code"] == "mandate_scope"
    revoked = node.cli("mandate", "revoke", given["mandate"][:16])
    assert revoked["revoked"] is True
    # What is signed in the very second of the end counts.
    last = node.get(f"/v1/records/{revoked['id']}")["at"]
    wait_for(lambda: time.time() >= last + 1, "the next second")
    late = maillon(
        node.home, "demand", "publish", *common, "--as-member", delegate["person"], "--json"
    )
    assert late.returncode == 4


def refused(node: TestNode, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a command that must fail and change nothing; return its exit code and error."""
    before = counts(node)
    done = maillon(node.home, *arguments, "--json")
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert counts(node) == before
    return done.returncode, json.loads(done.stderr)["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("offer", "show", ""),
        ("offer", "withdraw", " "),
        ("member", "revoke", "", "--reason", "left"),
        ("mandate", "revoke", ""),
        ("offer", "publish", "--title", "T", "--category", "x", "--lat", "nan", "--lon", "nan"),
        ("offer", "publish", "--title", "T", "--category", "x", "--unit", "heure"),
        ("offer", "publish", "--title", "T", "--category", "x", "--access", "cost"),
    ],
)
def test_what_names_nothing_is_a_usage_error(node: TestNode, arguments: tuple[str, ...]) -> None:
    code, error = refused(node, *arguments)
    assert (code, error["code"]) == (2, "usage")


def test_an_offer_is_no_demand(node: TestNode) -> None:
    id = publish(node)["id"]
    new = ("publish", "--title", "T", "--category", "x", "--replaces", id)
    for arguments in (("show", id), ("withdraw", id[:12]), new):
        code, error = refused(node, "demand", *arguments)
        assert (code, error["code"]) == (2, "usage")
        assert f" offer {arguments[0]} " in error["hint"]
    assert node.cli("offer", "show", id[:12])["state"] == "live"
    assert node.cli("offer", "withdraw", id)["withdrawn"]


def test_what_has_become_of_a_record_is_told_by_its_short_id_too(node: TestNode) -> None:
    first = publish(node)["id"]
    body = {"kind": "offer", "payload": OFFER, "replaces": first}
    second = node.http.post("/v1/records", json=body).json()["id"]
    shown = node.cli("offer", "show", first[:10])
    assert (shown["state"], shown["replaced_by"]) == ("replaced", second)
    assert second[:16] in maillon(node.home, "offer", "show", first[:10]).stdout
    node.cli("offer", "withdraw", second)
    for id in (first, second[:10]):
        assert node.cli("offer", "show", id)["state"] == "withdrawn"
        assert "withdrawn" in maillon(node.home, "offer", "show", id).stdout
    code, error = refused(node, "offer", "publish", "--title", "T", "--category", "x",
                          "--replaces", first)  # fmt: skip
    assert (code, error["code"]) == (4, "not_allowed")


def test_a_unit_that_the_federation_does_not_have_is_refused(
    node: TestNode, tmp_path: Path
) -> None:
    common = ("offer", "publish", "--title", "T", "--category", "x", "--amount", "5h")
    code, error = refused(node, *common, "--unit", "franc")
    assert (code, error["code"]) == (2, "usage")
    assert "heure" in error["hint"]
    assert node.cli(*common, "--unit", "heure")["id"]
    path = tmp_path / "liste.csv"
    path.write_text("id,title,amount,unit\n1,Un,5,franc\n2,Deux,5,heure\n")
    report = json.loads(
        maillon(node.home, "import", str(path), "--source", "Unités", "--json").stdout
    )
    assert (report["created"], report["refused"]) == (1, 1)
    assert [(f["line"], f["field"]) for f in report["faults"]] == [(2, "reciprocity.unit")]


def test_what_is_probably_not_meant_is_told(node: TestNode) -> None:
    made = node.cli(
        "offer", "publish", "--title", "T", "--category", "x", "--audience", "aliens",
        "--access", "foo=bar", "--email", "marie.dupont@garage.example",
        "--lat", "45.7", "--lon", "5.6", "--insee", "99",
    )  # fmt: skip
    notices = " ".join(made["notices"])
    for word in ("aliens", "foo", "marie.dupont@garage.example", "99 is no INSEE"):
        assert word in notices
    quiet = node.cli(
        "offer", "publish", "--title", "T", "--category", "x", "--access", "cost=2 €",
        "--email", "accueil@garage.example", "--lat", "45.7", "--lon", "5.6", "--insee", "01034",
    )  # fmt: skip
    assert quiet["notices"] == []


def found(node: TestNode, *arguments: str) -> set[str]:
    hits = node.cli("search", "zythologie", *arguments)["hits"]
    return {hit["payload"]["title"] for hit in hits}


def test_every_condition_of_a_search_can_be_asked_for(node: TestNode) -> None:
    title = "Zythologie {}".format
    publish(
        node,
        title=title("samedi"),
        when={"hours": {"sa": [[540, 720]]}, "tz": "Europe/Paris"},
        audience=["seniors"],
        access={"cost": "gratuit", "disability": "de plain-pied"},
        provider_status="volunteer",
    )
    publish(
        node,
        title=title("lundi"),
        lang="de",
        when={"hours": {"mo": [[540, 720]]}, "tz": "Europe/Paris"},
        access={"cost": "2 €"},
        provider_status="employee",
        verified={"by": node.get("/v1/status")["coop"], "kind": "approved"},
    )
    demand = {**OFFER, "title": title("urgente"), "urgency": "emergency"}
    answer = node.http.post("/v1/records", json={"kind": "demand", "payload": demand})
    assert answer.status_code == 201, answer.text
    saturday, monday, urgent = title("samedi"), title("lundi"), title("urgente")
    assert found(node) == {saturday, monday, urgent}
    assert found(node, "--when", "sa 10:00-11:00") - {urgent} == {saturday}
    assert found(node, "--when", "mo 10:00-11:00") - {urgent} == {monday}
    assert found(node, "--language", "de", "--language-only") == {monday}
    assert found(node, "--language", "de") == {saturday, monday, urgent}
    assert found(node, "--audience", "seniors") == {saturday}
    assert found(node, "--access", "disability", "--access", "cost") == {saturday}
    assert found(node, "--provider-status", "employee") == {monday}
    assert found(node, "--verified", "approved") == {monday}
    assert found(node, "--urgency", "emergency") == {urgent}
    newest = node.cli("search", "zythologie", "--order", "newest")["hits"]
    times = [hit["at"] for hit in newest]
    assert times == sorted(times, reverse=True)
    assert node.cli("search", "zythologie", "--near", "45.7,5.6", "--order", "nearest")["hits"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--km", "5"),
        ("--order", "nearest"),
        ("--near", "nan,5"),
        ("--near", "999,0"),
        ("--when", "someday"),
        ("--language-only",),
    ],
)
def test_a_search_that_cannot_be_meant_is_a_usage_error(
    node: TestNode, arguments: tuple[str, ...]
) -> None:
    refused = maillon(node.home, "search", "x", *arguments, "--json")
    assert refused.returncode == 2, refused.stderr
    assert json.loads(refused.stderr)["error"]["code"] == "usage"


def table(*rows: str) -> str:
    return "id,title,categories\n" + "".join(f"{row}\n" for row in rows)


def test_an_import_creates_changes_keeps_and_withdraws(node: TestNode, tmp_path: Path) -> None:
    path = tmp_path / "liste.csv"
    path.write_text(table("1,Un,a", "2,Deux,a", "3,Trois,a"))
    arguments = ("import", str(path), "--source", "Liste d'essai", "--licence", "ODbL")
    dry = node.cli(*arguments, "--dry-run")
    assert dry["created"] == 3 and dry["dry_run"] is True
    assert not _of_list(node)
    assert node.cli(*arguments)["created"] == 3
    path.write_text(table("1,Un,a", "2,Deux bis,a"))
    done = node.cli(*arguments, "--sync")
    assert (done["created"], done["changed"], done["unchanged"]) == (0, 1, 1)
    assert done["withdrawn"] == 1
    assert _of_list(node) == {"1": "Un", "2": "Deux bis"}
    path.write_text(table("1,Un,a", "2,Deux bis,a", "3,Trois,a"))
    back = node.cli(*arguments, "--sync")
    assert (back["created"], back["unchanged"]) == (1, 2)
    assert set(_of_list(node)) == {"1", "2", "3"}


def _of_list(node: TestNode) -> dict[str, str]:
    records = node.get("/v1/records", kind="offer", limit=1000)["records"]
    return {
        record["payload"]["source"]["id"]: record["payload"]["title"]
        for record in records
        if record["payload"].get("source", {}).get("name") == "Liste d'essai"
    }


def test_rows_that_cannot_be_taken_are_told_and_the_others_published(
    node: TestNode, tmp_path: Path
) -> None:
    path = tmp_path / "liste.csv"
    path.write_text(table("1,Bon,a", ",Sans numéro,a", "3,Mauvais code,NON VALIDE", "4,Bon,a"))
    done = maillon(node.home, "import", str(path), "--source", "Autre liste", "--json")
    assert done.returncode == 8
    report = json.loads(done.stdout)
    assert (report["created"], report["refused"], report["rows"]) == (2, 2, 4)
    assert [(f["line"], f["field"]) for f in report["faults"]] == [(3, "id"), (4, "categories[0]")]


def test_sync_with_an_empty_list_withdraws_nothing(node: TestNode, tmp_path: Path) -> None:
    path = tmp_path / "liste.csv"
    path.write_text(table("9,Neuf,a"))
    assert node.cli("import", str(path), "--source", "Vide")["created"] == 1
    path.write_text("id,title,categories\n")
    done = maillon(node.home, "import", str(path), "--source", "Vide", "--sync", "--json")
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["code"] == "import"
    records = node.get("/v1/records", kind="offer", limit=1000)["records"]
    assert "Neuf" in {record["payload"]["title"] for record in records}


def test_filtered_and_faulty_rows_are_not_taken_for_vanished(
    node: TestNode, tmp_path: Path
) -> None:
    path = tmp_path / "liste.csv"
    path.write_text("id,title,city\n1,Un,A\n2,Deux,B\n")
    arguments = ("import", str(path), "--source", "Filtrée", "--sync")
    assert node.cli(*arguments)["created"] == 2
    done = node.cli(*arguments, "--where", "city=A")
    assert (done["unchanged"], done["withdrawn"]) == (1, 0)
    path.write_text("id,title,city\n1,Un,A\n2,,B\n")
    faulty = maillon(node.home, *arguments, "--json")
    assert json.loads(faulty.stdout)["withdrawn"] == 0


@pytest.mark.parametrize(
    "arguments",
    [(), ("--source", "L", "--where", "city"), ("--source", "L", "--date", "1er-nov")],
)
def test_an_import_that_is_not_said_clearly_is_a_usage_error(
    node: TestNode, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    path = tmp_path / "liste.csv"
    path.write_text("id,title\n1,Un\n2,Deux\n")
    code, error = refused(node, "import", str(path), *arguments)
    assert (code, error["code"]) == (2, "usage")
    # The interface says the same to other programs, once.
    query = {"--where": "where=city", "--date": "date=1er-nov", "--source": "source=L"}
    asked = "&".join(["format=csv", *(query[name] for name in arguments[::2])])
    answer = node.http.post(f"/v1/import?{asked}", content=path.read_bytes())
    (event,) = [json.loads(line) for line in answer.text.splitlines()]
    assert (event["event"], event["code"]) == ("failed", "import")


def test_an_import_stops_at_what_no_further_row_can_pass(node: TestNode, tmp_path: Path) -> None:
    person = node.cli("member", "add", "Très active")["person"]
    path = tmp_path / "liste.csv"
    rows = (f"{i},Ligne {i}\n" for i in range(bounds.AUTHOR_KEY_RECORDS_MAX + 50))
    path.write_text("id,title\n" + "".join(rows))
    done = maillon(
        node.home, "import", str(path), "--source", "Longue", "--as-member", person, "--json"
    )
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["code"]) == (4, "quota")
    assert len(done.stderr.splitlines()) == 1


def test_a_backup_is_whole_and_holds_no_password(node: TestNode, tmp_path: Path) -> None:
    target = tmp_path / "copie"
    done = node.cli("backup", str(target))
    assert set(done["files"]) >= {
        "config.toml", "founding.bin", "node.db", "private.db", "keys/root.key", "keys/node.key",
    }  # fmt: skip
    password = (node.home / "password").read_bytes().strip()
    files = [path for path in target.rglob("*") if path.is_file()]
    assert not [path for path in files if password in path.read_bytes()]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}
    again = maillon(node.home, "backup", str(target), "--json")
    assert again.returncode == 7
    found = json.loads(maillon(target, "doctor", "--offline", "--json").stdout)["findings"]
    # Its port is the running node's; everything that a backup holds is in order.
    assert {f["check"] for f in found if f["level"] == "bad"} == {"ports"}
    assert {f["check"] for f in found if f["level"] == "good"} >= {"config", "database", "home"}


def test_the_metrics_are_in_the_text_format_of_prometheus(node: TestNode) -> None:
    text = node.http.get("/v1/metrics").text
    for line in text.splitlines():
        assert line.startswith("# ") or line.rpartition(" ")[2].replace(".", "").lstrip("-"), line
    assert 'maillon_records{kind="coop_profile"} 1' in text
    for name in ("matching_saved_searches", "matching_relay_in_asked", "exchanges_letters_refused"):
        assert f"\nmaillon_{name} 0\n" in text


def test_the_interface_describes_itself(node: TestNode) -> None:
    document = node.get("/v1/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert "/v1/records/{id}/withdraw" in document["paths"]


def test_doctor_finds_a_running_node_in_order(node: TestNode) -> None:
    told = node.cli("doctor", "--password-file", str(node.home / "password"))
    assert told["ok"] is True
    checks = {finding["check"] for finding in told["findings"]}
    assert {"home", "config", "keys", "federation", "disk", "database", "running"} <= checks
