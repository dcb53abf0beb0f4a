"""The table from the errors of an object store to ftetl's errors. Their texts are never shown: they hold requests."""

from __future__ import annotations

import re

from ftetl.errors import AccessError, ConfigError, FtetlError, UnavailableError

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_PERMISSIONS = {
    "get": "s3:GetObject, and s3:ListBucket for keys that do not exist",
    "put": "s3:PutObject",
    "list": "s3:ListBucket",
    "delete": "s3:DeleteObject",
}
_WORDS = {"get": "read", "put": "write"}
_METADATA_HOSTS = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
_WRONG_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthFailure"}
_OTHER_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}


def status_of(error: Exception) -> int:
    """The HTTP status in an error of obstore; 0 where there was no response."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else 0


def store_error(error: Exception, operation: str, where: str) -> FtetlError:
    """The error for an operation (`get`, `put`, `list` or `delete`) on a bucket or an object that failed.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html has the codes.
    """
    text, status = str(error), status_of(error)
    found = _CODE.search(text)
    code = found[1] if found else ""
    what = f"cannot {_WORDS.get(operation, operation)} {where}: "
    if any(host in text for host in _METADATA_HOSTS):  # asked where nothing else has credentials
        advice = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (with boto3)"
        return AccessError("O11", f"{what}there are no credentials", next=advice)
    if code == "NoSuchBucket" or (status == 404 and operation in ("put", "list")):
        return ConfigError("O12", f"{what}there is no such bucket", next="make it, or check the address")
    if code in _OTHER_REGION or status in (301, 307) or "redirect without LOCATION" in text:
        return ConfigError("O12", f"{what}the bucket is in another region", next="set AWS_REGION to the bucket's")
    if code == "ExpiredToken":
        return AccessError("O16", f"{what}the credentials have expired", next="renew them and run again")
    if code == "RequestTimeTooSkewed":
        return UnavailableError("O17", f"{what}the clock of this machine is wrong", next="set it and run again")
    if code in _WRONG_KEY or status == 401:
        return AccessError("O11", f"{what}the store does not accept the credentials", next="check AWS_ACCESS_KEY_ID")
    if status == 403:
        advice = f"the credentials need {_PERMISSIONS[operation]}"
        return AccessError("O11", f"{what}permission denied", next=advice)
    answer = f"it answered {status}{f' {code}' if code else ''}" if status else "no answer from the store"
    if 400 <= status < 500 and status not in (408, 409, 412, 429):
        return ConfigError("O12", f"{what}{answer}", next="check the address, the endpoint and the region")
    return UnavailableError("O01", f"{what}{answer}", next="check the network and the endpoint, or run again later")
