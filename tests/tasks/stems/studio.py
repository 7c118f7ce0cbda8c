"""Songs of synthesised stems, prepared and made into pairs without Prefect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from blocks.storage import Storage
from tasks.corpora import prepared
from tasks.corpora.discover import Discovery, discover
from tasks.corpora.prepared_song import PreparedSong
from tasks.engine.plan import Plan, plan, run_here
from tasks.engine.results import Results
from tasks.engine.stage import Stage
from tasks.stems import compare as compare_step
from tasks.stems import convert as convert_step
from tasks.stems import identify as identify_step
from tasks.stems import prepared_stems
from tasks.stems.compare import CompareConfig
from tasks.stems.convert import ConvertConfig
from tasks.stems.identify import IdentifyConfig
from tasks.step import Row, Tools, Track

RATE_HZ = 44_100
CONVERT, IDENTIFY = ConvertConfig(), IdentifyConfig()


def melody(seed: int, seconds: float, channels: int = 2, level: float = 0.2) -> np.ndarray:
    """Notes, other ones for each seed and channel, shape ``(samples, channels)``."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    signal = np.zeros((len(time), channels))
    for start in np.arange(0.0, seconds, 0.25):
        # Found by halving: looking at all samples for each note takes seconds of a long song.
        note = slice(*np.searchsorted(time, (start, start + 0.25)))
        envelope = np.sin(np.pi * (time[note] - start) / 0.25)
        for channel in range(channels):
            frequency_hz = 110 * 2 ** (rng.integers(0, 36) / 12)
            phase = 2 * np.pi * frequency_hz * time[note]
            signal[note, channel] += envelope * (np.sin(phase) + 0.5 * np.sin(2 * phase))
    return (level * signal).astype(np.float32)


def write_song(
    folder: Path, names: Sequence[str], seed: int, seconds: float = 4.0, channels: int = 2
) -> Path:
    """A folder with a WAV file per stem."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        signal = melody(100 * seed + number, seconds, channels)
        soundfile.write(folder / f"{name}.wav", signal, RATE_HZ, subtype="PCM_16")
    return folder


@dataclass(frozen=True)
class Carried:
    """A plan that was carried out in this process."""

    plan: Plan

    def row(self, step: str, track: Track) -> Row:
        """Row of a track."""
        return self.results.row(step, track)

    @property
    def results(self) -> Results:
        """What the plan made."""
        return self.plan.results

    @property
    def computed(self) -> Mapping[str, int]:
        """How many rows of each step were computed."""
        return {name: count for name, count in self.plan.pending.items() if count}


def carry_out(
    stages: Sequence[Stage], songs: Sequence[Track], tables: Storage, tools: Tools
) -> Carried:
    """Run the steps over the songs, as workers would."""
    made = plan(stages, songs, tables, tools, run_id="run", workers=1, batch_tracks=2)
    run_here(made)
    return Carried(made)


@dataclass(frozen=True)
class Prepared:
    """A prepared folder, and what it was made of."""

    storage: Storage
    found: Discovery
    carried: Carried
    stems: list[Row]
    failures: list[Row]

    @property
    def songs(self) -> list[PreparedSong]:
        """Songs of the table."""
        return prepared.songs(prepared.read(self.storage))


def prepare(
    source: Path,
    folder: Path,
    convert: ConvertConfig = CONVERT,
    identify: IdentifyConfig = IDENTIFY,
) -> Prepared:
    """Prepare a source, as the flow does it."""
    storage = Storage(str(folder))
    checkpoints = storage.below("checkpoints")
    found = discover(Storage(str(source)), checkpoints, own=[storage])
    stages = [
        Stage(convert_step.STEP, convert),
        Stage(compare_step.STEP, CompareConfig()),
        Stage(identify_step.STEP, identify),
    ]
    tools = Tools(source=Storage(str(source)), outputs=storage)
    carried = carry_out(stages, found.songs, checkpoints.below("steps"), tools)
    stems, failures = prepared_stems.write(carried.results, found, storage)
    return Prepared(storage, found, carried, stems, failures)
