"""Writes answers of a control unit as can-isotp sends them, with the cells that they state: diagnostics.py FOLDER"""

import random
import sys
from pathlib import Path

import isotp
import udsoncan
from udsoncan.services import ReadDataByIdentifier

folder = Path(sys.argv[1])
random.seed(5)
to_unit, to_tester, lines = [], [], []
clock = 1700000000.0


def sender(queue):
    def send(message):
        global clock
        clock += 0.001
        lines.append(f"({clock:.6f}) can0 {message.arbitration_id:03X}#{message.data.hex().upper()}\n")
        queue.append(message)
    return send


def receiver(queue):
    return lambda timeout=0: queue.pop(0) if queue else None


params = {"tx_padding": 0xAA, "blocking_send": False}
tester = isotp.TransportLayerLogic(
    receiver(to_tester), sender(to_unit), isotp.Address(isotp.AddressingMode.Normal_11bits, txid=0x7E4, rxid=0x7EC), params=params)
unit = isotp.TransportLayerLogic(
    receiver(to_unit), sender(to_tester), isotp.Address(isotp.AddressingMode.Normal_11bits, txid=0x7EC, rxid=0x7E4), params=params)


def exchange(sender, receiver, payload):
    sender.send(payload)
    for _ in range(2000):
        sender.process()
        receiver.process()
        if receiver.available():
            return receiver.recv()
    raise RuntimeError("no message came")


cells = []
for _ in range(5):
    clock = float(int(clock) + 1)
    request = udsoncan.Request(ReadDataByIdentifier, data=(0x0102).to_bytes(2, "big")).get_payload()
    assert exchange(tester, unit, request) == request
    cells = [random.randrange(150, 210) for _ in range(96)]
    data = (0x0102).to_bytes(2, "big") + (-125).to_bytes(2, "big", signed=True) + bytes(cells)
    response = udsoncan.Response(ReadDataByIdentifier, udsoncan.Response.Code.PositiveResponse, data=data).get_payload()
    assert exchange(unit, tester, response) == response
(folder / "answers.log").write_text("".join(lines))
(folder / "cells").write_text(" ".join(str(20 * cell) for cell in cells))
print("answers.log")
