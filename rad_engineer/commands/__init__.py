"""A file per verb: options in, one call, output. No logic."""
