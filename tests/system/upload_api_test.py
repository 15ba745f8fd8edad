"""What the API says of images that were uploaded, and what else there is of it: replicas, browsers, keys."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import failing_sync  # noqa: E402
import pictures  # noqa: E402
import tidepool  # noqa: E402
import uploads  # noqa: E402
from pictures import picture, png  # noqa: E402
from uploads import (  # noqa: E402
    IMAGES, INTERNAL_UPLOAD, NO_UUID, ONE_PROFILE, OTHER_OWNER, OWNER, PING, PROFILE, REPLICATE, SECRET, SESSIONS,
    UPLOAD)

import contextlib  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import sqlite3  # noqa: E402
import threading  # noqa: E402

MIB = 1024 * 1024


class Processing(uploads.UploadCase):
    """The variants that are made behind an upload, and what is said of them."""

    def uploaded(self, content, name, **session):
        """(GET images/UUID when it is processed, what is stored of it), which must agree."""
        key = self.key()
        token = self.session(len(content), key, **session)["token"]
        uuid = self.accepted(self.upload(content, name, token))["image_uuid"]
        self.wait_processed(uuid, key)
        image = self.image(uuid, key)
        self.assertNotIn("duplicate", image)
        held = {key: content for key, content in self.stored("hot").items() if uuid in key}
        served = self.assert_all_served(image)
        self.assertEqual(set(held), set(served))
        for key, stored in held.items():
            self.assertTrue(stored == served[key], key)
        rows = {row["key"]: row["pool"] for row in self.json("ls", "--limit", "0") if uuid in row["key"]}
        self.assertEqual(rows, {key: "hot" for key in held})
        return image, held

    def names(self, image, held):
        return {re.sub(r".*/" + image["image_uuid"], "", key) if "/variants/" in key else "original" for key in held}

    def test_all_that_is_made_at_upload(self):
        self.start()
        image, held = self.uploaded(picture("png"), "a.png")
        self.assertEqual(self.names(image, held), {"original", ".webp", ".avif"} | {
            f"_{size}.{extension}" for size in ("small", "medium") for extension in ("webp", "avif", "png")})
        self.assertEqual({(family, size) for family, size, _ in uploads.leaves(image)},
                         {(family, size) for family in ("original", "webp", "avif") for size in uploads.SIZES})
        self.assertLessEqual({"webp", "avif"}, set(image["available_variants"]))
        small = image["variants"]["original"]["small"]
        self.assertEqual(pictures.png_size(held[uploads.path_of(small["url"])[1:]]), (200, 133))
        for family, kind in (("original", "image/png"), ("webp", "image/webp"), ("avif", "image/avif")):
            for size, width, height in (("original", 600, 400), ("medium", 500, 333), ("small", 200, 133)):
                leaf = image["variants"][family][size]
                self.assertEqual((leaf["width"], leaf["height"], leaf["animated"]), (width, height, False), leaf)
                self.assertEqual(leaf["mime_type"], kind)
                self.assertEqual(leaf["bytes"], len(held[uploads.path_of(leaf["url"])[1:]]), leaf)

    def test_sizes_are_those_of_the_files(self):
        """Also where a side of the box decides, where a part is cut away, and where nothing is enlarged."""
        profiles = (("small", "width = 90\nheight = 90\nfit = \"cover\""), ("medium", "height = 77"))
        self.start(extra="".join(f'[[profile]]\nname = "{name}"\n{lines}\nformats = ["original"]\n'
                                 'at_upload = ["original"]\n\n' for name, lines in profiles))
        for width, height in ((301, 203), (203, 301), (80, 50)):
            with self.subTest(width=width, height=height):
                image, held = self.uploaded(png(width, height), "a.png")
                leaves = {size: leaf for family, size, leaf in uploads.leaves(image) if family == "original"}
                self.assertEqual(set(leaves), {"original", "small", "medium"})
                for leaf in leaves.values():
                    self.assertEqual((leaf["width"], leaf["height"]),
                                     pictures.png_size(held[uploads.path_of(leaf["url"])[1:]]), leaf)

    def test_what_moves(self):
        self.start()
        image, _ = self.uploaded(picture("gif", 300, 200, frames=3), "a.gif")
        self.assertEqual({(family, size): (leaf["width"], leaf["animated"])
                          for family, size, leaf in uploads.leaves(image) if size == "small" or family == "original"},
                         {("original", "original"): (300, True), ("original", "medium"): (300, False),
                          ("original", "small"): (200, False), ("webp", "small"): (200, True),
                          ("avif", "small"): (200, False)})

    def test_each_kind_ends(self):
        self.start(extra='[[profile]]\nname = "small"\nwidth = 50\n\n[[profile]]\nname = "medium"\nwidth = 80\n\n')
        for extension in ("jpg", "jpeg", "gif", "webp"):
            with self.subTest(extension):
                image, held = self.uploaded(picture(extension, 120, 100), f"a.{extension}")
                self.assertLessEqual({"original", "_small.webp", "_small.avif", f"_small.{extension}", "_medium.webp",
                                      "_medium.avif", f"_medium.{extension}"}, self.names(image, held))

    def test_of_a_gif_only_thumbnails(self):
        self.start()
        image, held = self.uploaded(picture("gif"), "a.gif")
        self.assertEqual(self.names(image, held), {"original"} | {
            f"_{size}.{extension}" for size in ("small", "medium") for extension in ("webp", "avif", "gif")})
        for family in ("webp", "avif"):
            self.assertEqual(set(image["variants"][family]), {"medium", "small"})

    def test_of_an_avif_only_thumbnails(self):
        self.start()
        image, held = self.uploaded(picture("avif"), "a.avif")
        self.assertEqual(self.names(image, held), {"original"} | {
            f"_{size}.{extension}" for size in ("small", "medium") for extension in ("webp", "avif")})
        for family in ("webp", "avif"):
            self.assertNotIn("original", image["variants"].get(family, {}))

    def test_of_tiny_images_no_avif(self):
        self.start()
        for side, has_avif in ((64, False), (65, True)):
            with self.subTest(side=side):
                image, held = self.uploaded(png(side, side), "a.png")
                self.assertEqual(any(key.endswith(".avif") for key in held), has_avif)
                self.assertEqual(bool(image["variants"].get("avif")), has_avif)
                self.assertEqual("avif" in image["available_variants"], has_avif)
                self.assertTrue(image["variants"]["webp"])

    def test_it_is_said_at_once_what_there_will_be(self):
        self.start(extra=ONE_PROFILE)
        stored = self.accepted(self.upload(picture("png", 70, 70), "a.png"))
        self.assertLessEqual(set(stored["available_variants"]), {"original", "webp", "avif"})
        for _, _, leaf in uploads.leaves(stored):
            self.assertEqual(self.server.get(leaf["url"]).status, 200)

    def test_it_goes_on_after_a_restart(self):
        self.start(config={"jobs": {"threads": 0}}, extra=ONE_PROFILE)
        key = self.key()
        uuid = self.accepted(self.upload(picture("png", 70, 70), "a.png"))["image_uuid"]
        self.assertEqual(self.api("GET", f"{IMAGES}/{uuid}/status", key).json,
                         {"complete": False, "failed": False, "view_url": None})
        self.server.crash()
        self.start(extra=ONE_PROFILE)
        self.wait_processed(uuid, key)
        self.assertEqual(len(self.stored("hot")), 2)

    def status_of(self, uuid, key):
        return self.api("GET", f"{IMAGES}/{uuid}/status", key).json

    def test_what_fails_says_so_until_it_is_tried_again(self):
        pending, failed, complete = ({"complete": complete, "failed": failed, "view_url": None}
                                     for complete, failed in ((False, False), (False, True), (True, False)))
        self.start(config={"jobs": {"threads": 0}}, extra=ONE_PROFILE.replace("50", "200"))
        key = self.key()
        content = pictures.noise(200, 200)
        stored = self.accepted(self.upload(content, "a.png"))
        uuid = stored["image_uuid"]
        self.server.stop_process()
        self.start(config={"variants": {"pixels": 1024}}, extra=ONE_PROFILE.replace("50", "200"))
        tidepool.eventually(lambda: self.status_of(uuid, key) == failed, "it has failed")
        self.assertIn("1024", self.image(uuid, key)["failure"])
        self.assertEqual(self.server.get(uploads.path_of(stored["url"])).body, content, "the original is served")
        job, = [job for job in self.json("jobs", "list", "--limit", "0") if job["type"] == "process"]
        self.assertEqual(job["state"], "failed")
        # Nobody works, so that it stays what it becomes.
        self.server.stop_process()
        self.start(config={"jobs": {"threads": 0}}, extra=ONE_PROFILE.replace("50", "200"))
        self.assertEqual(self.status_of(uuid, key), failed)
        self.assertEqual(self.call("POST", f"/api/admin/v1/jobs/{job['id']}/retry")[1]["state"], "queued")
        self.assertEqual(self.status_of(uuid, key), pending)
        self.assertNotIn("failure", self.image(uuid, key))
        self.assertEqual(self.call("POST", f"/api/admin/v1/jobs/{job['id']}/cancel")[1]["state"], "cancelled")
        self.assertEqual(self.status_of(uuid, key), failed, "nobody tries it any more")
        self.json("jobs", "retry", job["id"])
        self.assertEqual(self.status_of(uuid, key), pending)
        self.server.stop_process()
        self.start(extra=ONE_PROFILE.replace("50", "200"))
        self.wait_processed(uuid, key)
        self.assertEqual(self.status_of(uuid, key), complete)
        self.assertNotIn("failure", self.image(uuid, key))

    def test_a_variant_that_cannot_be_is_no_fault_of_the_image(self):
        self.start()
        key = self.key()
        uuid = self.accepted(self.upload(png(17_000, 100), "a.png"))["image_uuid"]  # WebP has sides up to 16383
        self.wait_processed(uuid, key)
        self.assertNotIn("failure", self.image(uuid, key))
        held = {"_".join(pathlib.Path(name).name.split("_")[1:]) for name in self.stored("hot") if "_" in name}
        self.assertLessEqual({f"{size}.{kind}" for size in ("small", "medium") for kind in ("webp", "avif", "png")}, held)
        job, = [job for job in self.json("jobs", "list", "--limit", "0") if job["type"] == "process"]
        self.assertEqual(job["state"], "done")

    def test_what_is_still_to_be_made_is_not_absent(self):
        without = {"variants": {"on_demand": False}}
        self.start(config={"jobs": {"threads": 0}, **without}, extra=ONE_PROFILE)
        key = self.key()
        stored = self.accepted(self.upload(picture("png", 70, 70), "a.png"))
        uuid = stored["image_uuid"]
        path = uploads.path_of(stored["variants"]["webp"]["small"]["url"])
        for _ in range(2):  # also where it is known that it is not there
            answer = self.server.get(path)
            self.assertEqual((answer.status, answer["cache-control"]), (503, "no-store"), answer)
            self.assertGreaterEqual(int(answer["retry-after"]), 1)
        for other in (path.replace("_small", "_large"), path.replace(uuid, NO_UUID), path.replace(".webp", ".png")):
            self.assertEqual(self.server.get(other).status, 404, other)
        self.server.stop_process()
        self.start(config=without, extra=ONE_PROFILE)
        self.wait_processed(uuid, key)
        self.assertEqual(self.server.get(path).status, 200)

    def test_an_original_alone_is_complete_at_once(self):
        self.start()
        key = self.key()
        content = picture("png")
        token = self.session(len(content), key, processing={"profile": "original_only"})["token"]
        stored = self.accepted(self.upload(content, "a.png", token))
        uuid = stored["image_uuid"]
        self.assertEqual(self.api("GET", f"{IMAGES}/{uuid}/status", key).json,
                         {"complete": True, "failed": False, "view_url": None})
        self.wait_for_jobs()
        self.assertEqual(self.stored("hot"), {stored["url"][1:]: content})
        # But the first who asks gets one.
        small = stored["url"].replace("/original/", "/variants/").replace(".png", "_small.webp")
        answer = self.server.get(small)
        self.assertEqual((answer.status, answer["content-type"]), (200, "image/webp"))
        self.assertEqual(self.api("GET", f"{IMAGES}/{uuid}/status", key).json["complete"], True)

    def test_a_duplicate_says_what_there_is(self):
        self.start(extra=ONE_PROFILE)
        key = self.key()
        content = picture("png", 70, 70)
        uuid = self.accepted(self.upload(content, "a.png"))["image_uuid"]
        self.wait_processed(uuid, key)
        again = self.accepted(self.upload(content, "a.png"))
        again.pop("duplicate")
        self.assertEqual(again, self.image(uuid, key))

    def test_the_page_of_the_app(self):
        self.start({"view_url": "https://app.example/i/{uuid}?from=upload"}, extra=ONE_PROFILE)
        key = self.key()
        stored = self.accepted(self.upload(picture("png", 70, 70), "a.png"))
        uuid = stored["image_uuid"]
        page = f"https://app.example/i/{uuid}?from=upload"
        self.assertEqual(stored["view_url"], page)
        self.assertEqual(self.image(uuid, key)["view_url"], page)
        self.assertEqual(self.wait_processed(uuid, key)["view_url"], page)


class Images(uploads.UploadCase):
    def setUp(self):
        super().setUp()
        self.start(extra=ONE_PROFILE)
        self.mine = self.key()
        self.stored_image = self.accepted(self.upload(picture("png", 70, 70), "a.png"))
        self.uuid = self.stored_image["image_uuid"]

    def test_its_owner_sees_what_the_upload_said(self):
        seen = self.image(self.uuid, self.mine)
        self.assertEqual((seen["image_uuid"], seen["url"]), (self.uuid, self.stored_image["url"]))
        self.assertNotIn("duplicate", seen)
        self.assertNotIn("view_url", seen)

    def test_nobody_else_does(self):
        other = self.key(OTHER_OWNER)
        for path in (f"{IMAGES}/{self.uuid}", f"{IMAGES}/{self.uuid}/status"):
            with self.subTest(path):
                self.assert_error(self.api("GET", path, other), 404, "not_found")
                for key in (None, "", "tp_nonsense"):
                    self.assert_error(self.api("GET", path, key), 401, "unauthorized")
                bearer = {"Authorization": f"Bearer {self.token(1000)}"}
                self.assert_error(self.api("GET", path, fields=bearer), 401, "unauthorized")

    def test_what_is_not_there(self):
        for name in (NO_UUID, "nonsense", self.uuid[:-1], self.uuid + "0", self.uuid.upper(), "..", "%00",
                     self.uuid + ".png"):
            for path in (f"{IMAGES}/{name}", f"{IMAGES}/{name}/status"):
                with self.subTest(path):
                    answer = self.api("GET", path, self.mine)
                    if name in ("..", "%00"):
                        self.assertIn(answer.status, (400, 404))
                    else:
                        self.assert_error(answer, 404, "not_found")
        self.assert_error(self.api("GET", f"{IMAGES}/{self.uuid}/more", self.mine), 404, "not_found")

    def test_one_that_is_deleted(self):
        self.tool("rm", self.uuid, "--yes")
        for path in (f"{IMAGES}/{self.uuid}", f"{IMAGES}/{self.uuid}/status"):
            self.assert_error(self.api("GET", path, self.mine), 404, "not_found")


class HiddenImages(uploads.UploadCase):
    def test_what_only_a_signature_opens_is_its_owners(self):
        folder = self.trees["uploads"].path / "original/2026/02"
        uuids = {day: f"0b1f6c2e-9a7d-4c55-8a3e-0000000000{day}" for day in ("25", "26")}
        for day, uuid in uuids.items():
            (folder / day).mkdir(parents=True)
            (folder / day / f"{uuid}.png").write_bytes(picture("png", 70, 70))
        self.start(scanned=True, extra=ONE_PROFILE,
                   config={"private": {"prefixes": ["uploads/original/2026/02/25/"],
                                       "signing_key": "env:TIDEPOOL_TEST_UPLOAD_SECRET"}})
        key = self.key()
        for path in ("", "/status"):
            self.assertEqual(self.api("GET", f"{IMAGES}/{uuids['26']}{path}", key).status, 200)
            self.assert_error(self.api("GET", f"{IMAGES}/{uuids['25']}{path}", key), 404, "not_found")


class BaseUrls(uploads.UploadCase):
    def urls_below(self, base, pools=None, **upload):
        self.start(upload, pools=pools, extra=ONE_PROFILE)
        key = self.key()
        stored = self.accepted(self.upload(picture("png", 70, 70), "a.png"))
        self.wait_processed(stored["image_uuid"], key)
        for image in (stored, self.image(stored["image_uuid"], key)):
            self.assertEqual({uploads.base_of(leaf["url"]) for _, _, leaf in uploads.leaves(image)}, {base})
        self.assert_all_served(image)

    def test_of_the_pool(self):
        self.urls_below("https://images.example", self.pools(public_base_url="https://images.example"),
                        public_base_url="https://site.example")

    def test_of_the_site(self):
        self.urls_below("https://site.example", public_base_url="https://site.example")

    def test_of_neither(self):
        self.urls_below("")


class Replicas(uploads.UploadCase):
    """PUT of single files by other nodes."""

    PATH = f"original/2026/02/25/{NO_UUID}.jpg"

    def setUp(self):
        super().setUp()
        self.content = tidepool.make_image("image/jpeg", 20_000, "replica")

    def begin(self, pools=None, **upload):
        self.start({"replicate_secret": "env:TIDEPOOL_TEST_REPLICATE", **upload}, pools=pools)

    def replicate(self, content=None, authorization=..., fields=None, behind=(), **values):
        """`values` are the form's fields before the file, None leaves one out; `behind` are those after it."""
        content = self.content if content is None else content
        values = {"pool_id": self.pool_id(), "stored_path": self.PATH, **values}
        parts = [uploads.field(name, value) for name, value in values.items() if value is not None]
        if authorization is ...:
            authorization = f"Bearer {uploads.REPLICATE_SECRET}"
        sent = {**({"Authorization": authorization} if authorization else {}), **(fields or {})}
        late = [uploads.field(name, value) for name, value in dict(behind).items()]
        body = uploads.form(*parts, uploads.file(content, "a.jpg"), *late)
        return self.send_form(body, path=REPLICATE, fields=sent, method="PUT")

    def replicate_as_the_app(self, content=None, sha256=None):
        """In the order of the sender that there is, who deletes its own file after any 2xx."""
        content = self.content if content is None else content
        return self.replicate(content, size=len(content), behind={"sha256": sha256 or uploads.sha256(content)})

    def assert_stored(self, answer, path=PATH, content=None):
        self.assertEqual((answer.status, answer.json), (200, {"status": "ok"}), answer)
        self.assertEqual(self.stored("hot")[f"uploads/{path}"], content or self.content)
        served = tidepool.eventually(lambda: (got := self.server.get(f"/uploads/{path}")).status == 200 and got,
                                     "it is served")
        self.assertEqual(served.body, content or self.content)

    def test_a_file_is_put_where_it_belongs(self):
        self.begin()
        self.assert_stored(self.replicate())
        tidepool.eventually(lambda: [row["key"] for row in self.json("ls", "--limit", "0")] == [f"uploads/{self.PATH}"],
                            "the catalog knows it")
        self.assert_balanced()

    def test_with_all_that_may_be_said_of_it(self):
        self.begin()
        self.assert_stored(self.replicate(size=len(self.content), sha256=uploads.sha256(self.content)))

    def test_a_variant(self):
        self.begin()
        path = f"variants/2026/02/25/{NO_UUID}_small.webp"
        content = tidepool.make_image("image/webp", 3_000)
        self.assert_stored(self.replicate(content, stored_path=path), path, content)

    def test_by_folder_and_name(self):
        self.begin()
        folder, _, name = self.PATH.rpartition("/")
        self.assert_stored(self.replicate(stored_path=None, relative_path=folder, file_name=name))

    def test_by_the_other_header(self):
        self.begin()
        self.assert_stored(self.replicate(authorization=None, fields={"X-Replicate-Secret": uploads.REPLICATE_SECRET}))

    def assert_skipped(self, answer):
        self.assertEqual((answer.status, answer.json), (200, {"status": "ok", "skipped": True, "reason": "exists"}), answer)
        self.assertEqual(self.stored("hot"), {f"uploads/{self.PATH}": self.content})

    def test_what_is_there_is_skipped(self):
        self.begin()
        self.assert_stored(self.replicate())
        digest = uploads.sha256(self.content)
        for values in ({}, {"size": len(self.content)}, {"sha256": digest}, {"behind": {"sha256": digest}}):
            with self.subTest(values=values):
                self.assert_skipped(self.replicate(**values))
        self.assert_balanced()

    def test_other_bytes_of_that_size_are_not_taken_for_it(self):
        """Invariant 1: whoever is told that they are there deletes the last good copy of them."""
        self.begin()
        contents = [tidepool.make_image("image/jpeg", len(self.content), text) for text in ("b", "c", "d")]
        self.assert_stored(self.replicate())
        self.assert_stored(self.replicate_as_the_app(contents[0]), content=contents[0])
        self.assert_stored(self.replicate(contents[1]), content=contents[1])
        self.assert_stored(self.replicate(contents[2], size=len(contents[2])), content=contents[2])
        self.assert_balanced()

    def test_what_another_program_left_there_is_no_proof(self):
        """Bytes that nobody has synced may be gone tomorrow."""
        self.begin()
        path = self.trees["uploads"].path / self.PATH
        path.parent.mkdir(parents=True)
        path.write_bytes(self.content)
        self.assert_stored(self.replicate_as_the_app())
        self.assertEqual([row["sha256"] for row in self.json("ls", "--limit", "0")], [uploads.sha256(self.content)])

    def test_what_was_spoiled_there_is_replaced(self):
        self.begin()
        self.assert_stored(self.replicate())
        (self.trees["uploads"].path / self.PATH).write_bytes(bytes(len(self.content)))
        self.assert_stored(self.replicate_as_the_app())

    def test_a_checksum_behind_the_file(self):
        self.begin()
        self.assert_stored(self.replicate_as_the_app())
        self.assert_skipped(self.replicate_as_the_app())

    def test_a_wrong_checksum_behind_the_file(self):
        self.begin()
        self.assertEqual(self.replicate_as_the_app(sha256=uploads.sha256(b"another")).status, 422)
        self.assert_nothing_left()
        self.assert_stored(self.replicate_as_the_app())
        self.assertEqual(self.replicate_as_the_app(sha256=uploads.sha256(b"another")).status, 422)
        self.assertEqual(self.stored("hot"), {f"uploads/{self.PATH}": self.content}, "what was there stays")

    def test_fields_behind_the_file_that_are_nonsense(self):
        self.begin()
        for behind in ({"sha256": "nonsense"}, {"size": "many"}, {"size": len(self.content) - 1},
                       {"size": len(self.content) + 1}, {"relative_path": "original", "stored_path": "original/b.jpg"},
                       {"pool_id": 1}):
            with self.subTest(behind=behind):
                self.assert_error(self.replicate(behind=behind), 400, "bad_request")
        for name in ("pool_id", "stored_path"):
            with self.subTest(name=name):
                value = self.pool_id() if name == "pool_id" else self.PATH
                self.assert_error(self.replicate(**{name: None}, behind={name: value}), 400, "bad_request")
        self.assert_nothing_left()

    def test_a_field_that_comes_twice(self):
        self.begin()
        digest, other = uploads.sha256(self.content), uploads.sha256(b"another")
        for behind in ({"sha256": other}, {"sha256": digest}):
            self.assert_error(self.replicate(sha256=digest, behind=behind), 400, "bad_request")
        self.assert_error(self.replicate(size="", behind={"size": len(self.content)}), 400, "bad_request")
        self.assert_nothing_left()

    def test_only_who_has_the_secret(self):
        self.begin()
        secret = uploads.REPLICATE_SECRET
        for authorization, fields in ((None, {}), ("Bearer wrong", {}), ("Bearer ", {}), (f"Basic {secret}", {}),
                                      (f"Bearer {secret}x", {}), (f"Bearer {secret[:-1]}", {}),
                                      (None, {"X-Replicate-Secret": "wrong"}), (None, {"X-Replicate-Secret": ""}),
                                      (f"Bearer {SECRET}", {}), (f"Bearer {self.token(100_000)}", {}),
                                      (None, {"X-API-Key": self.key()})):
            with self.subTest(authorization=authorization, fields=fields):
                self.assert_error(self.replicate(authorization=authorization, fields=fields), 401, "unauthorized")
        self.assert_nothing_left()

    def test_without_a_secret_nobody(self):
        self.begin(replicate_secret="")
        for authorization in (None, "Bearer ", f"Bearer {uploads.REPLICATE_SECRET}"):
            self.assert_error(self.replicate(authorization=authorization), 401, "unauthorized")
        self.assert_error(self.replicate(authorization=None, fields={"X-Replicate-Secret": ""}), 401, "unauthorized")

    def test_paths_that_lead_elsewhere(self):
        self.begin()
        for path in ("", "/", "a.jpg", "/etc/passwd", "../a.jpg", "original/../../a.jpg", "original/../a.jpg", "original",
                     "original/", "variants/", "/original/a.jpg", "originals/a.jpg", "uploads/original/a.jpg", "images/a.jpg",
                     "original//a.jpg", "original/./a.jpg", "original/a\0.jpg", "original\\a.jpg",
                     "original/%2e%2e/a.jpg", "original/" + "x" * 5000):
            with self.subTest(path=path[:60]):
                answer = self.replicate(stored_path=path)
                if path == "original/%2e%2e/a.jpg" and answer.status == 200:
                    continue  # as a name it is an odd one, but it leads nowhere
                self.assert_error(answer, 400, "bad_request")
        for folder, name in (("original/../..", "a.jpg"), ("..", "a.jpg"), ("original", "../../a.jpg"),
                             ("original", ""), ("", "a.jpg"), ("original", "b/../../../a.jpg")):
            with self.subTest(folder=folder, name=name):
                answer = self.replicate(stored_path=None, relative_path=folder, file_name=name)
                self.assert_error(answer, 400, "bad_request")
        self.assertEqual([path for path in self.stored("hot") if "%2e" not in path], [])
        self.assertFalse((self.folder / "a.jpg").exists())

    def test_fields_that_are_missing_or_nonsense(self):
        self.begin()
        for values in ({"stored_path": None}, {"pool_id": None}, {"pool_id": "hot"}, {"pool_id": ""}, {"size": "many"},
                       {"sha256": "nonsense"}, {"sha256": "ab" * 31}):
            with self.subTest(values=values):
                self.assert_error(self.replicate(**values), 400, "bad_request")
        self.assertIn(self.replicate(pool_id=999_999).status, (400, 404))
        self.assertIn(self.replicate(size=len(self.content) + 1).status, (400, 422))
        body = uploads.form(uploads.field("pool_id", self.pool_id()), uploads.field("stored_path", self.PATH))
        answer = self.send_form(body, uploads.REPLICATE_SECRET, REPLICATE, method="PUT")
        self.assert_error(answer, 400, "bad_request")
        self.assert_nothing_left()

    def test_a_checksum_that_is_not_its_own(self):
        self.begin()
        answer = self.replicate(sha256=uploads.sha256(b"another"))
        self.assertEqual(answer.status, 422, answer)
        self.assertIn("error", answer.json)
        self.assert_nothing_left()
        self.assert_stored(self.replicate())
        answer = self.replicate(bytes(len(self.content)), sha256=uploads.sha256(b"another"))
        self.assertEqual(answer.status, 422, answer)
        self.assertEqual(self.stored("hot"), {f"uploads/{self.PATH}": self.content}, "what was there stays")

    def test_a_checksum_may_be_required(self):
        self.begin(replicate_checksum=True)
        self.assert_error(self.replicate(), 400, "bad_request")
        self.assert_nothing_left()
        self.assert_stored(self.replicate_as_the_app())
        self.assert_stored(self.replicate(self.content[:-1], sha256=uploads.sha256(self.content[:-1])),
                           content=self.content[:-1])

    def test_a_pool_without_room(self):
        self.begin(self.pools(max_size="16KiB"))
        self.assert_error(self.replicate(), 507, "insufficient_storage")
        self.assert_error(self.replicate(size=len(self.content)), 507, "insufficient_storage")
        self.assert_nothing_left()

    def test_a_full_pool_has_what_it_has(self):
        """Who asks whether it has a file is not told that it has no room for it once more."""
        self.begin(self.pools(max_size="30KiB"))
        self.assert_stored(self.replicate_as_the_app())
        self.assert_skipped(self.replicate_as_the_app())
        self.assert_skipped(self.replicate())
        other = tidepool.make_image("image/jpeg", 25_000, "larger")
        self.assert_stored(self.replicate_as_the_app(other), content=other)
        too_large = tidepool.make_image("image/jpeg", 31 * 1024, "too large")
        self.assert_error(self.replicate_as_the_app(too_large), 507, "insufficient_storage")
        path = self.PATH.replace(".jpg", ".png")
        self.assert_error(self.replicate(stored_path=path), 507, "insufficient_storage")
        self.assertEqual(self.stored("hot"), {f"uploads/{self.PATH}": other})
        self.assert_balanced()

    def catalog(self):
        catalog = sqlite3.connect(f"{self.folder}/catalog.db", isolation_level=None, timeout=tidepool.PATIENCE_S)
        return contextlib.closing(catalog)

    def refuse_rows(self, statement):
        """Whoever writes a row gets what this statement has the catalog say; None: nobody does any more."""
        with self.catalog() as catalog:
            catalog.execute("DROP TRIGGER IF EXISTS refused")
            if statement:
                catalog.execute(f"CREATE TRIGGER refused BEFORE INSERT ON objects BEGIN {statement}; END")

    def test_what_may_have_a_row_stays(self):
        """Invariant 1: after a failure that says nothing of the row somebody else may have been told that it is there."""
        self.begin()
        self.refuse_rows("SELECT a_function_that_there_is_not()")
        self.assert_error(self.replicate_as_the_app(), 503, "service_unavailable")
        self.assertEqual(self.stored("hot"), {f"uploads/{self.PATH}": self.content})
        self.refuse_rows(None)
        self.assert_stored(self.replicate_as_the_app())
        self.assert_balanced()

    def test_what_is_refused_a_row_does_not_stay(self):
        self.begin()
        self.refuse_rows("SELECT RAISE(ABORT, 'told to')")
        path = self.trees["uploads"].path / self.PATH
        for is_there in (False, True):
            with self.subTest(is_there=is_there):
                path.parent.mkdir(parents=True, exist_ok=True)
                if is_there:
                    path.write_bytes(b"another program's")
                self.assert_error(self.replicate_as_the_app(), 409, "conflict")
                self.assert_nothing_left()

    def test_a_variant_of_an_image_that_lives_elsewhere_takes_nothing_of_its_place(self):
        self.begin([*self.pools(), {"name": "warm", "storage_tier": "warm", "base_path": self.trees["warm"].path}])
        self.trees["warm"].put(self.PATH, self.content)
        self.tool("scan", "--hash")
        variant = f"variants/2026/02/25/{NO_UUID}_small.webp"
        self.trees["uploads"].put(variant, b"another program's")
        content = tidepool.make_image("image/webp", 3_000)
        self.assert_error(self.replicate(content, stored_path=variant), 409, "conflict")
        self.assertEqual(self.stored("hot"), {f"uploads/{variant}": b"another program's"})

    def test_who_tries_again_meanwhile_keeps_what_he_was_told_is_stored(self):
        """Invariant 1: the first try fails after the second one has stored the same."""
        self.begin()
        answers = []
        first, second = (threading.Thread(target=lambda: answers.append(self.replicate_as_the_app())) for _ in range(2))
        with self.catalog() as catalog:
            catalog.execute("BEGIN IMMEDIATE")  # until the first has given up
            first.start()
            tidepool.eventually(lambda: self.stored("hot"), "the first has stored it")
            second.start()
            tidepool.eventually(lambda: 503 in [answer.status for answer in answers], "one has given up")
            first.join()
            catalog.execute("ROLLBACK")
        second.join()
        if 200 not in [answer.status for answer in answers]:
            self.assert_stored(self.replicate_as_the_app())
        self.assertEqual(self.stored("hot"), {f"uploads/{self.PATH}": self.content}, answers)
        self.assertEqual([row["sha256"] for row in self.json("ls", "--limit", "0")], [uploads.sha256(self.content)])

    def begin_with_failing_sync(self):
        sync = failing_sync.FailingSync(self.folder)
        self.environment.update(sync.environment)
        self.begin()
        return sync

    def assert_not_yet(self):
        self.assert_come_later(self.replicate_as_the_app(), 503, "service_unavailable")

    def test_what_cannot_be_synced_is_not_there_already(self):
        """Invariant 1: what another program wrote has a row as soon as it is found, and is on no disk for that."""
        sync = self.begin_with_failing_sync()
        path = self.trees["uploads"].path / self.PATH
        path.parent.mkdir(parents=True)
        path.write_bytes(self.content)
        self.tool("scan", "--hash")
        self.assertEqual([row["sha256"] for row in self.json("ls", "--limit", "0")], [uploads.sha256(self.content)])
        for what in (path, *list(path.parents)[:5]):
            with self.subTest(what=what), sync.of(what):
                self.assert_not_yet()
        self.assert_skipped(self.replicate_as_the_app())

    def test_a_folder_that_was_made_in_vain_is_not_taken_for_a_durable_one(self):
        """Invariant 1: the first try makes it, fails to sync what it is in, and the next one finds it there."""
        sync = self.begin_with_failing_sync()
        for what in reversed(list((self.trees["uploads"].path / self.PATH).parents)[:5]):
            with self.subTest(what=what), sync.of(what):
                self.assert_not_yet()
                self.assert_not_yet()
        self.assert_stored(self.replicate_as_the_app())
        # From now on that folder alone is synced.
        with sync.of("/original/2026"):
            path = self.PATH.replace(NO_UUID[:8], "1f8fad5b")
            self.assert_stored(self.replicate(stored_path=path), path)

    def test_a_pool_whose_disk_is_gone(self):
        self.begin()
        shutil.rmtree(self.trees["uploads"].path)
        answer = self.replicate()
        self.assertEqual((answer.status, answer["cache-control"]), (503, "no-store"), answer)
        self.assertIn("error", answer.json)
        self.assertFalse(self.trees["uploads"].path.exists(), "no folder is made where a disk should be")


class CrossOrigin(uploads.UploadCase):
    APP, OTHER = "https://app.example", "https://evil.example"
    PATHS = (UPLOAD, INTERNAL_UPLOAD, SESSIONS, f"{IMAGES}/{NO_UUID}", f"{IMAGES}/{NO_UUID}/status", PROFILE, PING)

    def preflight(self, path, origin, method="POST"):
        return self.api("OPTIONS", path, fields={"Origin": origin, "Access-Control-Request-Method": method,
                                                 "Access-Control-Request-Headers": "authorization,content-type"})

    def assert_allowed(self, answer, origins):
        self.assertEqual(answer.status, 204, answer)
        self.assertIn(answer["access-control-allow-origin"], origins)
        for name, wanted in (("methods", {"POST"}), ("headers", {"authorization", "content-type", "x-api-key"})):
            listed = {each.strip().lower() for each in answer[f"access-control-allow-{name}"].split(",")}
            self.assertLessEqual({each.lower() for each in wanted}, listed, name)
        self.assertGreater(int(answer["access-control-max-age"]), 0)

    def assert_not_allowed(self, answer):
        self.assertEqual([name for name, _ in answer.response.fields if name.startswith("access-control-")], [])

    def test_browsers_may_ask_from_these(self):
        self.start({"allowed_origins": [self.APP, "https://www.app.example"]})
        for path in (UPLOAD, INTERNAL_UPLOAD, SESSIONS):
            for origin in (self.APP, "https://www.app.example"):
                with self.subTest(path=path, origin=origin):
                    self.assert_allowed(self.preflight(path, origin), {origin})
        for path in self.PATHS[3:]:
            with self.subTest(path=path):
                answer = self.preflight(path, self.APP, "GET")
                self.assertEqual((answer.status, answer["access-control-allow-origin"]), (204, self.APP))

    def test_and_from_no_others(self):
        self.start({"allowed_origins": [self.APP]})
        for origin in (self.OTHER, "http://app.example", self.APP + ".evil.example", self.APP + ":8443", "null", "",
                       "https://APP.example.evil", "https://xapp.example"):
            with self.subTest(origin=origin):
                self.assert_not_allowed(self.preflight(UPLOAD, origin))
                self.assert_not_allowed(self.api("GET", PING, fields={"Origin": origin}))

    def test_from_anywhere(self):
        self.start({"allowed_origins": ["*"]})
        for origin in (self.APP, self.OTHER, "null"):
            self.assert_allowed(self.preflight(UPLOAD, origin), {origin, "*"})

    def test_from_nowhere_unless_it_is_said(self):
        self.start()
        self.assert_not_allowed(self.preflight(UPLOAD, self.APP))
        self.assert_not_allowed(self.api("GET", PING, fields={"Origin": self.APP}))

    def test_errors_say_so_too(self):
        """Else a page sees that it failed, but not why, nor when to come back."""
        # Nothing goes by the spool, so that a form whose token comes late is 503.
        self.start({"allowed_origins": [self.APP], "sessions_per_owner": 1, "spool_min_free": "1024TiB"},
                   config={"timeouts": {"header": "2s", "min_receive_rate": "64KiB", "receive_window": "1s"}})
        key, content = self.key(), picture("png", 70, 70)
        token, origin = self.token(len(content)), {"Origin": self.APP}
        self.session(1000, key)
        late = uploads.form(uploads.file(content, "a.png"), uploads.field("token", token))
        for status, code, path, answer in (
                (400, "bad_request", SESSIONS, self.ask_session(0, key, origin)),
                (400, "bad_request", UPLOAD, self.send_form(b"no form", token, fields=origin)),
                (404, "not_found", f"{IMAGES}/{NO_UUID}", self.api("GET", f"{IMAGES}/{NO_UUID}", key, fields=origin)),
                (404, "not_found", "/api/v1/nothing", self.api("GET", "/api/v1/nothing", fields=origin)),
                (405, "method_not_allowed", SESSIONS, self.api("GET", SESSIONS, key, fields=origin)),
                (408, "request_timeout", UPLOAD, self.stalled(self.head_of(token, 1000, f"Origin: {self.APP}"))),
                (408, "request_timeout", SESSIONS, self.stalled(tidepool.request(
                    SESSIONS, f"X-API-Key: {key}", f"Origin: {self.APP}", "Content-Length: 20", method="POST"))),
                (413, "payload_too_large", SESSIONS, self.api("POST", SESSIONS, key, " " * 70_000, origin)),
                (413, "payload_too_large", UPLOAD, self.upload(content, "a.png", self.token(10), fields=origin)),
                (415, "unsupported_media_type", UPLOAD, self.upload(content, "a.exe", token, fields=origin)),
                (429, "too_many_requests", SESSIONS, self.ask_session(1000, key, origin)),
                (503, "service_unavailable", UPLOAD, self.send_form(late, fields=origin))):
            with self.subTest(status=status, path=path):
                self.assert_error(answer, status, code)
                self.assertEqual(answer["access-control-allow-origin"], self.APP)
                exposed = {name.strip() for name in answer["access-control-expose-headers"].lower().split(",")}
                self.assertLessEqual({"retry-after"}, exposed)
                if status in (429, 503):
                    self.assertGreaterEqual(int(answer["retry-after"]), 1)

    def stalled(self, head):
        """What is answered to who sends a head and nothing more."""
        wire = self.wire()
        wire.send(head)
        return wire.answer()

    def test_answers_say_so_too(self):
        self.start({"allowed_origins": [self.APP]}, extra=ONE_PROFILE)
        fields = {"Origin": self.APP}
        content = picture("png", 70, 70)
        for status, answer in ((200, self.api("GET", PING, fields=fields)),
                               (200, self.ask_session(1000, self.key(), fields)),
                               (401, self.ask_session(1000, None, fields)),
                               (200, self.upload(content, "a.png", fields=fields)),
                               (415, self.upload(content, "a.jpg", fields=fields)),
                               (413, self.upload(content, "a.png", self.token(10), fields=fields)),
                               (401, self.upload(content, "a.png", "nonsense", fields=fields)),
                               (404, self.api("GET", f"{IMAGES}/{NO_UUID}", self.key(), fields=fields)),
                               (204, self.api("HEAD", UPLOAD, fields=fields))):
            with self.subTest(status=status):
                self.assertEqual((answer.status, answer["access-control-allow-origin"]), (status, self.APP), answer)
        self.assert_not_allowed(self.upload(content, "a.png", fields={"Origin": self.OTHER}))
        self.assert_not_allowed(self.api("GET", PING))


class Surface(uploads.UploadCase):
    """The paths of the API, and what is none of them."""

    def test_ping(self):
        self.start()
        answer = self.api("GET", PING)
        self.assertEqual((answer.status, answer.json, answer["cache-control"]), (200, {"ping": "pong"}, "no-store"))
        self.assertEqual(answer["content-type"].partition(";")[0], "application/json")

    def test_clients_check_their_key(self):
        self.start()
        answer = self.api("GET", PROFILE, self.key())
        self.assertEqual((answer.status, answer["cache-control"]), (200, "no-store"))
        limits = answer.json["limits"]
        self.assertEqual(limits["max_upload_bytes"], 100 * MIB)
        self.assertEqual((limits["image_upload_enabled"], limits["direct_upload_enabled"]), (True, True))
        limits = self.api("GET", PROFILE, self.key(OWNER, "--max-size", "1MiB")).json["limits"]
        self.assertEqual(limits["max_upload_bytes"], MIB)
        for key in (None, "", "tp_nonsense"):
            self.assert_error(self.api("GET", PROFILE, key), 401, "unauthorized")

    def test_whether_it_can_be_reached(self):
        self.start()
        for path in (UPLOAD, INTERNAL_UPLOAD):
            answer = self.api("HEAD", path)
            self.assertEqual((answer.status, answer.body), (204, b""))

    def test_paths_that_are_none(self):
        self.start()
        key = self.key()
        for path in ("/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/none", "/api/v1/upload/", "/api/v1/upload/more",
                     "/api/v1/uploads", "/api/v1/images", "/api/v1/images/", "/api/v1/user", "/api/v1/user/profile/more",
                     "/api/v1/pingpong", "/api/v2/ping", "/api/internal", "/api/internal/none", "/api/admin/v1/pools", "/API/v1/ping"):
            with self.subTest(path):
                answer = self.api("GET", path, key)
                self.assertIn(self.api("POST", path, key, {}).status, (404, 405))
                if path.startswith("/api/"):
                    self.assert_error(answer, 404, "not_found")
                else:
                    self.assertEqual(answer.status, 404)

    def test_methods_that_are_none(self):
        self.start()
        key = self.key()
        for path, allowed in ((UPLOAD, "POST"), (INTERNAL_UPLOAD, "POST"), (SESSIONS, "POST"), (PING, "GET"),
                              (PROFILE, "GET"), (f"{IMAGES}/{NO_UUID}", "GET"), (f"{IMAGES}/{NO_UUID}/status", "GET"),
                              (REPLICATE, "PUT")):
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
                if method == allowed:
                    continue
                with self.subTest(method=method, path=path):
                    answer = self.assert_error(self.api(method, path, key), 405, "method_not_allowed")
                    self.assertIn(allowed, [each.strip() for each in answer["allow"].split(",")])

    def test_queries_are_ignored(self):
        self.start(extra=ONE_PROFILE)
        self.assertEqual(self.api("GET", PING + "?a=b").status, 200)
        self.accepted(self.upload(picture("png", 70, 70), "a.png", path=UPLOAD + "?a=b"))

    def test_images_are_served_as_ever(self):
        self.start()
        self.trees["uploads"].put("api/v1/ping.jpg", content := tidepool.make_image())
        self.assertEqual(self.server.get("/uploads/api/v1/ping.jpg").body, content)


class Keys(uploads.UploadCase):
    """tidepool key: what opens the API."""

    def listed(self, *arguments):
        rows = self.json("key", "list", *arguments)
        return rows["keys"] if isinstance(rows, dict) else rows

    def test_one_is_shown_once(self):
        self.start()
        made = self.json("key", "add", "--owner", OWNER, "--name", "the desktop plugin")
        self.assertRegex(made["key"], r"\Atp_[0-9A-Za-z_-]{20,}\Z")
        self.assertEqual(made["id"], uploads.sha256(made["key"].encode())[:12])
        self.assertEqual(str(made["owner"]), str(OWNER))
        text = self.tool("key", "add", "--owner", OWNER)
        self.assertRegex(text, r"\btp_[0-9A-Za-z_-]{20,}")
        shown = self.tool("key", "list") + self.tool("key", "list", "--json")
        self.assertNotIn("tp_", shown)
        self.assertIn(made["id"], shown)
        self.assertIn("the desktop plugin", shown)

    def test_they_are_listed_by_owner(self):
        self.start()
        made = [self.json("key", "add", "--owner", owner)["id"] for owner in (OWNER, OWNER, OTHER_OWNER)]
        self.assertEqual({row["id"] for row in self.listed()}, set(made))
        self.assertEqual({row["id"] for row in self.listed("--owner", OWNER)}, set(made[:2]))
        self.assertEqual({row["id"] for row in self.listed("--owner", OTHER_OWNER)}, set(made[2:]))

    def test_what_is_revoked_stays_so(self):
        self.start()
        made = self.json("key", "add", "--owner", OWNER)
        self.assertEqual(self.api("GET", PROFILE, made["key"]).status, 200)
        self.tool("key", "revoke", made["id"])
        tidepool.eventually(lambda: self.api("GET", PROFILE, made["key"]).status == 401, "it is revoked")
        self.server.stop_process()
        self.start()
        self.assert_error(self.api("GET", PROFILE, made["key"]), 401, "unauthorized")
        self.assertEqual(self.run_tool("key", "revoke", "0123456789ab")[0], 1)

    def test_wrong_use_is_told_apart(self):
        self.start()
        add = ("add", "--owner", OWNER)
        for arguments in (("add",), (*add, "--quota", "much"), (*add, "--max-size", "large"), (*add, "--rate", "fast"),
                          (*add, "--expires", "soon"), ("revoke",), ("change",), ()):
            with self.subTest(arguments=arguments):
                self.assertEqual(self.run_tool("key", *arguments)[0], 2)

    def test_secrets_stay_in(self):
        self.start({"replicate_secret": "env:TIDEPOOL_TEST_REPLICATE",
                    "token_secret_previous": "env:TIDEPOOL_TEST_PREVIOUS"}, config={"log": {"level": "debug"}}, extra=ONE_PROFILE)
        key = self.key()
        token = self.session(50_000, key)["token"]
        answers = [self.upload(picture("png", 70, 70), "a.png", token), self.upload(b"no image", "a.png", token),
                   self.upload(b"no image", "a.png", token + "x"), self.ask_session(-1, key)]
        said = b"\n".join(answer.body for answer in answers).decode()
        said += "\n".join(self.server.log()) + self.server.admin_get("/metrics").body.decode()
        held = b"".join(path.read_bytes() for path in self.folder.glob("catalog.db*"))
        for secret in (key, SECRET, uploads.PREVIOUS_SECRET, uploads.REPLICATE_SECRET, token):
            self.assertNotIn(secret, said)
            self.assertNotIn(secret.encode(), held)


if __name__ == "__main__":
    tidepool.main()
