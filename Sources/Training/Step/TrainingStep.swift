import CKernels
import Configuration
import FaceShards
import Foundations
import MessagePassing
import Networks
import Synchronization
import Tensors

/// One step of training: FAM, SFE, update (Wang and Deng, CVPR 2021, section 3).
///
/// For each of `accumulate` batches: erase where the detector is sensitive, forward, backward; then
/// the gradients' mean over ranks and batches, flooding's sign, and the optimizer.
///
/// Flooding, |L − b| + b (Ishida et al. 2020), only turns the gradient round where the global mean
/// loss L is below b. The gradient is linear in that sign, so it is applied at the update, and
/// backward need not wait for the other ranks' losses.
public final class TrainingStep {
  /// What a step tells.
  public struct Result: Sendable {
    /// Global mean cross-entropy, before flooding.
    public var loss = 0.0
    /// Loss, summed gradients and running statistics are numbers, and neither infinite. All ranks
    /// see the same of them. Where this is false nothing was updated.
    public var isFinite = true
    /// Norm of the mean gradients of the weights that are trained, before clipping; nil where they are
    /// not clipped.
    public var gradientNorm: Double?
    /// Some rank was asked to stop.
    public var stops = false
    /// Some rank wants the ranks to compare their phases.
    public var compares = false
    public var phases = Phases()
  }

  /// Seconds of a step's phases on this rank.
  public struct Phases: Sendable {
    public var load = 0.0
    public var attention = 0.0
    public var erase = 0.0
    public var forward = 0.0
    public var backward = 0.0
    /// What gradient reduction took beyond backward.
    public var reduce = 0.0
    public var update = 0.0

    public var total: Double {
      load + attention + erase + forward + backward + reduce + update
    }
  }

  public let detector: Detector
  public let optimizer: Optimizer
  public let erasing: BatchErasing
  public let program: TrainingProgram
  /// The moving average of the weights; nil where there is none.
  public let average: WeightAverage?

  let communicator: Communicator
  private let workers: WorkerPool
  package let reducer: GradientReducer
  private let flooding: Double
  private let seed: UInt64
  private let accumulate: Int
  private let averagesStatistics: Bool
  private let exchange: UnsafeMutableBufferPointer<Double>
  /// Weights with the same learning rate, and the step under way of each.
  private let groups: [WeightGroup]
  private var updates: [OptimizerUpdate] = []
  /// What the gradients' norm is clipped to, and what measures it; nil: nothing is clipped.
  private let clipping: (limit: Double, norm: GradientNorm)?
  /// The running statistics before the step: what is put back if it comes to nothing.
  private let earlierStatistics: UnsafeMutableBufferPointer<Float>
  private let isPoisoned = Atomic<Bool>(false)

  // Made once, so that a step allocates nothing.
  private var updateChunk: (Int, Int) -> Void = { _, _ in }
  private var examineChunk: (Int, Int) -> Void = { _, _ in }
  private var reportFinished: (Int) -> Void = { _ in }
  private let ignoreFinished: (Int) -> Void = { _ in }
  /// Weights that a task of the update takes, and gradients that one of the look at them does.
  private static let chunk = 1 << 16

  public init(
    _ configuration: Configuration, _ detector: Detector, communicator: Communicator,
    workers: WorkerPool
  ) throws {
    self.detector = detector
    self.communicator = communicator
    self.workers = workers
    let training = configuration.training
    flooding = training.flooding
    accumulate = training.accumulate
    let synchronized = training.batchNorm == .synchronized
    // Before the program, which keeps the gradients' address. Sums in double precision go by messages, and
    // so do compressed ones on one host.
    let communication = configuration.communication
    let sharesMemory = communication.hostMemory && !synchronized && communicator.size > 1
    let arenaBytes = detector.gradients.count * MemoryLayout<Float>.stride
    let memory =
      sharesMemory && communication.compression == .none
      ? try communicator.shareMemory(bytes: arenaBytes) : nil
    if let memory { detector.placeGradients(at: memory.parts[communicator.rank], of: memory) }
    let group =
      sharesMemory && memory == nil ? try HostGroup(communicator, bytes: arenaBytes) : nil
    if let group {
      detector.placeGradients(at: group.memory.parts[group.rank], of: group.memory)
    }
    averagesStatistics = !synchronized && communicator.size > 1
    program = TrainingProgram(
      detector, crop: configuration.data.crop, batch: training.batchPerRank,
      precision: Precision(rawValue: training.precision.training.rawValue)!, workers: workers,
      reduction: synchronized
        ? StatisticsReduction(ranks: communicator.size) { sums in
          if communicator.size > 1 { try communicator.allReduce(sums, .sum) }
        } : nil,
      regularisation: Regularisation(
        dropout: configuration.model.dropout, dropPath: configuration.model.dropPath,
        labelSmoothing: training.labelSmoothing))
    seed = UInt64(configuration.run.seed)
    erasing = BatchErasing(
      configuration, detector, batch: training.batchPerRank, workers: workers, sharing: program)
    optimizer = Optimizer(training.optimizer, count: detector.values.count)
    average = training.average > 0 ? WeightAverage(detector, decay: training.average) : nil
    groups = WeightGroup.all(of: detector, configuration.stageRates)
    updates.reserveCapacity(groups.count)
    clipping =
      training.clipNorm > 0
      ? (training.clipNorm, GradientNorm(of: detector.gradients, groups, workers: workers)) : nil
    let bucketBytes = Int(communication.bucketMegabytes * 1024 * 1024)
    reducer =
      if let memory {
        GradientReducer(
          communicator: communicator, memory: memory, count: detector.gradients.count,
          bucketBytes: bucketBytes, workers: workers)
      } else {
        try GradientReducer(
          communicator: communicator, arena: detector.gradients, bucketBytes: bucketBytes,
          compression: communication.compression, group: group)
      }
    exchange = .allocate(capacity: 4)
    exchange.initialize(repeating: 0)
    earlierStatistics = .allocate(capacity: detector.runningStatistics.count)
    earlierStatistics.initialize(repeating: 0)
    reportFinished = { [reducer] in reducer.markReady(upTo: $0) }
    updateChunk = { [unowned self] task, _ in
      let chunk = task * Self.chunk..<min(detector.values.count, (task + 1) * Self.chunk)
      for (group, update) in zip(groups, updates) where group.rate > 0 {
        update.apply(
          to: detector.values, gradients: UnsafeBufferPointer(detector.gradients),
          range: group.range.clamped(to: chunk))
      }
    }
    examineChunk = { [unowned self] task, _ in
      let start = task * Self.chunk
      let count = min(detector.gradients.count - start, Self.chunk)
      if rfm_all_finite(detector.gradients.baseAddress! + start, count) == 0 {
        isPoisoned.store(true, ordering: .relaxed)
      }
    }
    refresh()
  }

  deinit {
    exchange.deallocate()
    earlierStatistics.deallocate()
  }

  /// Follows the detector after its weights were changed from outside.
  public func refresh() {
    program.refresh()
    erasing.refresh()
  }

  /// Takes the next batches from the loader through a step.
  ///
  /// - Parameters:
  ///   - step: number of this step, from 1: what other ranks are told of this one.
  ///   - stop: this rank was asked to stop; all ranks learn of it.
  ///   - compare: this rank wants the ranks to compare their phases, likewise.
  /// - Returns: what came of it, see ``Result/isFinite``.
  /// - Throws: the loader's errors, `MPIError`.
  public func run(
    _ loader: BatchLoader, step: Int, learningRate: Double, stop: Bool, compare: Bool = false
  ) throws -> Result {
    var result = Result()
    var loss = 0.0
    erasing.update = step
    _ = earlierStatistics.update(fromContentsOf: detector.runningStatistics)
    for part in 0..<accumulate {
      var watch = Stopwatch()
      RankStatus.enter(.loading, step: step)
      guard let batch = try loader.next() else {
        preconditionFailure("a training loader is endless")
      }
      result.phases.load += watch.seconds
      RankStatus.enter(.attention)
      erasing.erase(batch, gathers: true)
      result.phases.attention += erasing.timing.attention
      result.phases.erase += erasing.timing.erasing

      watch = Stopwatch()
      RankStatus.enter(.forward)
      loss += try program.forward(
        images: batch.images.baseAddress!, labels: batch.labels.baseAddress!, keys: keys(of: batch))
      result.phases.forward += watch.seconds

      watch = Stopwatch()
      RankStatus.enter(.backward)
      if part == accumulate - 1, !program.reducesGradients {
        reducer.begin()
        program.finished = reportFinished
      } else {
        program.finished = ignoreFinished
      }
      try program.backward(accumulate: part > 0)
      result.phases.backward += watch.seconds
    }

    var watch = Stopwatch()
    RankStatus.enter(.reducing)
    if program.reducesGradients { try program.finishGradients() } else { try reducer.finish() }
    exchange[0] = loss / Double(accumulate)
    exchange[1] = stop ? 1 : 0
    exchange[2] = reducer.shareIsFinite == false ? 1 : 0
    exchange[3] = compare ? 1 : 0
    if communicator.size > 1 { try communicator.allReduce(exchange, .sum) }
    result.loss = exchange[0] / Double(communicator.size)
    result.stops = exchange[1] > 0
    result.compares = exchange[3] > 0
    if averagesStatistics { try averageRunningStatistics() }
    result.phases.reduce = watch.seconds

    watch = Stopwatch()
    RankStatus.enter(.updating)
    result.isFinite = result.loss.isFinite && exchange[2] == 0 && sumsAreFinite
    guard result.isFinite else {
      _ = detector.runningStatistics.update(fromContentsOf: earlierStatistics)
      return result
    }
    let sign: Float = result.loss < flooding ? -1 : 1
    var scale = sign / Float(communicator.size * accumulate)
    if let clipping {
      let norm = clipping.norm.measure() * Double(abs(scale))
      result.gradientNorm = norm
      scale *= Float(GradientNorm.factor(norm: norm, limit: clipping.limit))
    }
    makeUpdates(learningRate: learningRate, gradientScale: scale)
    workers.run((detector.values.count + Self.chunk - 1) / Self.chunk, updateChunk)
    average?.follow(workers)
    refresh()
    result.phases.update = watch.seconds
    return result
  }

  /// One step of the optimizer, with each group's learning rate.
  private func makeUpdates(learningRate: Double, gradientScale: Float) {
    updates.removeAll(keepingCapacity: true)
    for group in groups {
      let rate = learningRate * group.rate
      updates.append(
        updates.isEmpty
          ? optimizer.nextUpdate(learningRate: rate, gradientScale: gradientScale)
          : optimizer.update(learningRate: rate, gradientScale: gradientScale))
    }
  }

  /// What keys the draws of a batch, as it does those of erasing.
  private func keys(of batch: Batch) -> SampleKeys {
    SampleKeys(seed: seed, visits: batch.visits, identifiers: batch.identifiers)
  }

  /// Takes batches through forward and backward as `run` does, but updates nothing: gradients are
  /// those of this rank alone. Collective.
  ///
  /// - Parameter examine: called after each forward pass.
  func repeatPasses(_ loader: BatchLoader, examine: () -> Void) throws {
    _ = earlierStatistics.update(fromContentsOf: detector.runningStatistics)
    program.finished = ignoreFinished
    for part in 0..<accumulate {
      guard let batch = try loader.next() else {
        preconditionFailure("a training loader is endless")
      }
      erasing.erase(batch)
      _ = try program.forward(
        images: batch.images.baseAddress!, labels: batch.labels.baseAddress!, keys: keys(of: batch))
      examine()
      try program.backward(accumulate: part > 0)
    }
    _ = detector.runningStatistics.update(fromContentsOf: earlierStatistics)
  }

  /// Whether what the ranks have added up are numbers: one pass over the gradients, unless the ranks
  /// have looked at their shares of them.
  private var sumsAreFinite: Bool {
    isPoisoned.store(false, ordering: .relaxed)
    if reducer.shareIsFinite == nil {
      workers.run((detector.gradients.count + Self.chunk - 1) / Self.chunk, examineChunk)
    }
    let statistics = detector.runningStatistics
    return !isPoisoned.load(ordering: .relaxed)
      && rfm_all_finite(statistics.baseAddress!, statistics.count) != 0
  }

  /// With batch norm over each rank's own batch, the running statistics are the ranks' mean
  /// whenever they are used: by the next attention pass, at the latest.
  private func averageRunningStatistics() throws {
    // As gradients travel, in twice log₂ R messages: MPI_Allreduce would send 2 R of them round.
    try communicator.startAllReduce(detector.runningStatistics, .sum).wait()
    let scale = 1 / Float(communicator.size)
    for i in detector.runningStatistics.indices { detector.runningStatistics[i] *= scale }
  }
}
