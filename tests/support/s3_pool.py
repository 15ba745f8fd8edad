"""Runs the program's own driver against a store, one call at a time: see driver_tool.cpp."""

import json
import os
import pathlib
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ.get("DRIVER_TOOL") or str(REPOSITORY / "build" / "dev" / "tests" / "driver_tool")
SANITIZER_MARKS = ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:")
PATIENCE_S = 120


class PoolError(Exception):
    """What the driver answered instead of a result."""

    def __init__(self, answer):
        super().__init__(answer)
        self.kind, self.text, self.code, self.status = (answer[n] for n in ("error", "text", "code", "status"))
        self.pool, self.key = answer["pool"], answer["key"]


class S3Pool:
    """A pool's driver with these values; `folder` is for the files of contents."""

    def __init__(self, folder, url, region, bucket, key, **values):
        self.folder = pathlib.Path(folder)
        self.secret = key.secret
        self.values = {"endpoint": url, "region": region, "bucket": bucket, "key": key.id,
                       "secret_env": "TOOL_SECRET", **values}

    def having(self, **values):
        """The same pool with other values."""
        changed = S3Pool.__new__(S3Pool)
        changed.folder, changed.secret, changed.values = self.folder, self.secret, {**self.values, **values}
        return changed

    def run(self, command, *arguments):
        """The command's JSON; PoolError where that is an error."""
        line = [TOOL, *(f"{name}={value}" for name, value in self.values.items()), command, *map(str, arguments)]
        done = subprocess.run(line, env={**os.environ, "TOOL_SECRET": self.secret}, capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        told = done.stdout + done.stderr
        if self.secret in told or any(mark in told for mark in SANITIZER_MARKS) or done.returncode not in (0, 1):
            raise AssertionError(f"{command} ended with {done.returncode}: {told}")
        answer = json.loads(done.stdout)
        if done.returncode:
            raise PoolError(answer)
        return answer

    def put(self, key, data, *arguments):
        source = self.folder / "source"
        source.write_bytes(data)
        return self.run("put", key, source, *arguments)

    def get(self, key, *arguments):
        """(what was got, what was said of it)."""
        target = self.folder / "target"
        said = self.run("get", key, target, *arguments)
        return target.read_bytes(), said

    def got_so_far(self):
        """What a get that failed had passed on."""
        return (self.folder / "target").read_bytes()

    def keys(self, prefix="", limit=1000):
        return [entry["key"] for entry in self.run("list", prefix, limit)["objects"]]
