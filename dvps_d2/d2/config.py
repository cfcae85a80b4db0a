"""Every configuration key of this package, with its default, in one place.

Keys that published projects already have keep their names (``MODEL.MASK_FORMER.*``,
``MODEL.SEM_SEG_HEAD.*``, ``INPUT.*``); the others are under ``MODEL.DVPS.*`` and
``SOLVER.*``. YAML files hold differences only.
"""

from __future__ import annotations

from detectron2.config import CfgNode as CN


def add_dvps_config(cfg: CN) -> None:
    """Add the keys of this package to a Detectron2 config, in place."""
    _add_model(cfg)
    _add_dvis(cfg)
    _add_vpsnet(cfg)
    _add_losses(cfg)
    _add_dvps(cfg)
    _add_input(cfg)
    _add_solver(cfg)


def _add_model(cfg: CN) -> None:
    # Smallest ResNet of this package (MODEL.BACKBONE.NAME: build_compact_resnet_backbone):
    # channels of the stem and of res2; res3..res5 double them. Keep 16 or more.
    cfg.MODEL.COMPACT_RESNET = CN()
    cfg.MODEL.COMPACT_RESNET.WIDTH = 32
    # Residual blocks of res2..res5 (2, 2, 2, 2 is the layout of ResNet-18).
    cfg.MODEL.COMPACT_RESNET.BLOCKS = [2, 2, 2, 2]

    # Swin Transformer (MODEL.BACKBONE.NAME: D2SwinTransformer); the defaults are Swin-T.
    swin = cfg.MODEL.SWIN = CN()
    # Side of a patch in pixels, and of an attention window in patches.
    swin.PATCH_SIZE = 4
    swin.WINDOW_SIZE = 7
    # Channels at stride 4; every stage doubles them.
    swin.EMBED_DIM = 96
    # Blocks and heads per stage.
    swin.DEPTHS = [2, 2, 6, 2]
    swin.NUM_HEADS = [3, 6, 12, 24]
    # Width of the MLPs as a multiple of the channels.
    swin.MLP_RATIO = 4.0
    # Whether queries, keys and values have a bias, and patches a LayerNorm.
    swin.QKV_BIAS = True
    swin.PATCH_NORM = True
    # Share of dropped branches in the last block; it grows linearly from 0 in the first.
    swin.DROP_PATH_RATE = 0.3
    swin.OUT_FEATURES = ["res2", "res3", "res4", "res5"]

    # Pixel decoder (Mask2Former: multi-scale deformable attention, then feature pyramid steps).
    # Channels of the decoder's feature maps and of every query.
    cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM = 256
    # Channels of the mask features, whose dot product with a query's embedding is its mask.
    cfg.MODEL.SEM_SEG_HEAD.MASK_DIM = 256
    cfg.MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS = 6
    # Backbone maps that the deformable encoder mixes, finest first.
    cfg.MODEL.SEM_SEG_HEAD.DEFORMABLE_TRANSFORMER_ENCODER_IN_FEATURES = ["res3", "res4", "res5"]
    # Sampling points per head and level.
    cfg.MODEL.SEM_SEG_HEAD.DEFORMABLE_TRANSFORMER_ENCODER_N_POINTS = 4
    cfg.MODEL.SEM_SEG_HEAD.DEFORMABLE_TRANSFORMER_ENCODER_N_HEADS = 8
    # Feed-forward width inside the deformable encoder (1024 is hard-coded in Mask2Former).
    cfg.MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_FEEDFORWARD = 1024
    # Standard deviation of noise on the first sampling offsets; they start exactly on cell centres,
    # where the sampling gradient has a kink (0: as published).
    cfg.MODEL.SEM_SEG_HEAD.OFFSET_INIT_NOISE = 0.0
    # Backbone maps added after the encoder, coarse to fine; the last one sets the mask stride.
    cfg.MODEL.SEM_SEG_HEAD.FPN_IN_FEATURES = ["res2"]
    # Run the deformable encoder in float32 even under autocast (as published).
    cfg.MODEL.SEM_SEG_HEAD.ENCODER_FLOAT32 = True

    # Query decoder (Mask2Former, section 3.2).
    cfg.MODEL.MASK_FORMER = CN()
    cfg.MODEL.MASK_FORMER.NUM_OBJECT_QUERIES = 100
    cfg.MODEL.MASK_FORMER.HIDDEN_DIM = 256
    cfg.MODEL.MASK_FORMER.NHEADS = 8
    cfg.MODEL.MASK_FORMER.DIM_FEEDFORWARD = 2048
    # Supervised outputs: one on the learned queries plus one per layer, so 10 = 9 layers.
    cfg.MODEL.MASK_FORMER.DEC_LAYERS = 10
    # Frames are padded (right, bottom) to multiples of it.
    cfg.MODEL.MASK_FORMER.SIZE_DIVISIBILITY = 32

    cfg.MODEL.MASK_FORMER.TEST = CN()
    # A query needs a larger class probability than this to become a segment.
    cfg.MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD = 0.8
    # Smallest share of its own mask that a segment keeps in the competition for pixels.
    cfg.MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD = 0.8
    # Frames per window at inference; 0 is the whole video at once (memory grows with it).
    cfg.MODEL.MASK_FORMER.TEST.WINDOW_SIZE = 3
    # What is read from one pass over a video, together or alone: panoptic tubes, a semantic map of
    # every frame ("semantic_map"), instances of things at its end ("instances", the surest
    # MAX_NUM pairs of query and class).
    cfg.MODEL.MASK_FORMER.TEST.PANOPTIC_ON = True
    cfg.MODEL.MASK_FORMER.TEST.SEMANTIC_ON = False
    cfg.MODEL.MASK_FORMER.TEST.INSTANCE_ON = False
    cfg.MODEL.MASK_FORMER.TEST.MAX_NUM = 20


def _add_dvis(cfg: CN) -> None:
    # Referring tracker (DVIS, second stage).
    tracker = cfg.MODEL.TRACKER = CN()
    tracker.DECODER_LAYERS = 6
    # Start from the inverse of the matching permutation, as the public code does and released
    # weights were trained with. Switch on with those; see dvps_d2/tracker/referring.py.
    tracker.LEGACY_INVERSE_MATCH = False
    # Which costs decide the query of an object: "first_appearance" (those of the first frame that
    # shows it), or what the public code does instead, "first_appearance_reused" (objects of later
    # frames may get a query that is taken) or "first_frame" (its VIPSeg data: all in the first).
    tracker.MATCHING = "first_appearance"
    # Share of the training in which ground truth is matched with the predictions of the frozen
    # stage before (0 to 1); used by the refiner too.
    tracker.GUIDED_FRACTION = 0.5
    # Where the weights hold the stage before but not the trained one: its norm and heads (classes,
    # masks, depth) start as copies of those of the stage before (False: random, as published).
    # Used by the refiner too.
    tracker.COPY_HEADS = False
    # Temporal refiner (DVIS, third stage).
    refiner = cfg.MODEL.REFINER = CN()
    refiner.DECODER_LAYERS = 6
    # How the mask features of a stream wait for the end of the video: "full" or "half" precision
    # in main memory, "disk" (half precision in a temporary file), or "recompute": the frames wait
    # instead (a fifth of the memory), and backbone and pixel decoder run again, twice in scope
    # "clip".
    refiner.FEATURE_STORE = "half"


def _add_vpsnet(cfg: CN) -> None:
    # VPSNet and SiamTrack. The detector is Detectron2's: MODEL.RPN, MODEL.ROI_HEADS (with
    # SCORE_THRESH_TEST, NMS_THRESH_TEST and, for the number of thing classes, NUM_CLASSES),
    # MODEL.ROI_BOX_HEAD, MODEL.ROI_MASK_HEAD, TEST.DETECTIONS_PER_IMAGE.
    vpsnet = cfg.MODEL.VPSNET = CN()
    # Between pyramid and heads: "none" (released Track), "gather" (Base in the paper: add the
    # merged pyramid to every level) or "fuse" (with the frame before).
    vpsnet.NECK = "none"
    # How levels are merged: "mean" (released code) or "sum" (paper).
    vpsnet.GATHER = "mean"
    # NECK "fuse": warp the reference frame along the flow; weigh both frames by attention. Either
    # may be switched off (table 2 of the paper).
    vpsnet.ALIGN = True
    vpsnet.ATTEND = True
    # Warp with the half-pixel shift that released weights were trained with.
    vpsnet.LEGACY_WARP = True
    # Boxes that end on their last pixel, as released weights were trained with; use
    # MODEL.ANCHOR_GENERATOR.NAME LegacyAnchorGenerator and POOLER_TYPE ROIAlign with it.
    vpsnet.LEGACY_BOXES = False
    # Suppress overlapping boxes over all classes together.
    vpsnet.CLASS_AGNOSTIC_NMS = True
    # Supervise each frame of a pair, with the other as its reference; False: one of them, drawn
    # anew (released VPSNet). SIAMESE does so in any case, as the SiamTrack paper says.
    vpsnet.SUPERVISE_BOTH = False
    # Semantic head: channels after its second layer, layers (UPSNet has 2), and whether their
    # convolutions are deformable, as published, or ordinary ones.
    vpsnet.SEMANTIC_CHANNELS = 128
    vpsnet.SEMANTIC_LAYERS = 3
    vpsnet.SEMANTIC_DEFORMABLE = True
    # Identities: "order" (of the scores; Base and Fuse), "class_sort", "flow_iou" (ablations of
    # table 4) or "affinity" (learned; Track, FuseTrack and SiamTrack).
    vpsnet.TRACKER = "order"
    # Association reads the fused features; False is "Disjoined" in table 4.
    vpsnet.TRACK_ON_FUSED = True

    track = vpsnet.TRACK = CN()
    # Length of the vectors that are compared.
    track.HIDDEN_DIM = 1024
    # How vectors are compared: "dot" product (released code) or "cosine" (the paper's word).
    track.SIMILARITY = "dot"
    # Weights of what counts beside appearance: log score, box overlap, same class (released code)
    # and mask overlap (the paper's further cue; 0: released code).
    track.SCORE_WEIGHT = 1.0
    track.BOX_WEIGHT = 2.0
    track.CLASS_WEIGHT = 10.0
    track.MASK_WEIGHT = 0.0
    # Objects that are remembered, those seen last first; 0 is all ever seen (released code).
    track.CAPACITY = 500

    flow = vpsnet.FLOW = CN()
    # "raft", "raft_small", "flownet2" (released Fuse weights were trained with it), "dis" (OpenCV,
    # no weights), "files" or "zero". For NECK "fuse", the warping loss and "flow_iou".
    flow.NAME = "raft"
    # RAFT: a state dict in torchvision's format; empty downloads torchvision's. FlowNet2: its
    # released file, or that of VPSNet-Fuse or VPSNet-FuseTrack.
    flow.WEIGHTS = ""
    # "files": folder of <video id>/<key frame>_<reference frame>.npy.
    flow.FOLDER = ""
    # Keep estimated flow in this folder, found again by the pixels of both frames; empty: do not.
    flow.CACHE = ""

    # Factors of the losses beside the detector's own (released code; the paper has 1 for all).
    vpsnet.SEMANTIC_WEIGHT = 1.0
    vpsnet.PANOPTIC_WEIGHT = 0.5
    vpsnet.TRACK_WEIGHT = 0.5

    # Where the semantic loss is taken: at "full" resolution (released code) or on the "grid" of
    # the logits, at stride 4 (paper).
    vpsnet.SEMANTIC_LOSS = "full"

    panoptic = vpsnet.FUSION = CN()
    # A mask is dropped when more than this share of it belongs to surer masks of its class.
    panoptic.OVERLAP_THRESHOLD = 0.3
    # Stuff with fewer pixels (of the output) becomes void.
    panoptic.STUFF_AREA = 2048
    # An instance becomes stuff where at least this share of it looks like that stuff.
    panoptic.MAJORITY = 0.5

    siamese = vpsnet.SIAMESE = CN()
    # SiamTrack: supervise both frames of a pair; with all weights 0 that is SiamTrack-Base.
    siamese.ENABLED = False
    # Factors of its losses (the paper does not give its own).
    siamese.SEMANTIC_WEIGHT = 1.0
    siamese.INSTANCE_WEIGHT = 1.0
    siamese.WARP_WEIGHT = 1.0
    siamese.TUBE_WEIGHT = 1.0
    # Of both contrasts (tau in equation 2), and alpha of the occlusion map.
    siamese.TEMPERATURE = 0.5
    siamese.OCCLUSION = 50.0
    # Negatives of a segment: "all" others of both frames (the paper's text; the positive is in the
    # denominator), or only the others of the "other" frame (its equation 2 as printed).
    siamese.NEGATIVES = "all"
    # Normalise vectors again after pooling (the paper does not say).
    siamese.NORMALIZE_POOLED = True
    # Channels of the projection head.
    siamese.PROJECTION_DIM = 256


def _add_losses(cfg: CN) -> None:
    mask_former = cfg.MODEL.MASK_FORMER
    # Weights of the three segmentation losses, used for matching costs too.
    mask_former.CLASS_WEIGHT = 2.0
    mask_former.MASK_WEIGHT = 5.0
    mask_former.DICE_WEIGHT = 5.0
    # Weight of the "no object" class in the classification loss.
    mask_former.NO_OBJECT_WEIGHT = 0.1
    # Mask losses on "points" (Mask2Former: random and uncertain points) or "dense" (every cell of
    # the mask grid against area-averaged targets; cheaper than points on small frames).
    mask_former.MASK_SAMPLING = "points"
    # Points per mask in the losses and in matching.
    mask_former.TRAIN_NUM_POINTS = 12544
    # PointRend sampling: candidates per point, and the share taken where the mask is unsure.
    mask_former.OVERSAMPLE_RATIO = 3.0
    mask_former.IMPORTANCE_SAMPLE_RATIO = 0.75

    # Mask denoising: noised ground-truth segments as extra queries, in training only.
    mask_former.DENOISING = CN()
    # Independent noised copies of the ground truth per image; 0 switches denoising off.
    mask_former.DENOISING.GROUPS = 0
    # Share of wrong labels.
    mask_former.DENOISING.LABEL_NOISE = 0.2
    # Flipped mask cells, as a share of the segment's area.
    mask_former.DENOISING.MASK_FLIP = 0.1
    # Masks are moved by up to this share of their bounding box.
    mask_former.DENOISING.SHIFT = 0.1


def _add_dvps(cfg: CN) -> None:
    cfg.MODEL.DVPS = CN()
    # All decoder layers but the last predict on mask features averaged over 2 x 2 cells: half the
    # cost when the mask features are at stride 2.
    cfg.MODEL.DVPS.COARSE_AUXILIARY = False
    # Association between frames: "query_matching" (MinVIS) or "fixed_slots" (none: the floor).
    cfg.MODEL.DVPS.ASSOCIATION = "query_matching"

    cfg.MODEL.DVPS.FUSION = CN()
    # Over what areas and class scores are taken when masks become segments: "frame" (streams,
    # exact under any split of the video) or "clip" (whole tubes, the published numbers).
    cfg.MODEL.DVPS.FUSION.SCOPE = "frame"
    # Scope "frame": frames over which a track's class logits are averaged; 0 is all so far.
    cfg.MODEL.DVPS.FUSION.CLASS_MEMORY = 0

    depth = cfg.MODEL.DVPS.DEPTH = CN()
    # Whether the model has a depth decoder (MinDVPS switches it on).
    depth.ENABLED = False
    # Metres between which predictions lie (PolyphonicFormer and Uni-DVPS: 0.01 and 80; ViP-DeepLab:
    # 0 and 88; MinDVPS: 0 and an unnamed maximum).
    depth.MIN = 0.01
    depth.MAX = 80.0
    # Ground truth at or beyond MAX: "ignore" (PolyphonicFormer clips it and leaves out what was
    # clipped) or "clip" (learn that it is MAX).
    depth.BEYOND_MAX = "ignore"
    # From sigmoid to metres: "linear" (min + s (max - min), the paper's) or "log"
    # (exp of a value between log min and log max; use MIN 1.0 with it).
    depth.ACTIVATION = "linear"
    # Weight of the depth loss in the total (lambda_depth in eq. 3).
    depth.WEIGHT = 1.0
    # Weights of the scale-invariant, absolute-relative and square-relative losses (eq. 2). The
    # paper does not give them; 3 / 3 / 3 are those of Uni-DVPS, by the same authors.
    depth.SI_WEIGHT = 3.0
    depth.ABS_WEIGHT = 3.0
    depth.SQ_WEIGHT = 3.0
    # lambda in mean(g^2) - lambda mean(g)^2 (Eigen et al. 2014: 0.5; ViP-DeepLab: 1).
    depth.SI_LAMBDA = 1.0
    # Scale-invariant loss: "eigen" (the above; ViP-DeepLab too) or "polyphonic" (the mean is not
    # squared, as in PolyphonicFormer's public code, which makes it depend on scale).
    depth.SI_FORM = "eigen"
    # Squared relative loss: "root" (square root of the mean of squared relative errors;
    # ViP-DeepLab, PolyphonicFormer), "kitti" (that mean itself, as KITTI scores it) or "eigen"
    # (mean of (d - d*)^2 / d* in metres, as Eigen et al. score it).
    depth.SQ_FORM = "root"
    # Depth is compared at "mask" resolution (the grid of the mask features; ground truth at the
    # centre of every cell) or at "full" resolution (logits upsampled bilinearly; much memory).
    depth.LOSS_RESOLUTION = "mask"
    # A depth loss for every layer of the decoder (Uni-DVPS), or for the last one alone.
    depth.DEEP_SUPERVISION = True
    # Weight of an extra loss of the global query over all valid pixels; eq. 4 trains it outside
    # the segments only, which is weight 0.
    depth.GLOBAL_WEIGHT = 0.0
    # A query for depth outside all segments (the paper's). False is an ablation: such pixels teach
    # nothing in training, and take the depth of the surest mask there at inference.
    depth.GLOBAL_QUERY = True
    # Which segment depth query i answers for: "segmentation", the one that segmentation query i is
    # matched with (the paper's), or "own", by a matching on depth errors alone. The second is an
    # ablation: inference reads depth i for mask i either way.
    depth.MATCHING = "segmentation"
    # Whether depth query i reads only where mask i is (left open by the paper; Uni-DVPS does);
    # False: the whole frame, as the global query always does.
    depth.MASKED_ATTENTION = True
    # Linear layers from a depth query to its embedding, after a LayerNorm (Uni-DVPS: 3, its mask
    # head as well). The number of layers of the depth decoder is no choice of its own: each reads
    # within the masks of the segmentation decoder's layer beside it and learns from its pairs, so
    # MASK_FORMER.DEC_LAYERS counts for both (4 for the three layers of the text; Uni-DVPS: 10).
    depth.HEAD_LAYERS = 3
    # Layers of a perceptron on every cell of the mask features before the dot product with depth
    # embeddings; 0: depth shares the features with the masks (the paper's). Uni-DVPS has 2, and 2
    # more for masks, which released segmenters lack and so are not offered.
    depth.FEATURE_LAYERS = 0
    # When weights without a depth decoder are loaded (a released Mask2Former or MinVIS), start it
    # as a copy of the segmentation decoder, but for the head and the global query. False: random.
    depth.COPY_DECODER = True
    # At inference, from the mask grid to the output: "metres" are upsampled bilinearly
    # (PolyphonicFormer), "logits" are and become metres afterwards, or "nearest" (Uni-DVPS).
    depth.UPSAMPLING = "metres"
    # At inference, depth embeddings are permuted together with the masks that tracking moves. False
    # is an ablation that leaves them in their slots, a defect of the public code of Uni-DVPS.
    depth.FOLLOW_TRACKS = True
    # At inference, pixels of class "sky" get MAX (the paper does it for figures).
    depth.SKY_RULE = True


def _add_input(cfg: CN) -> None:
    # Frames per training clip, and how far reference frames may lie from the key frame.
    cfg.INPUT.SAMPLING_FRAME_NUM = 1
    cfg.INPUT.SAMPLING_FRAME_RANGE = 2
    # Let reference frames be frames without labels, counted by SAMPLING_UNIT "number" (VPSNet-Fuse
    # on single labelled images of Cityscapes); the key frame, always labelled, comes first.
    cfg.INPUT.UNLABELLED_REFERENCES = False
    # What that distance counts: "labelled" frames (on Cityscapes-VPS one step is five video
    # frames) or the "number" of frames as the dataset counts them.
    cfg.INPUT.SAMPLING_UNIT = "labelled"
    # Reference frames on "both" sides of the key frame, or only in its "past" or "future".
    cfg.INPUT.SAMPLING_DIRECTION = "both"
    # Signed distances that reference frames may have, instead of RANGE and DIRECTION; empty: any.
    cfg.INPUT.SAMPLING_OFFSETS = []
    # "corrected", or "published" for the rules of DVIS's public code (never the last stretch of a
    # video; repetition in small clips); see dvps_d2/d2/data/clip_sampling.py.
    cfg.INPUT.SAMPLING_METHOD = "corrected"
    # Probability of a training clip that runs backwards (DVIS offline: 0.5).
    cfg.INPUT.REVERSE_CLIP = 0.0
    # Whether clips carry, per frame, boxes, masks and track ids of things ("instances") and a map
    # of classes ("sem_seg"), as models with a box detector need them.
    cfg.INPUT.BOXES = False
    # With BOXES: keep things that are not visible in a frame of the clip in its list, with track
    # id -1 and an empty box, so that place n means one thing in all frames.
    cfg.INPUT.KEEP_VANISHED = False
    # Regions of things that were not told apart: "drop" (no target, like void) or "segment" (one
    # target per class). "sem_seg" has their class either way.
    cfg.INPUT.CROWD = "drop"
    # How often a clip is drawn again because no thing is left in one of its frames; 0: never
    # (VPSNet leaves such clips out).
    cfg.INPUT.REDRAW_WITHOUT_THINGS = 0
    # Colour jitter of single-shot detectors, drawn once per clip.
    cfg.INPUT.COLOR_AUG_SSD = False
    # Brightness, contrast and saturation change by factors 1 - s .. 1 + s, drawn once per clip.
    cfg.INPUT.COLOR_JITTER = 0.0
    # Multiply depth by old size / new size after a resize (a nearer camera sees larger objects).
    cfg.INPUT.SCALE_DEPTH = True
    # Clip scaled depth to the least and greatest depth that the map had before, as Uni-DVPS does.
    cfg.INPUT.DEPTH_BOUND = False

    # Frames left out of training: video ids, "video id/frame id", or base names of images.
    # (MinDVPS drops two frames with broken depth, which its paper does not name.)
    cfg.DATASETS.EXCLUDE = []
    # Own data to register: [name, JSON] or [name, JSON, folder that its paths start from (the
    # JSON's)]; the names can then stand in TRAIN and TEST. See examples/own_data.
    cfg.DATASETS.OWN = []
    # Before training: "full" opens every file once and logs statistics of classes and depth,
    # "files" looks for missing files, "off" does nothing.
    cfg.DATALOADER.CHECK = "full"


def _add_solver(cfg: CN) -> None:
    # "ADAMW" or "SGD".
    cfg.SOLVER.OPTIMIZER = "ADAMW"
    # Learning rate of the backbone, as a factor of BASE_LR.
    cfg.SOLVER.BACKBONE_MULTIPLIER = 0.1
    # Weight decay of embeddings (learned queries and the like).
    cfg.SOLVER.WEIGHT_DECAY_EMBED = 0.0
    # For LR_SCHEDULER_NAME "WarmupPolyLR": exponent of the decay and floor factor.
    cfg.SOLVER.POLY_LR_POWER = 0.9
    cfg.SOLVER.POLY_LR_CONSTANT_ENDING = 0.0
    # For LR_SCHEDULER_NAME "WarmupFlatLinearLR": share of the run, at its end, with linear decay.
    cfg.SOLVER.LINEAR_DECAY_FRACTION = 0.3
    # Precision of autocast when SOLVER.AMP.ENABLED: "float16" (CUDA) or "bfloat16" (any device).
    cfg.SOLVER.AMP.PRECISION = "float16"
    # Exponential moving average of the weights, used for evaluation and saved beside the weights;
    # 0 switches it off.
    cfg.SOLVER.EMA_DECAY = 0.0
    # Batches whose gradients are added up before one optimizer step.
    cfg.SOLVER.ACCUMULATION_STEPS = 1
    # Parts that keep no activations and compute them again in the backward pass, for less memory
    # and more time: any of "backbone", "encoder", "decoder", "tracker", "refiner".
    cfg.SOLVER.RECOMPUTE = []
    # Compute threads per process; 0 leaves PyTorch's choice.
    cfg.SOLVER.NUM_THREADS = 0
    # Also score the temporal consistency of classes (TC) along the flow of this estimator, one of
    # those of MODEL.VPSNET.FLOW.NAME; empty: do not.
    cfg.TEST.CONSISTENCY_FLOW = ""
    # Validation videos whose first frames are drawn for TensorBoard (and W&B) at every evaluation.
    cfg.TEST.PICTURES = 2

    # Weights & Biases beside TensorBoard; needs the package wandb.
    cfg.WANDB = CN()
    cfg.WANDB.ENABLED = False
    cfg.WANDB.PROJECT = "dvps_d2"
    # Name of the run; empty: the last folder of OUTPUT_DIR.
    cfg.WANDB.NAME = ""
    # "online", or "offline" (files below OUTPUT_DIR, for `wandb sync`).
    cfg.WANDB.MODE = "online"
