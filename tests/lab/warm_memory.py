"""Memory that was touched before a run, for the files that a fleet writes in memory.

On a virtual machine the first touch of a page that the host has taken back costs some 10 us: for a
fleet on one computer, seconds that no fleet of real machines would spend. So a process touches as
much as the files will take before the run, and gives it back in the run's course, just ahead of
what the files take: memory that lies free for long goes back to the host.
"""

import mmap
import select
import subprocess
import sys

CHUNK = 16 << 20       # bytes given back at once: small beside what is kept ahead
AHEAD = 512 << 20      # bytes free beyond what is used: seconds of the fastest fleet's writing
LOOK_SECONDS = 0.1     # between two looks at what is used: a look takes some 20 us
READY = b"ready\n"


class WarmMemory:
    """Holds `size` bytes from the call on; ends with close()."""

    def __init__(self, size):
        self.process = subprocess.Popen([sys.executable, __file__, str(size)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def shared_memory():
    """Bytes of all files in memory."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("Shmem:"):
                return int(line.split()[1]) * 1024
    return 0


def touched():
    chunk = mmap.mmap(-1, CHUNK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    chunk[::mmap.PAGESIZE] = b"\1" * (CHUNK // mmap.PAGESIZE)
    return chunk


def held_after(size, used):
    """How many chunks to hold of `size` bytes once files have taken `used`."""
    return max(0, -(-(size - used - AHEAD) // CHUNK))


def main(size):
    chunks = [touched() for _ in range(-(-size // CHUNK))]
    before = shared_memory()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    while chunks:
        while len(chunks) > held_after(size, shared_memory() - before):
            chunks.pop().close()
        if select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
            return  # whoever started this has ended


if __name__ == "__main__":
    main(int(sys.argv[1]))
