"""A stand-in for the service that forwards events to Salesforce: a webhook that accepts one event per `POST /`.

An event is for the account that its `context.externalId` names. Its traits become fields of the account. Bodies
are recorded unchanged.

    python3 salesforce.py --auth token --folder received [--faults '[{"fault": "busy"}]']
"""

import json

from http_standin import Refused, StandIn, main


class Salesforce(StandIn):
    def __init__(self, auth, folder, faults):
        super().__init__(f"Bearer {auth}", folder, faults)
        self.accounts = {}

    def state(self):
        return {"accounts": self.accounts}

    def handle(self, method, path, body, fault):
        if (method, path) != ("POST", "/"):
            raise Refused(404, f"no such path: {method} {path}")
        event = json.loads(body)
        known = event.get("context", {}).get("externalId", [])
        ids = [one["id"] for one in known if one["type"] == "Salesforce-Account"]
        if len(ids) != 1:
            raise Refused(400, "the event names no Salesforce-Account in context.externalId, or several")
        if fault.get("fault") == "reject" and fault.get("id") in (event.get("userId"), ids[0]):
            raise Refused(422, "refused on purpose")
        self.append("received.jsonl", body.decode())
        self.accounts.setdefault(ids[0], {}).update(event["traits"])
        return 200, {"success": True, "id": ids[0]}, 1


if __name__ == "__main__":
    main(Salesforce, __doc__.partition("\n")[0])
