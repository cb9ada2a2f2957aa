"""``python -m blender.config PROFILE``: check the renderer's tables of a profile.

It prints at most notes if they are valid. With ``--reference`` it prints a Markdown reference of the tables.
"""

from __future__ import annotations

import argparse

from blender.config.profile import load_config
from blender.config.reference import renderer_reference
from blender.contract import exit_on_user_error, find_profile, print_note


def main() -> None:
    """Check a profile, or print the reference."""
    parser = argparse.ArgumentParser(
        prog="python -m blender.config", description="Check a profile's [render] and [scene]."
    )
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("profile", nargs="?", type=find_profile, help="the TOML file to check, or its name")
    choice.add_argument("--reference", action="store_true", help="print a Markdown reference of these tables")
    options = parser.parse_args()
    if options.reference:
        print(renderer_reference(), end="")
        return
    with exit_on_user_error():
        for note in load_config(options.profile).notes:
            print_note(note)


if __name__ == "__main__":
    main()
