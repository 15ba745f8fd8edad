"""A pool whose disk hangs takes no uploads, and holds up none that go elsewhere."""

import contextlib
import pathlib
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402
import uploads  # noqa: E402
from pictures import picture  # noqa: E402
from uploads import INTERNAL_UPLOAD, NODE, OTHER_OWNER, OWNER  # noqa: E402

MANY = 40  # more than there are threads for uploads
HANGS = "60s"  # longer than any client of a test waits


class HungPool(uploads.UploadCase):
    def begin(self, *wanted, upload=None):
        pools = [{"name": name, "storage_tier": tier, "base_path": tidepool.Tree(self.folder / name).path,
                  "upload_api_url": NODE + INTERNAL_UPLOAD, "priority": priority, **more}
                 for priority, (name, tier, more) in enumerate(wanted, 1)]
        self.start(upload, pools=pools, extra=uploads.ONE_PROFILE)
        # Killed, as its end waits for the disk.
        self.addCleanup(self.server.crash)

    def assert_all_go_to(self, pool):
        key = self.key()
        answers = uploads.at_once(MANY, lambda _: self.ask_session(1000, key))
        self.assertEqual({answer.status for answer in answers}, {200}, answers)
        self.assertEqual({answer.json["pool_id"] for answer in answers}, {self.pool_id(pool)})

    def test_a_cold_one_is_not_asked_where_a_hot_one_has_room(self):
        self.begin(("near", "hot", {}), ("dead", "cold", {"debug_disk_delay": HANGS}))
        self.assert_all_go_to("near")

    def test_a_hot_one_is_passed_over(self):
        self.begin(("dead", "hot", {"debug_disk_delay": HANGS}), ("near", "hot", {}))
        self.assert_all_go_to("near")

    def test_where_there_is_no_other_nobody_waits_for_it(self):
        self.begin(("dead", "hot", {"debug_disk_delay": HANGS}))
        key = self.key()
        for answer in uploads.at_once(MANY, lambda _: self.ask_session(1000, key)):
            self.assert_error(answer, 500, "no_storage_pool")

    def test_files_for_it_come_later_and_others_are_stored(self):
        self.begin(("dead", "hot", {"debug_disk_delay": HANGS}), ("near", "hot", {}))
        contents = [picture("png", 60 + i, 60) for i in range(MANY)]
        dead, near = self.pool_id("dead"), self.pool_id("near")
        answers = uploads.at_once(MANY, lambda i: self.upload(
            contents[i], "a.png", self.token(len(contents[i]), pool=near if i % 2 else dead)))
        for i, answer in enumerate(answers):
            if i % 2:
                self.accepted(answer)
            else:
                self.assert_come_later(answer, 503, "service_unavailable")

    def test_what_other_nodes_bring_for_it_holds_up_nothing_that_they_bring_for_others(self):
        self.begin(("dead", "hot", {"debug_disk_delay": HANGS}), ("near", "hot", {}),
                   upload={"replicate_secret": "env:TIDEPOOL_TEST_REPLICATE"})
        content = picture("png", 60, 60)
        dead, near = self.pool_id("dead"), self.pool_id("near")

        def replicate(number):
            fields = {"pool_id": near if number % 2 else dead, "stored_path": f"original/2026/02/25/{number}.png"}
            form = uploads.form(*(uploads.field(*field) for field in fields.items()), uploads.file(content, "a.png"))
            return self.send_form(form, path=uploads.REPLICATE, method="PUT",
                                  fields={"Authorization": f"Bearer {uploads.REPLICATE_SECRET}"})

        for number, answer in enumerate(uploads.at_once(MANY, replicate)):
            if number % 2:
                self.assertEqual(answer.json, {"status": "ok"}, answer)
            else:
                self.assert_come_later(answer, 503, "service_unavailable")
        self.assertEqual(len(self.json("ls", "--limit", "0")), MANY // 2)

    def test_the_uploads_of_one_pool_leave_places_for_others(self):
        self.begin(("first", "hot", {}), ("second", "hot", {}), upload={"parallel": 4})
        content = picture("png", 60, 60)
        first, others_first, others_second = (
            self.token(len(content), owner, self.pool_id(pool))
            for owner, pool in ((OWNER, "first"), (OTHER_OWNER, "first"), (OTHER_OWNER, "second")))
        body = uploads.form(uploads.file(content, "a.png"))
        wires = [self.wire() for _ in range(3)]
        for wire in wires:
            wire.send(self.head_of(first, len(body)) + body[:-1])
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/catalog.db?mode=ro", uri=True)) as catalog:
            tidepool.eventually(lambda: catalog.execute("SELECT count(*) FROM uploads").fetchone() == (3,),
                                "they have begun")
        self.assert_come_later(self.upload(content, "a.png", others_first), 503, "service_unavailable")
        self.accepted(self.upload(content, "a.png", others_second))
        for wire in wires:
            wire.send(body[-1:])
            self.accepted(wire.answer())
        self.accepted(self.upload(content, "a.png", first))


if __name__ == "__main__":
    tidepool.main()
