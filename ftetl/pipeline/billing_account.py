"""The billing account that the settings name, for the charges in `focus_costs`."""

from __future__ import annotations

from ftetl.config.settings import PROJECT, Settings
from ftetl.transform.derive.focus_costs import Account


def account_from_settings(settings: Settings) -> Account:
    """The account; its id is the billing account's, else the project's, else `default`."""
    project = None if settings.project == PROJECT else settings.project
    return Account(settings.billing_account or project or PROJECT, settings.billing_account_name, project)
