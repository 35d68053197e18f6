"""From a checkout to production: is everything there, does it work as a whole, and where it is deployed."""
