"""``python -m rov`` is the command ``rov``."""

import sys

from rov.cli import main

sys.exit(main())
