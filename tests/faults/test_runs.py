"""What a trace says of the calls that were hit, however strace cuts its lines."""

from __future__ import annotations

import pytest

from tests.faults.runs import parsed


@pytest.mark.parametrize(
    ("lines", "hit"),
    [
        (['7 openat(3, "a") = 4', '7 openat(3, "b") = -1 EIO (Input/output error) (INJECTED)'], ['"b"']),
        (['7 openat(3, "a") = 4', '7 openat(3, "b") = ?', "7 +++ killed by SIGKILL +++"], ['"b"']),
        (
            ['7 openat(3, "b" <unfinished ...>', '8 openat(3, "c") = 5', "7 <... openat resumed>) = ?"],
            ['"b"'],
        ),
        (
            [
                '7 openat(3, "b" <unfinished ...>',
                '8 openat(3, "c") = 5',
                "8 +++ killed by SIGKILL +++",
                "7 +++ killed by SIGKILL +++",
            ],
            ['"b"'],
        ),
        (['7 openat(3, "b" <unfinished ...>', "7 <... openat resumed>) = 4", "7 +++ killed by SIGKILL +++"], []),
        (['7 openat(3, "a") = 4', "7 +++ exited with 0 +++"], []),
    ],
    ids=["refused", "killed", "killed and resumed", "killed and never resumed", "killed between", "nothing"],
)
def test_the_call_that_was_hit_is_found(lines: list[str], hit: list[str]) -> None:
    _, found = parsed("\n".join(lines))

    assert [call.text[3:6] for call in found] == hit
