"""The matrix: plan cells, prepare what every device needs, lease boards, run, retry, resume."""
