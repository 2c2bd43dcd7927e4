"""From running servers and files to a `routing.yaml`, for `weighbridge init`.

A question to each server (`asking`, `listing`), what the answers are (`models`, `naming`,
`draft`), which rules follow (`rules`), the text (`writing`).

Owns: everything between the addresses a person gives and the text of the file.
Must not: write files, print, or read the environment; the command does.
"""
