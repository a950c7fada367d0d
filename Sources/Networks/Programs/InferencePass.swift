import CKernels
import Synchronization
import Tensors

/// What a worker needs for an image's work, whichever group the image belongs to.
struct InferenceScratch {
  /// Rotating activations: block input, two unit outputs, shortcut.
  let input: UnsafeMutableRawPointer
  let first: UnsafeMutableRawPointer
  let second: UnsafeMutableRawPointer
  let shortcut: UnsafeMutableRawPointer
  /// The first convolution's output, where the group does not keep it.
  let stem1: UnsafeMutableRawPointer
  let tile: InferenceTile
}

/// One worker's buffers for a group of images, and the pass of that group through the network.
///
/// The stages with large maps, the first ones forward and the last ones backward, go image by image; the
/// others go layer by layer, of which those with maps from 10×10 do their images one by one too. All
/// that goes by images other workers may take off the owner's hands (``InferenceTeam``).
final class InferencePass: @unchecked Sendable {
  let network: InferenceNetwork
  let scratch: InferenceScratch
  private let memory: AlignedMemory
  let keepsMasks: Bool
  private let shared = SharedLoop(ImageWork.none)
  /// The owner has a group that has not come to its last stage.
  let isBehind = Atomic<Bool>(false)

  /// What can be done for each image of the group by itself.
  enum ImageWork {
    case none
    case entryForward
    case unitForward(UnitForward)
    case unitBackward(UnitBackward)
    case entryBackward
  }

  /// A separable unit, from its input to its output; `bits` receives the input's ReLU mask.
  struct UnitForward {
    let unit: SeparableUnit
    let input: rfm_activation
    let size: MapSize
    let output: UnsafeMutableRawPointer
    let bits: UnsafeMutablePointer<UInt16>?
  }

  /// Each entry image's result, gathered for the joined part.
  let joined: UnsafeMutableRawPointer
  /// The last convolution's output, (group, feature pixels, padded channels).
  private let features: UnsafeMutableRawPointer
  private let pooled: UnsafeMutablePointer<Float>
  /// For backward: the first convolution's output of each image, a ReLU mask per unit, a winner per
  /// pooled pixel.
  private let stem1: UnsafeMutableRawPointer
  let masks: [UnsafeMutablePointer<UInt16>]
  private let winners: [UnsafeMutablePointer<UInt8>?]
  let seed: UnsafeMutablePointer<Float>

  /// Where the group's images are, and where their gradients go.
  private let images: UnsafeMutablePointer<UnsafePointer<Float>?>
  let gradients: UnsafeMutablePointer<UnsafeMutablePointer<Float>?>

  /// Blocks before this one go image by image.
  let entryBlocks: Int
  /// Index of each block's first unit among all masks.
  private let firstMask: [Int]

  var layers: XceptionLayers { network.layers }
  var geometry: NetworkGeometry { network.geometry }
  var precision: Precision { network.precision }
  var table: rfm_kernel_table { network.kernels.table }

  init(_ network: InferenceNetwork, forBackward: Bool) {
    self.network = network
    keepsMasks = forBackward
    let layers = network.layers
    let geometry = network.geometry
    let group = network.groupSize
    let element = network.precision.size
    entryBlocks = layers.blocks.firstIndex { $0.shortcut == nil } ?? layers.blocks.count
    let tile = InferenceTile(
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
    // Pooling always records its winners, and several workers may do so at a time.
    let winnersAt = winnerSizes.map { plan.take($0) }
    memory = AlignedMemory(size: plan.size)
    let base = memory.address
    scratch = InferenceScratch(
      input: base + rotating[0], first: base + rotating[1], second: base + rotating[2],
      shortcut: base + rotating[3], stem1: base + stemAt, tile: tile)
    joined = base + joinedAt
    features = base + featuresAt
    pooled = memory.floats(at: pooledAt)
    seed = memory.floats(at: seedAt)
    stem1 = base + stemAt
    masks = masksAt.map { (base + $0).assumingMemoryBound(to: UInt16.self) }
    winners = zip(winnersAt, winnerSizes).map {
      $1 > 0 ? (base + $0).assumingMemoryBound(to: UInt8.self) : nil
    }
    images = .allocate(capacity: group)
    images.initialize(repeating: nil, count: group)
    gradients = .allocate(capacity: group)
    gradients.initialize(repeating: nil, count: group)
  }

  deinit {
    images.deallocate()
    gradients.deallocate()
  }

  // MARK: Work on images

  /// Does what can be done for each of `count` images by itself, with whoever comes to help.
  func forEachImage(_ count: Int, _ work: ImageWork) {
    if count == 1 { return perform(work, image: 0, scratch) }
    shared.run(count, work) { perform($0, image: $1, scratch) }
  }

  /// Does an image's share of what the owner is at, if there is any.
  ///
  /// - Parameter scratch: the helper's.
  /// - Returns: false if there was none.
  func help(_ scratch: InferenceScratch) -> Bool {
    shared.help { perform($0, image: $1, scratch) }
  }

  private func perform(_ work: ImageWork, image: Int, _ scratch: InferenceScratch) {
    switch work {
    case .none: break
    case .entryForward: forwardEntry(image, scratch)
    case .unitForward(let unit): forward(unit, first: image, images: 1, scratch.tile)
    case .unitBackward(let unit): backward(unit, first: image, images: 1, scratch.tile)
    case .entryBackward: backwardEntry(image, scratch)
    }
  }

  // MARK: Forward

  /// Images (float32 NHWC, normalised) to features; `images` at most the group's size.
  func forward(_ images: Int, image: (Int) -> UnsafePointer<Float>) {
    for i in 0..<images { self.images[i] = image(i) }
    forEachImage(images, .entryForward)
    forwardJoined(images)
  }

  private func forward(_ work: UnitForward, images: Int, _ scratch: InferenceScratch) {
    if images == 1 || Tiling.joins(work.size) {
      forward(work, first: 0, images: images, scratch.tile)
    } else {
      forEachImage(images, .unitForward(work))
    }
  }

  private func forward(_ work: UnitForward, first: Int, images: Int, _ tile: InferenceTile) {
    let inStride = paddedChannels(work.unit.inputs)
    let place = first * work.size.pixels
    network.forward(
      work.unit, work.input.advanced(by: place * inStride, precision), work.size, images: images,
      work.output + place * paddedChannels(work.unit.outputs) * precision.size,
      bits: work.bits.map { $0 + place * inStride / 16 }, tile)
  }

  func mask(_ block: Int, _ unit: Int, image: Int) -> UnsafeMutablePointer<UInt16>? {
    guard keepsMasks else { return nil }
    let stride = paddedChannels(layers.blocks[block].units[unit].inputs)
    return masks[firstMask[block] + unit] + image * geometry.blocks[block].pixels * stride / 16
  }

  /// Where the first convolution's output of an image is.
  func stem1(_ image: Int, _ scratch: InferenceScratch) -> UnsafeMutableRawPointer {
    guard keepsMasks else { return scratch.stem1 }
    let stride = paddedChannels(layers.conv1.outputs)
    return stem1 + image * geometry.stem1.pixels * stride * precision.size
  }

  func winner(_ block: Int, image: Int) -> UnsafeMutablePointer<UInt8> {
    let stride = paddedChannels(layers.blocks[block].shortcut!.outputs)
    return winners[block]! + image * geometry.blocks[block].halved.pixels * stride
  }

  /// A block's input as its first unit and its shortcut see it.
  private func blockInput(_ from: UnsafeMutableRawPointer, _ block: Int, rectified: Bool)
    -> rfm_activation
  {
    if block == 0 { return network.normalised(from, layers.conv2.norm, rectified: true) }
    return network.plain(
      from, channels: layers.blocks[block].units[0].inputs, rectified: rectified)
  }

  private func forwardEntry(_ index: Int, _ scratch: InferenceScratch) {
    let y1 = stem1(index, scratch)
    network.forwardStem1(images[index]!, y1, scratch.tile)
    network.forwardStem2(
      network.normalised(y1, layers.conv1.norm, rectified: true), scratch.input, scratch.tile)
    for block in 0..<entryBlocks {
      let last = block == entryBlocks - 1
      let stride = paddedChannels(layers.blocks[block].units.last!.outputs)
      let out =
        last
        ? joined + index * geometry.blocks[entryBlocks].pixels * stride * precision.size
        : scratch.input
      forwardPooled(block, images: 1, firstImage: index, scratch, out)
    }
    if entryBlocks == 0 { preconditionFailure("Xception has entry blocks") }
  }

  /// A block with pooling, from the scratch's input to `out` (which may be the same).
  private func forwardPooled(
    _ index: Int, images: Int, firstImage: Int, _ scratch: InferenceScratch,
    _ out: UnsafeMutableRawPointer
  ) {
    let block = layers.blocks[index]
    let size = geometry.blocks[index]
    let shortcutLayer = block.shortcut!
    let element = precision.size
    let inPixels = size.pixels * paddedChannels(shortcutLayer.inputs)
    let outPixels = size.halved.pixels * paddedChannels(shortcutLayer.outputs)
    let unrectified = blockInput(scratch.input, index, rectified: index == 0)
    for image in 0..<images {
      network.forward(
        shortcutLayer, unrectified.advanced(by: image * inPixels, precision), size,
        scratch.shortcut + image * outPixels * element, scratch.first)
    }
    forward(
      UnitForward(
        unit: block.units[0],
        input: blockInput(
          scratch.input, index, rectified: block.units[0].rectifiesInput || index == 0),
        size: size, output: scratch.first, bits: mask(index, 0, image: firstImage)),
      images: images, scratch)
    forward(
      UnitForward(
        unit: block.units[1],
        input: network.normalised(scratch.first, block.units[0].norm, rectified: true), size: size,
        output: scratch.second, bits: mask(index, 1, image: firstImage)),
      images: images, scratch)
    let unitPixels = size.pixels * paddedChannels(block.units[1].outputs)
    for image in 0..<images {
      var y = network.normalised(scratch.second, block.units[1].norm, rectified: false)
        .advanced(by: image * unitPixels, precision)
      var skip = network.normalised(scratch.shortcut, shortcutLayer.norm, rectified: false)
        .advanced(by: image * outPixels, precision)
      table.pool_forward(
        &y, &skip, out + image * outPixels * element, winner(index, image: firstImage + image),
        nil, Int32(size.height), Int32(size.width))
    }
  }

  private func forwardJoined(_ images: Int) {
    let (first, second) = (scratch.first, scratch.second)
    // Middle blocks work on `joined` in place; the exit block reads the scratch's input.
    for index in entryBlocks..<layers.blocks.count {
      let block = layers.blocks[index]
      let size = geometry.blocks[index]
      if block.shortcut == nil {
        var from = network.plain(joined, channels: block.units[0].inputs, rectified: true)
        var to = first
        for (u, unit) in block.units.enumerated() {
          forward(
            UnitForward(
              unit: unit, input: from, size: size, output: to, bits: mask(index, u, image: 0)),
            images: images, scratch)
          from = network.normalised(to, unit.norm, rectified: true)
          to = to == first ? second : first
        }
        table.residual_sum(&from, joined, joined, Int32(images * size.pixels))
      } else {
        let bytes =
          images * size.pixels * paddedChannels(block.units[0].inputs) * precision.size
        scratch.input.copyMemory(from: joined, byteCount: bytes)
        forwardPooled(index, images: images, firstImage: 0, scratch, scratch.input)
      }
    }
    let exitMasks = masks.count - 2
    forward(
      UnitForward(
        unit: layers.conv3,
        input: network.plain(scratch.input, channels: layers.conv3.inputs, rectified: false),
        size: geometry.features, output: first, bits: keepsMasks ? masks[exitMasks] : nil),
      images: images, scratch)
    forward(
      UnitForward(
        unit: layers.conv4, input: network.normalised(first, layers.conv3.norm, rectified: true),
        size: geometry.features, output: features, bits: keepsMasks ? masks[exitMasks + 1] : nil),
      images: images, scratch)
  }

  func lastFeatures(_ image: Int) -> rfm_activation {
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
