import CKernels
import Glibc
import Synchronization
import Tensors

/// A network with its running statistics, and the workers that take groups of images through all of its
/// operations, forward and, for attention, back to the image; each worker a group at a time.
///
/// The operations with large maps, the first ones forward and the last ones backward, go image by image, one
/// after another: what one leaves is read hot by the next, and has memory for one image. The others go one by
/// one, all images of the group each.
///
/// Whoever finds no group left helps those who are still at theirs, image by image. So a batch of few
/// groups keeps all workers busy, and one that the system has disturbed does not keep the others waiting
/// for long. What is computed for an image does not depend on who does it.
final class GraphTeam: @unchecked Sendable {
  /// A worker: the buffers of its group, and tiles for whatever it is at, its own group or another's.
  final class Member: @unchecked Sendable {
    let pass: GraphPass
    fileprivate let tile: TileMemory
    fileprivate let loop: SharedLoop<Work>
    /// For the image of the chain that it has in hand.
    private let scratch: AlignedMemory
    /// It has a group that has not come to its last stage.
    fileprivate let isBehind = Atomic<Bool>(false)
    /// Does a loop's work for one image; made once, so that a pass allocates nothing.
    fileprivate private(set) var perform: (Work, Int) -> Void = { _, _ in }

    fileprivate init(_ pass: GraphPass, _ tile: TileMemory, _ first: OperationRunner) {
      self.pass = pass
      self.tile = tile
      scratch = AlignedMemory(size: pass.scratchSize)
      loop = SharedLoop(Work(runners: [first], pass: pass, isBackward: false))
      perform = { [unowned self] work, image in
        work.pass.scratch[image] = scratch.address
        work.run(image..<image + 1, tile)
      }
    }
  }

  /// Operations of a group, forward or backward, in that order.
  fileprivate struct Work {
    let runners: [OperationRunner]
    let pass: GraphPass
    let isBackward: Bool

    func run(_ images: Range<Int>, _ tile: TileMemory) {
      for runner in runners { runner.run(images, pass, tile, task: 0, isBackward: isBackward) }
    }
  }

  /// Operations that are taken together, forward and backward.
  private struct Stage {
    let runners: [OperationRunner]
    let isChain: Bool
  }

  let detector: Detector
  let network: LoweredNetwork
  let members: [Member]
  private let forwardStages: [Stage]
  private let backwardStages: [Stage]
  private let workers: WorkerPool
  private let weights: WorkingWeights
  private let ownsWeights: Bool
  private let states: [ChannelState]
  private let groupSize: Int
  private var images = 0
  private var groups = 0
  private var body: (Member, _ images: Range<Int>) -> Void = { _, _ in }
  private let nextGroup = Atomic<Int>(0)
  private let finishedGroups = Atomic<Int>(0)
  /// Made once, so that `run` allocates nothing.
  private var takeGroups: (Int, Int) -> Void = { _, _ in }

  init(
    _ detector: Detector, _ graph: NetworkGraph, _ purpose: PassPlan.Purpose, crop: Int,
    precision: Precision, groupSize: Int, workers: WorkerPool, sharing shared: WorkingWeights?,
    sharesMemory: Bool = true
  ) {
    self.detector = detector
    self.workers = workers
    self.groupSize = groupSize
    network = LoweredNetwork(graph, crop: crop)
    let kernels = Kernels(precision)
    ownsWeights = shared == nil
    weights = shared ?? WorkingWeights(detector, kernels: kernels)
    let runners = OperationRunner.runners(of: network)
    let chain = Self.chain(network)
    let others = runners[chain...].map { Stage(runners: [$0], isChain: false) }
    forwardStages =
      (chain > 0 ? [Stage(runners: Array(runners[..<chain]), isChain: true)] : []) + others
    backwardStages =
      others.reversed()
      + (chain > 0 ? [Stage(runners: runners[..<chain].reversed(), isChain: true)] : [])
    states = network.affines.map { [network] in
      ChannelState($0, channels: network.maps[$0.map].channels, detector: detector, tasks: 0)
    }
    let plan = PassPlan(network, purpose)
    let times = PassMemory.Times(
      forward: Array(runners.indices),
      backward: purpose == .inference
        ? [] : runners.indices.map { 2 * runners.count - 1 - $0 }, chain: chain)
    var need = TileMemory.Need()
    for runner in runners { need.add(runner.need(precision, images: groupSize)) }
    let (weights, states) = (weights, states)
    members = (0..<workers.count).map { [need] _ in
      Member(
        GraphPass(
          plan, runners, times, detector: detector, weights: weights, states: states,
          images: groupSize, maps: kernels, tasks: 0, sharesMemory: sharesMemory),
        TileMemory(need), runners[0])
    }
    takeGroups = { [unowned self] _, worker in work(members[worker]) }
  }

  /// How many operations go image by image: the first ones, as long as maps are cut into several tiles,
  /// each of which uses the weights again.
  private static func chain(_ network: LoweredNetwork) -> Int {
    func isLarge(_ size: MapSize) -> Bool { Tiling.rows(size) < size.height }
    return network.operations.firstIndex { operation in
      let read = operation.inputs.map { network.maps[$0.map].size }
      return !isLarge(read.first ?? MapSize(height: network.crop, width: network.crop))
        || network.maps[operation.output].isVector
    } ?? network.operations.count
  }

  /// Begins to measure operations, or begins anew.
  func measure() { members[0].pass.plan.measure(members.map(\.tile)) }

  /// What ``measure()`` has led to, with what `images` images cost.
  func profiles(images: Int) -> [OperationProfile] {
    let pass = members[0].pass
    return pass.plan.profiles(images: images, pass.maps.precision, members.map(\.tile))
  }

  func refresh() {
    if ownsWeights { weights.refresh(workers) }
    for state in states { state.refresh() }
  }

  /// Runs `body` for every group of 0..<images and returns when all are done.
  func run(_ images: Int, _ body: @escaping (Member, _ images: Range<Int>) -> Void) {
    self.body = body
    self.images = images
    groups = (images + groupSize - 1) / groupSize
    nextGroup.store(0, ordering: .relaxed)
    finishedGroups.store(0, ordering: .relaxed)
    workers.run(images == 0 ? 0 : workers.count, takeGroups)
  }

  private func work(_ own: Member) {
    while true {
      let group = nextGroup.wrappingAdd(1, ordering: .relaxed).oldValue
      if group >= groups { break }
      own.isBehind.store(true, ordering: .relaxed)
      body(own, group * groupSize..<min(images, (group + 1) * groupSize))
      own.isBehind.store(false, ordering: .relaxed)
      finishedGroups.wrappingAdd(1, ordering: .releasing)
    }
    var looks = 0
    while finishedGroups.load(ordering: .acquiring) < groups {
      if members.contains(where: { $0 !== own && $0.loop.help(own.perform) }) {
        looks = 0
        continue
      }
      looks += 1
      if looks < 20_000 { rfm_pause() } else { usleep(50) }
    }
  }

  private func take(_ stage: Stage, _ count: Int, _ own: Member, isBackward: Bool) {
    let work = Work(runners: stage.runners, pass: own.pass, isBackward: isBackward)
    if count == 1 {
      own.perform(work, 0)
    } else if !stage.isChain, stage.runners[0].joins(0..<count) {
      work.run(0..<count, own.tile)
    } else {
      own.loop.run(count, work, own.perform)
    }
  }

  func forward(_ count: Int, _ own: Member) {
    for stage in forwardStages { take(stage, count, own, isBackward: false) }
  }

  func backward(_ count: Int, _ own: Member) {
    for stage in backwardStages {
      if stage.isChain { letOthersCatchUp(with: own) }
      take(stage, count, own, isBackward: true)
    }
  }

  /// Before the last stage of a group, whose images take long each: unless there are groups left to take,
  /// helps those who have not come so far yet, so that all come to the end together.
  private func letOthersCatchUp(with own: Member) {
    own.isBehind.store(false, ordering: .relaxed)
    if nextGroup.load(ordering: .relaxed) < groups { return }
    // Between two loops of theirs there is a moment without an image to take.
    var looks = 0
    while looks < 2000, members.contains(where: { $0.isBehind.load(ordering: .relaxed) }) {
      let helped = members.contains {
        $0.isBehind.load(ordering: .relaxed) && $0.loop.help(own.perform)
      }
      looks = helped ? 0 : looks + 1
      rfm_pause()
    }
  }
}
