"""The short form of `make kill-cycles`: some kills under load, all checks."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def test_nodes_that_are_killed_under_load_forget_no_vote_and_lose_no_payment(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    spec = importlib.util.spec_from_file_location(
        "kill_cycles", Path(__file__).with_name("kill_cycles.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_cycles"] = module
    spec.loader.exec_module(module)
    # A short name: the path of a socket may have 107 bytes.
    directory = tmp_path_factory.mktemp("k")
    assert module.run(8, 20_261_122, directory, seconds=40.0) >= 1
