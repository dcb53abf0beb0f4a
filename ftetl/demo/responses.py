"""Response bodies of the demo API: the items of `GET /fine-tunes`, whose a key is, and errors in the API's format."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# The keys of an item; every other key is in the detail alone.
_LIST_KEYS = """
    Suffix batch_size created_at early_stopped early_stopping_best_metric early_stopping_best_step from_checkpoint
    from_hf_model hf_model_revision id learning_rate lr_scheduler max_grad_norm max_seq_length model model_output_name
    n_checkpoints n_epochs n_evals owner_address packing progress random_seed started_at status suffix token_count
    total_price training_file training_method training_type updated_at user_id validation_file wandb_entity wandb_name
    wandb_project_name warmup_ratio weight_decay
"""
LIST_KEYS = frozenset(_LIST_KEYS.split())


WHOAMI: Mapping[str, Any] = MappingProxyType(  # the body of `GET /v3/whoami`
    {
        "type": "project_api_key",
        "api_key": {"id": "key-demo-0001"},
        "organization": {"id": "org-demo-0001", "name": "Example Organization"},
        "project": {"id": "proj-demo-0001", "name": "Example Project", "slug": "example-project"},
    }
)

# The second account: an organisation that is not enabled for `GET /billing/usage`.
SECOND_WHOAMI: Mapping[str, Any] = MappingProxyType(
    {
        "type": "project_api_key",
        "api_key": {"id": "key-demo-1001"},
        "organization": {"id": "org-demo-1001", "name": "Second Example Organization"},
        "project": {"id": "proj-demo-1001", "name": "Second Example Project", "slug": "second-example-project"},
    }
)


def organization_of(whoami: Mapping[str, Any] | None) -> str:
    """The id of the organisation of a key; that of the demo where it is not known."""
    organization: Mapping[str, str] = (whoami or {}).get("organization") or WHOAMI["organization"]
    return organization["id"]


def flat_whoami(whoami: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `GET /v1/whoami` for that of `GET /v3/whoami`."""
    parts = ("api_key", "organization", "project", "user")
    return {f"{part}_{name}": value for part in parts for name, value in whoami.get(part, {}).items()}


def list_item(job: dict[str, Any]) -> dict[str, Any]:
    """The item of the list for a job as `GET /fine-tunes/{id}` returns it."""
    item = {key: value for key, value in job.items() if key in LIST_KEYS}
    # Like the real API, most items have an empty list of events although the job has events, some null, some no key.
    match zlib.crc32(str(job.get("id")).encode()) % 10:
        case 0:
            item["events"] = None
        case 1:
            pass
        case _:
            item["events"] = []
    return dict(sorted(item.items()))


_ERRORS = {  # by status: message, type, code
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


def error_body(status: int, message: str = "") -> bytes:
    """The JSON body of an error response; a status that is not listed gets the body of a server error.

    Args:
        status: The status of the response.
        message: A message of its own; without one, that of the status.
    """
    usual_message, error_type, code = _ERRORS.get(status, _SERVER_ERROR)
    return json.dumps(
        {"error": {"message": message or usual_message, "type": error_type, "param": None, "code": code}}
    ).encode()
