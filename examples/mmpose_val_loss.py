"""A config for mmpose's own tools/train.py: a shipped one, stopped early on val_loss.

mmpose and its pipelines are not changed. As shipped, the validation takes its persons
from a detector and has no targets: ``ValLossHook`` takes the annotated persons for the
loss, with the ``GenerateTarget`` of the train pipeline.

``python examples/mmpose_figures.py`` draws the images; then run mmpose's own script,
which is in its package:

    python -m valloss_compat run "$(python -c 'import mmpose; print(mmpose.__path__[0])')/.mim/tools/train.py" examples/mmpose_val_loss.py
"""  # noqa: E501

_base_ = (
    "mmpose::body_2d_keypoint/topdown_heatmap/coco/"
    "td-hm_res50_8xb64-210e_coco-256x192.py"
)

# The two hooks. A dict is merged with that of the base, a list would replace it.
default_hooks = dict(
    val_loss=dict(type="ValLossHook"),
    # The loss of heat maps is small: 0.004 before the training.
    early_stopping=dict(
        type="EarlyStoppingHook", monitor="val_loss", patience=3, min_delta=1e-5
    ),
    checkpoint=dict(save_best="val_loss", rule="less", max_keep_ckpts=1),
)

# The figures in place of COCO.
data_root = "data/figures/"
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root, ann_file="persons.json", data_prefix=dict(img="")
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        ann_file="persons.json",
        bbox_file=data_root + "detections.json",
        data_prefix=dict(img=""),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + "persons.json")
test_evaluator = val_evaluator

# Narrow, for a CPU.
model = dict(
    backbone=dict(depth=18, init_cfg=None),
    head=dict(in_channels=512, deconv_out_channels=(32, 32, 32)),
)
train_cfg = dict(max_epochs=60, val_interval=5)
optim_wrapper = dict(optimizer=dict(lr=0.002))
param_scheduler = None
randomness = dict(seed=0)
