"""From the path of a URL to a file and to nothing else: decoding, names that are refused or hidden, and the pool's walls.

Malformed paths are 400; proper ones that name nothing we serve are 404. Links, folders, pipes and sockets lie in the
pool for real, and none of them may be served, followed out of it or waited for.
"""

import pathlib, sys; sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool

import os
import socket
import urllib.parse


class KeysCase(tidepool.ServerCase):
    def setUp(self):
        self.wire = self.connect()

    def serves(self, target, content):
        with self.subTest(target=target):
            answer = self.wire.get(target)
            self.assertEqual((answer.status, answer.body), (200, content))

    def refuses(self, target, status):
        with self.subTest(target=target):
            answer = self.wire.get(target)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.body, b"malformed path\n" if status == 400 else b"not found\n")
            self.assertFalse(answer.closes)


class Names(KeysCase):
    @classmethod
    def fill(cls):
        cls.content = cls.tree.image("a.jpg")
        cls.deep = cls.tree.image("2024/01/31/deep.jpg")

    def test_every_character_encoded(self):
        encoded = "".join(f"%{byte:02x}" for byte in b"a.jpg")
        for target in ("/uploads/a.jpg", f"/uploads/{encoded}", f"/uploads/{encoded.upper()}", "/%75ploads/a.jpg",
                       "/uploads/%61%2Ejpg", "/uploads/a%2ejp%67"):
            self.serves(target, self.content)
        self.serves("/uploads/2024/01/31/deep.jpg", self.deep)
        self.serves("/uploads/%32024/0%31/31/deep.jpg", self.deep)

    def test_names_with_special_characters(self):
        for number, name in enumerate((
                "with blank.jpg", "plus+plus.jpg", "100%.jpg", "a%20b.jpg", "%2e%2e.jpg", "%41.jpg", "question?.jpg", "ha#sh.jpg",
                "semi;colon.jpg", "am&per=sand.jpg", "quo\"te's.jpg", "<angle>.jpg", "[brackets]{braces}.jpg", "at@.jpg",
                "dollar$!*(),.jpg", "tilde~a.jpg", "caret^`|.jpg", "colon:.jpg", "-dash.jpg", "a.jpg..", "a..jpg", "a...",
                "UPPER.JPG", "noextension", " leading.jpg", "trailing.jpg ", "comma,.jpg", "a=b.jpg", "new folder/b c.jpg")):
            content = self.tree.image(name, seed=number)
            self.serves("/uploads/" + urllib.parse.quote(name), content)
            self.serves("/uploads/" + "".join("/" if c == "/" else f"%{ord(c):02X}" for c in name), content)

    def test_decoded_exactly_once(self):
        twice = self.tree.image("a%41.jpg")
        once = self.tree.image("aA.jpg")
        self.serves("/uploads/a%2541.jpg", twice)
        self.serves("/uploads/a%41.jpg", once)
        self.refuses("/uploads/%2561.jpg", 404)
        self.refuses("/uploads/2024%252f01%252f31%252fdeep.jpg", 404)
        self.refuses("/uploads/%252e%252e/a.jpg", 404)  # "%2e%2e" is a name like any other, of no folder

    def test_plus_is_no_blank(self):
        self.tree.image("b c.jpg")
        self.refuses("/uploads/b+c.jpg", 404)

    def test_broken_encodings(self):
        for path in ("%", "%4", "%4.jpg", "%zz.jpg", "%4g.jpg", "%g4.jpg", "a.jpg%", "a.jpg%2", "%%41.jpg", "%-1.jpg", "%+1.jpg",
                     "%u0041.jpg", "%x41.jpg", "%0x41"):
            self.refuses("/uploads/" + path, 400)
        self.refuses("/%zz", 400)

    def test_control_characters(self):
        for byte in [*range(0x00, 0x20), 0x7f]:
            self.refuses(f"/uploads/a%{byte:02x}.jpg", 400)
        self.refuses("/uploads/a.jpg%00", 400)
        self.refuses("/uploads/a.jpg%00.png", 400)
        self.refuses("/uploads/a.jpg%0d%0aSet-Cookie:%20a=b", 400)

    def test_encoded_slashes_and_backslashes(self):
        for path in ("2024%2f01/31/deep.jpg", "2024%2F01%2F31%2Fdeep.jpg", "%2fa.jpg", "a.jpg%2f", "%2f", "..%2fa.jpg",
                     "2024%5c01/31/deep.jpg", "..%5Ca.jpg", "\\a.jpg", "2024\\01\\31\\deep.jpg", "..\\..\\etc\\passwd"):
            self.refuses("/uploads/" + path, 400)
        self.refuses("/uploads%2fa.jpg", 400)

    def test_dot_segments(self):
        for target in ("/uploads/./a.jpg", "/uploads/../uploads/a.jpg", "/uploads/2024/../a.jpg", "/uploads/..", "/uploads/.",
                       "/uploads/2024/..", "/uploads/%2e/a.jpg", "/uploads/%2e%2E/a.jpg", "/uploads/.%2e/a.jpg",
                       "/uploads/../../../../../../etc/passwd", "/../uploads/a.jpg", "/./uploads/a.jpg", "/..", "/.",
                       "/uploads/2024/01/31/../../../a.jpg", "/uploads/a.jpg/..", "/uploads/a.jpg/."):
            self.refuses(target, 400)

    def test_empty_segments(self):
        for target in ("/uploads//a.jpg", "//uploads/a.jpg", "/uploads/2024//01/31/deep.jpg", "/uploads/a.jpg/",
                       "/uploads/a.jpg//", "/uploads///", "//", "/"):
            self.refuses(target, 404)

    def test_folders(self):
        for target in ("/uploads", "/uploads/", "/uploads/2024", "/uploads/2024/", "/uploads/2024/01/31", "/uploads/2024/01/31/"):
            self.refuses(target, 404)

    def test_a_file_is_no_folder(self):
        for target in ("/uploads/a.jpg/b.jpg", "/uploads/a.jpg/2024/b.jpg"):
            self.refuses(target, 404)

    def test_outside_the_prefix(self):
        for target in ("/a.jpg", "/uploadsa.jpg", "/uploads.jpg", "/Uploads/a.jpg", "/UPLOADS/a.jpg", "/upload/a.jpg",
                       "/x/uploads/a.jpg", "/etc/passwd", "/favicon.ico"):
            self.refuses(target, 404)

    def test_names_are_told_apart_by_case(self):
        self.refuses("/uploads/A.jpg", 404)
        self.refuses("/uploads/a.JPG", 404)

    def test_the_query_is_ignored(self):
        for query in ("?", "?v=2", "?a/../b", "?%zz", "?%00", "?a?b", "?http://other/", "?" + "q" * 5000, "?\xe9", "?\\"):
            self.serves("/uploads/a.jpg" + query, self.content)
        self.refuses("/uploads/a.jpg%3Fv=2", 404)
        self.refuses("/uploads/absent.jpg?/uploads/a.jpg", 404)

    def test_fields_that_claim_another_url_are_ignored(self):
        for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Host", "X-Accel-Redirect", "Forwarded",
                     "X-Host", "X-Forwarded-Scheme"):
            answer = self.wire.get("/uploads/a.jpg", f"{name}: /uploads/absent.jpg")
            self.assertEqual((answer.status, answer.body), (200, self.content))
            self.assertEqual(self.wire.get("/uploads/absent.jpg", f"{name}: /uploads/a.jpg").status, 404)

    def test_another_prefix(self):
        server = self.serve({"server": {"url_prefix": "/media/img/"}})
        content = server.tree.image("2024/a.jpg")
        for target, status in (("/media/img/2024/a.jpg", 200), ("/media/2024/a.jpg", 404), ("/uploads/2024/a.jpg", 404),
                               ("/media/img", 404), ("/media/img/", 404), ("/media/imgs/2024/a.jpg", 404)):
            self.assertEqual(server.get(target).status, status, target)
        self.assertEqual(server.get("/media/img/2024/a.jpg").body, content)
        server = self.serve({"server": {"url_prefix": "/"}})
        content = server.tree.image("2024/a.jpg")
        self.assertEqual(server.get("/2024/a.jpg").body, content)
        self.assertEqual(server.get("/uploads/2024/a.jpg").status, 404)


class Unicode(KeysCase):
    def test_names(self):
        for number, name in enumerate(("été.jpg", "e\u0301te\u0301.jpg", "日本語.jpg", "файл.jpg", "צילום.jpg", "😀.jpg", "\u0080.jpg",
                                       "\u07ff\u0800\uffff\U00010000\U0010ffff.jpg", "\ud7ff\ue000.jpg", "grüße/straße.jpg")):
            content = self.tree.image(name, seed=number)
            self.serves("/uploads/" + urllib.parse.quote(name), content)
            self.serves("/uploads/" + name, content)  # as some clients send it
            self.serves("/uploads/" + urllib.parse.quote(name).lower(), content)

    def test_normal_forms_are_different_names(self):
        self.tree.image("composed-\u00e9.jpg")
        self.refuses("/uploads/composed-" + urllib.parse.quote("e\u0301.jpg"), 404)

    def test_invalid_utf8(self):
        for number, raw in enumerate((
                b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xc3", b"\xc3(", b"\xe2\x82", b"\xe2(\xa1", b"\xe0\x80\xaf", b"\xe0\x9f\xbf",
                b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\xaf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfe",
                b"\xff", b"\xf8\x88\x80\x80\x80", b"\xe9t\xe9", b"\xc0\xae\xc0\xae", b"\xf0\x9f\x98", b"\xc3\xa9\xff")):
            name = b"bad-%d-" % number + raw + b".jpg"
            self.tree.put(name, tidepool.make_image())
            self.refuses("/uploads/" + urllib.parse.quote_from_bytes(name), 400)
            with self.subTest(raw=name):
                self.assertEqual(self.wire.get(b"/uploads/" + name).status, 400)


class Hidden(KeysCase):
    def hidden(self, name):
        self.tree.image(name)
        self.refuses("/uploads/" + urllib.parse.quote(name), 404)
        encoded_dots = urllib.parse.quote(name).replace(".", "%2e")
        self.refuses("/uploads/" + encoded_dots, 404)

    def test_hidden_files(self):
        for name in (".hidden.jpg", ".htaccess", ".a", "...", "..a.jpg", ".git/a.jpg", "2024/.trash/a.jpg", "2024/.a.jpg",
                     ".well-known/a.jpg", ".nfs000000001", "..data/a.jpg"):
            self.hidden(name)

    def test_temporary_files(self):
        for suffix in ("~", ".tmp", ".temp", ".part", ".partial", ".swp", ".filepart", ".crdownload"):
            self.hidden(f"a.jpg{suffix}")
            self.hidden(f"2024/b{suffix}")
            self.hidden(f"folder{suffix}/a.jpg")

    def test_names_that_only_look_temporary(self):
        for number, name in enumerate(("a.tmp.jpg", "tmp", "tmp.jpg", "part.jpg", "a~b.jpg", "apartment", "temp", "swp", "attempt",
                                       "a.parts", "a.tmpx")):
            self.serves("/uploads/" + name, self.tree.image(name, seed=number))

    def test_long_names(self):
        for name in ("a" * 246 + ".jpg", "b" * 250, "ü" * 123 + ".jpg", "/".join(["d" * 100] * 9) + "/a.jpg"):
            content = self.tree.image(name)
            self.serves("/uploads/" + urllib.parse.quote(name), content)
            self.serves("/uploads/" + urllib.parse.quote(name), content)
        for name in ("a" * 247 + ".jpg", "b" * 255):  # longer than an object store takes
            self.tree.image(name)
            self.refuses("/uploads/" + name, 404)
        for name in ("c" * 256, "c" * 10_000, "%41" * 5000, "d/" * 5000 + "a.jpg"):
            self.refuses("/uploads/" + name, 404)

    def test_the_longest_key(self):
        def key(length):
            folders = "/".join(["d" * 200] * 4)
            return f"{folders}/" + "f" * (length - len("uploads/") - len(folders) - 1)
        content = self.tree.image(key(1024))
        self.serves("/uploads/" + key(1024), content)
        self.tree.image(key(1025))
        self.refuses("/uploads/" + key(1025), 404)


class Walls(KeysCase):
    @classmethod
    def fill(cls):
        cls.tree.image("a.jpg")
        cls.outside = tidepool.Tree(cls.server.folder / "outside")
        cls.outside.image("secret.jpg")
        cls.outside.image("sub/secret.jpg")
        os.symlink("/etc/passwd", cls.tree.path / "passwd.jpg")
        os.symlink(cls.outside.path / "secret.jpg", cls.tree.path / "absolute.jpg")
        os.symlink("../outside/secret.jpg", cls.tree.path / "relative.jpg")
        os.symlink(cls.outside.path, cls.tree.path / "folder")
        os.symlink("../outside", cls.tree.path / "relative-folder")
        os.symlink("a.jpg", cls.tree.path / "inside.jpg")
        os.symlink(".", cls.tree.path / "itself")
        os.symlink("loop.jpg", cls.tree.path / "loop.jpg")
        os.symlink("nowhere.jpg", cls.tree.path / "dangling.jpg")
        os.symlink("/proc/self/root", cls.tree.path / "root")
        os.symlink("/proc/self/fd/0", cls.tree.path / "standard-input.jpg")
        os.symlink("/dev/zero", cls.tree.path / "zero.jpg")

    def test_links_are_not_followed(self):
        for name in ("passwd.jpg", "absolute.jpg", "relative.jpg", "folder/secret.jpg", "folder/sub/secret.jpg",
                     "relative-folder/secret.jpg", "inside.jpg", "itself/a.jpg", "loop.jpg", "dangling.jpg", "root/etc/passwd",
                     "standard-input.jpg", "zero.jpg", "folder", "itself"):
            self.refuses("/uploads/" + name, 404)
            self.refuses("/uploads/" + name, 404)  # now that it is known

    def test_a_file_that_becomes_a_link(self):
        content = self.tree.image("turns.jpg")
        self.serves("/uploads/turns.jpg", content)
        os.symlink(self.outside.path / "secret.jpg", self.tree.path / "beside.jpg")
        os.replace(self.tree.path / "beside.jpg", self.tree.path / "turns.jpg")
        tidepool.eventually(lambda: self.wire.get("/uploads/turns.jpg").status == 404, "the link is seen")

    def test_a_folder_that_becomes_a_link(self):
        content = self.tree.image("turning/secret.jpg")
        self.serves("/uploads/turning/secret.jpg", content)
        os.rename(self.tree.path / "turning", self.server.folder / "turned")
        os.symlink(self.outside.path, self.tree.path / "turning")
        tidepool.eventually(lambda: self.wire.get("/uploads/turning/secret.jpg").status == 404, "the link is seen")

    def test_a_hard_link_is_a_file(self):
        os.link(self.tree.path / "a.jpg", self.tree.path / "hard.jpg")
        self.serves("/uploads/hard.jpg", (self.tree.path / "a.jpg").read_bytes())

    def test_the_base_path_may_be_a_link(self):
        real = tidepool.Tree(self.outside.path / "real")
        content = real.image("a.jpg")
        link = self.server.folder / "link"
        os.symlink(real.path, link)
        server = self.serve(pools=[{"name": "hot", "base_path": link}])
        self.assertEqual(server.get("/uploads/a.jpg").body, content)

    def test_what_is_no_file_never_blocks(self):
        os.mkfifo(self.tree.path / "pipe.jpg")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        here = os.getcwd()
        os.chdir(self.tree.path)  # a socket's path must be short
        try:
            listener.bind("socket.jpg")
        finally:
            os.chdir(here)
        for _ in range(10):  # more than the pool has threads
            for name in ("pipe.jpg", "socket.jpg"):
                self.refuses("/uploads/" + name, 404)
                os.utime(self.tree.path / name)
        self.assertEqual(self.wire.get("/uploads/a.jpg").status, 200)
        writer = os.open(self.tree.path / "pipe.jpg", os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, writer)
        os.write(writer, tidepool.make_image())
        self.refuses("/uploads/pipe.jpg", 404)

    def test_many_pipes_at_once(self):
        for number in range(20):
            os.mkfifo(self.tree.path / f"pipe-{number}.jpg")
        self.wire.send(b"".join(tidepool.request(f"/uploads/pipe-{number}.jpg") for number in range(20)))
        self.assertEqual([self.wire.response().status for _ in range(20)], [404] * 20)

    def test_a_device(self):
        if os.geteuid() != 0:
            self.skipTest("only root makes devices")
        try:
            os.mknod(self.tree.path / "device.jpg", 0o20644, os.makedev(1, 5))  # /dev/zero
        except PermissionError:
            self.skipTest("no devices may be made here")
        self.refuses("/uploads/device.jpg", 404)


if __name__ == "__main__":
    tidepool.main()
