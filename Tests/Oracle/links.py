#!/usr/bin/env python3
"""Writes the golden file of FileInspectionTests with h5py: every kind of link that a group may hold.

    python3 Tests/Oracle/links.py Tests/EvaluationTests/Golden/links.h5
"""

import sys

import h5py
import numpy as np

with h5py.File(sys.argv[1], "w") as f:
    f["data"] = np.arange(3, dtype=np.int32)
    # Of the newer kind: nothing in the root tells where its own objects lie.
    f.create_group("folder", track_order=True)["inside"] = np.arange(2, dtype=np.float32)
    f["a dangling"] = h5py.SoftLink("/nowhere/ü")
    f["a deeper"] = h5py.SoftLink("/folder/inside")
    f["a circle"] = h5py.SoftLink("/a circle")
    f["a group"] = h5py.SoftLink("/folder")
    f["a soft"] = h5py.SoftLink("data")
    f["an external"] = h5py.ExternalLink("elsewhere.h5", "/data")
    f["an external behind"] = h5py.SoftLink("/an external/more")
