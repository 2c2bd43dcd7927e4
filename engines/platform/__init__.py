"""What differs between Linux and macOS: cores, memory, GPUs, folders for sockets.

Owns: the one seam; each reading is a pure parser of a text plus the few lines that fetch it.
Must not: be looked around; no other module asks which system this is.
"""

from engines.platform.cores import usable_cores
from engines.platform.files import allow_open_files, open_files
from engines.platform.folders import cache_folder, runtime_folder
from engines.platform.gpus import Gpu, gpus, seen_by, visible
from engines.platform.processes import Seen, seen_of
from engines.platform.processor import instructions
from engines.platform.ram import memory_bytes
from engines.platform.writing import write_whole

__all__ = [
    "Gpu",
    "Seen",
    "allow_open_files",
    "cache_folder",
    "gpus",
    "instructions",
    "memory_bytes",
    "open_files",
    "runtime_folder",
    "seen_by",
    "seen_of",
    "usable_cores",
    "visible",
    "write_whole",
]
