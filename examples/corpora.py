"""Public corpora in their true layouts, of short songs whose texts follow from their sound.

``python -m examples.corpora OUTPUT_DIR --datasets fma song_describer --count 20`` writes each as
``OUTPUT_DIR/<name>``. The first ``--shared`` songs are the same recordings in all corpora: those
of Jamendo (song_describer, mtg_jamendo, jamendo_max_caps) have its ids in common, the others
call song and artist otherwise and are softer. The second song of each is by one artist.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from examples import clip_corpora, tagged_corpora
from examples.pieces import Piece, make_pieces

Write = Callable[[Path, Iterable[Piece]], None]

WRITERS: dict[str, Write] = {
    "song_describer": tagged_corpora.write_song_describer,
    "jamendo_max_caps": tagged_corpora.write_jamendo_max_caps,
    "fma": tagged_corpora.write_fma,
    "mtg_jamendo": tagged_corpora.write_mtg_jamendo,
    "clotho": clip_corpora.write_clotho,
    "musicbench": clip_corpora.write_musicbench,
    "musiccaps": clip_corpora.write_musiccaps,
    "dali": clip_corpora.write_dali,
    "musdb18": clip_corpora.write_musdb18,
    "folder": clip_corpora.write_folder,
    "songmill": clip_corpora.write_songmill,
}
"""Corpus -> what writes it into a folder."""

OF_JAMENDO = frozenset({"song_describer", "mtg_jamendo", "jamendo_max_caps"})
"""Corpora that know a shared song by one id; the others call it otherwise."""


def write_corpus(
    name: str,
    folder: Path,
    count: int = 6,
    *,
    seconds: float = 4.0,
    shared: int = 1,
    seed: int = 1,
) -> Path:
    """Write a corpus in its true layout.

    Parameters
    ----------
    name
        As `WRITERS` has it.
    folder
        Where it comes to lie; made where it is not there.
    count, seconds
        How many songs, and how long they are.
    shared
        How many of them are the same recordings in all corpora.
    seed
        Of the songs that are its own.

    Returns
    -------
    Path
        The folder.
    """
    first = 10_000 * seed + 1_000 * (1 + list(WRITERS).index(name))
    other_names = name not in OF_JAMENDO
    WRITERS[name](folder, make_pieces(first, count, seconds, shared, other_names))
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the corpora that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m examples.corpora", description=__doc__)
    parser.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR")
    parser.add_argument(
        "--datasets", nargs="+", choices=list(WRITERS), default=list(WRITERS), metavar="NAME",
        help=f"which of {', '.join(WRITERS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=6, help="songs of each (default: 6)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each (default: 4)")
    parser.add_argument(
        "--shared", type=int, default=1, help="how many songs all have in common (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of their own songs (default: 1)")
    options = parser.parse_args(arguments)
    for name in options.datasets:
        folder = write_corpus(
            name,
            options.output_dir / name,
            options.count,
            seconds=options.seconds,
            shared=options.shared,
            seed=options.seed,
        )
        print(f"{folder}: {options.count} songs")


if __name__ == "__main__":
    main()
