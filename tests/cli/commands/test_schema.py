"""`ftetl schema` prints the data dictionary."""

from __future__ import annotations

import re

from ftetl.contract import tables
from tests.cli.program import (
    on_a_terminal,
)


def test_the_dictionary_is_a_table_that_fits() -> None:
    code, seen = on_a_terminal("schema", "events", env={})
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)

    assert code == 0
    assert all(name in plain for name in tables()["events"].names)
    assert "| --- |" not in plain
    assert max(map(len, plain.splitlines())) <= 100
