"""The name by which users' suites import what they need; the code is in `harness.suites`."""

from harness.suites.suite import *  # noqa: F403
