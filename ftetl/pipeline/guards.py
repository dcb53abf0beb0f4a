"""Checks that stop a run before it damages the target.

Wrong project, service, privacy mode or account, or a list that shrank: errors R47, R48, S28, X16 and X25.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from types import MappingProxyType

from ftetl.config.limits import MIN_KNOWN_JOBS, MIN_SHARE
from ftetl.errors import ConfigError, DataError
from ftetl.extract.archive import BODIES, INDEX
from ftetl.extract.details.cache import FOLDER
from ftetl.extract.key_owner import KeyOwner
from ftetl.extract.privacy.pseudonyms import IDENTITY, KEPT, MODE
from ftetl.store.target import Target

_PRIVACY = "pii"  # file in the target's control folder: how the run before the first version treated people's data
_FAILED_RUN_FOLDERS = (BODIES, FOLDER, "failed")  # folders in which a failed first run leaves what it received
OWNER_IDS = frozenset({"organization_id", "project_id"})
OWNER = (*sorted(OWNER_IDS), "organization_name", "project_name")  # the names of `KeyOwner.identity`
_UNCHANGED: Mapping[str, str] = MappingProxyType({})


def require_not_shrunken(known: AbstractSet[str], listed: AbstractSet[str], *, whole: bool = True) -> None:
    """Raise a `DataError` if a list is empty, or has less than half of the known present jobs.

    Args:
        known: The ids of the present jobs.
        listed: The ids in the list.
        whole: Whether it is known to be a whole list; for the advice.
    """
    left = len(known & listed)
    if known and (not listed or (len(known) >= MIN_KNOWN_JOBS and left < MIN_SHARE * len(known))):
        raise DataError(
            "R47",
            f"the list has {left} of the {len(known)} jobs that were present before; nothing was committed",
            next=f"if they are really gone, run again with {'' if whole else '--whole and '}--allow-shrink",
        )


def require_same_account(known: AbstractSet[str], listed: AbstractSet[str]) -> None:
    """Raise a `DataError` if a whole list shares no job with the known ones."""
    if len(known) >= MIN_KNOWN_JOBS and listed and not known & listed:
        raise DataError(
            "R48",
            f"the list shares no job with the {len(known)} known ones: is this another account's key? "
            "Nothing was committed",
            next="use another target, or run again with --allow-account-change and --allow-shrink",
        )


def check_identity(
    stored: Mapping[str, str | None],
    service: str | None,
    project: str,
    privacy: Mapping[str, str] = _UNCHANGED,
    owner: KeyOwner | None = None,
) -> dict[str, str | None]:
    """The target's identity after this run.

    Args:
        stored: the identity before; empty for a new target.
        service: which service the jobs come from; None if the source cannot tell.
        project: the label of the settings.
        privacy: how people's data is treated (`Pseudonyms.identity`).
        owner: whose the key is, as far as it may be stored.

    Raises:
        ConfigError: The target belongs to another project, organisation or service, or treats people's data in another
            way.
    """
    known_owner = {name: str(stored[name]) for name in OWNER if stored.get(name)}
    new_owner = owner.identity if owner else {}
    if any(known_owner.get(name, new_owner.get(name)) != new_owner.get(name) for name in OWNER_IDS & new_owner.keys()):
        raise ConfigError(
            "S28",
            f"the target belongs to {describe_owner(known_owner)}, and the key to {describe_owner(new_owner)}",
            next="export each project into a target of its own",
        )
    if stored.get("project", project) != project:
        raise ConfigError(
            "S28",
            f"the target belongs to project {stored['project']!r}, not {project!r}",
            next="export each project into a target of its own",
        )
    if stored:
        require_same_privacy({name: str(stored[name]) for name in IDENTITY if name in stored}, privacy)
    known = stored.get("service")
    if known and service and known != service:
        raise ConfigError(
            "S28", f"the target belongs to the service {known!r}, not {service!r}", next="use another target"
        )
    return {"project": project, "service": service or known, **privacy, **known_owner, **new_owner}


def describe_owner(identity: Mapping[str, str]) -> str:
    """The project and the organisation with names, where they are known, and ids."""
    parts = []
    for kind, word in (("project", "project"), ("organization", "organisation")):
        if (key := identity.get(f"{kind}_id")) is not None:
            name = identity.get(f"{kind}_name")
            parts.append(f"{word} {key}" if name is None else f"{word} {name!r} ({key})")
    return " of ".join(parts)


def require_same_privacy(stored: Mapping[str, str], privacy: Mapping[str, str]) -> None:
    """Raise a `ConfigError` if people's data was treated in another way in the rows that are copied."""
    before, now = stored.get(MODE, KEPT), privacy.get(MODE, KEPT)
    if before != now:
        raise ConfigError(
            "X16",
            f"the target was made with --pii {before}, not {now}",
            next=f"give --pii {before}, or export into a new target",
        )
    if dict(stored) != dict(privacy):
        raise ConfigError(
            "X25",
            "the key of --pii-key-file is not the one that the target's pseudonyms were made with",
            next="give that key, or export into a new target",
        )


def require_same_privacy_as_failed_runs(target: Target, privacy: Mapping[str, str]) -> None:
    """Raise a `ConfigError` if a failed run stored data, and treated people's data in another way.

    Only a target without a version is checked; the identity of a version is compared by `check_identity`.
    """
    if target.base is not None:  # its identity was compared
        return
    before = target.read_document(_PRIVACY)
    if before == privacy:
        return
    with ExitStack() as stack:
        stored = {
            name for folder in _FAILED_RUN_FOLDERS for name in target.fs.list_names(target.open_part(folder, stack))
        }
        if stored - {INDEX}:
            require_same_privacy(before, privacy)
    target.write_document(_PRIVACY, privacy)
