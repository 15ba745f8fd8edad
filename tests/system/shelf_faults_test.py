"""A shelf whose files vanish, change, are cut or cannot be written while it is used: no answer is ever wrong."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402

SIZE = 400_000  # served by sendfile, not from memory


class ShelfFaults(cold.ColdCase):
    def begin(self, hashed=True, etag=None, **config):
        self.put("a.jpg", SIZE, etag=etag)
        self.server = self.serve_cold({"origin": cold.IMPATIENT, **config}, hashed=hashed)
        self.assert_served(self.server, "a.jpg")
        self.assert_served(self.server, "a.jpg")
        return tidepool.eventually(lambda: self.shelf_files(self.server), "it is on the shelf")[0]

    def assert_recovers(self):
        """No answer is wrong, and soon one is right."""
        def right():
            with self.server.connect() as wire:
                wire.send(tidepool.request("/uploads/a.jpg", "Connection: close"))
                data, _ = wire.read_to_end()
            head, _, body = data.partition(b"\r\n\r\n")
            answer = tidepool.parse_head(head) if head else None
            if answer is None or answer.status != 200 or len(body) < int(answer["content-length"]):
                return False
            self.assertTrue(body == self.contents["a.jpg"], "it is whole and wrong")
            return True
        tidepool.eventually(right, "it is served again", patience_s=15)
        for _ in range(3):
            self.assert_served(self.server, "a.jpg")

    def test_bits_of_a_slice_flip(self):
        content = self.put("big.jpg", 3 * 1024 * 1024)
        self.server = self.serve_cold(hashed=True)
        for harmed in (False, True):
            for path in self.shelf_files(self.server) if harmed else []:
                data = bytearray(path.read_bytes())
                data[500_000] ^= 1
                path.write_bytes(data)
            answer = self.server.get("/uploads/big.jpg", "Range: bytes=1000-2000000")
            self.assertTrue(answer.body == content[1000:2_000_001])

    def test_a_file_vanishes(self):
        self.begin().unlink()
        self.assert_recovers()

    def test_a_file_vanishes_while_nothing_runs(self):
        file = self.begin()
        self.server.stop_process()
        file.unlink()
        self.server = self.serve_cold(folder=self.server.folder, scanned=False)
        self.assert_recovers()
        self.assertEqual(len(self.fetches()), 1)

    def test_bits_of_a_file_flip(self):
        with open(self.begin(), "r+b") as file:
            file.seek(SIZE // 2)
            byte = file.read(1)
            file.seek(SIZE // 2)
            file.write(bytes((byte[0] ^ 1,)))
        self.assert_recovers()

    def flip_a_bit_while_nothing_runs(self, path, at):
        self.server.stop_process()
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)
        self.server = self.serve_cold(folder=self.server.folder, scanned=False)
        self.assert_recovers()
        self.assertEqual(len(self.fetches()), 1)

    def test_bits_of_a_file_flip_while_nothing_runs(self):
        self.flip_a_bit_while_nothing_runs(self.begin(), SIZE // 2)

    def test_bits_flip_of_what_the_catalog_knows_no_digest_of(self):
        for at in (SIZE // 2, SIZE + 5):  # of the bytes, and of the digest behind them
            with self.subTest(at=at):
                path = self.begin(hashed=False, etag="0123456789abcdef0123456789abcdef-2")
                self.flip_a_bit_while_nothing_runs(path, at)

    def test_a_file_is_cut_short(self):
        os.truncate(self.begin(), SIZE // 2)
        self.assert_recovers()

    def test_a_file_is_cut_short_while_nothing_runs(self):
        path = self.begin()
        self.server.stop_process()
        os.truncate(path, SIZE // 2)
        self.server = self.serve_cold(folder=self.server.folder, scanned=False)
        self.assert_recovers()
        self.assertEqual(len(self.fetches()), 1)

    def test_slices_vanish_or_are_cut_short(self):
        content = self.put("big.jpg", 3 * 1024 * 1024)
        self.server = self.serve_cold()
        for harm in (None, pathlib.Path.unlink, lambda path: os.truncate(path, 1000)):
            for path in self.shelf_files(self.server)[:2] if harm else []:
                harm(path)
            answer = self.server.get("/uploads/big.jpg", "Range: bytes=1000-3000000")
            self.assertEqual(answer.status, 206)
            self.assertTrue(answer.body == content[1000:3_000_001])
            self.assertEqual(len(self.shelf_files(self.server)), 3)
        self.assertEqual(len(self.fetches()), 7, "what was harmed is fetched again, nothing else")

    def test_the_whole_shelf_is_removed(self):
        self.begin()
        for path in sorted((self.server.folder / "shelf").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.put("b.jpg", SIZE)
        cold.scan(self.server, self.b2.key.secret)
        self.assert_recovers()
        self.assert_served(self.server, "b.jpg")
        self.assert_served(self.server, "b.jpg")

    def test_its_file_system_is_full(self):
        self.put("a.jpg", SIZE)
        self.server = self.serve_cold()
        self.server.stop_process()
        shelf = {"path": self.server.folder / "shelf", "min_free": "1TiB"}  # more than is free
        self.server = self.serve_cold({"shelf": shelf}, folder=self.server.folder, scanned=False)
        for _ in range(2):
            self.assert_served(self.server, "a.jpg")
        self.assertEqual(self.shelf_files(self.server), [])

    def test_what_is_too_large_for_it_is_served_past_it(self):
        self.put("a.jpg", SIZE)
        server = self.serve_cold()
        server.stop_process()
        self.server = self.serve_cold({"shelf": {"path": server.folder / "shelf", "size": "1MiB", "min_free": "0B"}},
                                      folder=server.folder, scanned=False)
        self.assert_served(self.server, "a.jpg")
        self.assertEqual(self.shelf_files(self.server), [])

    def test_it_evicts_and_stays_right(self):
        names = [f"{number}.jpg" for number in range(12)]
        for name in names:
            self.put(name, 200_000)
        server = self.serve_cold()
        server.stop_process()
        self.server = self.serve_cold({"shelf": {"path": server.folder / "shelf", "size": "1MiB", "min_free": "0B"}},
                                      folder=server.folder, scanned=False)
        for name in [*names, *names]:
            self.assert_served(self.server, name)
            self.assert_served(self.server, name)  # from the shelf, whose file stays open
        self.assertLessEqual(sum(path.stat().st_size for path in self.shelf_files(self.server)), 1024 * 1024)
        self.assert_shelf_is_right(self.server)
        # Nor is what was evicted held open, where it would take up the disk unseen.
        tidepool.eventually(lambda: not self.unlinked_files(self.server), "evicted files are let go of")

    def unlinked_files(self, server):
        return [target for target in tidepool.open_files(server.pid)
                if "/shelf/" in target and target.endswith("(deleted)")]


if __name__ == "__main__":
    tidepool.main()
