"""`tidepool edge`: what it says of answers is what the edge does, and the edge's ranges come whole or not at all."""

import http.server
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sim"))
import cold  # noqa: E402
import edge as edge_module  # noqa: E402
import http1  # noqa: E402
import sockets  # noqa: E402
import tidepool  # noqa: E402
from pictures import png  # noqa: E402

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
DAY_S = 86400
LONG_AGO = 1_700_000_000


def run(*arguments, text=None, **options):
    """(status, standard output, standard error) of the binary with `text` on its standard input."""
    done = subprocess.run([tidepool.BINARY, "edge", *map(str, arguments)], input=(text or "").encode(),
                          capture_output=True, timeout=tidepool.PATIENCE_S, **options)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def address_text(address):
    return f"unix:{address}" if isinstance(address, str) else f"{address[0]}:{address[1]}"


class Asked(unittest.TestCase):
    maxDiff = 3000

    def explain(self, *arguments, text=None):
        """What --json says; that must be all there is."""
        status, out, error = run("explain", *arguments, "--json", text=text)
        self.assertEqual((status, error), (0, ""), out)
        return json.loads(out)

    def codes(self, explanation):
        return [warning["code"] for warning in explanation["warnings"]]


class OfAServer(Asked, tidepool.ServerCase):
    SETTINGS = {"variants": {"on_demand": True, "first_hit_wait": "30s"}, "server": {"threads": 1}}

    @classmethod
    def fill(cls):
        cls.tree.image(f"original/2026/02/25/{UUID}.jpg")
        cls.tree.put(f"original/2026/02/25/{UUID[:-1]}1.png", png(300, 200), mtime=LONG_AGO)
        cls.tree.image("named.jpg")
        cls.tree.image("a.jxl", "image/jxl")

    def ask(self, path, *arguments):
        return self.explain(path, "--server", address_text(self.server.address), *arguments)

    def assert_for_ever(self, said):
        self.assertEqual(said["status"], 200)
        self.assertEqual(said["edge"], {
            "store": True, "ttl_s": 30 * DAY_S, "ttl_source": "Cloudflare-CDN-Cache-Control", "revalidate_always": False,
            "stale_while_revalidate_s": DAY_S, "stale_if_error_s": 7 * DAY_S, "eligible": True, "cache_status": "MISS",
            "removes": ["cache-tag", "cloudflare-cdn-cache-control"]})
        self.assertEqual(said["browser"], {"store": True, "ttl_s": 365 * DAY_S, "revalidate_always": False,
                                           "immutable": True, "stale_while_revalidate_s": 0})
        self.assertEqual(said["verdict"], "the edge stores it for 30 days, then serves it stale for 1 day while it asks "
                         "again and for 7 days where the origin fails; browsers keep it for 1 year and never ask again")
        self.assertEqual(self.codes(said), [])

    def test_an_original(self):
        self.assert_for_ever(self.ask(f"https://img.example/uploads/original/2026/02/25/{UUID}.jpg"))

    def test_a_variant_that_is_made_for_it(self):
        self.assert_for_ever(self.ask(f"/uploads/variants/2026/02/25/{UUID[:-1]}1_small.webp"))

    def test_a_name_that_can_get_other_content(self):
        said = self.ask("/uploads/named.jpg")
        self.assertEqual((said["edge"]["ttl_s"], said["browser"]["ttl_s"]), (300, 300))
        self.assertFalse(said["browser"]["immutable"])

    def test_what_is_not_there(self):
        said = self.ask("/uploads/none.jpg")
        self.assertEqual((said["status"], said["edge"]["store"], said["edge"]["ttl_s"]), (404, True, 60))
        self.assertEqual(self.codes(said), [])

    def test_what_needs_a_rule(self):
        said = self.ask("/uploads/a.jxl")
        self.assertEqual((said["status"], said["edge"]["store"], said["edge"]["cache_status"]), (200, False, "DYNAMIC"))
        self.assertIsNone(said["edge"]["ttl_s"])
        self.assertEqual(self.codes(said), ["rule_needed"])
        self.assertIn("for 5 minutes", [reason["text"] for reason in said["reasons"]
                                        if reason["source"] == "Cache Rule"][0])

    def test_it_asks_as_the_edge_does_at_a_miss(self):
        said = self.ask("/uploads/named.jpg", "--header", "Range: bytes=0-1", "--header", "If-None-Match: *")
        self.assertEqual(said["status"], 200)
        said = self.ask("/uploads/a.jxl", "--header", "Range: bytes=0-1")
        self.assertEqual(said["status"], 206)
        said = self.ask("/uploads/named.jpg?token=x", "--header", "Authorization: Bearer x", "--header", "Origin: https://o")
        self.assertEqual(self.codes(said), ["signature_not_checked", "authorization_not_checked"])
        self.assertIn("Origin was sent", json.dumps(said["reasons"]))

    def test_for_people_the_verdict_comes_first(self):
        status, out, error = run("explain", "/uploads/none.jpg", "--server", address_text(self.server.address),
                                 "--header", "Authorization: x")
        self.assertEqual((status, error), (0, ""))
        lines = out.splitlines()
        self.assertEqual(lines[:2], ["404: the edge stores it for 1 minute; browsers keep it for 1 minute", ""])
        self.assertRegex(lines[2], r"^  1\. extension: \.jpg is on the edge's default list")
        numbers = [line.split(".")[0].strip() for line in lines[2:lines.index("", 2)]]
        self.assertEqual(numbers, [str(number) for number in range(1, len(numbers) + 1)])
        self.assertRegex(lines[-1], r"^warning: .* \(authorization_not_checked\)$")


class OfOtherServers(Asked, cold.ColdCase):
    def test_a_redirect_to_the_bucket(self):
        self.put(f"{UUID}.jpg")
        server = self.serve_cold(pool={"serve": "redirect", "public_base_url": "https://images-b2.example"})
        said = self.explain(f"/uploads/{UUID}.jpg", "--server", address_text(server.address))
        self.assertEqual((said["status"], said["edge"]["ttl_s"], said["browser"]["ttl_s"]), (302, 300, 300))
        self.assertEqual(self.codes(said), ["redirect_stored"])

    def test_a_unix_socket_that_the_configuration_names(self):
        folder = tempfile.mkdtemp(prefix="tidepool-test-")
        server = self.serve({"server": {"listen": [f"unix:{folder}/s"]}}, folder=folder)
        server.tree.image("a.jpg")
        self.assertEqual(self.explain("/uploads/a.jpg", "-c", server.config_file)["edge"]["ttl_s"], 300)

    def test_what_the_server_is_asked(self):
        heads = []

        def answer(sock, _):
            heads.append(http1.Reader(sock).head())
            # What follows never ends, and is not waited for.
            sock.sendall(b"HTTP/1.1 103 Early\r\nX: 1\r\n\r\nHTTP/1.1 200 OK\r\nCache-Control: max-age=7\r\n\r\nbody")
            sock.recv(1)
        listener = sockets.Listener(answer)
        self.addCleanup(listener.stop)
        said = self.explain("https://img.example/a.jpg?b", "--server", address_text(listener.address),
                            "--header", "Accept: image/webp")
        self.assertEqual(said["edge"]["ttl_s"], 7)
        self.assertEqual(heads, [[b"GET /a.jpg?b HTTP/1.1", b"host: img.example", b"connection: Keep-Alive",
                                  b"accept-encoding: br, gzip", b"accept: image/webp"]])

    def test_servers_that_cannot_be_asked(self):
        def refuses(address, what):
            for more in ([], ["--json"]):
                status, out, error = run("explain", "/a.jpg", "--server", address, *more)
                self.assertEqual(status, 1, error)
                self.assertRegex(error, what)
                if more:
                    self.assertIn("error", json.loads(out))
        refuses(address_text(tidepool.refusing_address(self)), "connect to .*refused")
        refuses("unix:/none/at/all", "No such file")
        for sent, what in ((b"", "520"), (b"HTTP/1.1 200", "520"), (b"nonsense\r\n\r\n", "no answer.*no status line"),
                           (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000, "128 KiB")):
            def answer(sock, _, sent=sent):
                http1.Reader(sock).head()
                sock.sendall(sent)
            listener = sockets.Listener(answer)
            self.addCleanup(listener.stop)
            refuses(address_text(listener.address), what)

    def test_wrong_use(self):
        config = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-")) / "t.toml"
        config.write_text('[server]\nlisten = ["127.0.0.1:0"]\n[[pool]]\nname = "a"\nbase_path = "/tmp"\n')
        broken = config.with_name("broken.toml")
        broken.write_text("[server]\nnonsense = 1\n")
        good = "HTTP/1.1 200 OK\n"
        for arguments, text in (([], ""), (["explain"], ""), (["nonsense"], ""), (["explain", "a.jpg", "--answer", "-"], good),
                                (["explain", "ftp://a/b.jpg", "--answer", "-"], good),
                                (["explain", "/a b.jpg", "--answer", "-"], good),
                                (["explain", "/a.jpg", "--answer", "-"], ""),
                                (["explain", "/a.jpg", "--answer", "-"], "<html>"),
                                (["explain", "/a.jpg", "--answer", "-"], "HTTP/1.1 200 OK\nnonsense\n"),
                                (["explain", "/a.jpg", "--answer", "-", "--header", "nonsense"], good),
                                (["explain", "/a.jpg", "--answer", "-", "--header", "A: b\r\nC: d"], good),
                                (["explain", "/a.jpg", "--server", "localhost:80"], ""),
                                (["explain", "/a.jpg", "-c", config], ""), (["explain", "/a.jpg", "-c", broken], ""),
                                (["explain", "/a.jpg", "/b.jpg", "--answer", "-"], good),
                                (["update-ranges"], ""), (["update-ranges", "-c", config], ""),
                                (["update-ranges", "--to", "/tmp/none", "--also", "1.0.0.1/8"], "")):
            with self.subTest(arguments=arguments, text=text):
                status, _, error = run(*arguments, text=text)
                self.assertEqual(status, 2, error)
                self.assertTrue(error)
        self.assertEqual(run("explain", "/a.jpg", "--answer", "/none/at/all")[0], 1)


class AsTheEdgeDoes(Asked):
    """Each answer is given to the simulator of the edge and explained, and both must agree."""

    ANSWERS = [
        (200, "", "/a.jpg"), (301, "", "/a.jpg"), (302, "", "/a.jpg"), (303, "", "/a.png"), (404, "", "/a.webp"),
        (410, "", "/a.avif"), (403, "", "/a.jpg"), (500, "", "/a.jpg"), (429, "", "/a.jpg"), (200, "", "/a.html"),
        (200, "", "/a.jxl"), (200, "", "/a.heic"), (200, "", "/a"), (200, "", "/a.JPG"),
        (200, "Cache-Control: public, max-age=31536000, immutable\nCloudflare-CDN-Cache-Control: max-age=2592000, "
              "stale-while-revalidate=86400, stale-if-error=604800", "/a.jpg"),
        (200, "Cache-Control: max-age=100", "/a.jpg"), (200, "Cache-Control: s-maxage=100, max-age=50", "/a.jpg"),
        (200, "CDN-Cache-Control: max-age=100\nCache-Control: no-store", "/a.jpg"),
        (200, "Cloudflare-CDN-Cache-Control: no-store\nCache-Control: max-age=100", "/a.jpg"),
        (200, "Surrogate-Control: x\nCache-Control: no-store", "/a.jpg"), (200, "Expires: {100}", "/a.jpg"),
        (200, "Expires: {100}\nCache-Control: max-age=200", "/a.jpg"), (200, "Expires: 0", "/a.jpg"),
        (200, "Cache-Control: public\nExpires: {100}", "/a.jpg"),
        (200, "Cache-Control: private, max-age=100", "/a.jpg"), (200, "Cache-Control: no-store", "/a.jpg"),
        (200, "Cache-Control: no-cache", "/a.jpg"), (200, "Cache-Control: no-cache, max-age=100", "/a.jpg"),
        (200, "Cache-Control: max-age=0", "/a.jpg"), (200, "Cache-Control: s-maxage=0, max-age=100", "/a.jpg"),
        (200, 'Cache-Control: max-age=100, private="x-a"', "/a.jpg"),
        (200, "Cache-Control: max-age=100, stale-while-revalidate=50", "/a.jpg"),
        (200, "Cache-Control: max-age=100, stale-if-error=50", "/a.jpg"),
        (200, "Cache-Control: max-age=100, stale-while-revalidate=50, stale-if-error=90", "/a.jpg"),
        (200, "Cache-Control: max-age=100, stale-if-error=0", "/a.jpg"),
        (200, "Cache-Control: s-maxage=100, stale-while-revalidate=50, stale-if-error=50", "/a.jpg"),
        (200, "Cache-Control: max-age=100, must-revalidate, stale-if-error=50", "/a.jpg"),
        (200, "Cache-Control: max-age=100, proxy-revalidate, stale-while-revalidate=50", "/a.jpg"),
        (200, "Cache-Control: max-age=soon", "/a.jpg"), (200, "Cache-Control: max-age=-5", "/a.jpg"),
        (200, "Set-Cookie: a=b\nCache-Control: max-age=100", "/a.jpg"), (200, "Vary: *", "/a.jpg"),
        (200, "Vary: Accept\nCache-Control: max-age=100", "/a.jpg"), (404, "Cache-Control: no-store", "/a.jpg"),
        (404, "Cache-Control: public, max-age=60", "/a.jpg"), (403, "Cache-Control: max-age=60", "/a.jpg"),
        (503, "Cache-Control: no-store", "/a.jpg"), (302, "Cache-Control: max-age=300", "/a.jpg"),
    ]
    WITH_AUTHORIZATION = [
        (200, f"Cache-Control: {control}", "/a.jpg") for control in
        ("max-age=100", "public, max-age=100", "s-maxage=100", "max-age=100, must-revalidate",
         "max-age=100, proxy-revalidate")]

    def setUp(self):
        self.answer = None
        self.origin = sockets.Listener(self.serve)
        self.addCleanup(self.origin.stop)
        self.edge = edge_module.Edge(self.origin.address)
        self.addCleanup(self.edge.stop)

    def serve(self, sock, _):
        reader = http1.Reader(sock)
        while http1.read_request_head(reader) is not None:
            sock.sendall(self.answer)

    def ask(self, path, fields):
        """(status, CF-Cache-Status)."""
        with socket.create_connection(self.edge.address) as sock:
            sock.settimeout(tidepool.PATIENCE_S)
            lines = "".join(f"{line}\r\n" for line in fields)
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: img.example\r\n{lines}Connection: close\r\n\r\n".encode())
            answer = http1.read_answer_head(http1.Reader(sock))
            self.edge.wait_refreshed()
            return answer.status, answer.get("cf-cache-status")

    def fetches_of_another(self, path, fields):
        before = len(self.edge.fetches)
        self.ask(path, fields)
        return len(self.edge.fetches) - before

    def compare(self, status, fields, path, visitors):
        self.edge.evict()
        self.edge.clock_offset_s = 0
        head = f"HTTP/1.1 {status} X\n" + fields.replace("{100}", http1.date(time.time() + 100)) + "\n"
        head = "".join(f"{line}\r\n" for line in head.splitlines() if line)
        self.answer = f"{head}Content-Length: 2\r\n\r\nok".encode()
        said = self.explain(f"https://img.example{path}", "--answer", "-", *[
            word for field in visitors for word in ("--header", field)], text=head)["edge"]
        self.assertEqual(self.ask(path, visitors), (status, said["cache_status"]))
        self.assertEqual(self.edge.stored == 1, said["store"])
        if not said["store"] or said["revalidate_always"]:
            self.assertEqual(self.fetches_of_another(path, visitors), 1)
            self.assertEqual(said["ttl_s"], 0 if said["store"] else None)
            return

        def at(seconds):
            self.edge.clock_offset_s = seconds
            return self.ask(path, visitors)
        self.assertEqual(at(said["ttl_s"] - 5), (status, "HIT"))
        self.answer = b"HTTP/1.1 599 Gone\r\nContent-Length: 0\r\n\r\n"
        while_asking_s, on_error_s = said["stale_while_revalidate_s"], said["stale_if_error_s"]
        if while_asking_s:
            self.assertEqual(at(said["ttl_s"] + while_asking_s - 5), (status, "UPDATING"))
        if on_error_s > while_asking_s:
            self.assertEqual(at(said["ttl_s"] + while_asking_s + 5), (status, "STALE"))
            self.assertEqual(at(said["ttl_s"] + on_error_s - 5), (status, "STALE"))
        self.assertEqual(at(said["ttl_s"] + max(while_asking_s, on_error_s) + 5)[0], 599)

    def test_what_is_said_is_what_happens(self):
        for status, fields, path in self.ANSWERS:
            with self.subTest(status=status, fields=fields, path=path):
                self.compare(status, fields, path, [])
        for status, fields, path in self.WITH_AUTHORIZATION:
            with self.subTest(authorization=fields):
                self.compare(status, fields, path, ["Authorization: x"])

    def test_an_answer_from_a_file(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"HTTP/2 404\nserver: x\n\nbody")
            file.flush()
            said = self.explain("/a.jpg", "--answer", file.name)
        self.assertEqual((said["status"], said["edge"]["ttl_s"], said["edge"]["ttl_source"]), (404, 180, "default"))
        self.assertEqual(self.codes(said), ["missing_cache_control"])


def api_answer(v4, v6=("2400:cb00::/32",), **more):
    return json.dumps({"success": True, "result": {"etag": "e1", "ipv4_cidrs": list(v4), "ipv6_cidrs": list(v6)}, **more})


class Ranges(unittest.TestCase):
    maxDiff = 3000

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tidepool-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "ranges"
        self.answers = {}  # path -> (status, fields, body)
        self.paths = []
        case = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                case.paths.append(self.path)
                status, fields, body = case.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **fields}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"

    def publish(self, body, path="/ips", status=200, **fields):
        self.answers[path] = (status, fields, body if isinstance(body, bytes) else body.encode())
        return self.url + path

    def update(self, *arguments, **options):
        return run("update-ranges", "--to", self.file, *arguments, **options)

    def ranges(self):
        return [line for line in self.file.read_text().splitlines() if not line.startswith("#")]

    def assert_good(self, done, *parts):
        status, out, error = done
        self.assertEqual((status, error), (0, ""), out)
        for part in parts:
            self.assertIn(part, out)

    def test_from_the_api(self):
        url = self.publish(api_answer(["173.245.48.0/20", "104.16.0.0/13"]))
        self.assert_good(self.update("--from", url), "+ 173.245.48.0/20\n+ 104.16.0.0/13\n+ 2400:cb00::/32\n",
                         "3 ranges written", "SIGHUP")
        self.assertEqual(self.ranges(), ["173.245.48.0/20", "104.16.0.0/13", "2400:cb00::/32"])
        self.assertRegex(self.file.read_text().splitlines()[0],
                         rf"^# From {url} \(etag e1\), \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.$")
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o644)
        before = self.file.stat()
        self.publish(api_answer(["104.16.0.0/13", "173.245.48.0/20"], etag="e2"))  # another order is no change
        status, out, _ = self.update("--from", url)
        self.assertEqual((status, out), (0, f"{self.file}: nothing has changed, 3 ranges\n"))
        self.assertEqual(self.file.stat(), before)
        self.publish(api_answer(["104.16.0.0/13", "104.24.0.0/14"]))
        self.assert_good(self.update("--from", url, "--dry-run"), "+ 104.24.0.0/14\n- 173.245.48.0/20\n", "not written")
        self.assertEqual(self.file.stat().st_ino, before.st_ino)
        self.assert_good(self.update("--from", url), "+ 104.24.0.0/14\n- 173.245.48.0/20\n", "written")
        self.assertEqual(self.ranges(), ["104.16.0.0/13", "104.24.0.0/14", "2400:cb00::/32"])

    def test_from_lists_and_files(self):
        four = self.publish("173.245.48.0/20\n104.16.0.0/13", "/ips-v4")
        six = self.folder / "six"
        six.write_text("# of today\n2400:cb00::/32\n")
        self.assert_good(self.update("--from", four, "--from", six, "--also", "127.0.0.1"), "4 ranges written")
        self.assertEqual(self.ranges(), ["173.245.48.0/20", "104.16.0.0/13", "2400:cb00::/32", "127.0.0.1/32"])
        self.assertIn(f"{four} and {six}", self.file.read_text())

    def test_bad_lists_leave_the_old_file(self):
        self.assert_good(self.update("--from", self.publish(api_answer(["1.0.0.0/24"]))))
        old, before = self.file.read_bytes(), self.file.stat()
        for body, what in (("", "is empty"), ("\n", "is empty"), ("<html>", "no range"), ("{", "no JSON"),
                           (api_answer([]), "no IPv4"), (api_answer([], []), "no range"),
                           (api_answer(["1.0.0.0/24"], success=False), "failed"),
                           (api_answer(["1.0.0.1/24"]), "no such range"), ("2400:cb00::/32", "no IPv4"),
                           (api_answer(["2.0.0.0/7"]), "wider than /8"), (api_answer(["0.0.0.0/0"]), "wider than /8"),
                           (api_answer(["1.0.0.0/24"], ["2400::/15"]), "wider than /16"),
                           (api_answer(["1.0.0.0/24"], ["::/0"]), "wider than /16"),
                           (api_answer(["1.0.0.0/24", "10.0.0.0/8"]), "private"),
                           (api_answer(["1.0.0.0/24", "127.0.0.0/8"]), "loopback"),
                           (api_answer(["1.0.0.0/24", "169.254.0.0/16"]), "link-local"),
                           (api_answer(["1.0.0.0/24"], ["fe80::/16"]), "link-local"),
                           (b"1.0.0.0/24\n" * 30_000, "longer than a list")):
            with self.subTest(body=body[:80]):
                status, out, error = self.update("--from", self.publish(body))
                self.assertEqual((status, out), (1, ""), error)
                self.assertRegex(error, what)
                self.assertIn(f"{self.file} is as it was", error)
                self.assertEqual((self.file.read_bytes(), self.file.stat()), (old, before))
        self.assertEqual(os.listdir(self.folder), ["ranges"])

    def test_sources_that_fail(self):
        self.file.write_text("1.0.0.0/24\n")
        good = api_answer(["2.0.0.0/24"])
        nobody = f"http://127.0.0.1:{tidepool.refusing_address(self)[1]}/ips"
        for source, what in ((self.publish(good, "/500", status=500), "status 500"),
                             (self.publish(good, "/302", status=302, Location=self.url + "/ips"), "status 302"),
                             (self.url + "/none", "status 404"), (nobody, "."), (self.folder / "none", "No such file"),
                             (self.folder, "not a regular file"),
                             (self.publish(good, "/cut", **{"Content-Length": "5000", "Connection": "close"}), "."),
                             ("http://192.0.2.1/ips", "https://"), ("http://localhost.example/ips", "https://"),
                             ("http://127.0.0.1:1@192.0.2.1/ips", "https://")):
            with self.subTest(source=source):
                status, out, error = self.update("--from", source)
                self.assertEqual((status, out), (1, ""), error)
                self.assertRegex(error, what)
                self.assertEqual(self.file.read_text(), "1.0.0.0/24\n")
        self.assertNotIn("/ips", self.paths)

    def test_a_file_that_cannot_be_written_stays_as_it_was(self):
        self.file.write_text("1.0.0.0/24\n")
        source = self.publish(api_answer(["2.0.0.0/24"]))
        limit = 20  # bytes of a file: less than the new one
        status, out, error = self.update(
            "--from", source, restore_signals=False,  # SIGXFSZ stays ignored, as Python has it
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        self.assertEqual(status, 1, out)
        self.assertIn("File too large", error)
        self.assertEqual(self.file.read_text(), "1.0.0.0/24\n")
        self.assertEqual(os.listdir(self.folder), ["ranges"])
        status, _, error = run("update-ranges", "--to", self.folder / "none" / "ranges", "--from", source)
        self.assertEqual(status, 1)
        self.assertIn("No such file", error)

    def test_who_reads_meanwhile_has_one_or_the_other(self):
        self.file.write_text("1.0.0.0/24\n")
        with self.file.open() as reader:
            self.assert_good(self.update("--from", self.publish(api_answer(["2.0.0.0/24"]))))
            self.assertEqual(reader.read(), "1.0.0.0/24\n")
        self.assertEqual(self.ranges(), ["2.0.0.0/24", "2400:cb00::/32"])


class Reload(tidepool.OwnServerCase):
    def test_a_running_server_takes_them(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        ranges, log, source = folder / "ranges", folder / "access.log", folder / "source"
        ranges.write_text("127.0.0.9\n")
        server = self.serve({"edge": {"trusted_ranges": f"file:{ranges}"}, "server": {"threads": 2},
                             "access_log": {"path": str(log), "flush_interval": "10ms"}}, folder=folder)
        asked = 0

        def client():
            """Who the server takes one for that comes from 127.0.0.2 and says to bring 203.0.113.7."""
            nonlocal asked
            asked += 1
            path = f"/uploads/{asked}.jpg"
            server.get_from("127.0.0.2", path, "CF-Connecting-IP: 203.0.113.7")
            line = tidepool.eventually(
                lambda: [entry for entry in log.read_text().splitlines(keepends=True) if path in entry and "\n" in entry],
                "it is logged")[0]
            return json.loads(line)["client"]
        self.assertEqual(client(), "127.0.0.2")
        source.write_text("173.245.48.0/20\n")
        status, out, error = run("update-ranges", "-c", server.config_file, "--from", source, "--also", "127.0.0.2")
        self.assertEqual((status, error), (0, ""))
        self.assertIn("+ 173.245.48.0/20\n+ 127.0.0.2/32\n- 127.0.0.9/32\n", out)
        self.assertEqual(client(), "127.0.0.2", "nobody told the server")
        server.signal(signal.SIGHUP)
        server.wait_log("configuration reloaded")
        tidepool.eventually(lambda: client() == "203.0.113.7", "the new range is believed")


if __name__ == "__main__":
    tidepool.main()
