"""Songs of stems that lie about as files: from a folder each to songs as names tell them."""

from collections.abc import Sequence

from blocks.storage import Storage
from tasks.corpora.layout import ROOT, artist_and_title, folder_name
from tasks.corpora.names.arrange import Group, arranged
from tasks.corpora.song import Song, StemFile
from tasks.text import printable

GENERIC = frozenset(
    (
        *("stems", "stem", "tracks", "multitrack", "multitracks", "audio", "audio files", "files"),
        *("wav", "wavs", "wav files", "flac", "mp3", "aif", "aiff", "bounces", "bounced files"),
        *("exports", "export", "rendered", "renders", "out", "output", "outputs", "separated"),
        *("uvr", "htdemucs", "htdemucs_ft", "htdemucs_6s", "hdemucs_mmi", "mdx", "mdx_extra"),
        *("mdx_extra_q", "downloads", "samples", "raw", "dry", "wet"),
    )
)
"""Folders that are named after what made them or what they hold, and not after song or artist."""


def regrouped(source: Storage, songs: Sequence[Song]) -> list[Song]:
    """Return the songs that loose stems belong to, from a song for each folder.

    Parameters
    ----------
    source
        Where they lie.
    songs
        A song for each folder that holds audio.
    """
    paths = [stem.path for song in songs for stem in song.stems]
    return [_song(source, group) for group in arranged(paths)]


def _song(source: Storage, group: Group) -> Song:
    stems = [StemFile(printable(name), path) for path, name in group.paths.items()]
    place = group.place or ROOT
    title, artist = _title_and_artist(source, group.folder)
    if group.title:
        place = f"{place}: {group.title}"
        told, song_title = artist_and_title(group.title)
        if told != group.title:
            artist, title = told, song_title
        else:
            # As with archives: the folder of several songs is an artist's, unless it is a tool's.
            is_an_artist = group.folder and title.casefold() not in GENERIC
            artist, title = title if is_an_artist else group.title, group.title
    return Song("", place, artist=artist, title=title, stems=stems)


def _title_and_artist(source: Storage, folder: str) -> tuple[str, str]:
    """Return title and artist by the names of a song's folder and of the one that it lies in."""
    parts = [part for part in folder.split("/") if part]
    while len(parts) > 1 and parts[-1].casefold() in GENERIC:
        parts.pop()
    title = folder_name(source, "/".join(parts) or ROOT)
    above = parts[:-1]
    if above and above[-1].casefold() in GENERIC:
        return title, artist_and_title(title)[0]
    return title, printable(above[-1]) if above else title
