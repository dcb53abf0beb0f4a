"""Whose a key is, from every form of a response that the vendor's SDK knows, and from what is no such response."""

from __future__ import annotations

from typing import Any

import pytest

from ftetl.extract.key_owner import KeyOwner
from tests.extract.together_api.whoami_shapes import FLAT, OWNERS, PROJECT_API_KEY


@pytest.mark.parametrize(("document", "owner"), OWNERS.values(), ids=OWNERS)
def test_every_form_tells_the_ids_and_names_that_it_has(document: Any, owner: KeyOwner | None) -> None:
    assert KeyOwner.from_document(document) == owner


@pytest.mark.parametrize(
    "odd", [None, 7, "", " ", "a\n", "a\u202eb", "x" * 129, ["proj-1"], {"id": "proj-1"}, True], ids=repr
)
@pytest.mark.parametrize("nested", [True, False])
def test_an_odd_id_counts_as_missing_with_its_names(odd: Any, nested: bool) -> None:
    nested_form = PROJECT_API_KEY | {"project": PROJECT_API_KEY["project"] | {"id": odd}}
    document = nested_form if nested else FLAT | {"project_id": odd}

    assert KeyOwner.from_document(document) == KeyOwner("org-1", "Example Organization")


@pytest.mark.parametrize("odd", [None, 7, "", "a\n", "x" * 129, []], ids=repr)
def test_an_odd_name_is_left_out_and_the_id_counts(odd: Any) -> None:
    project = {"id": "proj-1", "name": odd, "slug": odd}

    assert KeyOwner.from_document(PROJECT_API_KEY | {"project": project}) == KeyOwner(
        "org-1", "Example Organization", "proj-1"
    )


@pytest.mark.parametrize(
    ("owner", "label"),
    [
        (KeyOwner("o", "O", "p", "P", "slug"), "slug"),
        (KeyOwner("o", "O", "p", "P"), "P"),
        (KeyOwner("o", "O", "p"), "p"),
        (KeyOwner("o", "O"), None),
        (KeyOwner("o", "O", "p", "P", "slug").without_names(), "p"),
    ],
)
def test_the_label_of_a_new_target_is_the_slug_else_the_name_else_the_id(owner: KeyOwner, label: str | None) -> None:
    assert owner.defaults.get("project") == label
    assert owner.defaults["billing_account"] == "o"
    assert owner.defaults.get("billing_account_name") == owner.organization_name
