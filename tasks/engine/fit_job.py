"""What a run wants of fits: jobs that travel to workers, and which of them are missing."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from blocks.storage import Storage
from tasks.fit import DatasetReference, Fit, FitConfig
from tasks.step import Resource, Tools, digest
from tasks.training.files import FitFiles, Outcome
from tasks.training.session import FitOptions

JOB = "job.pickle"
"""Name of the file by which a job comes to the process that trains."""


@dataclass(frozen=True)
class FitJob:
    """A fit, what it is run on, and where everything lies: only references.

    Attributes
    ----------
    fit, config, dataset, seed
        What the result depends on, with the models that the fit starts from.
    key
        Address of the result.
    place
        Where all fits lie, each in the folder of its key.
    tools
        What the fit may reach for.
    options
        How it is run.
    label
        Name for people, and of the model.
    run_id
        The run that wants it, which can be asked to stop.
    before
        Attempt that the fit was at when it was planned; None at the first.
    """

    fit: Fit
    config: FitConfig
    dataset: DatasetReference
    seed: int
    key: str
    place: Storage
    tools: Tools
    options: FitOptions = field(default_factory=FitOptions)
    label: str = ""
    run_id: str = ""
    before: str | None = None

    def absolute(self) -> "FitJob":
        """Return the same job by addresses that mean it in any working directory."""
        return replace(
            self,
            place=self.place.absolute(),
            dataset=replace(self.dataset, address=Storage(self.dataset.address).absolute().address),
            tools=self.tools.absolute(),
        )

    @property
    def files(self) -> FitFiles:
        """Where everything of this fit lies."""
        return FitFiles(self.place, self.key)

    @property
    def resource(self) -> Resource:
        """The Dask resource that it occupies."""
        return self.fit.resource(self.config)

    @property
    def device(self) -> str:
        """Where it trains: a fit that belongs on a CPU stays there."""
        return "cpu" if self.resource == "CPU" else self.tools.device

    @property
    def provenance(self) -> dict[str, Any]:
        """What the manifest of the trained model says of the fit."""
        return {
            "key": self.key,
            "name": self.fit.name,
            "version": self.fit.version,
            "config": self.config.model_dump(mode="json"),
            "dataset": self.dataset.fingerprint,
            "seed": self.seed,
        }

    @property
    def cache_key(self) -> str:
        """Prefect's key of this attempt at the fit, in this run and its retries."""
        parts = [self.place.address, self.key, self.run_id, str(self.before)]
        return digest("\n".join(parts).encode())

    def outcome(self, **values: Any) -> Outcome:
        """Return an outcome of this job."""
        return Outcome(key=self.key, label=self.label, **values)


def job(
    fit: Fit,
    config: FitConfig,
    dataset: DatasetReference,
    *,
    place: Storage,
    tools: Tools,
    seed: int = 0,
    options: FitOptions | None = None,
    label: str | None = None,
    run_id: str = "",
) -> FitJob:
    """Return the job of a fit, with its key."""
    revisions = {name: tools.weights.revision(name) for name in fit.models(config)}
    return FitJob(
        fit=fit,
        config=config,
        dataset=dataset,
        seed=seed,
        key=fit.key(config, dataset.fingerprint, revisions, seed),
        place=place,
        tools=tools,
        options=options or FitOptions(),
        label=label or fit.name,
        run_id=run_id,
    )


@dataclass
class FitPlan:
    """The fits of a run: what is finished, and what is to be trained.

    Attributes
    ----------
    jobs
        All of them, in order.
    outcomes
        What became of each, by key.
    """

    jobs: list[FitJob] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _pending: set[str] = field(default_factory=set)

    def add(self, job: FitJob) -> FitJob | None:
        """Add a job, and return it as it is to be run: asked to go on, if it was stopped before.

        None if it is finished, or of a key that is there already.
        """
        self.jobs.append(job)
        if job.key in self.outcomes or job.key in self._pending:
            return None
        before = job.files.outcome()
        if before is not None and before.status == "finished":
            self.outcomes[job.key] = before
            return None
        pending = replace(job, before=before.attempt if before else None)
        pending.files.forget_stop(pending.run_id)
        self._pending.add(job.key)
        return pending

    def results(self) -> Iterator[tuple[FitJob, Outcome]]:
        """Yield each job with what became of it, in order."""
        for each in self.jobs:
            yield each, self.outcomes[each.key]
