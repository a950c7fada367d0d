import CKernels

/// Looks where numbers stopped being finite. Not part of a step: a step that went wrong is run again
/// for it.
extension XceptionTraining {
  /// A convolution (or the classifier) in forward order: what it put out, and its parameters with
  /// those of its batch norm.
  private struct Layer {
    let name: String
    let output: UnsafeRawPointer
    let pixels: Int
    let channels: Int
    let norm: BatchNorm?
    let parameters: [Int]
  }

  private var orderedLayers: [Layer] {
    func name(of parameter: Int, ending: String) -> String {
      String(detector.parameters[parameter].name.dropLast(ending.count))
    }
    func unit(_ unit: SeparableUnit, _ y: UnsafeRawPointer, _ size: MapSize) -> Layer {
      Layer(
        name: name(of: unit.pointwise, ending: ".pointwise.weight"), output: y,
        pixels: size.pixels, channels: unit.outputs, norm: unit.norm,
        parameters: [unit.depthwise, unit.pointwise, unit.norm.weight, unit.norm.bias])
    }
    func dense(_ layer: DenseConvolution, _ y: UnsafeRawPointer, _ size: MapSize) -> Layer {
      Layer(
        name: name(of: layer.weight, ending: ".weight"), output: y, pixels: size.pixels,
        channels: layer.outputs, norm: layer.norm,
        parameters: [layer.weight, layer.norm.weight, layer.norm.bias])
    }
    var result = [
      dense(layers.conv1, buffers.stem1, geometry.stem1),
      dense(layers.conv2, buffers.stem2, geometry.stem2),
    ]
    for (index, block) in layers.blocks.enumerated() {
      let (kept, size) = (buffers.blocks[index], geometry.blocks[index])
      if let shortcut = block.shortcut {
        result.append(
          Layer(
            name: name(of: shortcut.weight, ending: ".weight"), output: kept.shortcut!,
            pixels: size.halved.pixels, channels: shortcut.outputs, norm: shortcut.norm,
            parameters: [shortcut.weight, shortcut.norm.weight, shortcut.norm.bias]))
      }
      for (u, separable) in block.units.enumerated() {
        result.append(unit(separable, kept.units[u], size))
      }
    }
    result.append(unit(layers.conv3, buffers.conv3, geometry.features))
    result.append(unit(layers.conv4, buffers.conv4, geometry.features))
    return result
  }

  /// The classifier's parameters.
  private var classifierParameters: [Int] { [layers.classifier.weight, layers.classifier.bias] }

  /// Names of the layers in forward order, the classifier last.
  var layerNames: [String] { orderedLayers.map(\.name) + ["fc"] }

  /// What a forward pass makes, in its order, in words: each layer's output, then the statistics of
  /// its batch norm.
  var outputNames: [String] {
    orderedLayers.flatMap {
      ["the output of \($0.name)"] + ($0.norm.map { ["the statistics of \($0.name)"] } ?? [])
    } + ["the output of fc"]
  }

  /// The first thing, as a place in ``outputNames``, that the last forward pass made and that is not
  /// finite. nil: all are.
  func firstNonFiniteOutput() -> Int? {
    var place = 0
    for layer in orderedLayers {
      let stride = paddedChannels(layer.channels)
      for pixel in 0..<batch * layer.pixels {
        let row = layer.output + pixel * stride * precision.size
        let isFinite =
          precision == .float32
          ? rfm_all_finite(row.assumingMemoryBound(to: Float.self), layer.channels)
          : rfm_all_finite_bf16(row.assumingMemoryBound(to: UInt16.self), layer.channels)
        if isFinite == 0 { return place }
      }
      place += 1
      guard let norm = layer.norm else { continue }
      if rfm_all_finite(detector.runningMean(norm), norm.channels) == 0
        || rfm_all_finite(detector.runningVariance(norm), norm.channels) == 0
      {
        return place
      }
      place += 1
    }
    return rfm_all_finite(logits.baseAddress!, logits.count) == 0 ? place : nil
  }

  /// The layer, as a place in ``layerNames``, at which the gradients of this rank stopped being
  /// finite on their way back: of those that have such gradients, the last in forward order. Call it
  /// after `backward`, before gradients are summed over ranks. nil: all are finite.
  func firstNonFiniteGradient() -> Int? {
    let parameters = orderedLayers.map(\.parameters) + [classifierParameters]
    return parameters.indices.last { index in
      parameters[index].contains {
        let parameter = detector.parameters[$0]
        return !gradients.isFinite(parameter.offset..<parameter.offset + parameter.storedCount)
      }
    }
  }
}
