"""Fit a profile to photographs of one hall (command ``fit``): sensor, light and camera, without a label.

Statistics of the photographs are compared with those of renders whose settings are known.
"""
