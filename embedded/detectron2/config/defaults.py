"""Every option and its default. The values are those of Detectron2 0.6."""

from .config import CfgNode as CN

_C = CN()

# Version of the key names; 2 is the only one the embedded package reads.
_C.VERSION = 2

_C.MODEL = CN()
# Name in META_ARCH_REGISTRY.
_C.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
# Device of the model: "cuda", "cuda:1", "cpu", ...
_C.MODEL.DEVICE = "cuda"
# Checkpoint to start from: a path, a URL or detectron2://...; "" = random initialisation.
_C.MODEL.WEIGHTS = ""
# Subtracted from and divided into each pixel, per channel, in the order of INPUT.FORMAT. The
# defaults are those of BGR weights converted from Caffe, whose scale is inside the first layer;
# torchvision weights need RGB with [123.675, 116.28, 103.53] and [58.395, 57.12, 57.375].
_C.MODEL.PIXEL_MEAN = [103.530, 116.280, 123.675]
_C.MODEL.PIXEL_STD = [1.0, 1.0, 1.0]
# Whether detectors predict masks, keypoints.
_C.MODEL.MASK_ON = False
_C.MODEL.KEYPOINT_ON = False
# Whether proposals are read from files (outside the embedded subset).
_C.MODEL.LOAD_PROPOSALS = False

# ------------------------------------------------------------------------------------ input
_C.INPUT = CN()
# Channel order of images: a PIL mode, "BGR", or "YUV-BT.601".
_C.INPUT.FORMAT = "BGR"
# Short side after resizing, in pixels, in training: one of the values ("choice"), or any between
# the two ("range"). 0 = no resizing.
_C.INPUT.MIN_SIZE_TRAIN = (800,)
_C.INPUT.MIN_SIZE_TRAIN_SAMPLING = "choice"
# The long side is at most this, in pixels; wins over the short side.
_C.INPUT.MAX_SIZE_TRAIN = 1333
# The same in testing.
_C.INPUT.MIN_SIZE_TEST = 800
_C.INPUT.MAX_SIZE_TEST = 1333
# Flip with probability 1/2 in training: "horizontal", "vertical" or "none".
_C.INPUT.RANDOM_FLIP = "horizontal"
# Form of ground-truth masks in training: "polygon", or "bitmask".
_C.INPUT.MASK_FORMAT = "polygon"
# Random crop before resizing, in training. TYPE as in transforms.RandomCrop; SIZE is two fractions
# of the image for "relative*" types, two pixel counts for "absolute*" ones.
_C.INPUT.CROP = CN({"ENABLED": False})
_C.INPUT.CROP.TYPE = "relative_range"
_C.INPUT.CROP.SIZE = [0.9, 0.9]

# ------------------------------------------------------------------------------------ data
_C.DATASETS = CN()
# Names in DatasetCatalog. Training data sets are concatenated, test sets evaluated one by one.
_C.DATASETS.TRAIN = ()
_C.DATASETS.TEST = ()
# Files of proposals, one per data set, and how many to take (with MODEL.LOAD_PROPOSALS).
_C.DATASETS.PROPOSAL_FILES_TRAIN = ()
_C.DATASETS.PROPOSAL_FILES_TEST = ()
_C.DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TRAIN = 2000
_C.DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TEST = 1000

_C.DATALOADER = CN()
# Worker processes per training process; 0 = load in the training process.
_C.DATALOADER.NUM_WORKERS = 4
# Batch landscape images with landscape images, to pad less.
_C.DATALOADER.ASPECT_RATIO_GROUPING = True
# TrainingSampler, RepeatFactorTrainingSampler, RandomSubsetTrainingSampler,
# WeightedTrainingSampler or WeightedCategoryTrainingSampler.
_C.DATALOADER.SAMPLER_TRAIN = "TrainingSampler"
# For RepeatFactorTrainingSampler: categories in a smaller fraction of images are repeated; 0 =
# never. The factor is fraction/threshold, or its square root.
_C.DATALOADER.REPEAT_THRESHOLD = 0.0
_C.DATALOADER.REPEAT_SQRT = True
# Leave images without annotated objects out of training.
_C.DATALOADER.FILTER_EMPTY_ANNOTATIONS = True

# ------------------------------------------------------------------------------------ backbone
_C.MODEL.BACKBONE = CN()
# Name in BACKBONE_REGISTRY.
_C.MODEL.BACKBONE.NAME = "build_resnet_backbone"
# Stages of a ResNet that are not trained: 0 none, 1 the stem, 2 stem and res2, ...
_C.MODEL.BACKBONE.FREEZE_AT = 2

_C.MODEL.RESNETS = CN()
# 18, 34, 50, 101 or 152.
_C.MODEL.RESNETS.DEPTH = 50
# Feature maps to return: "stem", "res2" ... "res5".
_C.MODEL.RESNETS.OUT_FEATURES = ["res4"]
# Normalisation after each convolution, see layers.get_norm. Frozen statistics suit small batches.
_C.MODEL.RESNETS.NORM = "FrozenBN"
# ResNeXt: number of groups and bottleneck channels per group in res2.
_C.MODEL.RESNETS.NUM_GROUPS = 1
_C.MODEL.RESNETS.WIDTH_PER_GROUP = 64
# Where the stride of a bottleneck block is: in its 1x1 convolution (MSRA weights) or its 3x3 one
# (torchvision weights, ResNeXt).
_C.MODEL.RESNETS.STRIDE_IN_1X1 = True
# Dilation of res5; 2 keeps it at the stride of res4.
_C.MODEL.RESNETS.RES5_DILATION = 1
# Channels after the stem and after res2 (64 for depths 18 and 34).
_C.MODEL.RESNETS.STEM_OUT_CHANNELS = 64
_C.MODEL.RESNETS.RES2_OUT_CHANNELS = 256
# Deformable convolutions in res2 .. res5, with modulation (version 2) or not, and their groups.
_C.MODEL.RESNETS.DEFORM_ON_PER_STAGE = [False, False, False, False]
_C.MODEL.RESNETS.DEFORM_MODULATED = False
_C.MODEL.RESNETS.DEFORM_NUM_GROUPS = 1

_C.MODEL.FPN = CN()
# Feature maps of the bottom-up network, fine to coarse.
_C.MODEL.FPN.IN_FEATURES = []
_C.MODEL.FPN.OUT_CHANNELS = 256
# Normalisation of the lateral and output convolutions; "" = none.
_C.MODEL.FPN.NORM = ""
# How lateral and top-down maps combine: "sum" or "avg".
_C.MODEL.FPN.FUSE_TYPE = "sum"

# ------------------------------------------------------------------------------------ proposals
_C.MODEL.ANCHOR_GENERATOR = CN()
# Name in ANCHOR_GENERATOR_REGISTRY.
_C.MODEL.ANCHOR_GENERATOR.NAME = "DefaultAnchorGenerator"
# Anchor sizes (square root of the area, in input pixels): one list for all feature maps, or one
# list per map.
_C.MODEL.ANCHOR_GENERATOR.SIZES = [[32, 64, 128, 256, 512]]
# Ratios height / width, in the same form.
_C.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS = [[0.5, 1.0, 2.0]]
# Degrees, for rotated anchors (outside the embedded subset).
_C.MODEL.ANCHOR_GENERATOR.ANGLES = [[-90, 0, 90]]
# Centre of the first anchor as a fraction of the stride, in [0, 1).
_C.MODEL.ANCHOR_GENERATOR.OFFSET = 0.0

_C.MODEL.PROPOSAL_GENERATOR = CN()
# Name in PROPOSAL_GENERATOR_REGISTRY, or "PrecomputedProposals".
_C.MODEL.PROPOSAL_GENERATOR.NAME = "RPN"
# Proposals with a side of at most this are dropped, in input pixels.
_C.MODEL.PROPOSAL_GENERATOR.MIN_SIZE = 0

_C.MODEL.RPN = CN()
# Name in RPN_HEAD_REGISTRY.
_C.MODEL.RPN.HEAD_NAME = "StandardRPNHead"
# Feature maps with anchors.
_C.MODEL.RPN.IN_FEATURES = ["res4"]
# Channels of the head's convolutions; -1 = as its input.
_C.MODEL.RPN.CONV_DIMS = [-1]
# Anchors that reach further than this outside the image are not trained; negative = all are.
_C.MODEL.RPN.BOUNDARY_THRESH = -1
# IoU below the first threshold: background (0); above the second: object (1); between: ignored.
_C.MODEL.RPN.IOU_THRESHOLDS = [0.3, 0.7]
_C.MODEL.RPN.IOU_LABELS = [0, -1, 1]
# Anchors per image in the loss, and the wanted share of objects among them.
_C.MODEL.RPN.BATCH_SIZE_PER_IMAGE = 256
_C.MODEL.RPN.POSITIVE_FRACTION = 0.5
# Regression loss: "smooth_l1", "giou", "diou" or "ciou"; its weight; weights of (dx, dy, dw, dh);
# where smooth L1 becomes linear (0 = plain L1).
_C.MODEL.RPN.BBOX_REG_LOSS_TYPE = "smooth_l1"
_C.MODEL.RPN.BBOX_REG_LOSS_WEIGHT = 1.0
_C.MODEL.RPN.BBOX_REG_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
_C.MODEL.RPN.SMOOTH_L1_BETA = 0.0
# Weight of the whole RPN loss.
_C.MODEL.RPN.LOSS_WEIGHT = 1.0
# Best proposals kept per feature map before NMS, and over all maps after it.
_C.MODEL.RPN.PRE_NMS_TOPK_TRAIN = 12000
_C.MODEL.RPN.PRE_NMS_TOPK_TEST = 6000
_C.MODEL.RPN.POST_NMS_TOPK_TRAIN = 2000
_C.MODEL.RPN.POST_NMS_TOPK_TEST = 1000
# IoU above which the weaker of two proposals is dropped.
_C.MODEL.RPN.NMS_THRESH = 0.7

# ------------------------------------------------------------------------------------ RoI heads
_C.MODEL.ROI_HEADS = CN()
# Name in ROI_HEADS_REGISTRY. The default is outside the embedded subset: name StandardROIHeads.
_C.MODEL.ROI_HEADS.NAME = "Res5ROIHeads"
# Object classes, without background.
_C.MODEL.ROI_HEADS.NUM_CLASSES = 80
_C.MODEL.ROI_HEADS.IN_FEATURES = ["res4"]
# IoU with a ground-truth box from which a proposal is an object.
_C.MODEL.ROI_HEADS.IOU_THRESHOLDS = [0.5]
_C.MODEL.ROI_HEADS.IOU_LABELS = [0, 1]
# Proposals per image in the loss, and the wanted share of objects among them.
_C.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 512
_C.MODEL.ROI_HEADS.POSITIVE_FRACTION = 0.25
# Detections below the score are dropped; of two of a class that overlap more, the weaker one is.
_C.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.05
_C.MODEL.ROI_HEADS.NMS_THRESH_TEST = 0.5
# Add ground-truth boxes to the proposals in training.
_C.MODEL.ROI_HEADS.PROPOSAL_APPEND_GT = True

_C.MODEL.ROI_BOX_HEAD = CN()
# Name in ROI_BOX_HEAD_REGISTRY.
_C.MODEL.ROI_BOX_HEAD.NAME = ""
# Loss options as those of the RPN.
_C.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE = "smooth_l1"
_C.MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT = 1.0
_C.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
_C.MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA = 0.0
# Pooling: side of the output; samples per bin and axis (0 = adaptive); "ROIAlignV2" is aligned by
# half a pixel, "ROIAlign" is not, "ROIPool" is the quantised one.
_C.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 14
_C.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO = 0
_C.MODEL.ROI_BOX_HEAD.POOLER_TYPE = "ROIAlignV2"
# Layers of the head: convolutions, then fully connected ones.
_C.MODEL.ROI_BOX_HEAD.NUM_CONV = 0
_C.MODEL.ROI_BOX_HEAD.CONV_DIM = 256
_C.MODEL.ROI_BOX_HEAD.NUM_FC = 0
_C.MODEL.ROI_BOX_HEAD.FC_DIM = 1024
# Normalisation of its convolutions; "" = none.
_C.MODEL.ROI_BOX_HEAD.NORM = ""
# One box regression for all classes.
_C.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG = False
# Train the mask head on predicted boxes instead of proposals.
_C.MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES = False
# Federated loss of LVIS (outside the embedded subset) and sigmoid scores per class.
_C.MODEL.ROI_BOX_HEAD.USE_FED_LOSS = False
_C.MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE = False
_C.MODEL.ROI_BOX_HEAD.FED_LOSS_FREQ_WEIGHT_POWER = 0.5
_C.MODEL.ROI_BOX_HEAD.FED_LOSS_NUM_CLASSES = 50

# Cascade R-CNN (outside the embedded subset).
_C.MODEL.ROI_BOX_CASCADE_HEAD = CN()
_C.MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS = (
    (10.0, 10.0, 5.0, 5.0),
    (20.0, 20.0, 10.0, 10.0),
    (30.0, 30.0, 15.0, 15.0),
)
_C.MODEL.ROI_BOX_CASCADE_HEAD.IOUS = (0.5, 0.6, 0.7)

_C.MODEL.ROI_MASK_HEAD = CN()
# Name in ROI_MASK_HEAD_REGISTRY.
_C.MODEL.ROI_MASK_HEAD.NAME = "MaskRCNNConvUpsampleHead"
# As above. The mask is twice as large as the pooled features.
_C.MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION = 14
_C.MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO = 0
_C.MODEL.ROI_MASK_HEAD.POOLER_TYPE = "ROIAlignV2"
_C.MODEL.ROI_MASK_HEAD.NUM_CONV = 0
_C.MODEL.ROI_MASK_HEAD.CONV_DIM = 256
_C.MODEL.ROI_MASK_HEAD.NORM = ""
# One mask for all classes.
_C.MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK = False

# Keypoint R-CNN (outside the embedded subset).
_C.MODEL.ROI_KEYPOINT_HEAD = CN()
_C.MODEL.ROI_KEYPOINT_HEAD.NAME = "KRCNNConvDeconvUpsampleHead"
_C.MODEL.ROI_KEYPOINT_HEAD.POOLER_RESOLUTION = 14
_C.MODEL.ROI_KEYPOINT_HEAD.POOLER_SAMPLING_RATIO = 0
_C.MODEL.ROI_KEYPOINT_HEAD.POOLER_TYPE = "ROIAlignV2"
_C.MODEL.ROI_KEYPOINT_HEAD.CONV_DIMS = tuple([512] * 8)
_C.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS = 17
_C.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE = 1
_C.MODEL.ROI_KEYPOINT_HEAD.NORMALIZE_LOSS_BY_VISIBLE_KEYPOINTS = True
_C.MODEL.ROI_KEYPOINT_HEAD.LOSS_WEIGHT = 1.0

# ---------------------------------------------------------------------- segmentation, panoptic
_C.MODEL.SEM_SEG_HEAD = CN()
# Name in SEM_SEG_HEADS_REGISTRY.
_C.MODEL.SEM_SEG_HEAD.NAME = "SemSegFPNHead"
_C.MODEL.SEM_SEG_HEAD.IN_FEATURES = ["p2", "p3", "p4", "p5"]
# Label of pixels that do not count.
_C.MODEL.SEM_SEG_HEAD.IGNORE_VALUE = 255
_C.MODEL.SEM_SEG_HEAD.NUM_CLASSES = 54
# Channels of the head, and the stride at which its branches meet.
_C.MODEL.SEM_SEG_HEAD.CONVS_DIM = 128
_C.MODEL.SEM_SEG_HEAD.COMMON_STRIDE = 4
_C.MODEL.SEM_SEG_HEAD.NORM = "GN"
_C.MODEL.SEM_SEG_HEAD.LOSS_WEIGHT = 1.0

_C.MODEL.PANOPTIC_FPN = CN()
# Weight of the detector's losses (not used by the model itself).
_C.MODEL.PANOPTIC_FPN.INSTANCE_LOSS_WEIGHT = 1.0
# How detections and the semantic map become one panoptic map. An instance is dropped when more
# than the fraction OVERLAP_THRESH of it is covered already or its score is too low; a stuff region
# when it is smaller than STUFF_AREA_LIMIT pixels.
_C.MODEL.PANOPTIC_FPN.COMBINE = CN({"ENABLED": True})
_C.MODEL.PANOPTIC_FPN.COMBINE.OVERLAP_THRESH = 0.5
_C.MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT = 4096
_C.MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH = 0.5

# ------------------------------------------------------------------------------------ RetinaNet
# Outside the embedded subset; the options are here so that configs that set them can be read.
_C.MODEL.RETINANET = CN()
_C.MODEL.RETINANET.NUM_CLASSES = 80
_C.MODEL.RETINANET.IN_FEATURES = ["p3", "p4", "p5", "p6", "p7"]
_C.MODEL.RETINANET.NUM_CONVS = 4
_C.MODEL.RETINANET.NORM = ""
_C.MODEL.RETINANET.IOU_THRESHOLDS = [0.4, 0.5]
_C.MODEL.RETINANET.IOU_LABELS = [0, -1, 1]
_C.MODEL.RETINANET.PRIOR_PROB = 0.01
_C.MODEL.RETINANET.SCORE_THRESH_TEST = 0.05
_C.MODEL.RETINANET.TOPK_CANDIDATES_TEST = 1000
_C.MODEL.RETINANET.NMS_THRESH_TEST = 0.5
_C.MODEL.RETINANET.BBOX_REG_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
_C.MODEL.RETINANET.BBOX_REG_LOSS_TYPE = "smooth_l1"
_C.MODEL.RETINANET.SMOOTH_L1_LOSS_BETA = 0.1
_C.MODEL.RETINANET.FOCAL_LOSS_GAMMA = 2.0
_C.MODEL.RETINANET.FOCAL_LOSS_ALPHA = 0.25

# ------------------------------------------------------------------------------------ solver
_C.SOLVER = CN()
# Iterations, and images per iteration over all processes.
_C.SOLVER.MAX_ITER = 40000
_C.SOLVER.IMS_PER_BATCH = 16
# Number of processes the values of this section are meant for; another number of processes
# rescales them. 0 = never.
_C.SOLVER.REFERENCE_WORLD_SIZE = 0
# SGD.
_C.SOLVER.BASE_LR = 0.001
_C.SOLVER.MOMENTUM = 0.9
_C.SOLVER.NESTEROV = False
_C.SOLVER.WEIGHT_DECAY = 0.0001
# Weight decay of normalisation layers; of biases (None = WEIGHT_DECAY); learning-rate factor of
# biases.
_C.SOLVER.WEIGHT_DECAY_NORM = 0.0
_C.SOLVER.WEIGHT_DECAY_BIAS = None
_C.SOLVER.BIAS_LR_FACTOR = 1.0
# WarmupMultiStepLR, WarmupCosineLR or WarmupStepWithFixedGammaLR.
_C.SOLVER.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
# Iterations after which the rate is multiplied by GAMMA; all must be below MAX_ITER.
_C.SOLVER.STEPS = (30000,)
_C.SOLVER.GAMMA = 0.1
# Number of steps of WarmupStepWithFixedGammaLR, spread evenly.
_C.SOLVER.NUM_DECAYS = 3
# Last rate of WarmupCosineLR.
_C.SOLVER.BASE_LR_END = 0.0
# Warm-up from WARMUP_FACTOR times the rate: "linear" or "constant".
_C.SOLVER.WARMUP_FACTOR = 1.0 / 1000
_C.SOLVER.WARMUP_ITERS = 1000
_C.SOLVER.WARMUP_METHOD = "linear"
# Whether the schedule starts after the warm-up instead of being hidden by it.
_C.SOLVER.RESCALE_INTERVAL = False
# Iterations between checkpoints.
_C.SOLVER.CHECKPOINT_PERIOD = 5000
# Clip the gradient of each parameter, by "value" or by "norm" (of type NORM_TYPE), to CLIP_VALUE.
_C.SOLVER.CLIP_GRADIENTS = CN({"ENABLED": False})
_C.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "value"
_C.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 1.0
_C.SOLVER.CLIP_GRADIENTS.NORM_TYPE = 2.0
# Mixed precision (float16, CUDA only).
_C.SOLVER.AMP = CN({"ENABLED": False})

# ------------------------------------------------------------------------------------ test
_C.TEST = CN()
# Iterations between evaluations during training; 0 = never.
_C.TEST.EVAL_PERIOD = 0
# Results that must come out: [[task, metric, value, tolerance], ...]; otherwise the run fails.
_C.TEST.EXPECTED_RESULTS = []
# Detections kept per image.
_C.TEST.DETECTIONS_PER_IMAGE = 100
# Standard deviations per keypoint in COCO's keypoint metric.
_C.TEST.KEYPOINT_OKS_SIGMAS = []
# Test-time augmentation (outside the embedded subset).
_C.TEST.AUG = CN({"ENABLED": False})
_C.TEST.AUG.MIN_SIZES = (400, 500, 600, 700, 800, 900, 1000, 1100, 1200)
_C.TEST.AUG.MAX_SIZE = 4000
_C.TEST.AUG.FLIP = True
# Recompute the statistics of BatchNorm before an evaluation, from so many iterations.
_C.TEST.PRECISE_BN = CN({"ENABLED": False})
_C.TEST.PRECISE_BN.NUM_ITER = 200

# ------------------------------------------------------------------------------------ the rest
# Folder of logs, metrics and checkpoints.
_C.OUTPUT_DIR = "./output"
# Seed of all generators; negative = random weights and augmentations. The order of the data is
# drawn from this very number, negative or not.
_C.SEED = -1
# Let cuDNN try its algorithms; pays when inputs have few different sizes.
_C.CUDNN_BENCHMARK = False
# Precision of float32 matrix products: "" = torch's default, "highest", "high" or "medium".
_C.FLOAT32_PRECISION = ""
# Iterations between pictures of the training state, for models that draw them; 0 = never.
_C.VIS_PERIOD = 0
# Scratch space for experiments.
_C.GLOBAL = CN()
_C.GLOBAL.HACK = 1.0
