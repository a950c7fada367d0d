import CKernels
import Tensors

/// One worker's buffers for a group of images, and the pass of that group through the network.
final class FrozenPass: @unchecked Sendable {
  let network: FrozenNetwork
  private let tile: FrozenTile
  private let memory: AlignedMemory
  private let keepsMasks: Bool

  /// Rotating activations: block input, two unit outputs, shortcut.
  private let input: UnsafeMutableRawPointer
  private let first: UnsafeMutableRawPointer
  private let second: UnsafeMutableRawPointer
  private let shortcut: UnsafeMutableRawPointer
  /// Each entry image's result, gathered for the joined part.
  private let joined: UnsafeMutableRawPointer
  /// The last convolution's output, (group, feature pixels, padded channels).
  private let features: UnsafeMutableRawPointer
  private let pooled: UnsafeMutablePointer<Float>
  /// For backward: the first convolution's output of each image, a ReLU mask per unit, a winner per
  /// pooled pixel.
  private let stem1: UnsafeMutableRawPointer
  private let masks: [UnsafeMutablePointer<UInt16>]
  private let winners: [UnsafeMutablePointer<UInt8>?]
  private let seed: UnsafeMutablePointer<Float>

  /// Blocks before this one go image by image.
  private let entryBlocks: Int
  /// Index of each block's first unit among all masks.
  private let firstMask: [Int]

  private var layers: XceptionLayers { network.layers }
  private var geometry: NetworkGeometry { network.geometry }
  private var precision: Precision { network.precision }
  private var table: rfm_kernel_table { network.kernels.table }

  init(_ network: FrozenNetwork, forBackward: Bool) {
    self.network = network
    keepsMasks = forBackward
    let layers = network.layers
    let geometry = network.geometry
    let group = network.groupSize
    let element = network.precision.size
    entryBlocks = layers.blocks.firstIndex { $0.shortcut == nil } ?? layers.blocks.count
    tile = FrozenTile(
      layers, geometry, precision: network.precision, images: group, forBackward: forBackward)

    // The largest map that each rotating buffer may hold; entry maps once, joined ones a group.
    var largest = max(
      geometry.stem1.pixels * paddedChannels(layers.conv1.outputs),
      geometry.stem2.pixels * paddedChannels(layers.conv2.outputs))
    var firstMask: [Int] = []
    var maskSizes: [Int] = []
    var winnerSizes: [Int] = []
    for (i, block) in layers.blocks.enumerated() {
      let images = i < entryBlocks ? 1 : group
      let size = geometry.blocks[i]
      firstMask.append(maskSizes.count)
      for unit in block.units {
        largest = max(
          largest,
          images * size.pixels * max(paddedChannels(unit.inputs), paddedChannels(unit.outputs)))
        maskSizes.append(group * size.pixels * paddedChannels(unit.inputs) / 16)
      }
      winnerSizes.append(
        block.shortcut.map { group * size.halved.pixels * paddedChannels($0.outputs) } ?? 0)
    }
    self.firstMask = firstMask
    for unit in [layers.conv3, layers.conv4] {
      largest = max(
        largest,
        group * geometry.features.pixels
          * max(paddedChannels(unit.inputs), paddedChannels(unit.outputs)))
      maskSizes.append(group * geometry.features.pixels * paddedChannels(unit.inputs) / 16)
    }
    let boundary = geometry.blocks[entryBlocks]
    let boundaryChannels = paddedChannels(layers.blocks[entryBlocks].units[0].inputs)
    largest = max(largest, group * boundary.pixels * boundaryChannels)

    var plan = MemoryPlan()
    let rotating = (0..<4).map { _ in plan.take(largest * element) }
    let joinedAt = plan.take(group * boundary.pixels * boundaryChannels * element)
    let featureChannels = paddedChannels(layers.classifier.features)
    let featuresAt = plan.take(group * geometry.features.pixels * featureChannels * element)
    let pooledAt = plan.take(featureChannels * 4)
    let seedAt = plan.take(featureChannels * 4)
    let stemAt = plan.take(
      (forBackward ? group : 1) * geometry.stem1.pixels * paddedChannels(layers.conv1.outputs)
        * element)
    let masksAt = maskSizes.map { plan.take(forBackward ? $0 * 2 : 0) }
    // Pooling always records its winners; without backward one image's place is enough.
    let winnersAt = winnerSizes.map { plan.take($0) }
    memory = AlignedMemory(size: plan.size)
    let base = memory.address
    input = base + rotating[0]
    first = base + rotating[1]
    second = base + rotating[2]
    shortcut = base + rotating[3]
    joined = base + joinedAt
    features = base + featuresAt
    pooled = memory.floats(at: pooledAt)
    seed = memory.floats(at: seedAt)
    stem1 = base + stemAt
    masks = masksAt.map { (base + $0).assumingMemoryBound(to: UInt16.self) }
    winners = zip(winnersAt, winnerSizes).map {
      $1 > 0 ? (base + $0).assumingMemoryBound(to: UInt8.self) : nil
    }
  }

  // MARK: Forward

  /// Images (float32 NHWC, normalised) to features; `images` at most the group's size.
  func forward(_ images: Int, image: (Int) -> UnsafePointer<Float>) {
    for i in 0..<images { forwardEntry(image(i), i) }
    forwardJoined(images)
  }

  private func mask(_ block: Int, _ unit: Int, image: Int) -> UnsafeMutablePointer<UInt16>? {
    guard keepsMasks else { return nil }
    let stride = paddedChannels(layers.blocks[block].units[unit].inputs)
    return masks[firstMask[block] + unit] + image * geometry.blocks[block].pixels * stride / 16
  }

  private func stem1(_ image: Int) -> UnsafeMutableRawPointer {
    let stride = paddedChannels(layers.conv1.outputs)
    return stem1 + (keepsMasks ? image : 0) * geometry.stem1.pixels * stride * precision.size
  }

  private func winner(_ block: Int, image: Int) -> UnsafeMutablePointer<UInt8> {
    let stride = paddedChannels(layers.blocks[block].shortcut!.outputs)
    return winners[block]! + image * geometry.blocks[block].halved.pixels * stride
  }

  /// A block's input as its first unit and its shortcut see it.
  private func blockInput(_ block: Int, rectified: Bool) -> rfm_activation {
    if block == 0 { return network.normalised(input, layers.conv2.norm, rectified: true) }
    return network.plain(
      input, channels: layers.blocks[block].units[0].inputs, rectified: rectified)
  }

  private func forwardEntry(_ image: UnsafePointer<Float>, _ index: Int) {
    let y1 = stem1(index)
    network.forwardStem1(image, y1, tile)
    network.forwardStem2(
      network.normalised(y1, layers.conv1.norm, rectified: true), input, tile)
    for block in 0..<entryBlocks {
      let last = block == entryBlocks - 1
      let stride = paddedChannels(layers.blocks[block].units.last!.outputs)
      let out =
        last
        ? joined + index * geometry.blocks[entryBlocks].pixels * stride * precision.size : input
      forwardPooled(block, images: 1, firstImage: index, out)
    }
    if entryBlocks == 0 { preconditionFailure("Xception has entry blocks") }
  }

  /// A block with pooling, from `input` to `out` (which may be `input`).
  private func forwardPooled(
    _ index: Int, images: Int, firstImage: Int, _ out: UnsafeMutableRawPointer
  ) {
    let block = layers.blocks[index]
    let size = geometry.blocks[index]
    let shortcutLayer = block.shortcut!
    let element = precision.size
    let inPixels = size.pixels * paddedChannels(shortcutLayer.inputs)
    let outPixels = size.halved.pixels * paddedChannels(shortcutLayer.outputs)
    let unrectified = blockInput(index, rectified: index == 0)
    for image in 0..<images {
      network.forward(
        shortcutLayer, unrectified.advanced(by: image * inPixels, precision), size,
        shortcut + image * outPixels * element, first)
    }
    network.forward(
      block.units[0], blockInput(index, rectified: block.units[0].rectifiesInput || index == 0),
      size, images: images, first, bits: mask(index, 0, image: firstImage), tile)
    network.forward(
      block.units[1], network.normalised(first, block.units[0].norm, rectified: true), size,
      images: images, second, bits: mask(index, 1, image: firstImage), tile)
    let unitPixels = size.pixels * paddedChannels(block.units[1].outputs)
    for image in 0..<images {
      var y = network.normalised(second, block.units[1].norm, rectified: false)
        .advanced(by: image * unitPixels, precision)
      var skip = network.normalised(shortcut, shortcutLayer.norm, rectified: false)
        .advanced(by: image * outPixels, precision)
      table.pool_forward(
        &y, &skip, out + image * outPixels * element, winner(index, image: firstImage + image),
        nil, Int32(size.height), Int32(size.width))
    }
  }

  private func forwardJoined(_ images: Int) {
    // Middle blocks work on `joined` in place; the exit block reads `input`.
    for index in entryBlocks..<layers.blocks.count {
      let block = layers.blocks[index]
      let size = geometry.blocks[index]
      if block.shortcut == nil {
        var from = network.plain(joined, channels: block.units[0].inputs, rectified: true)
        var to = first
        for (u, unit) in block.units.enumerated() {
          network.forward(
            unit, from, size, images: images, to, bits: mask(index, u, image: 0), tile)
          from = network.normalised(to, unit.norm, rectified: true)
          to = to == first ? second : first
        }
        table.residual_sum(&from, joined, joined, Int32(images * size.pixels))
      } else {
        let bytes =
          images * size.pixels * paddedChannels(block.units[0].inputs) * precision.size
        input.copyMemory(from: joined, byteCount: bytes)
        forwardPooled(index, images: images, firstImage: 0, input)
      }
    }
    let exitMasks = masks.count - 2
    network.forward(
      layers.conv3, network.plain(input, channels: layers.conv3.inputs, rectified: false),
      geometry.features, images: images, first, bits: keepsMasks ? masks[exitMasks] : nil, tile)
    network.forward(
      layers.conv4, network.normalised(first, layers.conv3.norm, rectified: true),
      geometry.features, images: images, features,
      bits: keepsMasks ? masks[exitMasks + 1] : nil, tile)
  }

  private func lastFeatures(_ image: Int) -> rfm_activation {
    network.normalised(features, layers.conv4.norm, rectified: true)
      .advanced(
        by: image * geometry.features.pixels * paddedChannels(layers.classifier.features),
        precision)
  }

  /// Logits (real, fake) of an image of the group just passed.
  func logits(_ image: Int) -> (Float, Float) {
    var last = lastFeatures(image)
    table.average_pool(&last, pooled, Int32(geometry.features.pixels))
    return network.layers.classifier.logits(of: pooled, network.detector)
  }

  /// Class activation maps (real, fake) of an image of the group just passed, each
  /// (feature height, feature width): CAM_k = Σ_c w(k, c)·feature(c) (Zhou et al. 2016).
  func activationMaps(_ image: Int, _ out: UnsafeMutablePointer<Float>) {
    var last = lastFeatures(image)
    let pixels = geometry.features.pixels
    let stride = paddedChannels(layers.classifier.features)
    let weight = network.detector.value(layers.classifier.weight)
    for pixel in 0..<pixels {
      table.average_pool(&last, pooled, 1)
      last = last.advanced(by: stride, precision)
      for k in 0..<2 {
        var sum: Double = 0
        for c in 0..<layers.classifier.features {
          sum += Double(weight[k * layers.classifier.features + c]) * Double(pooled[c])
        }
        out[k * pixels + pixel] = Float(sum)
      }
    }
  }

  // MARK: Backward to the input

  /// ∂(z_fake − z_real)/∂x of the group just passed. Overwrites the activations.
  ///
  /// - Parameter gradient: where image i's gradient (crop, crop, 3) goes.
  func inputGradients(_ images: Int, gradient: (Int) -> UnsafeMutablePointer<Float>) {
    precondition(keepsMasks, "this pass was made without backward")
    backwardJoined(images)
    for i in 0..<images { backwardEntry(i, gradient(i)) }
  }

  private func backwardJoined(_ images: Int) {
    let count = layers.classifier.features
    let weight = network.detector.value(layers.classifier.weight)
    for c in 0..<count { seed[c] = weight[count + c] - weight[c] }
    let featurePixels = geometry.features.pixels
    let featureStride = paddedChannels(count)
    for image in 0..<images {
      var last = lastFeatures(image)
      table.average_pool_backward(
        &last, seed, network.scale(layers.conv4.norm),
        second + image * featurePixels * featureStride * precision.size, nil, Int32(featurePixels))
    }
    let exitMasks = masks.count - 2
    backward(
      layers.conv4, .ready(second), geometry.features, images: images, bits: masks[exitMasks + 1],
      scale: network.scale(layers.conv3.norm), to: first)
    backward(
      layers.conv3, .ready(first), geometry.features, images: images, bits: masks[exitMasks],
      scale: network.ones, to: input)

    for index in (entryBlocks..<layers.blocks.count).reversed() {
      let block = layers.blocks[index]
      let size = geometry.blocks[index]
      if block.shortcut != nil {
        backwardPooled(index, images: images, firstImage: 0, dx: input, to: joined)
      } else {
        // joined: gradient of the block's output, and in the end of its input.
        var gradient = OutputGradient.scaled(joined, network.scale(block.units.last!.norm))
        var to = first
        for (u, unit) in block.units.enumerated().reversed() {
          let isFirst = u == 0
          backward(
            unit, gradient, size, images: images, bits: mask(index, u, image: 0)!,
            scale: isFirst ? network.ones : network.scale(block.units[u - 1].norm),
            residual: isFirst ? joined : nil,
            residualKind: isFirst ? RFM_RESIDUAL_DENSE : RFM_RESIDUAL_NONE,
            to: isFirst ? joined : to)
          gradient = .ready(to)
          to = to == first ? second : first
        }
      }
    }
  }

  private func backwardEntry(_ image: Int, _ gradient: UnsafeMutablePointer<Float>) {
    let boundary = geometry.blocks[entryBlocks]
    let stride = paddedChannels(layers.blocks[entryBlocks].units[0].inputs)
    var dx = joined + image * boundary.pixels * stride * precision.size
    for index in (0..<entryBlocks).reversed() {
      backwardPooled(index, images: 1, firstImage: image, dx: dx, to: input)
      dx = input
    }
    backwardStem(image, dx, gradient)
  }

  /// Where a unit's output gradient dy comes from.
  private enum OutputGradient {
    /// dy itself, every pixel.
    case ready(UnsafeMutableRawPointer)
    /// dz; dy = scale·dz.
    case scaled(UnsafeMutableRawPointer, UnsafePointer<Float>)
    /// Through the pooling: the gradient of the pooled map, its winners, the scale.
    case pooled(UnsafeMutableRawPointer, UnsafePointer<UInt8>, UnsafePointer<Float>)
  }

  /// A block with pooling: `dx`, the gradient of its output, to that of its input. In block 1 the
  /// input is the second convolution's normalised, rectified output, and `to` receives the
  /// gradient of the raw output.
  private func backwardPooled(
    _ index: Int, images: Int, firstImage: Int, dx: UnsafeMutableRawPointer,
    to: UnsafeMutableRawPointer
  ) {
    let block = layers.blocks[index]
    let size = geometry.blocks[index]
    let shortcutLayer = block.shortcut!
    let element = precision.size
    let inStride = paddedChannels(shortcutLayer.inputs)
    let outStride = paddedChannels(shortcutLayer.outputs)
    let halfPixels = size.halved.pixels
    // The shortcut first: its input gradient, at even rows and columns, joins that of unit 1.
    table.affine_gradient(
      dx, nil, network.scale(shortcutLayer.norm), second, Int32(images * halfPixels),
      Int32(outStride))
    network.weights.backward(
      shortcutLayer.weight, pixels: images * halfPixels, second, stride: outStride, to: shortcut,
      stride: inStride)
    let unitStride = paddedChannels(block.units[1].inputs)
    for image in 0..<images {
      backward(
        block.units[1],
        .pooled(
          dx + image * halfPixels * outStride * element, winner(index, image: firstImage + image),
          network.scale(block.units[1].norm)),
        size, images: 1, bits: mask(index, 1, image: firstImage + image)!,
        scale: network.scale(block.units[0].norm),
        to: first + image * size.pixels * unitStride * element)
    }
    let middleStride = paddedChannels(block.units[0].outputs)
    for image in 0..<images {
      backward(
        block.units[0], .ready(first + image * size.pixels * middleStride * element), size,
        images: 1, bits: mask(index, 0, image: firstImage + image)!,
        scale: index == 0 ? network.scale(layers.conv2.norm) : network.ones,
        residual: shortcut + image * halfPixels * inStride * element,
        residualKind: index == 0 ? RFM_RESIDUAL_STRIDED_MASKED : RFM_RESIDUAL_STRIDED,
        to: to + image * size.pixels * inStride * element)
    }
  }

  /// A separable unit, from dy to the gradient of its raw input (times `scale`).
  private func backward(
    _ unit: SeparableUnit, _ source: OutputGradient, _ size: MapSize, images: Int,
    bits: UnsafePointer<UInt16>, scale: UnsafePointer<Float>,
    residual: UnsafeMutableRawPointer? = nil, residualKind: Int = RFM_RESIDUAL_NONE,
    to: UnsafeMutableRawPointer
  ) {
    let inStride = paddedChannels(unit.inputs)
    let outStride = paddedChannels(unit.outputs)
    let width = size.width
    let element = precision.size
    let height = Int32(size.height)
    let depthwise = network.weights.floats(unit.depthwise)
    let joins = Tiling.joins(size)
    let rows = joins ? size.height : Tiling.rows(size)
    let group = joins ? images : 1
    for start in stride(from: 0, to: images, by: group) {
      // dd holds rows from `held` on; rows below `done` of the input gradient are written.
      var held = 0
      var done = 0
      for r0 in stride(from: 0, to: size.height, by: rows) {
        let r1 = min(r0 + rows, size.height)
        let pixels = group * (r1 - r0) * width
        let offset = (start * size.pixels + r0 * width) * outStride * element
        let dy: UnsafeMutableRawPointer
        switch source {
        case .ready(let memory):
          dy = memory + offset
        case .scaled(let memory, let factor):
          table.affine_gradient(
            memory + offset, nil, factor, tile.outputGradient, Int32(pixels), Int32(outStride))
          dy = tile.outputGradient
        case .pooled(let memory, let winner, let factor):
          table.pool_backward(
            memory, winner, nil, factor, tile.outputGradient, Int32(outStride), height,
            Int32(width), Int32(r0), Int32(r1))
          dy = tile.outputGradient
        }
        network.weights.backward(
          unit.pointwise, pixels: pixels, dy, stride: outStride,
          to: tile.operandGradient + (r0 - held) * width * inStride * element, stride: inStride)
        let ready = r1 == size.height ? r1 : r1 - 1
        for member in 0..<group {
          let image = start + member
          let place = image * size.pixels * inStride
          table.depthwise_backward_input(
            tile.operandGradient + member * size.pixels * inStride * element, Int32(held),
            depthwise, bits + place / 16, scale,
            residual.map {
              residualKind == RFM_RESIDUAL_DENSE
                ? UnsafeRawPointer($0 + place * element)
                : UnsafeRawPointer($0 + image * size.halved.pixels * inStride * element)
            },
            Int32(residualKind), to + place * element, Int32(inStride), height, Int32(width),
            Int32(done), Int32(ready))
        }
        done = ready
        if r1 < size.height {
          let keep = max(0, done - 1)
          (tile.operandGradient).copyMemory(
            from: tile.operandGradient + (keep - held) * width * inStride * element,
            byteCount: (r1 - keep) * width * inStride * element)
          held = keep
        }
      }
    }
  }

  /// The two dense convolutions of one image, from the second's output gradient to the image's.
  private func backwardStem(
    _ image: Int, _ dy2: UnsafeMutableRawPointer, _ gradient: UnsafeMutablePointer<Float>
  ) {
    let size1 = geometry.stem1
    let size2 = geometry.stem2
    let conv1 = layers.conv1
    let conv2 = layers.conv2
    let stride1 = paddedChannels(conv1.outputs)
    let stride2 = paddedChannels(conv2.outputs)
    let element = precision.size
    let patch = 9 * conv2.inputs
    var y1 = network.normalised(stem1(image), conv1.norm, rectified: true)
    gradient.update(repeating: 0, count: geometry.crop.pixels * 3)

    let rows = Tiling.rows(size2)
    var held = 0
    var done = 0
    for r0 in stride(from: 0, to: size2.height, by: rows) {
      let r1 = min(r0 + rows, size2.height)
      network.weights.backward(
        conv2.weight, pixels: (r1 - r0) * size2.width, dy2 + r0 * size2.width * stride2 * element,
        stride: stride2, to: tile.operandGradient + (r0 - held) * size2.width * patch * element,
        stride: patch)
      let ready = r1 == size2.height ? size1.height : r1
      table.unpatch_input(
        &y1, Int32(conv2.inputs), tile.operandGradient, Int32(held), network.scale(conv1.norm),
        first, Int32(size1.width), Int32(size2.height), Int32(size2.width), Int32(done),
        Int32(ready))
      backwardStem1(first, done, ready, gradient, stride1)
      done = ready
      if r1 < size2.height {
        let keep = max(0, done - 2)
        tile.operandGradient.copyMemory(
          from: tile.operandGradient + (keep - held) * size2.width * patch * element,
          byteCount: (r1 - keep) * size2.width * patch * element)
        held = keep
      }
    }
  }

  /// Rows [r0, r1) of the first convolution's output gradient, into the image's.
  private func backwardStem1(
    _ dy: UnsafeMutableRawPointer, _ first: Int, _ end: Int,
    _ gradient: UnsafeMutablePointer<Float>,
    _ stride: Int
  ) {
    let size = geometry.stem1
    let rows = Tiling.rows(size)
    for r0 in Swift.stride(from: first, to: end, by: rows) {
      let r1 = min(r0 + rows, end)
      let pixels = (r1 - r0) * size.width
      var source = UnsafeRawPointer(dy + r0 * size.width * stride * precision.size)
      if precision != .float32 {
        table.to_float(source, tile.imageOutputs, pixels * stride)
        source = UnsafeRawPointer(tile.imageOutputs)
      }
      MatrixMultiply.multiply(
        .float32, m: pixels, n: 27, k: layers.conv1.outputs, a: source, lda: stride,
        b: network.weights.floats(layers.conv1.weight), ldb: 27, c: tile.imagePatches, ldc: 27)
      rfm_image_unpatch_f32(
        tile.imagePatches, gradient, Int32(geometry.crop.width), Int32(size.width), Int32(r0),
        Int32(r1))
    }
  }
}

extension Classifier {
  /// z_k = Σ_c w(k, c)·feature(c) + b_k.
  func logits(of features: UnsafePointer<Float>, _ detector: Detector) -> (Float, Float) {
    let weight = detector.value(self.weight)
    let bias = detector.value(self.bias)
    var real = Double(bias[0])
    var fake = Double(bias[1])
    for c in 0..<self.features {
      real += Double(weight[c]) * Double(features[c])
      fake += Double(weight[self.features + c]) * Double(features[c])
    }
    return (Float(real), Float(fake))
  }
}
