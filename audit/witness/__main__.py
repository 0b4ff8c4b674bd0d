"""`python -m audit.witness`, where nothing but this package and `audit` is installed."""

import sys

from audit.witness.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
