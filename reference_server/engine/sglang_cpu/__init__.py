"""SGLang on a machine without an accelerator: the pinned recipe, its installer, the kernel stand-in, models from the index.

Nothing here is imported by the engine. `setup` makes a virtual environment, `models` makes model folders, `stand_in` and
`boot` are copied into that environment, where the server and the processes that SGLang spawns find them.
"""
