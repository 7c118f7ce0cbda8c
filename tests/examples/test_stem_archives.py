import io
import zipfile
from pathlib import Path

import numpy as np
import soundfile

from examples.songs import make_song
from examples.stem_archives import NAMES, write_archive
from tasks.corpora.names.instruments import instrument_of


def test_an_archive_holds_the_stems_of_the_song(tmp_path: Path):
    song = make_song(1, seconds=4, structure=("verse",))
    path = write_archive(song, tmp_path / "artist" / "song.zip")
    with zipfile.ZipFile(path) as archive:
        stems = {}
        for name in archive.namelist():
            signal, rate_hz = soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")
            assert rate_hz == 44_100
            stems[Path(name).stem] = signal.T
    assert stems.keys() == set(NAMES.values())
    # Each of four is rounded to 16 bits.
    assert np.abs(sum(stems.values()) - song.mix).max() < 4 * 2**-15
    instruments = {instrument_of(name) for name in stems}
    assert instruments == {"guitar", "bass", "drum", "vocals"}
