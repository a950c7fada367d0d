import Tensors

/// Where everything lies that a pass keeps, laid out before the first step: each buffer has a first and a last
/// moment, and lies where nothing else lives meanwhile.
struct PassMemory {
  /// Where a buffer is.
  enum Place {
    case none
    /// In the pass's own memory, room for all of its images.
    case own(UnsafeMutableRawPointer)
    /// So many bytes behind the beginning of a worker's memory, room for one image.
    case scratch(Int)
  }

  /// When an operation runs.
  struct Times {
    /// By operation; backward is empty for inference.
    var forward: [Int]
    var backward: [Int]
    /// The first so many operations are a chain: a worker takes an image through all of them before the
    /// next, so that what is needed nowhere else has room in the worker's memory.
    var chain = 0
  }

  let memory: AlignedMemory
  /// Bytes of what a worker needs for the image that it has in hand, in the chain.
  let scratchSize: Int
  /// By map.
  let values: [Place]
  let gradients: [Place]
  let bits: [UnsafeMutablePointer<UInt16>?]
  /// By operation, for what it keeps itself.
  let kept: [Place]
  /// By operation, for a gradient of every other row and column.
  let stridedGradients: [Place]
  let gateGradients: [UnsafeMutablePointer<Float>?]
  let lanes: [UnsafeMutablePointer<Float>?]
  let layerGradients: [UnsafeMutableRawPointer?]
  let layerOperands: [UnsafeMutableRawPointer?]
  /// By map, and the last moment of forward.
  let lastTimes: [Int]
  let forwardEnd: Int

  /// - Parameters:
  ///   - images: that there is room for.
  ///   - element: bytes of a map's.
  ///   - tasks: that leave sums of their own; 0: for running statistics.
  ///   - sharesMemory: buffers that are needed at different times may lie in one place.
  init(
    _ plan: PassPlan, _ runners: [OperationRunner], _ times: Times, images: Int, element: Int,
    tasks: Int, sharesMemory: Bool
  ) {
    let network = plan.network
    // First and last moment of everything. Buffers of a worker have the numbers −1, −2, ….
    var arena = ArenaPlan()
    var workerArena = ArenaPlan()
    let chainEnd = times.chain == 0 ? -1 : times.forward[times.chain - 1]
    let chainBack =
      times.chain == 0 || times.backward.isEmpty ? Int.max : times.backward[times.chain - 1]
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
      if times.upperBound <= chainEnd || times.lowerBound >= chainBack {
        return -1
          - workerArena.add(
            bytes: bytes / images, first: sharesMemory ? times.lowerBound : 0,
            last: sharesMemory ? times.upperBound : end)
      }
      return arena.add(
        bytes: bytes, first: sharesMemory ? times.lowerBound : 0,
        last: sharesMemory ? times.upperBound : end)
    }
    /// From forward to the way back, a pooling's to that of the map which it pools.
    func between(_ index: Int) -> ClosedRange<Int>? {
      if plan.purpose == .inference { return times.forward[index]...times.forward[index] }
      let last = plan.pooling.indices.first { plan.pooling[$0] == index }.flatMap { map in
        network.operations.firstIndex { $0.output == map }
      }
      return times.forward[index]...times.backward[last ?? index]
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
    let keptNumbers = indices.map {
      add(images * runners[$0].keptBytes(element, plan.purpose), between($0))
    }
    // Until the one that takes it over.
    var stridedNumbers: [Int?] = Array(repeating: nil, count: indices.count)
    for (index, contribution) in plan.contributions.map(\.first).enumerated() {
      guard let strided = contribution?.strided else { continue }
      let map = network.maps[contribution!.view.map]
      stridedNumbers[strided] = add(
        images * map.size.halved.pixels * map.stride * element,
        times.backward[strided]...times.backward[index])
    }
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
    let (workerOffsets, workerSize) = workerArena.placed()
    scratchSize = workerSize
    func address(_ number: Int?) -> UnsafeMutableRawPointer? {
      number.map { memory.address + offsets[$0] }
    }
    func place(_ number: Int?) -> Place {
      guard let number else { return .none }
      return number < 0 ? .scratch(workerOffsets[-1 - number]) : .own(address(number)!)
    }
    lastTimes = mapTimes.map { $0?.upperBound ?? 0 }
    self.forwardEnd = forwardEnd
    values = valueNumbers.map(place)
    gradients = gradientNumbers.map(place)
    bits = bitNumbers.map { address($0)?.assumingMemoryBound(to: UInt16.self) }
    kept = keptNumbers.map(place)
    stridedGradients = stridedNumbers.map(place)
    gateGradients = gateNumbers.map { address($0)?.assumingMemoryBound(to: Float.self) }
    lanes = laneNumbers.map { address($0)?.assumingMemoryBound(to: Float.self) }
    layerGradients = layerGradientNumbers.map(address)
    layerOperands = layerOperandNumbers.map(address)
  }
}
