"""Where the money went: expenses in a CSV file, added up."""
