"""A pair as audio again, from its row in a dataset and the prepared stems alone.

A row holds all that was drawn for its pair. What comes out here are the very samples that
were encoded, so that any example can be heard, made at another rate, or checked.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

from blocks.storage import Storage
from tasks import audio
from tasks.corpora.prepared_song import PreparedSong
from tasks.stems.augment import AugmentConfig, variant_of, varied
from tasks.stems.distort import mixes
from tasks.stems.mixing import mixture
from tasks.step import Tools
from tasks.track import Samples


def render(
    row: Mapping[str, Any], song: PreparedSong, tools: Tools, config: AugmentConfig
) -> dict[str, Samples]:
    """Return the signals of a pair.

    Parameters
    ----------
    row
        Any row of the pair in a dataset.
    song
        Its song, of the same prepared folder.
    tools
        Where the prepared stems lie; nothing is stored.
    config
        Rate and channels of the signals; nothing is drawn.

    Returns
    -------
    dict
        ``"stem"``, ``"all"`` and ``"all_without"``, shape ``(channels, samples)`` each.
    """
    from tasks.dsp.distortion import apply_chain

    rate_hz = config.sample_rate_hz
    variant = variant_of(song, row["variant"], row["pitch_semitones"], row["tempo"], rate_hz)
    stems = {stem.stem_id: stem for stem in song.stems}
    with TemporaryDirectory(prefix="songmill-") as folder:
        # Through files, as the steps do: what they store is rounded to 16 bits.
        temporary = replace(tools, outputs=Storage(folder))
        paths = {}
        for stem_id in (row["target"], *row["companions"]):
            paths[stem_id] = f"{stem_id}.flac"
            signal = varied(tools, stems[stem_id], variant, config)
            audio.write_flac(temporary.outputs, paths[stem_id], signal, rate_hz)
        stored = {"channels": config.channels, "samples": variant["samples"]}
        together = mixes(
            temporary, row, paths, gain_db=row["gain_db"], sample_rate_hz=rate_hz, **stored
        )
        signals = {"stem": together.stem}
        for name, context in (("all", together.all), ("all_without", together.all_without)):
            distorted = apply_chain(context, rate_hz, json.loads(row["distortions"]))
            audio.write_flac(temporary.outputs, f"{name}.flac", distorted, rate_hz)
            signals[name] = mixture(temporary.outputs, [f"{name}.flac"], rate_hz=rate_hz, **stored)
    return signals
