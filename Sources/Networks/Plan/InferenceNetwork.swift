import CKernels
import Tensors

/// The network with its running statistics: what attention and inference share.
///
/// With running statistics nothing ties the images of a batch together, so a worker takes a small
/// group of images through the whole network, depth first, and their activations stay in its
/// cache. Maps from 10×10 go image by image, smaller ones all images of the group at once, because a
/// matrix multiply of 49 rows is too small to be fast.
final class InferenceNetwork: @unchecked Sendable {
  let detector: Detector
  let layers: XceptionLayers
  let geometry: NetworkGeometry
  let kernels: Kernels
  let weights: WorkingWeights
  private let ownsWeights: Bool
  let workers: WorkerPool
  /// Images of a group, a fixed number so that results do not depend on the thread count.
  let groupSize: Int

  /// Per batch norm: scale then shift, `stride` each.
  private let affine: AlignedMemory
  private let affineOffsets: [Int]
  /// All ones, all zeros, as wide as the widest layer.
  let ones: UnsafePointer<Float>
  let zeros: UnsafePointer<Float>
  private let constants: AlignedMemory

  var precision: Precision { kernels.precision }

  /// - Parameter shared: another program's weights, which it refreshes; nil: own ones.
  init(
    _ detector: Detector, _ layers: XceptionLayers, crop: Int, precision: Precision, groupSize: Int,
    workers: WorkerPool, shared: WorkingWeights? = nil
  ) {
    self.detector = detector
    self.layers = layers
    geometry = NetworkGeometry(layers, crop: crop)
    kernels = Kernels(precision)
    ownsWeights = shared == nil
    weights = shared ?? WorkingWeights(detector, kernels: kernels)
    self.workers = workers
    self.groupSize = groupSize
    var offsets: [Int] = []
    var count = 0
    var widest = 0
    for norm in layers.norms {
      offsets.append(count)
      count += 2 * norm.stride
      widest = max(widest, norm.stride)
    }
    affineOffsets = offsets
    affine = AlignedMemory(size: count * 4)
    constants = AlignedMemory(size: 2 * widest * 4)
    for c in 0..<widest { constants.floats()[c] = 1 }
    ones = UnsafePointer(constants.floats())
    zeros = UnsafePointer(constants.floats() + widest)
  }

  /// Follows weights and running statistics. Call after they changed and before the next pass.
  func refresh() {
    if ownsWeights { weights.refresh(workers) }
    for norm in layers.norms {
      let scale = affine.floats() + affineOffsets[norm.index]
      let shift = scale + norm.stride
      let gamma = weights.floats(norm.weight)
      let beta = weights.floats(norm.bias)
      let mean = detector.runningMean(norm)
      let variance = detector.runningVariance(norm)
      for c in 0..<norm.channels {
        let factor = Double(gamma[c]) / (Double(variance[c]) + norm.epsilon).squareRoot()
        scale[c] = Float(factor)
        shift[c] = Float(Double(beta[c]) - Double(mean[c]) * factor)
      }
    }
  }

  @inline(__always)
  func scale(_ norm: BatchNorm) -> UnsafePointer<Float> {
    UnsafePointer(affine.floats() + affineOffsets[norm.index])
  }

  /// y as its batch norm (and ReLU) shows it to the next layer.
  @inline(__always)
  func normalised(_ y: UnsafeRawPointer, _ norm: BatchNorm, rectified: Bool) -> rfm_activation {
    let scale = scale(norm)
    return rfm_activation(
      data: y, scale: scale, shift: scale + norm.stride, floor: rectified ? 0 : noFloor,
      ld: Int32(norm.stride))
  }

  /// A stored sum, with or without a ReLU.
  @inline(__always)
  func plain(_ x: UnsafeRawPointer, channels: Int, rectified: Bool) -> rfm_activation {
    rfm_activation(
      data: x, scale: ones, shift: zeros, floor: rectified ? 0 : noFloor,
      ld: Int32(paddedChannels(channels)))
  }

  // MARK: Forward

  /// First convolution, of one image: y (stem1 pixels, padded channels).
  func forwardStem1(
    _ image: UnsafePointer<Float>, _ y: UnsafeMutableRawPointer, _ tile: InferenceTile
  ) {
    let size = geometry.stem1
    let layer = layers.conv1
    let stride = paddedChannels(layer.outputs)
    let rows = Tiling.rows(size)
    for r0 in Swift.stride(from: 0, to: size.height, by: rows) {
      let r1 = min(r0 + rows, size.height)
      let pixels = (r1 - r0) * size.width
      rfm_image_patches_f32(
        image, tile.imagePatches, Int32(geometry.crop.width), Int32(size.width), Int32(r0),
        Int32(r1))
      let out = y + r0 * size.width * stride * precision.size
      let result = precision == .float32 ? out : UnsafeMutableRawPointer(tile.imageOutputs)
      MatrixMultiply.multiply(
        .float32, transposeB: true, m: pixels, n: layer.outputs, k: 27, a: tile.imagePatches,
        lda: 27, b: weights.floats(layer.weight), ldb: 27, c: result, ldc: stride)
      if precision != .float32 {
        kernels.table.from_float(tile.imageOutputs, out, pixels * stride)
      }
    }
  }

  /// Second convolution, of one image.
  func forwardStem2(
    _ input: rfm_activation, _ y: UnsafeMutableRawPointer, _ tile: InferenceTile
  ) {
    let size = geometry.stem2
    let layer = layers.conv2
    let stride = paddedChannels(layer.outputs)
    let rows = Tiling.rows(size)
    var input = input
    for r0 in Swift.stride(from: 0, to: size.height, by: rows) {
      let r1 = min(r0 + rows, size.height)
      kernels.table.patches(
        &input, Int32(layer.inputs), tile.operand, Int32(geometry.stem1.width), Int32(size.width),
        Int32(r0), Int32(r1))
      weights.forward(
        layer.weight, pixels: (r1 - r0) * size.width, tile.operand, stride: 9 * layer.inputs,
        to: y + r0 * size.width * stride * precision.size, stride: stride)
    }
  }

  /// A separable unit of `images` images: tiles of depthwise output go straight into the multiply.
  /// `bits` receives the input's ReLU mask.
  func forward(
    _ unit: SeparableUnit, _ input: rfm_activation, _ size: MapSize, images: Int,
    _ y: UnsafeMutableRawPointer, bits: UnsafeMutablePointer<UInt16>?, _ tile: InferenceTile
  ) {
    let inStride = paddedChannels(unit.inputs)
    let outStride = paddedChannels(unit.outputs)
    let width = size.width
    let depthwise = weights.floats(unit.depthwise)
    let bitsPerImage = size.pixels * inStride / 16
    if Tiling.joins(size) {
      for image in 0..<images {
        var part = input.advanced(by: image * size.pixels * inStride, precision)
        kernels.table.depthwise_forward(
          &part, depthwise, tile.operand + image * size.pixels * inStride * precision.size,
          bits.map { $0 + image * bitsPerImage }, Int32(size.height), Int32(width), 0,
          Int32(size.height))
      }
      weights.forward(
        unit.pointwise, pixels: images * size.pixels, tile.operand, stride: inStride, to: y,
        stride: outStride)
      return
    }
    let rows = Tiling.rows(size)
    for image in 0..<images {
      var part = input.advanced(by: image * size.pixels * inStride, precision)
      for r0 in stride(from: 0, to: size.height, by: rows) {
        let r1 = min(r0 + rows, size.height)
        kernels.table.depthwise_forward(
          &part, depthwise, tile.operand, bits.map { $0 + image * bitsPerImage },
          Int32(size.height), Int32(width), Int32(r0), Int32(r1))
        weights.forward(
          unit.pointwise, pixels: (r1 - r0) * width, tile.operand, stride: inStride,
          to: y + (image * size.pixels + r0 * width) * outStride * precision.size, stride: outStride
        )
      }
    }
  }

  /// A strided 1×1 shortcut of one image; uses `tile.operand` for the gathered pixels.
  func forward(
    _ shortcut: Shortcut, _ input: rfm_activation, _ size: MapSize, _ y: UnsafeMutableRawPointer,
    _ gathered: UnsafeMutableRawPointer
  ) {
    var input = input
    kernels.table.gather_strided(&input, gathered, Int32(size.height), Int32(size.width))
    weights.forward(
      shortcut.weight, pixels: size.halved.pixels, gathered,
      stride: paddedChannels(shortcut.inputs), to: y, stride: paddedChannels(shortcut.outputs))
  }
}

/// One worker's tile memory.
final class InferenceTile: @unchecked Sendable {
  /// The tile that is about to be multiplied: depthwise outputs, patches.
  let operand: UnsafeMutableRawPointer
  /// Gradient tile of convolution outputs, and of depthwise outputs with the rows kept from the
  /// tile before.
  let outputGradient: UnsafeMutableRawPointer
  let operandGradient: UnsafeMutableRawPointer
  let imagePatches: UnsafeMutablePointer<Float>
  let imageOutputs: UnsafeMutablePointer<Float>
  private let memory: AlignedMemory

  /// A tile's operands of a weight gradient, packed (`bfloat16_multiply.h`).
  let packedGradient: UnsafeMutableRawPointer
  let packedOperand: UnsafeMutableRawPointer

  /// - Parameters:
  ///   - forBackward: with the gradient tiles.
  ///   - packsWeightGradients: with memory for packed operands.
  init(
    _ layers: XceptionLayers, _ geometry: NetworkGeometry, precision: Precision, images: Int,
    forBackward: Bool, packsWeightGradients: Bool = false
  ) {
    var operand = Tiling.rows(geometry.stem2) * geometry.stem2.width * 9 * layers.conv2.inputs
    var operandGradient =
      (Tiling.rows(geometry.stem2) + 2) * geometry.stem2.width * 9 * layers.conv2.inputs
    var output = max(
      Tiling.tilePixels(geometry.stem1, images: images) * paddedChannels(layers.conv1.outputs),
      Tiling.tilePixels(geometry.stem2, images: images) * paddedChannels(layers.conv2.outputs))
    // An odd number of pixels takes a pixel more where they are packed in pairs.
    var packedOperand = operand + paddedChannels(9 * layers.conv2.inputs)
    var packedOutput = output + paddedChannels(layers.conv2.outputs)
    func takeMatrix(_ inputs: Int, _ outputs: Int, _ pixels: Int) {
      operand = max(operand, pixels * paddedChannels(inputs))
      output = max(output, pixels * paddedChannels(outputs))
      packedOperand = max(packedOperand, (pixels + 1) * paddedChannels(inputs))
      packedOutput = max(packedOutput, (pixels + 1) * paddedChannels(outputs))
    }
    func take(_ unit: SeparableUnit, _ size: MapSize) {
      let pixels = Tiling.tilePixels(size, images: images)
      takeMatrix(unit.inputs, unit.outputs, pixels)
      operandGradient = max(
        operandGradient, (pixels + 2 * size.width) * paddedChannels(unit.inputs))
    }
    for (block, size) in zip(layers.blocks, geometry.blocks) {
      for unit in block.units { take(unit, size) }
      if let shortcut = block.shortcut {
        takeMatrix(
          shortcut.inputs, shortcut.outputs, Tiling.rows(size.halved) * size.halved.width)
      }
    }
    take(layers.conv3, geometry.features)
    take(layers.conv4, geometry.features)

    let patchPixels = Tiling.rows(geometry.stem1) * geometry.stem1.width
    var plan = MemoryPlan()
    let operandAt = plan.take(operand * precision.size)
    let outputAt = plan.take(forBackward ? output * precision.size : 0)
    let gradientAt = plan.take(forBackward ? operandGradient * precision.size : 0)
    let packedGradientAt = plan.take(packsWeightGradients ? packedOutput * precision.size : 0)
    let packedOperandAt = plan.take(packsWeightGradients ? packedOperand * precision.size : 0)
    let patchesAt = plan.take(patchPixels * 27 * 4)
    let imageAt = plan.take(patchPixels * paddedChannels(layers.conv1.outputs) * 4)
    memory = AlignedMemory(size: plan.size)
    self.operand = memory.address + operandAt
    outputGradient = memory.address + outputAt
    self.operandGradient = memory.address + gradientAt
    packedGradient = memory.address + packedGradientAt
    self.packedOperand = memory.address + packedOperandAt
    imagePatches = memory.floats(at: patchesAt)
    imageOutputs = memory.floats(at: imageAt)
  }
}

/// Lays buffers out one after another, each at a cache line's start.
struct MemoryPlan {
  private(set) var size = 0

  mutating func take(_ bytes: Int) -> Int {
    let at = size
    size += (bytes + 63) / 64 * 64
    return at
  }
}
