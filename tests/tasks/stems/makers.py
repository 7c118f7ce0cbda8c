"""Small sources of stems in each layout."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import av
import numpy as np
import pytest
import soundfile
import yaml

from tasks.corpora.archives.unzip import Limits, members
from tasks.track import TrackError
from tests.conftest import RATE_HZ, tone

SECONDS = 0.2
LIMITS = Limits()
MUSDB18_STEMS = ("drums", "bass", "other", "vocals")
UUID = "1a81ae09-2884-4f32-9e4e-2f45927f00a1"


def wav_bytes(frequency_hz: float = 440.0, seconds: float = SECONDS) -> bytes:
    """A tone as a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, tone(frequency_hz, seconds), RATE_HZ, format="WAV")
    return file.getvalue()


def write_stems(folder: Path, names: Sequence[str], first_hz: float = 200.0) -> Path:
    """A folder of stems, each a tone of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(wav_bytes(first_hz + 50 * number))
    return folder


def write_zip(path: Path, members: Mapping[str, bytes], method: int = ZIP_DEFLATED) -> Path:
    """A zip archive, whose members may have any names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            info = ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, content)
    return path


def write_zipped_song(path: Path, names: Sequence[str], first_hz: float = 200.0) -> Path:
    """An archive of stems, each a tone of its own."""
    return write_zip(
        path, {name: wav_bytes(first_hz + 50 * number) for number, name in enumerate(names)}
    )


def write_musdb18(path: Path, seconds: float = 1.0) -> Path:
    """A ``.stem.mp4``: five streams of AAC, of which the first is the mixture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rate_hz = 44_100
    waves = [tone(220.0 * number, seconds, rate_hz, 2).T / 4 for number in range(1, 5)]
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream("aac", rate=rate_hz, layout="stereo") for _ in range(5)]
        for stream, wave in zip(streams, [np.sum(waves, axis=0), *waves], strict=True):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(wave, np.float32), format="fltp", layout="stereo"
            )
            frame.sample_rate = rate_hz
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def write_musdb18_hq(folder: Path, first_hz: float = 200.0) -> Path:
    """One song of MUSDB18-HQ."""
    return write_stems(folder, [f"{name}.wav" for name in ("mixture", *MUSDB18_STEMS)], first_hz)


def write_moisesdb(
    folder: Path,
    tracks: Mapping[str, Sequence[str]],
    artist: str = "The Band",
    song: str = "The Song",
    first_hz: float = 200.0,
) -> Path:
    """One song of MoisesDB: kinds of tracks by name of their stem."""
    stems = []
    number = 0
    for stem_name, kinds in tracks.items():
        entries = []
        for kind in kinds:
            track_id = f"00000000-0000-4000-8000-{number:012d}"
            write_stems(folder / stem_name, [f"{track_id}.wav"], first_hz + 50 * number)
            entries.append(
                {"id": track_id, "trackType": kind, "extension": "wav", "has_bleed": False}
            )
            number += 1
        stems.append({"id": f"stem-{stem_name}", "stemName": stem_name, "tracks": entries})
    data = {"song": song, "artist": artist, "genre": "rock", "stems": stems}
    (folder / "data.json").write_text(json.dumps(data))
    return folder


def slakh_stem(inst_class: str, program: str, **others: object) -> dict[str, object]:
    """What Slakh2100 says of a stem."""
    return {
        "audio_rendered": True,
        "inst_class": inst_class,
        "integrated_loudness": -18.5,
        "is_drum": False,
        "midi_program_name": program,
        "midi_saved": True,
        "plugin_name": "a.nkm",
        "program_num": 0,
    } | others


def write_slakh(
    folder: Path, stems: Sequence[Mapping[str, object]], uuid: str = "abc", first_hz: float = 200.0
) -> Path:
    """One track of Slakh2100; what was not rendered has no audio."""
    described = {f"S{number:02d}": dict(stem) for number, stem in enumerate(stems)}
    rendered = [f"{name}.flac" for name, stem in described.items() if stem["audio_rendered"]]
    write_stems(folder / "stems", rendered, first_hz)
    write_stems(folder, ["mix.flac"])
    data = {"UUID": uuid, "audio_dir": "stems", "normalized": True, "stems": described}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(data))
    return folder


def reasons(archive: Path, limits: Limits = LIMITS) -> tuple[list[str], list[tuple[str, str]]]:
    """Members of an archive, and paths and reasons of its problems."""
    found, problems = members(archive, limits)
    return [member.path for member in found], [(p.path, p.reason) for p in problems]


def refused(archive: Path, limits: Limits = LIMITS) -> str:
    """Reason why a whole archive is refused."""
    with pytest.raises(TrackError) as caught:
        members(archive, limits)
    assert caught.value.message.endswith(".")
    return caught.value.reason


def patched(archive: Path, change: Callable[[bytearray], None]) -> Path:
    """The archive, after a change of its bytes."""
    data = bytearray(archive.read_bytes())
    change(data)
    archive.write_bytes(data)
    return archive
