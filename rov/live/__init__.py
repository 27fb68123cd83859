"""Routes as they come: state of each peer's routes, alerts, BMP and RIS Live without input or output."""
