"""Projects of users: what they are made from, and what is known about those that are there."""
