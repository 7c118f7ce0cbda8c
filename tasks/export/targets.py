"""The targets of exports: one line each."""

from tasks.export import hf, webdataset
from tasks.export.target import Target

TARGETS: dict[str, Target] = {
    each.name: each
    for each in (
        hf.TARGET,
        webdataset.TARGET,
    )
}
