"""What to register: rows of the catalogue, and how a site's parameters differ from them."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deployments.catalogue import DEPLOYMENTS, Deployment, Folders
from flows import cli
from flows.cli import UsageError


@dataclass(frozen=True)
class Request:
    """What to register, and how it differs from the catalogue.

    Attributes
    ----------
    names
        Deployments (``build-dataset/gpu``) or flows (``build-dataset``); none for all.
    folders
        The site's.
    changes
        Values of parameters, for every deployment whose flow has them.
    working_dir
        Where runs start, and what relative paths in parameters are relative to.
    catalogue
        All deployments there are.
    """

    names: Sequence[str]
    folders: Folders
    changes: Mapping[str, Any]
    working_dir: Path
    catalogue: Sequence[Deployment] = DEPLOYMENTS

    def chosen(self) -> list[tuple[Deployment, dict[str, Any]]]:
        """Return the deployments that are asked for, each with its parameters.

        Raises
        ------
        UsageError
            If there is no such deployment or parameter, or a value is wrong.
        """
        rows = self._named()
        known = {name for row in rows for name in row.params_class.model_fields}
        if unknown := [name for name in self.changes if name not in known]:
            raise UsageError(f"--set {unknown[0]}: no deployment chosen here has this parameter.")
        return [(row, self._parameters(row)) for row in rows]

    def _named(self) -> list[Deployment]:
        known = {name for row in self.catalogue for name in (row.full_name, row.flow.name)}
        for name in self.names:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else "--dry_run shows them."
                raise UsageError(f"There is no deployment {name}; {hint}")
        return [
            row
            for row in self.catalogue
            if not self.names or {row.full_name, row.flow.name} & set(self.names)
        ]

    def _parameters(self, row: Deployment) -> dict[str, Any]:
        fields = row.params_class.model_fields
        changes = {name: value for name, value in self.changes.items() if name in fields}
        try:
            return row.parameters(self.folders, changes)
        except ValidationError as error:
            reason = cli.describe(error, row.params_class)
            raise UsageError(f"{row.full_name}: {reason}") from error
