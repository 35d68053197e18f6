"""Where story runs happen."""
