"""Stops everything in the groups dev-* and waits until it is STOPPED, with SAP's own SDK, as a team would write it.

Usage: sdk.py SERVICE_KEY bulk|single THREADS; one thread goes through the groups one after the other.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from ai_api_client_sdk.models.base_models import BasicModifyRequest
from ai_api_client_sdk.models.status import Status
from ai_api_client_sdk.models.target_status import TargetStatus
from ai_core_sdk.ai_core_v2_client import AICoreV2Client

with open(sys.argv[1]) as file:
    key = json.load(file)
bulk, threads = sys.argv[2] == "bulk", int(sys.argv[3])
client = AICoreV2Client(
    base_url=key["serviceurls"]["AI_API_URL"] + "/v2",
    auth_url=key["url"] + "/oauth/token",
    client_id=key["clientid"],
    client_secret=key["clientsecret"],
)


def stop(group):
    running = [one for one in client.deployment.query(resource_group=group).resources if one.status == Status.RUNNING]
    if bulk:
        changes = [BasicModifyRequest(one.id, TargetStatus.STOPPED) for one in running]
        client.deployment.bulk_modify(changes, resource_group=group)
    else:
        for one in running:
            client.deployment.modify(one.id, target_status=TargetStatus.STOPPED, resource_group=group)
    while any(one.status != Status.STOPPED for one in client.deployment.query(resource_group=group).resources):
        time.sleep(0.5)


groups = [group.resource_group_id for group in client.resource_groups.query().resources]
groups = [group for group in groups if group.startswith("dev-")]
if threads == 1:
    for group in groups:
        stop(group)
else:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(stop, groups))
