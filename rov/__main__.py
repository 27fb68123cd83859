"""``python -m rov`` is the command ``rov``."""

import sys

from rov_command import main

sys.exit(main())
