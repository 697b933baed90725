"""The project file `harness.toml`: which model, which data, judged how, run where. Everybody above reads it by `find_project`."""
