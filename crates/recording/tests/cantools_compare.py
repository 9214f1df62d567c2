"""Compares the example can_decode with cantools, reading and writing frames: cantools_compare.py EXAMPLE DBC-FOLDER. Exits 77 without cantools."""
import json, math, pathlib, random, subprocess, sys

try:
    import cantools
except ImportError:
    print("skipped: cantools is not installed")
    sys.exit(77)

example, folder = sys.argv[1:3]
random.seed(1)
jobs, writing, files, unread = [], [], 0, []
for path in sorted(pathlib.Path(folder).glob("*.dbc")):
    try:
        database = cantools.database.load_file(str(path), strict=False)
    except Exception:
        continue
    listed = subprocess.run([example, "list", str(path)], capture_output=True, text=True)
    if listed.returncode:
        unread.append(path.name)
        continue
    files += 1
    rows = [line.split() for line in listed.stdout.splitlines()]
    places = {}
    for index, (name, frame_id, extended, _) in enumerate(rows):
        places[name, int(frame_id)] = index
    for message in database.messages:
        index = places.get((message.name, message.frame_id))
        if index is None:
            unread.append(f"{path.name} {message.name} {message.frame_id}")
            continue
        for _ in range(8):
            data = bytes(random.choice((random.getrandbits(8), random.getrandbits(2))) for _ in range(message.length))
            try:
                values = message.decode(data, decode_choices=False, scaling=True, allow_truncated=True)
            except Exception:
                continue  # a selector without messages
            jobs.append((f"{path} {index} {data.hex()}", values, f"{path.name} {message.name}"))
            if any(abs(value) >= 2**53 for value in values.values()):
                continue  # a double does not hold it
            try:
                encoded = message.encode(values, scaling=True, padding=False, strict=False)
            except Exception:
                continue  # a value beyond its bits, or not a number
            writing.append((f"{path} {index} {json.dumps(values)}", encoded.hex(), f"{path.name} {message.name}"))

text = "\n".join(line for line, _, _ in jobs) + "\n"
answers = subprocess.run([example], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
assert len(answers) == len(jobs), (len(answers), len(jobs))
wrong, compared = [], 0
for (line, values, name), answer in zip(jobs, answers):
    ours = {key: float(value) for key, value in json.loads(answer).items()}
    theirs = {key: float(value) for key, value in values.items()}
    compared += len(theirs)
    if name.endswith(("ID201VCFRONT_loggingAndVitals10Hz", "vw_pq.dbc Motor_2")):
        # cantools loses the multiplexed signals of a selector whose long name differs from the short one, and of one
        # that the file marks with "m" for "M" although SG_MUL_VAL_ names it.
        ours = {key: value for key, value in ours.items() if key in theirs}
    same = ours.keys() == theirs.keys() and all(
        math.isclose(ours[k], theirs[k], rel_tol=1e-12, abs_tol=1e-12) or (math.isnan(ours[k]) and math.isnan(theirs[k]))
        for k in ours
    )
    if not same:
        different = {k: (ours.get(k), theirs.get(k)) for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)}
        wrong.append((name, line.split()[-1], different))
text = "\n".join(line for line, _, _ in writing) + "\n"
answers = subprocess.run([example, "encode"], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
assert len(answers) == len(writing), (len(answers), len(writing))
refused = sum(answer.startswith("refused") for answer in answers)
for (line, theirs, name), answer in zip(writing, answers):
    # What the file's range forbids, or its words call no value, is refused here alone.
    if not answer.startswith("refused") and answer != theirs:
        wrong.append((name, line, answer, theirs))
print(f"{len(writing)} frames written, of which {refused} are refused here")
print(f"{files} files, {len(jobs)} frames, {compared} values; {len(wrong)} frames differ, {len(unread)} not read")
for item in wrong[:12] + unread[:12]:
    print("  ", item)
sys.exit(1 if wrong or unread else 0)
