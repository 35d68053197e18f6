"""Working copies: the pool, what is in one, how work gets out of it without trusting it, how it is cleaned."""
