"""`python -m vaelib`, and `accelerate launch --multi_gpu --num_processes N -m vaelib train …` for many devices."""

import sys

from vaelib.cli import main

sys.exit(main())
