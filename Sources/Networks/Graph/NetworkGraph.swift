/// A convolutional network as its layers, plain values in forward order; see ``NetworkBuilder``.
struct NetworkGraph: Sendable {
  /// What a layer does with what it reads.
  enum Kind: Sendable {
    /// The image, three channels.
    case image
    case convolution(Convolution)
    /// By its place in `norms`; one that stands twice has its parameters and running statistics once.
    case batchNorm(Int)
    /// Over the channels of each pixel (Ba et al. 2016).
    case layerNorm(LayerNorm)
    case activation(Activation)
    /// Of two maps. Where the first is a residual branch: its place in `branches`.
    case sum(branch: Int?)
    /// One map's channels behind the other's.
    case concatenation
    case maximumPool(Window)
    /// The mean of each window: of its pixels inside of the map, or with zeros for those outside.
    case averagePool(Window, countsPadding: Bool)
    /// Each channel's mean: a map of one pixel.
    case globalAverage
    /// All pixels of a channel, then those of the next: a map of one pixel.
    case flatten
    /// A matrix over a map of one pixel.
    case linear(Linear)
    /// Two logits at each pixel of a map.
    case patchHead(Linear)
    /// A map times a gate a channel, from a map of one pixel (squeeze-and-excite, Hu et al. 2018).
    case gate
    /// A factor a channel.
    case layerScale(Int)
  }

  struct Convolution: Sendable {
    let inputs: Int
    let outputs: Int
    let window: Window
    /// Each channel is a group of its own.
    let isDepthwise: Bool
    /// Indices into `parameters`.
    let weight: Int
    let bias: Int?
    /// Of channels, each by itself; 1 where all go together, or `isDepthwise` says more.
    var groups = 1
  }

  struct LayerNorm: Sendable {
    let channels: Int
    let weight: Int
    let bias: Int
    let epsilon: Float
  }

  struct Linear: Sendable {
    let inputs: Int
    let outputs: Int
    let weight: Int
    let bias: Int
  }

  struct Layer: Sendable {
    /// Its published name; empty where it has no parameters.
    let name: String
    let kind: Kind
    /// Places of earlier layers.
    let inputs: [Int]
    let channels: Int
  }

  /// A place behind which the network may end: how much had been declared there.
  struct Stage: Sendable {
    let name: String
    /// What it makes.
    let layer: Int
    let layers: Int
    let parameters: Int
    let norms: Int
    let runningCount: Int
    let branches: Int
  }

  let layers: [Layer]
  /// In declaration order; offsets are the reverse of that.
  let parameters: [Parameter]
  let norms: [BatchNorm]
  /// Elements of the running statistics.
  let runningCount: Int
  /// Of each residual branch that stochastic depth may leave out, in forward order: its rate as a
  /// share of the setting.
  let branches: [Double]
  let stages: [Stage]
  /// The last layer, which gives the two logits.
  let head: Head
  /// The layer of a map that the head averages, or reads pixel by pixel; its class activation maps are
  /// the head's weights over it. nil where the network ends otherwise.
  let features: Int?

  /// All but the head, where that averages a map.
  var lastMap: Stage? {
    features.map {
      Stage(
        name: "", layer: $0, layers: $0 + 1, parameters: parameters.count - 2, norms: norms.count,
        runningCount: runningCount, branches: branches.count)
    }
  }

  /// Sizes of all layers' maps at a crop.
  func sizes(crop: Int) -> [MapSize] {
    var sizes: [MapSize] = []
    for layer in layers {
      let input = layer.inputs.first.map { sizes[$0] } ?? MapSize(height: crop, width: crop)
      switch layer.kind {
      case .convolution(let convolution): sizes.append(convolution.window.output(of: input))
      case .maximumPool(let window), .averagePool(let window, _):
        sizes.append(window.output(of: input))
      case .globalAverage, .flatten, .linear: sizes.append(MapSize(height: 1, width: 1))
      default: sizes.append(input)
      }
    }
    return sizes
  }

  /// Multiply-accumulates of one image's forward pass, of convolutions and matrices.
  func multiplyAccumulates(crop: Int) -> Int {
    let sizes = sizes(crop: crop)
    return layers.indices.reduce(0) { sum, index in
      switch layers[index].kind {
      case .convolution(let layer):
        let taps = layer.window.size * layer.window.size
        return sum + sizes[index].pixels * taps * layer.outputs
          * (layer.isDepthwise ? 1 : layer.inputs / layer.groups)
      case .linear(let layer): return sum + layer.inputs * layer.outputs
      case .patchHead(let layer):
        return sum + sizes[index].pixels * layer.inputs * layer.outputs
      default: return sum
      }
    }
  }
}

/// The layer that gives the two logits.
struct Head: Sendable {
  /// Its published name, without `.weight`.
  let name: String
  let features: Int
  /// Indices into the parameters.
  let weight: Int
  let bias: Int
  /// It gives two at each position of a map.
  var isPatch = false
}
