import json
import pickle
import shutil
import socket
import zipfile
from fractions import Fraction
from importlib.resources import files

import numpy as np
import pytest
import torch
from demucs.api import Separator
from demucs.apply import BagOfModels, apply_model
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from demucs.repo import BagOnlyRepo, LocalRepo
from safetensors.torch import save_file

from models.batching import Batcher
from models.demucs import DemucsAdapter, level, load, load_checkpoint
from models.registry import card
from models.tiny.demucs import SOURCES, TINY, make_network, package
from models.tiny.write import write

pytestmark = pytest.mark.usefixtures("one_thread")

RATE = 44_100
TOLERANCE = 1e-6  # of full scale

CARD = card("htdemucs")
HYBRID = {"channels": 4, "dconv_comp": 2}
SHORT = {**TINY[HTDemucs], "segment": Fraction(1, 5)}


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("htdemucs", "htdemucs_ft", "htdemucs_6s", "mdx_extra"):
        write(folder, name)
    return folder


@pytest.fixture(scope="module")
def transformers():
    """Two small networks of the transformer's kind, with segments of 0.2 s."""
    return [make_network(HTDemucs, SOURCES, seed, SHORT) for seed in (1, 2)]


@pytest.fixture(scope="module")
def older():
    """The kinds of networks before the transformer: hybrid with and without bug, and waveform."""
    return [
        make_network(
            HDemucs, SOURCES, 3, {**TINY[HDemucs], "segment": Fraction(1, 2), "hybrid_old": True}
        ),
        make_network(HDemucs, SOURCES, 4, {**TINY[HDemucs], "segment": Fraction(1, 2)}),
        make_network(Demucs, SOURCES, 5, {**TINY[Demucs], "segment": Fraction(1, 2)}),
    ]


def song(samples, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    tone = np.sin(2 * np.pi * 220 * time) * np.sin(2 * np.pi * 1.5 * time)
    return (0.2 * tone + 0.02 * rng.standard_normal((2, samples)) + 0.01).astype(np.float32)


def ours(adapter, mix, stems, blocks=1, **options):
    mean, std = level([mix])
    pieces = np.array_split(mix, blocks, axis=1)
    return np.concatenate(
        list(adapter.separate(pieces, stems, mean=mean, std=std, **options)), axis=2
    )


def by_library(model, mix):
    """Sources of a mix as the package's own calls separate it, without random shifts."""
    mean, std = level([mix])
    normalised = (torch.from_numpy(mix) - mean) / std
    separated = apply_model(model, normalised[None], shifts=0, split=True, overlap=0.25)
    return (separated[0] * std + mean).numpy()


@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_ft", "htdemucs_6s", "mdx_extra"])
def test_equals_the_library_on_a_repository_of_its_own(name, models_dir, tmp_path, monkeypatch):
    for file in card(name).files:  # without the digits, which fit published contents only
        shutil.copy(models_dir / name / file.name, tmp_path / f"{file.name.partition('-')[0]}.th")
    shutil.copy(files("demucs") / "remote" / f"{name}.yaml", tmp_path)
    bag = BagOnlyRepo(tmp_path, LocalRepo(tmp_path)).get_model(name)

    def refuse(*_):
        raise AssertionError("the network is not to be used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    adapter = load(card(name), "cpu", models_dir / name)
    assert adapter.sources == tuple(bag.sources)
    assert adapter.sample_rate_hz == card(name).sample_rate_hz
    mix = song(round(2.3 * RATE))
    separated = ours(adapter, mix, adapter.sources)
    assert separated.dtype == np.float32
    assert separated.shape == (len(adapter.sources), *mix.shape)
    assert np.abs(separated - by_library(bag, mix)).max() < TOLERANCE
    # The sources differ from each other and from the mix.
    assert separated.std(axis=(1, 2)).min() > 0.005
    assert np.abs(separated[0] - separated[1]).max() > 1e-3


def test_equals_the_library_from_file_to_sources(models_dir, tmp_path):
    name = "htdemucs"
    shutil.copy(models_dir / name / card(name).files[0].name, tmp_path / "955717e8.th")
    shutil.copy(files("demucs") / "remote" / f"{name}.yaml", tmp_path)
    separator = Separator(name, repo=tmp_path, device="cpu", shifts=0)
    mix = song(round(1.9 * RATE))
    _, theirs = separator.separate_tensor(torch.from_numpy(mix))
    separated = ours(load(card(name), "cpu", models_dir / name), mix, SOURCES)
    for source, samples in zip(SOURCES, separated, strict=True):
        assert np.abs(samples - theirs[source].numpy()).max() < TOLERANCE


def _lengths(segment, stride):
    return [1, 7, segment // 2, stride, segment - 1, segment, segment + 1, stride + segment]


@pytest.mark.parametrize("kind", ["transformers", "older"])
@pytest.mark.parametrize("case", range(8))
def test_equals_the_library_at_every_kind_of_end(kind, case, request):
    networks = request.getfixturevalue(kind)
    bag = BagOfModels(networks, [[1.0, 2.0, 0.0, 1.0]] * (len(networks) - 1) + [[0.5] * 4])
    adapter = DemucsAdapter(bag, "cpu")
    segment = int(RATE * networks[0].segment)
    mix = song(_lengths(segment, int(0.75 * segment))[case])
    assert np.abs(ours(adapter, mix, SOURCES) - by_library(bag, mix)).max() < TOLERANCE


@pytest.mark.parametrize("kind", ["transformers", "older"])
def test_a_stream_equals_the_whole_however_it_is_cut(kind, request):
    adapter = DemucsAdapter(BagOfModels(request.getfixturevalue(kind)), "cpu")
    mix = song(RATE)
    whole = ours(adapter, mix, SOURCES)
    assert np.array_equal(ours(adapter, mix, SOURCES, blocks=37), whole)
    pieces = [mix[:, :1], mix[:, 1:1], mix[:, 1:20_000], mix[:, 20_000:]]
    mean, std = level([mix])
    cut = np.concatenate(list(adapter.separate(pieces, SOURCES, mean=mean, std=std)), axis=2)
    assert np.array_equal(cut, whole)


def test_a_stream_is_not_gathered(transformers):
    adapter = DemucsAdapter(BagOfModels(transformers[:1]), "cpu")
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield song(1_470)

    stream = adapter.separate(endless(), ["vocals"], mean=0.0, std=0.1)
    for _ in range(5):
        assert next(stream).shape[1:] == (2, int(0.75 * 8_820))
    # Five segments end at 4 * 0.15 + 0.2 s.
    assert taken == 24


def test_a_cpu_result_does_not_depend_on_the_batch_size(transformers):
    adapter = DemucsAdapter(BagOfModels(transformers), "cpu")
    mix = song(round(0.8 * RATE))
    alone = ours(adapter, mix, ["vocals"], batch_size=1)
    assert np.array_equal(ours(adapter, mix, ["vocals"], batch_size=5), alone)
    ours(adapter, song(RATE // 3, seed=1), ["vocals"])
    assert np.array_equal(ours(adapter, mix, ["vocals"]), alone)


@pytest.mark.parametrize("kind", ["transformers", "older"])
def test_segments_in_batches_as_on_a_gpu_equal_single_ones(kind, request, monkeypatch):
    adapter = DemucsAdapter(BagOfModels(request.getfixturevalue(kind)), "cpu")
    mix = song(round(1.4 * RATE))
    alone = ours(adapter, mix, SOURCES)
    sizes = []
    run = adapter._run
    monkeypatch.setattr(
        adapter,
        "_run",
        lambda network, batch, *rest: sizes.append(len(batch)) or run(network, batch, *rest),
    )
    adapter._batchers[1] = Batcher(3, ahead=True)
    assert np.abs(ours(adapter, mix, SOURCES) - alone).max() < TOLERANCE
    assert max(sizes) == 3


def test_half_precision_is_near_and_repeated_in_full_where_it_overflows(transformers):
    exact = DemucsAdapter(BagOfModels(transformers[:1]), "cpu")
    half = DemucsAdapter(BagOfModels(transformers[:1]), "cpu", torch.float16)
    mix = song(RATE // 3)
    expected = ours(exact, mix, ["vocals"])
    error = ours(half, mix, ["vocals"]) - expected
    assert np.abs(error).max() > 0
    assert 10 * np.log10(np.mean(expected**2) / np.mean(error**2)) > 45
    loud = make_network(HTDemucs, SOURCES, 1, SHORT)
    with torch.no_grad():
        loud.tdecoder[-1].conv_tr.weight *= 1e6
    exact = DemucsAdapter(BagOfModels([loud]), "cpu")
    half = DemucsAdapter(BagOfModels([loud]), "cpu", torch.float16)
    assert np.array_equal(ours(half, mix, ["vocals"]), ours(exact, mix, ["vocals"]))


def test_two_stems_sum_to_the_mix(transformers):
    adapter = DemucsAdapter(BagOfModels(transformers), "cpu")
    mix = song(RATE // 3)
    without, vocals = ours(adapter, mix, ["no_vocals", "vocals"])
    assert np.abs(vocals).max() > 0.01
    np.testing.assert_allclose(without + vocals, mix, atol=1e-7)


def test_only_the_networks_that_a_stem_needs_are_run(models_dir):
    adapter = load(card("htdemucs_ft"), "cpu", models_dir / "htdemucs_ft")
    calls = [0] * 4
    for index, network in enumerate(adapter._bag.models):
        network.register_forward_hook(
            lambda *_, index=index: calls.__setitem__(index, calls[index] + 1)
        )
    mix = song(2 * RATE)
    (vocals,) = ours(adapter, mix, ["vocals"])
    segments = -(-len(mix[0]) // int(0.75 * 1.8 * RATE))
    assert calls == [0, 0, 0, segments]
    assert np.abs(vocals - by_library(adapter._bag, mix)[3]).max() < TOLERANCE
    calls[:] = [0] * 4
    ours(adapter, mix, ["bass", "no_vocals"])
    assert calls == [0, segments, 0, segments]


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_silence_and_a_constant_are_separated(transformers, value):
    adapter = DemucsAdapter(BagOfModels(transformers), "cpu")
    mix = np.full((2, RATE // 3), value, np.float32)
    separated = ours(adapter, mix, SOURCES)
    assert np.isfinite(separated).all()
    assert np.abs(separated - value).max() < 1e-6


def test_the_level_is_that_of_the_library():
    mix = song(RATE) + np.float32(0.2)
    reference = torch.from_numpy(mix).double().mean(0)
    mean, std = level(np.array_split(mix, [1, 1, 500, 9000], axis=1))
    assert mean == pytest.approx(reference.mean().item(), rel=1e-6)
    assert std == pytest.approx(reference.std().item() + 1e-8, rel=1e-6)
    assert level([np.zeros((2, 5), np.float32)]) == (0.0, 1e-8)
    assert level([]) == (0.0, 1e-8)


def test_an_unknown_stem_is_refused(transformers):
    adapter = DemucsAdapter(BagOfModels(transformers), "cpu")
    with pytest.raises(ValueError, match=r"no sources .*piano.*drums, bass, other, vocals"):
        next(adapter.separate([song(100)], ["no_piano"], mean=0.0, std=1.0))


def test_segments_of_two_lengths_are_refused(transformers, older):
    with pytest.raises(ValueError, match="one length"):
        DemucsAdapter(BagOfModels([transformers[0], older[0]]), "cpu")


def test_attention_is_left_as_it_was(transformers):
    assert torch.backends.mha.get_fastpath_enabled()
    ours(DemucsAdapter(BagOfModels(transformers), "cpu"), song(100), ["vocals"])
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("index", range(3))
def test_a_checkpoint_of_any_kind_is_loaded(index, older, tmp_path):
    path = tmp_path / "mine.th"
    torch.save(package(older[index]), path)
    adapter = load_checkpoint(CARD, "cpu", path)
    mix = song(RATE)
    expected = by_library(adapter._bag, mix)
    assert np.abs(ours(adapter, mix, SOURCES) - expected).max() < TOLERANCE
    assert type(adapter._bag.models[0]) is type(older[index])


def test_numbers_of_numpy_are_read_under_both_names_of_their_module(transformers, tmp_path):
    content = {**package(transformers[0]), "training_args": {"a": np.float64(4), "b": np.int64(2)}}
    torch.save(content, tmp_path / "new.th")
    with (
        zipfile.ZipFile(tmp_path / "new.th") as new,
        zipfile.ZipFile(tmp_path / "old.th", "w") as old,
    ):
        for name in new.namelist():
            data = new.read(name)
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in data
                data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            old.writestr(name.replace("new/", "old/", 1), data)
    for name in ("new.th", "old.th"):
        assert load_checkpoint(CARD, "cpu", tmp_path / name).sources == SOURCES


def _save_safetensors(path, network, **changes):
    args, kwargs = network._init_args_kwargs
    segment = Fraction(kwargs["segment"])
    fraction = {
        "_type": "fraction",
        "numerator": segment.numerator,
        "denominator": segment.denominator,
    }
    metadata = {
        "klass": f"{type(network).__module__}.{type(network).__name__}",
        "args": json.dumps(args),
        "kwargs": json.dumps({**kwargs, "segment": fraction}),
        **changes,
    }
    state = {name: value.clone() for name, value in network.state_dict().items()}
    save_file(state, path, metadata)


def test_safetensors_are_read_as_the_library_reads_them(transformers, tmp_path):
    path = tmp_path / "mine.safetensors"
    _save_safetensors(path, transformers[0])
    adapter = load_checkpoint(CARD, "cpu", path)
    mix = song(RATE // 3)
    theirs = by_library(load_safetensors_model(path), mix)
    assert np.abs(ours(adapter, mix, SOURCES) - theirs).max() < TOLERANCE


class Hostile:
    def __reduce__(self):
        return (open, ("/dev/null", "w"))


def test_files_that_are_no_networks_are_refused(transformers, tmp_path):
    good = package(transformers[0])
    bad = {
        "code": {**good, "training_args": Hostile()},
        "other class": {**good, "klass": Fraction},
        "quantised": {**good, "state": {"__quantized": True}},
        "no state": {key: good[key] for key in ("klass", "args", "kwargs")},
        "other state": {**good, "state": {}},
        "list": [1],
    }
    for name, content in bad.items():
        path = tmp_path / f"{name}.th"
        torch.save(content, path)
        with pytest.raises(ValueError, match=f"{name}.th holds no network of Demucs"):
            load_checkpoint(CARD, "cpu", path)
    plain = tmp_path / "plain.th"
    plain.write_bytes(pickle.dumps({**good, "state": Hostile()}))
    empty, noise = tmp_path / "empty.th", tmp_path / "noise.safetensors"
    empty.write_bytes(b"")
    noise.write_bytes(b"RIFF" * 100)
    other = tmp_path / "other.safetensors"
    _save_safetensors(other, transformers[0], klass="subprocess.Popen")
    for path in (plain, empty, noise, other):
        with pytest.raises(ValueError, match=f"{path.name} holds no network of Demucs"):
            load_checkpoint(CARD, "cpu", path)
    mono = tmp_path / "mono.th"
    torch.save(package(HDemucs(["vocals"], audio_channels=1, **HYBRID)), mono)
    with pytest.raises(ValueError, match="1 channels"):
        load_checkpoint(CARD, "cpu", mono)


def test_tiny_models_are_the_same_bytes_every_time(models_dir, tmp_path):
    folder = write(tmp_path, "htdemucs_ft")
    for file in card("htdemucs_ft").files:
        assert (folder / file.name).read_bytes() == (
            models_dir / "htdemucs_ft" / file.name
        ).read_bytes()
