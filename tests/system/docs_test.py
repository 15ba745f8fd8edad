"""The commands that the documents quote are ones that the program understands."""

import pathlib
import re
import shlex
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tidepool  # noqa: E402

# By file, what its prose stands behind.
DOCUMENTS = {"README.md": "", "ARCHITECTURE.md": "", "conf/tidepool.toml": "# ", "conf/systemd/tidepool.service": "# "}
QUOTED = re.compile(r"(?:^|[\s/(=])tidepool ([a-z].*)")
NOWHERE = "/nowhere-at-all/tidepool.toml"


def code_in(text, comment):
    """The lines of code, and what stands between backticks."""
    prose, fenced = [], False
    for line in text.splitlines():
        line = line.removeprefix(comment)
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith(("    ", "Exec")):
            yield re.sub(r"\s# .*", "", line)
        else:
            prose.append(line)
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", "\n".join(prose)))


def commands_in(path, comment):
    """The arguments of each quoted call of tidepool."""
    for code in code_in((tidepool.REPOSITORY / path).read_text(), comment):
        for part in re.split(r"&&|\||;", code):
            if found := QUOTED.search(part):
                yield shlex.split(found[1].replace("[", "").replace("]", ""))


class Documents(unittest.TestCase):
    def assert_understood(self, words):
        if words[0] == "worker":  # which the server starts, and nobody else
            return
        if words[0] == "serve":  # which would do it
            self.assertEqual(set(re.findall(r"--[a-z-]+|-c", " ".join(words))) - set(re.findall(
                r"--[a-z-]+|-c\b", tidepool.run_tool("serve", "--help")[1])), set())
            return
        if all(re.fullmatch("[a-z]+", word) for word in words):  # named, not quoted whole
            status, _, error = tidepool.run_tool(*words, "--help")
            self.assertEqual((status, error), (0, ""))
            return
        if "-c" in words:
            at = words.index("-c")
            del words[at:at + 2]
        status, _, error = tidepool.run_tool(*("7" if word == "ID" else word for word in words), "-c", NOWHERE)
        self.assertNotIn("Run with --help", error)
        self.assertNotEqual(status, 0)

    def test_every_command_that_is_quoted_is_understood(self):
        quoted = [(path, words) for path, comment in DOCUMENTS.items() for words in commands_in(path, comment)]
        self.assertGreater(len(quoted), 30)
        for path, comment in DOCUMENTS.items():
            self.assertIn(path, {of for of, _ in quoted}, comment)
        for path, words in quoted:
            with self.subTest(path=path, command=" ".join(words)):
                self.assert_understood(words)


if __name__ == "__main__":
    tidepool.main()
