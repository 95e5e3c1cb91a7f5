"""Child processes that cannot outlive their parent, however the parent ends."""

import os
import subprocess
import sys
from typing import Any

__all__ = ["start_child"]

# Runs in the child before the program proper: asks the kernel for SIGKILL when the parent dies
# (kept across exec), and leaves at once if the parent died while this started.
_LEASH = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,9);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);"
    "os.execvp(sys.argv[2],sys.argv[2:])"
)


def start_child(args: list[str], **popen: Any) -> subprocess.Popen[Any]:
    """
    Start ``args`` as a child that the kernel kills with its parent.

    Adds about 30 ms. On Linux the leash is tied to the calling *thread*: call it from one that
    lives as long as the child may. On other systems it is a plain child.

    Parameters
    ----------
    args : list of str
        Program and arguments; found on PATH.
    **popen
        Passed to `subprocess.Popen`.

    Raises
    ------
    OSError
        The program could not be started (other systems than Linux; there, exit status 1).
    """
    if sys.platform == "linux":
        args = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *args]
    return subprocess.Popen(args, **popen)
