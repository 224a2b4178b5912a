"""Files of other systems read as facts, pure: bytes and a mapping in, facts or reasons out.

No I/O but over pieces of bytes that a caller hands in, no clock, no database. A file goes through
`detection.detect`, `reading.Reader` and `applying.Mapper`; a mapping is a document
(`document.MappingDocument`), written by a caller, made by a preset (`presets`) or proposed for a
file (`proposing.propose`), and compiled once (`compiling.compile_mapping`). What comes out has the
shape of the bulk doors of the API, as plain JSON.
"""
