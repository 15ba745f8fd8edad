"""Files that other programs add, replace, rewrite, cut and remove while they are served.

A change shows within cache.freshness, and no answer is ever a mixture: its body is the one its ETag names, or it is
visibly broken off.
"""

import os
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

LARGE = 24 * 1024 * 1024  # more than the socket buffers of both ends hold


class Changes(tidepool.ServerCase):
    SIZES = {"memory": 5_000, "file": 300_000}

    def shows(self, path, content):
        """Asks until this content comes; every answer on the way must be whole."""
        with self.server.connect() as wire:
            def look():
                answer = wire.get(path)
                if answer.status == 200:
                    self.assertEqual(answer["etag"], tidepool.etag_of(answer.body))
                return answer.status == (404 if content is None else 200) and answer.body == (content or answer.body)
            tidepool.eventually(look, f"{path} shows its change")

    def each_size(self):
        for kind, size in self.SIZES.items():
            with self.subTest(kind=kind):
                yield kind, size

    def test_an_added_file_shows_after_its_absence_was_remembered(self):
        for kind, size in self.each_size():
            self.assertEqual(self.server.get(f"/uploads/added-{kind}.jpg").status, 404)
            content = self.tree.image(f"added-{kind}.jpg", size=size)
            self.shows(f"/uploads/added-{kind}.jpg", content)

    def test_a_file_in_a_new_folder_shows(self):
        self.assertEqual(self.server.get("/uploads/2031/01/a.jpg").status, 404)
        self.shows("/uploads/2031/01/a.jpg", self.tree.image("2031/01/a.jpg"))

    def test_a_removed_file_is_gone(self):
        for kind, size in self.each_size():
            self.shows(f"/uploads/removed-{kind}.jpg", self.tree.image(f"removed-{kind}.jpg", size=size))
            (self.tree.path / f"removed-{kind}.jpg").unlink()
            self.shows(f"/uploads/removed-{kind}.jpg", None)

    def test_a_renamed_folder_takes_its_files_along(self):
        content = self.tree.image("before/a.jpg")
        self.shows("/uploads/before/a.jpg", content)
        self.assertEqual(self.server.get("/uploads/after/a.jpg").status, 404)
        (self.tree.path / "before").rename(self.tree.path / "after")
        self.shows("/uploads/after/a.jpg", content)
        self.shows("/uploads/before/a.jpg", None)

    def test_a_file_replaced_by_one_of_the_same_size_and_time_shows(self):
        for kind, size in self.each_size():
            name = f"same-{kind}.jpg"
            self.shows(f"/uploads/{name}", self.tree.image(name, size=size, seed=1, mtime=1_700_000_000))
            self.shows(f"/uploads/{name}", self.tree.image(name, size=size, seed=2, mtime=1_700_000_000))

    def test_a_file_rewritten_in_place_shows(self):
        for kind, size in self.each_size():
            name = f"rewritten-{kind}.jpg"
            self.shows(f"/uploads/{name}", self.tree.image(name, size=size, seed=1))
            content = tidepool.make_image(size=size, seed=2)
            with open(self.tree.path / name, "r+b") as file:
                file.write(content)
            self.shows(f"/uploads/{name}", content)

    def test_a_file_that_grows_and_shrinks_across_the_memory_limit_shows(self):
        name = "resized.jpg"
        for size in (1_000, 200_000, 2_000):
            self.shows(f"/uploads/{name}", self.tree.image(name, size=size))

    def test_a_client_s_validator_meets_the_new_version(self):
        name = "validated.jpg"
        self.shows(f"/uploads/{name}", self.tree.image(name, size=300_000, seed=1))
        old = self.server.get(f"/uploads/{name}")["etag"]
        self.assertEqual(self.server.get(f"/uploads/{name}", f"If-None-Match: {old}").status, 304)
        content = self.tree.image(name, size=300_000, seed=2)
        self.shows(f"/uploads/{name}", content)
        self.assertEqual(self.server.get(f"/uploads/{name}", f"If-None-Match: {old}").status, 200)
        resumed = self.server.get(f"/uploads/{name}", "Range: bytes=100-", f"If-Range: {old}")
        self.assertEqual((resumed.status, resumed.body), (200, content))

    def test_unchanged_files_keep_their_descriptor_and_digest(self):
        self.shows("/uploads/steady.jpg", self.tree.image("steady.jpg", size=300_000))
        before = self.server.metrics().sum("tidepool_http_requests_total", source="disk")
        with self.server.connect() as wire:
            def aged():  # several times the freshness
                self.assertEqual(wire.get("/uploads/steady.jpg").status, 200)
                aged.count += 1
                return aged.count > 100
            aged.count = 0
            tidepool.eventually(aged, "a hundred looks", every_s=0.01)
        # One, because a request is counted only once its answer is out; opening anew would show at every check.
        self.assertLessEqual(self.server.metrics().sum("tidepool_http_requests_total", source="disk"), before + 1)


class DuringDownloads(tidepool.OwnServerCase):
    def begin(self, size=LARGE):
        self.server = self.serve()
        self.content = self.server.tree.image("a.jpg", size=size, seed=1)
        wire = self.server.connect(receive_buffer=4096)
        self.addCleanup(wire.close)
        wire.send(tidepool.request("/uploads/a.jpg"))
        self.assertEqual(wire.read_head()["etag"], tidepool.etag_of(self.content))
        return wire

    def test_a_replaced_or_removed_file_is_finished_as_it_was(self):
        for change in ("replace", "remove"):
            with self.subTest(change=change):
                wire = self.begin()
                if change == "replace":
                    self.server.tree.image("a.jpg", size=LARGE, seed=2)
                else:
                    (self.server.tree.path / "a.jpg").unlink()
                self.assertEqual(wire.read_exactly(LARGE), self.content)

    def test_a_file_that_is_cut_or_rewritten_breaks_off_visibly(self):
        for change in ("cut", "rewrite", "append"):
            with self.subTest(change=change):
                wire = self.begin()
                with open(self.server.tree.path / "a.jpg", "r+b") as file:
                    if change == "cut":
                        file.truncate(100)
                    elif change == "append":
                        file.seek(0, os.SEEK_END)
                        file.write(b"more")
                    else:
                        file.write(tidepool.make_image(size=LARGE, seed=2))
                body, end = wire.read_to_end()
                self.assertEqual(end, "rst")
                self.assertLess(len(body), LARGE)

    def test_many_readers_and_a_writer_never_meet_half_a_file(self):
        server = self.serve({"server": {"threads": 2}, "cache": {"freshness": "100ms"}})
        versions = {}
        for name, size in (("small.jpg", 30_000), ("large.jpg", 400_000)):
            for seed in range(4):
                content = tidepool.make_image(size=size + seed, seed=(name, seed))
                versions[tidepool.etag_of(content)] = content
                server.tree.put(name, content)
        done = threading.Event()
        seen, failures = set(), []

        def read(name, field):
            try:
                with server.connect() as wire:
                    while not done.is_set():
                        answer = wire.get(f"/uploads/{name}", *field)
                        content = versions[answer["etag"]]
                        wanted = content if answer.status == 200 else content[1000:25_000]
                        if answer.status not in (200, 206) or answer.body != wanted:
                            failures.append(repr(answer))
                        seen.add(answer["etag"])
            except (OSError, AssertionError, KeyError) as error:
                failures.append(repr(error))

        threads = [threading.Thread(target=read, args=(name, field)) for name in ("small.jpg", "large.jpg")
                   for field in ((), ("Range: bytes=1000-24999",))]
        for thread in threads:
            thread.start()
        writes = 0

        def write():
            nonlocal writes
            for name, size in (("small.jpg", 30_000), ("large.jpg", 400_000)):
                seed = writes % 4
                server.tree.put(name, tidepool.make_image(size=size + seed, seed=(name, seed)))
            writes += 1
            return len(seen) == len(versions) and writes > 30 or failures
        try:
            tidepool.eventually(write, lambda: f"every version is seen, not {len(seen)}", every_s=0.03)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    tidepool.main()
