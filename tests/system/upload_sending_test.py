"""Uploads as clients send them: forms of all shapes, any pace and cut, and what is asked too much."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import pictures  # noqa: E402
import tidepool  # noqa: E402
import uploads  # noqa: E402
from pictures import picture, stamped  # noqa: E402
from uploads import INTERNAL_UPLOAD, ONE_PROFILE, OTHER_OWNER, OWNER, PING, UPLOAD  # noqa: E402

import json  # noqa: E402
import time  # noqa: E402

MIB = 1024 * 1024
# Slow enough to be far below any rate that tests ask for.
DRIP_S = 0.02


class Forms(uploads.UploadCase):
    """The ways in which a form may be written, and those in which it may not."""

    def setUp(self):
        super().setUp()
        self.content = picture("png", 70, 70)
        self.count = 0

    def fresh(self):
        self.count += 1
        return stamped(self.content, f"file {self.count}")

    def assert_taken(self, body, content, **options):
        stored = self.accepted(self.send_form(body, options.pop("token", None) or self.token(200_000), **options))
        self.assertFalse(stored["duplicate"])
        self.assertEqual(self.originals()[stored["url"][1:]], content)
        return stored

    def test_names_of_files(self):
        self.start(extra=ONE_PROFILE)
        of_the_file = 'form-data; name="file"; '
        for says in ("form-data; name=file; filename=photo.png", 'form-data;name="file";filename="photo.png"',
                     'form-data ; name="file" ; filename="photo.png"', 'FORM-DATA; NAME="file"; FILENAME="photo.png"',
                     'form-data; filename="photo.png"; name="file"', of_the_file + 'filename="photo.png"',
                     of_the_file + "filename=photo.png", of_the_file + 'filename="a \\"quoted\\" name.png"',
                     of_the_file + 'filename="back\\\\slash.png"', of_the_file + 'filename="a%22b.png"',
                     of_the_file + 'filename="semi;colon.png"', of_the_file + 'filename="PHOTO.PNG"',
                     of_the_file + 'filename="comma, and = equals.png"',
                     of_the_file + 'filename="na\u00efve \u65e5\u672c.png"',
                     of_the_file + 'filename="../../../../etc/passwd.png"',
                     of_the_file + 'filename="C:\\\\Users\\\\me\\\\photo.png"',
                     of_the_file + 'filename="/etc/cron.d/x.png"', of_the_file + 'size=5; filename="a.png"',
                     of_the_file + "filename*=UTF-8''na%C3%AFve%20photo.png",
                     of_the_file + "filename*=utf-8'en'photo.png",
                     of_the_file + "filename=\"fallback.png\"; filename*=UTF-8''%E2%82%AC%20rates.png",
                     of_the_file + "filename*=UTF-8''%E2%82%AC%20rates.png; filename=\"fallback.png\""):
            with self.subTest(says):
                content = self.fresh()
                stored = self.assert_taken(uploads.form(uploads.part(says, content, "image/png")), content)
                self.assertTrue(stored["url"].endswith(f"/{stored['image_uuid']}.png"), stored)

    def test_a_name_may_not_be_written_so_that_it_hides_another(self):
        self.start()
        for says in ("form-data; name=\"file\"; filename=\"a.html\"; filename*=UTF-8''a.html",
                     "form-data; name=\"file\"; filename*=UTF-8''a.png%00.html",
                     "form-data; name=\"file\"; filename*=UTF-8''a%2Ehtml",
                     'form-data; name="file"; filename="a.png\0.html"', 'form-data; name="file"; filename="a.html'):
            with self.subTest(says):
                body = uploads.form(uploads.part(says, self.fresh(), "image/png"))
                self.assertIn(self.send_form(body, self.token(200_000)).status, (400, 415))
        self.assert_nothing_left()

    def test_other_fields_are_welcome_wherever_they_stand(self):
        self.start(extra=ONE_PROFILE)
        album, note = uploads.field("album_id", "17"), uploads.field("note", "\u00e4" * 100 + "\r\n--no boundary\r\n")
        empty = uploads.field("empty", "")
        for before, after in (((), (album, note)), ((album, note), ()), ((album,), (note,)),
                              ((empty, album, empty), (empty,))):
            with self.subTest(before=len(before), after=len(after)):
                content = self.fresh()
                file = uploads.file(content, "a.png")
                self.assert_taken(uploads.form(*before, file, *after), content)
                content = self.fresh()
                file, token = uploads.file(content, "a.png"), uploads.field("token", self.token(200_000))
                stored = self.accepted(self.send_form(uploads.form(token, *before, file, *after)))
                self.assertEqual(self.originals()[stored["url"][1:]], content)

    def test_parts_may_have_more_lines(self):
        self.start(extra=ONE_PROFILE)
        says = uploads.disposition("file", "a.png")
        for line in ("Content-Transfer-Encoding: binary", "Content-Length: SIZE", "X-Anything: " + "x" * 500,
                     "content-type: image/png"):
            with self.subTest(line=line):
                content = self.fresh()
                line = line.replace("SIZE", str(len(content)))
                self.assert_taken(uploads.form(uploads.part(says, content, None, line)), content)

    def test_boundaries(self):
        self.start(extra=ONE_PROFILE)
        for boundary, written in (("x", "x"), ("x", '"x"'), ("a" * 70, "a" * 70),
                                  ("with space in it", '"with space in it"'), ("0'()+_,-./:=?1", '"0\'()+_,-./:=?1"'),
                                  ("----WebKitFormBoundaryE19zNvXGzXaLvS5C",) * 2, ("----", "----")):
            with self.subTest(boundary=boundary):
                content = self.fresh()
                self.assert_taken(uploads.form(uploads.file(content, "a.png"), boundary=boundary), content,
                                  content_type=uploads.form_type(written))
        for kind in (f"Multipart/Form-Data; Boundary={uploads.BOUNDARY}",
                     f"multipart/form-data;charset=utf-8;boundary={uploads.BOUNDARY}",
                     f"multipart/form-data; boundary={uploads.BOUNDARY}; charset=utf-8"):
            with self.subTest(kind):
                content = self.fresh()
                self.assert_taken(uploads.form(uploads.file(content, "a.png")), content, content_type=kind)

    def test_what_stands_around_a_form_is_not_of_it(self):
        self.start(extra=ONE_PROFILE)
        content = self.fresh()
        body = uploads.form(uploads.file(content, "a.png"), before=b"a preamble\r\n", after=b"an epilogue\r\n")
        self.assert_taken(body, content)

    def test_what_is_almost_a_boundary_is_of_the_file(self):
        self.start(extra=ONE_PROFILE)
        mark = uploads.BOUNDARY.encode()
        for text in (b"\r\n--" + mark[:-1] + b"~", b"\r\n-" + mark, b"\n--" + mark, b"\r\n\r\n--" + mark[:10],
                     b"--" + mark, (b"\r\n--" + mark[:-1]) * 50, b"\r" * 1000, b"\r\n" * 1000):
            with self.subTest(text[:40]):
                content = stamped(self.fresh(), text)
                self.assert_taken(uploads.form(uploads.file(content, "a.png")), content)
        # What a file ends with may be the beginning of the mark, too.
        content = self.fresh() + b"\r\n--" + mark[:-1]
        answer = self.send_form(uploads.form(uploads.file(content, "a.png")), self.token(200_000))
        self.assertIn(answer.status, (200, 415))
        if answer.status == 200:
            self.assertEqual(self.originals()[answer.json["url"][1:]], content)

    def test_what_is_no_form_with_one_file(self):
        self.start()
        file = uploads.file(self.content, "a.png")
        cases = {
            "no file": uploads.form(uploads.field("note", "x")),
            "no part": uploads.form(),
            "nothing": b"",
            "a file of another name": uploads.form(uploads.file(self.content, "a.png", name="image")),
            "two files": uploads.form(file, file),
            "two different files": uploads.form(file, uploads.file(picture("gif", 70, 70), "b.gif")),
            "two files around a field": uploads.form(file, uploads.field("note", "x"), file),
            "an empty file": uploads.form(uploads.file(b"", "a.png")),
            "no end": uploads.form(file, ended=False),
            "no end behind the file's bytes": uploads.form(file, ended=False)[:-2],
            "half a file": uploads.form(file)[:-len(self.content) // 2],
            "another boundary": uploads.form(file, boundary="another"),
            "no disposition": uploads.form(uploads.part(None, self.content, "image/png")),
            "another disposition": uploads.form(uploads.part('attachment; filename="a.png"', self.content)),
            "no head of a part": uploads.form(b"\r\n" + self.content),
            "a part's head without an end": f"--{uploads.BOUNDARY}\r\nContent-Disposition: form-data".encode(),
            "the file alone": self.content,
            "JSON": b'{"file": "a.png"}',
        }
        for name, body in cases.items():
            with self.subTest(name):
                self.assert_error(self.send_form(body, self.token(200_000)), 400, "bad_request")
        self.assert_nothing_left()

    def test_what_says_that_it_is_no_form(self):
        self.start()
        body = uploads.form(uploads.file(self.content, "a.png"))
        for kind in ("application/json", "image/png", "application/x-www-form-urlencoded", "multipart/form-data",
                     "multipart/form-data; boundary=", 'multipart/form-data; boundary=""',
                     f"multipart/mixed; boundary={uploads.BOUNDARY}",
                     "multipart/form-data; boundary=" + "x" * 5000, "multipart", ""):
            with self.subTest(kind[:60]):
                self.assert_error(self.send_form(body, self.token(200_000), content_type=kind), 400, "bad_request")
        wire = self.wire()
        lines = (f"Authorization: Bearer {self.token(200_000)}", f"Content-Length: {len(body)}")
        wire.send(tidepool.request(UPLOAD, *lines, method="POST") + body)
        self.assert_error(wire.answer(), 400, "bad_request")
        self.assert_nothing_left()

    def test_a_field_has_a_limit(self):
        self.start()
        body = uploads.form(uploads.field("note", "x" * 5_000_000), uploads.file(self.content, "a.png"))
        self.assertIn(self.send_form(body, self.token(200_000)).status, (400, 413))
        body = uploads.form(uploads.part(uploads.disposition("file", "a" * 200_000 + ".png"), self.content))
        self.assertIn(self.send_form(body, self.token(200_000)).status, (400, 413, 415))
        self.assert_nothing_left()

    def test_a_file_without_a_name_is_no_image(self):
        self.start()
        for says in ('form-data; name="file"', 'form-data; name="file"; filename=""',
                     'form-data; name="file"; filename="."'):
            with self.subTest(says):
                body = uploads.form(uploads.part(says, self.content, "image/png"))
                answer = self.send_form(body, self.token(200_000))
                self.assertIn(answer.status, (400, 415), answer)
        self.assert_nothing_left()


class Sending(uploads.UploadCase):
    """By whatever client, as fast or slow as that is."""

    def setUp(self):
        super().setUp()
        self.content = picture("png", 70, 70)

    def body(self, content=None):
        return uploads.form(uploads.file(content or self.content, "a.png"))

    def assert_stored(self, answer, content=None):
        stored = self.accepted(answer)
        self.assertEqual(self.originals()[stored["url"][1:]], content or self.content)
        return stored

    def test_in_chunks(self):
        self.start(extra=ONE_PROFILE)
        content = pictures.noise(300, 200)
        for size in (300, 1000, 65_536):
            with self.subTest(size):
                sent = stamped(content, f"in chunks of {size}")
                body = self.body(sent)
                pieces = iter([body[at:at + size] for at in range(0, len(body), size)])
                self.assertFalse(self.assert_stored(self.send_form(pieces, self.token(len(sent))), sent)["duplicate"])

    def test_byte_by_byte(self):
        self.start(extra=ONE_PROFILE)
        content = picture("png", 20, 20)
        body = self.body(content)
        wire = self.wire()
        wire.send(self.head_of(self.token(len(content)), len(body))).send_split(body)
        self.assert_stored(wire.answer(), content)
        content = stamped(content, "in chunks of a byte")
        body = self.body(content)
        wire = self.wire()
        wire.send(self.head_of(self.token(len(content))))
        wire.send_split(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        self.assert_stored(wire.answer(), content)

    def test_cut_at_every_place(self):
        """Whatever of the form comes in one read and what in the next."""
        self.start(extra=ONE_PROFILE)
        content = picture("png", 20, 20)
        token, body = self.token(len(content)), self.body(content)
        edges = [*range(0, 200, 3), *range(len(body) - 60, len(body))]
        with uploads.Wire(self.server.address) as wire:
            for edge in edges:
                wire.send(self.head_of(token, len(body))).send(body[:edge])
                tidepool.readable(wire.socket, 0.002)
                wire.send(body[edge:])
                self.assertEqual(self.accepted(wire.answer())["duplicate"], edge != edges[0], edge)
        self.assertEqual(list(self.originals().values()), [content])

    def test_a_client_that_asks_first(self):
        self.start(extra=ONE_PROFILE)
        body = self.body()
        wire = self.wire()
        wire.send(self.head_of(self.token(len(self.content)), len(body), "Expect: 100-continue"))
        self.assertEqual(wire.read_head().status, 100)
        wire.send(body)
        self.assert_stored(wire.answer())
        wire = self.wire()
        wire.send(self.head_of("nonsense", len(body), "Expect: 100-continue"))
        answer = wire.answer()
        if answer.status == 100:
            wire.send(body)
            answer = wire.answer()
        self.assert_error(answer, 401, "unauthorized")

    def test_a_connection_goes_on_behind_an_upload(self):
        self.start(extra=ONE_PROFILE)
        wire = self.wire()
        for number in range(3):
            content = stamped(self.content, f"{number}")
            body = self.body(content)
            wire.send(self.head_of(self.token(len(content)), len(body)) + body)
            stored = self.assert_stored(wire.answer(), content)
            self.assertEqual(wire.get(PING).status, 200)
            self.assertTrue(wire.get(stored["url"]).body == content)

    def test_one_request_behind_the_other(self):
        self.start(extra=ONE_PROFILE)
        body = self.body()
        one = self.head_of(self.token(len(self.content)), len(body)) + body
        wire = self.wire()
        wire.send(one + one + tidepool.request(PING))
        first, second = self.accepted(wire.answer()), self.accepted(wire.answer())
        self.assertEqual((first["duplicate"], second["duplicate"]), (False, True))
        self.assertEqual(wire.answer().json, {"ping": "pong"})

    def test_curl(self):
        self.start(extra=ONE_PROFILE)
        small = self.folder / "a photo, \"quoted\"; and more.png"
        small.write_bytes(self.content)
        large = self.folder / "large.png"
        large.write_bytes(pictures.noise(900, 800))  # more than a megabyte: curl asks first
        bearer = f"Authorization: Bearer {self.token(5 * MIB)}"
        quoted = '"' + str(small).replace('"', '\\"') + '"'  # curl's own quoting: "," and ";" mean something in -F
        for name, arguments, file in (
                ("plain", ["-H", bearer, "-F", f"file=@{large}"], large),
                ("a field", ["-F", f"token={self.token(5 * MIB, OTHER_OWNER)}", "-F", f"file=@{quoted}"], small),
                ("in chunks", ["-H", bearer, "-H", "Transfer-Encoding: chunked", "-F", f"file=@{quoted}"], small),
                ("HTTP/1.0", ["-0", "-H", bearer, "-F", f"file=@{large};filename=other.png"], large),
                ("a limit", ["--limit-rate", "4M", "-H", bearer, "-F", f"file=@{large};type=image/gif"], large)):
            with self.subTest(name):
                status, body = self.curl(*arguments)
                self.assertEqual(status, 200, body)
                self.assertEqual(self.originals()[json.loads(body)["url"][1:]], file.read_bytes())
        self.assertEqual(self.curl("-F", f"file=@{large}")[0], 401)
        self.assertEqual(self.curl("-H", bearer, "-F", f"file=@{large};filename=a.jpg")[0], 415)
        self.assertEqual(self.curl("-H", bearer, "-F", "other=1")[0], 400)
        self.assertEqual(self.curl("-H", bearer, "--data-binary", f"@{large}", path=INTERNAL_UPLOAD)[0], 400)
        self.assertEqual(self.curl("--head")[0], 204)

    def test_a_client_that_leaves_leaves_nothing(self):
        self.start({"parallel": 2}, extra=ONE_PROFILE)
        content = pictures.noise(400, 300)
        body = self.body(content)
        token = self.token(len(content))
        for how in ("fin", "rst", "fin in chunks", "rst"):
            wire = self.wire()
            wire.send(self.head_of(token, None if "chunks" in how else len(body)))
            half = body[:len(body) // 2]
            wire.send(b"%x\r\n%s" % (len(body), half) if "chunks" in how else half)
            if how == "rst":
                wire.reset()
            else:
                wire.finish_sending()
                taken, _ = wire.read_to_end()
                self.assertNotIn(b"HTTP/1.1 2", taken)
        self.assert_nothing_left()
        # Nor is its turn taken for ever.
        def taken():
            return self.upload(content, "a.png").status == 200
        tidepool.eventually(taken, "there are turns again")

    def test_a_file_may_have_as_many_bytes_as_its_session_says_and_not_one_more(self):
        self.start(extra=ONE_PROFILE)
        content = pictures.noise(100, 90)
        for chunked in (False, True):
            body = self.body(stamped(content, f"{chunked}"))
            size = len(stamped(content, f"{chunked}"))
            for extra, status in ((1, 413), (0, 200)):
                with self.subTest(chunked=chunked, extra=extra):
                    sent = iter([body]) if chunked else body
                    answer = self.send_form(sent, self.token(size - extra))
                    if status == 413:
                        self.assert_error(answer, 413, "payload_too_large")
                        self.assertEqual(answer["connection"], "close")
                    else:
                        self.accepted(answer)
        self.assertEqual(len(self.originals()), 2)

    def test_a_file_that_is_too_large_is_refused_before_it_is_sent(self):
        self.start()
        body = self.body(pictures.noise(200, 100))
        for name, length in (("as long as it is", len(body)), ("longer", 90 * MIB), ("of unknown length", None)):
            with self.subTest(name):
                wire = self.wire()
                wire.send(self.head_of(self.token(20_000), length))
                sent = body[:-200]  # what is held back could still be the end of the form
                wire.send(sent if length else b"%x\r\n%s\r\n" % (len(sent), sent))
                answer = wire.answer()
                self.assert_error(answer, 413, "payload_too_large")
                self.assertEqual(answer["connection"], "close")
                taken, _ = wire.read_to_end()
                self.assertEqual(taken, b"")
        self.assert_nothing_left()

    def test_no_token_allows_more_than_the_server_does(self):
        self.start({"max_size": "16KiB"})
        content = pictures.noise(100, 100)
        self.assert_error(self.upload(content, "a.png", self.token(MIB)), 413, "payload_too_large")
        self.assert_nothing_left()


class Limits(uploads.UploadCase):
    """What a client gets that asks for too much, or takes too long."""

    def setUp(self):
        super().setUp()
        self.content = picture("png", 70, 70)

    def half_sent(self, content):
        """A connection on which an upload has begun, and what is left to send."""
        body = uploads.form(uploads.file(content, "a.png"))
        wire = self.wire()
        wire.send(self.head_of(self.token(len(content)), len(body)))
        wire.send(body[:len(body) // 2])
        return wire, body[len(body) // 2:]

    def test_only_so_many_at_a_time(self):
        self.start({"parallel": 2}, extra=ONE_PROFILE)
        begun = [self.half_sent(pictures.noise(100, 100, seed)) for seed in range(2)]
        # Not by trying, which takes a turn itself.
        tidepool.eventually(lambda: self.server.metrics().sum("tidepool_uploads_running") == 2, "both turns are taken")
        self.assert_come_later(self.upload(self.content, "a.png"), 503, "service_unavailable")
        self.assertEqual(self.server.get(PING).status, 200)
        for wire, rest in begun:
            wire.send(rest)
            self.accepted(wire.answer())
        tidepool.eventually(lambda: self.upload(self.content, "a.png").status == 200, "there are turns again")

    def test_a_short_queue_of_variants_sends_no_upload_away(self):
        """Each is looked at by the same workers, but has been let in already."""
        self.start(config={"variants": {"on_demand": True, "first_hit_wait": "30s", "cheap_queue": 1}},
                   extra=ONE_PROFILE)
        contents = [pictures.noise(60, 60, seed) for seed in range(24)]
        tokens = [self.token(len(content)) for content in contents]
        for answer in uploads.at_once(24, lambda number: self.upload(contents[number], "a.png", tokens[number])):
            self.accepted(answer)

    def test_so_many_a_minute_of_one_key(self):
        self.start({"rate_per_key": 3})
        key, other = self.key(), self.key()
        # Should a minute begin meanwhile, there are three more.
        answers = [self.ask_session(1000, key) for _ in range(8)]
        self.assertEqual([answer.status for answer in answers[:3]], [200] * 3)
        refused = [answer for answer in answers if answer.status != 200]
        self.assertTrue(refused)
        for answer in refused:
            self.assert_come_later(answer, 429, "too_many_requests")
        self.assertEqual(self.ask_session(1000, other).status, 200)

    def test_a_key_may_have_a_rate_of_its_own(self):
        self.start()
        key = self.key(OWNER, "--rate", 2)
        answers = [self.ask_session(1000, key) for _ in range(6)]
        self.assertEqual([answer.status for answer in answers[:2]], [200] * 2)
        self.assert_come_later(next(answer for answer in answers if answer.status != 200), 429, "too_many_requests")

    def test_so_many_a_minute_of_one_address(self):
        self.start({"rate_per_address": 3}, extra=ONE_PROFILE)
        key = self.key()
        token = self.token(100_000)
        answers = [self.ask_session(1000, key), self.upload(self.content, "a.png", token)]
        answers += [self.upload(self.content, "a.png", token) for _ in range(6)]
        self.assertEqual([answer.status for answer in answers[:3]], [200] * 3)
        refused = [answer for answer in answers if answer.status != 200]
        self.assertTrue(refused)
        for answer in refused:
            self.assert_come_later(answer, 429, "too_many_requests")
        self.assertEqual(self.upload(self.content, "a.png", token, source="127.0.0.2").status, 200)
        self.assertEqual(self.api("GET", PING).status, 200)

    def test_without_a_rate_there_is_no_limit(self):
        self.start()
        key = self.key()
        self.assertEqual({self.ask_session(1000, key).status for _ in range(100)}, {200})

    def slow(self, **upload):
        timeouts = {"min_receive_rate": "64KiB", "receive_window": "1s"}
        self.start(upload, config={"timeouts": timeouts}, extra=ONE_PROFILE)

    def assert_cut(self, wire, send):
        begun = time.monotonic()
        while not tidepool.readable(wire.socket, DRIP_S):
            self.assertLess(time.monotonic() - begun, tidepool.PATIENCE_S, "it is cut")
            send()
        answer = wire.answer()
        self.assert_error(answer, 408, "request_timeout")
        self.assertEqual(answer["connection"], "close", answer)
        wire.read_to_end()
        self.assert_nothing_left()

    def test_an_upload_that_drips_is_cut(self):
        self.slow()
        body = uploads.form(uploads.file(pictures.noise(300, 300), "a.png"))
        wire = self.wire()
        wire.send(self.head_of(self.token(MIB), len(body)))
        pieces = iter(range(len(body)))
        self.assert_cut(wire, lambda: wire.send(body[(at := next(pieces)):at + 1]))

    def test_one_whose_chunks_are_long_and_hold_nothing_is_cut(self):
        self.slow()
        body = uploads.form(uploads.file(pictures.noise(300, 300), "a.png"))
        wire = self.wire()
        wire.send(self.head_of(self.token(MIB)) + b"%x\r\n" % 400 + body[:400] + b"\r\n1;x=")
        self.assert_cut(wire, lambda: wire.send(b"y" * 50_000))

    def test_an_upload_that_stops_is_cut(self):
        self.slow()
        wire, _ = self.half_sent(pictures.noise(100, 100))
        self.assert_cut(wire, lambda: None)

    def test_one_that_is_only_slow_is_not(self):
        self.slow()
        content = pictures.noise(500, 200)  # 300 kB in some seconds
        body = uploads.form(uploads.file(content, "a.png"))
        wire = self.wire()
        wire.send(self.head_of(self.token(len(content)), len(body)))
        for at in range(0, len(body), 4000):
            wire.send(body[at:at + 4000])
            self.assertFalse(tidepool.readable(wire.socket, DRIP_S) and at + 4000 < len(body))
        self.accepted(wire.answer())

    def test_a_pool_that_cannot_be_written_to(self):
        self.start()
        token = self.token(100_000)
        (self.trees["uploads"].path / "original").write_text("a file where a folder is needed")
        answer = self.upload(self.content, "a.png", token)
        self.assertIn(answer.status, (500, 503), answer)
        self.assertEqual(answer["cache-control"], "no-store")
        self.assertIn("error", answer.json)
        (self.trees["uploads"].path / "original").unlink()
        tidepool.eventually(lambda: self.upload(self.content, "a.png", token).status == 200, "it can be written to")


if __name__ == "__main__":
    tidepool.main()
