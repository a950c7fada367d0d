import CKernels
import Tensors

/// A network's buffers for some images, and what all of its operations do with them: the memory of a
/// training step, or of a worker that takes a group of images through attention or inference.
///
/// One file: the buffers are its secret, and what operations may do with a map (see it, end it, add to its
/// gradient) is all that is said of them outside.
final class GraphPass: @unchecked Sendable {
  let plan: PassPlan
  let network: LoweredNetwork
  let detector: Detector
  let weights: WorkingWeights
  let states: [ChannelState]
  /// Images that the buffers have room for.
  let images: Int
  let maps: Kernels
  /// Of maps that are always in float32.
  let vectors: Kernels
  /// What training leaves out; nil: nothing is.
  let drops: DropMasks?
  var isTraining: Bool { plan.purpose == .training }

  /// Where image i of the pass is, (crop, crop, 3) float32, and where its gradient goes.
  let imageAddresses: UnsafeMutablePointer<UnsafePointer<Float>?>
  let imageGradients: UnsafeMutablePointer<UnsafeMutablePointer<Float>?>

  private let buffers: PassMemory
  /// The memory of the chain, by image: of the worker who has the image in hand.
  let scratch: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let constants: AlignedMemory
  private let ones: UnsafePointer<Float>
  private let zeros: UnsafePointer<Float>

  /// Bytes, and those of what a worker needs for the image of the chain that it has in hand.
  var size: Int { buffers.memory.size }
  var scratchSize: Int { buffers.scratchSize }
  /// Each task's part of the weights' gradients.
  var lanes: [UnsafeMutablePointer<Float>?] { buffers.lanes }
  /// Output gradients and operands of a whole layer.
  var layerGradients: [UnsafeMutableRawPointer?] { buffers.layerGradients }
  var layerOperands: [UnsafeMutableRawPointer?] { buffers.layerOperands }

  /// Of an image's part of a buffer.
  ///
  /// - Parameter each: bytes of an image.
  @inline(__always)
  private func address(_ place: PassMemory.Place, _ image: Int, each: Int)
    -> UnsafeMutableRawPointer?
  {
    switch place {
    case .none: nil
    case .own(let memory): memory + image * each
    case .scratch(let offset): scratch[image]! + offset
    }
  }

  /// - Parameters:
  ///   - images: that it has room for.
  ///   - tasks: that leave sums of their own; 0: for running statistics.
  ///   - sharesMemory: buffers that are needed at different times may lie in one place.
  ///   - drops: what training leaves out.
  init(
    _ plan: PassPlan, _ runners: [OperationRunner], _ times: PassMemory.Times, detector: Detector,
    weights: WorkingWeights, states: [ChannelState], images: Int, maps: Kernels, tasks: Int,
    sharesMemory: Bool = true, drops: DropMasks? = nil
  ) {
    self.plan = plan
    self.drops = drops
    network = plan.network
    self.detector = detector
    self.weights = weights
    self.states = states
    self.images = images
    self.maps = maps
    vectors = maps.precision == .float32 ? maps : Kernels(.float32)
    buffers = PassMemory(
      plan, runners, times, images: images, element: maps.precision.size, tasks: tasks,
      sharesMemory: sharesMemory)
    let widest = network.maps.map(\.stride).max()!
    constants = AlignedMemory(size: 2 * widest * 4)
    for c in 0..<widest { constants.floats()[c] = 1 }
    ones = UnsafePointer(constants.floats())
    zeros = UnsafePointer(constants.floats() + widest)

    scratch = .allocate(capacity: images)
    scratch.initialize(repeating: nil, count: images)
    imageAddresses = .allocate(capacity: images)
    imageAddresses.initialize(repeating: nil, count: images)
    imageGradients = .allocate(capacity: images)
    imageGradients.initialize(repeating: nil, count: images)
  }

  deinit {
    scratch.deallocate()
    imageAddresses.deallocate()
    imageGradients.deallocate()
  }

  // MARK: Places

  @inline(__always)
  func kernels(_ map: Int) -> Kernels { network.maps[map].isVector ? vectors : maps }

  /// Bytes of `elements` elements of a map.
  @inline(__always)
  private func bytes(_ map: LoweredNetwork.StoredMap, _ elements: Int) -> Int {
    elements * (map.isVector ? 4 : maps.precision.size)
  }

  @inline(__always)
  private func pixel(
    _ place: PassMemory.Place, of map: Int, image: Int, pixel: Int
  ) -> UnsafeMutableRawPointer? {
    let stored = network.maps[map]
    return address(place, image, each: bytes(stored, stored.elements))
      .map { $0 + bytes(stored, pixel * stored.stride) }
  }

  /// A pixel of a stored map.
  @inline(__always)
  func value(_ map: Int, image: Int, pixel: Int = 0) -> UnsafeMutableRawPointer {
    self.pixel(buffers.values[map], of: map, image: image, pixel: pixel)!
  }

  /// The same of its gradient, wherever that lies.
  @inline(__always)
  func gradient(_ map: Int, image: Int, pixel: Int = 0) -> UnsafeMutableRawPointer {
    gradient(map, in: plan.gradientRoots[map]!, image: image, pixel: pixel)
  }

  /// A pixel of a map's gradient in the memory of that of `memory`.
  @inline(__always)
  private func gradient(_ map: Int, in memory: Int, image: Int, pixel: Int)
    -> UnsafeMutableRawPointer
  {
    self.pixel(buffers.gradients[memory], of: map, image: image, pixel: pixel)!
  }

  /// Where a strided convolution stores the gradient of the pixels that it has seen, one behind the other;
  /// nil where all pixels are wanted.
  func stridedGradient(_ operation: Int, image: Int, pixel: Int) -> UnsafeMutableRawPointer? {
    if case .none = buffers.stridedGradients[operation] { return nil }
    let map = network.maps[network.operations[operation].inputs[0].map]
    return address(
      buffers.stridedGradients[operation], image,
      each: bytes(map, map.size.halved.pixels * map.stride)
    )
    .map { $0 + bytes(map, pixel * map.stride) }
  }

  /// What an operation keeps for its way back.
  func kept(_ operation: Int, image: Int, bytes: Int) -> UnsafeMutableRawPointer {
    address(buffers.kept[operation], image, each: bytes)!
  }

  /// A map is there still when forward has ended.
  func outlivesForward(_ map: Int) -> Bool { buffers.lastTimes[map] >= buffers.forwardEnd }

  func state(_ map: Int) -> ChannelState? { network.maps[map].affine.map { states[$0] } }

  /// A map from a pixel on, as an operation reads it.
  @inline(__always)
  func view(_ view: LoweredNetwork.MapView, image: Int, pixel: Int = 0) -> rfm_view {
    let map = network.maps[view.map]
    let state = map.affine.map { states[$0] }
    return rfm_view(
      data: UnsafeRawPointer(
        self.pixel(buffers.values[view.map], of: view.map, image: image, pixel: pixel)
          ?? constants.address),
      scale: state?.scale ?? ones, shift: state?.shift ?? zeros,
      gate: view.gate.map {
        UnsafePointer(value($0, image: image).assumingMemoryBound(to: Float.self))
      }, slope: view.activation.slope, activation: view.activation.kernel, ld: Int32(map.stride))
  }

  /// Stores what an operation reads: `pixels` pixels of an image, or of several where there is no gate.
  @inline(__always)
  func load(
    _ view: LoweredNetwork.MapView, image: Int, pixel: Int, pixels: Int,
    to out: UnsafeMutableRawPointer
  ) {
    var source = self.view(view, image: image, pixel: pixel)
    kernels(view.map).layers.load(&source, out, Int32(pixels))
  }

  /// A factor a channel times `pixels` pixels that look like those of a map.
  func scale(
    _ map: Int, _ pixels: UnsafeRawPointer, by factor: UnsafePointer<Float>, pixels count: Int,
    to out: UnsafeMutableRawPointer
  ) {
    var source = rfm_view(
      data: pixels, scale: factor, shift: zeros, gate: nil, slope: 0,
      activation: Int32(RFM_IDENTITY), ld: Int32(network.maps[map].stride))
    kernels(map).layers.load(&source, out, Int32(count))
  }

  // MARK: What is done behind every operation

  /// Behind an operation that has stored `pixels` pixels: channels beyond the last are made zero, a
  /// batch norm's sums are added up, and attention's bits are kept.
  func finishOutput(
    _ map: Int, image: Int, pixel: Int, pixels: Int, task: Int, hasPadding: Bool
  ) {
    let stored = network.maps[map]
    let kernels = kernels(map)
    let address = value(map, image: image, pixel: pixel)
    if hasPadding, stored.channels != stored.stride {
      rfm_clear_padding(
        address, Int32(pixels), Int32(stored.channels), Int32(stored.stride),
        Int32(kernels.precision.size))
    }
    if isTraining, let state = state(map), state.affine.isBatchNorm {
      kernels.table.statistics(address, Int32(pixels), Int32(stored.stride), state.sums(task))
    }
    if plan.keepsBits[map], plan.bitKeepers[map] == nil {
      var seen = view(
        LoweredNetwork.MapView(map: map, activation: plan.bitActivations[map]), image: image,
        pixel: pixel)
      kernels.layers.mask(
        &seen, buffers.bits[map]! + (image * stored.elements + pixel * stored.stride) / 16,
        Int32(pixels))
    }
  }

  /// Before a task's first image of an operation.
  func beginForward(_ map: Int, task: Int) {
    if isTraining, let state = state(map), state.affine.isBatchNorm { _ = state.clearedSums(task) }
  }

  // MARK: Backward

  /// Before a task's images of an operation's way back.
  func beginBackward(_ operation: Int, _ range: Range<Int>, task: Int) {
    for contribution in plan.contributions[operation] {
      if isTraining, contribution.isFinal {
        _ = state(contribution.view.map)?.clearedSums(task)
      }
      if contribution.gate != nil {
        let stride = network.maps[contribution.view.map].stride
        (buffers.gateGradients[operation]! + range.lowerBound * stride)
          .update(repeating: 0, count: range.count * stride)
      }
      if let gate = contribution.gate, isTraining, gate.isFinal {
        _ = state(gate.map)?.clearedSums(task)
      }
    }
  }

  /// The gradient of an operation's raw output: through the map's norm, or where it is already. Whole rows.
  func outputGradient(
    _ map: Int, image: Int, pixel: Int, pixels: Int, to out: UnsafeMutableRawPointer
  ) -> UnsafeMutableRawPointer {
    if let pooling = plan.pooling[map] {
      unpool(map, through: pooling, image: image, pixel: pixel, pixels: pixels, to: out)
      return out
    }
    let there = gradient(map, image: image, pixel: pixel)
    guard let state = state(map), !state.isShiftOnly, !plan.isScaled[map] else { return there }
    kernels(map).table.affine_gradient(
      there, state.needsOutput ? value(map, image: image, pixel: pixel) : nil, state.coefficients,
      out, Int32(pixels), Int32(network.maps[map].stride))
    return out
  }

  /// The same from the gradient of the pooled map.
  private func unpool(
    _ map: Int, through pooling: Int, image: Int, pixel: Int, pixels: Int,
    to out: UnsafeMutableRawPointer
  ) {
    let stored = network.maps[map]
    let size = stored.size
    let output = network.operations[pooling].output
    let state = state(map)
    let rows = min(pixels, size.pixels)
    let first = pixel / size.width
    for number in 0..<pixels / rows {
      maps.table.pool_backward(
        gradient(output, image: image + number), winners(pooling, image: image + number),
        state?.needsOutput == true ? value(map, image: image + number) : nil,
        state?.coefficients ?? ones,
        out + number * rows * stored.stride * maps.precision.size, Int32(stored.stride),
        Int32(size.height), Int32(size.width), Int32(first), Int32(first + rows / size.width))
    }
  }

  /// The output's gradient has to be computed before it is used.
  func computesOutputGradient(_ map: Int) -> Bool {
    if plan.pooling[map] != nil { return true }
    return !plan.isScaled[map] && state(map).map { !$0.isShiftOnly } ?? false
  }

  /// What a pooling with a sum keeps of an image: for training the maxima as they are stored, then their
  /// places in their windows.
  static func poolingBytes(
    _ output: LoweredNetwork.StoredMap, _ element: Int, _ purpose: PassPlan.Purpose
  ) -> (maxima: Int, all: Int) {
    let maxima = purpose == .training ? output.elements * element : 0
    return (maxima, maxima + output.elements)
  }

  private func pooling(_ operation: Int, image: Int) -> (UnsafeMutableRawPointer, maxima: Int) {
    let (maxima, all) = Self.poolingBytes(
      network.maps[network.operations[operation].output], maps.precision.size, plan.purpose)
    return (kept(operation, image: image, bytes: all), maxima)
  }

  /// The places of an image's maxima in their windows.
  func winners(_ operation: Int, image: Int) -> UnsafeMutablePointer<UInt8> {
    let (memory, maxima) = pooling(operation, image: image)
    return (memory + maxima).assumingMemoryBound(to: UInt8.self)
  }

  /// An image's maxima as they are stored; nil but for training.
  func maxima(_ operation: Int, image: Int) -> UnsafeMutableRawPointer? {
    isTraining ? pooling(operation, image: image).0 : nil
  }

  /// Adds to the gradient of what an operation reads.
  ///
  /// - Parameters:
  ///   - da: (pixels, padded channels), or nil.
  ///   - uniform: (padded channels), for every pixel, or nil.
  func contribute(
    _ operation: Int, _ input: Int, image: Int, pixel: Int, pixels: Int,
    da: UnsafeRawPointer?, uniform: UnsafePointer<Float>? = nil, task: Int
  ) {
    let contribution = plan.contributions[operation][input]
    let map = contribution.view.map
    let stored = network.maps[map]
    let kernels = kernels(map)
    var view = view(contribution.view, image: image, pixel: pixel)
    guard case .memory(let memory) = contribution.target else {
      guard isTraining, contribution.isFinal, let state = state(map) else { return }
      kernels.table.gradient_sums(
        da!, view.data, Int32(pixels), Int32(stored.stride), state.sums(task))
      return
    }
    let out = gradient(map, in: memory, image: image, pixel: pixel)
    let existing = contribution.existing.map {
      UnsafeRawPointer(gradient(map, in: $0, image: image, pixel: pixel))
    }
    if contribution.gate != nil {
      kernels.layers.unload_gate(
        &view, da!, existing, out, buffers.gateGradients[operation]! + image * stored.stride,
        Int32(pixels))
      return
    }
    let derives = contribution.isFinal || !contribution.defers
    if !derives { view.activation = Int32(RFM_IDENTITY) }
    let masks =
      derives && plan.keepsBits[map] && contribution.view.activation != .identity
      ? UnsafePointer(buffers.bits[map]! + (image * stored.elements + pixel * stored.stride) / 16)
      : nil
    kernels.layers.unload(
      &view, masks, da, uniform, existing, contribution.defers ? 1 : 0, out,
      isTraining && contribution.isFinal ? state(map)?.sums(task) : nil, Int32(pixels))
  }

  /// Where the gradient of what an operation reads goes, for one that takes it through the view itself:
  /// d = act'(z)·g + what is there.
  struct Destination {
    /// Of the image's first pixel.
    let out: UnsafeMutableRawPointer
    /// What is there already, and how it joins the rest.
    let existing: UnsafeRawPointer?
    let kind: Int32
    /// In training.
    let sums: UnsafeMutablePointer<Double>?
    /// In attention: a factor a channel, that of the norm where nobody comes behind, and one bit an element,
    /// the slope; nil: that is 1.
    let scale: UnsafePointer<Float>
    let bits: UnsafePointer<UInt16>?
  }

  /// nil: only ``contribute(_:_:image:pixel:pixels:da:uniform:task:)`` can do it.
  func destination(_ operation: Int, image: Int, task: Int) -> Destination? {
    let contribution = plan.contributions[operation][0]
    guard contribution.sweeps, case .memory(let memory) = contribution.target else { return nil }
    let map = contribution.view.map
    var existing: UnsafeRawPointer?
    var kind = RFM_RESIDUAL_NONE
    if let strided = contribution.strided {
      existing = stridedGradient(strided, image: image, pixel: 0).map { UnsafeRawPointer($0) }
      kind = contribution.defers ? RFM_RESIDUAL_STRIDED_MASKED : RFM_RESIDUAL_STRIDED
    } else if let there = contribution.existing {
      existing = UnsafeRawPointer(gradient(map, in: there, image: image, pixel: 0))
      kind = RFM_RESIDUAL_DENSE
    }
    return Destination(
      out: gradient(map, in: memory, image: image, pixel: 0), existing: existing, kind: Int32(kind),
      sums: isTraining && contribution.isFinal ? state(map)?.sums(task) : nil,
      scale: plan.isScaled[map] ? state(map)?.scale ?? ones : ones,
      bits: contribution.view.activation == .identity
        ? nil : keptBits(map, image: image).map { UnsafePointer($0) })
  }

  /// One bit an element of an image's map, if that is what is kept.
  private func keptBits(_ map: Int, image: Int) -> UnsafeMutablePointer<UInt16>? {
    plan.keepsBits[map] ? buffers.bits[map]! + image * network.maps[map].elements / 16 : nil
  }

  /// The same for the operation that is to keep them as it goes through the map.
  func bitsToKeep(_ map: Int, by operation: Int, image: Int) -> UnsafeMutablePointer<UInt16>? {
    plan.bitKeepers[map] == operation ? keptBits(map, image: image) : nil
  }

  /// What an operation reads of an image, for kernels that know nothing but ReLU.
  func rectified(
    _ view: LoweredNetwork.MapView, image: Int, pixel: Int = 0, floor: Float
  ) -> rfm_activation {
    let seen = self.view(view, image: image, pixel: pixel)
    return rfm_activation(
      data: seen.data, scale: seen.scale, shift: seen.shift, floor: floor, ld: seen.ld)
  }

  /// Behind the last pixel of an image: the gate's own gradient.
  func endBackward(_ operation: Int, image: Int, task: Int) {
    for contribution in plan.contributions[operation] {
      guard let gate = contribution.gate else { continue }
      let stride = network.maps[contribution.view.map].stride
      var view = view(LoweredNetwork.MapView(map: gate.map), image: image)
      vectors.layers.unload(
        &view, nil, buffers.gateGradients[operation]! + image * stride, nil,
        gate.existing.map {
          UnsafeRawPointer(gradient(gate.map, in: $0, image: image, pixel: 0))
        }, 1,
        gradient(gate.map, in: gate.map, image: image, pixel: 0),
        isTraining && gate.isFinal ? state(gate.map)?.sums(task) : nil, 1)
    }
  }

  // MARK: Logits

  /// Positions at which an image has logits: 1, but for a patch head.
  var positions: Int { network.maps[network.logits].size.pixels }

  /// The two logits at a position.
  @inline(__always)
  func logits(_ image: Int, position: Int) -> (real: Float, fake: Float) {
    var view = view(
      LoweredNetwork.MapView(map: network.logits), image: image, pixel: position)
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: Int(view.ld)) { room in
      vectors.layers.load(&view, room.baseAddress!, 1)
      return (room[0], room[1])
    }
  }

  /// The two logits of an image: real, fake. Of a patch head those that stand for the mean of softmax
  /// over its positions, see ``PatchScore``.
  func readLogits(_ image: Int, to out: UnsafeMutablePointer<Float>) {
    guard network.graph.head.isPatch else {
      (out[0], out[1]) = logits(image, position: 0)
      return
    }
    var score = PatchScore()
    for position in 0..<positions {
      let (real, fake) = logits(image, position: position)
      score.add(real: Double(real), fake: Double(fake))
    }
    (out[0], out[1]) = (0, Float(score.logit))
  }

  /// The logits' gradient: of the fake one at each position, and its opposite for the other.
  @inline(__always)
  func seed(_ image: Int, _ fake: (_ position: Int) -> Float) {
    let stride = network.maps[network.logits].stride
    let positions = positions
    let gradients = gradient(network.logits, image: image).assumingMemoryBound(to: Float.self)
    gradients.update(repeating: 0, count: positions * stride)
    for position in 0..<positions {
      let gradient = gradients + position * stride
      let value = fake(position)
      (gradient[0], gradient[1]) = (-value, value)
    }
  }

  /// Class activation maps (real, fake) of an image, each of the size of the features:
  /// CAM_k = Σ_c w(k, c)·feature(c) (Zhou et al. 2016).
  func activationMaps(_ image: Int, _ out: UnsafeMutablePointer<Float>) {
    guard let features = network.features else {
      preconditionFailure("\(detector.name.rawValue) has no class activation maps")
    }
    let stored = network.maps[features.map]
    let (pixels, stride) = (stored.size.pixels, stored.stride)
    let head = network.graph.head
    let weight = detector.value(head.weight)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: stride) { room in
      for pixel in 0..<pixels {
        var one = view(features, image: image, pixel: pixel)
        maps.layers.mean(&one, room.baseAddress!, 1)
        for k in 0..<2 {
          var sum = 0.0
          for c in 0..<head.features {
            sum += Double(weight[k * head.features + c]) * Double(room[c])
          }
          out[k * pixels + pixel] = Float(sum)
        }
      }
    }
  }
}
