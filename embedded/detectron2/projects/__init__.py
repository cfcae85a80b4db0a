"""Parts of Detectron2's bundled projects that other projects import."""
