"""Starts a real S3 for tests: Debian's Ceph, one monitor, one store in memory and the gateway, on loopback.

    with Radosgw() as s3:
        client = S3Client(s3.url, s3.key, s3.region)
        client.create_bucket("images", versioned=True)

Takes some seconds and about 150 MB. Nothing of it outlives the `with` block, or this process.

It is no B2: buckets start without versions, conditional PUTs and checksum headers are taken, a wrong region and any part
number too, and a part copied from an empty source key ends it.
"""

import contextlib
import ctypes
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid

import sigv4

PATIENCE_S = 60
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "monmaptool", "radosgw-admin")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

# No authentication inside, one copy of everything, and a monitor that decides at once: with its usual patience the
# start takes ten seconds longer. Without tcp_nodelay each small GET waits for a delayed acknowledgement, 44 ms.
_CONFIG = """
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{mon_port}
monmap = {folder}/monmap
keyring = {folder}/keyring
run_dir = {folder}/run
log_file = {folder}/log/$name.log
crash_dir = {folder}/log
admin_socket =
log_to_stderr = false
err_to_stderr = true
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_bind_msgr2 = false
public_addr = 127.0.0.1
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_class_update_on_start = false
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
mon_client_hunt_interval = 0.5
mon_tick_interval = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
[mon]
mon_data = {folder}/mon
mon_cluster_log_file = {folder}/log/cluster.log
mon_data_avail_crit = 0
mon_data_avail_warn = 1
[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = {store_bytes}
osd_op_num_shards = 2
osd_op_num_threads_per_shard = 1
[client.rgw]
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw_enable_apis = s3, admin
rgw_thread_pool_size = 64
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_dynamic_resharding = false
"""


class NotInstalled(RuntimeError):
    def __init__(self, programs):
        super().__init__(f"{', '.join(programs)} not found: `./dev setup test` installs what the tests need")


class _Failed(Exception):
    """An attempt to start that did not succeed."""


def _free_ports(count):
    """Ports that nobody has now; somebody may take them until they are used."""
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Radosgw:
    """`key` owns what it makes, `other_key` is of a second user without rights on that. Start it in the main thread:
    the processes end with the thread that started them."""

    region = "us-east-1"
    key = sigv4.Key("tidepoolaccess", "tidepool-secret-0123456789")
    other_key = sigv4.Key("otheraccess", "other-secret-0123456789")

    def __init__(self, store_bytes=1 << 30):
        missing = [program for program in PROGRAMS if not shutil.which(program)]
        if missing:
            raise NotInstalled(missing)
        self._store_bytes = store_bytes
        self._children = {}
        self._pause = threading.Event()
        problems = []
        for _ in range(3):  # a port may have been taken in between
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidepool-radosgw-"))
            try:
                self._start()
                return
            except _Failed as problem:
                problems.append(f"{problem}\n{self._log()}")
                self.stop()
            except BaseException:
                self.stop()
                raise
        raise RuntimeError("radosgw does not start:\n" + "\n".join(problems))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        # At once: all is in memory and none of it is wanted any more, and in order radosgw takes ten seconds to end.
        for child in self._children.values():
            child.kill()
        for child in self._children.values():
            child.wait()
        self._children.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _log(self):
        lines = []
        for path in sorted((self.folder / "log").glob("*")):
            lines += [f"{path.name}: {line}" for line in path.read_text(errors="replace").splitlines()[-8:]]
        return "\n".join(lines)

    def _tool(self, *command):
        """Runs a program to its end."""
        with open(self.folder / "log" / "tools.out", "ab") as out:
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=out,
                                      timeout=PATIENCE_S, preexec_fn=_die_with_parent)
            except subprocess.TimeoutExpired:
                raise _Failed(f"{command[0]} does not end") from None
        if done.returncode != 0:
            raise _Failed(f"{' '.join(command)} ended with {done.returncode}")
        return done.stdout.decode()

    def _daemon(self, name, *command):
        with open(self.folder / "log" / f"{name}.out", "ab") as out:
            self._children[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                                    preexec_fn=_die_with_parent)
        return self._children[name]

    def _until(self, condition, what, *needed):
        """Waits for the condition while these daemons run."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            for name in needed:
                if self._children[name].poll() is not None:
                    raise _Failed(f"{name} ended before {what}")
            if time.monotonic() > deadline:
                raise _Failed(f"did not happen: {what}")
            self._pause.wait(0.02)

    def _start(self):
        self.port, mon_port = _free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        for name in ("mon", "osd", "rgw", "run", "log"):
            (self.folder / name).mkdir()
        (self.folder / "keyring").touch()
        config, fsid, osd = str(self.folder / "ceph.conf"), str(uuid.uuid4()), str(uuid.uuid4())
        pathlib.Path(config).write_text(_CONFIG.format(fsid=fsid, mon_port=mon_port, port=self.port, folder=self.folder,
                                                       store_bytes=self._store_bytes))
        monmap = str(self.folder / "monmap")
        self._tool("monmaptool", "--create", "--fsid", fsid, "--addv", "local", f"[v1:127.0.0.1:{mon_port}]", monmap)
        self._tool("ceph-mon", "-c", config, "--mkfs", "-i", "local", "--monmap", monmap)
        self._daemon("mon", "ceph-mon", "-c", config, "-f", "-i", "local")
        self._until(lambda: self._answers(mon_port), "the monitor listens", "mon")
        self._tool("ceph", "-c", config, "--connect-timeout", "20", "osd", "new", osd, "0")
        self._tool("ceph-osd", "-c", config, "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._start_osd(config)
        self._daemon("rgw", "radosgw", "-c", config, "-f", "-n", "client.rgw")
        self._until(self._serves, "the gateway answers", "mon", "osd", "rgw")
        for name, key in (("tidepool", self.key), ("other", self.other_key)):
            self._tool("radosgw-admin", "-c", config, "-n", "client.rgw", "user", "create", f"--uid={name}",
                       f"--display-name={name}", f"--access-key={key.id}", f"--secret-key={key.secret}")

    def _start_osd(self, config):
        """The store ends at once, with "wrong fsid", where it asks the monitor before that has its map: try again."""
        for _ in range(6):
            osd = self._daemon("osd", "ceph-osd", "-c", config, "-f", "-i", "0")
            with contextlib.suppress(_Failed):
                stat = ("ceph", "-c", config, "--connect-timeout", "20", "osd", "stat", "-f", "json")
                self._until(lambda: '"num_up_osds":1' in self._tool(*stat), "the store is up", "mon", "osd")
                try:
                    osd.wait(0.2)
                except subprocess.TimeoutExpired:
                    return
            osd.kill()
            osd.wait()
        raise _Failed("the store does not come up")

    @staticmethod
    def _answers(port):
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            return False
        return True

    def _serves(self):
        """Whether it is our gateway that answers there: anybody may list no buckets."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return b"ListAllMyBucketsResult" in connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def main():
    """Serves until it is told to end; prints what a client needs."""
    with Radosgw() as s3:
        print(f"{s3.url} region={s3.region} key={s3.key.id} secret={s3.key.secret}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
