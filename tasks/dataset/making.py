"""Why two builds differ: what their manifests say of how the columns were made.

A step's recipe is a digest of all that its rows depend on: where it is the same in two manifests,
the step made the same of the same files. Where it is not, the difference is looked for in the step
itself and then in those before it, down to what changed of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.dataset.manifest import Manifest

OPTIONS = ("options", "profile", "split_seed")
"""What else manifests say of how a whole dataset was made."""

BESIDE_FILES = {
    "discover": "files: moved, renamed or replaced",
    "metadata": "files: the tables of metadata",
    "corrections": "corrections of people",
    "splits": "files: which artists and recordings there are beside the track's own",
}
"""Why a column differs that no step fills, by its source."""


@dataclass(frozen=True)
class Making:
    """How a dataset was made, from its manifest.

    Attributes
    ----------
    steps
        Description of each step of the run, by name: see
        :func:`tasks.engine.provenance.steps`. Empty if the manifest is older than recipes.
    columns
        Description of each column by ``table.name``; empty for jobs that have none.
    corrections
        How many values people corrected, by every column that these touch.
    options
        What else there is.
    """

    steps: Mapping[str, Mapping[str, Any]]
    columns: Mapping[str, Mapping[str, Any]]
    corrections: Mapping[str, int]
    options: Mapping[str, Any]

    @classmethod
    def of(cls, manifest: Manifest | None) -> "Making":
        """Return what a manifest says; nothing if there is none."""
        manifest = manifest or {}
        steps = {each["step"]: each for each in manifest.get("steps", []) if "recipe" in each}
        options = {name: manifest[name] for name in OPTIONS if name in manifest}
        return cls(steps, manifest.get("columns", {}), _corrections(manifest), options)


@dataclass(frozen=True)
class Change:
    """What a column's making differs in.

    Attributes
    ----------
    made_otherwise
        Whether its values were made in another way; None if the manifests do not tell.
    reasons
        Why, in words: what changed of its own, from before to now.
    """

    made_otherwise: bool | None
    reasons: list[str] = field(default_factory=list)


def change_of(column: str, now: Making, before: Making) -> Change:
    """Return how the making of a column differs.

    Parameters
    ----------
    column
        As manifests name it: ``table.name``.
    now, before
        How the two datasets were made.
    """
    new, old = now.columns.get(column, {}), before.columns.get(column, {})
    if not new and not old:
        # Manifests of other jobs than build-dataset describe steps, but not columns.
        return Change(None)
    if not now.steps or not before.steps:
        return _without_recipes(new, old)
    sources = dict.fromkeys((*new.get("from_steps", ()), *old.get("from_steps", ())))
    reasons = _reasons(list(sources), now, before)
    made_by = [str(each.get("step")) for each in (old, new)]
    if made_by[0] == made_by[1] and made_by[0] in BESIDE_FILES:
        reasons += _fields(f"{made_by[0]}: ", new.get("config") or {}, old.get("config") or {})
    for step in dict.fromkeys(made_by):
        # The merge looks at rows of all steps: only its own code counts.
        if step in now.steps and step in before.steps:
            reasons += _version(step, now.steps[step], before.steps[step])
    if made_by[0] != made_by[1]:
        reasons.append(f"made by {made_by[0]} -> {made_by[1]}")
    found = list(dict.fromkeys(reasons))
    return Change(bool(found), found)


def whole(now: Making, before: Making) -> Iterator[str]:
    """Yield what changed of its own in the making of a whole dataset, from before to now."""
    for name in dict.fromkeys((*before.steps, *now.steps)):
        yield from _own(name, now.steps.get(name), before.steps.get(name))
    yield from _fields("", now.options, before.options)


def _reasons(steps: Sequence[str], now: Making, before: Making) -> list[str]:
    """Return what changed in some steps or before them, each with the shortest way that it took."""
    found: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [(step, ()) for step in steps]
    met: dict[str, None] = {}
    while waiting:
        name, way = waiting.pop(0)
        new, old = now.steps.get(name), before.steps.get(name)
        if name in met or (new and old and new["recipe"] == old["recipe"]):
            continue
        met[name] = None
        for reason in _own(name, new, old):
            found.setdefault(reason, way)
        if new and old:
            upstream = dict.fromkeys((*old["upstream"], *new["upstream"]))
            waiting += [(each, (name, *way)) for each in upstream]
    if met and not found:
        return [f"{', '.join(met)}: made otherwise, the manifests do not say how"]
    return [
        f"{reason}, by way of {', '.join(way)}" if way else reason for reason, way in found.items()
    ]


def _own(step: str, new: Mapping[str, Any] | None, old: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what changed of a step itself."""
    if new is None or old is None:
        if new is not old:
            yield f"{step}: part of the run only {'before' if old else 'now'}"
        return
    yield from _version(step, new, old)
    yield from _fields(f"{step}: ", new.get("config") or {}, old.get("config") or {})
    yield from _models(step, new, old)


def _version(step: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    versions = old.get("step_version"), new.get("step_version")
    if versions[0] != versions[1]:
        yield f"{step}: version {versions[0]} -> {versions[1]}"


def _fields(whose: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a configuration that differ, those of nested ones by dotted names."""
    flat_new, flat_old = _flat(new), _flat(old)
    for name in dict.fromkeys((*flat_old, *flat_new)):
        before, after = flat_old.get(name), flat_new.get(name)
        if before != after:
            yield f"{whose}{name} {_said(before)} -> {_said(after)}"


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": each for inner, each in _flat(value).items()}
        else:
            flat[name] = value
    return flat


def _models(step: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    by_name = [
        {str(model["name"]): str(model["revision"]) for model in each.get("models") or []}
        for each in (old, new)
    ]
    before, after = by_name
    if before.keys() != after.keys():
        yield f"{step}: model {', '.join(before) or 'none'} -> {', '.join(after) or 'none'}"
    for name in before.keys() & after.keys():
        if before[name] != after[name]:
            yield f"{step}: model {name}, revision {before[name]} -> {after[name]}"


def _without_recipes(new: Mapping[str, Any], old: Mapping[str, Any]) -> Change:
    """Return what two descriptions of a column say by themselves: nothing of what came before."""
    step = str(new.get("step") or old.get("step"))
    reasons = [*_own(step, new, old)] if new and old else []
    for one, other, when in ((old, new, "before"), (new, old, "now")):
        if other.get("absent") and not one.get("absent"):
            reasons = [f"{step}: part of the run only {when}"]
    return Change(True if reasons else None, reasons)


def _corrections(manifest: Manifest) -> dict[str, int]:
    """Return how many corrections touch a column, itself or one that it rests on."""
    said = manifest.get("corrections") or {}
    touched: dict[str, int] = {}
    for name, count in (said.get("values") or {}).items():
        followers = ", ".join((said.get("afterwards") or {}).get(name, {}))
        # One correction of the key is of two columns.
        own = ("dominant_key", "mode") if name == "key" else (name,)
        for column in (*own, *filter(None, followers.split(", "))):
            touched[column] = touched.get(column, 0) + count
    return touched


def _said(value: Any) -> str:
    return "null" if value is None else str(value)
