import Checkpoints
import Configuration
import Evaluation
import ForgeryMining
import Foundations
import Glibc
import Images
import MessagePassing
import Networks
import Tensors

/// The main job: trains a detector on shards with all ranks, and keeps its run folder.
///
/// Rank 0 writes; the others compute. What a run does depends on its configuration, seed and number
/// of ranks alone, so a run that was killed and continued ends with the same weights as one that
/// never was.
///
/// Here is the loop in its order, and the state that it keeps; checkpoints and prototypes of it are in
/// `TrainerCheckpoints.swift` and `TrainerPrototypes.swift`.
public final class Trainer {
  public enum Outcome: Sendable {
    case finished
    /// Asked to stop; saved, but what else was due at that step may be left to do when the training
    /// goes on.
    case stopped
  }

  public let configuration: Configuration
  let communicator: Communicator
  private let workers: WorkerPool
  let data: TrainingData
  let detector: Detector
  let step: TrainingStep
  private let schedule: Schedule
  private let totalSteps: Int
  private let folder: RunFolder?
  var checkpoints: CheckpointStore? { folder?.checkpoints }
  let metrics: MetricsFile?
  let writer: CheckpointWriter?
  let validationPass: DatasetPass
  let say: (String) -> Void
  /// Rank 0's; none on the others.
  let observers: [any TrainingObserver]
  private let label: String
  /// nil where training computes no attention maps that could be gathered.
  let gatherer: EpochPrototypeGatherer?
  /// Of every rank.
  let hosts: [String]
  /// Rank 0's.
  private(set) var statusKeeper: StatusKeeper?
  var phaseSums = PhaseSums()

  /// Updates made.
  var steps = 0
  /// Samples taken, as the order counts them.
  var position = 0
  var best = BestCheckpoint()
  /// Rank 0 alone sees figures; the others learn what follows from them.
  var patience: EarlyStopping
  var isOver = false
  var savedStep: Int?
  /// The checkpoint of the present step was saved on a request to stop: what was due besides is still
  /// to be done.
  var hasWorkPending = false
  /// Steps without an update, because they were not finite: all, and those since the last update.
  var skipped = (inAll: 0, inARow: 0)
  /// That many in a row are no accident.
  private static let mostSkippedInARow = 10
  /// Tells whether all ranks fail together.
  private let failures: Communicator

  /// Opens shards, run folder and weights. Collective.
  ///
  /// - Parameters:
  ///   - configuration: as read.
  ///   - resume: continue the run from its newest whole checkpoint, or begin if there is none.
  ///   - forced: keys that may differ from the run's so far although they change its result.
  ///   - observers: told how the training goes; only rank 0's are used.
  ///   - label: what its progress counts, "step".
  ///   - say: told what the user should know, a line at a time; only rank 0's is used.
  public init(
    _ configuration: Configuration, resume: Bool, forced: [String] = [],
    communicator: Communicator, observers: [any TrainingObserver] = [], label: String = "step",
    say: @escaping (String) -> Void
  ) throws {
    try SettingsComparison.check(forced: forced)
    StopRequest.watch()
    self.label = label
    self.say = communicator.isRoot ? say : { _ in }
    self.observers = communicator.isRoot ? observers : []
    let share = try ThreadShare.perRank(communicator)
    let threadsFrom = configuration.training.threads == nil ? share.origin : "training.threads"
    let configuration = configuration.resolved(threads: share.threads)
    self.configuration = configuration
    patience = EarlyStopping(configuration.evaluation)
    self.communicator = communicator
    failures = try communicator.duplicate()
    data = try TrainingData(configuration, communicator)
    if let warning = data.training.packedChunksWarning { self.say("warning: \(warning)") }
    // A folder is made once every rank has its data.
    try communicator.barrier()
    let folder = try communicator.agreed {
      communicator.isRoot
        ? try RunFolder(opening: configuration.run.folder, resume: resume) : nil
    }
    self.folder = folder
    if let warning = folder?.warning { self.say("warning: \(warning)") }
    var isReady = false
    defer { if !isReady { folder?.abandon() } }
    workers = WorkerPool(threads: configuration.training.threads!)
    // Rank 0 reads and writes; what it fails with, all fail with.
    let (data, tell) = (data, self.say)
    let resumed = try communicator.agreed {
      guard resume, let folder else { return Checkpoint?.none }
      return try Trainer.checkpoint(
        toContinue: folder, configuration, data, forced: forced, say: tell)
    }
    try SettledMultiplies.take(
      configuration.training,
      record: resumed.map { .init($0.state, environment: folder?.environment) } ?? .init(),
      communicator, workers, say: tell)
    detector = Detector(configuration.model.form)
    let seed = UInt64(configuration.run.seed)
    detector.initialise(seed: seed)
    totalSteps = configuration.training.totalSteps(stepsPerEpoch: data.stepsPerEpoch)
    schedule = Schedule(
      configuration.training.schedule, base: configuration.training.optimizer.learningRate,
      totalSteps: totalSteps)
    let (detector, step) = (
      detector,
      try TrainingStep(configuration, detector, communicator: communicator, workers: workers)
    )
    self.step = step
    writer = folder.map {
      CheckpointWriter(
        store: $0.checkpoints, keep: configuration.checkpoint.keep, detector, step.optimizer,
        step.average)
    }
    gatherer =
      step.erasing.method.guide == .forgeryAttention
      ? EpochPrototypeGatherer(
        methods: Array(data.methodNames.dropFirst()), side: configuration.data.crop) : nil
    if let gatherer {
      step.erasing.gather(
        into: gatherer, height: data.training.height, width: data.training.width)
    }
    hosts = try communicator.allGather(communicator.hostName)
    validationPass = DatasetPass(
      detector, crop: configuration.data.crop,
      normalisation: PixelNormalisation(configuration.data),
      batch: configuration.evaluation.batch, communicator: communicator, workers: workers)

    metrics = try communicator.agreed {
      try folder?.metrics(
        resumingAfter: resumed?.state.step ?? 0,
        hasWorkPending: resumed?.state.hasWorkPending ?? false)
    }
    steps = try communicator.broadcast(resumed?.state.step ?? 0)
    if steps > 0 {
      try restore(resumed)
    } else {
      try communicator.agreed {
        guard let weights = configuration.model.weights, communicator.isRoot else { return }
        for remark in try InitialWeights.load(weights, configuration, into: detector).remarks {
          tell("\(remark)")
        }
      }
      // Fresh ones too: machines may draw them with other libraries.
      try broadcastDetector()
      step.average?.begin()
    }
    step.refresh()
    step.erasing.update = steps
    let threads = try communicator.allGather([configuration.training.threads!])
    let begun = steps
    try communicator.agreed {
      guard let folder else { return }
      let environment = RunEnvironment(
        versions: RunVersions.all.filter {
          configuration.training.precision.usesBFloat16 || $0.name != RunVersions.bfloat16Multiply
        }, hosts: hosts,
        threadsPerRank: configuration.training.threads!, threadsFrom: threadsFrom,
        threadsOfRanks: threads)
      if resumed != nil, let before = folder.environment {
        for change in environment.changes(since: before) {
          tell(
            "computed otherwise than the run so far, so its last bits may differ from those of one left "
              + "alone: \(change)")
        }
      }
      try folder.write(configuration)
      try folder.write(environment)
      let start = TrainingStart(
        configuration: configuration, environment: environment, folder: folder.path, step: begun)
      for observer in self.observers { try observer.begin(start) }
      statusKeeper = try StatusKeeper(
        folder, configuration.run, step: begun, totalSteps: totalSteps,
        epoch: data.epoch(at: position), ranks: communicator.size, hosts: Set(hosts).count,
        warn: tell)
    }
    if resumed != nil {
      self.say("continuing \(configuration.run.folder) at step \(steps) of \(totalSteps)")
    }
    isReady = true
  }

  /// Whether SIGTERM or SIGUSR1 has asked this process to stop.
  public static var isAskedToStop: Bool { StopRequest.isMade }

  // MARK: The loop

  /// Trains to the last step, or until asked to stop. Collective.
  public func run() throws -> Outcome {
    let progress =
      communicator.isRoot
      ? ProgressLine(
        label, total: totalSteps, start: steps, items: ("images", Double(data.globalBatch)))
      : nil
    defer { progress?.finish() }
    do {
      let outcome = try train(progress)
      try end()
      report(outcome == .finished ? .finished : .stopped)
      return outcome
    } catch {
      finishWriting()
      report(.failed)
      throw error
    }
  }

  private func train(_ progress: ProgressLine?) throws -> Outcome {
    let loader = try data.loader(position: position)
    let digestEvery = configuration.communication.digestEverySteps
    if hasWorkPending {
      RankStatus.enter(.validating, step: steps)
      if try !doDueWork(progress) { return try stopped(progress) }
    }
    if steps < totalSteps, try communicator.any(StopRequest.isMade) {
      return try stopped(progress)
    }
    while steps < totalSteps, !isOver {
      try writer?.check()
      let watch = Stopwatch()
      let rate = schedule.learningRate(step: steps)
      gatherer?.begin(epoch: data.epoch(at: position))
      let result = try step.run(
        loader, step: steps + 1, learningRate: rate, stop: StopRequest.isMade,
        compare: statusKeeper?.isDue == true)
      steps += 1
      let seconds = watch.seconds
      phaseSums.add(result.phases)
      if result.isFinite { skipped.inARow = 0 } else { try skip(result, progress) }
      position += data.samplesPerStep
      var line: [JSON.Member] = [
        .init("step", .integer(steps)),
        .init("epoch", .integer(data.epoch(at: position - 1))),
        .init("loss", result.loss.isFinite ? .number(result.loss) : .null),
        .init("learning_rate", .number(rate)),
        .init("images_per_second", .number(Double(data.globalBatch) / seconds)),
        .init("data_seconds", .number(result.phases.load)),
      ]
      if let norm = result.gradientNorm { line.append(.init("gradient_norm", .number(norm))) }
      if !result.isFinite { line.append(.init("skipped_steps", .integer(skipped.inAll))) }
      try record(.object(line))
      progress?.update(steps, "loss \(fixed(result.loss, 4))")
      if result.compares {
        try reportStep(
          result, learningRate: rate, imagesPerSecond: Double(data.globalBatch) / seconds)
      }

      if digestEvery > 0, steps % digestEvery == 0 {
        try ReplicaCheck.compare(detector, communicator, step: steps)
      }
      let due = dueWork
      guard due.evaluates || due.saves || result.stops else { continue }
      if let name = step.firstNonFiniteState() {
        throw DivergenceError(step: steps, problem: "not finite after the update: \(name)")
      }
      // Who asks a training to stop may wait for seconds only: it saves before all else.
      var stops = result.stops
      if !stops { stops = try !doDueWork(progress) }
      if stops {
        try saveAtOnce(progress)
      } else if due.saves, steps < totalSteps {
        // What it saved just now is what would be saved.
        stops = try communicator.any(StopRequest.isMade)
      }
      if stops { return try stopped(progress) }
    }
    try writer?.wait()
    if savedStep != steps {
      // A finished run that was resumed: what it has is complete.
      progress?.message("the run is complete: \(steps) steps")
    }
    return .finished
  }

  private func stopped(_ progress: ProgressLine?) throws -> Outcome {
    try writer?.wait()
    progress?.message(
      steps == 0
        ? "stopped on request before the first step; begin again with --resume"
        : "stopped on request at step \(steps); continue with --resume")
    return .stopped
  }

  // MARK: What is due after a step

  /// Whether validation and a checkpoint are due after the present step.
  private var dueWork: (evaluates: Bool, saves: Bool) {
    let evaluation = configuration.evaluation.everySteps
    let saves = steps == totalSteps || steps % configuration.checkpoint.everySteps == 0
    return (evaluation > 0 && (saves || steps % evaluation == 0), saves)
  }

  /// Does what is due after the present step: validation, prototypes, a checkpoint. Collective.
  ///
  /// - Returns: false, on all ranks, if any was asked to stop meanwhile. Then nothing of it was
  ///   written down, and all of it is to be done again.
  private func doDueWork(_ progress: ProgressLine?) throws -> Bool {
    let due = dueWork
    let validation: Validation?
    let prototypes: PrototypesFile?
    var patience = patience
    let isOver: Bool
    var saves = due.saves
    do {
      validation = due.evaluates ? try validate(progress) : nil
      if let validation { patience.take(validation.summary) }
      // Rank 0 alone has figures.
      isOver = try communicator.any(patience.isOver)
      saves = saves || isOver
      if saves {
        RankStatus.enter(.saving)
        report(.saving)
      }
      prototypes = saves ? try prototypesFile() : nil
    } catch is StopRequest.Interruption {
      return false
    }
    if let validation { try record(validation.line(step: steps)) }
    hasWorkPending = false
    (self.patience, self.isOver) = (patience, isOver)
    if saves { try save(prototypes, validation, progress) }
    report(.training)
    if isOver {
      progress?.message(
        "step \(steps): no better \(patience.metric.rawValue) in \(patience.since) validations: the "
          + "training ends")
    }
    return true
  }

  /// Saves what a training needs to go on, and that the rest of what is due is still to be done.
  /// Collective.
  private func saveAtOnce(_ progress: ProgressLine?) throws {
    RankStatus.enter(.saving)
    report(.saving)
    hasWorkPending = true
    try save(prototypesFile(exact: false), nil, progress)
  }

  /// Appends a line to `metrics.jsonl` on rank 0.
  private func record(_ line: @autoclosure () -> JSON) throws {
    guard let metrics else { return }
    let line = line()
    try metrics.append(line)
    for observer in observers { try observer.measured(line) }
  }

  /// Waits until the last checkpoint is on the disk, then for the other ranks. Collective.
  private func end() throws {
    RankStatus.enter(.ending)
    try writer?.wait()
    for observer in observers { try observer.finish() }
    try communicator.patientBarrier()
  }

  /// Goes on without an update where a step was not finite, or ends the training. Collective.
  private func skip(_ result: TrainingStep.Result, _ progress: ProgressLine?) throws {
    let origin = try step.findNonFinite(data.loader(position: position))
    let problem = "\(origin); the loss is \(result.loss)"
    skipped.inAll += 1
    skipped.inARow += 1
    guard configuration.training.nonFinite == .skip else {
      throw DivergenceError(step: steps, problem: problem)
    }
    guard skipped.inARow < Self.mostSkippedInARow else {
      throw DivergenceError(
        step: steps, problem: "\(skipped.inARow) steps in a row, \(problem)")
    }
    progress?.message("step \(steps) was skipped: \(problem)")
  }

  /// Finishes the checkpoint under way, whatever ends the training. Where all ranks fail together, each
  /// waits for that: the first to go would end the others.
  private func finishWriting() {
    let failTogether = communicator.size > 1 && othersFailToo()
    try? writer?.wait()
    if failTogether { try? failures.barrier() }
  }

  /// Whether the other ranks come here as well. Where they do not, they may wait for this one, and so
  /// it does not wait for them for long.
  private func othersFailToo() -> Bool {
    do {
      var others = try failures.startBarrier()
      defer { others.abandon() }
      let watch = Stopwatch()
      while watch.seconds < Self.togetherSeconds {
        if try others.test() { return true }
        usleep(1000)
      }
    } catch {}
    return false
  }
  /// How far apart ranks that fail together are at most.
  private static let togetherSeconds = 1.0
}
