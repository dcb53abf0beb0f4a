"""New rows among stored ones: each job once, in key order, the new row where there is one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.transform.merge import key_order

SCHEMA = pa.schema({"job_id": pa.string(), "text": pa.string(), "same": pa.int64(), "money": pa.decimal128(19, 9)})
JOBS = st.dictionaries(
    st.sampled_from("abcdefghij"), st.tuples(st.none() | st.text(max_size=2), st.none() | st.integers(0, 9))
)


def rows(jobs: dict[str, tuple[str | None, int | None]], chunks: int = 1) -> pa.Table:
    data = [{"job_id": i, "text": text, "same": 1, "money": money} for i, (text, money) in sorted(jobs.items())]
    parts = [data[at::chunks] for at in range(chunks)] if chunks == 1 else [data[:2], data[2:]]
    return pa.concat_tables([pa.Table.from_pylist(part, schema=SCHEMA) for part in parts])


@pytest.mark.parametrize("inserted", [0, 3, 200])
@given(stored=JOBS, new=JOBS, chunks=st.sampled_from([1, 2]))
def test_the_rows_are_those_of_a_dictionary_that_is_updated(
    stored: dict[str, tuple[str | None, int | None]],
    new: dict[str, tuple[str | None, int | None]],
    chunks: int,
    inserted: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_order, "_MAX_INSERTED", inserted)
        found = key_order.among(rows(stored, chunks), rows(new))
    assert found.schema.equals(SCHEMA)
    assert found.to_pylist() == rows(stored | new).to_pylist()


def test_a_column_without_another_value_is_not_copied() -> None:
    stored, new = rows({"a": ("x", 1), "b": ("y", 2)}), rows({"b": ("z", 2)})
    found = key_order.among(stored, new)
    assert found.column("text").to_pylist() == ["x", "z"]
    for name in ("same", "money"):
        assert found.column(name).chunk(0).buffers()[1].address == stored.column(name).chunk(0).buffers()[1].address
