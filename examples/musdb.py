"""A set of songs as MUSDB18 comes: ``train`` and ``test``, all stems of each song known.

``python -m examples.musdb OUTPUT_DIR --train 20 --test 5`` writes songs in turn as MUSDB18 has
them, ``<Artist> - <Title>.stem.mp4``, and as MUSDB18-HQ, a folder of WAV files each.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from examples.band import Stereo
from examples.corpus_files import write_stem_mp4
from examples.song import Song
from examples.songs import make_song, write_audio

STEMS = {"drums": "drums", "bass": "bass", "other": "chords", "vocals": "vocals"}
"""Stems of MUSDB18 in the order of its streams, and what a synthesised song calls them."""


def write_set(folder: Path, *, train: int, test: int, seconds: float = 30.0, seed: int = 0) -> Path:
    """Write a set of songs, each by an artist of its own.

    Parameters
    ----------
    folder
        Where ``train`` and ``test`` come to lie.
    train, test
        How many songs of each.
    seconds
        Aim for the length of a song.
    seed
        Of the first song.

    Returns
    -------
    Path
        The folder.
    """
    for at in range(train + test):
        song = make_song(seed + at, seconds=seconds)
        part = folder / ("train" if at < train else "test")
        name = f"Artist {seed + at} - {song.title}"
        if at % 2:
            _write_folder(part / name, song)
        else:
            stems = [song.stems[stem] for stem in STEMS.values()]
            write_stem_mp4(part / f"{name}.stem.mp4", [song.mix, *stems])
    return folder


def _write_folder(folder: Path, song: Song) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    waves: dict[str, Stereo] = {"mixture": song.mix}
    waves |= {name: song.stems[stem] for name, stem in STEMS.items()}
    for name, wave in waves.items():
        write_audio(folder / f"{name}.wav", wave)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the set that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m examples.musdb", description=__doc__)
    parser.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR")
    parser.add_argument("--train", type=int, default=20, help="songs in train (default: 20)")
    parser.add_argument("--test", type=int, default=5, help="songs in test (default: 5)")
    parser.add_argument("--seconds", type=float, default=30.0, help="length (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the first song (default: 0)")
    options = parser.parse_args(arguments)
    folder = write_set(
        options.output_dir,
        train=options.train,
        test=options.test,
        seconds=options.seconds,
        seed=options.seed,
    )
    print(f"{options.train} and {options.test} songs: {folder}")


if __name__ == "__main__":
    main()
