"""An origin that is down, refuses or costs too much: clear answers that nobody keeps, and what is on the shelf goes on."""

import contextlib
import json
import pathlib
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402

QUICK = {"connect_timeout": "500ms", "first_byte_timeout": "500ms", "stall_timeout": "500ms", "tries": 2}


class OriginDown(cold.ColdCase):
    def begin(self, origin=None, **options):
        self.put("shelved.jpg", 300_000)
        self.put("a.jpg", 300_000)
        self.proxy = self.fault_proxy()
        self.server = self.serve_cold({"origin": {**QUICK, **(origin or {})}}, url=self.proxy.url, **options)
        self.assert_served(self.server, "shelved.jpg")

    def refused(self, *statuses, path="/uploads/a.jpg"):
        """Asks; the answer is one for now, and what is on the shelf is served meanwhile."""
        answer = self.server.get(path)
        self.assert_refusal(answer, *statuses)
        self.assertNotIn(b"<Error>", answer.body)
        self.assert_served(self.server, "shelved.jpg")
        return answer

    def assert_heals(self):
        self.b2.clear_faults()
        self.proxy.heal()
        self.assert_served(self.server, "a.jpg")

    def test_connections_are_refused(self):
        self.begin()
        self.proxy.refuse()
        self.proxy.drop()
        self.refused(502)
        self.assert_heals()

    def test_connections_are_accepted_and_nothing_follows(self):
        self.begin()
        self.proxy.silence()
        self.proxy.drop()
        self.refused(504)
        self.assert_heals()

    def test_requests_are_never_answered(self):
        self.begin()
        silence = self.b2.fault("half_open", method="GET", count=None)
        self.refused(504)
        silence.release()
        self.assert_heals()

    def test_errors_of_every_kind(self):
        self.begin(origin={"tries": 1})
        for status, expected in ((500, 502), (502, 502), (503, 503), (429, 503), (401, 502), (403, 502), (400, 502)):
            with self.subTest(status=status):
                code = "AccessDenied" if status == 403 else "SomethingElse"
                fault = self.b2.fault("error", method="GET", status=status, code=code, message="no", count=None)
                self.refused(502, expected)
                fault.release()
                self.assert_heals() if status == 400 else None

    def test_a_cap_is_503_and_no_storm(self):
        self.begin()
        self.b2.fault("cap_exceeded", method="GET", count=None)
        self.refused(503)
        calls = len(self.fetches())
        for _ in range(10):
            self.refused(503)
        self.assertEqual(len(self.fetches()), calls, "it is not asked again")

    def test_the_day_s_budget_is_used_up(self):
        self.begin(pool={"daily_class_b_calls": 1})
        calls = len(self.fetches())
        answer = self.refused(503)
        self.assertLessEqual(int(answer["retry-after"]), 3600)
        self.assertEqual(len(self.fetches()), calls)
        self.assertEqual(self.server.get("/uploads/a.jpg", method="HEAD").status, 200, "its head costs nothing")

    def calls_used(self, server):
        return server.metrics().sum("tidepool_budget_used", pool="cold", item="class_b_calls")

    def test_a_restart_does_not_forget_what_the_day_has_used(self):
        for name in "abcd":
            self.put(f"{name}.jpg")
        limit = {"daily_class_b_calls": 3}
        server = self.serve_cold(pool=limit)

        def served(name):
            self.assert_served(server, f"{name}.jpg")

        def restarted():
            return self.serve_cold(pool=limit, folder=server.folder, scanned=False)
        served("a")
        server.stop_process()  # at its end it writes down what it used
        server = restarted()
        served("b")
        served("c")

        def calls_saved():
            with contextlib.closing(sqlite3.connect(server.folder / "catalog.db")) as catalog:
                return catalog.execute("SELECT sum(class_b_calls) FROM budgets").fetchone()[0]
        tidepool.eventually(lambda: calls_saved() == 3, "it writes down what it uses")
        server.crash()
        server = restarted()
        self.assert_refusal(server.get("/uploads/d.jpg"), 503)
        self.assertEqual(self.fetches(), [])
        self.assertEqual(self.calls_used(server), 3)

    def test_a_take_over_does_not_forget_what_the_day_has_used(self):
        for name in "abc":
            self.put(f"{name}.jpg")
        server = self.serve_cold(pool={"daily_class_b_calls": 2})
        self.assert_served(server, "a.jpg")
        self.assert_served(server, "b.jpg")
        self.assertEqual(server.exit_of(server.take_over()), 0)
        tidepool.eventually(lambda: self.calls_used(server) == 2, "it knows what its predecessor used")
        self.assert_refusal(server.get("/uploads/c.jpg"), 503)

    def test_an_object_that_should_be_there_is_not(self):
        self.begin()
        self.b2.delete(cold.BUCKET, "uploads/a.jpg")
        answer = self.server.get("/uploads/a.jpg")
        self.assertEqual(answer.status, 404)
        self.assertIn("max-age=60", answer["cache-control"])
        self.server.wait_log(r"catalog and store disagree pool=cold key=uploads/a\.jpg")

        def job():
            with contextlib.closing(sqlite3.connect(self.server.folder / "catalog.db")) as catalog:
                return catalog.execute("SELECT type, payload FROM jobs").fetchall()
        rows = tidepool.eventually(job, "a job is queued")
        self.assertEqual([(kind, json.loads(payload)) for kind, payload in rows],
                         [("reconcile", {"key": "uploads/a.jpg", "pool": "cold"})])
        self.server.get("/uploads/a.jpg")
        self.assertEqual(len(job()), 1, "one for all who ask")

    def test_what_nobody_knows_is_404_without_a_call(self):
        self.begin()
        self.b2.clear_requests()
        self.assertEqual(self.server.get("/uploads/never.jpg").status, 404)
        self.assertEqual(self.b2.requests, [])

    def test_a_failing_store_is_left_alone_and_found_well_again(self):
        self.begin(origin={"tries": 1})
        self.b2.fault("error", method="GET", status=500, count=None)

        def opened():
            answer = self.server.get("/uploads/a.jpg")
            self.assert_refusal(answer, 502, 503)
            return answer.status == 503
        tidepool.eventually(opened, "the breaker opens")
        calls = len(self.fetches())
        self.assertLessEqual(calls, 60)
        begun = time.monotonic()
        for _ in range(20):
            answer = self.refused(503)
            self.assertLessEqual(int(answer["retry-after"]), 10)
        if time.monotonic() - begun < 4:  # it asks again after five seconds
            self.assertEqual(len(self.fetches()), calls)
        self.b2.clear_faults()
        tidepool.eventually(lambda: self.server.get("/uploads/a.jpg").status == 200, "it closes again", every_s=0.1)
        self.assert_served(self.server, "a.jpg")


if __name__ == "__main__":
    tidepool.main()
