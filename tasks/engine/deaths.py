"""Workers that die: which batch took one with it, and how what it had to do goes on.

Dask calls every task lost that waited on a worker which died, with the one that it ran. A mark,
which a batch leaves beside the tables while it runs, tells them apart.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from blocks.cluster import ClusterError
from tasks.engine import marks
from tasks.engine.batch import KILLED_WORKER, Job, store_failures
from tasks.engine.results import Results
from tasks.step import TrackError
from tasks.text import printable

MOST_DEATHS = 2
"""Workers that a track alone may take with it: one may die of something else."""

MOST_UNEXPLAINED = 8
"""Workers that may die one after the other, with nothing finished, before they ran a batch."""


@dataclass(frozen=True)
class Lost:
    """A job that was lost with a worker, and the worker's address."""

    job: Job
    worker: str


@dataclass
class Deaths:
    """What is known of the workers of a run that died.

    Attributes
    ----------
    results
        Of the run.
    deaths
        How often each batch of one track died, by its part.
    unexplained, explained
        Addresses of workers that died since something was finished.
    """

    results: Results
    deaths: Counter[str] = field(default_factory=Counter)
    unexplained: set[str] = field(default_factory=set)
    explained: set[str] = field(default_factory=set)

    def note_finished(self) -> None:
        """Take up that workers get something done."""
        self.unexplained.clear()

    def recover(self, lost: Sequence[Lost]) -> tuple[list[Job], list[Job]]:
        """Return what of a batch's chain is to be submitted again, and what is given up.

        A job in the midst of which its worker died is split into single tracks at once: on
        halves, a track would take down a worker for each time that its batch is halved, and
        starting one costs more than a task run. A single track that did so twice is given up:
        rows that say so are stored. Jobs that had only waited, for the worker or for one that
        was lost, come back as they are, or referring to the parts of the single tracks.

        Raises
        ------
        ClusterError
            If workers die without having begun anything.
        """
        parts: dict[tuple[str, str], str] = {}
        again: list[Job] = []
        given_up: list[Job] = []
        for each in lost:
            job = _referring(each.job, parts)
            if not self._was_running(job, each.worker):
                again.append(job)
            elif len(job.tracks) > 1:
                for single in self._singles(job):
                    parts[job.step.name, single.keys[0]] = single.part
                    again.append(single)
            else:
                self.deaths[job.part] += 1
                if self.deaths[job.part] < MOST_DEATHS:
                    again.append(job)
                else:
                    store_failures(job, _killed(job))
                    given_up.append(job)
        if len(self.unexplained - self.explained) > MOST_UNEXPLAINED:
            raise ClusterError(
                f"Worker after worker died before step {lost[0].job.step.name} began: their own "
                "logs may say why; what is finished stays."
            )
        return again, given_up

    def _was_running(self, job: Job, worker: str) -> bool:
        is_marked = marks.taken(job.tables, job.cache_key)
        (self.explained if is_marked else self.unexplained).add(worker)
        return is_marked

    def _singles(self, job: Job) -> Iterator[Job]:
        for at, (track, key) in enumerate(zip(job.tracks, job.keys, strict=True)):
            yield replace(
                job,
                tracks=[track],
                keys=[key],
                upstream=[replace(each, references=[each.references[at]]) for each in job.upstream],
                attempt=self.results.index(job.step.name).attempts([key]),
            )


def _referring(job: Job, parts: dict[tuple[str, str], str]) -> Job:
    """Return a job that finds rows of the steps before it in the parts where they will be."""
    upstream = [
        replace(
            each,
            references=[
                (key, parts.get((each.step.name, key), part)) for key, part in each.references
            ],
        )
        for each in job.upstream
    ]
    return replace(job, upstream=upstream)


def _killed(job: Job) -> TrackError:
    return TrackError(
        KILLED_WORKER,
        f"{printable(job.tracks[0].path)}: the worker of step {job.step.name} died "
        f"{MOST_DEATHS} times with this track alone, for want of memory or in native code; fewer "
        "--workers leave more memory to each.",
    )
