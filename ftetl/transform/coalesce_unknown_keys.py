"""Carries unknown keys and anomalies over to the merged rows, after the copies of a batch are coalesced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.raw import strict_json
from ftetl.transform.decode import extra_keys
from ftetl.transform.decode.decoder import Decoded
from ftetl.transform.decode.source_schema import job_schema
from ftetl.transform.ranked_copies import RankedCopies

EVENTS = "events"


class UnknownKeys:
    """The unknown keys and anomalies of the copies of a batch, each with the copy that it comes from.

    Args:
        copies: The copies.
        sources: By key, then by job, the place of the copy that the key's value comes from.
    """

    def __init__(self, copies: RankedCopies, sources: Mapping[str, pa.Array]) -> None:
        self._copies, self._sources = copies, {key: places.to_pylist() for key, places in sources.items()}
        self._winners: list[int] = copies.winners.to_pylist()  # by job
        self._jobs: list[int] = copies.job.to_pylist()  # by place
        self._filled: dict[int, dict[str, Any]] = {}  # by winner: its unknown keys with those of other copies
        self._extra_sources: dict[tuple[int, str], int] = {}  # by winner and unknown key: the place it comes from
        self._fill_extra()

    def carry_over_to(self, decoded: Decoded, kept: list[int]) -> None:
        """Fill in the unknown keys and anomalies of `decoded`, which has the rows `kept` of the batch."""
        old, rows = self._copies.decoded, self._copies.rows
        new_rows = {row: number for number, row in enumerate(kept)}
        decoded.quarantined = old.quarantined
        decoded.extra = {new_rows[row]: text for row, text in old.extra.items() if row in new_rows}
        decoded.keys_with_value = {new_rows[row]: keys for row, keys in old.keys_with_value.items() if row in new_rows}
        for winner, extra in self._filled.items():
            decoded.extra[new_rows[rows[winner]]] = strict_json.compact_json(extra)
        event_texts: dict[int, dict[int, str]] = {}
        for (row, position), text in old.event_extra.items():
            event_texts.setdefault(row, {})[position] = text
        for place, row in enumerate(rows):
            if row not in new_rows:
                continue
            new_row, job = new_rows[row], self._jobs[place]
            is_winner = place == self._winners[job]
            source = self._sources[EVENTS][job] if is_winner else place
            texts = event_texts.get(rows[source], {})
            decoded.event_extra |= {(new_row, position): text for position, text in texts.items()}
            if is_winner and (place in self._filled or source != place):
                decoded.unknown_paths[new_row] = _paths(decoded.extra.get(new_row, "{}"), texts)
            elif is_winner and row in old.unknown_paths:
                decoded.unknown_paths[new_row] = old.unknown_paths[row]
        self._carry_over_anomalies(decoded, new_rows)

    def _carry_over_anomalies(self, decoded: Decoded, new_rows: Mapping[int, int]) -> None:
        """Of the anomalies, those whose value is in a winner's row."""
        rows = self._copies.rows
        places = {row: place for place, row in enumerate(rows)}
        for row, anomaly in self._copies.decoded.row_anomalies:
            job = self._jobs[places[row]]
            winner, key = self._winners[job], anomaly.path.partition(".")[0]
            source = self._sources[key][job] if key in self._sources else self._extra_sources.get((winner, key), winner)
            if source == places[row]:
                decoded.row_anomalies.append((new_rows[rows[winner]], anomaly))

    def _fill_extra(self) -> None:
        copies = self._copies
        texts, rows = copies.decoded.extra, copies.rows
        fills = pc.or_(pc.or_(copies.fills_gaps, copies.fills_absent_keys), copies.fills_detail_keys)
        for place in pc.indices_nonzero(fills).to_pylist():
            winner = self._winners[self._jobs[place]]
            if texts.get(rows[place]) in (None, texts.get(rows[winner])):
                continue
            extra = self._filled[winner] if winner in self._filled else self._extra(winner)
            more = {key: v for key, v in self._extra(place).items() if self._fills(key, v, extra, place)}
            if more:
                self._extra_sources |= {(winner, key): place for key in more}
                self._filled[winner] = self._ordered(winner, extra | more)

    def _fills(self, key: str, value: Any, extra: Mapping[str, Any], place: int) -> bool:
        """Whether a winner with the unknown keys `extra` takes this one from the copy at `place`."""
        copies, job = self._copies, self._jobs[place]
        if key in job_schema().children:  # what is unknown lies inside
            return key in self._sources and self._sources[key][job] == place
        has = value is not None or key in self._python_keys(place)
        lacks = extra.get(key) is None and key not in self._python_keys(self._winners[job])
        return has and lacks and not (key in extra and copies.fills_absent_keys[place].as_py())

    def _python_keys(self, place: int) -> set[str]:
        return self._copies.decoded.keys_with_value.get(self._copies.rows[place], set())

    def _extra(self, place: int) -> dict[str, Any]:
        return _parsed(self._copies.decoded.extra.get(self._copies.rows[place], "{}"))

    def _ordered(self, winner: int, extra: dict[str, Any]) -> dict[str, Any]:
        """The keys as they would stand in one document: a null that was filled keeps its place, others come last."""
        if not extra.keys() & job_schema().children.keys():
            return extra
        order = {key: number for number, key in enumerate(self._copies.keys(winner))}
        return dict(sorted(extra.items(), key=lambda pair: order.get(pair[0], len(order))))


def _parsed(text: str) -> dict[str, Any]:
    value: dict[str, Any] = strict_json.parse(text.encode())
    return value


def _paths(extra: str, events: Mapping[int, str]) -> Counter[str]:
    parsed = {position: _parsed(text) for position, text in events.items()}
    return extra_keys.unknown_key_paths(extra_keys.ExtraTexts(_parsed(extra), parsed))
