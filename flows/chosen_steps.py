"""Which steps of build-dataset a run is asked for, or asked to do without."""

from collections.abc import Collection, Sequence

from tasks.engine.stage import Stage
from tasks.song import beats, features, schema


def not_skipped(stages: Sequence[Stage], skip: Collection[str]) -> list[Stage]:
    """Return the stages without some.

    Parameters
    ----------
    stages
        All of them, in their order; the last one ends every run.
    skip
        Names of steps.

    Raises
    ------
    ValueError
        If there is no such step, or others need it.
    """
    names = [stage.step.name for stage in stages[:-1]]
    if unknown := [name for name in skip if name not in names]:
        raise ValueError(
            f"--skip: {', '.join(unknown)} is no step that this run can do without; there are "
            f"{', '.join(names)}"
        )
    kept = [stage for stage in stages if stage.step.name not in skip]
    for stage in kept:
        if needed := [name for name in stage.step.upstream if name in skip]:
            raise ValueError(f"--skip: {stage.step.name} needs {', '.join(needed)}")
    return kept


def asked_for(stages: Sequence[Stage], steps: Sequence[str] | None) -> list[Stage]:
    """Return the stages that are asked for, those they need, and the last one.

    Parameters
    ----------
    stages
        All of them, in their order.
    steps
        Names of steps or columns; None for all.

    Raises
    ------
    ValueError
        If there is no such step.
    """
    if steps is None:
        return list(stages)
    steps_of_columns = {
        field.name: field.metadata[b"step"].decode() for field in (*schema.TRACKS, *schema.SEGMENTS)
    }
    by_name = {stage.step.name: stage for stage in stages}
    chosen: set[str] = set()
    waiting = [stages[-1].step.name]
    for name in steps:
        # `beats` is both, a step and a column of another.
        column_of = steps_of_columns.get(name)
        waiting += [name] if name in by_name or column_of is None else []
        waiting += [column_of] if column_of is not None else []
    if unknown := [name for name in waiting if name not in by_name]:
        raise ValueError(
            f"--steps: {', '.join(unknown)} is no step of this run; there are {', '.join(by_name)}"
        )
    while waiting:
        name = waiting.pop()
        chosen.add(name)
        needed = list(by_name[name].step.upstream)
        if name == features.STEP.name and beats.STEP.name in by_name:
            # Where the tempo comes from does not depend on what else is asked for.
            needed.append(beats.STEP.name)
        waiting += [each for each in needed if each not in chosen]
    return [stage for name, stage in by_name.items() if name in chosen]
