"""Error responses of the demo API, in the format of the Together AI API."""

from __future__ import annotations

import json

# status: (message, type, code)
_ERRORS = {
    400: ("The request is not valid.", "invalid_request_error", "invalid_request"),
    401: ("Invalid API key provided.", "invalid_request_error", "invalid_api_key"),
    402: ("The monthly spending limit was reached.", "credit_limit", "credit_limit_exceeded"),
    403: ("This key may not do this.", "invalid_request_error", "permission_denied"),
    404: ("There is no such resource.", "invalid_request_error", "not_found"),
    408: ("The request took too long.", "server_error", "request_timeout"),
    409: ("The request is in conflict with another one.", "invalid_request_error", "conflict"),
    429: ("Too many requests.", "rate_limit", "rate_limit_exceeded"),
    501: ("The demo API is read-only.", "invalid_request_error", "not_implemented"),
}
_SERVER_ERROR = ("The server had an error while processing the request.", "server_error", "internal_error")


def error_body(status: int) -> bytes:
    """The JSON body of an error response; a status that is not listed gets the body of a server error."""
    message, error_type, code = _ERRORS.get(status, _SERVER_ERROR)
    return json.dumps({"error": {"message": message, "type": error_type, "param": None, "code": code}}).encode()
