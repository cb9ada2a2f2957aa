"""The parts of the benchmark: each module measures one stage and its reference in the same run."""
