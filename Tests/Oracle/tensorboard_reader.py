"""Reads a folder's event files with TensorBoard's own reader and prints what is in them as JSON.

    python3 Tests/Oracle/tensorboard_reader.py FOLDER

Needs tensorboard, which brings Pillow. Scalars are printed as the bits of their float32, images as
width and height after decoding them.
"""

import io
import json
import struct
import sys

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (
    COMPRESSED_HISTOGRAMS,
    HISTOGRAMS,
    IMAGES,
    SCALARS,
    TENSORS,
    EventAccumulator,
)


def bits(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


def decoded(event) -> list:
    image = Image.open(io.BytesIO(event.encoded_image_string))
    image.load()
    if image.mode != "RGB" or image.size != (event.width, event.height):
        raise ValueError(f"a {image.mode} image of {image.size}")
    return [event.step, image.width, image.height]


def main() -> None:
    everything = {kind: 0 for kind in (COMPRESSED_HISTOGRAMS, HISTOGRAMS, IMAGES, SCALARS, TENSORS)}
    reader = EventAccumulator(sys.argv[1], size_guidance=everything)
    reader.Reload()
    tags = reader.Tags()
    json.dump(
        {
            "scalars": {
                tag: [[event.step, bits(event.value)] for event in reader.Scalars(tag)]
                for tag in tags["scalars"]
            },
            "images": {
                tag: [decoded(event) for event in reader.Images(tag)] for tag in tags["images"]
            },
            "texts": {
                tag: [
                    [event.step, event.tensor_proto.string_val[0].decode()]
                    for event in reader.Tensors(tag)
                ]
                for tag in tags["tensors"]
                if reader.SummaryMetadata(tag).plugin_data.plugin_name == "text"
            },
        },
        sys.stdout,
    )


main()
