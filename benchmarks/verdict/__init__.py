"""Parts of bench_verdict.py: series with a known truth, recordings, and what else judges them."""
