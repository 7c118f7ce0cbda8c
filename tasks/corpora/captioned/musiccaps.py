"""MusicCaps: captions and aspects that musicians wrote of clips of ten seconds.

``musiccaps-public.csv``; the audio comes from YouTube, under names with the video's id. Nobody
states a licence of it. AudioSet's evaluation set is for evaluation alone.
https://huggingface.co/datasets/google/MusicCaps
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tasks.corpora.captioned.entry import Dropped, Entry
from tasks.corpora.captioned.places import audio_below, find_files, no_audio, wrong_folder
from tasks.corpora.captioned.reading import (
    below,
    distinct_tags,
    empty_caption,
    finite,
    literal_list,
    malformed,
    records,
    repeated,
    seconds,
    text,
    texts,
)
from tasks.corpora.captioned.vocabulary import tag_of

_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")
# `<id>.wav`, `[<id>]-[30-40].wav`, `<id>_30_40.wav`.
_FILE = re.compile(r"\[?([A-Za-z0-9_-]{11})(?:\]|[_. -]|$)")


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the clips of MusicCaps.

    Raises
    ------
    CorpusError
        If there is no table of MusicCaps.
    """
    tables = find_files(folder, "musiccaps*.csv", "MusicCaps*.csv")
    if not tables:
        raise wrong_folder(folder, "musiccaps", "musiccaps-public.csv")
    path = tables[0]
    files: dict[str, str] = {}
    for file in audio_below(folder):
        if found := _FILE.match(file.rpartition("/")[2].rpartition(".")[0]):
            files.setdefault(found[1], file)
    if not files:
        yield no_audio(folder, "with <ytid>.wav")
    where = below(folder, path)
    seen: set[str] = set()
    for row in records(path, where, ("ytid", "caption", "aspect_list", "is_audioset_eval")):
        if isinstance(row, Dropped):
            yield row
            continue
        line, cells = row
        video = cells["ytid"]
        if not _VIDEO.fullmatch(video):
            yield malformed(f"{where}:{line}", f"{video[:20]!r} is no id of a video")
            continue
        if video in seen:
            yield repeated(f"{where}:{line}", video)
            continue
        seen.add(video)
        caption, aspects = text(cells["caption"]), literal_list(cells["aspect_list"])
        if caption is None:
            yield empty_caption(f"{where}:{line}", video)
        if aspects is None:
            sentence = f"{where}:{line} has aspects that are no list, which are left out."
            yield Dropped("unreadable-tags", f"{where}:{line}", sentence, video, is_notice=True)
        start, end = finite(cells.get("start_s")), finite(cells.get("end_s"))
        is_for_evaluation = cells["is_audioset_eval"].lower() == "true"
        yield Entry(
            video,
            files.get(video, f"audio/{video}.wav"),
            captions=() if caption is None else (caption,),
            language="en" if caption else None,
            tags=distinct_tags(map(tag_of, texts(aspects or ()))),
            duration_seconds=None if start is None or end is None else seconds(end - start),
            shared_ids=(f"youtube:{video}",),
            evaluation_only=is_for_evaluation,
            split="test" if is_for_evaluation else None,
        )
