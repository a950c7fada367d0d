"""Writes the golden event file of Tests/ReportsTests/TensorBoardTests.swift with TensorBoard's own
messages and writer.

    python3 Tests/Oracle/tensorboard_events.py

Needs tensorboard. The Swift encoder must write the same events with the same bytes.
"""

import pathlib

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary.writer.record_writer import RecordWriter

GOLDEN = pathlib.Path(__file__).parents[1] / "ReportsTests" / "Golden"


def events():
    yield Event(wall_time=1234567890.25, file_version="brain.Event:2")
    yield Event(
        wall_time=1234567890.5, step=301, session_log=SessionLog(status=SessionLog.START)
    )
    text = Summary.Value(
        tag="configuration/text_summary",
        metadata=SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text")),
        tensor=TensorProto(
            dtype="DT_STRING",
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
            string_val=["    run:\n      name: \"ünïcode\"".encode()],
        ),
    )
    yield Event(wall_time=1234567890.75, step=301, summary=Summary(value=[text]))
    yield Event(
        wall_time=1234567891.0,
        step=301,
        summary=Summary(
            value=[
                Summary.Value(tag="training/loss", simple_value=0.69314718),
                Summary.Value(tag="training/learning_rate", simple_value=0.0),
                Summary.Value(tag="training/below", simple_value=-1.5e-38),
            ]
        ),
    )
    image = Summary.Image(
        height=2, width=300, colorspace=3, encoded_image_string=bytes(range(256)) * 70
    )
    yield Event(
        wall_time=1234567892.0,
        step=500000,
        summary=Summary(value=[Summary.Value(tag="prototypes/swap", image=image)]),
    )


def main() -> None:
    with open(GOLDEN / "events.tfevents", "wb") as file:
        writer = RecordWriter(file)
        for event in events():
            writer.write(event.SerializeToString(deterministic=True))


main()
