"""``python -m pipeline.people``: prepare anny's body model, which takes a minute once per machine."""

from __future__ import annotations

from blender.contract import exit_on_user_error
from pipeline.people.bodies import load_body_model

if __name__ == "__main__":
    with exit_on_user_error():
        load_body_model()
