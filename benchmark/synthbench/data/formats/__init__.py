"""Readers and writers of folders of labelled photographs: COCO, YOLO and Pascal VOC, through one type, `Dataset`."""
