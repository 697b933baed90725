"""Folders of sound: values, rates, channels, lengths, and what is refused."""

import numpy as np
import pytest
import soundfile

from harness.core.errors import UserInputError
from tests.support.sample_files import imported, write_wave


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


def tone(hz, count=800, rate=8000):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(count) / rate)


def folder(tmp_path):
    for number in range(6):
        write_wave(tmp_path / "s" / "low" / f"{number}.wav", tone(200 + number))
        write_wave(tmp_path / "s" / "high" / f"{number}.wav", tone(2000 + number))
    return tmp_path / "s"


def test_waves_come_through_with_their_class(tmp_path):
    found, arrays = imported(folder(tmp_path), (800,), finished=True)
    assert found.classes == ("high", "low") and arrays["x_test"].dtype == np.float32
    low = arrays["x_test"][arrays["y_test"] == 1]
    assert np.abs(low[2] - tone(202)).max() < 1 / 32000
    assert found.note == "s: a folder of sounds, 2 classes, 12 test"


def test_sound_takes_the_length_of_the_model(tmp_path):
    _, longer = imported(folder(tmp_path), (1000, 1), finished=True)
    assert longer["x_test"].shape[1:] == (1000, 1) and not longer["x_test"][:, 800:].any()
    _, shorter = imported(tmp_path / "s", (300,), finished=True)
    assert np.array_equal(shorter["x_test"], longer["x_test"][:, :300, 0])


def test_another_rate_is_resampled(tmp_path):
    write_wave(tmp_path / "s" / "a" / "0.wav", tone(440, 1600, 16_000), rate=16_000)
    found, arrays = imported(tmp_path / "s", (800,), finished=True, preprocessing={"rate_hz": 8000})
    inside = slice(50, 750)  # the filter rings at the ends
    assert np.abs(arrays["x_test"][0][inside] - tone(440)[inside]).max() < 0.01
    assert "1 files of 16,000 Hz" in found.evidence["preprocessing.rate_hz"]


def test_several_rates_need_a_word(tmp_path):
    root = folder(tmp_path)
    write_wave(root / "low" / "other.wav", tone(100), rate=44_100)
    with pytest.raises(UserInputError, match="12 files of 8,000 Hz and 1 files of 44,100 Hz"):
        imported(root, (800,))


def test_channels_are_averaged(tmp_path):
    write_wave(tmp_path / "s" / "a" / "0.wav", np.stack([tone(100), tone(300)], axis=1))
    found, arrays = imported(tmp_path / "s", (800,), finished=True)
    assert np.abs(arrays["x_test"][0] - (tone(100) + tone(300)) / 2).max() < 1 / 32000
    assert "several channels are averaged" in found.evidence["preprocessing.rate_hz"]


def test_what_is_no_sound_is_named(tmp_path):
    root = folder(tmp_path)
    (root / "low" / "3.wav").write_bytes((root / "low" / "3.wav").read_bytes()[:20])
    with pytest.raises(UserInputError, match="is no sound that can be read") as caught:
        imported(root, (800,))
    assert str(root / "low" / "3.wav") in str(caught.value)


def test_a_model_of_spectrograms_is_told_to_compute_them(tmp_path):
    with pytest.raises(UserInputError, match=r"shape \[49, 10, 1\], which is no waveform.*module:function"):
        imported(folder(tmp_path), (49, 10, 1))


def test_a_wave_that_is_cut_off_is_told(tmp_path):
    root = folder(tmp_path)
    file = root / "low" / "3.wav"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(
        UserInputError, match="is cut off: its header promises 1,600 bytes of sound, and 1,500 are there"
    ):
        imported(root, (800,))
    for length in (0xFFFFFFFF, 0x7FFFFFFF):  # what a writer that cannot seek leaves behind
        file.write_bytes(whole[:40] + length.to_bytes(4, "little") + whole[44:])
        assert sum(imported(root, (800,))[0].counts.values())


def test_floats_on_the_scale_of_integers_are_told(tmp_path):
    root = folder(tmp_path)
    soundfile.write(root / "low" / "x.wav", (tone(100) * 32767).astype(np.float32), 8000, subtype="FLOAT")
    with pytest.raises(UserInputError, match="holds values as large as .*, expected -1 to 1"):
        imported(root, (800,))


def test_files_that_are_no_sounds_are_counted(tmp_path):
    root = folder(tmp_path)
    (root / "low" / "notes.mp3").write_bytes(b"x")
    assert imported(root, (800,))[0].evidence["data.path"] == "1 files that are no sounds are left alone"
