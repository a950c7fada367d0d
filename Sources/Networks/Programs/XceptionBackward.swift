import CKernels
import Tensors

/// The training pass's backward half, planned layer by layer from the last.
///
/// Through a separable unit, per tile:
///   dy = a·dz + b·y + c                (batch norm, on load)
///   d  = depthwise(a(y_in))            (computed again)
///   dW += dyᵀ·d,  dd = dy·W
///   dz_in = depthwiseᵀ(dd)·[a > 0], its sums, and the depthwise weight gradient in one sweep.
extension XceptionTraining {
  /// Where a unit's dy comes from.
  private enum OutputGradient {
    /// dz of the unit's batch norm.
    case dense(UnsafeMutableRawPointer)
    /// The gradient of the pooled map.
    case pooled(UnsafeMutableRawPointer, winners: UnsafeMutablePointer<UInt8>)
  }

  func planBackward() {
    let features = layers.classifier.features
    let stride = paddedChannels(features)
    let size = geometry.features
    let last = state(layers.conv4.norm).normalised(buffers.conv4, rectified: true)
    let tasks = planTasks(size) { [unowned self] task, range, _ in
      let sums = buffers.clearedSums(task)
      for image in range {
        var part = last.advanced(by: image * size.pixels * stride, precision)
        table.average_pool_backward(
          &part, buffers.pooledGradient + image * stride, nil,
          buffers.gradientA + image * size.pixels * stride * precision.size, sums,
          Int32(size.pixels))
      }
    }
    finish(layers.conv4.norm, tasks: tasks, pixels: batch * size.pixels)

    let lastBlock = layers.blocks.count - 1
    planBackward(
      layers.conv4, .dense(buffers.gradientA), buffers.conv4, size,
      input: state(layers.conv3.norm).normalised(buffers.conv3, rectified: true),
      to: buffers.gradientB, inputNorm: layers.conv3.norm)
    planBackward(
      layers.conv3, .dense(buffers.gradientB), buffers.conv3, size,
      input: plain(
        buffers.blocks[lastBlock].output, channels: layers.conv3.inputs, rectified: false),
      to: buffers.gradientA, block: lastBlock)
    for index in layers.blocks.indices.reversed() { planBackwardBlock(index) }
    planBackwardStem()
  }

  private func finish(_ norm: BatchNorm, tasks: Int, pixels: Int, other: Bool = false) {
    let state = state(norm)
    planSerial { [unowned self] in
      try state.finishBackward(
        other ? buffers.otherSums : buffers.sums, tasks: tasks, pitch: buffers.sumsPitch,
        pixels: pixels, detector, gradients, reduction)
    }
  }

  /// Tells that all gradients up to and with this parameter are final.
  private func planFinished(_ parameter: Int) {
    let end = detector.parameters[parameter].offset + detector.parameters[parameter].extent
    planSerial { [unowned self] in finished(end) }
  }

  // MARK: Blocks

  /// Sums for the batch norms that make up a block's output, once its gradient dx is known for an
  /// image; run while dx is hot.
  private func blockSums(
    _ index: Int, _ image: Int, _ dx: UnsafeMutableRawPointer,
    _ sums: UnsafeMutablePointer<Double>, _ otherSums: UnsafeMutablePointer<Double>
  ) {
    let kept = buffers.blocks[index]
    let size = geometry.blocks[index]
    let element = precision.size
    let stride = paddedChannels(layers.blocks[index].units.last!.outputs)
    func add(_ y: UnsafeRawPointer, _ pixels: Int, to sums: UnsafeMutablePointer<Double>) {
      let at = image * pixels * stride * element
      table.gradient_sums(dx + at, y + at, Int32(pixels), Int32(stride), sums)
    }
    if let shortcut = kept.shortcut {
      // Pooling hands dx on to its maxima alone.
      add(kept.maxima!, size.halved.pixels, to: sums)
      add(shortcut, size.halved.pixels, to: otherSums)
    } else {
      add(kept.units.last!, size.pixels, to: sums)
    }
  }

  /// The batch norms of a block's output, after `blockSums` of every image.
  private func planFinishBlockNorms(_ index: Int, tasks: Int) {
    let block = layers.blocks[index]
    let size = geometry.blocks[index]
    finish(block.units.last!.norm, tasks: tasks, pixels: batch * size.pixels)
    if let shortcut = block.shortcut {
      finish(shortcut.norm, tasks: tasks, pixels: batch * size.halved.pixels, other: true)
    }
  }

  private func planBackwardBlock(_ index: Int) {
    let block = layers.blocks[index]
    let kept = buffers.blocks[index]
    let size = geometry.blocks[index]
    let dx = buffers.gradientA
    if let shortcut = block.shortcut {
      planBackward(shortcut, index, dx)
    }
    var source = OutputGradient.dense(dx)
    if let winners = kept.winners { source = .pooled(dx, winners: winners) }
    var to = buffers.gradientB
    for (u, unit) in block.units.enumerated().reversed() {
      if u > 0 {
        let previous = block.units[u - 1].norm
        planBackward(
          unit, source, kept.units[u], size,
          input: state(previous).normalised(kept.units[u - 1], rectified: true), to: to,
          inputNorm: previous)
        source = .dense(to)
        to = to == buffers.gradientB ? buffers.gradientC : buffers.gradientB
      } else {
        let residual: (UnsafeMutableRawPointer, Int) =
          block.shortcut == nil
          ? (dx, RFM_RESIDUAL_DENSE)
          : (
            buffers.shortcutGradient,
            index == 0 ? RFM_RESIDUAL_STRIDED_MASKED : RFM_RESIDUAL_STRIDED
          )
        planBackward(
          unit, source, kept.units[u], size,
          input: blockInput(index, rectified: index == 0 || unit.rectifiesInput), to: dx,
          residual: residual, inputNorm: index == 0 ? layers.conv2.norm : nil,
          block: index == 0 ? nil : index - 1)
      }
    }
    planFinished(block.shortcut?.weight ?? block.units[0].depthwise)
  }

  /// A strided shortcut: its weight gradient, and the gradient of the pixels that it gathered.
  private func planBackward(_ shortcut: Shortcut, _ index: Int, _ dx: UnsafeMutableRawPointer) {
    let size = geometry.blocks[index]
    let half = size.halved
    let element = precision.size
    let inStride = paddedChannels(shortcut.inputs)
    let outStride = paddedChannels(shortcut.outputs)
    let input = blockInput(index, rectified: index == 0)
    let norm = state(shortcut.norm)
    let y = buffers.blocks[index].shortcut!
    let plan = weightGradient(shortcut.weight, half)
    let rows = Tiling.rows(half)
    let tasks = planTasks(size) { [unowned self] task, range, tile in
      for image in range {
        for (number, r0) in stride(from: 0, to: half.height, by: rows).enumerated() {
          let r1 = min(r0 + rows, half.height)
          let pixels = (r1 - r0) * half.width
          let first = image * half.pixels + r0 * half.width
          let at = first * outStride * element
          let dy = plan.keepsPixels ? buffers.layerGradients + at : tile.outputGradient
          table.affine_gradient(
            dx + at, y + at, norm.coefficients, dy, Int32(pixels), Int32(outStride))
          let gathered =
            plan.keepsPixels ? buffers.layerOperands + first * inStride * element : tile.operand
          var part = input.advanced(
            by: (image * size.pixels + 2 * r0 * size.width) * inStride, precision)
          table.gather_strided(&part, gathered, Int32(2 * (r1 - r0) - 1), Int32(size.width))
          take(
            plan, task: task, tile, dy: dy, x: gathered, pixels: pixels, image: image,
            number: number, accumulate: image > range.lowerBound || r0 > 0)
          weights.backward(
            shortcut.weight, pixels: pixels, dy, stride: outStride,
            to: buffers.shortcutGradient + first * inStride * element, stride: inStride)
        }
      }
    }
    planWeightGradient(plan, tasks: tasks)
  }

  // MARK: Units

  /// A separable unit, from the gradient of its batch norm's output (or of the pooled map) to that
  /// of its input.
  ///
  /// - Parameters:
  ///   - y: the unit's raw output.
  ///   - to: the input's gradient; may be the memory of a dense residual.
  ///   - inputNorm: the batch norm that the input comes from, whose sums are gathered on the way.
  ///   - block: the block whose output the input is, whose sums are gathered.
  private func planBackward(
    _ unit: SeparableUnit, _ source: OutputGradient, _ y: UnsafeMutableRawPointer, _ size: MapSize,
    input: rfm_activation, to: UnsafeMutableRawPointer,
    residual: (memory: UnsafeMutableRawPointer, kind: Int)? = nil, inputNorm: BatchNorm? = nil,
    block: Int? = nil
  ) {
    let element = precision.size
    let inStride = paddedChannels(unit.inputs)
    let outStride = paddedChannels(unit.outputs)
    let width = size.width
    let height = Int32(size.height)
    let joins = Tiling.joins(size)
    let rows = joins ? size.height : Tiling.rows(size)
    let plan = weightGradient(
      unit.pointwise, size, joined: joins ? imagesPerTask(size) : 1)
    let norm = state(unit.norm)
    let depthwise = weights.floats(unit.depthwise)

    let tasks = planTasks(size) { [unowned self] task, range, tile in
      let sums = buffers.clearedSums(task)
      let otherSums = buffers.clearedSums(task, other: true)
      let depthwiseGradient = buffers.depthwiseLanes + task * buffers.depthwisePitch
      depthwiseGradient.update(repeating: 0, count: 9 * inStride)
      var sliding = SlidingRows(
        tile.operandGradient, rowBytes: width * inStride * element, outputHeight: size.height,
        inputHeight: size.height, padding: 1)
      for (number, r0) in stride(from: 0, to: size.height, by: rows).enumerated() {
        let r1 = min(r0 + rows, size.height)
        let tilePixels = (r1 - r0) * width
        let first = range.lowerBound * size.pixels + r0 * width
        // Whole-layer memory keeps every image's place; a tile starts afresh.
        let dy =
          plan.keepsPixels
          ? buffers.layerGradients + first * outStride * element : tile.outputGradient
        let d = plan.keepsPixels ? buffers.layerOperands + first * inStride * element : tile.operand
        for (place, image) in range.enumerated() {
          let target = dy + place * tilePixels * outStride * element
          let at = (image * size.pixels + r0 * width) * outStride * element
          switch source {
          case .dense(let dz):
            table.affine_gradient(
              dz + at, y + at, norm.coefficients, target, Int32(tilePixels), Int32(outStride))
          case .pooled(let dx, let winners):
            let half = image * size.halved.pixels * outStride
            table.pool_backward(
              dx + half * element, winners + half, y + image * size.pixels * outStride * element,
              norm.coefficients, target, Int32(outStride), height, Int32(width), Int32(r0),
              Int32(r1))
          }
          var part = input.advanced(by: image * size.pixels * inStride, precision)
          table.depthwise_forward(
            &part, depthwise, d + place * tilePixels * inStride * element, nil, height,
            Int32(width), Int32(r0), Int32(r1))
        }
        let pixels = range.count * tilePixels
        take(
          plan, task: task, tile, dy: dy, x: d, pixels: pixels, image: range.lowerBound,
          number: number, accumulate: r0 > 0)
        weights.backward(
          unit.pointwise, pixels: pixels, dy, stride: outStride,
          to: sliding.place(of: r0), stride: inStride)
        let ready = sliding.ready(upTo: r1)
        for (place, image) in range.enumerated() {
          var part = input.advanced(by: image * size.pixels * inStride, precision)
          let dense = image * size.pixels * inStride * element
          table.depthwise_backward(
            &part, depthwise, sliding.memory + place * size.pixels * inStride * element,
            Int32(sliding.held),
            residual.map {
              UnsafeRawPointer(
                $0.memory
                  + ($0.kind == RFM_RESIDUAL_DENSE
                    ? dense : image * size.halved.pixels * inStride * element))
            }, Int32(residual?.kind ?? RFM_RESIDUAL_NONE), to + dense,
            inputNorm == nil ? nil : sums, depthwiseGradient, height, Int32(width),
            Int32(ready.lowerBound), Int32(ready.upperBound))
        }
        sliding.slide(upTo: r1)
      }
      if let block {
        for image in range { blockSums(block, image, to, sums, otherSums) }
      }
    }
    planWeightGradient(plan, tasks: tasks)
    planDepthwiseGradient(unit, tasks: tasks)
    if let inputNorm { finish(inputNorm, tasks: tasks, pixels: batch * size.pixels) }
    if let block { planFinishBlockNorms(block, tasks: tasks) }
  }

  // MARK: Stem

  private func planBackwardStem() {
    let size1 = geometry.stem1
    let size2 = geometry.stem2
    let conv1 = layers.conv1
    let conv2 = layers.conv2
    let stride1 = paddedChannels(conv1.outputs)
    let stride2 = paddedChannels(conv2.outputs)
    let element = precision.size
    let patch = 9 * conv2.inputs
    let norm1 = state(conv1.norm)
    let norm2 = state(conv2.norm)
    let input = norm1.normalised(buffers.stem1, rectified: true)
    let plan = weightGradient(conv2.weight, size2)
    var tasks = planTasks(size2) { [unowned self] task, range, tile in
      let sums = buffers.clearedSums(task)
      for (place, image) in range.enumerated() {
        var part = input.advanced(by: image * size1.pixels * stride1, precision)
        let rows = Tiling.rows(size2)
        var sliding = SlidingRows(
          tile.operandGradient, rowBytes: size2.width * patch * element,
          outputHeight: size2.height, inputHeight: size1.height, padding: 0)
        for (number, r0) in stride(from: 0, to: size2.height, by: rows).enumerated() {
          let r1 = min(r0 + rows, size2.height)
          let pixels = (r1 - r0) * size2.width
          let at = (image * size2.pixels + r0 * size2.width) * stride2 * element
          table.affine_gradient(
            buffers.gradientA + at, buffers.stem2 + at, norm2.coefficients, tile.outputGradient,
            Int32(pixels), Int32(stride2))
          table.patches(
            &part, Int32(conv2.inputs), tile.operand, Int32(size1.width), Int32(size2.width),
            Int32(r0), Int32(r1))
          take(
            plan, task: task, tile, dy: tile.outputGradient, x: tile.operand, pixels: pixels,
            image: image, number: number, accumulate: place > 0 || r0 > 0)
          weights.backward(
            conv2.weight, pixels: pixels, tile.outputGradient, stride: stride2,
            to: sliding.place(of: r0), stride: patch)
          let ready = sliding.ready(upTo: r1)
          table.unpatch(
            &part, Int32(conv2.inputs), sliding.memory, Int32(sliding.held),
            buffers.gradientB + image * size1.pixels * stride1 * element, sums,
            Int32(size1.width), Int32(size2.height), Int32(size2.width),
            Int32(ready.lowerBound), Int32(ready.upperBound))
          sliding.slide(upTo: r1)
        }
      }
    }
    planWeightGradient(plan, tasks: tasks)
    finish(conv1.norm, tasks: tasks, pixels: batch * size1.pixels)
    planFinished(conv2.weight)

    tasks = planTasks(size1) { [unowned self] task, range, tile in
      for (place, image) in range.enumerated() {
        let rows = Tiling.rows(size1)
        for r0 in stride(from: 0, to: size1.height, by: rows) {
          let r1 = min(r0 + rows, size1.height)
          let pixels = (r1 - r0) * size1.width
          let at = (image * size1.pixels + r0 * size1.width) * stride1 * element
          table.affine_gradient(
            buffers.gradientB + at, buffers.stem1 + at, norm1.coefficients, tile.outputGradient,
            Int32(pixels), Int32(stride1))
          var dy = UnsafeRawPointer(tile.outputGradient)
          if precision != .float32 {
            table.to_float(tile.outputGradient, tile.imageOutputs, pixels * stride1)
            dy = UnsafeRawPointer(tile.imageOutputs)
          }
          rfm_image_patches_f32(
            images + image * geometry.crop.pixels * 3, tile.imagePatches, Int32(crop),
            Int32(size1.width), Int32(r0), Int32(r1))
          MatrixMultiply.multiply(
            .float32, transposeA: true, m: conv1.outputs, n: 27, k: pixels, a: dy, lda: stride1,
            b: tile.imagePatches, ldb: 27, accumulate: place > 0 || r0 > 0,
            c: buffers.lanes + task * paddedChannels(conv1.outputs * 27), ldc: 27)
        }
      }
    }
    planLaneSum(conv1.weight, count: 27 * conv1.outputs, tasks: tasks)
    planFinished(conv1.weight)
  }
}
