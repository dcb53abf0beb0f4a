"""Classifies a response: usable, worth a retry, or a fatal error, by its status and a look at its body.

Of a body it checks only what tells a list or a job from an error, from a web page and from a truncated response.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urljoin, urlsplit

import msgspec

from ftetl.config import limits
from ftetl.config.credentials import Secret
from ftetl.errors import AccessError, DataError, FtetlError, ProtocolError, TryLaterError, UnavailableError
from ftetl.extract.together_api import error_body
from ftetl.extract.together_api.network_errors import CHECK_ADDRESS, CUT_OFF, RequestFailure
from ftetl.extract.together_api.retry import parse_retry_after
from ftetl.extract.together_api.transport import HttpResponse

NOT_FOUND: Final = 404
NOT_SHOWN: Final = "N03"  # the fault of a 403 of what the key may see in part only
_OK: Final = 200
_TOO_MANY_REQUESTS: Final = 429
_FORBIDDEN: Final = 403
_SHOULD_RETRY: Final = "x-should-retry"  # the service's own word, which the vendor's SDK obeys before the status too
_RETRY_WORDS: Final = {"true": True, "false": False}
_NEW_KEY: Final = "give a key that is valid for this project"
_PAY: Final = "settle that in the account, then run again"
_LATER: Final = "try again later"
_LATER_OR_ADDRESS: Final = "try again later; if it happens again, check --base-url"

_NOT_NOW: Final = "{host} cannot respond now"
_OTHER_API: Final = "{host} does not respond as the Together API does"

# The error of each status, and of each class of statuses; `UnavailableError` and `TryLaterError` are worth retries.
_STATUSES: Final[dict[int, tuple[type[FtetlError], str, str, str]]] = {
    401: (
        AccessError,
        "H01",
        "{host} refused the API key from {source} with the fingerprint {fingerprint}",
        _NEW_KEY,
    ),
    402: (AccessError, "H02", "{host} wants a payment or a higher spending limit", _PAY),
    403: (AccessError, "H03", "{host} does not let this API key read fine-tuning jobs", _NEW_KEY),
    404: (ProtocolError, "H04", "no such endpoint at {host}", "check --base-url: its host and its path"),
    407: (AccessError, "H35", "the proxy before {host} wants a login", "put user and password into HTTPS_PROXY"),
    408: (UnavailableError, "H06", _NOT_NOW, _LATER),
    409: (UnavailableError, "H07", _NOT_NOW, _LATER),
    425: (UnavailableError, "H06", _NOT_NOW, _LATER),
    429: (TryLaterError, "H08", "{host} allows no more requests now", _LATER),
    **dict.fromkeys((501, 505, 511), (ProtocolError, "H13", _OTHER_API, CHECK_ADDRESS)),
}
_CLASSES: Final[dict[int, tuple[type[FtetlError], str, str, str]]] = {
    **dict.fromkeys((1, 2, 3), (ProtocolError, "H34", _OTHER_API, CHECK_ADDRESS)),
    4: (ProtocolError, "H05", _OTHER_API, CHECK_ADDRESS),
    5: (UnavailableError, "H12", _NOT_NOW, _LATER),
    **dict.fromkeys((6, 7, 8, 9), (ProtocolError, "H37", _OTHER_API, CHECK_ADDRESS)),
}


def classify_response(
    response: HttpResponse, host: str, key: Secret, required_key: str, *, one_job: bool
) -> RequestFailure | None:
    """The failure that a response is; None for a usable one.

    Args:
        response: The response to classify.
        host: Names the server in messages.
        key: The API key, which no message repeats.
        required_key: The key that an object must have not to be an error.
        one_job: Whether one job was requested: then a 404 is usable, unless the service asks for a retry, and a 403 is
            about this job.
    """
    status = response.status
    if status == _OK:
        return _classify_body(response, host, key, required_key)
    should_retry = _RETRY_WORDS.get(response.headers.get(_SHOULD_RETRY, "").strip().lower())
    if status == NOT_FOUND and one_job and not should_retry:
        return None
    failure = _status_failure(response, host, key, one_job=one_job)
    if _is_redirect(response) or not (failure.retries if should_retry is None else should_retry):
        return replace(failure, retries=0)
    wait = parse_retry_after(response.headers)
    pauses_all = status == _TOO_MANY_REQUESTS
    return replace(failure, retries=limits.MAX_REQUESTS, retry_after=wait, pauses_all=pauses_all)


def _status_failure(response: HttpResponse, host: str, key: Secret, *, one_job: bool) -> RequestFailure:
    """The failure that a status means, with whether it is worth retries by itself."""
    status, facts = response.status, _facts(response, key)
    if status in (_FORBIDDEN, NOT_FOUND) and one_job:  # the list was readable with this key
        what = f"{host} does not show this to the API key {facts}"
        return RequestFailure(UnavailableError, NOT_SHOWN, what, "look at it in the account")
    if _is_redirect(response):
        what = f"{host} redirects to {_redirect_target(response, host, key)}, and a key is never sent on {facts}"
        return RequestFailure(ProtocolError, "H31", what, "if that is the API, give it as --base-url")
    kind, code, what, advice = _STATUSES.get(status) or _CLASSES[status // 100]
    what = what.format(host=host, source=key.source or "the settings", fingerprint=key.fingerprint)
    is_temporary = issubclass(kind, UnavailableError | TryLaterError)
    return RequestFailure(kind, code, f"{what} {facts}", advice, limits.MAX_REQUESTS if is_temporary else 0)


def _classify_body(response: HttpResponse, host: str, key: Secret, required_key: str) -> RequestFailure | None:
    body = response.body
    if error_body.is_markup(body):
        what = f"{host} responded with a web page, which the Together API never does {_facts(response, key)}"
        return RequestFailure(ProtocolError, "H32", what, CHECK_ADDRESS, limits.SUSPECT_RETRIES)
    if not body and not response.has_known_end:  # as it looks when the connection ends within the headers
        what = f"{CUT_OFF.format(host=host)} {_facts(response, key)}"
        return RequestFailure(UnavailableError, "H15", what, _LATER, limits.MAX_REQUESTS)
    if not body[: limits.CHUNK].strip(b"\xef\xbb\xbf \t\r\n"):
        what = f"{host} gave an empty response {_facts(response, key)}"
        return RequestFailure(DataError, "R02", what, _LATER_OR_ADDRESS, limits.SUSPECT_RETRIES)
    document = error_body.parse_json(body) if _may_be_error(body) else None
    if isinstance(document, dict) and document.get("error") and not document.get(required_key):
        what = f"{host} gave an error as its response {_facts(response, key)}"
        return RequestFailure(DataError, "R01", what, _LATER_OR_ADDRESS, limits.SUSPECT_RETRIES)
    if not response.has_known_end and _is_truncated(body):
        what = f"the response of {host} ends in the middle {_facts(response, key)}"
        return RequestFailure(DataError, "H19", what, _LATER_OR_ADDRESS, limits.SUSPECT_RETRIES)
    return None


class _Error(msgspec.Struct):
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_error = msgspec.json.Decoder(_Error)


def _may_be_error(body: bytes) -> bool:
    """Whether the body may be an object with an `error`; costs a fraction of parsing a whole job."""
    if len(body) > limits.ERROR_BODY:
        return False
    try:
        return _error.decode(body).error is not msgspec.UNSET
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return True


def _is_truncated(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        # msgspec has no class for it. Every other error is for the decoder, which quarantines single elements.
        return str(error) == "Input data was truncated"
    except (ValueError, RecursionError):
        return False
    return False


def _facts(response: HttpResponse, key: Secret) -> str:
    """The status, the server's message and the request's id, in brackets."""
    facts = [f"HTTP {response.status}"]
    if message := error_body.printable(error_body.error_message(response.body), key):
        facts.append(f'remote="{message}"')
    if request_id := error_body.request_id(response.headers, key):
        facts.append(f"request id {request_id}")
    return f"({', '.join(facts)})"


def _is_redirect(response: HttpResponse) -> bool:
    return 300 <= response.status < 400 and "location" in response.headers


def _redirect_target(response: HttpResponse, host: str, key: Secret) -> str:
    try:
        parts = urlsplit(urljoin(f"https://{host}/", response.headers.get("location", "")))
        address = f"{parts.scheme}://{parts.hostname or ''}"
    except ValueError:
        return "another address"
    if address.isascii() and address.isprintable() and " " not in address:
        return error_body.printable(address, key)
    return "another address"
