"""Who the key is decides the identity of a target and the defaults of a new one; nothing depends on the answer."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.errors import ConfigError, FtetlError
from ftetl.pipeline.export import rebuild
from ftetl.store.manifest import newest_manifest
from ftetl.store.target import Target
from tests.demo.generator import generate_jobs
from tests.extract.together_api.whoami_shapes import ORG_API_KEY, PROJECT_API_KEY, USER_ORG_PROJECT

JOBS = generate_jobs(count=12)
LIST = ("GET", "/v1/fine-tunes")
AT = "2026-07-03T00:00:00Z"
IDS = {"organization_id": "org-1", "project_id": "proj-1"}
NAMES = {"organization_name": "Example Organization", "project_name": "Search Tuning"}
DEFAULTS = {
    "project": "search-tuning",
    "billing_account": "org-1",
    "billing_account_name": "Example Organization",
}


def key_of(**parts: dict[str, str]) -> dict[str, Any]:
    """The body of `GET /v3/whoami` with other values in its parts."""
    whoami = copy.deepcopy(PROJECT_API_KEY)
    for part, values in parts.items():
        whoami[part] |= values
    return whoami


RENAMED = key_of(project={"name": "Retrieval", "slug": "retrieval"}, organization={"name": "Example Group"})
OTHER_PROJECT = key_of(project={"id": "proj-2", "name": "Chat", "slug": "chat"})
OTHER_ORGANIZATION = key_of(organization={"id": "org-2", "name": "Another Organization"})


@pytest.fixture
def server() -> Iterator[demo.Server]:
    with demo.serve(JOBS, whoami=PROJECT_API_KEY) as running:
        yield running


def export(target: Path, server: demo.Server, **options: Any) -> ftetl.Report:
    environ = {"TOGETHER_API_KEY": server.key}
    return ftetl.export(target, base_url=server.url, environ=environ, observed_at=AT, events="none", **options)


def facts(target: Path) -> dict[str, Any]:
    manifest = newest_manifest(target)
    assert manifest is not None
    return dict(manifest.facts)


def identity(target: Path, server: demo.Server) -> dict[str, Any]:
    """The stored identity, without the service, which is the server's address."""
    found = dict(facts(target)["identity"])
    assert found.pop("service") == server.url.split("/")[2]
    return found


def labels(target: Path) -> tuple[set[Any], set[tuple[Any, ...]]]:
    """The values of `project` in all tables, and the accounts in the charges."""
    snapshot = ftetl.open(target)
    projects = {
        value
        for name in snapshot.tables
        if "project" in (table := snapshot.arrow(name)).column_names
        for value in table["project"].to_pylist()
    }
    columns = ["BillingAccountId", "BillingAccountName", "SubAccountId"]
    costs = snapshot.arrow("focus_costs").select(columns).to_pylist()
    return projects, {tuple(row.values()) for row in costs}


def tables(target: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((target / "current").glob("*.parquet"))}


def test_a_new_target_takes_its_label_and_its_account_from_the_key(tmp_path: Path, server: demo.Server) -> None:
    report = export(tmp_path / "t", server)

    assert report.project == "search-tuning"
    assert labels(tmp_path / "t") == (
        {"search-tuning"},
        {("org-1", "Example Organization", "search-tuning")},
    )
    assert identity(tmp_path / "t", server) == {"project": "search-tuning", **IDS, **NAMES}
    assert facts(tmp_path / "t")["key_defaults"] == DEFAULTS
    assert report.requests == len(server.requests) == 3
    assert server.requests == [("GET", "/v3/whoami"), LIST, ("GET", "/v1/files")]


@pytest.mark.parametrize(
    ("options", "label", "account", "taken"),
    [
        ({"project": "mine"}, "mine", ("org-1", "Example Organization"), {"project"}),
        ({"project": "default"}, "default", ("org-1", "Example Organization"), {"project"}),
        ({"billing_account": "me"}, "search-tuning", ("me", "Example Organization"), {"billing_account"}),
        ({"billing_account_name": "Me"}, "search-tuning", ("org-1", "Me"), {"billing_account_name"}),
        (
            {"project": "mine", "billing_account": "me", "billing_account_name": "Me"},
            "mine",
            ("me", "Me"),
            set(DEFAULTS),
        ),
    ],
    ids=["project", "default", "account", "its name", "all"],
)
def test_an_option_wins(
    tmp_path: Path, server: demo.Server, options: dict[str, str], label: str, account: tuple[str, str], taken: set[str]
) -> None:
    export(tmp_path / "t", server, **options)

    assert labels(tmp_path / "t") == ({label}, {(*account, None if label == "default" else label)})
    stored = {name: value for name, value in DEFAULTS.items() if name not in taken}
    assert facts(tmp_path / "t").get("key_defaults", {}) == stored
    assert identity(tmp_path / "t", server) == {"project": label, **IDS, **NAMES}
    assert not export(tmp_path / "t", server, **options).changed


def test_the_label_that_an_option_gave_is_asked_for_in_every_run_as_ever(tmp_path: Path, server: demo.Server) -> None:
    export(tmp_path / "t", server, project="mine")

    with pytest.raises(ConfigError, match="belongs to project 'mine', not 'default'") as caught:
        export(tmp_path / "t", server)
    assert caught.value.code == "FTETL-S28"


def _silent(server: demo.Server) -> None:
    server.whoami = None


def _down(server: demo.Server) -> None:
    server.fail = lambda path: 503 if "whoami" in path else None


def _odd(server: demo.Server) -> None:
    server.whoami = {"organization": 7, "project": []}


@pytest.mark.parametrize("spoil", [_silent, _down, _odd])
def test_a_later_run_does_not_depend_on_the_answer(tmp_path: Path, server: demo.Server, spoil: Any) -> None:
    export(tmp_path / "t", server)
    before = facts(tmp_path / "t")
    spoil(server)

    assert not export(tmp_path / "t", server).changed
    server.jobs = generate_jobs(count=14)
    report = export(tmp_path / "t", server)
    assert (report.changed, report.project, report.partial) == (True, "search-tuning", False)
    assert labels(tmp_path / "t")[0] == {"search-tuning"}
    assert {n: facts(tmp_path / "t")[n] for n in ("identity", "key_defaults")} == {
        n: before[n] for n in ("identity", "key_defaults")
    }


@pytest.mark.parametrize("spoil", [_silent, _down, _odd])
def test_without_an_answer_everything_is_as_it_was_before_anything_was_asked(
    tmp_path: Path, server: demo.Server, spoil: Any
) -> None:
    export(tmp_path / "named", server, project="default", billing_account="default")
    spoil(server)
    report = export(tmp_path / "t", server)

    assert report.project == "default"
    assert labels(tmp_path / "t") == ({"default"}, {("default", None, None)})
    assert identity(tmp_path / "t", server) == {"project": "default"}
    assert "key_defaults" not in facts(tmp_path / "t")
    differ = {name for name, data in tables(tmp_path / "t").items() if data != tables(tmp_path / "named")[name]}
    assert differ == {"focus_costs.parquet"}  # for the name of the account


def test_a_renamed_project_goes_on_under_its_label(tmp_path: Path, server: demo.Server) -> None:
    export(tmp_path / "t", server)
    before = tables(tmp_path / "t")
    server.whoami = RENAMED

    assert export(tmp_path / "t", server).project == "search-tuning"
    assert tables(tmp_path / "t") == before
    assert identity(tmp_path / "t", server) == {
        "project": "search-tuning",
        **IDS,
        "organization_name": "Example Group",
        "project_name": "Retrieval",
    }
    assert not export(tmp_path / "t", server).changed


@pytest.mark.parametrize(
    ("whoami", "other"),
    [
        (OTHER_PROJECT, "project 'Chat' (proj-2) of organisation 'Example Organization' (org-1)"),
        (OTHER_ORGANIZATION, "project 'Search Tuning' (proj-1) of organisation 'Another Organization' (org-2)"),
        (ORG_API_KEY | {"organization": {"id": "org-2"}}, "organisation org-2"),
    ],
    ids=["project", "organization", "key of an organization"],
)
@pytest.mark.parametrize("options", [{}, {"project": "search-tuning", "allow_account_change": True}])
def test_the_key_of_another_project_is_refused_with_both_names_before_the_list_is_requested(
    tmp_path: Path, server: demo.Server, whoami: Any, other: str, options: dict[str, Any]
) -> None:
    export(tmp_path / "t", server)
    before = tables(tmp_path / "t")
    server.whoami = whoami
    server.requests.clear()

    with pytest.raises(ConfigError) as caught:
        export(tmp_path / "t", server, **options)
    ours = "project 'Search Tuning' (proj-1) of organisation 'Example Organization' (org-1)"
    assert caught.value.what == f"the target belongs to {ours}, and the key to {other}"
    assert (caught.value.code, caught.value.exit.code) == ("FTETL-S28", 78)
    assert server.requests == [("GET", "/v3/whoami")]
    assert tables(tmp_path / "t") == before


def test_a_target_made_before_keeps_its_label_and_learns_the_ids(tmp_path: Path, server: demo.Server) -> None:
    server.whoami = None
    export(tmp_path / "t", server)
    before = tables(tmp_path / "t")
    server.whoami = PROJECT_API_KEY
    report = export(tmp_path / "t", server)

    assert (report.project, report.version, report.changed) == ("default", 2, True)
    assert tables(tmp_path / "t") == before
    assert identity(tmp_path / "t", server) == {"project": "default", **IDS, **NAMES}
    assert "key_defaults" not in facts(tmp_path / "t")
    assert not export(tmp_path / "t", server).changed
    server.whoami = OTHER_PROJECT
    with pytest.raises(ConfigError, match="proj-2"):
        export(tmp_path / "t", server)


def test_the_key_of_an_organization_has_an_account_and_no_project(tmp_path: Path, server: demo.Server) -> None:
    server.whoami = ORG_API_KEY
    export(tmp_path / "t", server)

    assert labels(tmp_path / "t") == ({"default"}, {("org-1", "Example Organization", None)})
    assert identity(tmp_path / "t", server) == {
        "project": "default",
        "organization_id": "org-1",
        "organization_name": "Example Organization",
    }
    server.whoami = PROJECT_API_KEY  # of the same organization: the target learns its project
    assert export(tmp_path / "t", server).project == "default"
    assert identity(tmp_path / "t", server) == {"project": "default", **IDS, **NAMES}


def test_a_saved_response_goes_into_the_target_of_a_key(tmp_path: Path, server: demo.Server) -> None:
    export(tmp_path / "t", server)
    before = facts(tmp_path / "t")
    (tmp_path / "more.json").write_text(json.dumps({"data": generate_jobs(count=14)}))
    report = ftetl.export(tmp_path / "t", source=tmp_path / "more.json", observed_at="2026-07-04T00:00:00Z")

    assert (report.changed, report.project) == (True, "search-tuning")
    assert labels(tmp_path / "t") == ({"search-tuning"}, {("org-1", "Example Organization", "search-tuning")})
    assert facts(tmp_path / "t")["identity"] == before["identity"]
    assert facts(tmp_path / "t")["key_defaults"] == before["key_defaults"]


@pytest.mark.parametrize("anew", [False, True], ids=["same tables", "other contracts"])
def test_a_rebuild_keeps_who_the_key_is(
    tmp_path: Path, server: demo.Server, anew: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(tmp_path / "t", server)
    server.jobs = generate_jobs(count=14)
    export(tmp_path / "t", server)
    before, stored = facts(tmp_path / "t"), tables(tmp_path / "t")
    server.requests.clear()
    if anew:
        monkeypatch.setattr("ftetl.pipeline.run.tables", dict)
    report = rebuild(tmp_path / "t")

    assert (report.changed, report.version, report.project) == (anew, 3 if anew else 2, "search-tuning")
    assert tables(tmp_path / "t") == stored
    assert facts(tmp_path / "t") == (before | {"contracts": {}} if anew else before)
    assert server.requests == []


@pytest.mark.parametrize("pii", ["keep", "hash", "drop"])
def test_people_are_never_stored_and_names_only_where_people_are_kept(
    tmp_path: Path, server: demo.Server, pii: str
) -> None:
    server.whoami = copy.deepcopy(USER_ORG_PROJECT)
    (tmp_path / "key").write_bytes(b"k" * 32)
    more = {"pii_key_file": tmp_path / "key"} if pii == "hash" else {}
    report = export(tmp_path / "t", server, pii=pii, **more)

    keeps = pii == "keep"
    assert report.project == ("search-tuning" if keeps else "proj-1")
    stored = {k: v for k, v in identity(tmp_path / "t", server).items() if not k.startswith("pii")}
    assert stored == {"project": report.project, **IDS, **(NAMES if keeps else {})}
    account = ("org-1", "Example Organization" if keeps else None, report.project)
    assert labels(tmp_path / "t") == ({report.project}, {account})
    texts = b"".join(path.read_bytes() for path in (tmp_path / "t").rglob("*") if path.is_file())
    assert [word for word in (b"user-jane-doe", b"Jane Doe", b"jane.doe@example.com") if word in texts] == []
    assert (b"Search Tuning" in texts) == keeps
    assert not export(tmp_path / "t", server, pii=pii, **more).changed


def test_a_run_that_fails_before_it_has_opened_the_target_has_its_label(tmp_path: Path, server: demo.Server) -> None:
    metrics = tmp_path / "m.prom"
    export(tmp_path / "t", server, metrics_file=metrics)
    assert 'ftetl_exit_code{project="search-tuning"} 0' in metrics.read_text().splitlines()
    with Target(tmp_path / "t"), pytest.raises(FtetlError):
        export(tmp_path / "t", server, metrics_file=metrics)

    lines = metrics.read_text().splitlines()
    assert [line for line in lines if line.startswith("ftetl_exit_code{")] == [
        'ftetl_exit_code{project="search-tuning"} 75'
    ]


def test_the_demo_serves_whose_its_key_is(tmp_path: Path) -> None:
    with demo.serve() as server:
        report = export(tmp_path / "t", server)

    assert report.project == "example-project"
    assert identity(tmp_path / "t", server) == {
        "project": "example-project",
        "organization_id": "org-demo-0001",
        "organization_name": "Example Organization",
        "project_id": "proj-demo-0001",
        "project_name": "Example Project",
    }
