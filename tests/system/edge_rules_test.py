"""`tidepool edge rules`: what a zone needs is said, in three forms."""

import json
import pathlib
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import tidepool  # noqa: E402
import zone_api  # noqa: E402

SECRET = "an-origin-secret-that-nobody-may-see"
KEY = 'a-signing"key\\that-nobody-may-see'
STORE_SECRET = "a-bucket-secret-that-nobody-may-see"
ENVIRONMENT = {"TIDEPOOL_TEST_EDGE_SECRET": SECRET, "TIDEPOOL_TEST_SIGNING": KEY,
               "TIDEPOOL_TEST_S3_SECRET": STORE_SECRET}
CONFIG = """
[edge]
hosts = ["images.example"]
secret_header = "X-Origin-Key"
secret = "env:TIDEPOOL_TEST_EDGE_SECRET"

[private]
prefixes = ["uploads/private/"]
signing_key = "env:TIDEPOOL_TEST_SIGNING"
edge_checks = true

[purge]
zone_id = "0123456789abcdef0123456789abcdef"
api_token = "env:TIDEPOOL_TEST_EDGE_SECRET"
hosts = ["https://images.example"]

[catalog]
url = "sqlite:{folder}/catalog.db"

[[pool]]
name = "hot"
base_path = "{folder}"

[[pool]]
name = "cold"
storage_type = "s3"
storage_tier = "cold"
bucket = "site-images"
region = "us-west-001"
endpoint_url = "https://s3.us-west-001.backblazeb2.com"
download_url = "https://f001.backblazeb2.com"
public_base_url = "https://images-b2.example"
access_key_id = "0011"
secret_access_key = "env:TIDEPOOL_TEST_S3_SECRET"
"""
PHASES = ["http_request_transform", "http_request_firewall_custom", "http_request_late_transform",
          "http_request_cache_settings", "http_response_headers_transform"]


class ZoneCase(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="tidepool-test-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.config = self.folder / "tidepool.toml"
        self.configure()

    def configure(self, change=lambda text: text):
        self.config.write_text(change(CONFIG.replace("{folder}", str(self.folder))))

    def tool(self, *arguments, status=0):
        """(standard output, standard error) of `tidepool edge ...`, neither of which shows a secret."""
        done, out, error = tidepool.run_tool("edge", *map(str, arguments), "-c", str(self.config),
                                             environment=ENVIRONMENT)
        self.assertEqual(done, status, out + error)
        if "--show-secrets" not in arguments:
            for secret in (SECRET, KEY, KEY.replace("\\", "\\\\").replace('"', '\\"'), STORE_SECRET):
                self.assertNotIn(secret, out + error)
        return out, error


class Rules(ZoneCase):
    def calls(self, *arguments):
        return json.loads(self.tool("rules", "--format", "json", *arguments)[0])

    def phases(self, *arguments):
        """{phase: rules} of the calls."""
        return {call["path"].split("/")[5]: call["body"]["rules"] for call in self.calls(*arguments)
                if call["path"].endswith("/entrypoint")}

    def test_calls_are_taken_by_the_api(self):
        phases = self.phases("--plan", "pro")
        self.assertEqual(list(phases), PHASES)
        with zone_api.ZoneApi() as api:
            for phase, rules in phases.items():
                api.put(phase, rules)  # which refuses what is no rule
        self.assertEqual([call["path"].split("/")[2] for call in self.calls()],
                         ["0123456789abcdef0123456789abcdef"] * len(self.calls()))

    def test_all_formats_have_the_same_rules(self):
        names = [rule["description"] for rules in self.phases().values() for rule in rules]
        self.assertEqual(len(names), 9, names)
        text, _ = self.tool("rules")
        self.assertEqual(re.findall(r"Rule name: (.*)", text), names)
        terraform, _ = self.tool("rules", "--format", "terraform")
        self.assertEqual(re.findall(r'description = "(tidepool: .*)"', terraform), names)
        for phase in PHASES:
            self.assertIn(f'resource "cloudflare_ruleset" "tidepool_{phase}"', terraform)

    def test_secrets_are_shown_to_who_asks_for_them(self):
        quoted = KEY.replace("\\", "\\\\").replace('"', '\\"')
        phases = self.phases("--show-secrets")
        headers = phases["http_request_late_transform"][0]["action_parameters"]["headers"]
        self.assertEqual(headers, {"X-Origin-Key": {"operation": "set", "value": SECRET}})
        signatures = next(rule for rule in phases["http_request_firewall_custom"]
                          if rule["ref"] == "tidepool_signatures")
        self.assertIn(f'is_timed_hmac_valid_v0("{quoted}", http.request.uri, 10800, http.request.timestamp.sec, 8, "s")',
                      signatures["expression"])
        for form in ("text", "terraform"):
            self.assertIn(SECRET, self.tool("rules", "--format", form, "--show-secrets")[0])

    def test_settings_decide(self):
        self.assertIn("tidepool_signatures", self.tool("rules", "--format", "json")[0])
        self.configure(lambda text: text.replace("edge_checks = true", "edge_checks = false"))
        out, _ = self.tool("rules", "--format", "json")
        self.assertNotIn("tidepool_signatures", out)
        bypass = self.phases()["http_request_cache_settings"]
        self.assertIn({"cache": False}, [rule["action_parameters"] for rule in bypass])

    def test_records(self):
        records = {call["body"]["name"]: call["body"] for call in self.calls("--address", "192.0.2.1")
                   if call["path"].endswith("/dns_records")}
        self.assertEqual(records["images.example"]["content"], "192.0.2.1")
        self.assertEqual(records["images-b2.example"],
                         {"type": "CNAME", "name": "images-b2.example", "content": "f001.backblazeb2.com",
                          "proxied": True, "ttl": 1})

    def test_a_catalog_that_is_not_there_is_not_made(self):
        self.tool("rules")
        self.assertFalse((self.folder / "catalog.db").exists())

    def test_wrong_use(self):
        for arguments, named in ((("--format", "yaml"), "--format"), (("--plan", "huge"), "--plan"),
                                 (("--zone", "x"), "--zone"), (("--host", "a b"), "--host")):
            _, error = self.tool("rules", *arguments, status=2)
            self.assertIn(named, error)
        self.configure(lambda _: f'[[pool]]\nname = "hot"\nbase_path = "{self.folder}"\n')
        _, error = self.tool("rules", status=2)
        self.assertIn("edge.hosts", error)
        self.assertIn("tidepool_cache", self.tool("rules", "--host", "a.example", "--format", "json")[0])


if __name__ == "__main__":
    tidepool.main()
