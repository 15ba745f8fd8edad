"""Hundreds of clients at once for one cold object: one fetch, and whatever the origin does, no wrong byte taken as whole.

Every client ends in one of two ways: it has all of the right bytes, or it can see that it has not (invariant 3).
"""

import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import cold  # noqa: E402
import tidepool  # noqa: E402

CLIENTS = 60 if tidepool.SANITIZED else 500
SIZE = 2 * 1024 * 1024 + 12_345  # above origin.buffer, so that bytes go out before the last has come
SMALL = 600_000  # below it, so that a wrong body is found before the first byte goes out
DELAY_S = 0.2


class Stampede(cold.ColdCase):
    CONFIG = {"origin": cold.IMPATIENT, "server": {"threads": 2}}

    def begin(self, size=SIZE, hashed=True, **config):
        self.content = self.put("a.jpg", size)
        self.proxy = self.fault_proxy()
        self.proxy.delay(up=DELAY_S / 2, down=DELAY_S / 2)
        self.server = self.serve_cold({**self.CONFIG, **config}, url=self.proxy.url, hashed=hashed)
        return self.content

    def rush(self, clients=CLIENTS, wanted=None):
        """All ask at once; checks what must hold whatever happens."""
        answers = cold.crowd(self.server, wanted or [("/uploads/a.jpg", self.content)] * clients)
        for client in answers:
            self.assertTrue(client.right or not client.whole or client.status not in (200, 206), client)
            if client.status in (200, 206):
                self.assertTrue(client.served or client.end == "rst", f"{client} cannot see that it is not whole")
            else:
                self.assertIn(client.status, (502, 503, 504), client)
                self.assert_refusal(client.response, 502, 503, 504)
        return answers

    def assert_all_served(self, answers):
        kinds = collections.Counter(repr(client) for client in answers if not client.served)
        self.assertEqual(kinds, {})

    def assert_well_afterwards(self):
        self.b2.clear_faults()
        self.proxy.heal()
        tidepool.eventually(lambda: self.server.get("/uploads/a.jpg").status == 200, "it is served again")
        self.assert_served(self.server, "a.jpg")
        self.assert_shelf_is_right(self.server)
        before = len(self.fetches())
        self.assert_served(self.server, "a.jpg")
        self.assertEqual(len(self.fetches()), before, "it is on the shelf")


class GoodOrigin(Stampede):
    def test_one_fetch_serves_all(self):
        self.begin()
        self.assert_all_served(self.rush())
        self.assertEqual(len(self.fetches()), 1)
        self.assert_well_afterwards()
        self.assertEqual(len(self.fetches()), 1)

    def test_four_loops_share_a_fetch(self):
        self.begin(server={"threads": 4})
        self.assert_all_served(self.rush())
        self.assertEqual(len(self.fetches()), 1)

    def test_a_small_object_is_fetched_once_too(self):
        self.begin(size=40_000)
        self.assert_all_served(self.rush())
        self.assertEqual(len(self.fetches()), 1)

    def test_without_a_digest_it_is_the_same(self):
        self.begin(hashed=False)
        self.assert_all_served(self.rush())
        self.assertEqual(len(self.fetches()), 1)

    def test_without_a_shelf_fetches_are_shared_as_well(self):
        self.begin(shelf={"path": ""})
        self.assert_all_served(self.rush(CLIENTS // 5))
        # Who falls behind the fastest fetches the rest alone; nobody else does.
        self.assertLess(len(self.fetches()), CLIENTS // 5)

    def test_without_a_shelf_one_reader_costs_one_fetch(self):
        self.begin(shelf={"path": ""}, origin={**cold.IMPATIENT, "buffer": "64KiB"})
        self.assert_served(self.server, "a.jpg")
        self.assertEqual(len(self.fetches()), 1)

    def test_ranges_share_slices(self):
        self.begin()
        slice_bytes = 1024 * 1024
        stretches = [(0, 99), (500_000, 1_500_000), (1_048_576, 1_048_576), (2_000_000, SIZE - 1), (SIZE - 10, SIZE - 1)]
        wanted = [("/uploads/a.jpg", self.content[first:last + 1], f"Range: bytes={first}-{last}")
                  for first, last in stretches for _ in range(CLIENTS // 5)]
        answers = self.rush(wanted=wanted)
        self.assert_all_served(answers)
        self.assertEqual({client.status for client in answers}, {206})
        ranges = sorted(entry.range for entry in self.fetches())
        self.assertEqual(len(ranges), len(set(ranges)), "no slice is fetched twice")
        self.assertLessEqual(len(ranges), -(-SIZE // slice_bytes))
        self.assert_shelf_is_right(self.server)

    def test_clients_that_leave_stop_nothing(self):
        self.begin()

        def half_leave(crowd):
            crowd.run(until=lambda client: not client.left_to_send)
            for client in crowd.clients[::2]:
                client.leave()
            crowd.clients = crowd.clients[1::2]
        answers = cold.crowd(self.server, [("/uploads/a.jpg", self.content)] * CLIENTS, meanwhile=half_leave)
        self.assert_all_served(answers)
        self.assertEqual(len(self.fetches()), 1)

    def leave_after(self, received, size=8 * SIZE):
        """All clients leave when they have so much; the fetch is slow enough to be seen."""
        self.begin(size)
        self.proxy.throttle(down=4 * SIZE)
        with cold.Crowd(self.server, [cold.Client("/uploads/a.jpg", self.content) for _ in range(20)]) as crowd:
            crowd.run(until=lambda client: client.received >= received)

    def egress(self):
        return self.server.metrics().sum("tidepool_origin_bytes_total")

    def test_when_all_leave_late_the_shelf_still_gets_it(self):
        self.leave_after(5 * SIZE)
        tidepool.eventually(lambda: self.shelf_files(self.server), "it is on the shelf")
        self.assert_served(self.server, "a.jpg")
        self.assertEqual(len(self.fetches()), 1)
        self.assertEqual(self.egress(), len(self.content))

    def test_when_all_leave_early_the_fetch_ends(self):
        self.leave_after(SIZE // 4)
        tidepool.eventually(lambda: not list((self.server.folder / "shelf" / "partial").iterdir()), "no part is left")
        self.assertEqual(self.shelf_files(self.server), [])
        self.assertLess(self.egress(), len(self.content) // 2)
        self.proxy.heal()
        # Who comes then has all of it.
        self.assert_served(self.server, "a.jpg")
        self.assertEqual(len(self.fetches()), 2)
        self.assert_well_afterwards()

    def test_who_comes_while_a_fetch_is_given_up_gets_all(self):
        self.begin(8 * SIZE)
        self.proxy.throttle(down=4 * SIZE)
        for _ in range(5):
            with cold.Crowd(self.server, [cold.Client("/uploads/a.jpg", self.content) for _ in range(4)]) as crowd:
                crowd.run(until=lambda client: client.received > 0)
                for client in crowd.clients:
                    client.leave()
                late = [cold.Client("/uploads/a.jpg", self.content) for _ in range(2)]
                with cold.Crowd(self.server, late) as others:
                    others.run(until=lambda client: client.received > 0)
        self.proxy.heal()
        self.assert_all_served(self.rush(20))
        self.assert_well_afterwards()


class BadOrigin(Stampede):
    """The design promises all of these to be mended without a client noticing."""

    def mended(self, most_fetches):
        self.assert_all_served(self.rush())
        self.assertLessEqual(len(self.fetches()), most_fetches)
        self.assert_well_afterwards()

    def test_it_is_cut_at_half_by_fin(self):
        self.begin()
        self.b2.fault("cut", method="GET", after=SIZE // 2)
        self.mended(2)
        self.assertRegex(self.fetches()[1].range, r"^bytes=\d+-")
        self.assertNotEqual(self.fetches()[1].range, "bytes=0-", "it goes on from where it was")

    def test_it_is_cut_at_half_by_rst(self):
        self.begin()
        self.b2.fault("cut", method="GET", after=SIZE // 2, how="rst")
        self.mended(2)

    def test_the_line_is_cut_at_half(self):
        for how in ("fin", "rst"):
            with self.subTest(how=how):
                self.begin()
                self.b2.clear_requests()
                self.proxy.cut(SIZE // 2, how=how, count=1)
                self.mended(2)

    def test_it_is_cut_three_times(self):
        self.begin()
        self.b2.fault("cut", method="GET", after=SIZE // 4, count=3)
        self.mended(4)

    def test_it_answers_503_twice(self):
        self.begin()
        self.b2.fault("slow_down", method="GET", count=2)
        self.mended(3)

    def test_it_has_no_tomes_available(self):
        self.begin()
        self.b2.fault("no_tomes", method="GET")
        self.mended(2)

    def test_it_stalls(self):
        for after in (0, SIZE // 2):
            with self.subTest(after=after):
                self.begin()
                stall = self.b2.fault("stall", method="GET", after=after)
                self.mended(2)
                stall.release()

    def test_it_says_nothing(self):
        self.begin()
        silence = self.b2.fault("half_open", method="GET")
        self.mended(2)
        silence.release()

    def test_it_promises_more_than_comes_or_less(self):
        for by in (1000, -1000):
            with self.subTest(by=by):
                self.begin()
                self.b2.fault("wrong_length", method="GET", by=by)
                self.mended(2)

    def test_it_sends_another_body_of_a_small_object(self):
        self.begin(size=SMALL)
        self.b2.fault("wrong_body", method="GET")
        self.mended(2)

    def test_it_ignores_the_range_when_the_fetch_goes_on(self):
        self.begin()
        self.b2.fault("cut", method="GET", after=SIZE // 2)
        self.b2.fault("ignore_range", method="GET", skip=1)
        self.rush()
        self.assertLessEqual(len(self.fetches()), 4)
        self.assert_well_afterwards()


class HopelessOrigin(Stampede):
    """Nothing can be done: every client sees it, and nothing wrong is kept."""

    def test_it_sends_another_body_of_a_large_object(self):
        self.begin()
        self.b2.fault("wrong_body", method="GET", count=None)
        answers = self.rush()
        self.assertEqual(sum(client.served for client in answers), 0)
        self.assertLessEqual(len(self.fetches()), 8)
        self.assertEqual(self.shelf_files(self.server), [])
        self.assert_well_afterwards()

    def test_it_sends_another_body_of_a_small_object_each_time(self):
        self.begin(size=SMALL)
        self.b2.fault("wrong_body", method="GET", count=None)
        answers = self.rush()
        self.assertEqual({client.status for client in answers}, {502})
        self.assertLessEqual(len(self.fetches()), 8)
        self.assertEqual(self.shelf_files(self.server), [])
        self.assert_well_afterwards()

    def test_it_has_another_version_when_the_fetch_goes_on(self):
        self.begin()
        self.b2.fault("cut", method="GET", after=SIZE // 2)
        self.b2.fault("other_version", method="GET", skip=1)
        self.rush()  # no mixture of the two is ever whole
        self.assertLessEqual(len(self.fetches()), 4)
        self.assert_shelf_is_right(self.server)

    def test_it_is_cut_each_time(self):
        self.begin()
        self.b2.fault("cut", method="GET", after=1000, count=None)
        answers = self.rush()
        self.assertEqual(sum(client.served for client in answers), 0)
        self.assertLessEqual(len(self.fetches()), 8)
        self.assert_well_afterwards()

    def test_it_stays_silent(self):
        self.begin(origin={**cold.IMPATIENT, "tries": 2})
        silence = self.b2.fault("half_open", method="GET", count=None)
        answers = self.rush()
        self.assertEqual({client.status for client in answers}, {504})
        self.assertLessEqual(len(self.fetches()), 4)
        silence.release()
        self.assert_well_afterwards()


if __name__ == "__main__":
    tidepool.main()
