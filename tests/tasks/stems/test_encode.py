import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import EncodecModel

from blocks.storage import Storage
from models import encodec
from models.protocols import CODEC
from models.registry import card
from models.tiny.write import write
from models.weights import write_manifest
from tasks.audio.windows import cut
from tasks.stems import chunks
from tasks.stems.chunks import FRAMINGS, active_frames, frame_levels
from tasks.stems.encode import STEP, EncodeConfig, encoding
from tasks.stems.schema import to_numpy
from tasks.step import Tools, TrackError
from tasks.weights import Weights
from tests.tasks.stems.coded import CONFIG, RATES, distorted, encode, noise, pair, song, stored


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in FRAMINGS:
        write(folder, name)
    return Weights(str(folder))


@pytest.fixture
def tools(tmp_path, weights):
    return Tools(Storage(str(tmp_path)), Storage(str(tmp_path)), weights=weights)


def table_of(tools, row):
    return pq.read_table(Path(tools.outputs.address, row["codes_path"]))


def by_library(model, signal, bandwidth_kbps):
    """Codes of one signal by ``EncodecModel.encode``, shape ``(codebooks, frames)``."""
    with torch.no_grad():
        output = model.encode(torch.from_numpy(signal)[None], bandwidth=bandwidth_kbps)
    codes = [chunk[0].numpy() for chunk in output.audio_codes]
    if output.last_frame_pad_length:
        codes[-1] = codes[-1][:, : -output.last_frame_pad_length]
    scales = [float(scale) for scale in output.audio_scales if scale is not None]
    return np.concatenate(codes, axis=1), scales or None


@pytest.mark.parametrize("codec", FRAMINGS)
def test_each_chunk_has_the_codes_the_library_gives_it_alone(tools, weights, codec):
    rate_hz, channels = RATES[codec]
    frames = 200 if codec == "encodec-48khz" else 50  # more than a piece of a second
    config = EncodeConfig(codec=codec, chunk_frames=frames, min_chunk_seconds=0.3)
    model = EncodecModel.from_pretrained(weights.folder(codec), local_files_only=True).eval()
    length = FRAMINGS[codec].samples(frames)
    track, rest = song("a1"), round(0.5 * rate_hz)
    stem = noise((2 * length + rest) / rate_hz, 1, rate_hz, channels)
    pairs = [
        pair(tools.outputs, track, stem, number, codec=codec, gain_db=-3.5) for number in (0, 1)
    ]
    (row,) = encode(tools, [track], [distorted(pairs, codec)], config)
    pa.Table.from_pylist([row], schema=STEP.columns)
    assert (row["chunks"], row["encoded_signals"]) == (6, 3 + 2 * 6)
    table = table_of(tools, row)
    assert table["pair_id"].to_pylist() == [p["pair_id"] for p in pairs for _ in range(3)]
    assert table["chunk"].to_pylist() == [0, 1, 2] * 2
    assert table["start_seconds"].to_pylist() == [i * length / rate_hz for i in range(3)] * 2
    for signal in ("stem", "all", "all_without"):
        codes = to_numpy(table[f"codes_{signal}"].combine_chunks())
        assert codes.shape == (6, row["codebooks"], frames)
        for at in range(6):
            heard = stored(tools.outputs, pairs[at // 3], signal, rate_hz)
            real, samples = table["frames"][at].as_py(), table["samples"][at].as_py()
            start = at % 3 * length
            piece = heard[:, start : start + samples]
            assert samples == (length if at % 3 < 2 else samples)
            expected, scales = by_library(model, piece, row["bandwidth_kbps"])
            assert expected.shape[1] == real
            assert np.array_equal(codes[at, :, :real], expected)
            assert (codes[at, :, real:] == row["codebook_size"]).all()
            assert table[f"scales_{signal}"][at].as_py() == scales
    # As many whole frames as fit into what is left.
    last = table["samples"][2].as_py()
    assert last <= rest < last + rate_hz / 2
    assert FRAMINGS[codec].frames(rest) - 1 <= table["frames"][2].as_py()


@pytest.mark.parametrize("codec", FRAMINGS)
def test_framing_is_the_codecs(tools, codec):
    model, framing = tools.model(codec, CODEC), FRAMINGS[codec]
    rate_hz, channels = RATES[codec]
    assert rate_hz / framing.hop_samples == model.frame_rate_hz
    for samples in (300, 320, 640, 641, 24_000, 47_520, 47_700, 48_000, 95_100, 95_500):
        (encoded,) = model.encode([noise(samples / rate_hz, 0, rate_hz, channels)])
        assert framing.frames(samples) == encoded.codes.shape[1]
    counts = [framing.frames(samples) for samples in range(1, 100_000)]
    assert (np.diff(counts) >= 0).all()
    for frames in (1, 149, 150, 151, 250, 299):
        longest = framing.samples(frames)
        assert framing.frames(longest) == frames < framing.frames(longest + 1)
        assert framing.whole_frames(longest) == frames == framing.whole_frames(longest + 1)
        assert framing.whole_frames(longest - 1) == frames - 1
    # 512 frames: 3 pieces of 1 s and 62 frames, every 0.99 s.
    whole = 3 * 47_520 + 62 * 320 if codec == "encodec-48khz" else 512 * framing.hop_samples
    assert framing.samples(512) == whole


def test_where_the_target_is_silent_nothing_is_encoded(tools):
    track = song("a1")
    stem = noise(4.0, 1)
    peak = np.abs(stem).max()
    stem[:, 32_000:64_000] *= 1e-6  # nothing after rounding to 16 bits
    stem[:, 64_000:80_000] = 0
    stem[:, 96_000:] = 0.0007 * peak * np.sign(stem[:, 96_000:])  # 63 dB below the peak
    pairs = [pair(tools.outputs, track, stem, number) for number in range(3)]
    (row,) = encode(tools, [track], [distorted(pairs)])
    table = table_of(tools, row)
    assert table["chunk"].to_pylist() == [0, 2] * 3
    assert table["stem_active_fraction"].to_pylist() == [1.0, 0.5] * 3
    assert (row["chunks"], row["dropped_silent_chunks"], row["dropped_short_chunks"]) == (6, 6, 0)
    assert (row["silent_pairs"], row["encoded_signals"]) == (0, 2 + 3 * 4)


def test_pairs_whose_target_is_silent_everywhere_are_counted(tools):
    track = song("a1")
    dither = (np.random.default_rng(0).integers(-1, 2, (1, 64_000)) / 32_768).astype(np.float32)
    pairs = [pair(tools.outputs, track, dither, number) for number in range(2)]
    (row,) = encode(tools, [track], [distorted(pairs)])
    assert (row["chunks"], row["codes_path"], row["silent_pairs"]) == (0, None, 2)
    assert (row["dropped_silent_chunks"], row["encoded_signals"]) == (4, 0)
    # A second variant that sounds is encoded all the same.
    pairs.append(pair(tools.outputs, track, noise(1.0, 1), 2, variant=1))
    (row,) = encode(tools, [track], [distorted(pairs)])
    assert (row["chunks"], row["silent_pairs"], row["encoded_signals"]) == (1, 2, 3)


def test_a_frame_is_active_60_db_below_the_peak_and_above_a_floor():
    rate_hz = 32_000
    levels = frame_levels(np.full((2, 1000), 0.25, np.float32), rate_hz)
    assert levels.tolist() == [0.25, 0.25]  # 640 and 360 samples
    steps = np.array([1.01e-3, 0.99e-3, 1.01e-4, 0.99e-4])
    assert active_frames(steps, 1.0).tolist() == [True, False, False, False]
    assert active_frames(steps, 1e-3).tolist() == [True, True, True, False]
    assert chunks.SILENCE_DBFS == -80


@pytest.mark.parametrize(
    ("seconds", "frames", "short"), [(2.0, [50, 50], 0), (2.39, [50, 50], 1), (2.41, [50] * 3, 0)]
)
def test_an_end_that_is_too_short_is_left_out(tools, seconds, frames, short):
    track = song("a1")
    pairs = [pair(tools.outputs, track, noise(seconds, 1), number) for number in (0, 1)]
    (row,) = encode(tools, [track], [distorted(pairs)])
    table = table_of(tools, row)
    assert len(table) == 2 * len(frames)
    assert row["dropped_short_chunks"] == 2 * short
    if len(frames) == 3:
        assert table["frames"].to_pylist()[:3] == [50, 50, 20]
        assert table["samples"].to_pylist()[2] == 20 * 640


def test_one_stem_at_two_gains_is_two_signals(tools):
    track, stem = song("a1"), noise(1.0, 1)
    pairs = [
        pair(tools.outputs, track, stem, 0, gain_db=0.0),
        pair(tools.outputs, track, stem, 1, gain_db=-6.0),
        pair(tools.outputs, track, stem, 2, gain_db=0.0),
    ]
    (row,) = encode(tools, [track], [distorted(pairs)])
    assert row["encoded_signals"] == 2 + 3 * 2
    table = table_of(tools, row)
    codes = dict(zip(table["pair_id"].to_pylist(), table["codes_stem"].to_pylist(), strict=True))
    quiet, loud, again = (codes[pairs[at]["pair_id"]] for at in (1, 0, 2))
    assert loud == again
    assert loud != quiet


def test_the_same_whatever_is_encoded_with_it(tools, monkeypatch):
    tracks = [song(name) for name in ("a1", "a2", "b1")]
    rows = [
        distorted([pair(tools.outputs, t, noise(2.6, at), n) for n in (0, 1)])
        for at, t in enumerate(tracks)
    ]
    together = encode(tools, tracks, rows)
    before = [Path(tools.outputs.address, row["codes_path"]).read_bytes() for row in together]
    for at, track in enumerate(tracks):
        Path(tools.outputs.address, together[at]["codes_path"]).unlink()
        (alone,) = encode(tools, [track], [rows[at]])
        assert alone == together[at]
        path = Path(tools.outputs.address, alone["codes_path"])
        assert path.read_bytes() == before[at]
    # As on a GPU: several at once, of whatever lengths.
    monkeypatch.setitem(encodec.ITEMS_PER_CALL, "cpu", 5)
    (batched,) = encode(replace(tools, batch_size=3), tracks[:1], rows[:1])
    assert Path(tools.outputs.address, batched["codes_path"]).read_bytes() == before[0]


def test_the_name_depends_on_all_that_the_codes_do(tools, weights, tmp_path):
    track = song("a1")
    pairs = [pair(tools.outputs, track, noise(1.0, 1))]
    names = set()
    other = Weights(str(tmp_path / "other"))
    write(Path(other.address), "encodec-32khz")
    folder = Path(other.address, "encodec-32khz")
    write_manifest(folder, card("encodec-32khz"), revision="another", licence="CC0-1.0")
    for config, given, using in (
        (CONFIG, pairs, tools),
        (CONFIG.model_copy(update={"chunk_frames": 40}), pairs, tools),
        (CONFIG.model_copy(update={"contexts": ("all",)}), pairs, tools),
        (CONFIG, [{**pairs[0], "pair_id": "other"}], tools),
        (CONFIG, pairs, replace(tools, weights=other)),
    ):
        (row,) = encode(using, [track], [distorted(given)], config)
        names.add(row["codes_path"])
    assert len(names) == 5
    assert all(name.startswith(f"codes/{track.track_id}-") for name in names)


def test_contexts_that_nobody_wants_cost_nothing(tools):
    track = song("a1")
    pairs = [pair(tools.outputs, track, noise(1.0, 1))]
    config = CONFIG.model_copy(update={"contexts": ("all_without",)})
    (row,) = encode(tools, [track], [distorted(pairs)], config)
    assert row["encoded_signals"] == 2
    assert "codes_all" not in table_of(tools, row).column_names
    made = encoding(row, config, "r")
    assert (made.contexts, made.signals) == (("all_without",), ("stem", "all_without"))


@pytest.mark.parametrize("signal", ["stem", "all", "all_without"])
@pytest.mark.parametrize("harm", ["deleted", "cut", "emptied", "replaced"])
def test_stored_audio_that_is_gone_takes_only_its_song(tools, signal, harm):
    tracks = [song("a1"), song("b1")]
    rows = [distorted([pair(tools.outputs, t, noise(2.0, at))]) for at, t in enumerate(tracks)]
    path = Path(tools.outputs.address, rows[0]["pairs"][0][f"{signal}_path"])
    content = path.read_bytes()
    path.unlink()
    if harm != "deleted":
        cuts = {"cut": content[: len(content) // 2], "emptied": b"", "replaced": b"text " * 99}
        path.write_bytes(cuts[harm])
    failed, done = encode(tools, tracks, rows)
    assert isinstance(failed, TrackError)
    assert failed.reason == "artifact-missing"
    assert path.name in failed.message
    assert "run the same command again" in failed.message
    assert done["chunks"] == 2
    assert len(list(Path(tools.outputs.address).rglob("*.parquet"))) == 1


def test_what_a_config_refuses():
    for values, said in (
        ({"bandwidth_kbps": 6.0}, "no bandwidth but 2.2"),
        ({"codec": "encodec-48khz", "bandwidth_kbps": 2.2}, "no bandwidth but 3, 6, 12, 24"),
        ({"contexts": ("all", "all")}, "one twice"),
        ({"contexts": ()}, "at least 1"),
        ({"codec": "opus"}, "encodec-32khz"),
    ):
        with pytest.raises(ValueError, match=said):
            EncodeConfig(**values)
    assert EncodeConfig().chunk_frames == 512
    assert STEP.models(EncodeConfig(codec="encodec-24khz")) == ("encodec-24khz",)


def test_pairs_made_for_another_codec_are_a_bug(tools):
    with pytest.raises(ValueError, match="not made for encodec-32khz"):
        encode(tools, [song("a1")], [distorted([], "encodec-24khz")])


def test_windows_of_blocks_of_any_length():
    signal = np.arange(46, dtype=np.float32).reshape(2, 23)
    for sizes in ([23], [1] * 23, [0, 7, 9, 0, 7], [5, 18]):
        blocks = np.split(signal, np.cumsum(sizes)[:-1], axis=1)
        windows = list(cut(blocks, 5))
        assert [w.shape for w in windows] == [(2, 5)] * 4 + [(2, 3)]
        assert np.array_equal(np.concatenate(windows, axis=1), signal)


def test_a_long_song_is_streamed(tools, monkeypatch):
    """Four minutes in three signals would be 92 MB at once."""
    track, seconds = song("a1"), 240
    stem = np.tile(noise(5.0, 1), seconds // 5)
    pairs = [pair(tools.outputs, track, stem)]

    class Model:
        sample_rate_hz, channels, codebook_size = 32_000, 1, 2048
        bandwidths_kbps, frame_rate_hz = (2.2,), 50.0

        def codebooks(self, bandwidth_kbps):
            return 4

        def encode(self, signals, **_):
            for signal in signals:
                frames = signal.shape[1] // 640
                yield encodec.Encoded(np.zeros((4, frames), np.uint16), None, signal.shape[1])

    monkeypatch.setattr(Tools, "model", lambda *_: Model())
    (row,) = encode(tools, [track], [distorted(pairs)], EncodeConfig())
    tracemalloc.start()
    (row,) = encode(tools, [track], [distorted(pairs)], EncodeConfig())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert row["chunks"] == 24
    assert peak < 20e6
