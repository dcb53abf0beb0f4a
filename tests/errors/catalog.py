"""The meaning of every error code, and the page `docs/codes.md` that is made of them.

A code is a letter and two digits, and is shown as `FTETL-H01`. The letters are explained in `GROUPS`; the numbers of a
letter have gaps. A number never gets another meaning, and is not used again once its fault is gone.

`python -m tests.errors.catalog > docs/codes.md` writes the page anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from ftetl.errors import EXITS, PREFIX

GROUPS: Final = {
    "P": "The command line and the settings",
    "X": "The key and where it may go",
    "F": "Saved responses that `--from` names",
    "H": "Requests and responses (HTTP)",
    "N": "Other network errors",
    "R": "The response",
    "E": "The text around the jobs of a response",
    "G": "What the settings forbid",
    "C": "Several runs, and time",
    "S": "The target and its disk",
    "D": "Other disk errors",
    "O": "The commit",
    "W": "The folder of `--publish`",
    "L": "Loading into a destination",
    "J": "Spark",
    "V": "What is written and stored",
    "T": "Reading a target",
    "A": "The archive",
    "K": "The contracts",
    "B": "Bugs of ftetl",
}


@dataclass(frozen=True)
class Fault:
    """One way to fail: its code, the names of the exits that it can have, and what it is."""

    code: str
    exits: tuple[str, ...]
    meaning: str


FAULTS: Final[dict[str, Fault]] = {
    code: Fault(code, tuple(exits.split()), meaning)
    for code, exits, meaning in (
        ("P01", "USAGE", "the command line cannot be understood"),
        ("P02", "USAGE", "a setting has a value that it cannot have"),
        ("P03", "USAGE", "there is no such setting"),
        ("P04", "USAGE", "there is no such table or column, or nothing can be grouped by it"),
        ("P05", "CONFIG", "there is no such format"),
        ("P06", "CONFIG", "files cannot have this mode"),
        ("P07", "CONFIG", "there is no API key"),
        ("P08", "CONFIG", "the file of the API key cannot be read"),
        ("P09", "CONFIG", "the file of certificate authorities cannot be read"),
        ("P10", "CONFIG", "exports do not run on this system"),
        ("P11", "IOERR", "the output cannot be written"),
        ("P12", "CONFIG", "the key of the target's pseudonyms is missing"),
        ("P13", "CONFIG", "the key for pseudonyms is too short or too long"),
        ("P14", "USAGE", "a key for pseudonyms is given, and the target has none"),
        ("P15", "CONFIG", "an address such as `s3://bucket/x` stands where a local path is meant"),
        ("P16", "CONFIG", "DuckDB, which `ftetl sql` needs, is not installed"),
        ("P17", "USAGE", "the SQL is wrong, or does something else than to read the tables"),
        ("P18", "CONFIG", "the package that object stores need is not installed"),
        ("P19", "CONFIG", "the address of a target in an object store is malformed"),
        ("X03", "USAGE", "a key was given on the command line, which everybody on the machine can read"),
        ("X04", "CONFIG", "the API key is malformed"),
        ("X06", "CONFIG", "the address of the API, or of the proxy, is not one that a key may be sent to"),
        ("X16", "CONFIG", "the target treats personal data in another way"),
        ("X25", "CONFIG", "the target's pseudonyms were made with another key"),
        ("F01", "DATA", "there is no such file or folder"),
        ("F02", "DATA", "it is neither a file nor a folder"),
        ("F03", "DATA", "the file's name does not end like that of a saved response"),
        ("F04", "DATA", "the file or folder may not be read"),
        ("F05", "DATA", "the file or folder cannot be read"),
        ("F06", "DATA", "stdin cannot be read"),
        ("F07", "DATA", "no saved response lies in the folder"),
        ("F08", "DATA", "the file was changed while it was read"),
        ("F09", "DATA", "the compressed file is cut short or damaged"),
        ("F10", "DATA", "the file is compressed, and its name does not say so"),
        ("F11", "DATA", "no file is left once the broken ones are left out"),
        ("F12", "DATA", "a machine of the Spark cluster does not see the file"),
        ("H01", "NOPERM", "the API refused the key (401)"),
        ("H02", "NOPERM", "the account must pay, or may not spend more (402)"),
        ("H03", "NOPERM", "the key may not read fine-tuning jobs (403)"),
        ("H04", "PROTOCOL", "no such endpoint (404)"),
        ("H05", "PROTOCOL", "the request was refused as wrong (400, 405, 406, 410, 415, 422, ...)"),
        ("H06", "UNAVAILABLE", "the server gave up waiting, or says that it is too early (408, 425)"),
        ("H07", "UNAVAILABLE", "the server speaks of a conflict (409)"),
        ("H08", "TEMPFAIL", "rate limited, however often asked (429)"),
        ("H09", "TEMPFAIL", "the API asks to wait for longer than the deadline leaves"),
        ("H12", "UNAVAILABLE", "the server failed (5xx)"),
        ("H13", "PROTOCOL", "the server does not do such a thing (501, 505), or wants a login first (511)"),
        ("H14", "UNAVAILABLE", "the connection was refused, or there is no way to the host"),
        ("H15", "UNAVAILABLE", "the connection ended before the response began"),
        ("H16", "UNAVAILABLE", "the connection broke within the response"),
        ("H17", "UNAVAILABLE", "the response is shorter than its stated length"),
        ("H19", "DATA", "the response ends in the middle"),
        ("H20", "UNAVAILABLE", "the chunks of the response are cut short or damaged"),
        ("H21", "UNAVAILABLE", "the compressed response is cut short"),
        ("H22", "UNAVAILABLE", "the compressed response is damaged"),
        ("H23", "DATA", "what is compressed unpacks to more than `--max-bytes`"),
        ("H24", "PROTOCOL", "the response comes in a compression that was not asked for"),
        ("H25", "DATA", "the response is larger than `--max-bytes`"),
        ("H28", "UNAVAILABLE", "the server stopped sending"),
        ("H29", "UNAVAILABLE", "the host's name could not be resolved"),
        ("H30", "PROTOCOL", "no trusted TLS connection could be made"),
        ("H31", "PROTOCOL", "a redirect, which is never followed"),
        ("H32", "PROTOCOL DATA", "a web page instead of a response of the API"),
        ("H34", "PROTOCOL", "a status that the API never gives with a list (1xx, 2xx but 200, 3xx)"),
        ("H35", "NOPERM UNAVAILABLE", "the proxy wants a login (77), or does not let the request through (69)"),
        ("H37", "PROTOCOL", "what responds does not speak HTTP, or has a status beyond 599"),
        ("H38", "UNAVAILABLE", "the host could not be reached in time"),
        ("N01", "UNAVAILABLE", "the connection broke in another way"),
        ("N02", "UNAVAILABLE", "the requests were stopped"),
        ("N03", "UNAVAILABLE", "the details of one job are not shown to this key"),
        ("R01", "DATA", "an error message instead of a response"),
        ("R02", "DATA", "the response is empty"),
        ("R04", "DATA", "the response is not UTF-8"),
        ("R06", "DATA", "the response is neither a JSON object nor a list"),
        ("R07", "DATA", "the response has no `data`"),
        ("R09", "DATA", "`data` is not a list"),
        ("R13", "DATA", "a key beside the list is repeated"),
        ("R19", "DATA", "the id of a job cannot be part of a request"),
        ("R46", "DATA", "the response is one page of several, or lacks known jobs as a page or a filtered list does"),
        ("R47", "DATA", "the list is empty, or has less than half of the known jobs"),
        ("R48", "DATA", "the list shares no job with the known ones: another account's key"),
        ("R51", "DATA", "values became unreadable in many jobs at once: the responses have another form"),
        ("R52", "DATA", "money, a status or times are missing in most of the jobs that had them"),
        ("R54", "DATA", "the prices of many finished jobs changed at once: another unit, or a re-pricing"),
        ("R55", "DATA", "a bill is not that of the month that was asked for"),
        ("R53", "DATA", "the response is another one: of another vendor, or not the list of fine-tuning jobs"),
        ("E01", "DATA", "the response is invalid outside of its jobs"),
        ("E02", "DATA", "there is text after the list that does not belong there"),
        ("E03", "DATA", "no line of the response holds a job"),
        ("E04", "DATA", "what should name a person has no end"),
        ("G01", "DATA", "elements would go to quarantine, which `--quarantine fail` forbids"),
        ("C01", "TEMPFAIL", "another run holds the target"),
        ("C02", "TEMPFAIL", "another run committed this version meanwhile"),
        ("C09", "UNAVAILABLE", "the deadline passed before the response was complete"),
        ("C11", "TEMPFAIL", "the lock was removed while the run held it"),
        ("S01", "IOERR", "no room: the disk is full, or a quota is used up"),
        ("S02", "CANTCREAT", "the file system is read-only"),
        ("S03", "CANTCREAT", "no permission to write, or to read, in the target"),
        ("S06", "SIGINT SIGTERM", "a signal stopped the run before the commit"),
        ("S07", "IOERR", "the device reports an I/O error"),
        ("S08", "IOERR", "a file does not read back as it was written"),
        ("S12", "IOERR", "the manifest of a version is damaged"),
        ("S13", "IOERR", "a file of a snapshot cannot be read back, so nothing is made from it"),
        ("S14", "CANTCREAT", "`current` is not the link that ftetl makes"),
        ("S15", "CONFIG", "a newer ftetl wrote the target"),
        ("S16", "CANTCREAT", "the folder is not empty, and not a target of ftetl"),
        ("S18", "CANTCREAT", "a link, a file or a folder stands where something else should"),
        ("S19", "CANTCREAT", "the folder belongs to another user"),
        ("S22", "IOERR", "too many files are open"),
        ("S23", "IOERR", "the file system can hold no more files"),
        ("S26", "SOFTWARE", "the memory is used up"),
        ("S28", "CONFIG", "the target belongs to another project, organisation or service"),
        ("D01", "IOERR", "a file or folder vanished"),
        ("D02", "CANTCREAT", "the name is too long"),
        ("D03", "IOERR", "another error of the operating system"),
        ("O01", "UNAVAILABLE", "the object store does not answer, or answers with an error of its own"),
        ("O05", "IOERR", "whether the version was committed is unknown"),
        ("O08", "TEMPFAIL", "other runs committed to the object store each time before this one could"),
        ("O09", "CONFIG", "the object store does not honour conditional puts, so that runs could overwrite each other"),
        ("O11", "NOPERM", "the object store denies an operation, or there are no credentials that it accepts"),
        ("O12", "CONFIG", "there is no such bucket, or it is in another region"),
        ("O15", "UNAVAILABLE", "the object store has other bytes than were sent"),
        ("O16", "NOPERM", "the credentials for the object store have expired"),
        ("O17", "UNAVAILABLE", "the clock of this machine is wrong, so that the object store refuses its requests"),
        ("O19", "CONFIG", "the address of the object store's server is not one that data may be sent to"),
        ("W01", "USAGE", "the folder lies in the target"),
        ("W02", "CANTCREAT", "the record of what is published there is not ftetl's, or is damaged"),
        ("W03", "CONFIG", "a newer ftetl published there"),
        ("W04", "CONFIG", "another target is published there"),
        ("W05", "CANTCREAT", "what stands in the place of a table is not a regular file"),
        ("W06", "CANTCREAT", "a file of that name was not published by ftetl"),
        ("J01", "CONFIG", "pyspark is not installed, or a machine of the cluster has no ftetl"),
        ("J02", "CONFIG", "Spark does not start"),
        ("J03", "CANTCREAT", "Spark cannot use the output folder"),
        ("J04", "UNAVAILABLE", "Spark did not finish the work"),
        ("L01", "CONFIG", "there is no such destination"),
        ("L02", "CONFIG", "the library that the destination needs is not installed"),
        ("L03", "CONFIG", "the destination has a newer version of the project"),
        ("L04", "CONFIG", "the destination has the jobs of another project or target under the same label"),
        ("L05", "CANTCREAT", "the destination has a table of the same name, or is a file, that ftetl did not make"),
        ("L06", "CONFIG", "a column of the destination has another type than its contract"),
        ("L07", "CONFIG", "the schema's name is not one"),
        ("L08", "CANTCREAT", "the destination's file or folder cannot be used"),
        ("L09", "TEMPFAIL", "another program holds the destination"),
        ("L10", "IOERR", "the destination failed; nothing was loaded"),
        ("L20", "CONFIG", "a table has more rows than a sheet of Excel"),
        ("L21", "CANTCREAT", "the workbook was changed since ftetl wrote it"),
        ("L22", "CONFIG", "the address of an Iceberg catalog names no database, or no warehouse"),
        ("L30", "CONFIG", "the address of the database is malformed"),
        ("L31", "CONFIG", "a password is in the address of the database, which everybody on the machine can read"),
        ("L32", "NOPERM", "the database does not let the user in"),
        ("L33", "CONFIG", "there is no such database or user, or the database cannot hold all texts"),
        ("L34", "UNAVAILABLE", "the database server cannot be reached, or the connection to it was lost"),
        ("L35", "CANTCREAT", "the user may not write into the database, or it is read-only"),
        ("L37", "UNAVAILABLE", "the database server cancelled a statement, mostly for its statement_timeout"),
        ("L38", "UNAVAILABLE", "the connection was lost at the commit: whether the tables were loaded is unknown"),
        ("L39", "CANTCREAT", "the database refused a statement"),
        ("V08", "IOERR", "a snapshot is damaged"),
        ("V13", "SOFTWARE", "rows do not add up or refer to nothing; nothing was committed"),
        ("T01", "CANTCREAT", "the target has no snapshot"),
        ("T02", "CANTCREAT", "the folder is not a target"),
        ("T03", "IOERR", "the target has no such version"),
        ("T04", "USAGE", "two targets that are opened together hold the same project"),
        ("T05", "USAGE", "one version of several targets is asked for"),
        ("T06", "CANTCREAT", "the folder that the page should be written to is not there"),
        ("T07", "USAGE", "an analysis is given something else than a snapshot, or than a frame"),
        ("T08", "USAGE", "an analysis needs a table that has no rows, since no run has asked for it"),
        ("A01", "IOERR", "a file of the archive is missing"),
        ("A02", "IOERR", "a file of the archive is damaged"),
        ("A03", "DATA", "the archive lacks what a version was made from"),
        ("A04", "DATA", "a saved response that a version was made from is gone"),
        ("A05", "DATA", "a saved response is not the one that a version was made from"),
        ("K01", "CONFIG", "a contract is not TOML"),
        ("K02", "CONFIG", "a contract has words that are unknown or contradict each other"),
        ("K03", "CONFIG", "the columns of the contracts contradict each other"),
        ("B01", "SOFTWARE", "an unexpected exception"),
        ("B02", "SOFTWARE", "a table breaks its contract; nothing was committed"),
        ("B03", "SOFTWARE", "a part of ftetl was used in an unsupported way"),
    )
}

_INTRO = """# The codes of failures

Every failure ends with one line on stderr, `ftetl: NAME (exit code) CODE: what; what next`, and has the same code as
`code` in the document of `--json`, in the last line of `--log-format json`, in `ftetl runs` and in `ftetl doctor`; of
the library's errors it is the attribute `code`. A code keeps its meaning for good, so it can be looked for, and a rule
can be made for it. What the exits mean stands in the [table of the exit codes](cli.md#exit-codes).

Generated with `python -m tests.errors.catalog > docs/codes.md`.
"""


def page() -> str:
    """All codes as Markdown."""
    lines = [_INTRO]
    for letter, subject in GROUPS.items():
        lines += [f"## {letter}: {subject}", "", "| code | exit | meaning |", "| --- | --- | --- |"]
        for fault in FAULTS.values():
            if fault.code[0] == letter:
                exits = ", ".join(f"{EXITS[name].code} {name}" for name in fault.exits)
                lines.append(f"| `{PREFIX}{fault.code}` | {exits} | {fault.meaning} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
