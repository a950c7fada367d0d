/// A network as it is run: operations over stored maps.
///
/// What is stored is raw. Biases, norms, factors and activations belong to how a map is read
/// (``MapView``), and so make no pass over memory of their own; only where two of them stand in an order
/// that a view doesn't have (a norm behind a ReLU) is a map stored in between.
struct LoweredNetwork: Sendable {
  /// A map that is stored, (images, pixels, padded channels).
  struct StoredMap: Sendable {
    let size: MapSize
    let channels: Int
    /// Always in float32: maps of one pixel, which linear layers and gates work on, and a patch head's
    /// logits.
    let isVector: Bool
    /// The published name of the layer that makes it, or of the one that comes next to it.
    var name: String
    /// What scales and shifts its channels; an index into `affines`.
    var affine: Int?

    var stride: Int { paddedChannels(channels) }
    var elements: Int { size.pixels * stride }
  }

  /// What scales and shifts a map's channels as it is read.
  struct Affine: Sendable {
    enum Kind: Sendable {
      /// The bias, if there is one, of the convolution before it only moves the mean.
      case batchNorm(BatchNorm, bias: Int?)
      case bias(Int)
      /// scale·(y + bias).
      case scaled(Int, bias: Int?)
    }
    var kind: Kind
    let map: Int

    var isBatchNorm: Bool { if case .batchNorm = kind { true } else { false } }

    /// Parameters, whose gradients are sums over the map's gradient.
    var parameters: [Int] {
      switch kind {
      case .batchNorm(let norm, let bias): [norm.weight, norm.bias] + (bias.map { [$0] } ?? [])
      case .bias(let bias): [bias]
      case .scaled(let factor, let bias): [factor] + (bias.map { [$0] } ?? [])
      }
    }
  }

  /// How an operation reads a map.
  struct MapView: Sendable {
    let map: Int
    var activation = Activation.identity
    /// A stored map of one pixel, whose channels multiply this one's.
    var gate: Int?
  }

  struct Operation: Sendable {
    enum Kind: Sendable {
      case convolution(NetworkGraph.Convolution)
      /// The same over the image, whose three channels are not padded.
      case imageConvolution(NetworkGraph.Convolution)
      case depthwise(NetworkGraph.Convolution)
      /// A depthwise convolution and the pointwise one that alone reads it, with nothing between.
      case separable(NetworkGraph.Convolution, NetworkGraph.Convolution)
      case grouped(NetworkGraph.Convolution)
      case layerNorm(NetworkGraph.LayerNorm)
      /// A view, stored.
      case copy
      /// Of two maps; with a residual branch that training may leave out, its place in the graph's.
      case sum(branch: Int?)
      case concatenation
      case maximumPool(Window)
      /// A maximum pooling, 3×3 with stride 2, and the sum that alone reads it: of the map that is pooled
      /// and of the one that is added.
      case pooledSum
      case averagePool(Window, countsPadding: Bool)
      case globalAverage
      case flatten
      case linear(NetworkGraph.Linear)
      case patchHead(NetworkGraph.Linear)
    }
    let kind: Kind
    /// Empty where the image is read.
    let inputs: [MapView]
    let output: Int
    let parameters: [Int]

    func reads(_ map: Int) -> Bool { inputs.contains { $0.map == map || $0.gate == map } }
  }

  let crop: Int
  private(set) var maps: [StoredMap] = []
  private(set) var affines: [Affine] = []
  private(set) var operations: [Operation] = []
  /// The map that the head averages, or reads pixel by pixel.
  private(set) var features: MapView?
  let graph: NetworkGraph
  /// Stochastic depth's setting.
  let dropPath: Double

  /// The last operation's output: the two logits, of a patch head at each position.
  var logits: Int { operations.last!.output }

  /// - Parameter dropPath: 0 but for training: no branch is left out then.
  init(_ graph: NetworkGraph, crop: Int, dropPath: Double = 0) {
    self.graph = graph
    self.dropPath = dropPath
    self.crop = crop
    let sizes = graph.sizes(crop: crop)
    // How each layer's result is read.
    var views: [MapView?] = []
    for (index, layer) in graph.layers.enumerated() {
      let view = lower(layer, sizes[index], layer.inputs.map { views[$0] })
      if index == graph.features { features = view }
      views.append(view)
    }
    operations = withSeparableConvolutions()
    operations = withPooledSums()
    operations = withDelayedShortcuts()
  }

  // MARK: Lowering

  /// - Parameter inputs: nil is the image.
  /// - Returns: how the layer's result is read; nil for the image.
  private mutating func lower(
    _ layer: NetworkGraph.Layer, _ size: MapSize, _ inputs: [MapView?]
  ) -> MapView? {
    switch layer.kind {
    case .image: return nil
    case .convolution(let convolution):
      let parameters = [convolution.weight]
      let kind: Operation.Kind =
        if inputs[0] == nil { .imageConvolution(convolution) } else if convolution.isDepthwise {
          .depthwise(convolution)
        } else if convolution.groups > 1 {
          .grouped(convolution)
        } else { .convolution(convolution) }
      var view = add(kind, inputs.compactMap { $0 }, size, layer, parameters)
      if let bias = convolution.bias { attach(.bias(bias), to: &view) }
      return view
    case .linear(let linear):
      var view = add(.linear(linear), [inputs[0]!], size, layer, [linear.weight])
      attach(.bias(linear.bias), to: &view)
      return view
    case .patchHead(let linear):
      var view = add(.patchHead(linear), [inputs[0]!], size, layer, [linear.weight])
      attach(.bias(linear.bias), to: &view)
      return view
    case .batchNorm(let number):
      var view = inputs[0]!
      let bias = makeBare(&view, layer)
      attach(.batchNorm(graph.norms[number], bias: bias), to: &view)
      return view
    case .layerScale(let factor):
      var view = inputs[0]!
      let bias = makeBare(&view, layer)
      attach(.scaled(factor, bias: bias), to: &view)
      return view
    case .activation(let activation):
      var view = inputs[0]!
      if view.activation != .identity || view.gate != nil { view = copied(view, layer) }
      view.activation = activation
      return view
    case .gate:
      var view = inputs[0]!
      if view.gate != nil || isSeenOtherwise(layer.inputs[0]) { view = copied(view, layer) }
      var gate = inputs[1]!
      // Its values are needed again and again.
      if !isBare(gate) { gate = copied(gate, layer) }
      precondition(maps[gate.map].isVector, "a gate is made by linear layers")
      view.gate = gate.map
      return view
    case .layerNorm(let norm):
      return add(.layerNorm(norm), [inputs[0]!], size, layer, [norm.weight, norm.bias])
    case .sum(let branch):
      let drops = branch.map { graph.branches[$0] * dropPath > 0 } ?? false
      let parts = withOneGate(inputs.map { $0! }, layer, isTaken: drops)
      return add(.sum(branch: drops ? branch : nil), parts, size, layer, [])
    case .concatenation:
      return add(.concatenation, withOneGate(inputs.map { $0! }, layer), size, layer, [])
    case .maximumPool(let window): return add(.maximumPool(window), [inputs[0]!], size, layer, [])
    case .averagePool(let window, let countsPadding):
      return add(
        .averagePool(window, countsPadding: countsPadding), [inputs[0]!], size, layer, [])
    case .globalAverage:
      let view = inputs[0]!.gate == nil ? inputs[0]! : copied(inputs[0]!, layer)
      return add(.globalAverage, [view], size, layer, [])
    case .flatten: return add(.flatten, [inputs[0]!], size, layer, [])
    }
  }

  /// An operation has room for the gradient of one gate: other gated views are stored.
  ///
  /// - Parameter isTaken: a branch's factor takes that gate's place.
  private mutating func withOneGate(
    _ views: [MapView], _ layer: NetworkGraph.Layer, isTaken: Bool = false
  ) -> [MapView] {
    var isTaken = isTaken
    var result: [MapView] = []
    for view in views {
      result.append(view.gate != nil && isTaken ? copied(view, layer) : view)
      isTaken = isTaken || view.gate != nil
    }
    return result
  }

  /// Makes a view of a map that nothing else scales or reads, of the same values but for a bias, which
  /// is returned.
  private mutating func makeBare(_ view: inout MapView, _ layer: NetworkGraph.Layer) -> Int? {
    let map = view.map
    if isBare(view, affineToo: false), !operations.contains(where: { $0.reads(map) }),
      !isReadByOthers(layer.inputs[0])
    {
      guard let affine = maps[map].affine else { return nil }
      if case .bias(let bias) = affines[affine].kind { return bias }
    }
    view = copied(view, layer)
    return nil
  }

  /// Whether the layer's result has more than one reader, who may come later.
  private func isReadByOthers(_ index: Int) -> Bool {
    if graph.layers.reduce(0, { $0 + $1.inputs.count { $0 == index } }) > 1 { return true }
    // What does nothing shows what it reads.
    guard case .activation(.identity) = graph.layers[index].kind else { return false }
    return isReadByOthers(graph.layers[index].inputs[0])
  }

  /// Whether what shows the layer's result may be read through another activation too: the way back
  /// through a gate leaves the slope to the end, where it is that of all readers.
  private func isSeenOtherwise(_ index: Int) -> Bool {
    if case .activation = graph.layers[index].kind {
      return isReadByOthers(graph.layers[index].inputs[0])
    }
    return graph.layers.contains {
      guard case .activation = $0.kind else { return false }
      return $0.inputs.contains(index)
    }
  }

  /// The view shows the stored map as it is.
  func isBare(_ view: MapView, affineToo: Bool = true) -> Bool {
    view.activation == .identity && view.gate == nil
      && (!affineToo || maps[view.map].affine == nil)
  }

  private mutating func add(
    _ kind: Operation.Kind, _ inputs: [MapView], _ size: MapSize, _ layer: NetworkGraph.Layer,
    _ parameters: [Int]
  ) -> MapView {
    // Vectors are float32 whatever the maps are, and the runners of maps don't ask.
    switch kind {
    case .linear, .patchHead, .layerNorm, .copy: break
    default:
      precondition(
        !inputs.contains { maps[$0.map].isVector }, "\(layer.name): reads a map of one pixel")
    }
    let isVector: Bool
    switch kind {
    case .globalAverage, .flatten, .linear, .patchHead: isVector = true
    case .copy, .layerNorm: isVector = maps[inputs[0].map].isVector
    default: isVector = false
    }
    maps.append(
      StoredMap(size: size, channels: layer.channels, isVector: isVector, name: layer.name))
    operations.append(
      Operation(kind: kind, inputs: inputs, output: maps.count - 1, parameters: parameters))
    return MapView(map: maps.count - 1)
  }

  private mutating func copied(_ view: MapView, _ layer: NetworkGraph.Layer) -> MapView {
    let map = maps[view.map]
    let own = NetworkGraph.Layer(
      name: layer.name, kind: layer.kind, inputs: [], channels: map.channels)
    return add(.copy, [view], map.size, own, [])
  }

  private mutating func attach(_ kind: Affine.Kind, to view: inout MapView) {
    if let known = maps[view.map].affine {
      affines[known].kind = kind
    } else {
      affines.append(Affine(kind: kind, map: view.map))
      maps[view.map].affine = affines.count - 1
    }
    if maps[view.map].name.isEmpty, case .batchNorm(let norm, _) = kind {
      maps[view.map].name = norm.name
    }
  }
}
