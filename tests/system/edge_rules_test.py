"""`tidepool edge rules`, `apply` and `doctor`: what a zone needs is said, put there, and looked at from outside."""

import json
import os
import pathlib
import pty
import re
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import cold  # noqa: E402
import edge as edge_module  # noqa: E402
import sockets  # noqa: E402
import tidepool  # noqa: E402
import tls  # noqa: E402
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


class Apply(ZoneCase):
    OTHERS = {"http_request_firewall_custom": [
        {"description": "let the office in", "expression": "ip.src eq 192.0.2.1", "action": "skip",
         "action_parameters": {"ruleset": "current"}, "logging": {"enabled": True}}],
        "http_ratelimit": [{"expression": "true", "action": "block", "ratelimit": {"period": 10}}]}

    def setUp(self):
        super().setUp()
        self.api = zone_api.ZoneApi()
        self.addCleanup(self.api.stop)
        self.token_file = self.folder / "token"
        self.token_file.write_text(self.api.token + "\n")

    def apply(self, *arguments, status=0, url=None):
        out, error = self.tool("apply", "--api-url", url or self.api.url, "--token-file", self.token_file, "--plan", "pro",
                               *arguments, status=status)
        self.assertNotIn(self.api.token, out + error)
        return out, error

    def writes(self):
        return [call.phase for call in self.api.calls if call.method == "PUT"]

    def all_rules(self):
        return {phase: self.api.rules(phase) for phase in zone_api.PHASES}

    def put_others(self):
        for phase, rules in self.OTHERS.items():
            self.api.put(phase, rules)

    def test_a_dry_run_changes_nothing(self):
        self.put_others()
        before = self.all_rules()
        out, _ = self.apply("--dry-run")
        self.assertEqual(self.all_rules(), before)
        self.assertEqual(self.writes(), [])
        self.assertIn("http_request_firewall_custom: 2 added, 0 changed, 0 removed, 0 as they are, 1 of others kept", out)
        self.assertIn("  + tidepool: prove to the origin that it is this zone", out)

    def test_twice_is_once(self):
        self.put_others()
        out, _ = self.apply("--yes")
        self.assertEqual(self.writes(), PHASES)
        self.assertIn("written: " + ", ".join(PHASES), out)
        after = self.all_rules()
        self.assertEqual(after["http_request_late_transform"][0]["action_parameters"]["headers"]["X-Origin-Key"]["value"],
                         SECRET)
        self.api.calls.clear()
        out, _ = self.apply("--yes")
        self.assertIn("Nothing is to be changed.", out)
        self.assertEqual(self.writes(), [])
        self.assertEqual(self.all_rules(), after)

    def test_rules_of_others_survive(self):
        self.put_others()
        before = self.all_rules()
        self.apply("--yes")
        self.configure(lambda text: text.replace('secret_header = "X-Origin-Key"', 'secret_header = "X-Other"')
                       .replace("edge_checks = true", "edge_checks = false"))
        out, _ = self.apply("--yes")
        self.assertIn("  ~ tidepool: prove to the origin that it is this zone: action_parameters", out)
        self.assertIn("  - tidepool: refuse private images without a signature", out)
        after = self.all_rules()
        for phase, rules in before.items():
            for rule in rules:
                self.assertIn(rule, after[phase])
        self.assertEqual([rule["description"] for rule in after["http_request_firewall_custom"]],
                         ["let the office in", "tidepool: show nothing but images on images-b2.example"])
        self.assertNotIn("http_ratelimit", self.writes())

    def test_what_is_no_longer_wanted_is_taken_away(self):
        self.apply("--yes")
        self.configure(lambda text: text[:text.index("[[pool]]\nname = \"cold\"")])
        out, _ = self.apply("--yes")
        self.assertIn("http_request_transform: 0 added, 0 changed, 1 removed", out)
        self.assertEqual(self.api.rules("http_request_transform"), [])
        self.assertEqual(self.api.rules("http_response_headers_transform"), [])
        self.assertIn("Nothing is to be changed.", self.apply("--yes")[0])

    def test_a_wrong_token_or_zone(self):
        self.token_file.write_text("another token\n")
        _, error = self.apply("--yes", status=1)
        self.assertIn("10000: Authentication error", error)
        self.assertIn("the token may not", error)
        self.token_file.write_text(self.api.token)
        _, error = self.apply("--yes", "--zone", "f" * 32, status=1)
        self.assertIn("there is no such zone", error)
        self.assertEqual(self.writes(), [])

    def test_the_api_is_down_midway(self):
        self.put_others()
        self.api.fail(500, method="PUT", phase="http_request_late_transform")
        out, error = self.apply("--yes", status=1)
        self.assertIn("written: http_request_transform, http_request_firewall_custom; not written: "
                      "http_request_late_transform, http_request_cache_settings, http_response_headers_transform", out)
        self.assertIn("http_request_late_transform: the edge's API answers 500", error)
        self.assertEqual(self.writes(), PHASES[:3])
        out, _ = self.apply("--yes")
        self.assertIn("written: " + ", ".join(PHASES[2:]), out)

    def test_the_api_does_not_answer(self):
        self.api.fail("silent", method="GET", phase="http_ratelimit", count=9)
        out, error = self.apply("--yes", status=1)
        self.assertIn("http_ratelimit: the edge's API is not reached", error)
        self.assertEqual(self.writes(), [])
        self.api.stop()
        self.apply("--yes", status=1)

    def test_a_host_that_sends_back_what_it_was_sent(self):
        self.api.fail("echo", method="GET")
        _, error = self.apply("--yes", status=1)
        self.assertIn("answers 502", error)

    def test_somebody_else_changes_it_at_the_same_time(self):
        def interfere(method, phase):
            if phase == "http_request_firewall_custom" and self.writes():
                self.api.before_call = lambda *_: None
                self.put_others()
        self.api.before_call = interfere
        out, error = self.apply("--yes", status=1)
        self.assertIn("http_request_firewall_custom: somebody has changed its rules meanwhile", error)
        self.assertIn("written: http_request_transform; not written: http_request_firewall_custom", out)
        self.assertEqual(self.writes(), PHASES[:1])

    def test_nobody_to_ask(self):
        _, error = self.apply(status=2)
        self.assertIn("--yes", error)
        self.assertEqual(self.writes(), [])

    def ask(self, answer):
        """(status, what was on the terminal) with somebody who answers."""
        ours, theirs = pty.openpty()
        with subprocess.Popen([tidepool.BINARY, "edge", "apply", "-c", self.config, "--api-url", self.api.url,
                               "--token-file", self.token_file], stdin=theirs, stdout=subprocess.PIPE,
                              env={**os.environ, **ENVIRONMENT}) as process:
            os.close(theirs)
            os.write(ours, answer)
            out, _ = process.communicate(timeout=tidepool.PATIENCE_S)
            os.close(ours)
            return process.returncode, out.decode()

    def test_somebody_to_ask(self):
        status, out = self.ask(b"n\n")
        self.assertEqual(status, 1, out)
        self.assertIn("[y/N]", out)
        self.assertEqual(self.writes(), [])
        status, out = self.ask(b"y\n")
        self.assertEqual(status, 0, out)
        self.assertEqual(self.writes(), PHASES)

    def test_wrong_use(self):
        self.assertIn("https://", self.apply(url="http://api.example/v4", status=2)[1])
        self.assertIn("--api-url", self.apply(url="ftp://x", status=2)[1])
        self.token_file.write_text("")
        self.assertIn("token", self.apply("--yes", status=2)[1])
        self.token_file.unlink()
        self.apply("--yes", status=2)
        self.configure(lambda text: re.sub(r"\[purge\](.|\n)*?\n\n", "", text))
        self.assertIn("--zone", self.apply("--yes", status=2)[1])
        self.assertEqual(self.api.calls, [])


PRIVATE = "/uploads/private/"
DIRECT = "images-b2.example"
LIFECYCLE = {"fileNamePrefix": "uploads/", "daysFromUploadingToHiding": None, "daysFromHidingToDeleting": 1}
NEEDED = ("listBuckets", "listFiles", "readFiles", "writeFiles", "deleteFiles", "shareFiles")


def fence(request):
    """The rule that shows nothing but images on a bucket's own host, with a private prefix."""
    path = request.target.partition("?")[0]
    roots = ("/uploads/", "/images/", f"/file/{cold.BUCKET}/uploads/")
    return not path.startswith(roots) or path.startswith(PRIVATE) or "%2f" in path.lower()


class DoctorCase(cold.ColdCase):
    """A server over a local pool and a bucket, the edge before it, and the edge before the bucket's own host."""

    PUBLIC = True
    ACCESS = {}
    EDGE = {}

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        (self.folder / "secret").write_text(SECRET)
        (self.folder / "signing").write_text(KEY)
        self.bucket = self.b2.account.bucket(cold.BUCKET)
        self.bucket.lifecycle = [LIFECYCLE]
        self.b2.key = self.b2.new_key(NEEDED, bucket=cold.BUCKET)
        self.put("cold.jpg", 300_000, headers={})
        self.put("private/secret.jpg", 5000)
        self.edge = edge_module.Edge(None, origin_fields=[("X-Origin-Key", SECRET)])
        self.addCleanup(self.edge.stop)
        self.direct = edge_module.Edge(self.b2.friendly_address, zone=edge_module.Zone(
            rewrite=lambda target: f"/file/{cold.BUCKET}{target}", ttl_s=2_592_000,
            remove=("x-bz-file-id", "x-bz-file-name", "x-bz-content-sha1", "x-bz-upload-timestamp"),
            block=fence, put=[("Cache-Control", "public, max-age=31536000, immutable"), ("X-Content-Type-Options", "nosniff")]))
        self.addCleanup(self.direct.stop)

    def start(self, **pool):
        config = {"edge": {"hosts": ["images.example"], "secret_header": "X-Origin-Key",
                           "secret": f"file:{self.folder}/secret", **self.EDGE},
                  "private": {"prefixes": [PRIVATE[1:]], "signing_key": f"file:{self.folder}/signing", **self.ACCESS},
                  "upload": {"public_base_url": "http://images.example"}}
        self.server = self.serve_cold(config, folder=self.folder, pool={
            "download_url": self.b2.friendly_url, "native_url": self.b2.friendly_url, **pool})
        self.edge.origin = self.server.address
        return self.server

    def doctor(self, *arguments, edge=None, status=0, checks=None):
        """{check: finding} of --json, for the one subject of each check that is not ok, else for the first."""
        edge = edge or self.edge
        origin = f"{self.server.address[0]}:{self.server.address[1]}"
        done, out, error = tidepool.run_tool(
            "edge", "doctor", "-c", str(self.server.config_file), "--edge", f"{edge.address[0]}:{edge.address[1]}",
            "--origin", origin, "--json", *arguments, environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
        self.assertEqual(done, status, out + error)
        for secret in (SECRET, KEY, self.b2.key.secret):
            self.assertNotIn(secret, out + error)
        said = json.loads(out)
        self.assertEqual(said["ok"], status == 0)
        found = {}
        for finding in said["findings"]:
            self.assertEqual(finding["advice"] is None, finding["grade"] == "ok", finding)
            if found.get(finding["check"], {"grade": "ok"})["grade"] == "ok":
                found[finding["check"]] = finding
        return found

    def grades(self, found, grade):
        return sorted(check for check, finding in found.items() if finding["grade"] == grade)


class Doctor(DoctorCase):
    def assert_broken(self, check, *parts, grade="fail", edge=None, url=None, also=()):
        """The doctor names what was broken, and nothing else."""
        arguments = [url] if url else []
        found = self.doctor(*arguments, edge=edge, status=1 if grade == "fail" else 0)
        self.assertEqual(self.grades(found, grade), sorted([check, *also]), found)
        text = found[check]["seen"] + " " + found[check]["advice"]
        for part in parts:
            self.assertIn(part, text)
        return found

    def test_all_is_well(self):
        self.start()
        found = self.doctor()
        self.assertEqual(self.grades(found, "fail"), [])
        self.assertEqual(self.grades(found, "warn"), ["certificate"])  # nobody speaks TLS here
        self.assertEqual(self.grades(found, "ok"), ["cache", "fields", "found", "head", "key", "lifecycle", "lifetime",
                                                    "lock", "private", "proxied", "range", "unchanged"])
        self.assertEqual(found["cache"]["seen"], "MISS, then HIT")
        self.assertEqual(found["unchanged"]["seen"], "304, HIT")
        self.assertEqual(found["range"]["seen"], "206, bytes 150000-299999/300000")
        self.assertEqual(found["private"]["seen"], "403 without a signature, 200 with one")

    def test_what_people_read(self):
        self.start()
        self.edge.zone.proxied = False
        origin = f"{self.server.address[0]}:{self.server.address[1]}"
        status, out, _ = tidepool.run_tool(
            "edge", "doctor", "-c", str(self.server.config_file), "--edge",
            f"{self.edge.address[0]}:{self.edge.address[1]}", "--origin", origin,
            environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
        self.assertEqual(status, 1)
        self.assertIn("http://images.example/uploads/cold.jpg\n", out)
        self.assertRegex(out, r"  fail  proxied: server: nginx, and no CF-Ray\n        visitors come past the edge")
        self.assertRegex(out, r"\n\d+ ok, 1 to look at, \d wrong\n$")

    def test_the_bucket_of_its_own_host(self):
        self.start(public_base_url=f"http://{DIRECT}")
        found = self.doctor(f"http://{DIRECT}/uploads/cold.jpg", edge=self.direct)
        self.assertEqual(self.grades(found, "fail"), [])
        self.assertEqual(self.grades(found, "ok"), ["cache", "fence", "fields", "head", "key", "lifecycle", "lifetime",
                                                    "proxied", "range", "rewrite", "unchanged"])

    def test_a_bucket_that_shows_what_it_should_not(self):
        self.start(public_base_url=f"http://{DIRECT}")
        for is_let_through, path in ((lambda target: target.startswith("/file/"), "/file/doctor-"),
                                     (lambda target: target.startswith(PRIVATE), PRIVATE),
                                     (lambda target: "%2F" in target, PRIVATE[:-1] + "%2F")):
            with self.subTest(path):
                self.direct.zone.block = lambda request, lets=is_let_through: fence(request) and not lets(request.target)
                found = self.assert_broken("fence", "show nothing but images", edge=self.direct,
                                           url=f"http://{DIRECT}/uploads/cold.jpg")
                self.assertIn(f" for {path}", found["fence"]["seen"])

    def test_each_host_of_ours_is_looked_at(self):
        self.EDGE = {"hosts": ["images.example", "img2.example", "*.img3.example"]}
        self.start()
        done, out, _ = tidepool.run_tool(
            "edge", "doctor", "-c", str(self.server.config_file), "--edge",
            f"{self.edge.address[0]}:{self.edge.address[1]}", "--origin",
            f"{self.server.address[0]}:{self.server.address[1]}",
            environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
        self.assertEqual(done, 0, out)
        for host in ("images.example", "img2.example"):
            self.assertIn(f"http://{host}/uploads/cold.jpg\n", out)
        self.assertIn("*.img3.example stands for any host", out)

    def test_not_proxied(self):
        self.start()
        self.edge.zone.proxied = False
        self.assert_broken("proxied", "orange cloud")

    def test_nobody_there(self):
        self.start()
        self.edge.stop()
        found = self.doctor(status=1)
        self.assertIn("reached", self.grades(found, "fail"))

    def test_a_certificate_that_nobody_knows(self):
        self.start()
        authority = tls.Authority()
        self.addCleanup(authority.close)
        certificate = authority.certificate("images.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate["chain_file"], certificate["key_file"])
        listener = sockets.Listener(lambda sock, _: context.wrap_socket(sock, server_side=True).close())
        self.addCleanup(listener.stop)
        found = self.doctor("https://images.example/uploads/cold.jpg", edge=listener, status=1)
        self.assertEqual(found["certificate"]["grade"], "fail")

    def test_the_origin_is_not_let_in(self):
        self.start()
        self.edge.origin_fields = []
        found = self.doctor(status=1)
        self.assertEqual(self.grades(found, "fail"), ["found"])
        self.assertIn("prove to the origin", found["found"]["advice"])

    def test_the_lock_is_open(self):
        self.EDGE = {"secret_header": "", "secret": "", "hosts": ["images.example"]}
        self.start()
        self.assert_broken("lock", "200 of the origin")

    def test_the_lock_only_counts(self):
        self.EDGE = {"lock": "log"}
        self.start()
        self.assert_broken("lock", "refuses nobody", grade="warn", also=["certificate"])

    def test_not_cached(self):
        self.start()
        self.edge.zone.bypass = lambda request: True
        self.assert_broken("cache", "DYNAMIC, then DYNAMIC", "keep images as long as the origin says")

    def test_validators_are_stripped(self):
        self.start()
        self.edge.zone.remove = {"etag", "last-modified"}
        self.assert_broken("unchanged", "neither ETag nor Last-Modified")

    def test_a_lifetime_that_is_not_ours(self):
        self.start()
        self.edge.zone.put = [("Cache-Control", "max-age=14400")]
        self.assert_broken("lifetime", "max-age=14400", "Respect Existing Headers")

    def test_cookies_and_vary(self):
        self.start()
        self.edge.zone.put = [("Set-Cookie", "a=b")]
        self.assert_broken("fields", "Set-Cookie")
        self.edge.zone.put = [("Vary", "Accept")]
        self.assert_broken("fields", "Vary: accept")

    def test_no_rewrite(self):
        self.start(public_base_url=f"http://{DIRECT}")
        self.direct.zone.rewrite = None
        self.assert_broken("rewrite", "find the bucket", edge=self.direct, url=f"http://{DIRECT}/uploads/cold.jpg")

    def test_the_bucket_leaks_its_headers(self):
        self.start(public_base_url=f"http://{DIRECT}")
        self.direct.zone.remove = set()
        self.assert_broken("fields", "x-bz-file-id", edge=self.direct, url=f"http://{DIRECT}/uploads/cold.jpg")

    def test_the_bucket_forbids_to_store(self):
        self.start(public_base_url=f"http://{DIRECT}")
        self.direct.zone.ttl_s = None
        found = self.doctor(f"http://{DIRECT}/uploads/cold.jpg", edge=self.direct, status=1)
        self.assertIn("keep the images of HOST", found["cache"]["advice"])

    def test_private_images_are_kept(self):
        self.start()
        self.edge.zone.ttl_s = 3600
        self.assert_broken("private", "the edge has stored what a signature opens")

    def test_private_images_are_shown(self):
        self.start()
        original = self.edge._key  # a rule that leaves the query out of the key
        self.edge.zone.ttl_s = 3600
        self.edge._key = lambda request: tuple(part.partition("?")[0] if isinstance(part, str) else part
                                               for part in original(request))
        found = self.doctor(status=1)
        self.assertIn("200 without a signature", found["private"]["seen"])

    def test_no_private_image_is_known(self):
        self.b2.delete(cold.BUCKET, "uploads/private/secret.jpg")
        self.start()
        self.assertIn("404 with one; no private image is known", self.doctor()["private"]["seen"])

    def test_the_key_opens_more(self):
        self.b2.key = self.b2.new_key(NEEDED)
        self.start()
        self.assert_broken("key", "every bucket of the account", f"--bucket {cold.BUCKET}")
        self.b2.key = self.b2.new_key(bucket=cold.BUCKET)
        self.start()
        self.assert_broken("key", "deleteBuckets", grade="warn", also=["certificate"])

    def test_images_would_go_away(self):
        self.start()
        self.bucket.lifecycle = [{**LIFECYCLE, "fileNamePrefix": "", "daysFromUploadingToHiding": 30}]
        self.assert_broken("lifecycle", "hidden 30 days after their upload")
        self.bucket.lifecycle = []
        self.assert_broken("lifecycle", "for ever", grade="warn", also=["certificate"])

    def test_nothing_to_ask_for(self):
        self.b2.delete(cold.BUCKET, "uploads/cold.jpg")
        self.start()
        self.assert_broken("found", "name a URL", grade="warn")

    def test_wrong_use(self):
        self.start()
        for arguments in (["/uploads/cold.jpg"], ["--timeout", "1h"], ["--edge", "images.example"], ["--origin", "x"]):
            status, _, _ = tidepool.run_tool("edge", "doctor", "-c", str(self.server.config_file), *arguments,
                                             environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
            self.assertEqual(status, 2, arguments)


class DoctorOfEdgeChecks(DoctorCase):
    ACCESS = {"edge_checks": True}

    def test_the_rule_is_there(self):
        self.start()
        self.edge.zone.block = lambda request: request.path.startswith(PRIVATE) and "?verify=" not in request.target
        found = self.doctor()
        self.assertEqual(found["private"]["seen"], "403 without a signature, 200 with one, kept at the edge")

    def test_the_rule_is_missing(self):
        self.start()
        found = self.doctor(status=1)
        self.assertIn("refused by the origin and not by the edge", found["private"]["seen"])

    def test_the_rule_has_another_key(self):
        self.start()
        self.edge.zone.block = lambda request: request.path.startswith(PRIVATE)
        found = self.doctor(status=1)
        self.assertIn("another key or ttl", found["private"]["advice"])


if __name__ == "__main__":
    tidepool.main()
