import Foundation

/// An ONNX file as a reader of our own finds it, which knows nothing of the writer: Protocol Buffers'
/// fields by their numbers in onnx.proto.
struct ONNXReading {
  struct Failure: Error, CustomStringConvertible { let description: String }

  struct Node {
    var operation = ""
    var name = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var integers: [String: [Int]] = [:]
    var numbers: [String: Float] = [:]
    /// `AttributeProto.type`.
    var types: [String: Int] = [:]
  }

  struct Tensor {
    var name = ""
    var shape: [Int] = []
    var type = 0
    var floats: [Float] = []
    var integers: [Int] = []
  }

  struct Port: Equatable {
    var name = ""
    var type = 0
    /// A text is a size that has only a name.
    var shape: [String] = []
  }

  var formatVersion = 0
  var producer = ""
  var producerVersion = ""
  var operatorSets: [String: Int] = [:]
  var metadata: [String: String] = [:]
  var name = ""
  var nodes: [Node] = []
  var tensors: [Tensor] = []
  var inputs: [Port] = []
  var outputs: [Port] = []

  init(_ bytes: [UInt8]) throws {
    for field in try Self.fields(bytes[...]) {
      switch field.number {
      case 1: formatVersion = try field.integer
      case 2: producer = try field.text
      case 3: producerVersion = try field.text
      case 7: try readGraph(field.bytes)
      case 8:
        let parts = try Self.fields(field.bytes)
        let domain = try parts.first { $0.number == 1 }?.text ?? ""
        operatorSets[domain] = try parts.first { $0.number == 2 }?.integer
      case 14:
        let parts = try Self.fields(field.bytes)
        guard parts.count == 2, parts[0].number == 1, parts[1].number == 2 else {
          throw Failure(description: "an entry of \(parts.count) fields")
        }
        metadata[try parts[0].text] = try parts[1].text
      default: throw Failure(description: "field \(field.number) of a model")
      }
    }
  }

  private mutating func readGraph(_ bytes: ArraySlice<UInt8>) throws {
    for field in try Self.fields(bytes) {
      switch field.number {
      case 1: nodes.append(try Self.node(field.bytes))
      case 2: name = try field.text
      case 5: tensors.append(try Self.tensor(field.bytes))
      case 11: inputs.append(try Self.port(field.bytes))
      case 12: outputs.append(try Self.port(field.bytes))
      default: throw Failure(description: "field \(field.number) of a graph")
      }
    }
  }

  private static func node(_ bytes: ArraySlice<UInt8>) throws -> Node {
    var node = Node()
    for field in try fields(bytes) {
      switch field.number {
      case 1: node.inputs.append(try field.text)
      case 2: node.outputs.append(try field.text)
      case 3: node.name = try field.text
      case 4: node.operation = try field.text
      case 5:
        let parts = try fields(field.bytes)
        let name = try parts.first { $0.number == 1 }?.text ?? ""
        for part in parts {
          switch part.number {
          case 1: break
          case 2: node.numbers[name] = try part.float
          case 3, 8: node.integers[name, default: []].append(try part.integer)
          case 20: node.types[name] = try part.integer
          default: throw Failure(description: "field \(part.number) of an attribute")
          }
        }
      default: throw Failure(description: "field \(field.number) of a node")
      }
    }
    return node
  }

  private static func tensor(_ bytes: ArraySlice<UInt8>) throws -> Tensor {
    var tensor = Tensor()
    for field in try fields(bytes) {
      switch field.number {
      case 1: tensor.shape.append(try field.integer)
      case 2: tensor.type = try field.integer
      case 7: tensor.integers.append(try field.integer)
      case 8: tensor.name = try field.text
      case 9:
        let raw = try field.bytes
        guard raw.count % 4 == 0 else { throw Failure(description: "\(raw.count) bytes of floats") }
        tensor.floats = raw.withUnsafeBytes { bytes in
          (0..<bytes.count / 4).map {
            Float(
              bitPattern: UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
          }
        }
      default: throw Failure(description: "field \(field.number) of a tensor")
      }
    }
    return tensor
  }

  private static func port(_ bytes: ArraySlice<UInt8>) throws -> Port {
    var port = Port()
    for field in try fields(bytes) {
      guard field.number == 2 else {
        port.name = try field.text
        continue
      }
      let type = try fields(field.bytes)
      guard type.count == 1, type[0].number == 1 else {
        throw Failure(description: "a type that is no tensor's")
      }
      for part in try fields(type[0].bytes) {
        if part.number == 1 {
          port.type = try part.integer
        } else {
          for dimension in try fields(part.bytes) {
            let size = try fields(dimension.bytes)
            guard size.count == 1 else { throw Failure(description: "no size of a dimension") }
            port.shape.append(size[0].number == 1 ? "\(try size[0].integer)" : try size[0].text)
          }
        }
      }
    }
    return port
  }

  // MARK: The wire format

  private struct Field {
    let number: Int
    /// Of a number in variable length.
    var variable: UInt64?
    /// Of a number in 4 bytes.
    var fixed: UInt32?
    var slice: ArraySlice<UInt8>?

    var integer: Int {
      get throws {
        guard let variable else { throw Failure(description: "field \(number) is no integer") }
        return Int(Int64(bitPattern: variable))
      }
    }
    var float: Float {
      get throws {
        guard let fixed else { throw Failure(description: "field \(number) is no float") }
        return Float(bitPattern: fixed)
      }
    }
    var bytes: ArraySlice<UInt8> {
      get throws {
        guard let slice else { throw Failure(description: "field \(number) has no length") }
        return slice
      }
    }
    var text: String {
      get throws {
        guard let text = String(validating: try bytes, as: UTF8.self) else {
          throw Failure(description: "field \(number) is no text")
        }
        return text
      }
    }
  }

  private static func fields(_ bytes: ArraySlice<UInt8>) throws -> [Field] {
    var place = bytes.startIndex
    func variable() throws -> UInt64 {
      var value: UInt64 = 0
      for shift in stride(from: 0, to: 64, by: 7) {
        guard place < bytes.endIndex else { throw Failure(description: "ends within a number") }
        let byte = bytes[place]
        place += 1
        value |= UInt64(byte & 0x7f) << UInt64(shift)
        if byte & 0x80 == 0 { return value }
      }
      throw Failure(description: "a number of more than 64 bits")
    }
    func take(_ count: Int) throws -> ArraySlice<UInt8> {
      guard count <= bytes.endIndex - place else {
        throw Failure(description: "a field of \(count) bytes ends beyond its message")
      }
      defer { place += count }
      return bytes[place..<place + count]
    }
    var fields: [Field] = []
    while place < bytes.endIndex {
      let tag = try variable()
      var field = Field(number: Int(tag >> 3))
      switch tag & 7 {
      case 0: field.variable = try variable()
      case 2: field.slice = try take(Int(try variable()))
      case 5:
        field.fixed = try take(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      default: throw Failure(description: "wire type \(tag & 7)")
      }
      fields.append(field)
    }
    return fields
  }
}

// MARK: - Running it

/// The operators of ONNX that exported networks have, as plain loops in double precision.
struct ONNXRunning {
  struct Failure: Error, CustomStringConvertible { let description: String }

  struct Map {
    var shape: [Int]
    var values: [Double]

    init(_ shape: [Int], _ values: [Double]) {
      precondition(shape.reduce(1, *) == values.count, "\(shape) of \(values.count) values")
      (self.shape, self.values) = (shape, values)
    }

    init(_ shape: [Int]) {
      self.init(shape, [Double](repeating: 0, count: shape.reduce(1, *)))
    }

    func map(_ function: (Double) -> Double) -> Map { Map(shape, values.map(function)) }
  }

  /// - Parameter image: (N, 3, height, width).
  /// - Returns: the model's output.
  static func run(_ model: ONNXReading, _ image: Map) throws -> Map {
    var maps: [String: Map] = [model.inputs[0].name: image]
    var integers: [String: [Int]] = [:]
    for tensor in model.tensors {
      if tensor.type == 7 {
        integers[tensor.name] = tensor.integers
      } else {
        maps[tensor.name] = Map(tensor.shape, tensor.floats.map(Double.init))
      }
    }
    // The last node that reads a value lets it go.
    var last: [String: Int] = [:]
    for (place, node) in model.nodes.enumerated() {
      for input in node.inputs { last[input] = place }
    }
    for (place, node) in model.nodes.enumerated() {
      let inputs = node.inputs.compactMap { maps[$0] }
      let axes = node.inputs.compactMap { integers[$0] }
      guard inputs.count + axes.count == node.inputs.count else {
        throw Failure(description: "\(node.name) reads what is not there: \(node.inputs)")
      }
      maps[node.outputs[0]] = try apply(node, inputs, axes.first ?? [])
      for input in node.inputs where last[input] == place { maps[input] = nil }
    }
    guard let output = maps[model.outputs[0].name] else {
      throw Failure(description: "no node makes \(model.outputs[0].name)")
    }
    return output
  }

  private static func apply(
    _ node: ONNXReading.Node, _ inputs: [Map], _ axes: [Int]
  ) throws -> Map {
    let x = inputs[0]
    switch node.operation {
    case "Conv": return convolution(node, x, inputs[1], inputs.count > 2 ? inputs[2] : nil)
    case "Gemm": return try matrix(node, x, inputs[1], inputs[2])
    case "MaxPool": return pool(node, x, isAverage: false)
    case "AveragePool": return pool(node, x, isAverage: true)
    case "LogSoftmax": return try alongChannels(node, x)
    case "Exp": return x.map { exp($0) }
    case "Log": return x.map { log($0) }
    case "Sub": return try together(x, inputs[1], -)
    case "GlobalMaxPool":
      let pixels = x.shape[2] * x.shape[3]
      return Map(
        [x.shape[0], x.shape[1], 1, 1],
        (0..<x.shape[0] * x.shape[1]).map {
          x.values[$0 * pixels..<($0 + 1) * pixels].max()!
        })
    case "GlobalAveragePool":
      let pixels = x.shape[2] * x.shape[3]
      return Map(
        [x.shape[0], x.shape[1], 1, 1],
        (0..<x.shape[0] * x.shape[1]).map {
          x.values[$0 * pixels..<($0 + 1) * pixels].reduce(0, +) / Double(pixels)
        })
    case "Flatten":
      return Map([x.shape[0], x.shape.dropFirst().reduce(1, *)], x.values)
    case "Unsqueeze":
      var shape = x.shape
      for axis in axes { shape.insert(1, at: axis) }
      return Map(shape, x.values)
    case "Relu": return x.map { max($0, 0) }
    case "Clip":
      let (low, high) = (inputs[1].values[0], inputs[2].values[0])
      return x.map { min(max($0, low), high) }
    case "LeakyRelu":
      let slope = Double(node.numbers["alpha"] ?? 0.01)
      return x.map { $0 < 0 ? slope * $0 : $0 }
    case "Sigmoid": return x.map { 1 / (1 + exp(-$0)) }
    case "HardSwish": return x.map { $0 * max(0, min(1, $0 / 6 + 0.5)) }
    case "Erf": return x.map { erf($0) }
    case "Add": return try together(x, inputs[1], +)
    case "Mul": return try together(x, inputs[1], *)
    case "Div": return try together(x, inputs[1], /)
    case "Concat": return try concatenation(node, inputs)
    case "Transpose": return transposed(x, node.integers["perm"] ?? [])
    case "LayerNormalization": return try normalised(node, x, inputs[1], inputs[2])
    default: throw Failure(description: "no such operator here: \(node.operation)")
    }
  }

  private static func convolution(
    _ node: ONNXReading.Node, _ x: Map, _ weight: Map, _ bias: Map?
  ) -> Map {
    let group = node.integers["group"]?[0] ?? 1
    let stride = node.integers["strides"] ?? [1, 1]
    let dilation = node.integers["dilations"] ?? [1, 1]
    let pads = node.integers["pads"] ?? [0, 0, 0, 0]
    let (height, width) = (x.shape[2], x.shape[3])
    let (rows, columns) = (weight.shape[2], weight.shape[3])
    let outHeight = (height + pads[0] + pads[2] - (rows - 1) * dilation[0] - 1) / stride[0] + 1
    let outWidth = (width + pads[1] + pads[3] - (columns - 1) * dilation[1] - 1) / stride[1] + 1
    let (outputs, inputs) = (weight.shape[0], weight.shape[1])
    precondition(x.shape[1] == inputs * group && outputs % group == 0, "groups of \(node.name)")
    var y = Map([x.shape[0], outputs, outHeight, outWidth])
    y.values.withUnsafeMutableBufferPointer { y in
      x.values.withUnsafeBufferPointer { values in
        weight.values.withUnsafeBufferPointer { taps in
          for image in 0..<x.shape[0] {
            for output in 0..<outputs {
              let out = y.baseAddress! + (image * outputs + output) * outHeight * outWidth
              let start = bias?.values[output] ?? 0
              for pixel in 0..<outHeight * outWidth { out[pixel] = start }
              let first = output / (outputs / group) * inputs
              for input in 0..<inputs {
                let source =
                  values.baseAddress! + (image * x.shape[1] + first + input) * height * width
                for row in 0..<rows {
                  for column in 0..<columns {
                    let tap = taps[((output * inputs + input) * rows + row) * columns + column]
                    for i in 0..<outHeight {
                      let top = i * stride[0] - pads[0] + row * dilation[0]
                      guard top >= 0, top < height else { continue }
                      for j in 0..<outWidth {
                        let left = j * stride[1] - pads[1] + column * dilation[1]
                        guard left >= 0, left < width else { continue }
                        out[i * outWidth + j] += tap * source[top * width + left]
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
    return y
  }

  private static func alongChannels(_ node: ONNXReading.Node, _ x: Map) throws -> Map {
    guard node.integers["axis"] == [1] else { throw Failure(description: "along another axis") }
    let (channels, pixels) = (x.shape[1], x.shape.dropFirst(2).reduce(1, *))
    var y = x
    for image in 0..<x.shape[0] {
      for pixel in 0..<pixels {
        let places = (0..<channels).map { (image * channels + $0) * pixels + pixel }
        let sum = log(places.reduce(0) { $0 + exp(x.values[$1]) })
        for place in places { y.values[place] = x.values[place] - sum }
      }
    }
    return y
  }

  private static func pool(_ node: ONNXReading.Node, _ x: Map, isAverage: Bool) -> Map {
    let size = node.integers["kernel_shape"]!
    let stride = node.integers["strides"] ?? [1, 1]
    let pads = node.integers["pads"] ?? [0, 0, 0, 0]
    let (height, width) = (x.shape[2], x.shape[3])
    let outHeight = (height + pads[0] + pads[2] - size[0]) / stride[0] + 1
    let outWidth = (width + pads[1] + pads[3] - size[1]) / stride[1] + 1
    var y = Map([x.shape[0], x.shape[1], outHeight, outWidth])
    for channel in 0..<x.shape[0] * x.shape[1] {
      for i in 0..<outHeight {
        for j in 0..<outWidth {
          var (highest, sum, count) = (-Double.infinity, 0.0, 0)
          for row in 0..<size[0] {
            for column in 0..<size[1] {
              let (top, left) = (i * stride[0] - pads[0] + row, j * stride[1] - pads[1] + column)
              guard top >= 0, top < height, left >= 0, left < width else { continue }
              let value = x.values[(channel * height + top) * width + left]
              highest = max(highest, value)
              sum += value
              count += 1
            }
          }
          if node.integers["count_include_pad"] == [1] { count = size[0] * size[1] }
          y.values[(channel * outHeight + i) * outWidth + j] =
            isAverage ? sum / Double(count) : highest
        }
      }
    }
    return y
  }

  private static func matrix(
    _ node: ONNXReading.Node, _ x: Map, _ weight: Map, _ bias: Map
  ) throws -> Map {
    guard node.integers["transB"] == [1], x.shape.count == 2, weight.shape[1] == x.shape[1] else {
      throw Failure(description: "\(node.name): \(x.shape) by \(weight.shape)")
    }
    let (outputs, inputs) = (weight.shape[0], weight.shape[1])
    var y = Map([x.shape[0], outputs])
    for n in 0..<x.shape[0] {
      for o in 0..<outputs {
        y.values[n * outputs + o] = (0..<inputs).reduce(bias.values[o]) {
          $0 + x.values[n * inputs + $1] * weight.values[o * inputs + $1]
        }
      }
    }
    return y
  }

  /// Element by element, where sizes of one stand for any.
  private static func together(
    _ a: Map, _ b: Map, _ function: (Double, Double) -> Double
  ) throws -> Map {
    let rank = max(a.shape.count, b.shape.count)
    func padded(_ shape: [Int]) -> [Int] {
      [Int](repeating: 1, count: rank - shape.count) + shape
    }
    let (first, second) = (padded(a.shape), padded(b.shape))
    guard zip(first, second).allSatisfy({ $0 == $1 || $0 == 1 || $1 == 1 }) else {
      throw Failure(description: "\(a.shape) and \(b.shape) don't go together")
    }
    let shape = zip(first, second).map { max($0, $1) }
    func strides(_ own: [Int]) -> [Int] {
      var strides = [Int](repeating: 0, count: rank)
      var step = 1
      for axis in (0..<rank).reversed() {
        strides[axis] = own[axis] == 1 ? 0 : step
        step *= own[axis]
      }
      return strides
    }
    let (firstStrides, secondStrides) = (strides(first), strides(second))
    var y = Map(shape)
    for place in y.values.indices {
      var (rest, i, j) = (place, 0, 0)
      for axis in (0..<rank).reversed() {
        let at = rest % shape[axis]
        rest /= shape[axis]
        i += at * firstStrides[axis]
        j += at * secondStrides[axis]
      }
      y.values[place] = function(a.values[i], b.values[j])
    }
    return y
  }

  private static func concatenation(_ node: ONNXReading.Node, _ parts: [Map]) throws -> Map {
    guard node.integers["axis"] == [1] else { throw Failure(description: "along another axis") }
    let shape = parts[0].shape
    let pixels = shape.dropFirst(2).reduce(1, *)
    let channels = parts.reduce(0) { $0 + $1.shape[1] }
    var values: [Double] = []
    for n in 0..<shape[0] {
      for part in parts {
        let size = part.shape[1] * pixels
        values += part.values[n * size..<(n + 1) * size]
      }
    }
    return Map([shape[0], channels] + shape.dropFirst(2), values)
  }

  private static func transposed(_ x: Map, _ order: [Int]) -> Map {
    let shape = order.map { x.shape[$0] }
    var steps = [Int](repeating: 1, count: shape.count)
    for axis in (0..<shape.count - 1).reversed() {
      steps[axis] = steps[axis + 1] * x.shape[axis + 1]
    }
    let own = order.map { steps[$0] }
    var y = Map(shape)
    for place in y.values.indices {
      var (rest, from) = (place, 0)
      for axis in (0..<shape.count).reversed() {
        from += rest % shape[axis] * own[axis]
        rest /= shape[axis]
      }
      y.values[place] = x.values[from]
    }
    return y
  }

  private static func normalised(
    _ node: ONNXReading.Node, _ x: Map, _ weight: Map, _ bias: Map
  ) throws -> Map {
    guard node.integers["axis"] == [-1], let epsilon = node.numbers["epsilon"] else {
      throw Failure(description: "\(node.name) normalises otherwise")
    }
    let channels = x.shape.last!
    var y = x
    for row in 0..<x.values.count / channels {
      let values = x.values[row * channels..<(row + 1) * channels]
      let mean = values.reduce(0, +) / Double(channels)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(channels)
      for c in 0..<channels {
        y.values[row * channels + c] =
          (x.values[row * channels + c] - mean) / (variance + Double(epsilon)).squareRoot()
          * weight.values[c] + bias.values[c]
      }
    }
    return y
  }
}
