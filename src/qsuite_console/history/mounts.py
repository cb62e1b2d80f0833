"""Whether a history lies on a network filesystem: there SQLite's log and the lock protect nothing between machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

NETWORK: Final = frozenset({
    "afs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs", "lustre", "ncpfs",
    "nfs", "nfs4", "smb3", "smbfs",
})  # fmt: skip
MOUNTS: Final = Path("/proc/self/mounts")


def network_type(directory: Path, mounts: Path = MOUNTS) -> str:
    """Return the type of the network filesystem that holds a directory, "" for a local or an unknown one."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:  # not Linux: nobody can say
        return ""
    where, best, found = os.path.realpath(directory), "", ""
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        is_inside = point in ("/", where) or where.startswith(point + "/")
        if is_inside and len(point) >= len(best):  # of equal points the later mount covers the earlier
            best, found = point, kind
    return found if found in NETWORK else ""
