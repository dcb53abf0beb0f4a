"""The errors of the API in its own envelope. Facts only."""

from __future__ import annotations

import json

# status: (message, type, code)
_PROBLEMS = {
    400: ("The request is not valid.", "invalid_request_error", "invalid_request"),
    401: ("Invalid API key provided.", "invalid_request_error", "invalid_api_key"),
    402: ("The monthly spending limit was reached.", "credit_limit", "credit_limit_exceeded"),
    403: ("This key may not do this.", "invalid_request_error", "permission_denied"),
    404: ("There is no such resource.", "invalid_request_error", "not_found"),
    408: ("The request took too long.", "server_error", "request_timeout"),
    409: ("The request is in conflict with another one.", "invalid_request_error", "conflict"),
    429: ("Too many requests.", "rate_limit", "rate_limit_exceeded"),
    501: ("The stand-in only reads.", "invalid_request_error", "not_implemented"),
}
_SERVER_ERROR = ("The server had an error while processing the request.", "server_error", "internal_error")


def problem(status: int) -> bytes:
    """The body of an answer with that status; a status without words of its own is a fault of the server."""
    message, kind, code = _PROBLEMS.get(status, _SERVER_ERROR)
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()
