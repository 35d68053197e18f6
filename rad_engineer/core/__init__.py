"""The book of the domain: pure values and decisions, no clock, disk, process, terminal or network."""
