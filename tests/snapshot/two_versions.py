"""A target with two versions, and ways to damage it."""

from __future__ import annotations

import json
from pathlib import Path

import ftetl
from ftetl.store import manifest

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
DAY = "2026-07-02T00:00:00Z"


def make_two_versions(target: Path) -> Path:
    """The published sample, then the same with one status changed."""
    ftetl.export(target, source=SAMPLES / "list_2026.json", observed_at=DAY)
    document = json.loads((SAMPLES / "list_2026.json").read_text("utf-8"))
    document["data"][0]["status"] = "cancelled"
    later = target.parent / "later.json"
    later.write_text(json.dumps(document), "utf-8")
    ftetl.export(target, source=later, observed_at="2026-07-03T00:00:00Z")
    return target


def flip_bit(file: Path, place: int | None = None) -> None:
    """One bit of one byte, by default in the middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    file.write_bytes(data)


def manifest_file(target: Path, version: int) -> Path:
    return target / manifest.CONTROL / manifest.MANIFESTS / manifest.manifest_name(version)
