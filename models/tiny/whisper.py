"""A tiny Whisper, in CTranslate2's format, that spells invented words.

Random parameters would repeat one token or end at once. Here each decoder position asks
for a kind of token (one that begins a word, a vowel, a consonant, the end), and what the
attention to the sound adds decides between the tokens of a kind: every stretch of voice
gives half a dozen pronounceable words that depend on it, and then the end. The first head
attends to later frames at later positions, so that the words get times in their order.

The vocabulary is the published one with next to no merges: the bytes, the empty token (by
which CTranslate2 tells multilingual models), then the special tokens in Whisper's order.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.registry import ModelCard

Float = npt.NDArray[np.float64]

SEED = 3


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Size of a network, and how much it says.

    Attributes
    ----------
    width, heads, layers
        Width, attention heads, and layers of the encoder and of the decoder.
    vocabulary
        Tokens before the special ones; at least those that are used.
    words
        Shapes of the words that a window gives: "a" is a vowel, "b" a consonant.
    spread_seconds
        Time over which the words are spread.
    """

    width: int
    heads: int
    layers: int
    vocabulary: int = 280
    words: tuple[str, ...] = ("bab", "ba", "bab", "baba", "bab", "ba")
    spread_seconds: float = 12.0


TINY = Dimensions(width=16, heads=2, layers=1)
_SIZES = {
    "tiny": (384, 6, 4),
    "base": (512, 8, 6),
    "small": (768, 12, 12),
    "medium": (1024, 16, 24),
    "large-v2": (1280, 20, 32),
    "large-v3": (1280, 20, 32),
}
"""Width, heads and layers of the published models (A. Radford et al., "Robust speech recognition
via large-scale weak supervision", 2022, table 1)."""

_END = "<|endoftext|>"
_START = "<|startoftranscript|>"
_AUDIO_POSITIONS = 1500
_TEXT_POSITIONS = 448
_TIMESTAMPS = 1501
_FIRST_POSITION = 3  # of what is predicted first: <|notimestamps|> of the prompt is there
_CONSONANTS = "bcdfghjklmnprstvwz"
_VOWELS = "aeiou"

# What the directions of the hidden state stand for, and how far they reach into it.
_ALIVE, _WORD, _VOWEL, _CONSONANT, _STOP, _LANGUAGE = range(6)
_TIME = slice(6, 8)
_VOICE = slice(8, 15)
_STATE = 100.0
_VOICE_GAIN = 80.0
_CONTRAST = 3.0
_TIMES_STOP = 190.0
_KIND_LOGIT, _VOICE_LOGIT, _UNUSED_LOGIT = 80.0, 24.0, -30.0


def published(card: ModelCard) -> Dimensions:
    """Return the dimensions of the published model, with words as many as a song has.

    Raises
    ------
    ValueError
        If its decoder has another depth than its encoder, as that of a distilled one.
    """
    size = card.name.removeprefix("whisper-")
    if size not in _SIZES:
        raise ValueError(f"{card.name}: published sizes are those of {', '.join(_SIZES)}.")
    return Dimensions(*_SIZES[size], 50_257, 4 * TINY.words, 30.0)


def write(card: ModelCard, folder: Path, dimensions: Dimensions = TINY) -> None:
    """Write a model, and with it the tokenizer that it needs.

    Parameters
    ----------
    card
        Which published model it stands for: it decides the number of mel bands and languages.
    folder
        Where to.
    dimensions
        Size of the network.
    """
    from ctranslate2.specs import WhisperSpec

    is_third = "large-v3" in card.name
    tokens, merges = _vocabulary(dimensions.vocabulary, with_cantonese=is_third)
    spec = WhisperSpec(dimensions.layers, dimensions.heads, dimensions.layers, dimensions.heads)
    _Weights(spec, dimensions, n_mels=128 if is_third else 80).fill(tokens)
    spec.register_vocabulary(tokens)
    spec.config.add_attribute("suppress_ids", [])
    blank = [tokens.index("Ġ"), tokens.index(_END)]
    spec.config.add_attribute("suppress_ids_begin", blank)
    spec.config.add_attribute("lang_ids", _language_ids(tokens))
    spec.config.add_attribute("alignment_heads", [[dimensions.layers - 1, 0]])
    spec.validate()
    # The name of what is equal. Not by spec.optimize(), which compares every pair of weights.
    spec.decoder.projection.weight = "decoder/embeddings/weight"
    spec.save(str(folder))
    (folder / "tokenizer.json").write_text(_tokenizer(tokens, merges), encoding="utf-8")
    if is_third:
        config = {"feature_size": 128, "sampling_rate": 16_000, "hop_length": 160, "n_fft": 400}
        (folder / "preprocessor_config.json").write_text(json.dumps(config))
    else:
        # The first published models have their vocabulary in the older format.
        (folder / "vocabulary.json").unlink()
        (folder / "vocabulary.txt").write_text("\n".join([*tokens, ""]), encoding="utf-8")


class _Weights:
    """Parameters of the network."""

    def __init__(self, spec: Any, dimensions: Dimensions, n_mels: int) -> None:
        self._spec = spec
        self._dimensions = dimensions
        self._width = dimensions.width
        self._head = dimensions.width // dimensions.heads
        self._n_mels = n_mels
        self._random = np.random.default_rng(SEED)
        # Orthonormal, and of zero mean each, so that normalisation keeps them apart.
        cosines = np.pi * np.outer(np.arange(1, 16), np.arange(self._width) + 0.5) / self._width
        self._directions: Float = np.cos(cosines) * np.sqrt(2 / self._width)

    def fill(self, tokens: list[str]) -> None:
        """Set every parameter of the specification."""
        width, spec = self._width, self._spec
        encoder, decoder = spec.encoder, spec.decoder
        self._convolution(encoder.conv1, self._n_mels)
        self._convolution(encoder.conv2, width)
        angles = _angles(np.arange(_AUDIO_POSITIONS))
        encoder.position_encodings.encodings = _stored(2 * np.sqrt(width) * self._on_circle(angles))
        self._norm(encoder.layer_norm)
        for layer in encoder.layer:
            self._attention(layer.self_attention, is_self=True)
            self._feed_forward(layer.ffn)
        embeddings = _stored(self._embeddings(tokens) / np.sqrt(width))
        decoder.embeddings.weight = embeddings
        decoder.projection.weight = embeddings
        decoder.position_encodings.encodings = _stored(self._positions())
        self._norm(decoder.layer_norm)
        for layer in decoder.layer:
            self._attention(layer.self_attention, is_self=True)
            self._attention(layer.attention, is_self=False)
            self._feed_forward(layer.ffn)
        self._listening(decoder.layer[-1].attention)

    def _embeddings(self, tokens: list[str]) -> Float:
        """Return of every token the logits along the directions of the hidden state."""
        rows = np.zeros((len(tokens), len(self._directions)))
        rows[:, _ALIVE] = _UNUSED_LOGIT
        voices = self._random.standard_normal((len(tokens), 7))
        voices *= _VOICE_LOGIT / np.linalg.norm(voices, axis=1, keepdims=True)
        kinds = {f"Ġ{letter}": _WORD for letter in _CONSONANTS}
        kinds |= dict.fromkeys(_VOWELS, _VOWEL) | dict.fromkeys(_CONSONANTS, _CONSONANT)
        for token, kind in kinds.items():
            at = tokens.index(token)
            rows[at, [_ALIVE, kind]] = 0.0, _KIND_LOGIT
            rows[at, _VOICE] = voices[at]
        rows[tokens.index(_END), _STOP] = 2 * _KIND_LOGIT
        languages = _language_ids(tokens)
        rows[[tokens.index(_END), *languages], _ALIVE] = 0.0
        # Where the words are over, a time is likelier than the end only for a decoder that
        # adds up all times, as Whisper's does when it is asked for times.
        rows[-_TIMESTAMPS:, _STOP] = _TIMES_STOP
        rows[languages, _LANGUAGE] = _KIND_LOGIT
        rows[languages, _VOICE] = 0.1 * voices[languages]
        rows[tokens.index("<|en|>"), _LANGUAGE] += 20.0
        return rows @ self._directions

    def _positions(self) -> Float:
        """Of every position the kind of token that follows it, and when it is sung."""
        letters = {"a": _VOWEL, "b": _CONSONANT}
        words = self._dimensions.words
        kinds = [kind for word in words for kind in (_WORD, *(letters[x] for x in word[1:]))]
        kinds.append(_STOP)
        steps = (np.arange(_TEXT_POSITIONS) - _FIRST_POSITION) % len(kinds)
        rows = np.zeros((_TEXT_POSITIONS, len(self._directions)))
        rows[:, _ALIVE] = 1.0
        rows[np.arange(_TEXT_POSITIONS), np.array(kinds)[steps]] = 0.7
        rows[0] = 0.0
        rows[0, [_ALIVE, _LANGUAGE]] = 1.0, 0.7
        rows[:, _VOICE] = 0.2 * self._random.standard_normal((_TEXT_POSITIONS, 7))
        frames = steps * self._dimensions.spread_seconds * 50 / len(kinds)
        return _STATE * (rows @ self._directions + self._on_circle(_angles(frames)))

    def _on_circle(self, angles: Float) -> Float:
        """Points of the circle that the two directions of time span, ``(angles, width)``."""
        circle: Float = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return circle @ self._directions[_TIME]

    def _listening(self, attention: Any) -> None:
        """Cross-attention of the last layer: the first head follows time, all give voice."""
        width, head = self._width, self._head
        query, key_value, out = attention.linear
        query.weight[:head] = 0.0
        query.weight[:2] = 2.0 * self._directions[_TIME]
        key_value.weight[:head] = 0.0
        key_value.weight[:2] = 2.0 * self._directions[_TIME] / np.sqrt(width / 16)
        time = self._directions[_TIME]
        values = key_value.weight[width:]
        values -= values @ time.T @ time
        to_voice = _VOICE_GAIN * self._random.standard_normal((7, width)) / np.sqrt(width)
        out.weight = _stored(self._directions[_VOICE].T @ to_voice)

    def _attention(self, attention: Any, is_self: bool) -> None:
        self._norm(attention.layer_norm)
        width = self._width
        sizes = (3 * width, width) if is_self else (width, 2 * width, width)
        for linear, size in zip(attention.linear, sizes, strict=True):
            self._linear(linear, size, width)

    def _feed_forward(self, ffn: Any) -> None:
        self._norm(ffn.layer_norm)
        self._linear(ffn.linear_0, 4 * self._width, self._width)
        self._linear(ffn.linear_1, self._width, 4 * self._width)

    def _linear(self, linear: Any, outputs: int, inputs: int) -> None:
        weight = self._random.standard_normal((outputs, inputs)) / np.sqrt(inputs)
        linear.weight = _stored(weight)
        linear.bias = np.zeros(outputs, np.float16)

    def _convolution(self, convolution: Any, inputs: int) -> None:
        shape = (self._width, inputs, 3)
        weight = self._random.standard_normal(shape) / np.sqrt(3 * inputs)
        # What all inputs share, as the level of the sound, is left out: contrasts remain.
        weight = _CONTRAST * (weight - weight.mean(axis=(1, 2), keepdims=True))
        convolution.weight = _stored(weight)
        convolution.bias = np.zeros(self._width, np.float16)

    def _norm(self, norm: Any) -> None:
        norm.gamma = np.ones(self._width, np.float16)
        norm.beta = np.zeros(self._width, np.float16)


def _angles(frames: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> Float:
    """Angle that stands for a frame of the encoder, of 20 ms."""
    return np.asarray(frames, np.float64) * (np.pi / _AUDIO_POSITIONS)


def _stored(values: Float) -> npt.NDArray[np.float16]:
    """Values as they are stored, so that those of a large network are in memory once."""
    return np.ascontiguousarray(values, np.float32).astype(np.float16)


def _vocabulary(size: int, *, with_cantonese: bool) -> tuple[list[str], list[tuple[str, str]]]:
    """Tokens in the order of their numbers, and the merges of the byte pairs."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES
    from tokenizers.pre_tokenizers import ByteLevel

    merges = [("Ġ", letter) for letter in (*_VOWELS, *_CONSONANTS)]
    tokens = sorted(ByteLevel.alphabet()) + ["".join(pair) for pair in merges]
    tokens += [f"<|unused{number}|>" for number in range(size - len(tokens) - 1)]
    tokens += ["", _END, _START]
    tokens += [f"<|{code}|>" for code in _LANGUAGE_CODES if with_cantonese or code != "yue"]
    for name in (
        "translate",
        "transcribe",
        "startoflm",
        "startofprev",
        "nospeech",
        "notimestamps",
    ):
        tokens.append(f"<|{name}|>")
    tokens += [f"<|{0.02 * number:.2f}|>" for number in range(_TIMESTAMPS)]
    return tokens, merges


def _language_ids(tokens: list[str]) -> list[int]:
    return list(range(tokens.index(_START) + 1, tokens.index("<|translate|>")))


def _tokenizer(tokens: list[str], merges: list[tuple[str, str]]) -> str:
    """Return the tokenizer as JSON."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    end = tokens.index(_END)
    vocabulary = {token: number for number, token in enumerate(tokens[:end])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True) for token in tokens[end:-_TIMESTAMPS]]
    )
    tokenizer.add_tokens([AddedToken(token, special=False) for token in tokens[-_TIMESTAMPS:]])
    text: str = tokenizer.to_str()
    return text
