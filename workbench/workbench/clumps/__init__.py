"""Giant star-forming clumps in survey pictures: data, simulation, detection, evaluation."""
