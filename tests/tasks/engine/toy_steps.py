"""A flow of small steps over text files: what plans, batches and tables are tested with.

size ── double ── total
  └──── note ───────┘ (optional)
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from blocks.storage import Storage
from tasks.engine.plan import BATCH_TRACKS, Plan, plan, run_here
from tasks.engine.stage import Stage
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, per_track


class SizeConfig(StepConfig):
    unit_bytes: int = 1


class DoubleConfig(StepConfig):
    factor: int = 2


class NoteConfig(StepConfig):
    sign: str = "!"


class TotalConfig(StepConfig):
    pass


CONFIGS: dict[str, StepConfig] = {
    "size": SizeConfig(),
    "double": DoubleConfig(),
    "note": NoteConfig(),
    "total": TotalConfig(),
}


@dataclass
class ToyFlow:
    """Four steps over the files of a folder.

    Attributes
    ----------
    calls
        (step, track id) of each time that a step processed a track.
    failing
        (step, track id) of what raises a TrackError.
    bugs
        (step, track id) of what raises anything else.
    """

    folder: Path
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    failing: set[tuple[str, str]] = field(default_factory=set)
    bugs: set[tuple[str, str]] = field(default_factory=set)
    runs: int = 0
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def tables(self) -> Storage:
        return Storage(str(self.folder / "steps"))

    @property
    def tools(self) -> Tools:
        return Tools(Storage(str(self.folder / "source")), Storage(str(self.folder / "artifacts")))

    def tracks(self, *track_ids: str) -> list[Track]:
        """Tracks whose files hold their ids."""
        for track_id in track_ids:
            path = self.folder / "source" / f"{track_id}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(track_id)
        return [Track(track_id, f"{track_id}.txt") for track_id in track_ids]

    def stages(self, *names: str, **configs: StepConfig) -> list[Stage]:
        wanted = names or tuple(CONFIGS)
        return [Stage(self.steps[name], configs.get(name, CONFIGS[name])) for name in wanted]

    def plan(
        self,
        tracks: Sequence[Track],
        stages: Sequence[Stage] | None = None,
        workers: int = 1,
        batch_tracks: int = BATCH_TRACKS,
    ) -> Plan:
        self.runs += 1
        return plan(
            stages or self.stages(),
            tracks,
            self.tables,
            self.tools,
            run_id=f"run {self.runs}",
            workers=workers,
            batch_tracks=batch_tracks,
        )

    def run(self, tracks: Sequence[Track], stages: Sequence[Stage] | None = None) -> Plan:
        """Plan, run every batch here, and take up the results."""
        self.calls.clear()
        made = self.plan(tracks, stages)
        run_here(made)
        return made

    def result(self, made: Plan) -> dict[str, str | None]:
        """Track id -> status of its last row."""
        return {track.track_id: entry and entry.status for track, _, entry in made.results.final()}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyFlow:
    flow = ToyFlow(tmp_path)
    functions: dict[str, tuple[Callable[..., Row], dict[str, Any], list[pa.Field]]] = {
        "size": (_size, {}, [column("size", pa.int64(), "Size of the file", "bytes")]),
        "double": (
            _double,
            {"upstream": ("size",)},
            [column("doubled", pa.int64(), "Twice that", "bytes")],
        ),
        "note": (
            _note,
            {"upstream": ("size",)},
            [column("text", pa.string(), "What is said of it")],
        ),
        "total": (
            _total,
            {"upstream": ("double",), "optional_upstream": ("note",)},
            [column("text", pa.string(), "All of it")],
        ),
    }
    for name, (function, dependencies, columns) in functions.items():
        flow.steps[name] = Step(
            name=name,
            version=1,
            config=type(CONFIGS[name]),
            columns=pa.schema(columns),
            run=per_track(_watched(flow, name, function)),
            **dependencies,
        )
        # Where workers, and whoever unpickles a job, look for it.
        monkeypatch.setattr(sys.modules[__name__], name.upper(), flow.steps[name], raising=False)
    return flow


def _watched(flow: ToyFlow, name: str, function: Callable[..., Row]) -> Callable[..., Row]:
    def watched(
        track: Track, upstream: Mapping[str, Row | None], config: StepConfig, tools: Tools
    ) -> Row:
        flow.calls[name, track.track_id] += 1
        if (name, track.track_id) in flow.failing:
            raise TrackError("unlucky", f"{track.path} has no luck.")
        if (name, track.track_id) in flow.bugs:
            raise ZeroDivisionError("planted")
        return function(track, upstream, config, tools)

    return watched


def _size(
    track: Track, upstream: Mapping[str, Row | None], config: SizeConfig, tools: Tools
) -> Row:
    return {"size": len(tools.source.read_bytes(track.path)) // config.unit_bytes}


def _double(track: Track, upstream: Mapping[str, Row], config: DoubleConfig, tools: Tools) -> Row:
    return {"doubled": upstream["size"]["size"] * config.factor}


def _note(track: Track, upstream: Mapping[str, Row], config: NoteConfig, tools: Tools) -> Row:
    return {"text": f"{upstream['size']['size']}{config.sign}"}


def _total(
    track: Track, upstream: Mapping[str, Row | None], config: TotalConfig, tools: Tools
) -> Row:
    double, note = upstream["double"], upstream.get("note")
    assert double is not None
    return {"text": f"{double['doubled']} {note and note['text']}"}
