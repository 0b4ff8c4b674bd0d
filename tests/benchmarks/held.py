"""A command of `medai` in a process that says in the end how much memory it has held at most.

    python -m tests.benchmarks.held WORD...    the words of the command; the last line of standard error is KiB

Not by getrusage: there a child begins with the peak of whoever made it (getrusage(2), ru_maxrss, and exec).
"""

import sys
from pathlib import Path

from service import cli


def main(words: list[str]) -> int:
    code = cli.main(words)
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    sys.stderr.write(f"{peak}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
