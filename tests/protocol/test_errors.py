"""Claims about maillon.protocol.errors."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

import pytest

from maillon.protocol import errors


def subclasses(cls: type[errors.MaillonError]) -> Iterator[type[errors.MaillonError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from subclasses(child)


CLASSES = [cls for cls in subclasses(errors.MaillonError) if cls.__module__ == errors.__name__]


def test_every_code_names_one_class() -> None:
    codes = [cls.code for cls in CLASSES]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z][a-z_]*", code) for code in codes)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_says_a_sentence_and_keeps_its_facts(cls: type[errors.MaillonError]) -> None:
    error = cls(got=3, key=b"\xab\xcd")
    assert str(error) == error.message == cls.sentence
    assert str(error)[0].isupper() and str(error).endswith(".")
    assert (error.got, error.key) == (3, b"\xab\xcd")
    assert "got=3" in repr(error) and "key=abcd" in repr(error)
    assert str(cls("Another sentence.", got=3)) == "Another sentence."
    with pytest.raises(AttributeError, match="no fact 'absent'"):
        _ = error.absent


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_crosses_a_process_border_whole(cls: type[errors.MaillonError]) -> None:
    error = cls("Said otherwise.", got=3)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


def test_hint_rule_position_and_suggestions_cross_a_process_border_too() -> None:
    encoding = pickle.loads(pickle.dumps(errors.EncodingError(rule="nil", hint="Leave it out.")))
    assert (encoding.rule, encoding.hint) == ("nil", "Leave it out.")
    typed = pickle.loads(pickle.dumps(errors.WordsError(position=3, suggestions=("zone",))))
    assert (typed.position, typed.suggestions) == (3, ("zone",))
    assert pickle.loads(pickle.dumps(errors.TooLarge(rule="depth"))).rule == "depth"


def test_what_is_benign_or_pending_is_excusable_and_never_both() -> None:
    for cls in CLASSES:
        assert not (cls.benign and cls.pending)
        if cls.benign or cls.pending:
            assert cls.excusable
    pending = {cls.code for cls in CLASSES if cls.pending}
    assert pending == {"coop_unknown", "membership_missing", "mandate_missing", "ref_missing"}
    assert {cls.code for cls in CLASSES if cls.benign} == {"superseded", "duplicate"}


def test_no_local_error_is_blamed_on_a_peer() -> None:
    assert not issubclass(errors.LocalError, errors.RemoteError)
    for cls in CLASSES:
        if issubclass(cls, errors.LocalError):
            assert not (cls.benign or cls.pending or cls.excusable)
