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

  private let memory: AlignedMemory
  private let constants: AlignedMemory
  private let ones: UnsafePointer<Float>
  private let zeros: UnsafePointer<Float>
  /// By map.
  private let values: [UnsafeMutableRawPointer?]
  private let gradients: [UnsafeMutableRawPointer?]
  private let bits: [UnsafeMutablePointer<UInt16>?]
  /// By operation, for what it keeps itself.
  private let kept: [UnsafeMutableRawPointer?]
  private let gateGradients: [UnsafeMutablePointer<Float>?]
  private let lastTimes: [Int]
  private let forwardEnd: Int
  let lanes: [UnsafeMutablePointer<Float>?]
  /// Output gradients and operands of a whole layer.
  let layerGradients: [UnsafeMutableRawPointer?]
  let layerOperands: [UnsafeMutableRawPointer?]

  /// Bytes.
  var size: Int { memory.size }

  /// When an operation runs.
  struct Times {
    /// By operation; backward is empty for inference.
    var forward: [Int]
    var backward: [Int]
  }

  /// - Parameters:
  ///   - images: that it has room for.
  ///   - tasks: that leave sums of their own; 0: for running statistics.
  ///   - sharesMemory: buffers that are needed at different times may lie in one place.
  ///   - drops: what training leaves out.
  init(
    _ plan: PassPlan, _ runners: [OperationRunner], _ times: Times, detector: Detector,
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
    let network = network
    let element = maps.precision.size

    let widest = network.maps.map(\.stride).max()!
    constants = AlignedMemory(size: 2 * widest * 4)
    for c in 0..<widest { constants.floats()[c] = 1 }
    ones = UnsafePointer(constants.floats())
    zeros = UnsafePointer(constants.floats() + widest)

    // First and last moment of everything.
    var arena = ArenaPlan()
    let end = max(times.forward.max()!, times.backward.max() ?? 0) + 1
    func bytes(_ map: Int) -> Int {
      images * network.maps[map].elements * (network.maps[map].isVector ? 4 : element)
    }
    var mapTimes: [ClosedRange<Int>?] = Array(repeating: nil, count: network.maps.count)
    var gradientTimes = mapTimes
    func touch(_ times: inout [ClosedRange<Int>?], _ index: Int, _ time: Int) {
      times[index] =
        times[index].map { min($0.lowerBound, time)...max($0.upperBound, time) } ?? time...time
    }
    let forwardEnd = times.forward.max()!
    for (index, operation) in network.operations.enumerated() {
      touch(&mapTimes, operation.output, times.forward[index])
      for view in operation.inputs {
        touch(&mapTimes, view.map, times.forward[index])
        if let gate = view.gate { touch(&mapTimes, gate, times.forward[index]) }
      }
    }
    touch(&mapTimes, network.logits, forwardEnd)
    touch(&mapTimes, network.logits, end)
    if plan.purpose == .inference, let features = network.features {
      touch(&mapTimes, features.map, end)
      if let gate = features.gate { touch(&mapTimes, gate, end) }
    }
    if plan.purpose != .inference {
      touch(&gradientTimes, network.logits, times.backward.min()!)
      for index in network.operations.indices {
        for map in plan.backwardReads(index) { touch(&mapTimes, map, times.backward[index]) }
        for map in plan.backwardGradients(index) {
          touch(&gradientTimes, map, times.backward[index])
        }
      }
    }
    func add(_ bytes: Int, _ times: ClosedRange<Int>?) -> Int? {
      guard let times, bytes > 0 else { return nil }
      return arena.add(
        bytes: bytes, first: sharesMemory ? times.lowerBound : 0,
        last: sharesMemory ? times.upperBound : end)
    }
    func between(_ index: Int) -> ClosedRange<Int>? {
      plan.purpose == .inference
        ? times.forward[index]...times.forward[index]
        : times.forward[index]...times.backward[index]
    }
    func back(_ index: Int) -> ClosedRange<Int>? {
      plan.purpose == .inference ? nil : times.backward[index]...times.backward[index]
    }
    let valueNumbers = network.maps.indices.map { add(bytes($0), mapTimes[$0]) }
    let gradientNumbers = network.maps.indices.map {
      plan.ownsGradient[$0] ? add(bytes($0), gradientTimes[$0]) : nil
    }
    var bitNumbers: [Int?] = Array(repeating: nil, count: network.maps.count)
    for (index, operation) in network.operations.enumerated()
    where plan.keepsBits[operation.output] {
      let map = network.maps[operation.output]
      // Until the last of its readers, which is the first in forward order.
      let last = network.operations.indices.filter {
        network.operations[$0].reads(operation.output)
      }.map { times.backward[$0] }.max()!
      bitNumbers[operation.output] = add(
        images * map.elements / 8, times.forward[index]...last)
    }
    let indices = network.operations.indices
    let keptNumbers = indices.map { add(images * runners[$0].keptBytes(element), between($0)) }
    let gateNumbers = indices.map { index in
      add(
        4 * images
          * (network.operations[index].inputs.first { $0.gate != nil }
            .map { network.maps[$0.map].stride } ?? 0),
        back(index))
    }
    func training(_ bytes: Int, _ index: Int) -> Int? {
      plan.purpose == .training ? add(bytes, back(index)) : nil
    }
    let laneNumbers = indices.map { training(4 * tasks * runners[$0].laneCount, $0) }
    let layerGradientNumbers = indices.map {
      training(images * runners[$0].layerBytes(element).gradients, $0)
    }
    let layerOperandNumbers = indices.map {
      training(images * runners[$0].layerBytes(element).operands, $0)
    }
    let (offsets, size) = arena.placed()
    let memory = AlignedMemory(size: size)
    self.memory = memory
    func address(_ number: Int?) -> UnsafeMutableRawPointer? {
      number.map { memory.address + offsets[$0] }
    }
    lastTimes = mapTimes.map { $0?.upperBound ?? 0 }
    self.forwardEnd = forwardEnd
    values = valueNumbers.map(address)
    let own = gradientNumbers.map(address)
    gradients = own
    bits = bitNumbers.map { address($0)?.assumingMemoryBound(to: UInt16.self) }
    kept = keptNumbers.map(address)
    gateGradients = gateNumbers.map { address($0)?.assumingMemoryBound(to: Float.self) }
    lanes = laneNumbers.map { address($0)?.assumingMemoryBound(to: Float.self) }
    layerGradients = layerGradientNumbers.map(address)
    layerOperands = layerOperandNumbers.map(address)
    imageAddresses = .allocate(capacity: images)
    imageAddresses.initialize(repeating: nil, count: images)
    imageGradients = .allocate(capacity: images)
    imageGradients.initialize(repeating: nil, count: images)
  }

  deinit {
    imageAddresses.deallocate()
    imageGradients.deallocate()
  }

  // MARK: Places

  @inline(__always)
  func kernels(_ map: Int) -> Kernels { network.maps[map].isVector ? vectors : maps }

  @inline(__always)
  private func bytes(_ map: LoweredNetwork.StoredMap, _ image: Int, _ pixel: Int) -> Int {
    (image * map.elements + pixel * map.stride) * (map.isVector ? 4 : maps.precision.size)
  }

  /// A pixel of a stored map.
  @inline(__always)
  func value(_ map: Int, image: Int, pixel: Int = 0) -> UnsafeMutableRawPointer {
    values[map]! + bytes(network.maps[map], image, pixel)
  }

  /// The same of its gradient, wherever that lies.
  @inline(__always)
  func gradient(_ map: Int, image: Int, pixel: Int = 0) -> UnsafeMutableRawPointer {
    gradients[plan.gradientRoots[map]!]! + bytes(network.maps[map], image, pixel)
  }

  @inline(__always)
  private func ownGradient(_ map: Int, image: Int, pixel: Int) -> UnsafeMutableRawPointer {
    gradients[map]! + bytes(network.maps[map], image, pixel)
  }

  /// What an operation keeps for its way back.
  func kept(_ operation: Int, image: Int, bytes: Int) -> UnsafeMutableRawPointer {
    kept[operation]! + image * bytes
  }

  /// A map is there still when forward has ended.
  func outlivesForward(_ map: Int) -> Bool { lastTimes[map] >= forwardEnd }

  func state(_ map: Int) -> ChannelState? { network.maps[map].affine.map { states[$0] } }

  /// A map from a pixel on, as an operation reads it.
  @inline(__always)
  func view(_ view: LoweredNetwork.MapView, image: Int, pixel: Int = 0) -> rfm_view {
    let map = network.maps[view.map]
    let state = map.affine.map { states[$0] }
    return rfm_view(
      data: values[view.map].map { UnsafeRawPointer($0 + bytes(map, image, pixel)) }
        ?? UnsafeRawPointer(constants.address),
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
    if plan.keepsBits[map] {
      var seen = view(
        LoweredNetwork.MapView(map: map, activation: plan.bitActivations[map]), image: image,
        pixel: pixel)
      kernels.layers.mask(
        &seen, bits[map]! + (image * stored.elements + pixel * stored.stride) / 16, Int32(pixels))
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
        (gateGradients[operation]! + range.lowerBound * stride)
          .update(repeating: 0, count: range.count * stride)
      }
      if let gate = contribution.gate, isTraining, gate.isFinal {
        _ = state(gate.map)?.clearedSums(task)
      }
    }
  }

  /// The gradient of an operation's raw output: through the map's norm, or where it is already.
  func outputGradient(
    _ map: Int, image: Int, pixel: Int, pixels: Int, to out: UnsafeMutableRawPointer
  ) -> UnsafeMutableRawPointer {
    let there = gradient(map, image: image, pixel: pixel)
    guard let state = state(map), !state.isShiftOnly else { return there }
    kernels(map).table.affine_gradient(
      there, state.needsOutput ? value(map, image: image, pixel: pixel) : nil, state.coefficients,
      out, Int32(pixels), Int32(network.maps[map].stride))
    return out
  }

  /// The output's gradient has to be computed before it is used.
  func computesOutputGradient(_ map: Int) -> Bool {
    state(map).map { !$0.isShiftOnly } ?? false
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
    if contribution.isAlias {
      guard isTraining, contribution.isFinal, let state = state(map) else { return }
      kernels.table.gradient_sums(
        da!, view.data, Int32(pixels), Int32(stored.stride), state.sums(task))
      return
    }
    let out = ownGradient(map, image: image, pixel: pixel)
    let existing = contribution.existing.map {
      UnsafeRawPointer(gradients[$0]! + bytes(stored, image, pixel))
    }
    if contribution.gate != nil {
      kernels.layers.unload_gate(
        &view, da!, existing, out, gateGradients[operation]! + image * stored.stride,
        Int32(pixels))
      return
    }
    let derives = contribution.isFinal || !contribution.defers
    if !derives { view.activation = Int32(RFM_IDENTITY) }
    let masks =
      derives && plan.keepsBits[map]
      ? UnsafePointer(bits[map]! + (image * stored.elements + pixel * stored.stride) / 16) : nil
    kernels.layers.unload(
      &view, masks, da, uniform, existing, contribution.defers ? 1 : 0, out,
      isTraining && contribution.isFinal ? state(map)?.sums(task) : nil, Int32(pixels))
  }

  /// Where the gradient of what an operation reads goes, for one that takes it through the view itself:
  /// d = act'(z)·g + existing.
  struct Destination {
    /// Of the image's first pixel.
    let out: UnsafeMutableRawPointer
    let existing: UnsafeRawPointer?
    /// The activation's slope belongs to it; else g goes there as it is.
    let derives: Bool
    let sums: UnsafeMutablePointer<Double>?
  }

  /// nil: only ``contribute(_:_:image:pixel:pixels:da:uniform:task:)`` can do it.
  func destination(_ operation: Int, image: Int, task: Int) -> Destination? {
    let contribution = plan.contributions[operation][0]
    let map = contribution.view.map
    if contribution.isAlias || contribution.gate != nil
      || contribution.existing != nil && contribution.defers
    {
      return nil
    }
    return Destination(
      out: ownGradient(map, image: image, pixel: 0),
      existing: contribution.existing.map {
        UnsafeRawPointer(gradients[$0]! + bytes(network.maps[map], image, 0))
      },
      derives: contribution.isFinal || !contribution.defers,
      sums: isTraining && contribution.isFinal ? state(map)?.sums(task) : nil)
  }

  /// One bit an element of an image's map, if that is what is kept.
  func keptBits(_ map: Int, image: Int) -> UnsafePointer<UInt16>? {
    plan.keepsBits[map]
      ? UnsafePointer(bits[map]! + image * network.maps[map].elements / 16) : nil
  }

  /// What an operation reads of an image, for kernels that know nothing but ReLU.
  func rectified(_ view: LoweredNetwork.MapView, image: Int, floor: Float) -> rfm_activation {
    let seen = self.view(view, image: image)
    return rfm_activation(
      data: seen.data, scale: seen.scale, shift: seen.shift, floor: floor, ld: seen.ld)
  }

  /// A factor of one for every channel.
  var unit: UnsafePointer<Float> { ones }

  /// Behind the last pixel of an image: the gate's own gradient.
  func endBackward(_ operation: Int, image: Int, task: Int) {
    for contribution in plan.contributions[operation] {
      guard let gate = contribution.gate else { continue }
      let stride = network.maps[contribution.view.map].stride
      var view = view(LoweredNetwork.MapView(map: gate.map), image: image)
      vectors.layers.unload(
        &view, nil, gateGradients[operation]! + image * stride, nil,
        gate.existing.map {
          UnsafeRawPointer(gradients[$0]! + bytes(network.maps[gate.map], image, 0))
        }, 1,
        ownGradient(gate.map, image: image, pixel: 0),
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
