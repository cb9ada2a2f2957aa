"""A detector as one HTML file: the model, onnxruntime-web and a page, which need no server and no network.

``runtime`` reads onnxruntime-web, ``page`` fills in the template. The page itself is ``page.html.j2``,
``style.css`` and ``page.js``; ``worker.js`` runs the network and ``mask_pasting.js`` what follows it.
"""
