"""Conditional requests in the order of RFC 9110, 13.2.2, with the fields that their answers must and must not have.

A table of every combination of the four conditions, each true, false or absent, is compared with the order as the RFC
states it; then lists, weak tags, "*", dates in the three formats and dates that are none, and If-Range.
"""

import pathlib, sys; sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool

import email.utils
import itertools
import time

CHANGED = 1_600_000_000  # Sun, 13 Sep 2020 12:26:40 GMT
LARGE = 300_000
OTHER = '"other"'


def http_date(seconds):
    return email.utils.formatdate(seconds, usegmt=True)


class ConditionalCase(tidepool.ServerCase):
    @classmethod
    def fill(cls):
        cls.content = cls.tree.image("a.jpg", size=2000, mtime=CHANGED)
        cls.etag = tidepool.etag_of(cls.content)
        cls.large = cls.tree.image("large.png", "image/png", size=LARGE, mtime=CHANGED)
        cls.tree.image("drawing.svg", "image/svg+xml", mtime=CHANGED)

    def setUp(self):
        self.wire = self.connect()

    def ask(self, *fields, path="/uploads/a.jpg", method="GET"):
        return self.wire.get(path, *fields, method=method)

    def check(self, status, *fields, **how):
        with self.subTest(fields=fields, **how):
            answer = self.ask(*fields, **how)
            self.assertEqual(answer.status, status)
            self.assertIsNone(answer.get("connection"))
            if status == 200 and how.get("method") != "HEAD":
                self.assertEqual(answer.body, self.large if "large" in how.get("path", "") else self.content)
            return answer


class Order(ConditionalCase):
    def test_every_combination_of_conditions(self):
        same, before, after = http_date(CHANGED), http_date(CHANGED - 1), http_date(CHANGED + 1)
        if_match = {None: None, True: self.etag, False: OTHER}
        if_unmodified = {None: None, True: after, False: before}
        if_none = {None: None, True: OTHER, False: self.etag}  # true: none matches
        if_modified = {None: None, True: before, False: same}
        wanted = {None: None, True: "bytes=0-9", False: "bytes=5000-"}
        if_range = {None: None, True: self.etag, False: OTHER}
        for match, unmodified, none, modified, range_, range_if in itertools.product(
                if_match, if_unmodified, if_none, if_modified, wanted, if_range):
            fields = [f"{name}: {value}" for name, value in (
                ("If-Modified-Since", if_modified[modified]), ("If-Range", if_range[range_if]),
                ("Range", wanted[range_]), ("If-None-Match", if_none[none]),
                ("If-Unmodified-Since", if_unmodified[unmodified]), ("If-Match", if_match[match])) if value]
            status = 206 if range_ else 416 if range_ is False else 200
            if range_if is False:
                status = 200  # step 5
            if none is False or (none is None and modified is False):
                status = 304  # steps 3 and 4
            if match is False or (match is None and unmodified is False):
                status = 412  # steps 1 and 2
            self.check(status, *fields)

    def test_conditions_do_not_matter_for_what_is_absent(self):
        for fields in (["If-Match: *"], [f"If-Match: {OTHER}"], ["If-None-Match: *"], [f"If-None-Match: {self.etag}"],
                       [f"If-Unmodified-Since: {http_date(0)}"], [f"If-Modified-Since: {http_date(CHANGED)}"]):
            self.check(404, *fields, path="/uploads/absent.jpg")

    def test_conditions_do_not_matter_for_other_methods(self):
        self.check(204, "If-None-Match: *", method="OPTIONS")
        self.check(405, "If-Match: \"other\"", method="DELETE")

    def test_head_is_judged_like_get(self):
        self.check(304, f"If-None-Match: {self.etag}", method="HEAD")
        self.check(412, f"If-Match: {OTHER}", method="HEAD")
        self.check(200, f"If-None-Match: {OTHER}", method="HEAD")

    def test_the_first_request_for_a_file_is_judged_too(self):
        for number, (status, field) in enumerate(((304, "If-None-Match: *"), (412, f"If-Match: {OTHER}"),
                                                  (304, f"If-Modified-Since: {http_date(CHANGED)}"))):
            for size in (500, LARGE):
                self.tree.image(f"cold-{number}-{size}.jpg", size=size, mtime=CHANGED)
                self.check(status, field, path=f"/uploads/cold-{number}-{size}.jpg")


class Tags(ConditionalCase):
    def test_if_none_match(self):
        tag = self.etag
        for value in (tag, f"W/{tag}", "*", f"{OTHER}, {tag}", f"{tag}, {OTHER}", f"{OTHER},{tag},{OTHER}",
                      f'{OTHER} ,\tW/{tag} ', f', ,{OTHER},, {tag},', f'"a,b", {tag}', f'"W/", {tag}', f'"", {tag}',
                      f'W/"x", W/{tag}', ", ".join(f'"{n}"' for n in range(1000)) + f", {tag}"):
            self.check(304, f"If-None-Match: {value}")

    def test_if_none_match_that_does_not(self):
        tag = self.etag
        bare = tag.strip('"')
        for value in (OTHER, f'W/{OTHER}', '""', bare, f"w/{tag}", f"W/ {tag}", f'"{bare}', f'{bare}"', f"'{bare}'",
                      f'"{bare.upper()}"', f'"{bare} "', f'" {bare}"', f'"{bare[:-1]}"', f'"{bare}0"', f'W/', "**", '"*"',
                      "W/*"):
            self.check(200, f"If-None-Match: {value}")

    def test_if_none_match_in_several_fields(self):
        self.check(304, f"If-None-Match: {OTHER}", f"If-None-Match: {self.etag}")
        self.check(304, f"If-None-Match: {self.etag}", "A: b", f"if-none-match: {OTHER}")
        self.check(200, f"If-None-Match: {OTHER}", f'If-None-Match: "more"')

    def test_if_none_match_silences_if_modified_since(self):
        for value in (OTHER, "nonsense", ""):
            self.check(200, f"If-None-Match: {value}", f"If-Modified-Since: {http_date(CHANGED)}")

    def test_if_match(self):
        tag = self.etag
        for value in (tag, "*", f"{OTHER}, {tag}", f"W/{tag}, {tag}", f",{tag},", f'"a,b",{tag}'):
            self.check(200, f"If-Match: {value}")
        self.check(200, f"If-Match: {OTHER}", f"If-Match: {tag}")

    def test_if_match_compares_strongly(self):
        tag = self.etag
        for value in (OTHER, f"W/{tag}", f"W/{tag}, {OTHER}", tag.strip('"'), "nonsense", '""', ""):
            answer = self.check(412, f"If-Match: {value}")
            self.assertEqual(answer["etag"], tag)

    def test_if_match_silences_if_unmodified_since(self):
        self.check(200, f"If-Match: {self.etag}", f"If-Unmodified-Since: {http_date(0)}")
        self.check(200, "If-Match: *", f"If-Unmodified-Since: {http_date(0)}")

    def test_new_content_has_a_new_tag(self):
        old = self.tree.image("changing.jpg", seed=1)
        self.assertEqual(self.ask(path="/uploads/changing.jpg").body, old)
        new = self.tree.image("changing.jpg", seed=2)
        answer = tidepool.eventually(
            lambda: (got := self.ask(f"If-None-Match: {tidepool.etag_of(old)}", path="/uploads/changing.jpg")).status ==
            200 and got, "the new content comes")
        self.assertEqual((answer.body, answer["etag"]), (new, tidepool.etag_of(new)))

    def test_the_same_content_elsewhere_and_later_has_the_same_tag(self):
        self.tree.put("deep/copy.jpg", self.content, mtime=CHANGED + 1000)
        self.check(304, f"If-None-Match: {self.etag}", path="/uploads/deep/copy.jpg")


class Dates(ConditionalCase):
    FORMATS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y")

    def all_formats(self, seconds):
        return [time.strftime(form, time.gmtime(seconds)) for form in self.FORMATS]

    def test_if_modified_since(self):
        for offset, status in ((-86400, 200), (-1, 200), (0, 304), (1, 304), (86400, 304)):
            for date in self.all_formats(CHANGED + offset):
                self.check(status, f"If-Modified-Since: {date}")

    def test_if_unmodified_since(self):
        for offset, status in ((-86400, 412), (-1, 412), (0, 200), (1, 200), (86400, 200)):
            for date in self.all_formats(CHANGED + offset):
                self.check(status, f"If-Unmodified-Since: {date}")

    def test_extremes(self):
        self.check(200, "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT")
        self.check(412, "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT")
        self.check(304, "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT")
        self.check(200, "If-Unmodified-Since: Fri, 31 Dec 9999 23:59:59 GMT")
        self.check(304, "If-Modified-Since: Sat, 31 Dec 2022 23:59:60 GMT")  # a second that could be inserted

    def test_what_is_no_date_is_ignored(self):
        good = http_date(CHANGED + 1000)
        late = http_date(CHANGED - 1000)
        for change in (lambda d: "", lambda d: "nonsense", lambda d: "0", lambda d: "1700000000", lambda d: d[:-4],
                       lambda d: d.replace("GMT", "UTC"), lambda d: d.replace("GMT", "+0000"),
                       lambda d: d.replace("GMT", "CET"), lambda d: d + ", " + d, lambda d: d.replace(" Sep ", " Foo "),
                       lambda d: d.replace(" 13 ", " 32 "), lambda d: d.replace(" 13 ", " 00 "),
                       lambda d: d.replace("13 Sep", "31 Sep"), lambda d: d.replace("13 Sep", "30 Feb"),
                       lambda d: d.replace(" 12:", " 24:"), lambda d: d.replace(":4", ":6"),
                       lambda d: d.replace(" 12:", " -1:"), lambda d: d.replace("2020", "20200"),
                       lambda d: d.replace(", ", ",  "), lambda d: f'"{d}"', lambda d: d + "x", lambda d: "x" + d):
            for name, date in (("If-Modified-Since", good), ("If-Unmodified-Since", late)):
                if change(date) != date:
                    self.check(200, f"{name}: {change(date)}")

    def test_a_date_that_stands_twice_is_ignored(self):
        good, late = http_date(CHANGED + 1000), http_date(CHANGED - 1000)
        self.check(200, f"If-Modified-Since: {good}", f"If-Modified-Since: {good}")
        self.check(200, f"If-Unmodified-Since: {late}", f"If-Unmodified-Since: {late}")

    def test_a_file_from_the_future_is_no_newer_than_now(self):
        """RFC 9110, 8.8.2.1: Last-Modified must not be later than Date."""
        self.tree.image("future.jpg", mtime=int(time.time()) + 86400)
        answer = self.ask(path="/uploads/future.jpg")
        modified = email.utils.parsedate_to_datetime(answer["last-modified"])
        self.assertLessEqual(modified, email.utils.parsedate_to_datetime(answer["date"]))
        self.check(304, f"If-Modified-Since: {answer['last-modified']}", path="/uploads/future.jpg")

    def test_a_file_from_before_1970(self):
        self.tree.image("old.jpg", mtime=-1000)
        self.assertEqual(self.ask(path="/uploads/old.jpg")["last-modified"], "Thu, 01 Jan 1970 00:00:00 GMT")


class IfRange(ConditionalCase):
    def ranged(self, status, *values, path="/uploads/a.jpg", content=None):
        content = content or self.content
        with self.subTest(values=values, path=path):
            answer = self.ask("Range: bytes=10-19", *(f"If-Range: {value}" for value in values), path=path)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.body, content[10:20] if status == 206 else content)

    def test_tags(self):
        self.ranged(206, self.etag)
        bare = self.etag.strip('"')
        for value in (OTHER, f"W/{self.etag}", '""', bare, "*", f"{OTHER}, {self.etag}", f"{self.etag}, {OTHER}",
                      f'"{bare}', self.etag + "x", "nonsense", ""):
            self.ranged(200, value)

    def test_dates(self):
        self.ranged(206, http_date(CHANGED))
        for value in (http_date(CHANGED - 1), http_date(CHANGED + 1), http_date(0), "Sun, 13 Sep 2020 12:26:40",
                      str(CHANGED)):
            self.ranged(200, value)

    def test_twice(self):
        self.ranged(200, self.etag, OTHER)
        self.ranged(200, OTHER, self.etag)
        self.ranged(200, OTHER, OTHER)

    def test_a_large_file(self):
        path = "/uploads/large.png"
        self.ranged(206, tidepool.etag_of(self.large), path=path, content=self.large)
        self.ranged(206, http_date(CHANGED), path=path, content=self.large)
        self.ranged(200, self.etag, path=path, content=self.large)

    def test_without_range_it_means_nothing(self):
        for value in (self.etag, OTHER, "nonsense"):
            self.check(200, f"If-Range: {value}")

    def test_a_date_of_just_now_is_not_strong_enough(self):
        """RFC 9110, 8.8.2.2: it could change twice within the second."""
        def fresh():
            content = self.tree.image("fresh.jpg", seed=time.monotonic())
            answer = tidepool.eventually(lambda: (got := self.ask(path="/uploads/fresh.jpg")).body == content and got,
                                         "the new file comes")
            value = answer["last-modified"]
            answer = self.ask("Range: bytes=10-19", f"If-Range: {value}", path="/uploads/fresh.jpg")
            modified = email.utils.parsedate_to_datetime(value)
            age = email.utils.parsedate_to_datetime(answer["date"]) - modified
            return age.total_seconds() <= 1 and answer  # on a busy machine it may be older already
        self.assertEqual(tidepool.eventually(fresh, "it is asked for in time").status, 200)


class Fields(ConditionalCase):
    def test_304_has_the_fields_of_200_that_caches_need(self):
        for path in ("/uploads/a.jpg", "/uploads/large.png", "/uploads/drawing.svg"):
            with self.subTest(path=path):
                self.ask(path=path)
                whole = self.ask(path=path)
                answer = self.ask("If-None-Match: *", path=path)
                self.assertEqual((answer.status, answer.body), (304, b""))
                for name in ("etag", "cache-control", "cache-status"):
                    self.assertEqual(answer[name], whole[name], name)
                for name in ("cdn-cache-control", "cloudflare-cdn-cache-control"):
                    self.assertEqual(answer.all(name), whole.all(name), name)
                for name in ("content-type", "content-length", "content-range", "transfer-encoding", "last-modified",
                             "x-content-type-options", "content-security-policy", "content-disposition"):
                    self.assertEqual(answer.all(name), [], name)  # RFC 9110, 15.4.5: no more than is needed

    def test_412_may_not_be_stored_and_names_the_current_tag(self):
        answer = self.ask(f"If-Match: {OTHER}")
        self.assertEqual((answer["cache-control"], answer["etag"]), ("no-store", self.etag))
        self.assertEqual(answer["content-type"], "text/plain; charset=utf-8")


if __name__ == "__main__":
    tidepool.main()
