"""
How it runs for real: the only room with Kafka, GPU, disk and time.

Eight stops a frame passes: receive (`app`), decode (`decode`), align (`align`), upload
(`device`), compute (`engine`), download (`device`), publish (`publish`), archive (`commits`,
`archive`); `lane` walks one partition's messages through them, live and in replay alike.
"""
