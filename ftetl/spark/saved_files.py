"""Which saved responses belong to which project."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import gettempdir

from ftetl.config.settings import is_label
from ftetl.errors import DataError, UsageError
from ftetl.extract.sources.files import SavedFiles
from ftetl.pipeline.partitioned.elements import shared_stamp
from ftetl.pipeline.partitioned.index_file import FileToIndex
from ftetl.raw.response import file_stamp

OnePath = str | os.PathLike[str]
Paths = OnePath | Iterable[OnePath]


def find_files(paths: Paths | Mapping[str, Paths], project: str) -> list[FileToIndex]:
    """The files in these paths; a mapping has the paths of several projects by their labels.

    Raises:
        DataError: There is no such file, or no saved response in a folder.
        UsageError: No path is given, or a label cannot be one.
    """
    by_project = paths if isinstance(paths, Mapping) else {project: paths}
    found = [file for label, some in by_project.items() for file in _of_project(label, some)]
    if not found:
        raise UsageError("P02", "no path is given", next="name a file or a folder of saved responses")
    return found


def find_projects(archives: Path) -> dict[str, Path]:
    """By label the folder of each project: every folder in `archives`, but for hidden ones.

    Raises:
        DataError: There is none.
    """
    try:
        folders = {path.name: path for path in sorted(archives.iterdir()) if path.is_dir() and path.name[0] != "."}
    except OSError as error:
        what = f"{archives} cannot be read: {error.strerror}"
        raise DataError("F05", what, next="name a folder that has a folder for each project") from None
    if not folders:
        what = f"there is no folder in {archives}"
        raise DataError("F07", what, next="name a folder that has a folder for each project")
    return folders


def _of_project(label: str, paths: Paths) -> Iterator[FileToIndex]:
    if not is_label(label):
        what = "a project's label is empty, too long or not printable"
        raise UsageError("P02", what, next="use up to 128 plain characters")
    ones = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files = [file for path in ones for file in _files_in(Path(path))]
    several = len(files) > 1 or any(Path(path).is_dir() for path in ones)
    for number, file in enumerate(files):
        yield FileToIndex(label, number, str(file.resolve()), several, _stamp(file))


def _files_in(path: Path) -> tuple[Path, ...]:
    try:
        # Only to find the files: nothing is unpacked here.
        return SavedFiles(path, scratch=lambda: Path(gettempdir())).files
    except DataError as error:
        error.next = error.next.replace(" given to --from", "")
        raise


def _stamp(file: Path) -> str:
    try:
        return shared_stamp(file_stamp(file))
    except OSError as error:
        raise DataError("F05", f"{file} cannot be read: {error.strerror}", next="check the path") from None
