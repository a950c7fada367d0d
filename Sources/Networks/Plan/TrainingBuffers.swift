import CKernels
import Tensors

/// Everything that a training pass writes, planned before the first step.
///
/// Kept from forward to backward: each convolution's raw output, each block's output, and where the
/// pooling found its maxima and what they were. Depthwise outputs and patches are computed again tile by tile.
final class TrainingBuffers: @unchecked Sendable {
  /// One block's kept activations.
  struct BlockActivations {
    /// Raw output of each unit, (batch, pixels, padded channels).
    var units: [UnsafeMutableRawPointer]
    var shortcut: UnsafeMutableRawPointer?
    var winners: UnsafeMutablePointer<UInt8>?
    /// The last unit's raw output where the pooling found its maxima, (batch, pooled pixels, padded
    /// channels).
    var maxima: UnsafeMutableRawPointer?
    /// The block's output.
    var output: UnsafeMutableRawPointer
  }

  let stem1: UnsafeMutableRawPointer
  let stem2: UnsafeMutableRawPointer
  let blocks: [BlockActivations]
  let conv3: UnsafeMutableRawPointer
  let conv4: UnsafeMutableRawPointer

  /// Gradients on their way back: of a block's output, and of the maps inside.
  let gradientA: UnsafeMutableRawPointer
  let gradientB: UnsafeMutableRawPointer
  let gradientC: UnsafeMutableRawPointer
  /// Gradient that reaches a block's input through its strided shortcut.
  let shortcutGradient: UnsafeMutableRawPointer
  /// Output gradients and depthwise outputs of a whole layer, where the weight gradient is cut by
  /// output channels instead of by images.
  let layerGradients: UnsafeMutableRawPointer
  let layerOperands: UnsafeMutableRawPointer
  /// Each task's part of a weight gradient, where it is cut by images.
  let lanes: UnsafeMutablePointer<Float>
  /// Each task's depthwise weight gradient, `depthwisePitch` apart.
  let depthwiseLanes: UnsafeMutablePointer<Float>
  let depthwisePitch: Int
  /// Each task's sums for two batch norms, `sumsPitch` apart.
  let sums: UnsafeMutablePointer<Double>
  let otherSums: UnsafeMutablePointer<Double>
  let sumsPitch: Int

  /// A task's sums for one of two batch norms, set to 0.
  func clearedSums(_ task: Int, other: Bool = false) -> UnsafeMutablePointer<Double> {
    let own = (other ? otherSums : sums) + task * sumsPitch
    own.update(repeating: 0, count: sumsPitch)
    return own
  }

  /// (batch, padded features): averaged features and their gradients.
  let pooled: UnsafeMutablePointer<Float>
  let pooledGradient: UnsafeMutablePointer<Float>

  /// Bytes.
  let size: Int
  private let memory: AlignedMemory

  /// Weight matrices up to this size get a lane a task; larger ones are cut by output channels.
  static let largestLane = 200_000

  /// Every weight gradient is cut by images.
  let lanesOnly: Bool

  func usesLanes(_ outputs: Int, _ inputs: Int) -> Bool {
    lanesOnly || outputs * inputs <= Self.largestLane
  }

  init(
    _ layers: XceptionLayers, _ geometry: NetworkGeometry, batch: Int, precision: Precision,
    lanesOnly: Bool, packsPairs: Bool
  ) {
    self.lanesOnly = lanesOnly
    func usesLanes(_ outputs: Int, _ inputs: Int) -> Bool {
      lanesOnly || outputs * inputs <= Self.largestLane
    }
    let element = precision.size
    var plan = MemoryPlan()
    func map(_ size: MapSize, _ channels: Int) -> Int {
      batch * size.pixels * paddedChannels(channels) * element
    }
    let stem1At = plan.take(map(geometry.stem1, layers.conv1.outputs))
    let stem2At = plan.take(map(geometry.stem2, layers.conv2.outputs))
    var gradientA = map(geometry.stem2, layers.conv2.outputs)
    var gradientB = map(geometry.stem1, layers.conv1.outputs)
    var gradientC = 0
    var shortcutGradient = 0
    var layer = (gradients: 0, operands: 0)
    // Packed operands start a new pair of pixels with every tile.
    func packed(_ size: MapSize, _ channels: Int) -> Int {
      let tiles = packsPairs ? (size.height + Tiling.rows(size) - 1) / Tiling.rows(size) : 0
      return map(size, channels) + batch * tiles * paddedChannels(channels) * element
    }
    var lane = 27 * layers.conv1.outputs
    lane = max(lane, 9 * layers.conv2.inputs * layers.conv2.outputs)
    var widest = paddedChannels(layers.classifier.features)

    func measure(_ unit: SeparableUnit, _ size: MapSize) {
      widest = max(widest, paddedChannels(unit.inputs), paddedChannels(unit.outputs))
      if usesLanes(unit.outputs, unit.inputs) {
        lane = max(lane, unit.outputs * unit.inputs)
      } else {
        layer.gradients = max(layer.gradients, packed(size, unit.outputs))
        layer.operands = max(layer.operands, packed(size, unit.inputs))
      }
    }
    struct Offsets {
      var units: [Int]
      var shortcut: Int?
      var winners: Int?
      var maxima: Int?
      var output: Int
    }
    var offsets: [Offsets] = []
    for (block, size) in zip(layers.blocks, geometry.blocks) {
      for (u, unit) in block.units.enumerated() {
        measure(unit, size)
        if u > 0 {
          gradientB = max(gradientB, map(size, unit.inputs))
          gradientC = max(gradientC, map(size, unit.inputs))
        }
      }
      gradientA = max(gradientA, map(size, block.units[0].inputs))
      let outputs = block.units.last!.outputs
      if let shortcut = block.shortcut {
        shortcutGradient = max(shortcutGradient, map(size.halved, shortcut.inputs))
        if usesLanes(shortcut.outputs, shortcut.inputs) {
          lane = max(lane, shortcut.outputs * shortcut.inputs)
        }
        // Forward gathers whole images there; backward keeps large layers whole.
        layer.gradients = max(layer.gradients, packed(size.halved, shortcut.outputs))
        layer.operands = max(layer.operands, packed(size.halved, shortcut.inputs))
        gradientA = max(gradientA, map(size.halved, outputs))
      }
      offsets.append(
        Offsets(
          units: block.units.map { plan.take(map(size, $0.outputs)) },
          shortcut: block.shortcut.map { plan.take(map(size.halved, $0.outputs)) },
          winners: block.shortcut.map { plan.take(map(size.halved, $0.outputs) / element) },
          maxima: block.shortcut.map { plan.take(map(size.halved, $0.outputs)) },
          output: plan.take(map(block.shortcut == nil ? size : size.halved, outputs))))
    }
    for unit in [layers.conv3, layers.conv4] {
      measure(unit, geometry.features)
      gradientA = max(gradientA, map(geometry.features, unit.outputs))
      gradientB = max(gradientB, map(geometry.features, unit.outputs))
    }
    let conv3At = plan.take(map(geometry.features, layers.conv3.outputs))
    let conv4At = plan.take(map(geometry.features, layers.conv4.outputs))
    let gradientAAt = plan.take(gradientA)
    let gradientBAt = plan.take(gradientB)
    let gradientCAt = plan.take(gradientC)
    let shortcutAt = plan.take(shortcutGradient)
    let layerGradientsAt = plan.take(layer.gradients)
    let layerOperandsAt = plan.take(layer.operands)
    let lanesAt = plan.take(batch * paddedChannels(lane) * 4)
    depthwisePitch = 9 * widest
    let depthwiseAt = plan.take(batch * depthwisePitch * 4)
    sumsPitch = 2 * widest
    let sumsAt = plan.take(batch * sumsPitch * 8)
    let otherSumsAt = plan.take(batch * sumsPitch * 8)
    let pooledAt = plan.take(batch * paddedChannels(layers.classifier.features) * 4)
    let pooledGradientAt = plan.take(batch * paddedChannels(layers.classifier.features) * 4)

    let memory = AlignedMemory(size: plan.size)
    self.memory = memory
    size = plan.size
    let base = memory.address
    stem1 = base + stem1At
    stem2 = base + stem2At
    blocks = offsets.map { offset in
      BlockActivations(
        units: offset.units.map { base + $0 },
        shortcut: offset.shortcut.map { base + $0 },
        winners: offset.winners.map { (base + $0).assumingMemoryBound(to: UInt8.self) },
        maxima: offset.maxima.map { base + $0 },
        output: base + offset.output)
    }
    conv3 = base + conv3At
    conv4 = base + conv4At
    self.gradientA = base + gradientAAt
    self.gradientB = base + gradientBAt
    self.gradientC = base + gradientCAt
    self.shortcutGradient = base + shortcutAt
    layerGradients = base + layerGradientsAt
    layerOperands = base + layerOperandsAt
    lanes = memory.floats(at: lanesAt)
    depthwiseLanes = memory.floats(at: depthwiseAt)
    sums = memory.doubles(at: sumsAt)
    otherSums = memory.doubles(at: otherSumsAt)
    pooled = memory.floats(at: pooledAt)
    pooledGradient = memory.floats(at: pooledGradientAt)
  }
}
