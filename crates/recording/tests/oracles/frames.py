"""Writes one log in every format that python-can and asammdf write, and what is in it: frames.py FOLDER"""

import random
import sys
from pathlib import Path

import can

folder = Path(sys.argv[1])
random.seed(2)
messages, time = [], 1700000000.0
for number in range(400):
    time += 0.0125
    is_fd, is_extended = number % 50 == 7, number % 3 == 0
    messages.append(
        can.Message(
            timestamp=time,
            arbitration_id=0x18FF1000 + number % 4 if is_extended else 0x100 + number % 2,
            is_extended_id=is_extended,
            is_fd=is_fd,
            data=bytes(random.randrange(256) for _ in range(24 if is_fd else number % 9)),
            channel=number % 2,
            is_rx=number % 5 != 0,
        )
    )
messages.append(can.Message(timestamp=time + 0.1, arbitration_id=0x123, is_extended_id=False, is_remote_frame=True, dlc=4, channel=0))

with open(folder / "truth", "w") as truth:
    for m in messages:
        truth.write(f"{m.timestamp:.4f} {m.channel} {m.arbitration_id:X} {m.is_extended_id:d} {m.is_fd:d} "
                    f"{m.is_remote_frame:d} {m.is_rx:d} {m.data.hex()}\n")


def write(name, writer):
    for message in messages:
        writer.on_message_received(message)
    writer.stop()
    print(name)


for name in ["log.blf", "log.asc", "log.csv", "log.log", "log.db"]:
    write(name, can.Logger(str(folder / name)))
try:
    import asammdf  # noqa: F401
except ImportError:
    sys.exit(0)
for level in range(3):
    write(f"log_{level}.mf4", can.io.MF4Writer(str(folder / f"log_{level}.mf4"), compression_level=level))
