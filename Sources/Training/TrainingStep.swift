import FaceShards
import MessagePassing
import Networks
import Tensors

/// A loss or weights that are no longer numbers.
public struct DivergenceError: ReportableError {
  public let step: Int
  public let rank: Int
  public let loss: Double

  public var description: String {
    "step \(step): the loss of rank \(rank) is \(loss); nothing was saved since the last "
      + "checkpoint. Lower training.optimizer.learning_rate, or look for broken images with "
      + "rfm inspect --verify"
  }
  public var exitStatus: ExitStatus { .badData }
}

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
    /// Some rank was asked to stop.
    public var stops = false
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

  private let communicator: Communicator
  private let workers: WorkerPool
  let reducer: GradientReducer
  private let flooding: Double
  private let accumulate: Int
  private let averagesStatistics: Bool
  private let exchange: UnsafeMutableBufferPointer<Double>
  private var update: OptimizerUpdate?

  // Made once, so that a step allocates nothing.
  private var updateChunk: (Int, Int) -> Void = { _, _ in }
  private var reportFinished: (Int) -> Void = { _ in }
  private let ignoreFinished: (Int) -> Void = { _ in }
  /// Weights that a task of the update takes.
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
    averagesStatistics = !synchronized && communicator.size > 1
    program = TrainingProgram(
      detector, crop: configuration.data.crop, batch: training.batchPerRank,
      precision: Precision(rawValue: training.precision.training.rawValue)!, workers: workers,
      reduction: synchronized
        ? StatisticsReduction(ranks: communicator.size) { sums in
          if communicator.size > 1 { try communicator.allReduce(sums, .sum) }
        } : nil)
    erasing = BatchErasing(
      configuration, detector, batch: training.batchPerRank, workers: workers, sharing: program)
    optimizer = Optimizer(training.optimizer, count: detector.values.count)
    reducer = try GradientReducer(
      communicator: communicator, arena: detector.gradients,
      bucketBytes: Int(configuration.communication.bucketMegabytes * 1024 * 1024),
      compression: configuration.communication.compression)
    exchange = .allocate(capacity: 2)
    exchange.initialize(repeating: 0)
    reportFinished = { [reducer] in reducer.markReady(upTo: $0) }
    updateChunk = { [unowned self] task, _ in
      let count = detector.values.count
      update!.apply(
        to: detector.values, gradients: UnsafeBufferPointer(detector.gradients),
        range: task * Self.chunk..<min(count, (task + 1) * Self.chunk))
    }
    refresh()
  }

  deinit { exchange.deallocate() }

  /// Follows the detector after its weights were changed from outside.
  public func refresh() {
    program.refresh()
    erasing.refresh()
  }

  /// Takes the next batches from the loader through a step.
  ///
  /// - Parameters:
  ///   - step: number of this step, for errors.
  ///   - stop: this rank was asked to stop; all ranks learn of it.
  /// - Throws: the loader's errors, ``DivergenceError``, `MPIError`.
  public func run(_ loader: BatchLoader, step: Int, learningRate: Double, stop: Bool) throws
    -> Result
  {
    var result = Result()
    var loss = 0.0
    for part in 0..<accumulate {
      var watch = Stopwatch()
      guard let batch = try loader.next() else {
        preconditionFailure("a training loader is endless")
      }
      result.phases.load += watch.seconds
      erasing.erase(batch)
      result.phases.attention += erasing.timing.attention
      result.phases.erase += erasing.timing.erasing

      watch = Stopwatch()
      loss += try program.forward(
        images: batch.images.baseAddress!, labels: batch.labels.baseAddress!)
      result.phases.forward += watch.seconds
      guard loss.isFinite else {
        throw DivergenceError(step: step, rank: communicator.rank, loss: loss)
      }

      watch = Stopwatch()
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
    if program.reducesGradients { try program.finishGradients() } else { try reducer.finish() }
    exchange[0] = loss / Double(accumulate)
    exchange[1] = stop ? 1 : 0
    if communicator.size > 1 { try communicator.allReduce(exchange, .sum) }
    result.loss = exchange[0] / Double(communicator.size)
    result.stops = exchange[1] > 0
    if averagesStatistics { try averageRunningStatistics() }
    result.phases.reduce = watch.seconds

    watch = Stopwatch()
    let sign: Float = result.loss < flooding ? -1 : 1
    let update = optimizer.nextUpdate(
      learningRate: learningRate,
      gradientScale: sign / Float(communicator.size * accumulate))
    self.update = update
    workers.run((detector.values.count + Self.chunk - 1) / Self.chunk, updateChunk)
    refresh()
    result.phases.update = watch.seconds
    return result
  }

  /// With batch norm over each rank's own batch, the running statistics are the ranks' mean
  /// whenever they are used: by the next attention pass, at the latest.
  private func averageRunningStatistics() throws {
    try communicator.allReduce(detector.runningStatistics, .sum)
    let scale = 1 / Float(communicator.size)
    for i in detector.runningStatistics.indices { detector.runningStatistics[i] *= scale }
  }
}
