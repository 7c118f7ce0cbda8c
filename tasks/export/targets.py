"""The targets of exports: one line each."""

from tasks.export import (
    ace_step,
    croissant,
    hf,
    jams,
    lhotse,
    musicgen,
    nemo,
    stable_audio,
    webdataset,
)
from tasks.export.target import Target

TARGETS: dict[str, Target] = {
    each.name: each
    for each in (
        ace_step.TARGET,
        croissant.TARGET,
        hf.TARGET,
        jams.TARGET,
        lhotse.TARGET,
        musicgen.TARGET,
        nemo.TARGET,
        stable_audio.TARGET,
        webdataset.TARGET,
    )
}
