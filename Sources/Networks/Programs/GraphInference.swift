import CKernels
import Tensors

/// A graph network with its running statistics: each worker takes groups of images through all of its
/// operations, forward and, for attention, back to the image.
final class GraphTeam: @unchecked Sendable {
  let detector: Detector
  let network: LoweredNetwork
  let runners: [OperationRunner]
  let passes: [GraphPass]
  let tiles: [TileMemory]
  private let workers: WorkerPool
  private let weights: WorkingWeights
  private let ownsWeights: Bool
  private let states: [ChannelState]
  private let largestGroup: Int
  private var images = 0
  private var each = 1
  private var body: (GraphPass, TileMemory, Range<Int>) -> Void = { _, _, _ in }
  /// Made once, so that `run` allocates nothing.
  private var runGroup: (Int, Int) -> Void = { _, _ in }

  init(
    _ detector: Detector, _ graph: NetworkGraph, _ purpose: PassPlan.Purpose, crop: Int,
    precision: Precision, groupSize: Int, workers: WorkerPool, sharing shared: WorkingWeights?,
    sharesMemory: Bool = true
  ) {
    self.detector = detector
    self.workers = workers
    largestGroup = groupSize
    network = LoweredNetwork(graph, crop: crop)
    let kernels = Kernels(precision)
    ownsWeights = shared == nil
    weights = shared ?? WorkingWeights(detector, kernels: kernels)
    let runners = OperationRunner.runners(of: network)
    self.runners = runners
    states = network.affines.map { [network] in
      ChannelState($0, channels: network.maps[$0.map].channels, detector: detector, tasks: 0)
    }
    let plan = PassPlan(network, purpose)
    let times = GraphPass.Times(
      forward: Array(runners.indices),
      backward: purpose == .inference
        ? [] : runners.indices.map { 2 * runners.count - 1 - $0 })
    var need = TileMemory.Need()
    for runner in runners { need.add(runner.need(precision, images: groupSize)) }
    let (weights, states) = (weights, states)
    passes = (0..<workers.count).map { _ in
      GraphPass(
        plan, runners, times, detector: detector, weights: weights, states: states,
        images: groupSize, maps: kernels, tasks: 0, sharesMemory: sharesMemory)
    }
    tiles = (0..<workers.count).map { [need] _ in TileMemory(need) }
    runGroup = { [unowned self] group, worker in
      body(passes[worker], tiles[worker], group * each..<min(images, (group + 1) * each))
    }
  }

  func refresh() {
    if ownsWeights { weights.refresh(workers) }
    for state in states { state.refresh() }
  }

  /// Images of a group: fewer where there are few, so that all workers have some. A rule of their number
  /// alone, so that results do not depend on the thread count.
  func groupSize(_ images: Int) -> Int {
    min(largestGroup, images >= 12 ? 4 : images >= 4 ? 2 : 1)
  }

  /// Runs `body` for every group of 0..<images.
  func run(
    _ images: Int, _ body: @escaping (GraphPass, TileMemory, _ images: Range<Int>) -> Void
  ) {
    self.body = body
    self.images = images
    each = groupSize(images)
    workers.run((images + each - 1) / each, runGroup)
  }

  func forward(_ count: Int, _ pass: GraphPass, _ tile: TileMemory) {
    for runner in runners { runner.forward(0..<count, pass, tile, task: 0) }
  }

  func backward(_ count: Int, _ pass: GraphPass, _ tile: TileMemory) {
    for runner in runners.reversed() { runner.backward(0..<count, pass, tile, task: 0) }
  }
}

/// FAM's pass of a graph network.
final class GraphAttention: AttentionEngine, @unchecked Sendable {
  private let team: GraphTeam
  private let imageSize: Int
  private var job: Job?
  /// Runs a group of the job; made once, so that `run` allocates nothing.
  private var runGroup: (GraphPass, TileMemory, Range<Int>) -> Void = { _, _, _ in }

  private struct Job {
    let images: UnsafePointer<Float>
    let selected: UnsafeBufferPointer<Int>
    let logits: UnsafeMutablePointer<Float>?
    let gradients: UnsafeMutablePointer<Float>
  }

  init(
    _ detector: Detector, _ graph: NetworkGraph, crop: Int, precision: Precision, groupSize: Int,
    workers: WorkerPool, sharing shared: WorkingWeights?, sharesMemory: Bool = true
  ) {
    imageSize = crop * crop * 3
    team = GraphTeam(
      detector, graph, .attention, crop: crop, precision: precision, groupSize: groupSize,
      workers: workers, sharing: shared, sharesMemory: sharesMemory)
    runGroup = { [unowned self] pass, tile, images in run(images, pass, tile) }
  }

  func refresh() { team.refresh() }

  func run(
    images: UnsafePointer<Float>, selected: UnsafeBufferPointer<Int>,
    logits: UnsafeMutablePointer<Float>?, gradients: UnsafeMutablePointer<Float>
  ) {
    job = Job(images: images, selected: selected, logits: logits, gradients: gradients)
    team.run(selected.count, runGroup)
  }

  private func run(_ range: Range<Int>, _ pass: GraphPass, _ tile: TileMemory) {
    let job = job!
    for (place, number) in range.enumerated() {
      pass.imageAddresses[place] = job.images + job.selected[number] * imageSize
      let gradient = job.gradients + number * imageSize
      gradient.update(repeating: 0, count: imageSize)
      pass.imageGradients[place] = gradient
    }
    team.forward(range.count, pass, tile)
    if let logits = job.logits {
      for (place, number) in range.enumerated() {
        pass.readLogits(place, to: logits + 2 * number)
      }
    }
    // ∂(z_fake − z_real), of a patch head its mean over positions.
    let share = 1 / Float(pass.positions)
    for place in 0..<range.count { pass.seed(place) { _ in share } }
    team.backward(range.count, pass, tile)
  }
}

/// Forward of a graph network with running statistics.
final class GraphInference: InferenceEngine, @unchecked Sendable {
  private let team: GraphTeam
  private let imageSize: Int
  let featureHeight: Int
  let featureWidth: Int

  init(
    _ detector: Detector, _ graph: NetworkGraph, crop: Int, precision: Precision, groupSize: Int,
    workers: WorkerPool, sharing shared: WorkingWeights?
  ) {
    imageSize = crop * crop * 3
    let team = GraphTeam(
      detector, graph, .inference, crop: crop, precision: precision, groupSize: groupSize,
      workers: workers, sharing: shared)
    self.team = team
    let features = team.network.features.map { team.network.maps[$0.map].size }
    featureHeight = features?.height ?? 0
    featureWidth = features?.width ?? 0
  }

  func refresh() { team.refresh() }

  func run(
    images: UnsafePointer<Float>, count: Int, logits: UnsafeMutablePointer<Float>,
    activationMaps: UnsafeMutablePointer<Float>?
  ) {
    let mapSize = 2 * featureHeight * featureWidth
    team.run(count) { [team, imageSize] pass, tile, range in
      for (place, number) in range.enumerated() {
        pass.imageAddresses[place] = images + number * imageSize
      }
      team.forward(range.count, pass, tile)
      for (place, number) in range.enumerated() {
        pass.readLogits(place, to: logits + 2 * number)
        if let activationMaps {
          pass.activationMaps(place, activationMaps + number * mapSize)
        }
      }
    }
  }
}
