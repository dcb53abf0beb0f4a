"""Which account pays: the one that is named, else the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftetl.config.settings import Settings
from ftetl.pipeline.build_tables import account_from_settings
from ftetl.transform.derive.focus_costs import Account


@pytest.mark.parametrize(
    ("options", "account"),
    [
        ({}, Account("default")),
        ({"project": "p"}, Account("p", None, "p")),
        ({"billing_account": "org", "billing_account_name": "Ä"}, Account("org", "Ä", None)),
        ({"billing_account": "org", "project": "p"}, Account("org", None, "p")),
    ],
)
def test_the_account_is_the_named_one_else_the_project(options: dict[str, Any], account: Account) -> None:
    assert account_from_settings(Settings(Path("t"), **options)) == account
