"""Licences of the models that computed columns of a dataset, by what its manifest says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelLicence:
    """A model, what it computed, and its licence.

    Attributes
    ----------
    name, source, revision
        Of the model, as :func:`tasks.engine.provenance.made_by` states them.
    licence
        Of its weights, as its card states it.
    made
        Columns that were computed with it; of a manifest without columns the steps. In the
        manifest's order.
    is_by_column
        Whether `made` are columns.
    """

    name: str
    source: str
    revision: str
    licence: str
    made: tuple[str, ...]
    is_by_column: bool

    @property
    def limit(self) -> str | None:
        """What its weights may be used for, where that is not everything; a phrase."""
        licence = self.licence.lower()
        if not licence:
            return "no licence stated"
        if "research" in licence:
            return "for research only"
        return "not for commercial use" if "-nc" in licence else None

    @property
    def line(self) -> str:
        """The model in a sentence: what it made, and under which licence."""
        kind = ("column" if self.is_by_column else "step") + ("" if len(self.made) == 1 else "s")
        limit = f" ({self.limit})" if self.limit and self.limit not in self.licence else ""
        licence = f", licence {self.licence}" if self.licence else ""
        made = ", ".join(self.made)
        return f"{kind.capitalize()} {made}: by {self.name}{licence}{limit}"


def of_manifest(manifest: Mapping[str, Any]) -> list[ModelLicence]:
    """Return the models of a dataset with what they computed, in the manifest's order.

    Parameters
    ----------
    manifest
        Of any dataset: it describes each of its ``columns``, or its ``steps``.
    """
    by_column = "columns" in manifest
    made: dict[tuple[str, str, str, str], list[str]] = {}
    for name, description in _described(manifest):
        for model in description.get("models") or ():
            key = (
                model["name"],
                model.get("source") or "",
                model.get("revision") or "",
                model.get("licence") or "",
            )
            made.setdefault(key, []).append(name)
    return [ModelLicence(*key, tuple(names), by_column) for key, names in made.items()]


def _described(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield columns, or steps, with what the manifest says of them."""
    if "columns" in manifest:
        for name, column in manifest["columns"].items():
            if not column.get("absent"):
                yield name, column
    else:
        for step in manifest.get("steps", ()):
            yield step["step"], step
