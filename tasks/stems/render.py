"""A pair as audio again, from its row in a dataset and the prepared stems alone.

A row holds all that was drawn for its pair. What comes out here are the very samples that
were encoded, so that any example can be heard, made at another rate, or checked.
"""

import json
from collections.abc import Mapping
from typing import Any

from tasks.corpora.prepared_song import PreparedSong
from tasks.stems.augment import AugmentConfig, variant_of, varied
from tasks.stems.mixing import Stems, from_pcm, to_pcm
from tasks.stems.schema import CONTEXTS, Signal
from tasks.step import Tools
from tasks.track import Samples


def render(
    row: Mapping[str, Any], song: PreparedSong, tools: Tools, config: AugmentConfig
) -> dict[Signal, Samples]:
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

    rate_hz, gain_db = config.sample_rate_hz, row["gain_db"]
    variant = variant_of(song, row["variant"], row["pitch_semitones"], row["tempo"], rate_hz)
    by_id = {stem.stem_id: stem for stem in song.stems}
    with Stems(config.channels, variant["samples"]) as stems:
        for stem_id in (row["target"], *row["companions"]):
            stems.add(stem_id, varied(tools, by_id[stem_id], variant, config))
        signals: dict[Signal, Samples] = {"stem": stems.mixed(row, "stem", gain_db)}
        for name in CONTEXTS:
            context = stems.mixed(row, name, gain_db)
            distorted = apply_chain(context, rate_hz, json.loads(row["distortions"]))
            signals[name] = from_pcm(to_pcm(distorted))
    return signals
