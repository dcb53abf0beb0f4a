"""How requests reach the API: the key, the connection pools, and a registry of open connections to shut down."""

from __future__ import annotations

import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection

from ftetl.config.credentials import Secret


class BearerAuth(AuthBase):
    """Adds the key to a request, at the last moment."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with its `Authorization` header."""
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


class ConnectionRegistry:
    """The connections that are open now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()

    def register(self, connection: HTTPConnection) -> HTTPConnection:
        """The connection, which `shutdown_all` will end."""
        connection.set_debuglevel(0)  # http.client would print the headers
        with self._lock:
            self._connections.add(connection)
        return connection

    def shutdown_all(self) -> None:
        """Shut every connection down, so that the threads which read from them wake up."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            sock = connection.sock  # another thread may close it meanwhile
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


class _RegisteringAdapter(HTTPAdapter):
    """Registers its connections, also those through a proxy."""

    def __init__(self, registry: ConnectionRegistry, pool_size: int) -> None:
        def open_plain(*args: Any, **options: Any) -> HTTPConnection:
            return registry.register(HTTPConnection(*args, **options))

        def open_tls(*args: Any, **options: Any) -> HTTPConnection:
            return registry.register(HTTPSConnection(*args, **options))

        self._pools = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": staticmethod(open_plain)}),
            "https": type("TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": staticmethod(open_tls)}),
        }
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """The pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """The pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class Route:
    """How the requests of a run reach the API: one pool of connections to its host, and the headers of all requests.

    What requests does anew for each request is done once: which proxy, which certificate authorities, whose login. The
    requests are sent by urllib3, as requests does it, but without what it costs to keep cookies, to look where a
    redirect leads, and to call hooks. No redirect is followed, no failure is retried, and nothing of a response is
    stored for the next request.

    Raises:
        RequestException, OSError: The environment names an unusable proxy, or certificate authorities that are missing.
    """

    def __init__(self, url: str, key: Secret, registry: ConnectionRegistry, pool_size: int) -> None:
        """The route to an address that `base_url` returned."""
        session = requests.Session()
        session.auth = BearerAuth(key)  # and not headers=, which an entry in .netrc overrides (psf/requests#3929)
        session.headers.update({"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "ftetl"})
        # http goes to loopback only; a proxy of the environment would carry the key there in the clear.
        session.trust_env = url.startswith("https:")
        request = session.prepare_request(requests.Request("GET", url))
        settings = session.merge_environment_settings(url, {}, False, None, None)
        self._adapter = _RegisteringAdapter(registry, pool_size)
        pool: Any = self._adapter.get_connection_with_tls_context(
            request, settings["verify"], settings["proxies"], settings["cert"]
        )
        self._adapter.cert_verify(pool, request.url, settings["verify"], settings["cert"])  # type: ignore[no-untyped-call]
        self._pool, self.headers = pool, dict(request.headers)

    @contextmanager
    def get(self, url: str, *, connect: float, read: float) -> Iterator[BaseHTTPResponse]:
        """The response to a GET of an address of this host, of which the body was not read yet.

        Args:
            url: The address.
            connect: Seconds until there is a connection.
            read: Seconds between two pieces of the response.
        """
        address = urlsplit(url)
        response = self._pool.urlopen(
            "GET",
            f"{address.path}?{address.query}" if address.query else address.path,
            headers=self.headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=Timeout(connect=connect, read=read),
            preload_content=False,
            decode_content=False,
        )
        try:
            yield response
        finally:
            response.close()  # a connection whose response was read to its end is in the pool already
            response.release_conn()

    def close(self) -> None:
        """Close the connections that are in the pool."""
        self._adapter.close()
