"""What happens in a worker process: attempts at stories, verdicts, landings."""
