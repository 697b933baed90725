"""Runs on the board, sent as text over stdin: finds or receives the agent, then becomes it.

`exec` gives it CONFIG: {"nonce", "dir", "sha256", "size"}. It prints one magic line that no login shell prints (the
nonce is new each time), then JSON lines: {"have": bool}, then {"stored": true} once
it has received the agent, or {"error", "message"}. Python 3.8, standard library only.
See docs/internals/agent-protocol.md.
"""

import errno
import hashlib
import json
import os
import stat
import sys
import tempfile
import time

#: room that stays free for the board itself
FREE_MARGIN_BYTES = 1 << 20


class Refused(Exception):
    """An error code and a message for the host."""


def say(text):
    data = (text + "\n").encode()
    while data:
        data = data[os.write(1, data) :]


def read_exact(count):
    """Exactly `count` bytes of stdin and not one more: what follows belongs to the agent."""
    data = bytearray()
    while len(data) < count:
        piece = os.read(0, min(count - len(data), 1 << 16))
        if not piece:
            sys.exit(0)  # the host is gone
        data += piece
    return bytes(data)


def private_dir(wanted):
    """The agent's folder: what the host names, else $HARNESS_AGENT_DIR, else the user's cache. Made when absent."""
    path = wanted or os.environ.get("HARNESS_AGENT_DIR")
    if not path:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        path = os.path.join(cache, "tflite-hil-harness", "agent")
    path = os.path.abspath(os.path.expanduser(path))
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        facts = os.lstat(path)
        if not stat.S_ISDIR(facts.st_mode):
            raise Refused("setting", path + " is a link or a file, not a folder; remove it or choose another folder")
        if facts.st_uid != os.geteuid():
            raise Refused("setting", "%s belongs to user %d, not to this login" % (path, facts.st_uid))
        if facts.st_mode & 0o022:
            raise Refused("setting", path + " can be written by other users; run chmod 700 on it")
        os.chmod(path, 0o700)
        for name in ("agents", "files"):
            os.makedirs(os.path.join(path, name), mode=0o700, exist_ok=True)
    except OSError as error:
        raise Refused("setting", "the folder %s cannot be used: %s" % (path, error.strerror))
    return path


def cached(path, sha256):
    """True when the agent's archive is there and whole."""
    try:
        with open(path, "rb") as file:
            archive = file.read()
        os.utime(path)  # the ones in use are the last to be removed
    except OSError:
        return False
    return hashlib.sha256(archive).hexdigest() == sha256


def store(path, archive):
    """Writes the agent under a temporary name, then renames it: nobody sees half of it."""
    folder = os.path.dirname(path)
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    if free < len(archive) + FREE_MARGIN_BYTES:
        raise Refused("no_space", "%s has %d bytes free, the agent needs %d" % (folder, free, len(archive)))
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(archive)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    # A new version of the agent replaces the old ones; three stay for other hosts with another version.
    entries = sorted(os.scandir(folder), key=lambda entry: -entry.stat().st_mtime)
    old = [e for e in entries if e.name.endswith((".pyz", ".py"))][3:]  # .py: before it was an archive
    abandoned = [e for e in entries if e.name.startswith(".tmp-") and e.stat().st_mtime < time.time() - 3600]
    for entry in old + abandoned:
        os.unlink(entry.path)


def main(config):
    say("\n" + config["nonce"])
    try:
        if sys.version_info < (3, 8):
            raise Refused("missing", "Python %s is too old, the agent needs 3.8" % sys.version.split()[0])
        root = private_dir(config["dir"])
        path = os.path.join(root, "agents", config["sha256"] + ".pyz")
        have = cached(path, config["sha256"])
        say(json.dumps({"have": have}))
        if not have:
            archive = read_exact(config["size"])
            if hashlib.sha256(archive).hexdigest() != config["sha256"]:
                raise Refused("corrupt", "the agent arrived damaged")
            store(path, archive)
            say(json.dumps({"stored": True}))
    except Refused as error:
        say(json.dumps({"error": error.args[0], "message": error.args[1]}))
        sys.exit(1)
    except OSError as error:
        code = "no_space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "setting"
        say(json.dumps({"error": code, "message": "the agent cannot be stored: %s" % error}))
        sys.exit(1)
    sys.argv = [path, "supervise", root, config["sha256"]]
    sys.path.insert(0, path)
    from agent.main import main as become_agent

    become_agent()


main(CONFIG)  # noqa: F821 - given by exec
