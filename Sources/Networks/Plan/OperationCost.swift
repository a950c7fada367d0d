import Tensors

/// What an operation of a pass asks of a processor.
public struct OperationCost: Sendable, Equatable {
  /// Multiplications with an addition.
  public var multiplyAdds = 0
  /// Of maps and weights that are read and written, each counted once: what memory moves at least, where
  /// no cache keeps a map from one operation to the next.
  public var bytes = 0
}

extension PassPlan {
  /// Of an operation's way forward over `images` images.
  func forwardCost(_ index: Int, images: Int, _ precision: Precision) -> OperationCost {
    let operation = network.operations[index]
    var bytes = mapBytes(operation.output, precision)
    for view in operation.inputs {
      bytes += mapBytes(view.map, precision) + (view.gate.map { mapBytes($0, precision) } ?? 0)
    }
    if operation.inputs.isEmpty { bytes += imageBytes }
    return OperationCost(
      multiplyAdds: images * network.multiplyAdds(index),
      bytes: images * bytes + weightBytes(operation, precision))
  }

  /// Of its way back: to its inputs, and in training to its weights.
  func backwardCost(_ index: Int, images: Int, _ precision: Precision) -> OperationCost {
    if purpose == .inference { return OperationCost() }
    let operation = network.operations[index]
    let touched = Set(backwardGradients(index)).reduce(0) { $0 + mapBytes($1, precision) }
    let read = Set(backwardReads(index)).reduce(0) { $0 + mapBytes($1, precision) }
    let isFirst = operation.inputs.isEmpty
    // Training needs no gradient of the image, attention none of weights.
    let products = purpose == .training ? (isFirst ? 1 : 2) : 1
    return OperationCost(
      multiplyAdds: images * products * network.multiplyAdds(index),
      bytes: images * (touched + read + (isFirst ? imageBytes : 0))
        + weightBytes(operation, precision)
        + (purpose == .training ? weightBytes(operation, .float32) : 0))
  }

  private var imageBytes: Int { network.crop * network.crop * 3 * 4 }

  private func mapBytes(_ map: Int, _ precision: Precision) -> Int {
    let stored = network.maps[map]
    return stored.elements * (stored.isVector ? 4 : precision.size)
  }

  /// As they are read; their gradients are float32.
  private func weightBytes(_ operation: LoweredNetwork.Operation, _ precision: Precision) -> Int {
    let size: Int
    switch operation.kind {
    case .convolution, .separable:
      size = MatrixMultiply.ways.bfloat16 == .widened ? 4 : precision.size
    default: size = 4
    }
    return operation.parameters.reduce(0) { sum, index in
      let parameter = network.graph.parameters[index]
      return sum + parameter.storedCount * (parameter.matrixShape == nil ? 4 : size)
    }
  }
}

extension LoweredNetwork {
  /// Multiply-adds of one image's way forward, of convolutions and matrices, as
  /// ``NetworkGraph/multiplyAccumulates(crop:)`` counts them.
  func multiplyAdds(_ index: Int) -> Int {
    let operation = operations[index]
    let pixels = maps[operation.output].size.pixels
    func dense(_ layer: NetworkGraph.Convolution) -> Int {
      layer.window.size * layer.window.size * layer.outputs * (layer.inputs / layer.groups)
    }
    func depthwise(_ layer: NetworkGraph.Convolution) -> Int {
      layer.window.size * layer.window.size * layer.outputs
    }
    switch operation.kind {
    case .convolution(let layer), .imageConvolution(let layer), .grouped(let layer):
      return pixels * dense(layer)
    case .depthwise(let layer): return pixels * depthwise(layer)
    case .separable(let first, let second): return pixels * (depthwise(first) + dense(second))
    case .linear(let layer), .patchHead(let layer): return pixels * layer.inputs * layer.outputs
    default: return 0
    }
  }

  /// An operation in words: "3×3 convolution of stride 2".
  func words(_ index: Int) -> String {
    func window(_ window: Window, _ what: String) -> String {
      "\(window.size)×\(window.size) \(what)"
        + (window.stride > 1 ? " of stride \(window.stride)" : "")
    }
    return switch operations[index].kind {
    case .convolution(let layer), .imageConvolution(let layer): window(layer.window, "convolution")
    case .depthwise(let layer): window(layer.window, "depthwise")
    case .separable(let first, _): window(first.window, "depthwise and pointwise")
    case .grouped(let layer): window(layer.window, "convolution in \(layer.groups) groups")
    case .layerNorm: "layer norm"
    case .copy: "activation"
    case .sum: "sum"
    case .concatenation: "concatenation"
    case .maximumPool(let shape): window(shape, "maximum")
    case .pooledSum: "3×3 maximum of stride 2 and sum"
    case .averagePool(let shape, _): window(shape, "average")
    case .globalAverage: "global average"
    case .flatten: "flattening"
    case .linear: "linear"
    case .patchHead: "patch head"
    }
  }
}
