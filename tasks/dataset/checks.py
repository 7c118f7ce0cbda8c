"""What is looked for in a dataset: one row of :data:`CHECKS` is one thing that may be wrong.

A check is an SQL question whose rows are what is suspicious. It is asked where the dataset has the
columns that it needs, and says nothing elsewhere. None of them proves an error: each says what to
look at, and what can be done.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from tasks.dataset.query import Column
from tasks.dataset.split import NOBODY
from tasks.dataset.views import quoted

IDS = {
    "tracks": "track_id",
    "segments": "concat(track_id, ' ', segment_idx)",
    "unified": "id",
    "pairs": "id",
    "examples": "id",
}
"""What a row of a table is known by."""

TEMPO_BPM = (50, 200)
"""Slower and faster music is rare, and most of what is found there is half or double a tempo."""

OCTAVES = "({ratio} BETWEEN 1.9 AND 2.1 OR {ratio} BETWEEN 0.475 AND 0.526)"
"""Factors of two and a half, within 5 %."""

LIKE_TEMPI = "count(*) >= 5 AND quantile_cont({tempo}, 0.75) <= 1.25 * quantile_cont({tempo}, 0.25)"
"""Tracks whose tempi are alike enough that one of twice as much stands out."""

SAME_SECONDS = 0.1
"""How far two times may lie apart that are one: more than any rounding, less than a beat."""

SCRIPTS = {
    **dict.fromkeys(("be", "bg", "kk", "ky", "mk", "mn", "ru", "uk"), ("Cyrillic",)),
    "sr": ("Cyrillic", "Latin"),
    **dict.fromkeys(("ar", "fa", "ps", "ug", "ur"), ("Arabic",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("Devanagari",)),
    **dict.fromkeys(("as", "bn"), ("Bengali",)),
    **{"he": ("Hebrew",), "el": ("Greek",), "th": ("Thai",), "hy": ("Armenian",)},
    **{"ka": ("Georgian",), "am": ("Ethiopic",), "km": ("Khmer",), "lo": ("Lao",)},
    **{"ta": ("Tamil",), "te": ("Telugu",), "kn": ("Kannada",), "ml": ("Malayalam",)},
    **{"gu": ("Gujarati",), "pa": ("Gurmukhi", "Arabic"), "or": ("Oriya",), "si": ("Sinhala",)},
    **{"zh": ("Han",), "ja": ("Han", "Hiragana", "Katakana"), "ko": ("Hangul", "Han")},
}
"""Scripts of languages by ISO 639-1, as Unicode calls them; of those that are not here, Latin."""

OTHER_SCRIPT_SHARE = 0.5
"""Share of letters in no script of the language from which both disagree: songs have refrains and
loan words in English."""

SCRIPT_CHARACTERS = 500
"""From the beginning of a text, by which its script is told: a verse and a chorus."""


@dataclass(frozen=True)
class Check:
    """Something that is looked for.

    Attributes
    ----------
    name
        Of what it finds.
    table
        Whose rows it finds.
    columns
        Columns of the table that it needs.
    question
        SELECT of the rows that are suspicious, of which it gives the column ``id``. ``$id``
        stands for what a row is known by, ``$column`` and ``$name`` for the column of `each` and
        its name as a text.
    advice
        What it means and what to do, in a sentence.
    others
        Columns of other tables that it needs.
    each
        Which columns it is asked of, one by one; None if it is asked once.
    of_columns
        Whether what it finds are not rows but columns, all of them together.
    absent
        What to say where a column is missing; nothing if it is empty.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    question: str
    advice: str
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    each: Callable[[Column], bool] | None = None
    of_columns: bool = False
    absent: str = ""


def _is_scalar(column: Column) -> bool:
    return column.is_number or column.type in ("VARCHAR", "BOOLEAN")


def _is_embedding(column: Column) -> bool:
    return column.name.endswith("embedding") and column.type.startswith("FLOAT[")


def _is_fraction(column: Column) -> bool:
    return column.type in ("FLOAT", "DOUBLE")


def _tempo(table: str, tempo: str) -> list[Check]:
    """Return the checks of a column of tempi."""
    low, high = TEMPO_BPM
    by_whom = []
    for who, nobody in (("artist", True), ("genre", False)):
        octaves = OCTAVES.format(ratio=f"{tempo} / usual")
        named = _names_somebody(who) if nobody else f"{who} <> ''"
        by_whom.append(
            Check(
                f"tempo-octave-of-{who}",
                table,
                (tempo, who),
                f"SELECT $id AS id FROM {table} JOIN (SELECT lower({who}) AS whose, "
                f"median({tempo}) AS usual FROM {table} WHERE {named} AND {tempo} > 0 "
                f"GROUP BY whose HAVING {LIKE_TEMPI.format(tempo=tempo)}) ON lower({who}) = whose "
                f"WHERE {octaves}",
                f"The tempo is twice or half of what the {who}'s tracks have: listen to some, and "
                "correct it in apps/browse.py, or leave them out.",
            )
        )
    return [
        Check(
            "tempo-unusual",
            table,
            (tempo,),
            f"SELECT $id AS id FROM {table} WHERE {tempo} NOT BETWEEN {low} AND {high}",
            f"Below {low} or above {high} bpm a tempo is often half or double the right one: "
            "listen to some, and correct it in apps/browse.py, or leave them out.",
        ),
        *by_whom,
    ]


def _names_somebody(who: str) -> str:
    """Return the condition that an artist's name names somebody, as splits see it."""
    nobody = ", ".join(f"'{name}'" for name in sorted(NOBODY))
    return f"regexp_replace(lower({who}), '[^\\p{{L}}\\p{{N}}]', '', 'g') NOT IN ({nobody})"


def _script(table: str, text: str, language: str) -> Check:
    """Return the check of a text's script; what a tag says of its script itself is believed."""
    stated = f"split_part({language}, '-', 1)"
    start = f"left({text}, {SCRIPT_CHARACTERS})"
    cases = []
    for scripts in dict.fromkeys(SCRIPTS.values()):
        codes = ", ".join(f"'{code}'" for code, of_it in SCRIPTS.items() if of_it == scripts)
        cases.append(f"WHEN {stated} IN ({codes}) THEN {_letters_beside(start, scripts)}")
    beside = f"CASE {' '.join(cases)} ELSE {_letters_beside(start, ('Latin',))} END"
    letters = f"length(regexp_replace({start}, '\\P{{L}}', '', 'g'))"
    others = ", ".join(f"'{code}'" for code, scripts in SCRIPTS.items() if "Latin" not in scripts)
    # ASCII, which is most of it, is Latin at a glance.
    is_other = (
        f"CASE WHEN strlen({start}) = length({start}) "
        f"THEN {stated} IN ({others}) AND regexp_matches({start}, '[A-Za-z]') "
        f"ELSE {beside} > {OTHER_SCRIPT_SHARE} * {letters} END"
    )
    return Check(
        f"{text}-in-another-script",
        table,
        (text, language),
        f"SELECT $id AS id FROM {table} WHERE NOT regexp_matches({language}, '-[A-Z][a-z]{{3}}') "
        f"AND {is_other}",
        f"Most letters of {text} are in no script of the language that is stated: one of both is "
        "wrong, or the text is transcribed; correct the language, or leave them out.",
    )


def _letters_beside(text: str, scripts: Collection[str]) -> str:
    """Return the number of a text's letters that are in none of some scripts, in SQL."""
    kept = "".join(f"\\p{{{script}}}" for script in scripts)
    return f"length(regexp_replace({text}, '\\P{{L}}|[{kept}]', '', 'g'))"


def _in_two_splits(table: str, key: str) -> Check:
    name = quoted(key)
    named = _names_somebody(name) if key == "artist" else f"{name} IS NOT NULL"
    return Check(
        f"{key.replace('_', '-')}-in-two-splits",
        table,
        ("split", key),
        f"SELECT {name} AS id FROM {table} WHERE {named} GROUP BY {name} "
        "HAVING count(DISTINCT split) > 1",
        f"What has one {key.replace('_', ' ')} is in two splits: figures of the test would be too "
        "good; make the splits again.",
    )


def _repeats(table: str, text: str, of: str, advice: str) -> Check:
    """Return the check of a text that several have: `of` says who must differ."""
    return Check(
        f"{text.replace('_', '-')}-repeats",
        table,
        (text,),
        f"SELECT $id AS id FROM {table} WHERE hash({text}) IN (SELECT hash({text}) "
        f"FROM {table} WHERE {text} <> '' GROUP BY hash({text}) HAVING min({of}) <> max({of}))",
        advice,
    )


_CUT = "leave them out of what is trained with, or keep one of each."

CHECKS: tuple[Check, ...] = (
    *_tempo("tracks", "tempo"),
    *_tempo("unified", "tempo_bpm"),
    Check(
        "tempo-octave-of-beats",
        "tracks",
        ("tempo", "beats"),
        "SELECT $id AS id FROM (SELECT *, tempo / 60 * list_aggregate(list_transform("
        "range(1, len(beats)), lambda beat: beats[beat + 1] - beats[beat]), 'median') AS ratio "
        "FROM tracks WHERE tempo > 0 AND len(beats) > 2) "
        f"WHERE {OCTAVES.format(ratio='ratio')}",
        "The beats go twice or half as fast as the tempo says: one of both is an octave off, in a "
        "corrected tempo most often the beats; use one of them only.",
    ),
    Check(
        "segment-without-length",
        "segments",
        ("start_time", "end_time"),
        "SELECT $id AS id FROM segments WHERE end_time <= start_time",
        "The segment has no length: nothing can be cut there; leave it out.",
    ),
    Check(
        "segments-overlap",
        "segments",
        ("track_id", "start_time", "end_time"),
        "SELECT track_id AS id FROM segments GROUP BY track_id HAVING sum(end_time - start_time) "
        f"> max(end_time) - min(start_time) + {SAME_SECONDS}",
        "Segments of the track overlap, so that some of it counts twice: leave its segments out.",
    ),
    Check(
        "no-segment",
        "tracks",
        ("track_id",),
        "SELECT $id AS id FROM tracks WHERE track_id NOT IN (SELECT track_id FROM segments)",
        "The track has no segment: an export of segments does not have it.",
        others={"segments": ("track_id",)},
    ),
    Check(
        "duration-of-segments",
        "tracks",
        ("track_id", "duration"),
        "SELECT $id AS id FROM tracks JOIN (SELECT track_id AS whose, max(end_time) AS ends "
        "FROM segments GROUP BY track_id) ON track_id = whose "
        f"WHERE abs(duration - ends) > {SAME_SECONDS}",
        "The last segment does not end where the track does: tables of two builds, or a file that "
        "was replaced; build the dataset again.",
        others={"segments": ("track_id", "end_time")},
    ),
    Check(
        "no-duration",
        "unified",
        ("duration",),
        "SELECT $id AS id FROM unified WHERE duration IS NULL OR duration <= 0",
        "The row has no length: leave it out.",
    ),
    _script("tracks", "lyrics", "lyrics_language"),
    _script("unified", "caption", "language"),
    Check(
        "lyrics-of-instrumental",
        "tracks",
        ("lyrics", "is_instrumental"),
        "SELECT $id AS id FROM tracks WHERE is_instrumental AND trim(lyrics) <> ''",
        "There are lyrics, but no voice is heard: the file is the karaoke version, or the lyrics "
        "are another song's; listen to some, and drop the wrong ones in apps/browse.py.",
    ),
    Check(
        "lyrics-without-vocals",
        "segments",
        ("segment_lyrics", "has_vocals"),
        "SELECT $id AS id FROM segments WHERE NOT has_vocals AND trim(segment_lyrics) <> ''",
        "Words are said to be sung where no voice is heard: times of the lyrics may be off; "
        "see lyrics_notices of the track.",
    ),
    Check(
        "vocals-of-instrumental",
        "tracks",
        ("vocals_path", "is_instrumental"),
        "SELECT $id AS id FROM tracks WHERE is_instrumental AND vocals_path IS NOT NULL",
        "Vocals were separated of music without a voice, and hold what leaked: leave them out of "
        "what is made of vocals (NOT is_instrumental).",
    ),
    Check(
        "near-duplicates",
        "tracks",
        ("duplicate_group",),
        "SELECT $id AS id FROM tracks WHERE duplicate_group IS NOT NULL",
        f"The recording is there more than once: {_CUT}",
        absent="Near-duplicates were not looked for: the dataset has no column duplicate_group.",
    ),
    *(_in_two_splits("tracks", key) for key in ("group", "artist", "duplicate_group")),
    *(_in_two_splits("unified", key) for key in ("group", "artist")),
    *(_in_two_splits("pairs", key) for key in ("song_id", "artist")),
    _repeats("unified", "caption", "id", f"Several rows have the same caption: {_CUT}"),
    _repeats(
        "segments",
        "prompt",
        "track_id",
        "Segments of different tracks have the same prompt: it tells them from each other by "
        "nothing; prompt_enhanced or captions of people say more.",
    ),
    _repeats(
        "tracks",
        "lyrics",
        "track_id",
        f"Several tracks have the same lyrics: covers, versions or copies; {_CUT}",
    ),
    *(
        check
        for table in IDS
        for check in (
            Check(
                "constant-columns",
                table,
                (),
                f"SELECT $name AS id FROM {table} HAVING count(*) > 1 "
                "AND count($column) = count(*) AND min($column) = max($column)",
                "All rows have the same value in these columns: they tell nothing apart, neither "
                "as labels nor in a condition.",
                each=_is_scalar,
                of_columns=True,
            ),
            Check(
                "not-finite",
                table,
                (),
                f"SELECT $id AS id FROM {table} WHERE NOT isfinite($column)",
                "NaN or infinity is no measurement: it spoils every mean; leave the rows out.",
                each=_is_fraction,
            ),
            Check(
                "embedding-of-zeros",
                table,
                (),
                f"SELECT $id AS id FROM {table} WHERE list_min($column::FLOAT[]) = 0 "
                "AND list_max($column::FLOAT[]) = 0",
                "The embedding is all zero and like nothing: leave the rows out.",
                each=_is_embedding,
            ),
        )
    ),
    Check(
        "equal-embeddings",
        "tracks",
        (),
        "SELECT $id AS id FROM tracks WHERE hash($column) IN (SELECT hash($column) "
        "FROM tracks WHERE $column IS NOT NULL GROUP BY hash($column) HAVING count(*) > 1)",
        f"Tracks have the same embedding: copies, or the same silence; {_CUT}",
        each=_is_embedding,
    ),
)
"""What is looked for."""
