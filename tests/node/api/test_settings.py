"""What the operator may write under [api], and how it is told what cannot be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from maillon.node.api.gate import site
from maillon.node.config import ConfigError, parse_config, render_config
from support.api import ApiNode, api_node, bearer

COOP = '[coop]\nname = "A"\n[api]\n'
FRIEND = "https://carte.example.org"


@pytest.mark.parametrize(
    "line",
    [
        'listen = "127.0.0.1:4780"',
        'listen = "[::1]:4780"',
        'listen = ""',
        'public_url = "https://node.example.org"',
        'public_url = "http://192.0.2.1:8080"',
        'origins = ["https://carte.example.org"]',
    ],
)
def test_what_makes_sense_is_taken(line: str) -> None:
    parse_config((COOP + line).encode())


@pytest.mark.parametrize(
    "line",
    [
        'listen = "localhost:4780"',
        'listen = "4780"',
        'listen = "127.0.0.1"',
        'public_url = "node.example.org"',
        'public_url = "https://node.example.org/maillon"',
        'public_url = "https://Node.example.org"',
        'origins = ["*"]',
        'origins = ["null"]',
        "requests_per_minute = 1",
        "session_days = 0",
        "token_days = 500",
        "behind_proxy = 1",
        "listem = 1",
    ],
)
def test_what_does_not_is_refused_by_name(line: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_config((COOP + line).encode())
    assert "api" in str(told.value)


def test_a_new_node_listens_for_nobody_but_its_operator() -> None:
    text = render_config(
        name="A", languages=[], territory=[], listen=["/ip4/0.0.0.0/tcp/4710"], announce=[]
    )
    assert parse_config(text).api.listen == ""


def test_names_of_this_machine_count_only_where_it_listens_for_itself() -> None:
    local = site("127.0.0.1:4780", "", (), False)
    assert local.hosts == {"127.0.0.1:4780", "localhost:4780", "[::1]:4780"}
    public = site("192.0.2.1:80", "https://node.example.org", (), False)
    assert public.hosts == {"192.0.2.1:80", "192.0.2.1", "node.example.org"}
    assert public.origin_of("node.example.org") == "https://node.example.org"
    assert public.origin_of("192.0.2.1") == "http://192.0.2.1"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    # TOML reads the list as Python writes it.
    with api_node(tmp_path_factory.mktemp("n"), origins=[FRIEND]) as one:
        yield one


def test_a_site_that_the_operator_named_reads_with_a_token_and_never_by_cookie(
    node: ApiNode,
) -> None:
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "GET"}
    allowed = node.http.options("/v1/federation", headers=asked).headers
    assert allowed["access-control-allow-origin"] == FRIEND and "Origin" in allowed["vary"]
    assert "authorization" in allowed["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in allowed
    token = bearer(node.token("read"))
    read = node.http.get("/v1/federation", headers={**token, "Origin": FRIEND})
    assert read.headers["access-control-allow-origin"] == FRIEND
    other = node.http.get("/v1/federation", headers={**token, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_the_log_says_where_and_never_what_for(node: ApiNode) -> None:
    node.http.get("/v1/search", params={"q": "quelque chose de personnel"})
    log = node.one.log.read_text()
    assert node.host in log and "personnel" not in log
