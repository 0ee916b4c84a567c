"""The checks of `kalshi check`, one file each: `examine(readings) -> CheckReport`, and `FIRST`, its first measure.

A check reads through `CheckData`, holds what it found against pure rules of `core/`, and writes nothing down but what a
later run of it must know. What it could not find out is a breach of the severity "unknown", or an error that it lets
pass. `-w` and `-c` take the place of the configured bound of `FIRST`, a name in `config_sections.Checks`.
"""
