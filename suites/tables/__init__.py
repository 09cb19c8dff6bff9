"""From run folders to tidy tables: one row per case, per decode step, or per role."""
