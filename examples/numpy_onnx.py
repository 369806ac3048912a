"""AUs of a face with numpy, Pillow and onnxruntime alone, from a file of `metafacs export`.

python numpy_onnx.py MODEL.onnx PHOTO RIGHT_X RIGHT_Y LEFT_X LEFT_Y     centres of the person's eyes, in pixels
python numpy_onnx.py MODEL.onnx CROP                                    a face that is aligned already
"""

import json
import sys

import numpy as np
import onnxruntime
from align_face import aligned, read

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
facts = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
face, eyes = np.asarray(read(sys.argv[2])), [float(text) for text in sys.argv[3:]]
if eyes:
    face = aligned(read(sys.argv[2]), complex(*eyes[:2]), complex(*eyes[2:]), facts["recipe"])
(probabilities,) = session.run(["probabilities"], {"faces": face[None]})  # (N, S, S, 3) uint8 -> (N, AUs)
for au, name, threshold, value in zip(
    facts["aus"], facts["au_names"], facts["thresholds"], probabilities[0], strict=True
):
    print(f"{au}  {name:<24} {value:.6f}  {'present' if value >= threshold else ''}")
