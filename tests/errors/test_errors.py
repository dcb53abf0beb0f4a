"""Every error of ours says what to do, has an exit code, and survives being sent to another process."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator

import pytest

from ftetl import errors
from ftetl.errors import EXITS, Exit, FtetlError


def _walk(root: type[FtetlError]) -> Iterator[type[FtetlError]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _walk(child)


ERRORS = sorted(_walk(FtetlError), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", ERRORS)
class TestEveryError:
    def test_ends_in_error_and_is_documented(self, kind: type[FtetlError]) -> None:
        assert kind.__name__.endswith("Error")
        assert inspect.getdoc(kind) != inspect.getdoc(FtetlError)

    def test_has_an_exit_of_its_own_that_commits_nothing(self, kind: type[FtetlError]) -> None:
        assert EXITS[kind.exit.name] is kind.exit
        assert not kind.exit.committed
        assert [other for other in ERRORS if other.exit is kind.exit] == [kind]

    def test_can_be_caught_as_the_builtin_that_it_resembles(self, kind: type[FtetlError]) -> None:
        builtin = [base for base in kind.__mro__ if base.__module__ == "builtins"]

        assert len({*builtin} - {Exception, BaseException, object}) >= 1

    @pytest.mark.parametrize("advice", ["", "do this"])
    def test_survives_a_pickle_whole(self, kind: type[FtetlError], advice: str) -> None:
        error = kind("B01", "it broke", next=advice)
        copy = pickle.loads(pickle.dumps(error))

        assert type(copy) is kind
        assert (copy.code, copy.what, copy.next, str(copy)) == (error.code, error.what, error.next, str(error))

    def test_says_what_happened_and_then_what_to_do(self, kind: type[FtetlError]) -> None:
        assert str(kind("B01", "it broke", next="do this")) == "it broke; do this"
        assert str(kind("B01", "it broke")) == "it broke"


def test_no_two_exits_share_a_code_and_none_is_one_that_others_give_a_meaning() -> None:
    codes = [end.code for end in EXITS.values()]

    assert len({*codes}) == len(codes)
    assert not {*codes} & {1, 99, 125, 126, 127}


@pytest.mark.parametrize("end", EXITS.values(), ids=lambda end: end.name)
def test_every_exit_is_of_an_error_or_of_a_way_to_end_without_one(end: Exit) -> None:
    assert end.name in {kind.exit.name for kind in ERRORS} | {"OK", "PARTIAL", "SIGINT", "SIGTERM"}
    assert end.meaning


def test_only_what_a_second_try_may_mend_is_retryable() -> None:
    assert {e.name for e in EXITS.values() if e.retryable} == {"UNAVAILABLE", "TEMPFAIL", "SIGINT", "SIGTERM"}
    assert {e.name for e in EXITS.values() if e.committed} == {"OK", "PARTIAL"}
