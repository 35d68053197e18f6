"""Where, what, with which rules, and what is left of before: all that is settled before and after the loop."""
