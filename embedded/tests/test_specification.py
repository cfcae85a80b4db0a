"""Every module, name, signature and default that the embedded package promises.

The tables are the specification; each part of the package has its own tests of behaviour beside
this one. Everything here holds for the official package too, except for what the embedded one
leaves out (the last tests).
"""

import importlib
import importlib.metadata
import inspect
from pathlib import Path

import pytest
import yaml

from detectron2.config import get_cfg

DATA = Path(__file__).parent / "data"
IS_EMBEDDED = importlib.metadata.version("detectron2").endswith("+embedded")

NAMES = {
    "detectron2": "__version__",
    "detectron2.config": (
        "CfgNode LazyCall LazyConfig configurable downgrade_config get_cfg global_cfg instantiate "
        "set_global_cfg upgrade_config"
    ),
    "detectron2.utils.registry": "Registry locate",
    "detectron2.utils.comm": (
        "all_gather create_local_process_group gather get_local_process_group get_local_rank "
        "get_local_size get_rank get_world_size is_main_process reduce_dict shared_random_seed "
        "synchronize"
    ),
    "detectron2.utils.events": (
        "CommonMetricPrinter EventStorage EventWriter JSONWriter TensorboardXWriter "
        "get_event_storage has_event_storage"
    ),
    "detectron2.utils.logger": (
        "_log_api_usage create_small_table log_every_n log_every_n_seconds log_first_n setup_logger"
    ),
    "detectron2.utils.file_io": "PathHandler PathManager",
    "detectron2.utils.env": "TORCH_VERSION seed_all_rng setup_environment",
    "detectron2.utils.memory": "retry_if_cuda_oom",
    "detectron2.utils.serialize": "PicklableWrapper",
    "detectron2.utils.collect_env": "collect_env_info",
    "detectron2.utils.colormap": "colormap random_color random_colors",
    "detectron2.utils.visualizer": (
        "ColorMode GenericMask VisImage Visualizer _PanopticPrediction _create_text_labels"
    ),
    "detectron2.utils.video_visualizer": "VideoVisualizer",
    "detectron2.data": (
        "DatasetCatalog DatasetFromList DatasetMapper MapDataset Metadata MetadataCatalog "
        "ToIterableDataset build_batch_data_loader build_detection_test_loader "
        "build_detection_train_loader datasets get_detection_dataset_dicts "
        "load_proposals_into_dataset print_instances_class_histogram samplers transforms"
    ),
    "detectron2.data.build": (
        "build_batch_data_loader build_detection_test_loader build_detection_train_loader "
        "filter_images_with_only_crowd_annotations get_detection_dataset_dicts "
        "trivial_batch_collator worker_init_reset_seed"
    ),
    "detectron2.data.catalog": "DatasetCatalog Metadata MetadataCatalog",
    "detectron2.data.common": (
        "AspectRatioGroupedDataset DatasetFromList MapDataset ToIterableDataset"
    ),
    "detectron2.data.dataset_mapper": "DatasetMapper",
    "detectron2.data.datasets": (
        "convert_to_coco_json load_coco_json load_sem_seg register_coco_instances "
        "register_coco_panoptic register_coco_panoptic_separated"
    ),
    "detectron2.data.datasets.coco": (
        "convert_to_coco_json load_coco_json load_sem_seg register_coco_instances"
    ),
    "detectron2.data.datasets.coco_panoptic": "load_coco_panoptic_json register_coco_panoptic",
    "detectron2.data.detection_utils": (
        "SizeMismatchError _apply_exif_orientation annotations_to_instances build_augmentation "
        "build_transform_gen check_image_size check_metadata_consistency convert_PIL_to_numpy "
        "convert_image_to_rgb filter_empty_instances gen_crop_transform_with_instance read_image "
        "transform_instance_annotations transform_proposals"
    ),
    "detectron2.data.samplers": (
        "GroupedBatchSampler InferenceSampler RandomSubsetTrainingSampler "
        "RepeatFactorTrainingSampler TrainingSampler"
    ),
    "detectron2.data.samplers.distributed_sampler": (
        "InferenceSampler RandomSubsetTrainingSampler RepeatFactorTrainingSampler TrainingSampler"
    ),
    "detectron2.data.transforms": (
        "AugInput Augmentation AugmentationList BlendTransform ColorTransform CropTransform "
        "ExtentTransform FixedSizeCrop GridSampleTransform HFlipTransform MinIoURandomCrop "
        "NoOpTransform PILColorTransform PadTransform RandomApply RandomBrightness RandomContrast "
        "RandomCrop RandomCrop_CategoryAreaConstraint RandomExtent RandomFlip RandomLighting "
        "RandomResize RandomRotation RandomSaturation Resize ResizeScale ResizeShortestEdge "
        "ResizeTransform RotationTransform ScaleTransform StandardAugInput Transform TransformGen "
        "TransformList VFlipTransform apply_augmentations apply_transform_gens"
    ),
    "detectron2.data.transforms.augmentation": (
        "AugInput Augmentation AugmentationList apply_augmentations"
    ),
    "detectron2.data.transforms.augmentation_impl": "RandomCrop RandomFlip ResizeShortestEdge",
    "detectron2.data.transforms.transform": (
        "ColorTransform ExtentTransform PILColorTransform ResizeTransform RotationTransform"
    ),
    "detectron2.structures": (
        "BitMasks BoxMode Boxes ImageList Instances Keypoints PolygonMasks ROIMasks RotatedBoxes "
        "heatmaps_to_keypoints pairwise_ioa pairwise_iou pairwise_iou_rotated "
        "pairwise_point_box_distance polygons_to_bitmask"
    ),
    "detectron2.structures.boxes": (
        "BoxMode Boxes matched_pairwise_iou pairwise_intersection pairwise_ioa pairwise_iou "
        "pairwise_point_box_distance"
    ),
    "detectron2.structures.image_list": "ImageList",
    "detectron2.structures.instances": "Instances",
    "detectron2.structures.masks": (
        "BitMasks PolygonMasks ROIMasks polygons_to_bitmask rasterize_polygons_within_box"
    ),
    "detectron2.layers": (
        "BatchNorm2d CNNBlockBase Conv2d ConvTranspose2d CycleBatchNormList DeformConv "
        "FrozenBatchNorm2d Linear ModulatedDeformConv NaiveSyncBatchNorm ROIAlign ShapeSpec "
        "batched_nms cat ciou_loss cross_entropy diou_loss empty_input_loss_func_wrapper get_norm "
        "interpolate move_device_like nms nonzero_tuple paste_masks_in_image shapes_to_tensor"
    ),
    "detectron2.modeling": (
        "ANCHOR_GENERATOR_REGISTRY BACKBONE_REGISTRY Backbone FPN GeneralizedRCNN "
        "META_ARCH_REGISTRY PROPOSAL_GENERATOR_REGISTRY PanopticFPN ROI_BOX_HEAD_REGISTRY "
        "ROI_HEADS_REGISTRY ROI_MASK_HEAD_REGISTRY RPN_HEAD_REGISTRY ResNet ResNetBlockBase "
        "SEM_SEG_HEADS_REGISTRY SemanticSegmentor ShapeSpec build_anchor_generator build_backbone "
        "build_box_head build_mask_head build_model build_proposal_generator build_resnet_backbone "
        "build_roi_heads build_rpn_head build_sem_seg_head detector_postprocess make_stage "
        "ROIHeads StandardROIHeads BaseMaskRCNNHead FastRCNNOutputLayers"
    ),
    "detectron2.modeling.anchor_generator": "DefaultAnchorGenerator build_anchor_generator",
    "detectron2.modeling.backbone": (
        "BACKBONE_REGISTRY BasicStem Backbone BottleneckBlock FPN ResNet ResNetBlockBase "
        "build_backbone build_resnet_backbone make_stage"
    ),
    "detectron2.modeling.backbone.fpn": (
        "FPN LastLevelMaxPool LastLevelP6P7 build_resnet_fpn_backbone"
    ),
    "detectron2.modeling.backbone.resnet": (
        "BasicBlock BasicStem BottleneckBlock DeformBottleneckBlock ResNet ResNetBlockBase "
        "build_resnet_backbone make_stage"
    ),
    "detectron2.modeling.box_regression": (
        "Box2BoxTransform Box2BoxTransformLinear _dense_box_regression_loss"
    ),
    "detectron2.modeling.matcher": "Matcher",
    "detectron2.modeling.meta_arch": (
        "META_ARCH_REGISTRY SEM_SEG_HEADS_REGISTRY GeneralizedRCNN PanopticFPN SemanticSegmentor "
        "build_model build_sem_seg_head"
    ),
    "detectron2.modeling.meta_arch.panoptic_fpn": (
        "PanopticFPN combine_semantic_and_instance_outputs"
    ),
    "detectron2.modeling.meta_arch.semantic_seg": "SemSegFPNHead SemanticSegmentor",
    "detectron2.modeling.poolers": "ROIPooler assign_boxes_to_levels",
    "detectron2.modeling.postprocessing": "detector_postprocess sem_seg_postprocess",
    "detectron2.modeling.proposal_generator": "RPN_HEAD_REGISTRY build_proposal_generator",
    "detectron2.modeling.proposal_generator.proposal_utils": (
        "add_ground_truth_to_proposals find_top_rpn_proposals"
    ),
    "detectron2.modeling.proposal_generator.rpn": "RPN StandardRPNHead build_rpn_head",
    "detectron2.modeling.roi_heads": (
        "ROIHeads StandardROIHeads build_box_head build_mask_head build_roi_heads "
        "select_foreground_proposals"
    ),
    "detectron2.modeling.roi_heads.box_head": "FastRCNNConvFCHead build_box_head",
    "detectron2.modeling.roi_heads.fast_rcnn": "FastRCNNOutputLayers fast_rcnn_inference",
    "detectron2.modeling.roi_heads.mask_head": (
        "BaseMaskRCNNHead MaskRCNNConvUpsampleHead build_mask_head mask_rcnn_inference "
        "mask_rcnn_loss"
    ),
    "detectron2.modeling.sampling": "subsample_labels",
    "detectron2.checkpoint": "Checkpointer DetectionCheckpointer PeriodicCheckpointer",
    "detectron2.checkpoint.c2_model_loading": (
        "align_and_update_state_dicts convert_basic_c2_names convert_c2_detectron_names"
    ),
    "detectron2.solver": (
        "WarmupCosineLR WarmupMultiStepLR build_lr_scheduler build_optimizer "
        "get_default_optimizer_params"
    ),
    "detectron2.solver.build": (
        "get_default_optimizer_params maybe_add_gradient_clipping reduce_param_groups"
    ),
    "detectron2.solver.lr_scheduler": (
        "LRMultiplier WarmupCosineLR WarmupMultiStepLR WarmupParamScheduler "
        "_get_warmup_factor_at_iter"
    ),
    "detectron2.engine": (
        "AMPTrainer DEFAULT_TIMEOUT DefaultPredictor DefaultTrainer HookBase SimpleTrainer "
        "TrainerBase create_ddp_model default_argument_parser default_setup default_writers hooks "
        "launch"
    ),
    "detectron2.engine.defaults": "DefaultPredictor DefaultTrainer create_ddp_model default_setup",
    "detectron2.engine.hooks": (
        "AutogradProfiler BestCheckpointer CallbackHook EvalHook IterationTimer LRScheduler "
        "PeriodicCheckpointer PeriodicWriter PreciseBN TorchMemoryStats TorchProfiler"
    ),
    "detectron2.engine.launch": "launch",
    "detectron2.engine.train_loop": "AMPTrainer HookBase SimpleTrainer TrainerBase",
    "detectron2.evaluation": (
        "COCOEvaluator COCOPanopticEvaluator DatasetEvaluator DatasetEvaluators SemSegEvaluator "
        "inference_context inference_on_dataset print_csv_format verify_results"
    ),
    "detectron2.evaluation.evaluator": (
        "DatasetEvaluator DatasetEvaluators inference_context inference_on_dataset"
    ),
    "detectron2.evaluation.testing": "flatten_results_dict print_csv_format verify_results",
    "detectron2.projects.deeplab": "add_deeplab_config build_lr_scheduler",
    "detectron2.projects.deeplab.loss": "DeepLabCE",
    "detectron2.projects.deeplab.lr_scheduler": "WarmupPolyLR",
    "detectron2.projects.point_rend": "ColorAugSSDTransform add_pointrend_config",
    "detectron2.projects.point_rend.point_features": (
        "generate_regular_grid_point_coords get_point_coords_wrt_image "
        "get_uncertain_point_coords_on_grid get_uncertain_point_coords_with_randomness "
        "point_sample point_sample_fine_grained_features"
    ),
}

# Parameter names, in order; "*" before those given by keyword only.
PARAMETERS = {
    "detectron2.config.CfgNode.merge_from_file": "self cfg_filename allow_unsafe",
    "detectron2.data.DatasetMapper": (
        "is_train * augmentations image_format use_instance_mask use_keypoint instance_mask_format "
        "keypoint_hflip_indices precomputed_proposal_topk recompute_boxes"
    ),
    "detectron2.data.build_batch_data_loader": (
        "dataset sampler total_batch_size * aspect_ratio_grouping num_workers collate_fn drop_last "
        "single_gpu_batch_size prefetch_factor persistent_workers pin_memory seed kwargs"
    ),
    "detectron2.data.build_detection_train_loader": (
        "dataset * mapper sampler total_batch_size aspect_ratio_grouping num_workers collate_fn "
        "kwargs"
    ),
    "detectron2.data.build_detection_test_loader": (
        "dataset * mapper sampler batch_size num_workers collate_fn"
    ),
    "detectron2.data.get_detection_dataset_dicts": (
        "names filter_empty min_keypoints proposal_files check_consistency"
    ),
    "detectron2.data.transforms.AugInput": "image * boxes sem_seg",
    "detectron2.data.transforms.ResizeShortestEdge": (
        "short_edge_length max_size sample_style interp"
    ),
    "detectron2.data.transforms.FixedSizeCrop": "crop_size pad pad_value seg_pad_value",
    "detectron2.structures.ImageList.from_tensors": (
        "tensors size_divisibility pad_value padding_constraints"
    ),
    "detectron2.utils.events.EventStorage.put_scalar": "self name value smoothing_hint cur_iter",
    "detectron2.utils.logger.setup_logger": (
        "output distributed_rank * color name abbrev_name enable_propagation configure_stdout"
    ),
    "detectron2.utils.visualizer.Visualizer": (
        "img_rgb metadata scale instance_mode font_size_scale"
    ),
    "detectron2.utils.visualizer.Visualizer.draw_panoptic_seg": (
        "self panoptic_seg segments_info area_threshold alpha"
    ),
    "detectron2.utils.visualizer.Visualizer.overlay_instances": (
        "self * boxes labels masks keypoints assigned_colors alpha"
    ),
    "detectron2.modeling.backbone.resnet.ResNet": "stem stages num_classes out_features freeze_at",
    "detectron2.modeling.backbone.fpn.FPN": (
        "bottom_up in_features out_channels norm top_block fuse_type square_pad"
    ),
    "detectron2.modeling.poolers.ROIPooler": (
        "output_size scales sampling_ratio pooler_type canonical_box_size canonical_level"
    ),
    "detectron2.checkpoint.DetectionCheckpointer": "model save_dir * save_to_disk checkpointables",
    "detectron2.engine.SimpleTrainer": (
        "model data_loader optimizer gather_metric_period zero_grad_before_forward "
        "async_write_metrics"
    ),
    "detectron2.engine.hooks.BestCheckpointer": (
        "eval_period checkpointer val_metric mode file_prefix"
    ),
    "detectron2.engine.launch": (
        "main_func num_gpus_per_machine num_machines machine_rank dist_url args timeout"
    ),
    "detectron2.solver.get_default_optimizer_params": (
        "model base_lr weight_decay weight_decay_norm bias_lr_factor weight_decay_bias "
        "lr_factor_func overrides"
    ),
    "detectron2.evaluation.inference_on_dataset": "model data_loader evaluator callbacks",
}

OUTSIDE_NAMES = [
    "detectron2.config.LazyConfig",
    "detectron2.config.instantiate",
    "detectron2.data.load_proposals_into_dataset",
    "detectron2.data.datasets.convert_to_coco_json",
    "detectron2.structures.Keypoints",
    "detectron2.structures.RotatedBoxes",
    "detectron2.evaluation.COCOEvaluator",
]


def find(path: str) -> object:
    """An object by its dotted path; an attribute wins over a submodule of the same name."""
    first, *names = path.split(".")
    found, module = importlib.import_module(first), first
    for name in names:
        module = f"{module}.{name}"
        if not hasattr(found, name):
            importlib.import_module(module)
        found = getattr(found, name)
    return found


def leaf_items(node: dict, prefix: str = "") -> dict[str, object]:
    items = {}
    for key, value in node.items():
        if isinstance(value, dict):
            items.update(leaf_items(value, f"{prefix}{key}."))
        else:
            items[prefix + key] = value
    return items


@pytest.mark.parametrize("module", NAMES)
def test_names(module):
    found = importlib.import_module(module)
    missing = [name for name in NAMES[module].split() if not hasattr(found, name)]
    assert not missing, f"{module} lacks {missing}"


@pytest.mark.parametrize("path", PARAMETERS)
def test_parameters(path):
    words = []
    for parameter in inspect.signature(find(path)).parameters.values():
        if parameter.kind == parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        words.append(parameter.name)
    assert " ".join(words) == PARAMETERS[path]


def test_defaults_of_the_configuration():
    expected = yaml.safe_load((DATA / "a_config_defaults.yaml").read_text(encoding="utf-8"))
    found = leaf_items(yaml.safe_load(get_cfg().dump()))
    expected = leaf_items(expected)
    assert sorted(found) == sorted(expected)
    differing = {
        key: (found[key], value)
        for key, value in expected.items()
        if (found[key], type(found[key])) != (value, type(value))
    }
    assert not differing


def test_star_import_of_the_engine():
    namespace: dict[str, object] = {}
    exec("from detectron2.engine import *", namespace)
    assert "SimpleTrainer" in namespace
    assert "DefaultTrainer" not in namespace


@pytest.mark.skipif(not IS_EMBEDDED, reason="the official package has everything")
@pytest.mark.parametrize("path", OUTSIDE_NAMES)
def test_names_outside_the_subset_refuse_to_be_used(path):
    placeholder = find(path)
    for use in (placeholder, lambda: placeholder.something):
        with pytest.raises(NotImplementedError, match="make setup DETECTRON2=official"):
            use()
    assert not isinstance(3, placeholder)


@pytest.mark.skipif(not IS_EMBEDDED, reason="the official package has everything")
@pytest.mark.parametrize(
    "module",
    [
        "detectron2.model_zoo",
        "detectron2.utils.testing",
        "detectron2.data.datasets.builtin_meta",
        "detectron2.evaluation.coco_evaluation",
    ],
)
def test_modules_outside_the_subset_refuse_to_be_imported(module):
    with pytest.raises(NotImplementedError, match=f"{module} is not part of the embedded"):
        importlib.import_module(module)


def test_modules_that_nobody_has_are_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("detectron2.no_such_module")


@pytest.mark.skipif(not IS_EMBEDDED, reason="the official package has data sets built in")
def test_built_in_data_sets_say_where_they_are():
    from detectron2.data import DatasetCatalog

    with pytest.raises(NotImplementedError, match="'coco_2017_val' is not part of the embedded"):
        DatasetCatalog.get("coco_2017_val")
