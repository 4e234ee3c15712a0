"""A config for mmpretrain's own tools/train.py: digits, stopped early on val_loss.

mmpretrain is not changed. ``python examples/digits_folder.py`` writes the images;
then run mmpretrain's own script, which is in its package:

    python -m valloss_compat run "$(python -c 'import mmpretrain; print(mmpretrain.__path__[0])')/.mim/tools/train.py" examples/mmpretrain_digits.py
"""  # noqa: E501

_base_ = "mmpretrain::resnet/resnet18_8xb16_cifar10.py"

# The two hooks. A dict is merged with that of the base, a list would replace it.
default_hooks = dict(
    val_loss=dict(type="ValLossHook"),
    early_stopping=dict(
        type="EarlyStoppingHook", monitor="val_loss", patience=3, min_delta=1e-4
    ),
    checkpoint=dict(save_best="val_loss", max_keep_ckpts=1),
)

# The digits in place of CIFAR-10.
data_root = "data/digits/"
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type="CustomDataset",
        data_root=data_root + "train",
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="RandomCrop", crop_size=32, padding=4),
            dict(type="PackInputs"),
        ],
    ),
)
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type="CustomDataset",
        data_root=data_root + "val",
        pipeline=[dict(type="LoadImageFromFile"), dict(type="PackInputs")],
    ),
)
test_dataloader = val_dataloader

# Narrow, for a CPU.
model = dict(backbone=dict(stem_channels=8, base_channels=8), head=dict(in_channels=64))
train_cfg = dict(max_epochs=40)
optim_wrapper = dict(optimizer=dict(_delete_=True, type="Adam", lr=0.002))
randomness = dict(seed=0)
