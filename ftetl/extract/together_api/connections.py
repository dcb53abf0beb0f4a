"""The session of requests: the API key, the connection pools, and a registry of open connections to shut down."""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
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
    """Registers its connections, also those through a proxy; does not retry."""

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


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - requests calls it so
        # Even with allow_redirects=False requests looks where a redirect leads, and for that reads its whole body.
        return None


def open_session(url: str, key: Secret, registry: ConnectionRegistry, pool_size: int) -> requests.Session:
    """A session for an address that `base_url` returned; it stores nothing of a response for the next request."""
    session = _Session()
    adapter = _RegisteringAdapter(registry, pool_size)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.auth = BearerAuth(key)  # and not headers=, which an entry in .netrc overrides (psf/requests#3929)
    session.headers.update({"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "ftetl"})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # http goes to loopback only; a proxy of the environment would carry the key there in the clear.
    session.trust_env = url.startswith("https:")
    return session
