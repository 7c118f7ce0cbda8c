"""Audio that lies in a bucket."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from blocks import kept_objects
from blocks.kept_objects import KeptObjects
from blocks.storage import Storage
from tasks import audio
from tests.support.s3_server import S3Server, bucket, store

__all__ = ["bucket", "store"]


def test_a_song_in_a_bucket_is_fetched_once_whatever_is_made_of_it(
    bucket: str, store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(kept_objects, "KEPT", KeptObjects())
    storage = Storage(bucket)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 8_000)).astype(np.float32)
    audio.write_flac(Storage(str(tmp_path)), "song.flac", noise, 16_000)
    song = (tmp_path / "song.flac").read_bytes()
    storage.write_bytes("song.flac", song)
    audio.write_flac(storage, "vocals.flac", noise, 16_000)
    store.forget()

    # As steps do, one after the other.
    audio.probe(storage, "song.flac")
    first = audio.load(storage, "song.flac", rate_hz=16_000, channels=1)
    list(audio.stream(storage, "song.flac", rate_hz=22_050, channels=2))
    audio.load(storage, "vocals.flac", rate_hz=8_000, channels=1)
    assert store.sent_bytes == len(song)

    # Decoded audio is not of what lay there before.
    audio.write_flac(Storage(str(tmp_path)), "song.flac", -noise, 16_000)
    storage.write_bytes("song.flac", (tmp_path / "song.flac").read_bytes())
    then = audio.load(storage, "song.flac", rate_hz=16_000, channels=1)
    np.testing.assert_allclose(then, -first, atol=1e-4)
