import CKernels
import Tensors

/// The update's pass over a network's operations.
///
/// Operations between which no batch norm waits for the whole batch run in one task an image (or for
/// several images where maps are small): what one leaves is read hot by the next. The tasks meet where a
/// batch norm's statistics are needed, forward and backward.
final class GraphTraining: @unchecked Sendable {
  let detector: Detector
  let network: LoweredNetwork
  let batch: Int
  let kernels: Kernels
  let weights: WorkingWeights
  let pass: GraphPass
  let gradients: GradientArena
  let logits: UnsafeMutableBufferPointer<Float>
  var finished: (Int) -> Void = { _ in }
  /// The backward pass under way adds to the gradients.
  private(set) var accumulates = false

  private let workers: WorkerPool
  private let reduction: StatisticsReduction?
  private let runners: [OperationRunner]
  private let tiles: [TileMemory]
  private let states: [ChannelState]
  private let memory: AlignedMemory
  private let drops: DropMasks?
  private let smoothing: Double
  private var labels: UnsafePointer<UInt8>

  /// A pass is a fixed list of these, made once: a step plans and allocates nothing.
  private enum Step {
    case tasks(Int, (_ task: Int, _ worker: Int) -> Void)
    case serial(() throws -> Void)
  }
  private var steps: [Step] = []
  private var forwardSteps: [Step] = []
  private var backwardSteps: [Step] = []
  /// The operation whose weights' gradients are being planned.
  private var planned: Int?

  /// Operations that run in the same tasks.
  private struct Group {
    var operations: [Int] = []
    /// Norms that wait for its tasks.
    var affines: [Int] = []
    var imagesPerTask = 1
  }

  init(
    _ detector: Detector, _ graph: NetworkGraph, crop: Int, batch: Int, precision: Precision,
    workers: WorkerPool, reduction: StatisticsReduction?, sharesMemory: Bool = true,
    regularisation: Regularisation = Regularisation()
  ) {
    self.detector = detector
    self.batch = batch
    self.workers = workers
    self.reduction = reduction
    network = LoweredNetwork(graph, crop: crop, dropPath: regularisation.dropPath)
    drops = DropMasks(
      regularisation, features: graph.head.features, branches: graph.branches,
      widest: network.maps.map(\.stride).max()!, batch: batch)
    smoothing = regularisation.labelSmoothing
    precondition(
      regularisation.dropout == 0 || !graph.head.isPatch, "a patch head has no dropout")
    kernels = Kernels(precision)
    weights = WorkingWeights(detector, kernels: kernels)
    gradients = GradientArena(detector, inDouble: reduction != nil)
    runners = OperationRunner.runners(of: network)
    let network = network
    let joined = reduction == nil ? Self.joinedImages : 1
    let plan = PassPlan(network, .training)
    let forward = Self.forwardGroups(network, joined: joined)
    let backward = Self.backwardGroups(network, plan, joined: joined)
    for group in backward {
      for operation in group.operations {
        runners[operation].planLanes(
          lanesOnly: reduction != nil, packs: weights.isPacked, images: batch,
          joined: group.imagesPerTask)
      }
    }
    var need = TileMemory.Need()
    for runner in runners { need.add(runner.need(precision, images: joined)) }
    tiles = (0..<workers.count).map { [need] _ in TileMemory(need) }
    states = network.affines.map {
      ChannelState(
        $0, channels: network.maps[$0.map].channels, detector: detector, tasks: batch)
    }
    var times = PassMemory.Times(
      forward: Array(repeating: 0, count: runners.count),
      backward: Array(repeating: 0, count: runners.count))
    for (time, group) in forward.enumerated() {
      for operation in group.operations { times.forward[operation] = time }
    }
    for (time, group) in backward.enumerated() {
      for operation in group.operations { times.backward[operation] = forward.count + time }
    }
    pass = GraphPass(
      plan, runners, times, detector: detector, weights: weights, states: states, images: batch,
      maps: kernels, tasks: batch, sharesMemory: sharesMemory, drops: drops)
    memory = AlignedMemory(size: 8 * batch)
    logits = UnsafeMutableBufferPointer(start: memory.floats(), count: 2 * batch)
    labels = UnsafePointer(UnsafeRawPointer(memory.address).assumingMemoryBound(to: UInt8.self))
    for group in forward { planForward(group) }
    swap(&steps, &forwardSteps)
    planBackward(backward)
    swap(&steps, &backwardSteps)
  }

  /// Operations of a group at most: without batch norms nothing else would end one, gradients would
  /// travel at the very end, and no buffer would make room for another.
  private static let largestGroup = 10

  /// Images of a task where maps are small.
  static let joinedImages = 4

  // MARK: Groups

  /// Images of a task: several where every convolution of the group makes a small map. With
  /// statistics of all ranks it is always one: which images share a matrix multiply may touch the
  /// rounding, and must not depend on the number of ranks.
  private static func imagesPerTask(
    _ operations: [Int], _ network: LoweredNetwork, joined: Int
  ) -> Int {
    operations.allSatisfy { Tiling.joins(network.maps[network.operations[$0].output].size) }
      ? joined : 1
  }

  private static func forwardGroups(_ network: LoweredNetwork, joined: Int) -> [Group] {
    var groups: [Group] = []
    var group = Group()
    func waits(_ affine: Int?) -> Bool { affine.map { group.affines.contains($0) } ?? false }
    for (index, operation) in network.operations.enumerated() {
      if group.operations.count == largestGroup
        || operation.inputs.contains(where: { waits(network.maps[$0.map].affine) })
      {
        groups.append(group)
        group = Group()
      }
      group.operations.append(index)
      if let affine = network.maps[operation.output].affine,
        network.affines[affine].isBatchNorm
      {
        group.affines.append(affine)
      }
    }
    groups.append(group)
    return groups.map { group in
      var group = group
      group.imagesPerTask = imagesPerTask(group.operations, network, joined: joined)
      return group
    }
  }

  private static func backwardGroups(
    _ network: LoweredNetwork, _ plan: PassPlan, joined: Int
  ) -> [Group] {
    var groups: [Group] = []
    var group = Group()
    if let affine = network.maps[network.logits].affine { group.affines.append(affine) }
    for index in network.operations.indices.reversed() {
      let operation = network.operations[index]
      let waits =
        network.maps[operation.output].affine.map {
          network.affines[$0].isBatchNorm && group.affines.contains($0)
        } ?? false
      if waits || group.operations.count == largestGroup {
        groups.append(group)
        group = Group()
      }
      group.operations.append(index)
      for contribution in plan.contributions[index] where contribution.isFinal {
        if let affine = network.maps[contribution.view.map].affine {
          group.affines.append(affine)
        }
      }
    }
    groups.append(group)
    return groups.map { group in
      var group = group
      group.imagesPerTask = imagesPerTask(group.operations, network, joined: joined)
      return group
    }
  }

  private func tasks(_ group: Group) -> Int {
    (batch + group.imagesPerTask - 1) / group.imagesPerTask
  }

  // MARK: Planning

  private func planTasks(
    _ group: Group, isBackward: Bool,
    before: @escaping (Range<Int>, _ task: Int) -> Void = { _, _ in }
  ) {
    let members = group.operations.map { runners[$0] }
    let (batch, tiles, each, pass) = (batch, tiles, group.imagesPerTask, pass)
    steps.append(
      .tasks(tasks(group)) { task, worker in
        let images = task * each..<min(batch, (task + 1) * each)
        before(images, task)
        for member in members {
          member.run(images, pass, tiles[worker], task: task, isBackward: isBackward)
        }
      })
  }

  func planParallel(_ parts: Int, _ body: @escaping (_ part: Int) -> Void) {
    let (tiles, operation) = (tiles, planned)
    steps.append(
      .tasks(parts) { part, worker in
        if let clock = tiles[worker].clock, let operation {
          clock.measure(operation, isBackward: true) { body(part) }
        } else {
          body(part)
        }
      })
  }

  func planSerial(_ body: @escaping () throws -> Void) { steps.append(.serial(body)) }

  /// Adds `tasks` lanes, `pitch` apart, in task order.
  func planLaneSum(
    _ parameter: Int, _ lanes: UnsafeMutablePointer<Float>, count: Int, pitch: Int, tasks: Int
  ) {
    let offset = detector.parameters[parameter].offset
    let chunk = 1 << 14
    planParallel((count + chunk - 1) / chunk) { [unowned self] part in
      let start = part * chunk
      let length = min(chunk, count - start)
      if !accumulates { gradients.clear(offset + start..<offset + start + length) }
      for task in 0..<tasks {
        gradients.add(lanes + task * pitch + start, count: length, at: offset + start)
      }
    }
  }

  private func planForward(_ group: Group) {
    planTasks(group, isBackward: false)
    for affine in group.affines {
      let state = states[affine]
      let pixels = batch * network.maps[state.affine.map].size.pixels
      planSerial { [unowned self, tasks = tasks(group)] in
        try state.finishForward(tasks: tasks, pixels: pixels, reduction)
      }
    }
  }

  private func planBackward(_ groups: [Group]) {
    // Uses of each parameter that are to come.
    var uses = [Int](repeating: 0, count: detector.parameters.count)
    let all =
      network.operations.flatMap(\.parameters) + network.affines.flatMap(\.parameters)
    for parameter in all { uses[parameter] += 1 }
    var told = 0
    for (number, group) in groups.enumerated() {
      let tasks = tasks(group)
      planTasks(
        group, isBackward: true,
        before: number == 0
          ? { [unowned self] images, task in seed(images, task: task) } : { _, _ in })
      for operation in group.operations {
        planned = operation
        runners[operation].planWeightGradients(self, tasks: tasks)
        planned = nil
        for parameter in network.operations[operation].parameters { uses[parameter] -= 1 }
      }
      for affine in group.affines {
        let state = states[affine]
        let pixels = batch * network.maps[state.affine.map].size.pixels
        planSerial { [unowned self] in
          try state.finishBackward(tasks: tasks, pixels: pixels, gradients, reduction)
        }
        for parameter in state.affine.parameters { uses[parameter] -= 1 }
      }
      // Parameters from the arena's front on whose gradients are final.
      var end = told
      for (index, parameter) in detector.parameters.enumerated().reversed()
      where parameter.offset >= told {
        guard uses[index] == 0 else { break }
        end = parameter.offset + parameter.extent
      }
      if end > told {
        told = end
        planSerial { [unowned self] in finished(end) }
      }
    }
  }

  // MARK: Running

  private func run(_ steps: [Step]) throws {
    for step in steps {
      switch step {
      case .tasks(let count, let body): workers.run(count, body)
      case .serial(let body): try body()
      }
    }
  }

  /// Begins to measure operations, or begins anew.
  func measure() { pass.plan.measure(tiles) }

  func profiles() -> [OperationProfile] {
    pass.plan.profiles(images: batch, kernels.precision, tiles)
  }

  func refresh() {
    weights.refresh(workers)
    for state in states { state.refresh() }
  }

  func forward(
    images: UnsafePointer<Float>, labels: UnsafePointer<UInt8>, keys: SampleKeys?
  ) throws -> Double {
    self.labels = labels
    drops?.draw(keys)
    let each = network.crop * network.crop * 3
    for image in 0..<batch { pass.imageAddresses[image] = images + image * each }
    try run(forwardSteps)
    var loss = 0.0
    for image in 0..<batch {
      pass.readLogits(image, to: logits.baseAddress! + 2 * image)
      // The mean over positions, of which there is one but for a patch head.
      var sum = 0.0
      for position in 0..<pass.positions {
        let (real, fake) = pass.logits(image, position: position)
        sum += CrossEntropy.loss(
          real: Double(real), fake: Double(fake), label: labels[image], smoothing: smoothing)
      }
      loss += sum / Double(pass.positions)
    }
    return loss / Double(batch)
  }

  func backward(accumulate: Bool) throws {
    accumulates = accumulate
    if !accumulate {
      for parameter in detector.parameters where parameter.layout == .vector {
        gradients.clear(parameter.offset..<parameter.offset + parameter.storedCount)
      }
    }
    try run(backwardSteps)
  }

  func finishGradients() throws {
    if let reduction { try gradients.finish(reduction) }
  }

  var reducesGradients: Bool { gradients.isWide }

  /// The logits' gradient, ∂(mean cross-entropy)/∂z_k = (softmax_k − target_k)/batch, and over positions.
  private func seed(_ images: Range<Int>, task: Int) {
    let sums = pass.state(network.logits)?.clearedSums(task)
    for image in images {
      let count = Double(batch * pass.positions)
      pass.seed(image) { position in
        let (real, fake) = pass.logits(image, position: position)
        let gradient =
          CrossEntropy.fakeGradient(
            real: Double(real), fake: Double(fake), label: labels[image], smoothing: smoothing)
          / count
        if let sums {
          sums[0] -= gradient
          sums[1] += gradient
        }
        return Float(gradient)
      }
    }
  }

  func weights(for detector: Detector, _ precision: Precision) -> WorkingWeights? {
    detector === self.detector && precision == kernels.precision ? weights : nil
  }

  var precision: Precision { kernels.precision }
}
