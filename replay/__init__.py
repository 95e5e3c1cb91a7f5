"""
How we prove it: recordings, injected truth, scores.

- `source`: a trace in any form, as telemetry slices
- `simulate`: a campus with ramps and oscillations of known size, written as truth
- `feed`, `record`: a trace into live topics, live topics into a trace
- `score`, `report`: events against truth, as numbers and as lines
"""
