"""Settings that are changed while the server runs: by the admin API, over a file that goes on to change, too."""

import contextlib
import pathlib
import signal
import sqlite3
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import admin_api  # noqa: E402
import tidepool  # noqa: E402

# Every image that nobody has viewed since yesterday may go at once.
EAGER = {"hot_keep_days_after_upload": 0, "demote_if_no_views_days": 1, "min_dwell_days_per_tier": 0,
         "sweep_interval": "1h"}
ADMIN = {"listen": ["127.0.0.1:0"], "token": "env:TIDEPOOL_TEST_TOKEN"}


class SettingsCase(admin_api.ApiCase):
    def change(self, **sections):
        """The document that a change is answered with."""
        return self.good("PATCH", "/settings", sections)

    def value(self, name):
        section, key = name.split(".")
        return self.good("GET", "/settings")["reload"][section][key]

    def overridden(self):
        return self.good("GET", "/settings")["overridden"]

    def reload(self, **sections):
        """Another file, and a SIGHUP."""
        mark = len(self.server.log())
        self.server.write_config({"admin": ADMIN, "move": {"grace": self.GRACE}, "server": {"threads": 2}, **sections})
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration reloaded", after=mark)

    def restart(self, config=None, **options):
        self.server.stop_process()
        self.start(config, scanned=False, **options)

    def rows(self):
        """What the catalog keeps."""
        with contextlib.closing(sqlite3.connect(self.folder / "catalog.db")) as catalog:
            return dict(catalog.execute("SELECT name, value FROM settings"))

    def add_row(self, name, value):
        with contextlib.closing(sqlite3.connect(self.folder / "catalog.db")) as catalog, catalog:
            catalog.execute("INSERT INTO settings VALUES (?, ?, 0)", (name, value))

    def ranges_answered(self):
        """206 where a request for two ranges is answered with them, 200 where that are too many."""
        image = self.images[0]
        return self.server.get(f"/{image.original}", "Range: bytes=0-1,5-6").status


class Change(SettingsCase):
    def test_tiering_is_turned_on_and_off_without_a_restart(self):
        first = self.old_image()
        server = self.start({"tiering": EAGER})
        self.assertEqual(self.overridden(), [])
        changed = self.change(tiering={"enabled": True})
        self.assertEqual((changed["reload"]["tiering"]["enabled"], changed["overridden"]), (True, ["tiering.enabled"]))
        self.assertEqual(changed, self.good("GET", "/settings"))
        tidepool.eventually(lambda: not self.stored("hot"), "a sweep moves it")
        self.wait_for_jobs()
        self.assert_at("warm", first)
        self.assertEqual(server.metrics().sum("tidepool_tier_sweeps_total"), 1)
        changed = self.change(tiering={"enabled": None})
        self.assertEqual((changed["reload"]["tiering"]["enabled"], changed["overridden"]), (False, []))
        self.assertIn("enabled is false", " ".join(self.good("GET", "/tiering/plan")["notes"]))

    def test_no_sweep_is_made_where_views_were_not_counted_from_the_start(self):
        self.old_image()
        server = self.start({"tiering": {**EAGER, "sweep_interval": "1s", "views_flush": "0s"}})
        self.change(tiering={"enabled": True, "views_flush": "1s"})
        server.wait_log("no sweeps until a restart")
        self.assertEqual(server.metrics().sum("tidepool_tier_sweeps_total"), 0)
        self.restart({"tiering": {**EAGER, "sweep_interval": "1s", "views_flush": "0s"}})
        tidepool.eventually(lambda: not self.stored("hot"), "a sweep moves it")

    def test_limits_are_in_force_at_once(self):
        self.new_image()
        self.start({"limits": {"ranges": 3}})
        self.assertEqual(self.ranges_answered(), 206)
        self.change(limits={"ranges": 1})
        tidepool.eventually(lambda: self.ranges_answered() == 200, "two ranges are too many")
        self.change(limits=None)
        tidepool.eventually(lambda: self.ranges_answered() == 206, "the file's value holds again")

    def test_timeouts_are_in_force_at_once(self):
        self.start(scanned=False)
        self.change(timeouts={"idle": "100ms"})

        def is_closed_soon():
            with self.server.connect() as wire:
                wire.get("/uploads/none.jpg")
                return tidepool.readable(wire.socket, 1) and wire.read_to_end() == (b"", "fin")
        tidepool.eventually(is_closed_soon, "an idle connection is closed")

    def test_it_outlasts_reloads_restarts_and_a_hand_over(self):
        self.start({"limits": {"ranges": 3}}, scanned=False)
        self.change(limits={"ranges": 5, "headers": "64KiB"}, timeouts={"linger": "3s"})
        names = ["limits.headers", "limits.ranges", "timeouts.linger"]
        self.reload(limits={"ranges": 4, "header_fields": 99})
        self.assertEqual((self.value("limits.ranges"), self.value("limits.header_fields")), (5, 99))
        self.assertEqual(self.overridden(), names)
        self.server.take_over()
        self.assertEqual((self.value("limits.headers"), self.overridden()), ("64KiB", names))
        self.restart({"limits": {"ranges": 6}})
        self.assertEqual((self.value("limits.ranges"), self.value("timeouts.linger")), (5, "3s"))
        self.change(limits={"ranges": None})
        self.assertEqual((self.value("limits.ranges"), self.overridden()), (6, ["limits.headers", "timeouts.linger"]))
        self.change(limits=None, timeouts=None)
        self.assertEqual((self.value("limits.headers"), self.overridden()), ("128KiB", []))
        self.assertEqual(self.rows(), {})

    def test_the_commands_plan_by_what_is_in_force(self):
        self.old_image()
        self.start({"tiering": EAGER})
        self.assertEqual(self.json("tier", "plan")["images"], 1)
        self.change(tiering={"hot_keep_days_after_upload": 3000})
        plan = self.json("tier", "plan")
        self.assertEqual((plan["images"], plan), (0, self.good("GET", "/tiering/plan")))
        self.assertIn("nothing is to be moved", self.tool("tier", "run"))
        self.change(tiering=None)
        self.assertEqual(self.json("tier", "run", "--detach")["images"], 1)

    def test_another_server_of_the_same_catalog_learns_of_it(self):
        first = self.start(scanned=False)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-test-"))
        second = self.serve({"admin": ADMIN, "catalog": {"url": f"sqlite:{self.folder}/catalog.db"},
                             "limits": {"connections_per_peer": 300}},
                            pools=self.pools(), folder=folder, environment=self.environment)
        self.change(limits={"ranges": 5}, tiering={"cohort_percent": 9})
        self.server = second
        tidepool.eventually(lambda: self.overridden() == ["limits.ranges", "tiering.cohort_percent"], "it learns of it")
        self.assertEqual((self.value("limits.ranges"), self.value("limits.connections_per_peer")), (5, 300))
        # What each of them could do alone, both cannot.
        self.change(tiering={"hot_watermark_low": 84})
        self.server = first
        self.assertEqual(self.wrong_field("PATCH", "/settings", {"tiering": {"hot_watermark_high": 80}}, 422),
                         ["tiering.hot_watermark_high"])
        tidepool.eventually(lambda: self.value("tiering.hot_watermark_low") == 84, "it learns of that")
        self.change(limits=None, tiering=None)
        self.server = second
        tidepool.eventually(lambda: self.overridden() == [], "it learns that it was taken back")


    def test_changes_at_once_are_all_made(self):
        self.start(scanned=False)
        values = {"ranges": 5, "header_fields": 99, "connections": 700, "connections_per_peer": 300, "headers": "64KiB"}
        answers = []

        def make(key, value):
            for each in (value, None, value):
                answers.append(self.ask("PATCH", "/settings", {"limits": {key: each}}).status)
        threads = [threading.Thread(target=make, args=item) for item in values.items()]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.reload(limits={"ranges": 4})
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 15)
        shown = self.good("GET", "/settings")
        self.assertEqual({key: shown["reload"]["limits"][key] for key in values}, values)
        self.assertEqual(shown["overridden"], sorted(f"limits.{key}" for key in values))


class Wrong(SettingsCase):
    def test_all_mistakes_are_told_and_nothing_is_changed(self):
        self.start(scanned=False)
        self.change(limits={"ranges": 5})
        before = self.good("GET", "/settings")
        body = {"limits": {"ranges": 6, "header_field": 9, "connections": 0, "headers": 65536}, "server": {"threads": 3},
                "tierin": None, "timeouts": {"idle": None}, "tiering": {"enabled": "yes", "hot_watermark_low": 90}}
        status, answer = self.call("PATCH", "/settings", body)
        self.assertEqual((status, answer["error"]), (422, "invalid_fields"), answer)
        told = {problem["field"]: problem["message"] for problem in answer["details"]}
        self.assertEqual(set(told), {"limits.header_field", "limits.connections", "limits.headers", "server", "tierin",
                                     "tiering.enabled", "tiering.hot_watermark_low"})
        self.assertIn('did you mean "header_fields"?', told["limits.header_field"])
        self.assertIn('did you mean "tiering"?', told["tierin"])
        self.assertIn('write "64KiB"', told["limits.headers"])
        self.assertEqual((self.good("GET", "/settings"), self.rows()), (before, {"limits.ranges": "5"}))
        for body in (b"", b"{", b"[]", b"null", b"7", b'{"limits": {"ranges": 6}} x'):
            with self.subTest(body=body):
                self.assertEqual(self.call("PATCH", "/settings", body)[0], 400)
        self.assertEqual(self.call("PATCH", "/settings?x=1", {"limits": {"ranges": 6}})[0], 400)
        self.assertEqual(self.ask("PATCH", "/settings", {"limits": {"ranges": 6}}, token="wrong").status, 401)
        self.assertEqual(self.good("PATCH", "/settings", {}), before)
        self.assertEqual(self.good("GET", "/settings"), before)

    def test_without_a_catalog_there_is_nowhere_to_keep_it(self):
        pools = [{"name": "hot", "base_path": self.trees["uploads"].path}]
        self.start({"catalog": {"url": ""}}, pools=pools, scanned=False)
        status, answer = self.call("PATCH", "/settings", {"limits": {"ranges": 5}})
        self.assertEqual((status, answer["error"]), (409, "conflict"))
        self.assertEqual((self.value("limits.ranges"), self.overridden()), (64, []))

    def test_what_the_file_comes_to_contradict_is_left_out_and_named(self):
        self.start(scanned=False)
        self.change(tiering={"hot_watermark_low": 84, "cohort_percent": 9}, limits={"ranges": 5})
        names = ["limits.ranges", "tiering.cohort_percent", "tiering.hot_watermark_low"]
        mark = len(self.server.log())
        lower = {"hot_watermark_high": 60, "hot_watermark_low": 50}
        self.reload(tiering=lower)
        self.server.wait_log(r"error.*is ignored setting=tiering.hot_watermark_low reason=.*not below", after=mark)
        self.assertEqual((self.value("tiering.hot_watermark_low"), self.overridden()), (50, names[:2]))
        # It starts with that, too, and other changes can be made.
        self.restart({"tiering": lower})
        self.server.wait_log("is ignored setting=tiering.hot_watermark_low")
        self.assertEqual((self.value("tiering.hot_watermark_low"), self.overridden()), (50, names[:2]))
        self.change(limits={"ranges": 6})
        self.reload()
        self.assertEqual((self.value("tiering.hot_watermark_low"), self.overridden()), (84, names))

    def test_what_this_program_does_not_know_is_left_out_and_can_be_taken_back(self):
        self.start(scanned=False)
        self.change(limits={"ranges": 5})
        self.server.stop_process()
        for name, value in (("limits.gone", "1"), ("gone.too", "true"), ("timeouts.idle", "{"), ("limits.connections", "0")):
            self.add_row(name, value)
        self.start(scanned=False)
        for name in ("limits.gone", "gone.too", "timeouts.idle", "limits.connections"):
            self.server.wait_log(rf"error.*is ignored setting={name} reason")
        self.assertEqual(self.overridden(), ["limits.ranges"])
        self.change(limits={"gone": None, "connections": 500}, gone=None, timeouts={"idle": "2s"})
        self.assertEqual(self.rows(), {"limits.ranges": "5", "limits.connections": "500", "timeouts.idle": '"2s"'})
        self.assertEqual((self.value("timeouts.idle"), self.value("limits.connections")), ("2s", 500))


class Once(SettingsCase):
    KEY = "Idempotency-Key: 3b0c2f0e-key"

    def test_a_change_is_made_once(self):
        self.start(scanned=False)
        first = self.ask("PATCH", "/settings", {"limits": {"ranges": 5}}, self.KEY)
        self.change(limits={"ranges": 6})
        again = self.ask("PATCH", "/settings", {"limits": {"ranges": 5}}, self.KEY)
        self.assertEqual((first.status, again.status, again.body), (200, 200, first.body))
        self.assertEqual(self.value("limits.ranges"), 6)
        status, answer = self.call("PATCH", "/settings", {"limits": {"ranges": 7}}, self.KEY)
        self.assertEqual((status, answer["error"]), (422, "idempotency_key_reused"))

    def die_of(self, fault, body):
        """The server is killed there while it changes that, and another one begins."""
        self.start(scanned=False, environment={"TIDEPOOL_FAULT_POINT": fault})
        with self.assertRaises((OSError, EOFError, AssertionError)):
            self.ask("PATCH", "/settings", body, self.KEY)
        self.assertEqual(self.server.child.wait(timeout=tidepool.PATIENCE_S), -signal.SIGKILL)
        self.server.stopped = True
        self.start(scanned=False)

    def test_a_kill_leaves_all_of_a_change_or_nothing(self):
        body = {"limits": {"ranges": 5, "headers": "64KiB"}, "timeouts": {"linger": "3s"}}
        for row in (1, 2, 3):
            self.die_of(f"settings.row:{row}", body)
            self.assertEqual((self.overridden(), self.rows()), ([], {}))
            self.server.stop_process()
        self.die_of("settings.kept:1", body)
        self.assertEqual(self.overridden(), ["limits.headers", "limits.ranges", "timeouts.linger"])
        # Who has got no answer asks again, and it is done, or was.
        answer = self.good("PATCH", "/settings", body, self.KEY)
        self.assertEqual(answer["reload"]["limits"]["ranges"], 5)


if __name__ == "__main__":
    tidepool.main()
