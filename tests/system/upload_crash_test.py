"""The server killed while files are uploaded: what was answered by 200 is there, and nothing is left of the others.

Every kill is by SIGKILL, at any moment of many uploads or at a step of one (see conf/fault_point.h). UPLOADS says how
many come at once before the first kill, and UPLOAD_KILLS how many kills there are, the others each of fewer uploads;
TIDEPOOL_SEED repeats what was drawn.
"""

import http.client
import os
import pathlib
import random
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import pictures  # noqa: E402
import tidepool  # noqa: E402
import uploads  # noqa: E402
from uploads import IMAGES, INTERNAL_UPLOAD, NODE, OWNER  # noqa: E402

UPLOADS = int(os.environ.get("UPLOADS", "200"))
LATER_UPLOADS = min(UPLOADS, 40)
KILLS = int(os.environ.get("UPLOAD_KILLS", "5"))
SEED = int(os.environ.get("TIDEPOOL_SEED", "0")) or random.randrange(1, 1 << 32)
SMALL = '[[profile]]\nname = "small"\nwidth = 40\nformats = ["webp"]\nat_upload = ["webp"]\n\n'
# The steps, and whether the image is there when the server dies at it.
STEPS = {"upload.begun": False, "upload.stored": False, "upload.noted": True}


class Sent:
    """A file that was sent, and what became of it as far as its client knows."""

    def __init__(self, content):
        self.content = content
        self.sha256 = uploads.sha256(content)
        self.stored = None  # the JSON of a 200
        self.status = None  # of the answer; None: there was none


class CrashCase(uploads.UploadCase):
    POOL_NAME = "hot"

    def setUp(self):
        super().setUp()
        self.chance = random.Random(SEED)
        self.sent = []
        self.refusals = []  # what those said that were neither stored nor cut off
        self.seeds = iter(range(1, 1_000_000))

    def begin(self, fault=None, **upload):
        """A new server, which may be told where to die."""
        self.start({"parallel": 2 * UPLOADS + 16, **upload}, extra=SMALL,
                   environment={"TIDEPOOL_FAULT_POINT": fault} if fault else None)
        # Which the first server gave them, and all others know.
        self.pool_number = self.pool_id(self.POOL_NAME)

    def picture(self):
        """One that nobody has sent yet, of 4 to 400 kB."""
        side = self.chance.choice((36, 60, 100, 180, 360))
        return pictures.noise(side, side, next(self.seeds))

    def send(self, one, through_session=None):
        """Uploads a file; by a session of this key, or by a token alone."""
        try:
            if through_session is None:
                token = self.token(len(one.content), pool=self.pool_number)
            else:
                answer = self.ask_session(len(one.content), through_session)
                if answer.status != 200:
                    one.status = answer.status
                    self.refusals.append(answer.json)
                    return
                token = answer.json["token"]
            answer = self.upload(one.content, "a.png", token)
            if answer.status == 503:  # a disk that is busy may not say in time what room it has
                answer = self.upload(one.content, "a.png", token)
            one.status = answer.status
            if answer.status == 200:
                one.stored = answer.json
            else:
                self.refusals.append(answer.json)
        except (OSError, ValueError, http.client.HTTPException):
            pass  # the server died of it, or was not there

    # --- what must hold ---

    def held(self):
        return self.stored(self.POOL_NAME)

    def unfinished(self):
        """What an upload left on its way."""
        return [path for path in uploads.spooled(self.folder / "uploads") | uploads.spooled(self.spool)
                if pathlib.Path(path).name.startswith(".") or self.spool in pathlib.Path(path).parents]

    def rows(self):
        return {row["key"]: row for row in self.json("ls", "--limit", "0")}

    def check_answered(self):
        """What was answered by 200 is there, whole."""
        for one in self.sent:
            if one.stored:
                answer = self.server.get(uploads.path_of(one.stored["url"]))
                self.assertEqual(answer.status, 200, f"{one.stored['image_uuid']}; seed {SEED}")
                self.assertEqual(uploads.sha256(answer.body), one.sha256, f"{one.stored['image_uuid']}; seed {SEED}")

    def check_ends(self):
        """Every image is whole, has its rows, and was sent; nothing else is anywhere. {SHA-256: key of the original}"""
        self.wait_for_jobs(patience_s=240)
        tidepool.eventually(lambda: not self.unfinished(), lambda: f"left: {self.unfinished()}; seed {SEED}")
        tidepool.eventually(lambda: set(self.held()) == set(self.rows()),
                            lambda: f"{set(self.held()) ^ set(self.rows())} have only bytes or only a row; seed {SEED}",
                            every_s=0.2)
        self.check_reconciled()
        held, rows = self.held(), self.rows()
        originals = {key: content for key, content in held.items() if key.startswith("uploads/original/")}
        by_digest = {}
        for key, content in originals.items():
            digest = uploads.sha256(content)
            self.assertNotIn(digest, by_digest, f"{key} is there twice; seed {SEED}")
            self.assertIn(rows[key]["sha256"], (digest, None), f"{key}; seed {SEED}")
            self.assertEqual(rows[key]["size"], len(content), f"{key}; seed {SEED}")
            by_digest[digest] = key
        known = {one.sha256: one for one in self.sent}
        self.assertEqual(set(by_digest) - set(known), set(), f"nobody sent these; seed {SEED}")
        for digest, one in known.items():
            if one.stored:
                self.assertEqual(by_digest.get(digest), uploads.path_of(one.stored["url"])[1:], f"seed {SEED}")
            elif one.status is not None:
                self.assertNotIn(digest, by_digest, f"it was answered by {one.status}; seed {SEED}")
        images = {pathlib.PurePosixPath(key).stem for key in originals}
        strays = [key for key in held if pathlib.PurePosixPath(key).stem.partition("_")[0] not in images]
        self.assertEqual(strays, [], f"variants of no image; seed {SEED}")
        self.assert_balanced()
        return by_digest

    def check_reconciled(self):
        """The server has mended all by itself: there is nothing left to find."""
        for result in self.json("reconcile", "--repair", "--older-than", "0s"):
            self.assertEqual((result["found"], result["all_well"]), (0, True), f"{result}; seed {SEED}")

    def send_again(self, by_digest):
        """Who got no answer comes again: he gets his image, the same where it was there already."""
        for one in [one for one in self.sent if not one.stored]:
            self.send(one)
            self.assertEqual(one.status, 200, f"seed {SEED}")
            self.assertEqual(one.stored["duplicate"], one.sha256 in by_digest, f"seed {SEED}")
            if one.sha256 in by_digest:
                self.assertEqual(uploads.path_of(one.stored["url"])[1:], by_digest[one.sha256])

    # --- at any moment ---

    def upload_until_killed(self, count):
        """So many at once; the server is killed when some of them are answered."""
        batch = [Sent(self.picture()) for _ in range(count)]
        self.sent += batch
        key = self.key()
        sessions = [self.chance.random() < 0.5 for _ in batch]
        wanted = self.chance.randrange(0, count)
        begin = threading.Barrier(len(batch) + 1)

        def run(one, by_session):
            begin.wait()
            self.send(one, key if by_session else None)

        threads = [threading.Thread(target=run, args=pair) for pair in zip(batch, sessions)]
        for thread in threads:
            thread.start()
        begin.wait()
        tidepool.eventually(lambda: sum(one.status is not None for one in batch) >= wanted, "so many are answered",
                            every_s=0.001)
        self.server.crash()
        for thread in threads:
            thread.join()
        return batch

    def kill_again_and_again(self):
        self.begin()
        unanswered = 0
        for kill in range(KILLS):
            batch = self.upload_until_killed(LATER_UPLOADS if kill else UPLOADS)
            unanswered += sum(one.status is None for one in batch)
            self.begin()
            self.check_answered()
            # A server that has just started takes uploads as ever, whatever it has to clean up.
            one = Sent(self.picture())
            self.sent.append(one)
            self.send(one)
            self.assertEqual(one.status, 200, f"seed {SEED}")
        self.assertGreater(unanswered, 0, f"no upload was killed; seed {SEED}")
        self.assertEqual({one.status for one in self.sent} - {None, 200}, set(), f"{self.refusals}; seed {SEED}")
        self.check_answered()
        by_digest = self.check_ends()
        self.send_again(by_digest)
        self.check_answered()
        by_digest = self.check_ends()
        self.assertEqual(len(by_digest), len(self.sent))

    # --- at its steps ---

    def kill_at(self, step, count):
        """The server dies at a step of the `count`th of uploads that come one after the other."""
        first = len(self.sent)
        self.begin(f"{step}:{count}")
        for number in range(1, count + 3):
            one = Sent(self.picture())
            self.sent.append(one)
            self.send(one)
            if one.status is None:
                break
            self.assertLess(number, count, f"it did not die at {step}")
        self.assertEqual(self.server.child.wait(timeout=tidepool.PATIENCE_S), -signal.SIGKILL)
        self.server.stopped = True
        self.assertEqual([one.status for one in self.sent[first:]], [200] * (count - 1) + [None])
        self.begin()
        self.check_answered()
        by_digest = self.check_ends()
        self.assertEqual(self.sent[-1].sha256 in by_digest, STEPS[step], step)
        self.send_again(by_digest)
        self.assertEqual(len(self.check_ends()), len(self.sent))
        self.server.stop_process()

    def kill_at_each_step(self):
        for step in STEPS:
            for count in (1, 3):
                with self.subTest(step=step, count=count):
                    self.kill_at(step, count)

    def kill_many_at(self, step):
        """The same, in the midst of others that are at other steps."""
        self.begin(f"{step}:{self.chance.randrange(2, 9)}")
        batch = [Sent(self.picture()) for _ in range(10)]
        self.sent += batch
        uploads.at_once(len(batch), lambda number: self.send(batch[number]))
        self.assertEqual(self.server.child.wait(timeout=tidepool.PATIENCE_S), -signal.SIGKILL)
        self.server.stopped = True
        self.begin()
        self.check_answered()
        self.send_again(self.check_ends())
        self.assertEqual(len(self.check_ends()), len(self.sent))
        self.server.stop_process()


class OnADisk(CrashCase):
    def test_at_any_moment(self):
        self.kill_again_and_again()

    def test_at_each_step(self):
        self.kill_at_each_step()

    def test_at_each_step_of_many(self):
        for step in STEPS:
            with self.subTest(step=step):
                self.kill_many_at(step)

    def test_twice_in_a_row(self):
        """Killed again before it has cleaned up."""
        for step in ("upload.begun", "upload.stored"):
            for _ in range(2):
                self.begin(f"{step}:1")
                one = Sent(self.picture())
                self.sent.append(one)
                self.send(one)
                self.assertIsNone(one.status)
                self.assertEqual(self.server.child.wait(timeout=tidepool.PATIENCE_S), -signal.SIGKILL)
                self.server.stopped = True
        self.begin()
        self.assertEqual(self.check_ends(), {})

    def test_the_same_file_at_once(self):
        """Of a file that several send while the server dies there is one image in the end, or none."""
        for step in STEPS:
            with self.subTest(step=step):
                self.begin(f"{step}:2")
                content = self.picture()
                same = [Sent(content) for _ in range(6)]
                uploads.at_once(len(same), lambda number: self.send(same[number]))
                # Where it is a duplicate before it comes to the step, nobody comes there a second time.
                if self.server.child.poll() is None:
                    self.server.crash()
                self.server.stopped = True
                answered = [one for one in same if one.stored]
                self.assertLessEqual(len({one.stored["image_uuid"] for one in answered}), 1)
                self.sent.append(answered[0] if answered else Sent(content))
                self.begin()
                self.check_answered()
                self.send_again(self.check_ends())
                self.assertEqual(len(self.check_ends()), len(self.sent))
                self.server.stop_process()

    def test_reservations_do_not_outlive_their_sessions(self):
        pools = [{"name": "hot", "base_path": self.trees["uploads"].path, "upload_api_url": NODE + INTERNAL_UPLOAD,
                  "max_size": "1MiB"}]
        options = {"extra": SMALL, "pools": pools}
        self.start({"session_lifetime": "2s"}, **options)
        key = self.key(OWNER, "--quota", "1MiB")
        session = self.session(900_000, key)
        content = self.picture()
        body = uploads.form(uploads.file(content, "a.png"))
        wire = self.wire()
        wire.send(self.head_of(session["token"], len(body)) + body[:len(body) // 2])
        self.server.crash()
        self.start({"session_lifetime": "2s"}, **options)
        tidepool.eventually(lambda: self.ask_session(900_000, key).status == 200, "there is room again", every_s=0.1)
        self.assert_nothing_left()
        self.assert_balanced()

    def test_what_was_to_be_made_of_an_upload_is_made_after_the_restart(self):
        self.begin("upload.noted:1")
        key = self.key()
        one = Sent(self.picture())
        self.sent.append(one)
        self.send(one)
        self.assertIsNone(one.status)
        self.assertEqual(self.server.child.wait(timeout=tidepool.PATIENCE_S), -signal.SIGKILL)
        self.server.stopped = True
        self.begin()
        by_digest = self.check_ends()
        self.send_again(by_digest)
        uuid = one.stored["image_uuid"]
        self.wait_processed(uuid, key)
        self.assertEqual(len([name for name in self.held() if uuid in name]), 2)
        self.assertEqual(self.api("GET", f"{IMAGES}/{uuid}", key).status, 200)


class OnB2(CrashCase):
    POOL_NAME = "cold"

    def pools(self, **options):
        store = cold.Store(self.b2.s3_url, self.b2.region, self.b2.key)
        return [tidepool.bucket_pool(store, cold.BUCKET, upload_api_url=NODE + INTERNAL_UPLOAD, **options)]

    def check_ends(self):
        by_digest = super().check_ends()
        # No version that nobody sees, and no parts of an upload, which both cost money.
        for key in self.b2.keys(cold.BUCKET):
            self.assertEqual(len(self.b2.versions(cold.BUCKET, key)), 1, f"{key}; seed {SEED}")
        self.assertEqual(len(self.b2.account.bucket(cold.BUCKET).uploads), 0, f"seed {SEED}")
        return by_digest

    def test_at_any_moment(self):
        self.kill_again_and_again()

    def test_at_each_step(self):
        self.kill_at_each_step()

    def test_at_each_step_of_many(self):
        for step in STEPS:
            with self.subTest(step=step):
                self.kill_many_at(step)

    def test_while_the_bucket_stores_it(self):
        """The server dies while it waits for the answer to its PUT, which the bucket has done."""
        self.begin()
        fault = self.b2.fault("slow_first_byte", seconds=1, method="PUT")
        one = Sent(self.picture())
        self.sent.append(one)
        thread = threading.Thread(target=self.send, args=(one,))
        thread.start()
        fault.wait_hits(1)
        self.server.crash()
        thread.join()
        self.assertIsNone(one.status)
        # The bucket's part is done only now, when nobody waits for it any more.
        tidepool.eventually(lambda: self.held(), "the bucket has it")
        self.begin()
        self.assertEqual(self.check_ends(), {})
        self.send_again({})
        self.assertEqual(len(self.check_ends()), 1)


if __name__ == "__main__":
    tidepool.main()
