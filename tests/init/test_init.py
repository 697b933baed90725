"""`harness init`: what it writes, with which evidence, that it can be run as it stands, and when it refuses."""

import re
import tomllib

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import HarnessError, UserInputError
from harness.init.create import create_project
from harness.project.project import FILE_NAME, load_project
from harness.workloads.registry import get_workload
from tests.support import question_models as models
from tests.support.sample_files import write_image
from tests.support.tiny_model import float_mlp
from tests.support.workload_files import dense_classifier, write_h5


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder with a cache of its own."""
    monkeypatch.setenv("HARNESS_CONFIG_DIR", str(tmp_path / "config"))
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def values(place):
    return tomllib.loads((place / FILE_NAME).read_text())


def vectors_csv(place, x, labels, name="samples.csv"):
    lines = [",".join([f"v{n}" for n in range(x.shape[1])]) + ",label"]
    lines += [",".join(map(repr, map(float, row))) + f",{label}" for row, label in zip(x, labels, strict=True)]
    (place / name).write_text("\n".join(lines) + "\n")
    return place / name


def test_a_model_and_a_table_become_a_project_that_holds(folder):
    x = models.vectors(300)
    (folder / "net.tflite").write_bytes(models.classifier())
    created = create_project("net.tflite", vectors_csv(folder, x, models.scores(x).argmax(axis=1)))
    found = values(folder)
    assert found["model"] == {"path": "net.tflite"} and found["data"] == {"path": "samples.csv"}
    assert found["preprocessing"] == {"scale": 1.0, "offset": 0.0}
    assert found["score"] == {"task": "multiclass", "metric": "top1"}
    assert "recipes" not in found["run"] and "host-litert" in found["run"]["devices"]
    text = (folder / FILE_NAME).read_text()
    assert "# label: the column is called 'label'" in text
    assert "# fed the values as they are, the float model's accuracy is 1.0000" in text
    workload = get_workload(str(created.project.path))
    assert (workload.name, workload.metric.name) == ("net", "top1")


def test_the_model_itself_says_its_scale(folder):
    x = models.vectors(600)
    (folder / "net.tflite").write_bytes(models.classifier())
    create_project("net.tflite", vectors_csv(folder, x * 255, models.drawn(models.scores(x))))
    assert values(folder)["preprocessing"]["scale"] == pytest.approx(1 / 255)
    text = " ".join((folder / FILE_NAME).read_text().replace("#", " ").split())
    assert "divided by 255, the float model's probabilities fit the labels far better" in text
    assert "so fed, the float model's accuracy is 0.6" in text


def test_the_model_itself_says_its_order_of_colours(folder):
    x = (models.images() * 255).astype(np.uint8)
    labels = models.drawn(x.reshape(len(x), -1) / 255 @ models.IMAGE_WEIGHTS.T)
    (folder / "net.tflite").write_bytes(models.image_classifier())
    for number, (pixels, label) in enumerate(zip(x, labels, strict=True)):
        write_image(folder / "pictures" / f"c{label}" / f"{number:03}.png", pixels[..., ::-1].copy())
    create_project("net.tflite", "pictures")
    found = values(folder)
    assert found["data"]["classes"] == ["c0", "c1", "c2", "c3"]
    assert found["preprocessing"]["channels"] == "bgr"
    assert found["preprocessing"]["scale"] == pytest.approx(1 / 255)
    dataset = get_workload(str(folder / FILE_NAME))
    assert dataset.data_path is not None


def test_channels_in_front_are_seen_by_the_shapes(folder):
    x = models.images()
    (folder / "net.tflite").write_bytes(models.image_classifier())
    np.savez(folder / "s.npz", x_test=x.transpose(0, 3, 1, 2), y_test=models.image_labels(x))
    create_project("net.tflite", "s.npz")
    assert values(folder)["preprocessing"]["layout"] == "nchw"


def test_a_float_model_gets_parts_and_recipes_and_a_budget(folder):
    write_h5(folder / "net.h5", dense_classifier(3, input_shape=(4, 4)))
    rng = np.random.default_rng(0)
    np.savez(folder / "s.npz", x=rng.random((100, 4, 4)), y=np.arange(100) % 3)
    create_project("net.h5", "s.npz", ask=False)
    found = values(folder)
    assert found["data"]["test"] == 0.2 and found["data"]["calibration"] == 0.1
    assert found["run"]["recipes"] == ["core"] and found["run"]["budget"].endswith("m")
    counts = re.search(r"(\d+) train / (\d+) calibration / (\d+) test", (folder / FILE_NAME).read_text())
    assert counts is not None
    train, calibration, test = map(int, counts.groups())
    assert train + calibration + test == 100 and 18 <= test <= 22 and 6 <= calibration <= 10


def test_without_a_training_part_nothing_is_trained(folder):
    write_h5(folder / "net.h5", dense_classifier(3, input_shape=(4, 4)))
    rng = np.random.default_rng(0)
    np.savez(folder / "s.npz", x_test=rng.random((90, 4, 4)), y_test=np.arange(90) % 3)
    create_project("net.h5", "s.npz", ask=False)
    recipes = values(folder)["run"]["recipes"]
    assert recipes and all(name.startswith("ptq-") for name in recipes)


def test_no_labels_mean_agreement(folder):
    (folder / "net.tflite").write_bytes(float_mlp())
    np.savez(folder / "s.npz", x=np.random.default_rng(0).random((50, 4)))
    create_project("net.tflite", "s.npz")
    assert values(folder)["score"] == {"task": "none"}
    assert get_workload(str(folder / FILE_NAME)).metric is None


def test_a_finished_model_does_without_data(folder):
    (folder / "net.tflite").write_bytes(float_mlp())
    create_project("net.tflite")
    assert "data" not in values(folder)


def test_a_file_that_is_there_is_not_overwritten(folder):
    (folder / "net.tflite").write_bytes(float_mlp())
    (folder / FILE_NAME).write_text("mine")
    with pytest.raises(UserInputError, match="there is a harness.toml already.*--force"):
        create_project("net.tflite")
    assert (folder / FILE_NAME).read_text() == "mine"
    create_project("net.tflite", force=True)
    assert values(folder)["model"]["path"] == "net.tflite"


def test_what_has_the_name_of_the_project_file_and_is_none_is_told(folder):
    (folder / "net.tflite").write_bytes(models.classifier())
    (folder / FILE_NAME).symlink_to("nothing")
    with pytest.raises(UserInputError, match="there is a harness.toml already"):
        create_project("net.tflite")
    done = CliRunner().invoke(cli, ["run"])
    assert isinstance(done.exception, UserInputError) and FILE_NAME in str(done.exception)
    (folder / FILE_NAME).unlink()
    (folder / FILE_NAME).mkdir()
    for force in (False, True):
        with pytest.raises(UserInputError, match="is a folder, and the project file has its name"):
            create_project("net.tflite", force=force)


def test_samples_of_another_shape_are_refused_also_where_nothing_is_asked(folder):
    (folder / "net.tflite").write_bytes(models.classifier())
    np.savez(folder / "s.npz", x_test=np.zeros((40, 5)))
    with pytest.raises(UserInputError, match=r"samples have shape \[5\], the model takes \[8\]"):
        create_project("net.tflite", "s.npz", ask=False)
    assert not (folder / FILE_NAME).exists()


def test_nothing_is_written_where_something_is_wrong(folder):
    (folder / "net.tflite").write_bytes(models.classifier())
    np.savez(folder / "s.npz", x_test=np.zeros((40, 5)), y_test=np.zeros(40, int))
    with pytest.raises(UserInputError, match=r"samples have shape \[5\], the model takes \[8\]"):
        create_project("net.tflite", "s.npz")
    with pytest.raises(UserInputError, match="needs samples"):
        create_project(write_h5(folder / "net.h5", dense_classifier()))
    with pytest.raises(UserInputError, match="no such file or folder"):
        create_project("nothing.keras", "s.npz")
    assert not (folder / FILE_NAME).exists()


def test_a_sample_in_two_parts_is_an_error_until_it_is_dropped(folder):
    (folder / "net.tflite").write_bytes(models.classifier())
    x = models.vectors(120)
    labels = models.scores(x).argmax(axis=1)
    np.savez(folder / "s.npz", x_train=x[:80], y_train=labels[:80], x_test=x[70:], y_test=labels[70:])
    with pytest.raises(UserInputError, match=r"share 10 samples: x_test\[0\] is x_train\[70\]"):
        create_project("net.tflite", "s.npz")
    create_project("net.tflite", "s.npz", overlap="drop")
    assert values(folder)["data"]["overlap"] == "drop"
    assert get_workload(str(folder / FILE_NAME)).metric is not None


def test_names_with_quotes_and_umlauts_come_back_as_they_were(folder):
    name = 'my "net" ü\\.tflite'
    (folder / name).write_bytes(float_mlp())
    create_project(name)
    assert load_project(folder / FILE_NAME).model == folder / name


def test_the_command_says_what_it_chose(folder):
    (folder / "net.tflite").write_bytes(float_mlp())
    result = CliRunner().invoke(cli, ["init", "net.tflite"], standalone_mode=False)
    assert result.exception is None, result.output
    assert "judged by      agreement with the reference runtime" in result.output
    assert "wrote harness.toml: read it, then `harness run`" in result.output
    again = CliRunner().invoke(cli, ["init", "net.tflite"], standalone_mode=False)
    assert isinstance(again.exception, HarnessError)


def test_it_is_a_call_too(folder):
    import harness

    (folder / "net.tflite").write_bytes(float_mlp())
    created = harness.init("net.tflite")
    assert created.project.path == folder / FILE_NAME and created.summary[0] == "model          net.tflite"
    with pytest.raises(harness.UserInputError, match="already"):
        harness.init("net.tflite")
