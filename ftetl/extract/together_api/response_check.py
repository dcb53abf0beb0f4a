"""What an answer means: a body to go on with, or trouble of a certain kind.

Statuses are facts in a table. Of a body this looks only at what tells a list or a job from an error, from a web page
and from half an answer.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

import msgspec

from ftetl.config import limits
from ftetl.config.credentials import Secret
from ftetl.errors import AccessError, DataError, FtetlError, ProtocolError, TryLaterError, UnavailableError
from ftetl.extract.together_api import error_body
from ftetl.extract.together_api.network_errors import RequestFailure
from ftetl.extract.together_api.retry import retry_after
from ftetl.extract.together_api.transport import Reply

NOT_FOUND: Final = 404
_OK: Final = 200
_TOO_MANY: Final = 429
_FORBIDDEN: Final = 403
_ADDRESS: Final = "check --base-url and what stands between you and the API"
_KEY: Final = "give a key that is valid for this project"

_ACCESS: Final = {
    401: ("H01", "{host} refused the API key from {source} with the fingerprint {fingerprint}", _KEY),
    402: ("H02", "{host} wants a payment or a higher spending limit", "settle that in the account, then run again"),
    403: ("H03", "{host} does not let this API key read fine-tuning jobs", _KEY),
    407: ("H35", "the proxy before {host} wants a login", "put user and password into HTTPS_PROXY"),
}
_PASSING: Final = {408: "H06", 409: "H07", 425: "H06", _TOO_MANY: "H08"}
_NOT_WORTH_RETRYING: Final = frozenset({501, 505, 511})


def classify_response(reply: Reply, host: str, key: Secret, *, holds: str, gone: bool) -> RequestFailure | None:
    """The trouble with an answer; None for one to go on with.

    `holds` is the name that a body must have to be no error; with `gone`, a 404 is an answer as well.
    """
    if reply.status == _OK:
        return _body(reply, host, key, holds)
    if reply.status == NOT_FOUND and gone:
        return None
    facts = _facts(reply, key)
    if reply.status == _FORBIDDEN and gone:  # of one job, whose list this key may read: it is about the job
        return RequestFailure(
            UnavailableError, "N03", f"{host} does not show this job {facts}", "look at it in the account"
        )
    if reply.status in _ACCESS:
        code, what, advice = _ACCESS[reply.status]
        what = what.format(host=host, source=key.source or "the settings", fingerprint=key.fingerprint)
        return RequestFailure(AccessError, code, f"{what} {facts}", advice)
    if reply.status in _PASSING or (500 <= reply.status < 600 and reply.status not in _NOT_WORTH_RETRYING):
        return _passing(reply, host, facts)
    if 300 <= reply.status < 400 and "location" in reply.headers:
        what = f"{host} redirects to {_target(reply, host, key)}, and a key is never sent on {facts}"
        return RequestFailure(ProtocolError, "H31", what, "if that is the API, give it as --base-url")
    if reply.status == NOT_FOUND:
        what = f"no such endpoint at {host} {facts}"
        return RequestFailure(ProtocolError, "H04", what, "check --base-url: its host and its path")
    what = f"{host} does not answer as the Together API does {facts}"
    return RequestFailure(ProtocolError, _strange(reply.status), what, _ADDRESS)


def _strange(status: int) -> str:
    """The code of a status that the API does not have."""
    if status in _NOT_WORTH_RETRYING:
        return "H13"
    return "H34" if status < 400 else "H05" if status < 500 else "H37"


def _passing(reply: Reply, host: str, facts: str) -> RequestFailure:
    many = reply.status == _TOO_MANY
    kind: type[FtetlError] = TryLaterError if many else UnavailableError
    what = f"{host} allows no more requests now" if many else f"{host} cannot answer now"
    wait = retry_after(reply.headers)
    code = _PASSING.get(reply.status, "H12")
    return RequestFailure(kind, code, f"{what} {facts}", "try again later", limits.REQUESTS, wait, everybody=many)


def _body(reply: Reply, host: str, key: Secret, holds: str) -> RequestFailure | None:
    body = reply.body
    if error_body.is_markup(body):
        what = f"{host} answered with a web page, which the Together API never does {_facts(reply, key)}"
        return RequestFailure(ProtocolError, "H32", what, _ADDRESS, limits.DOUBTS)
    later = "try again later; if it stays so, check --base-url"
    if not body and not reply.framed:  # as it looks when the connection ends within the headers
        what = f"{host} ended the connection before its answer was complete {_facts(reply, key)}"
        return RequestFailure(UnavailableError, "H15", what, "try again later", limits.REQUESTS)
    if not body[: limits.CHUNK].strip(b"\xef\xbb\xbf \t\r\n"):
        return RequestFailure(
            DataError, "R02", f"{host} gave an empty answer {_facts(reply, key)}", later, limits.DOUBTS
        )
    document = error_body.decoded(body) if _names_an_error(body) else None
    if isinstance(document, dict) and document.get("error") and not document.get(holds):
        return RequestFailure(
            DataError, "R01", f"{host} gave an error as its answer {_facts(reply, key)}", later, limits.DOUBTS
        )
    if not reply.framed and _is_cut(body):
        what = f"the answer of {host} ends in the middle {_facts(reply, key)}"
        return RequestFailure(DataError, "H19", what, later, limits.DOUBTS)
    return None


class _Error(msgspec.Struct):
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_error = msgspec.json.Decoder(_Error)


def _names_an_error(body: bytes) -> bool:
    """Whether the body may be an object with an `error`; to know it costs a fraction of reading all of a job."""
    if len(body) > limits.ERROR_BODY:
        return False
    try:
        return _error.decode(body).error is not msgspec.UNSET
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return True


def _is_cut(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        # Its only word for "more was to come". Anything else is for the decoder, which loses no job over it.
        return str(error) == "Input data was truncated"
    except (ValueError, RecursionError):
        return False
    return False


def _facts(reply: Reply, key: Secret) -> str:
    """The status, and what the other side said about it, in brackets."""
    facts = [f"HTTP {reply.status}"]
    if said := error_body.fit(error_body.message(reply.body), key):
        facts.append(f'remote="{said}"')
    if request_id := error_body.request_id(reply.headers, key):
        facts.append(f"request id {request_id}")
    return f"({', '.join(facts)})"


def _target(reply: Reply, host: str, key: Secret) -> str:
    try:
        parts = urlsplit(urljoin(f"https://{host}/", reply.headers.get("location", "")))
        where = f"{parts.scheme}://{parts.hostname or ''}"
    except ValueError:
        return "another address"
    return (
        error_body.fit(where, key)
        if where.isascii() and where.isprintable() and " " not in where
        else "another address"
    )
