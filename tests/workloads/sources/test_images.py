"""Folders of images: classes, parts, sizes, colours, and what is refused."""

import sys

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import MissingPartError, UserInputError
from tests.support.sample_files import colours, image_folder, imported, write_image

SHAPE = (6, 6, 3)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


def all_rows(arrays, key):
    return np.concatenate([arrays[f"{key}_{part}"] for part in ("train", "calibration", "test")])


def test_every_image_comes_through_with_its_class(tmp_path):
    root = image_folder(tmp_path / "pets")
    found, arrays = imported(root, SHAPE)
    assert found.classes == ("cat", "dog") and found.split
    x, y = all_rows(arrays, "x"), all_rows(arrays, "y")
    assert x.dtype == np.uint8
    for number in (0, 1):
        ours = sorted(row.tobytes() for row in x[y == number])
        assert ours == sorted(row.tobytes() for row in colours(seed=number))
    assert found.note == "pets: a folder of images, 2 classes, 18 train / 2 calibration / 4 test"


def test_folders_called_by_numbers_are_in_the_order_of_the_numbers(tmp_path):
    found, _ = imported(image_folder(tmp_path / "d", tuple(str(n) for n in range(12)), each=3), SHAPE)
    assert found.classes == tuple(str(n) for n in range(12))


def test_the_order_of_the_classes_can_be_given(tmp_path):
    root = image_folder(tmp_path / "pets")
    found, arrays = imported(root, SHAPE, data={"classes": ["dog", "cat"]})
    assert found.classes == ("dog", "cat")
    x, y = all_rows(arrays, "x"), all_rows(arrays, "y")
    assert sorted(row.tobytes() for row in x[y == 1]) == sorted(row.tobytes() for row in colours(seed=0))
    found, arrays = imported(root, SHAPE, data={"classes": ["cow", "dog", "cat"]})
    assert found.classes == ("cow", "dog", "cat") and set(all_rows(arrays, "y")) == {1, 2}
    with pytest.raises(UserInputError, match="data.classes lacks the folder 'cat'"):
        imported(root, SHAPE, data={"classes": ["dog"]})


def test_folders_of_parts_stay_parts(tmp_path):
    for number, part in enumerate(("train", "val", "test")):
        image_folder(tmp_path / "p" / part, seed=10 * number)
    found, arrays = imported(tmp_path / "p", SHAPE)
    assert not found.split and found.counts == {"train": 24, "calibration": 24, "test": 24}
    assert sorted(row.tobytes() for row in arrays["x_test"][arrays["y_test"] == 1]) == sorted(
        row.tobytes() for row in colours(seed=21)
    )


def test_train_and_val_alone_are_training_and_test(tmp_path):
    for number, part in enumerate(("train", "val")):
        image_folder(tmp_path / "p" / part, seed=10 * number)
    found, _ = imported(tmp_path / "p", SHAPE)
    assert found.counts == {"train": 22, "calibration": 2, "test": 24}


def test_an_image_in_two_parts_is_an_error_with_its_names(tmp_path):
    image_folder(tmp_path / "p" / "train")
    image_folder(tmp_path / "p" / "test", seed=10)
    write_image(tmp_path / "p" / "test" / "dog" / "again.bmp", colours(seed=0)[3])
    with pytest.raises(UserInputError, match=r"test/dog/again.bmp is train/cat/03.png"):
        imported(tmp_path / "p", SHAPE)
    found, _ = imported(tmp_path / "p", SHAPE, data={"overlap": "drop"})
    assert "1 samples that stand in the test part, too, left out" in found.note


def test_images_take_the_size_and_colours_of_the_model(tmp_path):
    image_folder(tmp_path / "pets", size=12)
    _, grey = imported(tmp_path / "pets", (6, 6, 1))
    assert grey["x_test"].shape[1:] == (6, 6, 1)
    _, flat = imported(tmp_path / "pets", (6, 6))
    assert flat["x_test"].shape[1:] == (6, 6)
    _, first = imported(tmp_path / "pets", (3, 12, 12))
    _, last = imported(tmp_path / "pets", (12, 12, 3))
    assert np.array_equal(first["x_test"], last["x_test"].transpose(0, 3, 1, 2))
    with pytest.raises(UserInputError, match=r"cat/00.png is 12x12, the model takes 6x6"):
        imported(tmp_path / "pets", SHAPE, preprocessing={"resize": "never"})


def test_cropping_keeps_the_middle(tmp_path):
    wide = np.zeros((6, 12, 3), np.uint8)
    wide[:, 3:9] = 200
    write_image(tmp_path / "w" / "a" / "1.png", wide)
    _, cropped = imported(tmp_path / "w", SHAPE, preprocessing={"resize": "crop"}, finished=True)
    assert (cropped["x_test"] == 200).all()
    _, stretched = imported(tmp_path / "w", SHAPE, finished=True)
    assert not (stretched["x_test"] == 200).all()


def test_colours_are_turned_round_for_a_model_of_bgr(tmp_path):
    image_folder(tmp_path / "pets")
    _, rgb = imported(tmp_path / "pets", SHAPE)
    _, bgr = imported(tmp_path / "pets", SHAPE, preprocessing={"channels": "bgr"})
    assert np.array_equal(rgb["x_test"][..., ::-1], bgr["x_test"])


def test_a_palette_and_an_alpha_are_colours(tmp_path):
    pixels = colours(1)[0]
    (tmp_path / "p" / "a").mkdir(parents=True)
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "p" / "a" / "1.png")
    _, arrays = imported(tmp_path / "p", SHAPE, finished=True)
    assert np.array_equal(arrays["x_test"][0], pixels)


def test_a_changed_folder_is_read_again_and_an_unchanged_one_is_not(tmp_path):
    root = image_folder(tmp_path / "pets")
    first, _ = imported(root, SHAPE)
    assert imported(root, SHAPE)[0].path == first.path
    write_image(root / "cat" / "new.png", colours(seed=99)[0])
    again, _ = imported(root, SHAPE)
    assert again.path != first.path and sum(again.counts.values()) == 25


def damaged(path):
    path.write_bytes(path.read_bytes()[:60])


def not_an_image(path):
    path.write_text("hello")


def deep(path):
    Image.fromarray(np.full((6, 6), 40_000, np.uint16)).save(path)


@pytest.mark.parametrize(
    "spoil, words",
    [
        (damaged, "is no image that can be read"),
        (not_an_image, "is no image that can be read"),
        (deep, "holds values beyond 8 bits"),
    ],
)
def test_a_file_that_is_no_image_is_named(tmp_path, spoil, words):
    root = image_folder(tmp_path / "pets")
    spoil(root / "dog" / "03.png")
    with pytest.raises(UserInputError, match=words) as caught:
        imported(root, SHAPE)
    assert str(root / "dog" / "03.png") in str(caught.value)


def test_folders_that_hold_no_samples_say_so(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserInputError, match="holds neither images nor sounds; found nothing"):
        imported(tmp_path / "empty", SHAPE)
    root = image_folder(tmp_path / "pets")
    (root / "cow").mkdir()
    with pytest.raises(UserInputError, match="the class 'cow' has no file that ends in"):
        imported(root, SHAPE)
    (root / "cow").rmdir()
    write_image(root / "astray.png", colours(1)[0])
    with pytest.raises(UserInputError, match="holds samples beside folders: astray.png"):
        imported(root, SHAPE)


def test_a_model_of_vectors_takes_no_images(tmp_path):
    with pytest.raises(UserInputError, match=r"samples of shape \[7, 9, 5\], which is no grey or colour image"):
        imported(image_folder(tmp_path / "pets"), (7, 9, 5))


def test_a_single_image_is_no_data_set(tmp_path):
    with pytest.raises(UserInputError, match="is a single sample"):
        imported(write_image(tmp_path / "one.png", colours(1)[0]), SHAPE)


@pytest.mark.parametrize("module, extra, file", [("PIL.Image", "images", "a/1.png"), ("soundfile", "audio", "a/1.wav")])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, module, extra, file):
    (tmp_path / "s" / "a").mkdir(parents=True)
    (tmp_path / "s" / file).touch()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPartError, match=rf"pip install 'tflite-hil-harness\[{extra}\]'"):
        imported(tmp_path / "s", SHAPE)


def test_an_animation_is_no_picture(tmp_path):
    root = image_folder(tmp_path / "pets")
    first, *others = (Image.fromarray(pixels) for pixels in colours(3, seed=9))
    first.save(root / "cat" / "moves.gif", save_all=True, append_images=others)
    with pytest.raises(UserInputError, match="holds 3 pictures .*, expected one"):
        imported(root, SHAPE)


def test_training_images_alone_are_no_test(tmp_path):
    image_folder(tmp_path / "d" / "train")
    with pytest.raises(UserInputError, match="has the part 'train' and no test part"):
        imported(tmp_path / "d", SHAPE)
