import resource
import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import EncodecModel

from blocks.storage import Storage, StorageError
from models import encodec
from models.protocols import CODEC
from models.registry import card
from models.tiny.write import write
from models.weights import write_manifest
from tasks.audio import files
from tasks.audio.windows import cut
from tasks.stems import chunks
from tasks.stems.chunks import FRAMINGS, active_frames, frame_levels
from tasks.stems.encode import STEP, EncodeConfig, PairsConfig, encoding
from tasks.stems.schema import to_numpy
from tasks.step import Tools, TrackError
from tasks.weights import Weights
from tests.tasks.stems.coded import CONFIG, HISS, RATES, drawn, encode, heard, noise, song


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
    rest = round(0.5 * rate_hz)
    stem = noise((2 * length + rest) / rate_hz, 1, rate_hz, channels)
    track = song(tools.source, "a1", stem, codec=codec)
    rows = [drawn(track, gains_db=(-3.5,), codec=codec)]
    (row,) = encode(tools, [track], rows, config, HISS)
    pairs = row["pairs"]
    signals = [heard(tools, track, pair, codec) for pair in pairs]
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
            real, samples = table["frames"][at].as_py(), table["samples"][at].as_py()
            start = at % 3 * length
            piece = signals[at // 3][signal][:, start : start + samples]
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
    stem = noise(4.0, 1)
    peak = np.abs(stem).max()
    stem[:, 32_000:64_000] *= 1e-6  # nothing after rounding to 16 bits
    stem[:, 64_000:80_000] = 0
    stem[:, 96_000:] = 0.0007 * peak * np.sign(stem[:, 96_000:])  # 63 dB below the peak
    track = song(tools.source, "a1", stem)
    (row,) = encode(tools, [track], [drawn(track, pairs=3)])
    table = table_of(tools, row)
    assert table["chunk"].to_pylist() == [0, 2] * 3
    assert table["stem_active_fraction"].to_pylist() == [1.0, 0.5] * 3
    assert (row["chunks"], row["dropped_silent_chunks"], row["dropped_short_chunks"]) == (6, 6, 0)
    assert (row["silent_pairs"], row["encoded_signals"]) == (0, 2 + 3 * 4)


def test_pairs_whose_target_is_silent_everywhere_are_counted(tools):
    dither = (np.random.default_rng(0).integers(-1, 2, (1, 64_000)) / 32_768).astype(np.float32)
    track = song(tools.source, "a1", dither)
    (row,) = encode(tools, [track], [drawn(track)])
    assert (row["chunks"], row["codes_path"], row["silent_pairs"]) == (0, None, 2)
    assert (row["dropped_silent_chunks"], row["encoded_signals"]) == (4, 0)
    assert len(row["pairs"]) == 2
    # A second target that sounds is encoded all the same.
    augmented, assorted = drawn(track)
    loud = {"target": "a1-s1", "companions": ["a1-s2"], "kind": "basic"}
    (row,) = encode(
        tools, [track], [(augmented, {"assortments": [*assorted["assortments"], loud]})]
    )
    assert (row["chunks"], row["silent_pairs"], row["encoded_signals"]) == (2, 2, 6)


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
    track = song(tools.source, "a1", noise(seconds, 1))
    (row,) = encode(tools, [track], [drawn(track)])
    table = table_of(tools, row)
    assert len(table) == 2 * len(frames)
    assert row["dropped_short_chunks"] == 2 * short
    if len(frames) == 3:
        assert table["frames"].to_pylist()[:3] == [50, 50, 20]
        assert table["samples"].to_pylist()[2] == 20 * 640


def test_one_stem_at_two_gains_is_two_signals(tools):
    track = song(tools.source, "a1", noise(1.0, 1))
    (row,) = encode(tools, [track], [drawn(track, pairs=1, gains_db=(-8.0, -14.0, -8.0))], CONFIG)
    assert row["encoded_signals"] == 2 + 3 * 2
    table = table_of(tools, row)
    # Pairs as they were drawn, codes by target: the softer one is the first.
    assert [pair["variant"] for pair in row["pairs"]] == [0, 1, 2]
    loud, quiet, again = (pair["pair_id"] for pair in row["pairs"])
    assert loud == again != quiet
    assert table["pair_id"].to_pylist() == [quiet, loud, loud]
    first, second, third = table["codes_stem"].to_pylist()
    assert second == third != first


def test_the_same_whatever_is_encoded_with_it(tools, monkeypatch):
    names = ("a1", "a2", "b1")
    tracks = [song(tools.source, name, noise(2.6, at)) for at, name in enumerate(names)]
    rows = [drawn(track) for track in tracks]
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
    track = song(tools.source, "a1", noise(1.0, 1))
    names = set()
    other = Weights(str(tmp_path / "other"))
    write(Path(other.address), "encodec-32khz")
    folder = Path(other.address, "encodec-32khz")
    write_manifest(folder, card("encodec-32khz"), revision="another", licence="CC0-1.0")
    for config, pairs, using in (
        (CONFIG, 1, tools),
        (CONFIG.model_copy(update={"chunk_frames": 40}), 1, tools),
        (CONFIG.model_copy(update={"contexts": ("all",)}), 1, tools),
        (CONFIG, 2, tools),
        (CONFIG, 1, replace(tools, weights=other)),
    ):
        (row,) = encode(using, [track], [drawn(track, pairs=pairs)], config)
        names.add(row["codes_path"])
    assert len(names) == 5
    assert all(name.startswith(f"codes/{track.track_id}-") for name in names)


def test_contexts_that_nobody_wants_cost_nothing(tools):
    track = song(tools.source, "a1", noise(1.0, 1))
    config = CONFIG.model_copy(update={"contexts": ("all_without",)})
    (row,) = encode(tools, [track], [drawn(track, pairs=1)], config)
    assert row["encoded_signals"] == 2
    assert "codes_all" not in table_of(tools, row).column_names
    made = encoding(row, config, "r")
    assert (made.contexts, made.signals) == (("all_without",), ("stem", "all_without"))


@pytest.mark.parametrize("harm", ["deleted", "emptied", "replaced"])
def test_a_prepared_stem_that_is_gone_takes_only_its_song(tools, harm):
    tracks = [song(tools.source, name, noise(2.0, at)) for at, name in enumerate(("a1", "b1"))]
    path = Path(tools.source.address, tracks[0].stems[1].path)
    path.unlink()
    if harm != "deleted":
        path.write_bytes({"emptied": b"", "replaced": b"text " * 99}[harm])
    failed, done = encode(tools, tracks, [drawn(track, pairs=1) for track in tracks])
    assert isinstance(failed, TrackError)
    assert (
        failed.reason == {"deleted": "missing", "emptied": "empty", "replaced": "not-audio"}[harm]
    )
    assert path.name in failed.message
    assert done["chunks"] == 2
    assert len(list(Path(tools.outputs.address).rglob("*.parquet"))) == 1


def test_a_stem_that_no_pair_needs_may_be_gone(tools):
    track = song(tools.source, "a1", noise(1.0, 1))
    Path(tools.source.address, track.stems[2].path).unlink()
    (row,) = encode(tools, [track], [drawn(track, pairs=1)])
    assert row["chunks"] == 1


def test_a_full_disk_is_said_and_nothing_is_left(tools, tmp_path, monkeypatch):
    """A limit on the size of files refuses writes as a full disk does."""
    track = song(tools.source, "a1", noise(3.0, 1))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    place = tmp_path / "temporary"
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with pytest.raises(StorageError, match="temporary could not be written: No such file"):
        encode(tools, [track], [drawn(track)])
    place.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match="temporary could not be written: File too large"):
            encode(tools, [track], [drawn(track)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    encode(tools, [track], [drawn(track)])
    left = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert [path.parent.name for path in left] == ["codes"]


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
    config = PairsConfig(encoding=EncodeConfig(codec="encodec-24khz"))
    assert STEP.models(config) == ("encodec-24khz",)


def test_pairs_made_for_another_codec_are_a_bug(tools):
    track = song(tools.source, "a1", noise(1.0, 1))
    with pytest.raises(ValueError, match="not drawn for encodec-32khz"):
        encode(tools, [track], [drawn(track, codec="encodec-24khz")])


def test_windows_of_blocks_of_any_length():
    signal = np.arange(46, dtype=np.float32).reshape(2, 23)
    for sizes in ([23], [1] * 23, [0, 7, 9, 0, 7], [5, 18]):
        blocks = np.split(signal, np.cumsum(sizes)[:-1], axis=1)
        windows = list(cut(blocks, 5))
        assert [w.shape for w in windows] == [(2, 5)] * 4 + [(2, 3)]
        assert np.array_equal(np.concatenate(windows, axis=1), signal)


def test_memory_is_that_of_one_pair_however_many_there_are(tools, monkeypatch):
    """A signal of 20 s is 2.6 MB, and 1.3 in 16 bits."""
    track = song(tools.source, "a1", np.tile(noise(5.0, 1), 4))

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
    peaks = []
    for pairs in (2, 6):
        files._CACHE.clear()
        tracemalloc.start()
        (row,) = encode(tools, [track], [drawn(track, pairs=pairs)], EncodeConfig(), HISS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert row["chunks"] == pairs * 2
    assert peaks[1] < peaks[0] + 1e6
    assert peaks[1] < (3 + 4) * 2.6e6 + 4e6  # three stems that the reader keeps, and four signals
