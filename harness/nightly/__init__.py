"""A night: runs the plan, compares with the history, confirms suspects on the boards, and leaves what a team reads."""
