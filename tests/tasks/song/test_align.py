"""Where known words are sung: which lines, in which windows, and the edges of their words."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from faster_whisper.tokenizer import Tokenizer

from blocks.storage import Storage
from examples.speech import SPEECH_RATE_HZ, speak
from models import adapters, registry
from models.tiny.write import write
from models.whisper_alignment import align as align_words
from tasks.audio import spooled
from tasks.song import align, word_edges
from tasks.song.aligned_lines import find, in_parts
from tasks.song.column_values import (
    Rows,
    lyrics_lines,
    lyrics_notices,
    lyrics_words,
    words_heard,
)
from tasks.song.heard import heard
from tasks.song.track import SongTrack
from tasks.song.word_places import MAX_BYTES, RATE_HZ, Known, Placed, PlacedLine, batches, told
from tasks.step import Tools
from tasks.weights import Weights

LINES = ["the river runs below", "the mountain my name"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder, "whisper-tiny")
    return Weights(str(folder))


@pytest.fixture(scope="module")
def adapter(weights):
    return adapters.load(registry.card("whisper-tiny"), "cpu", weights.folder("whisper-tiny"))


@pytest.fixture(scope="module")
def speech():
    words = " ".join(LINES).split()
    spoken = speak(words)
    return np.concatenate([spoken[word].samples for word in words])


def best_by_trying_all(gains):
    """The most that any order of places gives, every one of them tried."""
    unheard = np.maximum(gains.max(axis=0), 0.0)
    best = -np.inf
    for places in product([None, *range(gains.shape[1])], repeat=len(gains)):
        taken = [place for place in places if place is not None]
        if taken == sorted(taken) and all(
            place is None or gains[line, place] > 0 for line, place in enumerate(places)
        ):
            passed = sum(unheard) - sum(unheard[sorted(set(taken))])
            told = sum(gains[line, place] for line, place in enumerate(places) if place is not None)
            best = max(best, told - passed)
    return best


def worth(gains, places):
    unheard = np.maximum(gains.max(axis=0), 0.0)
    taken = [place for place in places if place is not None]
    assert taken == sorted(taken)
    gained = sum(gains[line, place] for line, place in enumerate(places) if place is not None)
    return gained - sum(unheard) + sum(unheard[sorted(set(taken))])


@pytest.mark.parametrize("seed", range(20))
def test_most_is_told_of_what_is_heard(seed):
    gains = np.random.default_rng(seed).normal(0.2, 1.0, (4, 4))
    assert worth(gains, told(gains)) == pytest.approx(best_by_trying_all(gains))


def test_a_chorus_goes_where_it_is_sung_each_time_and_a_line_of_another_song_nowhere():
    verse, other, chorus, silent = (
        [4.0, -1.0, -1.0, -1.0, -1.0],
        [-1.0, -1.0, 3.0, -1.0, -1.0],
        [-1.0, 3.0, -1.0, 3.0, 3.0],
        [-0.5, -0.2, -0.1, -0.5, -0.5],
    )
    gains = np.array([verse, chorus, silent, other, chorus, chorus])
    assert told(gains) == [0, 1, None, 2, 3, 4]


def test_a_group_of_lines_is_short_enough_to_be_read():
    lines = [("x" * size,) for size in (200, 200, 100, 438, 1)]
    assert batches(lines) == [[0, 1], [2], [3], [4]]


def test_a_long_line_is_cut_at_words_and_a_paragraph_without_spaces_is_known_by_its_beginning():
    parts = in_parts(Known(("word",) * 200, 3.0))
    assert len(parts) == 3
    assert sum(len(part.words) for part in parts) == 200
    assert [part.start_seconds for part in parts] == [3.0, None, None]
    ((word,),) = (part.words for part in in_parts(Known(("歌" * 300,))))
    assert len(word.encode()) <= MAX_BYTES
    assert set(word) == {"歌"}
    assert in_parts(Known(())) == []


def test_words_are_no_longer_than_the_voice_in_them():
    voice = np.zeros(500, bool)
    voice[50:100] = voice[150:200] = voice[210:240] = True  # at 1, 3 and 4.2 s
    line = PlacedLine((Placed(0.0, 4.0, -1.0), Placed(4.0, 6.0, -1.0), Placed(6.0, 7.0, -1.0)), 2.0)
    (found,) = word_edges.at_the_voice([line], voice)
    spans = [(word.start_seconds, word.end_seconds) for word in found.words]
    # Of two sounds the first word of a line is the last; where nothing sounds, nothing is known.
    assert np.ravel(spans) == pytest.approx([3.0, 4.0, 4.2, 4.8, 6.0, 7.0])


def test_in_a_mix_the_first_word_of_a_line_does_not_reach_far_back():
    words = (Placed(0.0, 10.0, 0.0), Placed(10.0, 10.4, 0.0), Placed(10.4, 11.0, 0.0))
    (found,) = word_edges.not_before([PlacedLine(words, 1.0)])
    assert found.words == (Placed(9.0, 10.0, 0.0), *words[1:])


@pytest.mark.parametrize(
    ("line", "is_wordless"),
    [
        ("Ooh, ooh oh!", True),
        ("la la laaa", True),
        ("ah", True),
        ("oh my love", False),
        ("a", True),
    ],
)
def test_syllables_are_told_from_words(line, is_wordless):
    assert word_edges.is_wordless(line.split()) is is_wordless


def test_syllables_are_spread_from_the_first_sound_to_the_last():
    voice = np.zeros(1000, bool)
    voice[200:500] = True
    voice[100:105] = True  # a click
    lines = [
        PlacedLine((Placed(0.0, 1.0, 0.0),), 3.0),
        PlacedLine(tuple(Placed(4.0, 4.1, 0.0) for _ in range(3)), 0.1),
        PlacedLine((Placed(15.0, 16.0, 0.0),), 3.0),
    ]
    spread = word_edges.spread(lines, [False, True, False], voice)
    starts = [word.start_seconds for word in spread[1].words]
    assert starts == pytest.approx([4.0, 6.0, 8.0])
    assert (spread[0], spread[2]) == (lines[0], lines[2])


def test_the_voice_is_what_is_loud():
    signal = np.zeros(2 * RATE_HZ, np.float32)
    signal[RATE_HZ:] = np.sin(np.arange(RATE_HZ) / 9)
    signal[:RATE_HZ] = signal[RATE_HZ:] * 0.01
    assert word_edges.voiced(signal).tolist() == [False] * 50 + [True] * 50
    assert not word_edges.voiced(np.zeros(RATE_HZ, np.float32)).any()


def test_the_voice_of_a_long_signal_is_found_block_by_block(monkeypatch):
    noise = np.random.default_rng(1).normal(0, 1, 3 * RATE_HZ + 7).astype(np.float32)
    signal = noise * np.repeat([1.0, 0.001, 0.5], [RATE_HZ, RATE_HZ, RATE_HZ + 7]).astype("f4")
    whole = word_edges.voiced(signal)
    monkeypatch.setattr(word_edges, "FRAMES_AT_ONCE", 7)
    assert word_edges.voiced(spooled([signal], 0)).tolist() == whole.tolist()
    assert whole.tolist() == [True] * 50 + [False] * 50 + [True] * 50


def test_the_adapter_equals_the_librarys_own_alignment(adapter):
    signal = np.random.default_rng(0).normal(0, 0.1, 7 * RATE_HZ).astype(np.float32)
    words = [" the", " river", " runs", " below", " the", " mountain"]
    encoded = adapter.encode(signal)
    model = adapter._model
    tokenizer = Tokenizer(
        model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language="en"
    )
    tokens = [token for word in words for token in tokenizer.encode(word)]
    theirs = model.find_alignment(tokenizer, [tokens], encoded, 700)[0]
    ours = align_words(model, encoded, words, "en", 7.0)
    assert len(theirs) == len(ours) == len(words)
    for word, their in zip(ours, theirs, strict=True):
        assert (word.start_seconds, word.end_seconds) == pytest.approx(
            (their["start"], their["end"])
        )
    one_token = [at for at, word in enumerate(words) if len(tokenizer.encode(word)) == 1]
    assert [np.exp(ours[at].log_probability) for at in one_token] == pytest.approx(
        [theirs[at]["probability"] for at in one_token]
    )
    with pytest.raises(ValueError, match="tokens are more than the 440"):
        align_words(model, encoded, [" the"] * 500, "en", 7.0)


def test_no_words_and_no_sound_are_no_error(adapter):
    assert find(adapter, np.zeros(0, np.float32), [Known(("a",))], "en", is_vocals=True) == [None]
    sound = np.zeros(RATE_HZ, np.float32)
    assert find(adapter, sound, [Known(())], "en", is_vocals=True) == [None]


def lyrics(**changes):
    words = " ".join(LINES).split()
    return {
        "source": "lrc",
        "language": "en",
        "line_text": LINES,
        "line_start_seconds": [0.25, 1.5],
        "line_end_seconds": [1.5, None],
        "word_text": words,
        "word_start_seconds": [None] * len(words),
        "word_end_seconds": [None] * len(words),
        "word_line": [0] * 4 + [1] * 4,
        "heading_text": ["Verse"],
        "heading_start_seconds": [None],
        "heading_line": [0],
        "notices": [],
    } | changes


@pytest.fixture
def aligned(tmp_path, weights, speech):
    storage = Storage(str(tmp_path))
    tools = Tools(storage, storage, weights=weights)
    for name in ("vocals.flac", "mix.flac"):
        with storage.writing(name) as path:
            soundfile.write(path, np.stack([speech, speech]).T, SPEECH_RATE_HZ)

    def aligned(row, method="spleeter"):
        separated = {"vocals_path": "vocals.flac", "method": method}
        upstream = {"lyrics": [row], "separate": [separated], "probe": [{}]}
        config = align.AlignConfig(model="tiny")
        rows = align.STEP.run([SongTrack("a", "mix.flac")], upstream, config, tools)
        return pa.Table.from_pylist(rows, schema=align.STEP.columns).to_pylist()[0]

    return aligned


def test_words_lie_between_the_times_of_their_lines(aligned, monkeypatch):
    # Weights are random: nothing speaks for any line.
    monkeypatch.setattr("tasks.song.aligned_lines.MIN_EVIDENCE", -100.0)
    row = aligned(lyrics())
    assert (row["model"], row["heard"], row["notices"]) == ("whisper-tiny", "vocals", [])
    starts, ends = row["word_start_seconds"], row["word_end_seconds"]
    assert all(0.25 <= start <= end <= 1.5 for start, end in zip(starts[:4], ends[:4], strict=True))
    assert all(1.5 <= start <= end for start, end in zip(starts[4:], ends[4:], strict=True))
    assert all(0 < confidence <= 1 for confidence in row["word_confidence"])
    assert row["line_start_seconds"] == [0.25, 1.5]

    rows = Rows({"lyrics": lyrics(), "align": row, "transcribe": {}})
    assert [word["start_time"] for word in lyrics_words(rows)] == starts
    assert [word["alignment_confidence"] for word in lyrics_words(rows)] == row["word_confidence"]
    assert words_heard(rows) == "vocals"


def test_a_line_that_is_not_heard_has_no_times_from_the_sound_and_is_named(aligned, monkeypatch):
    monkeypatch.setattr("tasks.song.aligned_lines.MIN_EVIDENCE", 100.0)
    row = aligned(lyrics())
    assert row["unsung_lines"] == [0, 1]
    assert row["word_start_seconds"] == [None] * 8
    rows = Rows({"lyrics": lyrics(), "align": row, "transcribe": {}})
    assert lyrics_notices(rows) == [
        "not-sung: these lines are not heard in this recording, and have no times from it (2): "
        + " | ".join(LINES)
    ]
    # What the file says stays.
    assert [line["start_time"] for line in lyrics_lines(rows)] == [0.25, 1.5]


@pytest.mark.parametrize(
    "row",
    [
        lyrics(source="whisper-tiny"),
        lyrics(word_start_seconds=list(range(8)), word_end_seconds=list(range(1, 9))),
        lyrics(word_start_seconds=None, word_text=None, source="none"),
    ],
    ids=["heard", "timed", "none"],
)
def test_nothing_is_aligned_where_nothing_is_to_be(aligned, row):
    assert aligned(row) == dict.fromkeys(align.STEP.columns.names)


def test_vocals_without_weights_are_never_heard():
    assert heard({"method": "repet-centre"}) == "mix"
    assert heard({"method": "spleeter"}) == heard({"method": "mine-0123abcd"}) == "vocals"


def test_times_of_words_that_the_lyrics_give_go_before_those_from_the_sound(aligned, monkeypatch):
    monkeypatch.setattr("tasks.song.aligned_lines.MIN_EVIDENCE", -100.0)
    given = lyrics(word_start_seconds=[0.5, *[None] * 7], word_end_seconds=[0.75, *[None] * 7])
    row = aligned(given)
    assert (row["word_start_seconds"][0], row["word_end_seconds"][0]) == (0.5, 0.75)
    assert None not in row["word_start_seconds"]
