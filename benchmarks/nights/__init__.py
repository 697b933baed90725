"""Parts of bench_nights.py: a small lab whose models, profiles and machine can be made worse on purpose."""
