"""The seal of a checkpoint: its first bytes state the length of the file and the checksum of all other bytes
(docs/checkpoint_format.md, "Integrity"). Needs python3-xxhash."""
import os
import re

SEAL_BYTES = 512
FIRST_LINE = b"pruntrain checkpoint\n"
PIECE_BYTES = 1 << 20


def seal_is_whole(path):
    """True if every byte of the file is as it was written."""
    import xxhash

    with open(path, "rb") as file:
        lines = file.read(SEAL_BYTES).rstrip(b"\0")
        covered, found, digits = lines.partition(b"xxh3_64 ")
        size = re.search(rb"^bytes (\d+)$", covered, re.MULTILINE)
        digest = xxhash.xxh3_64(covered)
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
        return bool(found and size) and int(size[1]) == file.tell() and digits == f"{digest.hexdigest()}\n".encode()


def sealed(content, format_version):
    """The bytes of a file with its seal. The first SEAL_BYTES bytes of `content` are free for it."""
    import xxhash

    lines = FIRST_LINE + f"format_version {format_version}\nbytes {len(content)}\n".encode()
    checksum = xxhash.xxh3_64(lines)
    checksum.update(memoryview(content)[SEAL_BYTES:])
    return (lines + f"xxh3_64 {checksum.hexdigest()}\n".encode()).ljust(SEAL_BYTES, b"\0") + content[SEAL_BYTES:]


def seal(path, format_version):
    """Writes the seal of a file whose first SEAL_BYTES bytes are free for it."""
    content = sealed(path.read_bytes(), format_version)
    with open(path, "r+b") as file:
        file.write(content[:SEAL_BYTES])
        file.flush()
        os.fsync(file.fileno())
