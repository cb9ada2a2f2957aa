"""Draw masks, contact sheets, curves and histograms."""
