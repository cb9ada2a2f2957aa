"""Floor positions and distances in metres from a described camera.

``camera`` reads camera.toml, ``estimate`` measures detections with the distance model that ``fit`` makes, and
``calibrate`` finds the camera's pose from marked points.
"""
