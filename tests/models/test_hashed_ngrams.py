import subprocess
import sys
from hashlib import blake2b

import numpy as np
import pytest

from models.hashed_ngrams import DIMENSIONS, HashedNgrams
from models.protocols import TextEmbedder

EMBEDDER = HashedNgrams()


def embed(*texts):
    return list(EMBEDDER.embed_text(texts))


def test_it_is_a_text_embedder():
    assert isinstance(EMBEDDER, TextEmbedder)


def test_texts_that_share_words_are_near():
    first, near, far = embed(
        "A calm acoustic track featuring guitar",
        "Calm acoustic guitars",
        "An energetic techno song with synthesizers",
    )
    assert first @ near > 0.4 > abs(first @ far) + 0.2
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-6)


def test_case_and_width_do_not_count_but_order_does():
    plain, shouted, swapped = embed(
        "drums and bass", "DRUMS and \uff42\uff41\uff53\uff53", "bass and drums"
    )
    assert np.array_equal(plain, shouted)
    assert 0.7 < plain @ swapped < 0.999


def test_a_text_without_words_is_zero():
    for vector in embed("", "  ...!", "\n"):
        assert vector.shape == (DIMENSIONS,)
        assert not vector.any()


def test_a_word_of_two_characters_falls_where_its_hashes_say():
    (vector,) = embed("go")
    expected = np.zeros(DIMENSIONS)
    for feature, weight in (("w go", 1.0), ("c <go", 0.3), ("c go>", 0.3), ("c <go>", 0.3)):
        digest = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
        expected[digest % DIMENSIONS] += weight if digest >> 63 else -weight
    assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)


def test_another_process_gives_the_same():
    code = (
        "import sys\nfrom models.hashed_ngrams import HashedNgrams\n"
        "sys.stdout.buffer.write(next(HashedNgrams().embed_text(['slow piano'])).tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == embed("slow piano")[0].tobytes()
