"""Datasets of small files by one small step; all around the step is real."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from blocks.storage import Storage
from tasks.engine.plan import Plan, plan, run_here
from tasks.engine.stage import Stage
from tasks.song import schema
from tasks.song.assemble import assemble
from tasks.song.dataset import Paths
from tasks.song.discover import Discovery, Shard, discover
from tasks.song.splits import Splitting
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, per_track
from tasks.text import printable
from tasks.weights import Weights, default_address
from tests.tasks.song.records import make_record

WEIGHTS = Weights(default_address())
SPLITTING = Splitting()
HEAD = {"track_id", "source_id", "file_path", "corrected", *schema.METADATA_COLUMNS}


class Library:
    """A folder of files whose first byte decides their fate: ``!`` fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.audio_dir = str(folder / "songs")
        self.metadata: dict[str, dict[str, str]] = {}
        self.stages = [Stage(MERGE, StepConfig())]

    def add(self, name: str, content: bytes) -> Path:
        path = Path(self.audio_dir, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def build(
        self,
        name: str = "X",
        shard: Shard | None = None,
        splitting: Splitting = SPLITTING,
        **settings: Any,
    ) -> tuple[Paths, dict[str, Any]]:
        """Dataset of the folder or of a shard of it, and its manifest."""
        paths = Paths(self.folder / "out" / f"{name}.json")
        made, found = self.planned(paths, shard)
        run_here(made)
        settings = {"profile": "offline", "vocals_dir": f"vocals of {name}"} | settings
        return paths, assemble(
            made.results, found, paths, self.audio_dir, settings, WEIGHTS, splitting
        )

    def planned(self, paths: Paths, shard: Shard | None = None) -> tuple[Plan, Discovery]:
        checkpoints = Storage(str(paths.folder / "checkpoints"))
        source = Storage(self.audio_dir)
        found = discover(
            source, checkpoints, metadata=lambda path: self.metadata.get(path, {}), shard=shard
        )
        made = plan(
            self.stages,
            found.tracks,
            checkpoints.below("steps"),
            Tools(source, checkpoints),
            run_id="run",
            workers=2,
        )
        return made, found


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def _merge(
    track: Track, upstream: Mapping[str, Row | None], config: StepConfig, tools: Tools
) -> Row:
    content = tools.source.read_bytes(track.path)
    if content.startswith(b"!"):
        raise TrackError("undecodable", f"{printable(track.path)} cannot be decoded.")
    record = make_record(len(content), title=None)
    return {"record": orjson.dumps({k: v for k, v in record.items() if k not in HEAD}).decode()}


MERGE = Step(
    name="merge",
    version=3,
    config=StepConfig,
    columns=pa.schema([column("record", pa.large_string(), "Entry of the dataset, as JSON")]),
    run=per_track(_merge),
)
