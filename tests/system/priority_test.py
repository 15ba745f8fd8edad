"""Who goes before whom on a full processor: server.realtime, where the process may."""

import contextlib
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

MAY_GO_BEFORE = os.geteuid() == 0


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
    def test_all_are_equal_by_default(self):
        usual = os.getpriority(os.PRIO_PROCESS, 0)
        server = self.serve({"server": {"threads": 2}})
        loops, others = threads(server)
        self.assertEqual(len(loops), 2)
        self.assertEqual(set(loops + others), {(os.SCHED_OTHER, usual)})

    def test_loops_are_realtime_where_that_is_wanted(self):
        server = self.serve({"server": {"threads": 1, "realtime": True}})
        server.tree.image("a.jpg", size=1_000)
        with server.connect() as wire:
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        loops, others = threads(server)
        self.assertEqual([policy for policy, _ in loops], [os.SCHED_RR if MAY_GO_BEFORE else os.SCHED_OTHER])
        self.assertEqual({policy for policy, _ in others}, {os.SCHED_OTHER})


if __name__ == "__main__":
    tidepool.main()
