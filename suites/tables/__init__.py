"""From what cells hold to tidy tables: a row a case, a row a decode step, a row a role."""
