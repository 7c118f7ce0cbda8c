"""Words: what is heard of a song whose words are known, and where they are put.

A row of the table of truths may name ``SONG.words.csv`` (``word_start`` in seconds, a row per word)
beside the recording SONG; ``SONG.lines.csv`` (``start_time``, ``lyrics_line``) says the words.
The song is built three times: without lyrics, for the word error rate of what Whisper hears; with
the bare text; and with the times of its lines, for the errors of where the words are put to begin.
"""

import csv
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.build_dataset import BUILD
from flows.build_dataset_params import BuildDatasetParams
from flows.run import prepare
from tasks.audio import EXTENSIONS
from tasks.engine.plan import run_here

NAMED = re.compile(r"[^\s,;]+\.words\.csv")
NEAR_SECONDS = 1.0


@dataclass(frozen=True)
class SungWords:
    """What is known of the words of a recording.

    Attributes
    ----------
    recording
        The file.
    lines
        Starts in seconds, and texts.
    starts_seconds
        Of the words, in order.
    """

    recording: Path
    lines: tuple[tuple[float, str], ...]
    starts_seconds: tuple[float, ...]


def read(folder: Path, rows: Sequence[dict[str, str]]) -> Iterator[SungWords]:
    """Yield what the rows of a table name."""
    for row in rows:
        for name in NAMED.findall(f"{row['file']} {row['value']}"):
            path = folder / name
            stem = path.name.removesuffix(".words.csv")
            beside = sorted(path.parent.glob(f"{stem}.*")) if path.is_file() else []
            recordings = [each for each in beside if each.suffix.lower() in EXTENSIONS]
            if not recordings:
                print(f"{name}: passed over, no such table or no recording beside it")
                continue
            with path.open(newline="") as words:
                starts = tuple(float(each["word_start"]) for each in csv.DictReader(words))
            with path.with_name(f"{stem}.lines.csv").open(newline="", encoding="utf-8") as table:
                lines = tuple(
                    (float(each["start_time"]), each["lyrics_line"])
                    for each in csv.DictReader(table)
                )
            yield SungWords(recordings[0], lines, starts)


def score(
    truth: SungWords, separator: str, model: str, models_dir: str | None = None
) -> dict[str, float]:
    """Return the word error rate, and the errors of the starts of words in seconds."""
    text = "".join(f"{line}\n" for _, line in truth.lines)
    timed = "".join(
        f"[{int(start // 60):02}:{start % 60:06.3f}]{line}\n" for start, line in truth.lines
    )
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, lyrics in (("heard", None), ("text", text), ("lines", timed)):
            row = _row(truth, Path(folder), name, lyrics, separator, model, models_dir)
            if name == "heard":
                said = [word for _, line in truth.lines for word in normal(line)]
                figures["words WER"] = word_error_rate(said, normal(row["text"] or ""))
                continue
            starts = np.array([np.nan if at is None else at for at in row["word_start_seconds"]])
            errors = np.abs(starts - truth.starts_seconds)
            errors[np.isnan(errors)] = np.inf
            figures[f"onset, {name}"] = float(np.median(errors))
            figures[f"in 1 s, {name}"] = float(np.mean(errors <= NEAR_SECONDS))
    return figures


def _row(
    truth: SungWords,
    folder: Path,
    name: str,
    lyrics: str | None,
    separator: str,
    model: str,
    models_dir: str | None,
) -> dict[str, Any]:
    """Row of the step that has the words, of a song with these lyrics beside it."""
    songs = folder / name
    songs.mkdir()
    song = songs / truth.recording.name
    shutil.copyfile(truth.recording, song)
    if lyrics is not None:
        song.with_suffix(".lrc").write_text(lyrics, encoding="utf-8")
    params = BuildDatasetParams.model_validate(
        {
            "audio_dir": str(songs),
            "output": str(folder / f"built-{name}.json"),
            "checkpoint_dir": str(folder / "checkpoints"),
            "profile": "offline",
            "separator": separator,
            "transcribe": {"model": model if lyrics is None else "off"},
            "align": {"model": model},
            "steps": ["transcribe" if lyrics is None else "align"],
            "models_dir": models_dir,
            "llm": False,
            "workers": 1,
        }
    )
    made, _ = prepare(BUILD, params)
    run_here(made)
    step = "transcribe" if lyrics is None else "align"
    ((_, rows),) = made.results.joined((step,))
    return dict(rows[step])


def normal(text: str) -> list[str]:
    """Words without case, accents and punctuation."""
    plain = unicodedata.normalize("NFD", text.casefold())
    kept = "".join(
        char if char.isalnum() else "" if unicodedata.combining(char) else " " for char in plain
    )
    return kept.split()


def word_error_rate(said: Sequence[str], heard: Sequence[str]) -> float:
    """Levenshtein distance of the words, per word that was said."""
    row = list(range(len(heard) + 1))
    for at, word in enumerate(said, 1):
        diagonal, row[0] = row[0], at
        for place, other in enumerate(heard, 1):
            best = min(row[place] + 1, row[place - 1] + 1, diagonal + (word != other))
            diagonal, row[place] = row[place], best
    return row[-1] / len(said)
