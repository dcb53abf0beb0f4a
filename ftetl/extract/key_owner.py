"""Whose an API key is: the organisation and the project that the service says it belongs to.

Ids identify them and never change; names and slugs can. What a response says of people is not read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from ftetl.config.settings import is_label


@dataclass(frozen=True)
class KeyOwner:
    """The organisation and the project of a key; None is what the service does not say."""

    organization_id: str | None = None
    organization_name: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    project_slug: str | None = None  # DNS-friendly name of the project

    @classmethod
    def from_document(cls, document: object) -> Self | None:
        """The owner in the response to `GET /v3/whoami` (nested) or `GET /v1/whoami` (flat); None if it has no id.

        Values that are no labels (`is_label`) count as missing.
        """
        if not isinstance(document, dict):
            return None
        organization, project = _part(document, "organization"), _part(document, "project")
        owner = cls(
            organization_id=organization.get("id"),
            organization_name=organization.get("name") if "id" in organization else None,
            project_id=project.get("id"),
            project_name=project.get("name") if "id" in project else None,
            project_slug=project.get("slug") if "id" in project else None,
        )
        return owner if owner.organization_id or owner.project_id else None

    def without_names(self) -> Self:
        """The ids alone: a name may be a person's."""
        return replace(self, organization_name=None, project_name=None, project_slug=None)

    @property
    def identity(self) -> dict[str, str]:
        """What a target stores of it; only what is known."""
        fields = {
            "organization_id": self.organization_id,
            "organization_name": self.organization_name,
            "project_id": self.project_id,
            "project_name": self.project_name,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def defaults(self) -> dict[str, str]:
        """The settings that a new target takes from it, where no option gives them; only what is known."""
        settings = {
            "project": self.project_slug or self.project_name or self.project_id,
            "billing_account": self.organization_id,
            "billing_account_name": self.organization_name,
        }
        return {name: value for name, value in settings.items() if value is not None}


def _part(document: dict[str, Any], name: str) -> dict[str, str]:
    """The labels of the organisation or the project, from an object of its own or from flat keys."""
    inner = document.get(name)
    if isinstance(inner, dict):
        values = {field: inner.get(field) for field in ("id", "name", "slug")}
    else:
        values = {field: document.get(f"{name}_{field}") for field in ("id", "name", "slug")}
    return {field: value for field, value in values.items() if isinstance(value, str) and is_label(value)}
