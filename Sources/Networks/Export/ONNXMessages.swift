import Foundations

/// A model in ONNX's format as plain values: what is needed of onnx.proto, whose numbers of fields and
/// enumerations these are.
struct ONNXMessages {
  /// ONNX's version of the format, and of the operators' meaning (2022; ONNX 1.12).
  static let formatVersion: Int64 = 8
  static let operatorSet: Int64 = 17

  /// An operator applied to values by name (`NodeProto`).
  struct Node {
    /// Such as `Conv`.
    let operation: String
    let name: String
    let inputs: [String]
    /// The value that it makes; every operator here makes one.
    let output: String
    var attributes: [(name: String, value: Attribute)] = []
  }

  enum Attribute {
    case integer(Int)
    case integers([Int])
    case number(Float)
  }

  /// A tensor of the model's own, an initialiser (`TensorProto`).
  struct Tensor {
    let name: String
    let shape: [Int]
    let elements: Elements

    enum Elements {
      case integers([Int64])
      /// Made when they are written, so that no two large tensors are in memory at a time.
      case floats(() throws -> [Float])
    }

    var count: Int { shape.reduce(1, *) }
  }

  /// A float32 tensor that goes in or comes out (`ValueInfoProto`), of any number of images.
  struct Port {
    let name: String
    /// Behind the number of images.
    let shape: [Int]
  }

  var producerVersion: String
  /// The graph's name.
  var name: String
  /// Each reads what stands before it.
  var nodes: [Node]
  var tensors: [Tensor]
  var input: Port
  var output: Port
  /// Texts for whoever runs the model.
  var metadata: [(key: String, value: String)]

  // MARK: Writing

  /// What stands one after another in the file: bytes, or a tensor's values.
  private enum Piece {
    case bytes([UInt8])
    case values(Tensor)

    var size: Int {
      switch self {
      case .bytes(let bytes): bytes.count
      case .values(let tensor): 4 * tensor.count
      }
    }
  }

  /// Writes the model. The values of a tensor are made, written and gone before those of the next.
  ///
  /// - Throws: `FileError`, or what making a tensor throws.
  func write(to file: borrowing FileWriter) throws {
    for piece in pieces {
      switch piece {
      case .bytes(let bytes): try bytes.withUnsafeBytes { try file.write($0) }
      case .values(let tensor):
        guard case .floats(let make) = tensor.elements else { continue }
        let values = try make()
        precondition(values.count == tensor.count, "\(tensor.name) has \(tensor.count) values")
        #if _endian(big)
          try values.map(\.bitPattern.littleEndian).withUnsafeBytes { try file.write($0) }
        #else
          try values.withUnsafeBytes { try file.write($0) }
        #endif
      }
    }
  }

  /// `ModelProto`.
  private var pieces: [Piece] {
    let graph = graphPieces
    var start = ProtocolBuffer()
    start.put(1, integer: Self.formatVersion)
    start.put(2, text: "rfm")
    start.put(3, text: producerVersion)
    start.put(7, lengthOfBytes: graph.reduce(0) { $0 + $1.size })
    var end = ProtocolBuffer()
    end.put(8) { $0.put(2, integer: Self.operatorSet) }
    for (key, value) in metadata {
      end.put(14) { entry in
        entry.put(1, bytes: Array(key.utf8))
        entry.put(2, bytes: Array(value.utf8))
      }
    }
    return [.bytes(start.bytes)] + graph + [.bytes(end.bytes)]
  }

  /// `GraphProto`.
  private var graphPieces: [Piece] {
    var start = ProtocolBuffer()
    for node in nodes { start.put(1) { node.encode(into: &$0) } }
    start.put(2, text: name)
    var pieces = [Piece.bytes(start.bytes)]
    for tensor in tensors {
      var own = ProtocolBuffer()
      own.put(1, elements: tensor.shape.map(Int64.init))
      switch tensor.elements {
      case .integers(let values):
        own.put(2, integer: 7)  // INT64
        own.put(7, elements: values)
        own.put(8, text: tensor.name)
      case .floats:
        own.put(2, integer: 1)  // FLOAT
        own.put(8, text: tensor.name)
        own.put(9, lengthOfBytes: 4 * tensor.count)
      }
      var field = ProtocolBuffer()
      let isInPieces = if case .floats = tensor.elements { true } else { false }
      field.put(5, lengthOfBytes: own.bytes.count + (isInPieces ? 4 * tensor.count : 0))
      pieces.append(.bytes(field.bytes + own.bytes))
      if isInPieces { pieces.append(.values(tensor)) }
    }
    var end = ProtocolBuffer()
    end.put(11) { input.encode(into: &$0) }
    end.put(12) { output.encode(into: &$0) }
    return pieces + [.bytes(end.bytes)]
  }
}

extension ONNXMessages.Node {
  fileprivate func encode(into node: inout ProtocolBuffer) {
    for input in inputs { node.put(1, bytes: Array(input.utf8)) }
    node.put(2, bytes: Array(output.utf8))
    node.put(3, text: name)
    node.put(4, text: operation)
    for attribute in attributes {
      node.put(5) { encoded in
        encoded.put(1, text: attribute.name)
        switch attribute.value {
        case .number(let value):
          encoded.put(2, float: value)
          encoded.put(20, integer: 1)  // FLOAT
        case .integer(let value):
          encoded.put(3, elements: [Int64(value)])
          encoded.put(20, integer: 2)  // INT
        case .integers(let values):
          encoded.put(8, elements: values.map(Int64.init))
          encoded.put(20, integer: 7)  // INTS
        }
      }
    }
  }
}

extension ONNXMessages.Port {
  fileprivate func encode(into value: inout ProtocolBuffer) {
    value.put(1, text: name)
    value.put(2) { type in
      type.put(1) { tensor in
        tensor.put(1, integer: 1)  // FLOAT
        tensor.put(2) { dimensions in
          dimensions.put(1) { $0.put(2, text: "N") }
          for size in shape { dimensions.put(1) { $0.put(1, integer: Int64(size)) } }
        }
      }
    }
  }
}
