"""Parts that several kinds of object share: loads, wheels, labels, floor markings, wall openings, sacks."""
