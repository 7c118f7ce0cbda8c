"""Windows of several signals in the same batches, as on a GPU, computed on the processor."""

import numpy as np
import pytest

from models import registry, whisper, whisper_windows
from models.batching import AHEAD
from models.tiny.write import write
from models.whisper import RATE_HZ, WhisperAdapter
from tests.support.voices import voice

LOG_TOLERANCE = 1e-4
FRAME_SECONDS = 0.021
"""One of the encoder's, of 20 ms, and what is lost in rounding."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("models"), "whisper-tiny")
    return whisper.load(registry.card("whisper-tiny"), "cpu", folder)


@pytest.fixture(scope="module")
def together(alone):
    return WhisperAdapter(alone._model, "cuda")


@pytest.fixture(scope="module")
def signals():
    """Two windows, silence, one window, two pieces of two each, nothing, one window."""
    return [
        voice(50.0),
        np.zeros(3 * RATE_HZ, np.float32),
        voice(20.0, seed=1),
        voice(100.0, seed=2),
        np.zeros(0, np.float32),
        voice(5.0, seed=3),
    ]


@pytest.fixture(scope="module", autouse=True)
def pieces_of_a_minute():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whisper_windows, "PIECE_SECONDS", 60.0)
        patch.setattr(whisper_windows, "CUT_SECONDS", 20.0)
        yield


@pytest.fixture(scope="module")
def prepared(alone, signals):
    return [alone.prepare(signal) for signal in signals]


@pytest.fixture
def two_languages(alone, monkeypatch):
    """English is heard in windows that are full of voice, and Javanese in the others.

    Returns the texts of each call of `align`, by the token of its language.
    """
    aligned = []

    class Ears:
        def __getattr__(self, name):
            return getattr(model, name)

        def detect_language(self, encoded):
            is_full = np.asarray(encoded)[:, :, 10].mean(axis=1) > 0
            javanese, english = (
                (("<|jw|>", 0.8), ("<|en|>", 0.2)),
                (("<|en|>", 0.7), ("<|jw|>", 0.3)),
            )
            return [english if each else javanese for each in is_full]

        def align(self, encoded, start, texts, *arguments, **options):
            aligned.append((start[1], [bool(text) for text in texts]))
            return model.align(encoded, start, texts, *arguments, **options)

    model = alone._model.model
    monkeypatch.setattr(alone._model, "model", Ears())
    return aligned


@pytest.fixture
def calls(monkeypatch, alone):
    """How many windows each call of the network had."""
    counted = {"encode": [], "decode": []}
    for name, seen in counted.items():
        monkeypatch.setattr(whisper.Model, name, counting(getattr(whisper.Model, name), seen))
    return counted


def counting(method, seen):
    def counted(self, *arguments):
        seen.append(len(arguments[-1]))
        return method(self, *arguments)

    return counted


def each_alone(adapter, prepared, **options):
    return [next(adapter.transcribe_together([each], **options)) for each in prepared]


def assert_equal(together, alone):
    assert [each.language for each in together] == [each.language for each in alone]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.language_probability == pytest.approx(theirs.language_probability, abs=1e-3)
        assert [each.text for each in ours.segments] == [each.text for each in theirs.segments]
        for our, their in zip(ours.segments, theirs.segments, strict=True):
            assert our.average_log_probability == pytest.approx(
                their.average_log_probability, abs=LOG_TOLERANCE
            )
            assert our.no_speech_probability == pytest.approx(their.no_speech_probability, abs=1e-3)
            times = [
                [(word.start_seconds, word.end_seconds) for word in each.words]
                for each in (our, their)
            ]
            assert np.allclose(*times, atol=FRAME_SECONDS)


def test_together_is_as_alone_in_several_languages(alone, together, prepared, two_languages, calls):
    expected = each_alone(alone, prepared)
    assert [each.language for each in expected] == ["en", None, "jv", "en", None, "jv"]
    # By this much it is seen in what language a window was written.
    [forced] = each_alone(alone, prepared[:1], language="jv")
    javanese = forced.segments[0].average_log_probability
    assert abs(javanese - expected[0].segments[0].average_log_probability) > 2 * LOG_TOLERANCE
    for seen in (*calls.values(), two_languages):
        seen.clear()
    assert_equal(list(together.transcribe_together(prepared, batch_size=3)), expected)
    # The first and the third share a batch; the fourth is heard before it is written down.
    assert calls == {"encode": [3, 3, 1, 3, 2], "decode": [3, 3, 2]}
    english, javanese = (alone._model.tokenizer(code).language for code in ("en", "jw"))
    assert two_languages == [
        (english, [True, True, False]),
        (javanese, [False, False, True]),
        (english, [True, True, True]),
        (english, [True, False]),
        (javanese, [False, True]),
    ]


def test_a_given_language_is_that_of_all(alone, together, prepared, calls):
    expected = each_alone(alone, prepared, language="es")
    assert {each.language for each in expected} == {"es", None}
    for seen in calls.values():
        seen.clear()
    assert_equal(
        list(together.transcribe_together(prepared, language="es", batch_size=16)), expected
    )
    assert calls == {"encode": [8], "decode": [8]}


def test_on_a_processor_no_signals_share_a_batch(alone, prepared, calls):
    signals = [prepared[at] for at in (2, 5, 3, 0)]
    one_by_one = each_alone(alone, signals)
    for seen in calls.values():
        seen.clear()
    assert list(alone.transcribe_together(signals)) == one_by_one
    assert calls == {"encode": [1, 1, 2, 2, 2, 2, 2], "decode": [1, 1, 2, 2, 2]}


def test_memory_that_runs_out_midway_takes_no_windows(
    alone, together, prepared, calls, monkeypatch
):
    def short(self, encoded, windows, codes):
        if len(windows) > 2:
            calls["decode"].append(len(windows))
            raise RuntimeError("CUDA failed with error out of memory")
        return decode(self, encoded, windows, codes)

    expected = each_alone(alone, prepared, language="es")
    for seen in calls.values():
        seen.clear()
    decode = whisper.Model.decode
    monkeypatch.setattr(whisper.Model, "decode", short)
    monkeypatch.setattr(alone._model, "windows_at_most", None)
    assert_equal(list(together.transcribe_together(prepared, language="es")), expected)
    assert calls == {"encode": [8, 4, 2, 2, 2, 2], "decode": [8, 4, 2, 2, 2, 2]}


def test_signals_are_taken_no_further_than_a_batch_needs(together, prepared):
    """What is prepared ahead is bounded, however many signals there are."""
    taken = []

    def many():
        for number in range(100):
            taken.append(number)
            yield prepared[5]

    results = together.transcribe_together(many(), batch_size=2)
    next(results)
    assert len(taken) <= 2 + AHEAD + 2
    results.close()


def test_a_long_signal_is_read_piece_by_piece(alone, signals, prepared):
    class Recorded:
        longest = 0

        def __len__(self):
            return len(signals[3])

        def __getitem__(self, part):
            Recorded.longest = max(Recorded.longest, part.stop - part.start)
            return signals[3][part]

    assert [alone.transcribe(Recorded())] == each_alone(alone, prepared[3:4])
    assert Recorded.longest <= 60 * RATE_HZ
