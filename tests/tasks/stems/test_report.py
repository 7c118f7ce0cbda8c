import base64
import io
import json
import re

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from models.encodec import Encoded
from models.protocols import CODEC
from models.tiny.write import write
from tasks.stems import dataset_files
from tasks.stems.report import CLIP_SECONDS, embedded, render
from tasks.stems.schema import to_numpy
from tasks.stems.summary import EXAMPLES, Summary
from tasks.weights import Weights
from tests.tasks.song.test_report import Page
from tests.tasks.stems.coded import heard, small_dataset
from tests.tasks.stems.test_dataset_files import ENCODING, batches

MANIFEST = {
    "name": "guitar",
    "created_at": "2025-12-01T10:00:00+00:00",
    "counts": {
        "failed": 1,
        "dropped_silent_chunks": 1234,
        "dropped_short_chunks": 5,
        "silent_pairs": 0,
    },
    "seconds_by_step": {"distort": 3.0, "encode": 12.0},
    "steps": [
        {"step": "distort", "step_version": 2, "config": {"seed": 42}, "models": []},
        {
            "step": "encode",
            "step_version": 1,
            "config": {"chunk_frames": 50},
            "models": [
                {
                    "name": "encodec-32khz",
                    "revision": "r1",
                    "licence": "CC-BY-NC-4.0",
                    "source": "facebook/encodec_32khz",
                }
            ],
        },
    ],
    "split_seed": 42,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small dataset: tools, encoding, batches by split, and signals of each pair."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "models", "encodec-32khz")
    tools, tracks, encoded, encoding = small_dataset(
        folder / "artifacts", Weights(str(folder / "models"))
    )
    of_song = [
        list(
            dataset_files.song_rows(
                track, row["pairs"], (tools.outputs, row["codes_path"]), encoding
            )
        )
        for track, row in zip(tracks, encoded, strict=True)
    ]
    splits = {"train": of_song[0] + of_song[1], "validation": of_song[2], "test": []}
    signals = {
        pair["pair_id"]: heard(tools, track, pair)
        for track, row in zip(tracks, encoded, strict=True)
        for pair in row["pairs"]
    }
    return tools, encoding, splits, signals


def summarised(encoding, splits):
    summary = Summary(encoding)
    for name, rows in splits.items():
        assert list(summary.observing(name, rows)) == list(rows)
    return summary


def pairs_by_song(rows):
    """Pairs of each song in a table."""
    found = {}
    for song, pair in zip(rows["song_id"].to_pylist(), rows["pair_id"].to_pylist(), strict=True):
        found.setdefault(song, set()).add(pair)
    return found


def described(**changes):
    """Two rows of synthesised codes, as a song's."""
    [batch] = batches(2)
    row = {
        "song_id": "s",
        "artist": "Ana",
        "title": "T",
        "instrument": "guitar",
        "stem_name": "gtr",
        "companion_names": ["bass"],
        "kind": "basic",
        "samples": 5120,
        "stem_active_fraction": 0.5,
        "start_seconds": 0.0,
        "pitch_semitones": 0.0,
        "tempo": 1.0,
        "gain_db": 0.0,
        "distortions": "[]",
        **changes,
    }
    for name, value in row.items():
        at = batch.schema.get_field_index(name)
        field = batch.schema.field(at)
        batch = batch.set_column(at, field, pa.array([value] * 2, field.type))
    return batch


def test_what_is_counted(made):
    _, encoding, splits, _ = made
    summary = summarised(encoding, splits)
    train, validation, test = (summary.splits[name] for name in ("train", "validation", "test"))
    assert (train.chunks, train.pairs, len(train.songs)) == (12, 4, 2)
    assert (validation.chunks, validation.pairs, len(validation.songs)) == (6, 2, 1)
    assert (test.chunks, test.pairs) == (0, 0)
    assert train.seconds == pytest.approx(4 * 2.5)
    assert train.artists == {"Artist a": 4}
    assert validation.instruments == {"guitar": 2}
    assert summary.kinds == {"basic": 3, "random": 3}
    assert summary.distortions == {"gaussian_noise": 6}
    assert list(summary.active_fractions) == [1.0] * 18
    assert list(summary.tempos) == [1.0] * 6


def test_examples_depend_on_the_rows_alone(made):
    _, encoding, splits, _ = made
    rows = pa.Table.from_batches(splits["train"] + splits["validation"])
    found = []
    for size in (1, 5, 100):
        summary = summarised(encoding, {"train": rows.combine_chunks().to_batches(size)})
        found.append(
            [
                (e.row["pair_id"], e.row["chunk"], e.codes["stem"].tobytes())
                for e in summary.examples
            ]
        )
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == EXAMPLES
    ids = rows["pair_id"].to_pylist()
    first = [min(of) for of in pairs_by_song(rows).values()]
    assert [pair_id for pair_id, _, _ in found[0]] == sorted(first)
    at = ids.index(found[0][0][0])
    codes = to_numpy(rows["codes_stem"].combine_chunks())[at]
    assert found[0][0][2] == codes[:, : rows["frames"][at].as_py()].tobytes()


def test_the_example_of_a_song_is_its_first_pairs_most_active_chunk():
    batch = described()
    rows = batch.to_pylist()
    quiet, loud, later, other = (
        {**rows[0], "pair_id": pair_id, "chunk": chunk, "stem_active_fraction": active}
        for pair_id, chunk, active in (("b", 0, 0.2), ("b", 1, 0.9), ("b", 2, 0.9), ("c", 0, 1.0))
    )
    for order in ([other, quiet, loud, later], [quiet, loud, later, other]):
        given = pa.RecordBatch.from_pylist(order, schema=batch.schema)
        [example] = summarised(ENCODING, {"train": [given]}).examples
        assert (example.row["pair_id"], example.row["chunk"]) == ("b", 1)
    songs = [
        pa.RecordBatch.from_pylist(
            [{**rows[0], "song_id": name, "pair_id": name}], schema=batch.schema
        )
        for name in "gcfbdae"
    ]
    found = summarised(ENCODING, {"train": songs[:4], "test": songs[4:]}).examples
    assert [example.row["song_id"] for example in found] == ["a", "b", "c"]


def test_the_page_shows_what_is_there(made):
    _, encoding, splits, _ = made
    failure = {"file_path": "bad.zip", "step": "augment", "reason": "no-audio", "message": "Bad."}
    page = render(summarised(encoding, splits), [failure], MANIFEST)
    texts = Page(page).texts
    facts = {"chunks": "18", "pairs": "6", "songs": "3", "artists": "2", "songs with failures": "1"}
    for name, value in facts.items():
        at = [i for i, text in enumerate(texts) if text == name]
        assert any(texts[i + 1] == value for i in at)
    at = texts.index("train")
    assert texts[at : at + 6] == ["train", "12", "4", "2", "1", "0.00"]
    for text in ("no-audio", "bad.zip", "Bad.", "encodec-32khz, r1, CC-BY-NC-4.0", "12.0"):
        assert text in texts
    assert "gaussian_noise" in texts
    assert "6 pairs" in texts
    assert any("1,234 chunks in which the target is silent, 5 ends" in text for text in texts)
    assert "1 to 1.02: 6" in texts
    assert "<audio" not in page


def test_examples_can_be_heard(made):
    tools, encoding, splits, signals = made
    model = tools.model("encodec-32khz", CODEC)

    def decode(codes, scales, samples):
        return model.decode(Encoded(codes, scales, samples))

    def original(row, signal):
        begin = round(row["start_seconds"] * 32_000)
        return signals[row["pair_id"]][signal][:, begin : begin + row["samples"]]

    summary = summarised(encoding, splits)
    page = render(summary, [], MANIFEST, decode=decode, original=original)
    assert render(summary, [], MANIFEST, decode=decode, original=original) == page
    clips = [
        soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
        for data in re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', page)
    ]
    assert len(clips) == EXAMPLES * 3 * 2
    clip = iter(clips)
    for example in summary.examples:
        for signal in ("all_without", "all", "stem"):
            before = original(example.row, signal)
            (encoded,) = model.encode([before])
            for expected in (model.decode(encoded), before):
                samples, rate_hz = next(clip)
                assert rate_hz == 32_000
                assert len(samples) == pytest.approx(expected.shape[1], abs=2400)
                clipped = np.clip(expected[0], -1, 1)
                assert alike(samples, clipped) > 0.8  # another signal: below 0.3
    for fact in ("gaussian noise (", "train, chunk 0 at 0:00", "tempo 1.000"):
        assert fact in page
    gone = render(summary, [], MANIFEST, decode=decode, original=lambda row, signal: None)
    assert gone.count("not stored any more") == EXAMPLES * 3


def alike(samples, expected):
    """Largest normalised correlation, whatever the delay of the MP3 codec."""
    size = 2 ** int(np.ceil(np.log2(len(samples) + len(expected))))
    product = np.fft.rfft(samples, size) * np.conj(np.fft.rfft(expected, size))
    return np.abs(np.fft.irfft(product)).max() / np.linalg.norm(samples) / np.linalg.norm(expected)


def test_a_clip_is_bounded(made):
    _, encoding, _, _ = made
    address = embedded(np.ones((1, 32_000 * 20), np.float32), encoding)
    data = base64.b64decode(address.removeprefix("data:audio/mpeg;base64,"))
    clip, rate_hz = soundfile.read(io.BytesIO(data))
    assert rate_hz == 32_000
    assert len(clip) / rate_hz == pytest.approx(CLIP_SECONDS, abs=0.1)


def test_hostile_names_stay_text():
    hostile = "<script>alert(1)</script>\"'&<img src=x onerror=y>\udcff\u202e"
    text = hostile.replace("\udcff", "")  # which Arrow would not take
    batch = described(
        artist=text,
        title=text,
        instrument=text,
        stem_name=text,
        companion_names=[text],
        distortions=json.dumps([{"name": text, "x": text}]),
    )
    summary = summarised(ENCODING, {"train": [batch]})
    failure = dict.fromkeys(("file_path", "step", "reason", "message"), hostile)
    steps = [{"step": hostile, "config": {hostile: hostile}, "models": []}]
    page = render(
        summary,
        [failure],
        {"name": hostile, "steps": steps, "seconds_by_step": {hostile: 1.0}},
        decode=lambda codes, scales, samples: np.zeros((1, samples), np.float32),
    )
    parsed = Page(page)
    assert not {"script", "img"} & set(parsed.tags)
    assert any("<script>alert(1)</script>" in text for text in parsed.texts)
    assert all(link.startswith("data:audio/mpeg;base64,") for link in parsed.links if link)
    page.encode("utf-8")
    for address in ("http://", "https://", "url("):
        assert address not in page
    assert "default-src 'none'" in page


def test_an_empty_dataset_has_a_page():
    page = render(summarised(ENCODING, {"train": [], "test": []}), [], {})
    texts = Page(page).texts
    assert "No values." in texts
    assert "Nothing." in texts
    assert "None." in texts


def test_long_lists_are_cut_and_say_so():
    failures = [
        {"file_path": f"bad{i}.zip", "step": "x", "reason": "r", "message": "m"} for i in range(70)
    ]
    page = render(summarised(ENCODING, {"train": [described()]}), failures, {})
    assert "The first 50 of 70" in page
    assert "bad49.zip" in page
    assert "bad50.zip" not in page
