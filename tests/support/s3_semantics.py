"""What any S3 with versioning on must do, run against the B2 simulator and against a real server.

That both pass the same tests is what makes the simulator worth believing. What only B2 does is in sim_b2_test.py.
"""

import base64
import hashlib
import itertools

import s3_client
import sigv4

# Names in which every rule of encoding shows: of the path, of the query (as prefixes), of x-amz-copy-source.
AWKWARD = ["with blank.jpg", "plus+and@=()*!'.jpg", "per%cent%2F.jpg", "ümläut/日本.jpg", "a&b=c;d,e:f$g.jpg",
           "til~de-_..jpg"]


class Semantics:
    """A mixin; the class sets client (full rights), other (a client with another key and no rights), part_size (the
    smallest part of an upload) and public_bucket (creates a bucket and says how one of its objects becomes public)."""

    _numbers = itertools.count(1)

    def setUp(self):
        self.bucket = f"bucket-{next(self._numbers)}"
        self.create(self.bucket)

    def put(self, key, data=b"some bytes", fields=(), **options):
        return self.client.put(self.bucket, key, data, fields, **options).expect(200)["x-amz-version-id"]

    def refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.code), (status, code), answer)

    # --- objects ---

    def test_what_was_put_comes_back(self):
        data = bytes(range(256)) * 40
        fields = [("content-type", "image/png"), ("cache-control", "public, max-age=31536000, immutable"),
                  ("x-amz-meta-source", "camera"), ("content-disposition", 'inline; filename="a.png"')]
        stored = self.client.put(self.bucket, "a/b.png", data, fields).expect(200)
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        self.assertEqual(stored["etag"], etag)
        for answer in (self.client.get(self.bucket, "a/b.png"), self.client.head(self.bucket, "a/b.png")):
            answer.expect(200)
            self.assertEqual(answer["content-length"], str(len(data)))
            self.assertEqual(answer["etag"], etag)
            self.assertEqual(answer["x-amz-version-id"], stored["x-amz-version-id"])
            self.assertEqual(answer["accept-ranges"], "bytes")
            self.assertRegex(answer["last-modified"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
            self.assertTrue(answer["x-amz-request-id"])
            for name, value in fields:
                self.assertEqual(answer[name], value)
        self.assertEqual(self.client.get(self.bucket, "a/b.png").body, data)
        self.assertEqual(self.client.head(self.bucket, "a/b.png").body, b"")

    def test_empty_objects(self):
        self.put("empty", b"")
        answer = self.client.get(self.bucket, "empty").expect(200)
        self.assertEqual((answer["content-length"], answer.body), ("0", b""))

    def test_ranges(self):
        data = bytes(range(200))
        self.put("a", data)
        for value, first, last in (("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=190-", 190, 199),
                                   ("bytes=-5", 195, 199), ("bytes=150-9999", 150, 199), ("bytes=-9999", 0, 199)):
            with self.subTest(value=value):
                answer = self.client.get(self.bucket, "a", unsigned_fields=[("range", value)]).expect(206)
                self.assertEqual(answer["content-range"], f"bytes {first}-{last}/200")
                self.assertEqual(answer.body, data[first:last + 1])
                self.assertEqual(answer["etag"], f'"{hashlib.md5(data).hexdigest()}"')
        self.assertEqual(self.client.get(self.bucket, "a", [("range", "bytes=5-6")]).expect(206).body, data[5:7])
        self.refused(self.client.get(self.bucket, "a", [("range", "bytes=200-")]), 416, "InvalidRange")

    def test_what_is_not_there(self):
        self.refused(self.client.get(self.bucket, "nothing"), 404, "NoSuchKey")
        self.refused(self.client.get(self.bucket + "-not", "nothing"), 404, "NoSuchBucket")
        self.refused(self.client.put(self.bucket + "-not", "nothing", b""), 404, "NoSuchBucket")
        for bucket in (self.bucket, self.bucket + "-not"):
            answer = self.client.head(bucket, "nothing")
            self.assertEqual((answer.status, answer.body), (404, b""))
        self.client.head(self.bucket, None).expect(200)
        self.client.head(self.bucket + "-not", None).expect(404)

    def test_the_md5_of_a_body_is_checked(self):
        right = base64.b64encode(hashlib.md5(b"bytes").digest()).decode()
        wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
        self.client.put(self.bucket, "a", b"bytes", [("content-md5", right)]).expect(200)
        self.refused(self.client.put(self.bucket, "a", b"bytes", [("content-md5", wrong)]), 400, "BadDigest")
        self.refused(self.client.put(self.bucket, "a", b"bytes", [("content-md5", "abc")]), 400, "InvalidDigest")
        self.assertEqual(len(self.client.versions(self.bucket)), 1)

    def test_what_a_bucket_says_of_itself(self):
        versioning = self.client.send("GET", self.bucket, pairs=[("versioning", "")]).expect(200).xml
        self.assertEqual(versioning.findtext("Status"), "Enabled")
        self.client.send("GET", self.bucket, pairs=[("location", "")]).expect(200)
        names = [row.findtext("Name") for row in self.client.send("GET").expect(200).xml.iter("Bucket")]
        self.assertIn(self.bucket, names)

    def test_overrides_of_the_answer(self):
        self.put("a", b"x", [("content-type", "image/png")])
        pairs = [("response-content-type", "text/plain"), ("response-cache-control", "max-age=5"),
                 ("response-content-disposition", 'attachment; filename="b c"')]
        answer = self.client.send("GET", self.bucket, "a", pairs).expect(200)
        self.assertEqual((answer["content-type"], answer["cache-control"]), ("text/plain", "max-age=5"))
        self.assertEqual(answer["content-disposition"], 'attachment; filename="b c"')

    # --- versions ---

    def test_each_put_is_a_version(self):
        first, second = self.put("a", b"first"), self.put("a", b"second")
        self.assertNotEqual(first, second)
        self.assertEqual(self.client.get(self.bucket, "a").body, b"second")
        self.assertEqual(self.client.get(self.bucket, "a", version_id=first).body, b"first")
        self.assertEqual(self.client.head(self.bucket, "a", version_id=first)["x-amz-version-id"], first)
        self.assertEqual(self.client.versions(self.bucket),
                         [("a", second, False, True), ("a", first, False, False)])

    def test_a_marker_hides_and_its_removal_resurrects(self):
        version = self.put("a", b"bytes")
        deleted = self.client.delete(self.bucket, "a").expect(204)
        self.assertEqual(deleted["x-amz-delete-marker"], "true")
        marker = deleted["x-amz-version-id"]
        self.refused(self.client.get(self.bucket, "a"), 404, "NoSuchKey")
        self.client.head(self.bucket, "a").expect(404)
        self.assertEqual(self.client.keys(self.bucket), [])
        self.assertEqual(self.client.versions(self.bucket), [("a", marker, True, True), ("a", version, False, False)])
        self.assertEqual(self.client.get(self.bucket, "a", version_id=version).expect(200).body, b"bytes")

        removed = self.client.delete(self.bucket, "a", marker).expect(204)
        self.assertEqual((removed["x-amz-version-id"], removed["x-amz-delete-marker"]), (marker, "true"))
        self.assertEqual(self.client.get(self.bucket, "a").expect(200).body, b"bytes")
        self.assertEqual(self.client.versions(self.bucket), [("a", version, False, True)])

    def test_a_version_that_is_deleted_is_gone_for_good(self):
        first, second = self.put("a", b"first"), self.put("a", b"second")
        self.assertEqual(self.client.delete(self.bucket, "a", second).expect(204)["x-amz-version-id"], second)
        self.assertEqual(self.client.get(self.bucket, "a").body, b"first")
        self.client.delete(self.bucket, "a", first).expect(204)
        self.client.get(self.bucket, "a").expect(404)
        self.assertEqual(self.client.get(self.bucket, "a", version_id=first).status, 404)
        self.assertEqual(self.client.versions(self.bucket), [])

    def test_many_are_deleted_at_once(self):
        first = self.put("a", b"first")
        self.put("a", b"second")
        self.put("b")
        self.put("c")
        answer = self.client.delete_many(self.bucket, [("a", first), ("b", None)]).expect(200)
        deleted = {row.findtext("Key"): row for row in answer.xml.findall("Deleted")}  # in any order
        self.assertEqual(set(deleted), {"a", "b"})
        self.assertEqual(deleted["a"].findtext("VersionId"), first)
        self.assertEqual(deleted["b"].findtext("DeleteMarker"), "true")
        self.assertEqual(self.client.keys(self.bucket), ["a", "c"])
        self.assertEqual([(key, marker) for key, _, marker, _ in self.client.versions(self.bucket)],
                         [("a", False), ("b", True), ("b", False), ("c", False)])

    # --- lists ---

    def test_lists_come_in_pages(self):
        names = [*(f"uploads/{i:02d}.jpg" for i in range(7)), "uploads/sub/a.jpg", "uploads/sub/b.jpg", "uploads/z.jpg",
                 "zebra"]
        for name in names:
            self.put(name)
        self.put("uploads/03.jpg")
        self.client.delete(self.bucket, "uploads/04.jpg").expect(204)
        there = [name for name in names if name != "uploads/04.jpg"]
        for page in (1, 2, 3, 1000):
            with self.subTest(page=page):
                self.assertEqual(self.client.keys(self.bucket, max_keys=page), there)
                self.assertEqual(self.client.keys(self.bucket, max_keys=page, prefix="uploads/"), there[:-1])
                self.assertEqual(self.client.keys(self.bucket, max_keys=page, start_after="uploads/05.jpg"), there[5:])
                self.assertEqual([key for key, _, _, _ in self.client.versions(self.bucket, max_keys=page)],
                                 names[:3] + ["uploads/03.jpg"] * 2 + ["uploads/04.jpg"] * 2 + names[5:])
                rows, groups = [], []
                for root in self.client.pages(self.bucket, "objects", max_keys=page, prefix="uploads/", delimiter="/"):
                    rows += [row.findtext("Key") for row in root.findall("Contents")]
                    groups += [row.findtext("Prefix") for row in root.findall("CommonPrefixes")]
                self.assertEqual((rows, groups), (there[:6] + ["uploads/z.jpg"], ["uploads/sub/"]))
        sizes = {row.findtext("Key"): (row.findtext("Size"), row.findtext("ETag"))
                 for root in self.client.pages(self.bucket, "objects") for row in root.findall("Contents")}
        self.assertEqual(sizes["zebra"], ("10", f'"{hashlib.md5(b"some bytes").hexdigest()}"'))

    def test_the_order_is_that_of_bytes(self):
        names = ["A", "B", "a", "a-", "a/b", "a0", "aa", "é", "日"]
        for name in reversed(names):
            self.put(name)
        self.assertEqual(self.client.keys(self.bucket), names)

    def test_names_may_be_encoded_in_lists(self):
        self.put("a b+c&ü.jpg")
        root = next(self.client.pages(self.bucket, "objects", encoding_type="url"))
        self.assertEqual([row.findtext("Key") for row in root.findall("Contents")], ["a%20b%2Bc%26%C3%BC.jpg"])

    # --- names and signatures ---

    def test_awkward_names(self):
        for name in AWKWARD:
            with self.subTest(name=name):
                version = self.put(name, name.encode())
                self.assertEqual(self.client.get(self.bucket, name).expect(200).body, name.encode())
                self.assertEqual(self.client.get(self.bucket, name, version_id=version).expect(200).body, name.encode())
                self.assertEqual(self.client.keys(self.bucket, prefix=name), [name])
                self.client.copy(self.bucket, "copy of " + name, (self.bucket, name, version)).expect(200)
                self.assertEqual(self.client.get(self.bucket, "copy of " + name).expect(200).body, name.encode())
                presigned = self.client.get(self.bucket, name, presigned=60).expect(200)
                self.assertEqual(presigned.body, name.encode())

    def test_what_is_sent_raw_is_encoded_before_it_is_compared(self):
        self.put("a@b=c.jpg", b"bytes")
        raw = self.client.get(self.bucket, "a@b=c.jpg", path=f"/{self.bucket}/a@b=c.jpg").expect(200)
        self.assertEqual(raw.body, b"bytes")
        self.client.send("GET", self.bucket, pairs=[("prefix", "a@b"), ("list-type", "2")],
                         query="prefix=a@b&list-type=2").expect(200)
        self.client.send("GET", self.bucket, pairs=[("versions", "")], query="versions").expect(200)

    def test_signatures_that_are_not_right(self):
        self.put("a", b"bytes")
        key = self.client.key
        for changed, code in ((sigv4.Key(key.id, key.secret + "x"), "SignatureDoesNotMatch"),
                              (sigv4.Key("nobody", key.secret), "InvalidAccessKeyId")):
            with s3_client.S3Client(self.url, changed, self.client.region) as client:
                self.refused(client.get(self.bucket, "a"), 403, code)
                answer = client.head(self.bucket, "a")
                self.assertEqual((answer.status, answer.body), (403, b""))
                self.assertEqual(client.get(self.bucket, "a", presigned=60).status, 403)
        self.put("b")
        self.refused(self.client.get(self.bucket, "a", path=f"/{self.bucket}/b"), 403, "SignatureDoesNotMatch")
        self.refused(self.client.send("GET", self.bucket, pairs=[("prefix", "a")], query="prefix=b"), 403,
                     "SignatureDoesNotMatch")
        for seconds in (-1000, 1000):
            self.refused(self.client.get(self.bucket, "a", now=s3_client.shifted(seconds)), 403, "RequestTimeTooSkewed")
        self.client.get(self.bucket, "a", now=s3_client.shifted(-600)).expect(200)

    def test_a_body_that_is_not_the_signed_one(self):
        other = hashlib.sha256(b"other").hexdigest()
        answer = self.client.put(self.bucket, "a", b"bytes", payload=other)
        self.refused(answer, 400, "XAmzContentSHA256Mismatch")
        self.client.put(self.bucket, "b", b"bytes", payload=sigv4.UNSIGNED).expect(200)
        self.assertEqual(self.client.get(self.bucket, "b", payload=sigv4.UNSIGNED).expect(200).body, b"bytes")

    def test_presigned_urls(self):
        self.client.put(self.bucket, "a", b"bytes", presigned=60).expect(200)
        self.assertEqual(self.client.get(self.bucket, "a", presigned=604800).expect(200).body, b"bytes")
        self.assertEqual(self.client.get(self.bucket, "a", presigned=60, now=s3_client.shifted(-120)).status, 403)
        host, path = self.client.address(self.bucket, "a")
        query = sigv4.presign(self.client.key, self.client.region, "GET", host, path)
        with s3_client.S3Client(self.url, None, self.client.region) as anyone:
            self.assertEqual(anyone.exchange("GET", f"{path}?{query}", [("host", host)]).expect(200).body, b"bytes")
            self.assertEqual(anyone.exchange("HEAD", f"{path}?{query}", [("host", host)]).status, 403)
            self.assertEqual(anyone.exchange("GET", f"{path}x?{query}", [("host", host)]).status, 403)

    def test_who_has_no_rights(self):
        self.put("a")
        self.refused(self.other.get(self.bucket, "a"), 403, "AccessDenied")
        self.refused(self.other.put(self.bucket, "b", b""), 403, "AccessDenied")
        self.assertEqual(self.other.head(self.bucket, "a").status, 403)
        self.assertEqual(self.client.keys(self.bucket), ["a"])

    def test_public_objects_need_no_signature(self):
        private = self.put("a")
        public = self.public_object(b"for all")
        with s3_client.S3Client(self.url, None, self.client.region) as anyone:
            self.assertEqual(anyone.get(*public).expect(200).body, b"for all")
            self.assertIn(anyone.get(self.bucket, "a").status, (401, 403))
            self.assertIn(anyone.get(self.bucket, "a", version_id=private).status, (401, 403))
            self.assertIn(anyone.put(self.bucket, "a", b"").status, (401, 403))

    # --- copies ---

    def test_copies(self):
        first = self.put("a", b"first", [("content-type", "image/png"), ("x-amz-meta-a", "1")])
        self.put("a", b"second", [("content-type", "image/png"), ("x-amz-meta-a", "2")])
        copied = self.client.copy(self.bucket, "b", (self.bucket, "a")).expect(200)
        self.assertEqual(copied.xml.findtext("ETag").strip('"'), hashlib.md5(b"second").hexdigest())
        answer = self.client.get(self.bucket, "b").expect(200)
        self.assertEqual((answer.body, answer["content-type"], answer["x-amz-meta-a"]), (b"second", "image/png", "2"))
        self.client.copy(self.bucket, "b", (self.bucket, "a", first),
                         [("x-amz-metadata-directive", "REPLACE"), ("content-type", "image/gif")]).expect(200)
        answer = self.client.get(self.bucket, "b").expect(200)
        self.assertEqual((answer.body, answer["content-type"]), (b"first", "image/gif"))
        self.assertIsNone(answer.get("x-amz-meta-a"))
        self.refused(self.client.copy(self.bucket, "b", (self.bucket, "nothing")), 404, "NoSuchKey")

    # --- uploads in parts ---

    def test_an_upload_in_parts(self):
        parts = [b"a" * self.part_size, b"b" * self.part_size, b"c"]
        upload = self.client.start_upload(self.bucket, "big", [("content-type", "image/png"), ("x-amz-meta-a", "1")])
        etags = []
        for number, data in enumerate(parts, 1):
            answer = self.client.upload_part(self.bucket, "big", upload, number, data).expect(200)
            self.assertEqual(answer["etag"], f'"{hashlib.md5(data).hexdigest()}"')
            etags.append((number, answer["etag"]))
        listed = self.client.send("GET", self.bucket, "big", [("uploadId", upload)]).expect(200).xml.findall("Part")
        self.assertEqual([(row.findtext("PartNumber"), row.findtext("Size")) for row in listed],
                         [(str(number), str(len(data))) for number, data in enumerate(parts, 1)])
        uploads = self.client.send("GET", self.bucket, pairs=[("uploads", "")]).expect(200).xml.findall("Upload")
        self.assertEqual([(row.findtext("Key"), row.findtext("UploadId")) for row in uploads], [("big", upload)])
        self.client.get(self.bucket, "big").expect(404)

        self.refused(self.client.complete(self.bucket, "big", upload, [(1, '"0123"')]), 400, "InvalidPart")
        self.client.complete(self.bucket, "big", upload, etags).expect(200)
        digest = hashlib.md5(b"".join(hashlib.md5(data).digest() for data in parts)).hexdigest()
        answer = self.client.get(self.bucket, "big").expect(200)
        self.assertTrue(answer.body == b"".join(parts))
        self.assertEqual((answer["etag"], answer["content-type"], answer["x-amz-meta-a"]),
                         (f'"{digest}-3"', "image/png", "1"))
        self.assertEqual(self.client.send("GET", self.bucket, pairs=[("uploads", "")]).xml.findall("Upload"), [])

    def test_uploads_that_cannot_be_completed(self):
        upload = self.client.start_upload(self.bucket, "a")
        tags = [(number, self.client.upload_part(self.bucket, "a", upload, number, data).expect(200)["etag"])
                for number, data in ((1, b"x" * (self.part_size - 1)), (2, b"y"))]
        self.refused(self.client.complete(self.bucket, "a", upload, tags), 400, "EntityTooSmall")
        self.client.abort(self.bucket, "a", upload).expect(204)
        self.refused(self.client.upload_part(self.bucket, "a", upload, 3, b"z"), 404, "NoSuchUpload")
        self.assertEqual(self.client.versions(self.bucket), [])
