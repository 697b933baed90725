"""Redaction: what names people and places goes, what a reader needs stays."""

import pytest

from harness.core.redact import Redactor


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("no route to 192.0.2.7", "no route to [address]"),
        ("192.0.2.7:22: refused", "[address]:22: refused"),
        ("from [fe80::1ff:fe23:4567:890a%eth0]:22", "from [[address]]:22"),
        ("addr:2001:db8::7: refused", "addr:[address]: refused"),
        ("link/ether 02:00:5e:10:00:ff up", "link/ether [address] up"),
        ("mail alice.b@example.org now", "mail [user]@[host] now"),
        ("Linux version 6.1 (oe-user@oe-host) #1", "Linux version 6.1 ([user]@[host]) #1"),
        ("https://bob:pw1@git.example.org/x", "https://[user]@[host]/x"),
        ("ping bench-7.lab.internal failed", "ping [host] failed"),
        ("/home/alice/models/a.tflite", "/home/[user]/models/a.tflite"),
        (r"C:\Users\alice\a.tflite", r"C:\Users\[user]\a.tflite"),
        ("DB_PASSWORD=hunter2 next", "DB_PASSWORD=[secret] next"),
        ("api-key: abc123", "api-key: [secret]"),
        ("Serial\t\t: 10000000abcdef01", "Serial\t\t: [serial number]"),
        ("/dev/serial/by-id/usb-SEGGER_J-Link_000440-if00", "/dev/serial/by-id/[port]"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB alice@lab", "[key]"),
        ("SHA256:5r9Qzo2r7vXq8kq1vQyTq1i3c1O1w3b0Yd2mQe1YfZ0 (ED25519)", "[key] (ED25519)"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n", "[key]\n"),
    ],
)
def test_what_looks_private_is_taken_out(text, redacted):
    assert Redactor().text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "started 2026-11-21T09:31:00+00:00, 12:30:15 on the clock",
        "tflite::ops::micro at std::vector<int>",
        "listens on 127.0.0.1 and ::1, or localhost",
        "imx8mp@qemu/npu and imx93@vela/npu",
        "LiteRT 2.3.0, kernel 5.15.71-lts, opcode version 12",
        "/usr/lib/libvx_delegate.so: cannot open shared object file",
        "root: /root/.cache",
        "node 4 FULLY_CONNECTED: hybrid: input is float32",
        "serial protocol: frame 7 lost",
    ],
)
def test_what_names_nobody_stays(text):
    assert Redactor().text(text) == text


def test_known_values_go_wherever_they_stand_and_in_either_case():
    redactor = Redactor()
    redactor.know("host", ["bench-seven"])
    redactor.know("user", ["al"])
    redactor.know("port", ["40022"])
    text = "Bench-Seven.example: al logged in to xbench-sevenx on 40022; global 140022 stays"
    assert redactor.text(text) == "[host].example: [user] logged in to x[host]x on [port]; global 140022 stays"
    assert redactor.taken == {"host": 2, "user": 1, "port": 1}


def test_a_host_inside_a_longer_known_value_leaves_no_rest():
    redactor = Redactor()
    redactor.know("host", ["bench", "bench.lab.example.org"])
    assert redactor.text("at bench.lab.example.org") == "at [host]"


def test_names_that_everybody_has_are_not_known():
    redactor = Redactor()
    redactor.know("user", ["root", None, ""])
    redactor.know("host", ["localhost", "debian"])
    assert redactor.text("root on localhost runs Debian 12") == "root on localhost runs Debian 12"


def test_json_values_keep_their_shape():
    redactor = Redactor()
    redactor.know("host", ["bench-seven"])
    value = {"a": ["at bench-seven", 7, None, True], "bench-seven": {"n": 1.5}}
    assert redactor.value(value) == {"a": ["at [host]", 7, None, True], "[host]": {"n": 1.5}}


def test_a_long_text_of_colons_and_digits_is_read_in_reasonable_time():
    redactor = Redactor()
    for unit in ("ab:", ":", "1.", "a@", "a.", "- "):
        redactor.text(unit * 50_000)
