"""Archives of the stems of synthesised songs, as multitrack sessions are passed around.

``python -m examples.stem_archives OUTPUT_DIR --count 5`` writes ``<artist>/<song>.zip``, each
with a WAV file of the guitar, the bass, the drums and the vocals.
"""

import argparse
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import soundfile

from examples.song import Song
from examples.songs import make_song
from examples.voice import RATE_HZ

NAMES = {"chords": "guitar", "bass": "bass", "drums": "drums", "vocals": "lead vocals"}
"""What the session calls the stems."""


def write_archive(song: Song, path: Path) -> Path:
    """Write the stems of a song as a zip archive of WAV files.

    Parameters
    ----------
    song
        The song.
    path
        The archive; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for stem, name in NAMES.items():
            wav = Path(folder, f"{name}.wav")
            soundfile.write(wav, song.stems[stem].T, RATE_HZ, subtype="PCM_16")
            file.write(wav, f"{song.title}/{wav.name}")
    return path


def main() -> None:
    """Write the archives that the command line asks for, each of an artist of its own."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.stem_archives", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("output", type=Path, metavar="OUTPUT_DIR", help="where to write")
    parser.add_argument("--count", type=int, default=5, help="how many songs (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="of the first song (default: 0)")
    parser.add_argument("--seconds", type=float, default=30.0, help="length (default: 30)")
    options = parser.parse_args()
    for seed in range(options.seed, options.seed + options.count):
        song = make_song(seed, seconds=options.seconds)
        path = write_archive(song, options.output / f"Artist {seed}" / f"{song.title}.zip")
        print(path)


if __name__ == "__main__":
    main()
