"""`python -m service` is `medai`."""

import sys

from service.cli import main

sys.exit(main())
