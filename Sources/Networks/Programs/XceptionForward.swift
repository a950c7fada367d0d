import CKernels
import Tensors

/// The training pass's forward half, planned layer by layer.
extension XceptionTraining {
  func planForward() {
    planForwardStem()
    for index in layers.blocks.indices { planForwardBlock(index) }
    let last = layers.blocks.count - 1
    let blockOutput = buffers.blocks[last].output
    planForward(
      layers.conv3, plain(blockOutput, channels: layers.conv3.inputs, rectified: false),
      geometry.features, buffers.conv3
    ) { [unowned self] image in finishBlock(last, image) }
    planForward(
      layers.conv4, state(layers.conv3.norm).normalised(buffers.conv3, rectified: true),
      geometry.features, buffers.conv4)
  }

  private func finish(_ norm: BatchNorm, tasks: Int, pixels: Int, other: Bool = false) {
    let state = state(norm)
    let (buffers, detector, reduction) = (buffers, detector, reduction)
    planSerial {
      try state.finishForward(
        other ? buffers.otherSums : buffers.sums, tasks: tasks, pitch: buffers.sumsPitch,
        pixels: pixels, detector, reduction)
    }
  }

  private func planForwardStem() {
    let element = precision.size
    let size1 = geometry.stem1
    let conv1 = layers.conv1
    let stride1 = paddedChannels(conv1.outputs)
    var tasks = planTasks(size1) { [unowned self] task, range, tile in
      let sums = buffers.clearedSums(task)
      for image in range {
        let source = images + image * geometry.crop.pixels * 3
        let y = buffers.stem1 + image * size1.pixels * stride1 * element
        let rows = Tiling.rows(size1)
        for r0 in stride(from: 0, to: size1.height, by: rows) {
          let r1 = min(r0 + rows, size1.height)
          let pixels = (r1 - r0) * size1.width
          rfm_image_patches_f32(
            source, tile.imagePatches, Int32(crop), Int32(size1.width), Int32(r0), Int32(r1))
          let out = y + r0 * size1.width * stride1 * element
          let result = precision == .float32 ? out : UnsafeMutableRawPointer(tile.imageOutputs)
          MatrixMultiply.multiply(
            .float32, transposeB: true, m: pixels, n: conv1.outputs, k: 27, a: tile.imagePatches,
            lda: 27, b: weights.floats(conv1.weight), ldb: 27, c: result, ldc: stride1)
          if precision != .float32 { table.from_float(tile.imageOutputs, out, pixels * stride1) }
          table.statistics(out, Int32(pixels), Int32(stride1), sums)
        }
      }
    }
    finish(conv1.norm, tasks: tasks, pixels: batch * size1.pixels)

    let size2 = geometry.stem2
    let conv2 = layers.conv2
    let stride2 = paddedChannels(conv2.outputs)
    let input = state(conv1.norm).normalised(buffers.stem1, rectified: true)
    tasks = planTasks(size2) { [unowned self] task, range, tile in
      let sums = buffers.clearedSums(task)
      for image in range {
        var part = input.advanced(by: image * size1.pixels * stride1, precision)
        let rows = Tiling.rows(size2)
        for r0 in stride(from: 0, to: size2.height, by: rows) {
          let r1 = min(r0 + rows, size2.height)
          let pixels = (r1 - r0) * size2.width
          table.patches(
            &part, Int32(conv2.inputs), tile.operand, Int32(size1.width), Int32(size2.width),
            Int32(r0), Int32(r1))
          let out =
            buffers.stem2 + (image * size2.pixels + r0 * size2.width) * stride2 * element
          weights.forward(
            conv2.weight, pixels: pixels, tile.operand, stride: 9 * conv2.inputs, to: out,
            stride: stride2)
          table.statistics(out, Int32(pixels), Int32(stride2), sums)
        }
      }
    }
    finish(conv2.norm, tasks: tasks, pixels: batch * size2.pixels)
  }

  /// What a block's first unit and its shortcut load.
  func blockInput(_ index: Int, rectified: Bool) -> rfm_activation {
    if index == 0 { return state(layers.conv2.norm).normalised(buffers.stem2, rectified: true) }
    return plain(
      buffers.blocks[index - 1].output, channels: layers.blocks[index].units[0].inputs,
      rectified: rectified)
  }

  /// One image of a block's output: pooling or the residual sum. It runs at the start of the task
  /// that reads it first, so that it is read hot.
  private func finishBlock(_ index: Int, _ image: Int) {
    let block = layers.blocks[index]
    let kept = buffers.blocks[index]
    let size = geometry.blocks[index]
    let unit = block.units.last!
    let stride = paddedChannels(unit.outputs)
    var y = state(unit.norm).normalised(kept.units.last!, rectified: false)
      .advanced(by: image * size.pixels * stride, precision)
    if let shortcut = block.shortcut {
      let outPixels = size.halved.pixels * stride
      var skip = state(shortcut.norm).normalised(kept.shortcut!, rectified: false)
        .advanced(by: image * outPixels, precision)
      table.pool_forward(
        &y, &skip, kept.output + image * outPixels * precision.size,
        kept.winners! + image * outPixels, kept.maxima! + image * outPixels * precision.size,
        Int32(size.height), Int32(size.width))
    } else {
      let at = image * size.pixels * stride * precision.size
      table.residual_sum(
        &y, buffers.blocks[index - 1].output + at, kept.output + at, Int32(size.pixels))
    }
  }

  private func planForwardBlock(_ index: Int) {
    let block = layers.blocks[index]
    let kept = buffers.blocks[index]
    let size = geometry.blocks[index]
    let finishPrevious: (Int) -> Void =
      index == 0 ? { _ in } : { [unowned self] image in finishBlock(index - 1, image) }
    if let shortcut = block.shortcut {
      let unrectified = blockInput(index, rectified: index == 0)
      let half = size.halved
      let element = precision.size
      let inStride = paddedChannels(shortcut.inputs)
      let outStride = paddedChannels(shortcut.outputs)
      let weight = shortcut.weight
      let tasks = planTasks(size) { [unowned self] task, range, tile in
        let sums = buffers.clearedSums(task, other: true)
        for image in range {
          finishPrevious(image)
          var part = unrectified.advanced(by: image * size.pixels * inStride, precision)
          let gathered = buffers.layerOperands + image * half.pixels * inStride * element
          table.gather_strided(&part, gathered, Int32(size.height), Int32(size.width))
          let out = kept.shortcut! + image * half.pixels * outStride * element
          weights.forward(
            weight, pixels: half.pixels, gathered, stride: inStride, to: out, stride: outStride)
          table.statistics(out, Int32(half.pixels), Int32(outStride), sums)
        }
      }
      finish(shortcut.norm, tasks: tasks, pixels: batch * half.pixels, other: true)
    }
    for (u, unit) in block.units.enumerated() {
      let input =
        u == 0
        ? blockInput(index, rectified: index == 0 || unit.rectifiesInput)
        : state(block.units[u - 1].norm).normalised(kept.units[u - 1], rectified: true)
      let first = u == 0 && block.shortcut == nil
      planForward(unit, input, size, kept.units[u], before: first ? finishPrevious : { _ in })
    }
  }

  /// A separable unit: depthwise tile, multiply, statistics.
  private func planForward(
    _ unit: SeparableUnit, _ input: rfm_activation, _ size: MapSize, _ y: UnsafeMutableRawPointer,
    before: @escaping (_ image: Int) -> Void = { _ in }
  ) {
    let element = precision.size
    let inStride = paddedChannels(unit.inputs)
    let outStride = paddedChannels(unit.outputs)
    let depthwise = weights.floats(unit.depthwise)
    let joins = Tiling.joins(size)
    let rows = Tiling.rows(size)
    let tasks = planTasks(size) { [unowned self] task, range, tile in
      let sums = buffers.clearedSums(task)
      for image in range { before(image) }
      if joins {
        for (place, image) in range.enumerated() {
          var part = input.advanced(by: image * size.pixels * inStride, precision)
          table.depthwise_forward(
            &part, depthwise, tile.operand + place * size.pixels * inStride * element, nil,
            Int32(size.height), Int32(size.width), 0, Int32(size.height))
        }
        let pixels = range.count * size.pixels
        let out = y + range.lowerBound * size.pixels * outStride * element
        weights.forward(
          unit.pointwise, pixels: pixels, tile.operand, stride: inStride, to: out, stride: outStride
        )
        table.statistics(out, Int32(pixels), Int32(outStride), sums)
        return
      }
      for image in range {
        var part = input.advanced(by: image * size.pixels * inStride, precision)
        for r0 in stride(from: 0, to: size.height, by: rows) {
          let r1 = min(r0 + rows, size.height)
          let pixels = (r1 - r0) * size.width
          table.depthwise_forward(
            &part, depthwise, tile.operand, nil, Int32(size.height), Int32(size.width), Int32(r0),
            Int32(r1))
          let out = y + (image * size.pixels + r0 * size.width) * outStride * element
          weights.forward(
            unit.pointwise, pixels: pixels, tile.operand, stride: inStride, to: out,
            stride: outStride)
          table.statistics(out, Int32(pixels), Int32(outStride), sums)
        }
      }
    }
    finish(unit.norm, tasks: tasks, pixels: batch * size.pixels)
  }
}
