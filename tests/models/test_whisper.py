import ctypes
import logging
import socket
from itertools import pairwise

import numpy as np
import pytest
from faster_whisper import BatchedInferencePipeline, WhisperModel

from models import adapters, registry, whisper, whisper_windows
from models.tiny.write import write
from models.whisper import RATE_HZ, Segment, WhisperAdapter
from tests.support.voices import voice


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def folder(models_dir):
    return write(models_dir, "whisper-tiny")


@pytest.fixture(scope="module")
def adapter(folder):
    return adapters.load(registry.card("whisper-tiny"), "cpu", folder)


@pytest.fixture(scope="module")
def long():
    """Three windows of voice."""
    return voice(80.0)


def library(folder):
    return WhisperModel(
        str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
    )


def assert_same(ours, segments, language, probability):
    assert [segment.text for segment in ours.segments] == [each.text.strip() for each in segments]
    for our, their in zip(ours.segments, segments, strict=True):
        assert (our.start_seconds, our.end_seconds) == pytest.approx((their.start, their.end))
        assert our.average_log_probability == pytest.approx(their.avg_logprob, abs=1e-3)
        assert our.no_speech_probability == pytest.approx(their.no_speech_prob, abs=1e-5)
        # The ratio that the library has for one window is that of the text without spaces.
        assert our.compression_ratio == pytest.approx(their.compression_ratio, abs=0.05)
        assert [word.text for word in our.words] == [word.word for word in their.words]
        for word, theirs in zip(our.words, their.words, strict=True):
            # The library's alignment may be a frame before the signal.
            assert (word.start_seconds, word.end_seconds) == pytest.approx(
                (theirs.start, theirs.end), abs=0.021
            )
            assert word.probability == pytest.approx(theirs.probability, abs=1e-3)
    assert ours.language == language
    # Ours is the mean over all windows, and the library's that of the first, which it fills with
    # the beginning of the next one.
    assert ours.language_probability == pytest.approx(probability, abs=0.03)


@pytest.mark.parametrize("name", ["whisper-tiny", "whisper-large-v3"])
def test_equals_the_librarys_batched_pipeline(models_dir, long, name):
    folder = write(models_dir / "equality", name)
    segments, info = BatchedInferencePipeline(library(folder)).transcribe(
        long,
        batch_size=1,
        word_timestamps=True,
        temperature=0.0,
        vad_parameters=dict(whisper_windows.VAD_OPTIONS),
    )
    ours = whisper.load(registry.card(name), "cpu", folder).transcribe(long)
    assert len(ours.segments) == 3
    assert_same(ours, list(segments), info.language, info.language_probability)


def test_one_window_equals_the_librarys_own_transcription(folder, adapter):
    signal = voice(20.0, seed=1)
    segments, info = library(folder).transcribe(
        signal,
        word_timestamps=True,
        without_timestamps=True,
        temperature=0.0,
        vad_filter=True,
        vad_parameters=dict(whisper_windows.VAD_OPTIONS, max_speech_duration_s=30),
    )
    ours = adapter.transcribe(signal)
    # The library goes on behind the last word, where the batched pipeline leaves it at that.
    assert_same(ours, [next(iter(segments))], info.language, info.language_probability)


def test_the_words_are_sung_in_order_and_make_up_the_text(adapter, long):
    transcript = adapter.transcribe(long)
    words = [word for segment in transcript.segments for word in segment.words]
    assert len(words) >= 12
    for segment in transcript.segments:
        assert "".join(word.text for word in segment.words).strip() == segment.text
        assert segment.text.replace(" ", "").isalpha()
        assert not segment.is_hallucination
        assert segment.start_seconds == segment.words[0].start_seconds
        assert segment.end_seconds == segment.words[-1].end_seconds
        assert len({word.start_seconds for word in segment.words}) > 3
    times = [time for word in words for time in (word.start_seconds, word.end_seconds)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= 80
    assert all(0 < word.probability <= 1 for word in words)


def test_the_transcript_depends_on_the_signal_and_on_nothing_else(folder, adapter, long):
    once = adapter.transcribe(long)
    other = adapter.transcribe(np.diff(long))  # the same words, with less bass
    assert other.segments[0].text != once.segments[0].text
    assert adapter.transcribe(long) == once
    assert whisper.load(registry.card("whisper-tiny"), "cpu", folder).transcribe(long) == once
    assert adapter.transcribe(long, batch_size=7) == once


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(0, np.float32),
        np.zeros(100, np.float32),
        np.zeros(40 * RATE_HZ, np.float32),
        np.random.default_rng(0).normal(0, 0.1, 5 * RATE_HZ).astype(np.float32),
    ],
    ids=["nothing", "short", "silence", "noise"],
)
def test_without_a_voice_there_is_nothing_and_nothing_is_encoded(adapter, monkeypatch, signal):
    monkeypatch.setattr(whisper.Model, "encode", None)
    transcript = adapter.transcribe(signal)
    assert (transcript.language, transcript.language_probability) == (None, None)
    assert transcript.segments == ()


@pytest.mark.parametrize("samples", [RATE_HZ // 4, 30 * RATE_HZ, 30 * RATE_HZ + 1])
def test_any_length(adapter, long, samples):
    transcript = adapter.transcribe(long[:samples])
    assert transcript.language == "en"
    assert transcript.segments[-1].end_seconds <= samples / RATE_HZ


def test_every_window_is_encoded_once(adapter, monkeypatch, long):
    shapes = []
    encode = WhisperModel.encode
    monkeypatch.setattr(
        WhisperModel,
        "encode",
        lambda self, features: shapes.append(features.shape) or encode(self, features),
    )
    adapter.transcribe(long)
    assert shapes == [(2, 80, 3000), (1, 80, 3000)]


def test_a_given_language_is_used(adapter):
    signal = voice(10.0)
    forced = adapter.transcribe(signal, language="jv")
    assert (forced.language, forced.language_probability) == ("jv", 1.0)
    detected = adapter.transcribe(signal)
    assert detected.language == "en"
    assert 0.5 < detected.language_probability < 1
    assert forced.segments != detected.segments
    with pytest.raises(ValueError, match="xx"):
        adapter.transcribe(signal, language="xx")


def test_the_detected_language_is_used(adapter, monkeypatch, long):
    class Javanese:
        def __getattr__(self, name):
            return getattr(model, name)

        def detect_language(self, encoded):
            return [[("<|jw|>", 0.9), ("<|en|>", 0.1)]] * encoded.shape[0]

    model = adapter._model.model
    monkeypatch.setattr(adapter._model, "model", Javanese())
    detected = adapter.transcribe(long)
    assert (detected.language, detected.language_probability) == ("jv", pytest.approx(0.9))
    assert detected.segments == adapter.transcribe(long, language="jv").segments


def test_long_signals_are_cut_where_the_voice_is_softest(adapter, monkeypatch, long):
    monkeypatch.setattr(whisper_windows, "PIECE_SECONDS", 20.0)
    monkeypatch.setattr(whisper_windows, "CUT_SECONDS", 10.0)
    pieces = [(first, long[first:last]) for first, last in whisper_windows.bounds(long)]
    assert np.array_equal(np.concatenate([piece for _, piece in pieces]), long)
    assert len(pieces) > 4
    for (start, piece), (next_start, _) in pairwise(pieces):
        assert start + len(piece) == next_start
        assert 10 * RATE_HZ <= len(piece) <= 20 * RATE_HZ
        assert np.abs(long[next_start - 1000 : next_start + 1000]).max() == 0
    transcript = adapter.transcribe(long)
    votes = [(len(piece), adapter.transcribe(piece).language_probability) for _, piece in pieces]
    weights, probabilities = np.transpose(votes)
    # A piece has pauses, and these are no votes.
    assert transcript.language_probability == pytest.approx(
        np.average(probabilities, weights=weights), abs=0.01
    )
    expected = [
        (segment.text, pytest.approx(start / RATE_HZ + segment.start_seconds, abs=1e-3))
        for start, piece in pieces
        for segment in adapter.transcribe(piece, language="en").segments
    ]
    assert [(each.text, each.start_seconds) for each in transcript.segments] == expected


@pytest.mark.parametrize("stage", ["encode", "decode"])
def test_out_of_memory_halves_the_batch_for_good(folder, monkeypatch, caplog, long, stage):
    sizes = []

    def short_of_memory(self, *arguments):
        windows = arguments[-1]
        sizes.append(len(windows))
        if len(windows) > 1:
            raise RuntimeError("CUDA failed with error out of memory")
        return original(self, *arguments)

    adapter = whisper.load(registry.card("whisper-tiny"), "cpu", folder)
    expected = adapter.transcribe(long)
    original = getattr(whisper.Model, stage)
    monkeypatch.setattr(whisper.Model, stage, short_of_memory)
    on_gpu = WhisperAdapter(adapter._model, "cuda")
    with caplog.at_level(logging.WARNING, logger="models.whisper_batches"):
        result = on_gpu.transcribe(long, batch_size=8)
        on_gpu.transcribe(long, batch_size=8)
    assert sizes == [3, 1, 1, 1, 1, 1, 1]
    assert [record.args for record in caplog.records] == [(3, 1)]
    assert [segment.text for segment in result.segments] == [
        segment.text for segment in expected.segments
    ]
    assert result.language_probability == pytest.approx(expected.language_probability, abs=1e-3)


def test_other_errors_are_raised(adapter, monkeypatch, long):
    def encode(*arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr(whisper.Model, "encode", encode)
    with pytest.raises(RuntimeError, match="a bug"):
        WhisperAdapter(adapter._model, "cuda").transcribe(long)


@pytest.mark.parametrize(
    ("text", "log_probability", "no_speech", "ratio", "expected"),
    [
        ("all of me", -0.3, 0.1, 0.9, False),
        ("all of me", -1.5, 0.1, 0.9, False),
        ("all of me", -0.3, 0.9, 0.9, False),
        ("thanks for watching", -1.5, 0.9, 0.9, True),
        ("la " * 40, -0.1, 0.0, 2.5, True),
        ("♪ ♪ ...", -0.1, 0.0, 0.9, True),
        ("さくら", -0.1, 0.0, 0.9, False),
    ],
)
def test_hallucinations(text, log_probability, no_speech, ratio, expected):
    segment = Segment(text, 0.0, 1.0, log_probability, no_speech, ratio, ())
    assert segment.is_hallucination is expected


def test_loads_without_a_network(folder, monkeypatch):
    def connect(*arguments):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", connect)
    loaded = whisper.load(registry.card("whisper-tiny"), "cpu", folder)
    assert loaded.transcribe(voice(5.0)).segments


def test_without_its_tokenizer_a_model_does_not_load(tmp_path):
    folder = write(tmp_path, "whisper-tiny")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match="tokenizer"):
        whisper.load(registry.card("whisper-tiny"), "cpu", folder)


def test_tiny_models_are_the_same_every_time(folder, tmp_path):
    again = write(tmp_path, "whisper-tiny")
    assert (again / "songmill.json").read_bytes() == (folder / "songmill.json").read_bytes()


def test_cublas_of_the_package_is_loaded_first(tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: loaded.append((path, mode)))
    folder = tmp_path / "cublas" / "lib"
    folder.mkdir(parents=True)
    (folder / "libcublas.so.12").touch()
    (folder / "libcublasLt.so.12").touch()

    class Spec:
        submodule_search_locations = (str(tmp_path / "other"), str(tmp_path))

    monkeypatch.setattr(whisper, "find_spec", lambda name: Spec)
    whisper.load_cublas()
    names = ("libcublasLt.so.12", "libcublas.so.12")
    assert loaded == [(str(folder / name), ctypes.RTLD_GLOBAL) for name in names]


def test_without_cublas_the_package_is_named(monkeypatch):
    def missing(path, mode):
        raise OSError(path)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr(whisper, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="nvidia-cublas-cu12"):
        whisper.load_cublas()
