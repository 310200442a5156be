"""A stand-in for Customer.io's Track API: `POST /api/v2/batch` and `PUT`/`DELETE /api/v1/customers/<id>`.

It has the limits that Customer.io documents, and answers 207 with an error for each item that it rejects. It keeps
attributes as Customer.io does: an attribute that isn't sent again stays.

    python3 customerio.py --auth site:key --folder received [--faults '[{"fault": "busy"}]']
"""

import json
from urllib.parse import unquote

from http_standin import Refused, StandIn, basic, compact, main

MAX_BODY_BYTES = 500_000
MAX_ITEM_BYTES = 32 * 1024
MAX_ATTRIBUTES = 300
MAX_NAME_BYTES = 150
MAX_VALUE_BYTES = 1_000
ACTIONS = {"person": {"identify", "event", "delete"}, "object": {"identify", "delete"}}


def bytes_of(value):
    return len((value if isinstance(value, str) else compact(value)).encode())


def identifier_problem(item):
    """Returns what is wrong with an item's identifiers (reason, field, message), or None."""
    ids = item.get("identifiers")
    if not isinstance(ids, dict):
        return "required", "identifiers", "identifiers are missing"
    if item["type"] == "object":
        names = ["object_type_id", "object_id"]
    else:
        names = [name for name in ("id", "email", "cio_id") if name in ids] or ["id"]
    for name in names:
        if not isinstance(ids.get(name), str) or not ids[name]:
            return "required", f"identifiers.{name}", f"{name} is missing"
        if bytes_of(ids[name]) > MAX_NAME_BYTES:
            return "invalid", f"identifiers.{name}", f"{name} is longer than {MAX_NAME_BYTES} bytes"
    return None


def attribute_problem(attributes):
    if not isinstance(attributes, dict):
        return "invalid", "attributes", "attributes are not an object"
    if len(attributes) > MAX_ATTRIBUTES:
        return "invalid", "attributes", f"more than {MAX_ATTRIBUTES} attributes"
    for name, value in attributes.items():
        if bytes_of(name) > MAX_NAME_BYTES:
            return "invalid", "attributes", f"a name is longer than {MAX_NAME_BYTES} bytes"
        if bytes_of(value) > MAX_VALUE_BYTES:
            return "invalid", f"attributes.{name}", f"the value is longer than {MAX_VALUE_BYTES} bytes"
    return None


def problem(item):
    """Returns why an item is rejected (reason, field, message), or None."""
    if not isinstance(item, dict):
        return "invalid", "", "not an object"
    if bytes_of(item) > MAX_ITEM_BYTES:
        return "invalid", "", f"larger than {MAX_ITEM_BYTES} bytes"
    if item.get("type") not in ACTIONS:
        return "invalid", "type", "type is neither person nor object"
    if item.get("action") not in ACTIONS[item["type"]]:
        return "invalid", "action", f"no such action of a {item['type']}"
    if item["action"] == "event":
        if not isinstance(item.get("name"), str) or not item["name"]:
            return "required", "name", "an event has a name"
        if not isinstance(item.get("timestamp", 0), int):
            return "invalid", "timestamp", "not in Unix seconds"
    return identifier_problem(item) or attribute_problem(item.get("attributes", {}))


class CustomerIo(StandIn):
    def __init__(self, auth, folder, faults):
        super().__init__(basic(auth), folder, faults)
        self.kept = {"person": {}, "object": {}}

    def state(self):
        return {"people": self.kept["person"], "objects": self.kept["object"]}

    def handle(self, method, path, body, fault):
        if len(body) > MAX_BODY_BYTES:
            raise Refused(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        if (method, path) == ("POST", "/api/v2/batch"):
            return self.batch(json.loads(body)["batch"], fault)
        customer = path.removeprefix("/api/v1/customers/")
        if customer in (path, "") or method not in ("PUT", "DELETE"):
            raise Refused(404, f"no such path: {method} {path}")
        item = {"type": "person", "action": "identify", "identifiers": {"id": unquote(customer)}}
        if method == "DELETE":
            item["action"] = "delete"
        else:
            item["attributes"] = json.loads(body)
        if why := problem(item) or self.switched_on(item, fault):
            raise Refused(400, why[2])
        self.take(item)
        return 200, {}, 1

    def batch(self, items, fault):
        if not isinstance(items, list) or not items:
            raise Refused(400, "batch is not a list of items")
        kind, errors, accepted = fault.get("fault"), [], 0
        for index, item in enumerate(items):
            why = problem(item) or self.switched_on(item, fault)
            if index == 0 and kind in ("wrong_index", "error_in_200"):
                why = "invalid", "attributes", "refused on purpose"
            if why is None:
                self.take(item)
                accepted += 1
                continue
            index = len(items) + 7 if kind == "wrong_index" else index
            errors.append({"batch_index": index, "reason": why[0], "field": why[1], "message": why[2]})
        if not errors:
            return 200, {}, accepted
        return 200 if kind == "error_in_200" else 207, {"errors": errors}, accepted

    @staticmethod
    def switched_on(item, fault):
        ids = item.get("identifiers", {})
        if fault.get("fault") == "reject" and fault.get("id") in (ids.get("id"), ids.get("object_id")):
            return "invalid", "attributes", "refused on purpose"
        return None

    def take(self, item):
        self.append("received.jsonl", compact(item))
        ids = item["identifiers"]
        name = ids["object_id"] if item["type"] == "object" else ids.get("id") or ids.get("email") or ids["cio_id"]
        if item["action"] == "delete":
            self.kept[item["type"]].pop(name, None)
        elif item["action"] == "identify":
            self.kept[item["type"]].setdefault(name, {}).update(item.get("attributes", {}))


if __name__ == "__main__":
    main(CustomerIo, __doc__.partition("\n")[0])
