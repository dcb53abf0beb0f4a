"""The raw jobs of a batch are the bytes of their responses, one by one and concatenated."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl import clock
from ftetl.errors import DataError
from ftetl.raw.blob import Blob, File, Memory
from ftetl.raw.response import Response
from ftetl.raw.spool import Spool
from ftetl.transform.decode import raw_batch
from ftetl.transform.decode.raw_batch import RawBatch
from ftetl.transform.raw_job import RawJob


def items(texts: list[bytes]) -> list[RawJob]:
    offsets = [sum(map(len, texts[:n])) for n in range(len(texts))]
    return [RawJob(f"ft-{n}", 0, n, offsets[n], len(text)) for n, text in enumerate(texts)]


@given(
    texts=st.lists(st.binary(max_size=30).map(lambda inner: b"{" + inner + b"}"), max_size=8),
    where=st.sampled_from(["memory", "file", "spool", "a response each"]),
)
def test_jobs_have_the_same_bytes_one_by_one_and_concatenated(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], where: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "all").write_bytes(b"".join(texts))
    with Spool(lambda: folder) as spool:
        found = items(texts)
        if where == "a response each":
            blobs: list[Blob] = [spool.append(text) for text in texts]
            found = [RawJob(f"ft-{n}", n, 0, 0, len(text)) for n, text in enumerate(texts)]
        elif where == "spool":
            blobs = [spool.append(b"".join(texts))]
        else:
            blobs = [Memory(b"".join(texts)) if where == "memory" else File(folder / "all")]
        raws = RawBatch(found, [Response("a", blob, clock.now()) for blob in blobs])

        assert [raws[at] for at in range(len(raws))] == texts
        assert bytes(raws.concatenated()) == b"".join(text + b"\n" for text in texts)
        assert raws.size == len(b"".join(texts))
        assert bytes(raws.part(1, 3).concatenated()) == b"".join(text + b"\n" for text in texts[1:3])


@pytest.mark.parametrize("kept", [0, 1 << 20])
@pytest.mark.parametrize(
    "now", [b'{"id":"ft-0"}{"id"', b"", b'{"id":"ft-0"}null         ', b'{"id":"ft-0"}{"id":"ft-12']
)
def test_a_response_that_has_changed_since_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, now: bytes
) -> None:
    monkeypatch.setattr(raw_batch, "_MAX_REUSED", kept)
    texts = [b'{"id":"ft-0"}', b'{"id":"ft-1"}']
    (tmp_path / "all").write_bytes(b"".join(texts))
    raws = RawBatch(items(texts), [Response("all", File(tmp_path / "all"), clock.now())])
    assert bytes(raws.concatenated()) == b"".join(text + b"\n" for text in texts)

    (tmp_path / "all").write_bytes(now)

    with pytest.raises(DataError, match="all was changed while it was read"):
        raws.concatenated()
