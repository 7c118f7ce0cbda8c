"""What the benchmark of a GPU works on: songs sung throughout, and models of random weights.

Both are written once into folders that later runs find again.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import ceil
from multiprocessing import get_context
from pathlib import Path

from blocks.cluster import cores
from flows.build_dataset_params import BuildDatasetParams
from models import packages, weights
from models.registry import card
from tasks.engine.stage import fetched_models

FORMATS = (".flac", ".mp3", ".wav")
"""Songs have them in turn."""

SHORTEST_SECTION_SECONDS = 24.0
SLOWEST_BPM, TEMPI = 148, 12
"""At 148 to 159 beats per minute, a section has 16 bars and lasts 24 to 26 s."""


def prepare(params: BuildDatasetParams, songs: int, seconds: float, *, tiny: bool) -> None:
    """Write the songs and the models that are not there yet, in a process for each core.

    Parameters
    ----------
    params
        The folders of the songs and of the models, and the steps that need them.
    songs, seconds
        How many songs, and how long each.
    tiny
        Whether models have few parameters, instead of as many as the published ones.
    """
    assert params.audio_dir is not None
    assert params.models_dir is not None
    songs_dir, models_dir = Path(params.audio_dir), Path(params.models_dir)
    songs_dir.mkdir(parents=True, exist_ok=True)
    models = [
        name for name in fetched_models(params.stages()) if packages.folder(card(name)) is None
    ]
    # The largest model takes longest.
    wanted: list[partial[None]] = [
        partial(_write_model, models_dir, name, tiny)
        for name in sorted(models, key=lambda name: -card(name).size_bytes)
        if not _is_there(models_dir / name, name, tiny)
    ]
    wanted += [
        partial(write_song, path, number, seconds)
        for number in range(songs)
        if not (path := songs_dir / f"{number:03d}{FORMATS[number % len(FORMATS)]}").exists()
    ]
    if wanted:
        processes = min(len(wanted), cores())
        # Spawned: threads of this process do not survive in a forked one.
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            for each in [pool.submit(write) for write in wanted]:
                each.result()


def _is_there(folder: Path, name: str, tiny: bool) -> bool:
    manifest = weights.read_manifest(folder)
    kind = weights.RANDOM[0 if tiny else 1]
    is_kind = manifest is not None and manifest.revision.startswith(kind)
    return is_kind and not weights.problems(folder, card(name))


def _write_model(models_dir: Path, name: str, tiny: bool) -> None:
    from models.tiny.write import write

    write(models_dir, name, published=not tiny)


def write_song(path: Path, number: int, seconds: float) -> None:
    """Write a song whose sections all have a voice.

    Parameters
    ----------
    path
        The file; its suffix says the format.
    number
        Decides what is sung and played: the same one gives the same samples.
    seconds
        Length, to the sample.
    """
    from examples.songs import RATE_HZ, make_song, write_audio

    sections = ceil(seconds / SHORTEST_SECTION_SECONDS)
    song = make_song(
        number + 1,
        seconds=1.1 * SHORTEST_SECTION_SECONDS * sections,
        tempo_bpm=SLOWEST_BPM + number % TEMPI,
        structure=[("verse", "chorus")[at % 2] for at in range(sections)],
    )
    # One that was cut off is no song.
    unfinished = path.with_name(f".{path.name}")
    write_audio(unfinished, song.mix[:, : round(seconds * RATE_HZ)])
    unfinished.replace(path)
