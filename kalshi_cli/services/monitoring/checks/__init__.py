"""The checks of `kalshi check`, one file each: `examine(readings) -> CheckReport`, and `FIRST`, its first measure.

A check reads through `CheckData`, applies the pure rules of `core/`, and saves only what its later runs need. Anything
it could not find out is a breach of the severity "unknown", or an error that it raises. `-w` and `-c` replace the
configured range of `FIRST`, a field of `ChecksConfig`.
"""
