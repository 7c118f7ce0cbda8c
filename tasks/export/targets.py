"""The targets of exports: one line each."""

from tasks.export import croissant, hf, webdataset
from tasks.export.target import Target

TARGETS: dict[str, Target] = {
    each.name: each
    for each in (
        croissant.TARGET,
        hf.TARGET,
        webdataset.TARGET,
    )
}
