"""How long a run will take yet, of what its steps are said to cost and of what they took.

Every step says what it costs per minute of audio (:attr:`tasks.step.Step.cost`). The steps that
were seen tell how much faster or slower this machine is, and the others are reckoned by that. What
is left is then carried out in thought: batch by batch, on as many workers as there are.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from time import monotonic

from tasks.engine.batch import Job
from tasks.engine.plan import Plan
from tasks.step import Resource

PRIOR_SHARE = 0.02
"""Share of a step's work that is taken for observed at what was expected: the first few tracks of
a short step, with models to load, say little."""

OVERDUE = 0.25
"""What is said of a job that takes longer than was reckoned: so much longer yet, of its time."""

MOST_JOBS = 20_000
"""More are not carried out in thought, which would take seconds, but shared out evenly."""

Lanes = Mapping[Resource, int]
"""Workers by the resource that they have; without any for GPUs, those for CPUs do all."""


@dataclass(slots=True)
class _Work:
    """A step over the tracks of a batch.

    Attributes
    ----------
    step
        Its name.
    lane
        Whose workers carry it out.
    expected_seconds
        Of all of it, by what the step is said to cost.
    left_seconds
        Of what is not done yet.
    taken_seconds
        What the rest took.
    before
        Places of the works that have to be done before.
    """

    step: str
    lane: Resource
    expected_seconds: float
    left_seconds: float
    taken_seconds: float = 0.0
    before: tuple[int, ...] = ()


@dataclass
class _Seen:
    """What is known of a step: expected in all, and of what is done expected and taken."""

    total: float = 0.0
    expected: float = 0.0
    taken: float = 0.0


def said_cost(job: Job, minutes: float) -> float:
    """Return what a job costs by its step's own word."""
    return job.step.cost(job.config, job.tools.device) * minutes


@dataclass
class Forecast:
    """Time that a plan takes yet.

    Parameters
    ----------
    plan
        What is carried out.
    minutes
        Length of each track of the plan, by its id, or what is in proportion to that; tracks
        that are not there have the mean.
    lanes
        Number of workers.
    cost
        From a job and the minutes of its tracks to the seconds that it takes, until it was seen.
    clock
        Seconds from some moment on.
    """

    plan: Plan
    minutes: Mapping[str, float]
    lanes: Lanes
    cost: Callable[[Job, float], float] = said_cost
    clock: Callable[[], float] = monotonic
    _works: list[_Work] = field(init=False, default_factory=list)
    _places: dict[tuple[str, str], int] = field(init=False, default_factory=dict)
    _seen: dict[str, _Seen] = field(init=False, default_factory=dict)
    _begun: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        known = list(self.minutes.values())
        self._mean = sum(known) / len(known) if known else 1.0
        for jobs in self.plan.batches:
            of_batch: dict[str, int] = {}
            for job in jobs:
                of_batch[job.step.name] = self._add(job, of_batch)

    def _add(self, job: Job, of_batch: Mapping[str, int]) -> int:
        name, place = job.step.name, len(self._works)
        expected = self._expected(job)
        lane = job.step.resource(job.config)
        self._works.append(
            _Work(
                name,
                lane if self.lanes.get(lane) else "CPU",
                expected,
                left_seconds=expected,
                before=tuple(
                    of_batch[each.step.name] for each in job.upstream if each.step.name in of_batch
                ),
            )
        )
        for track in job.tracks:
            self._places[name, track.track_id] = place
        self._seen.setdefault(name, _Seen()).total += expected
        return place

    def _expected(self, job: Job) -> float:
        minutes = sum(self.minutes.get(each.track_id, self._mean) for each in job.tracks)
        return self.cost(job, minutes)

    def note(self, job: Job, seconds: float) -> None:
        """Take in that a job of the plan, or a part of one, is done.

        Parameters
        ----------
        job
            The job.
        seconds
            What it took.
        """
        expected = self._expected(job)
        work = self._works[self._places[job.step.name, job.tracks[0].track_id]]
        # A job that was split is done in parts.
        work.left_seconds = max(work.left_seconds - expected, 0.0)
        if work.left_seconds < 1e-9 * work.expected_seconds:
            work.left_seconds = 0.0
        work.taken_seconds += seconds
        seen = self._seen[job.step.name]
        seen.expected += expected
        seen.taken += seconds
        begun = self.clock() - seconds
        self._begun = begun if self._begun is None else min(self._begun, begun)

    def seconds_left(self) -> float | None:
        """Return the seconds until the last job is done; None before the first one is."""
        if self._begun is None:
            return None
        if not any(work.left_seconds for work in self._works):
            return 0.0
        elapsed = self.clock() - self._begun
        ratios = self._ratios()
        works = [
            (work, work.taken_seconds + work.left_seconds * ratios[work.step])
            for work in self._works
        ]
        if len(works) > MOST_JOBS:
            return max(_shared_out(works, self.lanes) - elapsed, 1.0)
        return max(_carried_out(works, self.lanes, elapsed) - elapsed, 1.0)

    def seconds_in_all(self) -> float:
        """Return the seconds that the whole plan takes, before any of it is done."""
        works = [(work, work.expected_seconds) for work in self._works]
        if len(works) > MOST_JOBS:
            return _shared_out(works, self.lanes)
        return _carried_out(works, self.lanes, 0.0)

    def _ratios(self) -> dict[str, float]:
        """Return by step how many times as long it takes as it is said to."""
        every = list(self._seen.values())
        prior = PRIOR_SHARE * sum(seen.total for seen in every)
        overall = (sum(seen.taken for seen in every) + prior) / (
            sum(seen.expected for seen in every) + prior
        )
        return {
            name: (seen.taken + PRIOR_SHARE * seen.total * overall)
            / (seen.expected + PRIOR_SHARE * seen.total)
            for name, seen in self._seen.items()
        }


def _shared_out(works: Sequence[tuple[_Work, float]], lanes: Lanes) -> float:
    """Return the seconds of works whose workers are never idle."""
    seconds: defaultdict[Resource, float] = defaultdict(float)
    for work, cost in works:
        seconds[work.lane] += cost
    return max(total / max(lanes.get(lane, 1), 1) for lane, total in seconds.items())


def _carried_out(works: Sequence[tuple[_Work, float]], lanes: Lanes, elapsed: float) -> float:
    """Return when the last work ends, if each begins as soon as it can: earlier batches first."""
    waits_for = [len(work.before) for work, _ in works]
    after: list[list[int]] = [[] for _ in works]
    for place, (work, _) in enumerate(works):
        for before in work.before:
            after[before].append(place)
    free = {lane: max(count, 1) for lane, count in lanes.items()}
    ready: dict[Resource, list[int]] = {lane: [] for lane in free}
    running: list[tuple[float, int]] = []

    def begin(lane: Resource, now: float) -> None:
        while free[lane] and ready[lane]:
            place = heappop(ready[lane])
            work, cost = works[place]
            end = now + cost
            if work.left_seconds and end < elapsed:
                end = elapsed + OVERDUE * (elapsed - now)
            free[lane] -= 1
            heappush(running, (end, place))

    for place, count in enumerate(waits_for):
        if not count:
            heappush(ready[works[place][0].lane], place)
    now = 0.0
    for lane in free:
        begin(lane, now)
    while running:
        now, place = heappop(running)
        freed = works[place][0].lane
        free[freed] += 1
        for other in after[place]:
            waits_for[other] -= 1
            if not waits_for[other]:
                heappush(ready[works[other][0].lane], other)
                if works[other][0].lane != freed:
                    begin(works[other][0].lane, now)
        begin(freed, now)
    return now
