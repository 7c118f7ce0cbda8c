"""The runs of a sweep as fits: asked for, watched, and what became of them."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from blocks.storage import Storage
from flows.cli import UsageError
from flows.fit_runs import Watch
from flows.sweep_params import SweepParams
from flows.sweepable import JobOf, Sweepable
from tasks.engine.fit_job import FitJob
from tasks.sweep.search_space import SearchSpace
from tasks.sweep.table import Run
from tasks.sweep.trials import Trial, Trials, first_values
from tasks.training.files import Outcome

FITS = "fits"
"""Folder of the fits, below a sweep's."""

CANNOT_BE = "usage"
"""Reason of a run whose values its training refuses."""


class SweepRuns(Watch):
    """The runs of a sweep in a flow run.

    Parameters
    ----------
    params
        The flow's.
    space
        What is searched.
    training
        What is trained.
    fixed
        Values of options that are the same in all runs.
    run_id
        Of the flow run.
    """

    def __init__(
        self,
        params: SweepParams,
        space: SearchSpace,
        training: Sweepable,
        fixed: Mapping[str, Any],
        run_id: str,
    ) -> None:
        self._params, self._space, self._training, self._fixed = params, space, training, fixed
        self._run_id = run_id
        self._job_of: JobOf = training.jobs()
        self._refused: dict[int, str] = {}
        self._jobs: dict[int, FitJob] = {}
        self._numbers: dict[str, list[int]] = defaultdict(list)
        self._outcomes: dict[str, Outcome] = {}
        self._open: set[int] = set()
        self._over: set[str] = set()
        self._seen: dict[str, int] = {}
        self._lacks_metric = False
        self.trials = Trials(params.output, space, params.sweep_seed, self._dataset())

    def jobs(self) -> Iterator[FitJob]:
        """Yield the fits of all runs: those that were begun, then new ones, as many as there are.

        A run that was ended early is over. One whose values cannot be trained with has no fit.
        Once a run has ended without the metric, none is begun: no other would have it.
        """
        known = self.trials.all()
        for trial in known:
            if self._lacks_metric:
                return
            job = self._job(trial)
            if job is not None and trial.state != "pruned":
                yield job
        for _ in range(len(known), self._space.runs):
            if self._lacks_metric:
                return
            if (job := self._job(self.trials.begin())) is not None:
                yield job

    def is_over(self, job: FitJob, progress: Mapping[str, Any]) -> bool:
        """Return whether a run does so much worse than others that it is ended early."""
        if self._lacks_metric:
            return True
        if job.key in self._over or not self._is_worse(job, progress):
            return False
        self._over.add(job.key)
        return True

    def ended(self, job: FitJob, outcome: Outcome) -> None:
        """Write down what became of the runs of a fit; those without a metric stay open."""
        self._outcomes[job.key] = outcome
        if progress := job.files.progress():
            self._is_worse(job, progress)
        metric = self._metric(outcome) if outcome.status == "finished" else None
        if outcome.status == "finished" and self._space.metric.name not in outcome.metrics:
            self._lacks_metric = True
        if outcome.status == "failed":
            print(f"{job.label} failed: {outcome.error}")
        for number in self._open.intersection(self._numbers[job.key]):
            if outcome.status == "stopped" and job.key in self._over:
                self.trials.prune(number)
            elif metric is not None:
                self.trials.finish(number, metric)
            else:
                continue
            self._open.remove(number)

    def results(self) -> list[Run]:
        """Return what became of all runs."""
        return [self._result(trial) for trial in self.trials.all()]

    @property
    def notes(self) -> list[str]:
        """What people should know of the sweep, a sentence each."""
        early, trained = self._space.early_terminate, self._outcomes.values()
        if early is None or any(self.trials.validations(number) for number in self._jobs):
            return []
        if not any(each.status == "finished" for each in trained):
            return []
        return [
            f"early_terminate did nothing: no validation has {self._space.metric.name}, which is "
            "known at the end of a run only."
        ]

    def _job(self, trial: Trial) -> FitJob | None:
        """Return the fit of a run; None if its values cannot be trained with."""
        try:
            job = self._made(trial.values)
        except UsageError as error:
            if trial.number not in self._refused:
                print(f"run {trial.number} cannot be: {error}")
            self._refused[trial.number] = str(error)
            return None
        job = replace(job, label=f"run {trial.number}")
        if trial.state == "open":
            self._open.add(trial.number)
        self._jobs[trial.number] = job
        self._numbers[job.key].append(trial.number)
        return job

    def _made(self, values: Mapping[str, Any]) -> FitJob:
        params, folder = self._params, self._params.output / FITS
        place = Storage(str(folder))
        asked = self._training.params_of({**self._fixed, **values}, params, folder)
        job = self._job_of(asked)
        options = job.options
        if self._space.project is not None:
            options = replace(options, project=self._space.project)
        # A fit may write checkpoints beside its state: each into its own folder.
        tools = replace(job.tools, outputs=place.below(job.key))
        return replace(job, place=place, tools=tools, options=options, run_id=self._run_id)

    def _dataset(self) -> str:
        """Return what the results depend on besides: the first run's key tells the dataset."""
        try:
            return self._made(first_values(self._space, self._params.sweep_seed, 0)).key
        except UsageError as error:
            return str(error)

    def _is_worse(self, job: FitJob, progress: Mapping[str, Any]) -> bool:
        """Take up the validations of a fit, and return whether to end it."""
        curves, name = progress["curves"], self._space.metric.name
        found = next((each for each in (f"validation/{name}", name) if each in curves), None)
        if found is None or self._seen.get(job.key) == progress["counts"][found]:
            return False
        values, count = curves[found], progress["counts"][found]
        self._seen[job.key] = count
        # Each run of the fit hears of it, whatever the others say.
        opened = self._open.intersection(self._numbers[job.key])
        worse = [self.trials.report(number, values, count) for number in opened]
        return any(worse)

    def _metric(self, outcome: Outcome) -> float | None:
        value = outcome.metrics.get(self._space.metric.name)
        return None if value is None or math.isnan(value) else value

    def _result(self, trial: Trial) -> Run:
        number, values = trial.number, trial.values
        if number not in self._jobs and number not in self._refused:
            # The flow was interrupted before it came to this run.
            self._job(trial)
        if number in self._refused:
            return Run(number, "failed", values, reason=CANNOT_BE, error=self._refused[number])
        job = self._jobs[number]
        outcome = (
            self._outcomes.get(job.key) or job.files.outcome() or job.outcome(status="stopped")
        )
        is_finished = outcome.status == "finished"
        metric = self._metric(outcome) if is_finished else None
        reason, error = outcome.reason, outcome.error
        if is_finished and metric is None:
            reason, error = "no-metric", self._missing(outcome)
        return Run(
            number,
            "pruned" if trial.state == "pruned" else outcome.status,
            values,
            metric,
            outcome.metrics,
            outcome.seconds,
            self.trials.validations(number),
            job.key,
            job.files.model.address if is_finished else None,
            reason,
            error,
        )

    def _missing(self, outcome: Outcome) -> str:
        name = self._space.metric.name
        if name in outcome.metrics:
            return f"Its {name} is no number."
        there = ", ".join(sorted(outcome.metrics)) or "none"
        return f"The training has no metric {name}: name one of {there}."
