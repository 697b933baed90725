"""The parts of benchmarks/bench_wrong.py: models to judge, defects to plant in them, and the rules that are compared."""
