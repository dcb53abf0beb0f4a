"""Asks the API whose its key is: `GET /v3/whoami`, and `GET /v1/whoami` where that is a 404.

A run needs no answer: one attempt, a short deadline, and whatever goes wrong is a line at debug level.
"""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Final

from ftetl.clock import Deadline
from ftetl.config import limits
from ftetl.config.credentials import Secret
from ftetl.extract.key_owner import KeyOwner
from ftetl.extract.source import SourceStats
from ftetl.extract.together_api import error_body
from ftetl.extract.together_api.response_check import NOT_FOUND
from ftetl.extract.together_api.transport import HttpResponse, RequestLimits, Transport

_OK: Final = 200

_log = logging.getLogger(__name__)


def ask_owner(url: str, key: Secret, deadline: Deadline) -> tuple[KeyOwner | None, SourceStats]:
    """The owner of the key, None where the API does not say; and the requests that this took, at most two.

    Args:
        url: The base address, which ends with `/v1`.
        key: The key.
        deadline: The deadline of the run, of which at most a tenth is waited for.
    """
    wait = Deadline(min(limits.WHOAMI_DEADLINE, deadline.left() / 10))
    # Connections of its own, closed at once: a body that does not end must not hold up the list.
    with closing(Transport(url, key, RequestLimits(wait, limits.ERROR_BODY, concurrency=1))) as transport:
        response = transport.get(f"{url.removesuffix('/v1')}/v3/whoami")
        if isinstance(response, HttpResponse) and response.status == NOT_FOUND:
            response = transport.get(f"{url}/whoami")
        stats = SourceStats(transport.requests_sent, transport.bytes_read)
    owner = None
    if not isinstance(response, HttpResponse):
        reason = response.what
    elif response.status != _OK:
        reason = f"HTTP {response.status}"
    else:
        reason = "a response without the id of an organisation or a project"
        owner = KeyOwner.from_document(error_body.parse_json(response.body))
        if owner is not None and any(key.hide(text) != text for text in owner.defaults.values()):
            owner, reason = None, "a response that repeats the key"
    if owner is None:
        _log.debug("%s does not tell whose the API key is: %s", transport.host, reason)
    return owner, stats
