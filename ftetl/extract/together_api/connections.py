"""How requests is plugged in: every connection can be pulled, nothing prints, and the key comes in one place.

Knows urllib3's pools; nothing of requests' answers.
"""

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


class Bearer(AuthBase):
    """Puts the key into a request, at the last moment."""

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

    def add(self, connection: HTTPConnection) -> HTTPConnection:
        """The connection, which `shutdown_all` will know."""
        connection.set_debuglevel(0)  # http.client would print the headers
        with self._lock:
            self._connections.add(connection)
        return connection

    def shutdown_all(self) -> None:
        """Shut every connection down, so that the threads which read from them wake up."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            plug = connection.sock
            if plug is not None:
                with suppress(OSError):
                    plug.shutdown(socket.SHUT_RDWR)


class Adapter(HTTPAdapter):
    """Requests' adapter without any retry, whose connections `plugs` knows, also those through a proxy."""

    def __init__(self, plugs: ConnectionRegistry, pool: int) -> None:
        def plain(*args: Any, **options: Any) -> HTTPConnection:
            return plugs.add(HTTPConnection(*args, **options))

        def tls(*args: Any, **options: Any) -> HTTPConnection:
            return plugs.add(HTTPSConnection(*args, **options))

        self._pools = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": staticmethod(plain)}),
            "https": type("TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": staticmethod(tls)}),
        }
        super().__init__(pool_connections=1, pool_maxsize=pool, max_retries=0)

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
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - the signature is theirs
        # Even with allow_redirects=False requests looks where a redirect leads, and for that reads its whole body.
        return None


def session(url: str, key: Secret, plugs: ConnectionRegistry, pool: int) -> requests.Session:
    """A session for an address that `base_url` made; it keeps nothing of one answer for the next request."""
    session = _Session()
    adapter = Adapter(plugs, pool)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.auth = Bearer(key)  # and not headers=, which an entry in .netrc overrides (psf/requests#3929)
    session.headers.update({"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "ftetl"})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # http goes to loopback only; a proxy of the environment would carry the key there in the clear.
    session.trust_env = url.startswith("https:")
    return session
