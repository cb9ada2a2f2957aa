"""Give the detections in successive frames of a video the ids of tracks.

The trackers, the trails that are drawn, and the files of tracks in COCO-VID style.
"""
