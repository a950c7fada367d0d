import CKernels
import Tensors

/// The way back of a ``InferencePass``, to the input only.
extension InferencePass {
  /// ∂(z_fake − z_real) of the group just passed, back to where it goes image by image. Overwrites the
  /// activations.
  func backwardJoined(_ images: Int) {
    precondition(keepsMasks, "this pass was made without backward")
    let (first, second) = (scratch.first, scratch.second)
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
      UnitBackward(
        unit: layers.conv4, source: .ready(second), size: geometry.features,
        bits: masks[exitMasks + 1], scale: network.scale(layers.conv3.norm), output: first),
      images: images, scratch)
    backward(
      UnitBackward(
        unit: layers.conv3, source: .ready(first), size: geometry.features,
        bits: masks[exitMasks], scale: network.ones, output: scratch.input),
      images: images, scratch)

    for index in (entryBlocks..<layers.blocks.count).reversed() {
      let block = layers.blocks[index]
      let size = geometry.blocks[index]
      if block.shortcut != nil {
        backwardPooled(
          index, images: images, firstImage: 0, dx: scratch.input, to: joined, scratch)
      } else {
        // joined: gradient of the block's output, and in the end of its input.
        var gradient = OutputGradient.scaled(joined, network.scale(block.units.last!.norm))
        var to = first
        for (u, unit) in block.units.enumerated().reversed() {
          let isFirst = u == 0
          backward(
            UnitBackward(
              unit: unit, source: gradient, size: size, bits: mask(index, u, image: 0)!,
              scale: isFirst ? network.ones : network.scale(block.units[u - 1].norm),
              residual: isFirst ? joined : nil,
              residualKind: isFirst ? RFM_RESIDUAL_DENSE : RFM_RESIDUAL_NONE,
              output: isFirst ? joined : to),
            images: images, scratch)
          gradient = .ready(to)
          to = to == first ? second : first
        }
      }
    }
  }

  /// The rest of the way, to the gradients with respect to the images.
  ///
  /// - Parameter gradient: where image i's gradient (crop, crop, 3) goes.
  func backwardEntries(_ images: Int, gradient: (Int) -> UnsafeMutablePointer<Float>) {
    for i in 0..<images { gradients[i] = gradient(i) }
    forEachImage(images, .entryBackward)
  }

  /// The rest of one image's way back.
  func backwardEntry(_ image: Int, _ scratch: InferenceScratch) {
    let boundary = geometry.blocks[entryBlocks]
    let stride = paddedChannels(layers.blocks[entryBlocks].units[0].inputs)
    var dx = joined + image * boundary.pixels * stride * precision.size
    for index in (0..<entryBlocks).reversed() {
      backwardPooled(index, images: 1, firstImage: image, dx: dx, to: scratch.input, scratch)
      dx = scratch.input
    }
    backwardStem(image, dx, gradients[image]!, scratch)
  }

  /// Where a unit's output gradient dy comes from.
  enum OutputGradient {
    /// dy itself, every pixel.
    case ready(UnsafeMutableRawPointer)
    /// dz; dy = scale·dz.
    case scaled(UnsafeMutableRawPointer, UnsafePointer<Float>)
    /// Through the pooling: the gradient of the pooled map, its winners, the scale.
    case pooled(UnsafeMutableRawPointer, UnsafePointer<UInt8>, UnsafePointer<Float>)
  }

  /// A separable unit, from dy to the gradient of its raw input (times `scale`).
  struct UnitBackward {
    let unit: SeparableUnit
    let source: OutputGradient
    let size: MapSize
    let bits: UnsafePointer<UInt16>
    let scale: UnsafePointer<Float>
    var residual: UnsafeMutableRawPointer?
    var residualKind = RFM_RESIDUAL_NONE
    let output: UnsafeMutableRawPointer
  }

  private func backward(_ work: UnitBackward, images: Int, _ scratch: InferenceScratch) {
    if images == 1 || Tiling.joins(work.size) {
      backward(work, first: 0, images: images, scratch.tile)
    } else {
      forEachImage(images, .unitBackward(work))
    }
  }

  /// The images from `first` on: more than one only where maps are joined to one tile.
  func backward(_ work: UnitBackward, first: Int, images: Int, _ tile: InferenceTile) {
    let inStride = paddedChannels(work.unit.inputs)
    let outStride = paddedChannels(work.unit.outputs)
    let size = work.size
    let width = size.width
    let element = precision.size
    let height = Int32(size.height)
    let depthwise = network.weights.floats(work.unit.depthwise)
    let rows = Tiling.joins(size) ? size.height : Tiling.rows(size)
    var sliding = SlidingRows(
      tile.operandGradient, rowBytes: width * inStride * element, outputHeight: size.height,
      inputHeight: size.height, padding: 1)
    for r0 in stride(from: 0, to: size.height, by: rows) {
      let r1 = min(r0 + rows, size.height)
      let pixels = images * (r1 - r0) * width
      let offset = (first * size.pixels + r0 * width) * outStride * element
      let dy: UnsafeMutableRawPointer
      switch work.source {
      case .ready(let memory):
        dy = memory + offset
      case .scaled(let memory, let factor):
        table.affine_gradient(
          memory + offset, nil, factor, tile.outputGradient, Int32(pixels), Int32(outStride))
        dy = tile.outputGradient
      case .pooled(let memory, let winner, let factor):
        for member in 0..<images {
          let pooled = (first + member) * size.halved.pixels * outStride
          table.pool_backward(
            memory + pooled * element, winner + pooled, nil, factor,
            tile.outputGradient + member * size.pixels * outStride * element, Int32(outStride),
            height, Int32(width), Int32(r0), Int32(r1))
        }
        dy = tile.outputGradient
      }
      network.weights.backward(
        work.unit.pointwise, pixels: pixels, dy, stride: outStride,
        to: sliding.place(of: r0), stride: inStride)
      let ready = sliding.ready(upTo: r1)
      for member in 0..<images {
        let image = first + member
        let place = image * size.pixels * inStride
        table.depthwise_backward_input(
          sliding.memory + member * size.pixels * inStride * element, Int32(sliding.held),
          depthwise, work.bits + place / 16, work.scale,
          work.residual.map {
            work.residualKind == RFM_RESIDUAL_DENSE
              ? UnsafeRawPointer($0 + place * element)
              : UnsafeRawPointer($0 + image * size.halved.pixels * inStride * element)
          },
          Int32(work.residualKind), work.output + place * element, Int32(inStride), height,
          Int32(width), Int32(ready.lowerBound), Int32(ready.upperBound))
      }
      sliding.slide(upTo: r1)
    }
  }

  /// A block with pooling: `dx`, the gradient of its output, to that of its input. In block 1 the
  /// input is the second convolution's normalised, rectified output, and `to` receives the
  /// gradient of the raw output.
  private func backwardPooled(
    _ index: Int, images: Int, firstImage: Int, dx: UnsafeMutableRawPointer,
    to: UnsafeMutableRawPointer, _ scratch: InferenceScratch
  ) {
    let block = layers.blocks[index]
    let size = geometry.blocks[index]
    let shortcutLayer = block.shortcut!
    let inStride = paddedChannels(shortcutLayer.inputs)
    let outStride = paddedChannels(shortcutLayer.outputs)
    let halfPixels = size.halved.pixels
    // The shortcut first: its input gradient, at even rows and columns, joins that of unit 1.
    table.affine_gradient(
      dx, nil, network.scale(shortcutLayer.norm), scratch.second, Int32(images * halfPixels),
      Int32(outStride))
    network.weights.backward(
      shortcutLayer.weight, pixels: images * halfPixels, scratch.second, stride: outStride,
      to: scratch.shortcut, stride: inStride)
    backward(
      UnitBackward(
        unit: block.units[1],
        source: .pooled(
          dx, winner(index, image: firstImage), network.scale(block.units[1].norm)),
        size: size, bits: mask(index, 1, image: firstImage)!,
        scale: network.scale(block.units[0].norm), output: scratch.first),
      images: images, scratch)
    backward(
      UnitBackward(
        unit: block.units[0], source: .ready(scratch.first), size: size,
        bits: mask(index, 0, image: firstImage)!,
        scale: index == 0 ? network.scale(layers.conv2.norm) : network.ones,
        residual: scratch.shortcut,
        residualKind: index == 0 ? RFM_RESIDUAL_STRIDED_MASKED : RFM_RESIDUAL_STRIDED, output: to),
      images: images, scratch)
  }

  /// The two dense convolutions of one image, from the second's output gradient to the image's.
  private func backwardStem(
    _ image: Int, _ dy2: UnsafeMutableRawPointer, _ gradient: UnsafeMutablePointer<Float>,
    _ scratch: InferenceScratch
  ) {
    let (tile, first) = (scratch.tile, scratch.first)
    let size1 = geometry.stem1
    let size2 = geometry.stem2
    let conv1 = layers.conv1
    let conv2 = layers.conv2
    let stride1 = paddedChannels(conv1.outputs)
    let stride2 = paddedChannels(conv2.outputs)
    let element = precision.size
    let patch = 9 * conv2.inputs
    var y1 = network.normalised(stem1(image, scratch), conv1.norm, rectified: true)
    gradient.update(repeating: 0, count: geometry.crop.pixels * 3)

    let rows = Tiling.rows(size2)
    var sliding = SlidingRows(
      tile.operandGradient, rowBytes: size2.width * patch * element, outputHeight: size2.height,
      inputHeight: size1.height, padding: 0)
    for r0 in stride(from: 0, to: size2.height, by: rows) {
      let r1 = min(r0 + rows, size2.height)
      network.weights.backward(
        conv2.weight, pixels: (r1 - r0) * size2.width, dy2 + r0 * size2.width * stride2 * element,
        stride: stride2, to: sliding.place(of: r0), stride: patch)
      let ready = sliding.ready(upTo: r1)
      table.unpatch_input(
        &y1, Int32(conv2.inputs), sliding.memory, Int32(sliding.held), network.scale(conv1.norm),
        first, Int32(size1.width), Int32(size2.height), Int32(size2.width),
        Int32(ready.lowerBound), Int32(ready.upperBound))
      backwardStem1(first, ready, gradient, stride1, tile)
      sliding.slide(upTo: r1)
    }
  }

  /// Some rows of the first convolution's output gradient, into the image's.
  private func backwardStem1(
    _ dy: UnsafeMutableRawPointer, _ ready: Range<Int>,
    _ gradient: UnsafeMutablePointer<Float>, _ stride: Int, _ tile: InferenceTile
  ) {
    let size = geometry.stem1
    let rows = Tiling.rows(size)
    for r0 in Swift.stride(from: ready.lowerBound, to: ready.upperBound, by: rows) {
      let r1 = min(r0 + rows, ready.upperBound)
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
