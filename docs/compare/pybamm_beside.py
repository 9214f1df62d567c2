"""Voltmesh's cell beside PyBaMM's Thevenin, SPM and DFN: one current profile, voltage difference and time, in one run.

    pip install pybamm
    python docs/compare/pybamm_beside.py target/release/voltmesh

All models get the same cell, PyBaMM's parameter set of Chen et al. 2020 (LG M50, 5 Ah). PyBaMM's DFN discharges it at C/20, with
pulses and drive cycles; `voltmesh twin fit` fits those; then all four play a drive that nobody was fitted to. The DFN is the
reference. Times are of the solution alone, on one core, best of three.
"""

import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pybamm

CAPACITY_AH = 5.0
HOUR_S = 3_600


def drive(seed: int, hours: float) -> np.ndarray:
    """A current in A at each second, discharge positive as PyBaMM has it: seven seconds a level."""
    random = np.random.default_rng(seed)
    levels = random.uniform(-1.2, 5.0, int(hours * HOUR_S / 7) + 1)
    return np.repeat(levels, 7)[: int(hours * HOUR_S)]


def play(name: str, current: np.ndarray, step_s: float = 1.0, repeats: int = 3):
    """Voltage of one of PyBaMM's models under a current, and how long the solution took (s)."""
    times = np.arange(len(current)) * step_s
    if name == "Thevenin":
        model = pybamm.equivalent_circuit.Thevenin()
        values = pybamm.ParameterValues("ECM_Example")
        values.update({"Cell capacity [A.h]": CAPACITY_AH, "Nominal cell capacity [A.h]": CAPACITY_AH, "Initial SoC": 0.99})
    else:
        model = {"SPM": pybamm.lithium_ion.SPM, "DFN": pybamm.lithium_ion.DFN}[name]()
        values = pybamm.ParameterValues("Chen2020")
        # Recuperation into a nearly full cell must not end the run; the cell begins full as before.
        values["Upper voltage cut-off [V]"] = 4.6
    values["Current function [A]"] = pybamm.Interpolant(times, current, pybamm.t)
    simulation = pybamm.Simulation(model, parameter_values=values, solver=pybamm.IDAKLUSolver())
    best, solution = np.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        solution = simulation.solve(t_eval=[0, times[-1]], t_interp=times)
        best = min(best, time.perf_counter() - start)
    volts = solution["Voltage [V]"](times)
    return times[: len(volts)], np.asarray(volts), best


def write(path: pathlib.Path, times, current, volts):
    """A log as `voltmesh twin` reads it: discharge negative, the counter 0 when full."""
    ah = -np.concatenate([[0.0], np.cumsum(current[:-1] * np.diff(times))]) / HOUR_S
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time_s", "voltage_v", "current_a", "ah", "cell_temp_c"])
        for row in zip(times, volts, -current, ah):
            rows.writerow([f"{value:.6f}" for value in row] + ["25"])


def voltmesh(binary: str, *args) -> dict:
    done = subprocess.run([binary, "twin", *map(str, args), "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(binary: str):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        runs = {"c20": (np.full(int(19.5 * 60), CAPACITY_AH / 20), 60.0)}
        runs |= {f"drive-{seed}": (drive(seed, 1.8), 1.0) for seed in (1, 2, 3)}
        for run, (current, step_s) in runs.items():
            print(f"PyBaMM's DFN plays {run} …", flush=True)
            times, volts, _ = play("DFN", current, step_s, repeats=1)
            write(folder / f"{run}.csv", times, current[: len(times)], volts)
        drives = [folder / f"drive-{seed}.csv" for seed in (1, 2, 3)]
        cell = folder / "cell.toml"
        print("voltmesh twin fit …", flush=True)
        voltmesh(binary, "fit", "--ocv", folder / "c20.csv", "--cycles", *drives, "--capacity-ah", CAPACITY_AH, "-o", cell)

        current = drive(7, 1.8)
        reference_t, reference, dfn_s = play("DFN", current)
        write(folder / "new.csv", reference_t, current[: len(reference_t)], reference)
        ours = voltmesh(binary, "evaluate", "--params", cell, "--capacity-ah", CAPACITY_AH, folder / "new.csv")["total"]

        print(f"{len(reference_t)} s of a drive that no model was fitted to; reference: PyBaMM {pybamm.__version__}, DFN")
        print(f"{'model':22}{'RMSE mV':>9}{'seconds':>10}{'× real time':>13}")
        for model in ("Thevenin", "SPM"):
            times, volts, seconds = play(model, current)
            both = min(len(times), len(reference_t))
            rmse = 1e3 * np.sqrt(np.mean((volts[:both] - reference[:both]) ** 2))
            print(f"{'PyBaMM ' + model:22}{rmse:9.1f}{seconds:10.3f}{len(times) / seconds:13,.0f}")
        print(f"{'PyBaMM DFN':22}{0:9.1f}{dfn_s:10.3f}{len(reference_t) / dfn_s:13,.0f}")
        seconds = len(reference_t) / ours["steps_per_s"]
        print(f"{'Voltmesh, with filter':22}{ours['voltage_open_loop_rmse_mv']:9.1f}{seconds:10.3f}{ours['steps_per_s']:13,.0f}")
        print("PyBaMM's Thevenin has the parameters of its example, another cell's: its voltage is not to be compared.")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "voltmesh")
