"""One running node for the tests of its interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.nodes import TestNode, nodes


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestNode]:
    with nodes(tmp_path_factory.mktemp("n"), "a") as (one,):
        one.init().cli("federation", "found", "--name", "Fed", "--unit", "heure:hours:Heure")
        yield one.start()
