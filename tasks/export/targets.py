"""The targets of exports: one line each."""

from tasks.export import ace_step, jams, lhotse, musicgen, nemo, stable_audio, webdataset
from tasks.export.target import Target

TARGETS: dict[str, Target] = {
    each.name: each
    for each in (
        ace_step.TARGET,
        jams.TARGET,
        lhotse.TARGET,
        musicgen.TARGET,
        nemo.TARGET,
        stable_audio.TARGET,
        webdataset.TARGET,
    )
}
