"""A bucket for the benchmarks: an nginx that serves files under a bucket's URLs, and a catalog that knows them."""

import os
import pathlib
import resource
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests/sim"), str(HERE.parent / "tests/support")]
import b2  # noqa: E402
from harness import Server, fail, run_nginx, wait_until_open  # noqa: E402

BUCKET = "bench-bucket"
# Both of a bucket's faces: the S3 API's path-style URLs, which ask for a signature that nobody looks at here, and B2's
# friendly ones.
BUCKET_ROLE = """
    etag off;
    server { listen 127.0.0.1:@PORT@ backlog=4096;
        location /@BUCKET@/ { alias @ROOT@/; }
        location /file/@BUCKET@/ { alias @ROOT@/; }
    }
"""


def start_nginx(stack, core, role, **words):
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-nginx-")))
    folder.chmod(0o777)  # the worker may run as another user
    words |= {"DIR": folder, "FILES": min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]), "BUCKET": BUCKET}
    text = (HERE / "proxy/nginx.conf.in").read_text().replace("@ROLE@", role)
    process = run_nginx(stack, core, folder, text, words)
    wait_until_open(process, words["PORT"], "nginx")
    return Server("nginx", process, {})


def bucket_pool(endpoint, region, key, friendly=False):
    """The lines of the bucket's pool; `friendly`: its bodies come from the friendly URL, which needs no signature."""
    more = f'download_url = "{endpoint}"\norigin = "friendly"\n' if friendly else ""
    return (f'[[pool]]\nname = "cold"\nstorage_type = "s3"\nstorage_tier = "cold"\nbucket = "{BUCKET}"\n'
            f'region = "{region}"\nendpoint_url = "{endpoint}"\naccess_key_id = "{key.id}"\n'
            'secret_access_key = "env:BENCH_S3_SECRET"\n' + more)


def fill_catalog(binary, root, state, folder, hashed=False):
    """Lists the files into a catalog, as a bucket that says the same of them; gives region and key of the bucket.
    `hashed`: the catalog also gets their SHA-256."""
    with b2.B2() as store:
        store.bucket(BUCKET)
        for file in sorted(root.rglob("*.jpg")):
            store.put(BUCKET, file.relative_to(root).as_posix(), file.read_bytes())
        os.environ["BENCH_S3_SECRET"] = store.key.secret
        config = folder / "scan.toml"
        config.write_text(bucket_pool(store.s3_url, store.region, store.key))
        command = [binary, "scan", "cold", "-c", config, "--state-dir", state, *(["--hash"] if hashed else [])]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"scan failed: {done.stderr}")
        return store.region, store.key
