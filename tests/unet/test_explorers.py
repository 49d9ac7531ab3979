"""What the page shows of the U-Net chapter: tiles of images, and the button that trains."""

import numpy as np
import torch

from memnb.explorers.unet_transition import LiveTraining, over_time
from memnb.figures import style
from memnb.figures.unet_transition import GAP, tiles
from memnb.unet import readback
from memnb.unet.copies import nearest_neighbors

style.setup()


def test_tiles_keep_every_image():
    rows = [torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(k)) for k in (0, 1)]
    sheet = tiles(rows)[::-1]
    assert sheet.shape == (9, 14) and sheet.dtype == np.uint8
    for r, images in enumerate(rows):
        for c, image in enumerate(images[:, 0]):
            part = sheet[5 * r : 5 * r + 4, 5 * c : 5 * c + 4]
            np.testing.assert_allclose(part / 250, image.numpy(), atol=0.5 / 250 + 1e-6)
    assert (sheet[4] == GAP).all() and (sheet[:, 4] == GAP).all()


def test_over_time_shows_the_last_snapshot_up_to_a_step_and_says_which():
    explorer = over_time()
    (network, *_) = readback.time_networks()[16]
    last = network.snapshots[-1]
    texts = {last: f"after {last} steps; ", 2 * last: f"after {last} steps, the last; "}
    for step, text in (texts | {100: "after 80 steps; ", 79: "after 80 steps; "}).items():
        figure = explorer.frame(n=16, step=step)
        assert figure.layout.xaxis.title.text.startswith(text)
        at = int(text.split()[1])
        x = readback.snapshots(network)[at][0][:8]
        nearest = network.images()[nearest_neighbors(x, network.images()).index]
        np.testing.assert_array_equal(figure.data[0].z, tiles((x, nearest)))


def test_the_button_trains_and_shows_what_it_made(monkeypatch):
    box = LiveTraining(sizes=(2, 4), steps=(3, 4)).widget()
    choices, action, live, message = box.children
    (size, steps, seed), (button, bar) = choices.children, action.children
    shown = [np.array(live.data[0].z)]
    size.value = 4
    for steps.value, seed.value in ((4, 0), (3, 0), (3, 7)):
        button.click()
        assert bar.value == bar.max == steps.value and not button.disabled and not message.value
        shown.append(np.array(live.data[0].z))
        assert all((shown[-1] != old).mean() > 0.1 for old in shown[:-1])
    assert "copies" in live.layout.xaxis.title.text
    button.click()  # the same choice gives the same images
    assert (np.array(live.data[0].z) == shown[-1]).all()


def test_what_goes_wrong_behind_the_button_is_shown(monkeypatch):
    box = LiveTraining(sizes=(4,), steps=(2,)).widget()
    _, action, live, message = box.children
    button = action.children[0]
    before = np.array(live.data[0].z)

    def fail(*arguments, **named):
        raise MemoryError("no room for <this>")

    with monkeypatch.context() as patch:
        patch.setattr("memnb.explorers.unet_transition.train", fail)
        button.click()
    assert "MemoryError" in message.value and "no room for &lt;this&gt;" in message.value
    assert not button.disabled and (np.array(live.data[0].z) == before).all()
    button.click()
    assert not message.value and (np.array(live.data[0].z) != before).any()


def test_on_the_website_the_button_is_a_sentence(monkeypatch):
    monkeypatch.setenv("MEMNB_STATIC", "1")
    bundle = LiveTraining()._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"} and "JupyterLab" in bundle["text/html"]
