from pathlib import Path

from blocks.storage import Storage
from tasks.engine import batch, provenance
from tasks.engine.plan import Stage, plan
from tasks.song.probe import ProbeConfig
from tasks.step import Tools, Track
from tests.conftest import write_tone


def test_seconds_are_those_of_the_tracks_of_this_dataset(tmp_path: Path):
    tools = Tools(Storage(str(tmp_path)), Storage(str(tmp_path)))
    for name in ("a", "b"):
        write_tone(tmp_path / f"{name}.wav", 440)
    stages = [Stage("tasks.song.probe", ProbeConfig())]
    tables = Storage(str(tmp_path / "steps"))

    def seconds(*names: str) -> float:
        tracks = [Track(name, f"{name}.wav") for name in names]
        made = plan(stages, tracks, tables, tools, run_id="run", workers=1)
        for jobs in made.batches:
            for job in jobs:
                batch.run(job)
            made.record(jobs)
        [(step, value)] = provenance.seconds(made).items()
        assert step == "probe"
        rows = made.entries["probe"]
        assert value == round(sum(rows[key].seconds for key in made.keys["probe"]), 3)
        return value

    both = seconds("a", "b")
    assert seconds("a") <= both
    assert seconds("a", "b") == both, "what was computed before counts the same"
