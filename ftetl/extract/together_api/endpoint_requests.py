"""What each endpoint beside `/fine-tunes` is asked, by request."""

from __future__ import annotations

from ftetl.config.limits import OPTIONAL_REQUESTS
from ftetl.errors import SoftwareError
from ftetl.extract.endpoints import Endpoint, EndpointRequest
from ftetl.extract.together_api.client import Client


def fetch(client: Client, request: EndpointRequest) -> tuple[str, bytes | None]:
    """The name of the response, and its body; None if the API does not have it.

    Raises:
        FtetlError: As `Client.get_optional`, of a job's metrics as `Client.get_job`.
    """
    match request.endpoint:
        case Endpoint.FILES:
            return "GET /files", client.get_optional("/files", "data", attempts=OPTIONAL_REQUESTS)
        case Endpoint.TRAINING_METRICS:
            return f"GET /fine-tunes/{request.parameter}/metrics", client.get_metrics(request.parameter)
    raise SoftwareError("B02", f"nobody asks for {request.endpoint}", next="please report this as a bug of ftetl")
