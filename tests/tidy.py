"""Checks of the text that compiler and clang-tidy do not make. Prints FILE:LINE: WHAT for each finding; exit 0 or 1.

    tidy.py [ROOT]

A line may say `tidy: allow RULE, REASON` in a comment, on itself or on the line above, where the rule does not fit.
"""

import pathlib
import re
import sys

PRODUCT = ("conf", "storage", "transform", "proxy")
CODE = (*PRODUCT, "tests", "bench")
SKIPPED = {".git", "build", ".cache", "__pycache__"}

# Each foreign library has one owner, so that swapping it touches one file. A header pattern, the folders and files
# (without extension) that may include it, and how many of these may do so at once (0 = any).
OWNERS = [
    (r"toml\+\+/|toml\.hpp", ["conf/"], 0),
    (r"spdlog/", ["conf/log"], 1),
    (r"llhttp\.h", ["proxy/http/"], 1),
    (r"nghttp2/", ["proxy/http/http2_connection"], 1),
    (r"uv\.h|uv/", ["proxy/loop/", "proxy/http/"], 0),
    (r"openssl/", ["conf/digest", "conf/sealing", "proxy/loop/stream", "proxy/tls/",
                   "tests/unit/http/fetch_tls_test", "tests/unit/tls/", "tests/support/self_signed"], 0),
    (r"curl/", ["storage/s3_http"], 1),
    (r"pugixml", ["storage/s3_xml"], 1),
    (r"CLI/", ["proxy/main", "proxy/cli/"], 0),
    (r"systemd/", ["proxy/cli/"], 0),
    (r"prometheus/", ["proxy/"], 1),
    (r"sqlite3\.h", ["storage/sqlite", "tests/unit/storage/catalog_plans_test"], 2),  # the test reads plans
    (r"vips/", ["transform/worker/vips/", "tests/unit/transform/"], 0),
    (r"seccomp\.h", ["transform/worker/sandbox"], 1),
    (r"nlohmann/", ["proxy/", "storage/job_payload"], 0),
    (r"catch2/", ["tests/"], 0),
]

# Inside proxy a folder includes only those before it; the linker sees to the order of the top-level folders.
PROXY_ORDER = {
    "proxy/loop": 0, "proxy/tls": 0, "proxy/http": 1, "proxy/edge": 2, "proxy/serve": 3, "proxy/api": 4,
    "proxy/upload": 5, "proxy/cli": 6,
}

SLEEP = re.compile(r"\b(?:sleep_for|sleep_until|usleep|nanosleep|time\.sleep)\b\s*\(|(?<![\w.>])(?:::)?sleep\s*\(")
PRINT = re.compile(
    r"\bstd::(?:cout|cerr|clog)\b|\b(?:std::|fmt::)?(?:print|println)\s*\(|(?<!\w)f?printf\s*\(|\bputs\s*\("
)
OUTSIDE = re.compile(r"\.\./shared\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
ALLOW = re.compile(r"tidy: allow ([\w-]+), \S")

# Comments and literals of C++, in the order in which they must be tried.
NOT_CODE = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | R"(?P<mark>[^()\s\\"]{0,16})\(.*?\)(?P=mark)"
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""",
    re.VERBOSE | re.DOTALL,
)


def code_only(text):
    """C++ text with comments and literals blanked, line by line as before. Include lines keep their names."""

    def blank(match):
        start = text.rfind("\n", 0, match.start()) + 1
        if INCLUDE.match(text[start : match.end()]) and not match["comment"]:
            return match[0]
        return re.sub(r"[^\n]", " ", match[0])

    return NOT_CODE.sub(blank, text)


class Findings:
    """Collects what is wrong, but for what the text itself allows."""

    def __init__(self):
        self.found = []

    def add(self, path, lines, number, rule, message):
        around = lines[max(0, number - 2) : number]
        if not any((allow := ALLOW.search(line)) and allow[1] == rule for line in around):
            self.found.append((str(path), number, f"{message} [{rule}]"))


def files_below(root):
    for path in sorted(root.iterdir()):
        if path.name in SKIPPED or path.is_symlink():
            continue
        if path.is_dir():
            yield from files_below(path)
        elif path.is_file():
            yield path


def owner_pattern(header):
    return next((entry for entry in OWNERS if re.match(entry[0], header)), None)


def check_includes(root, name, path, lines, code, findings, owned):
    """The rules of include lines: own header first, paths from the root, order of proxy's folders, owners."""
    includes = [(n, m[1], m[2]) for n, line in enumerate(code, 1) if (m := INCLUDE.match(line))]
    own = path.with_suffix(".h")
    if path.suffix == ".cpp" and own.exists() and includes:
        expected = own.relative_to(root).as_posix()
        number, _, header = includes[0]
        if header != expected:
            findings.add(name, lines, number, "own-header", f'the first include must be "{expected}"')
    folder = "/".join(name.split("/")[:2])
    for number, kind, header in includes:
        if kind == '"':
            if not header.startswith(tuple(f"{top}/" for top in CODE)) or ".." in header.split("/"):
                findings.add(name, lines, number, "include-path", f'"{header}" is not a path from the root')
            elif not (root / header).exists():
                findings.add(name, lines, number, "include-path", f'"{header}" does not exist')
        target = "/".join(header.split("/")[:2])
        if folder in PROXY_ORDER and target in PROXY_ORDER and target != folder:
            if PROXY_ORDER[target] >= PROXY_ORDER[folder]:
                findings.add(name, lines, number, "layers", f"{folder} must not include {target}")
        entry = owner_pattern(header)
        if entry is None or header.startswith(CODE):
            continue
        pattern, owners, _ = entry
        unit = str(pathlib.PurePosixPath(name).with_suffix(""))
        if not any(unit.startswith(owner) if owner.endswith("/") else unit == owner for owner in owners):
            findings.add(name, lines, number, "owner", f"<{header}> belongs to {' and '.join(owners)}")
        else:
            owned.setdefault(pattern, {}).setdefault(unit, (name, lines, number, header))


def check_cpp(root, name, path, lines, text, findings, owned):
    code = code_only(text).split("\n")
    if path.suffix == ".h":
        first = next((n for n, line in enumerate(code, 1) if line.strip()), 1)
        if code[first - 1].strip() != "#pragma once":
            findings.add(name, lines, first, "pragma-once", "a header starts with #pragma once")
    check_includes(root, name, path, lines, code, findings, owned)
    may_print = name.startswith("proxy/cli/") or name == "proxy/main.cpp" or not name.startswith(PRODUCT)
    for number, line in enumerate(code, 1):
        if SLEEP.search(line):
            findings.add(name, lines, number, "sleep", "wait for what should happen, not for a time to pass")
        if not may_print and PRINT.search(line):
            findings.add(name, lines, number, "print", "debug output left behind; the log is conf/log.h")


def check(root):
    findings = Findings()
    owned = {}
    for path in files_below(root):
        name = path.relative_to(root).as_posix()
        text = path.read_bytes().decode("utf-8", "replace")
        if "\0" in text:
            continue
        lines = text.split("\n")
        is_code = name.startswith(tuple(f"{top}/" for top in CODE))
        if is_code and path.suffix in (".h", ".cpp"):
            check_cpp(root, name, path, lines, text, findings, owned)
        if path.suffix == ".py" and name.startswith("tests/"):
            for number, line in enumerate(lines, 1):
                if SLEEP.search(line.partition("#")[0]):
                    findings.add(name, lines, number, "sleep", "wait for what should happen, not for a time to pass")
        if path.suffix != ".md":
            for number, line in enumerate(lines, 1):
                if OUTSIDE.search(line):
                    findings.add(name, lines, number, "outside", "names a folder that is not in this repository")
    for pattern, _, limit in OWNERS:
        users = owned.get(pattern, {})
        if limit and len(users) > limit:
            for name, lines, number, header in users.values():
                others = ", ".join(sorted(unit for unit in users))
                findings.add(name, lines, number, "owner", f"<{header}> has more than one owner: {others}")
    return sorted(findings.found)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    found = check(root)
    for name, number, message in found:
        print(f"{name}:{number}: {message}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
