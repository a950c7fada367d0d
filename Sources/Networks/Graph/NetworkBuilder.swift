/// Declares a network layer by layer: a function for each kind of layer takes what it reads and gives
/// what it makes, so that a network's file reads like its published declaration.
///
/// Names are the published ones (PyTorch's), from which a weights file is read as it is. Parameters
/// come in the order of declaration, which is that of the forward pass; backward finishes them in the
/// reverse, and so they lie in the arena.
struct NetworkBuilder {
  /// What a layer makes.
  struct Value {
    fileprivate let layer: Int
    let channels: Int
  }

  private var layers: [NetworkGraph.Layer] = []
  private var parameters: [Parameter] = []
  private var norms: [BatchNorm] = []
  private var runningCount = 0
  private var branches: [Double] = []
  private var stages: [NetworkGraph.Stage] = []
  /// ε and momentum of batch norms from here on; those of PyTorch unless said.
  var normEpsilon = 1e-5
  var normMomentum = 0.1

  let image: Value
  /// What the layers that it began with make.
  private(set) var last: Value

  init() {
    image = Value(layer: 0, channels: 3)
    last = image
    layers.append(.init(name: "", kind: .image, inputs: [], channels: 3))
  }

  /// The layers of a network up to a stage, for another end.
  init(_ graph: NetworkGraph, upTo stage: NetworkGraph.Stage) {
    self.init()
    layers = Array(graph.layers[..<stage.layers])
    parameters = Array(graph.parameters[..<stage.parameters])
    norms = Array(graph.norms[..<stage.norms])
    runningCount = stage.runningCount
    branches = Array(graph.branches[..<stage.branches])
    last = Value(layer: stage.layer, channels: layers[stage.layer].channels)
  }

  /// A place behind which the network may end, where `x` is all that what comes reads.
  mutating func stage(_ name: String, _ x: Value) {
    precondition(!stages.contains { $0.name == name }, "two stages are called \(name)")
    stages.append(
      .init(
        name: name, layer: x.layer, layers: layers.count, parameters: parameters.count,
        norms: norms.count, runningCount: runningCount, branches: branches.count))
  }

  private mutating func add(
    _ name: String, _ kind: NetworkGraph.Kind, _ inputs: [Value], channels: Int
  ) -> Value {
    layers.append(
      .init(name: name, kind: kind, inputs: inputs.map(\.layer), channels: channels))
    return Value(layer: layers.count - 1, channels: channels)
  }

  private mutating func parameter(
    _ name: String, _ shape: [Int], _ layout: Parameter.Layout, _ initial: Parameter.Initial
  ) -> Int {
    precondition(!parameters.contains { $0.name == name }, "two parameters are called \(name)")
    parameters.append(
      Parameter(name: name, shape: shape, layout: layout, offset: 0, initial: initial))
    return parameters.count - 1
  }

  // MARK: Convolutions

  /// What kernels and a worker's memory have room for.
  private func checkWindow(_ window: Window, _ name: String) {
    precondition(
      window.size <= TileMemory.largestWindow,
      "\(name): a window of up to \(TileMemory.largestWindow) pixels a side")
  }

  /// A convolution over all input channels, without a bias unless said.
  mutating func convolution(
    _ name: String, _ x: Value, _ outputs: Int, _ window: Window, bias: Bool = false
  ) -> Value {
    checkWindow(window, name)
    precondition(
      x.layer == 0 || x.channels != 3 || window.size == 1,
      "\(name): of maps of three channels only the image is stored without padding")
    let weight = parameter(
      "\(name).weight", [outputs, x.channels, window.size, window.size],
      window.size == 1 && x.layer != 0 ? .matrix : .dense, .normal)
    let bias = bias ? parameter("\(name).bias", [outputs], .vector, .constant(0)) : nil
    return add(
      name,
      .convolution(
        .init(
          inputs: x.channels, outputs: outputs, window: window, isDepthwise: false,
          weight: weight, bias: bias)), [x], channels: outputs)
  }

  /// A convolution of groups of channels, each by itself: of the first inputs to the first outputs, and so
  /// on.
  mutating func grouped(
    _ name: String, _ x: Value, _ outputs: Int, _ window: Window, groups: Int, bias: Bool = false
  ) -> Value {
    checkWindow(window, name)
    precondition(
      groups > 1 && x.channels % groups == 0 && outputs % groups == 0 && x.layer != 0,
      "\(groups) groups of \(x.channels) channels to \(outputs)")
    let weight = parameter(
      "\(name).weight", [outputs, x.channels / groups, window.size, window.size], .grouped, .normal)
    let bias = bias ? parameter("\(name).bias", [outputs], .vector, .constant(0)) : nil
    return add(
      name,
      .convolution(
        .init(
          inputs: x.channels, outputs: outputs, window: window, isDepthwise: false,
          weight: weight, bias: bias, groups: groups)), [x], channels: outputs)
  }

  /// A convolution of each channel by itself.
  mutating func depthwise(
    _ name: String, _ x: Value, _ window: Window, bias: Bool = false
  ) -> Value {
    checkWindow(window, name)
    precondition(x.layer != 0, "\(name): no depthwise convolution over the image")
    let weight = parameter(
      "\(name).weight", [x.channels, 1, window.size, window.size], .depthwise, .normal)
    let bias = bias ? parameter("\(name).bias", [x.channels], .vector, .constant(0)) : nil
    return add(
      name,
      .convolution(
        .init(
          inputs: x.channels, outputs: x.channels, window: window, isDepthwise: true,
          weight: weight, bias: bias)), [x], channels: x.channels)
  }

  // MARK: Norms and activations

  /// A batch norm. Under a name that was declared before it is the same one again.
  mutating func batchNorm(_ name: String, _ x: Value) -> Value {
    if let known = norms.firstIndex(where: { $0.name == name }) {
      return add(name, .batchNorm(known), [x], channels: x.channels)
    }
    let norm = BatchNorm(
      name: name, channels: x.channels,
      weight: parameter("\(name).weight", [x.channels], .vector, .constant(1)),
      bias: parameter("\(name).bias", [x.channels], .vector, .constant(0)),
      runningOffset: runningCount, index: norms.count, epsilon: normEpsilon,
      momentum: normMomentum)
    runningCount += 2 * norm.stride
    norms.append(norm)
    return add(name, .batchNorm(norm.index), [x], channels: x.channels)
  }

  /// A norm over the channels of each pixel.
  mutating func layerNorm(_ name: String, _ x: Value, epsilon: Float) -> Value {
    let norm = NetworkGraph.LayerNorm(
      channels: x.channels,
      weight: parameter("\(name).weight", [x.channels], .vector, .constant(1)),
      bias: parameter("\(name).bias", [x.channels], .vector, .constant(0)), epsilon: epsilon)
    return add(name, .layerNorm(norm), [x], channels: x.channels)
  }

  mutating func activation(_ kind: Activation, _ x: Value) -> Value {
    add("", .activation(kind), [x], channels: x.channels)
  }

  mutating func relu(_ x: Value) -> Value { activation(.relu, x) }

  /// A factor a channel, `initial` at first (Touvron et al. 2021).
  mutating func layerScale(_ name: String, _ x: Value, initial: Float) -> Value {
    let factor = parameter(name, [x.channels], .vector, .constant(initial))
    return add(name, .layerScale(factor), [x], channels: x.channels)
  }

  // MARK: Several maps

  mutating func sum(_ a: Value, _ b: Value) -> Value {
    precondition(a.channels == b.channels, "a sum of \(a.channels) and \(b.channels) channels")
    return add("", .sum(branch: nil), [a, b], channels: a.channels)
  }

  /// The sum of a residual branch, which stochastic depth may leave out of an image's training pass, and
  /// of what goes past it.
  ///
  /// - Parameter share: the branch's rate as a share of the setting `model.drop_path`.
  mutating func residual(_ branch: Value, _ x: Value, share: Double) -> Value {
    precondition(
      branch.channels == x.channels, "a sum of \(branch.channels) and \(x.channels) channels")
    branches.append(share)
    return add("", .sum(branch: branches.count - 1), [branch, x], channels: x.channels)
  }

  mutating func concatenation(_ parts: [Value]) -> Value {
    add("", .concatenation, parts, channels: parts.reduce(0) { $0 + $1.channels })
  }

  /// x times a gate a channel.
  mutating func gated(_ x: Value, by gate: Value) -> Value {
    precondition(x.channels == gate.channels, "a gate of \(gate.channels) channels")
    return add("", .gate, [x, gate], channels: x.channels)
  }

  // MARK: Pooling

  mutating func maximumPool(_ x: Value, _ window: Window) -> Value {
    precondition(window.dilation == 1 && window.size <= 15, "a pooling window of up to 15 pixels")
    return add("", .maximumPool(window), [x], channels: x.channels)
  }

  /// - Parameter countsPadding: the mean is over the whole window, zeros of the padding included, as is
  ///   PyTorch's default; else over what lies inside of the map.
  mutating func averagePool(_ x: Value, _ window: Window, countsPadding: Bool = true) -> Value {
    precondition(window.dilation == 1 && window.size <= 15, "a pooling window of up to 15 pixels")
    if case .zeros(let padding) = window.padding {
      precondition(2 * padding <= window.size, "a window that lies in the padding has no mean")
    }
    return add(
      "", .averagePool(window, countsPadding: countsPadding), [x], channels: x.channels)
  }

  mutating func globalAverage(_ x: Value) -> Value {
    add("", .globalAverage, [x], channels: x.channels)
  }

  /// - Parameter pixels: of the map at the one crop that the network takes.
  mutating func flatten(_ x: Value, pixels: Int) -> Value {
    add("", .flatten, [x], channels: x.channels * pixels)
  }

  // MARK: Matrices

  /// A matrix and a bias over a map of one pixel.
  ///
  /// - Parameter isConvolution: published as a 1×1 convolution.
  mutating func linear(
    _ name: String, _ x: Value, _ outputs: Int, isConvolution: Bool = false,
    initial: Parameter.Initial = .normal
  ) -> Value {
    let shape = [outputs, x.channels] + (isConvolution ? [1, 1] : [])
    let layer = NetworkGraph.Linear(
      inputs: x.channels, outputs: outputs,
      weight: parameter("\(name).weight", shape, .matrix, initial),
      bias: parameter("\(name).bias", [outputs], .vector, .constant(0)))
    return add(name, .linear(layer), [x], channels: outputs)
  }

  /// A matrix and a bias over the channels of each pixel, published as a linear layer.
  mutating func pixelwise(_ name: String, _ x: Value, _ outputs: Int) -> Value {
    let weight = parameter("\(name).weight", [outputs, x.channels], .matrix, .normal)
    let bias = parameter("\(name).bias", [outputs], .vector, .constant(0))
    return add(
      name,
      .convolution(
        .init(
          inputs: x.channels, outputs: outputs, window: Window(1), isDepthwise: false,
          weight: weight, bias: bias)), [x], channels: outputs)
  }

  /// The end of every network: a linear layer that gives the two logits.
  mutating func graph(head name: String, of x: Value) -> NetworkGraph {
    let last = linear(name, x, 2, initial: .uniform)
    guard case .linear(let layer) = layers[last.layer].kind else {
      preconditionFailure("the last layer is linear")
    }
    var features: Int?
    if case .globalAverage = layers[x.layer].kind { features = layers[x.layer].inputs[0] }
    return graph(
      Head(name: name, features: x.channels, weight: layer.weight, bias: layer.bias), features)
  }

  /// The end of a patch detector: a 1×1 convolution that gives two logits at each pixel.
  mutating func graph(patchHead name: String, of x: Value) -> NetworkGraph {
    let layer = NetworkGraph.Linear(
      inputs: x.channels, outputs: 2,
      weight: parameter("\(name).weight", [2, x.channels, 1, 1], .matrix, .uniform),
      bias: parameter("\(name).bias", [2], .vector, .constant(0)))
    _ = add(name, .patchHead(layer), [x], channels: 2)
    return graph(
      Head(
        name: name, features: x.channels, weight: layer.weight, bias: layer.bias, isPatch: true),
      x.layer)
  }

  private func graph(_ head: Head, _ features: Int?) -> NetworkGraph {
    NetworkGraph(
      layers: layers, parameters: Parameter.placed(parameters), norms: norms,
      runningCount: runningCount, branches: branches, stages: stages, head: head,
      features: features)
  }
}
