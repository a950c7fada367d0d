import Foundations

/// Turns the layers of a graph into ONNX's operators, in the layers' order.
///
/// Maps are NCHW here, as PyTorch has them and its weights are published. A map of one pixel keeps its
/// four dimensions until a matrix reads it.
///
/// One file, because it is one table: every kind of layer beside the operators that stand for it, which
/// all name their values and tensors by the same rules.
struct ONNXWriting {
  static let input = "image"
  static let output = "logits"

  private(set) var nodes: [ONNXMessages.Node] = []
  private(set) var tensors: [ONNXMessages.Tensor] = []

  private let detector: Detector
  private let graph: NetworkGraph
  private let sizes: [MapSize]
  /// Of each layer, those that read it.
  private let readers: [[Int]]
  /// What stands for each layer's result.
  private var values: [Value] = []
  /// Names that are taken: of values and nodes, and of parameters.
  private var names: Set<String>
  private var tensorNames: Set<String> = []

  private struct Value {
    let name: String
    /// Its map has one pixel by the way in which it came about.
    var isVector = false
    /// (N, channels) rather than (N, channels, 1, 1).
    var isFlat = false
  }

  init(_ detector: Detector, _ graph: NetworkGraph, crop: Int) {
    self.detector = detector
    self.graph = graph
    sizes = graph.sizes(crop: crop)
    names = Set(graph.parameters.map(\.name) + [Self.input, Self.output])
    var readers = [[Int]](repeating: [], count: graph.layers.count)
    for (index, layer) in graph.layers.enumerated() {
      for input in layer.inputs { readers[input].append(index) }
    }
    self.readers = readers
  }

  mutating func addLayers() {
    // A layer that became part of a convolution's weights is that convolution.
    var folded: [Int: Value] = [:]
    for index in graph.layers.indices {
      if let value = folded[index] {
        values.append(value)
        continue
      }
      let followers = followers(of: index)
      let value = add(index, foldingIn: followers)
      values.append(value)
      for follower in followers { folded[follower] = value }
    }
  }

  private mutating func add(_ index: Int, foldingIn followers: [Int]) -> Value {
    let layer = graph.layers[index]
    let inputs = layer.inputs.map { values[$0] }
    switch layer.kind {
    case .image: return Value(name: Self.input)
    case .convolution(let convolution):
      return add(convolution, index, inputs[0], foldingIn: followers)
    case .linear(let linear): return add(linear, index, inputs[0])
    case .batchNorm(let place):
      let norm = graph.norms[place]
      let scaled = add(
        "Mul", index,
        [inputs[0].name, perChannel("\(norm.name).scale", inputs[0]) { $0.affine(norm).scale }],
        like: inputs[0], suffix: ".scaled")
      return add(
        "Add", index,
        [scaled.name, perChannel("\(norm.name).shift", inputs[0]) { $0.affine(norm).shift }],
        like: inputs[0])
    case .layerScale(let factor):
      let name = graph.parameters[factor].name
      return add(
        "Mul", index,
        [inputs[0].name, perChannel(name, inputs[0]) { $0.numbers(factor) }], like: inputs[0])
    case .layerNorm(let norm): return add(norm, index, inputs[0])
    case .activation(let activation): return add(activation, index, inputs[0])
    case .sum:
      precondition(inputs[0].isFlat == inputs[1].isFlat, "a sum of maps of one form")
      return add("Add", index, inputs.map(\.name), like: inputs[0])
    case .concatenation:
      precondition(Set(inputs.map(\.isFlat)).count == 1, "a concatenation of maps of one form")
      return add(
        "Concat", index, inputs.map(\.name), [("axis", .integer(1))], like: inputs[0])
    case .maximumPool(let window):
      return add(
        "MaxPool", index, [inputs[0].name], placed(window, over: sizes[layer.inputs[0]]),
        like: inputs[0])
    case .averagePool(let window, let countsPadding):
      // The operator of this set has no dilations.
      return add(
        "AveragePool", index, [inputs[0].name],
        placed(window, over: sizes[layer.inputs[0]]).filter { $0.name != "dilations" }
          + [("count_include_pad", .integer(countsPadding ? 1 : 0))], like: inputs[0])
    case .patchHead(let linear): return addPatchHead(linear, index, inputs[0])
    case .globalAverage:
      var value = add("GlobalAveragePool", index, [inputs[0].name], like: inputs[0])
      value.isVector = true
      return value
    case .flatten: return flat(inputs[0], index)
    case .gate:
      var gate = inputs[1]
      if gate.isFlat {
        gate = add(
          "Unsqueeze", index, [gate.name, integers("constant.pixel_axes", [2, 3])], like: gate)
      }
      return add("Mul", index, [inputs[0].name, gate.name], like: inputs[0])
    }
  }

  // MARK: Nodes

  /// - Parameters:
  ///   - value: of which kind the result is.
  ///   - suffix: behind the layer's name, of what isn't its result.
  private mutating func add(
    _ operation: String, _ index: Int, _ inputs: [String],
    _ attributes: [(name: String, value: ONNXMessages.Attribute)] = [], like value: Value,
    suffix: String = ""
  ) -> Value {
    let layer = graph.layers[index]
    // The layer's published name, or else the operator's; a second one of it by its place.
    var name = layer.name.isEmpty ? "\(operation)_\(index)" : layer.name + suffix
    if !names.insert(name).inserted {
      name += ".\(nodes.count)"
      names.insert(name)
    }
    let isLast = index == graph.layers.count - 1 && suffix.isEmpty
    let output = isLast ? Self.output : name
    nodes.append(
      .init(
        operation: operation, name: name, inputs: inputs, output: output, attributes: attributes))
    return Value(name: output, isVector: value.isVector, isFlat: value.isFlat)
  }

  /// (N, channels · pixels): all pixels of a channel, then those of the next.
  private mutating func flat(_ value: Value, _ index: Int) -> Value {
    guard !value.isFlat else { return value }
    return add(
      "Flatten", index, [value.name], [("axis", .integer(1))],
      like: Value(name: "", isVector: true, isFlat: true), suffix: ".flat")
  }

  // MARK: Layers

  private mutating func add(
    _ layer: NetworkGraph.Convolution, _ index: Int, _ input: Value, foldingIn followers: [Int]
  ) -> Value {
    let parameter = graph.parameters[layer.weight]
    let reader = WeightReader(detector, graph)
    let affines = followers.map { graph.layers[$0].kind }
    let place = graph.layers[index].name
    var inputs = [input.name]
    let taps = layer.window.size
    inputs.append(
      floats(
        parameter.name,
        [layer.outputs, layer.isDepthwise ? 1 : layer.inputs / layer.groups, taps, taps]
      ) {
        let scale = reader.folded(affines, bias: nil, outputs: layer.outputs).scale
        let values = reader.values(layer.weight)
        let each = values.count / layer.outputs
        return values.enumerated().map { Float(scale[$0 / each] * Double($1)) }
      })
    if layer.bias != nil || !affines.isEmpty {
      inputs.append(
        floats("\(place).bias", [layer.outputs]) {
          reader.folded(affines, bias: layer.bias, outputs: layer.outputs).shift.map { Float($0) }
        })
    }
    return add(
      "Conv", index, inputs,
      placed(layer.window, over: sizes[graph.layers[index].inputs[0]])
        + [("group", .integer(layer.isDepthwise ? layer.outputs : layer.groups))], like: input)
  }

  private mutating func add(
    _ layer: NetworkGraph.Linear, _ index: Int, _ input: Value
  ) -> Value {
    let weight = graph.parameters[layer.weight]
    let reader = WeightReader(detector, graph)
    let bias = floats(graph.parameters[layer.bias].name, [layer.outputs]) {
      reader.values(layer.bias)
    }
    // One that is published as a convolution is one here, too.
    if weight.shape.count == 4, !input.isFlat {
      let matrix = floats(weight.name, weight.shape) { reader.values(layer.weight) }
      return add("Conv", index, [input.name, matrix, bias], like: input)
    }
    let matrix = floats(weight.name, [layer.outputs, layer.inputs]) { reader.values(layer.weight) }
    let flat = flat(input, index)
    return add(
      "Gemm", index, [flat.name, matrix, bias], [("transB", .integer(1))], like: flat)
  }

  /// Two logits at each position, and of these the image's: (0, log(p/(1 − p))), where p is the mean of
  /// softmax. Logarithms of the means are taken over the largest, so that none is that of 0.
  private mutating func addPatchHead(
    _ layer: NetworkGraph.Linear, _ index: Int, _ input: Value
  ) -> Value {
    let reader = WeightReader(detector, graph)
    let matrix = floats(graph.parameters[layer.weight].name, [layer.outputs, layer.inputs, 1, 1]) {
      reader.values(layer.weight)
    }
    let bias = floats(graph.parameters[layer.bias].name, [layer.outputs]) {
      reader.values(layer.bias)
    }
    let patches = add(
      "Conv", index, [input.name, matrix, bias], like: input, suffix: ".patches")
    let softmax = add(
      "LogSoftmax", index, [patches.name], [("axis", .integer(1))], like: input,
      suffix: ".log_softmax")
    let vector = Value(name: "", isVector: true)
    let largest = add("GlobalMaxPool", index, [softmax.name], like: vector, suffix: ".largest")
    var mean = add("Sub", index, [softmax.name, largest.name], like: input, suffix: ".lowered")
    mean = add("Exp", index, [mean.name], like: input, suffix: ".shares")
    mean = add("GlobalAveragePool", index, [mean.name], like: vector, suffix: ".mean")
    mean = add("Log", index, [mean.name], like: vector, suffix: ".log")
    mean = add("Add", index, [mean.name, largest.name], like: vector, suffix: ".log_mean")
    let logarithms = flat(mean, index)
    let difference = floats("constant.difference", [2, 2]) { [0, 0, -1, 1] }
    let zeros = floats("constant.zeros", [2]) { [0, 0] }
    return add(
      "Gemm", index, [logarithms.name, difference, zeros], [("transB", .integer(1))],
      like: logarithms)
  }

  private mutating func add(
    _ norm: NetworkGraph.LayerNorm, _ index: Int, _ input: Value
  ) -> Value {
    let reader = WeightReader(detector, graph)
    let parameters = [norm.weight, norm.bias].map { place in
      floats(graph.parameters[place].name, [norm.channels]) { reader.values(place) }
    }
    let attributes: [(name: String, value: ONNXMessages.Attribute)] = [
      ("axis", .integer(-1)), ("epsilon", .number(norm.epsilon)),
    ]
    // The operator's channels come last.
    if input.isVector {
      let flat = flat(input, index)
      return add("LayerNormalization", index, [flat.name] + parameters, attributes, like: flat)
    }
    let turned = add(
      "Transpose", index, [input.name], [("perm", .integers([0, 2, 3, 1]))], like: input,
      suffix: ".channels_last")
    let result = add(
      "LayerNormalization", index, [turned.name] + parameters, attributes, like: input,
      suffix: ".normalised")
    return add(
      "Transpose", index, [result.name], [("perm", .integers([0, 3, 1, 2]))], like: input)
  }

  private mutating func add(_ activation: Activation, _ index: Int, _ x: Value) -> Value {
    switch activation {
    case .identity: return x
    case .relu: return add("Relu", index, [x.name], like: x)
    case .relu6: return add("Clip", index, [x.name, constant(0), constant(6)], like: x)
    case .leakyReLU(let slope):
      return add("LeakyRelu", index, [x.name], [("alpha", .number(slope))], like: x)
    case .sigmoid: return add("Sigmoid", index, [x.name], like: x)
    case .hardSwish: return add("HardSwish", index, [x.name], like: x)
    case .silu:
      let gate = add("Sigmoid", index, [x.name], like: x)
      return add("Mul", index, [x.name, gate.name], like: x)
    case .gelu:
      // x·(1 + erf(x/√2))·½, in the order in which runtimes look for it.
      var y = add("Div", index, [x.name, constant(Float(2).squareRoot())], like: x)
      y = add("Erf", index, [y.name], like: x)
      y = add("Add", index, [y.name, constant(1)], like: x)
      y = add("Mul", index, [x.name, y.name], like: x)
      return add("Mul", index, [y.name, constant(0.5)], like: x)
    }
  }

  /// A window's attributes over a map of this size.
  private func placed(
    _ window: Window, over size: MapSize
  ) -> [(name: String, value: ONNXMessages.Attribute)] {
    let (rows, columns) = (window.padding(over: size.height), window.padding(over: size.width))
    return [
      ("kernel_shape", .integers([window.size, window.size])),
      ("strides", .integers([window.stride, window.stride])),
      ("dilations", .integers([window.dilation, window.dilation])),
      ("pads", .integers([rows.before, columns.before, rows.after, columns.after])),
    ]
  }

  // MARK: Folding

  /// The norms and scales behind a convolution that nothing else stands between or reads.
  private func followers(of index: Int) -> [Int] {
    guard case .convolution = graph.layers[index].kind else { return [] }
    var followers: [Int] = []
    var last = index
    while readers[last].count == 1 {
      let next = readers[last][0]
      switch graph.layers[next].kind {
      case .batchNorm, .layerScale: followers.append(next)
      default: return followers
      }
      last = next
    }
    return followers
  }

  // MARK: Tensors

  private mutating func floats(
    _ name: String, _ shape: [Int], _ make: @escaping () -> [Float]
  ) -> String {
    // A norm that stands twice has its tensors once.
    guard tensorNames.insert(name).inserted else { return name }
    tensors.append(
      .init(
        name: name, shape: shape,
        elements: .floats {
          let values = make()
          guard values.allSatisfy(\.isFinite) else {
            throw WeightsError(
              description: "tensor \(name) is not finite once the norm behind it is part of it, so "
                + "it can't be exported: the training that it comes from diverged")
          }
          return values
        }))
    return name
  }

  private mutating func perChannel(
    _ name: String, _ value: Value, _ numbers: @escaping (WeightReader) -> [Double]
  ) -> String {
    let reader = WeightReader(detector, graph)
    let count = numbers(reader).count
    let own = value.isFlat ? "\(name).flat" : name
    return floats(own, value.isFlat ? [count] : [count, 1, 1]) { numbers(reader).map { Float($0) } }
  }

  private mutating func constant(_ value: Float) -> String {
    floats("constant.\(value)", []) { [value] }
  }

  private mutating func integers(_ name: String, _ values: [Int64]) -> String {
    guard tensorNames.insert(name).inserted else { return name }
    tensors.append(.init(name: name, shape: [values.count], elements: .integers(values)))
    return name
  }
}

/// A detector's values as they are published, by the places of a graph's parameters.
private struct WeightReader {
  private let detector: Detector
  private let graph: NetworkGraph

  init(_ detector: Detector, _ graph: NetworkGraph) {
    self.detector = detector
    self.graph = graph
  }

  func values(_ place: Int) -> [Float] {
    graph.parameters[place].published(from: detector.values.baseAddress!)
  }

  func numbers(_ place: Int) -> [Double] { values(place).map(Double.init) }

  /// z = scale·y + shift with the running statistics.
  func affine(_ norm: BatchNorm) -> (scale: [Double], shift: [Double]) {
    let (weight, bias) = (numbers(norm.weight), numbers(norm.bias))
    let (mean, variance) = (detector.runningMean(norm), detector.runningVariance(norm))
    let scale = weight.indices.map {
      weight[$0] / (Double(variance[$0]) + norm.epsilon).squareRoot()
    }
    return (scale, bias.indices.map { bias[$0] - Double(mean[$0]) * scale[$0] })
  }

  /// One after another, on what a convolution with this bias gives.
  func folded(
    _ layers: [NetworkGraph.Kind], bias: Int?, outputs: Int
  ) -> (scale: [Double], shift: [Double]) {
    var scale = [Double](repeating: 1, count: outputs)
    var shift = bias.map { numbers($0) } ?? [Double](repeating: 0, count: outputs)
    for layer in layers {
      var (factor, summand) = (scale, [Double](repeating: 0, count: outputs))
      switch layer {
      case .batchNorm(let place): (factor, summand) = affine(graph.norms[place])
      case .layerScale(let place): factor = numbers(place)
      default: preconditionFailure("only norms and scales are part of a convolution")
      }
      for c in 0..<outputs {
        scale[c] *= factor[c]
        shift[c] = shift[c] * factor[c] + summand[c]
      }
    }
    return (scale, shift)
  }
}
