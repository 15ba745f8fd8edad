"""Who goes before whom on a full processor: server.realtime, where the process may."""

import contextlib
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

MAY_GO_FIRST = os.geteuid() == 0


def threads(server):
    """How the server's loops are scheduled, and how its other threads: (policy, nice) of each."""
    loops, others = [], []
    for task in pathlib.Path(f"/proc/{server.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that ends just now
            is_loop = (task / "comm").read_text().startswith("loop:")
            policy = os.sched_getscheduler(int(task.name)) & ~os.SCHED_RESET_ON_FORK
            (loops if is_loop else others).append((policy, os.getpriority(os.PRIO_PROCESS, int(task.name))))
    return loops, others


def policy_of_loop(server):
    (policy, _), = threads(server)[0]
    return policy


class Priority(tidepool.OwnServerCase):
    def fill_processors(self):
        """With processes that compute, several for each processor."""
        for _ in range(3 * len(os.sched_getaffinity(0))):
            process = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)

    def test_all_are_equal_where_nobody_is_to_go_first(self):
        usual = os.getpriority(os.PRIO_PROCESS, 0)
        server = self.serve({"server": {"threads": 2, "realtime": False}})
        loops, others = threads(server)
        self.assertEqual(len(loops), 2)
        self.assertEqual(set(loops + others), {(os.SCHED_OTHER, usual)})
        self.assertNotIn("real-time", "\n".join(server.log()))

    def test_a_loop_alone_goes_first(self):
        server = self.serve({"server": {"threads": 1}})
        server.tree.image("a.jpg", size=1_000)
        self.assertEqual(any("loops are never real-time" in line for line in server.log()), not MAY_GO_FIRST)
        self.fill_processors()
        with server.connect() as wire:
            def ask():
                # Some requests at a time, so that there is something to wait for.
                wire.send(tidepool.request("/uploads/a.jpg") * 20)
                for _ in range(20):
                    self.assertEqual(wire.response().status, 200)
                return policy_of_loop(server)

            expected = os.SCHED_RR if MAY_GO_FIRST else os.SCHED_OTHER
            tidepool.eventually(lambda: ask() == expected, f"the loop's policy is {expected}")
            self.assertEqual({policy for policy, _ in threads(server)[1]}, {os.SCHED_OTHER})


if __name__ == "__main__":
    tidepool.main()
