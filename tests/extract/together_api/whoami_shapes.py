"""The forms of a response to `whoami`: those of the vendor's SDKs 2.42.0 (flat) and 3.1.1 (nested), and others."""

from __future__ import annotations

from typing import Any

from ftetl.extract.key_owner import KeyOwner

_ORGANIZATION = {"id": "org-1", "name": "Example Organization"}
_PROJECT = {"id": "proj-1", "name": "Search Tuning", "slug": "search-tuning"}
_USER = {"id": "user-jane-doe", "name": "Jane Doe", "email": "jane.doe@example.com"}

PROJECT_API_KEY: dict[str, Any] = {
    "type": "project_api_key",
    "api_key": {"id": "key-1"},
    "organization": _ORGANIZATION,
    "project": _PROJECT,
}
FLAT: dict[str, Any] = {
    "api_key_id": "key-1",
    "organization_id": "org-1",
    "organization_name": "Example Organization",
    "project_id": "proj-1",
    "project_name": "Search Tuning",
    "project_slug": "search-tuning",
    "user_id": "user-jane-doe",
}
USER_ORG_PROJECT: dict[str, Any] = {
    "type": "user_org_project_jwt",
    "user": _USER,
    "organization": _ORGANIZATION,
    "project": _PROJECT,
}
ORG_API_KEY: dict[str, Any] = {"type": "org_api_key", "api_key": {"id": "key-1"}, "organization": _ORGANIZATION}

WHOLE = KeyOwner("org-1", "Example Organization", "proj-1", "Search Tuning", "search-tuning")
ORGANIZATION = KeyOwner("org-1", "Example Organization")

OWNERS: dict[str, tuple[Any, KeyOwner | None]] = {
    "project_api_key": (PROJECT_API_KEY, WHOLE),
    "org_api_key": (ORG_API_KEY, ORGANIZATION),
    "user_jwt": ({"type": "user_jwt", "user": _USER}, None),
    "user_org_jwt": ({"type": "user_org_jwt", "user": _USER, "organization": _ORGANIZATION}, ORGANIZATION),
    "user_org_project_jwt": (USER_ORG_PROJECT, WHOLE),
    "flat": (FLAT, WHOLE),
    "flat without names": (
        {"organization_id": "org-1", "project_id": "proj-1"},
        KeyOwner(organization_id="org-1", project_id="proj-1"),
    ),
    "flat without a project": ({"organization_id": "org-1", "project_id": None}, KeyOwner("org-1")),
    "a type of tomorrow": (PROJECT_API_KEY | {"type": "service_account", "region": {"id": 1}}, WHOLE),
    "names without ids": ({"organization": {"name": "O"}, "project": {"slug": "s"}}, None),
    "empty": ({}, None),
    "an error": ({"error": {"message": "no"}}, None),
    "a list": ([PROJECT_API_KEY], None),
    "a text": ("org-1", None),
    "null": (None, None),
}
