"""A disk image small enough to be written by every test, and whole enough to be taken for one."""

import hashlib
import pathlib
import random
import struct
import uuid
import zlib

SECTOR = 512
ENTRIES = 128
ENTRY_BYTES = 128
LINUX_FILE_SYSTEM = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


def make(path: pathlib.Path, mebibytes: int = 8, seed: int = 1) -> str:
    """Writes a raw image with a GUID partition table and one partition full of noise; returns its SHA-256 in hex.

    The agent refuses a disk without a partition table after it wrote an image. With a GUID partition table the disk
    identifier that it reads is 0, which makes it take the image for a whole disk and install no boot loader.
    """
    sectors = mebibytes * 1024 * 1024 // SECTOR
    noise = random.Random(seed)
    first, last = 2048, sectors - 34
    disk_id, partition_id = (uuid.UUID(int=noise.getrandbits(128), version=4) for _ in range(2))

    entry = struct.pack(
        "<16s16sQQQ72s", LINUX_FILE_SYSTEM.bytes_le, partition_id.bytes_le, first, last, 0, "instance".encode("utf-16-le"))
    table = entry.ljust(ENTRIES * ENTRY_BYTES, b"\0")

    def header(own: int, other: int, entries_at: int) -> bytes:
        def pack(checksum: int) -> bytes:
            return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, own, other, 34, sectors - 34,
                               disk_id.bytes_le, entries_at, ENTRIES, ENTRY_BYTES, zlib.crc32(table))
        return pack(zlib.crc32(pack(0)))

    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, sectors - 1)
    disk = bytearray(sectors * SECTOR)
    disk[446:446 + len(protective)] = protective
    disk[510:512] = b"\x55\xaa"
    disk[SECTOR:SECTOR + 92] = header(1, sectors - 1, 2)
    disk[2 * SECTOR:2 * SECTOR + len(table)] = table
    disk[first * SECTOR:(last + 1) * SECTOR] = noise.randbytes((last + 1 - first) * SECTOR)
    disk[(sectors - 33) * SECTOR:(sectors - 33) * SECTOR + len(table)] = table
    disk[(sectors - 1) * SECTOR:(sectors - 1) * SECTOR + 92] = header(sectors - 1, 1, sectors - 33)
    path.write_bytes(disk)
    return hashlib.sha256(disk).hexdigest()
