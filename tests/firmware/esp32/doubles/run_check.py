"""Runs one function of a file in `on_board`: run_check.py FOLDER_OF_THE_FIRMWARE FILE FUNCTION."""

import sys

_here = __file__.rpartition("/")[0]
_firmware, _file, _function = sys.argv[1:4]
_folder, _, _name = _file.rpartition("/")
sys.path[:0] = [_here, _folder, _firmware, _firmware + "/lib"]

_found = getattr(__import__(_name[: -len(".py")]), _function)()
if _found is not None:
    import asyncio

    asyncio.run(_found)
