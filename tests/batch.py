"""Several unit tests as one file, which compiles in a third of the time: each in a namespace of its own, so that their
names do not meet, behind what they include.

    batch.py OUTPUT TEST.cpp...
"""

import pathlib
import sys


def main():
    output, *tests = sys.argv[1:]
    includes, bodies = {}, []
    for number, test in enumerate(tests):
        lines = pathlib.Path(test).read_text().split("\n")
        includes.update((line, None) for line in lines if line.startswith("#include"))
        body = ["" if line.startswith("#include") else line for line in lines]
        # The name is what the test is found by, and where it says that it failed.
        bodies.append("\n".join([f"namespace batch_{number} {{", f'#line 1 "{test}"', *body, f"}}  // namespace batch_{number}"]))
    text, output = "\n".join([*includes, *bodies, ""]), pathlib.Path(output)
    if not output.exists() or output.read_text() != text:  # else it would be compiled again
        output.write_text(text)


if __name__ == "__main__":
    main()
