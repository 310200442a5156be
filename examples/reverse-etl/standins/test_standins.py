"""Tests the checks and faults of the stand-ins: python3 -m unittest discover -s examples/reverse-etl/standins"""

import base64
import http.client
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).parent


class Running:
    """A stand-in in its own process, as the example starts it."""

    def __init__(self, name, auth, authorization):
        self.folder = tempfile.TemporaryDirectory()
        self.authorization = authorization
        command = [sys.executable, HERE / f"{name}.py", "--auth", auth, "--folder", self.folder.name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.host = self.process.stdout.readline().strip().removeprefix("http://")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()

    def ask(self, method, path, body=None, authorization=None):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        text = json.dumps(body) if body is not None else None
        connection.request(method, path, text, {"Authorization": authorization or self.authorization})
        answer = connection.getresponse()
        headers, text = dict(answer.getheaders()), answer.read()
        connection.close()
        return answer.status, json.loads(text), headers

    def lines(self, name):
        path = Path(self.folder.name) / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def person(name, **attributes):
    return {"type": "person", "action": "identify", "identifiers": {"id": name}, "attributes": attributes}


class CustomerIo(unittest.TestCase):
    def setUp(self):
        self.running = Running("customerio", "site:key", "Basic " + base64.b64encode(b"site:key").decode())
        self.addCleanup(self.running.close)

    def batch(self, *items):
        return self.running.ask("POST", "/api/v2/batch", {"batch": list(items)})

    def fault(self, **fault):
        self.assertEqual(self.running.ask("PUT", "/stand-in/faults", [fault])[0], 200)

    def received(self):
        return [item["identifiers"].get("id") for item in self.running.lines("received.jsonl")]

    def people(self):
        return self.running.ask("GET", "/stand-in/state")[1]["people"]

    def test_takes_a_batch_and_keeps_what_is_not_sent_again(self):
        self.assertEqual(self.batch(person("a", x=1, y="é"), person("b"))[:2], (200, {}))
        self.assertEqual(self.batch(person("a", x=2))[0], 200)
        self.assertEqual(self.people(), {"a": {"x": 2, "y": "é"}, "b": {}})
        self.assertEqual(self.received(), ["a", "b", "a"])

    def test_refuses_each_bad_item_alone(self):
        good_object = {"type": "object", "action": "identify", "identifiers": {"object_type_id": "1", "object_id": "o"}}
        bad = [
            ("identifiers", {"type": "person", "action": "identify"}),
            ("identifiers.id", person("")),
            ("identifiers.id", person("x" * 151)),
            ("identifiers.object_id", {**good_object, "identifiers": {"object_type_id": "1"}}),
            ("type", {**person("p"), "type": "company"}),
            ("action", {**person("p"), "action": "upsert"}),
            ("attributes.long", person("p", long="é" * 501)),
            ("attributes", person("p", **{"n" * 151: 1})),
            ("attributes", person("p", **{f"a{n}": n for n in range(301)})),
            ("", person("p", **{f"a{n}": "v" * 900 for n in range(40)})),
            ("name", {**person("p"), "action": "event"}),
            ("timestamp", {**person("p"), "action": "event", "name": "n", "timestamp": "2026-03-01"}),
        ]
        status, answer, _ = self.batch(person("first"), *(item for _, item in bad), good_object)
        self.assertEqual(status, 207)
        self.assertEqual([error["batch_index"] for error in answer["errors"]], list(range(1, len(bad) + 1)))
        self.assertEqual([error["field"] for error in answer["errors"]], [field for field, _ in bad])
        self.assertEqual(self.received(), ["first", None])

    def test_refuses_a_request_as_a_whole(self):
        self.assertEqual(self.batch(*(person(f"p{n}", a="v" * 900) for n in range(600)))[0], 413)
        self.assertEqual(self.batch()[0], 400)
        self.assertEqual(self.running.ask("POST", "/api/v2/batch", [])[0], 400)
        self.assertEqual(self.running.ask("POST", "/api/v3/batch", {})[0], 404)
        self.assertEqual(self.running.ask("POST", "/api/v2/batch", {"batch": [person("a")]}, "Basic xxx")[0], 401)
        self.assertEqual(self.received(), [])

    def test_takes_and_deletes_single_customers(self):
        self.assertEqual(self.running.ask("PUT", "/api/v1/customers/a%40b", {"x": 1})[0], 200)
        self.assertEqual(self.running.ask("PUT", "/api/v1/customers/c", {"x": "v" * 1001})[0], 400)
        self.assertEqual(self.people(), {"a@b": {"x": 1}})
        self.assertEqual(self.running.ask("DELETE", "/api/v1/customers/a%40b")[0], 200)
        self.assertEqual(self.people(), {})

    def test_faults_of_whole_requests_hold_as_often_as_they_say(self):
        self.fault(fault="busy", retry_after=3, times=2)
        for _ in range(2):
            status, _, headers = self.batch(person("a"))
            self.assertEqual((status, headers["Retry-After"]), (429, "3"))
        self.assertEqual(self.batch(person("a"))[0], 200)
        self.fault(fault="broken", status=502)
        self.assertEqual(self.batch(person("b"))[0], 502)
        self.fault(fault="unauthorized")
        self.assertEqual(self.batch(person("c"))[0], 401)
        self.assertEqual(self.received(), ["a"])
        self.assertEqual(self.running.ask("PUT", "/stand-in/faults", [{"fault": "no such"}])[0], 400)
        asked = [request.get("fault") for request in self.running.lines("requests.jsonl")]
        self.assertEqual(asked, ["busy", "busy", None, "broken", "unauthorized"])

    def test_faults_of_items(self):
        self.fault(fault="reject", id="b")
        status, answer, _ = self.batch(person("a"), person("b"), person("c"))
        self.assertEqual((status, [error["batch_index"] for error in answer["errors"]]), (207, [1]))
        self.fault(fault="wrong_index")
        status, answer, _ = self.batch(person("d"), person("e"))
        self.assertEqual((status, [error["batch_index"] for error in answer["errors"]]), (207, [9]))
        self.fault(fault="error_in_200")
        status, answer, _ = self.batch(person("f"), person("g"))
        self.assertEqual((status, [error["batch_index"] for error in answer["errors"]]), (200, [0]))
        self.assertEqual(self.received(), ["a", "c", "e", "g"])

    def test_faults_of_answers_take_the_items(self):
        self.fault(fault="slow", seconds=0.1)
        self.assertEqual(self.batch(person("a"))[0], 200)
        self.fault(fault="hang_up")
        with self.assertRaises(http.client.RemoteDisconnected):
            self.batch(person("b"))
        self.assertEqual(self.received(), ["a", "b"])


class Salesforce(unittest.TestCase):
    def setUp(self):
        self.running = Running("salesforce", "token", "Bearer token")
        self.addCleanup(self.running.close)

    def test_takes_an_event_for_the_account_that_it_names(self):
        known = {"context": {"externalId": [{"type": "Salesforce-Account", "id": "001A"}]}, "traits": {"x": 1}}
        self.assertEqual(self.running.ask("POST", "/", known)[0], 200)
        self.assertEqual(self.running.ask("POST", "/", {"traits": {}})[0], 400)
        self.assertEqual(self.running.ask("POST", "/", known, "Bearer other")[0], 401)
        self.running.ask("PUT", "/stand-in/faults", [{"fault": "reject", "id": "001A"}])
        self.assertEqual(self.running.ask("POST", "/", known)[0], 422)
        self.assertEqual(self.running.ask("GET", "/stand-in/state")[1], {"accounts": {"001A": {"x": 1}}})
        self.assertEqual(self.running.lines("received.jsonl"), [known])


if __name__ == "__main__":
    unittest.main()
