"""
What crosses a boundary: nouns, no I/O.

- `units`: nanoseconds, rates and the slots of the absolute grid
- `topology`: the site file: nodes, channels, gateways
- `telemetry`: the telemetry message, Arrow IPC and its JSON-lines twin
- `events`: events, state, forecasts, dead letters, signals and hints
- `topics`: the table of topics; CloudEvents envelope
- `tables`: the archive's tables
"""
