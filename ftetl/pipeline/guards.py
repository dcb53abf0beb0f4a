"""What stops a run although every byte of its answer was read: it would make jobs disappear that did not.

The rows R47, R48, S28 and X16 of the fault catalogue. Knows ids only.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from types import MappingProxyType

from ftetl.config.settings import Settings
from ftetl.errors import ConfigError, DataError
from ftetl.extract.archive import BODIES, INDEX
from ftetl.extract.details.cache import FOLDER
from ftetl.extract.privacy.pseudonyms import IDENTITY, KEPT, MODE
from ftetl.raw.element import Scan
from ftetl.snapshot.table_reader import TableReader
from ftetl.store.target import Target

ENOUGH = 10  # known jobs from which on a share means something
SHARE = 0.5
_PRIVACY = "pii"  # file in the target's control folder: how the run before the first version treated people's data
_LEFTOVERS = (BODIES, FOLDER, "failed")  # folders in which a failed first run leaves what it received
_AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})


def shrunken(known: AbstractSet[str], listed: AbstractSet[str]) -> None:
    """Refuse a whole list that is empty, or has less than half of the known present jobs.

    Raises:
        DataError: It does.
    """
    left = len(known & listed)
    if known and (not listed or (len(known) >= ENOUGH and left < SHARE * len(known))):
        raise DataError(
            "R47",
            f"the list has {left} of the {len(known)} jobs that were present before; nothing was committed",
            next="if they are really gone, run again with --allow-shrink",
        )


def other_account(known: AbstractSet[str], listed: AbstractSet[str]) -> None:
    """Refuse a whole list that shares no job with what is known.

    Raises:
        DataError: It does not.
    """
    if len(known) >= ENOUGH and listed and not known & listed:
        raise DataError(
            "R48",
            f"the list shares no job with the {len(known)} known ones: is this another account's key? "
            "Nothing was committed",
            next="use another target, or run again with --allow-account-change and --allow-shrink",
        )


def identity(
    stored: dict[str, str | None], service: str | None, project: str, people: Mapping[str, str] = _AS_THEY_ARE
) -> dict[str, str | None]:
    """The target's identity after this run.

    `people` is what was done to people's data (`pseudonyms.Pseudonyms.identity`).

    Raises:
        ConfigError: The target belongs to another project or another service, or holds people's data otherwise.
    """
    if stored.get("project", project) != project:
        raise ConfigError(
            "S28",
            f"the target belongs to project {stored['project']!r}, not {project!r}",
            next="export each project into a target of its own",
        )
    if stored:
        same_people({name: str(stored[name]) for name in IDENTITY if name in stored}, people)
    known = stored.get("service")
    if known and service and known != service:
        raise ConfigError(
            "S28", f"the target belongs to the service {known!r}, not {service!r}", next="use another target"
        )
    return {"project": project, "service": service or known, **people}


def same_people(stored: Mapping[str, str], people: Mapping[str, str]) -> None:
    """Refuse to treat people's data in a target otherwise than before: what is copied would stay as it was.

    Raises:
        ConfigError: That is asked for.
    """
    before, now = stored.get(MODE, KEPT), people.get(MODE, KEPT)
    if before != now:
        raise ConfigError(
            "X16",
            f"the target was made with --pii {before}, not {now}",
            next=f"give --pii {before}, or export into a new target",
        )
    if dict(stored) != dict(people):
        raise ConfigError(
            "X25",
            "the key of --pii-key-file is not the one that the target's pseudonyms were made with",
            next="give that key, or export into a new target",
        )


def same_people_as_failed_runs(target: Target, people: Mapping[str, str]) -> None:
    """In a target without a version, refuse what a failed run stored with people's data treated otherwise.

    Raises:
        ConfigError: There is something like that.
    """
    if target.base is not None:  # its identity was compared
        return
    before = target.read_document(_PRIVACY)
    if before == people:
        return
    with ExitStack() as stack:
        stored = {name for folder in _LEFTOVERS for name in target.fs.list_names(target.open_part(folder, stack))}
        if stored - {INDEX}:
            same_people(before, people)
    target.write_document(_PRIVACY, people)


def whole_list(settings: Settings, stored: TableReader, whole: Scan) -> None:
    """Refuse a whole list that would make known jobs disappear, unless the settings allow it.

    Raises:
        DataError: It would.
    """
    known = stored.read_table("jobs", ["job_id", "present"])
    present = set(known.filter(known.column("present")).column("job_id").to_pylist())
    listed = set(whole.ids) | {r.job_id for r in whole.refused if r.job_id}
    if not settings.allow_account_change:
        other_account(set(known.column("job_id").to_pylist()), listed)
    if not settings.allow_shrink:
        shrunken(present, listed)
