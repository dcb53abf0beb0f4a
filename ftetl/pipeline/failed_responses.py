"""Keeps the responses of a run that fails in its target, with secrets masked, as evidence of what was refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ftetl.errors import DataError, FtetlError
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.raw.secret_masking import mask_everything
from ftetl.store.target import Target


class FailedResponses:
    """Keeps responses of one run; what cannot be kept does not hide why the run failed."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @contextlib.contextmanager
    def keep_evidence(self) -> Iterator[None]:
        """Keep what an error in the block has as its evidence."""
        try:
            yield
        except FtetlError as error:
            if error.evidence is not None:
                self._keep("answer", error.evidence)
            raise

    @contextlib.contextmanager
    def keep_list(self, responses: list[Response], *, is_service: bool) -> Iterator[None]:
        """Keep the response of a service if the block fails; a saved file is kept by its owner."""
        bodies = [r.blob.data for r in responses[:1] if is_service and isinstance(r.blob, Memory)]
        try:
            yield
        except Exception:
            for body in bodies:
                self._keep("answer.json", body)
            raise

    @contextlib.contextmanager
    def keep_detail(self, details: list[Response]) -> Iterator[None]:
        """Keep the first detail if the values in them are refused: the list may have others."""
        try:
            yield
        except DataError:
            for response in details[:1]:
                self._keep("detail.json", response.blob.read(0, response.blob.size))
            raise

    def _keep(self, name: str, body: bytes) -> None:
        with contextlib.suppress(FtetlError):
            self._target.keep_failed_response(self._target.run_id, name, mask_everything(body))
