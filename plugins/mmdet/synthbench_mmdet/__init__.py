"""mmdet's detectors."""
