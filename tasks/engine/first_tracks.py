"""Steps that fail on whatever they are given: found out at their first tracks."""

from collections import Counter

from blocks.cluster import ClusterError
from tasks.engine import bugs
from tasks.engine.batch import Job, Outcome
from tasks.engine.bugs import INTERNAL_ERROR, BrokenStepError
from tasks.engine.plan import Plan
from tasks.text import printable

ENOUGH = 8
"""Tracks with a bug, and none without, that tell of the code; as many as a folder may begin
with that all have the same fault. A dead worker counts twice, since it has to be started again."""


class FirstTracks:
    """Watches the outcomes of a run for steps that cannot do their work on any track.

    A step is told of as broken when it met a bug on every track that it ran on: on at least
    :data:`ENOUGH` tracks of two batches, or on all that there are, if they are several. A step
    that has a finished row of the run's tracks, from this run or one before, is never broken.

    Parameters
    ----------
    plan
        What is carried out.
    """

    def __init__(self, plan: Plan) -> None:
        self._results = plan.results
        self._left = plan.pending
        self._batches: Counter[str] = Counter()
        self._ran: Counter[str] = Counter()
        self._bugs: Counter[str] = Counter()
        self._killed: Counter[str] = Counter()
        self._works: set[str] = set()

    def note(self, job: Job, outcome: Outcome) -> None:
        """Take up what became of a batch, whose rows are recorded.

        Raises
        ------
        BrokenStepError
            If the step met a bug on all of its first tracks.
        """
        self._bugs[job.step.name] += outcome.bugs
        self._note(job, outcome.ran)
        if self._is_broken(job.step.name) and outcome.bugs:
            raise BrokenStepError(
                f"Step {job.step.name} met a bug on each of its first "
                f"{self._ran[job.step.name]} tracks ({outcome.bug}), which is the fault of the "
                f"code and not of the tracks: {self._traceback(job)} is a traceback; what is "
                "finished stays."
            )

    def note_killed(self, job: Job) -> None:
        """Take up that tracks are given up which took their workers with them.

        Raises
        ------
        ClusterError
            If all of the first tracks did.
        """
        self._killed[job.step.name] += len(job.tracks)
        self._note(job, len(job.tracks))
        if self._is_broken(job.step.name):
            raise ClusterError(
                f"Worker after worker died in step {job.step.name}, most likely for want of "
                f"memory, on whatever track it was given, at last {printable(job.tracks[0].path)}: "
                "fewer --workers leave more memory to each; what is finished stays."
            )

    def _note(self, job: Job, ran: int) -> None:
        self._left[job.step.name] -= len(job.tracks)
        self._ran[job.step.name] += ran
        self._batches[job.step.name] += ran > 0

    def _is_broken(self, name: str) -> bool:
        met, died, ran = self._bugs[name], self._killed[name], self._ran[name]
        is_all = self._left[name] == 0 and ran > 1
        is_enough = met + 2 * died >= ENOUGH and self._batches[name] > 1
        return met + died == ran and (is_all or is_enough) and not self._has_worked(name)

    def _has_worked(self, name: str) -> bool:
        if name not in self._works:
            entries = self._results.entries(name)
            if all(entry is None or entry.status == "failed" for entry in entries):
                return False
            self._works.add(name)
        return True

    def _traceback(self, job: Job) -> str:
        entries = self._results.index(job.step.name).entries(job.keys)
        track = next(
            track
            for track, entry in zip(job.tracks, entries, strict=True)
            if entry is not None and entry.reason == INTERNAL_ERROR
        )
        return f"{job.tables.address}/{bugs.traceback_path(job.step.name, track)}"
