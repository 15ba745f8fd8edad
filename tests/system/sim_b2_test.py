"""The B2 simulator, rule by rule over real sockets: what any S3 does (s3_semantics.py, which a real server passes too),
what only B2 does or refuses, its friendly face, its faults, its log; and the signer against published vectors.
"""

import base64
import hashlib
import json
import pathlib
import re
import socket
import sys
import threading
import time
import unittest

for folder in ("support", "sim"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / folder))
import b2 as b2_module  # noqa: E402
import http1  # noqa: E402
import s3_client  # noqa: E402
import s3_semantics  # noqa: E402
import sigv4  # noqa: E402

REGION = "us-west-004"
PART = 1000
NO_STORE = "max-age=0, no-cache, no-store"
VERSION_ID = r"4_z[0-9a-f]{24}_f[0-9a-f]+_d\d{8}_m\d{6}_c\d{3}_v\d{7}_t\d{4}_u\d{14}"


class B2Case(unittest.TestCase):
    """A simulator for each test, with a private bucket and a public one."""

    OPTIONS = {}
    maxDiff = 2000

    def setUp(self):
        self.b2 = b2_module.B2(min_part_size=PART, **self.OPTIONS)
        self.addCleanup(self.b2.stop)
        self.b2.bucket("private")
        self.b2.bucket("public", public=True)
        self.client = self.connect(self.b2.key)

    def connect(self, key, **options):
        client = s3_client.S3Client(self.b2.s3_url, key, REGION, **options)
        self.addCleanup(client.close)
        return client

    def friendly(self, target, *fields, method="GET", body=b""):
        client = s3_client.S3Client(self.b2.friendly_url, None, REGION)
        with client:
            fields = [("host", "f004.backblazeb2.com"), *fields]
            if body:
                fields.append(("content-length", str(len(body))))
            return client.exchange(method, target, fields, body)

    def refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.code), (status, code), answer)

    def raw(self, face="friendly"):
        """A bare socket and a reader on it."""
        sock = socket.create_connection(getattr(self.b2, f"{face}_address"))
        sock.settimeout(45)
        self.addCleanup(sock.close)
        return sock, http1.Reader(sock)

    def ask(self, sock, path, *lines):
        sock.sendall("\r\n".join((f"GET {path} HTTP/1.1", "Host: f004.backblazeb2.com", *lines, "", "")).encode())


class Vectors(unittest.TestCase):
    """The example set of the documentation of S3's signatures."""

    KEY = sigv4.Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    HOST = "examplebucket.s3.amazonaws.com"
    NOW = sigv4.seconds_of("20130524T000000Z")

    def signature(self, method, path, pairs=(), fields=(), body=b"", host=HOST, payload=None):
        payload = payload or hashlib.sha256(body).hexdigest()
        signed = sigv4.sign(self.KEY, "us-east-1", method, host, path, pairs, fields, payload, self.NOW)
        query = sigv4.canonical_query(pairs)
        if not payload.startswith("STREAMING"):
            secrets = {self.KEY.id: self.KEY.secret}.get
            verified = sigv4.verify(method, path, query, signed, secrets, "us-east-1", self.NOW)
            self.assertEqual(verified, (self.KEY.id, payload, False))
        return dict(signed)["authorization"].rpartition("=")[2]

    def test_the_signing_key(self):
        self.assertEqual(sigv4.signing_key(self.KEY.secret, "20130524", "us-east-1").hex(),
                         "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378")

    def test_headers(self):
        self.assertEqual(self.signature("GET", "/test.txt", fields=[("range", "bytes=0-9")]),
                         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
        self.assertEqual(self.signature("PUT", "/test%24file.text", body=b"Welcome to Amazon S3.", fields=[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")]),
                         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
        self.assertEqual(self.signature("GET", "/", [("lifecycle", "")]),
                         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
        self.assertEqual(self.signature("GET", "/", [("prefix", "J"), ("max-keys", "2")]),
                         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")

    def test_the_query(self):
        query = sigv4.presign(self.KEY, "us-east-1", "GET", self.HOST, "/test.txt", expires=86400, now=self.NOW)
        self.assertEqual(query.rpartition("=")[2], "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
        secrets = {self.KEY.id: self.KEY.secret}.get
        asked = "GET", "/test.txt", query, [("host", self.HOST)], secrets, "us-east-1"
        self.assertTrue(sigv4.verify(*asked, self.NOW + 86400).presigned)
        with self.assertRaises(sigv4.Refused) as refused:
            sigv4.verify(*asked, self.NOW + 86401)
        self.assertEqual((refused.exception.status, refused.exception.code), (403, "AccessDenied"))

    def test_chunks(self):
        seed = self.signature("PUT", "/examplebucket/chunkObject.txt", host="s3.amazonaws.com", fields=[
            ("content-encoding", "aws-chunked"), ("content-length", "66824"), ("x-amz-decoded-content-length", "66560"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY")], payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        self.assertEqual(seed, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
        for size, right in ((65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
                            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
                            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")):
            seed = sigv4.chunk_signature(self.KEY.secret, "20130524T000000Z", "us-east-1", seed, b"a" * size)
            self.assertEqual(seed, right)

    def test_the_canonical_form(self):
        self.assertEqual(sigv4.canonical_path("/a%7eb/c+d@e/%c3%a4//../f"), "/a~b/c%2Bd%40e/%C3%A4//../f")
        self.assertEqual(sigv4.canonical_query(sigv4.parse_query("versions&prefix=a/b&a=%7e&a-b=1")),
                         "a=~&a-b=1&prefix=a%2Fb&versions=")
        fields = [("x-amz-meta-a-b", "2"), ("x-amz-meta-a", "  1   x "), ("x-amz-meta-a", "3")]
        self.assertIn("\nx-amz-meta-a:1 x,3\nx-amz-meta-a-b:2\n",
                      sigv4.canonical_request("GET", "/", [], fields, ["x-amz-meta-a-b", "x-amz-meta-a"], ""))


class Shared(s3_semantics.Semantics, unittest.TestCase):
    """One simulator for all of them, as a server is."""

    part_size = PART
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.b2 = b2_module.B2(min_part_size=PART)
        cls.url = cls.b2.s3_url
        cls.client = s3_client.S3Client(cls.url, cls.b2.key, REGION)
        cls.b2.bucket("elsewhere")
        cls.other = s3_client.S3Client(cls.url, cls.b2.new_key(bucket="elsewhere"), REGION)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.other.close()
        cls.b2.stop()

    def create(self, bucket):
        self.client.create_bucket(bucket)

    def public_object(self, data):
        bucket = self.bucket + "-public"
        self.client.create_bucket(bucket, public=True)
        self.client.put(bucket, "a", data).expect(200)
        return bucket, "a"


class OnlyB2(B2Case):
    """What B2's S3 face does otherwise than others."""

    def test_what_every_answer_has(self):
        self.b2.put("private", "a", b"bytes")
        answer = self.client.get("private", "a").expect(200)
        self.assertEqual(answer["cache-control"], NO_STORE)
        self.assertRegex(answer["x-amz-version-id"], f"^{VERSION_ID}$")
        self.assertRegex(answer["x-amz-request-id"], "^[0-9a-f]{16}$")
        error = self.client.get("private", "b").expect(404)
        self.assertEqual((error["cache-control"], error["server"]), (NO_STORE, "nginx"))
        self.assertEqual([element.tag for element in error.xml], ["Code", "Message"])

    def test_who_decides_about_caching(self):
        self.b2.bucket("with-info", info={"Cache-Control": "max-age=60"})
        self.b2.put("with-info", "a", b"")
        self.b2.put("with-info", "b", b"", headers={"Cache-Control": "max-age=5"})
        self.assertEqual(self.client.get("with-info", "a")["cache-control"], "max-age=60")
        self.assertEqual(self.client.get("with-info", "b")["cache-control"], "max-age=5")

    def test_checksum_headers_are_refused(self):
        for name in ("x-amz-checksum-crc32", "x-amz-checksum-sha256", "x-amz-checksum-mode", "x-amz-checksum-algorithm",
                     "x-amz-sdk-checksum-algorithm"):
            answer = self.client.put("private", "a", b"bytes", [(name, "x")])
            self.refused(answer, 400, "InvalidArgument")
            self.assertIn(f"Unsupported header '{name}'", answer.xml.findtext("Message"))
        self.assertEqual(self.b2.versions("private", "a"), [])

    def test_conditional_puts_are_not_there(self):
        for name, value in (("if-none-match", "*"), ("if-match", '"abc"')):
            self.refused(self.client.put("private", "a", b"bytes", [(name, value)]), 501, "NotImplemented")

    def test_conditional_gets_are_ignored_unless_switched_on(self):
        version = self.b2.put("private", "a", b"bytes")
        fields = [("if-none-match", f'"{version.etag}"')]
        self.client.get("private", "a", fields).expect(200)
        self.b2.s3.conditional_gets = True
        answer = self.client.get("private", "a", fields).expect(304)
        self.assertEqual((answer["etag"], answer.body), (f'"{version.etag}"', b""))
        self.client.get("private", "a", [("if-match", '"other"')]).expect(412)

    def test_what_is_not_there(self):
        for method, pairs in (("GET", "policy"), ("GET", "website"), ("PUT", "versioning")):
            self.refused(self.client.send(method, "private", pairs=[(pairs, "")]), 501, "NotImplemented")
        self.refused(self.client.send("GET", "private", "a", [("tagging", "")]), 501, "NotImplemented")

    def test_access_lists_are_those_of_buckets(self):
        for acl in ("authenticated-read", "public-read"):
            self.refused(self.client.put("private", "a", b"", [("x-amz-acl", acl)]), 400, "InvalidArgument")
        self.client.put("private", "a", b"bytes", [("x-amz-acl", "private")]).expect(200)
        self.refused(self.client.set_acl("private", "a"), 400, "InvalidArgument")
        anyone = self.connect(None)
        self.refused(anyone.get("private", "a"), 401, "UnauthorizedAccess")
        self.client.set_acl("private").expect(200)
        self.assertEqual(anyone.get("private", "a").expect(200).body, b"bytes")
        self.refused(anyone.send("GET", "private", "a", [("response-cache-control", "x")]), 400, "InvalidRequest")
        self.refused(anyone.send("GET", "private", pairs=[("list-type", "2")]), 401, "UnauthorizedAccess")

    def test_signatures_are_held_to_the_letter(self):
        self.b2.put("private", "a", b"bytes")
        answer = self.client.get("private", "a", [("x-amz-meta-b", "1"), ("accept", "x")], drop=["accept"])
        self.refused(answer, 400, "InvalidRequest")
        self.assertIn("header 'accept' is listed in signed headers, but is not present", answer.xml.findtext("Message"))
        self.refused(self.client.get("private", "a", payload=None), 400, "InvalidRequest")
        self.refused(self.client.get("private", "a", unsigned_fields=[("x-amz-meta-c", "1")]), 403, "AccessDenied")
        other = s3_client.S3Client(self.b2.s3_url, self.b2.key, "us-east-1")
        self.addCleanup(other.close)
        self.refused(other.get("private", "a"), 400, "AuthorizationHeaderMalformed")
        self.refused(self.client.get("private", "a", presigned=604801), 400, "AuthorizationQueryParametersError")
        self.b2.account.clock_offset_s = 16 * 60
        self.refused(self.client.get("private", "a"), 403, "RequestTimeTooSkewed")
        self.b2.account.clock_offset_s = 14 * 60
        self.client.get("private", "a").expect(200)

    def test_a_length_is_needed(self):
        self.refused(self.client.put("private", "a", b"", drop=["content-length"]), 411, "MissingContentLength")

    def test_hosts_of_buckets(self):
        for domain in (f"s3.{REGION}.backblazeb2.com", "localhost"):
            client = self.connect(self.b2.key, virtual=domain)
            client.put("private", "a/b c.jpg", domain.encode()).expect(200)
            self.assertEqual(client.get("private", "a/b c.jpg").expect(200).body, domain.encode())
            self.assertEqual(client.keys("private"), ["a/b c.jpg"])
        self.assertEqual(self.client.get("private", "a/b c.jpg").expect(200).body, b"localhost")

    def test_names_are_bounded(self):
        for key in ("/a", "a/", "a//b", "a/../b", "./a", "x" * 251, "/".join(["x" * 200] * 6), "a\x01b"):
            self.refused(self.client.put("private", key, b""), 400, "InvalidArgument")
        self.client.put("private", "/".join(["x" * 250] * 4), b"").expect(200)

    def test_what_keys_may(self):
        self.b2.put("private", "in/a", b"bytes")
        self.b2.put("private", "out/a", b"bytes")
        reader = self.connect(self.b2.new_key(["readFiles", "listFiles"], "private", "in/"))
        reader.get("private", "in/a").expect(200)
        self.assertEqual(reader.keys("private", prefix="in/"), ["in/a"])
        for answer in (reader.get("private", "out/a"), reader.put("private", "in/b", b""), reader.get("public", "in/a"),
                       reader.send("GET", "private", pairs=[("list-type", "2")]), reader.delete("private", "in/a"),
                       reader.copy("private", "in/b", ("private", "in/a"))):
            self.refused(answer, 403, "AccessDenied")
        self.refused(reader.send("GET"), 401, "UnauthorizedAccess")
        mover = self.connect(self.b2.new_key(["writeFiles"], "private"))
        mover.put("private", "b", b"").expect(200)
        self.refused(mover.copy("private", "c", ("private", "in/a")), 403, "AccessDenied")

    def test_copies_are_bounded(self):
        self.b2.s3.copy_limit = 10
        self.b2.put("private", "a", b"x" * 9)
        self.b2.put("private", "b", b"x" * 10)
        self.client.copy("private", "c", ("private", "a")).expect(200)
        self.refused(self.client.copy("private", "c", ("private", "b")), 400, "InvalidRequest")
        self.refused(self.client.copy("private", "a", ("private", "a")), 400, "InvalidRequest")

    def test_a_batch_needs_its_md5(self):
        self.refused(self.client.delete_many("private", [("a", None)], md5=False), 400, "InvalidRequest")
        self.refused(self.client.delete_many("private", [("a", None)] * 1001), 400, "MalformedXML")
        self.client.delete_many("private", [("a", None)] * 1000).expect(200)

    def test_deleting_what_was_never_there_adds_a_marker(self):
        marker = self.client.delete("private", "a").expect(204)["x-amz-version-id"]
        version, = self.b2.versions("private", "a")
        self.assertEqual((version.id, version.marker), (marker, True))
        self.refused(self.client.get("private", "a", version_id=marker), 405, "MethodNotAllowed")
        self.refused(self.client.get("private", "a", version_id="nothing"), 404, "NoSuchVersion")

    def test_an_upload_in_parts_has_no_sha1(self):
        upload = self.client.start_upload("public", "a")
        etag = self.client.upload_part("public", "a", upload, 1, b"x")["etag"]
        done = self.client.complete("public", "a", upload, [(1, etag)]).expect(200)
        version, = self.b2.versions("public", "a")
        self.assertEqual(done["x-amz-version-id"], version.id)
        self.assertEqual(done.xml.findtext("ETag"), f'"{hashlib.md5(hashlib.md5(b"x").digest()).hexdigest()}-1"')
        self.assertEqual(self.friendly("/file/public/a")["x-bz-content-sha1"], "none")

    def test_the_numbers_of_parts(self):
        upload = self.client.start_upload("private", "a")
        for number in (0, 10001, "x"):
            self.refused(self.client.upload_part("private", "a", upload, number, b"x"), 400, "InvalidArgument")
        self.refused(self.client.upload_part("private", "a", upload, 1, b""), 400, "EntityTooSmall")
        etags = [(number, self.client.upload_part("private", "a", upload, number, b"x" * PART).expect(200)["etag"])
                 for number in (1, 10000)]
        self.refused(self.client.complete("private", "a", upload, etags[::-1]), 400, "InvalidPartOrder")
        self.refused(self.client.complete("private", "a", upload, etags[:1] * 2), 400, "InvalidPartOrder")

    def test_answers_name_the_versions_they_mean(self):
        source = self.b2.put("private", "a", b"bytes")
        copied = self.client.copy("private", "b", ("private", "a")).expect(200)
        self.assertEqual(copied["x-amz-version-id"], self.b2.versions("private", "b")[0].id)
        self.assertEqual(copied["x-amz-copy-source-version-id"], source.id)
        self.b2.delete("private", "a")
        self.assertEqual(self.client.get("private", "a").expect(404)["x-amz-delete-marker"], "true")

    def test_part_of_an_object_as_a_part(self):
        self.b2.put("private", "a", bytes(range(100)))
        upload = self.client.start_upload("private", "b")
        copied = self.client.send("PUT", "private", "b", [("partNumber", "1"), ("uploadId", upload)], [
            ("x-amz-copy-source", "/private/a"), ("x-amz-copy-source-range", "bytes=10-19")]).expect(200)
        self.client.complete("private", "b", upload, [(1, copied.xml.findtext("ETag"))]).expect(200)
        self.assertEqual(self.b2.get("private", "b"), bytes(range(10, 20)))


class SmallPages(B2Case):
    OPTIONS = {"page_size": 3}

    def test_pages_are_no_larger_than_configured(self):
        names = [f"{i:02d}" for i in range(10)]
        for name in names:
            self.b2.put("private", name, b"")
            self.b2.delete("private", name)
            self.b2.put("private", name, b"")
        pages = list(self.client.pages("private", "objects"))
        self.assertEqual([len(page.findall("Contents")) for page in pages], [3, 3, 3, 1])
        self.assertEqual(self.client.keys("private"), names)
        versions = self.client.versions("private")
        self.assertEqual([key for key, _, _, _ in versions], [name for name in names for _ in range(3)])
        self.assertEqual([latest for _, _, _, latest in versions], [True, False, False] * 10)
        self.assertEqual([marker for _, _, marker, _ in versions], [False, True, False] * 10)
        self.assertEqual(self.b2.count(operation="ListObjectVersions"), 10)
        upload = self.client.start_upload("private", "a")
        for number in range(1, 8):
            self.client.upload_part("private", "a", upload, number, b"x").expect(200)
        found, mark = [], "0"
        while mark:
            root = self.client.send("GET", "private", "a", [("uploadId", upload), ("part-number-marker", mark)]).xml
            found += [int(row.findtext("PartNumber")) for row in root.findall("Part")]
            mark = root.findtext("NextPartNumberMarker")
        self.assertEqual(found, list(range(1, 8)))


class Friendly(B2Case):
    def test_the_fields_of_an_answer(self):
        version = self.b2.put("public", "a/ü b.jpg", b"bytes", "image/png",
                              {"Cache-Control": "public, max-age=5", "Content-Disposition": "inline"}, {"who": "a b"})
        for method, body in (("GET", b"bytes"), ("HEAD", b"")):
            answer = self.friendly("/file/public/a/%C3%BC+b.jpg", method=method)
            self.assertEqual((answer.status, answer.body), (200, body))
            fields = dict(answer.fields)
            fields.pop("date")
            self.assertEqual(fields, {
                "server": "nginx", "strict-transport-security": "max-age=63072000", "content-type": "image/png",
                "content-length": "5", "cache-control": "public, max-age=5", "content-disposition": "inline",
                "x-bz-file-name": "a/%C3%BC%20b.jpg", "x-bz-file-id": version.id, "accept-ranges": "bytes",
                "x-bz-content-sha1": hashlib.sha1(b"bytes").hexdigest(), "x-bz-info-who": "a%20b",
                "x-bz-upload-timestamp": str(int(version.time_s * 1000))})
        self.b2.put("public", "b.jpg", b"bytes")
        self.assertEqual(self.friendly("/file/public/b.jpg")["cache-control"], NO_STORE)
        by_id = self.friendly(f"/b2api/v4/b2_download_file_by_id?fileId={version.id}")
        self.assertEqual((by_id.status, by_id.body), (200, b"bytes"))

    def test_ranges(self):
        self.b2.put("public", "a", bytes(range(100)))
        answer = self.friendly("/file/public/a", ("range", "bytes=10-19")).expect(206)
        self.assertEqual((answer["content-range"], answer.body), ("bytes 10-19/100", bytes(range(10, 20))))
        answer = self.friendly("/file/public/a", ("range", "bytes=100-")).expect(416)
        self.assertEqual(json.loads(answer.body)["code"], "range_not_satisfiable")

    def error(self, status, code, target, *fields):
        answer = self.friendly(target, *fields)
        content = json.loads(answer.body)
        self.assertEqual((answer.status, content["status"], content["code"]), (status, status, code))
        self.assertEqual(answer["cache-control"], NO_STORE)
        self.assertIsInstance(content["message"], str)
        head = self.friendly(target, *fields, method="HEAD")
        self.assertEqual((head.status, head.body), (status, b""))
        return content

    def test_errors(self):
        self.b2.put("public", "hidden", b"")
        self.b2.delete("public", "hidden")
        self.error(404, "not_found", "/file/public/nothing")
        self.error(404, "not_found", "/file/public/hidden")
        self.error(404, "not_found", "/file/nothing/a")
        self.error(400, "bad_request", "/file/public/")
        self.error(400, "bad_request", "/file/public/a/")
        self.error(400, "bad_request", "/elsewhere")

    def test_private_buckets(self):
        self.b2.put("private", "in/a", b"bytes")
        self.b2.put("private", "out", b"bytes")
        self.assertEqual(self.error(401, "unauthorized", "/file/private/in/a")["message"], "")
        self.error(401, "bad_auth_token", "/file/private/in/a?Authorization=nonsense")
        basic = base64.b64encode(f"{self.b2.key.id}:{self.b2.key.secret}".encode()).decode()
        self.friendly("/b2api/v4/b2_authorize_account", ("authorization", "Basic eDp5")).expect(401)
        account = json.loads(self.friendly("/b2api/v4/b2_authorize_account", ("authorization", f"Basic {basic}")).body)
        storage = account["apiInfo"]["storageApi"]
        self.assertEqual((storage["downloadUrl"], storage["s3ApiUrl"]), (self.b2.friendly_url, self.b2.s3_url))
        token = account["authorizationToken"]
        self.assertEqual(self.friendly("/file/private/out", ("authorization", token)).expect(200).body, b"bytes")
        wanted = {"bucketId": self.b2.account.buckets["private"].id, "fileNamePrefix": "in/",
                  "validDurationInSeconds": 100, "b2CacheControl": "max-age=7"}
        minted = json.loads(self.friendly("/b2api/v4/b2_get_download_authorization", ("authorization", token),
                                          method="POST", body=json.dumps(wanted).encode()).expect(200).body)
        given = minted["authorizationToken"]
        path = f"/file/private/in/a?b2CacheControl=max-age%3D7&Authorization={given}"
        self.assertEqual(self.friendly(path).expect(200)["cache-control"], "max-age=7")
        self.friendly("/file/private/in/a?b2CacheControl=max-age%3D7", ("authorization", given)).expect(200)
        self.error(401, "unauthorized", f"/file/private/in/a?Authorization={given}")
        self.error(401, "unauthorized", path.replace("in/a", "out"))
        self.b2.account.clock_offset_s = 101
        self.error(401, "expired_auth_token", path)
        self.assertEqual(self.b2.calls()["C"], 3)

    def test_tokens_without_the_api(self):
        self.b2.put("private", "a.jpg", b"bytes")
        token = self.b2.download_token("private", "a.j", seconds=5)
        self.friendly(f"/file/private/a.jpg?Authorization={token}").expect(200)
        self.friendly(f"/file/private/b.jpg?Authorization={token}").expect(401)

    def api(self, name, token, **body):
        return self.friendly(f"/b2api/v4/{name}", ("authorization", token), method="POST", body=json.dumps(body).encode())

    def account(self, key):
        basic = base64.b64encode(f"{key.id}:{key.secret}".encode()).decode()
        return json.loads(self.friendly("/b2api/v4/b2_authorize_account", ("authorization", f"Basic {basic}")).body)

    def test_buckets_are_listed_to_whom_they_are_allowed(self):
        wanted = self.b2.account.buckets["private"]
        for key, named, status in ((self.b2.key, "private", 200), (self.b2.key, None, 200),
                                   (self.b2.new_key(bucket="private"), "private", 200),
                                   (self.b2.new_key(bucket="private"), "public", 401),
                                   (self.b2.new_key(bucket="private"), None, 401),
                                   (self.b2.new_key(("shareFiles",)), "private", 401)):
            with self.subTest(key=key, named=named):
                account = self.account(key)
                allowed = account["apiInfo"]["storageApi"]["allowed"]
                self.assertEqual(allowed["buckets"],
                                 [{"id": wanted.id, "name": "private"}] if key.bucket else None)
                asked = {"accountId": account["accountId"], **({"bucketName": named} if named else {})}
                answer = self.api("b2_list_buckets", account["authorizationToken"], **asked)
                self.assertEqual(answer.status, status)
                if status == 200:
                    buckets = {each["bucketName"]: each for each in json.loads(answer.body)["buckets"]}
                    self.assertEqual(buckets["private"]["bucketId"], wanted.id)
                    self.assertEqual(buckets["private"]["bucketType"], "allPrivate")
                    self.assertEqual(len(buckets), 1 if named else len(self.b2.account.buckets))
        account = self.account(self.b2.key)
        self.assertEqual(self.api("b2_list_buckets", account["authorizationToken"], accountId="0").status, 400)

    def test_tokens_end_on_command_and_with_their_key(self):
        self.b2.put("private", "a.jpg", b"bytes")
        key = self.b2.new_key()
        token = self.b2.download_token("private", key=key)
        account = self.account(key)["authorizationToken"]
        path = f"/file/private/a.jpg?Authorization={token}"
        self.friendly(path).expect(200)
        self.assertEqual(self.b2.expire_tokens(), 1)
        self.assertEqual(self.b2.expire_tokens(), 0)
        self.error(401, "expired_auth_token", path)
        self.friendly(f"/file/private/a.jpg?Authorization={account}").expect(200)
        self.assertEqual(self.b2.expire_tokens(download=False), 1)
        self.error(401, "expired_auth_token", f"/file/private/a.jpg?Authorization={account}")
        token = self.b2.download_token("private", key=key)
        self.b2.revoke(key)
        self.error(401, "bad_auth_token", f"/file/private/a.jpg?Authorization={token}")
        basic = base64.b64encode(f"{key.id}:{key.secret}".encode()).decode()
        self.friendly("/b2api/v4/b2_authorize_account", ("authorization", f"Basic {basic}")).expect(401)


class Faults(B2Case):
    DATA = bytes(range(250)) * 400  # 100 kB

    def setUp(self):
        super().setUp()
        self.version = self.b2.put("public", "a", self.DATA)

    def fetch(self, *lines, path="/file/public/a"):
        """(head, body until its length or the end of the connection, how that ended)."""
        sock, reader = self.raw()
        self.ask(sock, path, *lines)
        answer = http1.read_answer_head(reader)
        try:
            return answer, reader.exactly(answer.length()), None
        except http1.Ended as ended:
            return answer, ended.taken, "fin"
        except ConnectionResetError:
            return answer, bytes(reader.buffer), "rst"

    def test_a_body_that_is_cut(self):
        for after in (0, 1, 65_536, 99_999):
            for how in ("fin", "rst"):
                with self.subTest(after=after, how=how):
                    self.b2.fault("cut", after=after, how=how)
                    answer, body, end = self.fetch()
                    self.assertEqual((answer.status, answer.length(), end), (200, len(self.DATA), how))
                    self.assertTrue(body == self.DATA[:after])
                    self.assertEqual(self.b2.requests[-1].sent, after)
        self.assertTrue(self.fetch()[1] == self.DATA)

    def test_a_body_that_stalls(self):
        fault = self.b2.fault("stall", after=70_000)
        sock, reader = self.raw()
        self.ask(sock, "/file/public/a")
        answer = http1.read_answer_head(reader)
        self.assertTrue(reader.exactly(70_000) == self.DATA[:70_000])
        sock.settimeout(0.05)
        with self.assertRaises(TimeoutError):
            sock.recv(1)
        sock.settimeout(45)
        fault.release()
        self.assertTrue(reader.exactly(answer.length() - 70_000) == self.DATA[70_000:])
        self.ask(sock, "/file/public/a")  # and the connection is as good as before
        self.assertEqual(http1.read_answer_head(reader).status, 200)

    def test_lengths_that_are_not_right(self):
        self.b2.fault("wrong_length", by=10)
        answer, body, end = self.fetch()
        self.assertEqual((answer.length(), len(body), end), (100_010, 100_000, "fin"))
        self.b2.fault("wrong_length", by=-10)
        sock, reader = self.raw()
        self.ask(sock, "/file/public/a")
        self.assertEqual(http1.read_answer_head(reader).length(), 99_990)
        self.assertTrue(reader.rest() == self.DATA)

    def test_other_bytes(self):
        self.b2.fault("wrong_body", operation="GetObject")
        self.assertEqual(self.fetch()[1], self.DATA)  # another operation
        answer = self.client.get("public", "a").expect(200)
        self.assertEqual((len(answer.body), answer["etag"]), (len(self.DATA), f'"{self.version.etag}"'))
        self.assertFalse(any(x == y for x, y in zip(answer.body, self.DATA)))
        self.assertEqual(self.client.get("public", "a").body, self.DATA)

    def test_slow_answers(self):
        self.b2.put("public", "b", self.DATA[:1000])
        for kind, options, least in (("slow_first_byte", {"seconds": 0.2}, 0.2),
                                     ("trickle", {"bytes_per_s": 5000}, 0.14)):
            with self.subTest(kind=kind):
                self.b2.fault(kind, **options)
                begun = time.monotonic()
                self.assertTrue(self.fetch(path="/file/public/b")[1] == self.DATA[:1000])
                self.assertGreater(time.monotonic() - begun, least)

    def test_half_open(self):
        fault = self.b2.fault("half_open")
        sock, reader = self.raw()
        self.ask(sock, "/file/public/a")
        fault.wait_hits()
        self.assertIsNone(self.b2.requests[-1].status)
        fault.release()
        self.assertEqual(reader.rest(), b"")
        self.fetch()

    def test_no_tomes_until_another_connection(self):
        fault = self.b2.fault("no_tomes", face="s3")
        for _ in range(3):
            answer = self.client.put("public", "b", b"bytes")
            self.refused(answer, 503, "ServiceUnavailable")
            self.assertEqual(answer.xml.findtext("Message"), "no tomes available")
        self.assertEqual(fault.hits, 1)
        self.connect(self.b2.key).put("public", "b", b"bytes").expect(200)
        self.client.put("public", "b", b"bytes").expect(503)
        self.client.close()
        self.client.put("public", "b", b"bytes").expect(200)

    def test_statuses(self):
        put = lambda: self.client.put("public", "b", b"bytes")  # noqa: E731
        get = lambda: self.friendly("/file/public/a")  # noqa: E731
        for kind, options, ask, status, code in (
                ("slow_down", {}, put, 503, "SlowDown"), ("slow_down", {"retry_after": 3}, put, 503, "SlowDown"),
                ("error", {}, put, 500, "InternalError"), ("cap_exceeded", {}, put, 403, "AccessDenied"),
                ("error", {"status": 403, "code": "SignatureDoesNotMatch"}, put, 403, "SignatureDoesNotMatch"),
                ("too_many", {}, get, 429, "too_many_requests"), ("slow_down", {}, get, 503, "service_unavailable"),
                ("too_many", {"retry_after": 7}, get, 429, "too_many_requests"),
                ("error", {}, get, 500, "internal_error"),
                ("cap_exceeded", {}, get, 403, "download_cap_exceeded"),
                ("expired_token", {}, get, 401, "expired_auth_token")):
            with self.subTest(kind=kind, options=options):
                self.b2.fault(kind, **options)
                answer = ask()
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.code or json.loads(answer.body)["code"], code)
                retry = options.get("retry_after")
                self.assertEqual(answer.get("retry-after"), retry and str(retry))
                self.assertEqual(ask().status, 200)
        self.assertEqual(len(self.b2.versions("public", "b")), 5)  # none of those that failed

    def test_an_error_after_the_object_was_stored(self):
        self.b2.fault("error_after_store", method="PUT")
        self.refused(self.client.put("public", "b", b"bytes"), 500, "InternalError")
        self.client.put("public", "b", b"bytes").expect(200)
        self.assertEqual([version.data for version in self.b2.versions("public", "b")], [b"bytes", b"bytes"])

    def test_fields_that_should_not_be_there(self):
        self.b2.fault("extra_headers", headers=[("Set-Cookie", "a=b"), ("X-Served-By", "pod-1")])
        answer = self.friendly("/file/public/a").expect(200)
        self.assertEqual((answer["set-cookie"], answer["x-served-by"]), ("a=b", "pod-1"))

    def test_a_range_that_is_ignored(self):
        self.b2.fault("ignore_range")
        self.assertEqual(len(self.friendly("/file/public/a", ("range", "bytes=0-9")).expect(200).body), len(self.DATA))
        self.friendly("/file/public/a", ("range", "bytes=0-9")).expect(206)
        self.assertEqual([entry.range for entry in self.b2.requests], ["bytes=0-9"] * 2)

    def test_an_object_that_changes_between_two_requests(self):
        self.b2.fault("other_version", key="a", skip=1)
        first = self.client.get("public", "a", [("range", "bytes=0-9")]).expect(206)
        second = self.client.get("public", "a", [("range", "bytes=10-19")]).expect(206)
        self.assertNotEqual(first["etag"], second["etag"])
        self.assertNotEqual(first["x-amz-version-id"], second["x-amz-version-id"])
        self.assertEqual(second.body, self.DATA[::-1][10:20])

    def test_what_a_fault_matches(self):
        fault = self.b2.fault("error", count=2, skip=1, method="GET", face="friendly", key=lambda key: key == "a")
        self.client.get("public", "a").expect(200)
        self.friendly("/file/public/a", method="HEAD").expect(200)
        self.friendly("/file/public/other").expect(404)
        self.assertEqual([self.friendly("/file/public/a").status for _ in range(4)], [200, 500, 500, 200])
        self.assertEqual(fault.hits, 2)
        forever = self.b2.fault("error", count=None, status=503)
        self.assertEqual([self.friendly("/file/public/a").status for _ in range(4)], [503] * 4)
        forever.remove()
        self.friendly("/file/public/a").expect(200)
        for wrong in ({"kind": "nonsense"}, {"kind": "cut"}, {"kind": "stall", "after": 1, "how": "rst"}):
            with self.assertRaises((TypeError, ValueError)):
                self.b2.fault(**wrong)


class Log(B2Case):
    def test_every_request_is_counted(self):
        reader = self.b2.new_key(["readFiles"])
        self.client.put("public", "a", b"x" * 1000).expect(200)
        self.connect(reader).get("public", "a", [("range", "bytes=0-99")]).expect(206)
        self.client.head("public", "a").expect(200)
        self.client.keys("public")
        self.client.copy("public", "b", ("public", "a")).expect(200)
        self.client.delete("public", "b").expect(204)
        self.friendly("/file/public/a?x=1", ("x-y", "z"))
        self.friendly("/file/public/b").expect(404)
        self.assertEqual(self.b2.calls(), {"A": 2, "B": 4, "C": 2})
        self.assertEqual(self.b2.calls(reader.id), {"A": 0, "B": 1, "C": 0})
        self.assertEqual(self.b2.egress(reader.id), 100)
        body = self.b2.requests[-1].sent
        self.assertEqual(self.b2.egress(), 1100 + body)
        got, = self.b2.select(operation="GetObject")
        self.assertEqual((got.method, got.face, got.bucket, got.key, got.range, got.status, got.sent, got.key_id),
                         ("GET", "s3", "public", "a", "bytes=0-99", 206, 100, reader.id))
        friendly = self.b2.select(face="friendly")[0]
        self.assertEqual((friendly.path, friendly.query, friendly.headers["x-y"]), ("/file/public/a", {"x": "1"}, "z"))
        self.assertEqual(self.b2.count(face="s3", method="PUT"), 2)
        self.b2.clear_requests()
        self.assertEqual(self.b2.requests, [])

    def test_connections_are_kept(self):
        for _ in range(5):
            self.client.put("public", "a", b"bytes").expect(200)
        self.assertEqual(self.b2.connections("s3"), (1, 1))
        self.assertEqual({entry.connection for entry in self.b2.requests}, {1})

    def test_hundreds_of_connections(self):
        self.b2.put("public", "a", b"bytes")
        raws = [self.raw() for _ in range(300)]
        for sock, _ in raws:
            self.ask(sock, "/file/public/a")
        for _, reader in raws:
            answer = http1.read_answer_head(reader)
            self.assertEqual(reader.exactly(answer.length()), b"bytes")
        self.assertEqual(self.b2.connections("friendly"), (300, 300))
        self.b2.drop_connections()
        for _, reader in raws:
            self.assertEqual(reader.rest(), b"")

    def test_pipelined_and_malformed_requests(self):
        self.b2.put("public", "a", b"bytes")
        sock, reader = self.raw()
        sock.sendall(b"GET /file/public/a HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        for _ in range(3):
            self.assertEqual(reader.exactly(http1.read_answer_head(reader).length()), b"bytes")
        sock.sendall(b"GET /file/public/a\r\nHost: x\r\n\r\n")
        self.assertEqual(http1.read_answer_head(reader).status, 400)

    def test_a_large_body_waits_to_be_invited(self):
        sock, reader = self.raw("s3")
        body = b"x" * 100_000
        host, path = self.client.address("public", "a")
        fields = sigv4.sign(self.b2.key, REGION, "PUT", host, path, payload=sigv4.UNSIGNED)
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        head += f"content-length: {len(body)}\r\nexpect: 100-continue\r\n"
        sock.sendall(f"PUT {path} HTTP/1.1\r\n{head}\r\n".encode())
        self.assertEqual(reader.head(), [b"HTTP/1.1 100 Continue"])
        sock.sendall(body)
        self.assertEqual(http1.read_answer_head(reader).status, 200)
        self.assertEqual(self.b2.get("public", "a"), body)

    def test_thousands_of_objects_are_cheap(self):
        for number in range(5000):
            self.b2.put("private", f"{number % 100}/{number}", b"x")
        self.assertEqual(len(self.client.keys("private")), 5000)
        self.assertEqual(self.b2.calls()["C"], 5)
        self.assertEqual(len(self.b2.keys("private")), 5000)
        self.assertTrue(re.fullmatch(VERSION_ID, self.b2.versions("private", "1/1")[0].id))

    def test_waiting_for_requests(self):
        thread = threading.Thread(target=self.friendly, args=("/file/public/nothing",))
        thread.start()
        self.assertEqual(self.b2.wait_requests(1, key="nothing")[0].method, "GET")
        thread.join()

    def test_the_end_takes_everybody_along(self):
        self.b2.put("public", "a", b"bytes")
        self.b2.fault("stall", after=2)
        sock, reader = self.raw()
        self.ask(sock, "/file/public/a")
        http1.read_answer_head(reader)
        reader.exactly(2)
        self.b2.stop()
        reader.rest()
        with self.assertRaises(OSError):
            socket.create_connection(self.b2.friendly_address)


if __name__ == "__main__":
    unittest.main()
