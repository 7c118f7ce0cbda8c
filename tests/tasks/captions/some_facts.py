"""Facts of tracks as corpora have them, and worse."""

from hypothesis import strategies as st

from tasks.captions.facts import Facts

GENRES = (
    "Rock", "Electronic", "Hip-Hop", "R&B", "IDM", "UK Garage", "Old-Time / Historic", "80s",
    "Soundtrack", "World Music", "Indie-Rock", "Instrumental", "A Cappella", "Drum & Bass",
    "Easy Listening", "the blues", "Piano Pieces", "Rock", "rock", "MPB", "Bossa Nova", "dance",
)  # fmt: skip
MOODS = (
    "calm", "upbeat", "energetic", "dark", "unique", "honest", "slow", "fast", "rock", "uplifting",
    "European", "Calm", "melancholic", "  dreamy ", "old-fashioned", "instrumental", "epic",
)  # fmt: skip
INSTRUMENTS = (
    "guitar", "electric guitar", "drums", "bass", "synthesizer", "piano", "voice", "vocals",
    "choir", "acoustic guitar", "ukulele", "organ", "drum machine", "piano, four hands", "",
)  # fmt: skip
THEMES = ("documentary", "film", "advertising", "christmas", "space", "epic", "love theme", "hour")
VOICES = ("female", "male", "mixed", "child", "vocal", "instrumental", "alien")
KEYS = ("F# minor", "Bb major", "C", "A minor", "")
SECTIONS = ("intro", "verse", "chorus", "bridge", "solo", "inst", "outro", "part b")


def _some(values: tuple[str, ...], most: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=most).map(tuple)


facts = st.builds(
    Facts,
    genres=_some(GENRES, 4),
    moods=_some(MOODS, 4),
    instruments=_some(INSTRUMENTS, 6),
    themes=_some(THEMES, 3),
    voice=st.none() | st.sampled_from(VOICES),
    speed=st.none() | st.sampled_from(("slow", "medium", "fast", "warp")),
    key=st.none() | st.sampled_from(KEYS),
    metre=st.none() | st.sampled_from(("4/4", "3/4", "6/8")),
    tempo_bpm=st.none() | st.floats(30, 300) | st.sampled_from((0.0, -1.0, float("nan"))),
    sections=_some(SECTIONS, 8),
)
