"""A cheap flow, which writes down that it ran, and in which process."""

import os
import time
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from flows.cli import FlowParams


class SleeperParams(FlowParams):
    """Sleep, at the first attempt, and write down that it did."""

    diary: Path
    name: str
    audio_dir: str | None = None
    seconds: float = 0.0


@flow(name="sleeper")
def sleeper(params: SleeperParams) -> None:
    note(params, "begins")
    if flow_run.run_count < 2:
        time.sleep(params.seconds)
    note(params, "ends")


def note(params: SleeperParams, what: str) -> None:
    with params.diary.open("a") as diary:
        diary.write(f"{params.name} {os.getpid()} {what}\n")
