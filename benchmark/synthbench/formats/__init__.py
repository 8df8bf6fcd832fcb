"""Files in and out: images, and COCO's annotation format."""
