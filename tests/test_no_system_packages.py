"""Python packages are enough: neither ffmpeg nor espeak-ng is looked for on the machine."""

from typing import Any

import pytest

from tests.support.bare_build import bare_build


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return bare_build(tmp_path_factory)


def test_an_m4a_file_is_decoded(done):
    assert done["samples"] == pytest.approx(22_050 * done["seconds"], abs=4096)
    assert done["record"]["decoder"] == "ffmpeg", "the one that is part of PyAV"


def test_espeak_turns_words_into_phonemes(done):
    phonemes = done["record"]["phonemes"]
    assert phonemes["backend"] == "espeak-ng"
    assert len(phonemes["words"]) == len(done["record"]["lyrics"].split())


def test_a_record_is_complete(done):
    assert (done["status"], done["failures"]) == ("ok", [])
    assert done["record"]["duration"] == pytest.approx(done["seconds"], abs=0.1)
    assert done["record"]["tempo"] > 40
    assert done["record"]["segments"][0]["f0_mean"] > 60
    assert len(done["record"]["voice_embedding"]) == 256
