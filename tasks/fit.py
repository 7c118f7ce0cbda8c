"""The contract that every fit keeps.

A step maps tracks to rows; a fit maps a dataset to a trained model::

    (dataset, config, tools, session) -> metrics, and a model in session.model_folder

It is declared once, as a :class:`Fit` at the top of the module that holds its
function. From the declaration follows its key: a finished fit is never run again.
"""

import json
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from tasks.step import Resource, Tools, digest, no_models, on_gpu

if TYPE_CHECKING:
    from tasks.training.session import Session


class FitConfig(BaseModel):
    """Base of every fit's configuration: immutable, without unknown keys.

    Every field changes the result and therefore enters the key; what does not
    (device, workers, threads, trackers, addresses) belongs to the job that runs it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class DatasetReference:
    """A dataset by where it lies and what it holds.

    Attributes
    ----------
    address
        Folder, or ``s3://bucket/prefix``; in no key.
    fingerprint
        Digest of its content.
    """

    address: str
    fingerprint: str


class FitError(Exception):
    """A fit that cannot be run; its outcome is failed, and the other fits go on.

    Parameters
    ----------
    reason
        The same in machine-readable form, such as ``dataset-empty``.
    message
        One sentence for people, with the remedy.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.message)


class StoppedError(Exception):
    """The fit was asked to stop, and its state is saved: the next run goes on from there."""


FitFunction = Callable[[DatasetReference, Any, Tools, "Session"], Mapping[str, float]]


@dataclass(frozen=True)
class Fit:
    """Declaration of a fit.

    Other processes find it by the module of its function and the name it has there.

    Attributes
    ----------
    name
        Name of the fit, of its Prefect task and of the table of its results.
    version
        Raised by hand whenever the code changes what the fit returns.
    config
        Class of its configuration.
    run
        Trains, writes a model with its manifest into ``session.model_folder``, and
        returns metrics. Raises FitError if it cannot.
    models
        From a configuration to the names of the registered models that it starts from.
    resource
        From a configuration to the Dask resource that it occupies.
    """

    name: str
    version: int
    config: type[FitConfig]
    run: FitFunction
    models: Callable[[Any], tuple[str, ...]] = no_models
    resource: Callable[[Any], Resource] = on_gpu

    def key(
        self,
        config: FitConfig,
        dataset_fingerprint: str,
        revisions: Mapping[str, str] = MappingProxyType({}),
        seed: int = 0,
    ) -> str:
        """Return the address of the result: a digest of everything that it depends on.

        Parameters
        ----------
        config
            The fit's configuration.
        dataset_fingerprint
            Digest of the dataset's content.
        revisions
            Revision of each model that the fit starts from.
        seed
            Of all randomness.

        Raises
        ------
        TypeError
            If the configuration is that of another fit.
        KeyError
            If the revision of a model is missing.
        """
        if type(config) is not self.config:
            raise TypeError(
                f"fit {self.name} takes a {self.config.__name__}, not a {type(config).__name__}"
            )
        inputs = {
            "fit": self.name,
            "version": self.version,
            "config": config.model_dump(mode="json"),
            "models": [[name, revisions[name]] for name in sorted(self.models(config))],
            "dataset": dataset_fingerprint,
            "seed": seed,
        }
        return digest(json.dumps(inputs, sort_keys=True).encode())

    def __reduce__(self) -> tuple[Any, ...]:
        module = self.run.__module__
        names = vars(sys.modules[module]) if module != "__main__" else {}
        for name, value in names.items():
            if value is self:
                return _find, (module, name)
        raise pickle.PicklingError(
            f"Fit {self.name} cannot be found from another process: assign it to a name at the "
            f"top of {module}, an importable module, where its function {self.run.__qualname__} is."
        )


def _find(module: str, name: str) -> Fit:
    """Return the fit that a module declares under a name."""
    fit: Fit = getattr(import_module(module), name)
    return fit
