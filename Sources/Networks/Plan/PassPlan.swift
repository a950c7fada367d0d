/// What a pass over a lowered network does when, and what it keeps meanwhile: the same for all buffers
/// that it is run with.
///
/// Backward, a map's gradient is gathered from all who read the map, the last reader in forward order
/// first. Each has a contribution: it reads what is there so far, adds its own and stores the sum, and
/// the last of them (the map's first reader) also takes the way back through the activation and gathers
/// the sums for the norm. A residual sum's gradient is that of both of its parts: where nothing else is
/// to be done for a part, no memory is written, and the sum's gradient is read in its place. (A branch that
/// stochastic depth may leave out has a factor of its own, and so a gradient.)
struct PassPlan: Sendable {
  enum Purpose: Sendable {
    /// Forward with running statistics.
    case inference
    /// The same, and backward to the image.
    case attention
    /// Forward with batch statistics, and backward to every weight.
    case training
  }

  /// What an operation's way back does with the gradient of one of its inputs.
  struct Contribution: Sendable {
    let view: LoweredNetwork.MapView
    /// The map in whose gradient's memory the sum so far lies; nil: this is the first, or the second
    /// behind a strided one.
    let existing: Int?
    /// The operation that has stored every other row and column of the sum so far.
    var strided: Int?
    /// Nothing is added after this one.
    let isFinal: Bool
    /// The activation's slope multiplies the whole sum at the end, since all readers see the same one.
    let defers: Bool
    /// Where it goes.
    let target: Target
    /// The gradient goes through a plain separable convolution and the ReLU before it in one sweep.
    let sweeps: Bool
    /// Of the gate; only with `view.gate`.
    var gate: GateContribution?
  }

  enum Target: Sendable, Equatable {
    /// The memory of a map's gradient, by default that of the map itself.
    case memory(Int)
    /// Memory for every other row and column.
    case strided
    /// Nowhere: the output's gradient serves as it is; what is left are sums for the norm.
    case alias
    /// Nowhere: the pooled map's gradient and the places of the maxima serve.
    case pooled
  }

  /// A gate's own gradient: Σ over pixels.
  struct GateContribution: Sendable {
    let map: Int
    let existing: Int?
    let isFinal: Bool
  }

  let purpose: Purpose
  let network: LoweredNetwork
  /// By operation and input; empty for inference.
  private(set) var contributions: [[Contribution]] = []
  /// By map: the map in whose gradient's memory its gradient is, in the end; nil: it has none.
  private(set) var gradientRoots: [Int?]
  /// Maps whose gradient has memory of its own.
  private(set) var ownsGradient: [Bool]
  /// The pooling through which the gradient of a map has to be found.
  private(set) var pooling: [Int?]
  /// Attention's gradient has been taken through the map's norm by the last who added to it.
  private(set) var isScaled: [Bool]
  /// Maps of which attention keeps one bit an element instead of the elements.
  private(set) var keepsBits: [Bool]
  /// What those readers of such a map who don't see it as it is see it through.
  private(set) var bitActivations: [Activation]
  /// The reader who keeps the bits as it goes through the map; nil: they are kept when the map is made.
  private(set) var bitKeepers: [Int?]

  init(_ network: LoweredNetwork, _ purpose: Purpose) {
    self.network = network
    self.purpose = purpose
    gradientRoots = Array(repeating: nil, count: network.maps.count)
    ownsGradient = Array(repeating: false, count: network.maps.count)
    pooling = Array(repeating: nil, count: network.maps.count)
    isScaled = Array(repeating: false, count: network.maps.count)
    keepsBits = Array(repeating: false, count: network.maps.count)
    bitActivations = Array(repeating: .identity, count: network.maps.count)
    bitKeepers = Array(repeating: nil, count: network.maps.count)
    if purpose == .inference { return }
    if purpose == .attention { planBits() }
    planContributions()
  }

  private mutating func planContributions() {
    let operations = network.operations
    var readers = [Int](repeating: 0, count: network.maps.count)
    var activations: [[Activation]] = Array(repeating: [], count: network.maps.count)
    for view in operations.flatMap(\.inputs) {
      readers[view.map] += 1
      if !activations[view.map].contains(view.activation) {
        activations[view.map].append(view.activation)
      }
      if let gate = view.gate { readers[gate] += 1 }
    }
    // The loss writes the logits' gradient.
    gradientRoots[network.logits] = network.logits
    ownsGradient[network.logits] = true
    contributions = Array(repeating: [], count: operations.count)
    // Strided contributions to which nothing has been added yet.
    var strided: [Int?] = Array(repeating: nil, count: network.maps.count)
    for index in operations.indices.reversed() {
      let operation = operations[index]
      for (place, view) in operation.inputs.enumerated() {
        readers[view.map] -= 1
        let isFinal = readers[view.map] == 0
        let existing = gradientRoots[view.map]
        let defers = activations[view.map].count == 1
        precondition(
          view.gate == nil || defers, "a gated map that is read through another activation, too")
        // The way back through a gate ends neither in a slope nor in sums for a norm.
        precondition(
          !isFinal || view.gate == nil
            || view.activation == .identity && network.maps[view.map].affine == nil,
          "a gate's own map reads what it gates")
        let sweeps =
          network.isPlainSeparable(operation)
          && canSweep(view, isFinal: isFinal, defers: defers, addsDense: existing != nil)
        let target: Target
        if case .pooledSum = operation.kind, place == 0 {
          target = .pooled
          gradientRoots[view.map] = gradientRoots[operation.output]
          pooling[view.map] = index
        } else if isAlias(
          operation, place, isFirst: existing == nil, isOnlySlope: defers && !isFinal)
        {
          target = .alias
          gradientRoots[view.map] = gradientRoots[operation.output]
        } else if existing == nil, readers[view.map] == 1, network.isStridedShortcut(operation),
          let next = operations[..<index].firstIndex(where: { $0.reads(view.map) }),
          network.isPlainSeparable(operations[next]),
          canSweep(operations[next].inputs[0], isFinal: true, defers: defers, addsDense: false)
        {
          target = .strided
          strided[view.map] = index
        } else {
          let memory = existing.map { mayOverwrite($0, for: view.map, at: index) ? $0 : view.map }
          target = .memory(memory ?? view.map)
          gradientRoots[view.map] = memory ?? view.map
          ownsGradient[memory ?? view.map] = true
        }
        if purpose == .attention, isFinal, sweeps { isScaled[view.map] = true }
        var gate: GateContribution?
        if let map = view.gate {
          readers[map] -= 1
          gate = GateContribution(
            map: map, existing: gradientRoots[map], isFinal: readers[map] == 0)
          gradientRoots[map] = map
          ownsGradient[map] = true
        }
        contributions[index].append(
          Contribution(
            view: view, existing: existing, strided: target == .strided ? nil : strided[view.map],
            isFinal: isFinal, defers: defers, target: target, sweeps: sweeps, gate: gate))
      }
    }
  }

  /// A sum's gradient serves for one of its parts as it is.
  private func isAlias(
    _ operation: LoweredNetwork.Operation, _ place: Int, isFirst: Bool, isOnlySlope: Bool
  ) -> Bool {
    switch operation.kind {
    case .sum(let branch): if branch != nil, place == 0 { return false }
    case .pooledSum: break
    default: return false
    }
    let view = operation.inputs[place]
    return isFirst && view.gate == nil && network.maps[operation.output].affine == nil
      && (view.activation == .identity || isOnlySlope)
  }

  /// One kernel does all of a plain separable convolution's way back to a map.
  ///
  /// - Parameter addsDense: there is a gradient of every pixel to add.
  private func canSweep(
    _ view: LoweredNetwork.MapView, isFinal: Bool, defers: Bool, addsDense: Bool
  ) -> Bool {
    // What is there already has no slope yet, and is added behind this one's.
    if addsDense && defers && view.activation != .identity { return false }
    // A slope that is left to later ones needs another kernel.
    if !isFinal && defers && view.activation != .identity { return false }
    return purpose == .training || view.activation == .identity || keepsBits[view.map]
  }

  /// Nobody needs the gradient in a map's memory any more when operation `index` goes back, but as part
  /// of the gradient of `map`.
  private func mayOverwrite(_ root: Int, for map: Int, at index: Int) -> Bool {
    if root == map { return true }
    // The makers of all whose gradient it is have gone back before.
    return network.maps.indices.allSatisfy { other in
      other == map || gradientRoots[other] != root
        || network.operations[(index + 1)...].contains { $0.output == other }
    }
  }

  private mutating func planBits() {
    for map in network.maps.indices where !network.maps[map].isVector {
      let readers = network.operations.indices.flatMap { index in
        network.operations[index].inputs.filter { $0.map == map }.map { (index, $0) }
      }
      // Who sees the map as it is needs nothing of it.
      guard let first = readers.first(where: { $0.1.activation != .identity }) else { continue }
      bitActivations[map] = first.1.activation
      keepsBits[map] =
        first.1.activation.isPiecewiseLinear
        && readers.allSatisfy { index, view in
          if case .layerNorm = network.operations[index].kind { return false }
          return view.gate == nil
            && (view.activation == .identity || view.activation == bitActivations[map])
        }
      guard keepsBits[map] else { continue }
      bitKeepers[map] =
        readers.first {
          $0.1.activation == .relu && network.isPlainSeparable(network.operations[$0.0])
        }?.0
    }
  }

  /// Maps whose elements an operation's way back reads.
  func backwardReads(_ index: Int) -> [Int] {
    let operation = network.operations[index]
    var reads: [Int] = []
    for contribution in contributions[index] {
      let view = contribution.view
      let map = network.maps[view.map]
      let multiplies: Bool
      switch operation.kind {
      case .convolution, .imageConvolution, .depthwise, .separable, .grouped, .patchHead:
        multiplies = purpose == .training
      case .layerNorm: multiplies = true
      default: multiplies = false
      }
      let derives =
        contribution.target != .pooled && !keepsBits[view.map]
        && (view.activation != .identity || purpose == .training && map.affine != nil)
      if multiplies || derives || view.gate != nil { reads.append(view.map) }
      if let gate = view.gate { reads.append(gate) }
    }
    if purpose == .training, let affine = network.maps[operation.output].affine,
      network.affines[affine].isBatchNorm
    {
      reads.append(operation.output)
    }
    return reads
  }

  /// Maps whose gradient's memory an operation's way back reads or writes.
  func backwardGradients(_ index: Int) -> [Int] {
    var touched = [gradientRoots[network.operations[index].output]]
    for contribution in contributions[index] {
      touched.append(contribution.existing)
      if case .memory(let map) = contribution.target { touched.append(map) }
      if let gate = contribution.gate { touched += [gate.existing, gate.map] }
    }
    return touched.compactMap { $0 }
  }
}
