"""Who goes before whom on a full processor: server.realtime, where the process may."""

import contextlib
import os
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

# What a loop is with little to do.
AT_REST = os.SCHED_RR if os.geteuid() == 0 else os.SCHED_OTHER
PIPELINED = 500


def threads(server):
    """How the server's loops are scheduled, and how its other threads: (policy, nice) of each."""
    loops, others = [], []
    for task in pathlib.Path(f"/proc/{server.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that ends just now
            is_loop = (task / "comm").read_text().startswith("loop:")
            policy = os.sched_getscheduler(int(task.name)) & ~os.SCHED_RESET_ON_FORK
            (loops if is_loop else others).append((policy, os.getpriority(os.PRIO_PROCESS, int(task.name))))
    return loops, others


class Priority(tidepool.OwnServerCase):
    def wait_for_loop(self, server, policy):
        tidepool.eventually(lambda: [each for each, _ in threads(server)[0]] == [policy], f"the loop's policy is {policy}")

    def test_all_are_equal_where_nobody_is_to_go_first(self):
        usual = os.getpriority(os.PRIO_PROCESS, 0)
        server = self.serve({"server": {"threads": 2, "realtime": False}})
        loops, others = threads(server)
        self.assertEqual(len(loops), 2)
        self.assertEqual(set(loops + others), {(os.SCHED_OTHER, usual)})
        self.assertNotIn("real-time", "\n".join(server.log()))

    def test_loops_alone_go_first(self):
        server = self.serve({"server": {"threads": 1}})
        server.tree.image("a.jpg", size=1_000)
        with server.connect() as wire:
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        self.wait_for_loop(server, AT_REST)
        self.assertEqual({policy for policy, _ in threads(server)[1]}, {os.SCHED_OTHER})
        self.assertEqual(any("loops are not real-time" in line for line in server.log()), AT_REST == os.SCHED_OTHER)

    def test_a_loop_with_much_to_do_is_one_of_many(self):
        server = self.serve({"server": {"threads": 1}})
        server.tree.image("a.jpg", size=1_000)
        self.wait_for_loop(server, AT_REST)
        ask = tidepool.request("/uploads/a.jpg")
        with server.connect() as wire:
            wire.get("/uploads/a.jpg")  # the first is a miss, and says so
            wire.send(ask + tidepool.request("/uploads/a.jpg", "Connection: close"))
            whole, _ = wire.read_to_end()
        answer_bytes = whole.index(b"HTTP/1.1 200 ", 1)
        ended = threading.Event()
        answered = []

        def flood():
            with server.connect() as wire:
                while not ended.is_set():
                    wire.send(ask * PIPELINED)
                    answered.append(wire.read_exactly(answer_bytes * PIPELINED).count(b"HTTP/1.1 200 "))

        flooding = [threading.Thread(target=flood) for _ in range(2)]
        for each in flooding:
            each.start()
        try:
            self.wait_for_loop(server, os.SCHED_OTHER)
        finally:
            ended.set()
            for each in flooding:
                each.join()
        self.assertEqual(set(answered), {PIPELINED})
        self.wait_for_loop(server, AT_REST)


if __name__ == "__main__":
    tidepool.main()
