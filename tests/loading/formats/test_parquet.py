from __future__ import annotations

import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftetl.errors import SoftwareError
from ftetl.loading.formats import parquet


def opened(data: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(io.BytesIO(data))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_was_written_is_read_back(data: st.DataObject, tables, written) -> None:
    table = data.draw(tables)
    back = opened(written("parquet", table)).read()
    assert back.schema.equals(table.schema)
    assert back.equals(table)


def test_the_metadata_is_what_was_given_and_no_more(plain: pa.Table, metadata, written) -> None:
    file = opened(written("parquet", plain.replace_schema_metadata({"pandas": "{}", "other": "x"})))
    assert file.schema_arrow.metadata == {key.encode(): value.encode() for key, value in metadata.items()}
    assert set(file.metadata.metadata) == {key.encode() for key in metadata} | {b"ARROW:schema"}


def test_the_order_of_the_metadata_does_not_count(plain: pa.Table, metadata, written) -> None:
    sink = io.BytesIO()
    writer = parquet.writer(sink, plain.schema, metadata=dict(reversed(metadata.items())))
    writer.write(plain)
    writer.close()
    assert sink.getvalue() == written("parquet", plain)


def test_row_groups_have_a_fixed_size_and_say_how_they_are_sorted(written) -> None:
    rows = 2 * parquet.ROW_GROUP_ROWS + 1
    table = pa.table({"message": ["x"] * rows, "project": ["p"] * rows, "position": range(rows)})
    file = opened(written("parquet", table)).metadata
    groups = [file.row_group(place) for place in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [parquet.ROW_GROUP_ROWS, parquet.ROW_GROUP_ROWS, 1]
    assert {group.sorting_columns for group in groups} == {(pq.SortingColumn(1), pq.SortingColumn(2))}


def test_a_wide_table_has_fewer_rows_in_a_group(monkeypatch: pytest.MonkeyPatch, written) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_CELLS", 60)
    table = pa.table({"message": ["x"] * 50, "project": ["p"] * 50, "position": range(50)})
    file = opened(written("parquet", table)).metadata
    assert [file.row_group(place).num_rows for place in range(file.num_row_groups)] == [20, 20, 10]
    assert parquet.group_rows(pa.schema([(str(n), pa.int64()) for n in range(100)])) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"] * 10, True),
        ([f"{n}" for n in range(20)], False),
        ([f"{n // 2}" for n in range(20)], True),
        ([*"abcde", *[None] * 15], False),
        ([None] * 20, True),
        ([n // 10 for n in range(20)], True),
        ([datetime(2026, 1, 1, tzinfo=UTC)] * 20, False),
    ],
    ids=["few", "all different", "twice each", "different but for nulls", "nothing", "numbers", "times"],
)
def test_a_column_has_a_dictionary_where_its_values_repeat(values: list[object], expected: bool) -> None:
    table = pa.table({"value": pa.array(values)})
    sink = io.BytesIO()
    writer = parquet.writer(sink, table.schema, metadata={})
    writer.write(table)
    writer.close()
    column = opened(sink.getvalue()).metadata.row_group(0).column(0)
    assert ("RLE_DICTIONARY" in column.encodings) is expected
    assert pq.read_table(io.BytesIO(sink.getvalue())).equals(table)


@pytest.mark.parametrize(("first", "expected"), [("same", True), ("different", False)])
def test_the_first_rows_decide_on_a_dictionary_for_all(
    monkeypatch: pytest.MonkeyPatch, first: str, expected: bool
) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 20)
    monkeypatch.setattr(parquet, "_SAMPLE", 8)
    same, different = ["x"] * 8, [f"{n}" for n in range(8)]
    values = same + different * 4 if first == "same" else different + same * 4
    table = pa.table({"value": values})
    sink = io.BytesIO()
    writer = parquet.writer(sink, table.schema, metadata={})
    for at in range(0, len(values), 3):
        writer.write(table.slice(at, 3))
    writer.close()
    file = opened(sink.getvalue())
    groups = [file.metadata.row_group(place).column(0).encodings for place in range(file.num_row_groups)]
    assert [("RLE_DICTIONARY" in encodings) for encodings in groups] == [expected, expected]
    assert file.read().equals(table)


def test_a_table_without_key_says_nothing_of_its_order(plain: pa.Table) -> None:
    sink = io.BytesIO()
    writer = parquet.writer(sink, plain.schema, metadata={})
    writer.write(plain)
    writer.close()
    assert opened(sink.getvalue()).metadata.row_group(0).sorting_columns == ()


def test_a_key_that_names_no_column_is_a_bug_of_ftetl(plain: pa.Table) -> None:
    with pytest.raises(SoftwareError, match=r"^a table's key names a column that it does not have"):
        parquet.writer(io.BytesIO(), plain.schema, metadata={"ftetl.key": "project,nowhere"})


def test_every_column_has_statistics_compression_and_a_page_index(plain: pa.Table, written) -> None:
    group = opened(written("parquet", plain)).metadata.row_group(0)
    for place in range(group.num_columns):
        column = group.column(place)
        assert column.compression == "ZSTD"
        assert column.is_stats_set
        assert column.has_column_index
        assert column.has_offset_index


def test_a_flipped_bit_in_any_page_is_found(plain: pa.Table, written) -> None:
    data = written("parquet", plain)
    group = opened(data).metadata.row_group(0)
    for place in range(group.num_columns):
        column = group.column(place)
        first = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
        damaged = bytearray(data)
        damaged[first + column.total_compressed_size - 1] ^= 1  # the last byte of the column's last page
        with pytest.raises(OSError, match="CRC"):
            pq.read_table(io.BytesIO(damaged), page_checksum_verification=True)
    assert pq.read_table(io.BytesIO(data), page_checksum_verification=True).equals(plain)


@pytest.mark.slow
def test_a_row_group_with_more_text_than_arrow_holds_in_one_piece_is_halved(written) -> None:
    piece = pa.table({"message": ["x" * 2**20] * 900})
    sink = io.BytesIO()
    writer = parquet.writer(sink, piece.schema, metadata={})
    for _ in range(3):
        writer.write(piece)
    writer.close()
    file = opened(sink.getvalue())
    assert [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)] == [1350, 1350]
    assert sum(len(batch) for batch in file.iter_batches(100)) == 2700
