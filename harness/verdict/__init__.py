"""What got worse: every cell against its history or against another run, with a reason in words and the numbers behind it."""
