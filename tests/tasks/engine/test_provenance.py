from pathlib import Path

from blocks.storage import Storage
from tasks.engine import provenance
from tasks.engine.plan import plan, run_here
from tasks.engine.stage import Stage
from tasks.song import probe
from tasks.step import Tools, Track
from tests.conftest import write_tone


def test_seconds_are_those_of_the_tracks_of_this_dataset(tmp_path: Path):
    tools = Tools(Storage(str(tmp_path)), Storage(str(tmp_path)))
    for name in ("a", "b"):
        write_tone(tmp_path / f"{name}.wav", 440)
    stages = [Stage(probe.STEP, probe.ProbeConfig())]
    tables = Storage(str(tmp_path / "steps"))

    def seconds(*names: str) -> float:
        tracks = [Track(name, f"{name}.wav") for name in names]
        made = plan(stages, tracks, tables, tools, run_id="run", workers=1)
        run_here(made)
        [(step, value)] = provenance.seconds(made.results).items()
        assert step == "probe"
        rows = made.results.entries("probe")
        assert value == round(sum(row.seconds for row in rows), 3)
        return value

    both = seconds("a", "b")
    assert seconds("a") <= both
    assert seconds("a", "b") == both, "what was computed before counts the same"
