"""A step that breaks costs itself, and is told."""

from __future__ import annotations

import pytest

from maillon.node.run.faults import FAULTS_KEPT_MAX, Faults
from maillon.protocol.errors import LocalError


def test_a_step_that_breaks_is_given_up_and_told_and_the_next_goes_on() -> None:
    faults, done = Faults(), list[int]()
    for number in range(3):
        with faults.contained("engine"):
            if number == 1:
                raise ValueError("a bug")
            done.append(number)
    assert done == [0, 2]
    assert faults.last == ["engine: ValueError('a bug')"]


def test_a_fault_with_words_is_told_in_its_words() -> None:
    faults = Faults()
    with faults.contained("store"):
        raise LocalError("The disk is full.")
    assert faults.last == ["store: The disk is full."]


def test_being_asked_to_stop_is_no_fault() -> None:
    faults = Faults()
    with pytest.raises(KeyboardInterrupt), faults.contained("engine"):
        raise KeyboardInterrupt
    assert faults.last == []


def test_only_the_last_faults_are_kept() -> None:
    faults = Faults()
    for number in range(3 * FAULTS_KEPT_MAX):
        faults.note("x", str(number))
    assert len(faults.last) == FAULTS_KEPT_MAX
    assert faults.last[-1] == f"x: {3 * FAULTS_KEPT_MAX - 1}"
