"""Drives the simulator with SAP's own SDK: if SAP's client is content with it, ours may be tested against it."""

import json
import sys
import time

import requests
from ai_api_client_sdk.exception import (
    AIAPIInvalidRequestException,
    AIAPINotFoundException,
    AIAPIPreconditionFailedException,
    AIAPIServerException,
)
from ai_api_client_sdk.models.base_models import BasicModifyRequest
from ai_api_client_sdk.models.status import Status
from ai_api_client_sdk.models.target_status import TargetStatus
from ai_core_sdk.ai_core_v2_client import AICoreV2Client

GROUP = "dev-a"
DEADLINE_SECONDS = 30


def expect(fact, what):
    if not fact:
        sys.exit(f"not true: {what}")
    print(f"ok: {what}")


def refused(kind, ask):
    try:
        ask()
    except kind as error:
        return error
    sys.exit(f"not refused with {kind.__name__}")


def connect(key):
    return AICoreV2Client(
        base_url=key["serviceurls"]["AI_API_URL"] + "/v2",
        auth_url=key["url"] + "/oauth/token",
        client_id=key["clientid"],
        client_secret=key["clientsecret"],
        resource_group=GROUP,
        num_request_retries=0,
    )


def reads(deployments):
    found = deployments.query()
    expect(found.count == 8 and len(found.resources) == 8, "the list has 8 deployments")
    ids = lambda answer: [one.id for one in answer.resources]
    expect(ids(deployments.query(status=Status.DEAD)) == ["dead1"], "a filter by status")
    expect(ids(deployments.query(scenario_id="chatbot")) == ["d001"], "a filter by scenario")
    expect(ids(deployments.query(configuration_id="cfg-chat")) == ["d001"], "a filter by configuration")
    expect(ids(deployments.query(executable_ids=["server", "other"])) == ["d001"], "a filter by executables")
    expect(deployments.count(status=Status.RUNNING) == 7, "a count")
    one = deployments.get("d001")
    expect(one.status == Status.RUNNING and one.target_status == TargetStatus.RUNNING, "a deployment's status")
    expect(one.created_at.tzinfo is not None, "its time of creation")
    spellings = set()
    for resource in found.resources:
        spellings |= {"backend_details" in resource.details["resources"]}
    expect(spellings == {True}, "the details, in either spelling")
    expect(deployments.get("d001", select="status").status == Status.RUNNING, "a selection of the status")


def stops(deployments):
    answer = deployments.modify("d001", target_status=TargetStatus.STOPPED)
    expect(answer.id == "d001" and answer.message == "Deployment modification scheduled", "a single stop")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while deployments.get("d001").status != Status.STOPPED:
        if time.monotonic() > deadline:
            sys.exit("d001 does not stop")
        time.sleep(0.2)
    expect(deployments.get("d001").completion_time is not None, "it stopped, and says when")
    wanted = [f"d1{number:03}" for number in range(1, 6)] + ["dead1"]
    answer = deployments.bulk_modify([BasicModifyRequest(id, TargetStatus.STOPPED) for id in wanted])
    expect([one.id for one in answer.deployments] == wanted, "a bulk stop answers for each id")
    expect(answer.deployments[0].message == "Deployment modification scheduled", "a good one among them")
    error = answer.deployments[-1].error
    expect(error.code == "01010076" and "DEAD cannot be changed" in error.message, "and a bad one")
    expect(deployments.query(status=Status.STOPPING).count == 5, "five are on their way")
    expect(deployments.delete("d001").message == "Deployment deletion scheduled", "a deletion")


def errors(deployments):
    error = refused(AIAPINotFoundException, lambda: deployments.get("d999"))
    expect(error.error_message == "Deployment ID d999 not found" and error.request_id, "404 in the API's shape")
    stop = lambda: deployments.modify("dead1", target_status=TargetStatus.STOPPED)
    error = refused(AIAPIPreconditionFailedException, stop)
    expect(error.error_code == "01010076", "412 for what cannot be stopped")
    refused(AIAPIInvalidRequestException, lambda: deployments.create("cfg-none"))
    refused(AIAPIServerException, lambda: deployments.query(resource_group="no-such-group"))


def tenant(client):
    capabilities = client.meta.get().ai_api.capabilities
    expect(capabilities.bulk_updates.deployments is True, "meta says that bulk is on")
    groups = client.resource_groups.query().resources
    expect([group.resource_group_id for group in groups] == ["default", GROUP], "the resource groups")
    labels = client.resource_groups.get(GROUP).labels
    expect([(one.key, one.value) for one in labels] == [("ext.ai.sap.com/env", "dev")], "a group's labels")
    types = client.rest_client.get("/admin/resources/instanceTypes")["instance_types"]
    expect(types["g4.large"]["billable_units_per_hour"] == 1.23, "the instance types")
    made = client.deployment.create("cfg-chat", ttl="3h")
    expect(client.deployment.get(made.id).ttl == "3h", "a new deployment")


def wrong_credentials(key):
    form = {"grant_type": "client_credentials", "client_id": key["clientid"], "client_secret": "wrong"}
    answer = requests.post(key["url"] + "/oauth/token", data=form, timeout=10)
    expect((answer.status_code, answer.json()["error"]) == (401, "invalid_client"), "wrong credentials")


def main():
    key = json.loads(sys.stdin.read())
    client = connect(key)
    reads(client.deployment)
    stops(client.deployment)
    errors(client.deployment)
    tenant(client)
    wrong_credentials(key)
    print("SAP's SDK is content")


if __name__ == "__main__":
    main()
