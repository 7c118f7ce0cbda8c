"""Results of a run: which rows of its steps are finished, where they lie, and what they say."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from blocks.storage import Storage
from tasks.engine.batch import UPSTREAM_FAILED, Job
from tasks.engine.stage import Stage, recipes
from tasks.engine.step_table import Entry, Index, StepTable
from tasks.step import Row, Step, Track, item_digest
from tasks.weights import Weights

READ_ROWS = 64
"""Rows in memory at once."""

PLACE_ID = "identity"
"""Name of the file that holds the random name of a folder of step tables."""


class Results:
    """Finished rows of a run, step by step and in the order of its tracks.

    Parameters
    ----------
    stages
        Steps of the run, each after the steps it needs.
    tracks
        Every track of the run, in order.
    tables
        Where the step tables live.
    weights
        Where the models lie: their revisions enter the keys.

    Attributes
    ----------
    keys
        Step name -> key of each track's row.
    revisions
        Step name -> revision of each model that it uses.
    """

    def __init__(
        self, stages: Sequence[Stage], tracks: Sequence[Track], tables: Storage, weights: Weights
    ) -> None:
        self.stages = stages
        self.tracks = tracks
        self.tables = tables
        self.keys: dict[str, list[str]] = {}
        self.revisions: dict[str, dict[str, str]] = {}
        self._indexes = {stage.step.name: StepTable(tables, stage.step).index() for stage in stages}
        self._add_keys(weights)

    def index(self, step: str) -> Index:
        """Return what is known of the rows of a step, by key."""
        return self._indexes[step]

    def entries(self, step: str) -> list[Entry | None]:
        """Return what is known of each track's row of a step, in the order of the tracks."""
        return self._indexes[step].entries(self.keys[step])

    def record(self, jobs: Iterable[Job]) -> None:
        """Take up what finished jobs have stored."""
        for job in jobs:
            table = StepTable(self.tables, job.step)
            self._indexes[job.step.name].add(table.entries_of(job.part))

    def rows(self, step: str, columns: Sequence[str] | None = None) -> Iterator[tuple[Track, Row]]:
        """Yield each track that a step did not fail on, with its row, in the order of the tracks.

        Parameters
        ----------
        step
            Name of the step.
        columns
            Columns to read besides the key and the status; all of them by default.
        """
        for track, found in self.joined((step,), columns):
            yield track, found[step]

    def joined(
        self, steps: Sequence[str], columns: Sequence[str] | None = None
    ) -> Iterator[tuple[Track, dict[str, Row]]]:
        """Yield each track that none of the steps failed on, with its rows by step."""
        tables = {name: StepTable(self.tables, self._step(name)) for name in steps}
        entries = {name: self.entries(name) for name in steps}
        finished = [
            at
            for at in range(len(self.tracks))
            if all(_is_finished(entries[name][at]) for name in steps)
        ]
        for start in range(0, len(finished), READ_ROWS):
            group = finished[start : start + READ_ROWS]
            found = {
                name: tables[name].read(
                    {self.keys[name][at]: _part(entries[name][at]) for at in group}, columns
                )
                for name in steps
            }
            for at in group:
                yield self.tracks[at], {name: found[name][self.keys[name][at]] for name in steps}

    def row(self, step: str, track: Track) -> Row:
        """Return the row of one track, whatever its status.

        Raises
        ------
        KeyError
            If the run has no such track, or the step no row of it.
        """
        key = self.key(step, track)
        part = self._indexes[step][key].part
        return StepTable(self.tables, self._step(step)).read({key: part})[key]

    def track(self, track_id: str) -> Track:
        """Return a track of the run.

        Raises
        ------
        KeyError
            If it has none of that id.
        """
        return self.tracks[self._places[track_id]]

    def key(self, step: str, track: Track) -> str:
        """Return the key of a track's row."""
        return self.keys[step][self._places[track.track_id]]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {track.track_id: at for at, track in enumerate(self.tracks)}

    def final(self) -> Iterator[tuple[Track, str, Entry | None]]:
        """Yield track, key and entry of the last stage, in the order of the tracks."""
        name = self.stages[-1].step.name
        yield from zip(self.tracks, self.keys[name], self.entries(name), strict=True)

    def failures(self) -> Iterator[tuple[Track, str, Entry]]:
        """Yield track, step and entry of each failure, but not of what only followed from it."""
        by_track: dict[int, list[tuple[str, Entry]]] = {}
        for stage in self.stages:
            name = stage.step.name
            index = self._indexes[name]
            for at, key in enumerate(self.keys[name]):
                if key in index and key not in index.final:
                    by_track.setdefault(at, []).append((name, index[key]))
        for at in sorted(by_track):
            for name, entry in by_track[at]:
                if entry.status == "failed" and entry.reason != UPSTREAM_FAILED:
                    yield self.tracks[at], name, entry

    def _step(self, name: str) -> Step:
        return next(stage.step for stage in self.stages if stage.step.name == name)

    def _add_keys(self, weights: Weights) -> None:
        made_by = recipes(self.stages, weights)
        digests: dict[tuple[str, ...], list[str]] = {}
        for stage in self.stages:
            step = stage.step
            recipe = made_by[step.name]
            if recipe.attributes not in digests:
                # Many steps depend on the same attributes: digested once, not once per step.
                digests[recipe.attributes] = [
                    item_digest(track, recipe.attributes) for track in self.tracks
                ]
            self.keys[step.name] = [recipe.key(each) for each in digests[recipe.attributes]]
            self.revisions[step.name] = {
                name: weights.revision(name) for name in step.models(stage.config)
            }


def missing(results: Results) -> Mapping[str, Sequence[bool]]:
    """Return which rows have to be computed, from the last stages back to what they need.

    A row that exists needs nothing of its upstream, even if that is gone.

    Returns
    -------
    dict
        Step name -> whether each track's row is missing and needed.
    """
    steps = [stage.step for stage in results.stages]
    used = {name for step in steps for name in (*step.upstream, *step.optional_upstream)}
    # What no other step uses is wanted for its own sake.
    needed = {
        stage.step.name: [stage.wanted or stage.step.name not in used] * len(results.tracks)
        for stage in results.stages
    }
    flags_of: dict[str, list[bool]] = {}
    for step in reversed(steps):
        rows = results.index(step.name)
        flags = [
            wanted and key not in rows.final
            for wanted, key in zip(needed[step.name], results.keys[step.name], strict=True)
        ]
        flags_of[step.name] = flags
        if not any(flags):
            continue
        for name in (*step.upstream, *step.optional_upstream):
            if name in needed:
                needed[name] = [a or b for a, b in zip(needed[name], flags, strict=True)]
    return flags_of


def place_id(tables: Storage) -> str:
    """Return the random name of a folder of step tables, given when it is first used.

    Prefect's cache outlives the tables; under the name of a folder that was
    removed and made anew, it finds nothing.
    """
    if not tables.exists(PLACE_ID):
        tables.write_bytes(PLACE_ID, uuid.uuid4().hex.encode())
    return tables.read_bytes(PLACE_ID).decode()


def _is_finished(entry: Entry | None) -> bool:
    return entry is not None and entry.status != "failed"


def _part(entry: Entry | None) -> str:
    assert entry is not None, "only finished rows are read"
    return entry.part
