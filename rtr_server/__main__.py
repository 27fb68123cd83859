"""``python -m rtr_server`` is ``rtr-server``."""

from rtr_server.cli import main

if __name__ == "__main__":
    main()
