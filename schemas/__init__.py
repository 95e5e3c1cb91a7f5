"""
What crosses a boundary: nouns, no I/O.

- `units`: nanoseconds, rates and the slots of the absolute grid
- `topology`: the site file: nodes, channels, gateways
- `telemetry`: the telemetry message, Arrow IPC and its JSON-lines twin
- `refusal`: the reasons for which a message or a row is refused
- `events`: events, state, forecasts, dead letters, signals and hints
- `topics`: the table of topics; CloudEvents envelope, and the way back from bytes
- `contracts`: JSON Schemas, digests and the table, for `python -m schemas`
- `tables`: the archive's tables
"""
