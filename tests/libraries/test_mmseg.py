"""mmseg: the crops of models that predict window by window."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData

from valloss_compat._libraries.models import crop, crop_size


@pytest.mark.parametrize(
    ("test_cfg", "size"),
    [
        ({"mode": "slide", "crop_size": (96, 64)}, (96, 64)),
        ({"mode": "slide", "crop_size": [96.0, 64]}, (96, 64)),
        ({"mode": "slide"}, None),
        ({"mode": "whole", "crop_size": (96, 64)}, None),
        ({}, None),
        ([{"mode": "slide"}], None),
        (None, None),
    ],
)
def test_crop_of_slide_mode_is_its_window(test_cfg, size):
    assert crop_size(SimpleNamespace(test_cfg=test_cfg)) == size
    assert crop_size(SimpleNamespace()) is None


def test_crop_is_the_centre_of_images_and_maps_alike():
    image = torch.arange(5 * 8.0).reshape(1, 5, 8).repeat(3, 1, 1)
    sample = BaseDataElement(
        metainfo={"img_shape": (5, 8)}, gt_sem_seg=PixelData(data=image[:1].long())
    )
    batch = {"inputs": [image], "data_samples": [sample], "other": 1}
    cropped = crop(batch, (2, 4))
    assert cropped["other"] == 1
    (window,) = cropped["inputs"]
    assert torch.equal(window, image[:, 1:3, 2:6])
    assert torch.equal(sample.gt_sem_seg.data, window[:1].long())
    assert sample.img_shape == (2, 4)


def test_image_that_is_smaller_than_the_crop_is_left_whole():
    image = torch.arange(6.0).reshape(1, 2, 3)
    sample = BaseDataElement(gt_sem_seg=PixelData(data=image.long()))
    batch = {"inputs": [image], "data_samples": [sample]}
    (window,) = crop(batch, (4, 2))["inputs"]
    assert torch.equal(window, image[:, :, :2])
    assert torch.equal(sample.gt_sem_seg.data, window.long())
    assert sample.img_shape == (2, 2)
