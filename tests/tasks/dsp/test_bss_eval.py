import warnings

import mir_eval
import numpy as np
import pytest

from benchmarks.museval_metrics import metrics
from tasks.dsp import bss_eval as kernels
from tasks.dsp.bss_eval import BssFrames, bss_eval

NAMES = ("sdr", "isr", "sir", "sar")


def coloured(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Sources of different colours, on the grid of 16 bits."""
    rng = np.random.default_rng(seed)
    signals = rng.standard_normal((*shape[:-1], shape[-1] + 1))
    for index, source in enumerate(signals):
        source[..., 1:] += (0.9 - 0.4 * index) * source[..., :-1]
    return np.round(signals[..., 1:] * 0.1 * 32_768) / 32_768


def separated(references: np.ndarray, seed: int = 9) -> np.ndarray:
    """Estimates with filtering, interference and artefacts."""
    rng = np.random.default_rng(seed)
    late = np.pad(references, [(0, 0), (0, 0), (7, 0)])[..., :-7]
    noise = 0.01 * rng.standard_normal(references.shape)
    return 0.8 * references + 0.1 * late + 0.2 * references.sum(axis=0) + noise


def of_museval(references: np.ndarray, estimates: np.ndarray, **options: float) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        *values, _ = metrics().bss_eval(
            references.transpose(0, 2, 1), estimates.transpose(0, 2, 1), **options
        )
    return dict(zip(NAMES, values, strict=True))


def assert_equal(ours: BssFrames, theirs: dict, within_db: float = 1e-6) -> None:
    for name in NAMES:
        np.testing.assert_allclose(getattr(ours, name), theirs[name], rtol=0, atol=within_db)


@pytest.mark.parametrize(
    ("shape", "window", "hop"),
    [
        ((3, 2, 20_000), 4_410, 4_410),
        ((2, 1, 9_000), 4_000, 2_500),
        ((2, 2, 5_000), 44_100, 44_100),
    ],
)
def test_values_are_musevals(shape: tuple[int, int, int], window: int, hop: int):
    references = coloured(1, shape)
    estimates = separated(references)
    options = {"window": window, "hop": hop}
    theirs = of_museval(references, estimates, filters_len=64, **options)
    assert_equal(bss_eval(references, estimates, taps=64, **options), theirs)


def test_the_filters_of_the_convention_have_512_taps():
    references = coloured(2, (2, 1, 6_000))
    estimates = separated(references)
    theirs = of_museval(references, estimates, window=44_100, hop=44_100, filters_len=512)
    assert_equal(bss_eval(references, estimates), theirs)


def test_a_song_in_mono_has_the_values_of_mir_evals_images():
    references = coloured(3, (2, 1, 6_000))
    estimates = separated(references)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mir_eval.separation.bss_eval_images(
            references[:, 0, :, None], estimates[:, 0, :, None], compute_permutation=False
        )
    ours = bss_eval(references, estimates)
    for name, theirs in zip(NAMES, found, strict=False):
        np.testing.assert_allclose(getattr(ours, name)[:, 0], theirs, atol=1e-6)


def test_integers_in_blocks_are_the_same_signals(monkeypatch: pytest.MonkeyPatch):
    references = coloured(4, (2, 2, 9_000))
    estimates = separated(references)
    whole = bss_eval(references, estimates, window=3_000, hop=3_000, taps=32)
    monkeypatch.setattr(kernels, "BLOCK_FFT", 512)
    monkeypatch.setattr(kernels, "BLOCKS", 3)
    integers = np.round(references * 32_768).astype(np.int16)
    cut = bss_eval(integers, estimates, window=3_000, hop=3_000, taps=32)
    assert_equal(cut, {name: getattr(whole, name) for name in NAMES})


def test_frames_in_which_a_source_or_an_estimate_is_silent_have_no_values_as_in_museval():
    references = coloured(5, (2, 2, 12_000))
    references[0, :, 3_000:6_000] = 0
    estimates = separated(references)
    estimates[1, :, 9_000:] = 0
    theirs = of_museval(references, estimates, window=3_000, hop=3_000, filters_len=32)
    assert np.isnan(theirs["sdr"]).any(axis=0).tolist() == [False, True, False, True]
    ours = bss_eval(references, estimates, window=3_000, hop=3_000, taps=32)
    assert_equal(ours, theirs)
    assert ours.counts == [2, 2]
    first = ours.medians()[0]
    assert first is not None
    assert first["sir"] == pytest.approx(np.nanmedian(theirs["sir"][0]))


def test_a_source_that_is_silent_all_along_is_left_out():
    references = coloured(6, (3, 2, 8_000))
    references[1] = 0
    estimates = separated(references)
    with pytest.raises(ValueError, match="non-silent"):
        of_museval(references, estimates)
    sounding = [0, 2]
    theirs = of_museval(
        references[sounding], estimates[sounding], window=4_000, hop=4_000, filters_len=32
    )
    ours = bss_eval(references, estimates, window=4_000, hop=4_000, taps=32)
    assert ours.counts == [2, 0, 2]
    assert ours.medians()[1] is None
    for name in NAMES:
        found = getattr(ours, name)[sounding]
        np.testing.assert_allclose(found, theirs[name], atol=1e-6)


def test_a_silent_estimate_has_no_values_and_takes_none_from_others():
    references = coloured(7, (2, 2, 8_000))
    estimates = separated(references)
    silent = estimates.copy()
    silent[0] = 0
    options = {"window": 4_000, "hop": 4_000, "taps": 32}
    alone = bss_eval(references, estimates[1:], [1], **options)
    ours = bss_eval(references, silent, **options)
    assert ours.counts == [0, 2]
    np.testing.assert_array_equal(ours.sdr[1], alone.sdr[0])


def test_a_mono_song_in_two_channels_is_scored_as_one_in_one():
    mono = coloured(8, (2, 1, 8_000))
    estimates = separated(mono)
    options = {"window": 4_000, "hop": 4_000, "taps": 32}
    one = bss_eval(mono, estimates, **options)
    # The equations of museval are singular here; what it makes of their rounding is close.
    both = (mono.repeat(2, axis=1), estimates.repeat(2, axis=1))
    ours = bss_eval(*both, **options)
    assert_equal(ours, {name: getattr(one, name) for name in NAMES})
    theirs = of_museval(*both, window=4_000, hop=4_000, filters_len=32)
    assert_equal(ours, theirs, within_db=0.01)


def test_nothing_to_score_is_no_error():
    nothing = np.zeros((2, 2, 5_000))
    assert bss_eval(nothing, nothing).counts == [0, 0]
    with pytest.raises(ValueError, match="one song"):
        bss_eval(nothing, nothing[..., 1:])
