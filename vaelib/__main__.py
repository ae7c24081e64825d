"""`python -m vaelib`, and `accelerate launch -m vaelib train …` for many devices."""

import sys

from vaelib.cli import main

sys.exit(main())
