"""The rulesets of a zone behind Cloudflare's API, in the test's own process.

    with ZoneApi() as api:
        api.put("http_request_cache_settings", [{"expression": "true", "action": "set_cache_settings"}])
        ... tidepool edge apply --api-url api.url --zone api.zone_id --token-file ...
        assert api.rules("http_request_cache_settings") == ...
        assert [call.method for call in api.calls] == ["GET", "PUT"]

It keeps rules and gives them ids and versions, checks what the real one checks of their form, and evaluates nothing.
"""

import collections
import copy
import json
import pathlib
import re
import secrets
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import http1  # noqa: E402
import sockets  # noqa: E402

# Phases, and the actions that rules may have there.
PHASES = {
    "http_request_transform": {"rewrite"},
    "http_request_late_transform": {"rewrite"},
    "http_request_firewall_custom": {"block", "skip", "log", "managed_challenge"},
    "http_ratelimit": {"block", "log"},
    "http_request_cache_settings": {"set_cache_settings"},
    "http_response_headers_transform": {"rewrite"},
}
_RULE_FIELDS = {"id", "ref", "description", "expression", "action", "action_parameters", "ratelimit", "enabled",
                "logging"}
_LONGEST_EXPRESSION = 4096

Call = collections.namedtuple("Call", "method phase body status")


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class ZoneApi:
    def __init__(self, zone_id="0123456789abcdef0123456789abcdef", token="rules-token-that-nobody-may-see"):
        self.zone_id, self.token = zone_id, token
        self.calls = []
        self.before_call = lambda method, phase: None  # is called with each good one, before it is answered
        self._rulesets = {}  # phase -> {"version", "rules"}
        self._faults = []
        self._lock = threading.RLock()
        self._listener = sockets.Listener(self._serve)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._listener.stop()

    url = property(lambda self: f"http://{self._listener.address[0]}:{self._listener.address[1]}/client/v4")

    def fail(self, status=500, method=None, phase=None, count=1):
        """The next calls that match are answered like this and do nothing. "silent": the connection ends; "echo": a
        page, no JSON, that repeats what was sent."""
        with self._lock:
            self._faults.append([status, method, phase, count])

    def rules(self, phase):
        with self._lock:
            return copy.deepcopy(self._rulesets.get(phase, {"rules": []})["rules"])

    def version(self, phase):
        with self._lock:
            return self._rulesets[phase]["version"] if phase in self._rulesets else None

    def put(self, phase, rules):
        """As somebody else does it, by the dashboard."""
        with self._lock:
            held = self._rulesets.get(phase, {"version": "0", "rules": []})
            known = {rule["id"]: rule for rule in held["rules"]}
            version = str(int(held["version"]) + 1)
            stored = []
            for rule in rules:
                self._check(phase, rule)
                rule_id = rule.get("id") or secrets.token_hex(16)
                if "id" in rule and rule_id not in known:
                    raise Refused(400, 20021, f"rule id {rule_id} does not exist")
                kept = {**copy.deepcopy(rule), "id": rule_id, "ref": rule.get("ref") or rule_id,
                        "enabled": rule.get("enabled", True), "last_updated": "2026-02-25T13:05:00Z"}
                old = {name: value for name, value in known.get(rule_id, {}).items() if name != "version"}
                kept["version"] = known[rule_id]["version"] if old == kept else version
                stored.append(dict(sorted(kept.items())))  # in an order of its own
            refs = [rule["ref"] for rule in stored]
            if len(set(refs)) != len(refs):
                raise Refused(400, 20120, "two rules have one ref")
            self._rulesets[phase] = {"version": version, "rules": stored}

    @staticmethod
    def _check(phase, rule):
        def refuse(message):
            raise Refused(400, 20015, message)
        if not isinstance(rule, dict) or set(rule) - _RULE_FIELDS:
            refuse(f"unknown field in {rule}")
        if rule.get("action") not in PHASES[phase]:
            refuse(f"no such action in {phase}: {rule.get('action')}")
        expression = rule.get("expression")
        if not isinstance(expression, str) or not 1 <= len(expression) <= _LONGEST_EXPRESSION:
            refuse("an expression is needed")
        outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
        if '"' in outside or "\\" in outside or outside.count("(") != outside.count(")"):
            refuse(f"the expression cannot be read: {expression}")
        if ("ratelimit" in rule) != (phase == "http_ratelimit"):
            refuse("ratelimit is for rules of its phase, and needed there")

    # --- HTTP ---

    def _serve(self, sock, _):
        reader = http1.Reader(sock)
        try:
            while (request := http1.read_request_head(reader)) is not None:
                request.body = reader.exactly(request.length() or 0)
                with self._lock:
                    answer = self._answer(request)
                if answer is None:
                    return
                sock.sendall(answer.head() + answer.body)
                if not request.keep_alive:
                    break
        except http1.Malformed:
            pass
        sockets.end_by_fin(sock)

    def _answer(self, request):
        match = re.fullmatch(r"/client/v4/zones/([0-9a-zA-Z_]+)/rulesets/phases/(\w+)/entrypoint", request.path)
        phase = match[2] if match else None
        body = None
        try:
            if request.get("authorization") != f"Bearer {self.token}":
                raise Refused(403, 10000, "Authentication error")
            if not match or match[1] != self.zone_id:
                raise Refused(404, 7003, "Could not route to the zone, perhaps your object identifier is invalid?")
            if phase not in PHASES or request.method not in ("GET", "PUT"):
                raise Refused(404, 1404, "no such call")
            self.before_call(request.method, phase)
            fault = self._fault(request.method, phase)
            if fault == "silent":
                self.calls.append(Call(request.method, phase, None, fault))
                return None
            if fault == "echo":
                text = f"<html>{request.get('authorization')}</html>".encode()
                return http1.Answer(502, [("Content-Type", "text/html"), ("Content-Length", str(len(text)))], text)
            if fault is not None:
                raise Refused(fault, 1000 + fault, "told to fail")
            if request.method == "PUT":
                try:
                    body = json.loads(request.body)
                    rules = body["rules"]
                except (ValueError, TypeError, KeyError):
                    raise Refused(400, 20016, "the body is no ruleset") from None
                self.put(phase, rules)
            elif phase not in self._rulesets:
                raise Refused(404, 10003, f"could not find entrypoint ruleset in the {phase} phase")
            status, content = 200, {"success": True, "errors": [], "messages": [], "result": self._ruleset(phase)}
        except Refused as refused:
            status = refused.status
            content = {"success": False, "errors": [{"code": refused.code, "message": refused.message}], "messages": [],
                       "result": None}
        self.calls.append(Call(request.method, phase, body, status))
        text = json.dumps(content).encode()
        return http1.Answer(status, [("Content-Type", "application/json"), ("Content-Length", str(len(text)))], text)

    def _ruleset(self, phase):
        held = self._rulesets[phase]
        ruleset = {"id": "2" * 32, "name": "default", "kind": "zone", "phase": phase, "version": held["version"],
                   "last_updated": "2026-02-25T13:05:00Z"}
        return {**ruleset, "rules": held["rules"]} if held["rules"] else ruleset

    def _fault(self, method, phase):
        for fault in self._faults:
            status, wanted_method, wanted_phase, _ = fault
            if wanted_method in (None, method) and wanted_phase in (None, phase):
                fault[3] -= 1
                if fault[3] == 0:
                    self._faults.remove(fault)
                return status
        return None
