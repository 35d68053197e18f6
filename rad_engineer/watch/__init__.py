"""Who looks on: it is handed events and checkpoints, or reads the run directory; it never steers."""
