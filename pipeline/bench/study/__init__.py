"""Profile studies: measure the effect of changes of a profile on AP. ``make study`` runs them.

A study is a TOML file: a profile, the changes that all its variants share, and the changes of each variant.
"""
