"""The targets of exports: one line each."""

from tasks.export import lhotse, nemo, webdataset
from tasks.export.target import Target

TARGETS: dict[str, Target] = {
    each.name: each
    for each in (
        lhotse.TARGET,
        nemo.TARGET,
        webdataset.TARGET,
    )
}
