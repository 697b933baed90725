"""`harness data`: explicit downloads from a loopback server, the list, the check of a file."""

import functools
import hashlib
import http.server
import io
import json
import threading

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.data import command
from harness.core.errors import HarnessError, UserInputError
from harness.workloads.datasets import MNIST, DataSource
from harness.workloads.fetch import REMOTES, fetch_dataset, read_cifar_binary
from tests.support.workload_files import cifar_archive, mnist_like


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; `/short/NAME` promises more bytes than it sends."""

    def do_GET(self):
        if self.path.startswith("/short/"):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"PK")
            return
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """A loopback server: (its folder, its address)."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    return tmp_path / "cache" / "data"


def serve(folder, name, data):
    (folder / name).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def npz_bytes(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def test_a_fetched_dataset_is_found_by_itself(server, cache):
    folder, address = server
    digest = serve(folder, "mnist.npz", npz_bytes(**mnist_like()))
    done = fetch_dataset("mnist", url=f"{address}/mnist.npz", sha256=digest)
    assert not done.was_there and done.path == cache / "mnist.npz"
    assert DataSource.default().find(MNIST) == done.path


def test_progress_ends_at_the_whole_size(server):
    folder, address = server
    data = npz_bytes(**mnist_like())
    digest, seen = serve(folder, "mnist.npz", data), []
    fetch_dataset("mnist", url=f"{address}/mnist.npz", sha256=digest, on_progress=lambda *p: seen.append(p))
    assert seen[-1] == (len(data), len(data))


def test_a_file_that_is_there_is_not_fetched_again(server):
    folder, address = server
    digest = serve(folder, "mnist.npz", npz_bytes(**mnist_like()))
    fetch_dataset("mnist", url=f"{address}/mnist.npz", sha256=digest)
    assert fetch_dataset("mnist", url="http://127.0.0.1:1/gone").was_there


def test_another_file_than_the_published_one_is_refused_and_nothing_stays(server, cache):
    folder, address = server
    serve(folder, "mnist.npz", npz_bytes(**mnist_like()))
    with pytest.raises(UserInputError, match=f"expected {REMOTES['mnist'].sha256}"):
        fetch_dataset("mnist", url=f"{address}/mnist.npz")
    assert list(cache.iterdir()) == []


def test_a_file_with_the_right_hash_but_wrong_content_is_refused(server, cache):
    folder, address = server
    digest = serve(folder, "mnist.npz", npz_bytes(x_train=np.zeros(3)))
    with pytest.raises(UserInputError, match="has no array"):
        fetch_dataset("mnist", url=f"{address}/mnist.npz", sha256=digest)
    assert list(cache.iterdir()) == []


def test_a_download_that_ends_early_is_an_error_and_nothing_stays(server, cache):
    with pytest.raises(HarnessError, match="ended after 2 of 1,000,000 bytes"):
        fetch_dataset("mnist", url=f"{server[1]}/short/mnist.npz")
    assert list(cache.iterdir()) == []


def test_no_network_says_where_to_put_the_file(cache):
    with pytest.raises(HarnessError) as error:
        fetch_dataset("mnist", url="http://127.0.0.1:1/mnist.npz")
    assert "cannot be downloaded" in error.value.what
    assert str(cache / "mnist.npz") in error.value.hint


def test_a_missing_page_tells_the_status(server):
    with pytest.raises(HarnessError, match="answered 404"):
        fetch_dataset("mnist", url=f"{server[1]}/nothing.npz")


def test_a_folder_that_cannot_be_written_is_a_clear_error(server, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(HarnessError, match="cannot be written"):
        fetch_dataset("mnist", url=f"{server[1]}/x", folder=tmp_path / "taken")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/mnist.npz", "mnist.npz"])
def test_only_http_addresses_are_fetched(url):
    with pytest.raises(UserInputError, match="no http or https address"):
        fetch_dataset("mnist", url=url)


def test_an_unknown_dataset_suggests_the_nearest():
    with pytest.raises(UserInputError, match="did you mean mnist"):
        fetch_dataset("mnits")


def test_cifar10_is_converted_from_the_binary_version(server, cache):
    folder, address = server
    digest = serve(folder, "cifar.tar.gz", cifar_archive())
    path = fetch_dataset("cifar10", url=f"{address}/cifar.tar.gz", sha256=digest).path
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["x_train"].shape == (20, 32, 32, 3) and arrays["x_test"].shape == (4, 32, 32, 3)
        assert arrays["x_test"][0, 5, 7].tolist() == [10, 20, 30]
        assert set(arrays["y_train"]) == {3}


@pytest.mark.parametrize(
    "data, words",
    [
        (b"no archive", "not a .tar.gz archive"),
        (cifar_archive(batches=4), "'data_batch_5.bin' is missing"),
        (cifar_archive(label=10), "label 10, expected 0..9"),
        (cifar_archive()[:-30], "not a .tar.gz archive"),
    ],
)
def test_a_damaged_cifar10_archive_is_a_clear_error(data, words):
    with pytest.raises(UserInputError, match=words):
        read_cifar_binary(io.BytesIO(data), where="x")


def test_data_fetch_prints_where_the_file_is(server):
    folder, address = server
    digest = serve(folder, "mnist.npz", npz_bytes(**mnist_like()))
    result = CliRunner().invoke(command, ["fetch", "mnist", "--url", f"{address}/mnist.npz", "--sha256", digest])
    assert result.exit_code == 0 and result.output.startswith("stored: ")


def test_data_list_names_origin_and_digest_for_every_workload():
    result = CliRunner().invoke(command, ["list", "--json"])
    rows = {row["workload"]: row for row in json.loads(result.output)}
    assert {"mnist-cnn", "sensor-cnn", "cifar-conv"} <= set(rows)
    assert rows["mnist-cnn"]["from"] == "bundled with scikit-learn" and len(rows["mnist-cnn"]["digest"]) == 64


def test_data_check_describes_a_published_layout(tmp_path):
    np.savez(tmp_path / "x.npz", **mnist_like())
    result = CliRunner().invoke(command, ["check", str(tmp_path / "x.npz")])
    assert "x_train  uint8 [40, 28, 28]" in result.output
    assert "10 classes 0..9" in result.output and "usable as mnist.npz" in result.output


def test_data_check_says_why_a_file_is_not_mnist(tmp_path):
    np.savez(tmp_path / "x.npz", **{**mnist_like(), "x_test": np.zeros((20, 28, 28), np.float32)})
    result = CliRunner().invoke(command, ["check", str(tmp_path / "x.npz")])
    assert "not usable as MNIST: array 'x_test' has dtype float32" in result.output


def test_data_check_of_a_file_without_samples_is_an_error(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 3)))
    result = CliRunner().invoke(command, ["check", str(tmp_path / "x.npz")])
    assert isinstance(result.exception, UserInputError) and "found the keys: images" in result.exception.what
