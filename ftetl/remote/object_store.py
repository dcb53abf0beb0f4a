"""One object store, through obstore: whole objects by key, conditional puts, checked uploads.

Keys are relative to the prefix of the target. Credentials come from where each vendor's tools look for them: the
environment, the machine's role, and with boto3 the profile that AWS_PROFILE names.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ftetl.config.object_address import ObjectAddress
from ftetl.errors import AccessError, ConfigError, FtetlError, UnavailableError
from ftetl.errors.os_errors import translate_os_errors
from ftetl.remote.store_errors import status_of, store_error

PARALLEL: Final = 16  # requests at once
_ONE_PUT: Final = 64 << 20  # bytes up to which a file is sent in one request
_BLOCK: Final = 8 << 20
_CLIENT: Final[Any] = {"allow_http": False, "timeout": "5min", "connect_timeout": "5s", "read_timeout": "60s"}
_RETRY: Final[Any] = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


@dataclass(frozen=True)
class Stored:
    """The bytes of an object, and what identifies this state of it in a conditional put."""

    data: bytes
    state: dict[str, str]


@dataclass(frozen=True)
class Found:
    """An object in a listing."""

    key: str
    modified: datetime


class ObjectStore:
    """The objects of one target.

    Raises:
        ConfigError: obstore is not installed, or the endpoint is one that data may not be sent to.
    """

    def __init__(self, address: ObjectAddress) -> None:
        self.address = address
        try:
            import obstore
        except ModuleNotFoundError:
            what = f"{address.scheme}:// needs obstore, which is not installed"
            raise ConfigError("P18", what, next="install it with `pip install 'ftetl[s3]'`") from None
        self._obstore: Any = obstore
        self._store = _connect(address)
        self._may_get = False  # whether some get has succeeded
        self.token = secrets.token_hex(8)  # for names of this process's own

    def get(self, key: str, *, may_be_denied: bool = True) -> Stored | None:
        """An object; None if there is none.

        Where the credentials may get objects but not list them, S3 answers for a missing one as for a forbidden one:
        that counts as missing if it `may_be_denied`, once another object could be read.

        Raises:
            FtetlError: It cannot be read.
        """
        try:
            result = self._obstore.get(self._store, key)
            data = bytes(result.bytes())
        except Exception as error:  # noqa: BLE001 - obstore's errors have no common class of their own
            if _is_missing(error) or (may_be_denied and self._may_get and status_of(error) == 403):
                return None
            raise self._error(error, "get", key) from None
        self._may_get = True
        meta = result.meta
        return Stored(data, {name: meta[name] for name in ("e_tag", "version") if meta[name]})

    def download(self, key: str, path: Path) -> str | None:
        """Write an object to a new file, and return its SHA-256; None, and no file, if there is none.

        Raises:
            FtetlError: It cannot be read, or the file not be written.
        """
        blocks = self._blocks(key)
        if blocks is None:
            return None
        sha256 = hashlib.sha256()
        with translate_os_errors("write", path), path.open("xb") as file:
            for block in blocks:
                sha256.update(block)
                file.write(block)
        return sha256.hexdigest()

    def upload(self, key: str, path: Path) -> None:
        """Store a file under a key whose content never differs, so that this may be repeated, and check what arrived.

        Raises:
            UnavailableError: The store has other bytes than were sent.
        """
        with translate_os_errors("read", path):
            is_small = path.stat().st_size <= _ONE_PUT
            data = path.read_bytes() if is_small else path
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        for _ in range(2):
            tag = self._put(key, data, use_multipart=not is_small, chunk_size=_BLOCK)
            if is_small and tag.strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest():  # type: ignore[arg-type]
                return  # the store computed it from what arrived
            if self._sha256(key) == sha256:
                return
        what = f"{self.address}/{key} does not read back as it was sent"
        raise UnavailableError("O15", what, next="run again, on another network if it persists")

    def create(self, key: str, data: bytes) -> bool:
        """Store an object if there is none; False if there is one, which may be of a request that was repeated."""
        try:
            self._put(key, data, mode="create")
        except FileExistsError:
            return False
        return True

    def replace(self, key: str, data: bytes, before: Stored | None) -> bool:
        """Store an object in place of this state of it (None: there is none); False if it has another state."""
        if before is None:
            return self.create(key, data)
        try:
            self._put(key, data, mode=before.state)
        except FileExistsError:
            return False
        return True

    def put(self, key: str, data: bytes) -> None:
        """Store an object, whatever was there."""
        self._put(key, data)

    def listing(self, prefix: str) -> Iterator[Found]:
        """The objects whose keys begin with this folder.

        Raises:
            AccessError: The credentials may not list.
        """
        try:
            for page in self._obstore.list(self._store, prefix or None):
                for found in page:
                    yield Found(found["path"], found["last_modified"])
        except Exception as error:  # noqa: BLE001 - as in `get`
            raise self._error(error, "list", prefix) from None

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are gone count as removed."""
        for key in keys:
            try:
                self._obstore.delete(self._store, key)
            except Exception as error:  # noqa: BLE001 - as in `get`
                if not _is_missing(error):
                    raise self._error(error, "delete", key) from None

    def in_parallel(self, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """The results of some work for each item, in order, several at a time; the first error ends it."""
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="ftetl-store") as pool:
            futures = [pool.submit(work, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _put(self, key: str, data: bytes | Path, **options: Any) -> str:
        try:
            result = self._obstore.put(self._store, key, data, **options)
        except Exception as error:  # noqa: BLE001 - as in `get`
            if options.get("mode") is not None and _is_refused(error):
                raise FileExistsError from None
            raise self._error(error, "put", key) from None
        return str(result["e_tag"] or "")

    def _blocks(self, key: str) -> Iterator[bytes] | None:
        """The bytes of an object; None if there is none."""
        try:
            result = self._obstore.get(self._store, key)
        except Exception as error:  # noqa: BLE001 - as in `get`
            if _is_missing(error):
                return None
            raise self._error(error, "get", key) from None
        return self._read(result, key)

    def _read(self, result: Any, key: str) -> Iterator[bytes]:
        try:
            yield from map(bytes, result.stream(min_chunk_size=_BLOCK))
        except Exception as error:  # noqa: BLE001 - as in `get`
            raise self._error(error, "get", key) from None

    def _sha256(self, key: str) -> str:
        sha256 = hashlib.sha256()
        for block in self._blocks(key) or ():
            sha256.update(block)
        return sha256.hexdigest()

    def _error(self, error: Exception, operation: str, key: str) -> FtetlError:
        return store_error(error, operation, f"{self.address}/{key}" if key else str(self.address))


def _connect(address: ObjectAddress) -> Any:
    import obstore.store

    store: Any = obstore.store
    if address.scheme != "s3":
        kind = store.GCSStore if address.scheme == "gs" else store.AzureStore
        return kind(address.bucket, prefix=address.prefix or None, client_options=_CLIENT, retry_config=_RETRY)
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    url = urlsplit(endpoint)
    is_local = _is_loopback(url.hostname or "")
    if endpoint and (url.scheme not in ("http", "https") or (url.scheme == "http" and not is_local)):
        raise ConfigError("O19", "the endpoint of the store is not an https address", next="set AWS_ENDPOINT_URL")
    return store.S3Store(
        address.bucket,
        prefix=address.prefix or None,
        config={"endpoint": endpoint} if endpoint else None,
        client_options={**_CLIENT, "allow_http": is_local},
        retry_config=_RETRY,
        credential_provider=_profile(),
    )


def _profile() -> Any:
    """Credentials of the profile that AWS_PROFILE names; None without one: the environment or the machine's role."""
    if not os.environ.get("AWS_PROFILE"):
        return None
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider(boto3.Session())
    except ModuleNotFoundError:
        raise ConfigError("P18", "AWS_PROFILE needs boto3", next="install it with `pip install boto3`") from None
    except Exception:  # noqa: BLE001 - its texts may hold what is in the profile
        what = "the profile that AWS_PROFILE names has no credentials"
        raise AccessError("O11", what, next="check it with `aws sts get-caller-identity`") from None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_missing(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error)


def _is_refused(error: Exception) -> bool:
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    return isinstance(error, AlreadyExistsError | PreconditionError) or status_of(error) in (409, 412)
