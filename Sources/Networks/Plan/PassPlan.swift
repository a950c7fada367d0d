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
    /// The map in whose gradient's memory the sum so far lies; nil: this is the first.
    let existing: Int?
    /// Nothing is added after this one.
    let isFinal: Bool
    /// The activation's slope multiplies the whole sum at the end, since all readers see the same one.
    let defers: Bool
    /// The sum's gradient serves as it is; what is left are sums for the norm.
    let isAlias: Bool
    /// Of the gate; only with `view.gate`.
    var gate: GateContribution?
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
  /// Maps of which attention keeps one bit an element instead of the elements.
  private(set) var keepsBits: [Bool]
  /// What all readers of such a map see it through.
  private(set) var bitActivations: [Activation]

  init(_ network: LoweredNetwork, _ purpose: Purpose) {
    self.network = network
    self.purpose = purpose
    gradientRoots = Array(repeating: nil, count: network.maps.count)
    ownsGradient = Array(repeating: false, count: network.maps.count)
    keepsBits = Array(repeating: false, count: network.maps.count)
    bitActivations = Array(repeating: .identity, count: network.maps.count)
    if purpose == .inference { return }
    planContributions()
    if purpose == .attention { planBits() }
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
        var isAlias = false
        if case .sum(let branch) = operation.kind, branch == nil || place > 0, existing == nil,
          view.gate == nil, network.maps[operation.output].affine == nil,
          view.activation == .identity || (defers && !isFinal)
        {
          isAlias = true
          gradientRoots[view.map] = gradientRoots[operation.output]
        } else {
          gradientRoots[view.map] = view.map
          ownsGradient[view.map] = true
        }
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
            view: view, existing: existing, isFinal: isFinal, defers: defers, isAlias: isAlias,
            gate: gate))
      }
    }
  }

  private mutating func planBits() {
    for map in network.maps.indices where !network.maps[map].isVector {
      let readers = network.operations.flatMap { operation in
        operation.inputs.filter { $0.map == map }.map { (operation, $0) }
      }
      if let first = readers.first { bitActivations[map] = first.1.activation }
      keepsBits[map] =
        !readers.isEmpty
        && readers.allSatisfy { operation, view in
          if case .layerNorm = operation.kind { return false }
          return view.activation.isPiecewiseLinear && view.gate == nil
            && view.activation == bitActivations[map]
        }
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
        !keepsBits[view.map]
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
      if !contribution.isAlias { touched.append(contribution.view.map) }
      if let gate = contribution.gate { touched += [gate.existing, gate.map] }
    }
    return touched.compactMap { $0 }
  }
}
