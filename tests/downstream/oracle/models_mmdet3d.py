"""Models of mmdet3d 1.4.0 that run without CUDA.

Sparse convolutions and the sampling of points need one.
"""

from __future__ import annotations

from downstream.oracle.table import Model

#: A part of what KITTI's scenes cover, of 128 x 128 pillars.
_NEAR = [0, -10.24, -3, 20.48, 10.24, 1]
_KITTI = {
    "*.point_cloud_range": _NEAR,
    "middle_encoder.output_shape": [128, 128],
    "bbox_head.anchor_generator.ranges": [[0, -10.24, -1.78, 20.48, 10.24, -1.78]],
}
#: The same of nuScenes' scenes.
_AROUND = [-25.6, -25.6, -5, 25.6, 25.6, 3]
_NUSCENES = {
    "*.point_cloud_range": _AROUND,
    "*.output_shape": [128, 128],
}
_CLOUD = {"area": _AROUND, "features": 5, "code": 9}
_CLOUD_4 = {"area": _AROUND, "features": 4, "code": 9}

MODELS = (
    Model(
        "mmdet3d",
        "pointpillars/pointpillars_hv_secfpn_8xb6-160e_kitti-3d-car.py",
        _KITTI,
    ),
    Model(
        "mmdet3d",
        "centerpoint/centerpoint_pillar02_second_secfpn_8xb4-cyclic-20e_nus-3d.py",
        {
            "*.point_cloud_range": _AROUND,
            "*.output_shape": [256, 256],
            "*.grid_size": [256, 256, 1],
            "*.pc_range": _AROUND[:2],
            "*.post_center_range": [-61.2, -61.2, -10.0, 61.2, 61.2, 10.0],
        },
        _CLOUD,
    ),
    Model(
        "mmdet3d",
        "pointpillars/pointpillars_hv_fpn_sbn-all_8xb4-2x_nus-3d.py",
        {**_NUSCENES, "*.output_shape": [205, 205]},
        _CLOUD_4,
    ),
    Model(
        "mmdet3d",
        "pointpillars/pointpillars_hv_secfpn_sbn-all_8xb4-2x_nus-3d.py",
        {**_NUSCENES, "*.output_shape": [208, 208]},
        _CLOUD_4,
    ),
    Model(
        "mmdet3d",
        "free_anchor/pointpillars_hv_fpn_head-free-anchor_sbn-all_8xb4-2x_nus-3d.py",
        {**_NUSCENES, "*.output_shape": [208, 208]},
        {**_CLOUD_4, "empty": False},
    ),
    Model(
        "mmdet3d",
        "ssn/ssn_hv_secfpn_sbn-all_16xb2-2x_nus-3d.py",
        {**_NUSCENES, "*.output_shape": [208, 208]},
        _CLOUD_4,
    ),
    Model(
        "mmdet3d",
        "regnet/pointpillars_hv_regnet-400mf_fpn_sbn-all_8xb4-2x_nus-3d.py",
        {**_NUSCENES, "*.output_shape": [208, 208]},
        _CLOUD_4,
    ),
    Model(
        "mmdet3d",
        "fcos3d/fcos3d_r101-caffe-dcn_fpn_head-gn_8xb2-1x_nus-mono3d.py",
        {"backbone.depth": 50},
        {"kind": "camera"},
    ),
    Model(
        "mmdet3d",
        "pgd/pgd_r101-caffe_fpn_head-gn_16xb2-1x_nus-mono3d.py",
        {"backbone.depth": 50},
        {"kind": "camera"},
    ),
    Model(
        "mmdet3d",
        "smoke/smoke_dla34_dlaneck_gn-all_4xb8-6x_kitti-mono3d.py",
        {},
        {"kind": "camera", "code": 7},
    ),
    Model(
        "mmdet3d",
        "imvoxelnet/imvoxelnet_8xb4_kitti-3d-car.py",
        {
            "n_voxels": [48, 48, 12],
            "prior_generator.ranges": [[0, -8, -3.08, 16, 8, 0.76]],
            "bbox_head.anchor_generator.ranges": [[0, -8, -1.78, 16, 8, -1.78]],
        },
        {"kind": "voxels"},
    ),
)
