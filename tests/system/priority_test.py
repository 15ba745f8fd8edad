"""Who goes before whom on a full processor: server.realtime, where the process may."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

MAY_GO_BEFORE = os.geteuid() == 0


def threads(server):
    """Ids of the server's threads, by whether they are loops."""
    loops, others = [], []
    for task in pathlib.Path(f"/proc/{server.pid}/task").iterdir():
        is_loop = (task / "comm").read_text().startswith("loop:")
        (loops if is_loop else others).append(int(task.name))
    return loops, others


def policy(thread):
    return os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK


class Priority(tidepool.OwnServerCase):
    def test_all_are_equal_by_default(self):
        usual = os.getpriority(os.PRIO_PROCESS, 0)
        server = self.serve({"server": {"threads": 2}})
        loops, others = threads(server)
        self.assertEqual(len(loops), 2)
        for thread in loops + others:
            self.assertEqual((policy(thread), os.getpriority(os.PRIO_PROCESS, thread)), (os.SCHED_OTHER, usual))

    def test_loops_are_realtime_where_that_is_wanted(self):
        server = self.serve({"server": {"threads": 1, "realtime": True}})
        server.tree.image("a.jpg", size=1_000)
        with server.connect() as wire:
            self.assertEqual(wire.get("/uploads/a.jpg").status, 200)
        loops, others = threads(server)
        self.assertEqual([policy(loop) for loop in loops], [os.SCHED_RR if MAY_GO_BEFORE else os.SCHED_OTHER])
        self.assertEqual({policy(thread) for thread in others}, {os.SCHED_OTHER})


if __name__ == "__main__":
    tidepool.main()
