import CKernels
import Tensors

/// How a layer's weight gradient dW = Σ dyᵀ·x is put together from its tiles.
///
/// Small matrices get a lane a task, which every tile multiplies into and which are added in task
/// order. For large ones, whose lanes would be more traffic than arithmetic, the operands of the
/// whole layer are kept and multiplied at the end, cut by output channels.
struct OwnGradientPlan {
  let parameter: Int
  let outputs: Int
  let inputs: Int
  let usesLanes: Bool
  /// Operands are packed tile by tile (`bfloat16_multiply.h`).
  let isPacked: Bool
  /// Images of a whole layer, and pixels of one.
  let images: Int
  let pixels: Int
  /// Images that share a tile, and pixels of a tile but a map's last.
  let joined: Int
  let tilePixels: Int
  let tilesPerMap: Int

  var outStride: Int { paddedChannels(outputs) }
  var inStride: Int { paddedChannels(inputs) }
  /// A tile's operands belong in the layer's memory, at the place of its pixels.
  var keepsPixels: Bool { !usesLanes && !isPacked }

  /// Pairs that `images` whole maps take in packed operands: each tile starts a new pair.
  private func pairs(ofMaps maps: Int) -> Int {
    let (groups, rest) = maps.quotientAndRemainder(dividingBy: joined)
    if joined > 1 || tilesPerMap == 1 {
      return groups * ((joined * pixels + 1) / 2) + (rest * pixels + 1) / 2
    }
    let last = pixels - (tilesPerMap - 1) * tilePixels
    return maps * ((tilesPerMap - 1) * ((tilePixels + 1) / 2) + (last + 1) / 2)
  }

  var totalPairs: Int { pairs(ofMaps: images) }

  /// First pair of a tile.
  func pair(image: Int, tile: Int) -> Int { pairs(ofMaps: image) + tile * ((tilePixels + 1) / 2) }
}

extension XceptionTraining {
  /// - Parameters:
  ///   - size: the map that the weights multiply, whose rows are tiled.
  ///   - joined: images that share a tile.
  func weightGradient(_ parameter: Int, _ size: MapSize, joined: Int = 1) -> OwnGradientPlan {
    let (outputs, inputs) = detector.parameters[parameter].matrixShape!
    let rows = joined > 1 ? size.height : Tiling.rows(size)
    return OwnGradientPlan(
      parameter: parameter, outputs: outputs, inputs: inputs,
      usesLanes: buffers.usesLanes(outputs, inputs), isPacked: weights.isPacked, images: batch,
      pixels: size.pixels, joined: joined, tilePixels: rows * size.width,
      tilesPerMap: (size.height + rows - 1) / rows)
  }

  /// Takes a tile's part of dW = dyᵀ·x, `pixels` rows each.
  ///
  /// - Parameters:
  ///   - image: the tile's first image.
  ///   - number: the tile's number in its map.
  ///   - accumulate: the task's lane holds earlier tiles.
  func take(
    _ plan: OwnGradientPlan, task: Int, _ tile: InferenceTile, dy: UnsafeRawPointer,
    x: UnsafeRawPointer, pixels: Int, image: Int, number: Int, accumulate: Bool
  ) {
    let lane = buffers.lanes + task * paddedChannels(plan.outputs * plan.inputs)
    guard plan.isPacked else {
      if plan.usesLanes {
        MatrixMultiply.multiply(
          precision, transposeA: true, m: plan.outputs, n: plan.inputs, k: pixels, a: dy,
          lda: plan.outStride, b: x, ldb: plan.inStride, accumulate: accumulate, c: lane,
          ldc: plan.inputs, floatResult: true)
      }
      return
    }
    let gradients = plan.usesLanes ? tile.packedGradient : buffers.layerGradients
    let operands = plan.usesLanes ? tile.packedOperand : buffers.layerOperands
    let total = plan.usesLanes ? (pixels + 1) / 2 : plan.totalPairs
    let pair = plan.usesLanes ? 0 : plan.pair(image: image, tile: number)
    let blocks = gradients.assumingMemoryBound(to: UInt16.self)
    let panels = operands.assumingMemoryBound(to: UInt16.self)
    rfm_bf16_pack_pixels_transposed(
      dy.assumingMemoryBound(to: UInt16.self), Int64(pixels), Int64(plan.outputs),
      Int64(plan.outStride), Int64(pair), Int64(total), blocks)
    rfm_bf16_pack_pixels(
      x.assumingMemoryBound(to: UInt16.self), Int64(pixels), Int64(plan.inputs),
      Int64(plan.inStride), Int64(pair), Int64(total), panels)
    if plan.usesLanes {
      rfm_bf16_multiply_blocks(
        Int64(plan.outputs), Int64(plan.inputs), Int64(total), blocks, panels, lane,
        Int64(plan.inputs), Int32(accumulate ? RFM_BF16_ADD_FLOAT : RFM_BF16_STORE_FLOAT))
    }
  }

  /// Adds `tasks` lanes in task order, or multiplies the whole layer cut by output channels.
  func planWeightGradient(_ plan: OwnGradientPlan, tasks: Int) {
    let (outputs, inputs) = (plan.outputs, plan.inputs)
    if plan.usesLanes {
      planLaneSum(plan.parameter, count: outputs * inputs, tasks: tasks)
      return
    }
    // Slices of some 128 output channels, in whole vectors and as equal as these allow: long enough
    // to multiply at full rate, enough of them to go round.
    let slices = max(1, (outputs + 127) / 128)
    let (each, more) = (paddedChannels(outputs) / 16).quotientAndRemainder(dividingBy: slices)
    let gradient = detector.gradient(plan.parameter)
    let total = plan.totalPairs
    planParallel(slices) { [unowned self] slice in
      let start = 16 * (slice * each + min(slice, more))
      let count = min(16 * (slice < more ? each + 1 : each), outputs - start)
      guard plan.isPacked else {
        MatrixMultiply.multiply(
          precision, transposeA: true, m: count, n: inputs, k: plan.images * plan.pixels,
          a: buffers.layerGradients + start * precision.size, lda: plan.outStride,
          b: buffers.layerOperands, ldb: plan.inStride, accumulate: accumulates,
          c: gradient + start * inputs, ldc: inputs, floatResult: true)
        return
      }
      rfm_bf16_multiply_blocks(
        Int64(count), Int64(inputs), Int64(total),
        buffers.layerGradients.assumingMemoryBound(to: UInt16.self) + start * 2 * total,
        buffers.layerOperands.assumingMemoryBound(to: UInt16.self), gradient + start * inputs,
        Int64(inputs), Int32(accumulates ? RFM_BF16_ADD_FLOAT : RFM_BF16_STORE_FLOAT))
    }
  }

  /// Adds the tasks' lanes of `count` elements in task order.
  func planLaneSum(_ parameter: Int, count: Int, tasks: Int) {
    let offset = detector.parameters[parameter].offset
    let chunk = 1 << 14
    let pitch = paddedChannels(count)
    let lanes = buffers.lanes
    planParallel((count + chunk - 1) / chunk) { [unowned self] part in
      let start = part * chunk
      let length = min(chunk, count - start)
      if !accumulates { gradients.clear(offset + start..<offset + start + length) }
      for task in 0..<tasks {
        gradients.add(lanes + task * pitch + start, count: length, at: offset + start)
      }
    }
  }

  /// Adds the tasks' depthwise weight gradients in task order.
  func planDepthwiseGradient(_ unit: SeparableUnit, tasks: Int) {
    let count = 9 * paddedChannels(unit.inputs)
    let offset = detector.parameters[unit.depthwise].offset
    planSerial { [unowned self] in
      if !accumulates { gradients.clear(offset..<offset + count) }
      for task in 0..<tasks {
        gradients.add(
          buffers.depthwiseLanes + task * buffers.depthwisePitch, count: count, at: offset)
      }
    }
  }
}
