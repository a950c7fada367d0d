import Foundations

/// A detector as other programs run it: one file in ONNX's format (operator set 17), float32, for any
/// number of images.
///
/// Its input `image` is (N, 3, crop, crop), RGB and normalised; its output `logits` is (N, 2), real and
/// fake, of a patch head those that stand for the mean of softmax over its positions (`PatchScore`). A batch norm or layer scale behind a convolution is part of that convolution's weights; what has
/// no operator of its own (SiLU, GELU) is put together from others. Padding stands in numbers, those of
/// the crop.
public struct ONNXModel {
  let messages: ONNXMessages

  /// Operators, and bytes of all weights.
  public var operatorCount: Int { messages.nodes.count }
  public var weightBytes: Int {
    messages.tensors.reduce(0) { sum, tensor in
      if case .floats = tensor.elements { sum + 4 * tensor.count } else { sum }
    }
  }

  /// - Parameters:
  ///   - crop: height and width of the images in pixels; one that the detector takes.
  ///   - version: of the program.
  ///   - metadata: texts for whoever runs the model.
  public init(
    _ detector: Detector, crop: Int, version: String, metadata: [(key: String, value: String)] = []
  ) {
    var writing = ONNXWriting(detector, detector.graph, crop: crop)
    writing.addLayers()
    messages = ONNXMessages(
      producerVersion: version, name: detector.name.rawValue, nodes: writing.nodes,
      tensors: writing.tensors, input: .init(name: ONNXWriting.input, shape: [3, crop, crop]),
      output: .init(name: ONNXWriting.output, shape: [2]), metadata: metadata)
  }

  /// Writes the file, in place of one that is there.
  ///
  /// - Throws: ``WeightsError`` where a weight is not finite once what follows it is part of it;
  ///   `FileError`. What stood there before is untouched then.
  public func write(to path: String) throws {
    try DurableFile.write(to: path) { try messages.write(to: $0) }
  }
}
