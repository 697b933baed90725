"""The Python API: what commands do, as documented calls with pandas in and out. Users import it as `harness`.

Nothing is decided here: a call turns its arguments into what the rooms below take, and what they give into something with
`to_frame()`. Nothing is printed, nothing exits, and what goes wrong is the `HarnessError` that the command would tell.
"""
