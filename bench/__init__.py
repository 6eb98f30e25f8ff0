"""The figures that Povod must reach, each taken beside its baseline in one run: `make bench`.

A figure is a ratio of two rates measured in turns (baseline, subject, baseline, ...), as medians of the rounds: machines differ and are
noisy, ratios less so. The baselines are code in `baselines/`; the subjects are the real commands, started as an operator starts them.
"""
