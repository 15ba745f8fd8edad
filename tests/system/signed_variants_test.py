"""Variants that no profile has: made for whoever has a signed path, and for nobody else; then files like any other."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402
from pictures import png, png_size  # noqa: E402

import base64  # noqa: E402
import hashlib  # noqa: E402
import hmac  # noqa: E402
import json  # noqa: E402
import signal  # noqa: E402
import tempfile  # noqa: E402

DAY = "2026/02/25"
UUID = "0f8fad5b-d9cb-469f-a165-000000000001"
FOREVER = "public, max-age=31536000, immutable"
OLD = (b"an old key, 16 b", b"old salt")
NEW = (b"a new key, which is longer", b"s")
ON = {"on_demand": True, "first_hit_wait": "30s"}


def signed(options, extension="webp", pair=NEW, size=32, uuid=UUID):
    key, salt = pair
    path = f"/{options}/{DAY}/{uuid}.{extension}".replace("//", "/")
    mac = hmac.new(key, salt + path.encode(), hashlib.sha256).digest()[:size]
    return "/uploads/variants/" + base64.urlsafe_b64encode(mac).decode().rstrip("=") + path


def stored(name, uuid=UUID):
    return f"/uploads/variants/{DAY}/{uuid}_{name}"


class Secrets:
    """Files of keys and salts, and what the configuration says of them."""

    def __init__(self, case, *pairs):
        folder = tempfile.TemporaryDirectory(prefix="tidepool-secrets-")
        case.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.settings = self.write(*pairs)

    def write(self, *pairs):
        names = {"signing_keys": [], "signing_salts": []}
        for number, pair in enumerate(pairs):
            for name, secret in zip(names, pair):
                path = self.folder / f"{name}-{number}"
                path.write_text(secret.hex() + "\n")
                names[name].append(f"file:{path}")
        return names


class SignedCase(tidepool.OwnServerCase):
    def start(self, *pairs, environment=None, **variants):
        self.secrets = Secrets(self, *(pairs or (NEW,)))
        self.server = self.serve({"variants": {**ON, **self.secrets.settings, **variants}}, environment=environment)
        self.server.tree.put(f"original/{DAY}/{UUID}.png", png(600, 400), mtime=1_700_000_000)

    def made(self):
        return self.server.metrics().sum("tidepool_variants_made_total")

    def file_of(self, path):
        return self.server.tree.path / path.removeprefix("/uploads/")

    def assert_served(self, path):
        answer = self.server.get(path)
        self.assertEqual((answer.status, answer["cache-control"]), (200, FOREVER), answer)
        return answer

    def assert_refused(self, path, status, text):
        answer = self.server.get(path)
        self.assertEqual((answer.status, answer["cache-control"], answer.body), (status, "no-store", text + b"\n"), answer)

    def assert_forbidden(self, path):
        self.assert_refused(path, 403, b"the signature is wrong")


class Signed(SignedCase):
    def test_it_is_made_once_for_all_spellings_and_then_a_file(self):
        self.start()
        name = stored("_rs_fill_120_80-g_no.png")
        first = self.assert_served(signed("rs:fill:120:80/g:no", "png"))
        self.assertEqual((first["content-type"], png_size(first.body)), ("image/png", (120, 80)))
        self.assertEqual(self.file_of(name).read_bytes(), first.body)
        for path in (signed("rs:fill:120:80/g:no", "png"), signed("g:no/resize:fill:120:80:0", "png"),
                     signed("h:80/gravity:no/rs:fill/w:120/q:80", "png"), name,
                     signed("rs:fill:120:80/g:no", "png").replace(":", "%3A")):
            with self.subTest(path):
                again = self.assert_served(path)
                self.assertEqual((again.body, again["etag"]), (first.body, first["etag"]))
        self.assertEqual(self.server.get(signed("g:no/rs:fill:120:80", "png"), "If-None-Match: " + first["etag"]).status, 304)
        part = self.server.get(signed("g:no/rs:fill:120:80", "png"), "Range: bytes=1-3")
        self.assertEqual((part.status, part.body), (206, b"PNG"))
        self.assertEqual(self.made(), 1)
        self.assertEqual([path.name for path in self.file_of(name).parent.iterdir()], [pathlib.Path(name).name])

    def test_sizes_formats_and_qualities(self):
        self.start()
        self.assertEqual(png_size(self.assert_served(signed("w:60", "png")).body), (60, 40))
        self.assertEqual(png_size(self.assert_served(signed("rs:force:50:50", "png")).body), (50, 50))
        self.assertEqual(png_size(self.assert_served(signed("w:6000", "png")).body), (600, 400), "never enlarged")
        for extension, kind in {"webp": "webp", "avif": "avif", "jpg": "jpeg", "jpeg": "jpeg"}.items():
            with self.subTest(extension):
                self.assertEqual(self.assert_served(signed("w:100", extension))["content-type"], f"image/{kind}")
        self.assertFalse(self.file_of(stored("_rs_fit_100_0.jpeg")).exists(), "one name for both of JPEG's")
        coarse = self.assert_served(signed("q:5"))
        fine = self.assert_served(signed("q:95"))
        self.assertLess(len(coarse.body), len(fine.body))

    def test_profiles_are_ordered_by_anybody_as_before(self):
        self.start()
        self.assert_served(stored("small.webp"))
        self.assertEqual(self.server.get(stored("large.webp")).status, 404)

    def test_nothing_is_made_without_a_signature_of_ours(self):
        self.start()
        good = signed("w:90")
        signature = good.split("/")[3]
        other = ("B" if signature[0] != "B" else "C") + signature[1:]
        for path in (signed("w:90", pair=OLD), signed("w:90", pair=(NEW[0], OLD[1])), signed("w:90", size=31),
                     good.replace(signature, other), good.replace(signature, "insecure"), good.replace("w:90", "w:91"),
                     good.replace(".webp", ".avif"), good.replace(UUID, UUID[:-1] + "2"), good.replace("/w:90", "/w:90/q:5"),
                     good.replace("/w:90", "/nothing:3")):
            with self.subTest(path):
                self.assert_forbidden(path)
        # Its name alone orders nothing, nor does another file's.
        self.assertEqual(self.server.get(stored("_rs_fit_90_0.webp")).status, 404)
        self.assertEqual(self.server.get(good.replace(UUID, UUID + "_small")).status, 404)
        self.assertEqual(self.made(), 0)
        answer = self.server.get(good.replace(signature, other), "Accept: application/json")
        self.assertEqual((answer.status, json.loads(answer.body)["error"]), (403, "forbidden"))
        self.assert_served(good)
        self.assert_served(stored("_rs_fit_90_0.webp"))

    def test_what_is_wrong_with_an_order_is_said(self):
        self.start()
        self.assert_refused(signed("w:90/blur:3"), 400, b"option 2 is unknown: blur")
        self.assert_refused(signed("w:90/width:90"), 400, b"w is given twice")
        self.assert_refused(signed("w:90000"), 400, b"w: expected a whole number from 0 to 16384")
        self.assert_refused(signed(""), 400, b"a size is missing, or the quality of a format that has one")
        self.assert_refused(signed("w:90", "bmp"), 400, b"there is no such format")
        gone = self.server.get(signed("w:90", uuid=UUID[:-1] + "9"))
        self.assertEqual(gone.status, 404, "without an original")
        self.assertEqual(self.made(), 0)

    def test_pairs_are_brought_in_and_taken_out_while_it_runs(self):
        self.start(OLD)
        self.assert_served(signed("w:90", pair=OLD))
        self.assert_forbidden(signed("w:90"))
        for pairs, good, bad in (((NEW, OLD), (NEW, OLD), ()), ((NEW,), (NEW,), (OLD,))):
            with self.subTest(pairs):
                mark = len(self.server.log())
                self.server.write_config({"variants": {**ON, **self.secrets.write(*pairs)}})
                self.server.signal(signal.SIGHUP)
                self.server.wait_log("configuration reloaded", after=mark)
                self.assertFalse([line for line in self.server.log()[mark:] if "takes effect with a restart" in line])
                for pair in good:
                    tidepool.eventually(lambda: self.server.get(signed("w:90", pair=pair)).status == 200, "it is believed")
                for pair in bad:
                    tidepool.eventually(lambda: self.server.get(signed("w:90", pair=pair)).status == 403, "it is not")
        self.assertEqual(self.made(), 1)

    def test_signatures_can_be_shorter(self):
        self.start(signature_bytes=8)
        self.assert_served(signed("w:90", size=8))
        self.assert_forbidden(signed("w:90"))

    def test_it_is_off_without_keys(self):
        self.server = self.serve({"variants": ON})
        self.server.tree.put(f"original/{DAY}/{UUID}.png", png(600, 400), mtime=1_700_000_000)
        self.assertEqual(self.server.get(signed("w:90")).status, 404)
        self.assertEqual(self.server.get(stored("_rs_fit_90_0.webp")).status, 404)
        self.assertEqual(self.made(), 0)

    def test_a_configuration_with_mistakes(self):
        short = Secrets(self, (b"short", b"salt")).settings
        uneven = {**Secrets(self, NEW).settings, "signing_salts": []}
        not_hex = Secrets(self, NEW)
        (not_hex.folder / "signing_keys-0").write_text("no hex digits")
        for settings, text in ((short, "has 5 bytes, which is too short: expected at least 16"),
                               (uneven, "there are 0 salts for 1 keys"),
                               (not_hex.settings, "is not written in pairs of hex digits"),
                               ({"signing_keys": ["abcdef"]}, 'expected "env:NAME" or "file:/PATH"')):
            with self.subTest(text):
                server = tidepool.Server({"variants": {**ON, **settings}}, expect_ready=False)
                self.addCleanup(server.kill)
                self.assertEqual(server.exit_of(server.pid), 2)
                server.wait_log(text.replace("(", r"\("), after=0)
                self.assertFalse([line for line in server.log() if "no hex digits" in line or "abcdef" in line])


class InABucket(cold.ColdCase):
    def setUp(self):
        super().setUp()
        self.b2.put(cold.BUCKET, f"uploads/original/{DAY}/{UUID}.png", png(600, 400), "image/png")

    def start(self):
        settings = {**ON, **Secrets(self, NEW).settings}
        self.server = self.serve_cold({"variants": settings, "origin": cold.IMPATIENT})

    def test_it_is_put_beside_its_original(self):
        self.start()
        for path in (signed("w:90/g:no", "png"), signed("rs:fit:90", "png"), f"/file/{cold.BUCKET}" + signed("w:90", "png"),
                     stored("_rs_fit_90_0.png")):
            answer = self.server.get(path)
            self.assertEqual((answer.status, answer["cache-control"]), (200, FOREVER), answer)
            self.assertEqual(png_size(answer.body), (90, 60))
        self.assertEqual([entry.key for entry in self.b2.requests if entry.method == "PUT"],
                         [stored("_rs_fit_90_0.png")[1:]])
        self.assertEqual(self.server.metrics().sum("tidepool_variants_made_total"), 1)

    def test_bulk_commands_know_it(self):
        self.start()
        for path in (signed("w:90", "png"), stored("small.png")):
            self.assertEqual(self.server.get(path).status, 200)
        done = {}
        for name, arguments in (("profile", ["list", "--profile", "small"]), ("all", ["list"]), ("removed", ["rm", "--yes"])):
            status, out, error = tidepool.run_tool("variants", arguments[0], "-c", str(self.server.config_file), *arguments[1:],
                                                   "--json", environment={"TIDEPOOL_TEST_S3_SECRET": self.b2.key.secret})
            self.assertEqual(status, 0, out + error)
            done[name] = json.loads(out)
        keys = [stored("_rs_fit_90_0.png")[1:], stored("small.png")[1:]]
        self.assertEqual([row["key"] for row in done["all"]], keys)
        self.assertEqual([row["key"] for row in done["profile"]], keys[1:])
        self.assertEqual(done["removed"]["variants"], 2)
        self.assertFalse([key for key in self.b2.keys(cold.BUCKET) if "/variants/" in key])

    def test_one_that_could_not_be_stored_is_made_again_by_a_job(self):
        self.start()
        self.b2.fault("error", status=503, code="ServiceUnavailable", count=None, method="PUT")
        answer = self.server.get(signed("w:90", "png"))
        self.assertEqual((answer.status, answer["cache-control"]), (200, "no-store"), answer)
        self.b2.clear_faults()
        tidepool.eventually(lambda: self.b2.versions(cold.BUCKET, stored("_rs_fit_90_0.png")[1:]), "the job stores it", patience_s=60)


if __name__ == "__main__":
    tidepool.main()
