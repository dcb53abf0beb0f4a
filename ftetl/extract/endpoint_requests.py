"""What each endpoint beside `/fine-tunes` is asked, by request."""

from __future__ import annotations

from functools import partial

from ftetl.config.limits import OPTIONAL_REQUESTS
from ftetl.errors import SoftwareError
from ftetl.extract.billing_pages import PATH, FirstMonth, fetch_month
from ftetl.extract.endpoints import Endpoint, EndpointRequest
from ftetl.extract.together_api.client import Client


class EndpointRequests:
    """The requests of a run; threads share it.

    Args:
        client: The API.
        organization_id: The key's organisation, if it is known.
    """

    def __init__(self, client: Client, organization_id: str | None) -> None:
        self._client, self._organization_id = client, organization_id
        self._first_month = FirstMonth()

    def fetch(self, request: EndpointRequest) -> tuple[str, bytes | None]:
        """The name of the response, and its body; None if the API does not have it.

        Raises:
            FtetlError: As `Client.get_optional`, `fetch_month`, and for metrics `Client.get_job`.
        """
        client, asked = self._client, request.parameter
        match request.endpoint:
            case Endpoint.FILES:
                return "GET /files", client.get_optional("/files", "data", attempts=OPTIONAL_REQUESTS)
            case Endpoint.BILLING_USAGE:
                get = partial(client.get_optional, required_key="data", attempts=OPTIONAL_REQUESTS)
                fetch = partial(fetch_month, get, asked, self._organization_id, client.limits.max_bytes)
                return f"GET {PATH} of {asked}", self._first_month.fetch(fetch)
            case Endpoint.TRAINING_METRICS:
                return f"GET /fine-tunes/{asked}/metrics", client.get_metrics(asked)
        raise SoftwareError("B02", f"nobody asks for {request.endpoint}", next="please report this as a bug of ftetl")
