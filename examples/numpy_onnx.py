"""AUs of a face with numpy, Pillow and onnxruntime alone, from a file of `metafacs export`.

python numpy_onnx.py MODEL.onnx PHOTO DETECTIONS.csv                    every face that `metafacs detect PHOTO` found
python numpy_onnx.py MODEL.onnx PHOTO RIGHT_X RIGHT_Y LEFT_X LEFT_Y     centres of the person's eyes, in pixels
python numpy_onnx.py MODEL.onnx CROP                                    a face that is aligned already
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from align_face import aligned, read

EYES = ("right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y")

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
facts = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
photo, where = read(sys.argv[2]), sys.argv[3:]
if len(where) == 1:
    with Path(where[0]).open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if Path(row["input"]).name == Path(sys.argv[2]).name]
    faces = [[float(row[name]) for name in EYES] for row in rows if row["success"] == "1"]
else:
    faces = [[float(text) for text in where]]
for number, eyes in enumerate(faces, start=1):
    face = aligned(photo, complex(*eyes[:2]), complex(*eyes[2:]), facts["recipe"]) if eyes else np.asarray(photo)
    (probabilities,) = session.run(["probabilities"], {"faces": face[None]})  # (N, S, S, 3) uint8 -> (N, AUs)
    print(f"face {number}")
    for au, name, threshold, value in zip(
        facts["aus"], facts["au_names"], facts["thresholds"], probabilities[0], strict=True
    ):
        print(f"{au}  {name:<24} {value:.6f}  {'present' if value >= threshold else ''}")
