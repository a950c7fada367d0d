import CKernels

/// Looks where numbers stopped being finite. Not part of a step: a step that went wrong is run again
/// for it.
extension GraphTraining {
  /// Operations with parameters, in forward order: their published names and all of their parameters,
  /// those of what scales their output included.
  private var orderedLayers: [(operation: Int, name: String, parameters: [Int])] {
    network.operations.indices.compactMap { index in
      let operation = network.operations[index]
      let map = network.maps[operation.output]
      let parameters =
        operation.parameters + (map.affine.map { network.affines[$0].parameters } ?? [])
      return parameters.isEmpty ? nil : (index, map.name, parameters)
    }
  }

  private func norm(_ operation: Int) -> BatchNorm? {
    guard let affine = network.maps[network.operations[operation].output].affine,
      case .batchNorm(let norm, _) = network.affines[affine].kind
    else { return nil }
    return norm
  }

  var layerNames: [String] { orderedLayers.map(\.name) }

  var outputNames: [String] {
    orderedLayers.flatMap { layer in
      ["the output of \(layer.name)"]
        + (norm(layer.operation) == nil ? [] : ["the statistics of \(layer.name)"])
    }
  }

  func firstNonFiniteOutput() -> Int? {
    var place = 0
    for layer in orderedLayers {
      let index = network.operations[layer.operation].output
      // Memory that another map has taken over by now tells nothing; then the next layer does.
      if pass.outlivesForward(index), !isFinite(index) { return place }
      place += 1
      guard let norm = norm(layer.operation) else { continue }
      if rfm_all_finite(detector.runningMean(norm), norm.channels) == 0
        || rfm_all_finite(detector.runningVariance(norm), norm.channels) == 0
      {
        return place
      }
      place += 1
    }
    return rfm_all_finite(logits.baseAddress!, logits.count) == 0 ? place - 1 : nil
  }

  private func isFinite(_ index: Int) -> Bool {
    let map = network.maps[index]
    let isNarrow = pass.kernels(index).precision != .float32
    for image in 0..<batch {
      for pixel in 0..<map.size.pixels {
        let row = pass.value(index, image: image, pixel: pixel)
        let isFinite =
          isNarrow
          ? rfm_all_finite_bf16(row.assumingMemoryBound(to: UInt16.self), map.channels)
          : rfm_all_finite(row.assumingMemoryBound(to: Float.self), map.channels)
        if isFinite == 0 { return false }
      }
    }
    return true
  }

  func firstNonFiniteGradient() -> Int? {
    let layers = orderedLayers
    return layers.indices.last { index in
      layers[index].parameters.contains {
        let parameter = detector.parameters[$0]
        return !gradients.isFinite(parameter.offset..<parameter.offset + parameter.storedCount)
      }
    }
  }
}
