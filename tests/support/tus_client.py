"""tus-js-client, as npm has it: installed once into a folder of the user's cache. Needs node and npm, which `./dev setup`
does not install: Debian's npm brings hundreds of packages, and conflicts with a newer node that is there already.

    told = tus_client.run("photo.png", "http://127.0.0.1:8080/api/v1/upload/tus", token, "told.json", chunk=100_000)
"""

import contextlib
import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

VERSION = "4.3.1"
SCRIPT = pathlib.Path(__file__).with_name("tus_client.js")
_CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tidepool-tests"
_FOLDER = _CACHE / f"tus-js-client-{VERSION}"


@functools.cache
def why_not():
    """Installs it where it is not there yet: "" where it is now, else why not."""
    if (_FOLDER / "node_modules").exists():
        return ""
    for program in ("node", "npm"):
        if not shutil.which(program):
            return f"{program} is not installed (Debian's packages nodejs and npm)"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
        try:
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder,
                                   f"tus-js-client@{VERSION}"], capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            return "npm did not bring tus-js-client in two minutes"
        if done.returncode != 0:
            return f"npm cannot bring tus-js-client: {done.stderr.strip()[-200:]}"
        _FOLDER.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):  # another test was faster
            pathlib.Path(folder, "node_modules").rename(_FOLDER / "node_modules")
    return "" if (_FOLDER / "node_modules").exists() else "tus-js-client was not installed"


def run(source, url, token, told, chunk, stop_after=0, resume=""):
    """Uploads that file; what the script tells of it. It goes away after so many bytes, or goes on with that upload."""
    done = subprocess.run(["node", str(SCRIPT)], capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, "NODE_PATH": str(_FOLDER / "node_modules"), "TUS_WANTED": json.dumps({
                              "source": str(source), "url": url, "token": token, "told": str(told), "chunk": chunk,
                              "stopAfter": stop_after, "resume": resume})})
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout} {done.stderr}"
    return json.loads(pathlib.Path(told).read_text())
