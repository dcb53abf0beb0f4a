"""An analysis that is given a path or a frame says what it wants."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from ftetl import analysis
from ftetl.errors import UsageError

FUNCTIONS = {name: getattr(analysis, name) for name in analysis.__all__ if callable(getattr(analysis, name))}
FIRST = {name: next(iter(inspect.signature(function).parameters), "") for name, function in FUNCTIONS.items()}
OF_SNAPSHOTS = sorted(name for name, first in FIRST.items() if first == "snapshot")
OF_FRAMES = sorted(name for name, first in FIRST.items() if first == "frame")


def test_there_are_both_kinds() -> None:
    assert len(OF_SNAPSHOTS) >= 14
    assert OF_FRAMES == ["over_time", "shown"]


@pytest.mark.parametrize("name", OF_SNAPSHOTS)
@pytest.mark.parametrize("given", ["exports/", Path("exports"), pd.DataFrame(), pa.table({}), None, 7], ids=repr)
def test_what_is_no_snapshot_is_refused_in_one_line(name: str, given: Any) -> None:
    with pytest.raises(TypeError, match=f"takes what ftetl.open returns, not {type(given).__name__}; ") as refused:
        FUNCTIONS[name](given)

    assert isinstance(refused.value, UsageError)
    assert refused.value.code == "FTETL-T07"
    assert "ftetl.open(" in refused.value.next
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", OF_FRAMES)
@pytest.mark.parametrize("given", ["exports/", pa.table({}), None], ids=repr)
def test_what_is_no_frame_is_refused_in_one_line(name: str, given: Any) -> None:
    with pytest.raises(TypeError, match=f"a pandas frame is needed, not {type(given).__name__}; "):
        FUNCTIONS[name](given)
