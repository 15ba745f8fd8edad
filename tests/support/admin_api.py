"""Calls of the admin API of an image host.

    class Some(admin_api.ApiCase):
        def test_it(self):
            self.start()
            self.good("POST", "/keys", {"owner": "7"}, status=201)
"""

import json
import pathlib
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import image_host  # noqa: E402
import tidepool  # noqa: E402

ROOT = "/api/admin/v1"


class ApiCase(image_host.ImageHostCase):
    def ask(self, method, path, body=None, *lines, token=image_host.TOKEN):
        """The response to a call below ROOT; `body` is sent as it is where it is bytes."""
        text = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [*lines, *([f"Authorization: Bearer {token}"] if token else []),
                 *([f"Content-Length: {len(text)}"] if text else [])]
        with tidepool.Wire(self.server.admin[0]) as wire:
            wire.send(tidepool.request(ROOT + path, *lines, method=method) + text)
            return wire.response(head_only=method == "HEAD")

    def call(self, method, path, body=None, *lines):
        """(status, JSON)."""
        response = self.ask(method, path.removeprefix(ROOT), body, *lines)
        return response.status, json.loads(response.body) if response.body else None

    def good(self, method, path, body=None, *lines, status=200):
        got, answer = self.call(method, path, body, *lines)
        self.assertEqual(got, status, answer)
        return answer

    def wrong_field(self, method, path, body=None, status=400):
        """The field that the refusal names."""
        got, answer = self.call(method, path, body)
        self.assertEqual(got, status, answer)
        return [problem["field"] for problem in answer["details"]]

    def pages(self, path, name, **query):
        """All of a list, read page by page, and how many pages that took."""
        found, cursor, count = [], None, 0
        while True:
            fields = {**query, **({"cursor": cursor} if cursor else {})}
            page = self.good("GET", f"{path}?{urllib.parse.urlencode(fields)}")
            found += page[name]
            count += 1
            cursor = page["next"]
            if cursor is None:
                return found, count

    def old_image(self):
        """One that nobody has looked at for weeks."""
        image = self.new_image()
        for key, content in image.contents.items():
            self.trees["uploads"].put(key.removeprefix("uploads/"), content, mtime=time.time() - 40 * 86400)
        return image

    def job_of(self, answer):
        """The job, when it has ended."""
        def ended():
            job = self.good("GET", f"/jobs/{answer['job']}")
            return job if job["state"] in ("done", "failed", "cancelled") else None
        return tidepool.eventually(ended, f"job {answer['job']} ends")
