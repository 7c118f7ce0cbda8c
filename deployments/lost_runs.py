"""Runs whose machine died: an automation of the server that notices them.

Such a run says "Running" for ever. It would keep its place in its work pool, so that
nothing else runs there, and it cannot be retried.
"""

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

NAME = "songmill: runs whose machine died"

SILENCE = timedelta(minutes=10)
"""Three of the heartbeats that a run sends every 180 s, Prefect's default, and some."""

SIGNS_OF_LIFE = {f"prefect.flow-run.{event}" for event in ("Pending", "Running", "heartbeat")}
"""After one of these another follows, or an end. The states come from the server, which
knows of a run that died before its first heartbeat."""

ENDS = {
    f"prefect.flow-run.{state}"
    for state in ("Completed", "Failed", "Cancelled", "Crashed", "Scheduled", "AwaitingRetry")
}


def watch(client: SyncPrefectClient, tag: str, silence: timedelta = SILENCE) -> bool:
    """Have the server mark runs with a tag as crashed when they fall silent.

    Returns
    -------
    Whether it was told so now; an automation that is there already stays as it is.
    """
    if client.read_automations_by_name(NAME):
        return False
    trigger = EventTrigger(
        posture=Posture.Proactive,
        after=SIGNS_OF_LIFE,
        expect=SIGNS_OF_LIFE | ENDS,
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification({"prefect.resource.id": f"prefect.tag.{tag}"}),
        for_each={"prefect.resource.id"},
        threshold=1,
        within=silence,
    )
    message = f"Nothing was heard of this run for {silence}: its machine or worker died."
    client.create_automation(
        AutomationCore(
            name=NAME,
            description="Marks them as crashed: others go on, and they can be retried.",
            trigger=trigger,
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
        )
    )
    return True
