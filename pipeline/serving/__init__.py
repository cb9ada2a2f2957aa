"""The command ``serve``: a local web page that shows a model's detections in pictures, videos and a camera.

``service`` is what the page does and needs no browser; ``page`` is its layout, made with Gradio.
"""
