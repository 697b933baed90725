"""Is it the question that was meant? What speaks against a number that would be plausible and mean something else."""
