"""Folders and files that cannot be synced, as on a disk that fails.

    sync = failing_sync.FailingSync(self.folder)
    self.start(environment=sync.environment)
    with sync.of("/warm/original"):
        ...
"""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import s3_pool  # noqa: E402

LIBRARY = pathlib.Path(s3_pool.TOOL).with_name("failing_sync.so")


class FailingSync:
    def __init__(self, folder):
        self.file = folder / "failing_sync"
        self.environment = {"LD_PRELOAD": str(LIBRARY), "TIDEPOOL_TEST_FAILING_SYNC": str(self.file)}
        assert LIBRARY.exists(), f"{LIBRARY} is not built"

    @contextlib.contextmanager
    def of(self, end):
        """Of what is at a path that ends so."""
        self.file.write_text(str(end))
        try:
            yield
        finally:
            self.file.unlink()
