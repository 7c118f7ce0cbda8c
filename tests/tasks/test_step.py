import pickle
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks.storage import Storage
from models import registry
from tasks.song.track import SongTrack
from tasks.step import (
    Recipe,
    Step,
    StepConfig,
    Tools,
    Track,
    TrackError,
    column,
    per_track,
)
from tests.support.keys import key_of

TOOLS = Tools(Storage("source"), Storage("artifacts"))


class Config(StepConfig):
    hop_seconds: float = 0.01
    method: str = "pyin"


def make_step(**changes: Any) -> Step:
    return Step(
        **{
            "name": "pitch",
            "version": 1,
            "config": Config,
            "columns": pa.schema([column("f0_hz", pa.float64(), "F0", "Hz")]),
            "run": per_track(lambda track, upstream, config, tools: {"f0_hz": 440.0}),
            "upstream": ("separate",),
            "optional_upstream": ("lyrics",),
            **changes,
        }
    )


TRACK = Track("abc", "a/song.wav", metadata={"artist": "Ana", "genre": "Folk"})
K1, K2, K3, K9 = (Recipe(digest, ("track_id",)) for digest in ("k1", "k2", "k3", "k9"))
UPSTREAM = {"separate": K1, "lyrics": K2}


KEY = key_of(make_step(), TRACK, Config(), UPSTREAM)


@pytest.mark.parametrize(
    "other",
    [
        key_of(make_step(version=2), TRACK, Config(), UPSTREAM),
        key_of(make_step(name="tone"), TRACK, Config(), UPSTREAM),
        key_of(make_step(models=lambda config: ("gruut",)), TRACK, Config(), UPSTREAM),
        key_of(make_step(), TRACK, Config(hop_seconds=0.02), UPSTREAM),
        key_of(make_step(), TRACK, Config(method="crepe"), UPSTREAM),
        key_of(make_step(), TRACK, Config(), UPSTREAM | {"separate": K3}),
        key_of(make_step(), TRACK, Config(), UPSTREAM | {"lyrics": K3}),
        key_of(make_step(), TRACK, Config(), {"separate": K1}),
        key_of(make_step(), Track("abd", "a/song.wav"), Config(), UPSTREAM),
        key_of(make_step(attributes=("track_id", "metadata")), TRACK, Config(), UPSTREAM),
    ],
    ids=[
        "version",
        "name",
        "model",
        "config-number",
        "config-choice",
        "upstream",
        "optional-upstream",
        "no-optional-upstream",
        "track",
        "attributes",
    ],
)
def test_a_key_changes_with_whatever_changes_the_result(other: str):
    assert other != KEY


@pytest.mark.parametrize(
    "track",
    [
        Track("abc", "elsewhere.mp3"),
        SongTrack("abc", "a/song.wav", lyrics_path="a/song.lrc", lyrics_digest="d"),
        Track("abc", "a/song.wav", metadata={"artist": "Bob"}),
    ],
    ids=["path", "lyrics", "metadata"],
)
def test_a_key_does_not_change_with_what_the_step_does_not_depend_on(track: Track):
    assert key_of(make_step(), track, Config(), UPSTREAM) == KEY


def test_a_key_ignores_upstream_steps_that_are_not_the_steps_own():
    assert key_of(make_step(), TRACK, Config(), UPSTREAM | {"features": K9}) == KEY


def test_a_step_that_depends_on_metadata_has_a_key_per_content_not_per_order():
    step = make_step(attributes=("track_id", "metadata"))

    def key(metadata: Mapping[str, str]) -> str:
        return key_of(step, Track("abc", "x", metadata=metadata), Config(), {})

    assert key({"artist": "Ana", "genre": "Folk"}) == key({"genre": "Folk", "artist": "Ana"})
    assert key({"artist": "Ana"}) == key(MappingProxyType({"artist": "Ana"}))
    assert key({"artist": "Ana"}) != key({"artist": "Bob"})


def test_a_key_contains_the_revision_of_the_models(monkeypatch: pytest.MonkeyPatch):
    from dataclasses import replace

    step = make_step(models=lambda config: ("gruut",))
    before = key_of(step, TRACK, Config(), UPSTREAM)
    newer = replace(registry.card("gruut"), revision="gruut-9.9.9")
    monkeypatch.setitem(registry.CARDS, "gruut", newer)
    assert key_of(step, TRACK, Config(), UPSTREAM) != before


def test_a_field_that_is_no_more_stays_in_the_keys():
    class Before(Config):
        """With a field."""

        gone: str | None = None

    class Now(Config):
        """Without it."""

        def keyed(self):
            return {**super().keyed(), "gone": None}

    assert key_of(make_step(config=Now), TRACK, Now(), UPSTREAM) == key_of(
        make_step(config=Before), TRACK, Before(), UPSTREAM
    )
    assert key_of(make_step(config=Now), TRACK, Now(), UPSTREAM) != key_of(
        make_step(), TRACK, Config(), UPSTREAM
    )


@given(st.dictionaries(st.text(), st.text(), max_size=3), st.text(), st.randoms())
def test_keys_are_the_same_in_every_process(metadata, method, random):
    items = list(metadata.items())
    random.shuffle(items)
    step = make_step(attributes=("track_id", "metadata"))
    first = key_of(step, Track("a", "x", metadata=metadata), Config(method=method), UPSTREAM)
    again = key_of(step, Track("a", "y", metadata=dict(items)), Config(method=method), UPSTREAM)
    assert first == again


def test_keys_do_not_depend_on_the_hash_seed_of_a_process():
    code = "from tests.tasks.test_step import KEY; print(KEY)"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {KEY}


def test_a_track_error_takes_only_its_own_track():
    def function(track, upstream, config, tools):
        if track.track_id == "b":
            raise TrackError("too-short", "b is too short.")
        return {"f0_hz": upstream["separate"]["value"]}

    rows = make_step(run=per_track(function)).run(
        [Track(track_id, "x") for track_id in "abc"],
        {"separate": [{"value": 1.0}, {"value": 2.0}, {"value": 3.0}]},
        Config(),
        TOOLS,
    )
    assert rows[0] == {"f0_hz": 1.0}
    assert isinstance(rows[1], TrackError)
    assert rows[1].reason == "too-short"
    assert rows[2] == {"f0_hz": 3.0}


def test_a_bug_is_not_taken_for_a_failed_track():
    def function(track, upstream, config, tools):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make_step(run=per_track(function)).run([TRACK], {}, Config(), TOOLS)


def test_a_track_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(TrackError("too-short", "It is too short.")))
    assert (error.reason, error.message, str(error)) == (
        "too-short",
        "It is too short.",
        "It is too short.",
    )


@pytest.mark.parametrize("name", ["key", "track_id", "status", "seconds"])
def test_a_step_cannot_redeclare_the_columns_that_every_table_has(name: str):
    with pytest.raises(ValueError, match=name):
        make_step(columns=pa.schema([column(name, pa.string(), "Mine")]))


def test_a_configuration_is_frozen_and_knows_its_keys():
    with pytest.raises(ValidationError):
        Config(hop=0.01)
    with pytest.raises(ValidationError):
        Config().hop_seconds = 0.02  # type: ignore[misc]


def test_a_column_carries_its_description_and_unit():
    assert column("f0_hz", pa.float64(), "F0", "Hz").metadata == {
        b"description": b"F0",
        b"unit": b"Hz",
    }
    assert column("text", pa.string(), "Lyrics").metadata == {b"description": b"Lyrics"}
